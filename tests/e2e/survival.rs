//! Restarts, of the host and of kube-apiserver.

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::wait;

use crate::requests::flunder;
use outrigger_tests::installed::{APISERVICE, FLUNDERS, Installed, SOON};

pub(crate) async fn host_restart(it: &mut Installed) -> Result<()> {
    let client = it.admin()?;
    let first = client
        .post(FLUNDERS, &flunder("first", "one"))
        .await?
        .ok()?;
    let version = first["metadata"]["resourceVersion"]
        .as_str()
        .context("no resourceVersion")?
        .to_owned();
    client
        .post(FLUNDERS, &flunder("second", "one"))
        .await?
        .ok()?;
    client.delete(&format!("{FLUNDERS}/second")).await?.ok()?;
    let secret = crate::own_certificate::ca_of(it).await?;

    it.pod.stop().await?;
    it.pod = it.kubelet.start().await?;
    it.wait_available(APISERVICE).await?;
    // The aggregator's own connections may take a moment to notice.
    let again = wait::until("the object", SOON, || async {
        client.get(&format!("{FLUNDERS}/first")).await?.ok()
    })
    .await?;
    ensure!(again == first, "{again}");
    ensure!(
        crate::own_certificate::ca_of(it).await? == secret,
        "another CA"
    );
    let path = format!("{FLUNDERS}?watch=true&resourceVersion={version}");
    let mut watch = client.watch(&path).await?;
    ensure!(watch.next_change().await? == "ADDED second");
    ensure!(watch.next_change().await? == "DELETED second");

    // And as a crash ends it.
    client
        .post(FLUNDERS, &flunder("third", "one"))
        .await?
        .ok()?;
    ensure!(watch.next_change().await? == "ADDED third");
    it.pod.process.kill()?;
    it.pod = it.kubelet.start().await?;
    let path = format!("{FLUNDERS}/third");
    wait::until("the object", SOON, || async {
        client.get(&path).await?.ok()
    })
    .await?;
    let args = ["delete", "flunders", "first", "third"];
    it.kubectl.ok(&args).await?;
    Ok(())
}

pub(crate) async fn apiserver_restart(it: &mut Installed) -> Result<()> {
    let client = it.admin()?;
    client.post(FLUNDERS, &flunder("kept", "one")).await?.ok()?;
    it.cluster.restart_apiserver().await?;
    it.pod.process.check_running()?;
    it.wait_available(APISERVICE).await?;
    let path = format!("{FLUNDERS}/kept");
    wait::until("the object", SOON, || async {
        client.get(&path).await?.ok()
    })
    .await?;
    // Users are known, rights are asked for, and writes go through.
    let dora = it.user("dora", "get,list,create,delete").await?;
    let object = flunder("new", "one").to_string();
    wait::until("a write by a new user", SOON, || async {
        dora.ok_with(&["create", "-f", "-"], &object).await
    })
    .await?;
    dora.ok(&["delete", "flunder", "kept", "new"]).await?;
    Ok(())
}
