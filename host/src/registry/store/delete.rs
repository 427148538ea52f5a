//! Deleting one object and collections of them (L4 to L6, W6, W7). No plugin is asked.

use std::sync::Arc;

use super::{Store, Written};
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext, Status};
use crate::registry::object_meta::deletion::{finalizers_for, mark_deleting};
use crate::registry::object_meta::{self, Preconditions, PropagationPolicy};
use crate::storage::watch_cache::CachedObject;
use crate::storage::{Expected, StorageError, Write};

#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    pub dry_run: bool,
    /// The older form of `propagation_policy`.
    pub orphan_dependents: Option<bool>,
    pub propagation_policy: Option<PropagationPolicy>,
    pub preconditions: Preconditions,
    /// Remove the object though it cannot be read, and only then.
    pub ignore_store_read_error: bool,
}

/// What became of the object.
#[derive(Debug)]
pub enum Deleted {
    /// It is gone; its last state.
    Gone(Arc<CachedObject>),
    /// It waits for its finalizers.
    Marked(Written),
}

impl Store {
    /// Deletes, or marks for deletion. Tries again on conflicts until the context's deadline.
    pub async fn delete(
        &self,
        context: &RequestContext,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted> {
        if options.ignore_store_read_error {
            return self.delete_unreadable(context, namespace, name).await;
        }
        loop {
            let Some(cached) = self.current(context, namespace, name).await? else {
                return Err(status::not_found(&self.definition.group_resource(), name));
            };
            let object = self.parse(&cached)?;
            options.preconditions.check(
                &self.definition.group,
                &object,
                &cached.revision.to_string(),
            )?;
            let attempt = match self.mark(&object, options) {
                Some(marked) if !marked.finalizers().any(|_| true) => {
                    self.remove(context, &cached, options).await
                }
                Some(marked) => self.commit_mark(context, &cached, marked, options).await,
                None => Ok(Deleted::Marked(Written::Stored(Arc::clone(&cached)))),
            };
            match attempt {
                Err(StorageError::Conflict { actual: None, .. }) => {
                    return Err(status::not_found(&self.definition.group_resource(), name));
                }
                Err(StorageError::Conflict { .. })
                    if tokio::time::Instant::now() < context.deadline => {}
                Err(error) => return Err(self.storage_status(error, name)),
                Ok(deleted) => return Ok(deleted),
            }
        }
    }

    /// The object as it is to be while it waits, `None` where that is how it is. Without finalizers it is to go.
    fn mark(&self, object: &Object, options: &DeleteOptions) -> Option<Object> {
        let mut marked = object.clone();
        let finalizers = finalizers_for(
            object,
            options.propagation_policy,
            options.orphan_dependents,
        );
        object_meta::set_finalizers(&mut marked, &finalizers);
        if finalizers.is_empty() {
            return Some(marked);
        }
        mark_deleting(&mut marked, self.clock.now());
        (marked != *object).then_some(marked)
    }

    pub(super) async fn remove(
        &self,
        context: &RequestContext,
        cached: &Arc<CachedObject>,
        options: &DeleteOptions,
    ) -> std::result::Result<Deleted, StorageError> {
        if !options.dry_run {
            let expected = Expected::At(cached.revision);
            self.storage
                .commit(
                    context,
                    vec![Write {
                        key: Arc::clone(&cached.key),
                        expected,
                        record: None,
                    }],
                )
                .await?;
        }
        Ok(Deleted::Gone(Arc::clone(cached)))
    }

    async fn commit_mark(
        &self,
        context: &RequestContext,
        cached: &CachedObject,
        marked: Object,
        options: &DeleteOptions,
    ) -> std::result::Result<Deleted, StorageError> {
        if options.dry_run {
            return Ok(Deleted::Marked(Written::Unstored(marked)));
        }
        let write = Write {
            key: Arc::clone(&cached.key),
            expected: Expected::At(cached.revision),
            record: Some(Self::record(&marked)),
        };
        let revision = self.storage.commit(context, vec![write]).await?;
        Ok(Deleted::Marked(self.committed(
            &cached.key,
            marked,
            revision,
        )))
    }

    /// The stored bytes as a tree, in the form of today's schema.
    pub(crate) fn parse(&self, cached: &CachedObject) -> Result<Object> {
        let mut object = Object::from_slice(&cached.bytes()).ok_or_else(|| -> Box<Status> {
            tracing::error!(key = %cached.key, "a stored object is no JSON object");
            status::internal("the stored object cannot be read")
        })?;
        if self.is_of_older_schema(cached) {
            self.renew(&mut object);
        }
        Ok(object)
    }
}
