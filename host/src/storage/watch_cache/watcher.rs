//! A watcher: a position in the window.

use std::sync::Arc;

use tokio::sync::watch;

use super::{CacheEvent, WatchCache};
use crate::storage::Revision;

/// Most events that one [`Watcher::next`] returns, but for a commit with more: those stay together.
const EVENTS_PER_READ: usize = 256;

/// Why a watcher gets no more events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchEnd {
    /// It read too slowly: what follows its position is no longer kept. 410 to the client.
    Expired { oldest: Revision },
    /// The cache is gone: the resource is no longer served, or the server stops.
    Closed,
}

/// A position in the cache's window of changes. It copies nothing: a slow watcher holds no memory.
#[derive(Debug)]
pub struct Watcher {
    pub(super) cache: Arc<WatchCache>,
    /// Number of the first event that was not returned yet.
    pub(super) position: u64,
    /// Events up to here are not for this watcher; grows with what was returned.
    pub(super) revision: Revision,
    pub(super) wake: watch::Receiver<()>,
}

impl Watcher {
    /// Waits until there is something behind its position, then returns all of it (at most a few hundred),
    /// in order. Cancel-safe.
    pub async fn next(&mut self) -> Result<Vec<Arc<CacheEvent>>, WatchEnd> {
        loop {
            // Seen before the look, so that a change after the look wakes again.
            self.wake.borrow_and_update();
            let events = self.read()?;
            if !events.is_empty() {
                return Ok(events);
            }
            if self.wake.changed().await.is_err() {
                return Err(WatchEnd::Closed);
            }
        }
    }

    /// The revision up to which `next` has returned everything: what a bookmark may say.
    pub fn revision(&self) -> Revision {
        let state = self.cache.read();
        if self.position < state.ring.first() {
            return self.revision;
        }
        // What is next was not returned; everything before it was, as commits are not torn.
        let next = state.ring.from(self.position).next();
        let complete = next.map_or(state.revision(), |it| Revision(it.revision.0 - 1));
        self.revision.max(complete)
    }

    fn read(&mut self) -> Result<Vec<Arc<CacheEvent>>, WatchEnd> {
        let state = self.cache.read();
        if state.is_closed {
            return Err(WatchEnd::Closed);
        }
        if self.position < state.ring.first() {
            let oldest = state.ring.oldest();
            return Err(WatchEnd::Expired { oldest });
        }
        let mut events: Vec<Arc<CacheEvent>> = Vec::new();
        for event in state.ring.from(self.position) {
            let is_full = events.len() >= EVENTS_PER_READ;
            if is_full
                && events
                    .last()
                    .is_some_and(|it| it.revision != event.revision)
            {
                break;
            }
            self.position += 1;
            if event.revision > self.revision {
                events.push(Arc::clone(event));
            }
        }
        if let Some(last) = events.last() {
            self.revision = last.revision;
        }
        Ok(events)
    }
}
