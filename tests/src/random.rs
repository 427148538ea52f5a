//! Numbers that look random and are the same for the same seed: a failure can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

/// splitmix64: one number of state, good enough to choose by.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The seed in the environment variable `name`, one that is new each time where that is `new`, else `usual`.
    #[must_use]
    pub fn seed(name: &str, usual: u64) -> u64 {
        match std::env::var(name) {
            Ok(given) if given == "new" => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                now.map_or(usual, |it| u64::from(it.subsec_nanos()) ^ it.as_secs())
            }
            Ok(given) => given.parse().unwrap_or(usual),
            Err(_) => usual,
        }
    }

    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        let number = self.number();
        usize::try_from(number % (end.max(1) as u64)).unwrap_or(0)
    }

    /// True in so many cases of a hundred.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// # Panics
    /// Where there is nothing to choose from.
    pub fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}
