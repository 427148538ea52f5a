//! How far a store is: one revision for all the caches that it feeds.
//!
//! A commit touches one resource, mostly, and moves the revision of all. Told to each cache, a write would cost more
//! the more resources there are.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::Revision;

/// Everything up to its revision is in all that the store feeds. It never goes back.
#[derive(Debug)]
pub struct SharedRevision {
    revision: AtomicU64,
    /// Wakes [`SharedRevision::wait_for`].
    moved: watch::Sender<()>,
}

impl Default for SharedRevision {
    fn default() -> Self {
        Self::new(Revision(0))
    }
}

impl SharedRevision {
    pub fn new(revision: Revision) -> Self {
        Self {
            revision: AtomicU64::new(revision.0),
            moved: watch::Sender::new(()),
        }
    }

    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Says that what was committed up to `revision` has been fed.
    pub fn reach(&self, revision: Revision) {
        self.revision.fetch_max(revision.0, Ordering::AcqRel);
        self.moved.send_replace(());
    }

    /// Waits until it is at `revision` or later. The caller bounds the wait. Cancel-safe.
    pub async fn wait_for(&self, revision: Revision) {
        let mut moved = self.moved.subscribe();
        // Seen before each look, so that a move after the look wakes again.
        while self.revision() < revision {
            // The sender lives as long as `self`, so there is no error to meet.
            let _ = moved.changed().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wakes_who_waits_for_what_it_reaches() {
        let progress = SharedRevision::new(Revision(3));
        progress.wait_for(Revision(3)).await;
        let mut waiting = Box::pin(progress.wait_for(Revision(5)));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        progress.reach(Revision(4));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        progress.reach(Revision(6));
        assert!(futures_util::poll!(&mut waiting).is_ready());
        drop(waiting);
        progress.reach(Revision(5));
        assert_eq!(progress.revision(), Revision(6), "it never goes back");
    }
}
