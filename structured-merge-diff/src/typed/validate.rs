//! Whether a value conforms to a type.

use serde_json::{Map as JsonMap, Value};

use super::Duplicates;
use super::errors::ValidationErrors;
use super::list_key;
use super::shape::{Shape, of_value, pointer, scalar_error};
use crate::fieldpath::{PathElement, Set};
use crate::literal::fields;
use crate::schema::{List, Map, Relationship, Schema, Type, TypeRef};

/// How many levels a typed value may have; what walks values relies on it.
pub const MAX_DEPTH: usize = 256;

pub(super) fn validate(
    of: &Type,
    value: &Value,
    duplicates: Duplicates,
) -> Result<(), ValidationErrors> {
    let mut walker = Walker {
        schema: &of.schema,
        duplicates,
        depth: 0,
        errors: ValidationErrors::default(),
    };
    walker.visit(Some(of.of), value);
    walker.errors.into_result(())
}

struct Walker<'s> {
    schema: &'s Schema,
    duplicates: Duplicates,
    depth: usize,
    errors: ValidationErrors,
}

impl Walker<'_> {
    fn visit(&mut self, of: Option<TypeRef>, value: &Value) {
        if self.depth > MAX_DEPTH {
            return self.errors.push("exceeded max depth");
        }
        let Some(shape) = of_value(self.schema, of, value, &mut self.errors) else {
            return;
        };
        self.depth += 1;
        match (shape, value) {
            (Shape::Scalar(scalar), _) => {
                if let Some(message) = scalar_error(scalar, value) {
                    self.errors.push(message);
                }
            }
            (_, Value::Null) => {}
            (Shape::List(list), Value::Array(items)) => self.visit_items(list, items),
            (Shape::Map(map), Value::Object(fields)) => self.visit_fields(map, fields),
            (Shape::List(_), other) => {
                let message = format!("expected list, got {}", pointer(other));
                self.errors.push(message);
            }
            (Shape::Map(_), other) => {
                let message = format!("expected map, got {}", pointer(other));
                self.errors.push(message);
            }
        }
        self.depth -= 1;
    }

    fn visit_items(&mut self, list: &List, items: &[Value]) {
        let mut observed = Set::new();
        for (at, item) in items.iter().enumerate() {
            let mut element = None;
            if list.relationship == Relationship::Associative {
                // Without an element nothing below could be named: the list ends here.
                let result = match self.duplicates {
                    Duplicates::Allowed => list_key::check(self.schema, list, item).map(|()| None),
                    Duplicates::Refused => {
                        list_key::path_element(self.schema, list, item).map(Some)
                    }
                };
                match result {
                    Ok(it) => element = it,
                    Err(message) => {
                        return self.errors.push(format!("element {at}: {message}"));
                    }
                }
            }
            if let Some(element) = &element {
                if observed.has_member(element) {
                    let message = format!("duplicate entries for key {element}");
                    self.errors.push(message);
                }
                observed.insert_member(element.clone());
            }
            let from = self.errors.len();
            self.visit(list.element, item);
            if self.errors.len() > from {
                let element = element.unwrap_or_else(|| self.element_of(list, at, item));
                self.errors.prefix_from(from, &element);
            }
        }
    }

    fn element_of(&self, list: &List, at: usize, item: &Value) -> PathElement {
        match list_key::path_element(self.schema, list, item) {
            Ok(it) => it,
            Err(_) => PathElement::Index(i64::try_from(at).unwrap_or(i64::MAX)),
        }
    }

    fn visit_fields(&mut self, map: &Map, values: &JsonMap<String, Value>) {
        for (name, value) in fields(values) {
            let from = self.errors.len();
            let of = match map.field(name) {
                Some(field) => Some(field.of),
                None => map.element,
            };
            if of.is_none() {
                self.errors.push("field not declared in schema");
                self.errors.prefix_from(from, &PathElement::field(name));
                return;
            }
            self.visit(of, value);
            if self.errors.len() > from {
                self.errors.prefix_from(from, &PathElement::field(name));
            }
        }
    }
}
