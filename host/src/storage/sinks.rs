//! The caches that an engine feeds, each with its key prefix.

use std::sync::{Arc, Weak};

use super::{Event, Revision, Sink};

/// Sinks are held weakly: one whose owner is gone (a resource that is no longer served) is forgotten.
#[derive(Default)]
pub(super) struct Sinks(Vec<(Box<str>, Weak<dyn Sink>)>);

impl Sinks {
    pub(super) fn add(&mut self, prefix: &str, sink: &Arc<dyn Sink>) {
        self.0.push((prefix.into(), Arc::downgrade(sink)));
    }

    /// Those that somebody still holds.
    pub(super) fn live(&self) -> Vec<(Box<str>, Arc<dyn Sink>)> {
        let live = self.0.iter();
        live.filter_map(|(prefix, sink)| Some((prefix.clone(), sink.upgrade()?)))
            .collect()
    }

    /// Hands one commit to all whose prefix it touches, and its revision to all.
    pub(super) fn apply(&mut self, events: &[Event], revision: Revision) {
        self.0.retain(|(prefix, sink)| {
            let Some(sink) = sink.upgrade() else {
                return false;
            };
            let mut is_below = events.iter().map(|it| it.key.starts_with(&**prefix));
            if events.is_empty() {
                // Other users of the engine have moved the revision.
            } else if is_below.clone().all(|it| it) {
                sink.apply(events);
            } else if is_below.any(|it| it) {
                let below = events.iter().filter(|it| it.key.starts_with(&**prefix));
                sink.apply(&below.cloned().collect::<Vec<_>>());
            }
            sink.progress(revision);
            true
        });
    }
}
