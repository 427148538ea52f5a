//! The store of several replicas: an etcd (3.5.13 or later) that all of them use.
//!
//! **Keys.** A record with the key `objects/…` is at `<prefix>/objects/…`, and its value is the record after a header
//! (`etcd/record.rs`). `<prefix>/meta/store` says that the prefix is ours, in which format, and which offset its
//! revisions have (`etcd/meta.rs`); `meta/deletes`, `meta/compaction` and `meta/probe` are the engine's, too. A prefix
//! with keys and without that record is refused, and nothing is written to it.
//!
//! **Revisions** are etcd's and the offset, which is 0 but for a store that was copied from elsewhere. One revision
//! has all changes of a commit. Others who use the same etcd move it, too.
//!
//! **Writes** are transactions with preconditions (`etcd/commit.rs`). etcd limits them: 128 operations
//! (`--max-txn-ops`), of which a batch has one for each write and one of its own, and 1.5 MiB
//! (`--max-request-bytes`).
//!
//! **Sinks** are fed from one watch (`etcd/feed.rs`). A commit is acknowledged when the watch has told of it, and a
//! consistent read asks etcd for its revision and waits until the watch is there (`etcd/refresh.rs`).
//!
//! **History** is in etcd until somebody compacts it. The last 10,000 revisions of it are read at the start, and at
//! most 100,000 changes or 64 MiB of them are remembered for sinks that are attached later.
//!
//! **Without etcd** caches stay as they are, and consistent reads and writes are refused with 503 until it answers
//! again; nothing has to be restarted. The same holds while it is at an earlier revision than the caches: it was
//! restored from a snapshot, and would give the revisions since then to other changes.

mod client;
mod commit;
mod compaction;
mod failure;
mod feed;
mod import;
mod load;
mod meta;
mod proto;
mod record;
mod refresh;
mod shared;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::client::{BackOff, Client};
use self::failure::Failure;
pub use self::import::Import;
use self::refresh::Questions;
use self::shared::Shared;
use super::{Item, Revision, Scope, Sink, Storage, StorageError, Write};
use crate::api::RequestContext;

/// Changes that are remembered for sinks that are attached later, and bytes of them.
const HISTORY_MAX_EVENTS: usize = 100_000;
const HISTORY_MAX_BYTES: usize = 64 << 20;
/// How much of what etcd remembers is read at the start.
const HISTORY_FIRST_REVISIONS: i64 = 10_000;

/// How long a read past the caches may take.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// After so long without an answer at the start it is said what is waited for.
const TELL_AFTER: Duration = Duration::from_secs(5);
/// How long the load of a sink may take.
const LOAD_DEADLINE: Duration = Duration::from_secs(120);

/// Where the etcd is, and as whom it is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// URLs of its members, `http://…` or `https://…`; never empty.
    pub servers: Vec<String>,
    /// What all keys begin with, e.g. `/outrigger`.
    pub prefix: String,
    /// PEM file of the CAs that sign the members' certificates.
    pub ca_file: Option<PathBuf>,
    /// PEM files of a client certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub credentials: Option<Credentials>,
    /// The etcd is ours alone and compacted by us, so often.
    pub compaction_interval: Option<Duration>,
    /// How long to wait for an etcd that does not answer at the start.
    pub connect_wait: Duration,
}

#[derive(Debug, Clone)]
pub struct Credentials {
    pub username: String,
    /// Read for each new token.
    pub password_file: PathBuf,
}

/// The etcd cannot be used; one line that says why and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(String);

impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> Self {
        Self(failure.text)
    }
}

pub struct EtcdStorage {
    shared: Arc<Shared>,
    questions: Questions,
    /// The feed, and what else runs as long as the store.
    tasks: Mutex<JoinSet<()>>,
}

impl EtcdStorage {
    /// Finds the store below the prefix, or makes it, and begins to follow it.
    ///
    /// # Errors
    /// At once where somebody has to change something, after [`Options::connect_wait`] where etcd does not answer.
    pub async fn connect(options: Options) -> Result<Self, ConnectError> {
        Self::begin(options, meta::open).await
    }

    /// The same with a store that must be there: nothing is written.
    ///
    /// # Errors
    /// Also where there is none.
    pub async fn connect_existing(options: Options) -> Result<Self, ConnectError> {
        Self::begin(options, meta::existing).await
    }

    async fn begin(
        options: Options,
        open: impl AsyncFn(&Client, &str, Instant) -> Result<meta::Found, Failure>,
    ) -> Result<Self, ConnectError> {
        let prefix = checked_prefix(&options)?;
        let deadline = Instant::now() + options.connect_wait;
        let interval = options.compaction_interval;
        let client = Client::new(options);
        let found = find(open, &client, &prefix, deadline).await?;
        // etcd itself begins at 1, without a change.
        let after = (found.revision - HISTORY_FIRST_REVISIONS).max(1);
        let shared = Arc::new(Shared::new(client, prefix, found, after));
        let (questions, waiting) = Questions::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(feed::run(Arc::clone(&shared)));
        tasks.spawn(refresh::run(Arc::clone(&shared), waiting));
        if let Some(interval) = interval {
            tasks.spawn(compaction::run(Arc::clone(&shared), interval));
        }
        let now = found.public(found.revision);
        if !shared.wait_for(now, true, deadline).await {
            return Err(ConnectError(load::behind(&shared, now).to_string()));
        }
        Ok(Self {
            shared,
            questions,
            tasks: Mutex::new(tasks),
        })
    }

    /// Ends the tasks. What is written later is not seen here any more.
    pub async fn close(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
    }

    // A set of tasks cannot be half changed by a panic.
    fn tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The prefix with a `/` at its end.
fn checked_prefix(options: &Options) -> Result<String, ConnectError> {
    let prefix = options.prefix.trim_end_matches('/');
    if prefix.is_empty() {
        let text = "--etcd-prefix is empty: name one that nobody else uses, e.g. /outrigger";
        return Err(ConnectError(text.into()));
    }
    if options.servers.is_empty() {
        return Err(ConnectError("--etcd-servers names no server".into()));
    }
    for server in &options.servers {
        let is_secure = server.starts_with("https://");
        if !is_secure && !server.starts_with("http://") {
            return Err(ConnectError(format!(
                "--etcd-servers: {server:?} begins with neither http:// nor https://"
            )));
        }
        if is_secure && options.ca_file.is_none() {
            return Err(ConnectError(format!(
                "{server} needs the CA that signed its certificate: give --etcd-cafile"
            )));
        }
    }
    Ok(format!("{prefix}/"))
}

/// Waits for an etcd that is on its way.
async fn find(
    open: impl AsyncFn(&Client, &str, Instant) -> Result<meta::Found, Failure>,
    client: &Client,
    prefix: &str,
    deadline: Instant,
) -> Result<meta::Found, ConnectError> {
    let mut back_off = BackOff::default();
    let mut before: Option<Failure> = None;
    loop {
        let tell_by = deadline.min(Instant::now() + TELL_AFTER);
        let failure = match open(client, prefix, tell_by).await {
            Ok(found) => return Ok(found),
            Err(failure) => failure,
        };
        if Instant::now() >= deadline {
            // The last try was cut short, which says nothing of etcd.
            return Err(before.unwrap_or(failure).into());
        }
        let pause = back_off.next();
        if !failure.is_passing() || Instant::now() + pause >= deadline {
            return Err(failure.into());
        }
        if before.is_none_or(|it| it.text != failure.text) {
            tracing::warn!("waiting for etcd: {}", failure.text);
        }
        before = Some(failure);
        sleep(pause).await;
    }
}

#[async_trait]
impl Storage for EtcdStorage {
    async fn attach(&self, prefix: &str, sink: Arc<dyn Sink>) -> Result<(), StorageError> {
        load::attach(&self.shared, prefix, sink).await
    }

    async fn refresh(
        &self,
        context: &RequestContext,
        _scope: Scope<'_>,
    ) -> Result<Revision, StorageError> {
        self.questions.ask(&self.shared, context.deadline).await
    }

    async fn commit(
        &self,
        context: &RequestContext,
        writes: Vec<Write>,
    ) -> Result<Revision, StorageError> {
        commit::commit(&self.shared, writes, context.deadline).await
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, StorageError> {
        let request = proto::RangeRequest {
            key: self.shared.key(key),
            ..Default::default()
        };
        let deadline = Instant::now() + REQUEST_DEADLINE;
        let seen = self.shared.revision();
        let answer = self.shared.client.range(request, deadline).await;
        let answer = answer.map_err(unavailable)?;
        let now = self.shared.answered(seen, answer.header.as_ref());
        now.map_err(unavailable)?;
        let found = answer.kvs.into_iter().next();
        Ok(found.and_then(|it| self.shared.item(it)))
    }

    async fn list(
        &self,
        prefix: &str,
        start: &str,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError> {
        let deadline = Instant::now() + REQUEST_DEADLINE;
        let read = load::items(&self.shared, prefix, start, limit, 0, deadline).await;
        Ok(read.map_err(unavailable)?.0)
    }

    fn current_revision(&self) -> Revision {
        self.shared.revision()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn trouble(&self) -> Option<String> {
        if self.is_dead() {
            return Some("a task of the store has stopped: restart the server".into());
        }
        self.shared.trouble()
    }

    fn is_dead(&self) -> bool {
        // None of them ends by itself.
        self.tasks().try_join_next().is_some()
    }
}

fn unavailable(failure: Failure) -> StorageError {
    StorageError::Unavailable(failure.text)
}

#[cfg(test)]
mod tests;
