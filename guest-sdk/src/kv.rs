//! A key-value space of the plugin's own in the host's durable store.
//!
//! Keys are texts of at most 512 bytes without control characters, in byte order. Values are bytes. What was
//! written is there after a restart, and other instances of the plugin see it at once.
//!
//! Every function fails with 403 `Forbidden` where the operator does not grant it or the quota is used up.

use crate::Failure;
use crate::bindings::outrigger::plugin::kv as types;
#[cfg(target_arch = "wasm32")]
use crate::bindings::outrigger::plugin::kv as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::kv as host;

/// A key and what is kept under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The whole key.
    pub key: String,
    /// What was put.
    pub value: Vec<u8>,
    /// When it was written: a number that grows with each write of the store.
    pub version: u64,
}

/// One write of a [`batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The whole key.
    pub key: String,
    /// What to put; `None` deletes.
    pub value: Option<Vec<u8>>,
    /// What the key must be at: an [`Entry::version`], 0 for absent, `None` for anything.
    pub expect_version: Option<u64>,
}

impl Operation {
    /// Puts a value, whatever is there.
    pub fn put(key: &str, value: impl Into<Vec<u8>>) -> Self {
        Self {
            key: key.to_owned(),
            value: Some(value.into()),
            expect_version: None,
        }
    }

    /// Deletes a key, whatever is there.
    pub fn delete(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            value: None,
            expect_version: None,
        }
    }

    /// Only if the key is at that version; 0 is absent.
    #[must_use]
    pub fn expecting(mut self, version: u64) -> Self {
        self.expect_version = Some(version);
        self
    }
}

/// What is kept under a key; `None` where there is nothing.
///
/// # Errors
/// See the module.
pub fn get(key: &str) -> Result<Option<Entry>, Failure> {
    Ok(host::get(key)?.map(entry))
}

/// Puts a value and returns its version. With `expect_version`, only if the key is at that version (0: absent).
///
/// # Errors
/// 409 `Conflict` where `expect_version` does not hold; see the module.
pub fn put(key: &str, value: &[u8], expect_version: Option<u64>) -> Result<u64, Failure> {
    Ok(host::put(key, value, expect_version)?)
}

/// Deletes a key. With `expect_version`, only if the key is at that version.
///
/// # Errors
/// 409 `Conflict` where `expect_version` does not hold; see the module.
pub fn delete(key: &str, expect_version: Option<u64>) -> Result<(), Failure> {
    Ok(host::delete(key, expect_version)?)
}

/// Entries whose keys begin with `prefix`, from the key `start` on (empty: from the first), at most `limit`.
///
/// # Errors
/// See the module.
pub fn range(prefix: &str, start: &str, limit: u32) -> Result<Vec<Entry>, Failure> {
    Ok(host::range(prefix, start, limit)?
        .into_iter()
        .map(entry)
        .collect())
}

/// Writes all of it or nothing, and returns the version of it all. No key may occur twice.
///
/// # Errors
/// 409 `Conflict` where an `expect_version` does not hold; see the module.
pub fn batch(operations: Vec<Operation>) -> Result<u64, Failure> {
    let operation = |operation: Operation| types::Operation {
        key: operation.key,
        value: operation.value,
        expect_version: operation.expect_version,
    };
    let operations: Vec<types::Operation> = operations.into_iter().map(operation).collect();
    Ok(host::batch(&operations)?)
}

fn entry(entry: types::Entry) -> Entry {
    Entry {
        key: entry.key,
        value: entry.value,
        version: entry.version,
    }
}
