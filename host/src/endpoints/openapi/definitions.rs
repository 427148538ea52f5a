//! Schemas: of the kinds that are served, from their definitions, and those of Kubernetes that they use.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::endpoints::discovery::groups::{Group, Version};
use crate::registry::ResourceDefinition;
use crate::registry::definition::{ObjectModel, VersionDefinition};

/// What names of schemas of metav1 begin with.
pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";

/// The schema of autoscaling/v1 Scale.
pub(super) const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

/// Where Kubernetes' own descriptions send their readers.
const CONVENTIONS: &str =
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md";

const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";

/// Schemas of Kubernetes' own types by name, in OpenAPI v3's form.
static KNOWN: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("meta.json")).expect("tests read the same file")
});

/// Name of a kind's schema: `com.example.yard.v1.Cargo`.
pub(super) fn name(definition: &ResourceDefinition, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = definition.group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// Schemas of the kinds of one version, and of the types whose kinds depend on it.
pub(super) fn of_version(group: &Group<'_>, version: &Version<'_>) -> Map<String, Value> {
    let mut schemas = Map::new();
    for (definition, of_version) in &version.resources {
        let names = &definition.names;
        let object = name(definition, version.name, &names.kind);
        let list = name(definition, version.name, &names.list_kind);
        schemas.insert(list, list_schema(definition, of_version, &object));
        schemas.insert(object, object_schema(definition, of_version));
    }
    for kind in ["DeleteOptions", "WatchEvent"] {
        let name = format!("{META}{kind}");
        if let Some(mut schema) = KNOWN.get(&name).cloned() {
            schema[GROUP_VERSION_KIND] = json!([
                {"group": "", "version": "v1", "kind": kind},
                {"group": group.name, "version": version.name, "kind": kind},
            ]);
            schemas.insert(name, schema);
        }
    }
    schemas
}

/// Those of `own` that are used, with all the known ones that they and `paths` lead to.
pub(super) fn complete(paths: &Map<String, Value>, own: Map<String, Value>) -> Map<String, Value> {
    let mut names = Vec::new();
    for item in paths.values() {
        collect_references(item, &mut names);
    }
    let mut schemas: Map<String, Value> = Map::new();
    while let Some(name) = names.pop() {
        if schemas.contains_key(&name) {
            continue;
        }
        if let Some(schema) = own.get(&name).or_else(|| KNOWN.get(&name)) {
            collect_references(schema, &mut names);
            let mut schema = schema.clone();
            if name == format!("{META}Status") {
                schema[GROUP_VERSION_KIND] =
                    json!([{"group": "", "version": "v1", "kind": "Status"}]);
            }
            schemas.insert(name, schema);
        }
    }
    schemas
}

/// Adds the names that a part of a document refers to.
fn collect_references(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let reference = map.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|it| it.strip_prefix("#/components/schemas/")) {
                names.push(name.to_owned());
            }
            map.values().for_each(|it| collect_references(it, names));
        }
        Value::Array(items) => items.iter().for_each(|it| collect_references(it, names)),
        _ => {}
    }
}

fn object_schema(definition: &ResourceDefinition, version: &VersionDefinition) -> Value {
    let mut schema = version.schema.document().clone();
    extend(&mut schema);
    if !schema.is_object() {
        schema = json!({});
    }
    schema["type"] = json!("object");
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let properties = &mut schema["properties"];
    add_type(properties);
    properties["metadata"] = object_meta();
    if definition.object_model == ObjectModel::Typed {
        properties["metadata"]["default"] = json!({});
    }
    add_extensions(&mut schema, definition, version, &definition.names.kind);
    schema
}

fn list_schema(
    definition: &ResourceDefinition,
    version: &VersionDefinition,
    object: &str,
) -> Value {
    let names = &definition.names;
    let mut schema = json!({
        "description": format!("{} is a list of {}", names.list_kind, names.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {
                "description": format!("List of {}. More info: {CONVENTIONS}", names.plural),
                "type": "array",
                "items": reference(object),
            },
            "metadata": described_reference(
                "ListMeta",
                &format!("Standard list metadata. More info: {CONVENTIONS}#types-kinds"),
            ),
        },
    });
    add_type(&mut schema["properties"]);
    if definition.object_model == ObjectModel::Typed {
        schema["properties"]["metadata"]["default"] = json!({});
    }
    add_extensions(&mut schema, definition, version, &names.list_kind);
    schema
}

fn add_type(properties: &mut Value) {
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

/// A reference cannot have siblings in OpenAPI v3.0, so it stands in an `allOf`.
fn described_reference(kind: &str, description: &str) -> Value {
    json!({"description": description, "allOf": [reference(&format!("{META}{kind}"))]})
}

fn add_extensions(
    schema: &mut Value,
    definition: &ResourceDefinition,
    version: &VersionDefinition,
    kind: &str,
) {
    schema[GROUP_VERSION_KIND] =
        json!([{"group": definition.group, "version": version.name, "kind": kind}]);
    let fields: Vec<Value> = version
        .selectable_fields
        .iter()
        .map(|it| json!({"fieldPath": it.json_path.trim_start_matches('.')}))
        .collect();
    if !fields.is_empty() {
        schema["x-kubernetes-selectable-fields"] = json!(fields);
    }
}

/// Says in plain OpenAPI what the extensions mean: either type of `int-or-string`, the fields that every
/// embedded object has.
fn extend(schema: &mut Value) {
    let Value::Object(map) = schema else {
        return;
    };
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(extend);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            extend(inner);
        }
    }
    let is = |key: &str| map.get(key) == Some(&Value::Bool(true));
    let (is_int_or_string, is_embedded) = (
        is("x-kubernetes-int-or-string"),
        is("x-kubernetes-embedded-resource"),
    );
    if is_int_or_string && !map.contains_key("anyOf") && !map.contains_key("allOf") {
        map.insert(
            "anyOf".into(),
            json!([{"type": "integer"}, {"type": "string"}]),
        );
    }
    if is_embedded {
        let properties = map.entry("properties").or_insert_with(|| json!({}));
        add_embedded_type(properties);
        properties["metadata"] = object_meta();
        let required = map.entry("required").or_insert_with(|| json!([]));
        if let Value::Array(required) = required {
            for name in ["kind", "apiVersion"] {
                if !required.contains(&json!(name)) {
                    required.push(json!(name));
                }
            }
        }
    }
}
