//! The durable store of one replica: an SQLite file, written by one thread.
//!
//! **Folder.** `store.sqlite3` with its `-wal` and `-shm`, `lock`, which holds who uses it, and `revision`, the last one
//! that was committed: a store that is behind it goes on after it. One process at
//! a time; a second one waits for the first to drain (30 s by default) and is then refused.
//!
//! **File.** WAL, `synchronous=FULL`: an acknowledged write is on the disk. `application_id` is `Outr`. Tables:
//! - `meta(name, value)`: `format` (3; 1 had no checksums, 2 no counts, both are upgraded when they are opened),
//!   `revision` (the store's, never lower than before), `compacted` (history is complete after this revision), `probes`
//!   (how often a broken disk was tried), and `records:objects/GROUP/RESOURCE/`, how many current records there are: a
//!   load compares it with what it has found by the index.
//! - `record(id, key, revision, superseded, version_at, bytes, checksum)`: one row per version of a record.
//!   `revision` wrote it, `superseded` replaced or deleted it and is null for the current one. `checksum` is a
//!   CRC-32 of the rest, but for `superseded`, and is compared at every read: when a cache is loaded, too. Rows stay
//!   where they are: history is one copy, and an event is a row together with the row that it superseded. Not
//!   `WITHOUT ROWID`, which takes three times the space at these sizes.
//!
//! **Writes.** All that wait are committed in one transaction of SQLite (group commit), each at a revision of
//! its own; a failed precondition fails only its own. Then come the sinks, in the order of revisions, then the
//! acknowledgements. At most 64 MiB of writes wait, the rest waits outside.
//!
//! **Room** that deleted records leave is filled by later ones. What is free beyond 16 MiB and a quarter of the file is
//! given back to the disk.
//!
//! **History** is kept for 5 minutes (etcd's compaction by kube-apiserver), at most 100,000 superseded rows and
//! 256 MiB of them.
//!
//! **A full disk** or an I/O error makes the store read-only: the write that met it and those after it are
//! refused, each after a try of its own, and a timer tries too, so that it heals without a restart.

mod backup;
mod check;
mod copy;
mod counts;
mod folder;
mod mark;
mod rows;
mod scan;
mod schema;
mod vacuum;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

pub use self::backup::{backup, restore};
pub use self::check::{Progress, Report, check};
pub use self::copy::{Export, Import};
use self::mark::Mark;
use self::writer::{Command, Commit, Held, Writer};
use super::{Item, Revision, Scope, SharedRevision, Sink, Storage, StorageError, Write};
use crate::api::RequestContext;

/// How much may wait for the writer, in KiB.
const QUEUE_KIB: usize = 64 << 10;

/// What an operator may change.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How long to wait for another process to leave the folder: as long as a drain takes.
    pub lock_wait: Duration,
    /// History is kept at least so long...
    pub history_min_age: Duration,
    /// ...but never more superseded rows than this.
    pub history_max_rows: usize,
    /// So much free room stays in the file, in bytes, or a quarter of it where that is more.
    pub free_max_bytes: u64,
    /// How often an idle store looks after history and free room, and tries again whether a broken disk works.
    pub tend_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lock_wait: Duration::from_secs(30),
            history_min_age: Duration::from_secs(5 * 60),
            history_max_rows: 100_000,
            free_max_bytes: 16 << 20,
            tend_every: Duration::from_secs(1),
        }
    }
}

/// The folder cannot be used; one line that says why and what to do.
// One struct, not an enum: no caller does anything different for one reason than for another.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(String);

pub struct SqliteStorage {
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    /// Bounds what the queue holds.
    room: Arc<Semaphore>,
    reader: Arc<Mutex<Connection>>,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer thread tells.
struct Shared {
    file: PathBuf,
    /// What is on the disk, and in all sinks.
    progress: Arc<SharedRevision>,
    trouble: Mutex<Option<String>>,
}

impl SqliteStorage {
    /// Opens the store in `folder`, which is made where it is missing. Blocks, at most about
    /// [`Options::lock_wait`] while another process leaves.
    pub fn open(folder: &Path, options: Options) -> Result<Self, OpenError> {
        Self::take_over(folder, options, |_| {})
    }

    /// The same, and tells which process it waits for, as soon as it has to.
    pub fn take_over(
        folder: &Path,
        options: Options,
        mut waits_for: impl FnMut(&str),
    ) -> Result<Self, OpenError> {
        let (file, lock) = folder::prepare(folder, options.lock_wait, &mut waits_for)?;
        let mut connection = schema::open(&file)?;
        go_on(&mut connection, &file, mark::marked(folder))?;
        let mark = Mark::open(folder);
        let reader = schema::open_reader(&file)?;
        let state = schema::read_state(&connection, &file)?;
        let shared = Arc::new(Shared {
            file,
            progress: Arc::new(SharedRevision::new(state.revision)),
            trouble: Mutex::new(None),
        });
        let (sender, receiver) = mpsc::channel();
        mark.note(state.revision);
        let held = Held { mark, lock };
        let writer = Writer::new(connection, held, receiver, state, options, shared.clone());
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || writer.run())
            .map_err(|err| OpenError(format!("the store's thread does not start: {err}")))?;
        Ok(Self {
            commands: Mutex::new(Some(sender)),
            room: Arc::new(Semaphore::new(QUEUE_KIB)),
            reader: Arc::new(Mutex::new(reader)),
            shared,
            writer: Mutex::new(Some(thread)),
        })
    }

    /// Commits what waits, gives the folder back and ends the thread. Later writes are refused.
    pub async fn close(&self) {
        if let Some(thread) = self.stop() {
            // The thread has at most one group of writes to commit, so that this ends soon.
            let joined = tokio::task::spawn_blocking(move || thread.join().is_ok()).await;
            if !joined.unwrap_or(false) {
                tracing::error!("the store's thread ended by a panic");
            }
        }
    }

    fn stop(&self) -> Option<JoinHandle<()>> {
        // Without a sender the thread ends after what is queued.
        lock(&self.commands).take();
        lock(&self.writer).take()
    }

    fn send(&self, command: Command) -> Result<(), StorageError> {
        let sender = lock(&self.commands).clone();
        let sent = sender.and_then(|it| it.send(command).ok());
        sent.ok_or_else(closed)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StorageError> {
        let reader = Arc::clone(&self.reader);
        let task = tokio::task::spawn_blocking(move || read(&lock(&reader)));
        match task.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(err)) => {
                let text = writer::text_of(&self.shared.file, &err);
                Err(StorageError::Failed(anyhow!("cannot read: {text}")))
            }
            Err(err) => Err(StorageError::Failed(anyhow!(err))),
        }
    }
}

/// Where the store was at a later revision than it is: no revision is given a second time.
fn go_on(connection: &mut Connection, file: &Path, marked: Revision) -> Result<(), OpenError> {
    let describe = |err: rusqlite::Error| schema::describe(file, &err);
    let is_at = schema::meta(connection, "revision").map_err(describe)?;
    let is_at = Revision(is_at.unsigned_abs());
    if is_at >= marked {
        return Ok(());
    }
    let next = marked.0.saturating_add(backup::REVISIONS_SKIPPED);
    let next = Revision(next.min(i64::MAX.unsigned_abs()));
    tracing::error!(
        file = %file.display(),
        "the store is at revision {is_at} and was at {marked}: its log was damaged, or its file was put back or moved \
         away. What was written in between is lost. It goes on at {next}, and watches list again"
    );
    schema::begin_at(connection, next).map_err(describe)
}

impl Drop for SqliteStorage {
    fn drop(&mut self) {
        // The folder must be free when the value is gone; waits for one group of writes.
        if let Some(thread) = self.stop() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Storage for SqliteStorage {
    async fn attach(&self, prefix: &str, sink: Arc<dyn Sink>) -> Result<(), StorageError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Attach {
            prefix: prefix.into(),
            sink,
            reply,
        })?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn refresh(
        &self,
        _context: &RequestContext,
        _scope: Scope<'_>,
    ) -> Result<Revision, StorageError> {
        Ok(self.current_revision())
    }

    async fn commit(
        &self,
        _context: &RequestContext,
        writes: Vec<Write>,
    ) -> Result<Revision, StorageError> {
        let bytes: usize = writes
            .iter()
            .map(|it| it.key.len() + it.record.as_ref().map_or(0, |it| it.bytes.len()))
            .sum();
        // One write larger than the queue goes alone.
        let kib = u32::try_from((bytes >> 10) + 1).unwrap_or(u32::MAX);
        let kib = kib.min(u32::try_from(QUEUE_KIB).expect("64 Ki"));
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await;
        let (reply, answer) = oneshot::channel();
        self.send(Command::Commit(Commit {
            writes,
            reply,
            _room: room.map_err(|_| closed())?,
        }))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, StorageError> {
        let key: super::Key = key.into();
        self.read(move |connection| {
            let found = rows::current(connection, &key)?;
            Ok(found.map(|(revision, record)| Item {
                key,
                revision,
                record,
            }))
        })
        .await
    }

    async fn list(
        &self,
        prefix: &str,
        start: &str,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError> {
        let (prefix, start) = (prefix.to_owned(), start.to_owned());
        self.read(move |connection| rows::list(connection, &prefix, &start, limit))
            .await
    }

    fn current_revision(&self) -> Revision {
        self.shared.progress.revision()
    }

    fn trouble(&self) -> Option<String> {
        if self.is_dead() {
            return Some("the store's thread has stopped: restart the server".into());
        }
        lock(&self.shared.trouble).clone()
    }

    fn is_dead(&self) -> bool {
        let writer = lock(&self.writer);
        writer.as_ref().is_some_and(JoinHandle::is_finished)
    }
}

/// None of these values can be half changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn closed() -> StorageError {
    StorageError::ReadOnly("it is closed, the server stops".into())
}

#[cfg(test)]
mod tests;
