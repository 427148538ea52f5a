//! A watch: the state there is, where it is asked for, and then every change, through a selection.
//!
//! ```text
//!   state ──Changes (ADDED)…──▶ InitialEnd ──▶ live: Changes…
//! ```
//! What is waiting for its reader stays in the cache: a watch holds a position, and while it sends the state a
//! snapshot.

use std::sync::Arc;

use super::{ListOptions, ObjectAt, Selection, parse_version};
use crate::api::RequestContext;
use crate::api::status::{self, Status};
use crate::registry::Store;
use crate::storage::watch_cache::{CacheEvent, Expired, Snapshot, WatchEnd, Watcher};
use crate::storage::{Key, Revision};

/// Objects of the state that are looked at in one step.
const INITIAL_BATCH: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

#[derive(Debug, Clone)]
pub struct Change {
    pub kind: ChangeKind,
    /// The new state, or the last one that was selected with the revision at which that ended.
    pub at: ObjectAt,
}

/// What a watch has next.
#[derive(Debug)]
pub enum Step {
    /// Perhaps none, where nothing of what happened is selected.
    Changes(Vec<Change>),
    /// All of the state at this revision has been returned.
    InitialEnd(Revision),
}

/// Why there is no watch.
#[derive(Debug)]
pub enum WatchRefused {
    /// The answer instead.
    Status(Box<Status>),
    /// The changes after `requested` are no longer known: told in the stream, as upstream does.
    Expired {
        requested: Revision,
        oldest: Revision,
    },
}

impl From<Box<Status>> for WatchRefused {
    fn from(status: Box<Status>) -> Self {
        Self::Status(status)
    }
}

pub struct Watch {
    selection: Selection,
    /// What is left of the state.
    initial: Option<Initial>,
    watcher: Watcher,
}

struct Initial {
    snapshot: Snapshot,
    prefix: String,
    /// The first key that was not looked at yet.
    next: Key,
}

impl Store {
    /// Watches what `options` selects: from the state on (`sendInitialEvents`, and without a resourceVersion),
    /// from now on, or all that changed after a revision.
    pub async fn watch(
        &self,
        context: &RequestContext,
        options: &ListOptions,
    ) -> Result<Watch, WatchRefused> {
        self.check_loaded()?;
        let selection = options.selection.clone();
        let version = options.resource_version.as_str();
        let is_any = matches!(version, "" | "0");
        let sends_initial = options
            .send_initial_events
            .unwrap_or(is_any && options.version_match.is_none());
        let revision = match version {
            "" => {
                self.refresh(context, &selection).await?;
                Revision(0)
            }
            _ => parse_version(version).map_err(status::unclassified)?,
        };
        if sends_initial {
            self.wait_for(revision).await?;
        }
        if sends_initial || is_any {
            let (snapshot, watcher) = self.cache.watch_from_now();
            let prefix = selection.prefix(self);
            let initial = sends_initial.then(|| Initial {
                snapshot,
                next: prefix.as_str().into(),
                prefix,
            });
            return Ok(Watch {
                selection,
                initial,
                watcher,
            });
        }
        match self.cache.watch_after(revision) {
            Ok(watcher) => Ok(Watch {
                selection,
                initial: None,
                watcher,
            }),
            Err(Expired { oldest }) => Err(WatchRefused::Expired {
                requested: revision,
                oldest,
            }),
        }
    }
}

impl Watch {
    /// Waits for what comes next. Cancel-safe.
    pub async fn next(&mut self) -> Result<Step, WatchEnd> {
        if let Some(initial) = &mut self.initial {
            let changes = initial.changes(&self.selection);
            if let Some(changes) = changes {
                return Ok(Step::Changes(changes));
            }
            let revision = initial.snapshot.revision;
            self.initial = None;
            return Ok(Step::InitialEnd(revision));
        }
        let events = self.watcher.next().await?;
        let selection = &self.selection;
        let changes = events.iter().filter_map(|it| change(it, selection));
        Ok(Step::Changes(changes.collect()))
    }

    /// Up to where everything has been returned, which a bookmark may tell; `None` before the state has been.
    pub fn revision(&self) -> Option<Revision> {
        self.initial.is_none().then(|| self.watcher.revision())
    }
}

impl Initial {
    /// The next part of the state; `None` when there is no more.
    fn changes(&mut self, selection: &Selection) -> Option<Vec<Change>> {
        let mut last = None;
        let mut changes = Vec::new();
        for object in self
            .snapshot
            .range(&self.prefix, &self.next)
            .take(INITIAL_BATCH)
        {
            last = Some(&object.key);
            if selection.matches(object) {
                changes.push(Change {
                    kind: ChangeKind::Added,
                    at: object.into(),
                });
            }
        }
        self.next = format!("{}\0", last?).into();
        Some(changes)
    }
}

/// What a change is to somebody who sees only what is selected (X4).
fn change(event: &CacheEvent, selection: &Selection) -> Option<Change> {
    let selected = |it: &&Arc<_>| selection.matches(it);
    let object = event.object.as_ref().filter(selected);
    let previous = event.previous.as_ref().filter(selected);
    let (kind, object) = match (object, previous) {
        (Some(object), None) => (ChangeKind::Added, object),
        (Some(object), Some(_)) => (ChangeKind::Modified, object),
        (None, Some(previous)) => (ChangeKind::Deleted, previous),
        (None, None) => return None,
    };
    let at = ObjectAt {
        object: Arc::clone(object),
        revision: event.revision,
    };
    Some(Change { kind, at })
}
