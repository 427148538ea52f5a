//! Merging lists, and the order of what comes out.
//!
//! Items of a patch have the order that `$setElementOrder` says, or that of the patch; all others keep theirs, and
//! stand before the first item of the patch that they stood before.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{ORDER, PATCH, failed, list_of, unknown_directive, without_directives};
use crate::api::go_text;
use crate::api::status::{self, Result, Status};
use crate::registry::patch::json::rejected;
use crate::registry::schema::{Merging, PatchMeta};

/// How many items Go sorts by inserting.
const SMALL: usize = 20;

/// Merges the lists for which the patch says an order, and takes them out of the patch.
pub(super) fn put_in_order(
    original: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    meta: PatchMeta<'_>,
) -> Result<()> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|it| it.starts_with(ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let order = list(patch.remove(&directive).unwrap_or_default())?;
        let name = list_of(&directive, ORDER).ok_or_else(bad_order)?;
        let old = original.get(name).cloned().map(list).transpose()?;
        let new = patch.get(name).cloned().map(list).transpose()?;
        let merging = meta.of_list(name).map_err(failed)?;
        check_order(
            new.as_deref().unwrap_or_default(),
            &order,
            merging.merge_key,
        )?;
        let merged = match (&old, &new) {
            (None, None) => continue,
            (Some(old), None) => old.clone(),
            (None, Some(new)) => new.iter().cloned().filter_map(without_directives).collect(),
            (Some(_), Some(new)) if merging.strategy != "merge" => new.clone(),
            (Some(old), Some(new)) => merge(old.clone(), new.clone(), &merging)?,
        };
        let (of_patch, others) = partition(merged, &order, merging.merge_key)?;
        let old = old.unwrap_or_default();
        let are_maps = are_maps([&old, &new.unwrap_or_default()])?;
        let ordered = interleave(of_patch, others, &order, &old, merging.merge_key, are_maps)?;
        original.insert(name.to_owned(), Value::Array(ordered));
        patch.remove(name);
    }
    Ok(())
}

pub(super) fn merge(old: Vec<Value>, new: Vec<Value>, merging: &Merging<'_>) -> Result<Vec<Value>> {
    if old.is_empty() && new.is_empty() {
        return Ok(old);
    }
    if !are_maps([&old, &new])? {
        let mut seen = HashSet::new();
        let both = old.iter().chain(&new);
        let merged = both.filter(|it| seen.insert(*it)).cloned().collect();
        return in_order_of(merged, &new, &old, merging.merge_key, false);
    }
    let key = merging.merge_key;
    if key.is_empty() {
        return Err(failed(
            "cannot merge lists without merge key for struct".into(),
        ));
    }
    let (old, new) = special_items(old, new, key)?;
    let mut merged = old.clone();
    let mut places = places(&merged, key)?;
    for item in new.iter().cloned() {
        let (identity, patch) = keyed(item, key)?;
        match places.get(&identity) {
            Some(at) => {
                let before = std::mem::take(&mut merged[*at]);
                let before = match before {
                    Value::Object(map) => map,
                    _ => Map::new(),
                };
                merged[*at] = Value::Object(super::merge(before, patch, merging.below)?);
            }
            None => {
                places.insert(identity, merged.len());
                merged.push(Value::Object(patch));
            }
        }
    }
    in_order_of(merged, &new, &old, key, true)
}

/// `$deleteFromPrimitiveList`; of objects it is as merging them.
pub(super) fn delete(
    old: Vec<Value>,
    gone: Vec<Value>,
    merging: &Merging<'_>,
) -> Result<Vec<Value>> {
    if old.is_empty() && gone.is_empty() {
        return Ok(old);
    }
    if are_maps([&old, &gone])? {
        return merge(old, gone, merging);
    }
    let gone: HashSet<Value> = gone.into_iter().collect();
    Ok(old.into_iter().filter(|it| !gone.contains(it)).collect())
}

/// Carries out what items of the patch have `$patch` for.
fn special_items(
    mut old: Vec<Value>,
    new: Vec<Value>,
    key: &str,
) -> Result<(Vec<Value>, Vec<Value>)> {
    let mut kept = Vec::with_capacity(new.len());
    let mut gone = HashSet::new();
    let mut replaces = false;
    for item in new {
        let Some(map) = item.as_object() else {
            continue;
        };
        let Some(directive) = map.get(PATCH) else {
            kept.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let identity = map.get(key).ok_or_else(|| no_merge_key(map, key))?;
                gone.insert(identity.clone());
            }
            Some("replace") => replaces = true,
            Some("merge") => {
                let text = "merging lists cannot yet be specified in the patch";
                return Err(failed(text.into()));
            }
            _ => return Err(unknown_directive(directive, map)),
        }
    }
    if replaces {
        return Ok((kept, Vec::new()));
    }
    old.retain(|it| it.get(key).is_none_or(|identity| !gone.contains(identity)));
    Ok((old, kept))
}

/// Items of the patch may only be in the order that is said, and all of them must be named there.
fn check_order(new: &[Value], order: &[Value], key: &str) -> Result<()> {
    if new.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut left = order.iter();
    for item in new {
        if !key.is_empty() && !item.is_object() {
            return Err(bad_type("map[string]interface {}", item));
        }
        if item.get(PATCH).is_some() {
            continue;
        }
        loop {
            let Some(next) = left.next() else {
                return Err(failed(format!(
                    "The order in patch list:\n{}\n doesn't match {ORDER} list:\n{}\n",
                    go_text::plain_list(new),
                    go_text::plain_list(order)
                )));
            };
            if identity(item, key)? == identity(next, key)? {
                break;
            }
        }
    }
    Ok(())
}

/// What an item is known by: itself, or the value of its merge key.
fn identity<'a>(item: &'a Value, key: &str) -> Result<&'a Value> {
    if key.is_empty() {
        return Ok(item);
    }
    let map = item
        .as_object()
        .ok_or_else(|| bad_type("map[string]interface {}", item))?;
    map.get(key).ok_or_else(|| no_merge_key(map, key))
}

fn keyed(item: Value, key: &str) -> Result<(Value, Map<String, Value>)> {
    let identity = identity(&item, key)?.clone();
    match item {
        Value::Object(map) => Ok((identity, map)),
        other => Err(bad_type("map[string]interface {}", &other)),
    }
}

/// Where items are, by what they are known by; those without a merge key are nowhere.
fn places(list: &[Value], key: &str) -> Result<HashMap<Value, usize>> {
    let mut places = HashMap::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        if key.is_empty() {
            places.entry(item.clone()).or_insert(index);
            continue;
        }
        let map = item
            .as_object()
            .ok_or_else(|| failed(format!("value for key {index} is not a map")))?;
        if let Some(identity) = map.get(key) {
            places.entry(identity.clone()).or_insert(index);
        }
    }
    Ok(places)
}

fn in_order_of(
    merged: Vec<Value>,
    order: &[Value],
    old: &[Value],
    key: &str,
    are_maps: bool,
) -> Result<Vec<Value>> {
    let (of_patch, others) = partition(merged, order, key)?;
    interleave(of_patch, others, order, old, key, are_maps)
}

/// Items that are in `order`, and those that are not.
fn partition(merged: Vec<Value>, order: &[Value], key: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    let known = places(order, key)?;
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for item in merged {
        if known.contains_key(identity(&item, key)?) {
            inside.push(item);
        } else {
            outside.push(item);
        }
    }
    Ok((inside, outside))
}

fn interleave(
    of_patch: Vec<Value>,
    others: Vec<Value>,
    order: &[Value],
    old: &[Value],
    key: &str,
    are_maps: bool,
) -> Result<Vec<Value>> {
    let key = if are_maps { key } else { "" };
    if are_maps {
        for item in of_patch.iter().chain(order).chain(&others).chain(old) {
            identity(item, key)?;
        }
    }
    let of_patch = sorted(of_patch, order, key)?;
    let others = sorted(others, old, key)?;
    let before = places(old, key)?;
    let place = |item: &Value| {
        let identity = identity(item, key).ok()?;
        before.get(identity).copied()
    };
    let mut out = Vec::with_capacity(of_patch.len() + others.len());
    let (mut left, mut right) = (
        others.into_iter().peekable(),
        of_patch.into_iter().peekable(),
    );
    loop {
        let takes_left = match (left.peek(), right.peek()) {
            (Some(left), Some(right)) => {
                matches!((place(left), place(right)), (Some(left), Some(right)) if left < right)
            }
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return Ok(out),
        };
        out.extend(if takes_left {
            left.next()
        } else {
            right.next()
        });
    }
}

/// In the order of `order`; what is to be deleted comes last.
fn sorted(items: Vec<Value>, order: &[Value], key: &str) -> Result<Vec<Value>> {
    let places = places(order, key)?;
    let mut deleted = Vec::new();
    let mut ranked: Vec<(Option<usize>, Value)> = Vec::with_capacity(items.len());
    for item in items {
        if !key.is_empty() && item.get(PATCH).and_then(Value::as_str) == Some("delete") {
            deleted.push(item);
        } else {
            let place = places.get(identity(&item, key)?).copied();
            ranked.push((place, item));
        }
    }
    if ranked.len() <= SMALL {
        insertion_sort(&mut ranked);
    } else {
        ranked.sort_by_key(|(place, _)| *place);
    }
    let kept = ranked.into_iter().map(|(_, item)| item);
    Ok(kept.chain(deleted).collect())
}

/// Go's stable sort is this one for few items. What has no place goes before everything that it meets.
fn insertion_sort(ranked: &mut [(Option<usize>, Value)]) {
    for end in 1..ranked.len() {
        let mut at = end;
        while at > 0 {
            let is_less = match (ranked[at].0, ranked[at - 1].0) {
                (Some(here), Some(before)) => here < before,
                _ => true,
            };
            if !is_less {
                break;
            }
            ranked.swap(at, at - 1);
            at -= 1;
        }
    }
}

/// Whether the items of both lists are objects; all of them must be of one type.
fn are_maps(lists: [&Vec<Value>; 2]) -> Result<bool> {
    let mut first: Option<&Value> = None;
    for item in lists.into_iter().flatten() {
        let Some(first) = first else {
            if item.is_array() {
                return Err(rejected());
            }
            first = Some(item);
            continue;
        };
        if go_text::type_name(first) != go_text::type_name(item) {
            let shown: Vec<String> = lists.iter().map(|it| go_text::plain_list(it)).collect();
            return Err(failed(format!(
                "list element types are not identical: [{}]",
                shown.join(" ")
            )));
        }
    }
    match first {
        Some(first) => Ok(first.is_object()),
        None => Err(failed("no elements in any of the given slices".into())),
    }
}

fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(bad_type("[]interface {}", &other)),
    }
}

fn bad_order() -> Box<Status> {
    status::bad_request("invalid patch format of setElementOrder list")
}

fn bad_type(wanted: &str, found: &Value) -> Box<Status> {
    let found = match found {
        Value::Null => "%!s(<nil>)",
        other => go_text::type_name(other),
    };
    failed(format!("expected a {wanted}, but received a {found}"))
}

fn no_merge_key(map: &Map<String, Value>, key: &str) -> Box<Status> {
    failed(format!(
        "map: {} does not contain declared merge key: {key}",
        go_text::plain_map(map)
    ))
}
