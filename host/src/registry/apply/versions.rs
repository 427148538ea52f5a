//! The versions of a resource as the merge knows them: types, and conversions between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use structured_merge_diff::fieldpath::ApiVersion;
use structured_merge_diff::merge::{ConvertError, Converter};
use structured_merge_diff::schema::Type;
use structured_merge_diff::typed::{Duplicates, TypedValue};

use crate::api::status::{self, Result};
use crate::api::{GroupVersion, Object};
use crate::registry::definition::ObjectModel;
use crate::registry::object_model;

/// Converts whole objects; the store does.
#[async_trait]
pub(crate) trait Versions: Send + Sync {
    /// The object in `version`, a name without its group.
    async fn convert(&self, object: Object, version: &str) -> Result<Object>;
}

/// A kind of objects in one version.
pub(super) struct Kind {
    pub(super) api_version: ApiVersion,
    kind: String,
    of: Type,
    /// What a typed server shows of an object with nothing in it.
    empty: Option<Value>,
}

impl Kind {
    pub(super) fn new(api_version: &str, kind: &str, of: Type, empty: Option<Value>) -> Self {
        Self {
            api_version: ApiVersion::from(api_version),
            kind: kind.to_owned(),
            of,
            empty,
        }
    }

    /// An object with nothing in it.
    pub(super) fn empty(&self) -> Object {
        let mut object = Object(Map::new());
        object.set_type(self.api_version.as_str(), &self.kind);
        object.set("metadata", Some(Value::Object(Map::new())));
        if let Some(empty) = &self.empty {
            object_model::show_empty_object(&mut object, empty);
        }
        object
    }

    /// The object without its managedFields, as a value of its type.
    ///
    /// # Errors
    /// In the words of the Go library.
    pub(super) fn typed(
        &self,
        object: &Object,
        duplicates: Duplicates,
    ) -> std::result::Result<TypedValue, String> {
        let value = Value::Object(without_managed_fields(object));
        self.of
            .typed(Arc::new(value), duplicates)
            .map_err(|it| it.to_string())
    }

    /// # Errors
    /// 400 for an object of another kind or version.
    pub(super) fn check_type(&self, object: &Object) -> Result<()> {
        if object.kind() == self.kind && object.api_version() == self.api_version.as_str() {
            return Ok(());
        }
        let shown = shown_type(object);
        Err(status::bad_request(format!("invalid object type: {shown}")))
    }

    /// `namespace/name; group/version, Kind=K`.
    pub(super) fn shown(&self, object: &Object) -> String {
        format!(
            "{}/{}; {}",
            object.namespace(),
            object.name(),
            shown_type(object)
        )
    }
}

fn shown_type(object: &Object) -> String {
    let (group, version) = match object.api_version().split_once('/') {
        Some(it) => it,
        None => ("", object.api_version()),
    };
    format!("{group}/{version}, Kind={}", object.kind())
}

/// A copy that spares what is long and would be taken out at once.
fn without_managed_fields(object: &Object) -> Map<String, Value> {
    let copied = |(key, value): (&String, &Value)| (key.clone(), value.clone());
    let fields = object.0.iter().map(|(key, value)| match value {
        Value::Object(metadata) if key == "metadata" => {
            let metadata = metadata.iter().filter(|(key, _)| *key != "managedFields");
            (key.clone(), Value::Object(metadata.map(copied).collect()))
        }
        _ => copied((key, value)),
    });
    fields.collect()
}

/// All versions of a kind.
pub(super) struct Kinds {
    object_model: ObjectModel,
    by_version: BTreeMap<String, Kind>,
    /// Of requests that name no version of their own: a scale's.
    first: String,
}

impl Kinds {
    pub(super) fn new(object_model: ObjectModel, kinds: Vec<Kind>) -> Self {
        let first = kinds.first().map(|it| it.api_version.to_string());
        let kinds = kinds.into_iter().map(|it| (it.api_version.to_string(), it));
        Self {
            object_model,
            by_version: kinds.collect(),
            first: first.unwrap_or_default(),
        }
    }

    /// The kind that the documents of a request in `version` have.
    pub(super) fn of_request(&self, version: &str) -> &Kind {
        let found = self.by_version.values().find(|it| {
            let api_version = GroupVersion::parse(it.api_version.as_str());
            api_version.is_some_and(|it| it.version == version)
        });
        found.unwrap_or_else(|| &self.by_version[&self.first])
    }

    pub(super) fn converting<'a>(&'a self, versions: &'a dyn Versions) -> Converting<'a> {
        Converting {
            kinds: self,
            versions,
        }
    }
}

/// The conversions of one write.
#[derive(Clone, Copy)]
pub(super) struct Converting<'a> {
    kinds: &'a Kinds,
    versions: &'a dyn Versions,
}

impl Converter for Converting<'_> {
    async fn convert(
        &self,
        object: &TypedValue,
        version: &ApiVersion,
    ) -> std::result::Result<TypedValue, ConvertError> {
        let api_version = object.value().get("apiVersion").and_then(Value::as_str);
        if api_version == Some(version.as_str()) {
            return Ok(object.clone());
        }
        let Some(kind) = self.kinds.by_version.get(version.as_str()) else {
            return Err(match self.kinds.object_model {
                ObjectModel::Typed => ConvertError::MissingVersion(version.clone()),
                ObjectModel::Custom => ConvertError::Failed(format!(
                    "request to convert CR to an invalid group/version: {version}"
                )),
            });
        };
        let Value::Object(map) = object.value().clone() else {
            return Err(ConvertError::Failed("the object is no object".into()));
        };
        let name = version.as_str().rsplit('/').next().unwrap_or_default();
        let converted = self
            .versions
            .convert(Object(map), name)
            .await
            .map_err(|it| ConvertError::Failed(it.message))?;
        kind.typed(&converted, Duplicates::Allowed)
            .map_err(ConvertError::Failed)
    }
}
