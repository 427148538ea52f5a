//! Server-side apply (KEP-555): who owns which field of an object, and merging what its owners want.
//!
//! Field sets and typed merge are the library `structured_merge_diff`; this is the server's part, in the order of
//! k8s.io/apimachinery, pkg/util/managedfields: managers are told apart, capped, given time stamps and written down
//! in `metadata.managedFields`.

mod capping;
mod configuration;
mod conflict;
mod field_manager;
mod last_applied;
mod managed_fields;
mod scale;
mod versions;

use jiff::Timestamp;

pub use configuration::Configuration;
pub use field_manager::FieldManager;
pub(crate) use scale::ScaleOwnership;
pub(crate) use versions::Versions;

/// Who writes, how and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writer<'a> {
    pub(crate) manager: &'a str,
    /// The request's.
    pub(crate) version: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) now: Timestamp,
}
