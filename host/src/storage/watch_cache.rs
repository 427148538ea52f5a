//! Objects of one resource in memory, and a window of their changes by revision.
//!
//! All reads of clients come from here (KEP-2340): a get is a look-up, a list walks a [`Snapshot`] without a
//! lock, a watch is a position in the window. The map is persistent, so that a snapshot costs as much as a
//! counter; one as of an earlier revision is made by undoing events from the nearest kept map, at most 256 of
//! them.
//!
//! The window keeps at most 64 MiB of superseded objects and 100,000 events. A watcher holds
//! nothing of it: one that falls behind is told [`WatchEnd::Expired`], as k8s.io/apiserver's cacher would by
//! 410. Derived forms of objects ([`Views`]) are not counted in those bytes.
//!
//! ```text
//!   engine ──load──▶ objects, window          reads wait (is_loaded)
//!          ──apply─▶ new map, event in window, watchers wake
//!          ──progress─▶ revision moves         wait_for wakes
//!          ──load again─▶ all of it is new     watchers are told Expired
//! ```

mod ring;
mod views;

use std::collections::HashMap;
use std::ops::{Bound, Range};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use tokio::sync::watch;

pub use views::Views;

use self::ring::{Objects, Ring, Window};
use super::{Event, Item, Key, Record, Revision, Sink};
use crate::api::object;

/// Most events that one [`Watcher::next`] returns, but for a commit with more: those stay together.
const EVENTS_PER_READ: usize = 256;

/// What selectors look at, read from an object once, when it enters the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Sorted by key.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Selectable fields by path, e.g. `spec.color`; `metadata.name` and `metadata.namespace` come from the key.
    pub fields: Vec<(Arc<str>, Box<str>)>,
    /// Where the metadata's JSON stands in the stored bytes (without resourceVersion).
    pub metadata: Range<u32>,
    /// Why there is nothing else to be read of the object: what is stored does not decrypt or decode.
    pub unreadable: Option<Box<str>>,
}

/// Reads the attributes of stored bytes. The registry has one per resource.
pub trait Indexer: Send + Sync {
    fn attributes(&self, key: &str, bytes: &Bytes) -> Attributes;
}

/// One version of an object, shared by everybody who reads it.
#[derive(Debug)]
pub struct CachedObject {
    pub key: Key,
    /// Empty for cluster-scoped objects.
    pub namespace: Box<str>,
    pub name: Box<str>,
    pub revision: Revision,
    /// JSON of the whole object in the storage version, with its resourceVersion; empty where it is unreadable.
    pub bytes: Bytes,
    /// Where `"resourceVersion":"N",` stands in `bytes`.
    pub version: Range<usize>,
    /// Where the metadata's JSON stands in `bytes`, with its braces.
    pub metadata: Range<usize>,
    pub attributes: Attributes,
    /// Other forms of it (versions, table rows), made once and shared.
    pub views: Views,
}

impl CachedObject {
    /// Why it cannot be shown: it is there, and a read that it belongs to fails.
    pub fn problem(&self) -> Option<&str> {
        self.attributes.unreadable.as_deref()
    }

    /// The object's JSON with another resourceVersion: for DELETED events, which carry the last state and
    /// the revision of the delete.
    pub fn bytes_at(&self, revision: Revision) -> Bytes {
        let mut rest = Vec::with_capacity(self.bytes.len());
        rest.extend_from_slice(&self.bytes[..self.version.start]);
        rest.extend_from_slice(&self.bytes[self.version.end..]);
        object::splice(&rest, self.version.start, revision.0)
    }
}

/// One change, as every watcher of the resource sees it.
#[derive(Debug)]
pub struct CacheEvent {
    pub revision: Revision,
    /// The new state; `None` for a delete.
    pub object: Option<Arc<CachedObject>>,
    /// The state before; `None` for a create.
    pub previous: Option<Arc<CachedObject>>,
}

/// The revision asked for is no longer (or not any more in one piece) known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    pub oldest: Revision,
}

/// All objects of the resource at one revision; cheap to take and to keep.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub revision: Revision,
    objects: Objects,
}

impl Snapshot {
    pub fn get(&self, key: &str) -> Option<&Arc<CachedObject>> {
        self.objects.get(key)
    }

    /// Objects whose keys begin with `prefix`, from `start` (a whole key, or empty) on, in the order of keys.
    pub fn range<'a>(
        &'a self,
        prefix: &'a str,
        start: &str,
    ) -> Box<dyn Iterator<Item = &'a Arc<CachedObject>> + 'a> {
        let from = start.max(prefix);
        let range = (Bound::Included(from), Bound::Unbounded);
        let values = self.objects.range::<_, str>(range);
        Box::new(
            values
                .take_while(move |(key, _)| key.starts_with(prefix))
                .map(|(_, object)| object),
        )
    }
}

/// Why a watcher gets no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEnd {
    /// It read too slowly: what follows its position is no longer kept. 410 to the client.
    Expired { oldest: Revision },
    /// The cache is gone: the resource is no longer served, or the server stops.
    Closed,
}

/// A position in the cache's window of changes. It copies nothing: a slow watcher holds no memory.
#[derive(Debug)]
pub struct Watcher {
    cache: Arc<WatchCache>,
    /// Number of the first event that was not returned yet.
    position: u64,
    /// Events up to here are not for this watcher; grows with what was returned.
    revision: Revision,
    wake: watch::Receiver<()>,
}

impl Watcher {
    /// Waits until there is something behind its position, then returns all of it (at most a few hundred),
    /// in order. Cancel-safe.
    pub async fn next(&mut self) -> Result<Vec<Arc<CacheEvent>>, WatchEnd> {
        loop {
            // Seen before the look, so that a change after the look wakes again.
            self.wake.borrow_and_update();
            let events = self.read()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if self.wake.changed().await.is_err() {
                return Err(WatchEnd::Closed);
            }
        }
    }

    /// The revision up to which `next` has returned everything: what a bookmark may say.
    pub fn revision(&self) -> Revision {
        let state = self.cache.read();
        if self.position < state.ring.first() {
            return self.revision;
        }
        // What is next was not returned; everything before it was, as commits are not torn.
        let next = state.ring.from(self.position).next();
        let complete = next.map_or(state.revision, |it| Revision(it.revision.0 - 1));
        self.revision.max(complete)
    }

    fn read(&mut self) -> Result<Vec<Arc<CacheEvent>>, WatchEnd> {
        let state = self.cache.read();
        if state.is_closed {
            return Err(WatchEnd::Closed);
        }
        if self.position < state.ring.first() {
            let oldest = state.ring.oldest();
            return Err(WatchEnd::Expired { oldest });
        }
        let mut events: Vec<Arc<CacheEvent>> = Vec::new();
        for event in state.ring.from(self.position) {
            let is_full = events.len() >= EVENTS_PER_READ;
            if is_full
                && events
                    .last()
                    .is_some_and(|it| it.revision != event.revision)
            {
                break;
            }
            self.position += 1;
            if event.revision > self.revision {
                events.push(Arc::clone(event));
            }
        }
        if let Some(last) = events.last() {
            self.revision = last.revision;
        }
        Ok(events)
    }
}

pub struct WatchCache {
    prefix: String,
    is_namespaced: bool,
    indexer: Arc<dyn Indexer>,
    state: RwLock<State>,
    /// Wakes the watchers: only when there is an event, or the end.
    events: watch::Sender<()>,
    /// Wakes [`WatchCache::wait_for`]: with every commit of the store.
    revisions: watch::Sender<Revision>,
}

struct State {
    objects: Objects,
    ring: Ring,
    revision: Revision,
    is_loaded: bool,
    is_closed: bool,
}

impl WatchCache {
    /// `prefix` is the resource's, ending in `/`.
    pub fn new(prefix: String, is_namespaced: bool, indexer: Arc<dyn Indexer>) -> Arc<Self> {
        Self::with_window(prefix, is_namespaced, indexer, Window::default())
    }

    fn with_window(
        prefix: String,
        is_namespaced: bool,
        indexer: Arc<dyn Indexer>,
        window: Window,
    ) -> Arc<Self> {
        Arc::new(Self {
            prefix,
            is_namespaced,
            indexer,
            state: RwLock::new(State {
                objects: Objects::new(),
                ring: Ring::new(window, Revision(0)),
                revision: Revision(0),
                is_loaded: false,
                is_closed: false,
            }),
            events: watch::Sender::new(()),
            revisions: watch::Sender::new(Revision(0)),
        })
    }

    /// Whether an engine has loaded it; reads before that see nothing and must be refused.
    pub fn is_loaded(&self) -> bool {
        self.read().is_loaded
    }

    /// Whether it holds an object that cannot be read. Looks at all of them.
    pub fn has_unreadable(&self) -> bool {
        let objects = self.read().objects.clone();
        objects.values().any(|it| it.problem().is_some())
    }

    /// What the cache is at: everything up to here is in it.
    pub fn revision(&self) -> Revision {
        self.read().revision
    }

    pub fn get(&self, key: &str) -> Option<Arc<CachedObject>> {
        self.read().objects.get(key).cloned()
    }

    pub fn snapshot(&self) -> Snapshot {
        self.read().snapshot()
    }

    /// As it was at exactly `revision`, which must not be in the future.
    pub fn snapshot_at(&self, revision: Revision) -> Result<Snapshot, Expired> {
        let state = self.read();
        if revision >= state.revision {
            return Ok(state.snapshot());
        }
        state.ring.check(revision)?;
        let (mut objects, undo) = state.ring.objects_after(revision, &state.objects);
        // The rest needs only what was copied out.
        drop(state);
        for (key, previous) in undo {
            match previous {
                Some(object) => objects.insert(key, object),
                None => objects.remove(&key),
            };
        }
        Ok(Snapshot { revision, objects })
    }

    /// Waits until the cache is at `revision` or later. The caller bounds the wait.
    pub async fn wait_for(&self, revision: Revision) {
        let mut revisions = self.revisions.subscribe();
        // The sender lives as long as `self`, so there is no error to meet.
        let _ = revisions.wait_for(|it| *it >= revision).await;
    }

    /// The state now and the changes from then on, without a gap.
    pub fn watch_from_now(self: &Arc<Self>) -> (Snapshot, Watcher) {
        let state = self.read();
        let snapshot = state.snapshot();
        let watcher = self.watcher(state.ring.end(), state.revision);
        (snapshot, watcher)
    }

    /// All changes after `revision`; one in the future waits for it.
    pub fn watch_after(self: &Arc<Self>, revision: Revision) -> Result<Watcher, Expired> {
        let state = self.read();
        state.ring.check(revision)?;
        Ok(self.watcher(state.ring.position_after(revision), revision))
    }

    /// Ends all watchers with [`WatchEnd::Closed`].
    pub fn close(&self) {
        self.write().is_closed = true;
        self.events.send_replace(());
    }

    fn watcher(self: &Arc<Self>, position: u64, revision: Revision) -> Watcher {
        Watcher {
            cache: Arc::clone(self),
            position,
            revision,
            wake: self.events.subscribe(),
        }
    }

    // A panic cannot leave the state half changed: what can panic runs before the lock is taken.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, key: &Key, revision: Revision, record: &Record) -> Arc<CachedObject> {
        let attributes = self.attributes(key, revision, record);
        let at = match attributes.unreadable {
            Some(_) => 0,
            None => record.version_at as usize,
        };
        let bytes = match attributes.unreadable {
            Some(_) => Bytes::new(),
            None => object::splice(&record.bytes, at, revision.0),
        };
        let grown = bytes.len().saturating_sub(record.bytes.len());
        let shifted = |position: u32| {
            let position = position as usize;
            position + if position > at { grown } else { 0 }
        };
        let metadata = shifted(attributes.metadata.start)..shifted(attributes.metadata.end);
        let below = key.strip_prefix(self.prefix.as_str()).unwrap_or(key);
        let (namespace, name) = match below.split_once('/') {
            Some((namespace, name)) if self.is_namespaced => (namespace, name),
            _ => ("", below),
        };
        Arc::new(CachedObject {
            key: Arc::clone(key),
            namespace: namespace.into(),
            name: name.into(),
            revision,
            bytes,
            version: at..at + grown,
            metadata,
            attributes,
            views: Views::default(),
        })
    }

    fn attributes(&self, key: &Key, revision: Revision, record: &Record) -> Attributes {
        let unreadable = |problem: &str| Attributes {
            unreadable: Some(problem.into()),
            ..Attributes::default()
        };
        if let Some(problem) = record.problem() {
            return unreadable(problem);
        }
        let attributes = self.indexer.attributes(key, &record.bytes);
        let is_damaged = record.version_at as usize > record.bytes.len();
        let why = match &attributes.unreadable {
            Some(why) => why,
            None if is_damaged => "its resourceVersion would go behind its end",
            None => return attributes,
        };
        tracing::error!(%key, "a stored object cannot be decoded: {why}");
        // In the words of k8s.io/apiserver, pkg/storage/etcd3/corrupt_obj_deleter.go.
        unreadable(&format!("object not decodable revision={revision}: {why}"))
    }

    fn cached_event(&self, event: &Event, known: &mut Known) -> Arc<CacheEvent> {
        let mut share = |revision: Revision, record: &Record| {
            let slot = known.entry((Arc::clone(&event.key), revision));
            Arc::clone(slot.or_insert_with(|| self.cached(&event.key, revision, record)))
        };
        let previous = event.previous.as_ref();
        Arc::new(CacheEvent {
            revision: event.revision,
            object: event.record.as_ref().map(|it| share(event.revision, it)),
            previous: previous.map(|(revision, record)| share(*revision, record)),
        })
    }
}

/// Versions of objects that exist in memory already.
type Known = HashMap<(Key, Revision), Arc<CachedObject>>;

impl State {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            revision: self.revision,
            objects: self.objects.clone(),
        }
    }
}

impl Sink for WatchCache {
    fn load(&self, items: Vec<Item>, history: Vec<Event>, oldest: Revision, revision: Revision) {
        let mut known = Known::with_capacity(items.len());
        let mut objects = Objects::new();
        for item in items {
            let object = self.cached(&item.key, item.revision, &item.record);
            known.insert((Arc::clone(&item.key), item.revision), Arc::clone(&object));
            objects.insert(item.key, object);
        }
        let window = self.read().ring.window();
        let skipped = history.len().saturating_sub(window.max_events);
        let oldest = history[..skipped].last().map_or(oldest, |it| it.revision);
        // Behind what watchers of an earlier load have read: to them, what is between is lost.
        let mut ring = self.read().ring.successor(oldest);
        for event in &history[skipped..] {
            ring.push(self.cached_event(event, &mut known), None);
        }
        ring.add_checkpoints(&objects);

        let mut state = self.write();
        state.objects = objects;
        state.ring = ring;
        state.revision = revision;
        state.is_loaded = true;
        drop(state);
        self.events.send_replace(());
        self.revisions.send_replace(revision);
    }

    fn apply(&self, events: &[Event]) {
        let Some(last) = events.last() else { return };
        let mut known = Known::new();
        for event in events {
            if let Some(object) = self.get(&event.key) {
                known.insert((Arc::clone(&event.key), object.revision), object);
            }
        }
        let cached: Vec<_> = events
            .iter()
            .map(|it| self.cached_event(it, &mut known))
            .collect();

        let mut state = self.write();
        let state_ref = &mut *state;
        for (event, change) in events.iter().zip(cached) {
            match &change.object {
                Some(object) => state_ref
                    .objects
                    .insert(Arc::clone(&event.key), Arc::clone(object)),
                None => state_ref.objects.remove(&event.key),
            };
            state_ref.ring.push(change, Some(&state_ref.objects));
        }
        state_ref.revision = state_ref.revision.max(last.revision);
        let revision = state_ref.revision;
        drop(state);
        self.events.send_replace(());
        self.revisions.send_replace(revision);
    }

    fn progress(&self, revision: Revision) {
        let mut state = self.write();
        if revision <= state.revision {
            return;
        }
        state.revision = revision;
        drop(state);
        self.revisions.send_replace(revision);
    }
}

impl std::fmt::Debug for WatchCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WatchCache")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
