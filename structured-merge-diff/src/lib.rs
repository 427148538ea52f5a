//! Who owns which field of an object: field sets, typed merge and server-side apply.
#![doc = include_str!("../README.md")]
#![deny(missing_docs)]

pub mod fieldpath;
mod go_format;
mod literal;
pub mod merge;
pub mod schema;
pub mod typed;

pub use literal::Literal;
