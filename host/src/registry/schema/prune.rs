//! Removing fields that a schema does not have (apiextensions-apiserver, pkg/apiserver/schema/pruning).

use serde_json::{Map, Value};

use super::Path;
use super::compile::{Additional, Node};

const META_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// Type and metadata of the object itself are always kept. Returns the paths of what went, sorted.
pub(super) fn prune(root: &Node, object: &mut Map<String, Value>) -> Vec<String> {
    let mut unknown = Vec::new();
    fields(
        root,
        object,
        Path::Root,
        true,
        root.preserves_unknown,
        &mut unknown,
    );
    unknown.sort_unstable();
    unknown
}

/// Whether a default of the schema was as it must be; it is so then.
pub(super) fn prune_default(node: &Node, default: &mut Value) -> bool {
    let mut unknown = Vec::new();
    value(Some(node), default, Path::Root, &mut unknown);
    unknown.is_empty()
}

/// `None`: nothing is known of what stands here, so that objects lose all their fields.
fn value(node: Option<&Node>, value: &mut Value, path: Path<'_>, unknown: &mut Vec<String>) {
    let Some(node) = node else {
        return empty(value, path, unknown);
    };
    if node.preserves_unknown {
        return open(node, value, path, unknown);
    }
    match value {
        Value::Object(map) => fields(node, map, path, node.is_embedded, false, unknown),
        Value::Array(list) => {
            for (index, item) in list.iter_mut().enumerate() {
                self::value(
                    node.items.as_deref(),
                    item,
                    Path::Index(&path, index),
                    unknown,
                );
            }
        }
        _ => {}
    }
}

/// A value that keeps unknown fields; the items of its lists do, too.
fn open(node: &Node, value: &mut Value, path: Path<'_>, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => fields(node, map, path, node.is_embedded, true, unknown),
        Value::Array(list) => {
            let Some(items) = node.items.as_deref() else {
                return;
            };
            for (index, item) in list.iter_mut().enumerate() {
                open(items, item, Path::Index(&path, index), unknown);
            }
        }
        _ => {}
    }
}

fn empty(value: &mut Value, path: Path<'_>, unknown: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            let paths = map.keys().map(|key| Path::Field(&path, key).to_string());
            unknown.extend(paths);
            map.clear();
        }
        Value::Array(list) => {
            for (index, item) in list.iter_mut().enumerate() {
                empty(item, Path::Index(&path, index), unknown);
            }
        }
        _ => {}
    }
}

fn fields(
    node: &Node,
    map: &mut Map<String, Value>,
    path: Path<'_>,
    keeps_meta: bool,
    keeps_unknown: bool,
    unknown: &mut Vec<String>,
) {
    map.retain(|key, item| {
        if keeps_meta && META_FIELDS.contains(&key.as_str()) {
            return true;
        }
        let at = Path::Field(&path, key);
        match (node.field(key), &node.additional) {
            (Some(field), _) => value(Some(field), item, at, unknown),
            (None, Additional::Schema(schema)) => value(Some(schema), item, at, unknown),
            // That there may be no other fields is for validation to say.
            (None, Additional::Any | Additional::Forbidden) => value(None, item, at, unknown),
            (None, Additional::Absent) if keeps_unknown => {}
            (None, Additional::Absent) => {
                unknown.push(at.to_string());
                return false;
            }
        }
        true
    });
}
