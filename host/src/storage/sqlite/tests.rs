//! What only a durable store can get wrong: restarts, full disks, folders of somebody else. `tests/store` has kills,
//! faults and power losses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::*;
use crate::storage::Expected;
use crate::storage::conformance::{
    PREFIX, Subject, attached, conformance, context, create, delete, key, put, show_event,
};
use crate::storage::watch_cache::Expired;

fn subject() -> Subject {
    let folder = tempfile::tempdir().unwrap();
    Subject::new(Arc::new(open(&folder)), folder)
}

conformance!(subject());

fn quick() -> Options {
    Options {
        lock_wait: Duration::ZERO,
        ..Options::default()
    }
}

fn open(folder: &TempDir) -> SqliteStorage {
    SqliteStorage::open(folder.path(), quick()).unwrap()
}

/// What a person reads when the folder cannot be opened.
#[track_caller]
fn check_refused(folder: &Path, expected: Expect) {
    let err = SqliteStorage::open(folder, quick()).err().expect("refused");
    let shown = err
        .to_string()
        .replace(&folder.display().to_string(), "DATA");
    let shown = shown.replace(&std::process::id().to_string(), "PID");
    assert!(!shown.contains('\n'), "one line");
    expected.assert_eq(&shown);
}

async fn commit(storage: &impl Storage, write: Write) -> Result<Revision, StorageError> {
    storage.commit(&context(), vec![write]).await
}

#[tokio::test]
async fn objects_revision_and_history_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    let r1 = commit(&storage, create("a/x", "1")).await.unwrap();
    let r2 = commit(&storage, put("a/x", "2", Expected::At(r1)))
        .await
        .unwrap();
    let r3 = commit(&storage, create("a/y", "1")).await.unwrap();
    let r4 = commit(&storage, delete("a/y", Expected::At(r3)))
        .await
        .unwrap();
    storage.close().await;

    let storage = Arc::new(open(&folder)) as Arc<dyn Storage>;
    assert_eq!(storage.current_revision(), r4);
    let items = storage.list(PREFIX, "", 10).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!((&items[0].key, items[0].revision), (&key("a/x"), r2));
    let cache = attached(&storage).await;
    let mut watcher = cache.watch_after(r1).unwrap();
    let events = watcher.next().await.unwrap();
    let shown: Vec<_> = events.iter().map(|it| show_event(it)).collect();
    let expected = [
        format!("{r2}: a/x=2@{r2} <- a/x=1@{r1}"),
        format!("{r3}: a/y=1@{r3} <- -"),
        format!("{r4}: - <- a/y=1@{r3}"),
    ];
    assert_eq!(shown, expected);
    let next = storage
        .commit(&context(), vec![create("a/z", "1")])
        .await
        .unwrap();
    assert!(next > r4);
}

#[tokio::test]
async fn each_commit_is_synced_to_a_log_that_an_orderly_end_empties() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    let (tell, told) = oneshot::channel();
    let ask = Command::With(Box::new(move |connection| {
        let pragma = |name: &str| {
            let ask = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
            connection.pragma_query_value(None, name, ask).unwrap()
        };
        let _ = tell.send((pragma("journal_mode"), pragma("synchronous")));
    }));
    storage.send(ask).unwrap();
    let full = rusqlite::types::Value::Integer(2);
    assert_eq!(told.await.unwrap(), ("wal".to_owned().into(), full));
    commit(&storage, create("a/x", "1")).await.unwrap();
    let log = folder.path().join("store.sqlite3-wal");
    assert!(log.metadata().unwrap().len() > 0);
    storage.close().await;
    assert_eq!(log.metadata().map_or(0, |it| it.len()), 0);
}

#[tokio::test]
async fn refuses_writes_after_close() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    commit(&storage, create("a/x", "1")).await.unwrap();
    storage.close().await;
    let refused = commit(&storage, create("a/y", "1")).await;
    assert!(matches!(refused, Err(StorageError::ReadOnly(_))));
    assert!(storage.get(&key("a/x")).await.unwrap().is_some());
    assert_eq!(storage.trouble(), None, "an end that was asked for is none");
}

/// Writes that are queued together share one transaction of SQLite: a refused one must not take the others.
#[tokio::test]
async fn a_failed_precondition_fails_only_its_own_write() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(open(&folder));
    let (hold, held) = mpsc::channel::<()>();
    let wait = Command::With(Box::new(move |_| {
        let _ = held.recv();
    }));
    storage.send(wait).unwrap();
    let tasks: Vec<_> = (0..30)
        .map(|step| {
            let storage = Arc::clone(&storage);
            // Every third name is there twice.
            let name = format!("a/n{}", if step % 3 == 2 { step - 1 } else { step });
            tokio::spawn(async move { commit(&*storage, create(&name, "1")).await })
        })
        .collect();
    tokio::task::yield_now().await;
    drop(hold);
    let mut revisions = Vec::new();
    let mut refused = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(revision) => revisions.push(revision.0),
            Err(StorageError::Exists { .. }) => refused += 1,
            Err(err) => panic!("{err}"),
        }
    }
    assert_eq!((revisions.len(), refused), (20, 10));
    assert_eq!(revisions, (2..22).collect::<Vec<_>>());
    assert_eq!(storage.list(PREFIX, "", 100).await.unwrap().len(), 20);
}

/// SQLite answers the same to a file that may not grow as to a full disk.
#[tokio::test]
async fn a_full_disk_makes_it_read_only_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(open(&folder));
    commit(&*storage, create("a/x", "1")).await.unwrap();
    let pages = |pages: i64| {
        Command::With(Box::new(move |connection| {
            let set = format!("PRAGMA max_page_count = {pages}");
            connection.query_row(&set, [], |_| Ok(())).unwrap();
        }))
    };
    storage.send(pages(1)).unwrap();
    let large = "x".repeat(100_000);
    let refused = commit(&*storage, create("a/y", &large)).await.unwrap_err();
    let StorageError::ReadOnly(text) = refused else {
        panic!("{refused}");
    };
    let shown = text.replace(&folder.path().display().to_string(), "DATA");
    expect!["the disk of DATA/store.sqlite3 is full: free space or grow the volume, writes go on by themselves then"]
        .assert_eq(&shown);
    assert_eq!(storage.trouble(), Some(text));
    assert!(
        storage.get(&key("a/x")).await.unwrap().is_some(),
        "reads go on"
    );
    assert_eq!(storage.current_revision(), Revision(2));

    storage.send(pages(1_000_000)).unwrap();
    let revision = commit(&*storage, create("a/y", &large)).await.unwrap();
    assert_eq!(revision, Revision(3), "a refused write has no revision");
    assert_eq!(storage.trouble(), None);
}

#[tokio::test]
async fn the_timer_finds_that_the_disk_works_again() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(&folder);
    let readonly = |on: bool| {
        Command::With(Box::new(move |connection| {
            connection.pragma_update(None, "query_only", on).unwrap();
        }))
    };
    storage.send(readonly(true)).unwrap();
    let refused = commit(&storage, create("a/x", "1")).await;
    assert!(matches!(refused, Err(StorageError::ReadOnly(_))));
    assert!(storage.trouble().is_some());
    storage.send(readonly(false)).unwrap();
    let healed = async {
        while storage.trouble().is_some() {
            tokio::task::yield_now().await;
        }
    };
    let healed = tokio::time::timeout(Duration::from_secs(30), healed).await;
    healed.expect("a try every second");
}

#[tokio::test]
async fn history_is_compacted_and_stays_so_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        history_max_rows: 100,
        ..quick()
    };
    let storage = SqliteStorage::open(folder.path(), options).unwrap();
    commit(&storage, create("a/kept", "1")).await.unwrap();
    for step in 0..300 {
        let write = put("a/x", &step.to_string(), Expected::Anything);
        commit(&storage, write).await.unwrap();
    }
    let rows = async |storage: &SqliteStorage| {
        storage
            .read(|it| {
                it.query_row("SELECT count(*) FROM record", [], |row| {
                    row.get::<_, i64>(0)
                })
            })
            .await
            .unwrap()
    };
    let compacted = async {
        while rows(&storage).await > 102 {
            tokio::task::yield_now().await;
        }
    };
    let compacted = tokio::time::timeout(Duration::from_secs(30), compacted).await;
    compacted.expect("a try every second");
    storage.close().await;

    let storage =
        Arc::new(SqliteStorage::open(folder.path(), options).unwrap()) as Arc<dyn Storage>;
    assert_eq!(storage.list(PREFIX, "", 10).await.unwrap().len(), 2);
    let cache = attached(&storage).await;
    let Err(Expired { oldest }) = cache.watch_after(Revision(3)) else {
        panic!("300 changes do not fit");
    };
    assert!(oldest >= Revision(202), "{oldest}");
    let last = storage.current_revision();
    let next = Arc::clone(&storage);
    let mut watcher = cache.watch_after(last).unwrap();
    next.commit(&context(), vec![create("a/y", "1")])
        .await
        .unwrap();
    assert_eq!(watcher.next().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_is_short_again_once_most_of_it_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        history_max_rows: 0,
        free_max_bytes: 1 << 20,
        tend_every: Duration::from_millis(10),
        ..quick()
    };
    let storage = SqliteStorage::open(folder.path(), options).unwrap();
    let large = "x".repeat(512 << 10);
    let many: Vec<String> = (0..40).map(|it| format!("a/{it}")).collect();
    let kept = commit(&storage, create("a/kept", "1")).await.unwrap();
    for name in &many {
        commit(&storage, create(name, &large)).await.unwrap();
    }
    let file = storage.shared.file.clone();
    let length = || std::fs::metadata(&file).unwrap().len();
    assert!(length() > 16 << 20, "{}", length());

    for name in &many {
        let write = delete(name, Expected::Anything);
        commit(&storage, write).await.unwrap();
    }
    let short = async {
        while length() > 2 << 20 {
            tokio::task::yield_now().await;
        }
    };
    let short = tokio::time::timeout(Duration::from_secs(30), short).await;
    short.expect("room is looked after all the time");
    storage.close().await;
    let report = check(folder.path(), &mut |_| {}).unwrap();
    assert_eq!((report.records, report.problems.len()), (1, 0));
    let storage = open(&folder);
    let items = storage.list(PREFIX, "", 10).await.unwrap();
    let items: Vec<_> = items.iter().map(|it| it.revision).collect();
    assert_eq!(items, [kept]);
}

/// A new store has as many changes as objects: they are not made into events to be forgotten.
#[tokio::test]
async fn the_latest_changes_of_a_store_that_was_just_filled_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        history_max_rows: 10,
        ..quick()
    };
    let storage = SqliteStorage::open(folder.path(), options).unwrap();
    let mut revisions = Vec::new();
    for number in 0..30 {
        let write = create(&format!("a/n{number:02}"), "1");
        revisions.push(commit(&storage, write).await.unwrap());
    }
    let write = put("a/n00", "2", Expected::Anything);
    revisions.push(commit(&storage, write).await.unwrap());
    let write = delete("a/n01", Expected::Anything);
    revisions.push(commit(&storage, write).await.unwrap());
    let cache = attached(&(Arc::new(storage) as Arc<dyn Storage>)).await;
    let oldest = revisions[21];
    let mut watcher = cache.watch_after(oldest).unwrap();
    let events = watcher.next().await.unwrap();
    let seen: Vec<_> = events.iter().map(|it| it.revision).collect();
    assert_eq!(seen, revisions[22..]);
    let refused = cache.watch_after(revisions[20]).unwrap_err();
    assert_eq!(refused, Expired { oldest });
}

#[test]
fn refuses_a_second_process_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let _storage = open(&folder);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let err = SqliteStorage::open(folder.path(), quick()).err().unwrap();
    let shown = err.to_string().replace(host.trim(), "HOST");
    let shown = shown.replace(&folder.path().display().to_string(), "DATA");
    let shown = shown.replace(&std::process::id().to_string(), "PID");
    expect!["DATA is used by process PID on HOST: stop it, or give another folder"]
        .assert_eq(&shown);
}

#[test]
fn waits_for_the_first_process_to_leave() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(&folder);
    let path = folder.path().to_owned();
    let options = Options {
        lock_wait: Duration::from_secs(30),
        ..Options::default()
    };
    let second = std::thread::spawn(move || SqliteStorage::open(&path, options).is_ok());
    drop(first);
    assert!(second.join().unwrap());
}

#[test]
fn refuses_a_folder_with_other_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lost+found")).unwrap();
    drop(open(&folder));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    check_refused(
        folder.path(),
        expect!["DATA holds no store but other files (notes.txt): give a new or an empty folder"],
    );
}

#[test]
fn refuses_what_is_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    check_refused(
        &file,
        expect![
            "cannot use DATA as the store's folder: File exists (os error 17); it must be a folder that this user may write to"
        ],
    );
}

#[test]
fn refuses_the_database_of_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let other = Connection::open(folder.path().join("store.sqlite3")).unwrap();
    other.execute_batch("CREATE TABLE t (a)").unwrap();
    drop(other);
    check_refused(
        folder.path(),
        expect![
            "DATA/store.sqlite3 is a database of another program: give a new or an empty folder"
        ],
    );
}

#[test]
fn refuses_a_newer_format() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder));
    let file = Connection::open(folder.path().join("store.sqlite3")).unwrap();
    file.execute_batch("UPDATE meta SET value = 4 WHERE name = 'format'")
        .unwrap();
    drop(file);
    check_refused(
        folder.path(),
        expect![
            "DATA/store.sqlite3 was written by a newer release (format 4, this one reads up to 3): run that release, or restore a backup of this one"
        ],
    );
}

#[test]
fn refuses_a_damaged_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("store.sqlite3"),
        "not SQLite".repeat(1_000),
    )
    .unwrap();
    check_refused(
        folder.path(),
        expect![
            "DATA/store.sqlite3 is damaged (file is not a database): restore a backup, or move it away to begin empty"
        ],
    );
}

#[test]
fn begins_again_in_an_empty_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("store.sqlite3"), "").unwrap();
    assert_eq!(open(&folder).current_revision(), Revision(1));
}
