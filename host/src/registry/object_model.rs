//! In what `typed` resources (k8s.io/apiserver) and `custom` ones (apiextensions-apiserver) differ, as far as
//! objects, columns and patches go.

use serde_json::Value;

use super::definition::{ColumnDefinition, Form, ObjectModel, ResourceDefinition};
use crate::api::Object;
use crate::api::options::FieldValidation;
use crate::api::status::{self, FieldError, Result, Status};

const CREATION_TIMESTAMP: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

impl ObjectModel {
    /// Whether `metadata.generation` begins at 1 and counts changes; typed resources leave it as the client sent
    /// it when the object was new.
    pub fn counts_generation(self) -> bool {
        self == Self::Custom
    }

    /// Whether a strategic merge patch can be sent; it needs to know the types of lists.
    pub fn offers_strategic_merge_patch(self) -> bool {
        self == Self::Typed
    }

    /// Whether dates of the default column are shown as ages (`5m`) or as they are.
    pub fn shows_ages(self) -> bool {
        self == Self::Custom
    }

    /// The column behind the name, where a resource declares none: its age, or when it was made.
    pub fn default_column(self) -> ColumnDefinition {
        let name = match self {
            Self::Typed => "Created At",
            Self::Custom => "Age",
        };
        ColumnDefinition {
            name: name.into(),
            column_type: "date".into(),
            format: String::new(),
            description: CREATION_TIMESTAMP.into(),
            priority: 0,
            json_path: ".metadata.creationTimestamp".into(),
        }
    }

    /// A patch of a media type that is not offered.
    pub fn unsupported_patch(self, offered: &[&str]) -> Box<Status> {
        match self {
            Self::Typed => {
                let text = "415: Unsupported Media Type";
                let mut status = Status::failure(415, "UnsupportedMediaType", text);
                status.details = Some(status::Details::default());
                status
            }
            Self::Custom => status::unsupported_media_type(offered),
        }
    }
}

/// Fills in what a typed server shows of an object with nothing in it, e.g. `"spec":{},"status":{}`.
pub fn show_empty_object(object: &mut Object, empty: &Value) {
    let Value::Object(fields) = empty else { return };
    for (key, zero) in fields {
        fill(object.0.entry(key.clone()).or_insert(Value::Null), zero);
    }
}

fn fill(value: &mut Value, zero: &Value) {
    match (value, zero) {
        (Value::Object(map), Value::Object(fields)) => {
            for (key, zero) in fields {
                fill(map.entry(key.clone()).or_insert(Value::Null), zero);
            }
        }
        (value @ Value::Null, zero) => *value = zero.clone(),
        _ => {}
    }
}

/// A patch may not turn an object of one kind into one of another; `base` is what it was applied to.
///
/// # Errors
/// 422.
pub fn check_patched_type(form: &Form<'_>, base: &Object, patched: &Object) -> Result<()> {
    let is_kind = patched.kind() == base.kind();
    if is_kind && patched.api_version() == base.api_version() {
        return Ok(());
    }
    match form.object_model {
        ObjectModel::Typed => {
            let value = String::from_utf8_lossy(&patched.to_vec()).into_owned();
            let detail = format!(
                "no kind {:?} is registered for version {:?} in scheme \"pkg/runtime/scheme.go:111\"",
                patched.kind(),
                patched.api_version()
            );
            let error = FieldError::invalid("patch", &value.into(), &detail);
            Err(status::invalid("", "", "", vec![error]))
        }
        ObjectModel::Custom => {
            let mut errors = Vec::new();
            for (field, found, wanted) in [
                ("kind", patched.kind(), base.kind()),
                ("apiVersion", patched.api_version(), base.api_version()),
            ] {
                if found != wanted {
                    let detail = format!("must be {wanted}");
                    errors.push(FieldError::invalid(field, &found.into(), &detail));
                }
            }
            let group = patched.api_version().split_once('/').map_or("", |it| it.0);
            Err(status::invalid(
                group,
                patched.kind(),
                patched.name(),
                errors,
            ))
        }
    }
}

/// What a client is warned of whose custom resource is refused for being in another version than the one that was asked
/// for. Upstream decodes it by the schema of the version that it says, and knows no field of a version that there is not.
pub fn warnings_of_other_version(
    definition: &ResourceDefinition,
    object: &Object,
    validation: FieldValidation,
) -> Vec<String> {
    let (group, version) = object.api_version().split_once('/').unwrap_or_default();
    if validation != FieldValidation::Warn
        || definition.object_model == ObjectModel::Typed
        || group != definition.group
        || object.kind() != definition.names.kind
    {
        return Vec::new();
    }
    let unknown = match definition.version(version) {
        Some(version) => version.schema.prune(&mut object.0.clone()),
        None => {
            let fields = object.0.keys();
            let unknown =
                fields.filter(|it| !matches!(it.as_str(), "apiVersion" | "kind" | "metadata"));
            unknown.cloned().collect()
        }
    };
    unknown.iter().map(|it| unknown_field(it)).collect()
}

/// What upstream says of a field that no schema knows.
pub(super) fn unknown_field(path: &str) -> String {
    format!("unknown field \"{path}\"")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use serde_json::json;

    use super::*;
    use crate::registry::schema::Schema;

    fn object(json: &Value) -> Object {
        Object::from_slice(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn zero_values_are_shown_where_there_is_nothing() {
        let mut shown = object(&json!({"spec": {"a": 1, "c": {"d": 5}}, "status": null}));
        show_empty_object(
            &mut shown,
            &json!({"spec": {"a": 0, "b": "", "c": {"e": false}}, "status": {}}),
        );
        assert_eq!(
            Value::Object(shown.0),
            json!({"spec": {"a": 1, "b": "", "c": {"d": 5, "e": false}}, "status": {}})
        );
    }

    #[test]
    fn patches_cannot_change_the_kind() {
        let check = |object_model, patch: Value| {
            let schema = Schema::compile(&json!({"type": "object"})).unwrap();
            let form = Form {
                group: "g",
                version: "v1",
                kind: "K",
                schema: &schema,
                object_model,
            };
            let base = json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "a"}});
            let mut patched = base.clone();
            json_patch::merge(&mut patched, &patch);
            check_patched_type(&form, &object(&base), &object(&patched))
                .map_err(|it| format!("{} {}", it.code, it.message))
        };
        assert_eq!(check(ObjectModel::Custom, json!({"spec": 1})), Ok(()));
        assert_eq!(
            check(ObjectModel::Custom, json!({"kind": "Nope"})).unwrap_err(),
            "422 Nope.g \"a\" is invalid: kind: Invalid value: \"Nope\": must be K"
        );
        assert_eq!(
            check(ObjectModel::Custom, json!({"apiVersion": "nope/v1"})).unwrap_err(),
            "422 K.nope \"a\" is invalid: apiVersion: Invalid value: \"nope/v1\": must be g/v1"
        );
        let typed = check(ObjectModel::Typed, json!({"kind": "Nope"})).unwrap_err();
        assert!(
            typed.starts_with("422  \"\" is invalid: patch: Invalid value: \"{"),
            "{typed}"
        );
        assert!(
            typed.contains("no kind \"Nope\" is registered for version \"g/v1\""),
            "{typed}"
        );
    }
}
