//! Rolling updates under load, and replicas that start at once.

use std::collections::VecDeque;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use outrigger_tests::artifacts;
use outrigger_tests::client::Client;
use outrigger_tests::cluster::Cluster;
use outrigger_tests::kubeconfig::Kubeconfig;
use outrigger_tests::kubectl::Kubectl;
use outrigger_tests::load::Load;
use outrigger_tests::pod::Kubelet;
use outrigger_tests::wait;
use serde_json::Value;

use crate::requests::flunder;
use outrigger_tests::installed::{
    APISERVICE, DEPLOYMENT, FLUNDERS, Installed, NAMESPACE, SECRET, SOON, cluster_with_base,
    set_flags, wait_available, write_plugins,
};

/// Enough for all writers and readers to have worked some times.
const WARM: usize = 60;

fn object(name: &str) -> Value {
    flunder(name, "load")
}

/// One replica hands its folder over to the next: a new pod on its node waits for it while the old one drains.
pub(crate) async fn hand_over(it: &mut Installed) -> Result<()> {
    let load = Load::start(it.admin()?, FLUNDERS, object).await?;
    load.wait_for(WARM).await?;

    let next = it.kubelet.next()?;
    let mut pod = next.start_unready().await?;
    let address = format!("127.0.0.1:{}", next.port);
    let probe = Client::unverified(&address)?;
    // It is alive, says what it waits for, and has its plugins.
    wait::until("the next pod to wait for the folder", SOON, || async {
        let alive = probe.get("/livez").await?;
        ensure!(alive.status == 200, "{}", alive.text());
        let log = pod.process.log();
        ensure!(log.contains("waiting for it"), "{log}");
        ensure!(log.contains("plugin loaded"), "{log}");
        Ok(())
    })
    .await?;
    let readyz = probe.get("/readyz").await?;
    ensure!(
        readyz.status == 500,
        "ready without a store: {}",
        readyz.text()
    );
    load.wait_for(WARM).await?;

    // As a Deployment with maxSurge 1 and maxUnavailable 1 goes on.
    it.pod.ask_to_stop()?;
    it.kubelet.set_ready(false).await?;
    next.wait_ready(&mut pod).await?;
    next.set_ready(true).await?;
    it.pod.wait_stopped().await?;
    it.pod = pod;
    it.kubelet = next;
    load.wait_for(WARM).await?;
    let summary = load.finish().await?;
    ensure!(summary.resumed > 0, "the watch was never cut: {summary}");
    println!("hand-over of the embedded store: {summary}");
    it.wait_available(APISERVICE).await?;
    Ok(())
}

/// Two servers that find no Secret agree on one certificate, whoever of them writes it.
pub(crate) async fn one_certificate(it: &mut Installed) -> Result<()> {
    it.pod.stop().await?;
    it.kubelet.set_ready(false).await?;
    it.kubectl
        .ok(&["delete", "secret", SECRET, "-n", NAMESPACE])
        .await?;
    let other = Kubelet::replica(&it.cluster, NAMESPACE, DEPLOYMENT, 10).await?;
    let (one, two) = tokio::join!(it.kubelet.start_unready(), other.start_unready());
    let (mut one, mut two) = (one?, two?);
    it.kubelet.wait_ready(&mut one).await?;
    other.wait_ready(&mut two).await?;
    let secret = it
        .kubectl
        .json(&["get", "secret", SECRET, "-n", NAMESPACE])
        .await?;
    let ca = secret["data"]["ca.crt"].as_str().context("no ca.crt")?;
    let ca = String::from_utf8(BASE64_STANDARD.decode(ca)?)?;
    for port in [it.kubelet.port, other.port] {
        let client = Client::new(&Kubeconfig {
            server: format!("https://outrigger.{NAMESPACE}.svc:{port}"),
            ca_pem: ca.clone(),
            ..Kubeconfig::default()
        })?;
        let client = client.dialling(&format!("127.0.0.1:{port}"));
        wait::until(
            "a handshake with the Secret's certificate",
            SOON,
            || async {
                client
                    .get("/readyz")
                    .await?
                    .status
                    .is_success()
                    .then_some(())
                    .context("not ready")
            },
        )
        .await?;
    }
    two.stop().await?;
    it.pod = one;
    it.kubelet.set_ready(true).await?;
    it.wait_available(APISERVICE).await?;
    Ok(())
}

/// Two replicas on one etcd are replaced one after the other, by ones that have another plugin, too.
pub(crate) async fn replace_two() -> Result<()> {
    let (cluster, kubectl) = cluster_with_base().await?;
    let servers = format!("--etcd-servers={}", cluster.etcd());
    let flags = [&*servers, "--shutdown-delay-duration=3s"];
    set_flags(&kubectl, &flags).await?;
    write_plugins(&kubectl, &["wardle"], &[]).await?;
    let node = |number| Kubelet::replica(&cluster, NAMESPACE, DEPLOYMENT, number);
    let mut running = VecDeque::new();
    for number in 0..2 {
        let node = node(number).await?;
        let pod = node.start().await?;
        running.push_back((node, pod));
    }
    wait_available(&kubectl, APISERVICE).await?;
    let leader = holder(&kubectl).await?;

    // Pods that run do not see it.
    write_plugins(&kubectl, &["wardle", "hello"], &[]).await?;
    let load = Load::start(cluster.admin()?, FLUNDERS, object).await?;
    load.wait_for(WARM).await?;
    for number in 2..4 {
        let node = node(number).await?;
        let pod = node.start().await?;
        load.wait_for(WARM).await?;
        let (old, mut old_pod) = running.pop_front().context("two run")?;
        old.set_ready(false).await?;
        old_pod.stop().await?;
        load.wait_for(WARM).await?;
        running.push_back((node, pod));
    }
    let summary = load.finish().await?;
    println!("two replicas replaced on etcd: {summary}");
    ensure!(summary.failures.is_empty(), "requests failed: {summary}");
    ensure!(summary.resumed > 0, "the watch was never cut: {summary}");

    // Who leads now registers what the new ones serve.
    wait_available(&kubectl, "v1.hello.example.com").await?;
    let next = holder(&kubectl).await?;
    ensure!(next != leader, "{next} has ended");
    // The last gives the Lease back.
    for (_, mut pod) in running {
        pod.stop().await?;
    }
    let lease = lease(&kubectl).await?;
    ensure!(lease["spec"]["holderIdentity"].is_null(), "{lease}");
    move_out_and_back(&cluster)
}

/// The store of an etcd that no server uses goes into a folder, and from there below another prefix.
fn move_out_and_back(cluster: &Cluster) -> Result<()> {
    let folder = format!("sqlite:{}", cluster.path("moved").display());
    let servers = format!("--etcd-servers={}", cluster.etcd());
    let copy = |from: &str, to: &str, prefix: &str| -> Result<(Vec<String>, u64)> {
        let prefix = format!("--etcd-prefix={prefix}");
        let args = [
            "store", "copy", "--from", from, "--to", to, &servers, &prefix,
        ];
        let done = Command::new(artifacts::outrigger()?).args(args).output()?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(done.status.success(), "{said}{wrong}");
        let lines: Vec<String> = said.lines().skip(1).map(str::to_owned).collect();
        let revision = lines.first().and_then(|it| it.split_whitespace().last());
        let revision = revision.with_context(|| said.clone())?.parse()?;
        Ok((lines[1..].to_vec(), revision))
    };
    let (out, first) = copy("etcd", &folder, "/outrigger")?;
    let (back, second) = copy(&folder, "etcd", "/moved")?;
    ensure!(out == back, "{out:?} and {back:?}");
    ensure!(out[2].ends_with("the same in both"), "{out:?}");
    ensure!(second > first, "{second} after {first}");
    let refused = copy(&folder, "etcd", "/moved")
        .err()
        .context("it is taken")?;
    ensure!(
        refused.to_string().contains("there is a store"),
        "{refused}"
    );
    Ok(())
}

async fn lease(kubectl: &Kubectl) -> Result<Value> {
    let args = ["get", "lease", "outrigger", "-n", NAMESPACE];
    kubectl.json(&args).await
}

/// Who leads.
async fn holder(kubectl: &Kubectl) -> Result<String> {
    let lease = lease(kubectl).await?;
    let holder = lease["spec"]["holderIdentity"].as_str();
    Ok(holder.with_context(|| lease.to_string())?.to_owned())
}
