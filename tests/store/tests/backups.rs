//! A backup is the store at one revision, whatever is written meanwhile; a restore never goes back.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use outrigger::storage::sqlite::{self, Options, Report, SqliteStorage};
use outrigger::storage::{Revision, Storage};
use outrigger_store_tests::disk::{Action, Disk, Outcome, Phase};
use outrigger_store_tests::journal::{Entry, Items};
use outrigger_store_tests::writer::{self, Tell, put};

const SKIPPED: u64 = 1_000_000_000;

fn open(folder: &Path) -> Result<Arc<dyn Storage>> {
    let options = Options {
        lock_wait: Duration::ZERO,
        ..Options::default()
    };
    Ok(Arc::new(SqliteStorage::open(folder, options)?))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(2).enable_time().build()?)
}

fn back_up(folder: &Path, to: &Path) -> Result<Report> {
    Ok(sqlite::backup(folder, to, &mut |_| {})?)
}

fn restore(from: &Path, folder: &Path, is_replacing: bool) -> Result<Report> {
    let report = sqlite::restore(from, folder, is_replacing, Duration::ZERO, &mut |_| {})?;
    Ok(report)
}

fn refusal<T>(result: Result<T>, folder: &Path) -> String {
    let text = result.err().map(|it| it.to_string()).unwrap_or_default();
    text.replace(&folder.display().to_string(), "DATA")
}

/// What was there at a revision, by what a watcher was sent.
fn replayed(entries: &[Entry], until: u64) -> Items {
    let mut items = Items::new();
    for entry in entries {
        let Entry::Saw { revision, writes } = entry else {
            continue;
        };
        for (key, value) in writes.iter().filter(|_| *revision <= until) {
            match value {
                Some(value) => items.insert(key.clone(), (*revision, value.clone())),
                None => items.remove(key),
            };
        }
    }
    items
}

#[test]
fn a_backup_under_load_is_the_store_at_one_revision() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store");
    let storage = open(&store)?;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell: Tell = {
        let told = Arc::clone(&told);
        Arc::new(move |it| told.lock().expect("no panic").push(it))
    };
    let runtime = runtime()?;
    let is_over = Arc::new(AtomicBool::new(false));
    let cache = runtime.block_on(writer::attach(&storage))?;
    let watcher = cache.watch_after(Revision(1));
    let watcher = watcher.map_err(|it| anyhow::anyhow!("{it:?}"))?;
    let watching = runtime.spawn(writer::watch(watcher, Arc::clone(&tell)));
    let writing = {
        let (storage, is_over) = (Arc::clone(&storage), Arc::clone(&is_over));
        runtime.spawn(async move {
            writer::write(&storage, &tell, 1, 0, u64::MAX, &is_over).await;
        })
    };
    let mut reports = Vec::new();
    for number in 0..10 {
        let to = folder.path().join(format!("{number}.sqlite3"));
        let begun = storage.current_revision();
        reports.push((begun, back_up(&store, &to)?));
        // Each has something new.
        while storage.current_revision() < Revision(begun.0 + 20) {
            std::thread::yield_now();
        }
    }
    is_over.store(true, Ordering::SeqCst);
    runtime.block_on(writing)?;
    let last = storage.current_revision();
    runtime.block_on(cache.wait_for(last));
    runtime.block_on(async {
        while !is_told(&told, last) {
            tokio::task::yield_now().await;
        }
    });
    cache.close();
    runtime.block_on(watching)?;
    let entries = told.lock().expect("no panic").clone();
    for (begun, report) in reports {
        ensure!(
            report.revision >= begun,
            "what was there before it is in it"
        );
        let into = tempfile::tempdir()?;
        restore(&report.file, into.path(), false)?;
        let restored = open(into.path())?;
        let found = runtime.block_on(writer::find(&*restored))?;
        ensure!(found.items == replayed(&entries, report.revision.0));
        ensure!(found.revision == report.revision.0 + SKIPPED);
    }
    Ok(())
}

fn is_told(told: &Mutex<Vec<Entry>>, last: Revision) -> bool {
    let told = told.lock().expect("no panic");
    let mut told = told.iter().rev();
    told.any(|it| matches!(it, Entry::Saw { revision, .. } if *revision == last.0))
}

#[test]
fn a_restore_goes_on_behind_both_and_forgets_history() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (store, file) = (folder.path().join("store"), folder.path().join("b.sqlite3"));
    let runtime = runtime()?;
    let storage = open(&store)?;
    runtime.block_on(put(&*storage, "a/x", "1"))?;
    let backup = back_up(&store, &file)?;
    for value in ["2", "3", "4"] {
        runtime.block_on(put(&*storage, "a/x", value))?;
    }
    let seen = storage.current_revision();
    ensure!(seen > backup.revision);
    let refused = refusal(restore(&file, &store, true), folder.path());
    ensure!(refused.contains("is used by process"), "{refused}");
    drop(storage);
    let refused = refusal(restore(&file, &store, false), folder.path());
    ensure!(
        refused == "DATA/store holds a store already: give an empty folder, or --replace it",
        "{refused}"
    );

    let restored = restore(&file, &store, true)?;
    ensure!(
        restored.revision == Revision(seen.0 + SKIPPED),
        "{restored:?}"
    );
    ensure!(
        store
            .join(format!("store.sqlite3.replaced-{seen}"))
            .exists()
    );
    let storage = open(&store)?;
    ensure!(sqlite::check(&store, &mut |_| {})?.problems.is_empty());
    runtime.block_on(async {
        let found = writer::find(&*storage).await?;
        ensure!(found.items["a/x"].1 == "1", "{found:?}");
        let cache = writer::attach(&storage).await?;
        // A client that was there between backup and restore must list again.
        for revision in [backup.revision, seen, Revision(seen.0 + SKIPPED - 1)] {
            ensure!(cache.watch_after(revision).is_err(), "{revision}");
        }
        ensure!(cache.watch_after(restored.revision).is_ok());
        let next = put(&*storage, "a/x", "5").await?;
        ensure!(next > restored.revision);
        Ok(())
    })
}

#[test]
fn a_restore_that_was_cut_off_is_run_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (store, file) = (folder.path().join("store"), folder.path().join("b.sqlite3"));
    let runtime = runtime()?;
    let storage = open(&store)?;
    runtime.block_on(put(&*storage, "a/x", "1"))?;
    back_up(&store, &file)?;
    drop(storage);
    // As a power loss between its two renames leaves it.
    std::fs::rename(
        store.join("store.sqlite3"),
        store.join("store.sqlite3.replaced-2"),
    )?;
    std::fs::write(store.join("store.sqlite3.restoring"), "half")?;
    let refused = refusal(open(&store), folder.path());
    ensure!(
        refused == "a restore into DATA/store was interrupted: run it again",
        "{refused}"
    );
    restore(&file, &store, false)?;
    let storage = open(&store)?;
    let found = runtime.block_on(writer::find(&*storage))?;
    ensure!(found.items["a/x"].1 == "1", "{found:?}");
    Ok(())
}

#[test]
fn a_backup_that_meets_a_full_disk_leaves_nothing_and_harms_nobody() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = Disk::below(folder.path());
    let (store, file) = (folder.path().join("store"), folder.path().join("b.sqlite3"));
    let runtime = runtime()?;
    let storage = open(&store)?;
    runtime.block_on(put(&*storage, "a/x", "1"))?;
    disk.on_operation(|it| match (it.phase, it.action) {
        (Phase::Backup, Action::Write) => Outcome::Full,
        _ => Outcome::Pass,
    });
    let refused = refusal(back_up(&store, &file), folder.path());
    ensure!(
        refused.starts_with("the disk of DATA/b.sqlite3.partial is full"),
        "{refused}"
    );
    let mut left = std::fs::read_dir(folder.path())?;
    ensure!(left.all(|it| it.is_ok_and(|it| it.file_name() == "store")));
    runtime.block_on(put(&*storage, "a/x", "2"))?;
    ensure!(storage.trouble().is_none());
    disk.heal();
    back_up(&store, &file)?;
    Ok(())
}

#[test]
fn refuses_what_makes_no_sense() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (store, file) = (folder.path().join("store"), folder.path().join("b.sqlite3"));
    let check = |result: Result<Report>, expected: &str| {
        let text = refusal(result, folder.path());
        ensure!(text == expected, "{text}");
        Ok(())
    };
    check(
        back_up(&store, &file),
        "DATA/store holds no store: name the folder that the server was given",
    )?;
    check(
        restore(&file, &store, false),
        "there is no file DATA/b.sqlite3",
    )?;
    drop(open(&store)?);
    std::fs::write(&file, "mine")?;
    check(
        back_up(&store, &file),
        "DATA/b.sqlite3 exists already: name a new file",
    )?;
    check(
        restore(&file, &store, true),
        "DATA/b.sqlite3 is damaged (file is not a database): restore a backup, or move it away to begin empty",
    )?;
    check(
        restore(&store.join("store.sqlite3"), &store, true),
        "DATA/store/store.sqlite3 is the store itself",
    )
}
