//! The host behind a real kube-apiserver, as `deploy/base` installs it, serving every suite at once.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use outrigger_tests::cluster::Cluster;
use outrigger_tests::installed::{
    APISERVER_FLAGS, DEPLOYMENT, Installed, NAMESPACE, deploy, write_plugins,
};
use outrigger_tests::pod::Kubelet;

use crate::suite::Suite;

/// Without kube-controller-manager: its garbage collector would take the finalizers of some cases away.
pub(crate) async fn install<'a>(suites: impl Iterator<Item = &'a Suite>) -> Result<Installed> {
    let mut plugins = Vec::new();
    let mut definitions: Vec<PathBuf> = Vec::new();
    let mut registered: Vec<&str> = Vec::new();
    for suite in suites {
        plugins.extend(suite.plugins());
        definitions.extend(suite.definitions());
        registered.extend(suite.group_versions);
    }
    let cluster = Cluster::start(APISERVER_FLAGS).await?;
    let kubectl = cluster.kubectl("admin", &["system:masters"])?;
    kubectl.ok(&["apply", "-k", &deploy()]).await?;
    write_plugins(&kubectl, &plugins, &definitions).await?;
    let kubelet = Kubelet::new(&cluster, NAMESPACE, DEPLOYMENT).await?;
    let pod = kubelet.start().await?;
    let installed = Installed {
        pod,
        kubelet,
        kubectl,
        cluster,
    };
    for path in registered {
        let (group, version) = path
            .trim_start_matches("/apis/")
            .split_once('/')
            .context("a group and a version")?;
        installed
            .wait_available(&format!("{version}.{group}"))
            .await?;
    }
    Ok(installed)
}
