//! The judge: is there one order of all operations that explains every answer?
//!
//! Each operation gets the earliest revision at which it can have happened: writes their own, reads and refusals the
//! first at which the state was what they were told. Nothing may happen before what was answered before it was asked;
//! a write must come after it. If even the earliest revisions break that, no others would do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::log::{Log, Span};
use super::{Action, History, Operation, Outcome};

/// What must not be, one line each: it begins with the kind of fault, one of `lost`, `stale`, `reused`, `twice`,
/// `missed`, `invented`, `unconditional` and `refused`.
#[must_use]
pub fn judge(history: &History) -> Vec<String> {
    let mut judge = Judge {
        log: Log::of(&history.events),
        verdict: Vec::new(),
    };
    judge.verdict.append(&mut judge.log.problems);
    judge.acknowledged_once(&history.operations);
    judge.explained(&history.operations);
    judge.ordered(&history.operations);
    judge.verdict
}

struct Judge {
    log: Log,
    verdict: Vec<String>,
}

impl Judge {
    /// No two answers claim the same revision or the same deletion.
    fn acknowledged_once(&mut self, operations: &[Operation]) {
        let mut written: BTreeMap<u64, &Action> = BTreeMap::new();
        let mut deleted: BTreeMap<(&str, u64), usize> = BTreeMap::new();
        for operation in operations {
            match (&operation.action, &operation.outcome) {
                (action, Outcome::Written { revision }) => {
                    if let Some(other) = written.insert(*revision, action) {
                        self.verdict
                            .push(format!("reused: {revision} is {other:?} and {action:?}"));
                    }
                }
                (Action::Delete { key, of }, Outcome::Deleted) => {
                    *deleted.entry((key, *of)).or_default() += 1;
                }
                _ => {}
            }
        }
        for ((key, of), times) in deleted.into_iter().filter(|it| it.1 > 1) {
            self.verdict.push(format!(
                "twice: {key} of {of} was deleted for {times} clients"
            ));
        }
    }

    /// Every value was asked for, and was not refused.
    fn explained(&mut self, operations: &[Operation]) {
        let by_value: BTreeMap<u64, &Operation> = operations
            .iter()
            .filter_map(|it| Some((it.action.value()?, it)))
            .collect();
        for (value, (key, revision)) in &self.log.values {
            let problem = match by_value.get(value) {
                Some(it) if it.action.key() != Some(key) => "invented",
                Some(it) if matches!(it.outcome, Outcome::Conflict | Outcome::NotFound) => {
                    "refused"
                }
                Some(_) => continue,
                None => "invented",
            };
            self.verdict.push(format!(
                "{problem}: {key}={value} is there since {revision}"
            ));
        }
    }

    /// Nothing happens before what was answered before it was asked.
    fn ordered(&mut self, operations: &[Operation]) {
        let mut in_order: Vec<&Operation> = operations.iter().collect();
        in_order.sort_unstable_by_key(|it| it.asked);
        // Answers that are still to come, the next first, with their revisions.
        let mut answers: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
        let mut low = 0;
        let mut deleted: BTreeSet<(&str, u64)> = BTreeSet::new();
        for operation in in_order {
            while let Some(Reverse((answered, revision))) = answers.peek().copied() {
                if answered > operation.asked {
                    break;
                }
                low = low.max(revision);
                answers.pop();
            }
            if let Action::Delete { key, of } = &operation.action
                && self.may_have_deleted(operation, low)
            {
                deleted.insert((key, *of));
            }
            match self.revision(operation, low) {
                Ok(Some(revision)) => {
                    if operation.outcome != Outcome::Unknown {
                        answers.push(Reverse((operation.answered, revision)));
                    }
                }
                Ok(None) => {}
                Err(problem) => self.verdict.push(problem),
            }
        }
        let gone = self.log.deletions();
        let invented = gone.filter(|(key, of, _)| !deleted.contains(&(*key, *of)));
        let invented: Vec<_> = invented
            .map(|(key, of, at)| format!("invented: {key} of {of} was deleted at {at}"))
            .collect();
        self.verdict.extend(invented);
    }

    /// Whether it explains a deletion: one that nobody knows of only where that came after it was asked for.
    fn may_have_deleted(&self, operation: &Operation, low: u64) -> bool {
        match (&operation.action, &operation.outcome) {
            (Action::Delete { .. }, Outcome::Deleted) => true,
            (Action::Delete { key, of }, Outcome::Unknown) => {
                let gone = self.log.span_at(key, *of).and_then(|it| it.to);
                gone.is_some_and(|at| at > low)
            }
            _ => false,
        }
    }

    /// The earliest revision at which it can have happened, `low` or later; `None` where it did not.
    fn revision(&self, operation: &Operation, low: u64) -> Result<Option<u64>, String> {
        let Operation {
            action, outcome, ..
        } = operation;
        match (action, outcome) {
            (Action::Get { .. } | Action::List, Outcome::Unknown) => Ok(None),
            (_, Outcome::Unknown) => self.unknown(action, low),
            (_, Outcome::Written { revision }) => self.written(action, *revision, low).map(Some),
            (Action::Delete { key, of }, Outcome::Deleted) => {
                let span = self.log.span_at(key, *of);
                match span
                    .and_then(|it| it.to)
                    .filter(|to| self.is_absent_at(key, *to))
                {
                    Some(at) => after(action, at, low).map(Some),
                    None => Err(format!(
                        "lost: {action:?} was acknowledged, it is not deleted"
                    )),
                }
            }
            (Action::Get { key }, Outcome::Found { revision, value }) => {
                let span = self.log.span_at(key, *revision);
                let span = span.filter(|it| it.state == Some(*value)).ok_or_else(|| {
                    format!(
                        "missed: {key}={value} of {revision} was read, the watcher was not sent it"
                    )
                })?;
                span.first_from(low).map(Some).ok_or_else(|| {
                    format!(
                        "stale: {key}={value} of {revision} was read when {low} was known: {span:?}"
                    )
                })
            }
            (Action::List, Outcome::Listed { revision, items }) => {
                if *revision < low {
                    return Err(format!("stale: a list of {revision} when {low} was known"));
                }
                let there = self.log.items_at(*revision);
                if there == *items {
                    return Ok(Some(*revision));
                }
                Err(format!(
                    "missed: listed at {revision} was {items:?}, the watcher was sent {there:?}"
                ))
            }
            _ => self.refused(action, outcome, low).map(Some),
        }
    }

    fn is_absent_at(&self, key: &str, revision: u64) -> bool {
        let span = self.log.span_at(key, revision);
        span.is_some_and(|it| it.state.is_none())
    }

    fn unknown(&self, action: &Action, low: u64) -> Result<Option<u64>, String> {
        if let Some((_, revision)) = action.value().and_then(|it| self.log.values.get(&it)) {
            self.check_condition(action, *revision)?;
            return after(action, *revision, low).map(Some);
        }
        // Perhaps another client deleted it: then that one's answer is checked.
        Ok(None)
    }

    fn written(&self, action: &Action, revision: u64, low: u64) -> Result<u64, String> {
        let key = action.key().unwrap_or_default();
        let span = self.log.span_at(key, revision);
        if span.is_none_or(|it| it.state != action.value()) {
            return Err(format!(
                "lost: {action:?} was acknowledged at {revision}, there is {span:?}"
            ));
        }
        self.check_condition(action, revision)?;
        after(action, revision, low)
    }

    /// Whether what the write was made of was what was there.
    fn check_condition(&self, action: &Action, revision: u64) -> Result<(), String> {
        let key = action.key().unwrap_or_default();
        let before = self.log.span_before(key, revision);
        let is_met = before.is_some_and(|before| match action {
            Action::Create { .. } => before.state.is_none(),
            Action::Update { of, .. } => before.state.is_some() && before.from == *of,
            _ => before.state.is_some(),
        });
        if is_met {
            return Ok(());
        }
        Err(format!(
            "unconditional: {action:?} was done at {revision} after {before:?}"
        ))
    }

    /// A refusal says what was there at some time.
    fn refused(&self, action: &Action, outcome: &Outcome, low: u64) -> Result<u64, String> {
        let is_so = |span: &Span| match (outcome, action) {
            (Outcome::NotFound, _) => span.state.is_none(),
            // Where it is gone, some are told that it is another version.
            (Outcome::Conflict, Action::Update { of, .. } | Action::Delete { of, .. }) => {
                span.from != *of
            }
            (Outcome::Conflict, _) => span.state.is_some(),
            _ => false,
        };
        let key = action.key().unwrap_or_default();
        let spans = self.log.spans_from(key, low);
        let mut reasons = spans.iter().filter(|it| is_so(it));
        let earliest = reasons.find_map(|it| it.first_from(low));
        earliest.ok_or_else(|| {
            format!(
                "refused: {action:?} was answered {outcome:?} for no reason after {low}: {spans:?}"
            )
        })
    }
}

fn after(action: &Action, revision: u64, low: u64) -> Result<u64, String> {
    if revision > low {
        return Ok(revision);
    }
    Err(format!(
        "stale: {action:?} was done at {revision}, when {low} was known"
    ))
}
