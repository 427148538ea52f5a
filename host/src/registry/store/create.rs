//! Creating an object (L1, W1, W2).

use std::sync::Arc;

use super::change::Changed;
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
        object: Object,
        warnings: &mut Vec<String>,
    ) -> Result<Written> {
        if !object.resource_version().is_empty() {
            return Err(status::unclassified(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let mut hooks = self.strategy.begin(context);
        let is_generated = object.name().is_empty() && !object.meta("generateName").is_empty();
        let tries = if is_generated { NAME_TRIES } else { 1 };
        let new = Changed {
            object,
            is_owned: false,
        };
        let object = self
            .begin_create(context, target, new, &mut *hooks, warnings)
            .await?;
        let mut name = String::new();
        // The last one is no copy: mostly it is the only one.
        for mut named in std::iter::repeat_n(object, tries) {
            object_meta::generate_name(&mut named, &*self.uids);
            named.name().clone_into(&mut name);
            let mut said = Vec::new();
            let created = self
                .try_create(context, target, named, &mut *hooks, &mut said)
                .await
                .transpose();
            if let Some(outcome) = created {
                warnings.extend(said);
                return outcome;
            }
        }
        Err(self
            .exists(context, target.namespace, &name, is_generated)
            .await)
    }

    /// Creates for an update or an apply that found nothing; `None` where somebody else was faster.
    pub(super) async fn create_object(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        new: Changed,
        hooks: &mut dyn WriteHooks,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Written>> {
        let object = self
            .begin_create(context, target, new, hooks, warnings)
            .await?;
        self.try_create(context, target, object, hooks, warnings)
            .await
    }

    /// From `new`, in the request's version, to the object in the storage version, with all but its name.
    async fn begin_create(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        new: Changed,
        hooks: &mut dyn WriteHooks,
        warnings: &mut Vec<String>,
    ) -> Result<Object> {
        let mut object = new.object;
        if self.keeps_status() {
            object.0.remove("status");
        }
        object.metadata_mut().remove("resourceVersion");
        let hook_target =
            self.hook_target(target, target.version, object.name(), Operation::Create);
        let object = hooks.default(&hook_target, object).await?;
        let storage_version = self.definition.storage_version().name.clone();
        let mut object = self.convert(context, object, &storage_version).await?;
        self.complete(&mut object, &storage_version);
        warnings.extend(object_meta::dedup_owner_references(&mut object));
        object_meta::fill_system_fields(&mut object, &*self.clock, &*self.uids);
        if !new.is_owned {
            let live = self.empty(target.version);
            self.own(context, target, &live, &mut object).await;
        }
        object_meta::set_generation_on_create(&mut object, self.definition.object_model);
        Ok(object)
    }

    /// `None` where there is an object of this name.
    async fn try_create(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        object: Object,
        hooks: &mut dyn WriteHooks,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Written>> {
        let version = self.definition.storage_version();
        let hook_target = self.hook_target(target, &version.name, object.name(), Operation::Create);
        let object = self
            .prepare(hooks, &hook_target, object, None, warnings)
            .await?;

        let errors = object_meta::validate_create(&object, &self.definition);
        self.check(
            context,
            target,
            &hook_target,
            (&object, None),
            errors,
            hooks,
            warnings,
        )
        .await?;
        self.warn(&object, None, warnings);

        let name = object.name().to_owned();
        let key = self.key(target.namespace, &name);
        if context.dry_run {
            let current = self.current(context, target.namespace, &name).await?;
            return Ok(current.is_none().then_some(Written::Unstored(object)));
        }
        let write = Write {
            key: Arc::clone(&key),
            expected: Expected::Absent,
            record: Some(Self::record(&object)),
        };
        match self.storage.commit(context, vec![write]).await {
            Ok(revision) => Ok(Some(self.committed(&key, object, revision))),
            Err(StorageError::Exists { .. }) => Ok(None),
            Err(error) => Err(self.storage_status(error, &name)),
        }
    }

    /// 409; one that waits for its finalizers says so, and a generated name may be tried again.
    async fn exists(
        &self,
        context: &RequestContext,
        namespace: &str,
        name: &str,
        is_generated: bool,
    ) -> Box<status::Status> {
        let resource = self.definition.group_resource();
        let mut status = status::already_exists(&resource, name);
        if is_generated {
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
