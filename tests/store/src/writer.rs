//! Writers of known values through [`Storage`], and a watcher; what they do is told entry by entry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use outrigger::api::{Object, RequestContext};
use outrigger::storage::watch_cache::{
    Attributes, CacheEvent, Indexer, WatchCache, WatchEnd, Watcher,
};
use outrigger::storage::{Expected, Key, Record, Revision, Storage, StorageError, Write};
use outrigger_tests::random::Random;
use tokio::task::JoinSet;

use crate::journal::{Entry, Found, Items, Value};

/// Where the known values are.
pub const PREFIX: &str = "objects/crash/anchors/";

/// Each has keys of its own, so that a key's writes are in order.
const WRITERS: usize = 4;
const KEYS: usize = 6;

/// Where entries go.
pub type Tell = Arc<dyn Fn(Entry) + Send + Sync>;

struct NoAttributes;

impl Indexer for NoAttributes {
    fn attributes(&self, _key: &str, _bytes: &Bytes) -> Result<Attributes, String> {
        Ok(Attributes::default())
    }
}

/// A cache of all known values, loaded.
///
/// # Errors
/// The store cannot be read.
pub async fn attach(storage: &Arc<dyn Storage>) -> Result<Arc<WatchCache>, StorageError> {
    let cache = WatchCache::new(PREFIX.into(), true, Arc::new(NoAttributes));
    storage.attach(PREFIX, cache.clone()).await?;
    Ok(cache)
}

/// Writes until `rounds` attempts are over or `is_over`; `first` is the number of the first attempt.
pub async fn write(
    storage: &Arc<dyn Storage>,
    tell: &Tell,
    seed: u64,
    first: u64,
    rounds: u64,
    is_over: &Arc<AtomicBool>,
) {
    let next = Arc::new(AtomicU64::new(first));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let writer = Writer {
            storage: Arc::clone(storage),
            tell: Arc::clone(tell),
            random: Random::new(seed.wrapping_add(number as u64)),
            number,
            present: [false; KEYS],
        };
        let next = Arc::clone(&next);
        let is_over = Arc::clone(is_over);
        writers.spawn(writer.run(next, first.saturating_add(rounds), is_over));
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer ended by a panic");
    }
}

struct Writer {
    storage: Arc<dyn Storage>,
    tell: Tell,
    random: Random,
    number: usize,
    /// Whether the key was written in this life and is there: what is absent cannot be deleted.
    present: [bool; KEYS],
}

impl Writer {
    async fn run(mut self, next: Arc<AtomicU64>, end: u64, is_over: Arc<AtomicBool>) {
        loop {
            let attempt = next.fetch_add(1, Ordering::SeqCst);
            if attempt >= end || is_over.load(Ordering::SeqCst) {
                return;
            }
            let writes = self.choose(attempt);
            let entry = Entry::Tried {
                attempt,
                writes: writes
                    .iter()
                    .map(|it| (it.0.clone(), it.1.clone()))
                    .collect(),
            };
            (self.tell)(entry);
            let padding = self.random.below(3) * self.random.below(3_000);
            let batch = writes.iter().map(|(key, value)| Write {
                key: format!("{PREFIX}{key}").into(),
                expected: Expected::Anything,
                record: value.as_ref().map(|it| record(key, it, padding)),
            });
            let deadline = Instant::now() + Duration::from_secs(60);
            let context = RequestContext::background("store-writer", deadline.into());
            let done = self.storage.commit(&context, batch.collect()).await;
            if done.is_err() {
                // It may be there or not.
                for (key, _) in &writes {
                    self.present[key_number(key)] = false;
                }
            }
            (self.tell)(match done {
                Ok(Revision(revision)) => Entry::Done { attempt, revision },
                Err(_) => Entry::Refused { attempt },
            });
            if is_over.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    fn choose(&mut self, attempt: u64) -> Vec<(String, Value)> {
        let mut writes = Vec::new();
        for _ in 0..1 + usize::from(self.random.chance(20)) {
            let number = self.random.below(KEYS);
            let key = format!("w{}/k{number}", self.number);
            if writes.iter().any(|(it, _)| *it == key) {
                continue;
            }
            let is_delete = self.present[number] && self.random.chance(20);
            self.present[number] = !is_delete;
            let value = (!is_delete).then(|| format!("{attempt}.{number}"));
            writes.push((key, value));
        }
        writes
    }
}

fn key_number(key: &str) -> usize {
    let number = key.rsplit('k').next().and_then(|it| it.parse().ok());
    number.expect("keys end in their number")
}

fn record(key: &str, value: &str, padding: usize) -> Record {
    let (namespace, name) = key.split_once('/').unwrap_or(("", key));
    let padding = "x".repeat(padding);
    let json = format!(
        r#"{{"apiVersion":"crash/v1","kind":"Anchor","metadata":{{"name":"{name}","namespace":"{namespace}"}},"value":"{value}","padding":"{padding}"}}"#
    );
    let encoded = Object::from_slice(json.as_bytes()).expect("JSON").encode();
    Record {
        bytes: encoded.bytes,
        version_at: encoded.version_at,
    }
}

fn value(bytes: &[u8]) -> String {
    let object = Object::from_slice(bytes).expect("JSON as it was written");
    object.0["value"].as_str().unwrap_or_default().to_owned()
}

fn short(key: &Key) -> String {
    key.strip_prefix(PREFIX).unwrap_or(key).to_owned()
}

/// Tells all that the watcher is sent, until its cache is closed.
pub async fn watch(mut watcher: Watcher, tell: Tell) {
    loop {
        match watcher.next().await {
            Ok(events) => saw(&events, &tell),
            Err(WatchEnd::Closed) => return,
            Err(WatchEnd::Expired { oldest }) => panic!("the watcher was too slow for {oldest}"),
        }
    }
}

/// A watcher is sent whole commits.
fn saw(events: &[Arc<CacheEvent>], tell: &Tell) {
    for commit in events.chunk_by(|one, next| one.revision == next.revision) {
        let writes = commit.iter().map(|event| {
            let object = event.object.as_ref().or(event.previous.as_ref());
            let key = short(&object.expect("one of both").key);
            (key, event.object.as_ref().map(|it| value(&it.bytes())))
        });
        tell(Entry::Saw {
            revision: commit[0].revision.0,
            writes: writes.collect(),
        });
    }
}

/// Resumes a watch after `last` and tells what it was not sent before, up to now; or a list, where too much is gone.
///
/// # Errors
/// The store cannot be read.
pub async fn resume(
    storage: &Arc<dyn Storage>,
    last: u64,
    tell: &Tell,
) -> Result<(), StorageError> {
    let cache = attach(storage).await?;
    let Ok(mut watcher) = cache.watch_after(Revision(last)) else {
        let found = find(&**storage).await?;
        tell(Entry::Relisted {
            revision: found.revision,
            items: found.items,
        });
        return Ok(());
    };
    while watcher.revision() < storage.current_revision() {
        let events = watcher.next().await;
        let events = events.map_err(|end| StorageError::Failed(anyhow::anyhow!("{end:?}")))?;
        saw(&events, tell);
    }
    Ok(())
}

/// Writes one known value.
///
/// # Errors
/// The store refuses it.
pub async fn put(storage: &dyn Storage, key: &str, value: &str) -> Result<Revision, StorageError> {
    let write = Write {
        key: format!("{PREFIX}{key}").into(),
        expected: Expected::Anything,
        record: Some(record(key, value, 0)),
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let context = RequestContext::background("store-writer", deadline.into());
    storage.commit(&context, vec![write]).await
}

/// What is there.
///
/// # Errors
/// The store cannot be read.
pub async fn find(storage: &dyn Storage) -> Result<Found, StorageError> {
    let items = storage.list(PREFIX, "", usize::MAX).await?;
    let items = items.into_iter().map(|it| {
        let found = (it.revision.0, value(&it.record.bytes));
        (short(&it.key), found)
    });
    Ok(Found {
        revision: storage.current_revision().0,
        items: items.collect::<Items>(),
    })
}
