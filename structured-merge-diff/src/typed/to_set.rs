//! The fields that a value has.

use serde_json::{Map as JsonMap, Value};

use super::TypedValue;
use super::errors::ValidationErrors;
use super::list_key::{self, Index};
use super::shape::{Shape, of_value};
use crate::fieldpath::{PathElement, Set};
use crate::literal::fields;
use crate::schema::{List, Map, Relationship, Schema, TypeRef};

pub(super) fn to_field_set(value: &TypedValue) -> Result<Set, ValidationErrors> {
    let mut walker = Walker {
        schema: &value.of.schema,
        errors: ValidationErrors::default(),
    };
    let mut set = Set::new();
    walker.visit(Some(value.of.of), &value.value, &mut set);
    walker.errors.into_result(set)
}

/// Stands for list elements that nothing selects, such as `null`. Validated values have none; what is left of one after
/// items were removed may, and then it counts that the list has something.
const NO_ELEMENT: PathElement = PathElement::Index(i64::MIN);

struct Walker<'s> {
    schema: &'s Schema,
    errors: ValidationErrors,
}

impl Walker<'_> {
    /// Puts what is below the value into the set. Whether the value itself is a leaf.
    fn visit(&mut self, of: Option<TypeRef>, value: &Value, below: &mut Set) -> bool {
        let Some(shape) = of_value(self.schema, of, value, &mut self.errors) else {
            return false;
        };
        match (shape, value) {
            (Shape::Scalar(_), _) => return true,
            (Shape::List(list), _) if list.relationship == Relationship::Atomic => return true,
            (Shape::Map(map), _) if map.relationship == Relationship::Atomic => return true,
            (Shape::List(list), Value::Array(items)) => self.visit_items(list, items, below),
            (Shape::Map(map), Value::Object(fields)) => self.visit_fields(map, fields, below),
            _ => {}
        }
        false
    }

    fn visit_items(&mut self, list: &List, items: &[Value], set: &mut Set) {
        let mut elements = Vec::with_capacity(items.len());
        let mut is_duplicate = vec![false; items.len()];
        let mut index = Index::with_capacity(items.len());
        for item in items {
            let element = list_key::path_element(self.schema, list, item).unwrap_or(NO_ELEMENT);
            if let Some(first) = index.get_or_insert(&element, elements.len()) {
                is_duplicate[first] = true;
            }
            elements.push(element);
        }
        for (element, item) in elements.into_iter().zip(items) {
            let first = index.get(&element);
            if !first.is_some_and(|it| is_duplicate[it]) {
                let mut below = Set::new();
                self.visit(list.element, item, &mut below);
                set.insert_child(element.clone(), below);
            }
            set.insert_member(element);
        }
    }

    fn visit_fields(&mut self, map: &Map, values: &JsonMap<String, Value>, set: &mut Set) {
        for (name, value) in fields(values) {
            let field = map.field(name);
            let element = match field {
                Some(it) => PathElement::Field(it.name.clone()),
                None => PathElement::field(name),
            };
            let of = field.map(|it| it.of).or(map.element);
            let mut below = Set::new();
            let is_leaf = self.visit(of, value, &mut below);
            let is_empty = match value {
                Value::Null => true,
                Value::Object(it) => it.is_empty(),
                _ => false,
            };
            if is_leaf || is_empty || field.is_none() {
                match below.has_nothing() {
                    true => set.insert_member(element),
                    false => {
                        set.insert_child(element.clone(), below);
                        set.insert_member(element);
                    }
                }
            } else {
                set.insert_child(element, below);
            }
        }
    }
}
