//! A power loss drops what was not synced; nothing acknowledged may be among it.
//!
//! One run of writers is photographed at many of its disk's operations, and each picture is opened as a store.
//! `OUTRIGGER_STORE_SEED=new` takes other pictures than the gate does.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use outrigger::storage::sqlite::{Options, SqliteStorage};
use outrigger::storage::{Revision, Storage};
use outrigger_store_tests::disk::{Action, Disk, Operation, Outcome};
use outrigger_store_tests::journal::{Entry, Journal};
use outrigger_store_tests::reopen;
use outrigger_store_tests::writer::{self, Tell};
use outrigger_tests::random::Random;
use tempfile::TempDir;

const PICTURES: usize = 60;
const ATTEMPTS: u64 = 1_500;

/// What a power loss would leave, and what had been told until then.
struct Picture {
    folder: TempDir,
    journal: Journal,
}

/// Runs writers on a disk that does with each operation what `outcome` says, and takes pictures. Then the disk works
/// again, and what is in the store is judged, too.
fn run(
    seed: u64,
    is_synced: bool,
    mut outcome: impl FnMut(&Operation<'_>, &mut Random) -> Outcome + Send + 'static,
) -> Result<Vec<Picture>> {
    let folder = tempfile::tempdir()?;
    let disk = Disk::below(folder.path());
    if !is_synced {
        disk.never_sync();
    }
    let store = folder.path().join("store");
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(&store, options())?);
    let journal = Arc::new(Mutex::new(Journal::default()));
    let told = Arc::clone(&journal);
    let tell: Tell = Arc::new(move |it| told.lock().expect("no panic").entries.push(it));
    let pictures = Arc::new(Mutex::new(Vec::new()));
    let (taken, told, camera) = (Arc::clone(&pictures), Arc::clone(&journal), disk.clone());
    let mut random = Random::new(seed);
    disk.on_operation(move |operation| {
        if operation.action != Action::Read && random.chance(2) {
            let mut taken = taken.lock().expect("no panic");
            if taken.len() < PICTURES {
                let survivors = 50 * random.below(2);
                // The journal first: what is told later may be in the picture or not.
                let journal = told.lock().expect("no panic").clone();
                let folder = tempfile::tempdir().expect("a folder");
                std::fs::create_dir(folder.path().join("store")).expect("a folder");
                let image = camera.image(folder.path(), || random.chance(survivors));
                image.expect("the picture is written");
                taken.push(Picture { folder, journal });
            }
        }
        outcome(operation, &mut random)
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let Revision(revision) = storage.current_revision();
        tell(Entry::Opened { revision });
        let cache = writer::attach(&storage).await?;
        let watcher = cache.watch_after(Revision(revision));
        let watcher = watcher.map_err(|it| anyhow::anyhow!("{it:?}"))?;
        let watching = tokio::spawn(writer::watch(watcher, Arc::clone(&tell)));
        let is_over = Arc::new(AtomicBool::new(false));
        writer::write(&storage, &tell, seed, 0, ATTEMPTS, &is_over).await;
        disk.heal();
        let healed = async {
            while storage.trouble().is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), healed).await?;
        cache.close();
        watching.await?;
        anyhow::Ok(())
    })?;
    drop(runtime);
    drop(storage);
    let verdict = reopen::judged(&store, &mut journal.lock().expect("no panic"))?;
    ensure!(verdict.is_empty(), "seed {seed}, at the end: {verdict:#?}");
    let pictures = std::mem::take(&mut *pictures.lock().expect("no panic"));
    ensure!(pictures.len() == PICTURES, "{} pictures", pictures.len());
    Ok(pictures)
}

fn options() -> Options {
    Options {
        history_max_rows: 150,
        free_max_bytes: 0,
        tend_every: Duration::from_millis(5),
        ..Options::default()
    }
}

fn seed() -> u64 {
    let seed = Random::seed("OUTRIGGER_STORE_SEED", 1);
    eprintln!("OUTRIGGER_STORE_SEED={seed}");
    seed
}

fn judged(picture: &mut Picture) -> Result<Vec<String>> {
    reopen::judged(&picture.folder.path().join("store"), &mut picture.journal)
}

fn acknowledged(journal: &Journal) -> usize {
    let done = journal.entries.iter();
    done.filter(|it| matches!(it, Entry::Done { .. })).count()
}

#[test]
fn a_power_loss_takes_nothing_that_was_acknowledged() -> Result<()> {
    let seed = seed();
    let mut judged_with_writes = 0;
    for (number, mut picture) in run(seed, true, |_, _| Outcome::Pass)?
        .into_iter()
        .enumerate()
    {
        judged_with_writes += usize::from(acknowledged(&picture.journal) > 0);
        let verdict = judged(&mut picture)?;
        ensure!(
            verdict.is_empty(),
            "seed {seed}, picture {number}: {verdict:#?}"
        );
    }
    ensure!(
        judged_with_writes > PICTURES / 2,
        "{judged_with_writes} pictures with writes"
    );
    Ok(())
}

/// The test above would find a store that does not sync.
#[test]
fn a_power_loss_without_syncs_is_found_out() -> Result<()> {
    let mut lost = 0;
    for mut picture in run(seed(), false, |_, _| Outcome::Pass)? {
        // What is left may not even be a database.
        let verdict = judged(&mut picture).unwrap_or_else(|err| vec![format!("lost: {err:#}")]);
        lost += usize::from(verdict.iter().any(|it| it.starts_with("lost")));
    }
    ensure!(
        lost > PICTURES / 2,
        "{lost} of {PICTURES} pictures show a loss"
    );
    Ok(())
}

#[test]
fn faults_of_the_disk_take_nothing_that_was_acknowledged() -> Result<()> {
    let seed = seed();
    let faults = |operation: &Operation<'_>, random: &mut Random| {
        let is_change = matches!(
            operation.action,
            Action::Write | Action::Sync | Action::Truncate
        );
        match is_change && random.chance(3) {
            true => [Outcome::Fail, Outcome::Full, Outcome::Short][random.below(3)],
            false => Outcome::Pass,
        }
    };
    let mut refused = 0;
    for (number, mut picture) in run(seed, true, faults)?.into_iter().enumerate() {
        let entries = picture.journal.entries.iter();
        refused += entries
            .filter(|it| matches!(it, Entry::Refused { .. }))
            .count();
        let verdict = judged(&mut picture)?;
        ensure!(
            verdict.is_empty(),
            "seed {seed}, picture {number}: {verdict:#?}"
        );
    }
    ensure!(refused > 0, "no write met a fault");
    Ok(())
}

#[test]
fn each_fault_makes_the_store_read_only_until_the_disk_works_again() -> Result<()> {
    let cases = [
        (Action::Write, Outcome::Full, "is full: free space"),
        (Action::Write, Outcome::Short, "is full: free space"),
        (Action::Write, Outcome::Fail, "fails (disk I/O error"),
        (Action::Sync, Outcome::Fail, "fails (disk I/O error"),
    ];
    for (action, outcome, expected) in cases {
        let folder = tempfile::tempdir()?;
        let disk = Disk::below(folder.path());
        let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(folder.path(), options())?);
        let told = Arc::new(Mutex::new(Journal::default()));
        let tell: Tell = {
            let told = Arc::clone(&told);
            Arc::new(move |it| told.lock().expect("no panic").entries.push(it))
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        runtime.block_on(async {
            let is_over = Arc::new(AtomicBool::new(false));
            writer::write(&storage, &tell, 1, 0, 40, &is_over).await;
            let before = writer::find(&*storage).await?;
            ensure!(!before.items.is_empty());
            let (met, mut faults) = tokio::sync::watch::channel(0);
            disk.on_operation(move |it| match it.action == action {
                true => {
                    met.send_modify(|it| *it += 1);
                    outcome
                }
                false => Outcome::Pass,
            });
            writer::write(&storage, &tell, 2, 40, 10, &is_over).await;
            // The timer tries the disk again, and finds it broken still.
            for _ in 0..3 {
                faults.borrow_and_update();
                let tried = faults.changed();
                tokio::time::timeout(Duration::from_secs(60), tried).await??;
            }
            let trouble = storage.trouble().unwrap_or_default();
            ensure!(
                trouble.contains(expected),
                "{action:?} {outcome:?}: {trouble:?}"
            );
            ensure!(writer::find(&*storage).await? == before, "reads go on");
            disk.heal();
            let healed = async {
                while storage.trouble().is_some() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), healed).await?;
            writer::write(&storage, &tell, 3, 50, 40, &is_over).await;
            ensure!(writer::find(&*storage).await? != before, "writes go on");
            Ok(())
        })?;
        drop(storage);
        let verdict = reopen::judged(folder.path(), &mut told.lock().expect("no panic"))?;
        ensure!(verdict.is_empty(), "{action:?} {outcome:?}: {verdict:#?}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_an_empty_list() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fill(folder.path(), 50)?;
    let disk = Disk::below(folder.path());
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(folder.path(), options())?);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        disk.on_operation(|it| match it.action {
            Action::Read => Outcome::Fail,
            _ => Outcome::Pass,
        });
        ensure!(writer::find(&*storage).await.is_err());
        disk.heal();
        ensure!(!writer::find(&*storage).await?.items.is_empty());
        Ok(())
    })
}

fn fill(folder: &Path, attempts: u64) -> Result<()> {
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(folder, options())?);
    let tell: Tell = Arc::new(|_| {});
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let is_over = Arc::new(AtomicBool::new(false));
    runtime.block_on(writer::write(&storage, &tell, 1, 0, attempts, &is_over));
    Ok(())
}
