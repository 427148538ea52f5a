//! What was acknowledged is there after any end, and watches go on where they were.

use anyhow::{Context as _, Result};
use outrigger_tests::artifacts::example;
use outrigger_tests::host::{DevFolders, STOP_DEADLINE};
use serde_json::json;

use crate::api::{GREETINGS, NOTES, greeting, names, note, resource_version};

#[tokio::test]
async fn loses_nothing_that_it_acknowledged_when_it_is_killed() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let mut dev = folders.start().await?;
        let client = dev.client()?;
        assert_eq!(names(&client, GREETINGS).await?, acknowledged);
        for number in 0..10 {
            let name = format!("round-{round}-{number}");
            client.post(GREETINGS, &greeting(&name)).await?.ok()?;
            acknowledged.push(name);
        }
        dev.process.kill()?;
    }
    let dev = folders.start().await?;
    assert_eq!(names(&dev.client()?, GREETINGS).await?, acknowledged);
    dev.stop().await
}

#[tokio::test]
async fn a_watch_resumes_after_a_restart_from_its_resource_version() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let first = client.post(GREETINGS, &greeting("first")).await?.ok()?;
    let version = resource_version(&first)?;
    client.post(GREETINGS, &greeting("second")).await?.ok()?;
    client.delete(&format!("{GREETINGS}/first")).await?.ok()?;
    dev.stop().await?;

    let dev = folders.start().await?;
    let client = dev.client()?;
    let path = format!("{GREETINGS}?watch=true&resourceVersion={version}");
    let mut watch = client.watch(&path).await?;
    assert_eq!(watch.next_change().await?, "ADDED second");
    assert_eq!(watch.next_change().await?, "DELETED first");
    let third = client.post(GREETINGS, &greeting("third")).await?.ok()?;
    assert_eq!(watch.next_change().await?, "ADDED third");
    let newer: u64 = resource_version(&third)?.parse()?;
    assert!(newer > version.parse()?, "{newer} after {version}");
    dev.stop().await
}

#[tokio::test]
async fn a_plugin_that_keeps_its_objects_itself_is_durable_and_watchable() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("notes")?, "notes")?;
    let mut dev = folders.start().await?;
    let client = dev.client()?;
    let mut live = client.watch(&format!("{NOTES}?watch=true")).await?;
    let milk = client.post(NOTES, &note("milk", "buy milk")).await?.ok()?;
    assert_eq!(live.next_change().await?, "ADDED milk");
    let version = resource_version(&milk)?;
    let patch = json!({"spec": {"text": "buy oat milk"}});
    let patched = client
        .merge_patch(&format!("{NOTES}/milk"), &patch)
        .await?
        .ok()?;
    assert_eq!(patched["spec"]["text"], "buy oat milk");
    assert_eq!(live.next_change().await?, "MODIFIED milk");
    dev.process.kill()?;
    drop(live);

    let dev = folders.start().await?;
    let client = dev.client()?;
    let found = client.get(&format!("{NOTES}/milk")).await?.ok()?;
    assert_eq!(found["spec"]["text"], "buy oat milk");
    assert_eq!(found["metadata"]["uid"], milk["metadata"]["uid"]);
    let path = format!("{NOTES}?watch=true&resourceVersion={version}");
    let mut resumed = client.watch(&path).await?;
    assert_eq!(resumed.next_change().await?, "MODIFIED milk");
    client.post(NOTES, &note("tea", "buy tea")).await?.ok()?;
    assert_eq!(resumed.next_change().await?, "ADDED tea");
    client.delete(&format!("{NOTES}/milk")).await?.ok()?;
    assert_eq!(resumed.next_change().await?, "DELETED milk");
    assert_eq!(names(&client, NOTES).await?, ["tea"]);

    let stale = json!({"metadata": {"resourceVersion": version}, "spec": {"text": "x"}});
    let refused = client.merge_patch(&format!("{NOTES}/tea"), &stale).await?;
    assert_eq!(refused.status, 409, "{}", refused.text());
    dev.stop().await
}

/// SIGTERM ends open watches in order, and the process without an error.
#[tokio::test]
async fn ends_its_watches_when_it_is_asked_to_stop() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let mut dev = folders.start().await?;
    let client = dev.client()?;
    let mut http2 = client.watch(&format!("{GREETINGS}?watch=true")).await?;
    let mut http1 = client
        .http1()
        .watch(&format!("{GREETINGS}?watch=true"))
        .await?;
    let stop = dev.process.stop(STOP_DEADLINE);
    let ends = async {
        while http2.next().await?.is_some() {}
        while http1.next().await?.is_some() {}
        anyhow::Ok(())
    };
    let (status, ended) = tokio::join!(stop, ends);
    ended.context("a watch was cut off")?;
    assert!(status?.success());
    Ok(())
}
