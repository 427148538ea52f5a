//! Records of an engine to objects of the cache: all of them at the start, and each that is committed.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use std::thread;

use super::object::UNNUMBERED;
use super::ring::{Objects, Ring};
use super::{Attributes, CacheEvent, CachedObject, WatchCache};
use crate::ambient::processors;
use crate::api::object::METADATA_OPENS;
use crate::storage::{Event, Item, Key, Record, Revision};

/// Fewer are not worth another thread.
const ITEMS_PER_THREAD: usize = 8192;
/// As many as read the records of a large store.
const MAX_THREADS: usize = 4;
/// More objects than a node of the map holds.
const LAG: usize = 32;
/// What objects may begin with and have a number for.
const MAX_HEADS: usize = 64;

impl WatchCache {
    /// In the order of `items`. Their metadata is read by as many threads as there are processors.
    pub(super) fn loaded(&self, items: Vec<Item>) -> Vec<Arc<CachedObject>> {
        let threads = processors();
        let threads = threads.min(MAX_THREADS).min(items.len() / ITEMS_PER_THREAD);
        if threads < 2 {
            return items.into_iter().map(|it| self.of_item(it)).collect();
        }
        let share = items.len().div_ceil(threads);
        let mut rest = items;
        let mut shares = Vec::with_capacity(threads);
        while rest.len() > share {
            shares.push(rest.split_off(rest.len() - share));
        }
        thread::scope(|scope| {
            let others: Vec<_> = shares
                .into_iter()
                .map(|share| {
                    let read = move || -> Vec<_> {
                        share.into_iter().map(|it| self.of_item(it)).collect()
                    };
                    scope.spawn(read)
                })
                .collect();
            let mut objects: Vec<_> = rest.into_iter().map(|it| self.of_item(it)).collect();
            // The last share was split off first.
            for other in others.into_iter().rev() {
                match other.join() {
                    Ok(others) => objects.extend(others),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            objects
        })
    }

    fn of_item(&self, item: Item) -> Arc<CachedObject> {
        self.cached(item.key, item.revision, item.record)
    }

    fn cached(&self, key: Key, revision: Revision, record: Record) -> Arc<CachedObject> {
        let (record, attributes) = self.decoded(&key, revision, record);
        let below = match key.starts_with(self.prefix.as_str()) {
            true => self.prefix.len(),
            false => 0,
        };
        let metadata_opens = (record.version_at as usize).saturating_sub(METADATA_OPENS);
        let head = match record.problem() {
            Some(_) => UNNUMBERED,
            None => self.number_of(&record.bytes[..metadata_opens.min(record.bytes.len())]),
        };
        Arc::new(CachedObject::new(
            key,
            below,
            self.is_namespaced,
            revision,
            record,
            head,
            attributes,
        ))
    }

    /// With what selectors look at, or why it cannot be read.
    fn decoded(&self, key: &Key, revision: Revision, record: Record) -> (Record, Attributes) {
        if record.problem().is_some() {
            return (record, Attributes::default());
        }
        let is_damaged = record.version_at as usize > record.bytes.len();
        let attributes = match self.indexer.attributes(key, &record.bytes) {
            Ok(_) if is_damaged => Err("its resourceVersion would go behind its end".to_owned()),
            attributes => attributes,
        };
        match attributes {
            Ok(attributes) => (record, attributes),
            Err(why) => {
                tracing::error!(%key, "a stored object cannot be decoded: {why}");
                // In the words of k8s.io/apiserver, pkg/storage/etcd3/corrupt_obj_deleter.go.
                let problem = format!("object not decodable revision={revision}: {why}");
                (Record::unreadable(&problem), Attributes::default())
            }
        }
    }

    /// Every head has one number for the life of the cache; the first few do, which are more than a resource has
    /// versions.
    pub(super) fn number_of(&self, head: &[u8]) -> u32 {
        let find = |heads: &[Box<[u8]>]| heads.iter().position(|it| **it == *head);
        let known = find(&self.heads.read().unwrap_or_else(PoisonError::into_inner));
        let position = known.or_else(|| {
            let mut heads = self.heads.write().unwrap_or_else(PoisonError::into_inner);
            find(&heads).or_else(|| {
                (heads.len() < MAX_HEADS).then(|| {
                    heads.push(head.into());
                    heads.len() - 1
                })
            })
        });
        position.map_or(UNNUMBERED, |it| u32::try_from(it).expect("a few"))
    }

    pub(super) fn cached_event(&self, event: &Event, versions: &mut Versions<'_>) -> CacheEvent {
        let mut share = |revision, record: &Record| {
            versions.share(&event.key, revision, || {
                self.cached(Arc::clone(&event.key), revision, record.clone())
            })
        };
        let previous = event.previous.as_ref();
        CacheEvent {
            revision: event.revision,
            object: event.record.as_ref().map(|it| share(event.revision, it)),
            previous: previous.map(|(revision, record)| share(*revision, record)),
        }
    }

    pub(super) fn loaded_ring(&self, mut ring: Ring, history: &[Event], objects: &Objects) -> Ring {
        let window = ring.window();
        let skipped = history.len().saturating_sub(window.max_events);
        if let Some(last) = history[..skipped].last() {
            ring = ring.successor(last.revision);
        }
        let mut versions = Versions::new(objects);
        for event in &history[skipped..] {
            ring.push(Arc::new(self.cached_event(event, &mut versions)), None);
        }
        ring.add_checkpoints(objects);
        ring
    }
}

/// The map of objects that are in the order of their keys, and how many of them cannot be read.
///
/// Put in one after another, they would leave each node of the map half empty: a full one is split in the middle, and
/// nothing comes into its first half again. Every other one comes later, when its node has been split, and fills that.
pub(super) fn mapped(objects: Vec<Arc<CachedObject>>) -> (Objects, usize) {
    let mut map = Objects::new();
    let mut unreadable = 0;
    let mut put = |object: Arc<CachedObject>| {
        unreadable += usize::from(object.problem().is_some());
        map.insert(Arc::clone(&object.key), object);
    };
    let mut later = VecDeque::with_capacity(LAG + 1);
    for (number, object) in objects.into_iter().enumerate() {
        if number % 2 == 0 {
            put(object);
            continue;
        }
        later.push_back(object);
        if later.len() > LAG {
            later.pop_front().into_iter().for_each(&mut put);
        }
    }
    later.into_iter().for_each(put);
    (map, unreadable)
}

/// Versions of objects that exist in memory already: one object for each, whoever tells of it.
pub(super) struct Versions<'a> {
    current: &'a Objects,
    made: HashMap<(Key, Revision), Arc<CachedObject>>,
}

impl<'a> Versions<'a> {
    pub(super) fn new(current: &'a Objects) -> Self {
        Self {
            current,
            made: HashMap::new(),
        }
    }

    fn share(
        &mut self,
        key: &Key,
        revision: Revision,
        make: impl FnOnce() -> Arc<CachedObject>,
    ) -> Arc<CachedObject> {
        match self.current.get(&**key) {
            Some(current) if current.revision == revision => Arc::clone(current),
            _ => {
                let slot = self.made.entry((Arc::clone(key), revision));
                Arc::clone(slot.or_insert_with(make))
            }
        }
    }
}
