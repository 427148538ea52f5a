//! What a client wants of an object: the new one from the old one, in the request's version.

use serde_json::Value;

use super::{Store, WriteTarget};
use crate::api::options::FieldValidation;
use crate::api::status::{self, FieldError, Result, Status};
use crate::api::{Object, RequestContext};
use crate::registry::apply::{Configuration, ScaleOwnership};
use crate::registry::definition::Form;
use crate::registry::patch::Patch;
use crate::registry::scale::{SCALE, Scaling};
use crate::registry::{object_meta, object_model};

/// How the new object comes from the old one.
pub enum Change {
    /// The client's whole object: of the request's version, pruned and defaulted by its schema.
    Replace(Object),
    Patch {
        patch: Patch,
        field_validation: FieldValidation,
    },
    /// Server-side apply.
    Apply {
        configuration: Configuration,
        force: bool,
        field_validation: FieldValidation,
    },
}

/// What a write has made of an object, or is to create: of the request's version, defaulted by its schema.
pub(super) struct Changed {
    pub(super) object: Object,
    /// Whether its managedFields say already who owns what.
    pub(super) is_owned: bool,
}

impl Change {
    /// Whether the client insists on a resourceVersion, so that a conflict is its answer.
    pub(super) fn names_resource_version(&self) -> bool {
        match self {
            Self::Replace(object) => !object.resource_version().is_empty(),
            Self::Patch { patch, .. } => patch.names_resource_version(),
            Self::Apply { configuration, .. } => configuration.names_resource_version(),
        }
    }
}

impl Store {
    /// The new object from `base`, the old one; both in the request's version.
    pub(super) async fn changed(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        change: &Change,
        base: &Object,
        warnings: &mut Vec<String>,
    ) -> Result<Changed> {
        if target.subresource != SCALE {
            return self
                .changed_form(context, target, change, base, warnings)
                .await;
        }
        let scaling = Scaling::of(&self.definition, target.version, base)?;
        let managed_fields = base.metadata().get("managedFields");
        let ownership = ScaleOwnership::new(&self.definition, target.version, managed_fields)
            .map_err(status::unclassified)?;
        let mut old_scale = scaling.before_change();
        old_scale.set_in_metadata("managedFields", ownership.of_scale());
        let changed = self
            .changed_form(context, target, change, &old_scale, warnings)
            .await?;
        let mut new_scale = changed.object;
        if !changed.is_owned {
            self.own(context, target, &old_scale, &mut new_scale).await;
        }
        let managed_fields = ownership
            .of_object(new_scale.metadata().get("managedFields"))
            .map_err(status::unclassified)?;
        let mut object = scaling.scaled(base.clone(), &new_scale)?;
        object.set_in_metadata("managedFields", managed_fields);
        Ok(Changed {
            object,
            is_owned: true,
        })
    }

    /// As [`Store::changed`], of the form that the request's subresource has.
    async fn changed_form(
        &self,
        context: &RequestContext,
        target: &WriteTarget<'_>,
        change: &Change,
        base: &Object,
        warnings: &mut Vec<String>,
    ) -> Result<Changed> {
        let form = self.definition.form(target.version, target.subresource);
        let (object, is_owned) = match change {
            Change::Replace(object) => (object.clone(), false),
            Change::Patch {
                patch,
                field_validation,
            } => {
                let patched =
                    self.patched(target, &form, patch, *field_validation, base, warnings)?;
                (patched, false)
            }
            Change::Apply {
                configuration,
                force,
                field_validation,
            } => {
                let mut applied = self
                    .applied(context, target, configuration, *force, base)
                    .await?;
                configuration.report(*field_validation, warnings)?;
                self.check_place(target, &mut applied)?;
                form.schema.default(&mut applied.0);
                (applied, true)
            }
        };
        Ok(Changed { object, is_owned })
    }

    /// The object as a patch wants it, decoded as a body would be.
    fn patched(
        &self,
        target: &WriteTarget<'_>,
        form: &Form<'_>,
        patch: &Patch,
        validation: FieldValidation,
        base: &Object,
        warnings: &mut Vec<String>,
    ) -> Result<Object> {
        let mut patched = patch.apply(base, form.schema.patch_meta())?;
        if let Err(refusal) = object_model::check_patched_type(form, base, &patched) {
            let definition = &self.definition;
            warnings.extend(object_model::warnings_of_other_version(
                definition, &patched, validation,
            ));
            return Err(refusal);
        }
        let decoded = form.decode(&mut patched, patch.complaints(), validation);
        warnings.extend(decoded.map_err(|why| rejected(&patched, &why))?);
        self.check_place(target, &mut patched)?;
        Ok(patched)
    }

    /// A patch that touches ownership alone, checked as any other.
    pub(super) fn check_patched(
        &self,
        target: &WriteTarget<'_>,
        base: &Object,
        patched: &mut Object,
    ) -> Result<()> {
        let form = self.definition.form(target.version, target.subresource);
        object_model::check_patched_type(&form, base, patched)?;
        object_meta::decode(&mut patched.0).map_err(|why| rejected(patched, &why))?;
        self.check_place(target, patched)
    }

    /// A change may not make the object another one.
    fn check_place(&self, target: &WriteTarget<'_>, object: &mut Object) -> Result<()> {
        object_meta::set_namespace(object, target.namespace)?;
        object_meta::check_name(object, target.name)
    }
}

/// 422: what a patch has made cannot be decoded.
fn rejected(patched: &Object, why: &str) -> Box<Status> {
    let value = Value::from(String::from_utf8_lossy(&patched.to_vec()).into_owned());
    status::invalid("", "", "", vec![FieldError::invalid("patch", &value, why)])
}
