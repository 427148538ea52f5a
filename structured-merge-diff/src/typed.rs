//! Values with a type: what fields they have, how they differ, how they are merged.
//!
//! A value is a `serde_json::Value`, shared; nothing here has a tree of its own.

mod compare;
mod errors;
mod items;
mod list_key;
mod merge;
mod reconcile;
mod shape;
mod to_set;
mod validate;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

pub use compare::Comparison;
pub use errors::{ValidationError, ValidationErrors};
pub use validate::MAX_DEPTH;

use crate::fieldpath::Set;
use crate::schema::Type;

/// Whether sets and lists of maps may have the same element twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// As in objects that were stored.
    Allowed,
    /// As in what is applied.
    Refused,
}

/// A value of a type. Copies share the value.
#[derive(Debug, Clone)]
pub struct TypedValue {
    value: Arc<Value>,
    of: Type,
    /// Nothing was taken out of the value since it was validated.
    is_whole: bool,
}

impl Type {
    /// Gives a value this type, if it conforms to it. `null` conforms to every type.
    pub fn typed(
        &self,
        value: impl Into<Arc<Value>>,
        duplicates: Duplicates,
    ) -> Result<TypedValue, ValidationErrors> {
        let value = value.into();
        validate::validate(self, &value, duplicates)?;
        Ok(TypedValue {
            value,
            of: self.clone(),
            is_whole: true,
        })
    }

    /// Fits a set that was made with an older schema to this one: where a list or map is atomic now, its owner owns it
    /// as a whole. None: it fits.
    pub fn reconcile(&self, set: &Set) -> Result<Option<Set>, ValidationErrors> {
        reconcile::reconcile(self, set)
    }
}

impl TypedValue {
    /// The value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value, copied only if it is shared.
    #[must_use]
    pub fn into_value(self) -> Value {
        Arc::unwrap_or_clone(self.value)
    }

    /// The value, to be shared.
    #[must_use]
    pub fn shared_value(&self) -> Arc<Value> {
        self.value.clone()
    }

    /// The type.
    #[must_use]
    pub fn type_of(&self) -> &Type {
        &self.of
    }

    fn part(&self, value: Value) -> Self {
        Self {
            value: Arc::new(value),
            of: self.of.clone(),
            is_whole: false,
        }
    }

    /// Every leaf and every list element that the value has. Of an element that is there twice, only the element.
    pub fn to_field_set(&self) -> Result<Set, ValidationErrors> {
        to_set::to_field_set(self)
    }

    /// What changes from this value to the other, which must have the same type.
    pub fn compare(&self, other: &Self) -> Result<Comparison, ValidationErrors> {
        self.check_type(other)?;
        compare::compare(self, other)
    }

    /// This value with the other laid over it, which must have the same type.
    ///
    /// Nothing is removed. A leaf of the other wins. Elements of a list come in the order of the other, with those
    /// that it does not have where they were.
    pub fn merge(&self, other: &Self) -> Result<Self, ValidationErrors> {
        self.check_type(other)?;
        let merged = merge::merge(self, other)?;
        Ok(self.part(merged.unwrap_or(Value::Null)))
    }

    fn check_type(&self, other: &Self) -> Result<(), ValidationErrors> {
        let message = match Arc::ptr_eq(&self.of.schema, &other.of.schema) {
            false => "expected objects with types from the same schema",
            true if self.of.of != other.of.of => "expected objects of the same type",
            true => return Ok(()),
        };
        Err(ValidationErrors::of(message))
    }

    /// The value without these fields and list elements. A list or map that has nothing left is `null`.
    #[must_use]
    pub fn remove_items(self, items: &Set) -> Self {
        let of = self.of.clone();
        let value = items::remove(&of, self.into_value(), items);
        Self {
            value: Arc::new(value),
            of,
            is_whole: false,
        }
    }

    /// Only these fields and list elements of the value.
    #[must_use]
    pub fn extract_items(self, items: &Set) -> Self {
        let of = self.of.clone();
        let value = items::extract(&of, self.into_value(), items);
        Self {
            value: Arc::new(value),
            of,
            is_whole: false,
        }
    }

    /// As [`extract_items`](Self::extract_items), with the key fields of the list elements on the way.
    #[must_use]
    pub fn extract_items_with_keys(self, items: &Set) -> Self {
        let items = match self.to_field_set() {
            Ok(present) => items.union(&items::key_fields(items, &present)),
            Err(_) => items.clone(),
        };
        self.extract_items(&items)
    }
}
