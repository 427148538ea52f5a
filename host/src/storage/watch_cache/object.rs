//! One version of an object, as it lies in the cache: the engine's bytes, and where its parts stand in them.
//!
//! The resourceVersion is in no stored bytes; it is written between them whenever they are copied, which costs
//! as much as copying them in one piece. An object of 1 KiB takes four allocations and about 300 bytes besides its
//! own.

use std::ops::Range;

use bytes::{BufMut, Bytes};

use super::{Attributes, Views};
use crate::api::object::version_field;
use crate::storage::{Key, Record, Revision, unread};

/// What JSON of objects begins with, up to the metadata.
#[derive(Debug, Clone)]
pub struct Head {
    pub json: String,
    pub(super) number: u32,
}

/// The number of heads for which there are none left.
pub(super) const UNNUMBERED: u32 = u32::MAX;

/// One version of an object, shared by everybody who reads it.
#[derive(Debug)]
pub struct CachedObject {
    pub key: Key,
    pub revision: Revision,
    /// JSON of the whole object in the storage version, without its resourceVersion; or why it cannot be read.
    stored: Bytes,
    /// Where the resourceVersion goes; the largest number where there is no JSON.
    version_at: u32,
    /// What the cache calls the bytes before the metadata: a list tells versions apart without looking at the bytes.
    head: u32,
    /// Where they begin in the key; the same for cluster-scoped objects.
    namespace_at: u32,
    name_at: u32,
    pub attributes: Attributes,
    /// Other forms of it (versions, table rows), made once and shared.
    pub views: Views,
}

impl CachedObject {
    /// `below` is where the part of the key begins that tells objects of the resource apart.
    pub(super) fn new(
        key: Key,
        below: usize,
        is_namespaced: bool,
        revision: Revision,
        record: Record,
        head: u32,
        attributes: Attributes,
    ) -> Self {
        let name_at = match key[below..].find('/') {
            Some(at) if is_namespaced => below + at + 1,
            _ => below,
        };
        let short = |at| u32::try_from(at).expect("keys have a few hundred bytes");
        Self {
            namespace_at: short(below),
            name_at: short(name_at),
            key,
            revision,
            stored: record.bytes,
            version_at: record.version_at,
            head,
            attributes,
            views: Views::default(),
        }
    }

    /// Empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        let (start, end) = (self.namespace_at as usize, self.name_at as usize);
        self.key.get(start..end.saturating_sub(1)).unwrap_or("")
    }

    pub fn name(&self) -> &str {
        &self.key[self.name_at as usize..]
    }

    /// Why it cannot be shown: it is there, and a read that it belongs to fails.
    pub fn problem(&self) -> Option<&str> {
        unread(&self.stored, self.version_at)
    }

    /// Whether its JSON is `head` up to the metadata.
    pub fn begins_with(&self, head: &Head) -> bool {
        if head.number == self.head && head.number != UNNUMBERED {
            return true;
        }
        let is_known = head.number != UNNUMBERED && self.head != UNNUMBERED;
        !is_known && self.stored.starts_with(head.json.as_bytes())
    }

    /// JSON of the whole object in the storage version, with its resourceVersion.
    pub fn bytes(&self) -> Bytes {
        self.bytes_at(self.revision)
    }

    /// The object's JSON with another resourceVersion: for DELETED events, which carry the last state and
    /// the revision of the delete.
    pub fn bytes_at(&self, revision: Revision) -> Bytes {
        self.copied(self.whole(), revision)
    }

    /// The metadata's JSON, with a resourceVersion.
    pub fn metadata_at(&self, revision: Revision) -> Bytes {
        self.copied(self.metadata(), revision)
    }

    /// Where all of it stands: what [`CachedObject::write`] and [`CachedObject::length`] take.
    pub fn whole(&self) -> Range<usize> {
        match self.problem() {
            Some(_) => 0..0,
            None => 0..self.stored.len(),
        }
    }

    /// Where the metadata stands, with its braces.
    pub fn metadata(&self) -> Range<usize> {
        self.attributes.metadata.start as usize..self.attributes.metadata.end as usize
    }

    /// Copies a part of the stored JSON, with a resourceVersion where it goes.
    pub fn write(&self, part: Range<usize>, revision: Revision, out: &mut impl BufMut) {
        let at = self.version_at as usize;
        if !has_version(&part, at) {
            return out.put_slice(&self.stored[part]);
        }
        out.put_slice(&self.stored[part.start..at]);
        out.put_slice(&version_field(revision.0));
        out.put_slice(&self.stored[at..part.end]);
    }

    /// What [`CachedObject::write`] would write, but what is behind the resourceVersion is not copied.
    pub fn shared(&self, part: Range<usize>, revision: Revision) -> [Bytes; 2] {
        let at = self.version_at as usize;
        if !has_version(&part, at) {
            return [Bytes::new(), self.stored.slice(part)];
        }
        let head = self.copied(part.start..at, revision);
        [head, self.stored.slice(at..part.end)]
    }

    /// How many bytes [`CachedObject::write`] writes.
    pub fn length(&self, part: &Range<usize>, revision: Revision) -> usize {
        let version = match has_version(part, self.version_at as usize) {
            true => version_field(revision.0).len(),
            false => 0,
        };
        part.len() + version
    }

    fn copied(&self, part: Range<usize>, revision: Revision) -> Bytes {
        let mut out = Vec::with_capacity(self.length(&part, revision));
        self.write(part, revision, &mut out);
        out.into()
    }
}

fn has_version(part: &Range<usize>, at: usize) -> bool {
    part.start <= at && at <= part.end
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte here is a megabyte of a million objects.
    #[test]
    fn is_small() {
        assert!(
            size_of::<CachedObject>() <= 112,
            "{}",
            size_of::<CachedObject>()
        );
        assert_eq!(size_of::<Views>(), 8);
    }

    #[test]
    fn names_come_from_the_key() {
        let object = |key: &str, is_namespaced| {
            let record = Record {
                bytes: Bytes::from_static(b"{}"),
                version_at: 1,
            };
            let below = "objects/g/r/".len();
            let attributes = Attributes::default();
            CachedObject::new(
                key.into(),
                below,
                is_namespaced,
                Revision(1),
                record,
                0,
                attributes,
            )
        };
        let both = |it: &CachedObject| (it.namespace().to_owned(), it.name().to_owned());
        let namespaced = object("objects/g/r/n/a", true);
        assert_eq!(both(&namespaced), ("n".into(), "a".into()));
        let of_the_cluster = object("objects/g/r/a", false);
        assert_eq!(both(&of_the_cluster), (String::new(), "a".into()));
    }
}
