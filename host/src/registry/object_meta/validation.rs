//! What is wrong with an ObjectMeta, in the words of k8s.io/apimachinery, pkg/api/validation.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::names::{dns_label_errors, label_value_errors, name_errors, qualified_name_errors};
use crate::api::status::FieldError;
use crate::api::{GroupVersion, Object};
use crate::registry::ResourceDefinition;
use crate::registry::definition::{NameRule, ObjectModel};

/// Annotations' keys and values together.
const MAX_ANNOTATIONS: usize = 256 * 1024;
const MAX_MANAGER: usize = 128;
const MAX_SUBRESOURCE: usize = 256;

const IMMUTABLE: &str = "field is immutable";

/// Checks the metadata of a new object; its name has been generated.
pub fn validate_create(object: &Object, definition: &ResourceDefinition) -> Vec<FieldError> {
    let mut errors = Vec::new();
    common(
        object,
        definition.is_namespaced(),
        definition.name_rule,
        &mut errors,
    );
    errors
}

/// Checks the metadata of an object within another one, which may have no name and be anywhere.
pub fn validate_embedded(mut object: Object) -> Vec<FieldError> {
    if object.name().is_empty() {
        object.set_meta("name", "unnamed");
    }
    let is_namespaced = !object.namespace().is_empty();
    let mut errors = Vec::new();
    common(&object, is_namespaced, NameRule::PathSegment, &mut errors);
    errors
}

/// Checks the metadata of an update. For custom resources some causes are there twice, as upstream, where both
/// the registry and the resource's strategy look.
pub fn validate_update(
    new: &Object,
    old: &Object,
    definition: &ResourceDefinition,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    common(
        new,
        definition.is_namespaced(),
        NameRule::PathSegment,
        &mut errors,
    );
    update(new, old, &mut errors);
    if definition.object_model == ObjectModel::Custom {
        update(new, old, &mut errors);
    }
    errors
}

fn common(object: &Object, is_namespaced: bool, rule: NameRule, errors: &mut Vec<FieldError>) {
    let base = object.meta("generateName");
    if !base.is_empty() {
        each(
            name_errors(rule, base, true),
            "metadata.generateName",
            base,
            errors,
        );
    }
    if object.name().is_empty() {
        errors.push(FieldError::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        let found = name_errors(rule, object.name(), false);
        each(found, "metadata.name", object.name(), errors);
    }
    let namespace = object.namespace();
    if !is_namespaced {
        if !namespace.is_empty() {
            errors.push(FieldError::forbidden(
                "metadata.namespace",
                "not allowed on this type",
            ));
        }
    } else if namespace.is_empty() {
        errors.push(FieldError::required("metadata.namespace", ""));
    } else {
        each(
            dns_label_errors(namespace),
            "metadata.namespace",
            namespace,
            errors,
        );
    }
    not_negative(object, errors);
    labels_annotations_owners(object, errors);
    finalizers(object, errors);
    managed_fields(object, errors);
}

fn update(new: &Object, old: &Object, errors: &mut Vec<FieldError>) {
    if old.is_deleting() {
        let before: BTreeSet<&str> = old.finalizers().collect();
        let added: BTreeSet<&str> = new.finalizers().filter(|it| !before.contains(it)).collect();
        if !added.is_empty() {
            let shown: Vec<String> = added.iter().map(|it| format!("{it:?}")).collect();
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                shown.join(", ")
            );
            errors.push(FieldError::forbidden("metadata.finalizers", &detail));
        }
    }
    not_negative(new, errors);
    if new.generation() < old.generation() {
        let value = Value::from(new.generation());
        errors.push(FieldError::invalid(
            "metadata.generation",
            &value,
            "must not be decremented",
        ));
    }
    for field in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        let value = new.metadata().get(field);
        if value != old.metadata().get(field) {
            let is_text = matches!(field, "name" | "namespace" | "uid");
            let missing = if is_text {
                Value::from("")
            } else {
                Value::Null
            };
            let shown = value.unwrap_or(&missing);
            errors.push(FieldError::invalid(
                format!("metadata.{field}"),
                shown,
                IMMUTABLE,
            ));
        }
    }
    labels_annotations_owners(new, errors);
    managed_fields(new, errors);
}

fn each(found: Vec<String>, field: &str, value: &str, errors: &mut Vec<FieldError>) {
    for detail in found {
        errors.push(FieldError::invalid(field, &value.into(), &detail));
    }
}

fn not_negative(object: &Object, errors: &mut Vec<FieldError>) {
    if object.generation() < 0 {
        errors.push(FieldError::invalid(
            "metadata.generation",
            &object.generation().into(),
            "must be greater than or equal to 0",
        ));
    }
}

fn labels_annotations_owners(object: &Object, errors: &mut Vec<FieldError>) {
    for (key, value) in text_map(object, "labels") {
        each(qualified_name_errors(key), "metadata.labels", key, errors);
        each(label_value_errors(value), "metadata.labels", value, errors);
    }
    let mut size = 0;
    for (key, value) in text_map(object, "annotations") {
        let found = qualified_name_errors(&key.to_lowercase());
        each(found, "metadata.annotations", key, errors);
        size += key.len() + value.len();
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(
            "metadata.annotations",
            MAX_ANNOTATIONS as u64,
        ));
    }
    owners(object, errors);
}

fn text_map<'a>(object: &'a Object, field: &str) -> impl Iterator<Item = (&'a str, &'a str)> {
    object
        .metadata()
        .get(field)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

fn structs<'a>(object: &'a Object, field: &str) -> impl Iterator<Item = &'a Map<String, Value>> {
    object
        .metadata()
        .get(field)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

fn text<'a>(map: &'a Map<String, Value>, field: &str) -> &'a str {
    map.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn owners(object: &Object, errors: &mut Vec<FieldError>) {
    let mut controller: Option<String> = None;
    for (index, owner) in structs(object, "ownerReferences").enumerate() {
        let path = format!("metadata.ownerReferences[{index}]");
        let api_version = text(owner, "apiVersion");
        let version = GroupVersion::parse(api_version);
        if api_version.is_empty() {
            let field = format!("{path}.apiVersion");
            errors.push(FieldError::required(field, "must not be empty"));
        } else if version.is_none() {
            errors.push(FieldError::invalid(
                format!("{path}.apiVersion"),
                &api_version.into(),
                "must be <group>/<version> or <version>",
            ));
        }
        for field in ["kind", "name", "uid"] {
            if text(owner, field).is_empty() {
                errors.push(FieldError::required(
                    format!("{path}.{field}"),
                    "must not be empty",
                ));
            }
        }
        if api_version == "v1" && text(owner, "kind") == "Event" {
            errors.push(shown_invalid(
                path,
                &owner_json(owner),
                "/v1, Kind=Event is disallowed from being an owner",
            ));
        }
        if owner.get("controller") == Some(&Value::Bool(true)) {
            let this = format!("{}/{}", text(owner, "kind"), text(owner, "name"));
            match &controller {
                None => controller = Some(this),
                Some(first) => errors.push(shown_invalid(
                    "metadata.ownerReferences".into(),
                    &owners_json(object),
                    &format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {this}"
                    ),
                )),
            }
        }
    }
}

/// As [`FieldError::invalid`], with JSON whose order of fields is kept.
fn shown_invalid(field: String, json: &str, detail: &str) -> FieldError {
    FieldError {
        reason: "FieldValueInvalid",
        field,
        message: format!("Invalid value: {json}: {detail}"),
    }
}

fn owners_json(object: &Object) -> String {
    let all: Vec<String> = structs(object, "ownerReferences").map(owner_json).collect();
    format!("[{}]", all.join(","))
}

/// In the order of the Go type, in which clients have always seen it.
fn owner_json(owner: &Map<String, Value>) -> String {
    let mut fields: Vec<String> = ["apiVersion", "kind", "name", "uid"]
        .into_iter()
        .map(|it| format!("\"{it}\":{}", Value::from(text(owner, it))))
        .collect();
    for field in ["controller", "blockOwnerDeletion"] {
        if let Some(value) = owner.get(field) {
            fields.push(format!("\"{field}\":{value}"));
        }
    }
    format!("{{{}}}", fields.join(","))
}

fn finalizers(object: &Object, errors: &mut Vec<FieldError>) {
    for finalizer in object.finalizers() {
        let found = qualified_name_errors(finalizer);
        each(found, "metadata.finalizers", finalizer, errors);
    }
    let has = |name| object.finalizers().any(|it| it == name);
    if has("orphan") && has("foregroundDeletion") {
        let all: Vec<&str> = object.finalizers().collect();
        errors.push(FieldError::invalid(
            "metadata.finalizers",
            &Value::from(all),
            "finalizer orphan and foregroundDeletion cannot be both set",
        ));
    }
}

fn managed_fields(object: &Object, errors: &mut Vec<FieldError>) {
    for (index, entry) in structs(object, "managedFields").enumerate() {
        let path = format!("metadata.managedFields[{index}]");
        match text(entry, "operation") {
            "" => errors.push(FieldError::required(
                format!("{path}.operation"),
                "must not be empty",
            )),
            "Apply" | "Update" => {}
            other => errors.push(FieldError::not_supported(
                format!("{path}.operation"),
                &other.into(),
                &["Apply".into(), "Update".into()],
            )),
        }
        let fields_type = text(entry, "fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            errors.push(FieldError::invalid(
                format!("{path}.fieldsType"),
                &fields_type.into(),
                "must be `FieldsV1`",
            ));
        }
        if text(entry, "manager").len() > MAX_MANAGER {
            let field = format!("{path}.manager");
            errors.push(FieldError::too_long(field, MAX_MANAGER as u64));
        }
        if text(entry, "subresource").len() > MAX_SUBRESOURCE {
            let field = format!("{path}.subresource");
            errors.push(FieldError::too_long(field, MAX_SUBRESOURCE as u64));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;
    use crate::registry::definition::{Names, Scope, UpdateRules};

    fn definition(object_model: ObjectModel, name_rule: NameRule) -> ResourceDefinition {
        ResourceDefinition {
            group: "g".into(),
            names: Names::default(),
            scope: Scope::Namespaced,
            versions: Vec::new(),
            name_rule,
            object_model,
            update: UpdateRules::default(),
            backend: None,
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
    fn object(metadata: Value) -> Object {
        Object::from_slice(json!({"metadata": metadata}).to_string().as_bytes()).unwrap()
    }

    fn show(errors: &[FieldError]) -> String {
        let lines: Vec<String> = errors
            .iter()
            .map(|it| format!("{} {}: {}", it.reason, it.field, it.message))
            .collect();
        lines.join("\n")
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
    fn check_create(metadata: Value, expected: Expect) {
        let definition = definition(ObjectModel::Custom, NameRule::PathSegment);
        expected.assert_eq(&show(&validate_create(&object(metadata), &definition)));
    }

    #[test]
    fn new_objects_need_a_name_and_a_namespace() {
        check_create(json!({"name": "a", "namespace": "n"}), expect![""]);
        check_create(
            json!({}),
            expect![[r#"
            FieldValueRequired metadata.name: Required value: name or generateName is required
            FieldValueRequired metadata.namespace: Required value"#]],
        );
    }

    #[test]
    fn owners_are_complete_and_one_controls() {
        check_create(
            json!({"name": "a", "namespace": "n", "ownerReferences": [{"apiVersion": "v1", "kind": "", "uid": ""}]}),
            expect![[r#"
                FieldValueRequired metadata.ownerReferences[0].kind: Required value: must not be empty
                FieldValueRequired metadata.ownerReferences[0].name: Required value: must not be empty
                FieldValueRequired metadata.ownerReferences[0].uid: Required value: must not be empty"#]],
        );
        check_create(
            json!({"name": "a", "namespace": "n", "ownerReferences": [
                {"apiVersion": "v1", "kind": "A", "name": "x", "uid": "ux", "controller": true},
                {"apiVersion": "v1", "kind": "A", "name": "y", "uid": "uy", "controller": true},
                {"apiVersion": "a/b/c", "kind": "A", "name": "y", "uid": "uy"},
                {"apiVersion": "v1", "kind": "Event", "name": "y", "uid": "uy"},
            ]}),
            expect![[r#"
                FieldValueInvalid metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"A","name":"x","uid":"ux","controller":true},{"apiVersion":"v1","kind":"A","name":"y","uid":"uy","controller":true},{"apiVersion":"a/b/c","kind":"A","name":"y","uid":"uy"},{"apiVersion":"v1","kind":"Event","name":"y","uid":"uy"}]: Only one reference can have Controller set to true. Found "true" in references for A/x and A/y
                FieldValueInvalid metadata.ownerReferences[2].apiVersion: Invalid value: "a/b/c": must be <group>/<version> or <version>
                FieldValueInvalid metadata.ownerReferences[3]: Invalid value: {"apiVersion":"v1","kind":"Event","name":"y","uid":"uy"}: /v1, Kind=Event is disallowed from being an owner"#]],
        );
    }

    #[test]
    fn labels_annotations_and_finalizers_are_names() {
        check_create(
            json!({"name": "a", "namespace": "n", "labels": {"a/b/c": "x", "b": "-"},
                "annotations": {"bad key": "", "UPPER.example/x": ""}, "finalizers": ["bad one", "orphan", "foregroundDeletion"]}),
            expect![[r#"
                FieldValueInvalid metadata.labels: Invalid value: "a/b/c": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')
                FieldValueInvalid metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
                FieldValueInvalid metadata.annotations: Invalid value: "bad key": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
                FieldValueInvalid metadata.finalizers: Invalid value: "bad one": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
                FieldValueInvalid metadata.finalizers: Invalid value: ["bad one","orphan","foregroundDeletion"]: finalizer orphan and foregroundDeletion cannot be both set"#]],
        );
        let big = "x".repeat(MAX_ANNOTATIONS);
        check_create(
            json!({"name": "a", "namespace": "n", "annotations": {"a": big}}),
            expect![
                "FieldValueTooLong metadata.annotations: Too long: may not be more than 262144 bytes"
            ],
        );
    }

    #[test]
    fn managed_fields_are_of_a_known_form() {
        check_create(
            json!({"name": "a", "namespace": "n", "managedFields": [
                {"manager": "x".repeat(129), "operation": "Nope", "fieldsType": "V9"}, {}
            ]}),
            expect![[r#"
                FieldValueNotSupported metadata.managedFields[0].operation: Unsupported value: "Nope": supported values: "Apply", "Update"
                FieldValueInvalid metadata.managedFields[0].fieldsType: Invalid value: "V9": must be `FieldsV1`
                FieldValueTooLong metadata.managedFields[0].manager: Too long: may not be more than 128 bytes
                FieldValueRequired metadata.managedFields[1].operation: Required value: must not be empty"#]],
        );
    }

    #[test]
    fn updates_leave_identity_alone() {
        let old = object(
            json!({"name": "a", "namespace": "n", "uid": "u", "generation": 2, "deletionTimestamp": "2026-01-01T00:00:00Z"}),
        );
        let new = object(
            json!({"name": "a", "namespace": "n", "uid": "v", "generation": 1, "finalizers": ["y.example/g"]}),
        );
        let of = |model| {
            let definition = definition(model, NameRule::DnsSubdomain);
            show(&validate_update(&new, &old, &definition))
        };
        let typed = of(ObjectModel::Typed);
        expect![[r#"
            FieldValueForbidden metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"y.example/g"}
            FieldValueInvalid metadata.generation: Invalid value: 1: must not be decremented
            FieldValueInvalid metadata.uid: Invalid value: "v": field is immutable
            FieldValueInvalid metadata.deletionTimestamp: Invalid value: null: field is immutable"#]].assert_eq(&typed);
        assert_eq!(of(ObjectModel::Custom), format!("{typed}\n{typed}"));
    }

    use proptest::prelude::*;

    use crate::api::testing;
    use crate::registry::object_meta::decode;

    proptest! {
        /// Only objects whose metadata has been decoded are validated.
        #[test]
        fn an_object_is_valid_beside_itself(object in testing::object(), is_typed in any::<bool>()) {
            let mut object = object;
            prop_assume!(decode(&mut object.0).is_ok());
            let model = if is_typed { ObjectModel::Typed } else { ObjectModel::Custom };
            let definition = definition(model, NameRule::DnsSubdomain);
            let errors = validate_create(&object, &definition);
            prop_assert_eq!(&errors, &validate_create(&object, &definition));
            if errors.is_empty() {
                prop_assert_eq!(validate_update(&object, &object, &definition), Vec::new());
            }
        }
    }
}
