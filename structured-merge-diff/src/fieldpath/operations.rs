//! Union, intersection and the two differences of sets, in one pass over both. Subtrees that stay are shared.

use std::cmp::Ordering;
use std::sync::Arc;

use super::set::Child;
use super::{PathElement, Set};
use crate::schema::{Schema, TypeRef};

impl Set {
    /// The fields that are in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        if other.has_nothing() {
            return self.clone();
        }
        if self.has_nothing() {
            return other.clone();
        }
        let mut children = Vec::with_capacity(self.children.len().max(other.children.len()));
        for pair in pairs(&self.children, &other.children, |(it, _)| it) {
            children.push(match pair {
                (Some((element, left)), Some((_, right))) => {
                    let is_same = Arc::ptr_eq(left, right);
                    let union = match is_same {
                        true => left.clone(),
                        false => Arc::new(left.union(right)),
                    };
                    (element.clone(), union)
                }
                (Some(child), None) | (None, Some(child)) => child.clone(),
                (None, None) => continue,
            });
        }
        let members = pairs(&self.members, &other.members, |it| it);
        Self {
            members: members
                .filter_map(|(left, right)| left.or(right).cloned())
                .collect(),
            children,
        }
    }

    /// The fields that are in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let members = pairs(&self.members, &other.members, |it| it);
        let mut children = Vec::new();
        for pair in pairs(&self.children, &other.children, |(it, _)| it) {
            if let (Some((element, left)), Some((_, right))) = pair {
                let both = left.intersection(right);
                if !both.is_empty() {
                    children.push((element.clone(), Arc::new(both)));
                }
            }
        }
        Self {
            members: members
                .filter_map(|(left, right)| right.and(left).cloned())
                .collect(),
            children,
        }
    }

    /// The fields that are in this set and not in the other. What is below a field of the other stays.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        Self {
            members: members_without(&self.members, &other.members),
            children: self.children_without(other, false),
        }
    }

    /// The fields that are in this set, and neither in the other nor below one of its fields.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        Self {
            members: members_without(&self.members, &other.members),
            children: self.children_without(other, true),
        }
    }

    fn children_without(&self, other: &Self, is_recursive: bool) -> Vec<Child> {
        let mut children = Vec::with_capacity(self.children.len());
        for pair in pairs(&self.children, &other.children, |(it, _)| it) {
            let (Some(child), right) = pair else {
                continue;
            };
            if is_recursive && other.has_member(&child.0) {
                continue;
            }
            let Some((_, right)) = right else {
                children.push(child.clone());
                continue;
            };
            let rest = match is_recursive {
                true => child.1.recursive_difference(right),
                false => child.1.difference(right),
            };
            if !rest.is_empty() {
                children.push((child.0.clone(), Arc::new(rest)));
            }
        }
        children
    }

    /// The fields of the set that have no fields of the set below them.
    #[must_use]
    pub fn leaves(&self) -> Self {
        let members = self.members.iter();
        let children = self.children.iter();
        Self {
            members: members
                .filter(|it| self.child(it).is_none())
                .cloned()
                .collect(),
            children: children
                .map(|(element, child)| (element.clone(), Arc::new(child.leaves())))
                .collect(),
        }
    }

    /// The set, and the fields above its fields that the schema knows by name: a set with `.spec.labels.a` gets
    /// `.spec.labels`, which is a field of a struct, while `.labels.a` with something below it stays out if `labels`
    /// is a map with any keys.
    #[must_use]
    pub(crate) fn with_named_fields(&self, schema: &Schema, of: Option<TypeRef>) -> Self {
        let Some(atom) = of.and_then(|it| schema.atom(it)) else {
            return self.clone();
        };
        let mut set = Self {
            members: self.members.clone(),
            children: Vec::with_capacity(self.children.len()),
        };
        for (element, child) in &self.children {
            let mut child_type = None;
            match (element, &atom.map, &atom.list) {
                (PathElement::Field(name), Some(map), _) => {
                    child_type = map.element;
                    if let Some(field) = map.field(name) {
                        child_type = Some(field.of);
                        set.insert_member(element.clone());
                    }
                }
                (PathElement::Key(_), _, Some(list)) => child_type = list.element,
                _ => {}
            }
            let child = match child_type {
                Some(_) if !child.children.is_empty() => {
                    Arc::new(child.with_named_fields(schema, child_type))
                }
                _ => child.clone(),
            };
            set.children.push((element.clone(), child));
        }
        set
    }
}

impl Set {
    /// The difference from the other set with its named fields, without making that.
    #[must_use]
    pub(crate) fn without_named(&self, other: &Self, schema: &Schema, of: Option<TypeRef>) -> Self {
        let map = of
            .and_then(|it| schema.atom(it))
            .and_then(|it| it.map.as_ref());
        let list = of
            .and_then(|it| schema.atom(it))
            .and_then(|it| it.list.as_ref());
        let is_in_other = |element: &PathElement| {
            let is_named = match (element, map) {
                (PathElement::Field(name), Some(map)) => map.field(name).is_some(),
                _ => false,
            };
            other.has_member(element) || (is_named && other.child(element).is_some())
        };
        let members = self.members.iter().filter(|it| !is_in_other(it));
        let mut children = Vec::new();
        for (element, child) in &self.children {
            let Some(other_child) = other.child(element) else {
                children.push((element.clone(), child.clone()));
                continue;
            };
            let of = match (element, map, list) {
                (PathElement::Field(name), Some(map), _) => {
                    map.field(name).map(|it| it.of).or(map.element)
                }
                (PathElement::Key(_), _, Some(list)) => list.element,
                _ => None,
            };
            let rest = child.without_named(other_child, schema, of);
            if !rest.is_empty() {
                children.push((element.clone(), Arc::new(rest)));
            }
        }
        Self {
            members: members.cloned().collect(),
            children,
        }
    }
}

fn members_without(left: &[PathElement], right: &[PathElement]) -> Vec<PathElement> {
    if right.is_empty() {
        return left.to_vec();
    }
    pairs(left, right, |it| it)
        .filter_map(|(left, right)| match right {
            Some(_) => None,
            None => left.cloned(),
        })
        .collect()
}

/// What is at the same field in two sorted lists, in order.
pub(crate) fn pairs<'a, T>(
    left: &'a [T],
    right: &'a [T],
    of: impl Fn(&T) -> &PathElement,
) -> impl Iterator<Item = (Option<&'a T>, Option<&'a T>)> {
    let mut left = left.iter().peekable();
    let mut right = right.iter().peekable();
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(left), Some(right)) => of(left).cmp(of(right)),
        };
        Some(match order {
            Ordering::Less => (left.next(), None),
            Ordering::Greater => (None, right.next()),
            Ordering::Equal => (left.next(), right.next()),
        })
    })
}
