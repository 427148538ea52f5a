//! Creating an object (L1, W1, W2).

use std::sync::Arc;

use super::{Store, WriteTarget, Written};
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext};
use crate::registry::object_meta;
use crate::registry::strategy::{Operation, WriteHooks};
use crate::storage::{Expected, StorageError, Write};

/// How many generated names are tried (KEP-4420).
const NAME_TRIES: usize = 8;

impl Store {
    /// Creates `object`: of the request's version, pruned and defaulted by its schema, in its place.
    pub async fn create(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        mut object: Object,
        warnings: &mut Vec<String>,
    ) -> Result<Written> {
        if !object.resource_version().is_empty() {
            return Err(status::unclassified(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let mut hooks = self.strategy.begin(context);
        if self.keeps_status() {
            object.0.remove("status");
        }
        let hook_target =
            self.hook_target(target, target.version, object.name(), Operation::Create);
        let object = hooks.default(&hook_target, object).await?;
        let storage_version = self.definition.storage_version().name.clone();
        let mut object = self.convert(context, object, &storage_version).await?;
        object_meta::fill_system_fields(&mut object, &*self.clock, &*self.uids);
        object_meta::set_generation_on_create(&mut object, self.definition.object_model);
        warnings.extend(object_meta::dedup_owner_references(&mut object));
        warnings.extend(object_meta::finalizer_warnings(
            &object,
            None,
            self.definition.object_model,
        ));

        let generated = object.name().is_empty() && !object.meta("generateName").is_empty();
        let mut tries = if generated { NAME_TRIES } else { 1 };
        loop {
            let mut named = object.clone();
            object_meta::generate_name(&mut named, &*self.uids);
            tries -= 1;
            let mut said = Vec::new();
            match self
                .try_create(context, target, named, &mut *hooks, &mut said)
                .await?
            {
                Attempt::Written(written) => {
                    warnings.extend(said);
                    return Ok(written);
                }
                Attempt::Exists(_) if tries > 0 => {}
                Attempt::Exists(name) => {
                    return Err(self
                        .exists(context, target.namespace, &name, generated)
                        .await);
                }
            }
        }
    }

    async fn try_create(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        object: Object,
        hooks: &mut dyn WriteHooks,
        warnings: &mut Vec<String>,
    ) -> Result<Attempt> {
        let version = self.definition.storage_version();
        let hook_target = self.hook_target(target, &version.name, object.name(), Operation::Create);
        let mut object = hooks.prepare(&hook_target, object, None, warnings).await?;
        self.complete(&mut object, &version.name);

        let errors = object_meta::validate_create(&object, &self.definition);
        self.check(&hook_target, &object, None, errors, hooks, warnings)
            .await?;

        let name = object.name().to_owned();
        let key = self.key(target.namespace, &name);
        if context.dry_run {
            return match self.current(context, target.namespace, &name).await? {
                Some(_) => Ok(Attempt::Exists(name)),
                None => Ok(Attempt::Written(Written::Unstored(object))),
            };
        }
        let write = Write {
            key: Arc::clone(&key),
            expected: Expected::Absent,
            record: Some(Self::record(&object)),
        };
        match self.storage.commit(context, vec![write]).await {
            Ok(revision) => Ok(Attempt::Written(self.committed(&key, object, revision))),
            Err(StorageError::Exists { .. }) => Ok(Attempt::Exists(name)),
            Err(error) => Err(self.storage_status(error, &name)),
        }
    }

    /// 409; one that waits for its finalizers says so, and a generated name may be tried again.
    async fn exists(
        &self,
        context: &RequestContext,
        namespace: &str,
        name: &str,
        generated: bool,
    ) -> Box<status::Status> {
        let resource = self.definition.group_resource();
        let mut status = status::already_exists(&resource, name);
        if generated {
            status.message += ", the server was not able to generate a unique name for the object";
            return status.with_retry_after(1);
        }
        if let Ok(Some(cached)) = self.current(context, namespace, name).await
            && self.parse(&cached).is_ok_and(|it| it.is_deleting())
        {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }
}

enum Attempt {
    Written(Written),
    /// There is an object of this name.
    Exists(String),
}
