//! What clients of two replicas are told is what one store that does one thing at a time would tell, whatever becomes of
//! the lines to etcd and of etcd itself.

use anyhow::{Context as _, Result};
use outrigger_tests::anchors::definition;
use outrigger_tests::client::Client;
use outrigger_tests::cluster::{self, Cluster, Sync, start_etcd};
use outrigger_tests::host::free_port;
use outrigger_tests::installed::{
    DEPLOYMENT, NAMESPACE, cluster_with_base, direct, set_flags, wait_available, write_plugins,
};
use outrigger_tests::kubectl::Kubectl;
use outrigger_tests::line::Line;
use outrigger_tests::linearizability::{Plan, Progress, record};
use outrigger_tests::pod::{Kubelet, Pod};

pub(crate) async fn over_cuts_and_restarts() -> Result<()> {
    let plan = Plan::of_anchors(3_000);
    let (cluster, kubectl) = cluster_with_base().await?;
    let document = cluster.path("anchors.json");
    std::fs::write(&document, definition().to_string())?;
    write_plugins(&kubectl, &[], &[document]).await?;

    // An etcd of its own: kube-apiserver is to go on.
    let peers = cluster::peers().context("no peers")?;
    let port = free_port()?;
    let folder = cluster.path("etcd-of-outrigger");
    std::fs::create_dir_all(&folder)?;
    let mut etcd = start_etcd(&peers, &folder, port, Sync::No)?;
    let lines = [Line::to(port).await?, Line::to(port).await?];
    let mut pods = Vec::new();
    let mut clients = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let (node, pod) = replica(&cluster, &kubectl, number, line).await?;
        pods.push(pod);
        if number == 0 {
            wait_available(&kubectl, "v1.pier.example.com").await?;
        }
        clients.push(Client::new(&direct(&cluster, &kubectl, &node).await?)?);
    }

    let step = plan.operations / 10;
    let faults = async |mut progress: Progress| {
        for line in &lines {
            progress.reach(progress.now() + step).await?;
            line.cut();
            // Of the clients that have found the other replica.
            progress.reach(progress.now() + step).await?;
            line.mend();
        }
        for _ in 0..2 {
            progress.reach(progress.now() + step).await?;
            etcd.kill()?;
            etcd = start_etcd(&peers, &folder, port, Sync::No)?;
        }
        progress.reach(progress.now() + step).await
    };
    let history = record(&clients, &plan, faults).await?;
    history.check(&plan)?;
    for mut pod in pods {
        pod.stop().await?;
    }
    Ok(())
}

/// A replica whose etcd is at the end of the line.
async fn replica(
    cluster: &Cluster,
    kubectl: &Kubectl,
    number: usize,
    line: &Line,
) -> Result<(Kubelet, Pod)> {
    let servers = format!("--etcd-servers=http://127.0.0.1:{}", line.port());
    set_flags(kubectl, &[&servers]).await?;
    let node = Kubelet::replica(cluster, NAMESPACE, DEPLOYMENT, number).await?;
    let pod = node.start().await?;
    Ok((node, pod))
}
