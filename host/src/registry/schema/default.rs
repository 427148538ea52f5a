//! Defaults, and nulls where they mean nothing (apiextensions-apiserver, pkg/apiserver/schema/defaulting).

use serde_json::{Map, Value};

use super::compile::{Additional, Node};

/// Removes nulls of fields that may not be null and have no default. Returns whether there were some.
pub(super) fn drop_nulls(node: &Node, map: &mut Map<String, Value>) -> bool {
    let mut is_changed = false;
    map.retain(|key, item| {
        let Some(child) = node.child(key) else {
            return true;
        };
        if item.is_null() {
            let stays = child.is_nullable || child.default.is_some();
            is_changed |= !stays;
            return stays;
        }
        is_changed |= drop_nulls_below(child, item);
        true
    });
    is_changed
}

fn drop_nulls_below(node: &Node, value: &mut Value) -> bool {
    match value {
        Value::Object(map) => drop_nulls(node, map),
        Value::Array(list) => {
            let Some(items) = node.items.as_deref() else {
                return false;
            };
            let mut is_changed = false;
            for item in list {
                is_changed |= drop_nulls_below(items, item);
            }
            is_changed
        }
        _ => false,
    }
}

/// Fills in what is missing, and what is null and may not be. Returns whether anything was.
pub(super) fn default(node: &Node, map: &mut Map<String, Value>) -> bool {
    let mut is_changed = false;
    if node.has_default_fields {
        for (name, field) in node.fields() {
            let Some(default) = &field.default else {
                continue;
            };
            match map.get_mut(name) {
                None => {
                    map.insert(name.to_owned(), default.clone());
                    is_changed = true;
                }
                Some(present) => is_changed |= replace_null(field, present),
            }
        }
    }
    if !node.has_defaults {
        return is_changed;
    }
    for (key, item) in map {
        match (node.field(key), &node.additional) {
            (Some(field), _) => is_changed |= default_below(field, item),
            (None, Additional::Schema(schema)) => {
                is_changed |= replace_null(schema, item);
                is_changed |= default_below(schema, item);
            }
            _ => {}
        }
    }
    is_changed
}

fn default_below(node: &Node, value: &mut Value) -> bool {
    if !node.has_defaults {
        return false;
    }
    match value {
        Value::Object(map) => default(node, map),
        Value::Array(list) => {
            let Some(items) = node.items.as_deref() else {
                return false;
            };
            let mut is_changed = false;
            for item in list {
                is_changed |= replace_null(items, item);
                is_changed |= default_below(items, item);
            }
            is_changed
        }
        _ => false,
    }
}

fn replace_null(node: &Node, value: &mut Value) -> bool {
    let default = node.default.as_ref();
    match default.filter(|_| value.is_null() && !node.is_nullable) {
        Some(default) => {
            *value = default.clone();
            true
        }
        None => false,
    }
}
