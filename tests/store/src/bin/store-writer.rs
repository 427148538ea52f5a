//! Writes known values into a store until it is killed, and says each of them on standard output.
//!
//! `store-writer FOLDER SEED FIRST-ATTEMPT [PHASE OPERATION]`: with a phase it stops for ever inside of that
//! operation of the disk (counted from 1) while the store is in that phase, and says so before.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, Result};
use outrigger::storage::sqlite::{Options, SqliteStorage, backup};
use outrigger::storage::{Revision, Storage};
use outrigger_store_tests::disk::{Action, Disk, Outcome, Phase};
use outrigger_store_tests::journal::Entry;
use outrigger_store_tests::writer::{self, Tell};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || {
        arguments
            .next()
            .context("FOLDER SEED FIRST-ATTEMPT [PHASE OPERATION]")
    };
    let folder = PathBuf::from(argument()?);
    let seed = argument()?.parse()?;
    let first = argument()?.parse()?;
    let stop = match argument() {
        Ok(phase) => Some((
            Phase::named(&phase).with_context(|| format!("no phase {phase}"))?,
            argument()?.parse::<u64>()?,
        )),
        Err(_) => None,
    };
    std::fs::create_dir_all(&folder)?;
    let disk = Disk::below(&folder);
    if let Some((phase, operation)) = stop {
        stop_inside(&disk, phase, operation);
    }
    let options = Options {
        lock_wait: Duration::from_secs(10),
        history_max_rows: 150,
        free_max_bytes: 0,
        tend_every: Duration::from_millis(5),
        ..Options::default()
    };
    let store = SqliteStorage::open(&folder.join("store"), options)?;
    let storage: Arc<dyn Storage> = Arc::new(store);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let tell: Tell = Arc::new(|entry| say(&entry));
        let Revision(revision) = storage.current_revision();
        tell(Entry::Opened { revision });
        let cache = writer::attach(&storage).await?;
        let watcher = cache.watch_after(Revision(revision));
        let watcher = watcher.map_err(|it| anyhow::anyhow!("{it:?}"))?;
        tokio::spawn(writer::watch(watcher, Arc::clone(&tell)));
        if stop.is_some_and(|(phase, _)| phase == Phase::Backup) {
            std::thread::spawn(move || back_up(&folder));
        }
        let is_over = Arc::new(AtomicBool::new(false));
        writer::write(&storage, &tell, seed, first, u64::MAX, &is_over).await;
        Ok(())
    })
}

/// One write a line: a killed process leaves at most half a line, the last.
#[expect(
    clippy::disallowed_methods,
    reason = "writers on other threads end with the process"
)]
fn say(entry: &Entry) {
    let line = format!("{entry}\n");
    let mut out = std::io::stdout().lock();
    if out
        .write_all(line.as_bytes())
        .and_then(|()| out.flush())
        .is_err()
    {
        // The parent is gone.
        std::process::exit(1);
    }
}

/// One backup after the other, each with a name of its own.
#[expect(
    clippy::disallowed_methods,
    reason = "writers on other threads end with the process"
)]
fn back_up(folder: &Path) {
    for number in 0.. {
        let to = folder.join(format!("backup-{}-{number}.sqlite3", std::process::id()));
        if let Err(err) = backup(&folder.join("store"), &to, &mut |_| {}) {
            eprintln!("no backup: {err}");
            std::process::exit(1);
        }
    }
}

fn stop_inside(disk: &Disk, phase: Phase, operation: u64) {
    let mut seen = 0;
    disk.on_operation(move |it| {
        if it.phase == phase && it.action != Action::Read {
            seen += 1;
        }
        if seen == operation {
            say(&Entry::Inside {
                phase: format!("{phase:?}").to_lowercase(),
            });
            loop {
                std::thread::park();
            }
        }
        Outcome::Pass
    });
}
