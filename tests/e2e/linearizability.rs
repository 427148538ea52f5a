//! What clients of two replicas are told is what one store that does one thing at a time would tell, whatever becomes of
//! the lines to etcd and of etcd itself.
//!
//! `OUTRIGGER_LINEARIZABILITY_SEED=new` has other requests than the gate, and
//! `OUTRIGGER_LINEARIZABILITY_OPERATIONS=100000` takes some minutes.

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::client::Client;
use outrigger_tests::cluster::{self, Cluster, Sync, start_etcd};
use outrigger_tests::host::free_port;
use outrigger_tests::installed::{
    APISERVER_FLAGS, DEPLOYMENT, NAMESPACE, deploy, direct, wait_available, write_plugins,
};
use outrigger_tests::kubectl::Kubectl;
use outrigger_tests::line::Line;
use outrigger_tests::linearizability::{Outcome, Plan, Progress, judge, record};
use outrigger_tests::pod::{Kubelet, Pod};
use outrigger_tests::random::Random;
use serde_json::{Value, json};

const ANCHORS: &str = "/apis/pier.example.com/v1/namespaces/default/anchors";

pub(crate) async fn over_cuts_and_restarts() -> Result<()> {
    let seed = Random::seed("OUTRIGGER_LINEARIZABILITY_SEED", 1);
    let operations = Random::seed("OUTRIGGER_LINEARIZABILITY_OPERATIONS", 3_000);
    let cluster = Cluster::start(APISERVER_FLAGS).await?;
    let kubectl = cluster.kubectl("admin", &["system:masters"])?;
    kubectl.ok(&["apply", "-k", &deploy()]).await?;
    let definition = cluster.path("anchors.json");
    std::fs::write(&definition, definition_of_anchors().to_string())?;
    write_plugins(&kubectl, &[], &[definition]).await?;

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

    let plan = Plan {
        collection: ANCHORS.into(),
        object: |name, value| {
            json!({
                "apiVersion": "pier.example.com/v1", "kind": "Anchor",
                "metadata": {"name": name}, "spec": {"size": value},
            })
        },
        value_at: "/spec/size",
        clients: 8,
        keys: 4,
        operations,
        seed,
    };
    let step = operations / 10;
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
    let unknown = history.operations.iter();
    let unknown = unknown.filter(|it| it.outcome == Outcome::Unknown).count();
    let (all, changes) = (history.operations.len(), history.events.len());
    println!("seed {seed}: {all} operations, {unknown} of them unknown, {changes} changes");
    ensure!(unknown > 0, "no request was cut off");
    let verdict = judge(&history);
    ensure!(verdict.is_empty(), "seed {seed}: {verdict:#?}");
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
    const ARGS: &str = "/spec/template/spec/containers/0/args";
    let deployment = ["deployment", DEPLOYMENT, "-n", NAMESPACE];
    let now = kubectl.json(&[&["get"][..], &deployment].concat()).await?;
    let args = now.pointer(ARGS).and_then(Value::as_array);
    let args = args.context("no args")?.iter();
    let others = args.filter(|it| !it.to_string().contains("--etcd-servers="));
    let mut args: Vec<Value> = others.cloned().collect();
    args.push(format!("--etcd-servers=http://127.0.0.1:{}", line.port()).into());
    let patch = json!([{"op": "replace", "path": ARGS, "value": args}]).to_string();
    let how = ["--type=json", "--patch", &patch];
    kubectl
        .ok(&[&["patch"][..], &deployment, &how].concat())
        .await?;
    let node = Kubelet::replica(cluster, NAMESPACE, DEPLOYMENT, number).await?;
    let pod = node.start().await?;
    Ok((node, pod))
}

fn definition_of_anchors() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "anchors.pier.example.com"},
        "spec": {
            "group": "pier.example.com", "scope": "Namespaced",
            "names": {"plural": "anchors", "singular": "anchor", "kind": "Anchor", "listKind": "AnchorList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}},
            }],
        },
    })
}
