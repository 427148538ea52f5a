//! What an apply removes: what its manager applied the last time and leaves out now, and nobody else owns.

use std::collections::BTreeMap;

use super::{ConvertError, Converter, Updater};
use crate::fieldpath::{ApiVersion, ManagedFields, Set, VersionedSet};
use crate::typed::{TypedValue, ValidationErrors};

impl<C: Converter> Updater<C> {
    /// The merged object, in `version`, without what is no longer applied. `managers` has what is applied now, `last`
    /// what the manager owned before.
    pub(super) async fn prune(
        &self,
        merged: TypedValue,
        managers: &ManagedFields,
        version: &ApiVersion,
        last: Option<&VersionedSet>,
    ) -> Result<TypedValue, String> {
        let Some(last) = last.filter(|it| !it.set.is_empty()) else {
            return Ok(merged);
        };
        let doing = "failed to convert merged object to last applied version";
        let Some(converted) = self.convert(&merged, &last.api_version, doing).await? else {
            return Ok(merged);
        };
        let pruned = converted
            .clone()
            .remove_items(&named(&last.set, &converted));
        let pruned = self
            .add_back_owned(&converted, pruned, &last.api_version, managers)
            .await
            .map_err(|err| format!("failed add back owned items: {err}"))?;
        let pruned = self
            .add_back_dangling(converted, pruned, last)
            .await
            .map_err(|err| format!("failed add back dangling items: {err}"))?;
        match self.converter.convert(&pruned, version).await {
            Ok(it) => Ok(it),
            Err(err) => Err(err.to_string()),
        }
    }

    /// Puts back what anybody owns, the manager itself by what it applies now.
    async fn add_back_owned(
        &self,
        merged: &TypedValue,
        pruned: TypedValue,
        pruned_version: &ApiVersion,
        managers: &ManagedFields,
    ) -> Result<TypedValue, String> {
        let mut owned_in: BTreeMap<&ApiVersion, Set> = BTreeMap::new();
        for owned in managers.values() {
            let set = owned_in.entry(&owned.api_version).or_default();
            *set = set.union(&owned.set);
        }
        // First in the version in which it was pruned: another may need, to be converted to, what was pruned.
        let mut versions = Vec::with_capacity(owned_in.len());
        versions.extend(owned_in.remove_entry(pruned_version));
        versions.extend(owned_in);

        let mut merged = merged.clone();
        let mut pruned = pruned;
        for (version, owned) in versions {
            let doing = format!("failed to convert merged object at version {version}");
            match self.convert(&merged, version, &doing).await? {
                Some(it) => merged = it,
                None => continue,
            }
            let doing = format!("failed to convert pruned object at version {version}");
            match self.convert(&pruned, version, &doing).await? {
                Some(it) => pruned = it,
                None => continue,
            }
            let fields = |it: &TypedValue, name: &str| {
                let doing =
                    format!("failed to create field set from {name} object at version {version}");
                field_set(it, &doing)
            };
            let merged_set = fields(&merged, "merged")?;
            let pruned_set = fields(&pruned, "pruned")?;
            let kept = named(&pruned_set, &merged).union(&named(&owned, &merged));
            let removed = named(&merged_set, &merged).difference(&kept);
            pruned = merged.clone().remove_items(&removed);
        }
        Ok(pruned)
    }

    /// Puts back what is owned by nobody and was not the manager's either.
    async fn add_back_dangling(
        &self,
        merged: TypedValue,
        pruned: TypedValue,
        last: &VersionedSet,
    ) -> Result<TypedValue, String> {
        let doing = "failed to convert pruned object to last applied version";
        let Some(pruned) = self.convert(&pruned, &last.api_version, doing).await? else {
            return Ok(merged);
        };
        let fields = |it: &TypedValue, name: &str| {
            let doing =
                format!("failed to create field set from {name} object in last applied version");
            field_set(it, &doing)
        };
        let pruned_set = named(&fields(&pruned, "pruned")?, &merged);
        let merged_set = named(&fields(&merged, "merged")?, &merged);
        let removed = merged_set
            .difference(&pruned_set)
            .intersection(&named(&last.set, &merged));
        Ok(merged.remove_items(&removed))
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

/// With the named fields above those of the set, in the schema of the object.
fn named(set: &Set, object: &TypedValue) -> Set {
    let of = object.type_of();
    set.with_named_fields(&of.schema, Some(of.of))
}

fn field_set(object: &TypedValue, doing: &str) -> Result<Set, String> {
    object
        .to_field_set()
        .map_err(|errors: ValidationErrors| format!("{doing}: {errors}"))
}
