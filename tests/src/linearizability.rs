//! Whether a store behaves like one object that does one thing at a time (linearizability), judged by what concurrent
//! clients were told.
//!
//! A [`History`] is what was asked and answered, in the order of one clock, and what one watcher was sent. [`judge()`]
//! knows no engine and no protocol. Every change has a revision that all clients can compare, so that there is an
//! order to check, and none to search for: O(n log n).
//!
//! [`record`] makes a history: clients of one or several servers on a few objects, while a fault is done to them.

mod driver;
mod judge;
mod log;

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

pub use driver::{Plan, Progress, record};
pub use judge::judge;

/// A value is written by one operation only.
pub type Value = u64;

/// All there is at one revision: the revision that wrote a key, and its value.
pub type Items = BTreeMap<String, (u64, Value)>;

/// Instants are numbers of one clock: they say which of two was earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub asked: u64,
    /// When the outcome was known; of no meaning where it is [`Outcome::Unknown`].
    pub answered: u64,
    pub action: Action,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Create {
        key: String,
        value: Value,
    },
    /// Of the object as it was written at revision `of`.
    Update {
        key: String,
        of: u64,
        value: Value,
    },
    /// Of the object as it is.
    Patch {
        key: String,
        value: Value,
    },
    /// Of the object as it was written at revision `of`.
    Delete {
        key: String,
        of: u64,
    },
    Get {
        key: String,
    },
    List,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By a create, an update or a patch, at this revision.
    Written {
        revision: u64,
    },
    Deleted,
    /// 409: it exists already, or is not at the expected revision.
    Conflict,
    /// 404.
    NotFound,
    Found {
        revision: u64,
        value: Value,
    },
    Listed {
        revision: u64,
        items: Items,
    },
    /// Nobody knows: no answer, or one that says so. A write is done once or never; it may be done later, too.
    Unknown,
}

/// What a watcher was sent of one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub revision: u64,
    pub key: String,
    pub change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Added(Value),
    Modified(Value),
    Deleted,
}

/// Begins with an empty store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    pub operations: Vec<Operation>,
    /// All that one watcher was sent, over all its resumptions; it saw everything that was acknowledged.
    pub events: Vec<Event>,
}

impl History {
    /// Tells how much of it there is, and judges it.
    ///
    /// # Errors
    /// What is wrong with it; or nothing was cut off, so that there was no fault.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        let seed = plan.seed;
        let unknown = self.operations.iter();
        let unknown = unknown.filter(|it| it.outcome == Outcome::Unknown).count();
        let (all, changes) = (self.operations.len(), self.events.len());
        eprintln!("seed {seed}: {all} operations, {unknown} of them unknown, {changes} changes");
        ensure!(unknown > 0, "no request was cut off");
        let verdict = judge(self);
        ensure!(verdict.is_empty(), "seed {seed}: {verdict:#?}");
        Ok(())
    }
}

impl Action {
    /// The key of all but lists.
    fn key(&self) -> Option<&str> {
        match self {
            Self::Create { key, .. }
            | Self::Update { key, .. }
            | Self::Patch { key, .. }
            | Self::Delete { key, .. }
            | Self::Get { key } => Some(key),
            Self::List => None,
        }
    }

    /// What it writes.
    fn value(&self) -> Option<Value> {
        match self {
            Self::Create { value, .. } | Self::Update { value, .. } | Self::Patch { value, .. } => {
                Some(*value)
            }
            Self::Delete { .. } | Self::Get { .. } | Self::List => None,
        }
    }
}

#[cfg(test)]
mod tests;
