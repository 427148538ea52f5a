//! A definition's schema as OpenAPI publishes it (K15): what its extensions mean is said in plain OpenAPI too, and in
//! v2 what kubectl would misread is left out.
//!
//! Follows k8s.io/apiextensions-apiserver, pkg/controller/openapi; of typed resources, what the Go library's
//! generator makes of their types.

use serde_json::{Map, Value, json};

use crate::registry::definition::ObjectModel;

/// What names of schemas of metav1 begin with.
pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// Where Kubernetes' own descriptions send their readers.
pub(super) const CONVENTIONS: &str =
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

const EMBEDDED: &str = "x-kubernetes-embedded-resource";
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";
const OPEN: &str = "x-kubernetes-preserve-unknown-fields";

/// Extensions that custom resources are published with.
const EXTENSIONS: [&str; 7] = [
    EMBEDDED,
    INT_OR_STRING,
    OPEN,
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenApiVersion {
    V2,
    V3,
}

/// The schema of whole objects. References are in v3's form.
pub(super) fn object(document: &Value, model: ObjectModel, version: OpenApiVersion) -> Value {
    let publisher = Publisher { model, version };
    if version == OpenApiVersion::V2 && document[OPEN] == true {
        // With any field at all kubectl takes all others to be unknown.
        return json!({"type": "object"});
    }
    let mut schema = match publisher.node(document) {
        Value::Object(map) => Value::Object(map),
        _ => json!({}),
    };
    schema["type"] = json!("object");
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    add_type(&mut schema["properties"]);
    let mut metadata = object_meta();
    if model == ObjectModel::Typed && version == OpenApiVersion::V3 {
        metadata["default"] = json!({});
    }
    schema["properties"]["metadata"] = metadata;
    schema
}

/// A reference cannot have siblings in OpenAPI v3.0, so it stands in an `allOf`.
pub(super) fn described_reference(kind: &str, description: &str) -> Value {
    json!({"description": description, "allOf": [reference(&format!("{META}{kind}"))]})
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

pub(super) fn add_type(properties: &mut Value) {
    properties["apiVersion"] = json!({
        "description": format!(
            "APIVersion defines the versioned schema of this representation of an object. Servers should convert \
             recognized schemas to the latest internal value, and may reject unrecognized values. More info: \
             {CONVENTIONS}#resources"
        ),
        "type": "string",
    });
    properties["kind"] = json!({
        "description": format!(
            "Kind is a string value representing the REST resource this object represents. Servers may infer this \
             from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: \
             {CONVENTIONS}#types-kinds"
        ),
        "type": "string",
    });
}

/// The same of an object in another.
fn add_embedded_type(properties: &mut Value) {
    properties["apiVersion"] = json!({
        "description": format!(
            "apiVersion defines the versioned schema of this representation of an object. More info: \
             {CONVENTIONS}#resources"
        ),
        "type": "string",
    });
    properties["kind"] = json!({
        "description": format!(
            "kind is a string value representing the type of this object. In CamelCase. More info: \
             {CONVENTIONS}#types-kinds"
        ),
        "type": "string",
    });
}

fn object_meta() -> Value {
    let description = format!("Standard object's metadata. More info: {CONVENTIONS}#metadata");
    described_reference("ObjectMeta", &description)
}

struct Publisher {
    model: ObjectModel,
    version: OpenApiVersion,
}

impl Publisher {
    fn node(&self, schema: &Value) -> Value {
        let Value::Object(map) = schema else {
            return schema.clone();
        };
        let is = |key: &str| is_true(map, key);
        if self.model == ObjectModel::Typed && is(INT_OR_STRING) {
            return self.typed_int_or_string(map);
        }
        let mut out = self.keywords(map, &|inner| self.node(inner));
        match self.version {
            OpenApiVersion::V2 => simplify(map, &mut out),
            OpenApiVersion::V3 if is(INT_OR_STRING) => unfold(&mut out),
            OpenApiVersion::V3 => {}
        }
        if is(EMBEDDED) && !(is(OPEN) && self.version == OpenApiVersion::V2) {
            add_embedded(&mut out);
        }
        Value::Object(out)
    }

    /// Only what it means to be an alternative.
    fn alternative(&self, schema: &Value) -> Value {
        match schema {
            Value::Object(map) => {
                Value::Object(self.keywords(map, &|inner| self.alternative(inner)))
            }
            other => other.clone(),
        }
    }

    /// What says something, with `inner` of what it holds.
    fn keywords(
        &self,
        map: &Map<String, Value>,
        inner: &dyn Fn(&Value) -> Value,
    ) -> Map<String, Value> {
        let mut out = Map::new();
        for (key, value) in map {
            let value = match (key.as_str(), value) {
                (_, Value::Null) => continue,
                ("properties", Value::Object(properties)) if !properties.is_empty() => {
                    let properties = properties.iter();
                    Value::Object(properties.map(|it| (it.0.clone(), inner(it.1))).collect())
                }
                ("items" | "additionalProperties", value) => inner(value),
                ("allOf" | "anyOf" | "oneOf", Value::Array(list)) if !list.is_empty() => {
                    list.iter().map(|it| self.alternative(it)).collect()
                }
                ("not", value) => self.alternative(value),
                ("default" | "example", value) => value.clone(),
                (_, value) if says_nothing(value) => continue,
                (key, _) if key.starts_with("x-") && !self.publishes(key) => continue,
                _ => value.clone(),
            };
            out.insert(key.clone(), value);
        }
        if self.omits_defaults() {
            out.remove("default");
        }
        out
    }

    fn publishes(&self, extension: &str) -> bool {
        self.model == ObjectModel::Typed || EXTENSIONS.contains(&extension)
    }

    /// Typed servers publish none in v2.
    fn omits_defaults(&self) -> bool {
        self.model == ObjectModel::Typed && self.version == OpenApiVersion::V2
    }

    /// As the type that Go has for it.
    fn typed_int_or_string(&self, map: &Map<String, Value>) -> Value {
        let mut out = match self.version {
            OpenApiVersion::V2 => json!({"type": "string"}),
            OpenApiVersion::V3 => json!({"oneOf": [{"type": "integer"}, {"type": "string"}]}),
        };
        out["format"] = json!("int-or-string");
        let told = map.iter().filter(|(key, _)| {
            *key == "description" || *key == "default" && !self.omits_defaults()
        });
        for (key, value) in told {
            out[key] = value.clone();
        }
        out
    }
}

fn is_true(map: &Map<String, Value>, key: &str) -> bool {
    map.get(key) == Some(&Value::Bool(true))
}

/// What is the same where it is not said.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Says that there may be either type.
fn unfold(schema: &mut Map<String, Value>) {
    let either = json!([{"type": "integer"}, {"type": "string"}]);
    let first = schema.get("allOf").and_then(|it| it.get(0));
    if schema.get("anyOf") == Some(&either) || first.and_then(|it| it.get("anyOf")) == Some(&either)
    {
        return;
    }
    if !schema.contains_key("anyOf") {
        schema.insert("anyOf".into(), either);
        return;
    }
    let all = schema.entry("allOf").or_insert_with(|| json!([]));
    if let Value::Array(all) = all {
        all.insert(0, json!({"anyOf": either}));
    }
}

/// Leaves out what v2 cannot say, and what kubectl misreads: the inner of what may be null or keeps unknown fields.
/// `schema` is as it was.
fn simplify(schema: &Map<String, Value>, out: &mut Map<String, Value>) {
    for key in ["allOf", "anyOf", "oneOf", "not", "nullable"] {
        out.remove(key);
    }
    let is_open = is_true(schema, OPEN);
    let is_nullable = is_true(schema, "nullable");
    if is_nullable || is_open {
        out.remove("items");
        out.remove("properties");
    }
    let of_type = schema.get("type").and_then(Value::as_str);
    if is_nullable
        || is_open && of_type == Some("object")
        || of_type == Some("array") && !out.contains_key("items")
    {
        out.remove("type");
    }
    let of_names = schema.get("additionalProperties");
    if of_names.is_some_and(|it| it["nullable"] == true) {
        out.remove("required");
    }
    if let Some(Value::Array(required)) = out.get("required")
        && out.contains_key("properties")
    {
        let may_be_null = |name: &Value| {
            let property = name
                .as_str()
                .and_then(|it| schema.get("properties")?.get(it));
            property.is_some_and(|it| it["nullable"] == true)
        };
        let left = required.iter().filter(|it| !may_be_null(it)).cloned();
        let left: Vec<Value> = left.collect();
        out.remove("required");
        if !left.is_empty() {
            out.insert("required".into(), left.into());
        }
    }
}

/// The fields that every object has.
fn add_embedded(schema: &mut Map<String, Value>) {
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    add_embedded_type(properties);
    properties["metadata"] = object_meta();
    let required = schema.entry("required").or_insert_with(|| json!([]));
    if let Value::Array(required) = required {
        for name in ["kind", "apiVersion"] {
            if !required.contains(&json!(name)) {
                required.push(json!(name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: &Value, model: ObjectModel, version: OpenApiVersion) -> Value {
        let document = json!({"type": "object", "properties": {"spec": spec}});
        object(&document, model, version)["properties"]["spec"].take()
    }

    #[track_caller]
    fn check(spec: &Value, v3: &Value, v2: &Value) {
        assert_eq!(of(spec, ObjectModel::Custom, OpenApiVersion::V3), *v3);
        assert_eq!(of(spec, ObjectModel::Custom, OpenApiVersion::V2), *v2);
    }

    #[test]
    fn either_type_is_said_once_beside_other_alternatives() {
        let either = json!([{"type": "integer"}, {"type": "string"}]);
        let bare = json!({"x-kubernetes-int-or-string": true});
        let said = json!({"x-kubernetes-int-or-string": true, "anyOf": either});
        check(&bare, &said, &bare);
        check(&said, &said, &bare);
        check(
            &json!({"x-kubernetes-int-or-string": true, "anyOf": [{"minimum": 1}, {"pattern": "a"}], "allOf": [{"maxLength": 3}]}),
            &json!({
                "x-kubernetes-int-or-string": true,
                "anyOf": [{"minimum": 1}, {"pattern": "a"}],
                "allOf": [{"anyOf": either}, {"maxLength": 3}],
            }),
            &bare,
        );
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        check(
            &json!({
                "type": "string", "nullable": false, "description": "", "enum": ["a"], "minLength": 0, "default": "",
                "uniqueItems": false, "x-kubernetes-list-map-keys": [], "x-other": 1,
            }),
            &json!({"type": "string", "enum": ["a"], "minLength": 0, "default": ""}),
            &json!({"type": "string", "enum": ["a"], "minLength": 0, "default": ""}),
        );
    }

    #[test]
    fn kubectl_is_told_nothing_that_it_misreads() {
        check(
            &json!({
                "type": "object", "required": ["a", "b"],
                "properties": {"a": {"type": "string", "nullable": true}, "b": {"type": "array", "nullable": true, "items": {"type": "string"}}},
            }),
            &json!({
                "type": "object", "required": ["a", "b"],
                "properties": {"a": {"type": "string", "nullable": true}, "b": {"type": "array", "nullable": true, "items": {"type": "string"}}},
            }),
            &json!({"type": "object", "properties": {"a": {}, "b": {}}}),
        );
        let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let whole = object(&open, ObjectModel::Custom, OpenApiVersion::V2);
        assert_eq!(whole, json!({"type": "object"}));
        check(
            &open,
            &open,
            &json!({"x-kubernetes-preserve-unknown-fields": true}),
        );
    }

    #[test]
    fn embedded_objects_have_the_fields_of_all_objects() {
        let embedded =
            json!({"type": "object", "x-kubernetes-embedded-resource": true, "required": ["kind"]});
        for version in [OpenApiVersion::V2, OpenApiVersion::V3] {
            let published = of(&embedded, ObjectModel::Custom, version);
            assert_eq!(published["required"], json!(["kind", "apiVersion"]));
            let metadata = &published["properties"]["metadata"]["allOf"][0]["$ref"];
            assert!(metadata.is_string(), "{published}");
        }
        let open = json!({
            "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
        });
        let published = of(&open, ObjectModel::Custom, OpenApiVersion::V2);
        assert_eq!(published["properties"], Value::Null);
        assert_eq!(published["required"], Value::Null);
    }

    #[test]
    fn typed_servers_have_a_type_for_either() {
        let spec =
            json!({"x-kubernetes-int-or-string": true, "description": "A port.", "default": 80});
        assert_eq!(
            of(&spec, ObjectModel::Typed, OpenApiVersion::V2),
            json!({"type": "string", "format": "int-or-string", "description": "A port."})
        );
        assert_eq!(
            of(&spec, ObjectModel::Typed, OpenApiVersion::V3),
            json!({
                "oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string",
                "description": "A port.", "default": 80,
            })
        );
    }
}
