//! `kv`: a key-value space of the plugin's own in the host's store, under `kv/<plugin>/`.
//!
//! A value has at most 1 MiB, all keys and values of a plugin 64 MiB, a batch 1,000 operations, a range
//! 1,000 entries and 4 MiB. Order and durability are the store's.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::super::contract::v1::imported::kv::{Entry, Host, Operation};
use super::super::contract::v1::imported::types::Failure;
use super::super::instance::CallState;
use super::{denied, failure};
use crate::api::RequestContext;
use crate::storage::{Expected, Item, Record, Revision, Storage, StorageError, Write};

const KEY_MAX_BYTES: usize = 512;
const VALUE_MAX_BYTES: usize = 1 << 20;
const QUOTA_BYTES: usize = 64 << 20;
const BATCH_MAX: usize = 1_000;
const RANGE_MAX: usize = 1_000;
/// A range ends before it is larger than this, but not before its first entry.
const RANGE_MAX_BYTES: usize = 4 << 20;
const RANGE_PAGE: usize = 16;
const COUNT_PAGE: usize = 64;

/// The space of one plugin. There is one for all loaded versions of the plugin: it knows how full it is.
pub(crate) struct KeyValue {
    plugin: String,
    prefix: String,
    storage: Arc<dyn Storage>,
    /// Writes go one at a time, so that none can be committed past the quota.
    turn: Semaphore,
    /// Bytes of keys and values; `None` until it has been counted.
    used: Mutex<Option<usize>>,
}

impl KeyValue {
    pub(crate) fn new(plugin: &str, storage: Arc<dyn Storage>) -> Self {
        Self {
            plugin: plugin.to_owned(),
            prefix: format!("kv/{plugin}/"),
            storage,
            turn: Semaphore::new(1),
            used: Mutex::new(None),
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, Failure> {
        check_key(key)?;
        let found = self.storage.get(&self.key(key)).await;
        let item = found.map_err(|error| self.failed(&error))?;
        Ok(item.map(|item| self.entry(&item)))
    }

    async fn range(&self, prefix: &str, start: &str, limit: u32) -> Result<Vec<Entry>, Failure> {
        let limit = usize::try_from(limit).unwrap_or(RANGE_MAX).min(RANGE_MAX);
        let prefix = self.key(prefix);
        let mut start = self.key(start).max(prefix.clone());
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while entries.len() < limit {
            let page = RANGE_PAGE.min(limit - entries.len());
            let items = self.storage.list(&self.prefix, &start, page).await;
            let items = items.map_err(|error| self.failed(&error))?;
            for item in &items {
                bytes += item.record.bytes.len();
                let is_too_much = bytes > RANGE_MAX_BYTES && !entries.is_empty();
                if is_too_much || !item.key.starts_with(&prefix) {
                    return Ok(entries);
                }
                entries.push(self.entry(item));
            }
            match items.last() {
                Some(last) if items.len() == page => start = after(&last.key),
                _ => break,
            }
        }
        Ok(entries)
    }

    async fn commit(
        &self,
        context: &RequestContext,
        operations: Vec<Operation>,
    ) -> Result<u64, Failure> {
        check(&operations)?;
        let Ok(_turn) = self.turn.acquire().await else {
            return Err(failure(503, "ServiceUnavailable", "the store is closing"));
        };
        let before = self.used().await?;
        let after = before + self.growth(&operations).await?;
        let after = usize::try_from(after).unwrap_or_default();
        if after > QUOTA_BYTES && after > usize::try_from(before).unwrap_or_default() {
            let text = format!(
                "the plugin's key-value space is full: {QUOTA_BYTES} bytes; delete what is not needed"
            );
            return Err(failure(507, "InsufficientStorage", text));
        }
        let writes = operations.into_iter().map(|it| self.write(it)).collect();
        match self.storage.commit(context, writes).await {
            Ok(revision) => {
                self.set_used(Some(after));
                Ok(revision.0)
            }
            Err(error) => {
                // Perhaps it was committed: count again.
                self.set_used(None);
                Err(self.failed(&error))
            }
        }
    }

    /// By how many bytes a batch grows the space.
    async fn growth(&self, operations: &[Operation]) -> Result<i64, Failure> {
        let mut growth = 0;
        for operation in operations {
            let key = self.key(&operation.key);
            let old = self.storage.get(&key).await;
            let old = old.map_err(|error| self.failed(&error))?;
            growth -= old.map_or(0, |item| self.size(&item));
            if let Some(value) = &operation.value {
                growth += signed(operation.key.len() + value.len());
            }
        }
        Ok(growth)
    }

    async fn used(&self) -> Result<i64, Failure> {
        let known = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = known {
            return Ok(signed(used));
        }
        let mut used = 0;
        let mut start = String::new();
        loop {
            let items = self.storage.list(&self.prefix, &start, COUNT_PAGE).await;
            let items = items.map_err(|error| self.failed(&error))?;
            used += items.iter().map(|item| self.size(item)).sum::<i64>();
            match items.last() {
                Some(last) if items.len() == COUNT_PAGE => start = after(&last.key),
                _ => return Ok(used),
            }
        }
    }

    fn set_used(&self, used: Option<usize>) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = used;
    }

    fn size(&self, item: &Item) -> i64 {
        signed(item.key.len() - self.prefix.len() + item.record.bytes.len())
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn write(&self, operation: Operation) -> Write {
        Write {
            key: Arc::from(self.key(&operation.key)),
            expected: match operation.expect_version {
                None => Expected::Anything,
                Some(0) => Expected::Absent,
                Some(version) => Expected::At(Revision(version)),
            },
            record: operation.value.map(|value| Record {
                bytes: value.into(),
                version_at: 0,
            }),
        }
    }

    fn entry(&self, item: &Item) -> Entry {
        Entry {
            key: item.key[self.prefix.len()..].to_owned(),
            value: item.record.bytes.to_vec(),
            version: item.revision.0,
        }
    }

    fn failed(&self, error: &StorageError) -> Failure {
        let shown = |key: &str| key.strip_prefix(&self.prefix).unwrap_or(key).to_owned();
        match error {
            StorageError::Exists { key } | StorageError::Conflict { key, .. } => {
                let text = format!("{:?} is not at the expected version", shown(key));
                failure(409, "Conflict", text)
            }
            StorageError::ReadOnly(_) => {
                let mut failure = failure(503, "ServiceUnavailable", "the store is read-only");
                failure.retry_after_seconds = Some(5);
                failure
            }
            StorageError::Unavailable(_) => {
                let text = "the store cannot be reached";
                let mut failure = failure(503, "ServiceUnavailable", text);
                failure.retry_after_seconds = Some(1);
                failure
            }
            StorageError::Refused(status) => {
                failure(status.code, &status.reason, status.message.clone())
            }
            StorageError::Unknown(_) => {
                let text = "the store did not answer: the write may have been done or not";
                failure(504, "Timeout", text)
            }
            _ => {
                tracing::error!(
                    plugin.name = self.plugin,
                    error = format!("{error:#}"),
                    "the key-value space of a plugin failed"
                );
                failure(500, "InternalError", "the store failed")
            }
        }
    }
}

/// The next key in byte order.
fn after(key: &str) -> String {
    format!("{key}\0")
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn check_key(key: &str) -> Result<(), Failure> {
    let problem = if key.is_empty() {
        "is empty"
    } else if key.len() > KEY_MAX_BYTES {
        "has more than 512 bytes"
    } else if key.chars().any(char::is_control) {
        "has control characters"
    } else if key.split('/').any(str::is_empty) {
        "has nothing before, between or behind slashes"
    } else {
        return Ok(());
    };
    Err(failure(400, "BadRequest", format!("the key {problem}")))
}

fn check(operations: &[Operation]) -> Result<(), Failure> {
    if operations.len() > BATCH_MAX {
        let text = format!("a batch has at most {BATCH_MAX} operations");
        return Err(failure(413, "RequestEntityTooLarge", text));
    }
    let mut keys = HashSet::new();
    for operation in operations {
        check_key(&operation.key)?;
        if !keys.insert(operation.key.as_str()) {
            let text = format!("the batch writes {:?} twice", operation.key);
            return Err(failure(400, "BadRequest", text));
        }
        let size = operation.value.as_ref().map_or(0, Vec::len);
        if size > VALUE_MAX_BYTES {
            let text = format!("a value has at most {VALUE_MAX_BYTES} bytes");
            return Err(failure(413, "RequestEntityTooLarge", text));
        }
    }
    Ok(())
}

impl CallState {
    fn key_values(&self) -> Result<(Arc<KeyValue>, RequestContext), Failure> {
        let (context, _) = self.access.granted("kv")?;
        let Some(kv) = &self.capabilities.kv else {
            return Err(denied(
                "the plugin was not granted `kv`: see `spec.grants.kv` of its Plugin document",
            ));
        };
        Ok((Arc::clone(kv), context.clone()))
    }

    async fn commit(&mut self, operations: Vec<Operation>) -> Result<u64, Failure> {
        let (kv, context) = self.key_values()?;
        kv.commit(&context, operations).await
    }
}

impl Host for CallState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Entry>, Failure>> {
        Ok(match self.key_values() {
            Ok((kv, _)) => kv.get(&key).await,
            Err(denied) => Err(denied),
        })
    }

    async fn put(
        &mut self,
        key: String,
        value: Vec<u8>,
        expect_version: Option<u64>,
    ) -> wasmtime::Result<Result<u64, Failure>> {
        let operation = Operation {
            key,
            value: Some(value),
            expect_version,
        };
        Ok(self.commit(vec![operation]).await)
    }

    async fn delete(
        &mut self,
        key: String,
        expect_version: Option<u64>,
    ) -> wasmtime::Result<Result<(), Failure>> {
        let operation = Operation {
            key,
            value: None,
            expect_version,
        };
        Ok(self.commit(vec![operation]).await.map(|_| ()))
    }

    async fn range(
        &mut self,
        prefix: String,
        start: String,
        limit: u32,
    ) -> wasmtime::Result<Result<Vec<Entry>, Failure>> {
        Ok(match self.key_values() {
            Ok((kv, _)) => kv.range(&prefix, &start, limit).await,
            Err(denied) => Err(denied),
        })
    }

    async fn batch(
        &mut self,
        operations: Vec<Operation>,
    ) -> wasmtime::Result<Result<u64, Failure>> {
        Ok(self.commit(operations).await)
    }
}
