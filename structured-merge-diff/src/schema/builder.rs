//! Puts a schema together. Types may be referred to before they are defined.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Atom, Definition, List, Map, Relationship, Scalar, Schema, StructField, Type, TypeRef,
};

pub(super) const UNTYPED: &str = "__untyped_atomic_";
pub(super) const DEDUCED: &str = "__untyped_deduced_";

#[derive(Default)]
pub(super) struct Builder {
    types: Vec<Definition>,
    names: HashMap<Arc<str>, TypeRef>,
    /// References to a type that change the relationship of its elements: what they are, of what, and how.
    overrides: Vec<(TypeRef, TypeRef, Relationship)>,
}

impl Builder {
    fn push(&mut self, name: Option<Arc<str>>, atom: Option<Atom>) -> TypeRef {
        let index = u32::try_from(self.types.len()).expect("schemas are far shorter than 2^32");
        self.types.push(Definition { name, atom });
        TypeRef(index)
    }

    /// A type without a name.
    pub(super) fn inlined(&mut self, atom: Atom) -> TypeRef {
        self.push(None, Some(atom))
    }

    /// The type of that name, which may be defined later.
    pub(super) fn named(&mut self, name: &str) -> TypeRef {
        if let Some(it) = self.names.get(name) {
            return *it;
        }
        let name: Arc<str> = name.into();
        let of = self.push(Some(name.clone()), None);
        self.names.insert(name, of);
        of
    }

    /// The type of that name, with another relationship of its elements.
    pub(super) fn overridden(&mut self, name: &str, relationship: Relationship) -> TypeRef {
        let base = self.named(name);
        let of = self.push(Some(name.into()), None);
        self.overrides.push((of, base, relationship));
        of
    }

    pub(super) fn define(&mut self, name: &str, atom: Atom) -> TypeRef {
        let of = self.named(name);
        self.types[of.0 as usize].atom = Some(atom);
        of
    }

    pub(super) fn is_untyped(&self, of: TypeRef) -> bool {
        let definition = &self.types[of.0 as usize];
        match &definition.name {
            Some(name) => **name == *DEDUCED,
            None => definition
                .atom
                .as_ref()
                .is_some_and(|it| it.scalar == Some(Scalar::Untyped)),
        }
    }

    pub(super) fn map(
        &self,
        mut fields: Vec<StructField>,
        element: Option<TypeRef>,
        relationship: Relationship,
    ) -> Map {
        // The last of two fields of a name counts.
        fields.reverse();
        fields.sort_by(|left, right| left.name.cmp(&right.name));
        fields.dedup_by(|later, first| later.name == first.name);
        Map {
            is_untyped: fields.is_empty() && element.is_some_and(|it| self.is_untyped(it)),
            fields,
            element,
            relationship,
        }
    }

    /// The two types of values that no schema describes.
    pub(super) fn define_common(&mut self) {
        let untyped = self.named(UNTYPED);
        let deduced = self.named(DEDUCED);
        let list = List {
            element: Some(untyped),
            relationship: Relationship::Atomic,
            keys: Vec::new(),
        };
        let untyped_map = self.map(Vec::new(), Some(untyped), Relationship::Atomic);
        let deduced_map = self.map(Vec::new(), Some(deduced), Relationship::Separable);
        for (name, map) in [(UNTYPED, untyped_map), (DEDUCED, deduced_map)] {
            self.define(
                name,
                Atom {
                    scalar: Some(Scalar::Untyped),
                    list: Some(list.clone()),
                    map: Some(map),
                },
            );
        }
    }

    pub(super) fn finish(mut self) -> Schema {
        for (of, base, relationship) in std::mem::take(&mut self.overrides) {
            let atom = self.types[base.0 as usize].atom.clone();
            self.types[of.0 as usize].atom = atom.and_then(|it| with(it, relationship));
        }
        Schema {
            types: self.types,
            names: self.names,
        }
    }
}

/// Only the map is changed if the type may be a map. Scalars have no elements: there the reference leads nowhere.
pub(super) fn with(mut atom: Atom, relationship: Relationship) -> Option<Atom> {
    match (&mut atom.map, &mut atom.list) {
        (Some(map), _) => map.relationship = relationship,
        (None, Some(list)) => list.relationship = relationship,
        (None, None) => return None,
    }
    Some(atom)
}

pub(super) fn deduced() -> Type {
    let mut builder = Builder::default();
    builder.define_common();
    let of = builder.named(DEDUCED);
    Type {
        schema: Arc::new(builder.finish()),
        of,
    }
}
