//! What a resource is, in the words of CustomResourceDefinition, as checked and completed at load.
//!
//! Discovery, OpenAPI, decoding and the generic store read this; nothing in it is looked up in a plugin.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::scale;
use super::schema::Schema;
use crate::api::status::FieldError;
use crate::api::{GroupResource, GroupVersion, GroupVersionKind};

#[derive(Debug, Clone)]
pub struct ResourceDefinition {
    pub group: String,
    pub names: Names,
    pub scope: Scope,
    /// In the order of the manifest; exactly one has `storage`.
    pub versions: Vec<VersionDefinition>,
    pub name_rule: NameRule,
    pub object_model: ObjectModel,
    pub update: UpdateRules,
    /// `None`: the host stores the objects.
    pub backend: Option<BackendDefinition>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Names {
    pub plural: String,
    pub singular: String,
    pub kind: String,
    pub list_kind: String,
    #[serde(default)]
    pub short_names: Vec<String>,
    #[serde(default)]
    pub categories: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Scope {
    #[default]
    Namespaced,
    Cluster,
}

/// Which names objects may have; upstream each strategy chooses its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NameRule {
    /// Anything that can stand in a path (the Go library's default).
    PathSegment,
    /// RFC 1123 subdomain, at most 253 characters (custom resources).
    #[default]
    DnsSubdomain,
    /// RFC 1123 label, at most 63 characters.
    DnsLabel,
}

/// Whether a group answers as k8s.io/apiserver's typed resources or as apiextensions' custom ones.
/// What differs is in [`super::object_model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ObjectModel {
    Typed,
    #[default]
    Custom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct UpdateRules {
    /// Whether an update without resourceVersion overwrites whatever is there.
    pub allow_unconditional: bool,
    /// Whether a PUT on a missing name creates it.
    pub allow_create: bool,
    /// Whether writes of the main resource leave the status as it was; always so with a status subresource.
    pub reset_status: bool,
}

#[derive(Debug, Clone)]
pub struct VersionDefinition {
    pub name: String,
    pub served: bool,
    pub storage: bool,
    /// The text of the Warning header for each request of this version; `None` where it is not deprecated.
    pub deprecation_warning: Option<String>,
    pub schema: Arc<Schema>,
    pub columns: Vec<ColumnDefinition>,
    /// Whether the plugin computes the cells of this resource (exports `columns`).
    pub exports_columns: bool,
    pub selectable_fields: Vec<SelectableField>,
    pub has_status: bool,
    pub scale: Option<ScaleDefinition>,
    /// What a typed server shows of an object with nothing in it, e.g. `{"spec":{},"status":{}}`.
    pub empty_object: Option<Value>,
}

impl VersionDefinition {
    /// What is wrong with an object of this version.
    pub fn validate(&self, object: &Map<String, Value>) -> Vec<FieldError> {
        let mut errors = self.schema.validate(object);
        if let Some(scale) = &self.scale {
            errors.extend(scale::validate(object, scale));
        }
        errors
    }

    /// As [`VersionDefinition::validate`], of a custom resource that there was: it is forgiven what was wrong before
    /// (KEP-4008), and of an update of its status nothing else is looked at.
    pub fn validate_update(
        &self,
        new: &Map<String, Value>,
        old: &Map<String, Value>,
        subresource: Option<&str>,
    ) -> Vec<FieldError> {
        let is_status = subresource == Some("status");
        let mut errors = match is_status {
            true => self.schema.validate_status_update(new, old),
            false => self.schema.validate_update(new, old),
        };
        if let Some(scale) = &self.scale {
            errors.extend(match is_status {
                true => scale::validate_status(new, scale),
                false => scale::validate(new, scale),
            });
        }
        errors
    }
}

/// A column of `kubectl get`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ColumnDefinition {
    pub name: String,
    #[serde(rename = "type")]
    pub column_type: String,
    #[serde(default)]
    pub format: String,
    #[serde(default)]
    pub description: String,
    /// 0 is always shown, more only with `-o wide`.
    #[serde(default)]
    pub priority: i32,
    /// kubectl's JSONPath, e.g. `.spec.color`.
    #[serde(default)]
    pub json_path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectableField {
    pub json_path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleDefinition {
    pub spec_replicas_path: String,
    pub status_replicas_path: String,
    #[serde(default)]
    pub label_selector_path: Option<String>,
}

/// How the changes of objects that a plugin keeps are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendDefinition {
    /// The plugin exports `changes`.
    Poll,
    /// The host lists all of it every so many seconds.
    Relist { seconds: u32 },
    /// Not at all: the resource is not mirrored, has no watch, update or patch.
    Unwatched,
}

/// What the documents of a request are: whole objects of a version, or their scale.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub schema: &'a Schema,
    pub object_model: ObjectModel,
}

impl Form<'_> {
    pub fn api_version(&self) -> String {
        GroupVersion::new(self.group, self.version).to_string()
    }
}

impl ResourceDefinition {
    /// The form of the documents of requests for `version` and `subresource`. Routing has found both.
    pub fn form<'a>(&'a self, version: &'a str, subresource: &str) -> Form<'a> {
        if subresource == super::scale::SCALE {
            return super::scale::form();
        }
        let found = self.version(version);
        Form {
            group: &self.group,
            version,
            kind: &self.names.kind,
            schema: &found.unwrap_or_else(|| self.storage_version()).schema,
            object_model: self.object_model,
        }
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource {
            group: self.group.clone(),
            resource: self.names.plural.clone(),
        }
    }

    pub fn group_version(&self, version: &str) -> GroupVersion {
        GroupVersion::new(&self.group, version)
    }

    pub fn kind(&self, version: &str) -> GroupVersionKind {
        self.group_version(version).with_kind(&self.names.kind)
    }

    /// A served version by its name.
    pub fn served(&self, version: &str) -> Option<&VersionDefinition> {
        self.versions
            .iter()
            .find(|it| it.served && it.name == version)
    }

    pub fn version(&self, version: &str) -> Option<&VersionDefinition> {
        self.versions.iter().find(|it| it.name == version)
    }

    pub fn storage_version(&self) -> &VersionDefinition {
        self.versions
            .iter()
            .find(|it| it.storage)
            .expect("checked at load: one version is the storage version")
    }

    /// Paths of the fields that clients can select by in one version or another.
    pub fn selectable_paths(&self) -> BTreeSet<&str> {
        let fields = self.versions.iter().flat_map(|it| &it.selectable_fields);
        fields.map(|it| it.json_path.as_str()).collect()
    }

    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Verbs of the main resource, in the order that discovery shows them.
    pub fn verbs(&self) -> &'static [&'static str] {
        match self.backend {
            Some(BackendDefinition::Unwatched) => &["create", "delete", "get", "list"],
            _ => &[
                "create",
                "delete",
                "deletecollection",
                "get",
                "list",
                "patch",
                "update",
                "watch",
            ],
        }
    }

    /// Key prefix of all its objects, ending in `/`.
    pub fn prefix(&self) -> String {
        format!("objects/{}/{}/", self.group, self.names.plural)
    }
}
