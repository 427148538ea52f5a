//! What selects an element of an associative list: its keys, or in a set itself.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::fieldpath::PathElement;
use crate::go_format;
use crate::literal::Literal;
use crate::schema::{List, Relationship, Schema};

/// The path element of a list's element, or why it has none.
pub(super) fn path_element(
    schema: &Schema,
    list: &List,
    item: &Value,
) -> Result<PathElement, String> {
    if let ([name], Value::Object(fields), Relationship::Associative) =
        (&list.keys[..], item, list.relationship)
        && let Some(key) = fields.get(&**name)
    {
        // By far the most: a single key that is there.
        return Ok(PathElement::Key(
            [(name.clone(), Literal::from(key))].into(),
        ));
    }
    let mut fields = Vec::with_capacity(list.keys.len());
    let kind = visit_keys(schema, list, item, |name, key| {
        fields.push((name.clone(), key.to_literal()));
    })?;
    match kind {
        Kind::Map => Ok(PathElement::key(fields)),
        Kind::Set => Ok(PathElement::Value(Literal::from(item))),
    }
}

/// Whether a list's element has a path element; without making it.
pub(super) fn check(schema: &Schema, list: &List, item: &Value) -> Result<(), String> {
    visit_keys(schema, list, item, |_, _| {}).map(|_| ())
}

enum Kind {
    Map,
    Set,
}

enum Key<'a> {
    Of(&'a Value),
    Default(&'a Literal),
}

impl Key<'_> {
    fn to_literal(&self) -> Literal {
        match self {
            Self::Of(value) => Literal::from(*value),
            Self::Default(it) => (*it).clone(),
        }
    }
}

fn visit_keys(
    schema: &Schema,
    list: &List,
    item: &Value,
    mut visit: impl FnMut(&Arc<str>, Key<'_>),
) -> Result<Kind, String> {
    if list.relationship != Relationship::Associative {
        return Err("invalid indexing of non-associative list".to_owned());
    }
    if list.keys.is_empty() {
        return check_set_item(item).map(|()| Kind::Set);
    }
    let item: &Map<String, Value> = match item {
        Value::Object(it) => it,
        Value::Null => {
            return Err("associative list with keys may not have a null element".to_owned());
        }
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut has_key = false;
    for name in &list.keys {
        if let Some(value) = item.get(&**name) {
            visit(name, Key::Of(value));
            has_key = true;
        } else if let Some(default) = default(schema, list, name)? {
            visit(name, Key::Default(default));
            has_key = true;
        }
    }
    if has_key {
        return Ok(Kind::Map);
    }
    let keys = go_format::quote_list(list.keys.iter().map(|it| &**it));
    Err(format!(
        "associative list with keys has an element that omits all key fields {keys} (and doesn't have default values for any key fields)"
    ))
}

fn default<'s>(schema: &'s Schema, list: &List, name: &str) -> Result<Option<&'s Literal>, String> {
    let atom = match list.element {
        Some(of) => schema.atom(of).ok_or("invalid elementType for list"),
        None => Err("associative list may not have non-map types"),
    };
    let map = atom.and_then(|it| {
        let map = it.map.as_ref();
        map.ok_or("associative list may not have non-map types")
    });
    match map {
        Ok(map) => Ok(map.field(name).and_then(|it| it.default.as_ref())),
        Err(err) => Err(format!("couldn't find default value for {name}: {err}")),
    }
}

fn check_set_item(item: &Value) -> Result<(), String> {
    let message = match item {
        Value::Object(_) => "associative list without keys has an element that's a map type",
        Value::Array(_) => "not supported: associative list with lists as elements",
        Value::Null => "associative list without keys has an element that's an explicit null",
        _ => return Ok(()),
    };
    Err(message.to_owned())
}

/// Elements of a list, found by their path elements.
///
/// Kept sorted by insertion: the order of path elements is not transitive for all numbers, and no sort is given it.
pub(super) struct Index {
    sorted: Vec<(PathElement, usize)>,
}

impl Index {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self {
            sorted: Vec::with_capacity(capacity),
        }
    }

    pub(super) fn get(&self, element: &PathElement) -> Option<usize> {
        let at = crate::fieldpath::search(&self.sorted, element, |(it, _)| it).ok()?;
        Some(self.sorted[at].1)
    }

    /// Where the element is, or else it is put there.
    pub(super) fn get_or_insert(&mut self, element: &PathElement, at: usize) -> Option<usize> {
        match crate::fieldpath::search(&self.sorted, element, |(it, _)| it) {
            Ok(found) => Some(self.sorted[found].1),
            Err(place) => {
                self.sorted.insert(place, (element.clone(), at));
                None
            }
        }
    }
}
