//! What holds of whole lists and of embedded objects: no duplicates in sets and maps
//! (`x-kubernetes-list-type`), a type in embedded resources.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Path;
use super::compile::{Additional, ListType, Node};
use crate::api::GroupVersion;
use crate::api::status::FieldError;

pub(super) fn validate(root: &Node, object: &Map<String, Value>, errors: &mut Vec<FieldError>) {
    fields(root, object, Path::Root, errors);
}

fn walk(node: &Node, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
    match value {
        Value::Object(map) => {
            if node.is_embedded {
                embedded(map, path, errors);
            }
            fields(node, map, path, errors);
        }
        Value::Array(list) => {
            duplicates(&node.list, list, path, errors);
            if let Some(items) = node.items.as_deref() {
                for (index, item) in list.iter().enumerate() {
                    walk(items, item, Path::Index(&path, index), errors);
                }
            }
        }
        _ => {}
    }
}

fn fields(node: &Node, map: &Map<String, Value>, path: Path<'_>, errors: &mut Vec<FieldError>) {
    for (key, item) in map {
        let schema = match (node.properties.get(key), &node.additional) {
            (Some(property), _) => property,
            (None, Additional::Schema(schema)) => schema,
            _ => continue,
        };
        walk(schema, item, Path::Field(&path, key), errors);
    }
}

fn duplicates(list_type: &ListType, list: &[Value], path: Path<'_>, errors: &mut Vec<FieldError>) {
    let mut seen = HashSet::new();
    for (index, item) in list.iter().enumerate() {
        let identity = match list_type {
            ListType::Atomic => return,
            ListType::Set => item.clone(),
            ListType::Map(keys) => {
                let Value::Object(map) = item else { continue };
                let present = keys
                    .iter()
                    .filter_map(|key| Some((key.clone(), map.get(key)?.clone())));
                Value::Object(present.collect())
            }
        };
        if !seen.insert(identity.to_string()) {
            let field = Path::Index(&path, index).to_string();
            errors.push(FieldError::duplicate(field, &identity));
        }
    }
}

fn embedded(map: &Map<String, Value>, path: Path<'_>, errors: &mut Vec<FieldError>) {
    for field in ["apiVersion", "kind"] {
        let at = Path::Field(&path, field).to_string();
        match map.get(field) {
            None => errors.push(FieldError::required(at, "must not be empty")),
            Some(Value::String(text)) if text.is_empty() => {
                errors.push(FieldError::required(at, "must not be empty"));
            }
            Some(Value::String(text)) => {
                if field == "apiVersion" && GroupVersion::parse(text).is_none() {
                    let value = Value::from(text.as_str());
                    let detail = format!("unexpected GroupVersion string: {text}");
                    errors.push(FieldError::invalid(at, &value, &detail));
                }
            }
            Some(other) => errors.push(FieldError::invalid(at, other, "must be a string")),
        }
    }
}
