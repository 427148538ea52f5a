//! Who owns which fields.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Set;

/// The version of an object or of a set, `group/version`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApiVersion(Arc<str>);

impl ApiVersion {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ApiVersion {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fields that one manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedSet {
    /// The fields, as they are called in that version.
    pub set: Set,
    /// The version in which the manager wrote.
    pub api_version: ApiVersion,
    /// Whether it applied them. If not, it updated.
    pub applied: bool,
}

impl VersionedSet {
    /// With another set.
    pub(crate) fn with(&self, set: Set) -> Self {
        Self {
            set,
            ..self.clone()
        }
    }
}

/// What each manager owns, by an identifier of the caller's. Managers are taken in the order of their identifiers.
pub type ManagedFields = BTreeMap<String, VersionedSet>;
