//! Strategic merge patches (k8s.io/apimachinery, pkg/util/strategicpatch): JSON merge patches with directives, whose
//! lists are merged where the schema says so.
//!
//! Directives are `$patch` (replace, delete), `$retainKeys`, `$deleteFromPrimitiveList/<list>` and
//! `$setElementOrder/<list>`. Takes time in proportion to object and patch.

mod lists;

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::api::go_text;
use crate::api::status::{self, Result, Status};
use crate::registry::schema::PatchMeta;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList";
const ORDER: &str = "$setElementOrder";

pub(super) fn apply(
    document: Map<String, Value>,
    patch: &Map<String, Value>,
    meta: PatchMeta<'_>,
) -> Result<Map<String, Value>> {
    merge(document, patch.clone(), meta)
}

fn merge(
    mut original: Map<String, Value>,
    mut patch: Map<String, Value>,
    meta: PatchMeta<'_>,
) -> Result<Map<String, Value>> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(directive, &patch)),
        };
    }
    if let Some(keys) = patch.remove(RETAIN_KEYS) {
        retain_keys(&mut original, &patch, &keys)?;
    }
    lists::put_in_order(&mut original, &mut patch, meta)?;
    for (key, value) in patch {
        if key.starts_with(DELETE_FROM_LIST) {
            let list = list_of(&key, DELETE_FROM_LIST)
                .ok_or_else(|| status::bad_request("invalid patch format of primitive list"))?;
            delete_from_list(&mut original, list, value, meta)?;
        } else if value.is_null() {
            original.remove(&key);
        } else {
            set(&mut original, key, value, meta)?;
        }
    }
    Ok(original)
}

/// Puts a value that is not null where there may be another one.
fn set(
    original: &mut Map<String, Value>,
    key: String,
    value: Value,
    meta: PatchMeta<'_>,
) -> Result<()> {
    match (original.get_mut(&key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            let merging = meta.of_map(&key).map_err(failed)?;
            *old = if merging.strategy == "replace" {
                new
            } else {
                merge(std::mem::take(old), new, merging.below)?
            };
        }
        (Some(Value::Array(old)), Value::Array(new)) => {
            let merging = meta.of_list(&key).map_err(failed)?;
            *old = if merging.strategy == "merge" {
                lists::merge(std::mem::take(old), new, &merging)?
            } else {
                new
            };
        }
        (_, mut value) => {
            discard_nulls(&mut value);
            match without_directives(value) {
                Some(value) => original.insert(key, value),
                None => original.remove(&key),
            };
        }
    }
    Ok(())
}

fn delete_from_list(
    original: &mut Map<String, Value>,
    list: &str,
    value: Value,
    meta: PatchMeta<'_>,
) -> Result<()> {
    if value.is_null() {
        original.remove(list);
        return Ok(());
    }
    let (Some(Value::Array(old)), Value::Array(gone)) = (original.get_mut(list), value) else {
        return Ok(());
    };
    let merging = meta.of_list(list).map_err(failed)?;
    let before = std::mem::take(old);
    *old = lists::delete(before, gone, &merging)?;
    Ok(())
}

/// What the original may keep; the patch may not have anything else.
fn retain_keys(
    original: &mut Map<String, Value>,
    patch: &Map<String, Value>,
    keys: &Value,
) -> Result<()> {
    let malformed = || status::bad_request("invalid patch format of retainKeys");
    let keys = keys.as_array().ok_or_else(malformed)?;
    let kept: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let is_kept = |(key, value): (&String, &Value)| {
        value.is_null()
            || key.starts_with(DELETE_FROM_LIST)
            || key.starts_with(ORDER)
            || kept.contains(key.as_str())
    };
    if !patch.iter().all(is_kept) {
        return Err(malformed());
    }
    original.retain(|key, _| kept.contains(key.as_str()));
    Ok(())
}

/// The list that a directive like `$setElementOrder/finalizers` is about.
fn list_of<'a>(key: &'a str, directive: &str) -> Option<&'a str> {
    key.strip_prefix(directive)?.strip_prefix('/')
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => map.retain(|_, item| {
            discard_nulls(item);
            !item.is_null()
        }),
        Value::Array(list) => list.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// What is new has nothing that a directive could be about; what has one is left out.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => {
            let kept = map
                .into_iter()
                .filter_map(|(key, item)| Some((key, without_directives(item)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(list) => Some(list.into_iter().filter_map(without_directives).collect()),
        other => Some(other),
    }
}

fn unknown_directive(directive: &Value, patch: &Map<String, Value>) -> Box<Status> {
    let shown = go_text::plain_map(patch);
    let directive = match directive {
        Value::String(text) => text.clone(),
        other => format!(
            "%!s({}={})",
            go_text::type_name(other),
            go_text::plain(other)
        ),
    };
    failed(format!("unknown patch type: {directive} in map: {shown}"))
}

/// What Go's library answers with an error that is no Status.
fn failed(message: String) -> Box<Status> {
    status::unclassified(message)
}

#[cfg(test)]
mod tests;
