//! What a disk gives back is not always what it was given: damage is found and named, and nothing is served from it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, ensure};
use outrigger::storage::sqlite::{self, Options, SqliteStorage};
use outrigger::storage::{Revision, Storage, StorageError};
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
            "objects/crash/anchors/a/y of revision 4 was superseded at 99, the store is at 5; \
                of 3 records below objects/crash/anchors/ 2 are found",
        ),
        (
            "UPDATE meta SET value = 4 WHERE name LIKE 'records:%'",
            "of 4 records below objects/crash/anchors/ 3 are found",
        ),
        (
            "DELETE FROM meta WHERE name LIKE 'records:%'",
            "of 0 records below objects/crash/anchors/ 3 are found",
        ),
        (
            "UPDATE meta SET value = 4 WHERE name = 'revision'",
            "objects/crash/anchors/b/z of revision 5: the store is at 4; the store is at revision 4 and was at 5: \
                its log was damaged, or its file was put back",
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

/// By its index only two of the three are found, and each of them is sound.
#[test]
fn a_record_that_the_index_has_lost_is_not_taken_for_gone() -> Result<()> {
    let folder = damaged("")?;
    let path = folder.path().join("store.sqlite3");
    let file = rusqlite::Connection::open(&path)?;
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'record_current'";
    let root: u32 = file.query_row(root, [], |row| row.get(0))?;
    drop(file);
    let mut bytes = std::fs::read(&path)?;
    // The number of its cells.
    let cells = &mut bytes[(root as usize - 1) * 4_096 + 4];
    ensure!(*cells == 3, "{cells}");
    *cells = 2;
    std::fs::write(&path, bytes)?;
    let storage = open(folder.path())?;
    let loaded = block_on(async { Ok(attach(&storage).await.map(drop)) })?;
    let Err(StorageError::Failed(err)) = loaded else {
        anyhow::bail!("the cache was loaded");
    };
    let text = format!("{err:#}");
    ensure!(
        text.contains("of 3 records below objects/crash/anchors/ 2 are found"),
        "{text}"
    );
    let found = problems(folder.path())?;
    ensure!(found.contains("missing from index"), "{found}");
    Ok(())
}

/// Any of them leaves what was written, or an error.
#[test]
fn no_flipped_bit_changes_what_is_served() -> Result<()> {
    const STEP: usize = 53;
    let folder = damaged("")?;
    let path = folder.path().join("store.sqlite3");
    let sound = std::fs::read(&path)?;
    let seen = || -> Result<Vec<String>> {
        let storage = open(folder.path())?;
        let cache = block_on(async { Ok(attach(&storage).await?) })?;
        let snapshot = cache.snapshot();
        let objects = snapshot.range(PREFIX, "").map(|it| {
            let bytes = String::from_utf8_lossy(&it.bytes()).into_owned();
            format!("{} {bytes}", it.key)
        });
        Ok(objects.collect())
    };
    let expected = seen()?;
    ensure!(expected.len() == 3, "{expected:?}");
    let mut errors = 0;
    for at in (0..sound.len()).step_by(STEP) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        for beside in ["store.sqlite3-wal", "store.sqlite3-shm", "revision"] {
            let _ = std::fs::remove_file(folder.path().join(beside));
        }
        std::fs::write(&path, bytes)?;
        match seen() {
            Ok(found) => ensure!(found == expected, "byte {at}: {found:?}"),
            Err(_) => errors += 1,
        }
    }
    ensure!(errors > 10, "{errors} flips were noticed");
    Ok(())
}

/// What a process that was killed now would leave, but for a file.
fn left_behind(folder: &Path, without: &str) -> Result<TempDir> {
    let left = tempfile::tempdir()?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() != without {
            std::fs::copy(entry.path(), left.path().join(entry.file_name()))?;
        }
    }
    Ok(left)
}

#[test]
fn a_store_of_an_earlier_time_gives_no_revision_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let storage = open(folder.path())?;
    block_on(async { Ok(put(&*storage, "a/x", "early").await?) })?;
    let early = left_behind(folder.path(), "revision")?;
    let mut last = Revision(0);
    for number in 0..20 {
        last = block_on(async { Ok(put(&*storage, "a/y", &number.to_string()).await?) })?;
    }
    let sound = left_behind(folder.path(), "")?;
    let cut = left_behind(folder.path(), "")?;
    let log = cut.path().join("store.sqlite3-wal");
    let length = std::fs::metadata(&log)?.len();
    let file = std::fs::File::options().write(true).open(log)?;
    file.set_len(length / 2)?;
    let put_back = early;
    std::fs::copy(
        folder.path().join("revision"),
        put_back.path().join("revision"),
    )?;
    let moved_away = tempfile::tempdir()?;
    std::fs::copy(
        folder.path().join("revision"),
        moved_away.path().join("revision"),
    )?;
    drop(storage);

    ensure!(open(sound.path())?.current_revision() == last);
    let lost = format!("and was at {last}: its log was damaged, or its file was put back");
    for folder in [&cut, &put_back] {
        let found = problems(folder.path())?;
        ensure!(found.contains(&lost), "{found}");
    }
    for folder in [&cut, &put_back, &moved_away] {
        let storage = open(folder.path())?;
        let next = Revision(last.0 + 1_000_000_000);
        ensure!(storage.current_revision() == next);
        let written = block_on(async {
            let cache = attach(&storage).await?;
            ensure!(
                cache.watch_after(last).is_err(),
                "what came after is not known"
            );
            ensure!(cache.watch_after(next).is_ok());
            Ok(put(&*storage, "a/x", "later").await?)
        })?;
        ensure!(written > next);
        drop(storage);
        ensure!(open(folder.path())?.current_revision() == written);
        ensure!(problems(folder.path())?.is_empty());
    }
    Ok(())
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
