//! Encryption at rest: a layer over any engine that encrypts the records of chosen resources.
//!
//! What clients and caches see is the same with and without it. An engine keeps ciphertext, and no place of a
//! resourceVersion. Which keys there are may change while the server runs: see [`Encryption`].
//!
//! - **Nothing changes** where what is written is there already: what is kept is then written again as it is, and the
//!   engine sees that nothing differs. If it is kept under an older key ([`Storage::is_stale`]), it is encrypted anew.
//! - **What cannot be read** (no such key, damaged) comes to caches as [`Record::unreadable`]; a read past them is an
//!   error. History is cut behind what cannot be read of it: to watches that is a compaction.
//!
//! Keys, the order of writes and sizes are not hidden, nor what plugins keep under `kv/`.

mod configuration;
mod transformer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::watch;

pub use self::configuration::Encryption;
pub(super) use self::transformer::ENCRYPTED;
use self::transformer::Opened;
use super::{
    Event, Expected, Item, Key, Record, Revision, Scope, SharedRevision, Sink, Storage,
    StorageError, Write,
};
use crate::api::RequestContext;

pub struct EncryptedStorage {
    engine: Arc<dyn Storage>,
    encryption: watch::Receiver<Arc<Encryption>>,
    /// The engine holds sinks weakly: these live as long as those that they feed.
    sinks: Mutex<Vec<Arc<DecryptingSink>>>,
}

impl EncryptedStorage {
    pub fn new(engine: Arc<dyn Storage>, encryption: watch::Receiver<Arc<Encryption>>) -> Self {
        Self {
            engine,
            encryption,
            sinks: Mutex::default(),
        }
    }

    /// What cannot be decrypted of what is in caches: one line that says what to do.
    pub fn unreadable(&self) -> Option<String> {
        let mut all = BTreeMap::new();
        for sink in self.fed().iter() {
            all.extend(lock(&sink.unreadable).clone());
        }
        let (key, problem) = all.first_key_value()?;
        Some(format!(
            "{} records cannot be decrypted, the first is {key}: {problem}; give the encryption configuration back \
             the key that they were written with",
            all.len()
        ))
    }

    /// The sinks that somebody still holds.
    fn fed(&self) -> MutexGuard<'_, Vec<Arc<DecryptingSink>>> {
        let mut sinks = lock(&self.sinks);
        sinks.retain(|it| it.to.strong_count() > 0);
        sinks
    }

    fn now(&self) -> Arc<Encryption> {
        Arc::clone(&self.encryption.borrow())
    }

    /// The write as the engine is to make it.
    async fn sealed(
        &self,
        encryption: &Encryption,
        mut write: Write,
    ) -> Result<Write, StorageError> {
        let Some(transformers) = encryption.of(&write.key).filter(|it| it.encrypts()) else {
            return Ok(write);
        };
        let Some(record) = write.record.take() else {
            return Ok(write);
        };
        if write.expected != Expected::Absent
            && let Some(kept) = self.engine.get(&write.key).await?
            && let Ok(opened) = transformers.open(&write.key, &kept.record)
            && !opened.is_stale
            && opened.record == record
        {
            write.record = Some(kept.record);
            return Ok(write);
        }
        let sealed = transformers.seal(&write.key, record);
        write.record = Some(sealed.map_err(|err| StorageError::Failed(err.into()))?);
        Ok(write)
    }
}

/// The item as it was written.
fn opened(encryption: &Encryption, mut item: Item) -> Result<Item, StorageError> {
    match open(encryption, &item.key, &item.record) {
        None => {}
        Some(Ok(opened)) => item.record = opened.record,
        Some(Err(problem)) => {
            return Err(StorageError::Unreadable {
                key: item.key,
                problem,
            });
        }
    }
    Ok(item)
}

/// In the words of k8s.io/apiserver, pkg/storage/etcd3/corrupt_obj_deleter.go.
fn untransformable(why: &str) -> String {
    format!("data from the storage is not transformable revision=0: {why}")
}

/// `None`: it is as it was written.
fn open(encryption: &Encryption, key: &str, kept: &Record) -> Option<Result<Opened, String>> {
    let transformers = encryption.of(key)?;
    let is_as_written = transformers.reads_plain() && !kept.bytes.starts_with(ENCRYPTED);
    let opened = (!is_as_written).then(|| transformers.open(key, kept));
    opened.map(|it| it.map_err(untransformable))
}

#[async_trait]
impl Storage for EncryptedStorage {
    async fn attach(&self, prefix: &str, sink: Arc<dyn Sink>) -> Result<(), StorageError> {
        let decrypting = Arc::new(DecryptingSink {
            to: Arc::downgrade(&sink),
            encryption: self.encryption.clone(),
            unreadable: Mutex::default(),
        });
        self.fed().push(Arc::clone(&decrypting));
        self.engine.attach(prefix, decrypting).await
    }

    async fn refresh(
        &self,
        context: &RequestContext,
        scope: Scope<'_>,
    ) -> Result<Revision, StorageError> {
        self.engine.refresh(context, scope).await
    }

    async fn commit(
        &self,
        context: &RequestContext,
        writes: Vec<Write>,
    ) -> Result<Revision, StorageError> {
        let encryption = self.now();
        let mut sealed = Vec::with_capacity(writes.len());
        for write in writes {
            sealed.push(self.sealed(&encryption, write).await?);
        }
        match self.engine.commit(context, sealed).await {
            Err(StorageError::Conflict {
                key,
                actual: Some(mut actual),
            }) => {
                make_readable(&encryption, &key, &mut actual.record);
                let actual = Some(actual);
                Err(StorageError::Conflict { key, actual })
            }
            done => done,
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Item>, StorageError> {
        let found = self.engine.get(key).await?;
        found.map(|it| opened(&self.now(), it)).transpose()
    }

    async fn list(
        &self,
        prefix: &str,
        start: &str,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError> {
        let encryption = self.now();
        let items = self.engine.list(prefix, start, limit).await?;
        items
            .into_iter()
            .map(|it| opened(&encryption, it))
            .collect()
    }

    async fn is_stale(&self, key: &str) -> Result<bool, StorageError> {
        let encryption = self.now();
        let Some(transformers) = encryption.of(key).filter(|it| it.may_be_stale()) else {
            return self.engine.is_stale(key).await;
        };
        match self.engine.get(key).await? {
            None => Ok(false),
            Some(kept) => match transformers.open(key, &kept.record) {
                Ok(opened) => Ok(opened.is_stale),
                Err(why) => Err(StorageError::Unreadable {
                    key: kept.key,
                    problem: untransformable(why),
                }),
            },
        }
    }

    fn current_revision(&self) -> Revision {
        self.engine.current_revision()
    }

    fn is_shared(&self) -> bool {
        self.engine.is_shared()
    }

    fn trouble(&self) -> Option<String> {
        self.engine.trouble()
    }

    fn is_dead(&self) -> bool {
        self.engine.is_dead()
    }
}

/// What the engine feeds instead of a cache.
struct DecryptingSink {
    to: Weak<dyn Sink>,
    encryption: watch::Receiver<Arc<Encryption>>,
    /// What cannot be read of what is there now, and why.
    unreadable: Mutex<BTreeMap<Key, String>>,
}

impl Sink for DecryptingSink {
    fn load(
        &self,
        mut items: Vec<Item>,
        mut history: Vec<Event>,
        mut oldest: Revision,
        revision: Revision,
    ) {
        let Some(to) = self.to.upgrade() else { return };
        let encryption = Arc::clone(&self.encryption.borrow());
        for item in &mut items {
            make_readable(&encryption, &item.key, &mut item.record);
            self.note(&item.key, Some(&item.record));
        }
        for event in &mut history {
            decrypt(&encryption, event);
            if records(event).any(|it| it.problem().is_some()) {
                oldest = oldest.max(event.revision);
            }
        }
        history.retain(|it| it.revision > oldest);
        if let Some((key, problem)) = lock(&self.unreadable).first_key_value() {
            tracing::error!(
                %key,
                "what was stored cannot be decrypted: {problem}; give the encryption configuration back its key"
            );
        }
        to.load(items, history, oldest, revision);
    }

    fn apply(&self, events: &[Event]) {
        let Some(to) = self.to.upgrade() else { return };
        let encryption = Arc::clone(&self.encryption.borrow());
        let is_plain =
            |event: &Event| records(event).all(|it| open(&encryption, &event.key, it).is_none());
        if events.iter().all(is_plain) && lock(&self.unreadable).is_empty() {
            return to.apply(events);
        }
        let mut events = events.to_vec();
        for event in &mut events {
            decrypt(&encryption, event);
            self.note(&event.key, event.record.as_ref());
        }
        to.apply(&events);
    }

    fn follow(&self, progress: &Arc<SharedRevision>) {
        if let Some(to) = self.to.upgrade() {
            to.follow(progress);
        }
    }
}

impl DecryptingSink {
    fn note(&self, key: &Key, now: Option<&Record>) {
        let mut unreadable = lock(&self.unreadable);
        match now.and_then(Record::problem) {
            Some(problem) => {
                unreadable.insert(Arc::clone(key), problem.to_owned());
            }
            None if unreadable.is_empty() => {}
            None => {
                unreadable.remove(key);
            }
        }
    }
}

fn records(event: &Event) -> impl Iterator<Item = &Record> {
    let previous = event.previous.as_ref().map(|(_, record)| record);
    event.record.iter().chain(previous)
}

fn decrypt(encryption: &Encryption, event: &mut Event) {
    let previous = event.previous.as_mut().map(|(_, record)| record);
    for record in event.record.iter_mut().chain(previous) {
        make_readable(encryption, &event.key, record);
    }
}

/// A record that is as it was written stays the same one: a copy would be another allocation for each of a million.
fn make_readable(encryption: &Encryption, key: &str, record: &mut Record) {
    match open(encryption, key, record) {
        None => {}
        Some(Ok(opened)) => *record = opened.record,
        Some(Err(problem)) => *record = Record::unreadable(&problem),
    }
}

/// None of these values can be half changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
