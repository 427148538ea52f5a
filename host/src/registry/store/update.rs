//! Updating and patching an object: read, change, check, compare and swap (W4, W5, L3, L4, L8).

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::{DeleteOptions, Deleted, Store, WriteTarget, Written};
use crate::api::options::FieldValidation;
use crate::api::status::{self, FieldError, Result};
use crate::api::{Object, RequestContext};
use crate::registry::definition::ObjectModel;
use crate::registry::patch::Patch;
use crate::registry::strategy::{Operation, Target, WriteHooks};
use crate::registry::{object_meta, object_model};
use crate::storage::watch_cache::CachedObject;
use crate::storage::{Expected, StorageError, Write};

/// How the new object comes from the old one.
pub enum Change {
    /// The client's whole object: of the request's version, pruned and defaulted by its schema.
    Replace(Object),
    Patch {
        patch: Patch,
        field_validation: FieldValidation,
    },
}

impl Store {
    /// Applies `change` to the object as it is. A patch that names no resourceVersion is applied again to what
    /// others have written meanwhile, until the context's deadline.
    pub async fn update(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        change: Change,
        warnings: &mut Vec<String>,
    ) -> Result<Written> {
        let mut hooks = self.strategy.begin(context);
        loop {
            let Some(cached) = self.current(context, target.namespace, target.name).await? else {
                return Err(status::not_found(
                    &self.definition.group_resource(),
                    target.name,
                ));
            };
            let mut said = Vec::new();
            let attempt = self
                .try_update(context, target, &change, &cached, &mut *hooks, &mut said)
                .await?;
            match attempt {
                Attempt::Written(written) => {
                    warnings.extend(said);
                    return Ok(written);
                }
                Attempt::Conflict if Instant::now() < context.deadline => {}
                Attempt::Conflict => {
                    return Err(status::modified(
                        &self.definition.group_resource(),
                        target.name,
                    ));
                }
            }
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
            let new = self.settle(target, new, &old);
            self.warn(&new, &old, warnings);
            let errors = object_meta::validate_update(&new, &old, &self.definition);
            if !errors.is_empty() {
                return Err(self.invalid(target.name, errors));
            }
            return self
                .commit_update(context, cached, &old, new, is_conditional)
                .await;
        }

        let new = self
            .changed(context, target, change, &old, warnings)
            .await?;
        let is_conditional = self.check_versions(target, &new, &old, change)?;
        let hook_target = self.hook_target(target, target.version, target.name, Operation::Update);
        let new = hooks.default(&hook_target, new).await?;
        let version = self.definition.storage_version();
        let new = self.convert(context, new, &version.name).await?;
        let new = self.settle(target, new, &old);

        let hook_target = self.hook_target(target, &version.name, target.name, Operation::Update);
        let mut new = hooks
            .prepare(&hook_target, new, Some(&old), warnings)
            .await?;
        self.complete(&mut new, &version.name);
        if target.subresource.is_empty() {
            object_meta::set_generation_on_update(&mut new, &old, self.definition.object_model);
        }

        self.warn(&new, &old, warnings);
        let errors = object_meta::validate_update(&new, &old, &self.definition);
        self.check(&hook_target, &new, Some(&old), errors, hooks, warnings)
            .await?;
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
                let meta = self.definition.storage_version().schema.patch_meta();
                let mut patched = patch.apply(old, meta)?;
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

    /// The new object in the request's version, as the client wants it.
    async fn changed(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        change: &Change,
        old: &Object,
        warnings: &mut Vec<String>,
    ) -> Result<Object> {
        let (patch, validation) = match change {
            Change::Replace(object) => return Ok(object.clone()),
            Change::Patch {
                patch,
                field_validation,
            } => (patch, *field_validation),
        };
        let base = self.convert(context, old.clone(), target.version).await?;
        let version = self
            .definition
            .version(target.version)
            .expect("routing has found the version");
        let mut patched = patch.apply(&base, version.schema.patch_meta())?;
        let mut unknown = self.check_patched(target, &base, &mut patched)?;
        unknown.extend(version.schema.decode(&mut patched.0).map_err(|error| {
            let value = Value::from(String::from_utf8_lossy(&patched.to_vec()).into_owned());
            let text = format!("{}: {}", error.field, error.message);
            status::invalid(
                "",
                "",
                "",
                vec![FieldError::invalid("patch", &value, &text)],
            )
        })?);
        if self.definition.object_model == ObjectModel::Typed
            && let Some(error) = version.schema.type_error(&patched.0)
        {
            let value = Value::from(String::from_utf8_lossy(&patched.to_vec()).into_owned());
            let text = format!("json: {}: {}", error.field, error.message);
            let error = FieldError::invalid("patch", &value, &text);
            return Err(status::invalid("", "", "", vec![error]));
        }
        let said = unknown.iter().map(|it| format!("unknown field \"{it}\""));
        match validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => warnings.extend(said),
            FieldValidation::Strict if unknown.is_empty() => {}
            FieldValidation::Strict => {
                let text = format!(
                    "strict decoding error: {}",
                    said.collect::<Vec<_>>().join(", ")
                );
                let value = Value::from(String::from_utf8_lossy(&patched.to_vec()).into_owned());
                let error = FieldError::invalid("patch", &value, &text);
                return Err(status::invalid("", "", "", vec![error]));
            }
        }
        Ok(patched)
    }

    /// A patch may not turn the object into another one. Returns the paths of unknown metadata.
    fn check_patched(
        &self,
        target: &WriteTarget<'_>,
        base: &Object,
        patched: &mut Object,
    ) -> Result<Vec<String>> {
        object_model::check_patched_type(&self.definition, base, patched)?;
        let unknown = object_meta::decode(&mut patched.0).map_err(|why| {
            let value = Value::from(String::from_utf8_lossy(&patched.to_vec()).into_owned());
            status::invalid("", "", "", vec![FieldError::invalid("patch", &value, &why)])
        })?;
        if patched.name() != target.name {
            return Err(status::bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                patched.name(),
                target.name
            )));
        }
        if patched.namespace() != target.namespace {
            let text = "the namespace of the object does not match the namespace on the URL";
            return Err(status::bad_request(text));
        }
        Ok(unknown)
    }

    fn warn(&self, new: &Object, old: &Object, warnings: &mut Vec<String>) {
        warnings.extend(object_meta::finalizer_warnings(
            new,
            Some(old),
            self.definition.object_model,
        ));
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
        let is_patch = matches!(change, Change::Patch { .. });
        if !is_patch && !new.uid().is_empty() && new.uid() != old.uid() {
            let text = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                new.uid(),
                old.uid()
            );
            return Err(status::conflict(&resource, target.name, &text));
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
        if given.parse::<u64>().is_err() {
            let text = format!("strconv.ParseUint: parsing {given:?}: invalid syntax");
            return Err(status::unclassified(text));
        }
        if given != old.resource_version() {
            return Err(status::modified(&resource, target.name));
        }
        let names_version = match change {
            Change::Replace(_) => true,
            Change::Patch { patch, .. } => patch.names_resource_version(),
        };
        Ok(names_version)
    }

    /// Takes over what an update does not change: system metadata, and the status or all but the status.
    fn settle(&self, target: &WriteTarget<'_>, mut new: Object, old: &Object) -> Object {
        if target.subresource == "status" {
            let status = new.0.remove("status");
            let managed_fields = new.metadata_mut().remove("managedFields");
            let version = new.metadata().get("resourceVersion").cloned();
            new = old.clone();
            set(&mut new.0, "status", status);
            set(new.metadata_mut(), "managedFields", managed_fields);
            set(new.metadata_mut(), "resourceVersion", version);
        } else if self.keeps_status() {
            set(&mut new.0, "status", old.0.get("status").cloned());
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
            return self.attempt(removed, &cached.name, is_conditional, |deleted: Deleted| {
                match deleted {
                    Deleted::Gone(_) => Written::Unstored(new),
                    Deleted::Marked(written) => written,
                }
            });
        }
        if object_meta::is_unchanged(&new, old) {
            return Ok(Attempt::Written(Written::Stored(Arc::clone(cached))));
        }
        if context.dry_run {
            return Ok(Attempt::Written(Written::Unstored(new)));
        }
        let write = Write {
            key: Arc::clone(&cached.key),
            expected: Expected::At(cached.revision),
            record: Some(Self::record(&new)),
        };
        let committed = self.storage.commit(context, vec![write]).await;
        self.attempt(committed, &cached.name, is_conditional, |revision| {
            self.committed(&cached.key, new, revision)
        })
    }

    fn attempt<T>(
        &self,
        outcome: std::result::Result<T, StorageError>,
        name: &str,
        is_conditional: bool,
        written: impl FnOnce(T) -> Written,
    ) -> Result<Attempt> {
        match outcome {
            Ok(outcome) => Ok(Attempt::Written(written(outcome))),
            Err(StorageError::Conflict { .. }) if !is_conditional => Ok(Attempt::Conflict),
            Err(error) => Err(self.storage_status(error, name)),
        }
    }

    /// Whether writes of the main resource leave the status as it was.
    pub(super) fn keeps_status(&self) -> bool {
        self.definition.update.reset_status || self.definition.storage_version().has_status
    }

    /// Runs the schema and the hook over a complete object, in the order that decides which error a client sees:
    /// typed servers ask the strategy first, custom resources are checked whole. `errors` are the metadata's.
    pub(super) async fn check(
        &self,
        hook_target: &Target,
        new: &Object,
        old: Option<&Object>,
        errors: Vec<FieldError>,
        hooks: &mut dyn WriteHooks,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let version = self.definition.storage_version();
        let schema = &version.schema;
        let of_schema = version.validate(
            self.definition.object_model,
            &new.0,
            old.map(|it| &it.0),
            hook_target.subresource.as_deref(),
        );
        let (mut first, last) = match self.definition.object_model {
            ObjectModel::Typed => (of_schema, errors),
            ObjectModel::Custom => ([errors, of_schema].concat(), Vec::new()),
        };
        schema.add_unchecked_rules(&mut first);
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
    Written(Written),
    /// Somebody else wrote meanwhile.
    Conflict,
}

fn set(map: &mut serde_json::Map<String, Value>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => map.insert(field.into(), value),
        None => map.remove(field),
    };
}
