//! Objects that a plugin keeps, made into a [`Storage`] by a journal in the host's own store.
//!
//! A backend is less than a storage engine: its versions are opaque, it has no history. The journal gives what
//! is missing, the same for every resource: resourceVersions, conditional updates, watches. A row of it is
//! - the object under the resource's own prefix, with the metadata that the host owns (`HOST_OWNED`), so
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
mod recorder;
mod row;

use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use async_trait::async_trait;
use tokio_util::task::AbortOnDropHandle;

use self::recorder::Recorder;
use super::{Item, Key, Revision, Scope, Sink, Storage, StorageError, Write};
use crate::ambient::{Clock, UidSource};
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext};

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
        let recorder = Arc::new(Recorder::new(options, backend, journal, clock, uids));
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

    async fn is_stale(&self, key: &str) -> Result<bool, StorageError> {
        self.recorder.journal.is_stale(key).await
    }

    fn current_revision(&self) -> Revision {
        self.recorder.journal.current_revision()
    }

    fn is_shared(&self) -> bool {
        self.recorder.journal.is_shared()
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

#[cfg(test)]
mod tests;
