//! Sets and maps of `x-kubernetes-list-type`: no duplicates (apiextensions-apiserver, pkg/apiserver/schema/listtype).

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::Path;
use super::compile::{ListType, Node};
use crate::api::go_text;
use crate::api::status::FieldError;

const MAX_ERRORS: usize = 1_000;

pub(super) fn validate(root: &Node, object: &Map<String, Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if root.has_lists {
        fields(root, object, Path::Root, &mut errors);
    }
    errors
}

fn walk(node: &Node, value: &Value, path: Path<'_>, errors: &mut Vec<FieldError>) {
    if !node.has_lists || errors.len() >= MAX_ERRORS {
        return;
    }
    match value {
        Value::Object(map) => fields(node, map, path, errors),
        Value::Array(list) => {
            match &node.list {
                ListType::Atomic => {}
                ListType::Set => set(list, path, errors),
                ListType::Map(keys) => self::map(keys, list, path, errors),
            }
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
    for (child, item, at) in node.described(map, &path) {
        walk(child, item, at, errors);
    }
}

fn set(list: &[Value], path: Path<'_>, errors: &mut Vec<FieldError>) {
    for index in repeated(list.iter()) {
        let field = Path::Index(&path, index).to_string();
        errors.push(FieldError::duplicate(field, &list[index]));
    }
}

fn map(keys: &[Box<str>], list: &[Value], path: Path<'_>, errors: &mut Vec<FieldError>) {
    let is_item = |it: &Value| it.is_object() || it.is_null();
    if let Some(index) = list.iter().position(|it| !is_item(it)) {
        let field = Path::Index(&path, index).to_string();
        let detail = "must be an object for an array of list-type map";
        errors.push(FieldError::invalid(field, &list[index], detail));
        return;
    }
    let key_of = |item| -> Vec<Option<&Value>> {
        let map = Value::as_object(item);
        keys.iter().map(|key| map?.get(&**key)).collect()
    };
    for index in repeated(list.iter().map(key_of)) {
        let field = Path::Index(&path, index).to_string();
        let present = keys.iter().filter_map(|key| {
            let value = list[index].get(&**key)?;
            Some((key.to_string(), value.clone()))
        });
        let shown = go_text::json_map(&present.collect());
        errors.push(FieldError::duplicate_text(field, &shown));
    }
}

/// Where values are there for the second time.
fn repeated<T: Eq + std::hash::Hash>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let mut seen: HashMap<T, usize> = HashMap::new();
    let mut found = Vec::new();
    for (index, value) in values.enumerate() {
        let times = seen.entry(value).or_default();
        *times += 1;
        if *times == 2 && found.len() < MAX_ERRORS {
            found.push(index);
        }
    }
    found
}
