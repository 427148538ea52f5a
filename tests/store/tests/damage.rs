//! What a disk gives back is not always what it was given: damage is found and named, and nothing is served from it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use outrigger::storage::sqlite::{self, Options, SqliteStorage};
use outrigger::storage::{Storage, StorageError};
use outrigger_store_tests::writer::{PREFIX, attach, put};
use tempfile::TempDir;

/// A store with three records, and history of one of them; changed by `damage` behind its back.
fn damaged(damage: &str) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let storage = open(folder.path())?;
    block_on(async {
        for (key, value) in [("a/x", "1"), ("a/x", "2"), ("a/y", "1"), ("b/z", "1")] {
            put(&*storage, key, value).await?;
        }
        anyhow::Ok(())
    })?;
    drop(storage);
    let file = rusqlite::Connection::open(folder.path().join("store.sqlite3"))?;
    file.execute_batch(damage)?;
    Ok(folder)
}

fn open(folder: &Path) -> Result<Arc<dyn Storage>> {
    Ok(Arc::new(SqliteStorage::open(folder, Options::default())?))
}

fn block_on<T>(run: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(run)
}

fn problems(folder: &Path) -> Result<String> {
    Ok(sqlite::check(folder, &mut |_| {})?.problems.join("; "))
}

const FLIP_A_BIT: &str =
    "UPDATE record SET bytes = CAST(replace(CAST(bytes AS TEXT), '\"1\"', '\"3\"') AS BLOB)
    WHERE key LIKE '%a/y'";

#[test]
fn a_sound_store_has_no_problems() -> Result<()> {
    let folder = damaged("")?;
    let report = sqlite::check(folder.path(), &mut |_| {})?;
    ensure!(report.problems.is_empty(), "{report:?}");
    ensure!(
        (report.records, report.superseded, report.revision.0) == (3, 1, 5),
        "{report:?}"
    );
    Ok(())
}

#[test]
fn each_damage_is_found_and_named() -> Result<()> {
    let cases = [
        (
            FLIP_A_BIT,
            "objects/crash/anchors/a/y of revision 4 does not match its checksum",
        ),
        (
            "UPDATE record SET key = 'objects/crash/anchors/a/w' WHERE key LIKE '%a/y'",
            "objects/crash/anchors/a/w of revision 4 does not match its checksum",
        ),
        (
            "UPDATE record SET revision = 9 WHERE key LIKE '%a/y'",
            "objects/crash/anchors/a/y of revision 9 does not match its checksum",
        ),
        (
            "UPDATE record SET bytes = 'text' WHERE key LIKE '%a/y'",
            "row 3 does not decode: Invalid column type Text at index: 5, name: bytes",
        ),
        (
            "UPDATE record SET superseded = 99 WHERE key LIKE '%a/y'",
            "objects/crash/anchors/a/y of revision 4 was superseded at 99, the store is at 5",
        ),
        (
            "UPDATE meta SET value = 4 WHERE name = 'revision'",
            "objects/crash/anchors/b/z of revision 5: the store is at 4",
        ),
        (
            "UPDATE meta SET value = 40 WHERE name = 'compacted'",
            "compacted up to 40, the store is at 5",
        ),
    ];
    for (damage, expected) in cases {
        let folder = damaged(damage)?;
        let found = problems(folder.path())?;
        ensure!(found == expected, "{damage}: {found}");
    }
    Ok(())
}

#[test]
fn a_damaged_page_is_found() -> Result<()> {
    let folder = damaged("")?;
    let file = folder.path().join("store.sqlite3");
    let mut bytes = std::fs::read(&file)?;
    let page = bytes.len() - 4_096;
    bytes[page..].fill(0xa5);
    std::fs::write(&file, bytes)?;
    let found = match sqlite::check(folder.path(), &mut |_| {}) {
        Ok(report) => report.problems.join("; "),
        Err(err) => err.to_string(),
    };
    ensure!(!found.is_empty());
    Ok(())
}

#[test]
fn nothing_is_served_from_a_damaged_record() -> Result<()> {
    let folder = damaged(FLIP_A_BIT)?;
    let storage = open(folder.path())?;
    block_on(async {
        let loaded = attach(&storage).await;
        let Err(StorageError::Failed(err)) = loaded.map(drop) else {
            anyhow::bail!("the cache was loaded");
        };
        let text = format!("{err:#}").replace(&folder.path().display().to_string(), "DATA");
        let expected = "DATA/store.sqlite3 is damaged: the record objects/crash/anchors/a/y of revision 4 does not \
            match its checksum; `outrigger store check` finds all such records, a backup has them sound";
        ensure!(text == expected, "{text}");
        ensure!(storage.get(&format!("{PREFIX}a/y")).await.is_err());
        ensure!(storage.get(&format!("{PREFIX}a/x")).await?.is_some());
        Ok(())
    })
}

#[test]
fn a_damaged_record_spoils_no_writes_but_its_own() -> Result<()> {
    let folder = damaged(FLIP_A_BIT)?;
    let storage = open(folder.path())?;
    block_on(async {
        let (spoiled, other) = tokio::join!(put(&*storage, "a/y", "2"), put(&*storage, "a/x", "3"));
        ensure!(
            matches!(spoiled, Err(StorageError::Failed(_))),
            "{spoiled:?}"
        );
        ensure!(other.is_ok(), "{other:?}");
        ensure!(storage.trouble().is_none(), "{:?}", storage.trouble());
        Ok(())
    })
}

#[test]
fn there_is_no_backup_of_a_damaged_store() -> Result<()> {
    let folder = damaged(FLIP_A_BIT)?;
    let to = tempfile::tempdir()?;
    let file = to.path().join("backup.sqlite3");
    let refused = sqlite::backup(folder.path(), &file, &mut |_| {});
    let text = refused.err().map(|it| it.to_string()).unwrap_or_default();
    ensure!(text.contains("there is no backup of it"), "{text}");
    ensure!(
        std::fs::read_dir(to.path())?.next().is_none(),
        "nothing is left"
    );
    Ok(())
}
