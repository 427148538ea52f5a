//! Objects by the value of a label or of a selectable field.
//!
//! An index is made once an exact value was looked for twice by walking at least 1,024 objects, few of which had it,
//! and is kept up to date by every change from then on, at about 40 bytes per object. It goes once as many changes
//! as there are objects (at least 4,096) were written into it without a reader. A resource has at most 8.
//!
//! It is exact: [`Narrowed`] holds just the objects that have the value at the snapshot's revision. For a revision
//! of the past the events since are undone, at most 1,024 of them; from before that all objects are walked.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use std::sync::{Arc, Mutex, PoisonError};

use imbl::OrdSet;

use super::CachedObject;
use super::ring::Objects;

/// A walk through fewer objects costs too little to be saved.
const MIN_WALKED: usize = 1024;
/// A walk must have looked at so many objects for each that it has found.
const MIN_WALKED_PER_FOUND: usize = 8;
const MAX_INDEXES: usize = 8;
/// An index has paid for itself for so many changes after it was read.
const MIN_UNREAD_CHANGES: usize = 4096;
/// How many events are undone for an index of the past.
pub(super) const MAX_UNDONE: usize = 1024;

/// What selectors select by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// The label of this key.
    Label(Box<str>),
    /// The selectable field of this path; one that is not there reads as empty.
    Field(Box<str>),
}

/// An attribute, and the one value that a selector wants it to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub attribute: Attribute,
    pub value: Box<str>,
}

impl Term {
    pub fn selects(&self, object: &CachedObject) -> bool {
        let value = self.attribute.find(object);
        value.is_some_and(|it| *object.attributes.text_at(&it) == *self.value)
    }
}

impl Attribute {
    fn find(&self, object: &CachedObject) -> Option<Range<u32>> {
        let attributes = &object.attributes;
        match self {
            Self::Label(key) => attributes.label_at(key),
            Self::Field(path) => Some(attributes.field_at(path).unwrap_or_default()),
        }
    }

    fn entry(&self, object: &Arc<CachedObject>) -> Option<Entry> {
        let value = self.find(object)?;
        let object = Arc::clone(object);
        Some(Entry { value, object })
    }
}

/// Ordered by value, then by key.
#[derive(Debug, Clone)]
struct Entry {
    /// Where the value stands in the object's attributes.
    value: Range<u32>,
    object: Arc<CachedObject>,
}

/// Where an entry stands among others.
trait Place {
    fn place(&self) -> (&str, &str);
}

impl Place for Entry {
    fn place(&self) -> (&str, &str) {
        (
            self.object.attributes.text_at(&self.value),
            &self.object.key,
        )
    }
}

impl Place for (&str, &str) {
    fn place(&self) -> (&str, &str) {
        *self
    }
}

impl<'a> Borrow<dyn Place + 'a> for Entry {
    fn borrow(&self) -> &(dyn Place + 'a) {
        self
    }
}

impl Ord for dyn Place + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for dyn Place + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Place + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Place + '_ {}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

/// The objects that have one value, of a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Narrowed {
    attribute: Attribute,
    entries: OrdSet<Entry>,
    value: Box<str>,
}

impl Narrowed {
    pub(super) fn range<'s>(
        &'s self,
        from: &str,
        behind: &str,
    ) -> impl Iterator<Item = &'s Arc<CachedObject>> + use<'s> {
        let (from, behind) = ((&*self.value, from), (&*self.value, behind));
        let (from, behind): (&dyn Place, &dyn Place) = (&from, &behind);
        let range = (Bound::Included(from), Bound::Excluded(behind));
        let entries = self.entries.range::<_, dyn Place>(range);
        entries.map(|it| &it.object)
    }

    /// Makes it what it was before a change.
    pub(super) fn undo(
        &mut self,
        before: Option<&Arc<CachedObject>>,
        after: Option<&Arc<CachedObject>>,
    ) {
        change(&self.attribute, &mut self.entries, after, before);
    }
}

fn change(
    attribute: &Attribute,
    entries: &mut OrdSet<Entry>,
    before: Option<&Arc<CachedObject>>,
    after: Option<&Arc<CachedObject>>,
) {
    let new = after.and_then(|it| attribute.entry(it));
    if let Some(old) = before.and_then(|it| attribute.entry(it))
        && new.as_ref() != Some(&old)
    {
        entries.remove(&old);
    }
    if let Some(new) = new {
        // In the place of the version before, if the value is the same.
        entries.insert(new);
    }
}

/// Whether so many objects were looked at, for so few that were found, that an index would have saved much.
pub fn is_long_walk(walked: usize, found: usize) -> bool {
    walked >= MIN_WALKED && found.saturating_mul(MIN_WALKED_PER_FOUND) <= walked
}

/// An index that was made beside the cache, without the changes since.
pub(super) struct Index {
    attribute: Attribute,
    entries: OrdSet<Entry>,
    /// Changes since it was read.
    unread: AtomicUsize,
}

impl Index {
    /// Walks all objects: about a microsecond for each.
    pub(super) fn build(attribute: Attribute, objects: &Objects) -> Self {
        let entries = objects.values().filter_map(|it| attribute.entry(it));
        let mut entries: Vec<Entry> = entries.collect();
        entries.sort_unstable();
        Self {
            attribute,
            entries: entries.into_iter().collect(),
            unread: AtomicUsize::new(0),
        }
    }

    pub(super) fn change(
        &mut self,
        before: Option<&Arc<CachedObject>>,
        after: Option<&Arc<CachedObject>>,
    ) {
        change(&self.attribute, &mut self.entries, before, after);
    }
}

/// The indexes that there are, and what might become one.
#[derive(Default)]
pub(super) struct Indexes {
    made: Vec<Index>,
    /// What long walks looked for once; at most [`MAX_INDEXES`], the latest last.
    walked: Mutex<Vec<Attribute>>,
}

impl Indexes {
    /// The objects that one of the terms selects, as of now.
    pub(super) fn narrowed(&self, terms: &[Term]) -> Option<Narrowed> {
        let (term, index) = terms.iter().find_map(|term| {
            let index = self.made.iter().find(|it| it.attribute == term.attribute);
            index.map(|it| (term, it))
        })?;
        index.unread.store(0, Memory::Relaxed);
        Some(Narrowed {
            attribute: index.attribute.clone(),
            entries: index.entries.clone(),
            value: term.value.clone(),
        })
    }

    pub(super) fn change(
        &mut self,
        before: Option<&Arc<CachedObject>>,
        after: Option<&Arc<CachedObject>>,
        objects: usize,
    ) {
        let most = objects.max(MIN_UNREAD_CHANGES);
        self.made.retain_mut(|it| {
            let unread = it.unread.get_mut();
            *unread += 1;
            *unread <= most
        });
        for index in &mut self.made {
            index.change(before, after);
        }
    }

    /// Whether an index of the attribute would pay: notes that objects were walked, to find those that have it.
    pub(super) fn is_wanted(&self, attribute: &Attribute, walked: usize, found: usize) -> bool {
        if !is_long_walk(walked, found) {
            return false;
        }
        let mut before = self.walked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = before.iter().position(|it| it == attribute) {
            before.remove(at);
            return true;
        }
        if before.len() == MAX_INDEXES {
            before.remove(0);
        }
        before.push(attribute.clone());
        false
    }

    /// Where there are too many, the one that was not read for longest goes.
    pub(super) fn add(&mut self, index: Index) {
        self.made.retain(|it| it.attribute != index.attribute);
        if self.made.len() == MAX_INDEXES {
            let unread = |it: &Index| it.unread.load(Memory::Relaxed);
            let oldest = self
                .made
                .iter()
                .enumerate()
                .max_by_key(|(_, it)| unread(it));
            if let Some(at) = oldest.map(|(at, _)| at) {
                self.made.remove(at);
            }
        }
        self.made.push(index);
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.made.len()
    }
}
