//! One value laid over another.

use serde_json::{Map as JsonMap, Value};

use super::TypedValue;
use super::errors::ValidationErrors;
use super::list_key::{self, Index};
use super::shape::{Shape, of_values, scalar_error};
use crate::fieldpath::PathElement;
use crate::literal::zip;
use crate::schema::{List, Map, Relationship, Scalar, Schema, TypeRef};

/// None: nothing is left to be said, which happens to lists whose elements are all wrong.
pub(super) fn merge(
    left: &TypedValue,
    right: &TypedValue,
) -> Result<Option<Value>, ValidationErrors> {
    let mut walker = Walker {
        schema: &left.of.schema,
        is_left_whole: left.is_whole,
        errors: ValidationErrors::default(),
    };
    let merged = walker.visit(Some(left.of.of), Some(&left.value), Some(&right.value));
    walker.errors.into_result(merged)
}

struct Walker<'s> {
    schema: &'s Schema,
    is_left_whole: bool,
    errors: ValidationErrors,
}

/// An element of a list that is there twice is merged as if it were `null`.
static DUPLICATE: Value = Value::Null;

impl Walker<'_> {
    /// At least one of them is there.
    fn visit(
        &mut self,
        of: Option<TypeRef>,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Option<Value> {
        if let (Some(left), None, true) = (left, right, self.is_left_whole) {
            return Some(left.clone()); // The walk would find nothing else in what is valid.
        }
        let from = self.errors.len();
        let shapes = of_values(self.schema, of, left, right, &mut self.errors)?;
        if let Some(shape) = shapes.left {
            // Only for what it finds wrong.
            self.visit_as(shape, left, right);
        }
        let merged = self.visit_as(shapes.right, left, right);
        if shapes.is_twice {
            self.errors.repeat_from(from);
        }
        merged
    }

    fn visit_as(
        &mut self,
        shape: Shape<'_>,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Option<Value> {
        match shape {
            Shape::Scalar(scalar) => self.visit_scalar(scalar, left, right),
            Shape::List(list) => self.visit_list(list, left, right),
            Shape::Map(map) => self.visit_map(map, left, right),
        }
    }

    /// One side must be right.
    fn visit_scalar(
        &mut self,
        scalar: Scalar,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Option<Value> {
        let left_error = left.and_then(|it| scalar_error(scalar, it));
        let right_error = right.and_then(|it| scalar_error(scalar, it));
        if let (Some(left), Some(right)) = (left_error, right_error) {
            self.errors.push(format!("lhs: {left}"));
            self.errors.push(format!("rhs: {right}"));
            return None;
        }
        right.or(left).cloned()
    }

    fn visit_map(
        &mut self,
        map: &Map,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Option<Value> {
        let left_map = left.and_then(Value::as_object);
        let right_map = right.and_then(Value::as_object);
        let is_empty =
            left_map.is_none_or(JsonMap::is_empty) && right_map.is_none_or(JsonMap::is_empty);
        if map.relationship == Relationship::Atomic || is_empty {
            return right.or(left).cloned();
        }
        let mut merged = JsonMap::new();
        for (name, left, right) in zip(left_map, right_map) {
            let of = map.field(name).map(|it| it.of).or(map.element);
            let from = self.errors.len();
            if let Some(value) = self.visit(of, left, right) {
                merged.insert(name.to_owned(), value);
            }
            if self.errors.len() > from {
                self.errors.prefix_from(from, &PathElement::field(name));
            }
        }
        (!merged.is_empty()).then_some(Value::Object(merged))
    }

    fn visit_list(
        &mut self,
        list: &List,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Option<Value> {
        let left_items = left.and_then(Value::as_array).map_or(&[][..], |it| it);
        let right_items = right.and_then(Value::as_array).map_or(&[][..], |it| it);
        let is_empty = left_items.is_empty() && right_items.is_empty();
        if list.relationship == Relationship::Atomic || is_empty {
            return right.or(left).cloned();
        }
        let merged = self.visit_items(list, left_items, right_items)?;
        (!merged.is_empty()).then_some(Value::Array(merged))
    }

    fn visit_items(&mut self, list: &List, left: &[Value], right: &[Value]) -> Option<Vec<Value>> {
        let pairing = self.pair(list, left, right)?;
        let mut merged = Vec::with_capacity(left.len().max(right.len()));
        for step in pairing.steps() {
            let item = match step {
                Step::Left(at) => self.visit_item(list, Some(&left[at]), None),
                Step::Right(at) => {
                    self.visit_item(list, pairing.left_of_right[at], Some(&right[at]))
                }
            };
            merged.extend(item);
        }
        Some(merged)
    }

    /// What is wrong with an element is not said, as upstream: the element is left out.
    fn visit_item(
        &mut self,
        list: &List,
        left: Option<&Value>,
        right: Option<&Value>,
    ) -> Option<Value> {
        let from = self.errors.len();
        let item = self.visit(list.element, left, right);
        self.errors.0.truncate(from);
        item
    }

    /// None: an element of one of them cannot be selected, or the right one has an element twice.
    fn pair<'a>(&mut self, list: &List, left: &'a [Value], right: &[Value]) -> Option<Pairing<'a>> {
        let from = self.errors.len();
        let mut index = Index::with_capacity(right.len());
        for (at, item) in right.iter().enumerate() {
            match list_key::path_element(self.schema, list, item) {
                Ok(element) if index.get_or_insert(&element, at).is_some() => {
                    self.errors
                        .push(format!("duplicate entries for key {element}"));
                }
                Ok(_) => {}
                Err(message) => self.errors.push(format!("element {at}: {message}")),
            }
        }
        let mut pairing = Pairing {
            right_of_left: Vec::with_capacity(left.len()),
            left_of_right: vec![None; right.len()],
        };
        for (at, item) in left.iter().enumerate() {
            match list_key::path_element(self.schema, list, item) {
                Ok(element) => {
                    let right_at = index.get(&element);
                    pairing.right_of_left.push(right_at);
                    if let Some(it) = right_at {
                        let observed = &mut pairing.left_of_right[it];
                        *observed = Some(if observed.is_some() { &DUPLICATE } else { item });
                    }
                }
                Err(message) => self.errors.push(format!("element {at}: {message}")),
            }
        }
        (self.errors.len() == from).then_some(pairing)
    }
}

/// Which elements of two lists belong together.
struct Pairing<'a> {
    right_of_left: Vec<Option<usize>>,
    left_of_right: Vec<Option<&'a Value>>,
}

/// The next element of the merged list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The one at this place in the left list, alone.
    Left(usize),
    /// The one at this place in the right list, over what belongs to it.
    Right(usize),
}

impl Pairing<'_> {
    /// The order of the merged list: shared elements as the right list has them, between them what only one has, the
    /// left one's first.
    fn steps(&self) -> Vec<Step> {
        let (left_length, right_length) = (self.right_of_left.len(), self.left_of_right.len());
        let mut steps = Vec::with_capacity(left_length + right_length);
        let mut is_merged = vec![false; right_length];
        let mut shared = (0..right_length).filter(|it| self.left_of_right[*it].is_some());
        let mut next_shared = shared.next();
        let (mut left, mut right) = (0, 0);
        while left < left_length || right < right_length {
            if left < left_length && right < right_length {
                let partner = self.right_of_left[left];
                if partner == Some(right) {
                    is_merged[right] = true;
                    steps.push(Step::Right(right));
                    left += 1;
                    right += 1;
                    next_shared = shared.next();
                    continue;
                }
                if partner.is_some() && next_shared.is_some() && partner != next_shared {
                    left += 1; // Its turn comes where the right list has it.
                    continue;
                }
            }
            if left < left_length {
                match self.right_of_left[left] {
                    None => {
                        steps.push(Step::Left(left));
                        left += 1;
                        continue;
                    }
                    Some(partner) if is_merged[partner] => left += 1,
                    Some(_) => {}
                }
            }
            if right < right_length {
                is_merged[right] = true;
                steps.push(Step::Right(right));
                if next_shared == Some(right) {
                    next_shared = shared.next();
                }
                right += 1;
            }
        }
        steps
    }
}
