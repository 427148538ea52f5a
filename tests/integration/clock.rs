//! The time of day jumps: order, history and what was acknowledged do not depend on it.

use std::path::Path;

use anyhow::{Context as _, Result};
use outrigger_tests::artifacts::{clock, example};
use outrigger_tests::client::Client;
use outrigger_tests::host::{Dev, DevFolders, free_port};
use serde_json::{Value, json};

use crate::api::{GREETINGS, greeting, names, resource_version};

const DAY: i64 = 24 * 60 * 60;

/// Makes a server's clock so many seconds later than the system's, or earlier.
fn set(file: &Path, ahead: i64) -> Result<()> {
    let aside = file.with_extension("part");
    std::fs::write(&aside, ahead.to_string())?;
    Ok(std::fs::rename(aside, file)?)
}

async fn start(folders: &DevFolders, file: &Path) -> Result<Dev> {
    let port = free_port()?;
    let mut command = folders.command(port)?;
    command
        .env("LD_PRELOAD", clock()?)
        .env("OUTRIGGER_TESTS_CLOCK", file);
    folders.start_with(&mut command, port).await
}

fn created(object: &Value) -> Result<&str> {
    let time = &object["metadata"]["creationTimestamp"];
    time.as_str().context("no creationTimestamp")
}

async fn create(client: &Client, name: &str) -> Result<Value> {
    client.post(GREETINGS, &greeting(name)).await?.ok()
}

#[tokio::test]
async fn a_clock_that_jumps_changes_no_order_and_loses_nothing() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let file = folders.path("clock");
    set(&file, 0)?;
    let mut dev = start(&folders, &file).await?;
    let client = dev.client()?;
    let mut watch = client.watch(&format!("{GREETINGS}?watch=true")).await?;

    let first = create(&client, "first").await?;
    set(&file, -DAY)?;
    let second = create(&client, "second").await?;
    assert!(created(&second)? < created(&first)?, "the clock went back");
    let change = json!({"spec": {"to": "a later one"}});
    let path = format!("{GREETINGS}/first");
    let changed = client.merge_patch(&path, &change).await?.ok()?;
    set(&file, 400 * DAY)?;
    let third = create(&client, "third").await?;
    assert!(created(&first)? < created(&third)?, "and far ahead");
    client.delete(&format!("{GREETINGS}/second")).await?.ok()?;
    let told = [
        "ADDED first",
        "ADDED second",
        "MODIFIED first",
        "ADDED third",
        "DELETED second",
    ];
    for change in told {
        assert_eq!(watch.next_change().await?, change);
    }

    set(&file, -DAY)?;
    dev.process.kill()?;
    let dev = start(&folders, &file).await?;
    let client = dev.client()?;
    assert_eq!(names(&client, GREETINGS).await?, ["first", "third"]);
    let last = create(&client, "last").await?;
    let since = resource_version(&first)?;
    let path = format!("{GREETINGS}?watch=true&resourceVersion={since}");
    let mut resumed = client.watch(&path).await?;
    for change in told[1..].iter().chain(&["ADDED last"]) {
        assert_eq!(resumed.next_change().await?, *change);
    }
    let versions = [&first, &second, &changed, &third, &last].map(resource_version);
    let versions: Vec<u64> = versions
        .into_iter()
        .map(|it| Ok(it?.parse()?))
        .collect::<Result<_>>()?;
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    dev.stop().await
}
