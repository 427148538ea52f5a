//! Objects of one resource in memory, and a window of their changes by revision.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{Event, Item, Key, Revision, Sink};

/// What selectors look at, read from an object once, when it enters the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Sorted by key.
    pub labels: Vec<(Box<str>, Box<str>)>,
    /// Selectable fields by path, e.g. `spec.color`; `metadata.name` and `metadata.namespace` come from the key.
    pub fields: Vec<(Arc<str>, Box<str>)>,
    /// Where the metadata's JSON stands in the stored bytes (without resourceVersion).
    pub metadata: Range<u32>,
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
    /// JSON of the whole object in the storage version, with its resourceVersion.
    pub bytes: Bytes,
    /// Where `"resourceVersion":"N",` stands in `bytes`.
    pub version: Range<usize>,
    /// Where the metadata's JSON stands in `bytes`, with its braces.
    pub metadata: Range<usize>,
    pub attributes: Attributes,
    /// Other forms of it (versions, table rows), made once and shared.
    pub views: Views,
}

/// Derived encodings of one object, by a key that their maker chooses.
#[derive(Debug, Default)]
pub struct Views {}

impl Views {
    pub fn get(&self, _key: u32) -> Option<Bytes> {
        todo!()
    }

    /// Keeps `view`, or returns the one that somebody else has kept meanwhile.
    pub fn put(&self, _key: u32, _view: Bytes) -> Bytes {
        todo!()
    }
}

impl CachedObject {
    /// The object's JSON with another resourceVersion: for DELETED events, which carry the last state and
    /// the revision of the delete.
    pub fn bytes_at(&self, _revision: Revision) -> Bytes {
        todo!()
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
}

impl Snapshot {
    /// Objects whose keys begin with `prefix`, from `start` (a whole key, or empty) on, in the order of keys.
    pub fn range<'a>(
        &'a self,
        _prefix: &'a str,
        _start: &str,
    ) -> Box<dyn Iterator<Item = &'a Arc<CachedObject>> + 'a> {
        todo!()
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
pub struct Watcher {}

impl Watcher {
    /// Waits until there is something behind its position, then returns all of it (at most a few hundred),
    /// in order. Cancel-safe.
    pub async fn next(&mut self) -> Result<Vec<Arc<CacheEvent>>, WatchEnd> {
        todo!()
    }

    /// The revision up to which `next` has returned everything: what a bookmark may say.
    pub fn revision(&self) -> Revision {
        todo!()
    }
}

pub struct WatchCache {}

impl WatchCache {
    /// `prefix` is the resource's, ending in `/`.
    pub fn new(_prefix: String, _is_namespaced: bool, _indexer: Arc<dyn Indexer>) -> Arc<Self> {
        todo!()
    }

    /// Whether an engine has loaded it; reads before that see nothing and must be refused.
    pub fn is_loaded(&self) -> bool {
        todo!()
    }

    /// What the cache is at: everything up to here is in it.
    pub fn revision(&self) -> Revision {
        todo!()
    }

    pub fn get(&self, _key: &str) -> Option<Arc<CachedObject>> {
        todo!()
    }

    pub fn snapshot(&self) -> Snapshot {
        todo!()
    }

    /// As it was at exactly `revision`, which must not be in the future.
    pub fn snapshot_at(&self, _revision: Revision) -> Result<Snapshot, Expired> {
        todo!()
    }

    /// Waits until the cache is at `revision` or later. The caller bounds the wait.
    pub async fn wait_for(&self, _revision: Revision) {
        todo!()
    }

    /// The state now and the changes from then on, without a gap.
    pub fn watch_from_now(self: &Arc<Self>) -> (Snapshot, Watcher) {
        todo!()
    }

    /// All changes after `revision`; one in the future waits for it.
    pub fn watch_after(self: &Arc<Self>, _revision: Revision) -> Result<Watcher, Expired> {
        todo!()
    }

    /// Ends all watchers with [`WatchEnd::Closed`].
    pub fn close(&self) {
        todo!()
    }
}

impl Sink for WatchCache {
    fn load(
        &self,
        _items: Vec<Item>,
        _history: Vec<Event>,
        _oldest: Revision,
        _revision: Revision,
    ) {
        todo!()
    }

    fn apply(&self, _events: &[Event]) {
        todo!()
    }

    fn progress(&self, _revision: Revision) {
        todo!()
    }
}
