//! The objects at one revision, in the order of their keys.

use std::ops::Bound;
use std::sync::Arc;

use super::CachedObject;
use super::index::Narrowed;
use super::ring::Objects;
use crate::storage::Revision;

/// All objects of the resource at one revision, or those of them that a term selects; cheap to take and to keep.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub revision: Revision,
    pub(super) objects: Objects,
    pub(super) narrowed: Option<Narrowed>,
    pub(super) may_be_unreadable: bool,
}

impl Snapshot {
    pub(super) fn new(revision: Revision, objects: Objects, may_be_unreadable: bool) -> Self {
        Self {
            revision,
            objects,
            narrowed: None,
            may_be_unreadable,
        }
    }

    pub fn get(&self, key: &str) -> Option<&Arc<CachedObject>> {
        self.objects.get(key)
    }

    /// Whether some of its objects may be such that they cannot be read.
    pub fn may_be_unreadable(&self) -> bool {
        self.may_be_unreadable
    }

    /// Whether [`Snapshot::range`] leaves out objects that the terms it was narrowed to do not select.
    pub fn is_narrowed(&self) -> bool {
        self.narrowed.is_some()
    }

    /// Objects whose keys begin with `prefix` (ending in `/`), from `start` (a whole key, or empty) on, in the order
    /// of keys.
    pub fn range<'a>(
        &'a self,
        prefix: &str,
        start: &str,
    ) -> Box<dyn Iterator<Item = &'a Arc<CachedObject>> + 'a> {
        debug_assert!(prefix.ends_with('/'), "{prefix}");
        let from = start.max(prefix);
        let behind = behind(prefix);
        if from >= behind.as_str() {
            return Box::new(std::iter::empty());
        }
        if let Some(narrowed) = &self.narrowed {
            return Box::new(narrowed.range(from, &behind));
        }
        let range = (Bound::Included(from), Bound::Excluded(behind.as_str()));
        Box::new(self.objects.range::<_, str>(range).map(|(_, it)| it))
    }

    /// Whether any object stands behind `key`, selected or not.
    pub fn has_more(&self, prefix: &str, key: &str) -> bool {
        let behind = behind(prefix);
        let range = (Bound::Excluded(key), Bound::Excluded(behind.as_str()));
        self.objects.range::<_, str>(range).next().is_some()
    }
}

/// The first key that is behind all that begin with `prefix`: no key has anything between `/` and `0`.
fn behind(prefix: &str) -> String {
    let before = prefix.strip_suffix('/').unwrap_or(prefix);
    format!("{before}0")
}
