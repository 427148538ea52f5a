//! The order of all changes, as the watcher was sent them, and the states between them.

use std::collections::BTreeMap;

use super::{Change, Event, Items, Value};

/// What is under a key from a revision on.
type State = Option<Value>;

/// A state of a key and the revisions at which it is that: `from` to `to`, without `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    /// `None`: until the end.
    pub(super) to: Option<u64>,
    pub(super) state: State,
}

impl Span {
    /// The first revision in it that is not before `low`.
    pub(super) fn first_from(&self, low: u64) -> Option<u64> {
        let first = self.from.max(low);
        self.to.is_none_or(|to| first < to).then_some(first)
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    /// By key, in the order of revisions; each begins with nothing at 0.
    keys: BTreeMap<String, Vec<Span>>,
    /// Each value's key and the revision that wrote it; the first one, where there are several.
    pub(super) values: BTreeMap<Value, (String, u64)>,
    /// What is wrong with the events themselves.
    pub(super) problems: Vec<String>,
}

impl Log {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut log = Self::default();
        let mut last = 0;
        for event in events {
            if event.revision <= last {
                log.problems.push(format!(
                    "reused: the watcher was sent {event:?} after revision {last}"
                ));
            }
            last = last.max(event.revision);
            log.add(event);
        }
        log
    }

    fn add(&mut self, event: &Event) {
        let Event {
            revision,
            key,
            change,
        } = event;
        let spans = self
            .keys
            .entry(key.clone())
            .or_insert_with(|| vec![Span::absent(0)]);
        let before = spans.last_mut().expect("each begins with nothing");
        let is_there = before.state.is_some();
        let state = match change {
            Change::Added(value) | Change::Modified(value) => Some(*value),
            Change::Deleted => None,
        };
        if is_there == matches!(change, Change::Added(_)) {
            let before = before.state;
            self.problems.push(format!(
                "missed: {key} was {before:?} when the watcher was sent {change:?} at {revision}"
            ));
        }
        before.to = Some(*revision);
        spans.push(Span {
            from: *revision,
            to: None,
            state,
        });
        if let Some(value) = state
            && let Some((_, first)) = self.values.get(&value)
        {
            self.problems.push(format!(
                "twice: {key}={value} was written at {first} and at {revision}"
            ));
        } else if let Some(value) = state {
            self.values.insert(value, (key.clone(), *revision));
        }
    }

    /// All states of the key that are not over at `low`, in order.
    pub(super) fn spans_from(&self, key: &str, low: u64) -> Vec<Span> {
        let Some(spans) = self.keys.get(key) else {
            return vec![Span::absent(0)];
        };
        let first = spans.partition_point(|it| it.to.is_some_and(|to| to <= low));
        spans[first..].to_vec()
    }

    /// The state that `revision` wrote.
    pub(super) fn span_at(&self, key: &str, revision: u64) -> Option<Span> {
        let spans = self.keys.get(key)?;
        let at = spans.binary_search_by_key(&revision, |it| it.from).ok()?;
        Some(spans[at])
    }

    /// The state that the one of `revision` came after.
    pub(super) fn span_before(&self, key: &str, revision: u64) -> Option<Span> {
        let spans = self.keys.get(key)?;
        let at = spans.partition_point(|it| it.from < revision);
        spans.get(at.checked_sub(1)?).copied()
    }

    /// All there is at a revision.
    pub(super) fn items_at(&self, revision: u64) -> Items {
        let mut items = Items::new();
        for (key, spans) in &self.keys {
            let at = spans.partition_point(|it| it.from <= revision);
            let span = at.checked_sub(1).map(|it| spans[it]);
            if let Some((from, value)) = span.and_then(|it| Some((it.from, it.state?))) {
                items.insert(key.clone(), (from, value));
            }
        }
        items
    }

    /// All that was deleted: key, the revision that wrote it, the one that deleted it.
    pub(super) fn deletions(&self) -> impl Iterator<Item = (&str, u64, u64)> {
        self.keys.iter().flat_map(|(key, spans)| {
            let pairs = spans.windows(2);
            let gone = pairs.filter(|it| it[0].state.is_some() && it[1].state.is_none());
            gone.map(move |it| (key.as_str(), it[0].from, it[1].from))
        })
    }
}

impl Span {
    fn absent(from: u64) -> Self {
        Self {
            from,
            to: None,
            state: None,
        }
    }
}
