//! Removing fields that a schema does not have, and filling in its defaults.

use serde_json::{Map, Value};

use super::Path;
use super::compile::{Additional, Node};

const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

pub(super) fn prune(root: &Node, object: &mut Map<String, Value>) -> Vec<String> {
    let mut unknown = Vec::new();
    fields(Some(root), object, Path::Root, true, &mut unknown);
    unknown.sort_unstable();
    unknown
}

/// `None`: nothing is known of what stands here.
fn value(node: Option<&Node>, value: &mut Value, path: Path<'_>, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let keeps_meta = node.is_some_and(|it| it.is_embedded);
            fields(node, map, path, keeps_meta, unknown);
        }
        Value::Array(list) => {
            let items = node.and_then(|it| it.items.as_deref());
            if items.is_none() && node.is_some_and(|it| it.preserves_unknown) {
                return;
            }
            for (index, item) in list.iter_mut().enumerate() {
                self::value(items, item, Path::Index(&path, index), unknown);
            }
        }
        _ => {}
    }
}

fn fields(
    node: Option<&Node>,
    map: &mut Map<String, Value>,
    path: Path<'_>,
    keeps_meta: bool,
    unknown: &mut Vec<String>,
) {
    let mut removed = Vec::new();
    for (key, item) in map.iter_mut() {
        if keeps_meta && META_FIELDS.contains(&key.as_str()) {
            continue;
        }
        let at = Path::Field(&path, key);
        let Some(node) = node else {
            unknown.push(at.to_string());
            removed.push(key.clone());
            continue;
        };
        if let Some(property) = node.properties.get(key) {
            value(Some(property), item, at, unknown);
            continue;
        }
        match &node.additional {
            Additional::Schema(schema) => value(Some(schema), item, at, unknown),
            Additional::Any => value(None, item, at, unknown),
            Additional::Absent | Additional::Forbidden if node.preserves_unknown => {}
            Additional::Absent | Additional::Forbidden => {
                unknown.push(at.to_string());
                removed.push(key.clone());
            }
        }
    }
    for key in removed {
        map.remove(&key);
    }
}

pub(super) fn default(root: &Node, object: &mut Map<String, Value>) {
    default_fields(root, object);
    drop_nulls_of_fields(root, object);
}

/// Completes a default by the defaults within it.
pub(super) fn default_value(node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => default_fields(node, map),
        Value::Array(list) => {
            let Some(items) = node.items.as_deref() else {
                return;
            };
            for item in list {
                replace_null(items, item);
                default_value(items, item);
            }
        }
        _ => {}
    }
}

fn default_fields(node: &Node, map: &mut Map<String, Value>) {
    for (name, property) in &node.properties {
        match map.get_mut(name) {
            Some(present) => replace_null(property, present),
            None => {
                if let Some(default) = &property.default {
                    map.insert(name.clone(), default.clone());
                }
            }
        }
        if let Some(present) = map.get_mut(name) {
            default_value(property, present);
        }
    }
    if let Additional::Schema(schema) = &node.additional {
        for (key, item) in map.iter_mut() {
            if !node.properties.contains_key(key) {
                replace_null(schema, item);
                default_value(schema, item);
            }
        }
    }
}

/// A null where none may be is as if it were not there.
fn replace_null(node: &Node, value: &mut Value) {
    if value.is_null()
        && !node.is_nullable
        && let Some(default) = &node.default
    {
        *value = default.clone();
    }
}

fn drop_nulls(node: &Node, value: &mut Value) {
    match value {
        Value::Object(map) => drop_nulls_of_fields(node, map),
        Value::Array(list) => {
            if let Some(items) = node.items.as_deref() {
                for item in list {
                    drop_nulls(items, item);
                }
            }
        }
        _ => {}
    }
}

fn drop_nulls_of_fields(node: &Node, map: &mut Map<String, Value>) {
    map.retain(|key, item| {
        let schema = match (node.properties.get(key), &node.additional) {
            (Some(property), _) => property,
            (None, Additional::Schema(schema)) => schema,
            _ => return true,
        };
        if item.is_null() && !schema.is_nullable {
            return false;
        }
        drop_nulls(schema, item);
        true
    });
}
