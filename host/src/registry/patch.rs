//! PATCH: JSON patch (RFC 6902), JSON merge patch (RFC 7386) and the strategic merge patch of typed resources.
//!
//! A JSON patch has at most 10,000 operations, copies at most 3 MiB, moves at most 50,000,000 list elements and
//! makes nothing deeper than 128 levels; a merge patch is as deep as its decoder allows (128).

mod json;
mod strategic;

use serde_json::{Map, Value};

use super::ResourceDefinition;
use super::schema::PatchMeta;
use crate::api::Object;
use crate::api::document::{self, Twice};
use crate::api::status::{self, Result};

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_MERGE_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// Metadata that a patch can change without the resource's own rules being asked.
const OWNERSHIP: [&str; 5] = [
    "finalizers",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "uid",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    Json,
    Merge,
    Strategic,
    /// Server-side apply: its document is no [`Patch`], but a [`super::apply::Configuration`].
    Apply,
}

/// A patch that has been read; it may be applied many times, as conflicts demand.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    body: Body,
    /// What a client that wants to know is told of the document itself.
    complaints: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    Json(Vec<Value>),
    Merge(Map<String, Value>),
    Strategic(Map<String, Value>),
}

/// Media types that a resource can be patched with.
pub fn media_types(definition: &ResourceDefinition) -> &'static [&'static str] {
    if definition.object_model.offers_strategic_merge_patch() {
        &[JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, APPLY_PATCH]
    } else {
        &[JSON_PATCH, MERGE_PATCH, APPLY_PATCH]
    }
}

/// What a Content-Type asks for.
///
/// # Errors
/// 415 for one that the resource does not offer.
pub fn kind(content_type: &str, definition: &ResourceDefinition) -> Result<PatchKind> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let offered = media_types(definition);
    let kind = match essence {
        JSON_PATCH => PatchKind::Json,
        MERGE_PATCH => PatchKind::Merge,
        STRATEGIC_MERGE_PATCH => PatchKind::Strategic,
        APPLY_PATCH => PatchKind::Apply,
        _ => return Err(definition.object_model.unsupported_patch(offered)),
    };
    if offered.contains(&essence) {
        Ok(kind)
    } else {
        Err(definition.object_model.unsupported_patch(offered))
    }
}

impl Patch {
    /// # Errors
    /// 400 where it cannot be read, 413 where it has too many operations.
    pub fn parse(kind: PatchKind, bytes: &[u8]) -> Result<Self> {
        let document = document::parse_json(bytes, Twice::Replaces)
            .map_err(|_| status::bad_request("invalid JSON patch"))?;
        let is_json = kind == PatchKind::Json;
        let duplicates = document.duplicates.into_iter();
        let duplicates = duplicates.map(|path| match is_json {
            true => format!("json patch duplicate field \"{path}\""),
            false => format!("duplicate field \"{path}\""),
        });
        let unknown = is_json.then(|| json::unknown_fields(&document.value));
        Ok(Self {
            complaints: duplicates.chain(unknown.into_iter().flatten()).collect(),
            body: match kind {
                PatchKind::Json => Body::Json(json::operations(document.value)?),
                PatchKind::Strategic => Body::Strategic(fields(document.value)?),
                PatchKind::Merge | PatchKind::Apply => Body::Merge(fields(document.value)?),
            },
        })
    }

    /// What a client that wants to know is told of the document itself: fields that are there twice, or are not
    /// known.
    pub fn complaints(&self) -> impl Iterator<Item = String> + '_ {
        self.complaints.iter().cloned()
    }

    /// The object as the patch wants it; `meta` says how a strategic one merges the object's fields.
    ///
    /// # Errors
    /// 422 where an operation or a test of it fails.
    pub fn apply(&self, object: &Object, meta: PatchMeta<'_>) -> Result<Object> {
        if let Body::Strategic(patch) = &self.body {
            return strategic::apply(object.0.clone(), patch, meta).map(Object);
        }
        let mut document = Value::Object(object.0.clone());
        match &self.body {
            Body::Json(operations) => json::apply(&mut document, operations)?,
            Body::Merge(patch) => json_patch::merge(&mut document, &Value::Object(patch.clone())),
            Body::Strategic(_) => {}
        }
        match document {
            Value::Object(map) => Ok(Object(map)),
            _ => Err(json::rejected()),
        }
    }

    /// Whether it can change nothing but finalizers, ownerReferences and managedFields.
    pub fn touches_only_ownership(&self) -> bool {
        match &self.body {
            Body::Json(operations) => json::paths(operations).all(|(op, path)| {
                let field = path.strip_prefix("/metadata/").unwrap_or_default();
                let field = field.split('/').next().unwrap_or_default();
                op == "test" && !field.is_empty() || OWNERSHIP.contains(&field)
            }),
            Body::Merge(patch) | Body::Strategic(patch) => patch.iter().all(|(key, value)| {
                let metadata = value.as_object();
                key == "metadata"
                    && metadata
                        .is_some_and(|it| it.keys().all(|key| OWNERSHIP.contains(&key.as_str())))
            }),
        }
    }

    /// Whether the client insists on a resourceVersion, so that a conflict is its answer.
    pub fn names_resource_version(&self) -> bool {
        match &self.body {
            Body::Json(operations) => json::paths(operations)
                .any(|(op, path)| op != "test" && path == "/metadata/resourceVersion"),
            Body::Merge(patch) | Body::Strategic(patch) => patch
                .get("metadata")
                .and_then(|it| it.get("resourceVersion"))
                .is_some_and(Value::is_string),
        }
    }
}

fn fields(value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null => Ok(Map::new()),
        other => Err(status::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            json::go_kind(&other)
        ))),
    }
}

#[cfg(test)]
mod tests;
