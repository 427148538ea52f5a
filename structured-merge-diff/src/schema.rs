//! Types: what may stand where, and which parts of a value have owners of their own.
//!
//! A schema is an arena of atoms. An atom says what a value may be: a scalar, a list, a map, or several of these; which
//! of them it is, the value tells.

mod builder;
pub mod openapi;
mod own_form;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use serde_json::Value;
use thiserror::Error;

use crate::literal::Literal;

/// Why a document is no schema.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct SchemaError(pub(crate) String);

/// A reference to a type of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TypeRef(u32);

/// Named types.
#[derive(Debug)]
pub struct Schema {
    types: Vec<Definition>,
    names: HashMap<Arc<str>, TypeRef>,
}

#[derive(Debug)]
struct Definition {
    /// None: defined where it is used.
    name: Option<Arc<str>>,
    /// None: it is referred to and nowhere defined.
    atom: Option<Atom>,
}

/// What a value may be.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Atom {
    pub(crate) scalar: Option<Scalar>,
    pub(crate) list: Option<List>,
    pub(crate) map: Option<Map>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Numeric,
    String,
    Boolean,
    Untyped,
}

/// How the elements of a list or a map stand to one another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Relationship {
    /// Of a list: sets, and lists of maps with keys.
    Associative,
    /// One owner for all of it.
    Atomic,
    /// Of a map: each has owners of its own.
    #[default]
    Separable,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    pub(crate) element: Option<TypeRef>,
    pub(crate) relationship: Relationship,
    /// Of an associative list; without any, it is a set.
    pub(crate) keys: Vec<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Map {
    /// Sorted by name.
    fields: Vec<StructField>,
    /// Of what is no named field. None: nothing else may be there.
    pub(crate) element: Option<TypeRef>,
    pub(crate) relationship: Relationship,
    /// No named fields, and anything below: its sets are never made to fit a schema that has changed.
    pub(crate) is_untyped: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StructField {
    pub(crate) name: Arc<str>,
    pub(crate) of: TypeRef,
    /// What the field is taken for where it is a key and left out.
    pub(crate) default: Option<Literal>,
}

impl Map {
    pub(crate) fn field(&self, name: &str) -> Option<&StructField> {
        let at = self.fields.binary_search_by(|it| (*it.name).cmp(name));
        at.ok().map(|it| &self.fields[it])
    }
}

impl Schema {
    /// Reads a schema in the library's own form, `{"types": [{"name": …, "map": {…}}]}`.
    pub fn from_value(document: &Value) -> Result<Arc<Self>, SchemaError> {
        own_form::read(document).map(Arc::new)
    }

    /// A type of the schema, by name.
    #[must_use]
    pub fn named(self: &Arc<Self>, name: &str) -> Option<Type> {
        let of = *self.names.get(name)?;
        Some(Type {
            schema: self.clone(),
            of,
        })
    }

    /// None: the type is nowhere defined.
    pub(crate) fn atom(&self, of: TypeRef) -> Option<&Atom> {
        self.definition(of).and_then(|it| it.atom.as_ref())
    }

    pub(crate) fn name(&self, of: TypeRef) -> Option<&str> {
        self.definition(of).and_then(|it| it.name.as_deref())
    }

    fn definition(&self, of: TypeRef) -> Option<&Definition> {
        self.types.get(of.0 as usize)
    }
}

/// A type that values can be given: see [`Type::typed`].
#[derive(Debug, Clone)]
pub struct Type {
    pub(crate) schema: Arc<Schema>,
    pub(crate) of: TypeRef,
}

impl Type {
    /// The type of objects without a schema: the fields of maps have owners of their own, lists are atomic.
    #[must_use]
    pub fn deduced() -> Self {
        static DEDUCED: OnceLock<Type> = OnceLock::new();
        DEDUCED.get_or_init(builder::deduced).clone()
    }

    /// Whether both are the same type of the same schema.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.schema, &other.schema) && self.of == other.of
    }
}
