//! Updating, patching and applying: read, change, check, compare and swap (W4, W5, L3, L4, L8).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use super::change::Change;
use super::{DeleteOptions, Deleted, Store, WriteTarget, Written};
use crate::api::status::{self, FieldError, Result};
use crate::api::{Object, RequestContext, strconv};
use crate::registry::definition::ObjectModel;
use crate::registry::object_meta;
use crate::registry::strategy::{Operation, Target, WriteHooks};
use crate::storage::watch_cache::CachedObject;
use crate::storage::{Expected, StorageError, Write};

/// Asked before an update or an apply creates.
#[async_trait]
pub trait MayCreate: Send + Sync {
    /// # Errors
    /// The client's answer: it may not, or its namespace takes no objects.
    async fn check(&self) -> Result<()>;
}

#[derive(Debug)]
pub struct Updated {
    pub written: Written,
    pub is_created: bool,
}

impl Store {
    /// Applies `change` to the object as it is. One that names no resourceVersion is applied again to what others
    /// have written meanwhile, until the context's deadline.
    pub async fn update(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        change: Change,
        gate: &dyn MayCreate,
        warnings: &mut Vec<String>,
    ) -> Result<Updated> {
        let mut hooks = self.strategy.begin(context);
        loop {
            let mut said = Vec::new();
            let attempt = match self.current(context, target.namespace, target.name).await? {
                Some(cached) => {
                    self.try_update(context, target, &change, &cached, &mut *hooks, &mut said)
                        .await
                }
                None => {
                    self.try_create_by(context, target, &change, gate, &mut *hooks, &mut said)
                        .await
                }
            };
            match attempt {
                Ok(Attempt::Done(updated)) => {
                    warnings.extend(said);
                    return Ok(updated);
                }
                Err(refusal) => {
                    // A refused change is warned of, too: what was wrong may be the reason.
                    warnings.extend(said);
                    return Err(refusal);
                }
                Ok(Attempt::Conflict) if Instant::now() < context.deadline => {}
                Ok(Attempt::Conflict) => {
                    return Err(status::modified(
                        &self.definition.group_resource(),
                        target.name,
                    ));
                }
            }
        }
    }

    /// Creates what the change describes, where it may create.
    async fn try_create_by(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        change: &Change,
        gate: &dyn MayCreate,
        hooks: &mut dyn WriteHooks,
        warnings: &mut Vec<String>,
    ) -> Result<Attempt> {
        let resource = self.definition.group_resource();
        let may_create = match change {
            Change::Replace(_) => self.definition.update.allow_create,
            Change::Apply { .. } => true,
            Change::Patch { .. } => false,
        };
        if !may_create || !target.subresource.is_empty() {
            return Err(status::not_found(&resource, target.name));
        }
        let live = self.empty(target.version);
        let new = self
            .changed(context, target, change, &live, warnings)
            .await?;
        let uid = new.object.uid();
        if !uid.is_empty() {
            if matches!(change, Change::Replace(_)) {
                return Err(self.other_uid(target, uid, ""));
            }
            let text = format!(
                "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            );
            return Err(status::conflict(&resource, target.name, &text));
        }
        gate.check().await?;
        match self
            .create_object(context, target, new, hooks, warnings)
            .await?
        {
            Some(written) => Ok(Attempt::Done(Updated {
                written,
                is_created: true,
            })),
            None => Ok(Attempt::Conflict),
        }
    }

    async fn try_update(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        change: &Change,
        cached: &Arc<CachedObject>,
        hooks: &mut dyn WriteHooks,
        warnings: &mut Vec<String>,
    ) -> Result<Attempt> {
        let old = self.parse(cached)?;
        if let Some(new) = self.without_plugin(target, change, &old)? {
            let is_conditional = self.check_versions(target, &new, &old, change)?;
            let mut new = self.settle(target, new, &old);
            self.own_metadata(target, &old, &mut new).await;
            let errors = object_meta::validate_update(&new, &old, &self.definition);
            if !errors.is_empty() {
                return Err(self.invalid(target.name, errors));
            }
            self.warn(&new, Some(&old), warnings);
            return self
                .commit_update(context, cached, &old, new, is_conditional)
                .await;
        }

        let base = self.shown(context, old.clone(), target.version).await?;
        let changed = self
            .changed(context, target, change, &base, warnings)
            .await?;
        let is_conditional = self.check_versions(target, &changed.object, &old, change)?;
        let hook_target = self.hook_target(target, target.version, target.name, Operation::Update);
        let new = hooks.default(&hook_target, changed.object).await?;
        let version = self.definition.storage_version();
        let mut new = self.convert(context, new, &version.name).await?;
        self.complete(&mut new, &version.name);
        warnings.extend(object_meta::dedup_owner_references(&mut new));
        if !changed.is_owned {
            self.own(context, target, &base, &mut new).await;
        }
        let new = self.settle(target, new, &old);

        let hook_target = self.hook_target(target, &version.name, target.name, Operation::Update);
        let mut new = self
            .prepare(hooks, &hook_target, new, Some(&old), warnings)
            .await?;
        if target.subresource != super::STATUS {
            object_meta::set_generation_on_update(&mut new, &old, self.definition.object_model);
        }

        let errors = object_meta::validate_update(&new, &old, &self.definition);
        self.check(
            context,
            target,
            &hook_target,
            (&new, Some(&old)),
            errors,
            hooks,
            warnings,
        )
        .await?;
        self.warn(&new, Some(&old), warnings);
        self.commit_update(context, cached, &old, new, is_conditional)
            .await
    }

    /// The new object in the storage version, where the change touches nothing but finalizers, ownerReferences and
    /// managedFields: the garbage collector depends on such writes, also when the plugin does not work.
    fn without_plugin(
        &self,
        target: &WriteTarget<'_>,
        change: &Change,
        old: &Object,
    ) -> Result<Option<Object>> {
        if !target.subresource.is_empty() {
            return Ok(None);
        }
        match change {
            Change::Patch { patch, .. } if patch.touches_only_ownership() => {
                let mut patched =
                    patch.apply(old, self.definition.storage_version().schema.patch_meta())?;
                self.check_patched(target, old, &mut patched)?;
                Ok(Some(patched))
            }
            Change::Replace(new) if new.api_version() == old.api_version() => {
                let mut settled = self.settle(target, new.clone(), old);
                self.complete(&mut settled, &self.definition.storage_version().name);
                Ok(object_meta::is_only_ownership_changed(&settled, old).then(|| new.clone()))
            }
            _ => Ok(None),
        }
    }

    /// What is right but unwise; comes when all that is wrong has been refused.
    pub(super) fn warn(&self, new: &Object, old: Option<&Object>, warnings: &mut Vec<String>) {
        let model = self.definition.object_model;
        warnings.extend(object_meta::finalizer_warnings(new, old, model));
    }

    /// Compares uid and resourceVersion with the stored object's. Returns whether the client insists on the
    /// version: then a conflict is its answer.
    fn check_versions(
        &self,
        target: &WriteTarget<'_>,
        new: &Object,
        old: &Object,
        change: &Change,
    ) -> Result<bool> {
        let resource = self.definition.group_resource();
        let is_replaced = matches!(change, Change::Replace(_));
        if is_replaced && !new.uid().is_empty() && new.uid() != old.uid() {
            return Err(self.other_uid(target, new.uid(), old.uid()));
        }
        let given = new.resource_version();
        if given.is_empty() || given == "0" {
            if self.definition.update.allow_unconditional {
                return Ok(false);
            }
            let error = FieldError::invalid(
                "metadata.resourceVersion",
                &0.into(),
                "must be specified for an update",
            );
            return Err(status::invalid(
                &resource.group,
                &resource.resource,
                target.name,
                vec![error],
            ));
        }
        strconv::parse_uint(given).map_err(status::unclassified)?;
        if given != old.resource_version() {
            return Err(status::modified(&resource, target.name));
        }
        Ok(change.names_resource_version())
    }

    /// 409: the client means another object. The text is that of upstream's store.
    fn other_uid(
        &self,
        target: &WriteTarget<'_>,
        wanted: &str,
        found: &str,
    ) -> Box<status::Status> {
        let resource = self.definition.group_resource();
        let place = match target.namespace {
            "" => target.name.to_owned(),
            namespace => format!("{namespace}/{}", target.name),
        };
        let text = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{place}, ResourceVersion: 0, \
             AdditionalErrorMsg: Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}",
            resource.group, resource.resource
        );
        status::conflict(&resource, target.name, &text)
    }

    /// Takes over what an update does not change: system metadata, and the status or all but the status.
    fn settle(&self, target: &WriteTarget<'_>, mut new: Object, old: &Object) -> Object {
        if target.subresource == super::STATUS {
            let status = new.0.remove("status");
            let managed_fields = new.metadata_mut().remove("managedFields");
            let version = new.metadata().get("resourceVersion").cloned();
            new = old.clone();
            new.set("status", status);
            new.set_in_metadata("managedFields", managed_fields);
            new.set_in_metadata("resourceVersion", version);
        } else if self.keeps_status() {
            new.set("status", old.0.get("status").cloned());
        }
        object_meta::keep_on_update(&mut new, old);
        new
    }

    async fn commit_update(
        &self,
        context: &RequestContext,
        cached: &Arc<CachedObject>,
        old: &Object,
        mut new: Object,
        is_conditional: bool,
    ) -> Result<Attempt> {
        new.set_meta("resourceVersion", &cached.revision.to_string());
        if new.is_deleting() && !new.finalizers().any(|_| true) {
            let options = DeleteOptions {
                dry_run: context.dry_run,
                ..DeleteOptions::default()
            };
            let removed = self.remove(context, cached, &options).await;
            return self.attempt(
                removed,
                cached.name(),
                is_conditional,
                |deleted: Deleted| match deleted {
                    Deleted::Gone(_) => Written::Unstored(new),
                    Deleted::Marked(written) => written,
                },
            );
        }
        if object_meta::is_unchanged(&new, old) {
            if context.dry_run || !self.is_stale(cached).await? {
                return Ok(Attempt::updated(Written::Stored(Arc::clone(cached))));
            }
            // Written again as it is, e.g. encrypted with the key of today.
            new = old.clone();
        }
        if context.dry_run {
            return Ok(Attempt::updated(Written::Unstored(new)));
        }
        let write = Write {
            key: Arc::clone(&cached.key),
            expected: Expected::At(cached.revision),
            record: Some(Self::record(&new)),
        };
        let committed = self.storage.commit(context, vec![write]).await;
        self.attempt(committed, cached.name(), is_conditional, |revision| {
            self.committed(&cached.key, new, revision)
        })
    }

    async fn is_stale(&self, cached: &CachedObject) -> Result<bool> {
        let is_stale = self.storage.is_stale(&cached.key).await;
        is_stale.map_err(|error| self.storage_status(error, cached.name()))
    }

    fn attempt<T>(
        &self,
        outcome: std::result::Result<T, StorageError>,
        name: &str,
        is_conditional: bool,
        written: impl FnOnce(T) -> Written,
    ) -> Result<Attempt> {
        match outcome {
            Ok(outcome) => Ok(Attempt::updated(written(outcome))),
            Err(StorageError::Conflict { .. }) if !is_conditional => Ok(Attempt::Conflict),
            Err(error) => Err(self.storage_status(error, name)),
        }
    }

    /// Whether writes of the main resource leave the status as it was.
    pub(super) fn keeps_status(&self) -> bool {
        self.definition.update.reset_status || self.definition.storage_version().has_status
    }

    /// The plugin's own changes; who owns what is not its affair.
    pub(super) async fn prepare(
        &self,
        hooks: &mut dyn WriteHooks,
        hook_target: &Target,
        mut new: Object,
        old: Option<&Object>,
        warnings: &mut Vec<String>,
    ) -> Result<Object> {
        let managed_fields = new.metadata_mut().remove("managedFields");
        let mut prepared = hooks.prepare(hook_target, new, old, warnings).await?;
        prepared.set_in_metadata("managedFields", managed_fields);
        self.complete(&mut prepared, &hook_target.version);
        Ok(prepared)
    }

    /// Runs the schema and the hook over a complete object, in the order that decides which error a client sees:
    /// typed servers ask the strategy first, custom resources are checked whole and in the request's version.
    /// `errors` are the metadata's.
    #[expect(clippy::too_many_arguments, reason = "a write in all its parts")]
    pub(super) async fn check(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        hook_target: &Target,
        (new, old): (&Object, Option<&Object>),
        errors: Vec<FieldError>,
        hooks: &mut dyn WriteHooks,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let version = match self.definition.object_model {
            ObjectModel::Typed => self.definition.storage_version(),
            ObjectModel::Custom => self.requested(target.version),
        };
        let converted;
        let viewed = if version.storage {
            new
        } else {
            converted = self.shown(context, new.clone(), &version.name).await?;
            &converted
        };
        let mut of_schema = version.validate(&viewed.0);
        if let Some(old) = old
            && !of_schema.is_empty()
            && self.definition.object_model == ObjectModel::Custom
        {
            let old = self.shown(context, old.clone(), &version.name).await?;
            let subresource = hook_target.subresource.as_deref();
            of_schema = version.validate_update(&viewed.0, &old.0, subresource);
        }
        let (mut first, last) = match self.definition.object_model {
            ObjectModel::Typed => (of_schema, errors),
            ObjectModel::Custom => ([errors, of_schema].concat(), Vec::new()),
        };
        version.schema.add_unchecked_rules(&mut first);
        if !first.is_empty() {
            return Err(self.invalid(new.name(), first));
        }
        hooks.validate(hook_target, new, old, warnings).await?;
        if last.is_empty() {
            Ok(())
        } else {
            Err(self.invalid(new.name(), last))
        }
    }

    pub(super) fn invalid(&self, name: &str, errors: Vec<FieldError>) -> Box<status::Status> {
        status::invalid(
            &self.definition.group,
            &self.definition.names.kind,
            name,
            errors,
        )
    }
}

enum Attempt {
    Done(Updated),
    /// Somebody else wrote meanwhile.
    Conflict,
}

impl Attempt {
    fn updated(written: Written) -> Self {
        Self::Done(Updated {
            written,
            is_created: false,
        })
    }
}
