//! Strategic merge patches: JSON merge patches with directives, and lists of metadata that are merged.
//!
//! Of the directives `$patch` (replace, delete, merge) and `$retainKeys` are known. Of lists finalizers and
//! ownerReferences are merged, all others are replaced.

use serde_json::{Map, Value};

use crate::api::status::{self, Result};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

pub(super) fn apply(document: &mut Value, patch: &Map<String, Value>) -> Result<()> {
    merge(document, patch, "")
}

fn merge(target: &mut Value, patch: &Map<String, Value>, path: &str) -> Result<()> {
    match patch.get(PATCH).and_then(Value::as_str) {
        None if patch.contains_key(PATCH) => return Err(bad_directive()),
        None | Some("merge") => {}
        Some("replace") => {
            *target = Value::Object(without_directives(patch));
            return Ok(());
        }
        Some("delete") => {
            *target = Value::Object(Map::new());
            return Ok(());
        }
        Some(_) => return Err(bad_directive()),
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else {
        return Ok(());
    };
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        let keys = keys.as_array().ok_or_else(bad_directive)?;
        map.retain(|key, _| keys.iter().any(|it| it == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM_LIST) {
            let gone = value.as_array().ok_or_else(bad_directive)?;
            if let Some(Value::Array(items)) = map.get_mut(list) {
                items.retain(|it| !gone.contains(it));
            }
            continue;
        }
        if key == PATCH || key == RETAIN_KEYS || key.starts_with(ORDER) {
            continue;
        }
        let at = format!("{path}.{key}");
        match value {
            Value::Null => {
                map.remove(key);
            }
            Value::Object(inner) => {
                merge(map.entry(key.clone()).or_insert(Value::Null), inner, &at)?;
            }
            Value::Array(items) if at == ".metadata.finalizers" => {
                add_missing(map.entry(key.clone()).or_insert(Value::Null), items);
            }
            Value::Array(items) if at == ".metadata.ownerReferences" => {
                let slot = map.entry(key.clone()).or_insert(Value::Null);
                merge_by(slot, items, "uid", &at)?;
            }
            other => {
                map.insert(key.clone(), other.clone());
            }
        }
    }
    Ok(())
}

fn add_missing(target: &mut Value, items: &[Value]) {
    let mut merged = match target.take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    for item in items {
        if !merged.contains(item) {
            merged.push(item.clone());
        }
    }
    *target = Value::Array(merged);
}

fn merge_by(target: &mut Value, items: &[Value], key: &str, path: &str) -> Result<()> {
    let mut merged = match target.take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    };
    if items.iter().any(|it| it == &replace_marker()) {
        merged.clear();
    }
    for item in items.iter().filter(|it| **it != replace_marker()) {
        let patch = item.as_object().ok_or_else(bad_directive)?;
        let identity = patch.get(key);
        let place = merged.iter().position(|it| it.get(key) == identity);
        let is_deleted = patch.get(PATCH).and_then(Value::as_str) == Some("delete");
        match place {
            Some(at) if is_deleted => {
                merged.remove(at);
            }
            Some(at) => merge(&mut merged[at], patch, path)?,
            None if is_deleted => {}
            None => merged.push(Value::Object(without_directives(patch))),
        }
    }
    *target = Value::Array(merged);
    Ok(())
}

fn replace_marker() -> Value {
    serde_json::json!({PATCH: "replace"})
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    let kept = patch.iter().filter(|(key, _)| !key.starts_with('$'));
    kept.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn bad_directive() -> Box<status::Status> {
    status::bad_request("invalid strategic merge patch format")
}
