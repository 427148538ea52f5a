//! Brings rows of the journal and objects of the backend together: for reads, for writes, for the pump.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anyhow::anyhow;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::OwnedMutexGuard;

use super::row::{self, Row, Seen};
use super::{Backend, MirrorOptions};
use crate::ambient::{Clock, UidSource};
use crate::api::{Object, RequestContext, Status, status};
use crate::storage::{Expected, Item, Key, Revision, Scope, Storage, StorageError, Write};

/// Objects that a list of a backend may have: more do not fit a cache in memory either.
const LIST_MAX_ITEMS: usize = 100_000;
const LIST_PAGE: u32 = 500;

/// Rows that one list records at once: their commits share transactions of the engine.
const RECORD_AT_ONCE: usize = 64;

/// How often a get is tried while others write the object.
const ATTEMPTS: usize = 5;

pub(super) struct Recorder {
    pub(super) options: MirrorOptions,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) journal: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    uids: Arc<dyn UidSource>,
    /// Objects that are being written or recorded.
    turns: Mutex<HashMap<Key, Weak<tokio::sync::Mutex<()>>>>,
}

/// Says that nobody else writes the object or its row, as long as it is held.
type Turn = OwnedMutexGuard<()>;

impl Recorder {
    pub(super) fn new(
        options: MirrorOptions,
        backend: Arc<dyn Backend>,
        journal: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        uids: Arc<dyn UidSource>,
    ) -> Self {
        Self {
            options,
            backend,
            journal,
            clock,
            uids,
            turns: Mutex::default(),
        }
    }

    pub(super) async fn refresh_one(
        &self,
        context: &RequestContext,
        key: &Key,
    ) -> Result<(), StorageError> {
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
    pub(super) async fn refresh_all(
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
    pub(super) async fn record(
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

    pub(super) async fn write(
        &self,
        context: &RequestContext,
        write: Write,
    ) -> Result<Revision, StorageError> {
        let key = &write.key;
        let _turn = self.turn(context, key).await?;
        let row = match self.row(key).await {
            // The backend has the object still: what is forgotten here is made again of what it says.
            Err(StorageError::Unreadable { .. }) if write.record.is_none() => {
                return self.journal.commit(context, row::forgotten(write)).await;
            }
            row => row?,
        };
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
            // The side record changes nothing, unless it is kept in an older form than the journal writes now.
            let side = row.side_again(key);
            let writes = std::iter::once(write).chain(side).collect();
            return self.journal.commit(context, writes).await;
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

    pub(super) async fn row(&self, key: &Key) -> Result<Row, StorageError> {
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
