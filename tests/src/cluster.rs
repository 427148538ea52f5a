//! A control plane of its own: etcd and kube-apiserver, on ports of 127.0.0.1.
//!
//! Not there: kube-controller-manager (no garbage collection, no EndpointSlices, no tokens in Secrets), which
//! [`crate::controller_manager`] starts for the tests that are about it, scheduler and kubelet.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rcgen::KeyPair;
use rustix::process::Pid;
use tempfile::TempDir;

use crate::certificates::{Authority, Signed};
use crate::client::Client;
use crate::host::free_port;
use crate::kubeconfig::Kubeconfig;
use crate::kubectl::Kubectl;
use crate::process::Process;
use crate::wait;

const READY_DEADLINE: Duration = Duration::from_secs(120);

/// Flags of kube-apiserver and the files that they name.
const FILES: &[(&str, &str)] = &[
    ("cert-dir", "certificates"),
    ("tls-cert-file", "apiserver.crt"),
    ("tls-private-key-file", "apiserver.key"),
    ("client-ca-file", "ca.crt"),
    ("service-account-key-file", "service-account.pub"),
    ("service-account-signing-key-file", "service-account.key"),
];
/// Those of the aggregation layer.
const AGGREGATION: &[(&str, &str)] = &[
    ("requestheader-client-ca-file", "front-proxy-ca.crt"),
    ("proxy-client-cert-file", "front-proxy-client.crt"),
    ("proxy-client-key-file", "front-proxy-client.key"),
];
/// Flags of the aggregation layer that name no file.
const AGGREGATION_HEADERS: &[&str] = &[
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
];

/// Ends, with all its data, when dropped.
pub struct Cluster {
    apiserver: Process,
    etcd: Process,
    peers: PathBuf,
    root: TempDir,
    ca: Authority,
    pub port: u16,
    etcd_port: u16,
    flags: Vec<String>,
}

/// The folder with etcd, kube-apiserver and kubectl, if the caller named one.
#[must_use]
pub fn peers() -> Option<PathBuf> {
    std::env::var_os("OUTRIGGER_PEERS").map(PathBuf::from)
}

impl Cluster {
    /// Starts both and waits until kube-apiserver is ready. `flags` are kube-apiserver's, besides the usual.
    pub async fn start(flags: &[&str]) -> Result<Self> {
        Self::start_with(
            AGGREGATION,
            &[AGGREGATION_HEADERS, flags].concat(),
            Sync::No,
        )
        .await
    }

    /// The same with an etcd that has a write on the disk before it answers: what a benchmark compares with.
    pub async fn start_durable() -> Result<Self> {
        Self::start_with(AGGREGATION, AGGREGATION_HEADERS, Sync::Yes).await
    }

    /// The same with the aggregation layer not configured: no front proxy certificate, no CA for one.
    pub async fn start_without_aggregation() -> Result<Self> {
        Self::start_with(&[], &[], Sync::No).await
    }

    async fn start_with(files: &[(&str, &str)], flags: &[&str], sync: Sync) -> Result<Self> {
        let peers = peers().context("OUTRIGGER_PEERS names no folder")?;
        let root = TempDir::with_prefix("outrigger-cluster-")?;
        let ca = Authority::new("cluster-ca")?;
        write_files(root.path(), &ca)?;
        let etcd_port = free_port()?;
        let etcd = start_etcd(&peers, root.path(), etcd_port, sync)?;
        let port = free_port()?;
        let flags: Vec<String> = flags.iter().map(|it| (*it).to_owned()).collect();
        let flags = [
            file_flags(root.path(), FILES),
            file_flags(root.path(), files),
            flags,
        ]
        .concat();
        let apiserver = start_apiserver(&peers, port, etcd_port, &flags, root.path())?;
        let mut cluster = Self {
            apiserver,
            etcd,
            peers,
            root,
            ca,
            port,
            etcd_port,
            flags,
        };
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    /// Ends kube-apiserver as a crash does and starts it again on its port.
    pub async fn restart_apiserver(&mut self) -> Result<()> {
        self.stop_apiserver()?;
        self.resume_apiserver().await
    }

    /// Of kube-apiserver and its etcd.
    #[must_use]
    pub fn pids(&self) -> [Pid; 2] {
        [self.apiserver.pid(), self.etcd.pid()]
    }

    pub fn stop_apiserver(&mut self) -> Result<()> {
        self.apiserver.kill()
    }

    pub async fn resume_apiserver(&mut self) -> Result<()> {
        let root = self.root.path();
        self.apiserver =
            start_apiserver(&self.peers, self.port, self.etcd_port, &self.flags, root)?;
        self.wait_ready().await
    }

    async fn wait_ready(&mut self) -> Result<()> {
        let client = self.admin()?;
        let apiserver = &mut self.apiserver;
        wait::until("kube-apiserver to be ready", READY_DEADLINE, || {
            let running = apiserver.check_running();
            let client = client.clone();
            async move {
                running?;
                let answer = client.get("/readyz").await?;
                anyhow::ensure!(answer.status == 200, "{}", answer.text());
                Ok(())
            }
        })
        .await
    }

    /// The URL of the etcd that kube-apiserver keeps its objects in.
    #[must_use]
    pub fn etcd(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd_port)
    }

    /// A path in the cluster's temporary folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca.certificate
    }

    /// The kubeconfig of a user with a client certificate.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<Kubeconfig> {
        let Signed { certificate, key } = self.ca.client(name, groups)?;
        Ok(Kubeconfig {
            server: format!("https://127.0.0.1:{}", self.port),
            ca_pem: self.ca.certificate.clone(),
            certificate: Some((certificate, key)),
            ..Kubeconfig::default()
        })
    }

    pub fn admin(&self) -> Result<Client> {
        Client::new(&self.user("admin", &["system:masters"])?)
    }

    /// kubectl of a user, with a home of its own.
    pub fn kubectl(&self, name: &str, groups: &[&str]) -> Result<Kubectl> {
        let home = TempDir::with_prefix_in("home-", self.root.path())?.keep();
        let kubeconfig = home.join("kubeconfig");
        self.user(name, groups)?.write(&kubeconfig)?;
        Ok(Kubectl::new(
            &self.peers.join("kubectl"),
            &kubeconfig,
            &home,
        ))
    }
}

fn write_files(root: &Path, ca: &Authority) -> Result<()> {
    let write = |name: &str, text: &str| std::fs::write(root.join(name), text);
    write("ca.crt", &ca.certificate)?;
    let names = [
        "localhost",
        "127.0.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
    ];
    let serving = ca.serving(&names)?;
    write("apiserver.crt", &serving.certificate)?;
    write("apiserver.key", &serving.key)?;
    let front_proxy_ca = Authority::new("front-proxy-ca")?;
    write("front-proxy-ca.crt", &front_proxy_ca.certificate)?;
    let front_proxy = front_proxy_ca.client("front-proxy-client", &[])?;
    write("front-proxy-client.crt", &front_proxy.certificate)?;
    write("front-proxy-client.key", &front_proxy.key)?;
    let key = KeyPair::generate()?;
    write("service-account.key", &key.serialize_pem())?;
    write("service-account.pub", &key.public_key_pem())?;
    Ok(())
}

/// Whether etcd syncs its writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    Yes,
    /// The data live as long as the test.
    No,
}

/// Starts etcd on a port, with its data below `root`.
pub fn start_etcd(peers: &Path, root: &Path, port: u16, sync: Sync) -> Result<Process> {
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{}", free_port()?);
    let mut command = Command::new(peers.join("etcd"));
    command
        .arg("--data-dir")
        .arg(root.join("etcd"))
        .args(["--listen-client-urls", &client])
        .args(["--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")]);
    if sync == Sync::No {
        command.arg("--unsafe-no-fsync");
    }
    Process::spawn("etcd", &mut command, root.join("etcd.log"))
}

/// Flags that name files in the cluster's folder.
fn file_flags(root: &Path, files: &[(&str, &str)]) -> Vec<String> {
    let flag = |(flag, name): &(&str, &str)| format!("--{flag}={}", root.join(name).display());
    files.iter().map(flag).collect()
}

fn start_apiserver(
    peers: &Path,
    port: u16,
    etcd_port: u16,
    flags: &[String],
    root: &Path,
) -> Result<Process> {
    let mut command = Command::new(peers.join("kube-apiserver"));
    command
        .arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"))
        .arg(format!("--secure-port={port}"))
        .args([
            "--bind-address=127.0.0.1",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
        ])
        .args(flags);
    Process::spawn("kube-apiserver", &mut command, root.join("apiserver.log"))
}
