//! Objects that are there and cannot be read: what is stored does not decrypt or decode (KEP-3926).
//!
//! A read that such an object belongs to fails: to a controller an object that is not listed is gone. Texts are those
//! of k8s.io/apiserver, pkg/storage/errors.go and pkg/storage/etcd3/corrupt_obj_deleter.go.

use std::sync::Arc;

use super::{DeleteOptions, Deleted, Store};
use crate::api::status::{self, Cause, Details, FieldError, Result};
use crate::api::{Object, RequestContext, Status};
use crate::storage::StorageError;
use crate::storage::watch_cache::CachedObject;

/// Most objects that one answer names.
const NAMED_MAX: usize = 100;

impl Store {
    /// # Errors
    /// 500: the object is there and cannot be read.
    pub(super) fn readable(
        &self,
        found: Option<Arc<CachedObject>>,
    ) -> Result<Option<Arc<CachedObject>>> {
        match found.as_ref().and_then(|it| Some((it, it.problem()?))) {
            Some((it, problem)) => Err(object(&it.key, problem)),
            None => Ok(found),
        }
    }

    /// Removes an object that cannot be read, whatever finalizers it may have
    /// (pkg/registry/generic/registry/corrupt_obj_deleter.go).
    ///
    /// # Errors
    /// 422 where there is no such object, or it can be read.
    pub(super) async fn delete_unreadable(
        &self,
        context: &RequestContext,
        namespace: &str,
        name: &str,
    ) -> Result<Deleted> {
        let key = self.key(namespace, name);
        let found = self.cache.get(&key).filter(|it| it.problem().is_some());
        // Other keys may be in use since it came to the cache.
        let is_readable = match self.storage.get(&key).await {
            Ok(Some(now)) => Object::from_slice(&now.record.bytes).is_some(),
            Ok(None) | Err(StorageError::Unreadable { .. }) => false,
            Err(error) => return Err(self.storage_status(error, name)),
        };
        let Some(cached) = found.filter(|_| !is_readable) else {
            let detail = "is exclusively used to delete corrupt object(s), try again by removing this option";
            let field = "ignoreStoreReadErrorWithClusterBreakingPotential";
            let resource = self.definition.group_resource();
            let errors = vec![FieldError::invalid(field, &true.into(), detail)];
            return Err(status::invalid(
                &resource.group,
                &resource.resource,
                name,
                errors,
            ));
        };
        tracing::warn!(%key, user = context.user.name, "removing an object that cannot be read");
        let removed = self
            .remove(context, &cached, &DeleteOptions::default())
            .await;
        removed.map_err(|error| self.storage_status(error, name))
    }

    /// The answer to a read that `unreadable` belong to.
    pub(crate) fn unreadable_status(&self, unreadable: &[Arc<CachedObject>]) -> Box<Status> {
        let resource = self.definition.group_resource();
        let named = unreadable.iter().take(NAMED_MAX).map(|it| Cause {
            reason: "UnexpectedServerResponse".into(),
            message: text(&it.key, it.problem().unwrap_or_default()),
            field: registry_key(&it.key),
        });
        let mut causes: Vec<Cause> = named.collect();
        if unreadable.len() > NAMED_MAX {
            causes.push(Cause {
                reason: "FieldValueTooMany".into(),
                message: "too many errors, the list is truncated".into(),
                field: String::new(),
            });
        }
        let message = format!("failed to read one or more {resource} from the storage");
        let mut status = Status::failure(500, "StoreReadError", message);
        status.details = Some(Details {
            name: "list".into(),
            group: resource.group,
            kind: resource.resource,
            causes,
            ..Details::default()
        });
        status
    }
}

pub(super) fn object(key: &str, problem: &str) -> Box<Status> {
    status::internal(text(key, problem))
}

fn text(key: &str, problem: &str) -> String {
    let key = registry_key(key);
    format!(
        "StorageError: corrupt object, Code: 7, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: {problem}"
    )
}

/// As kube-apiserver would name it.
fn registry_key(key: &str) -> String {
    let below = key.strip_prefix("objects/").unwrap_or(key);
    format!("/registry/{below}")
}
