//! kube-controller-manager with the controllers that meet the objects of every API group.
//!
//! It learns at its start which resources there are, and looks again every 30 s only: start it once everything is
//! registered. The other tests run without it, as it would act on what they leave.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cluster::{Cluster, peers};
use crate::process::Process;

const CONTROLLERS: &str = "--controllers=namespace-controller,garbage-collector-controller,\
    resourcequota-controller,horizontal-pod-autoscaler-controller";

/// The program, if the caller named it or it lies beside the other peers.
#[must_use]
pub fn program() -> Option<PathBuf> {
    match std::env::var_os("OUTRIGGER_CONTROLLER_MANAGER") {
        Some(program) => Some(PathBuf::from(program)),
        None => {
            let beside = peers()?.join("kube-controller-manager");
            beside.is_file().then_some(beside)
        }
    }
}

/// Starts it as clusters run it: each controller is a service account of its own, with the rights that
/// kube-apiserver gives it by default.
pub fn start(cluster: &Cluster) -> Result<Process> {
    let kubeconfig = cluster.path("controller-manager.kubeconfig");
    cluster
        .user("system:kube-controller-manager", &[])?
        .write(&kubeconfig)?;
    let mut command = Command::new(program().context("there is no kube-controller-manager")?);
    command
        .arg(CONTROLLERS)
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .arg("--service-account-private-key-file")
        .arg(cluster.path("service-account.key"))
        .args([
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            // Nobody asks it how it is.
            "--secure-port=0",
            "--namespace-sync-period=1s",
            "--resource-quota-sync-period=1s",
            "--horizontal-pod-autoscaler-sync-period=1s",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]);
    let log = cluster.path("controller-manager.log");
    Process::spawn("kube-controller-manager", &mut command, log)
}
