//! OpenAPI v2 (swagger) of everything, derived from the v3 documents; but the kinds' own schemas are made for it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// `documents` are the v3 ones, `objects` the kinds' own schemas by name.
pub(super) fn document(
    documents: impl Iterator<Item = Value>,
    objects: &Map<String, Value>,
) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    let mut parameters = Parameters::default();
    let mut info = Value::Null;
    for document in documents {
        info = document["info"].clone();
        for (path, item) in fields(&document["paths"]) {
            paths.insert(path.clone(), path_item(item, &mut parameters));
        }
        for (name, schema) in fields(&document["components"]["schemas"]) {
            let own = objects.get(name);
            let mut schema = simplified(own.unwrap_or(schema));
            if own.is_none() {
                drop_defaults(&mut schema);
            }
            match definitions.get_mut(name) {
                Some(known) => merge_kinds(known, &schema),
                None => {
                    definitions.insert(name.clone(), schema);
                }
            }
        }
    }
    json!({
        "swagger": "2.0",
        "info": info,
        "paths": paths,
        "definitions": definitions,
        "parameters": parameters.named,
        "securityDefinitions": {
            "BearerToken": {
                "description": "Bearer Token authentication",
                "type": "apiKey",
                "name": "authorization",
                "in": "header",
            },
        },
        "security": [{"BearerToken": []}],
    })
}

/// Parameters of queries, told once.
#[derive(Default)]
struct Parameters {
    /// By name and content: most names mean one thing.
    named: BTreeMap<String, Value>,
}

impl Parameters {
    /// The parameter, or a reference to it.
    fn put(&mut self, parameter: Value) -> Value {
        let name = parameter["name"].as_str().unwrap_or_default();
        if parameter["in"] != "query" {
            return parameter;
        }
        let key = format!("{name}-outrigger");
        let known = self
            .named
            .entry(key.clone())
            .or_insert_with(|| parameter.clone());
        if *known == parameter {
            json!({"$ref": format!("#/parameters/{key}")})
        } else {
            parameter
        }
    }
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn path_item(item: &Value, parameters: &mut Parameters) -> Value {
    let converted = fields(item).map(|(key, value)| {
        let value = if key == "parameters" {
            let shared = items(value).iter().map(|it| parameters.put(parameter(it)));
            shared.collect()
        } else {
            operation(value, parameters)
        };
        (key.clone(), value)
    });
    Value::Object(converted.collect())
}

fn operation(operation: &Value, parameters: &mut Parameters) -> Value {
    let mut out = Map::new();
    let mut produces: Vec<&String> = Vec::new();
    let mut responses = Map::new();
    for (code, response) in fields(&operation["responses"]) {
        let mut converted = json!({"description": response["description"]});
        if let Some((_, media_type)) = fields(&response["content"]).next() {
            converted["schema"] = simplified(&media_type["schema"]);
            produces = fields(&response["content"]).map(|it| it.0).collect();
        }
        responses.insert(code.clone(), converted);
    }
    responses.insert("401".into(), json!({"description": "Unauthorized"}));

    let body = &operation["requestBody"];
    let mut consumes: Vec<&str> = fields(&body["content"]).map(|it| it.0.as_str()).collect();
    let mut list = Vec::new();
    if let Some((_, media_type)) = fields(&body["content"]).next() {
        let mut parameter =
            json!({"name": "body", "in": "body", "schema": simplified(&media_type["schema"])});
        if body["required"] == true {
            parameter["required"] = json!(true);
        }
        list.push(parameter);
    } else if operation["x-kubernetes-action"].is_null() {
        consumes = produces.iter().map(|it| it.as_str()).collect();
    } else {
        // Where there is no body, any is as good.
        consumes.push("*/*");
    }
    let of_query = items(&operation["parameters"]);
    list.extend(of_query.iter().map(|it| parameters.put(parameter(it))));

    for (key, value) in fields(operation) {
        if !matches!(key.as_str(), "requestBody" | "parameters" | "responses") {
            out.insert(key.clone(), value.clone());
        }
    }
    out.insert("schemes".into(), json!(["https"]));
    out.insert("consumes".into(), json!(consumes));
    out.insert("produces".into(), json!(produces));
    out.insert("responses".into(), Value::Object(responses));
    if !list.is_empty() {
        out.insert("parameters".into(), Value::Array(list));
    }
    Value::Object(out)
}

/// A parameter's schema stands in the parameter itself.
fn parameter(parameter: &Value) -> Value {
    let mut out = parameter.clone();
    if let Value::Object(map) = &mut out {
        let schema = map.remove("schema").unwrap_or_default();
        map.extend(fields(&schema).map(|it| (it.0.clone(), it.1.clone())));
    }
    out
}

/// The same without what v2 has no words for.
fn simplified(schema: &Value) -> Value {
    let Value::Object(map) = schema else {
        return schema.clone();
    };
    // `allOf` of one reference is how v3 writes a reference with a description.
    let reference = match map.get("allOf").map(items) {
        Some([one]) => one.get("$ref"),
        _ => map.get("$ref"),
    };
    if let Some(reference) = reference.and_then(Value::as_str) {
        let name = reference.trim_start_matches("#/components/schemas/");
        let mut out = json!({"$ref": format!("#/definitions/{name}")});
        if let Some(description) = map.get("description") {
            out["description"] = description.clone();
        }
        return out;
    }
    let mut out = Map::new();
    for (key, value) in map {
        let value = match key.as_str() {
            "allOf" | "anyOf" | "oneOf" | "not" => continue,
            "properties" => {
                let inner = fields(value).map(|(name, it)| (name.clone(), simplified(it)));
                Value::Object(inner.collect())
            }
            "items" | "additionalProperties" => simplified(value),
            _ => value.clone(),
        };
        out.insert(key.clone(), value);
    }
    Value::Object(out)
}

fn drop_defaults(schema: &mut Value) {
    let Value::Object(map) = schema else {
        return;
    };
    map.remove("default");
    if let Some(properties) = map.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(drop_defaults);
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = map.get_mut(key) {
            drop_defaults(inner);
        }
    }
}

/// The kinds of a type that several versions share.
fn merge_kinds(known: &mut Value, other: &Value) {
    const KEY: &str = "x-kubernetes-group-version-kind";
    let Some(Value::Array(kinds)) = known.get_mut(KEY) else {
        return;
    };
    for kind in items(&other[KEY]) {
        if !kinds.contains(kind) {
            kinds.push(kind.clone());
        }
    }
}
