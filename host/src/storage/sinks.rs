//! The caches that an engine feeds, each with its key prefix.

use std::sync::{Arc, Weak};

use super::shared_revision::SharedRevision;
use super::{Event, Revision, Sink};

/// Sinks are held weakly: one whose owner is gone (a resource that is no longer served) is forgotten.
pub(super) struct Sinks {
    fed: Vec<(Box<str>, Weak<dyn Sink>)>,
    /// What all of them are at.
    progress: Arc<SharedRevision>,
}

impl Sinks {
    pub(super) fn new(progress: Arc<SharedRevision>) -> Self {
        Self {
            fed: Vec::new(),
            progress,
        }
    }

    /// Has been given all that was committed so far.
    pub(super) fn add(&mut self, prefix: &str, sink: &Arc<dyn Sink>) {
        self.fed.retain(|(_, it)| it.strong_count() > 0);
        sink.follow(&self.progress);
        self.fed.push((prefix.into(), Arc::downgrade(sink)));
    }

    /// Those that somebody still holds.
    pub(super) fn live(&self) -> Vec<(Box<str>, Arc<dyn Sink>)> {
        let live = self.fed.iter();
        live.filter_map(|(prefix, sink)| Some((prefix.clone(), sink.upgrade()?)))
            .collect()
    }

    /// Hands one commit to all whose prefix it touches, and moves all to its revision.
    pub(super) fn apply(&self, events: &[Event], revision: Revision) {
        for (prefix, sink) in &self.fed {
            let mut is_below = events.iter().map(|it| it.key.starts_with(&**prefix));
            // Hundreds of resources, of which a commit touches one.
            if !is_below.clone().any(|it| it) {
                continue;
            }
            let Some(sink) = sink.upgrade() else {
                continue;
            };
            if is_below.all(|it| it) {
                sink.apply(events);
            } else {
                let below = events.iter().filter(|it| it.key.starts_with(&**prefix));
                sink.apply(&below.cloned().collect::<Vec<_>>());
            }
        }
        self.progress.reach(revision);
    }
}
