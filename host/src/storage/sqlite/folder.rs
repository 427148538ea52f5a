//! The store's folder: whose it is, and who uses it now.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::{OpenError, mark};

const FILE: &str = "store.sqlite3";
const LOCK: &str = "lock";
const RESTORING: &str = "store.sqlite3.restoring";

/// How often a taken lock is tried again: what the change from one process to the next takes longer by.
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// Held as long as the store is open: the system releases it with the process, however that ends.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "kept open for its lock")] File);

/// The file of a store that must be there.
pub(super) fn existing(folder: &Path) -> Result<PathBuf, OpenError> {
    let file = folder.join(FILE);
    if file.is_file() {
        return Ok(file);
    }
    Err(OpenError(format!(
        "{} holds no store: name the folder that the server was given",
        folder.display()
    )))
}

/// What a restore calls its file until it has taken the store's place.
pub(super) fn restoring(file: &Path) -> PathBuf {
    file.with_file_name(RESTORING)
}

/// Makes the folder, sees that nobody else's things are in it, and locks it; tells whom it waits for, if anybody.
pub(super) fn prepare(
    folder: &Path,
    lock_wait: Duration,
    waits_for: &mut dyn FnMut(&str),
) -> Result<(PathBuf, FolderLock), OpenError> {
    if folder.join(RESTORING).exists() && !folder.join(FILE).exists() {
        return Err(OpenError(format!(
            "a restore into {} was interrupted: run it again",
            folder.display()
        )));
    }
    prepare_any(folder, lock_wait, waits_for)
}

/// The same for a restore, which may go on with one that was interrupted.
pub(super) fn prepare_restore(
    folder: &Path,
    lock_wait: Duration,
) -> Result<(PathBuf, FolderLock), OpenError> {
    prepare_any(folder, lock_wait, &mut |_| {})
}

fn prepare_any(
    folder: &Path,
    lock_wait: Duration,
    waits_for: &mut dyn FnMut(&str),
) -> Result<(PathBuf, FolderLock), OpenError> {
    let unusable = |err: std::io::Error| {
        OpenError(format!(
            "cannot use {} as the store's folder: {err}; it must be a folder that this user may write to",
            folder.display()
        ))
    };
    // Objects are nobody else's business on this machine.
    let mut builder = fs::DirBuilder::new();
    let builder = builder.recursive(true).mode(0o700);
    builder.create(folder).map_err(unusable)?;
    let file = folder.join(FILE);
    if !file.exists()
        && !folder.join(RESTORING).exists()
        && let Some(foreign) = foreign(folder).map_err(unusable)?
    {
        return Err(OpenError(format!(
            "{} holds no store but other files ({foreign}): give a new or an empty folder",
            folder.display()
        )));
    }
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(folder.join(LOCK))
        .map_err(unusable)?;
    let lock = take(lock, folder, lock_wait, waits_for)?;
    // The names of the files must survive a crash as their contents do.
    File::open(folder)
        .and_then(|it| it.sync_all())
        .map_err(unusable)?;
    Ok((file, lock))
}

fn foreign(folder: &Path) -> std::io::Result<Option<String>> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // A volume's root has lost+found. A store that was moved away leaves its revision.
        if name != LOCK && name != mark::NAME && name != "lost+found" {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn take(
    mut lock: File,
    folder: &Path,
    wait: Duration,
    waits_for: &mut dyn FnMut(&str),
) -> Result<FolderLock, OpenError> {
    let give_up = Instant::now() + wait;
    let mut is_told = false;
    loop {
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(err) => {
                let folder = folder.display();
                return Err(OpenError(format!(
                    "cannot lock {folder}: {err}; its file system must support flock"
                )));
            }
        }
        let is_over = Instant::now() >= give_up;
        if is_over || !std::mem::replace(&mut is_told, true) {
            let mut owner = String::new();
            // Read only to tell a person.
            let _ = lock.rewind().and_then(|()| lock.read_to_string(&mut owner));
            let owner = owner.trim();
            if is_over {
                return Err(OpenError(format!(
                    "{} is used by {owner}: stop it, or give another folder",
                    folder.display()
                )));
            }
            tracing::info!(folder = %folder.display(), owner, "the store is in use, waiting for it");
            waits_for(owner);
        }
        std::thread::sleep(LOCK_RETRY);
    }
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let owner = format!("process {} on {}\n", std::process::id(), host.trim());
    let written = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| lock.write_all(owner.as_bytes()));
    if let Err(err) = written {
        // A full disk: the lock itself holds.
        tracing::warn!(error = %err, "cannot write the owner into the store's lock file");
    }
    Ok(FolderLock(lock))
}
