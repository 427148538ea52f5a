//! A disk below SQLite that a test sees, stops and breaks.
//!
//! [`Disk::below`] makes every database in a folder pass through a file system (VFS) of ours on its way to the
//! real one. Each operation is first shown to the test's [`Disk::on_operation`], which lets it pass, makes it fail,
//! or does not return: then the process is stuck inside of it until it is killed.
//!
//! The disk also knows what would be left after a power loss: what was written before the last sync of its file
//! ([`Disk::image`]). A sync that fails loses what it should have kept, as on Linux: the next one does not cover it.
//!
//! `-shm` files are no part of it: they are shared memory, which no restart of a machine sees.

mod vfs;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A torn write is torn at these.
const SECTOR: usize = 512;

/// What SQLite wants from the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Open,
    Read,
    Write,
    Sync,
    Truncate,
    Delete,
}

/// What the store is doing, by the statements that it has run last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    Other,
    Commit,
    Compaction,
    Upgrade,
    /// The log is being copied into the file.
    Checkpoint,
    /// A copy of the store is being written.
    Backup,
}

impl Phase {
    const ALL: [Self; 6] = [
        Self::Other,
        Self::Commit,
        Self::Compaction,
        Self::Upgrade,
        Self::Checkpoint,
        Self::Backup,
    ];

    /// By its name in lower case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|it| format!("{it:?}").to_lowercase() == name)
    }

    fn of_statement(sql: &str) -> Option<Self> {
        let begins = |it: &str| sql.trim_start().starts_with(it);
        if begins("BEGIN") {
            Some(Self::Other)
        } else if begins("INSERT INTO record") || begins("UPDATE record SET superseded") {
            Some(Self::Commit)
        } else if begins("DELETE FROM record") {
            Some(Self::Compaction)
        } else if begins("ALTER TABLE") || begins("UPDATE record SET checksum") {
            Some(Self::Upgrade)
        } else {
            None
        }
    }
}

/// One operation that is about to be done.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    pub path: &'a Path,
    pub action: Action,
    pub phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Pass,
    /// An I/O error; nothing of it is done.
    Fail,
    /// No room; nothing of it is done.
    Full,
    /// No room for all of it: half of a write is done; of a sync all, and yet it fails.
    Short,
}

type Hook = Box<dyn FnMut(&Operation<'_>) -> Outcome + Send>;

/// The disk below one folder. Databases that are opened after it was made are on it.
#[derive(Clone)]
pub struct Disk(Arc<State>);

struct State {
    folder: PathBuf,
    files: Mutex<BTreeMap<PathBuf, File>>,
    hook: Mutex<Option<Hook>>,
    phase: AtomicU8,
    is_never_synced: AtomicBool,
}

/// One file, as it would be found after a power loss.
#[derive(Debug, Default, Clone)]
struct File {
    /// Whether its name would be found.
    is_linked: bool,
    durable: Vec<u8>,
    /// Changes since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl File {
    fn apply(contents: &mut Vec<u8>, change: &Change) {
        match change {
            Change::Write { at, bytes } => {
                let end = at + bytes.len();
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                contents[*at..end].copy_from_slice(bytes);
            }
            Change::Truncate(len) => contents.resize(*len, 0),
        }
    }
}

impl Disk {
    /// The disk below `folder` and its folders.
    ///
    /// # Panics
    /// The folder is not there.
    #[must_use]
    pub fn below(folder: &Path) -> Self {
        vfs::install();
        let folder = folder.canonicalize().expect("the folder is there");
        let disk = Self(Arc::new(State {
            folder,
            files: Mutex::default(),
            hook: Mutex::default(),
            phase: AtomicU8::new(0),
            is_never_synced: AtomicBool::new(false),
        }));
        lock(&DISKS).push(Arc::downgrade(&disk.0));
        disk
    }

    /// Shows every operation to `hook` from now on.
    pub fn on_operation(&self, hook: impl FnMut(&Operation<'_>) -> Outcome + Send + 'static) {
        *lock(&self.0.hook) = Some(Box::new(hook));
    }

    /// Lets everything pass again.
    pub fn heal(&self) {
        *lock(&self.0.hook) = None;
    }

    /// Databases that are opened from now on run with `synchronous=OFF`, whatever they ask for.
    pub fn never_sync(&self) {
        self.0.is_never_synced.store(true, Ordering::SeqCst);
    }

    /// Writes into `folder` what a power loss would leave now: what was synced, and of each later change, sector by
    /// sector, what `survives` says.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn image(&self, folder: &Path, mut survives: impl FnMut() -> bool) -> io::Result<()> {
        let files = lock(&self.0.files).clone();
        for (path, file) in files {
            if !file.is_linked {
                continue;
            }
            let mut contents = file.durable;
            for change in file.pending {
                match change {
                    Change::Write { at, bytes } => {
                        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                            if survives() {
                                let (at, bytes) = (at + number * SECTOR, sector.to_vec());
                                File::apply(&mut contents, &Change::Write { at, bytes });
                            }
                        }
                    }
                    truncate @ Change::Truncate(_) => {
                        if survives() {
                            File::apply(&mut contents, &truncate);
                        }
                    }
                }
            }
            let name = path.strip_prefix(&self.0.folder).unwrap_or(&path);
            std::fs::write(folder.join(name), contents)?;
        }
        Ok(())
    }
}

impl State {
    /// What the test says about an operation.
    fn ask(&self, path: &Path, action: Action) -> Outcome {
        let mut phase = Phase::ALL[usize::from(self.phase.load(Ordering::SeqCst))];
        let is_log = path.extension().is_some_and(|it| it == "sqlite3-wal");
        if !path
            .file_name()
            .is_some_and(|it| it.to_string_lossy().starts_with("store.sqlite3"))
        {
            phase = Phase::Backup;
        } else if !is_log && matches!(action, Action::Write | Action::Sync) {
            phase = Phase::Checkpoint;
        }
        match &mut *lock(&self.hook) {
            Some(hook) => hook(&Operation {
                path,
                action,
                phase,
            }),
            None => Outcome::Pass,
        }
    }

    fn note_statement(&self, sql: &str) {
        if let Some(phase) = Phase::of_statement(sql) {
            let number = Phase::ALL.iter().position(|it| *it == phase).unwrap_or(0);
            self.phase
                .store(u8::try_from(number).unwrap_or(0), Ordering::SeqCst);
        }
    }

    fn note_open(&self, path: &Path, was_there: bool) {
        lock(&self.files)
            .entry(path.into())
            .or_insert_with(|| File {
                is_linked: was_there,
                durable: match was_there {
                    true => std::fs::read(path).unwrap_or_default(),
                    false => Vec::new(),
                },
                pending: Vec::new(),
            });
    }

    fn note(&self, path: &Path, change: Change) {
        if let Some(file) = lock(&self.files).get_mut(path) {
            file.pending.push(change);
        }
    }

    /// What does not reach the disk now is not covered by a later sync.
    fn note_sync(&self, path: &Path, is_done: bool) {
        let mut files = lock(&self.files);
        let Some(file) = files.get_mut(path) else {
            return;
        };
        for change in file.pending.drain(..) {
            if is_done {
                File::apply(&mut file.durable, &change);
            }
        }
        file.is_linked |= is_done;
    }

    fn note_delete(&self, path: &Path) {
        lock(&self.files).remove(path);
    }
}

/// All disks of this process; a file is on the first whose folder it is in.
static DISKS: Mutex<Vec<Weak<State>>> = Mutex::new(Vec::new());

fn disk_of(path: &Path) -> Option<Arc<State>> {
    let mut disks = lock(&DISKS);
    disks.retain(|it| it.strong_count() > 0);
    let mut disks = disks.iter().filter_map(Weak::upgrade);
    disks.find(|it| path.starts_with(&it.folder))
}

/// A test that panics has failed already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
