//! `outrigger dev`, as a user starts it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::client::Client;
use crate::kubeconfig::Kubeconfig;
use crate::process::Process;
use crate::{artifacts, wait};

/// Compiling plugins takes most of it, on a busy machine.
pub const READY_DEADLINE: Duration = Duration::from_secs(120);
/// A drain included.
pub const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// A port that is free now.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Folders of one server: they outlive its restarts.
pub struct DevFolders {
    root: TempDir,
    data: PathBuf,
}

/// A running `outrigger dev`.
pub struct Dev {
    pub process: Process,
    pub port: u16,
    data: PathBuf,
}

impl DevFolders {
    pub fn new() -> Result<Self> {
        Self::with_data(None)
    }

    /// With a data folder that stays, if there is one.
    pub fn with_data(data: Option<PathBuf>) -> Result<Self> {
        let root = TempDir::with_prefix("outrigger-")?;
        std::fs::create_dir(root.path().join("plugins"))?;
        std::fs::create_dir(root.path().join("home"))?;
        let data = data.unwrap_or_else(|| root.path().join("data"));
        Ok(Self { root, data })
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Puts a component into the plugins' folder as `<name>.wasm`, whole at once, as a careful user does.
    pub fn drop_plugin(&self, component: &Path, name: &str) -> Result<()> {
        self.drop_bytes(&std::fs::read(component)?, name)
    }

    /// The same with bytes of any kind.
    pub fn drop_bytes(&self, bytes: &[u8], name: &str) -> Result<()> {
        let aside = self.path(&format!("{name}.part"));
        std::fs::write(&aside, bytes)?;
        std::fs::rename(aside, self.path("plugins").join(format!("{name}.wasm")))?;
        Ok(())
    }

    /// Puts a definition (YAML or JSON) into the plugins' folder, whole at once.
    pub fn drop_definition(&self, definition: &Path) -> Result<()> {
        let name = definition.file_name().context("no file")?;
        let aside = self.path("definition.part");
        std::fs::copy(definition, &aside)?;
        std::fs::rename(aside, self.path("plugins").join(name))?;
        Ok(())
    }

    pub fn remove_plugin(&self, name: &str) -> Result<()> {
        Ok(std::fs::remove_file(
            self.path("plugins").join(format!("{name}.wasm")),
        )?)
    }

    /// The command that [`DevFolders::start`] runs.
    pub fn command(&self, port: u16) -> Result<Command> {
        Ok(self.command_of(&artifacts::outrigger()?, port))
    }

    /// The same with a program that was built in another way.
    #[must_use]
    pub fn command_of(&self, outrigger: &Path, port: u16) -> Command {
        let mut command = Command::new(outrigger);
        command
            .arg("dev")
            .arg("--plugins")
            .arg(self.path("plugins"))
            .arg("--data-dir")
            .arg(&self.data)
            .arg("--secure-port")
            .arg(port.to_string())
            .env("HOME", self.path("home"))
            .env_remove("XDG_CACHE_HOME");
        command
    }

    /// Starts it on a free port and waits until it is ready.
    pub async fn start(&self) -> Result<Dev> {
        let port = free_port()?;
        self.start_with(&mut self.command(port)?, port).await
    }

    pub async fn start_with(&self, command: &mut Command, port: u16) -> Result<Dev> {
        let data = self.data.clone();
        // A kubeconfig of the run before would be taken for this one's.
        let _ = std::fs::remove_file(data.join("admin.kubeconfig"));
        let process = Process::spawn("outrigger dev", command, self.path("host.log"))?;
        let mut dev = Dev {
            process,
            port,
            data,
        };
        dev.wait_ready().await?;
        Ok(dev)
    }
}

impl Dev {
    async fn wait_ready(&mut self) -> Result<()> {
        let path = self.kubeconfig();
        let process = &mut self.process;
        wait::until("outrigger to be ready", READY_DEADLINE, || {
            let running = process.check_running();
            let path = path.clone();
            async move {
                running?;
                let client = Client::new(&Kubeconfig::read(&path)?)?;
                let answer = client.get("/readyz").await?;
                anyhow::ensure!(answer.status == 200, "{}", answer.text());
                Ok(())
            }
        })
        .await
        .with_context(|| process.log())
    }

    /// The file that `dev` writes once it is ready.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.data.join("admin.kubeconfig")
    }

    /// The administrator's client.
    pub fn client(&self) -> Result<Client> {
        Client::new(&Kubeconfig::read(&self.kubeconfig())?)
    }

    /// Waits until `path` answers 200, e.g. for a plugin that was just dropped.
    pub async fn wait_served(&self, path: &str) -> Result<()> {
        let client = self.client()?;
        wait::until(path, READY_DEADLINE, || async {
            client.get(path).await?.ok().map(drop)
        })
        .await
    }

    /// Waits until the text of `/readyz?verbose` contains `part`, and returns it.
    pub async fn wait_readyz(&self, part: &str) -> Result<String> {
        let client = self.client()?;
        wait::until(
            &format!("`{part}` on /readyz?verbose"),
            READY_DEADLINE,
            || async {
                let text = client.get("/readyz?verbose").await?.text();
                anyhow::ensure!(text.contains(part), "{text}");
                Ok(text)
            },
        )
        .await
    }

    pub async fn stop(mut self) -> Result<()> {
        let status = self.process.stop(STOP_DEADLINE).await?;
        anyhow::ensure!(status.success(), "outrigger ended with {status}");
        Ok(())
    }
}
