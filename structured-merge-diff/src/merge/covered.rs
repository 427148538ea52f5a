//! Whether an apply leaves nothing out: then nothing is pruned, and nothing need be walked to find that.
//!
//! Only what is sure is answered with yes. With sets that clients wrote by hand, an element of a list may be removed
//! although it is still applied: one whose keys nobody owns, for instance. Those go the long way.

use serde_json::Value;

use crate::fieldpath::{ApiVersion, ManagedFields, PathElement, Set, VersionedSet};
use crate::schema::{Atom, Relationship, Schema, TypeRef};
use crate::typed::TypedValue;

/// `last` is what the manager applied before, `merged` what its new set has been merged into, in `version`.
pub(super) fn is_covered(
    last: &VersionedSet,
    managers: &ManagedFields,
    version: &ApiVersion,
    manager: &str,
    merged: &TypedValue,
) -> bool {
    // Conversions lose things.
    let is_one_version =
        last.api_version == *version && managers.values().all(|it| it.api_version == *version);
    let Some(applied) = managers.get(manager).filter(|_| is_one_version) else {
        return false;
    };
    let of = merged.type_of();
    let is_separable = of.schema.atom(of.of).is_some_and(|atom| {
        let map = atom.map.as_ref();
        map.is_some_and(|it| it.relationship != Relationship::Atomic)
    });
    let is_filled = merged.value().as_object().is_some_and(|it| !it.is_empty());
    is_separable && is_filled && covers(&of.schema, Some(of.of), &applied.set, &last.set)
}

fn covers(schema: &Schema, of: Option<TypeRef>, applied: &Set, last: &Set) -> bool {
    let Some(atom) = of.and_then(|it| schema.atom(it)) else {
        return false;
    };
    let are_members = last.members().iter().all(|element| {
        applied.has_member(element)
            && stays_selected(schema, atom, applied, element)
            && (last.child(element).is_some() || stays_visible(schema, atom, element))
    });
    are_members
        && last.children().all(|(element, below)| {
            let Some(applied_below) = applied.child(element) else {
                return false;
            };
            let field = match (element, &atom.map) {
                (PathElement::Field(name), Some(map)) => map.field(name),
                _ => None,
            };
            // What the schema names is there with what is below it; all else must be owned itself.
            let is_named = field.is_some();
            let of = match (field, element) {
                (Some(field), _) => Some(field.of),
                (None, PathElement::Field(_)) => atom.map.as_ref().and_then(|it| it.element),
                (None, _) => atom.list.as_ref().and_then(|it| it.element),
            };
            (is_named || applied.has_member(element))
                && (!matches!(element, PathElement::Key(_)) || last.has_member(element))
                && stays_selected(schema, atom, applied, element)
                && covers(schema, of, applied_below, below)
        })
}

/// Whether a field is in the set of fields whatever is taken out of it. A field that the schema names is not, if there is
/// something in it that is not in sets: an empty list.
fn stays_visible(schema: &Schema, atom: &Atom, element: &PathElement) -> bool {
    let field = match (element, &atom.map) {
        (PathElement::Field(name), Some(map)) => map.field(name),
        _ => None,
    };
    let Some(field) = field else {
        return true;
    };
    schema.atom(field.of).is_some_and(|atom| {
        let is_atomic = |it| it == Relationship::Atomic;
        atom.map
            .as_ref()
            .is_none_or(|it| is_atomic(it.relationship))
            && atom
                .list
                .as_ref()
                .is_none_or(|it| is_atomic(it.relationship))
    })
}

/// Whether an element of a list is still found by its keys when all that nobody owns is taken out of it: the keys must
/// be owned, or be what they are taken for where they are left out, and something must be left.
fn stays_selected(schema: &Schema, atom: &Atom, applied: &Set, element: &PathElement) -> bool {
    let PathElement::Key(keys) = element else {
        return true;
    };
    let of = atom.list.as_ref().and_then(|it| it.element);
    let Some(map) = of
        .and_then(|it| schema.atom(it))
        .and_then(|it| it.map.as_ref())
    else {
        return false;
    };
    if map.relationship == Relationship::Atomic {
        return true; // Nothing is taken out of it.
    }
    let Some(fields) = applied.child(element) else {
        return false;
    };
    let are_owned = keys.iter().all(|(name, value)| {
        let default = map.field(name).and_then(|it| it.default.as_ref());
        default == Some(value) || fields.has_member(&PathElement::Field(name.clone()))
    });
    are_owned && !fields.members().is_empty()
}

/// Whether two objects are one and the same allocation.
pub(super) fn is_same_object(left: &TypedValue, right: &TypedValue) -> bool {
    std::ptr::eq::<Value>(left.value(), right.value()) && left.type_of().is(right.type_of())
}
