//! One of the two servers, and kubectl of it.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::artifacts::root;
use outrigger_tests::cluster::{self, Cluster};
use outrigger_tests::installed::{Installed, SOON};
use outrigger_tests::kubectl::Kubectl;
use outrigger_tests::wait;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::process::Command;

use crate::mask::Mask;
use crate::scenario::Scenario;

const GROUP: &str = "transcript.example.com";
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];
/// For one command, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);
/// Functions that scenarios use.
const PRELUDE: &str = include_str!("prelude.sh");

pub(crate) struct Side {
    kubectl: Kubectl,
    /// Everything of this side: kubectl's home and cache, a folder for each scenario.
    folder: PathBuf,
    cluster: Running,
}

/// Ends when dropped.
enum Running {
    Custom(Box<Cluster>),
    Ours(Box<Installed>),
}

/// What a command said, masked.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Heard {
    fn unfinished() -> Self {
        Self {
            code: None,
            stdout: String::new(),
            stderr: format!("it did not end within {} s", DEADLINE.as_secs()),
        }
    }
}

/// kube-apiserver with the definitions installed.
pub(crate) async fn custom() -> Result<Side> {
    let cluster = Cluster::start(&[]).await?;
    let kubectl = cluster.kubectl("admin", &["system:masters"])?;
    let files: Vec<_> = definitions()?
        .iter()
        .map(|it| format!("--filename={}", it.display()))
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    kubectl.ok(&[&["create"], &files[..]].concat()).await?;
    Side::new(kubectl, Running::Custom(Box::new(cluster))).await
}

/// The host behind kube-apiserver, with the definitions in its plugins' folder.
pub(crate) async fn ours() -> Result<Side> {
    let versions = VERSIONS.map(|it| format!("{it}.{GROUP}"));
    let installed = Installed::start(&[], &definitions()?, &versions).await?;
    let kubectl = installed.kubectl.clone();
    Side::new(kubectl, Running::Ours(Box::new(installed))).await
}

fn definitions() -> Result<Vec<PathBuf>> {
    let folder = root().join("tests/transcript/definitions");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

impl Side {
    async fn new(kubectl: Kubectl, running: Running) -> Result<Self> {
        let cluster = match &running {
            Running::Custom(cluster) => cluster,
            Running::Ours(installed) => &installed.cluster,
        };
        let folder = cluster.path("transcript");
        std::fs::create_dir_all(folder.join("bin"))?;
        std::fs::create_dir_all(folder.join("home"))?;
        symlink(program()?, folder.join("bin/kubectl"))?;
        let side = Self {
            kubectl,
            folder,
            cluster: running,
        };
        side.wait_published().await?;
        Ok(side)
    }

    fn cluster(&self) -> &Cluster {
        match &self.cluster {
            Running::Custom(cluster) => cluster,
            Running::Ours(installed) => &installed.cluster,
        }
    }

    /// Waits until kubectl finds the resources and what OpenAPI says of them: kube-apiserver publishes both in its
    /// own time.
    async fn wait_published(&self) -> Result<()> {
        let client = self.cluster().admin()?;
        wait::until("the definitions to be served", SOON, || async {
            for version in VERSIONS {
                let path = format!("/apis/{GROUP}/{version}/robots");
                client.get(&path).await?.ok()?;
                let index = client.get("/openapi/v3").await?.ok()?;
                let name = format!("apis/{GROUP}/{version}");
                ensure!(
                    index["paths"][&name].is_object(),
                    "{name} is not in OpenAPI v3"
                );
            }
            let document = client.get("/openapi/v2").await?.ok()?;
            let path = format!("/apis/{GROUP}/v1/namespaces/{{namespace}}/robots");
            ensure!(
                document["paths"][&path].is_object(),
                "{path} is not in OpenAPI v2"
            );
            Ok::<_, anyhow::Error>(())
        })
        .await
    }

    pub(crate) async fn play(&self, scenario: &Scenario) -> Result<Vec<Heard>> {
        let folder = self.folder.join(&scenario.name);
        std::fs::create_dir_all(folder.join("tmp"))?;
        for (name, text) in &scenario.files {
            std::fs::write(folder.join(name), text)?;
        }
        let namespace = scenario.name.replace('_', "-");
        self.kubectl
            .ok(&["create", "namespace", &namespace])
            .await?;
        self.write_kubeconfig(&folder, &namespace)?;
        let mut mask = Mask::new(&folder.display().to_string())?;
        let mut heard = Vec::new();
        for command in &scenario.commands {
            let said = self.run(&folder, &command.text).await;
            let said = said.with_context(|| command.text.clone())?;
            heard.push(Heard {
                code: said.code,
                stdout: mask.apply(&said.stdout),
                stderr: mask.apply(&said.stderr),
            });
        }
        Ok(heard)
    }

    fn write_kubeconfig(&self, folder: &Path, namespace: &str) -> Result<()> {
        let path = folder.join("kubeconfig");
        let user = self.cluster().user("admin", &["system:masters"])?;
        user.write(&path)?;
        let mut document: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        document["contexts"][0]["context"]["namespace"] = namespace.into();
        Ok(std::fs::write(path, serde_json::to_vec(&document)?)?)
    }

    async fn run(&self, folder: &Path, text: &str) -> Result<Heard> {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.folder.join("bin").display());
        let child = Command::new("sh")
            .args(["-c", &format!("{PRELUDE}\n{text}")])
            .current_dir(folder)
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.folder.join("home"))
            .env("TMPDIR", folder.join("tmp"))
            .env("KUBECONFIG", folder.join("kubeconfig"))
            .env("LC_ALL", "C")
            .env("TERM", "dumb")
            .env("EDITOR", "true")
            // kubectl ends before collecting garbage pays.
            .env("GOGC", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = child.id().and_then(|it| Pid::from_raw(it.cast_signed()));
        let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
        if let (Err(_), Some(group)) = (&output, group) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let output = match output {
            Ok(output) => output?,
            Err(_) => return Ok(Heard::unfinished()),
        };
        Ok(Heard {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

fn program() -> Result<PathBuf> {
    let other = std::env::var_os("OUTRIGGER_KUBECTL").map(PathBuf::from);
    let of_peers = || cluster::peers().map(|it| it.join("kubectl"));
    other
        .or_else(of_peers)
        .context("OUTRIGGER_PEERS names no folder")
}
