//! What objects are kept in: bytes under keys, with one decimal revision for all of a store.
//!
//! Engines ([`sqlite`], [`etcd`], [`memory`]) keep bytes and know nothing of kinds, groups or JSON. Every read of a
//! client comes from a [`watch_cache`] that an engine feeds through [`Sink`]; the engine itself is read only
//! when it starts, by its own tools, and for the small key spaces without a cache (a plugin's own, control).
//!
//! [`encrypted`] is a layer over an engine that keeps records of chosen resources as ciphertext.
//!
//! Keys are `/`-separated: `objects/<group>/<resource>/[<namespace>/]<name>`, `kv/<plugin>/<key>`,
//! `control/<what>/…`. No segment is empty.

pub mod continue_token;
pub mod copy;
pub mod encrypted;
pub mod etcd;
pub mod late;
pub mod memory;
pub mod mirror;
mod shared_revision;
mod sinks;
pub mod sqlite;
mod transaction;
pub mod watch_cache;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::shared_revision::SharedRevision;
use crate::api::RequestContext;

/// A point in a store's history; also every resourceVersion that clients see. It never decreases, across
/// restarts, restores and moves between engines too, and is never 0 for a stored object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub type Key = Arc<str>;

/// Bytes as an engine keeps them, untouched. For objects: JSON without a resourceVersion, and where it goes
/// ([`crate::api::object::Encoded`]); for other values `version_at` is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub bytes: Bytes,
    pub version_at: u32,
}

/// Says, as `version_at`, that the record cannot be read: no object is that long.
const UNREADABLE: u32 = u32::MAX;

impl Record {
    /// Stands for one that is there and cannot be read. Only caches are given it: engines never see one.
    pub fn unreadable(problem: &str) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(problem.as_bytes()),
            version_at: UNREADABLE,
        }
    }

    /// Why it cannot be read, where it cannot.
    pub fn problem(&self) -> Option<&str> {
        unread(&self.bytes, self.version_at)
    }
}

/// Why a record with these cannot be read, where it cannot.
fn unread(bytes: &[u8], version_at: u32) -> Option<&str> {
    let text = (version_at == UNREADABLE).then(|| std::str::from_utf8(bytes));
    text.map(|it| it.unwrap_or_default())
}

/// A record and the revision that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub key: Key,
    pub revision: Revision,
    pub record: Record,
}

/// One change, as the engine committed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub key: Key,
    pub revision: Revision,
    /// The new record; `None` for a delete.
    pub record: Option<Record>,
    /// The record before, with its revision; `None` for a create.
    pub previous: Option<(Revision, Record)>,
}

/// What must hold for a write to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// There is nothing under the key.
    Absent,
    /// The record under the key was written at this revision.
    At(Revision),
    Anything,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub key: Key,
    pub expected: Expected,
    /// `None` deletes; deleting what is not there with [`Expected::Anything`] changes nothing.
    pub record: Option<Record>,
}

/// Part of a store's objects that a read is about; the mirror asks its plugin for no more than that.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Key prefix, ending in `/`.
    pub prefix: &'a str,
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
}

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// [`Expected::Absent`] did not hold.
    #[error("{key} exists already")]
    Exists { key: Key },
    /// [`Expected::At`] did not hold: `actual` is what is there.
    #[error("{key} is not at the expected revision")]
    Conflict { key: Key, actual: Option<Box<Item>> },
    /// A revision before what is kept.
    #[error("revision {requested} is compacted, the oldest is {oldest}")]
    Compacted {
        requested: Revision,
        oldest: Revision,
    },
    /// The engine cannot take writes now, e.g. its disk is full. `0` tells an operator why and what to do.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// The engine cannot be reached now; nothing was changed. `0` tells an operator why and what to do.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// The engine's answer to a write was lost: it may have been committed, or not.
    #[error("it is not known whether the write was committed: {0}")]
    Unknown(String),
    /// The engine, or the plugin that keeps the object, refused it, with the answer for the client.
    #[error("refused: {}", .0.message)]
    Refused(Box<crate::api::Status>),
    /// What is under the key cannot be decrypted or decoded.
    #[error("{key} cannot be read: {problem}")]
    Unreadable { key: Key, problem: String },
    #[error("the store failed: {0}")]
    Failed(#[source] anyhow::Error),
}

/// Takes what an engine commits; a watch cache, mostly.
///
/// It keeps the bytes of records for as long as they are current, so an engine hands over such as hold no larger
/// buffer.
///
/// Calls come one at a time, in the order of revisions, on a thread of the engine: they must not block.
pub trait Sink: Send + Sync {
    /// Everything under the prefix at `revision`, and the changes that led there from `oldest` on, oldest first.
    /// Called before any [`Sink::apply`], and again where an engine has lost changes that somebody else made: what
    /// led there is not known then, and `history` is empty.
    fn load(&self, items: Vec<Item>, history: Vec<Event>, oldest: Revision, revision: Revision);

    /// One commit's changes under the prefix. An engine calls it before it acknowledges the write.
    fn apply(&self, events: &[Event]);

    /// From now on it has been given everything up to what `progress` says, whether or not anything under the prefix
    /// changed. Called once, after the first [`Sink::load`] and what was committed meanwhile.
    fn follow(&self, progress: &Arc<SharedRevision>);
}

#[async_trait]
pub trait Storage: Send + Sync {
    /// Feeds `sink` from now on with all under `prefix`, without a gap. It has been loaded when this returns.
    /// The engine holds it weakly: once its owner drops it, it is fed no more.
    async fn attach(&self, prefix: &str, sink: Arc<dyn Sink>) -> Result<(), StorageError>;

    /// Makes reads of `scope` from a cache consistent: everything that was committed before this call is in
    /// the attached sinks when it returns, with the revision that they are at.
    async fn refresh(
        &self,
        context: &RequestContext,
        scope: Scope<'_>,
    ) -> Result<Revision, StorageError>;

    /// Commits all of `writes` or none, at one new revision, and returns it. When this returns, the change is
    /// durable as far as the engine promises, and in the attached sinks. A batch in which nothing changes (what
    /// is written is there already, what is deleted is not) returns the current revision. No key may be written
    /// twice in a batch.
    async fn commit(
        &self,
        context: &RequestContext,
        writes: Vec<Write>,
    ) -> Result<Revision, StorageError>;

    /// Reads past the caches.
    async fn get(&self, key: &str) -> Result<Option<Item>, StorageError>;

    /// Up to `limit` items under `prefix` (ending in `/`) in the order of keys, from `start` (a whole key, or
    /// empty) on. Reads past the caches.
    async fn list(
        &self,
        prefix: &str,
        start: &str,
        limit: usize,
    ) -> Result<Vec<Item>, StorageError>;

    /// Whether the record under `key` is to be written again though nothing changes: it is not kept as one written
    /// today would be, e.g. encrypted with an older key. Reads past the caches.
    async fn is_stale(&self, key: &str) -> Result<bool, StorageError> {
        let _ = key;
        Ok(false)
    }

    /// The store's revision, without asking anybody.
    fn current_revision(&self) -> Revision;

    /// `None` while the store works; else one line for `/readyz` that says what is wrong and what to do.
    fn trouble(&self) -> Option<String>;

    /// Whether other servers may write into it at the same time, also such of another release of a plugin.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether only a restart of the process helps.
    fn is_dead(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod conformance;
