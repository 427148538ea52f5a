//! A store that lives as long as the process: for tests and throw-away use.
//!
//! It keeps the last 10,000 changes, so that caches attached later can answer watches from before. Nothing
//! is durable: a restart begins at revision 1 again, which is why `serve` does not offer it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::sinks::Sinks;
use super::{
    Event, Item, Key, Record, Revision, Scope, SharedRevision, Sink, Storage, StorageError, Write,
    transaction,
};
use crate::api::RequestContext;

const HISTORY_MAX_EVENTS: usize = 10_000;

pub struct MemoryStorage {
    state: Mutex<State>,
}

struct State {
    items: BTreeMap<Key, (Revision, Record)>,
    /// Oldest first; all events after `oldest` are in it.
    history: VecDeque<Event>,
    oldest: Revision,
    revision: Revision,
    sinks: Sinks,
}

impl MemoryStorage {
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                items: BTreeMap::new(),
                history: VecDeque::new(),
                oldest: Revision(1),
                revision: Revision(1),
                sinks: Sinks::new(Arc::new(SharedRevision::new(Revision(1)))),
            }),
        }
    }

    // A panic cannot leave a commit half done: preconditions are checked before anything changes.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    fn items(&self, prefix: &str, start: &str, limit: usize) -> Vec<Item> {
        self.items
            .range::<str, _>((Bound::Included(start.max(prefix)), Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, (revision, record))| Item {
                key: Arc::clone(key),
                revision: *revision,
                record: record.clone(),
            })
            .collect()
    }

    fn commit(&mut self, writes: Vec<Write>) -> Result<Revision, StorageError> {
        let revision = Revision(self.revision.0 + 1);
        let current = |key: &Key| Ok(self.items.get(key).cloned());
        let events = transaction::events(writes, revision, current)?;
        if events.is_empty() {
            return Ok(self.revision);
        }
        for event in &events {
            let key = Arc::clone(&event.key);
            match &event.record {
                Some(record) => self.items.insert(key, (revision, record.clone())),
                None => self.items.remove(&key),
            };
        }
        self.revision = revision;
        self.sinks.apply(&events, revision);
        self.history.extend(events);
        while self.history.len() > HISTORY_MAX_EVENTS {
            if let Some(gone) = self.history.pop_front() {
                self.oldest = gone.revision;
            }
        }
        Ok(revision)
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    async fn attach(&self, prefix: &str, sink: Arc<dyn Sink>) -> Result<(), StorageError> {
        let mut state = self.lock();
        let items = state.items(prefix, "", usize::MAX);
        let below = state.history.iter().filter(|it| it.key.starts_with(prefix));
        let history = below.cloned().collect();
        sink.load(items, history, state.oldest, state.revision);
        state.sinks.add(prefix, &sink);
        Ok(())
    }

    async fn refresh(
        &self,
        _context: &RequestContext,
        _scope: Scope<'_>,
    ) -> Result<Revision, StorageError> {
        Ok(self.lock().revision)
    }

    async fn commit(
        &self,
        _context: &RequestContext,
        writes: Vec<Write>,
    ) -> Result<Revision, StorageError> {
        self.lock().commit(writes)
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, StorageError> {
        let state = self.lock();
        let found = state.items.get_key_value(key);
        Ok(found.map(|(key, (revision, record))| Item {
            key: Arc::clone(key),
            revision: *revision,
            record: record.clone(),
        }))
    }

    async fn list(
        &self,
        prefix: &str,
        start: &str,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError> {
        Ok(self.lock().items(prefix, start, limit))
    }

    fn current_revision(&self) -> Revision {
        self.lock().revision
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance::{Subject, attached, conformance, context, put};
    use crate::storage::{Expected, watch_cache::Expired};

    fn subject() -> Subject {
        Subject::new(Arc::new(MemoryStorage::new()), ())
    }

    conformance!(subject());

    #[tokio::test]
    async fn forgets_the_oldest_history() {
        let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
        for step in 0..=HISTORY_MAX_EVENTS {
            let write = put("a/x", &step.to_string(), Expected::Anything);
            storage
                .commit(&context(), vec![write])
                .await
                .expect("works");
        }
        let cache = attached(&storage).await;
        let oldest = Revision(2);
        assert!(cache.watch_after(oldest).is_ok());
        let expired = cache.watch_after(Revision(1)).expect_err("gone");
        assert_eq!(expired, Expired { oldest });
    }
}
