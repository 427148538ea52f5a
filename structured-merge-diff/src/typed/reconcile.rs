//! Sets that were made with an older schema. Lists and maps that have become atomic are found; what was atomic and no
//! longer is, is left.

use super::errors::ValidationErrors;
use super::shape::{Shape, of_type};
use crate::fieldpath::{Path, PathElement, Set};
use crate::schema::{List, Map, Relationship, Schema, Type, TypeRef};

pub(super) fn reconcile(of: &Type, set: &Set) -> Result<Option<Set>, ValidationErrors> {
    let mut walker = Walker {
        schema: &of.schema,
        path: Vec::new(),
        now_atomic: Set::new(),
        errors: ValidationErrors::default(),
    };
    walker.visit(Some(of.of), Some(set), false);
    let now_atomic = walker.now_atomic;
    let reconciled =
        (!now_atomic.is_empty()).then(|| set.recursive_difference(&now_atomic).union(&now_atomic));
    walker.errors.into_result(reconciled)
}

struct Walker<'s> {
    schema: &'s Schema,
    path: Vec<&'s PathElement>,
    now_atomic: Set,
    errors: ValidationErrors,
}

impl<'s> Walker<'s> {
    /// `is_atomic`: the set has the field and nothing below it.
    fn visit(&mut self, of: Option<TypeRef>, set: Option<&'s Set>, is_atomic: bool) {
        match of_type(self.schema, of, &mut self.errors) {
            Some(Shape::List(list)) => self.visit_list(list, set, is_atomic),
            Some(Shape::Map(map)) => self.visit_map(map, set, is_atomic),
            Some(Shape::Scalar(_)) | None => {}
        }
    }

    fn visit_list(&mut self, list: &List, set: Option<&'s Set>, is_atomic: bool) {
        if !is_atomic && list.relationship == Relationship::Atomic {
            self.add();
            return;
        }
        for (element, is_member, child) in set.into_iter().flat_map(Set::entries) {
            self.visit_child(list.element, element, child, is_member);
        }
    }

    fn visit_map(&mut self, map: &Map, set: Option<&'s Set>, is_atomic: bool) {
        if map.is_untyped {
            return;
        }
        if !is_atomic && map.relationship == Relationship::Atomic {
            if set.is_some_and(|it| !it.is_empty()) {
                self.add();
            }
            return;
        }
        for (element, is_member, child) in set.into_iter().flat_map(Set::entries) {
            let of = match element {
                PathElement::Field(name) => map.field(name).map(|it| it.of).or(map.element),
                _ => map.element,
            };
            // What the schema does not know stays as it is.
            if of.is_some() {
                self.visit_child(of, element, child, is_member);
            }
        }
    }

    fn add(&mut self) {
        let path: Path = self.path.iter().map(|it| (*it).clone()).collect();
        self.now_atomic.insert(&path);
    }

    fn visit_child(
        &mut self,
        of: Option<TypeRef>,
        element: &'s PathElement,
        child: Option<&'s Set>,
        is_member: bool,
    ) {
        self.path.push(element);
        self.visit(of, child, is_member && child.is_none());
        self.path.pop();
    }
}
