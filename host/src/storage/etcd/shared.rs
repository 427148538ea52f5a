//! What the engine's tasks and its callers share: the sinks, the recent changes, and what is known of the connection.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};

use super::client::Client;
use super::failure::{Effect, Failure};
use super::meta::{self, Found};
use super::record::{Mark, decode};
use super::{HISTORY_MAX_BYTES, HISTORY_MAX_EVENTS, proto};
use crate::storage::sinks::Sinks;
use crate::storage::{Event, Item, Key, Record, Revision, SharedRevision, Sink};

pub(super) struct Shared {
    pub(super) client: Client,
    /// What all keys in etcd begin with; ends in `/`.
    pub(super) prefix: String,
    state: Mutex<State>,
    /// What the sinks are at.
    progress: Arc<SharedRevision>,
    /// The latest revision that somebody waits for.
    wanted: AtomicU64,
    /// Wakes the feed, so that it asks how far it is.
    pub(super) hurry: Notify,
    /// Whether the feed follows etcd, which it has seen then to be the one that the sinks are fed from. Told also when
    /// the reason changes why it does not.
    is_following: watch::Sender<bool>,
}

pub(super) struct State {
    pub(super) found: Found,
    sinks: Sinks,
    /// Oldest first; all changes after `oldest` are in it.
    history: VecDeque<Event>,
    history_bytes: usize,
    oldest: Revision,
    outcomes: HashMap<Mark, Outcome>,
    /// The sinks are being loaded anew: none may be added meanwhile.
    pub(super) is_reloading: bool,
    feed_trouble: Option<Trouble>,
    write_trouble: Option<String>,
}

/// What became of a transaction whose answer may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The feed has not seen it.
    Awaited,
    Committed(Revision),
    /// The feed has lost changes: it may be one of them.
    Lost,
}

#[derive(Debug, Clone)]
struct Trouble {
    text: String,
    /// Writes would go wrong, and what is read be of another time.
    is_refusal: bool,
}

/// The feed cannot go on from where it is: everything is to be read again.
#[derive(Debug)]
pub(super) struct Lost;

impl Shared {
    /// `after` is the etcd revision after which the feed begins.
    pub(super) fn new(client: Client, prefix: String, found: Found, after: i64) -> Self {
        let progress = Arc::new(SharedRevision::default());
        let mut state = State {
            found,
            sinks: Sinks::new(Arc::clone(&progress)),
            history: VecDeque::new(),
            history_bytes: 0,
            oldest: Revision(0),
            outcomes: HashMap::new(),
            is_reloading: false,
            feed_trouble: None,
            write_trouble: None,
        };
        state.oldest = state.public(after);
        progress.reach(state.oldest);
        Self {
            client,
            prefix,
            state: Mutex::new(state),
            progress,
            wanted: AtomicU64::new(0),
            hurry: Notify::new(),
            is_following: watch::Sender::new(false),
        }
    }

    // What may panic in it are sinks, after all else has changed.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn revision(&self) -> Revision {
        self.progress.revision()
    }

    /// A key as etcd has it.
    pub(super) fn key(&self, key: &str) -> bytes::Bytes {
        format!("{}{key}", self.prefix).into()
    }

    /// What etcd has, as an item; `None` where the key is none of ours.
    pub(super) fn item(&self, kv: proto::KeyValue) -> Option<Item> {
        let key = self.own_key(&kv.key)?;
        Some(Item {
            revision: self.state().public(kv.mod_revision),
            record: decode(&key, &kv.value),
            key,
        })
    }

    fn own_key(&self, key: &[u8]) -> Option<Key> {
        let key = std::str::from_utf8(key).ok();
        let Some(key) = key.and_then(|it| it.strip_prefix(&self.prefix)) else {
            tracing::error!(
                key = %String::from_utf8_lossy(key.map_or(b"", str::as_bytes)),
                "a key in etcd is no text"
            );
            return None;
        };
        Some(key.into())
    }

    /// Waits until the sinks are at `revision`. Where `is_urgent`, the feed asks at once how far it is: a revision
    /// of other users of etcd has no event here.
    pub(super) async fn wait_for(
        &self,
        revision: Revision,
        is_urgent: bool,
        deadline: Instant,
    ) -> bool {
        if self.revision() >= revision {
            return true;
        }
        self.wanted.fetch_max(revision.0, Ordering::AcqRel);
        if is_urgent {
            self.hurry.notify_one();
        }
        let reached = self.progress.wait_for(revision);
        timeout_at(deadline, reached).await.is_ok()
    }

    /// Waits until the feed follows etcd: one that was restored meanwhile must not be written, nor looked at to learn
    /// what became of a write.
    pub(super) async fn wait_followed(&self, deadline: Instant) -> Result<(), Failure> {
        let mut following = self.is_following.subscribe();
        loop {
            if *following.borrow_and_update() {
                return Ok(());
            }
            if let Some(why) = self.refusal() {
                return Err(Failure::new(Effect::Refused, why));
            }
            if timeout_at(deadline, following.changed()).await.is_err() {
                let why = self.trouble();
                let why = why.unwrap_or_else(|| "etcd is being looked for: try again".into());
                return Err(Failure::new(Effect::NotDone, why));
            }
        }
    }

    pub(super) fn set_following(&self, is_following: bool) {
        self.is_following.send_replace(is_following);
    }

    /// The revision of an answer to a question that was asked when the sinks were at `seen`.
    pub(super) fn answered(
        &self,
        seen: Revision,
        header: Option<&proto::ResponseHeader>,
    ) -> Result<Revision, Failure> {
        let now = self.state().public(header.map_or(0, |it| it.revision));
        if now < seen {
            return Err(Failure::went_back(seen, now));
        }
        match self.refusal() {
            Some(why) => Err(Failure::new(Effect::Refused, why)),
            None => Ok(now),
        }
    }

    /// Whether somebody waits for what the feed has not reached.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > self.revision().0
    }

    /// One revision's changes, in order.
    pub(super) fn deliver(&self, at: i64, events: Vec<proto::Event>) -> Result<(), Lost> {
        let mut state = self.state();
        let revision = state.public(at);
        if revision <= self.revision() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(events.len());
        for event in events {
            let Some(kv) = &event.kv else { continue };
            if !event.is_delete() {
                state.note_outcome(&kv.value, revision);
            }
            let Some(key) = self.own_key(&kv.key) else {
                continue;
            };
            if &*key == meta::STORE && kv.mod_revision != state.found.mod_revision {
                return Err(Lost);
            }
            if !key.starts_with(meta::PREFIX) {
                changes.push(state.change(key, revision, &event)?);
            }
        }
        state.remember(&changes);
        state.sinks.apply(&changes, revision);
        Ok(())
    }

    /// The feed is at this etcd revision, without changes.
    pub(super) fn progress(&self, at: i64) {
        let state = self.state();
        let revision = state.public(at);
        if revision > self.revision() {
            state.sinks.apply(&[], revision);
        }
    }

    /// Begins after this etcd revision, where no sink has seen anything before it.
    pub(super) fn begin_after(&self, at: i64) -> bool {
        let mut state = self.state();
        let has_sinks = !state.sinks.live().is_empty();
        if !has_sinks {
            state.begin_after(at);
            self.progress.reach(state.oldest);
        }
        !has_sinks
    }

    /// The changes up to here are not known. Returns the sinks that have to be loaded anew.
    pub(super) fn begin_reload(&self) -> Vec<(Box<str>, Arc<dyn Sink>)> {
        let mut state = self.state();
        state.is_reloading = true;
        state.sinks.live()
    }

    /// All sinks are at what was found, or nothing changed.
    pub(super) fn end_reload(&self, reloaded: Option<Found>) {
        let mut state = self.state();
        state.is_reloading = false;
        let Some(found) = reloaded else { return };
        state.found = found;
        state.begin_after(found.revision);
        for outcome in state.outcomes.values_mut() {
            if *outcome == Outcome::Awaited {
                *outcome = Outcome::Lost;
            }
        }
        self.progress.reach(state.oldest);
    }

    /// What keeps the feed from going on; `None` while it does.
    pub(super) fn set_feed_trouble(&self, trouble: Option<&Failure>) {
        let trouble = trouble.map(|it| Trouble {
            text: it.text.clone(),
            is_refusal: it.effect == Effect::Refused,
        });
        let before = std::mem::replace(&mut self.state().feed_trouble, trouble.clone());
        if trouble.is_some() {
            // Who waits has a reason to stop.
            self.is_following.send_modify(|_| {});
        }
        match (before, trouble) {
            (None, Some(it)) => tracing::error!("the store stands still: {}", it.text),
            (Some(before), Some(it)) if before.text != it.text => {
                tracing::error!("the store stands still: {}", it.text);
            }
            (Some(_), None) => tracing::info!("the store goes on"),
            _ => {}
        }
    }

    /// What keeps writes from being taken; `None` once one was.
    pub(super) fn set_write_trouble(&self, trouble: Option<String>) {
        let mut state = self.state();
        match (&state.write_trouble, &trouble) {
            (None, Some(text)) => tracing::error!("the store is read-only: {text}"),
            (Some(_), None) => tracing::info!("the store takes writes again"),
            _ => {}
        }
        state.write_trouble = trouble;
    }

    pub(super) fn trouble(&self) -> Option<String> {
        let state = self.state();
        let feed = state.feed_trouble.as_ref().map(|it| it.text.clone());
        feed.or_else(|| state.write_trouble.clone())
    }

    pub(super) fn has_write_trouble(&self) -> bool {
        self.state().write_trouble.is_some()
    }

    /// Why etcd may neither be written nor believed.
    pub(super) fn refusal(&self) -> Option<String> {
        let state = self.state();
        let trouble = state.feed_trouble.as_ref();
        let refusing = trouble.filter(|it| it.is_refusal);
        refusing.map(|it| it.text.clone())
    }
}

impl State {
    pub(super) fn public(&self, etcd: i64) -> Revision {
        self.found.public(etcd)
    }

    /// `None` for a revision that is none of this store's.
    pub(super) fn etcd(&self, revision: Revision) -> Option<i64> {
        let etcd = revision.0.checked_sub(self.found.meta.offset)?;
        i64::try_from(etcd).ok().filter(|it| *it > 0)
    }

    /// Key and etcd revision (`None` for a delete) of what sinks were told last, as far as that is remembered.
    pub(super) fn last_change(&self) -> Option<(Key, Option<i64>)> {
        let last = self.history.back()?;
        let is_written = last.record.is_some();
        let written_at = self.etcd(last.revision).filter(|_| is_written);
        Some((Arc::clone(&last.key), written_at))
    }

    fn begin_after(&mut self, at: i64) {
        self.history.clear();
        self.history_bytes = 0;
        self.oldest = self.public(at);
    }

    fn change(&self, key: Key, revision: Revision, event: &proto::Event) -> Result<Event, Lost> {
        let kv = event.kv.clone().unwrap_or_default();
        // Copied: a part of a message would keep all of it.
        let decoded = |kv: &proto::KeyValue| {
            let record = decode(&key, &kv.value);
            Record {
                bytes: bytes::Bytes::copy_from_slice(&record.bytes),
                ..record
            }
        };
        let previous = match &event.previous {
            Some(before) => Some((self.public(before.mod_revision), decoded(before))),
            // It was compacted before it could be sent along.
            None if event.is_delete() || kv.version > 1 => return Err(Lost),
            None => None,
        };
        let record = (!event.is_delete()).then(|| decoded(&kv));
        Ok(Event {
            key,
            revision,
            record,
            previous,
        })
    }

    fn remember(&mut self, changes: &[Event]) {
        self.history_bytes += changes.iter().map(bytes_of).sum::<usize>();
        self.history.extend(changes.iter().cloned());
        while self.history.len() > HISTORY_MAX_EVENTS || self.history_bytes > HISTORY_MAX_BYTES {
            let Some(gone) = self.history.pop_front() else {
                break;
            };
            self.history_bytes -= bytes_of(&gone);
            self.oldest = gone.revision;
        }
        // A revision is known whole or not at all.
        while let Some(rest) = self.history.pop_front_if(|it| it.revision <= self.oldest) {
            self.history_bytes -= bytes_of(&rest);
        }
    }

    /// The changes below `prefix` after `oldest`, which is returned, up to `revision`.
    pub(super) fn history(&self, prefix: &str, revision: Revision) -> (Vec<Event>, Revision) {
        let known = self.history.iter();
        let known = known.take_while(|it| it.revision <= revision);
        let known = known.filter(|it| it.key.starts_with(prefix));
        (known.cloned().collect(), self.oldest)
    }

    /// Hands a sink that was loaded at `revision` what came since then, and all that comes from now on.
    pub(super) fn add(
        &mut self,
        prefix: &str,
        sink: &Arc<dyn Sink>,
        revision: Revision,
    ) -> Result<(), Lost> {
        if self.is_reloading || self.oldest > revision {
            return Err(Lost);
        }
        let from = self.history.partition_point(|it| it.revision <= revision);
        let since: Vec<Event> = self
            .history
            .range(from..)
            .filter(|it| it.key.starts_with(prefix))
            .cloned()
            .collect();
        for commit in since.chunk_by(|a, b| a.revision == b.revision) {
            sink.apply(commit);
        }
        self.sinks.add(prefix, sink);
        Ok(())
    }

    pub(super) fn await_outcome(&mut self, mark: Mark) {
        self.outcomes.insert(mark, Outcome::Awaited);
    }

    pub(super) fn outcome(&self, mark: Mark) -> Outcome {
        self.outcomes.get(&mark).copied().unwrap_or(Outcome::Lost)
    }

    pub(super) fn forget_outcome(&mut self, mark: Mark) {
        self.outcomes.remove(&mark);
    }

    fn note_outcome(&mut self, value: &[u8], revision: Revision) {
        if self.outcomes.is_empty() {
            return;
        }
        if let Some(outcome) = Mark::of(value).and_then(|it| self.outcomes.get_mut(&it)) {
            *outcome = Outcome::Committed(revision);
        }
    }
}

fn bytes_of(event: &Event) -> usize {
    let previous = event.previous.as_ref().map(|(_, record)| record);
    let records = event.record.iter().chain(previous);
    event.key.len() + records.map(|it: &Record| it.bytes.len()).sum::<usize>()
}
