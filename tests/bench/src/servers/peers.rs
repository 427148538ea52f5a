//! kube-apiserver with CustomResourceDefinitions, and sample-apiserver behind no kube-apiserver but with one to ask,
//! each with an etcd of its own that syncs its writes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::certificates::Authority;
use outrigger_tests::client::Client;
use outrigger_tests::cluster::{self, Cluster, Sync};
use outrigger_tests::host::free_port;
use outrigger_tests::kubeconfig::Kubeconfig;
use outrigger_tests::process::Process;
use outrigger_tests::wait;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::Server;
use crate::report::server::{KUBE, SAMPLE};

const READY_DEADLINE: Duration = Duration::from_secs(120);

pub(crate) struct Kube {
    cluster: Cluster,
}

impl Kube {
    pub(crate) async fn start(namespaces: &[&str]) -> Result<Self> {
        let cluster = Cluster::start_durable().await?;
        let admin = cluster.admin()?;
        for name in namespaces {
            let namespace = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
            });
            admin.post("/api/v1/namespaces", &namespace).await?.ok()?;
        }
        Ok(Self { cluster })
    }

    pub(crate) fn server(&self) -> Result<Server> {
        Ok(Server {
            name: KUBE,
            client: self.cluster.admin()?,
            pids: self.cluster.pids().to_vec(),
        })
    }

    /// Installs a CustomResourceDefinition, and waits until `path` is served.
    pub(crate) async fn define(&self, definition: &Value, path: &str) -> Result<()> {
        let admin = self.cluster.admin()?;
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        admin.post(definitions, definition).await?.ok()?;
        wait::until(path, READY_DEADLINE, || async {
            admin.get(path).await?.ok().map(drop)
        })
        .await
    }
}

pub(crate) struct Sample {
    process: Process,
    etcd: Process,
    client: Client,
    _folder: TempDir,
}

impl Sample {
    /// It asks `kube` who its clients are and which namespaces there are.
    pub(crate) async fn start(program: &Path, kube: &Kube) -> Result<Self> {
        let peers = cluster::peers().context("OUTRIGGER_PEERS names no folder")?;
        let folder = TempDir::with_prefix("outrigger-sample-")?;
        let file = |name: &str| folder.path().join(name);
        let etcd_port = free_port()?;
        let etcd = cluster::start_etcd(&peers, folder.path(), etcd_port, Sync::Yes)?;

        let authority = Authority::new("sample-ca")?;
        let serving = authority.serving(&["localhost", "127.0.0.1"])?;
        std::fs::write(file("tls.crt"), &serving.certificate)?;
        std::fs::write(file("tls.key"), &serving.key)?;
        let administrator = kube.cluster.user("admin", &["system:masters"])?;
        administrator.write(&file("kubeconfig"))?;

        let port = free_port()?;
        let mut command = Command::new(program);
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"))
            .arg(format!("--secure-port={port}"))
            .arg("--bind-address=127.0.0.1");
        for (flag, path) in [
            ("tls-cert-file", file("tls.crt")),
            ("tls-private-key-file", file("tls.key")),
            ("kubeconfig", file("kubeconfig")),
            ("authentication-kubeconfig", file("kubeconfig")),
            ("authorization-kubeconfig", file("kubeconfig")),
            ("client-ca-file", kube.cluster.path("ca.crt")),
        ] {
            command.arg(format!("--{flag}={}", path.display()));
        }
        let mut process = Process::spawn("sample-apiserver", &mut command, file("log"))?;
        let client = Client::new(&Kubeconfig {
            server: format!("https://127.0.0.1:{port}"),
            ca_pem: authority.certificate.clone(),
            ..administrator
        })?;
        wait::until("sample-apiserver to be ready", READY_DEADLINE, || {
            let running = process.check_running();
            let client = client.clone();
            async move {
                running?;
                let answer = client.get("/readyz").await?;
                ensure!(answer.status == 200, "{}", answer.text());
                Ok(())
            }
        })
        .await?;
        Ok(Self {
            process,
            etcd,
            client,
            _folder: folder,
        })
    }

    pub(crate) fn server(&self) -> Server {
        Server {
            name: SAMPLE,
            client: self.client.clone(),
            pids: vec![self.process.pid(), self.etcd.pid()],
        }
    }
}
