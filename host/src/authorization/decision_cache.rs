//! Answers of reviews for as long as they hold: at most 8,192, the least recently used goes first.
//!
//! Keyed by SHA-256 of the review's spec, so that its memory is bounded whatever clients send.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};

use super::Decision;

pub(super) type Key = [u8; 32];

/// As k8s.io/apiserver, plugin/pkg/authorizer/webhook: `responseCache`.
const CAPACITY: usize = 8_192;

/// As `AllowCacheTTL` and `DenyCacheTTL` of k8s.io/apiserver, pkg/server/options/authorization.go.
const TIME_TO_LIVE: SignedDuration = SignedDuration::from_secs(10);

pub(super) struct DecisionCache {
    capacity: usize,
    entries: HashMap<Key, Entry>,
    /// Keys by last use.
    order: BTreeMap<u64, Key>,
    uses: u64,
}

struct Entry {
    decision: Decision,
    since: Timestamp,
    used: u64,
}

impl DecisionCache {
    pub(super) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self {
            capacity,
            entries: HashMap::new(),
            order: BTreeMap::new(),
            uses: 0,
        }
    }

    pub(super) fn get(&mut self, key: &Key, now: Timestamp) -> Option<Decision> {
        let entry = self.entries.get_mut(key)?;
        // A clock that was set back must not lengthen anybody's rights.
        let is_fresh = entry.since <= now && now.duration_since(entry.since) < TIME_TO_LIVE;
        self.order.remove(&entry.used);
        if !is_fresh {
            self.entries.remove(key);
            return None;
        }
        self.uses += 1;
        entry.used = self.uses;
        self.order.insert(self.uses, *key);
        Some(entry.decision.clone())
    }

    pub(super) fn insert(&mut self, key: Key, decision: Decision, now: Timestamp) {
        self.uses += 1;
        let entry = Entry {
            decision,
            since: now,
            used: self.uses,
        };
        if let Some(old) = self.entries.insert(key, entry) {
            self.order.remove(&old.used);
        }
        self.order.insert(self.uses, key);
        while self.entries.len() > self.capacity
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a small number of seconds")
    }

    #[test]
    fn forgets_after_ten_seconds() {
        let mut cache = DecisionCache::new();
        cache.insert([1; 32], Decision::Allow, at(100));
        assert_eq!(cache.get(&[1; 32], at(109)), Some(Decision::Allow));
        assert_eq!(cache.get(&[1; 32], at(110)), None);
        assert!(cache.entries.is_empty() && cache.order.is_empty());
    }

    #[test]
    fn forgets_when_the_clock_goes_back() {
        let mut cache = DecisionCache::new();
        cache.insert([1; 32], Decision::Allow, at(100));
        assert_eq!(cache.get(&[1; 32], at(99)), None);
    }

    #[test]
    fn drops_the_least_recently_used() {
        let mut cache = DecisionCache::with_capacity(2);
        cache.insert([1; 32], Decision::Allow, at(0));
        cache.insert([2; 32], Decision::Allow, at(0));
        cache.get(&[1; 32], at(1));
        cache.insert([3; 32], Decision::Allow, at(1));
        cache.insert([3; 32], Decision::Allow, at(1));
        let kept: Vec<bool> = (1..=3)
            .map(|it| cache.get(&[it; 32], at(2)).is_some())
            .collect();
        assert_eq!(kept, [true, false, true]);
        assert_eq!(cache.order.len(), 2);
    }
}
