//! Judges a journal by what is found in the store: nothing acknowledged is lost, no revision has two meanings,
//! no watcher missed a change.
//!
//! A write that was not acknowledged, because its process was killed or the disk refused it, may be there or not:
//! each key has one writer, so that it can only be one that came after the key's last acknowledged write.

use std::collections::{BTreeMap, BTreeSet};

use crate::journal::{Entry, Found, Items, Journal, Value};

type Writes = Vec<(String, Value)>;

/// What must not be, one line each.
#[must_use]
pub fn judge(journal: &Journal, found: &Found) -> Vec<String> {
    let told = Told::of(journal);
    let mut verdict = lost(&told, found);
    verdict.extend(reused(journal, &told, found));
    verdict.extend(missed(journal, &told, found));
    verdict
}

/// The journal by attempts and revisions.
#[derive(Default)]
struct Told {
    attempts: BTreeMap<u64, Writes>,
    /// Attempt and revision, in the order in which they were acknowledged.
    done: Vec<(u64, u64)>,
}

impl Told {
    fn of(journal: &Journal) -> Self {
        let mut told = Self::default();
        for entry in &journal.entries {
            match entry {
                Entry::Tried { attempt, writes } => {
                    told.attempts.insert(*attempt, writes.clone());
                }
                Entry::Done { attempt, revision } => told.done.push((*attempt, *revision)),
                _ => {}
            }
        }
        told
    }

    fn writes(&self, attempt: u64) -> &[(String, Value)] {
        self.attempts.get(&attempt).map_or(&[], Vec::as_slice)
    }
}

/// What one key was told and tried.
#[derive(Default)]
struct OfKey<'a> {
    /// Attempt, revision and value of the last acknowledged write.
    last: Option<(u64, u64, &'a Value)>,
    /// All that was tried, by attempt.
    tried: BTreeMap<u64, &'a Value>,
}

fn lost(told: &Told, found: &Found) -> Vec<String> {
    let mut verdict = Vec::new();
    let mut keys: BTreeMap<&str, OfKey<'_>> = BTreeMap::new();
    for (attempt, writes) in &told.attempts {
        for (key, value) in writes {
            keys.entry(key).or_default().tried.insert(*attempt, value);
        }
    }
    for (attempt, revision) in &told.done {
        if *revision > found.revision {
            verdict.push(format!(
                "lost: the store is at {}, {revision} was acknowledged",
                found.revision
            ));
        }
        for (key, value) in told.writes(*attempt) {
            let of_key = keys.entry(key).or_default();
            if of_key.last.is_none_or(|(_, at, _)| at < *revision) {
                of_key.last = Some((*attempt, *revision, value));
            }
        }
    }
    for (key, of_key) in &keys {
        let there = found.items.get(*key);
        let value = there.map(|(_, value)| value.clone());
        let is_last = match of_key.last {
            Some((_, revision, last)) => {
                *last == value && there.is_none_or(|(at, _)| *at == revision)
            }
            None => value.is_none(),
        };
        let since = of_key.last.map_or(0, |(attempt, _, _)| attempt + 1);
        let mut later = of_key.tried.range(since..);
        let is_later = later.any(|(_, tried)| **tried == value)
            && there.is_none_or(|(at, _)| of_key.last.is_none_or(|(_, last, _)| *at > last));
        if !is_last && !is_later {
            verdict.push(format!(
                "lost: {key} is {there:?}, acknowledged was {:?}",
                of_key.last
            ));
        }
    }
    for key in found
        .items
        .keys()
        .filter(|it| !keys.contains_key(it.as_str()))
    {
        verdict.push(format!("invented: {key} was never written"));
    }
    verdict
}

fn reused(journal: &Journal, told: &Told, found: &Found) -> Vec<String> {
    let mut verdict = Vec::new();
    // Whoever tells of a change at a revision must tell the same.
    let mut known: BTreeMap<(u64, &str), &Value> = BTreeMap::new();
    let mut by_revision: BTreeMap<u64, u64> = BTreeMap::new();
    let (mut floor, mut highest) = (0, 0);
    for entry in &journal.entries {
        match entry {
            Entry::Opened { revision } => {
                if *revision < highest {
                    verdict.push(format!(
                        "reused: opened at {revision}, {highest} was told before"
                    ));
                }
                floor = *revision;
            }
            Entry::Done { attempt, revision } => {
                if *revision <= floor {
                    verdict.push(format!(
                        "reused: {revision} was before the store was opened at {floor}"
                    ));
                }
                if let Some(other) = by_revision.insert(*revision, *attempt) {
                    verdict.push(format!(
                        "reused: {revision} is attempt {other} and attempt {attempt}"
                    ));
                }
                for (key, value) in told.writes(*attempt) {
                    tell(&mut known, &mut verdict, (*revision, key), value);
                }
                highest = highest.max(*revision);
            }
            Entry::Saw { revision, writes } => {
                for (key, value) in writes {
                    tell(&mut known, &mut verdict, (*revision, key), value);
                }
                highest = highest.max(*revision);
            }
            _ => {}
        }
    }
    for ((revision, key), value) in &known {
        if let Some((at, there)) = found.items.get(*key)
            && at == revision
            && value.as_ref() != Some(there)
        {
            verdict.push(format!(
                "reused: {key} at {revision} was {value:?} and is {there}"
            ));
        }
    }
    verdict
}

fn tell<'a>(
    known: &mut BTreeMap<(u64, &'a str), &'a Value>,
    verdict: &mut Vec<String>,
    at: (u64, &'a str),
    value: &'a Value,
) {
    let before = *known.entry(at).or_insert(value);
    if before != value {
        let (revision, key) = at;
        verdict.push(format!(
            "reused: {key} at {revision} is {before:?} and {value:?}"
        ));
    }
}

/// The watcher's view, made of what it was sent, must be what is there.
fn missed(journal: &Journal, told: &Told, found: &Found) -> Vec<String> {
    let mut verdict = Vec::new();
    let mut view = Items::new();
    let mut seen: BTreeSet<(u64, &str)> = BTreeSet::new();
    // Changes up to here were listed, not watched; without a watcher there is nothing to judge.
    let mut gaps: Vec<(u64, u64)> = Vec::new();
    let (mut is_watched, mut last) = (false, 0);
    for entry in &journal.entries {
        match entry {
            Entry::Relisted { revision, items } => {
                gaps.push((last, *revision));
                (is_watched, last) = (true, *revision);
                view.clone_from(items);
            }
            Entry::Saw { revision, writes } => {
                if *revision <= last {
                    verdict.push(format!("out of order: {revision} after {last}"));
                }
                (is_watched, last) = (true, *revision);
                for (key, value) in writes {
                    seen.insert((*revision, key));
                    match value {
                        Some(value) => view.insert(key.clone(), (*revision, value.clone())),
                        None => view.remove(key),
                    };
                }
            }
            _ => {}
        }
    }
    if !is_watched {
        return verdict;
    }
    for (attempt, revision) in &told.done {
        if gaps
            .iter()
            .any(|(from, to)| from < revision && revision <= to)
        {
            continue;
        }
        for (key, _) in told.writes(*attempt) {
            if !seen.contains(&(*revision, key.as_str())) {
                verdict.push(format!("missed: no watcher saw {key} at {revision}"));
            }
        }
    }
    if view != found.items {
        let differs = |it: &&String| view.get(*it) != found.items.get(*it);
        let keys: BTreeSet<_> = view
            .keys()
            .chain(found.items.keys())
            .filter(differs)
            .collect();
        verdict.push(format!(
            "missed: the watcher's view differs from the list in {keys:?}"
        ));
    }
    verdict
}

#[cfg(test)]
mod tests;
