//! How much may be done for one object: alternatives multiply what must be looked at, patterns what must be read.
//!
//! A step is about 10 ns; [`LIMIT`] stops an object within some 20 ms, and the errors of one take as long again.
//! What is looked at once, whatever the schema, hardly counts: bodies have a limit of their own.

use serde_json::Value;

pub(super) const LIMIT: u32 = 2_000_000;

/// Looking at one value with one schema.
pub(super) const NODE: u32 = 1;

/// As [`NODE`], with one of several.
pub(super) const ALTERNATIVE: u32 = 5;

/// Telling of an error, which may be one of an alternative that nobody is told about.
pub(super) const ERROR: u32 = 20;

/// Bytes of a text that are read in one step.
const BYTES: usize = 8;

#[derive(Debug)]
pub(super) struct Work {
    limit: u32,
    left: u32,
    is_exhausted: bool,
}

impl Work {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit,
            left: limit,
            is_exhausted: false,
        }
    }

    pub(super) fn done(&self) -> u32 {
        self.limit - self.left
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Whether there is so much left.
    pub(super) fn spend(&mut self, steps: u32) -> bool {
        match self.left.checked_sub(steps) {
            Some(left) => self.left = left,
            None => {
                self.left = 0;
                self.is_exhausted = true;
            }
        }
        !self.is_exhausted
    }

    pub(super) fn spend_bytes(&mut self, bytes: usize) -> bool {
        self.spend(u32::try_from(bytes / BYTES).unwrap_or(u32::MAX))
    }

    /// A pattern that takes `steps` for each byte.
    pub(super) fn spend_pattern(&mut self, bytes: usize, steps: u32) -> bool {
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        self.spend_bytes(bytes.saturating_mul(steps).saturating_add(BYTES))
    }

    /// Comparing values deeply.
    pub(super) fn spend_values(&mut self, values: &[Value]) -> bool {
        values.iter().all(|value| {
            self.spend(1)
                && match value {
                    Value::String(text) => self.spend_bytes(text.len()),
                    Value::Array(list) => self.spend_values(list),
                    Value::Object(map) => map
                        .values()
                        .all(|it| self.spend_values(std::slice::from_ref(it))),
                    _ => true,
                }
        })
    }
}
