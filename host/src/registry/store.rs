//! The generic store: what every resource does the same way (k8s.io/apiserver, pkg/registry/generic/registry).
//!
//! Reads come from the watch cache and are in `read`; writes are in `create`, `update` and `delete`. Errors of
//! the storage become a Status here and nowhere else.

mod change;
mod create;
mod delete;
mod index;
mod ownership;
pub mod read;
mod unreadable;
mod update;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

pub use change::Change;
pub use delete::{DeleteOptions, Deleted};
pub use index::ObjectIndexer;
use read::SharedFrames;
pub use update::{MayCreate, Updated};

use super::apply::FieldManager;
use super::definition::ObjectModel;
use super::strategy::{Operation, Strategy, Target};
use super::{ResourceDefinition, object_model};
use crate::ambient::{Clock, UidSource};
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext, Status};
use crate::storage::watch_cache::{CachedObject, WatchCache};
use crate::storage::{Key, Record, Revision, Scope, Storage, StorageError};

/// The status subresource's name.
const STATUS: &str = "status";

/// One resource, served in all its versions.
pub struct Store {
    definition: Arc<ResourceDefinition>,
    prefix: String,
    strategy: Arc<dyn Strategy>,
    storage: Arc<dyn Storage>,
    cache: Arc<WatchCache>,
    clock: Arc<dyn Clock>,
    uids: Arc<dyn UidSource>,
    /// Made at the first write: most of hundreds of resources are not written for long.
    field_manager: OnceLock<FieldManager>,
    /// Objects that were written before this revision were written under another schema.
    schema_since: Revision,
    /// Whether all versions have one schema, so that an object fits all that it fits one of.
    has_one_schema: bool,
    /// What watchers of it have written last.
    shared_frames: Arc<SharedFrames>,
    /// Tells the views that this store has made of cached objects from those of a store before it: a reloaded
    /// plugin may convert in another way.
    epoch: u32,
}

/// What a write left behind.
#[derive(Debug)]
pub enum Written {
    /// Committed, or already so.
    Stored(Arc<CachedObject>),
    /// In the storage version: a dry run, or the last state of an object whose last finalizer went.
    Unstored(Object),
}

/// What a write is told by its request.
#[derive(Debug, Clone, Copy)]
pub struct WriteTarget<'a> {
    /// The request's version.
    pub version: &'a str,
    pub namespace: &'a str,
    /// Empty for a create: the object's own.
    pub name: &'a str,
    /// Empty, `status` or `scale`.
    pub subresource: &'a str,
    /// The request's verb.
    pub verb: &'a str,
    /// Who the fields that this write sets belong to.
    pub manager: &'a str,
}

impl Store {
    pub fn new(
        definition: impl Into<Arc<ResourceDefinition>>,
        strategy: Arc<dyn Strategy>,
        storage: Arc<dyn Storage>,
        cache: Arc<WatchCache>,
        clock: Arc<dyn Clock>,
        uids: Arc<dyn UidSource>,
    ) -> Self {
        static EPOCH: AtomicU32 = AtomicU32::new(0);
        let definition = definition.into();
        let prefix = definition.prefix();
        Self {
            epoch: EPOCH.fetch_add(1, Ordering::Relaxed),
            field_manager: OnceLock::new(),
            schema_since: Revision(0),
            shared_frames: Arc::default(),
            has_one_schema: has_one_schema(&definition),
            definition,
            prefix,
            strategy,
            storage,
            cache,
            clock,
            uids,
        }
    }

    /// The same store, over objects that were written under another schema before a revision.
    #[must_use]
    pub fn with_schema_since(mut self, revision: Revision) -> Self {
        self.schema_since = revision;
        self
    }

    pub fn definition(&self) -> &Arc<ResourceDefinition> {
        &self.definition
    }

    pub fn strategy(&self) -> &Arc<dyn Strategy> {
        &self.strategy
    }

    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    pub fn cache(&self) -> &Arc<WatchCache> {
        &self.cache
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn field_manager(&self) -> &FieldManager {
        let make = || FieldManager::new(&self.definition);
        self.field_manager.get_or_init(make)
    }

    /// Key prefix of all its objects, ending in `/`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `namespace` is empty for cluster-scoped resources.
    pub fn key(&self, namespace: &str, name: &str) -> Key {
        if namespace.is_empty() {
            format!("{}{name}", self.prefix).into()
        } else {
            format!("{}{namespace}/{name}", self.prefix).into()
        }
    }

    /// Brings the cache up to date with everything that was committed before this call.
    pub(crate) async fn refresh_object(
        &self,
        context: &RequestContext,
        namespace: &str,
        name: &str,
    ) -> Result<()> {
        let scope = Scope {
            prefix: &self.prefix,
            namespace: Some(namespace).filter(|it| !it.is_empty()),
            name: Some(name),
        };
        match self.storage.refresh(context, scope).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.storage_status(error, name)),
        }
    }

    /// The object as it is now, in the storage version.
    pub(crate) async fn current(
        &self,
        context: &RequestContext,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<CachedObject>>> {
        if !self.cache.is_loaded() {
            return Err(status::too_many_requests("storage is (re)initializing", 1));
        }
        self.refresh_object(context, namespace, name).await?;
        self.readable(self.cache.get(&self.key(namespace, name)))
    }

    /// Converts one object to `version`; costs nothing where it is there already.
    pub(crate) async fn convert(
        &self,
        context: &RequestContext,
        object: Object,
        version: &str,
    ) -> Result<Object> {
        let api_version = self.definition.group_version(version).to_string();
        if object.api_version() == api_version {
            return Ok(object);
        }
        if self.strategy.only_relabels() {
            let mut object = object;
            object.set_type(&api_version, &self.definition.names.kind);
            self.coerce(&mut object, version);
            return Ok(object);
        }
        let mut converted = self
            .strategy
            .convert(context, version, vec![object.to_vec().into()])
            .await?;
        let Some(mut converted) = converted.pop().and_then(|it| Object::from_slice(&it)) else {
            tracing::error!(resource = %self.definition.group_resource(), version, "the conversion returned no object");
            return Err(status::internal("the conversion of the object failed"));
        };
        self.coerce(&mut converted, version);
        Ok(converted)
    }

    /// Brings what a conversion made into the form that the version's schema wants, as apiextensions does: pruned
    /// and defaulted. A typed server's conversion makes nothing else.
    pub(crate) fn coerce(&self, object: &mut Object, version: &str) {
        let fits_already = self.has_one_schema && self.strategy.only_relabels();
        if fits_already || self.definition.object_model == ObjectModel::Typed {
            return;
        }
        if let Some(version) = self.definition.version(version) {
            version.schema.read(&mut object.0);
        }
    }

    /// Whether an object may lack defaults that its schema has got since it was written, or have fields that its
    /// schema has lost (K6, K7).
    pub(crate) fn is_of_older_schema(&self, cached: &CachedObject) -> bool {
        cached.revision < self.schema_since
    }

    /// Brings what was stored into the form that the storage version's schema wants today.
    pub(crate) fn renew(&self, object: &mut Object) {
        let version = self.definition.storage_version();
        version.schema.read(&mut object.0);
    }

    pub(crate) fn hook_target(
        &self,
        target: &WriteTarget<'_>,
        version: &str,
        name: &str,
        operation: Operation,
    ) -> Target {
        let some = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
        Target {
            group: self.definition.group.clone(),
            version: version.to_owned(),
            resource: self.definition.names.plural.clone(),
            subresource: some(target.subresource),
            namespace: some(target.namespace),
            name: some(name),
            verb: target.verb.to_owned(),
            operation,
        }
    }

    /// Fills in what a typed server shows of an empty object, so that stored bytes hold it.
    pub(crate) fn complete(&self, object: &mut Object, version: &str) {
        if let Some(empty) = self
            .definition
            .version(version)
            .and_then(|it| it.empty_object.as_ref())
        {
            object_model::show_empty_object(object, empty);
        }
    }

    pub(crate) fn record(object: &Object) -> Record {
        let encoded = object.encode();
        Record {
            bytes: encoded.bytes,
            version_at: encoded.version_at,
        }
    }

    /// What a write at `revision` has made, as the cache has it, whatever others have written since: the client must
    /// not take their version for its own. A watch-less backend's objects are in no cache.
    pub(crate) fn committed(&self, key: &str, object: Object, revision: Revision) -> Written {
        let now = self.cache.get(key).filter(|it| it.revision == revision);
        let made = now.or_else(|| {
            let is_past = self.cache.revision() >= revision;
            let then = is_past.then(|| self.cache.snapshot_at(revision).ok());
            then.flatten()?.get(key).cloned()
        });
        match made.filter(|it| it.problem().is_none()) {
            Some(made) => Written::Stored(made),
            None => {
                let mut object = object;
                object.set_meta("resourceVersion", &revision.to_string());
                Written::Unstored(object)
            }
        }
    }

    /// The answer to a storage error that no write has handled.
    pub(crate) fn storage_status(&self, error: StorageError, name: &str) -> Box<Status> {
        let resource = self.definition.group_resource();
        match error {
            StorageError::Exists { .. } => status::already_exists(&resource, name),
            StorageError::Conflict { .. } => status::modified(&resource, name),
            StorageError::Compacted { .. } => {
                status::expired("The resourceVersion for the provided list is too old.")
            }
            StorageError::Refused(status) => status,
            StorageError::Unreadable { key, problem } => unreadable::object(&key, &problem),
            StorageError::ReadOnly(why) => {
                tracing::warn!(%resource, why, "refused a write: the store is read-only");
                status::unavailable(
                    "the store cannot take writes at the moment, please try again later",
                    5,
                )
            }
            StorageError::Unavailable(why) => {
                tracing::warn!(%resource, why, "refused a request: the store cannot be reached");
                status::unavailable(
                    "the store cannot be reached at the moment, please try again later",
                    1,
                )
            }
            StorageError::Unknown(why) => {
                tracing::error!(%resource, name, why, "the outcome of a write is not known");
                // Without Retry-After: clients would send it again by themselves.
                Status::failure(
                    504,
                    "Timeout",
                    "Timeout: the store did not answer, the write may have been done or not: read the object again",
                )
            }
            StorageError::Failed(error) => {
                tracing::error!(%resource, error = format!("{error:#}"), "the store failed");
                status::internal("the store failed")
            }
        }
    }
}

fn has_one_schema(definition: &ResourceDefinition) -> bool {
    let mut schemas = definition.versions.iter().map(|it| it.schema.document());
    let first = schemas.next();
    schemas.all(|it| Some(it) == first)
}
