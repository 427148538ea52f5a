//! The APIService objects are kept equal to what the plugins serve.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::wait;
use serde_json::json;

use outrigger_tests::installed::{APISERVICE, Installed, NAMESPACE, SOON, write_plugins};

const HELLO: &str = "v1.hello.example.com";
/// As the issue of a dropped plugin goes: seconds, not minutes.
const SECONDS: Duration = Duration::from_secs(30);

pub(crate) async fn drop_and_remove(it: &mut Installed) -> Result<()> {
    write_plugins(&it.kubectl, &["wardle", "hello"], &[]).await?;
    it.kubelet.sync_volumes().await?;
    let dropped = Instant::now();
    let service = it.wait_available(HELLO).await?;
    ensure!(
        dropped.elapsed() < SECONDS,
        "it took {:?}",
        dropped.elapsed()
    );
    ensure!(service["spec"]["caBundle"].is_string(), "{service}");
    let kubectl = it.kubectl.with_cache("with-hello");
    let said = kubectl.run(&["get", "greetings"], "").await?;
    ensure!(
        said.stderr
            .contains("No resources found in default namespace."),
        "{said:?}"
    );

    // Whoever looks at the moment of the removal must find the APIService gone before its resource.
    write_plugins(&it.kubectl, &["wardle"], &[]).await?;
    it.kubelet.sync_volumes().await?;
    let client = it.admin()?;
    let registered = format!("/apis/apiregistration.k8s.io/v1/apiservices/{HELLO}");
    let resource = "/apis/hello.example.com/v1/namespaces/default/greetings";
    wait::until("the APIService to be gone", SOON, || async {
        let answer = client.get(resource).await?;
        // Read after the resource: if this is still there, the resource must have been served.
        let is_registered = client.get(&registered).await?.status == 200;
        if is_registered && !answer.status.is_success() {
            return Ok(Err(answer.text()));
        }
        ensure!(!is_registered, "still registered");
        Ok(Ok(()))
    })
    .await?
    .map_err(|text| anyhow::anyhow!("unserved while it was registered: {text}"))?;
    it.wait_available(APISERVICE).await?;
    Ok(())
}

/// Somebody else's APIService for a group that a plugin serves is not touched, even while the plugin serves it.
pub(crate) async fn foreign(it: &mut Installed) -> Result<()> {
    let foreign = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": HELLO, "labels": {"of": "somebody-else"}},
        "spec": {
            "group": "hello.example.com", "version": "v1",
            "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"name": "elsewhere", "namespace": "default", "port": 443},
        },
    });
    let args = ["create", "-f", "-"];
    it.kubectl.ok_with(&args, &foreign.to_string()).await?;
    let before = it.kubectl.json(&["get", "apiservice", HELLO]).await?;
    write_plugins(&it.kubectl, &["wardle", "hello"], &[]).await?;
    it.kubelet.sync_volumes().await?;
    // It says that it leaves the object alone; by then it has decided.
    wait::until("the word on the foreign object", SOON, || async {
        let log = it.pod.process.log();
        let is_told = log
            .lines()
            .any(|line| line.contains(HELLO) && line.contains("not"));
        ensure!(is_told, "no word on {HELLO} in the log");
        Ok(())
    })
    .await?;
    write_plugins(&it.kubectl, &["wardle"], &[]).await?;
    it.kubelet.sync_volumes().await?;
    let path = "/apis/hello.example.com";
    let client = it.admin()?;
    let ready = client.get(path).await?;
    let after = it.kubectl.json(&["get", "apiservice", HELLO]).await?;
    ensure!(
        before["spec"] == after["spec"],
        "{after} ({})",
        ready.status
    );
    ensure!(
        before["metadata"]["labels"] == after["metadata"]["labels"],
        "{after}"
    );
    it.kubectl.ok(&["delete", "apiservice", HELLO]).await?;
    Ok(())
}

/// A change by hand of one of its own is undone, and a deleted one made again.
pub(crate) async fn mended(it: &mut Installed) -> Result<()> {
    let patch = r#"{"spec":{"service":{"name":"nowhere"}}}"#;
    it.kubectl
        .ok(&[
            "patch",
            "apiservice",
            APISERVICE,
            "--type=merge",
            "-p",
            patch,
        ])
        .await?;
    let kubectl = &it.kubectl;
    wait::until("the change to be undone", SOON, || async {
        let service = kubectl.json(&["get", "apiservice", APISERVICE]).await?;
        let name = service["spec"]["service"]["name"]
            .as_str()
            .context("no name")?;
        ensure!(name == "outrigger", "{service}");
        Ok(())
    })
    .await?;
    kubectl.ok(&["delete", "apiservice", APISERVICE]).await?;
    it.wait_available(APISERVICE).await?;
    ensure!(it.kubelet.namespace == NAMESPACE);
    Ok(())
}
