//! A watcher: a position in the window.

use std::sync::Arc;

use tokio::sync::watch;

use super::{CacheEvent, Run, WatchCache};
use crate::storage::Revision;

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
    /// Waits for [`Watcher::next_run`], and returns its events in order. Cancel-safe.
    pub async fn next(&mut self) -> Result<Vec<Arc<CacheEvent>>, WatchEnd> {
        let run = self.next_run().await?;
        self.events(run)
    }

    /// Waits until there is something behind its position, and goes on behind that: all of it, but at most a few hundred
    /// events or 256 KiB, and whole commits. Cancel-safe.
    pub async fn next_run(&mut self) -> Result<Run, WatchEnd> {
        loop {
            // Seen before the look, so that a change after the look wakes again.
            self.wake.borrow_and_update();
            if let Some(run) = self.step()? {
                return Ok(run);
            }
            if self.wake.changed().await.is_err() {
                return Err(WatchEnd::Closed);
            }
        }
    }

    /// The events of a run, in order.
    ///
    /// # Errors
    /// Some of them are no longer kept.
    pub fn events(&self, run: Run) -> Result<Vec<Arc<CacheEvent>>, WatchEnd> {
        let state = self.cache.read();
        let oldest = state.ring.oldest();
        let events = state.ring.events(run);
        let events = events.ok_or(WatchEnd::Expired { oldest })?;
        Ok(events.cloned().collect())
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

    fn step(&mut self) -> Result<Option<Run>, WatchEnd> {
        let state = self.cache.read();
        if state.is_closed {
            return Err(WatchEnd::Closed);
        }
        if self.position < state.ring.first() {
            let oldest = state.ring.oldest();
            return Err(WatchEnd::Expired { oldest });
        }
        self.position = state.ring.pass(self.position, self.revision);
        let Some((run, revision)) = state.ring.run(self.position) else {
            return Ok(None);
        };
        self.position = run.to;
        self.revision = revision;
        Ok(Some(run))
    }
}
