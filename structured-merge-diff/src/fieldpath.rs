//! Paths to fields, sets of them, and the form in which `metadata.managedFields` has them.

mod element;
mod filter;
mod managers;
mod operations;
mod parse;
mod set;
mod write;

#[cfg(test)]
mod tests;

pub use element::{KeyField, Path, PathElement};
pub use filter::{ElementMatcher, Filter, SetMatcher};
pub use managers::{ApiVersion, ManagedFields, VersionedSet};
pub use parse::{FieldsError, MAX_DEPTH};
pub use set::Set;
pub(crate) use set::search;
