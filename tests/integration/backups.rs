//! The store of a running server: backup, restore, check, and a disk that takes no more writes.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use outrigger_tests::artifacts::{example, outrigger};
use outrigger_tests::host::{DevFolders, free_port};
use outrigger_tests::wait;
use rustix::process::{Resource, Rlimit, prlimit};

use crate::api::{GREETINGS, greeting, kubeconfig_at, names, resource_version};

/// Runs a command of the program to its end; its answer, or what it says of its failure.
pub(crate) fn run(arguments: &[&str], folder: &Path) -> Result<Result<String, String>> {
    let mut command = Command::new(outrigger()?);
    let done = command.args(arguments).current_dir(folder).output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match done.status.success() {
        true => Ok(text(&done.stdout)),
        false => Err(text(&done.stdout) + &text(&done.stderr)),
    })
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_restored_with_newer_versions() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    client.post(GREETINGS, &greeting("kept")).await?.ok()?;
    let root = folders.path("");
    let backup = ["backup", "--data-dir", "data", "--to", "b.sqlite3"];
    let said = run(&backup, &root)?.map_err(anyhow::Error::msg)?;
    ensure!(said.contains("Problems:   none"), "{said}");
    let late = client.post(GREETINGS, &greeting("late")).await?.ok()?;
    let late: u64 = resource_version(&late)?.parse()?;

    let restore = [
        "restore",
        "--from",
        "b.sqlite3",
        "--data-dir",
        "data",
        "--replace",
    ];
    let refused = run(&restore, &root)?.err().context("the server runs")?;
    ensure!(refused.contains("is used by process"), "{refused}");
    dev.stop().await?;
    run(&restore, &root)?.map_err(anyhow::Error::msg)?;

    let dev = folders.start().await?;
    let client = dev.client()?;
    ensure!(names(&client, GREETINGS).await? == ["kept"]);
    let list = client.get(GREETINGS).await?.ok()?;
    let version: u64 = resource_version(&list)?.parse()?;
    ensure!(version > late + 999_999_999, "{version} after {late}");
    let resumed = format!("{GREETINGS}?watch=true&resourceVersion={late}");
    let expired = match client.watch(&resumed).await {
        Ok(mut watch) => watch.next().await?.context("an event")?.to_string(),
        Err(refused) => format!("{refused:#}"),
    };
    ensure!(expired.contains("410"), "{expired}");
    let check = ["store", "check", "--data-dir", "data"];
    let said = run(&check, &root)?.map_err(anyhow::Error::msg)?;
    ensure!(said.contains("Problems:   none"), "{said}");
    dev.stop().await
}

/// A file that may not grow any more is to the server what a full disk is.
#[tokio::test]
async fn a_disk_that_takes_no_writes_leaves_reads_and_heals_without_a_restart() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let port = free_port()?;
    let mut command = Command::new("/bin/sh");
    // The signal that goes with the limit would end the process.
    command.args(["-c", r#"trap "" XFSZ; exec "$0" "$@""#]);
    let dev = folders.command(port)?;
    command.arg(dev.get_program()).args(dev.get_args());
    for (name, value) in dev.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.process_group(0);
    let dev = folders.start_with(&mut command, port).await?;
    let client = dev.client()?;
    client.post(GREETINGS, &greeting("before")).await?.ok()?;

    let process = dev.process.pid();
    let limit = |current| Rlimit {
        current,
        maximum: None,
    };
    prlimit(Some(process), Resource::Fsize, limit(Some(1)))?;
    let refused = client.post(GREETINGS, &greeting("refused")).await?;
    ensure!(refused.status == 503, "{}", refused.text());
    ensure!(refused.headers.contains_key("retry-after"));
    ensure!(
        names(&client, GREETINGS).await? == ["before"],
        "reads go on"
    );
    let readyz = client.get("/readyz?verbose").await?;
    ensure!(readyz.status == 200, "{}", readyz.text());
    ensure!(
        readyz.text().contains("[!]storage-writes: the disk of "),
        "{}",
        readyz.text()
    );
    ensure!(
        client.get("/livez").await?.status == 200,
        "no restart would help"
    );
    let metrics = client.get("/metrics").await?.text();
    ensure!(metrics.contains("store_read_only 1"), "{metrics}");

    prlimit(Some(process), Resource::Fsize, limit(None))?;
    wait::until("writes", std::time::Duration::from_secs(60), || async {
        client
            .post(GREETINGS, &greeting("after"))
            .await?
            .ok()
            .map(drop)
    })
    .await?;
    ensure!(names(&client, GREETINGS).await? == ["after", "before"]);
    let metrics = client.get("/metrics").await?.text();
    ensure!(metrics.contains("store_read_only 0"), "{metrics}");
    dev.stop().await
}

#[tokio::test]
async fn a_damaged_record_makes_its_resource_unavailable_and_not_gone() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    client.post(GREETINGS, &greeting("one")).await?.ok()?;
    dev.stop().await?;
    let file = folders.data().join("store/store.sqlite3");
    let file = rusqlite::Connection::open(file)?;
    let damage = "UPDATE record SET checksum = checksum + ?1 WHERE key LIKE 'objects/%/one'";
    ensure!(file.execute(damage, [1])? == 1);

    let check = ["store", "check", "--data-dir", "data"];
    let said = run(&check, &folders.path(""))?
        .err()
        .context("it is damaged")?;
    ensure!(said.contains("does not match its checksum"), "{said}");
    let port = free_port()?;
    // It does not become ready: the kubeconfig is the one of before.
    let log = folders.path("damaged.log");
    let mut server = outrigger_tests::process::Process::spawn(
        "outrigger dev",
        &mut folders.command(port)?,
        log,
    )?;
    wait::until(
        "the reason in the log",
        std::time::Duration::from_secs(60),
        || {
            let log = server.log();
            async move {
                ensure!(log.contains("does not match its checksum"), "{log}");
                Ok(())
            }
        },
    )
    .await?;
    let client = outrigger_tests::client::Client::new(&kubeconfig_at(&folders, port)?)?;
    let answer = client.get(GREETINGS).await?;
    ensure!(answer.status == 503, "{}", answer.text());
    file.execute(damage, [-1])?;
    drop(file);
    wait::until(
        "the resource",
        std::time::Duration::from_secs(60),
        || async { client.get(GREETINGS).await?.ok().map(drop) },
    )
    .await?;
    let _ = server.stop(outrigger_tests::host::STOP_DEADLINE).await?;
    Ok(())
}

#[tokio::test]
async fn a_copied_store_is_served_and_watches_from_before_begin_again() -> Result<()> {
    let folders = DevFolders::new()?;
    folders.drop_plugin(&example("hello")?, "hello")?;
    let dev = folders.start().await?;
    let client = dev.client()?;
    let kept = client.post(GREETINGS, &greeting("kept")).await?.ok()?;
    let root = folders.path("");
    let copy = ["store", "copy", "--from", "sqlite:data", "--to"];
    let copy = [&copy[..], &["sqlite:copied"]].concat();
    let refused = run(&copy, &root)?.err().context("the server runs")?;
    ensure!(refused.contains("is used by process"), "{refused}");
    let last = client.get(GREETINGS).await?.ok()?;
    let last = resource_version(&last)?;
    dev.stop().await?;
    let said = run(&copy, &root)?.map_err(anyhow::Error::msg)?;
    ensure!(said.contains("the same in both"), "{said}");
    let refused = run(&copy, &root)?.err().context("there is one")?;
    ensure!(refused.contains("--replace"), "{refused}");

    let copied = DevFolders::with_data(Some(root.join("copied")))?;
    copied.drop_plugin(&example("hello")?, "hello")?;
    let dev = copied.start().await?;
    let client = dev.client()?;
    let there = client.get(&format!("{GREETINGS}/kept")).await?.ok()?;
    ensure!(there == kept, "{there}");
    let resumed = format!("{GREETINGS}?watch=true&resourceVersion={last}");
    let expired = match client.watch(&resumed).await {
        Ok(mut watch) => watch.next().await?.context("an event")?.to_string(),
        Err(refused) => format!("{refused:#}"),
    };
    ensure!(expired.contains("410"), "{expired}");
    let new = client.post(GREETINGS, &greeting("new")).await?.ok()?;
    let new: u64 = resource_version(&new)?.parse()?;
    ensure!(new > last.parse()?, "{new} after {last}");
    dev.stop().await
}
