//! Objects that a plugin keeps, made into a [`Storage`] by a journal in the host's own store.
//!
//! A backend is less than a storage engine: its versions are opaque, it has no history. The journal gives what
//! is missing, the same for every resource: resourceVersions, conditional updates, watches. A row of it is
//! - the object under the resource's own prefix, with the metadata that the host owns ([`row::HOST_OWNED`]), so
//!   that caches are fed by the journal as for any other resource;
//! - a side record under `mirror/<group>/<resource>/…`: the backend's version and uid of it.
//!
//! ```text
//!   get, list ── refresh ──▶ backend.get/list ─▶ row, if it differs ─▶ cache
//!   write ─▶ row as expected? ─▶ backend.create/update/delete ─▶ row by compare-and-swap ─▶ cache
//!   pump (poll, relist) ───────▶ row, if it differs ─▶ cache
//! ```
//!
//! A write and the recording of what was read take turns per object; a row that changed while the backend was
//! asked is never overwritten with the older answer. A backend without versions of its own gets a digest of
//! its answer instead, checked by a get before a conditional write: two writers that go past the host can slip
//! between these two.
//!
//! Limits: a list reads at most 100,000 objects; one write at a time, no batches.

mod pump;
mod row;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::OwnedMutexGuard;
use tokio_util::task::AbortOnDropHandle;

use self::row::{Row, Seen};
use super::{Expected, Item, Key, Revision, Scope, Sink, Storage, StorageError, Write};
use crate::ambient::{Clock, UidSource};
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext, Status};

/// One object, or a place for one, of a resource that a plugin keeps. Objects are in the storage version.
#[derive(Debug, Clone, Copy)]
pub struct BackendTarget<'a> {
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
}

/// A page of a backend's list.
#[derive(Debug, Default)]
pub struct BackendPage {
    pub items: Vec<Object>,
    /// Opaque: where the next page begins.
    pub next: Option<String>,
}

#[derive(Debug)]
pub struct BackendChanges {
    /// Objects as they are now.
    pub changed: Vec<Object>,
    /// At least name, namespace and uid of objects that are gone.
    pub deleted: Vec<Object>,
    /// Opaque: where the next poll begins.
    pub cursor: String,
    /// The plugin cannot say what changed: all of it is to be listed again.
    pub resync: bool,
}

/// Where a plugin keeps objects. Versions are opaque texts (`metadata.resourceVersion` of its answers).
///
/// # Errors
/// The answer for the client; 404 `NotFound` and 409 `Conflict` are understood by the mirror.
#[async_trait]
pub trait Backend: Send + Sync {
    async fn get(&self, context: &RequestContext, target: BackendTarget<'_>) -> Result<Object>;
    async fn list(
        &self,
        context: &RequestContext,
        namespace: Option<&str>,
        limit: u32,
        next: Option<String>,
    ) -> Result<BackendPage>;
    async fn create(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        object: &Object,
    ) -> Result<Object>;
    async fn update(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        object: &Object,
        expect_version: Option<&str>,
    ) -> Result<Object>;
    async fn delete(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        expect_version: Option<&str>,
    ) -> Result<()>;
    /// Waits up to `max_wait_ms` for changes after `cursor`; `None` begins.
    async fn poll(
        &self,
        context: &RequestContext,
        cursor: Option<String>,
        max_wait_ms: u32,
        limit: u32,
    ) -> Result<BackendChanges>;
}

/// Objects that a list of a backend may have: more do not fit a cache in memory either.
const LIST_MAX_ITEMS: usize = 100_000;
const LIST_PAGE: u32 = 500;

/// Rows that one list records at once: their commits share transactions of the engine.
const RECORD_AT_ONCE: usize = 64;

/// How often a get is tried while others write the object.
const ATTEMPTS: usize = 5;

/// Which resource is mirrored, and how.
#[derive(Debug, Clone)]
pub struct MirrorOptions {
    /// Key prefix of all its objects, ending in `/`.
    pub prefix: String,
    pub is_namespaced: bool,
    /// Of the storage version, e.g. `example.com/v1`.
    pub api_version: String,
    pub kind: String,
    /// Whether objects have a `metadata.generation`: custom resources do, typed ones only if they choose to.
    pub has_generation: bool,
    pub changes: Changes,
}

/// How changes that the host does not make are noticed between reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    /// The backend answers [`Backend::poll`].
    Poll,
    /// All is listed every so often.
    Relist { period: Duration },
    /// Not at all: what nobody reads stays as it was, so that such a resource is not to be watched.
    Unwatched,
}

/// One resource of a plugin as a [`Storage`]. Its pump ends with it.
pub struct Mirror {
    recorder: Arc<Recorder>,
    _pump: Option<AbortOnDropHandle<()>>,
}

impl Mirror {
    /// Starts the pump; needs a tokio runtime.
    pub fn start(
        options: MirrorOptions,
        backend: Arc<dyn Backend>,
        journal: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        uids: Arc<dyn UidSource>,
    ) -> Self {
        let changes = options.changes;
        let recorder = Arc::new(Recorder {
            options,
            backend,
            journal,
            clock,
            uids,
            turns: Mutex::default(),
        });
        let pump = pump::start(changes, Arc::clone(&recorder));
        Self {
            recorder,
            _pump: pump,
        }
    }
}

#[async_trait]
impl Storage for Mirror {
    async fn attach(&self, prefix: &str, sink: Arc<dyn Sink>) -> Result<(), StorageError> {
        self.recorder.journal.attach(prefix, sink).await
    }

    async fn refresh(
        &self,
        context: &RequestContext,
        scope: Scope<'_>,
    ) -> Result<Revision, StorageError> {
        match scope.name {
            Some(name) => {
                let key = self.recorder.options.key(scope.namespace, name);
                self.recorder.refresh_one(context, &key).await?;
            }
            None => self.recorder.refresh_all(context, scope).await?,
        }
        Ok(self.current_revision())
    }

    async fn commit(
        &self,
        context: &RequestContext,
        mut writes: Vec<Write>,
    ) -> Result<Revision, StorageError> {
        let Some(write) = writes.pop() else {
            return Ok(self.current_revision());
        };
        let is_ours = write.key.starts_with(&self.recorder.options.prefix);
        if !is_ours || !writes.is_empty() {
            let why = anyhow!("a mirror takes one write of its own resource, not a batch");
            return Err(StorageError::Failed(why));
        }
        self.recorder.write(context, write).await
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, StorageError> {
        self.recorder.journal.get(key).await
    }

    async fn list(
        &self,
        prefix: &str,
        start: &str,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError> {
        self.recorder.journal.list(prefix, start, limit).await
    }

    fn current_revision(&self) -> Revision {
        self.recorder.journal.current_revision()
    }

    /// Of the journal alone: a plugin that fails must not make the server unready.
    fn trouble(&self) -> Option<String> {
        self.recorder.journal.trouble()
    }
}

impl MirrorOptions {
    fn key(&self, namespace: Option<&str>, name: &str) -> Key {
        match namespace {
            Some(namespace) => format!("{}{namespace}/{name}", self.prefix).into(),
            None => format!("{}{name}", self.prefix).into(),
        }
    }

    /// The key of an object that a backend answered with.
    fn key_of(&self, object: &Object) -> Result<Key> {
        let is_segment = |it: &str| !it.is_empty() && !it.contains('/');
        let (namespace, name) = (object.namespace(), object.name());
        if !is_segment(name) || (self.is_namespaced && !is_segment(namespace)) {
            return Err(status::internal(
                "the plugin answered with an object without a name or namespace",
            ));
        }
        Ok(self.key(self.is_namespaced.then_some(namespace), name))
    }

    fn target<'a>(&self, key: &'a str) -> BackendTarget<'a> {
        let below = key.strip_prefix(self.prefix.as_str()).unwrap_or(key);
        match below.split_once('/') {
            Some((namespace, name)) if self.is_namespaced => BackendTarget {
                namespace: Some(namespace),
                name: Some(name),
            },
            _ => BackendTarget {
                namespace: None,
                name: Some(below),
            },
        }
    }
}

/// Brings rows and backend together.
struct Recorder {
    options: MirrorOptions,
    backend: Arc<dyn Backend>,
    journal: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    uids: Arc<dyn UidSource>,
    /// Objects that are being written or recorded.
    turns: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

/// Says that nobody else writes the object or its row, as long as it is held.
type Turn = OwnedMutexGuard<()>;

impl Recorder {
    async fn refresh_one(&self, context: &RequestContext, key: &Key) -> Result<(), StorageError> {
        for _ in 0..ATTEMPTS {
            let row = self.row(key).await?;
            let found = self.ask(context, key).await?;
            if self.record(context, key, &row, found).await? {
                return Ok(());
            }
        }
        let why = "the object changes faster than it can be read";
        Err(StorageError::Refused(status::unavailable(why, 1)))
    }

    /// Rows are read before the backend is asked: one that changed meanwhile is newer than the answer.
    async fn refresh_all(
        &self,
        context: &RequestContext,
        scope: Scope<'_>,
    ) -> Result<(), StorageError> {
        let mut rows = self.rows(scope.prefix).await?;
        let mut found: HashMap<Key, Object> = HashMap::new();
        let mut next = None;
        loop {
            let page = self.backend.list(context, scope.namespace, LIST_PAGE, next);
            let page = page.await.map_err(StorageError::Refused)?;
            for object in page.items {
                let key = self
                    .options
                    .key_of(&object)
                    .map_err(StorageError::Refused)?;
                if key.starts_with(scope.prefix) {
                    found.insert(key, object);
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
            if found.len() > LIST_MAX_ITEMS || tokio::time::Instant::now() >= context.deadline {
                let why = "the plugin's list does not end";
                return Err(StorageError::Refused(status::timeout(why, 0)));
            }
        }
        let mut seen: Vec<(Key, Row, Option<Object>)> = Vec::new();
        for (key, object) in found {
            let row = rows.remove(&key).unwrap_or_default();
            seen.push((key, row, Some(object)));
        }
        seen.extend(rows.into_iter().map(|(key, row)| (key, row, None)));
        stream::iter(seen)
            .map(async |(key, row, object)| {
                // `false` is a newer row, which is as good.
                self.record(context, &key, &row, object).await.map(drop)
            })
            .buffer_unordered(RECORD_AT_ONCE)
            .try_collect()
            .await
    }

    /// Changes the row to what the backend has, if that is something else. `false`: the row is not `row` any
    /// more, and nothing was done.
    async fn record(
        &self,
        context: &RequestContext,
        key: &Key,
        row: &Row,
        found: Option<Object>,
    ) -> Result<bool, StorageError> {
        let mut seen = found.map(|object| Seen::new(object, &self.options));
        if let Some(seen) = &mut seen {
            if row.is_same(key, seen, &self.options) {
                return Ok(true);
            }
        } else if row.is_empty() {
            return Ok(true);
        }
        let _turn = self.turn(context, key).await?;
        self.record_in_turn(context, key, row, seen).await
    }

    async fn record_in_turn(
        &self,
        context: &RequestContext,
        key: &Key,
        row: &Row,
        seen: Option<Seen>,
    ) -> Result<bool, StorageError> {
        let mut row = row.clone();
        if let Some(seen) = &seen
            && row.is_another_object(seen)
        {
            // Deleted and created again behind our back: watchers must see both.
            match self.replace(context, key, &row, None).await {
                Err(StorageError::Conflict { .. } | StorageError::Exists { .. }) => {
                    return Ok(false);
                }
                other => other?,
            };
            row = Row::default();
        }
        let object = seen.as_ref().map(|seen| {
            let first_seen = (self.clock.now(), self.uids.uid());
            row.merged(key, seen, first_seen, &self.options)
        });
        let now = object.as_ref().zip(seen.as_ref());
        match self.replace(context, key, &row, now).await {
            Ok(_) => Ok(true),
            Err(StorageError::Conflict { .. } | StorageError::Exists { .. }) => Ok(false),
            Err(err) => Err(err),
        }
    }

    /// The row by compare-and-swap: both records or none.
    async fn replace(
        &self,
        context: &RequestContext,
        key: &Key,
        row: &Row,
        now: Option<(&Object, &Seen)>,
    ) -> Result<Revision, StorageError> {
        let writes = row.writes(key, now, &self.options)?;
        self.journal.commit(context, writes).await
    }

    async fn write(
        &self,
        context: &RequestContext,
        write: Write,
    ) -> Result<Revision, StorageError> {
        let key = &write.key;
        let _turn = self.turn(context, key).await?;
        let row = self.row(key).await?;
        row.check(key, write.expected)?;
        let Some(record) = &write.record else {
            return self.delete(context, key, write.expected, &row).await;
        };
        let new = Object::from_slice(&record.bytes);
        let new =
            new.ok_or_else(|| StorageError::Failed(anyhow!("{key} is written without JSON")))?;
        if let Some(old) = row.object()
            && row::is_host_owned_change(old, &new)
        {
            return self.journal.commit(context, vec![write]).await;
        }
        let target = self.options.target(key);
        let sent = row::for_backend(&new);
        let answer = if row.is_empty() {
            self.backend.create(context, target, &sent).await
        } else {
            let version = self
                .expected_version(context, key, write.expected, &row)
                .await?;
            self.backend.update(context, target, &sent, version).await
        };
        match answer {
            Ok(answer) => {
                let seen = Seen::new(answer, &self.options);
                let object = row::with_host_metadata(key, &seen, &new, &self.options);
                self.replace(context, key, &row, Some((&object, &seen)))
                    .await
            }
            Err(refused) => Err(self.refused(context, key, &row, refused).await?),
        }
    }

    async fn delete(
        &self,
        context: &RequestContext,
        key: &Key,
        expected: Expected,
        row: &Row,
    ) -> Result<Revision, StorageError> {
        if row.is_empty() {
            return Ok(self.journal.current_revision());
        }
        let version = self.expected_version(context, key, expected, row).await?;
        let target = self.options.target(key);
        match self.backend.delete(context, target, version).await {
            Ok(()) => {}
            // Gone already: what is left is the row.
            Err(status) if status.code == 404 => {}
            Err(refused) => return Err(self.refused(context, key, row, refused).await?),
        }
        self.replace(context, key, row, None).await
    }

    /// What the backend is to compare; checked here where it has no versions.
    async fn expected_version<'a>(
        &self,
        context: &RequestContext,
        key: &Key,
        expected: Expected,
        row: &'a Row,
    ) -> Result<Option<&'a str>, StorageError> {
        if expected == Expected::Anything {
            return Ok(None);
        }
        if let Some(version) = row.backend_version() {
            return Ok(Some(version));
        }
        let found = self.ask(context, key).await?;
        let seen = found.map(|object| Seen::new(object, &self.options));
        if seen.as_ref().is_some_and(|seen| row.has_digest_of(seen)) {
            return Ok(None);
        }
        self.record_in_turn(context, key, row, seen).await?;
        Err(self.conflict(key).await?)
    }

    /// What a refusal of a write means, after the row has been brought up to date.
    async fn refused(
        &self,
        context: &RequestContext,
        key: &Key,
        row: &Row,
        refused: Box<Status>,
    ) -> Result<StorageError, StorageError> {
        match (refused.code, row.is_empty()) {
            (409, _) => {
                let found = self.ask(context, key).await?;
                let is_there = found.is_some();
                let seen = found.map(|object| Seen::new(object, &self.options));
                self.record_in_turn(context, key, row, seen).await?;
                match (row.is_empty(), is_there) {
                    (true, true) => Ok(StorageError::Exists { key: key.clone() }),
                    // Something else conflicts: the plugin's own words say what.
                    (true, false) => Ok(StorageError::Refused(refused)),
                    (false, _) => self.conflict(key).await,
                }
            }
            (404, false) => {
                self.replace(context, key, row, None).await?;
                self.conflict(key).await
            }
            _ => Ok(StorageError::Refused(refused)),
        }
    }

    async fn conflict(&self, key: &Key) -> Result<StorageError, StorageError> {
        let actual = self.journal.get(key).await?.map(Box::new);
        Ok(StorageError::Conflict {
            key: key.clone(),
            actual,
        })
    }

    /// The object as the backend has it; `None` where it is not there.
    async fn ask(
        &self,
        context: &RequestContext,
        key: &Key,
    ) -> Result<Option<Object>, StorageError> {
        let target = self.options.target(key);
        match self.backend.get(context, target).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(StorageError::Refused(status)),
        }
    }

    async fn row(&self, key: &Key) -> Result<Row, StorageError> {
        let side = self.journal.get(&row::side_key(key)).await?;
        let item = self.journal.get(key).await?;
        Ok(Row::new(item, side))
    }

    async fn rows(&self, prefix: &str) -> Result<HashMap<Key, Row>, StorageError> {
        let side_prefix = row::side_key(prefix);
        let sides = self.journal.list(&side_prefix, "", usize::MAX).await?;
        let mut sides: HashMap<Key, Item> = sides
            .into_iter()
            .map(|it| (Arc::clone(&it.key), it))
            .collect();
        let items = self.journal.list(prefix, "", usize::MAX).await?;
        let rows = items.into_iter().map(|item| {
            let side = sides.remove(&row::side_key(&item.key));
            (Arc::clone(&item.key), Row::new(Some(item), side))
        });
        Ok(rows.collect())
    }

    async fn turn(&self, context: &RequestContext, key: &Key) -> Result<Turn, StorageError> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            match turns.get(key).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    turns.retain(|_, it| it.strong_count() > 0);
                    let turn = Arc::default();
                    turns.insert(key.clone(), Arc::downgrade(&turn));
                    turn
                }
            }
        };
        let waited = tokio::time::timeout_at(context.deadline, turn.lock_owned()).await;
        waited.map_err(|_| {
            let why = "another request is writing the object";
            StorageError::Refused(status::timeout(why, 1))
        })
    }
}
