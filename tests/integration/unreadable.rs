//! An object that is stored and does not decode: it is never left out of what is read, and can be removed.

use anyhow::{Context as _, Result, ensure};

use crate::anchors::{ANCHORS, anchor, folders};
use crate::api::{names, resource_version};

/// Bytes that are no object, with a checksum that is right.
#[tokio::test]
async fn an_object_that_does_not_decode_fails_lists_and_can_be_removed() -> Result<()> {
    let folders = folders()?;
    let dev = folders.start().await?;
    let lost = dev
        .client()?
        .post(ANCHORS, &anchor("lost", 1))
        .await?
        .ok()?;
    let revision: u64 = resource_version(&lost)?.parse()?;
    dev.stop().await?;
    let (key, bytes) = ("objects/pier.example.com/anchors/default/lost", b"[1, 2");
    let mut crc = flate2::Crc::new();
    for part in [
        &revision.to_be_bytes()[..],
        &[0; 4],
        key.as_bytes(),
        &[0],
        bytes,
    ] {
        crc.update(part);
    }
    let store = rusqlite::Connection::open(folders.data().join("store/store.sqlite3"))?;
    let changed = store.execute(
        "UPDATE record SET bytes = ?1, version_at = 0, checksum = ?2 WHERE key = ?3 AND superseded IS NULL",
        rusqlite::params![&bytes[..], crc.sum(), key],
    )?;
    ensure!(changed == 1);
    drop(store);

    let dev = folders.start().await?;
    let client = dev.client()?;
    client.post(ANCHORS, &anchor("kept", 1)).await?.ok()?;
    let list = client.get(ANCHORS).await?;
    ensure!(
        list.failure().starts_with("500 StoreReadError: "),
        "{}",
        list.text()
    );
    let cause = &list.json()?["details"]["causes"][0];
    ensure!(
        cause["field"] == "/registry/pier.example.com/anchors/default/lost",
        "{cause}"
    );
    let why = cause["message"].as_str().context("a message")?;
    let said = format!("AdditionalErrorMsg: object not decodable revision={revision}: ");
    ensure!(why.contains(&said), "{why}");
    let option = "ignoreStoreReadErrorWithClusterBreakingPotential=true";
    client
        .delete(&format!("{ANCHORS}/lost?{option}"))
        .await?
        .ok()?;
    ensure!(names(&client, ANCHORS).await? == ["kept"]);
    dev.stop().await
}
