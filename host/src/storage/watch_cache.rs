//! Objects of one resource in memory, and a window of their changes by revision.
//!
//! All reads of clients come from here (KEP-2340): a get is a look-up, a list walks a [`Snapshot`] without a
//! lock, a watch is a position in the window. The map is persistent, so that a snapshot costs as much as a
//! counter; one as of an earlier revision is made by undoing events from the nearest kept map, at most 256 of
//! them. What selectors look for by an exact value gets an index of its own.
//!
//! The window keeps at most 64 MiB of superseded objects and 100,000 events. A watcher holds
//! nothing of it: one that falls behind is told [`WatchEnd::Expired`], as k8s.io/apiserver's cacher would by
//! 410. Derived forms of objects ([`Views`]) are not counted in those bytes.
//!
//! ```text
//!   engine ──load──▶ objects, window          reads wait (is_loaded)
//!          ──apply─▶ new map, event in window, watchers wake
//!          ──reach─▶ revision moves            wait_for wakes
//!          ──load again─▶ all of it is new     watchers are told Expired
//! ```

mod attributes;
mod index;
mod load;
mod object;
mod ring;
mod snapshot;
mod views;
mod wake;
mod watcher;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

pub use attributes::{Attributes, Pairs};
pub use index::{Attribute, Term, is_long_walk};
pub use object::{CachedObject, Head};
pub use ring::{BYTES_PER_RUN, Run};
pub use snapshot::Snapshot;
pub use views::Views;
pub use watcher::{WatchEnd, Watcher};

use self::index::{Index, Indexes};
use self::load::Versions;
use self::ring::{Objects, Ring, Window};
use self::wake::Wake;
use super::{Event, Item, Revision, SharedRevision, Sink};

/// Reads the attributes of stored bytes. The registry has one per resource.
pub trait Indexer: Send + Sync {
    /// # Errors
    /// Why the bytes cannot be decoded.
    fn attributes(&self, key: &str, bytes: &Bytes) -> Result<Attributes, String>;
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

pub struct WatchCache {
    prefix: String,
    is_namespaced: bool,
    indexer: Arc<dyn Indexer>,
    /// What objects begin with, by their numbers.
    heads: RwLock<Vec<Box<[u8]>>>,
    state: RwLock<State>,
    /// Wakes the watchers: only when there is an event, or the end.
    events: Wake,
}

struct State {
    objects: Objects,
    indexes: Indexes,
    ring: Ring,
    unreadable: Unreadable,
    /// Of what it has been given last.
    given: Revision,
    /// What all caches of the store are at.
    progress: Arc<SharedRevision>,
    is_loaded: bool,
    is_closed: bool,
}

/// How many objects cannot be read, and until when there were others that could not.
#[derive(Debug, Default)]
struct Unreadable {
    now: usize,
    until: Revision,
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
            heads: RwLock::default(),
            state: RwLock::new(State {
                objects: Objects::new(),
                indexes: Indexes::default(),
                ring: Ring::new(window, Revision(0)),
                unreadable: Unreadable::default(),
                given: Revision(0),
                progress: Arc::default(),
                is_loaded: false,
                is_closed: false,
            }),
            events: Wake::default(),
        })
    }

    /// Whether an engine has loaded it; reads before that see nothing and must be refused.
    pub fn is_loaded(&self) -> bool {
        self.read().is_loaded
    }

    /// Whether it holds an object that cannot be read.
    pub fn has_unreadable(&self) -> bool {
        self.read().unreadable.now > 0
    }

    /// What the cache is at: everything up to here is in it.
    pub fn revision(&self) -> Revision {
        self.read().revision()
    }

    /// To be compared with what objects [begin with](CachedObject::begins_with).
    pub fn head(&self, json: String) -> Head {
        Head {
            number: self.number_of(json.as_bytes()),
            json,
        }
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
        if revision >= state.revision() {
            return Ok(state.snapshot());
        }
        state.ring.check(revision)?;
        let may_be_unreadable = state.unreadable.may_be_at(revision);
        let (mut objects, undo) = state.ring.objects_after(revision, &state.objects);
        // The rest needs only what was copied out.
        drop(state);
        for (key, previous) in undo {
            match previous {
                Some(object) => objects.insert(key, object),
                None => objects.remove(&key),
            };
        }
        Ok(Snapshot::new(revision, objects, may_be_unreadable))
    }

    /// Leaves out of the snapshot what one of `terms` does not select, where there is an index for it.
    pub fn narrow(&self, snapshot: &mut Snapshot, terms: &[Term]) {
        // No index has what cannot be read, and a list that it may belong to must not leave it out.
        if terms.is_empty() || snapshot.may_be_unreadable {
            return;
        }
        let state = self.read();
        let since = state.ring.position_after(snapshot.revision);
        let is_near = state.ring.end() - since <= index::MAX_UNDONE as u64;
        if !is_near || state.ring.check(snapshot.revision).is_err() {
            return;
        }
        let Some(mut narrowed) = state.indexes.narrowed(terms) else {
            return;
        };
        let events: Vec<_> = state.ring.from(since).cloned().collect();
        drop(state);
        for event in events.iter().rev() {
            narrowed.undo(event.previous.as_ref(), event.object.as_ref());
        }
        snapshot.narrowed = Some(narrowed);
    }

    /// Whether to [index](WatchCache::index) an attribute: `walked` objects were looked at to find those that have a
    /// value of it.
    pub fn wants_index(&self, attribute: &Attribute, walked: usize, found: usize) -> bool {
        self.read().indexes.is_wanted(attribute, walked, found)
    }

    /// Makes an index of an attribute. Takes about a microsecond per object; readers and writers go on meanwhile.
    pub fn index(&self, attribute: Attribute) {
        let (objects, position) = {
            let state = self.read();
            (state.objects.clone(), state.ring.end())
        };
        let mut index = Index::build(attribute, &objects);
        let mut state = self.write();
        // So much has changed meanwhile that it is not known any more: whoever needs it asks again.
        if position < state.ring.first() {
            return;
        }
        for event in state.ring.from(position) {
            index.change(event.previous.as_ref(), event.object.as_ref());
        }
        state.indexes.add(index);
    }

    /// Waits until the cache is at `revision` or later. The caller bounds the wait.
    pub async fn wait_for(&self, revision: Revision) {
        let progress = Arc::clone(&self.read().progress);
        progress.wait_for(revision).await;
    }

    /// The state now and the changes from then on, without a gap.
    pub fn watch_from_now(self: &Arc<Self>) -> (Snapshot, Watcher) {
        let state = self.read();
        let snapshot = state.snapshot();
        let watcher = self.watcher(state.ring.end(), snapshot.revision);
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
        self.events.all();
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
}

impl State {
    /// What is given of the store's later commits takes the lock first: while it is held, the progress cannot pass one
    /// of them.
    fn revision(&self) -> Revision {
        self.given.max(self.progress.revision())
    }

    fn snapshot(&self) -> Snapshot {
        let revision = self.revision();
        let may_be_unreadable = self.unreadable.may_be_at(revision);
        Snapshot::new(revision, self.objects.clone(), may_be_unreadable)
    }
}

impl Unreadable {
    fn change(
        &mut self,
        before: Option<&Arc<CachedObject>>,
        after: Option<&Arc<CachedObject>>,
        at: Revision,
    ) {
        let is_unreadable = |it: &Arc<CachedObject>| it.problem().is_some();
        if before.is_some_and(is_unreadable) {
            self.now -= 1;
            self.until = at;
        }
        if after.is_some_and(is_unreadable) {
            self.now += 1;
        }
    }

    fn may_be_at(&self, revision: Revision) -> bool {
        self.now > 0 || revision < self.until
    }
}

impl Sink for WatchCache {
    fn load(&self, items: Vec<Item>, history: Vec<Event>, oldest: Revision, revision: Revision) {
        let (objects, unreadable) = load::mapped(self.loaded(items));
        // Behind what watchers of an earlier load have read: to them, what is between is lost.
        let ring = self.read().ring.successor(oldest);
        let ring = self.loaded_ring(ring, &history, &objects);

        let mut state = self.write();
        // What was undone by events of before is not looked for in them: there may have been some.
        state.unreadable = Unreadable {
            now: unreadable,
            until: revision,
        };
        state.objects = objects;
        state.indexes = Indexes::default();
        state.ring = ring;
        state.given = revision;
        state.is_loaded = true;
        drop(state);
        self.events.all();
    }

    fn apply(&self, events: &[Event]) {
        let Some(last) = events.last() else { return };
        // Calls come one at a time: nothing changes between this and the lock.
        let objects = self.read().objects.clone();
        let mut versions = Versions::new(&objects);
        let cached: Vec<_> = events
            .iter()
            .map(|it| Arc::new(self.cached_event(it, &mut versions)))
            .collect();
        // Else its nodes would be copied, not changed.
        drop(objects);

        let mut state = self.write();
        let state_ref = &mut *state;
        for (event, change) in events.iter().zip(cached) {
            let before = match &change.object {
                Some(object) => state_ref
                    .objects
                    .insert(Arc::clone(&event.key), Arc::clone(object)),
                None => state_ref.objects.remove(&event.key),
            };
            let count = state_ref.objects.len();
            let after = change.object.as_ref();
            let unreadable = &mut state_ref.unreadable;
            unreadable.change(before.as_ref(), after, event.revision);
            state_ref.indexes.change(before.as_ref(), after, count);
            state_ref.ring.push(change, Some(&state_ref.objects));
        }
        state_ref.given = state_ref.given.max(last.revision);
        drop(state);
        self.events.soon();
    }

    fn follow(&self, progress: &Arc<SharedRevision>) {
        self.write().progress = Arc::clone(progress);
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
