//! The window of changes: a queue of events, numbered without a gap, bounded in number and bytes.
//!
//! Every so many events the map as it was after them is kept too, so that an earlier state is near.

use std::collections::VecDeque;
use std::sync::Arc;

use imbl::OrdMap;

use super::{CacheEvent, CachedObject, Expired};
use crate::storage::{Key, Revision};

pub(super) type Objects = OrdMap<Key, Arc<CachedObject>>;

/// How many events lie between two kept maps: at most so many are undone for an earlier state, and the copied
/// nodes of a kept map spread over as many.
const EVENTS_PER_CHECKPOINT: u64 = 256;

/// Memory of an event itself: its slot, its counters and its share of copied map nodes.
const EVENT_OVERHEAD_BYTES: usize = 512;

/// Most events of a run, but for a commit with more: those stay together.
const EVENTS_PER_RUN: usize = 256;
/// Stored bytes of the objects of a run, but for a commit with more: what is sent as one frame.
pub const BYTES_PER_RUN: usize = 256 << 10;

/// Events that stand one behind another in the window, by their numbers: whole commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub(super) from: u64,
    /// Of the first that is behind it.
    pub(super) to: u64,
}

impl Run {
    /// One event, by its number.
    #[cfg(test)]
    pub fn of(number: u64) -> Self {
        Self {
            from: number,
            to: number + 1,
        }
    }
}

/// How much of the past is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) max_events: usize,
    /// Of superseded objects, which only the window keeps alive, and [`EVENT_OVERHEAD_BYTES`] per event.
    pub(super) max_bytes: usize,
}

impl Default for Window {
    /// k8s.io/apiserver's cacher grows to 102,400 events; the bytes keep large objects from taking gigabytes.
    fn default() -> Self {
        Self {
            max_events: 100_000,
            max_bytes: 64 << 20,
        }
    }
}

pub(super) struct Ring {
    window: Window,
    slots: VecDeque<Slot>,
    /// Number of the front slot.
    first: u64,
    bytes: usize,
    /// All events after this revision are here.
    oldest: Revision,
}

struct Slot {
    event: Arc<CacheEvent>,
    /// Of the objects of all events up to this one, since the ring was made.
    shown_bytes: u64,
    /// The map after this event.
    checkpoint: Option<Objects>,
}

impl Ring {
    pub(super) fn new(window: Window, oldest: Revision) -> Self {
        Self {
            window,
            slots: VecDeque::new(),
            first: 0,
            bytes: 0,
            oldest,
        }
    }

    /// An empty one, whose events come after a gap behind those of this one.
    pub(super) fn successor(&self, oldest: Revision) -> Self {
        Self {
            first: self.end() + 1,
            ..Self::new(self.window, oldest)
        }
    }

    pub(super) fn window(&self) -> Window {
        self.window
    }

    pub(super) fn oldest(&self) -> Revision {
        self.oldest
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next event gets.
    pub(super) fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Whether everything after `revision` is here.
    pub(super) fn check(&self, revision: Revision) -> Result<(), Expired> {
        if revision < self.oldest {
            let oldest = self.oldest;
            return Err(Expired { oldest });
        }
        Ok(())
    }

    /// `objects` is the map after the event, where it is known.
    pub(super) fn push(&mut self, event: Arc<CacheEvent>, objects: Option<&Objects>) {
        self.bytes += cost(&event);
        let is_checkpoint = self.end().is_multiple_of(EVENTS_PER_CHECKPOINT);
        let checkpoint = objects.filter(|_| is_checkpoint).cloned();
        let before = self.slots.back().map_or(0, |it| it.shown_bytes);
        self.slots.push_back(Slot {
            shown_bytes: before + shown_bytes(&event),
            event,
            checkpoint,
        });
        while self.slots.len() > self.window.max_events || self.bytes > self.window.max_bytes {
            let Some(gone) = self.slots.pop_front() else {
                break;
            };
            self.first += 1;
            self.bytes -= cost(&gone.event);
            self.oldest = gone.event.revision;
        }
    }

    /// Keeps maps for events that were pushed without one; `objects` is the map after the last of them.
    pub(super) fn add_checkpoints(&mut self, objects: &Objects) {
        let mut objects = objects.clone();
        for (index, slot) in self.slots.iter_mut().enumerate().rev() {
            if (self.first + index as u64).is_multiple_of(EVENTS_PER_CHECKPOINT) {
                slot.checkpoint = Some(objects.clone());
            }
            let (key, previous) = undo(&slot.event);
            match previous {
                Some(object) => objects.insert(key, object),
                None => objects.remove(&key),
            };
        }
    }

    pub(super) fn from(&self, position: u64) -> impl Iterator<Item = &Arc<CacheEvent>> {
        let index = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let index = index.min(self.slots.len());
        self.slots.range(index..).map(|slot| &slot.event)
    }

    /// The first position from this one on whose event is after `revision`.
    pub(super) fn pass(&self, position: u64, revision: Revision) -> u64 {
        let passed = self.from(position);
        position + passed.take_while(|it| it.revision <= revision).count() as u64
    }

    /// What stands from a position on, and the revision of its last event.
    pub(super) fn run(&self, position: u64) -> Option<(Run, Revision)> {
        let slots = &self.slots;
        let start = usize::try_from(position.checked_sub(self.first)?).ok()?;
        slots.get(start)?;
        let before = slots[start].shown_bytes - shown_bytes(&slots[start].event);
        let fits = |slot: &Slot| slot.shown_bytes <= before + BYTES_PER_RUN as u64;
        let mut end = slots.len().min(start + EVENTS_PER_RUN);
        if !fits(&slots[end - 1]) {
            end = slots.partition_point(fits).max(start + 1);
        }
        let last = slots[end - 1].event.revision;
        while slots.get(end).is_some_and(|it| it.event.revision == last) {
            end += 1;
        }
        let number = |index: usize| self.first + index as u64;
        let (from, to) = (number(start), number(end));
        Some((Run { from, to }, last))
    }

    /// `None`: some of it is no longer kept.
    pub(super) fn events(&self, run: Run) -> Option<impl Iterator<Item = &Arc<CacheEvent>>> {
        let index = |number: u64| usize::try_from(number.checked_sub(self.first)?).ok();
        let slots = self.slots.range(index(run.from)?..index(run.to)?);
        Some(slots.map(|slot| &slot.event))
    }

    /// The number of the first event after `revision`.
    pub(super) fn position_after(&self, revision: Revision) -> u64 {
        self.first + self.index_after(revision) as u64
    }

    /// The nearest kept map at or behind `revision`, and what is to be put into it, in this order, to undo the
    /// events between. `now` is the map after all events; `revision` has been checked.
    pub(super) fn objects_after(&self, revision: Revision, now: &Objects) -> (Objects, Vec<Undo>) {
        let keep = self.index_after(revision);
        let mut objects = now;
        let mut end = self.slots.len();
        // A map stands with the last event that it contains, so the search begins one earlier.
        for index in keep.saturating_sub(1)..self.slots.len() {
            if let Some(checkpoint) = &self.slots[index].checkpoint {
                objects = checkpoint;
                end = index + 1;
                break;
            }
        }
        let undone = self.slots.range(keep.min(end)..end).rev();
        let steps = undone.map(|slot| undo(&slot.event)).collect();
        (objects.clone(), steps)
    }

    fn index_after(&self, revision: Revision) -> usize {
        self.slots
            .partition_point(|slot| slot.event.revision <= revision)
    }
}

/// What was under a key before an event.
pub(super) type Undo = (Key, Option<Arc<CachedObject>>);

fn undo(event: &CacheEvent) -> Undo {
    let either = event.previous.as_ref().or(event.object.as_ref());
    let key = &either
        .expect("an event has a state before or behind it")
        .key;
    (Arc::clone(key), event.previous.clone())
}

/// What a watcher is shown of an event, about.
fn shown_bytes(event: &CacheEvent) -> u64 {
    let shown = event.object.as_ref().or(event.previous.as_ref());
    shown.map_or(0, |it| it.whole().len() as u64)
}

fn cost(event: &CacheEvent) -> usize {
    let previous = event.previous.as_ref().map_or(0, |it| it.whole().len());
    previous + EVENT_OVERHEAD_BYTES
}
