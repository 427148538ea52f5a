//! Copies of a store: made while a server writes, and put back.
//!
//! A backup is one SQLite file, the store at one revision. It gets its name only when it is complete, checked and on
//! the disk. Not for replication: other programs (Litestream) do that with the store's own files.
//!
//! **Revisions over a restore.** A backup cannot know what came after it, and clients may have seen it: the restored
//! store goes on 1,000,000,000 revisions later, and has no history before that, so that every watch from before is
//! answered 410 and lists again (as `etcdutl snapshot restore --bump-revision --mark-compacted` does).

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::check::{Progress, Report, check_file};
use super::{OpenError, folder, mark, schema};
use crate::storage::Revision;

/// More than any store commits between two backups.
pub(super) const REVISIONS_SKIPPED: u64 = 1_000_000_000;

/// 4 KiB each.
const PAGES_PER_STEP: i32 = 1_024;

/// A copy meets a lock only while another process recovers the log: wait so long, so often.
const BUSY_WAIT: Duration = Duration::from_millis(50);
const BUSY_TRIES: usize = 200;

/// Copies the store in `folder` into the new file `to`, while a server may write. Blocks until it is on the disk.
///
/// # Errors
/// One line that says why there is no backup and what to do; nothing of it is left.
pub fn backup(
    folder: &Path,
    to: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, OpenError> {
    let store = folder::existing(folder)?;
    if to.exists() {
        return Err(OpenError(format!(
            "{} exists already: name a new file",
            to.display()
        )));
    }
    let partial = with_suffix(to, ".partial");
    remove(&partial)?;
    let copied = copy(&store, &partial, progress).and_then(|()| {
        let mut report = check_file(&partial, progress)?;
        if let Some(problem) = report.problems.first() {
            return Err(OpenError(format!(
                "{} is damaged ({problem}): there is no backup of it; `outrigger store check` says more",
                store.display()
            )));
        }
        place(&partial, to)?;
        report.file = to.into();
        Ok(report)
    });
    if copied.is_err() {
        remove(&partial)?;
    }
    copied
}

/// Puts the backup `from` into `folder`, which no server may use meanwhile. A store that is there is refused, or with
/// `is_replacing` kept beside it under another name.
///
/// # Errors
/// One line that says why nothing was restored and what to do.
pub fn restore(
    from: &Path,
    folder: &Path,
    is_replacing: bool,
    lock_wait: Duration,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, OpenError> {
    if !from.is_file() {
        return Err(OpenError(format!("there is no file {}", from.display())));
    }
    let report = check_file(from, progress)?;
    if let Some(problem) = report.problems.first() {
        return Err(OpenError(format!(
            "{} is damaged ({problem}): restore another backup",
            from.display()
        )));
    }
    let (store, _lock) = folder::prepare_restore(folder, lock_wait)?;
    if same_file(from, &store) {
        return Err(OpenError(format!("{} is the store itself", from.display())));
    }
    if store.exists() && !is_replacing {
        return Err(OpenError(format!(
            "{} holds a store already: give an empty folder, or --replace it",
            folder.display()
        )));
    }
    let (replaced, name) = last_revision(&store);
    let restoring = folder::restoring(&store);
    remove(&restoring)?;
    copy(from, &restoring, progress)?;
    let revision = Revision(report.revision.max(replaced).0 + REVISIONS_SKIPPED);
    begin_at(&restoring, revision)?;
    place_restored(&restoring, &store, &name)?;
    Ok(Report {
        file: store,
        format: schema::FORMAT,
        revision,
        compacted: revision,
        superseded: 0,
        ..report
    })
}

/// Keeps the store that is there, if one is, under its name with `name` behind it, and gives its place to another.
pub(super) fn place_restored(restoring: &Path, store: &Path, name: &str) -> Result<(), OpenError> {
    // From here until the new file has its place there is no store, and a server refuses the folder.
    let kept = with_suffix(store, name);
    for suffix in ["", "-wal"] {
        let file = with_suffix(store, suffix);
        if file.exists() {
            let kept = with_suffix(&kept, suffix);
            fs::rename(&file, &kept).map_err(|err| unwritten(&kept, &err))?;
        }
    }
    remove(&with_suffix(store, "-shm"))?;
    place(restoring, store)
}

/// The revision that the store which is replaced was at last, and what its file is called from then on.
pub(super) fn last_revision(store: &Path) -> (Revision, String) {
    let read = || {
        let connection = Connection::open(store)?;
        // What is in the log comes with the file.
        connection.pragma_update(None, "wal_checkpoint", "truncate")?;
        schema::meta(&connection, "revision")
    };
    let marked = store.parent().map(mark::marked).unwrap_or_default();
    if !store.exists() {
        return (marked, ".replaced".into());
    }
    match read() {
        Ok(revision) => {
            let revision = Revision(revision.unsigned_abs());
            (revision.max(marked), format!(".replaced-{revision}"))
        }
        Err(err) => {
            tracing::warn!(error = %err, "the store that is replaced cannot be read");
            (marked, ".replaced-damaged".into())
        }
    }
}

/// One consistent view of `from`, as a file of its own without a log.
fn copy(from: &Path, to: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), OpenError> {
    let (source, _) = schema::open_existing(from)?;
    let mut copied = || -> rusqlite::Result<bool> {
        // Without a transaction that stays open the copy would begin again after each commit of the server.
        source.execute_batch("BEGIN")?;
        schema::meta(&source, "revision")?;
        let mut target = Connection::open(to)?;
        let is_complete = run(&Backup::new(&source, &mut target)?, progress)?;
        target.pragma_update(None, "journal_mode", "delete")?;
        Ok(is_complete)
    };
    match copied() {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpenError(format!(
            "{} is locked by another program: end it, and try again",
            from.display()
        ))),
        Err(err) => Err(schema::describe(to, &err)),
    }
}

fn run(backup: &Backup<'_, '_>, progress: &mut dyn FnMut(Progress)) -> rusqlite::Result<bool> {
    let mut busy = 0;
    loop {
        match backup.step(PAGES_PER_STEP)? {
            StepResult::Done => return Ok(true),
            StepResult::More => {
                let state = backup.progress();
                let of = u64::from(state.pagecount.unsigned_abs());
                progress(Progress {
                    step: "copying pages",
                    done: of - u64::from(state.remaining.unsigned_abs()).min(of),
                    of,
                });
            }
            _ if busy == BUSY_TRIES => return Ok(false),
            _ => {
                busy += 1;
                std::thread::sleep(BUSY_WAIT);
            }
        }
    }
}

/// Upgrades the copy, and makes `revision` its first.
fn begin_at(file: &Path, revision: Revision) -> Result<(), OpenError> {
    let mut connection = schema::open(file)?;
    let mut begin = || {
        schema::begin_at(&mut connection, revision)?;
        connection.pragma_update(None, "journal_mode", "delete")
    };
    begin().map_err(|err| schema::describe(file, &err))
}

/// Gives a complete file its name, on the disk.
fn place(file: &Path, to: &Path) -> Result<(), OpenError> {
    let parent = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(file)
        .and_then(|it| it.sync_all())
        .and_then(|()| fs::rename(file, to))
        .and_then(|()| File::open(parent)?.sync_all())
        .map_err(|err| unwritten(to, &err))
}

/// A file that was left behind, with its log.
pub(super) fn remove(file: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-journal", "-wal", "-shm"] {
        let file = with_suffix(file, suffix);
        match fs::remove_file(&file) {
            Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
                return Err(unwritten(&file, &err));
            }
            _ => {}
        }
    }
    Ok(())
}

fn unwritten(file: &Path, err: &std::io::Error) -> OpenError {
    OpenError(format!(
        "{} cannot be written ({err}): check its folder and the room on its disk",
        file.display()
    ))
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
