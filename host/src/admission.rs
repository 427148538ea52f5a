//! What may be written, beyond a resource's own rules.

pub mod namespace_lifecycle;

pub use namespace_lifecycle::{EveryNamespace, Namespaces};
