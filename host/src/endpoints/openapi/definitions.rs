//! Schemas: of the kinds that are served, from their definitions, and those of Kubernetes that they use.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::published::{
    self, CONVENTIONS, META, OpenApiVersion, add_type, described_reference, reference,
};
use crate::endpoints::discovery::groups::{Group, Version};
use crate::registry::ResourceDefinition;
use crate::registry::definition::{ObjectModel, VersionDefinition};

/// The schema of autoscaling/v1 Scale.
pub(super) const SCALE: &str = "io.k8s.api.autoscaling.v1.Scale";

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

/// Schemas of the kinds of one version, and of the types whose kinds depend on it.
pub(super) fn of_version(group: &Group<'_>, version: &Version<'_>) -> Map<String, Value> {
    let mut schemas = Map::new();
    for (definition, of_version) in &version.resources {
        let names = &definition.names;
        let object = name(definition, version.name, &names.kind);
        let list = name(definition, version.name, &names.list_kind);
        schemas.insert(list, list_schema(definition, of_version, &object));
        schemas.insert(
            object,
            object_schema(definition, of_version, OpenApiVersion::V3),
        );
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

/// The schemas of v2 of custom resources and typed ones, where they are not simply those of v3 in other words.
pub(super) fn of_version_2(version: &Version<'_>) -> Map<String, Value> {
    let objects = version.resources.iter().map(|(definition, of_version)| {
        let name = name(definition, version.name, &definition.names.kind);
        (
            name,
            object_schema(definition, of_version, OpenApiVersion::V2),
        )
    });
    objects.collect()
}

fn object_schema(
    definition: &ResourceDefinition,
    version: &VersionDefinition,
    form: OpenApiVersion,
) -> Value {
    let document = version.schema.document();
    let mut schema = published::object(document, definition.object_model, form);
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
