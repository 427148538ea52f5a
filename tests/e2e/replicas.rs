//! Two replicas of the Deployment, on one etcd: that of the cluster, whose revision kube-apiserver moves, too.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::client::Client;
use outrigger_tests::installed::{
    APISERVICE, DEPLOYMENT, FLUNDERS, NAMESPACE, SOON, cluster_with_base, direct, set_flags,
    wait_available, write_plugins,
};
use outrigger_tests::pod::Kubelet;
use outrigger_tests::wait;
use serde_json::json;

use crate::requests::flunder;

/// Writes by one replica that the other is asked for at once.
const STEPS: usize = 50;

pub(crate) async fn two() -> Result<()> {
    let (cluster, kubectl) = cluster_with_base().await?;
    let servers = format!("--etcd-servers={}", cluster.etcd());
    set_flags(&kubectl, &[&servers]).await?;
    let deployment = format!("deployment/{DEPLOYMENT}");
    let scale = ["scale", &deployment, "-n", NAMESPACE, "--replicas=2"];
    kubectl.ok(&scale).await?;
    write_plugins(&kubectl, &["wardle"], &[]).await?;
    let mut nodes = Vec::new();
    let mut pods = Vec::new();
    for number in 0..2 {
        let node = Kubelet::replica(&cluster, NAMESPACE, DEPLOYMENT, number).await?;
        pods.push(node.start().await?);
        nodes.push(node);
    }
    wait_available(&kubectl, APISERVICE).await?;
    let one = Client::new(&direct(&cluster, &kubectl, &nodes[0]).await?)?;
    let other = Client::new(&direct(&cluster, &kubectl, &nodes[1]).await?)?;
    reads_at_once(&one, &other).await?;
    reads_at_once(&other, &one).await?;

    // A watch on one sees what the other writes, and clients of kube-apiserver outlive either.
    let list = other.get(FLUNDERS).await?.ok()?;
    let version = list["metadata"]["resourceVersion"]
        .as_str()
        .context("no resourceVersion")?
        .to_owned();
    let path = format!("{FLUNDERS}?watch=true&resourceVersion={version}");
    let mut watch = other.watch(&path).await?;
    one.post(FLUNDERS, &flunder("seen", "one")).await?.ok()?;
    ensure!(watch.next_change().await? == "ADDED seen");

    pods[0].process.kill()?;
    nodes[0].remove_endpoint_slice().await?;
    let admin = cluster.admin()?;
    let goes_on = |name: &'static str| {
        let admin = admin.clone();
        async move {
            let object = flunder(name, "one");
            wait::until("a write after the end of a replica", SOON, || async {
                let answer = admin.post(FLUNDERS, &object).await?;
                // The answer of an earlier try may be what the ending replica took along.
                let status = answer.status.as_u16();
                ensure!([201, 409].contains(&status), "{}", answer.text());
                Ok(())
            })
            .await
        }
    };
    goes_on("after-one").await?;
    ensure!(watch.next_change().await? == "ADDED after-one");

    // And the other way round: what is back serves what was written meanwhile, and watches resume with it.
    pods[0] = nodes[0].start().await?;
    pods[1].stop().await?;
    nodes[1].remove_endpoint_slice().await?;
    let mut resumed = one.watch(&path).await?;
    ensure!(resumed.next_change().await? == "ADDED seen");
    ensure!(resumed.next_change().await? == "ADDED after-one");
    goes_on("after-the-other").await?;
    ensure!(resumed.next_change().await? == "ADDED after-the-other");
    Ok(())
}

/// One writes, the other is asked: without a resourceVersion that is a consistent read.
async fn reads_at_once(writer: &Client, reader: &Client) -> Result<()> {
    let path = format!("{FLUNDERS}/shared");
    writer.post(FLUNDERS, &flunder("shared", "0")).await?.ok()?;
    for step in 0..STEPS {
        let label = step.to_string();
        let patch = json!({"metadata": {"labels": {"step": label}}});
        let written = writer.merge_patch(&path, &patch).await?.ok()?;
        let read = reader.get(&path).await?.ok()?;
        ensure!(read == written, "step {step}: {read} instead of {written}");
    }
    // What it has not seen it must not change.
    let stale = reader.get(&path).await?.ok()?;
    writer
        .merge_patch(&path, &json!({"metadata": {"labels": {"step": "last"}}}))
        .await?
        .ok()?;
    let refused = reader.put(&path, &stale).await?;
    ensure!(refused.status == 409, "{}", refused.text());
    reader.delete(&path).await?.ok()?;
    let gone = writer.get(&path).await?;
    ensure!(gone.status == 404, "{}", gone.text());
    tokio::time::timeout(Duration::from_secs(10), writer.get(FLUNDERS))
        .await??
        .ok()?;
    Ok(())
}
