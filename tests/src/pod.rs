//! Plays the kubelet: runs the container of a Deployment that was applied, with the command, the environment
//! and the mounted files that stand in it, and nothing else.
//!
//! The container's root is a folder of its own (Linux mount namespaces, by `unshare` and `chroot`), in which the
//! mounts lie where the Deployment says. Two things differ from a node. The image is this machine's `/usr` with
//! the host's program put where the command says. And pods have no address of their own here: the container's
//! port is mapped to a free one of this machine, and the EndpointSlice, which the endpoints' controller would
//! write, names it.

use std::fmt::Write as _;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Method;
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::client::Client;
use crate::cluster::Cluster;
use crate::host::{READY_DEADLINE, free_port};
use crate::kubectl::Kubectl;
use crate::process::Process;
use crate::{artifacts, wait};

/// Where the image has its programs; not below `/usr`, which is this machine's.
const IMAGE_PATH: &str = "/image/bin";
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What runs on the node: a pod of a Deployment of one container.
pub struct Kubelet {
    kubectl: Kubectl,
    client: Client,
    /// Which of the Deployment's pods.
    number: usize,
    pub namespace: String,
    deployment: Value,
    /// Volumes lie here by their names; they outlive the pod, as claims do.
    folder: PathBuf,
    cluster_port: u16,
    cluster_ca: String,
    pub port: u16,
}

/// The running container.
pub struct Pod {
    pub process: Process,
}

impl Kubelet {
    /// Takes the Deployment `name` as it stands in the cluster.
    pub async fn new(cluster: &Cluster, namespace: &str, name: &str) -> Result<Self> {
        let kubelet = Self::replica(cluster, namespace, name, 0).await?;
        // Of pods of before.
        let slices = kubelet.endpoint_slices();
        kubelet.client.delete(&slices).await?.ok()?;
        Ok(kubelet)
    }

    /// The node of another replica, with volumes of its own.
    pub async fn replica(
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        number: usize,
    ) -> Result<Self> {
        let kubectl = cluster.kubectl("kubelet", &["system:masters"])?;
        let deployment = kubectl
            .json(&["get", "deployment", name, "-n", namespace])
            .await?;
        let folder = cluster.path(&format!("node-{number}"));
        std::fs::create_dir_all(folder.join("root"))?;
        Ok(Self {
            kubectl,
            client: Client::new(&cluster.user("kubelet", &["system:masters"])?)?,
            namespace: namespace.to_owned(),
            deployment,
            folder,
            cluster_port: cluster.port,
            cluster_ca: cluster.ca_pem().to_owned(),
            number,
            port: free_port()?,
        })
    }

    /// The Deployment's next pod on this node, with the same volumes.
    pub fn next(&self) -> Result<Self> {
        Ok(Self {
            kubectl: self.kubectl.clone(),
            client: self.client.clone(),
            number: self.number + 1,
            namespace: self.namespace.clone(),
            deployment: self.deployment.clone(),
            folder: self.folder.clone(),
            cluster_port: self.cluster_port,
            cluster_ca: self.cluster_ca.clone(),
            port: free_port()?,
        })
    }

    fn spec(&self) -> &Value {
        &self.deployment["spec"]["template"]["spec"]
    }

    fn container(&self) -> &Value {
        &self.spec()["containers"][0]
    }

    /// The folder of the volume that is mounted at `mount_path`.
    pub fn mounted(&self, mount_path: &str) -> Result<PathBuf> {
        let mounts = self.container()["volumeMounts"].as_array();
        let mount = mounts
            .into_iter()
            .flatten()
            .find(|it| it["mountPath"] == mount_path)
            .with_context(|| format!("nothing is mounted at {mount_path}"))?;
        Ok(self.volume(text(&mount["name"])?))
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.join("volumes").join(name)
    }

    /// The value of a flag in the container's arguments.
    pub fn flag(&self, flag: &str) -> Result<String> {
        let words = self.words();
        for (at, word) in words.iter().enumerate() {
            if let Some(value) = word.strip_prefix(flag) {
                return match value.strip_prefix('=') {
                    Some(value) => Ok(value.to_owned()),
                    None => words.get(at + 1).cloned().context("a flag without value"),
                };
            }
        }
        bail!("the container has no {flag}: {words:?}")
    }

    /// Command and arguments, with `$(NAME)` replaced.
    fn words(&self) -> Vec<String> {
        let of = |field: &str| {
            self.container()[field]
                .as_array()
                .cloned()
                .unwrap_or_default()
        };
        let words = of("command").into_iter().chain(of("args"));
        let environment = self.environment().unwrap_or_default();
        let expand = |word: Value| {
            let mut word = word.as_str().unwrap_or_default().to_owned();
            for (name, value) in &environment {
                word = word.replace(&format!("$({name})"), value);
            }
            word
        };
        words.map(expand).collect()
    }

    fn environment(&self) -> Result<Vec<(String, String)>> {
        let mut all = vec![
            ("KUBERNETES_SERVICE_HOST".to_owned(), "127.0.0.1".to_owned()),
            (
                "KUBERNETES_SERVICE_PORT".to_owned(),
                self.cluster_port.to_string(),
            ),
            ("PATH".to_owned(), format!("{IMAGE_PATH}:/usr/bin")),
        ];
        for variable in self.container()["env"].as_array().into_iter().flatten() {
            let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
            let value = match (variable["value"].as_str(), field) {
                (Some(value), _) => value.to_owned(),
                (None, Some("metadata.namespace")) => self.namespace.clone(),
                (None, Some("metadata.name")) => format!("pod-{}", self.number),
                (None, Some("status.podIP")) => machine_address()?,
                _ => bail!("this kubelet does not know {variable}"),
            };
            all.push((text(&variable["name"])?.to_owned(), value));
        }
        Ok(all)
    }

    /// Brings the files of mounted Secrets, ConfigMaps and the service account up to date, as a kubelet does
    /// from time to time.
    pub async fn sync_volumes(&self) -> Result<()> {
        for volume in self.spec()["volumes"].as_array().into_iter().flatten() {
            let folder = self.volume(text(&volume["name"])?);
            std::fs::create_dir_all(&folder)?;
            if let Some(secret) = volume.get("secret") {
                self.fill(&folder, "secret", &secret["secretName"], secret)
                    .await?;
            } else if let Some(map) = volume.get("configMap") {
                self.fill(&folder, "configmap", &map["name"], map).await?;
            } else if ["emptyDir", "persistentVolumeClaim"]
                .iter()
                .all(|it| volume.get(it).is_none())
            {
                bail!("this kubelet does not know {volume}");
            }
        }
        let account = self.spec()["serviceAccountName"]
            .as_str()
            .unwrap_or("default");
        let token = self
            .kubectl
            .ok(&["create", "token", account, "-n", &self.namespace])
            .await?;
        let folder = self.folder.join("serviceaccount");
        std::fs::create_dir_all(&folder)?;
        let files = [
            ("token".to_owned(), token.trim().as_bytes().to_vec()),
            ("ca.crt".to_owned(), self.cluster_ca.as_bytes().to_vec()),
            ("namespace".to_owned(), self.namespace.as_bytes().to_vec()),
        ];
        // The token is another one each time; so is the volume's version.
        let version = format!("{:?}", std::time::SystemTime::now());
        write_volume(
            &folder,
            &version.replace(|it: char| !it.is_ascii_digit(), ""),
            &files,
        )
    }

    async fn fill(&self, folder: &Path, kind: &str, name: &Value, source: &Value) -> Result<()> {
        let name = text(name)?;
        let args = [
            "get",
            kind,
            name,
            "-n",
            &self.namespace,
            "--ignore-not-found",
        ];
        let found = self
            .kubectl
            .ok(&[&args[..], &["-o", "json"]].concat())
            .await?;
        if found.trim().is_empty() {
            anyhow::ensure!(source["optional"] == true, "the {kind} {name} is missing");
            return Ok(());
        }
        let object: Value = serde_json::from_str(&found)?;
        let mut files = Vec::new();
        for (file, value) in object["data"].as_object().into_iter().flatten() {
            let bytes = match kind {
                "secret" => BASE64_STANDARD.decode(text(value)?)?,
                _ => text(value)?.as_bytes().to_vec(),
            };
            files.push((file.clone(), bytes));
        }
        for (file, value) in object["binaryData"].as_object().into_iter().flatten() {
            files.push((file.clone(), BASE64_STANDARD.decode(text(value)?)?));
        }
        let version = text(&object["metadata"]["resourceVersion"])?;
        write_volume(folder, version, &files)
    }

    /// Starts the container and waits for its readiness probe; then the Service has an endpoint.
    pub async fn start(&self) -> Result<Pod> {
        let mut pod = self.start_unready().await?;
        self.wait_ready(&mut pod).await?;
        self.set_ready(true).await?;
        Ok(pod)
    }

    /// Starts the container only.
    pub async fn start_unready(&self) -> Result<Pod> {
        self.sync_volumes().await?;
        let is_root = rustix::process::geteuid().is_root();
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !is_root {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["sh", "-euc", &self.script()?]);
        let name = format!("pod-{}", self.number);
        let log = self.folder.join(format!("{name}.log"));
        let process = Process::spawn(&format!("outrigger ({name})"), &mut command, log)?;
        Ok(Pod { process })
    }

    /// Makes the container's root and becomes its process.
    fn script(&self) -> Result<String> {
        let root = self.folder.join("root");
        let root = root.display();
        let mut words = self.words();
        let program = words
            .first()
            .cloned()
            .context("the container has no command")?;
        let port = self.container()["ports"][0]["containerPort"].to_string();
        for word in &mut words {
            if *word == port {
                *word = self.port.to_string();
            } else if *word == format!("--secure-port={port}") {
                *word = format!("--secure-port={}", self.port);
            }
        }
        let mut script = format!(
            "mount -t tmpfs container {root}\n\
             for d in /usr /lib /lib64 /bin /sbin /proc /dev; do\n\
               if [ -L $d ]; then cp -P $d {root}$d\n\
               elif [ -d $d ]; then mkdir -p {root}$d; mount --rbind $d {root}$d; fi\n\
             done\n\
             mkdir -p {root}/etc {root}/tmp\n\
             for f in hosts resolv.conf nsswitch.conf; do\n\
               if [ -e /etc/$f ]; then cp /etc/$f {root}/etc/; fi\n\
             done\n"
        );
        let mut mount = |from: &Path, to: &str, is_file: bool| {
            let (from, to) = (quote(&from.display().to_string()), format!("{root}{to}"));
            let make = match is_file {
                true => format!("mkdir -p $(dirname {to}); touch {to}"),
                false => format!("mkdir -p {to}"),
            };
            let _ = writeln!(script, "{make}; mount --bind {from} {to}");
        };
        let installed = match program.starts_with('/') {
            true => program,
            false => format!("{IMAGE_PATH}/{program}"),
        };
        mount(&artifacts::outrigger()?, &installed, true);
        mount(&self.folder.join("serviceaccount"), SERVICE_ACCOUNT, false);
        for it in self.container()["volumeMounts"]
            .as_array()
            .into_iter()
            .flatten()
        {
            mount(
                &self.volume(text(&it["name"])?),
                text(&it["mountPath"])?,
                false,
            );
        }
        if self.container()["securityContext"]["readOnlyRootFilesystem"] == true {
            let _ = writeln!(script, "mount -o remount,ro {root}");
        }
        let _ = write!(script, "exec chroot {root} /usr/bin/env -i");
        for (name, value) in self.environment()? {
            let _ = write!(script, " {}", quote(&format!("{name}={value}")));
        }
        for word in &words {
            let _ = write!(script, " {}", quote(word));
        }
        Ok(script)
    }

    pub async fn wait_ready(&self, pod: &mut Pod) -> Result<()> {
        let probe = &self.container()["readinessProbe"]["httpGet"];
        let path = text(&probe["path"]).context("the container has no readiness probe")?;
        anyhow::ensure!(probe["scheme"] == "HTTPS", "the probe must use HTTPS");
        let client = Client::unverified(&format!("127.0.0.1:{}", self.port))?;
        wait::until("the readiness probe", READY_DEADLINE, || {
            let running = pod.process.check_running();
            let client = client.clone();
            async move {
                running?;
                let answer = client.get(path).await?;
                anyhow::ensure!(answer.status == 200, "{}", answer.text());
                Ok(())
            }
        })
        .await
    }

    fn endpoint_slices(&self) -> String {
        let namespace = &self.namespace;
        format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")
    }

    /// What the endpoints' controller does once the pod is ready, and when it is being deleted.
    pub async fn set_ready(&self, is_ready: bool) -> Result<()> {
        let services = format!("/api/v1/namespaces/{}/services", self.namespace);
        let services = self.client.get(&services).await?.ok()?;
        let service = &services["items"][0];
        let name = text(&service["metadata"]["name"])?;
        let port_name = service["spec"]["ports"][0]["name"].as_str().unwrap_or("");
        let slice_name = format!("{name}-{}", self.number);
        let conditions = json!({"ready": is_ready, "serving": true, "terminating": !is_ready});
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": slice_name, "namespace": self.namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [machine_address()?], "conditions": conditions}],
            "ports": [{"name": port_name, "port": self.port, "protocol": "TCP"}],
        });
        let slices = self.endpoint_slices();
        let path = format!("{slices}/{slice_name}?fieldManager=endpoints&force=true");
        let headers = [("content-type", "application/apply-patch+yaml")];
        let body = serde_json::to_vec(&slice)?.into();
        let answer = self.client.send(Method::PATCH, &path, &headers, body);
        answer.await?.ok().map(drop)
    }
}

impl Kubelet {
    /// What the endpoints' controller does once a pod is gone.
    pub async fn remove_endpoint_slice(&self) -> Result<()> {
        let services = self
            .kubectl
            .json(&["get", "services", "-n", &self.namespace])
            .await?;
        let service = text(&services["items"][0]["metadata"]["name"])?;
        let name = format!("{service}-{}", self.number);
        let args = ["delete", "endpointslice", &name, "-n", &self.namespace];
        self.kubectl.ok(&args).await?;
        Ok(())
    }
}

impl Pod {
    /// As a kubelet ends a pod: asks, and waits.
    pub async fn stop(&mut self) -> Result<()> {
        self.ask_to_stop()?;
        self.wait_stopped().await
    }

    pub fn ask_to_stop(&self) -> Result<()> {
        Ok(kill_process(self.process.pid(), Signal::TERM)?)
    }

    pub async fn wait_stopped(&mut self) -> Result<()> {
        let status = self.process.wait(Duration::from_secs(60)).await?;
        anyhow::ensure!(status.success(), "the container ended with {status}");
        Ok(())
    }
}

/// An address of this machine that others could reach: EndpointSlices may not name 127.0.0.1.
fn machine_address() -> Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Nothing is sent: connecting only picks the address.
    socket
        .connect("198.51.100.1:9")
        .context("this machine has no address besides 127.0.0.1")?;
    Ok(socket.local_addr()?.ip().to_string())
}

/// Lays files down as a kubelet does: in a folder of their own, `..data` leads to it, and each file's name leads
/// through `..data`. One rename changes them all at once.
fn write_volume(folder: &Path, version: &str, files: &[(String, Vec<u8>)]) -> Result<()> {
    let name = format!("..{version}");
    let contents = folder.join(&name);
    if contents.exists() {
        return Ok(());
    }
    std::fs::create_dir(&contents)?;
    for (file, bytes) in files {
        std::fs::write(contents.join(file), bytes)?;
    }
    let aside = folder.join("..data_tmp");
    symlink(&name, &aside)?;
    std::fs::rename(&aside, folder.join("..data"))?;
    for (file, _) in files {
        if !folder.join(file).is_symlink() {
            symlink(Path::new("..data").join(file), folder.join(file))?;
        }
    }
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_kept = name.starts_with("..") || files.iter().any(|(it, _)| *it == name);
        if !is_kept {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    Ok(())
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn text(value: &Value) -> Result<&str> {
    value
        .as_str()
        .with_context(|| format!("not a string: {value}"))
}
