//! One server hands its folder over to the next.

use std::time::Duration;

use anyhow::{Result, ensure};
use outrigger_tests::artifacts::example;
use outrigger_tests::client::Client;
use outrigger_tests::host::{DevFolders, STOP_DEADLINE, free_port};
use outrigger_tests::process::Process;
use outrigger_tests::wait;

use crate::api::{GREETINGS, greeting, kubeconfig_at, names};

const SOON: Duration = Duration::from_secs(60);

/// A second server on the same folder, and its administrator's client.
fn second(folders: &DevFolders) -> Result<(Process, Client)> {
    let port = free_port()?;
    let log = folders.path("second.log");
    let process = Process::spawn("second", &mut folders.command(port)?, log)?;
    Ok((process, Client::new(&kubeconfig_at(folders, port)?)?))
}

#[tokio::test]
async fn a_server_that_waits_for_the_store_listens_and_serves_once_it_has_it() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let owner = dev.process.pid();
    dev.client()?
        .post(GREETINGS, &greeting("one"))
        .await?
        .ok()?;

    let (mut next, client) = second(&folders)?;
    let waits = format!("process {} on ", owner.as_raw_nonzero());
    let readyz = wait::until("the second server to wait", SOON, || async {
        let text = client.get("/readyz?verbose").await?.text();
        ensure!(text.contains("plugin/hello ok"), "{text}");
        Ok(text)
    })
    .await?;
    ensure!(readyz.contains(&waits), "{readyz}");
    ensure!(readyz.contains("readyz check failed"), "{readyz}");
    ensure!(client.get("/livez").await?.status == 200);
    let refused = client.get(GREETINGS).await?;
    ensure!(refused.status == 503, "{}", refused.text());
    ensure!(refused.headers.contains_key("retry-after"));
    ensure!(
        names(&dev.client()?, GREETINGS).await? == ["one"],
        "the first serves on"
    );

    dev.stop().await?;
    wait::until("the second server to serve", SOON, || async {
        client.get(GREETINGS).await?.ok().map(drop)
    })
    .await?;
    ensure!(names(&client, GREETINGS).await? == ["one"]);
    client.post(GREETINGS, &greeting("two")).await?.ok()?;
    ensure!(client.get("/readyz").await?.status == 200);
    let status = next.stop(STOP_DEADLINE).await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_waits_for_the_store_can_be_stopped() -> Result<()> {
    let folders = DevFolders::new()?;
    let dev = folders.start().await?;
    let (mut next, client) = second(&folders)?;
    wait::until("the second server to listen", SOON, || async {
        client.get("/livez").await.map(drop)
    })
    .await?;
    let status = next.stop(STOP_DEADLINE).await?;
    ensure!(status.success(), "{status}: {}", next.log());
    ensure!(!next.log().contains("is used by"), "it waited to the end");
    dev.stop().await
}
