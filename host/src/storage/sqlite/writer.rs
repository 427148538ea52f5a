//! The one thread that writes: group commit, the feeding of sinks, compaction, and recovery from a full disk.
//!
//! ```text
//!            ┌────────── a write or the timer succeeds ──────────┐
//!            ▼                                                   │
//!         working ── disk full, I/O error, not writable ──▶ read-only (trouble says why)
//! ```

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use anyhow::anyhow;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::counts::{self, Counts};
use super::folder::FolderLock;
use super::mark::Mark;
use super::schema::State;
use super::{Options, Shared, lock, rows, scan, vacuum};
use crate::storage::sinks::Sinks;
use crate::storage::{Event, Key, Revision, Sink, StorageError, Write, transaction};

/// Most transactions in one of SQLite's, so that the first does not wait long for the last.
const GROUP_MAX: usize = 2_000;

/// Superseded rows that one step of compaction deletes, while writes wait.
const COMPACTION_STEP: usize = 1_000;

/// Superseded bytes beyond which history is cut however young it is.
const HISTORY_MAX_BYTES: usize = 256 << 20;

pub(super) enum Command {
    Commit(Commit),
    Attach {
        prefix: String,
        sink: Arc<dyn Sink>,
        reply: oneshot::Sender<Result<(), StorageError>>,
    },
    /// Lets a test put the file into a state that takes a broken disk otherwise.
    #[cfg(test)]
    With(Box<dyn FnOnce(&Connection) + Send>),
}

pub(super) struct Commit {
    pub(super) writes: Vec<Write>,
    pub(super) reply: oneshot::Sender<Result<Revision, StorageError>>,
    /// Its place in the queue, free again when it is answered.
    pub(super) _room: OwnedSemaphorePermit,
}

/// A transaction that is in the file, or changed nothing.
struct Committed {
    revision: Revision,
    events: Vec<Event>,
}

pub(super) struct Writer {
    // Closed before the lock goes.
    connection: Connection,
    commands: Receiver<Command>,
    state: State,
    sinks: Sinks,
    options: Options,
    /// When the store was at which revision, oldest first: what is old enough to be compacted.
    marks: VecDeque<(Instant, Revision)>,
    tended: Instant,
    shared: Arc<Shared>,
    held: Held,
}

/// Of the folder.
pub(super) struct Held {
    pub(super) mark: Mark,
    #[expect(dead_code, reason = "held for as long as the writer")]
    pub(super) lock: FolderLock,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        held: Held,
        commands: Receiver<Command>,
        state: State,
        options: Options,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            connection,
            commands,
            marks: VecDeque::from([(Instant::now(), state.revision)]),
            state,
            sinks: Sinks::new(Arc::clone(&shared.progress)),
            options,
            tended: Instant::now(),
            shared,
            held,
        }
    }

    /// Until all senders are gone; what they have sent is done first.
    pub(super) fn run(mut self) {
        loop {
            match self.commands.recv_timeout(self.options.tend_every) {
                Ok(first) => self.take(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.tended.elapsed() >= self.options.tend_every {
                self.tended = Instant::now();
                self.tend();
            }
        }
        // The log is empty after an orderly end; a failure leaves it to the next start.
        let checkpoint = self
            .connection
            .pragma_update(None, "wal_checkpoint", "truncate");
        if let Err(err) = checkpoint {
            tracing::debug!(error = %err, "the store's log stays for the next start");
        }
    }

    /// Does a command and all that wait behind it.
    fn take(&mut self, first: Command) {
        let mut group = Vec::new();
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Commit(commit) => group.push(commit),
                Command::Attach {
                    prefix,
                    sink,
                    reply,
                } => {
                    self.commit(std::mem::take(&mut group));
                    // Nobody waits for the answer any more: the sink is weak and goes by itself.
                    let _ = reply.send(self.attach(&prefix, sink));
                }
                #[cfg(test)]
                Command::With(run) => {
                    self.commit(std::mem::take(&mut group));
                    run(&self.connection);
                }
            }
            next = match group.len() {
                ..GROUP_MAX => self.commands.try_recv().ok(),
                _ => None,
            };
        }
        self.commit(group);
    }

    /// Its own hold on the sink is gone before the answer.
    fn attach(&mut self, prefix: &str, sink: Arc<dyn Sink>) -> Result<(), StorageError> {
        let read = || {
            let items = scan::items(&self.connection, &self.shared.file, prefix)?;
            counts::check_loaded(&self.connection, prefix, &items, self.state.revision)?;
            let limit = self.options.history_max_rows;
            let oldest = self.state.compacted;
            let (history, oldest) = rows::history(&self.connection, prefix, oldest, limit, &items)?;
            Ok((items, history, oldest))
        };
        let (items, history, oldest) = read().map_err(|err| self.failure(&err))?;
        sink.load(items, history, oldest, self.state.revision);
        self.sinks.add(prefix, &sink);
        Ok(())
    }

    fn commit(&mut self, mut group: Vec<Commit>) {
        if group.is_empty() {
            return;
        }
        let writes = group
            .iter_mut()
            .map(|it| std::mem::take(&mut it.writes))
            .collect();
        match self.write(writes) {
            Ok(results) => {
                // Refusals write nothing: they tell nothing of the disk.
                let mut committed = results.iter().flatten();
                if committed.any(|it| !it.events.is_empty()) {
                    self.set_trouble(None);
                }
                for (commit, result) in group.into_iter().zip(results) {
                    let result = result.map(|committed| self.publish(committed));
                    // The client may have gone; the write stays.
                    let _ = commit.reply.send(result);
                }
            }
            Err(err) => {
                let text = self.describe(&err);
                self.set_trouble(Some(text.unwrap_or_else(|| err.to_string())));
                for commit in group {
                    let _ = commit.reply.send(Err(self.failure(&err)));
                }
            }
        }
    }

    /// Commits all of the group in one transaction of SQLite, which is on the disk when this returns.
    fn write(
        &mut self,
        group: Vec<Vec<Write>>,
    ) -> rusqlite::Result<Vec<Result<Committed, StorageError>>> {
        let immediate = TransactionBehavior::Immediate;
        let file = &self.shared.file;
        let transaction = self.connection.transaction_with_behavior(immediate)?;
        let mut revision = self.state.revision;
        let mut results = Vec::with_capacity(group.len());
        let mut counts = Counts::default();
        for writes in group {
            let next = Revision(revision.0 + 1);
            let mut broken = None;
            let current = |key: &Key| {
                rows::current(&transaction, key).map_err(|err| {
                    let error = failed(file, &err);
                    // One damaged record spoils the writes to it, and no others.
                    if rows::damage(&err).is_none() {
                        broken = Some(err);
                    }
                    error
                })
            };
            let events = transaction::events(writes, next, current);
            if let Some(err) = broken {
                return Err(err);
            }
            results.push(match events {
                Ok(events) => {
                    rows::write(&transaction, &events)?;
                    counts.add(&events);
                    if !events.is_empty() {
                        revision = next;
                    }
                    Ok(Committed { revision, events })
                }
                Err(refused) => Err(refused),
            });
        }
        if revision > self.state.revision {
            counts.write(&transaction)?;
            rows::set_meta(&transaction, "revision", revision)?;
            transaction.commit()?;
            self.held.mark.note(revision);
        }
        Ok(results)
    }

    /// Feeds the sinks with what is on the disk.
    fn publish(&mut self, committed: Committed) -> Revision {
        let Committed { revision, events } = committed;
        if !events.is_empty() {
            for (_, previous) in events.iter().filter_map(|it| it.previous.as_ref()) {
                self.state.history_rows += 1;
                self.state.history_bytes += previous.bytes.len();
            }
            self.state.revision = revision;
            self.sinks.apply(&events, revision);
        }
        revision
    }

    /// What is to be done now and then: marks of time, compaction, free room, and the try whether a broken disk works.
    fn tend(&mut self) {
        let age = self.options.history_min_age;
        let spacing = age / 30;
        if self
            .marks
            .back()
            .is_none_or(|(at, _)| at.elapsed() >= spacing)
        {
            self.marks.push_back((Instant::now(), self.state.revision));
        }
        let mut due = None;
        while let Some(mark) = self.marks.pop_front_if(|(at, _)| at.elapsed() >= age) {
            due = Some(mark);
        }
        let is_broken = lock(&self.shared.trouble).is_some();
        let result = if is_broken { self.probe() } else { Ok(()) };
        let due_revision = due.map_or(Revision(0), |(_, revision)| revision);
        let result = result.and_then(|()| self.compact(due_revision));
        match result.and_then(|()| self.vacuum()) {
            Ok(()) => self.set_trouble(None),
            Err(err) => {
                if let Some(mark) = due {
                    // It is due again.
                    self.marks.push_front(mark);
                }
                let text = self.describe(&err);
                self.set_trouble(Some(text.unwrap_or_else(|| err.to_string())));
            }
        }
    }

    /// Writes a number that was not there: what is there already SQLite would not write again.
    fn probe(&mut self) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO meta VALUES ('probes', 1) ON CONFLICT DO UPDATE SET value = value + 1",
            [],
        )?;
        transaction.commit()
    }

    /// Deletes what was superseded up to `due`, and more where there is too much. In steps, between which
    /// writes that wait are committed.
    fn compact(&mut self, due: Revision) -> rusqlite::Result<()> {
        loop {
            let is_too_much = self.state.history_rows > self.options.history_max_rows
                || self.state.history_bytes > HISTORY_MAX_BYTES;
            if due <= self.state.compacted && !is_too_much {
                return Ok(());
            }
            let up_to = if is_too_much {
                self.state.revision
            } else {
                due
            };
            let transaction = self.connection.transaction()?;
            let deleted = rows::delete_superseded(&transaction, up_to, COMPACTION_STEP)?;
            let is_done = deleted.rows < COMPACTION_STEP;
            let mut compacted = self.state.compacted.max(deleted.up_to);
            if is_done {
                compacted = compacted.max(due);
            }
            rows::set_meta(&transaction, "compacted", compacted)?;
            transaction.commit()?;
            self.state.compacted = compacted;
            self.state.history_rows = self.state.history_rows.saturating_sub(deleted.rows);
            self.state.history_bytes = self.state.history_bytes.saturating_sub(deleted.bytes);
            if is_done {
                return Ok(());
            }
            if let Ok(waiting) = self.commands.try_recv() {
                self.take(waiting);
            }
        }
    }

    /// In steps, between which writes that wait are committed.
    fn vacuum(&mut self) -> rusqlite::Result<()> {
        let mut left = vacuum::excess(&self.connection, self.options.free_max_bytes)?;
        if left == 0 {
            return Ok(());
        }
        while left > 0 {
            let step = left.min(vacuum::STEP);
            vacuum::give_back(&self.connection, step)?;
            left -= step;
            if let Ok(waiting) = self.commands.try_recv() {
                self.take(waiting);
            }
        }
        vacuum::shorten(&self.connection)
    }

    fn failure(&self, err: &rusqlite::Error) -> StorageError {
        match self.describe(err) {
            Some(text) => StorageError::ReadOnly(text),
            None => failed(&self.shared.file, err),
        }
    }

    /// `None` for what is no state of the disk.
    fn describe(&self, err: &rusqlite::Error) -> Option<String> {
        let file = self.shared.file.display();
        let text = match err.sqlite_error_code()? {
            ErrorCode::DiskFull => format!(
                "the disk of {file} is full: free space or grow the volume, writes go on by themselves then"
            ),
            ErrorCode::SystemIoFailure => format!(
                "the disk of {file} fails ({err}): check it, writes go on by themselves when it works again"
            ),
            ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied => format!(
                "{file} cannot be written ({err}): check its mount, owner and mode, writes go on by themselves"
            ),
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => format!(
                "another program holds a lock on {file}: end it, writes go on by themselves"
            ),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                format!("{file} is damaged ({err}): stop the server and restore a backup")
            }
            _ => return None,
        };
        Some(text)
    }

    fn set_trouble(&self, trouble: Option<String>) {
        let mut known = lock(&self.shared.trouble);
        match (&trouble, &*known) {
            (Some(text), None) => tracing::error!("the store is read-only: {text}"),
            (None, Some(_)) => tracing::info!("the store takes writes again"),
            _ => {}
        }
        *known = trouble;
    }
}

/// What is not for the disk to heal.
fn failed(file: &Path, err: &rusqlite::Error) -> StorageError {
    StorageError::Failed(anyhow!("{}", text_of(file, err)))
}

/// One line that says what to do.
pub(super) fn text_of(file: &Path, err: &rusqlite::Error) -> String {
    let file = file.display();
    match rows::damage(err) {
        Some(damaged) => format!(
            "{file} is damaged: {damaged}; `outrigger store check` finds all such records, a backup has them sound"
        ),
        None => format!("{file}: {err}"),
    }
}
