//! A value without some of its fields, or with these only.

use serde_json::{Map as JsonMap, Value};

use super::errors::ValidationErrors;
use super::list_key;
use super::shape::{Shape, of_value};
use crate::fieldpath::{Path, PathElement, Set};
use crate::schema::{List, Map, Relationship, Schema, Type, TypeRef};

pub(super) fn remove(of: &Type, value: Value, items: &Set) -> Value {
    let walker = Walker {
        schema: &of.schema,
        is_extracting: false,
    };
    walker.visit(Some(of.of), value, items)
}

pub(super) fn extract(of: &Type, value: Value, items: &Set) -> Value {
    let walker = Walker {
        schema: &of.schema,
        is_extracting: true,
    };
    walker.visit(Some(of.of), value, items)
}

/// The key fields of the list elements on the way to those of the items that are there.
pub(super) fn key_fields(items: &Set, present: &Set) -> Set {
    let mut keys = Set::new();
    items.for_each(|path| {
        if !present.has(path) {
            return;
        }
        for (at, element) in path.0.iter().enumerate() {
            let PathElement::Key(fields) = element else {
                continue;
            };
            for (name, _) in fields.iter() {
                let mut key = Path(path.0[..=at].to_vec());
                key.0.push(PathElement::Field(name.clone()));
                keys.insert(&key);
            }
        }
    });
    keys
}

struct Walker<'s> {
    schema: &'s Schema,
    is_extracting: bool,
}

impl Walker<'_> {
    fn visit(&self, of: Option<TypeRef>, value: Value, items: &Set) -> Value {
        // The value is valid; what a reference that leads nowhere has is lost, as upstream.
        let Some(shape) = of_value(self.schema, of, &value, &mut ValidationErrors::default())
        else {
            return Value::Null;
        };
        match (shape, value) {
            (Shape::Scalar(_), value) => value,
            (Shape::List(list), Value::Array(values)) => {
                match self.is_kept(list.relationship, values.is_empty()) {
                    Some(true) => Value::Array(values),
                    Some(false) => Value::Null,
                    None => self.visit_items(list, values, items),
                }
            }
            (Shape::Map(map), Value::Object(values)) => {
                match self.is_kept(map.relationship, values.is_empty()) {
                    Some(true) => Value::Object(values),
                    Some(false) => Value::Null,
                    None => self.visit_fields(map, values, items),
                }
            }
            _ => Value::Null,
        }
    }

    /// What is empty or atomic is extracted as it is; where items are removed, nothing is left of it.
    fn is_kept(&self, relationship: Relationship, is_empty: bool) -> Option<bool> {
        let is_whole = is_empty || relationship == Relationship::Atomic;
        is_whole.then_some(self.is_extracting)
    }

    fn visit_items(&self, list: &List, values: Vec<Value>, items: &Set) -> Value {
        let mut kept = Vec::with_capacity(values.len());
        for value in values {
            let element = list_key::path_element(self.schema, list, &value).ok();
            let is_named = element.as_ref().is_some_and(|it| items.has_member(it));
            let below = element.as_ref().and_then(|it| items.with_prefix(it));
            let is_kept = match self.is_extracting {
                true => is_named || below.is_some(),
                false => !is_named,
            };
            if is_kept {
                kept.push(match below {
                    Some(below) => self.visit(list.element, value, below),
                    None => value,
                });
            }
        }
        match kept.is_empty() {
            true => Value::Null,
            false => Value::Array(kept),
        }
    }

    fn visit_fields(&self, map: &Map, values: JsonMap<String, Value>, items: &Set) -> Value {
        if items.has_nothing() && !self.is_extracting {
            return Value::Object(values);
        }
        let mut kept = JsonMap::new();
        for (name, value) in values {
            let field = map.field(&name);
            let of = field.map(|it| it.of).or(map.element);
            let element = match field {
                Some(it) => PathElement::Field(it.name.clone()),
                None => PathElement::field(&name),
            };
            let value = if items.has_member(&element) {
                if !self.is_extracting {
                    continue;
                }
                // As upstream, with the items of this level, which mean nothing below.
                self.visit(of, value, items)
            } else {
                match items.with_prefix(&element) {
                    Some(below) => self.visit(of, value, below),
                    None if self.is_extracting => continue,
                    None => value,
                }
            };
            kept.insert(name, value);
        }
        match kept.is_empty() {
            true => Value::Null,
            false => Value::Object(kept),
        }
    }
}
