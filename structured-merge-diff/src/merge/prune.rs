//! What an apply removes: what its manager applied the last time and leaves out now, and nobody else owns.

use std::collections::BTreeMap;

use super::covered::{is_covered, is_same_object};
use super::{ConvertError, Converter, Updater};
use crate::fieldpath::{ApiVersion, ManagedFields, Set, VersionedSet};
use crate::typed::TypedValue;

impl<C: Converter> Updater<C> {
    /// The merged object, in `version`, without what is no longer applied. `managers` has what `manager` applies now,
    /// `last` what it owned before.
    pub(super) async fn prune(
        &self,
        merged: TypedValue,
        managers: &ManagedFields,
        version: &ApiVersion,
        manager: &str,
        last: Option<&VersionedSet>,
    ) -> Result<TypedValue, String> {
        let Some(last) = last.filter(|it| !it.set.is_empty()) else {
            return Ok(merged);
        };
        if is_covered(last, managers, version, manager, &merged) {
            return Ok(merged);
        }
        let doing = "failed to convert merged object to last applied version";
        let Some(converted) = self.convert(&merged, &last.api_version, doing).await? else {
            return Ok(merged);
        };
        drop(merged); // Where it is the same object, what is removed at the end is removed from it in place.
        let fields = Fields::of(converted);
        let pruned = fields
            .object
            .clone()
            .remove_items(&named(&last.set, &fields.object));
        let pruned = self
            .add_back_owned(&fields, pruned, &last.api_version, managers)
            .await
            .map_err(|err| format!("failed add back owned items: {err}"))?;
        let pruned = self
            .add_back_dangling(fields, pruned, last)
            .await
            .map_err(|err| format!("failed add back dangling items: {err}"))?;
        let converted = self.converter.convert(&pruned, version).await;
        converted.map_err(|err| err.to_string())
    }

    /// Puts back what anybody owns, the manager itself by what it applies now.
    async fn add_back_owned(
        &self,
        merged: &Fields,
        pruned: TypedValue,
        pruned_version: &ApiVersion,
        managers: &ManagedFields,
    ) -> Result<TypedValue, String> {
        let mut owned_in: BTreeMap<&ApiVersion, Vec<&Set>> = BTreeMap::new();
        for owned in managers.values() {
            let sets = owned_in.entry(&owned.api_version).or_default();
            sets.push(&owned.set);
        }
        // First in the version in which it was pruned: another may need, to be converted to, what was pruned.
        let mut versions = Vec::with_capacity(owned_in.len());
        versions.extend(owned_in.remove_entry(pruned_version));
        versions.extend(owned_in);

        let mut object = merged.object.clone();
        let mut pruned = pruned;
        for (version, owned) in versions {
            let doing = format!("failed to convert merged object at version {version}");
            match self.convert(&object, version, &doing).await? {
                Some(it) => object = it,
                None => continue,
            }
            let doing = format!("failed to convert pruned object at version {version}");
            match self.convert(&pruned, version, &doing).await? {
                Some(it) => pruned = it,
                None => continue,
            }
            let doing =
                format!("failed to create field set from merged object at version {version}");
            let all = merged.or_of(&object, &doing)?;
            let doing =
                format!("failed to create field set from pruned object at version {version}");
            let kept = named(&field_set(&pruned, &doing)?, &object);
            let mut removed = all.difference(&kept);
            for set in owned {
                let of = object.type_of();
                removed = removed.without_named(set, &of.schema, Some(of.of));
            }
            pruned = object.clone().remove_items(&removed);
        }
        Ok(pruned)
    }

    /// Puts back what is owned by nobody and was not the manager's either.
    async fn add_back_dangling(
        &self,
        merged: Fields,
        pruned: TypedValue,
        last: &VersionedSet,
    ) -> Result<TypedValue, String> {
        let doing = "failed to convert pruned object to last applied version";
        let Some(pruned) = self.convert(&pruned, &last.api_version, doing).await? else {
            return Ok(merged.object);
        };
        let doing = "failed to create field set from pruned object in last applied version";
        let kept = named(&field_set(&pruned, doing)?, &merged.object);
        let doing = "failed to create field set from merged object in last applied version";
        let all = merged.or_of(&merged.object, doing)?;
        let removed = all
            .difference(&kept)
            .intersection(&named(&last.set, &merged.object));
        drop(pruned);
        Ok(merged.object.remove_items(&removed))
    }

    /// None: the version is gone.
    async fn convert(
        &self,
        object: &TypedValue,
        version: &ApiVersion,
        doing: &str,
    ) -> Result<Option<TypedValue>, String> {
        match self.converter.convert(object, version).await {
            Ok(it) => Ok(Some(it)),
            Err(ConvertError::MissingVersion(_)) => Ok(None),
            Err(err) => Err(format!("{doing}: {err}")),
        }
    }
}

/// An object, and its fields with those that the schema names. None: it has none, for a reason that comes again.
struct Fields {
    object: TypedValue,
    named: Option<Set>,
}

impl Fields {
    fn of(object: TypedValue) -> Self {
        let fields = object.to_field_set().ok();
        Self {
            named: fields.map(|it| named(&it, &object)),
            object,
        }
    }

    /// The fields of an object, which mostly is this one.
    fn or_of(&self, object: &TypedValue, doing: &str) -> Result<Set, String> {
        match &self.named {
            Some(it) if is_same_object(&self.object, object) => Ok(it.clone()),
            _ => Ok(named(&field_set(object, doing)?, object)),
        }
    }
}

/// With the named fields above those of the set, in the schema of the object.
fn named(set: &Set, object: &TypedValue) -> Set {
    let of = object.type_of();
    set.with_named_fields(&of.schema, Some(of.of))
}

fn field_set(object: &TypedValue, doing: &str) -> Result<Set, String> {
    let fields = object.to_field_set();
    fields.map_err(|errors| format!("{doing}: {errors}"))
}
