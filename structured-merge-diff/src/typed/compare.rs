//! What differs between two values.

use std::fmt;

use serde_json::{Map as JsonMap, Value};

use super::TypedValue;
use super::errors::ValidationErrors;
use super::list_key::{self, Index};
use super::shape::{Shape, of_values, scalar_error};
use crate::fieldpath::{Filter, PathElement, Set};
use crate::literal::{equal, equal_lists, zip};
use crate::schema::{List, Map, Relationship, Scalar, Schema, TypeRef};

/// What changes from one value to another. No field is in more than one of the sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Fields that only the first value has.
    pub removed: Set,
    /// Fields that both have and that differ.
    pub modified: Set,
    /// Fields that only the second value has.
    pub added: Set,
}

impl Comparison {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// What the filter leaves of it.
    #[must_use]
    pub fn filtered(&self, filter: &Filter) -> Self {
        Self {
            removed: filter.apply(&self.removed),
            modified: filter.apply(&self.modified),
            added: filter.apply(&self.added),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets = [
            ("Modified", &self.modified),
            ("Added", &self.added),
            ("Removed", &self.removed),
        ];
        for (name, set) in sets.iter().filter(|(_, set)| !set.is_empty()) {
            writeln!(f, "- {name} Fields:\n{set}")?;
        }
        Ok(())
    }
}

pub(super) fn compare(
    left: &TypedValue,
    right: &TypedValue,
) -> Result<Comparison, ValidationErrors> {
    let mut walker = Walker {
        schema: &left.of.schema,
        is_left_whole: left.is_whole,
        errors: ValidationErrors::default(),
    };
    let mut comparison = Comparison::default();
    let pair = Pair {
        left: Some(&left.value),
        right: Some(&right.value),
    };
    walker.visit(Some(left.of.of), pair, &mut comparison);
    walker.errors.into_result(comparison)
}

/// At least one of them is there.
#[derive(Clone, Copy)]
struct Pair<'a> {
    left: Option<&'a Value>,
    right: Option<&'a Value>,
}

impl Pair<'_> {
    /// How the two differ as a whole.
    fn change(&self) -> Option<Change> {
        match (self.left, self.right) {
            (None, _) => Some(Change::Added),
            (_, None) => Some(Change::Removed),
            (Some(left), Some(right)) => (!equal(left, right)).then_some(Change::Modified),
        }
    }
}

#[derive(Clone, Copy)]
enum Change {
    Removed,
    Modified,
    Added,
}

struct Walker<'s> {
    schema: &'s Schema,
    is_left_whole: bool,
    errors: ValidationErrors,
}

impl Walker<'_> {
    /// Puts what differs below the values into `below`. How the values differ themselves.
    fn visit(
        &mut self,
        of: Option<TypeRef>,
        pair: Pair<'_>,
        below: &mut Comparison,
    ) -> Option<Change> {
        let from = self.errors.len();
        let shapes = of_values(self.schema, of, pair.left, pair.right, &mut self.errors);
        let shapes = shapes?;
        let as_left = shapes.left.and_then(|it| self.visit_as(it, pair, below));
        let as_right = self.visit_as(shapes.right, pair, below);
        if shapes.is_twice {
            self.errors.repeat_from(from);
        }
        as_right.or(as_left)
    }

    fn visit_as(
        &mut self,
        shape: Shape<'_>,
        pair: Pair<'_>,
        below: &mut Comparison,
    ) -> Option<Change> {
        let is_leaf = match shape {
            Shape::Scalar(scalar) => self.check_scalar(scalar, pair),
            Shape::List(list) => self.visit_list(list, pair, below),
            Shape::Map(map) => self.visit_map(map, pair, below),
        };
        match is_leaf || pair.left.is_none() || pair.right.is_none() {
            true => pair.change(),
            false => None,
        }
    }

    /// One side must be right. All scalars are leaves.
    fn check_scalar(&mut self, scalar: Scalar, pair: Pair<'_>) -> bool {
        let left = pair.left.and_then(|it| scalar_error(scalar, it));
        let right = pair.right.and_then(|it| scalar_error(scalar, it));
        if let (Some(left), Some(right)) = (left, right) {
            self.errors.push(format!("lhs: {left}"));
            self.errors.push(format!("rhs: {right}"));
            return false;
        }
        true
    }

    fn visit_list(&mut self, list: &List, pair: Pair<'_>, below: &mut Comparison) -> bool {
        let left = pair.left.and_then(Value::as_array).map_or(&[][..], |it| it);
        let right = pair
            .right
            .and_then(Value::as_array)
            .map_or(&[][..], |it| it);
        let is_empty = left.is_empty() && right.is_empty();
        if list.relationship == Relationship::Atomic || is_empty {
            return true;
        }
        // Most lists are the same; no elements are made for those. What is valid has no errors to be found.
        if !(self.is_left_whole && equal_lists(left, right)) {
            self.visit_items(list, left, right, below);
        }
        false
    }

    fn visit_items(
        &mut self,
        list: &List,
        left: &[Value],
        right: &[Value],
        below: &mut Comparison,
    ) {
        let mut elements = Elements::with_capacity(left.len().max(right.len()));
        for (at, item) in left.iter().enumerate() {
            if let Some(element) = self.element(list, at, item) {
                elements.at(element).left.push(item);
            }
        }
        for (at, item) in right.iter().enumerate() {
            if let Some(element) = self.element(list, at, item) {
                elements.at(element).right.push(item);
            }
        }
        for Element { path, left, right } in elements.elements {
            let (first_left, first_right) = (left.first, right.first);
            let (pair, duplicate) = match (left.is_many(), right.is_many()) {
                (false, false) => ((first_left, first_right), None),
                (true, true) => {
                    let change = (!left.equals(&right)).then_some(Change::Modified);
                    ((None, None), change)
                }
                (true, false) => ((None, first_right), Some(Change::Removed)),
                (false, true) => ((first_left, None), Some(Change::Added)),
            };
            if pair != (None, None) {
                let pair = Pair {
                    left: pair.0,
                    right: pair.1,
                };
                self.visit_child(list.element, pair, path.clone(), below);
            }
            if let Some(change) = duplicate {
                below.set_mut(change).insert_member(path);
            }
        }
    }

    fn element(&mut self, list: &List, at: usize, item: &Value) -> Option<PathElement> {
        match list_key::path_element(self.schema, list, item) {
            Ok(it) => Some(it),
            Err(message) => {
                self.errors.push(format!("element {at}: {message}"));
                None
            }
        }
    }

    fn visit_map(&mut self, map: &Map, pair: Pair<'_>, below: &mut Comparison) -> bool {
        let left = pair.left.and_then(Value::as_object);
        let right = pair.right.and_then(Value::as_object);
        let is_empty = left.is_none_or(JsonMap::is_empty) && right.is_none_or(JsonMap::is_empty);
        if map.relationship == Relationship::Atomic || is_empty {
            return true;
        }
        for (name, left, right) in zip(left, right) {
            let field = map.field(name);
            let of = field.map(|it| it.of).or(map.element);
            let from = self.errors.len();
            let mut child = Comparison::default();
            let change = self.visit(of, Pair { left, right }, &mut child);
            let has_errors = self.errors.len() > from;
            if change.is_none() && !has_errors && child.has_nothing() {
                continue; // Most fields are the same: no element is made for them.
            }
            let element = match field {
                Some(it) => PathElement::Field(it.name.clone()),
                None => PathElement::field(name),
            };
            self.errors.prefix_from(from, &element);
            below.add(element, change, child);
        }
        false
    }

    fn visit_child(
        &mut self,
        of: Option<TypeRef>,
        pair: Pair<'_>,
        element: PathElement,
        below: &mut Comparison,
    ) {
        let from = self.errors.len();
        let mut child = Comparison::default();
        let change = self.visit(of, pair, &mut child);
        self.errors.prefix_from(from, &element);
        below.add(element, change, child);
    }
}

impl Comparison {
    fn has_nothing(&self) -> bool {
        [&self.removed, &self.modified, &self.added]
            .iter()
            .all(|it| it.has_nothing())
    }

    fn set_mut(&mut self, change: Change) -> &mut Set {
        match change {
            Change::Removed => &mut self.removed,
            Change::Modified => &mut self.modified,
            Change::Added => &mut self.added,
        }
    }

    fn add(&mut self, element: PathElement, change: Option<Change>, child: Self) {
        if let Some(change) = change {
            self.set_mut(change).insert_member(element.clone());
        }
        self.removed.insert_child(element.clone(), child.removed);
        self.modified.insert_child(element.clone(), child.modified);
        self.added.insert_child(element, child.added);
    }
}

/// The elements of two lists, in the order in which they come first.
struct Elements<'a> {
    elements: Vec<Element<'a>>,
    index: Index,
}

struct Element<'a> {
    path: PathElement,
    left: Items<'a>,
    right: Items<'a>,
}

/// Nearly always one or none.
#[derive(Default)]
struct Items<'a> {
    first: Option<&'a Value>,
    others: Vec<&'a Value>,
}

impl<'a> Items<'a> {
    fn push(&mut self, item: &'a Value) {
        match self.first {
            None => self.first = Some(item),
            Some(_) => self.others.push(item),
        }
    }

    fn is_many(&self) -> bool {
        !self.others.is_empty()
    }

    fn equals(&self, other: &Self) -> bool {
        let items = |it: &Self| it.first.into_iter().chain(it.others.clone()).collect();
        let (left, right): (Vec<_>, Vec<_>) = (items(self), items(other));
        left.len() == right.len()
            && left
                .iter()
                .zip(&right)
                .all(|(left, right)| equal(left, right))
    }
}

impl<'a> Elements<'a> {
    fn with_capacity(capacity: usize) -> Self {
        Self {
            elements: Vec::with_capacity(capacity),
            index: Index::with_capacity(capacity),
        }
    }

    fn at(&mut self, path: PathElement) -> &mut Element<'a> {
        let next = self.elements.len();
        let at = self.index.get_or_insert(&path, next).unwrap_or(next);
        if at == next {
            self.elements.push(Element {
                path,
                left: Items::default(),
                right: Items::default(),
            });
        }
        &mut self.elements[at]
    }
}
