//! Who owns the replicas of an object, as its scale shows it, and back
//! (k8s.io/apimachinery, pkg/util/managedfields/scalehandler.go).

use std::collections::BTreeMap;

use serde_json::Value;
use structured_merge_diff::fieldpath::{ApiVersion, ManagedFields, Path, Set, VersionedSet};

use super::managed_fields::Managed;
use crate::registry::ResourceDefinition;
use crate::registry::scale::API_VERSION;

/// The managedFields of one object on their way to its scale and back.
pub(crate) struct ScaleOwnership {
    parent: Managed,
    /// Where each version of the resource has its replicas; `None` for one without a scale.
    replicas: BTreeMap<String, Option<Path>>,
    api_version: String,
}

impl ScaleOwnership {
    /// Of an object whose scale is asked for in `version`.
    ///
    /// # Errors
    /// One line, where the object's managedFields cannot be read.
    pub(crate) fn new(
        definition: &ResourceDefinition,
        version: &str,
        managed_fields: Option<&Value>,
    ) -> Result<Self, String> {
        let versions = definition.versions.iter().map(|it| {
            let path = it.scale.as_ref().map(|scale| {
                let names: Vec<&str> = scale
                    .spec_replicas_path
                    .trim_start_matches('.')
                    .split('.')
                    .collect();
                Path::of_fields(&names)
            });
            (definition.group_version(&it.name).to_string(), path)
        });
        Ok(Self {
            parent: Managed::decode(managed_fields)?,
            replicas: versions.collect(),
            api_version: definition.group_version(version).to_string(),
        })
    }

    /// What the scale's managedFields are.
    pub(crate) fn of_scale(&self) -> Option<Value> {
        let mut scale = Managed::default();
        for (id, owned) in &self.parent.fields {
            let Some(Some(path)) = self.replicas.get(owned.api_version.as_str()) else {
                continue;
            };
            if owned.set.has(path) {
                scale.fields.insert(id.clone(), of_replicas(owned));
                if let Some(time) = self.parent.times.get(id) {
                    scale.times.insert(id.clone(), time.clone());
                }
            }
        }
        scale.encode()
    }

    /// What the object's managedFields are after a write of its scale left it with these.
    ///
    /// # Errors
    /// One line, where they cannot be read.
    pub(crate) fn of_object(&self, scale: Option<&Value>) -> Result<Option<Value>, String> {
        let mut scale = Managed::decode(scale)?.fields;
        let mut object = Managed::default();
        for (id, owned) in &self.parent.fields {
            let Some(path) = self.replicas.get(owned.api_version.as_str()) else {
                continue;
            };
            let kept = match path {
                Some(path) if owned.set.has(path) && scale.remove(id).is_none() => {
                    without(owned, path)
                }
                _ => Some(owned.clone()),
            };
            if let Some(kept) = kept {
                self.insert(&mut object, id, kept);
            }
        }
        self.add_scalers(&mut object, scale);
        Ok(object.encode())
    }

    /// Those who own the replicas now and did not before.
    fn add_scalers(&self, object: &mut Managed, scale: ManagedFields) {
        let Some(Some(path)) = self.replicas.get(&self.api_version) else {
            return;
        };
        for (id, owned) in scale {
            if owned.set.has(&replicas_of_scale()) {
                let set = Set::from_iter([path.clone()]);
                let owned = VersionedSet {
                    set,
                    api_version: ApiVersion::from(self.api_version.as_str()),
                    applied: owned.applied,
                };
                self.insert(object, &id, owned);
            }
        }
    }

    fn insert(&self, object: &mut Managed, id: &str, owned: VersionedSet) {
        object.fields.insert(id.to_owned(), owned);
        if let Some(time) = self.parent.times.get(id) {
            object.times.insert(id.to_owned(), time.clone());
        }
    }
}

fn replicas_of_scale() -> Path {
    Path::of_fields(&["spec", "replicas"])
}

fn of_replicas(owned: &VersionedSet) -> VersionedSet {
    VersionedSet {
        set: Set::from_iter([replicas_of_scale()]),
        api_version: ApiVersion::from(API_VERSION),
        applied: owned.applied,
    }
}

/// What is left of a manager's fields; `None` where that is nothing.
fn without(owned: &VersionedSet, path: &Path) -> Option<VersionedSet> {
    let set = owned.set.difference(&Set::from_iter([path.clone()]));
    (!set.is_empty()).then(|| VersionedSet {
        set,
        ..owned.clone()
    })
}
