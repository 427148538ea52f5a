//! Encryption at rest: what is on the disk, keys that change, and what happens without them.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use expect_test::expect;
use outrigger_tests::client::Client;
use outrigger_tests::host::{Dev, DevFolders, READY_DEADLINE, free_port};
use outrigger_tests::process::Process;
use outrigger_tests::wait;
use serde_json::{Value, json};

use crate::anchors::{ALL_ANCHORS, ANCHORS, anchor, folders};
use crate::api::{names, resource_version};
use crate::backups::run;

const ONE: &str = "{name: one, secret: MDEyMzQ1Njc4OWFiY2RlZg==}";
const TWO: &str = "{name: two, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}";
const SECRET: &[u8] = b"the-ballast-is-gold";

fn keys(keys: &[&str]) -> String {
    let keys = keys.join(", ");
    format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
         - resources: [anchors.pier.example.com]\n  providers:\n  - aesgcm: {{keys: [{keys}]}}\n  - identity: {{}}\n"
    )
}

fn file(folders: &DevFolders) -> PathBuf {
    folders.path("encryption.yaml")
}

/// Puts a configuration in the place of the one before, whole at once.
fn configure(folders: &DevFolders, text: &str) -> Result<()> {
    let aside = folders.path("encryption.part");
    std::fs::write(&aside, text)?;
    Ok(std::fs::rename(aside, file(folders))?)
}

async fn start(folders: &DevFolders) -> Result<Dev> {
    let port = free_port()?;
    let mut command = folders.command(port)?;
    command
        .arg("--encryption-provider-config-automatic-reload")
        .arg("--encryption-provider-config")
        .arg(file(folders));
    folders.start_with(&mut command, port).await
}

fn gold(name: &str) -> Value {
    let mut gold = anchor(name, 1);
    gold["spec"]["text"] = String::from_utf8_lossy(SECRET).into();
    gold
}

/// How often the secret is on the disk: in the file of the store, its log, or the log's index.
fn shown_on_disk(folders: &DevFolders) -> Result<usize> {
    let mut shown = 0;
    for entry in std::fs::read_dir(folders.data().join("store"))? {
        let bytes = std::fs::read(entry?.path())?;
        let places = bytes.windows(SECRET.len());
        shown += places.filter(|it| *it == SECRET).count();
    }
    Ok(shown)
}

/// Writes the object as it is until that makes a new version: with the key of today.
async fn rewritten(client: &Client, name: &str) -> Result<()> {
    let path = format!("{ANCHORS}/{name}");
    wait::until("an identical update to write", READY_DEADLINE, || async {
        let before = client.get(&path).await?.ok()?;
        let after = client.put(&path, &before).await?.ok()?;
        let versions = (resource_version(&before)?, resource_version(&after)?);
        ensure!(versions.0 != versions.1, "{versions:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_disk_has_no_plaintext_and_an_identical_update_takes_the_key_of_today() -> Result<()> {
    let folders = folders()?;
    let dev = folders.start().await?;
    dev.client()?.post(ANCHORS, &gold("plain")).await?.ok()?;
    ensure!(shown_on_disk(&folders)? > 0, "nothing is encrypted yet");
    dev.client()?
        .delete(&format!("{ANCHORS}/plain"))
        .await?
        .ok()?;
    dev.stop().await?;
    std::fs::remove_dir_all(folders.data().join("store"))?;

    configure(&folders, &keys(&[ONE]))?;
    let dev = start(&folders).await?;
    let client = dev.client()?;
    client.post(ANCHORS, &gold("first")).await?.ok()?;
    let patch = json!({"spec": {"size": 2}});
    let path = format!("{ANCHORS}/first");
    let patched = client.merge_patch(&path, &patch).await?.ok()?;
    ensure!(shown_on_disk(&folders)? == 0);
    let check = ["store", "check", "--data-dir", "data"];
    let said = run(&check, &folders.path(""))?.map_err(anyhow::Error::msg)?;
    ensure!(said.contains("Problems:   none"), "{said}");
    // Nothing changes, and the key is the one of today.
    let same = client.put(&path, &patched).await?.ok()?;
    ensure!(resource_version(&same)? == resource_version(&patched)?);

    configure(&folders, &keys(&[TWO, ONE]))?;
    rewritten(&client, "first").await?;
    client.post(ANCHORS, &gold("second")).await?.ok()?;
    dev.stop().await?;
    ensure!(shown_on_disk(&folders)? == 0);

    // The old key is needed for nothing that is there.
    configure(&folders, &keys(&[TWO]))?;
    let dev = start(&folders).await?;
    let client = dev.client()?;
    ensure!(names(&client, ANCHORS).await? == ["first", "second"]);
    let first = client.get(&path).await?.ok()?;
    ensure!(first["spec"]["text"].as_str().map(str::as_bytes) == Some(SECRET));
    let readyz = client.get("/readyz?verbose").await?.text();
    ensure!(readyz.contains("[+]encryption ok"), "{readyz}");
    dev.stop().await
}

#[tokio::test]
async fn without_its_key_nothing_is_read_and_nothing_is_lost() -> Result<()> {
    let folders = folders()?;
    configure(&folders, &keys(&[ONE]))?;
    let dev = start(&folders).await?;
    dev.client()?.post(ANCHORS, &gold("first")).await?.ok()?;
    dev.stop().await?;

    // Without any configuration.
    let dev = folders.start().await?;
    let client = dev.client()?;
    let list = client.get(ALL_ANCHORS).await?;
    expect![
        "500 StoreReadError: failed to read one or more anchors.pier.example.com from the storage"
    ]
    .assert_eq(&list.failure());
    dev.wait_readyz("[!]encryption: 1 records cannot be decrypted")
        .await?;
    dev.stop().await?;

    // With another key of the same name.
    configure(
        &folders,
        &keys(&["{name: one, secret: MDEyMzQ1Njc4OWFiY2RlMA==}"]),
    )?;
    let dev = start(&folders).await?;
    let client = dev.client()?;
    let path = format!("{ANCHORS}/first");
    expect![[r#"500 InternalError: Internal error occurred: StorageError: corrupt object, Code: 7, Key: /registry/pier.example.com/anchors/default/first, ResourceVersion: 0, AdditionalErrorMsg: data from the storage is not transformable revision=0: cipher: message authentication failed"#]]
        .assert_eq(&client.get(&path).await?.failure());
    let patch = json!({"spec": {"size": 2}});
    for refused in [
        client.merge_patch(&path, &patch).await?,
        client.put(&path, &gold("first")).await?,
        client.delete(&path).await?,
        client.delete(ANCHORS).await?,
        client
            .get(&format!("{ANCHORS}?labelSelector=size%3D7"))
            .await?,
    ] {
        ensure!(refused.status == 500, "{}", refused.text());
    }
    let exists = client.post(ANCHORS, &gold("first")).await?;
    ensure!(exists.status == 409, "{}", exists.text());
    let mut watch = client.watch(&format!("{ANCHORS}?watch=true")).await?;
    let event = watch.next().await?.context("an event")?;
    ensure!(
        event["type"] == "ERROR" && event["object"]["code"] == 500,
        "{event}"
    );
    // What can be read goes on.
    client.post(ANCHORS, &gold("second")).await?.ok()?;
    client.get(&format!("{ANCHORS}/second")).await?.ok()?;

    configure(&folders, "kind: Secret")?;
    let told = dev
        .wait_readyz("keeping the old encryption configuration")
        .await?;
    ensure!(
        told.contains("apiVersion: must be apiserver.config.k8s.io/v1"),
        "{told}"
    );
    // The right key is back: no restart is needed. `second` was written with the wrong one.
    configure(
        &folders,
        &keys(&[ONE, "{name: one, secret: MDEyMzQ1Njc4OWFiY2RlMA==}"]),
    )?;
    wait::until("both to be readable", READY_DEADLINE, || async {
        let names = names(&client, ANCHORS).await?;
        ensure!(names == ["first", "second"], "{names:?}");
        Ok(())
    })
    .await?;
    let first = client.get(&path).await?.ok()?;
    ensure!(first["spec"]["text"].as_str().map(str::as_bytes) == Some(SECRET));
    dev.wait_readyz("[+]encryption ok").await?;
    dev.stop().await
}

#[tokio::test]
async fn what_cannot_be_read_is_removed_by_the_documented_option_and_nothing_else_is() -> Result<()>
{
    const OPTION: &str = "ignoreStoreReadErrorWithClusterBreakingPotential=true";
    let folders = folders()?;
    configure(&folders, &keys(&[ONE]))?;
    let dev = start(&folders).await?;
    let mut held = gold("lost");
    held["metadata"]["finalizers"] = json!(["example.com/held"]);
    dev.client()?.post(ANCHORS, &held).await?.ok()?;
    dev.stop().await?;

    configure(&folders, &keys(&[TWO]))?;
    let dev = start(&folders).await?;
    let client = dev.client()?;
    let kept = client.post(ANCHORS, &gold("kept")).await?.ok()?;
    let version = resource_version(&kept)?;
    let path = |name: &str| format!("{ANCHORS}/{name}?{OPTION}");
    let readable = client.delete(&path("kept")).await?;
    expect![[r#"422 Invalid: anchors.pier.example.com "kept" is invalid: ignoreStoreReadErrorWithClusterBreakingPotential: Invalid value: true: is exclusively used to delete corrupt object(s), try again by removing this option"#]]
        .assert_eq(&readable.failure());
    let all = client.delete(&format!("{ANCHORS}?{OPTION}")).await?;
    expect![[r#"422 Invalid: DeleteOptions.meta.k8s.io "" is invalid: ignoreStoreReadErrorWithClusterBreakingPotential: Invalid value: true: is not allowed with DELETECOLLECTION, try again after removing the option"#]]
        .assert_eq(&all.failure());
    let both = client
        .delete(&format!("{}&dryRun=All", path("lost")))
        .await?;
    expect![[r#"422 Invalid: DeleteOptions.meta.k8s.io "" is invalid: ignoreStoreReadErrorWithClusterBreakingPotential: Invalid value: true: cannot be set together with .dryRun"#]]
        .assert_eq(&both.failure());

    let from = format!("{ANCHORS}?watch=true&resourceVersion={version}");
    let mut watch = client.watch(&from).await?;
    let removed = client.delete(&path("lost")).await?.ok()?;
    ensure!(removed["status"] == "Success", "{removed}");
    let event = watch.next().await?.context("an event")?;
    ensure!(event["type"] == "ERROR", "informers list again: {event}");
    ensure!(names(&client, ANCHORS).await? == ["kept"]);
    dev.wait_readyz("[+]encryption ok").await?;
    client.post(ANCHORS, &gold("lost")).await?.ok()?;
    dev.stop().await
}

#[tokio::test]
async fn a_configuration_that_is_wrong_keeps_the_server_from_starting() -> Result<()> {
    let folders = folders()?;
    let mut said = String::new();
    for text in [
        None,
        Some("".to_owned()),
        Some(keys(&["{name: one, secret: c2hvcnQ=}"])),
        Some(keys(&[ONE]).replace("aesgcm", "aescbc")),
    ] {
        if let Some(text) = text {
            configure(&folders, &text)?;
        }
        let mut command = folders.command(free_port()?)?;
        command
            .arg("--encryption-provider-config")
            .arg(file(&folders));
        let log = folders.path("refused.log");
        let mut process = Process::spawn("outrigger", &mut command, log.clone())?;
        ensure!(!process.wait(READY_DEADLINE).await?.success());
        let line = process.log();
        let line = line.lines().last().context("it says nothing")?;
        said += &line.replace(&file(&folders).display().to_string(), "FILE");
        said.push('\n');
        std::fs::remove_file(log)?;
    }
    expect![[r#"
        outrigger: the encryption configuration FILE cannot be read: make it, or leave --encryption-provider-config out: No such file or directory (os error 2)
        outrigger: the encryption configuration FILE: it is empty
        outrigger: the encryption configuration FILE: resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected length, got 5, expected one of [16 24 32]
        outrigger: the encryption configuration FILE: resources[0].providers[0].aescbc: Forbidden: this server has the providers aesgcm and identity alone: give aesgcm a key
    "#]]
    .assert_eq(&said);
    Ok(())
}
