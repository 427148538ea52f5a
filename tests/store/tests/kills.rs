//! A writer is killed hundreds of times, many of them inside an operation of its disk; nothing may be lost.
//!
//! `OUTRIGGER_STORE_SEED=new` kills at other points than the gate does, and `OUTRIGGER_STORE_KILLS` more often.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use outrigger::storage::sqlite;
use outrigger_store_tests::journal::{Entry, Journal};
use outrigger_store_tests::reopen;
use outrigger_tests::random::Random;

const KILLS: usize = 200;

/// As many are of one store: with each kill all that was told before is judged again.
const KILLS_OF_A_STORE: usize = 25;

/// Where a round's writer is killed.
enum Kill {
    /// After so many entries, and so much later.
    After(usize, Duration),
    /// Inside the operation of this number in this phase.
    Inside(&'static str, usize),
}

impl Kill {
    fn choose(round: usize, random: &mut Random) -> Self {
        match round % 8 {
            0 => Self::Inside("commit", 1 + random.below(120)),
            1 => Self::Inside("compaction", 1 + random.below(40)),
            2 => Self::Inside("checkpoint", 1 + random.below(60)),
            3 => Self::Inside("backup", 1 + random.below(60)),
            _ => {
                let later = Duration::from_micros(random.number() % 3_000);
                Self::After(random.below(400), later)
            }
        }
    }
}

#[test]
fn what_was_acknowledged_survives_every_kill() -> Result<()> {
    let seed = Random::seed("OUTRIGGER_STORE_SEED", 1);
    let kills = Random::seed("OUTRIGGER_STORE_KILLS", KILLS as u64);
    eprintln!("OUTRIGGER_STORE_SEED={seed}");
    let mut folder = tempfile::tempdir()?;
    let mut random = Random::new(seed);
    let mut journal = Journal::default();
    let mut inside: BTreeMap<String, usize> = BTreeMap::new();
    let mut rounds_without = 0;
    for round in 0..usize::try_from(kills)? {
        if round % KILLS_OF_A_STORE == 0 {
            folder = tempfile::tempdir()?;
            journal = Journal::default();
        }
        let kill = Kill::choose(round, &mut random);
        let end = run_and_kill(folder.path(), &kill, &mut random, &mut journal)?;
        if let Some(phase) = end.inside {
            *inside.entry(phase).or_default() += 1;
        }
        rounds_without += usize::from(end.done == 0);
        let verdict = reopen::judged(&folder.path().join("store"), &mut journal)?;
        ensure!(
            verdict.is_empty(),
            "seed {seed}, round {round}: {verdict:#?}"
        );
        check_backups(folder.path())?;
    }
    eprintln!("{kills} kills, {rounds_without} before the first write, inside of {inside:?}");
    for phase in ["commit", "compaction", "checkpoint", "backup"] {
        let times = inside.get(phase).copied().unwrap_or(0);
        ensure!(
            times * 10 >= usize::try_from(kills)?,
            "{times} kills inside a {phase}"
        );
    }
    Ok(())
}

/// A backup has its name when it is complete, and never before.
fn check_backups(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_some_and(|it| it == "sqlite3") {
            let into = tempfile::tempdir()?;
            let no_wait = Duration::ZERO;
            let restored = sqlite::restore(&file, into.path(), false, no_wait, &mut |_| {})?;
            ensure!(restored.problems.is_empty(), "{restored:?}");
        }
        if !file.is_dir() {
            std::fs::remove_file(file)?;
        }
    }
    Ok(())
}

/// An upgrade is done or not begun, wherever it was killed.
#[test]
fn a_kill_inside_an_upgrade_leaves_a_store_that_is_upgraded_later() -> Result<()> {
    let seed = Random::seed("OUTRIGGER_STORE_SEED", 1);
    eprintln!("OUTRIGGER_STORE_SEED={seed}");
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store");
    let mut random = Random::new(seed);
    let mut journal = Journal::default();
    let written = Kill::After(600, Duration::ZERO);
    run_and_kill(folder.path(), &written, &mut random, &mut journal)?;
    let mut interrupted = 0;
    for round in 0..20 {
        make_old(&store)?;
        let kill = Kill::Inside("upgrade", 1 + random.below(8));
        let end = run_and_kill(folder.path(), &kill, &mut random, &mut journal)?;
        interrupted += usize::from(end.inside.is_some());
        let report = sqlite::check(&store, &mut |_| {})?;
        ensure!(
            report.problems.is_empty(),
            "seed {seed}, round {round}: {report:?}"
        );
    }
    ensure!(interrupted == 20, "{interrupted} kills inside an upgrade");
    let verdict = reopen::judged(&store, &mut journal)?;
    ensure!(verdict.is_empty(), "seed {seed}: {verdict:#?}");
    ensure!(sqlite::check(&store, &mut |_| {})?.format == 3);
    Ok(())
}

/// Makes a store of the first format of one of today's.
fn make_old(store: &Path) -> Result<()> {
    let file = rusqlite::Connection::open(store.join("store.sqlite3"))?;
    let format = "SELECT value FROM meta WHERE name = 'format'";
    if file.query_row(format, [], |row| row.get::<_, i64>(0))? == 3 {
        file.execute_batch(
            "ALTER TABLE record DROP COLUMN checksum;
             UPDATE meta SET value = 1 WHERE name = 'format'",
        )?;
    }
    Ok(())
}

/// What a killed writer had done.
#[derive(Default)]
struct End {
    /// Writes that were acknowledged.
    done: usize,
    /// What it was inside of. Its other threads may have said more after that.
    inside: Option<String>,
}

fn run_and_kill(
    folder: &Path,
    kill: &Kill,
    random: &mut Random,
    journal: &mut Journal,
) -> Result<End> {
    let attempts = journal.entries.iter().filter_map(|it| match it {
        Entry::Tried { attempt, .. } => Some(attempt + 1),
        _ => None,
    });
    let first = attempts.max().unwrap_or(0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_store-writer"));
    command
        .arg(folder)
        .arg(random.number().to_string())
        .arg(first.to_string())
        .stdout(Stdio::piped());
    if let Kill::Inside(phase, operation) = kill {
        command.args([phase, &*operation.to_string()]);
    }
    let mut child = Killed(command.spawn()?);
    let lines = BufReader::new(child.0.stdout.take().context("a pipe")?);
    let mut end = End::default();
    let mut read = 0;
    for line in lines.split(b'\n') {
        // The last line may be half of one.
        let Ok(entry) = String::from_utf8(line?)?.parse::<Entry>() else {
            break;
        };
        match &entry {
            Entry::Done { .. } => end.done += 1,
            Entry::Inside { phase } => {
                end.inside = Some(phase.clone());
                child.0.kill()?;
            }
            _ => {}
        }
        journal.entries.push(entry);
        read += 1;
        match kill {
            Kill::After(entries, later) if read == entries + 1 => {
                std::thread::sleep(*later);
                child.0.kill()?;
            }
            _ => {}
        }
    }
    let status = child.0.wait()?;
    ensure!(
        status.code().is_none(),
        "the writer ended by itself: {status}"
    );
    Ok(end)
}

/// Ends with the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
