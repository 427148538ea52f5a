//! A watch: the state there is, where it is asked for, and then every change, through a selection.
//!
//! ```text
//!   state ──Changes (ADDED)…──▶ InitialEnd ──▶ live: Changes…
//! ```
//! What is waiting for its reader stays in the cache: a watch holds a position, and while it sends the state a
//! snapshot.

use std::sync::Arc;

use super::shared_frames::{Form, Frames, SharedFrames};
use super::{ListOptions, ObjectAt, Selection, parse_version};
use crate::api::RequestContext;
use crate::api::status::{self, Status};
use crate::registry::Store;
use crate::storage::watch_cache::{
    CacheEvent, CachedObject, Expired, Run, Snapshot, WatchEnd, Watcher,
};
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
    /// Changes that another watch has [written](Watch::share) in the same form.
    Written(Frames),
    /// All of the state at this revision has been returned.
    InitialEnd(Revision),
    /// It comes to an object that cannot be read, and does not go on.
    Unreadable(Arc<CachedObject>),
}

/// Why there is no watch.
#[derive(Debug)]
pub enum WatchRefused {
    /// The answer instead.
    Status(Box<Status>),
    /// All there is to say in the stream of a watch that has been granted, as upstream does.
    InStream(Box<Status>),
}

impl From<Box<Status>> for WatchRefused {
    fn from(status: Box<Status>) -> Self {
        Self::Status(status)
    }
}

pub struct Watch {
    form: Arc<Form>,
    /// What is left of the state.
    initial: Option<Initial>,
    watcher: Watcher,
    shared: Arc<SharedFrames>,
    /// Where the changes of the last step come from, if they are not the state's.
    run: Option<Run>,
}

struct Initial {
    snapshot: Snapshot,
    /// The only key that can be selected.
    only: Option<Key>,
    prefix: String,
    /// The first key that was not looked at yet.
    next: String,
    /// Whether the watcher has asked for the state, and thus waits for its end.
    tells_end: bool,
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
        let revision = match version {
            "" => {
                self.refresh(context, &selection).await?;
                Revision(0)
            }
            _ => parse_version(version).map_err(status::unclassified)?,
        };
        let sends_initial = options.send_initial_events;
        if sends_initial == Some(true) {
            let waited = self.wait_for(revision).await;
            waited.map_err(WatchRefused::InStream)?;
        }
        if sends_initial == Some(true) || revision == Revision(0) {
            let (mut snapshot, watcher) = self.cache.watch_from_now();
            self.cache.narrow(&mut snapshot, &selection.terms());
            let initial = Initial::new(self, &selection, snapshot, options);
            let initial = sends_initial.unwrap_or(true).then_some(initial);
            return Ok(self.watching(selection, initial, watcher));
        }
        match self.cache.watch_after(revision) {
            Ok(watcher) => Ok(self.watching(selection, None, watcher)),
            Err(Expired { oldest }) => Err(WatchRefused::InStream(too_old(revision, oldest))),
        }
    }

    fn watching(&self, selection: Selection, initial: Option<Initial>, watcher: Watcher) -> Watch {
        Watch {
            form: Arc::new(Form {
                selection,
                encoding: String::new(),
            }),
            initial,
            watcher,
            shared: Arc::clone(&self.shared_frames),
            run: None,
        }
    }
}

/// What ends a watch that begins, or has remained, before the first change that is known.
pub fn too_old(requested: Revision, oldest: Revision) -> Box<Status> {
    status::expired(format!("too old resource version: {requested} ({oldest})"))
}

impl Watch {
    /// What is written from now on depends on nothing but the changes and `encoding`: it can be shared with those who say
    /// the same.
    pub fn write_as(&mut self, encoding: String) {
        self.form = Arc::new(Form {
            selection: self.form.selection.clone(),
            encoding,
        });
    }

    /// Leaves to others what was made of all changes of the last step.
    pub fn share(&self, frames: &Frames) {
        if let Some(run) = self.run {
            self.shared.put(&self.form, run, frames);
        }
    }

    /// Waits for what comes next. Cancel-safe.
    pub async fn next(&mut self) -> Result<Step, WatchEnd> {
        self.run = None;
        if let Some(initial) = &mut self.initial {
            if let Some(step) = initial.step(&self.form.selection) {
                return Ok(step);
            }
            let (revision, is_told) = (initial.snapshot.revision, initial.tells_end);
            self.initial = None;
            return Ok(match is_told {
                true => Step::InitialEnd(revision),
                false => Step::Changes(Vec::new()),
            });
        }
        let run = self.watcher.next_run().await?;
        if let Some(frames) = self.shared.get(&self.form, run) {
            return Ok(Step::Written(frames));
        }
        let events = self.watcher.events(run)?;
        self.run = Some(run);
        let selection = &self.form.selection;
        let both = events
            .iter()
            .flat_map(|it| it.object.iter().chain(&it.previous));
        let mut unreadable = both.filter(|it| it.problem().is_some() && selection.may_match(it));
        if let Some(unreadable) = unreadable.next() {
            return Ok(Step::Unreadable(Arc::clone(unreadable)));
        }
        let changes = events.iter().filter_map(|it| change(it, selection));
        Ok(Step::Changes(changes.collect()))
    }

    /// Up to where everything has been returned, which a bookmark may tell; `None` before the state has been.
    pub fn revision(&self) -> Option<Revision> {
        self.initial.is_none().then(|| self.watcher.revision())
    }
}

impl Initial {
    fn new(
        store: &Store,
        selection: &Selection,
        snapshot: Snapshot,
        options: &ListOptions,
    ) -> Self {
        let prefix = selection.prefix(store);
        Self {
            snapshot,
            only: selection.only_key(store),
            next: prefix.clone(),
            prefix,
            tells_end: options.send_initial_events == Some(true),
        }
    }

    /// The next part of the state; `None` when there is no more.
    fn step(&mut self, selection: &Selection) -> Option<Step> {
        let added = |object: &Arc<CachedObject>| Change {
            kind: ChangeKind::Added,
            at: object.into(),
        };
        // One key at most: no walk through all the others.
        if let Some(key) = self.only.take() {
            // Behind all that begin with the prefix.
            self.next = "\u{10ffff}".into();
            let object = self.snapshot.get(&key);
            return Some(match object.filter(|it| selection.may_match(it)) {
                Some(object) if object.problem().is_some() => Step::Unreadable(Arc::clone(object)),
                object => Step::Changes(object.map(added).into_iter().collect()),
            });
        }
        let mut last = None;
        let mut changes = Vec::new();
        for object in self
            .snapshot
            .range(&self.prefix, &self.next)
            .take(INITIAL_BATCH)
        {
            last = Some(&object.key);
            if object.problem().is_some() && selection.may_match(object) {
                return Some(Step::Unreadable(Arc::clone(object)));
            }
            if selection.matches(object) {
                changes.push(added(object));
            }
        }
        self.next = format!("{}\0", last?);
        Some(Step::Changes(changes))
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
