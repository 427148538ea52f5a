//! Reading many keys: in pages, all at one revision.

use std::sync::Arc;

use tokio::time::Instant;

use super::LOAD_DEADLINE;
use super::failure::{Effect, Failure};
use super::proto::{self, end_of};
use super::shared::{Lost, Shared};
use crate::storage::{Item, Revision, Sink, StorageError};

/// A page has about so many bytes, going by the one before it.
const PAGE_BYTES: usize = 2 << 20;
const PAGE_MIN: usize = 8;
const PAGE_MAX: usize = 10_000;
const PAGE_FIRST: usize = 500;

/// How often an attach begins again, when more changed during a load than is remembered.
const ATTACH_TRIES: usize = 5;

/// Up to `limit` items below `prefix`, from `start` on, and the etcd revision that they are of: `at`, or now for 0.
pub(super) async fn items(
    shared: &Shared,
    prefix: &str,
    start: &str,
    limit: usize,
    at: i64,
    deadline: Instant,
) -> Result<(Vec<Item>, i64), Failure> {
    let whole = format!("{}{prefix}", shared.prefix);
    let mut key = shared.key(start.max(prefix));
    let mut revision = at;
    let mut items = Vec::new();
    let mut page = PAGE_FIRST.min(limit);
    loop {
        let request = proto::RangeRequest {
            key: key.clone(),
            range_end: end_of(&whole),
            limit: i64::try_from(page).unwrap_or(i64::MAX),
            revision,
            count_only: false,
        };
        let seen = shared.revision();
        // A page after the first must not be of another etcd than the first.
        let answer = shared.client.range(request, deadline).await?;
        if revision == 0 {
            shared.answered(seen, answer.header.as_ref())?;
            revision = answer.header.unwrap_or_default().revision;
        }
        let bytes: usize = answer.kvs.iter().map(|it| it.value.len()).sum();
        let count = answer.kvs.len();
        if let Some(last) = answer.kvs.last() {
            key = [&last.key[..], b"\0"].concat().into();
        }
        let kvs = answer.kvs.into_iter();
        items.extend(kvs.filter_map(|it| shared.item(it)));
        if !answer.more || items.len() >= limit {
            return Ok((items, revision));
        }
        page = (PAGE_BYTES * count / bytes.max(1)).clamp(PAGE_MIN, PAGE_MAX);
        page = page.min(limit - items.len());
    }
}

/// Loads `sink` and has it fed from then on.
pub(super) async fn attach(
    shared: &Shared,
    prefix: &str,
    sink: Arc<dyn Sink>,
) -> Result<(), StorageError> {
    for _ in 0..ATTACH_TRIES {
        let deadline = Instant::now() + LOAD_DEADLINE;
        let read = items(shared, prefix, "", usize::MAX, 0, deadline).await;
        let (items, at) = match read {
            Ok(read) => read,
            // It took longer than etcd keeps what was there when it began.
            Err(failure) if failure.effect == Effect::Compacted => continue,
            Err(failure) => return Err(StorageError::Unavailable(failure.text)),
        };
        let revision = shared.state().public(at);
        if !shared.wait_for(revision, true, deadline).await {
            return Err(behind(shared, revision));
        }
        let (history, oldest) = shared.state().history(prefix, revision);
        if oldest > revision {
            continue;
        }
        let loading = Arc::clone(&sink);
        let load = move || loading.load(items, history, oldest, revision);
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.map_err(|err| StorageError::Failed(err.into()))?;
        let added = shared.state().add(prefix, &sink, revision);
        match added {
            Ok(()) => return Ok(()),
            Err(Lost) => tracing::info!(
                prefix,
                "more changes than are remembered: it is loaded again"
            ),
        }
    }
    Err(StorageError::Unavailable(format!(
        "objects below {prefix} change faster than they can be read from etcd: write less, or give etcd a faster disk"
    )))
}

pub(super) fn behind(shared: &Shared, revision: Revision) -> StorageError {
    let why = shared.trouble().unwrap_or_else(|| {
        format!(
            "the watch of etcd is at revision {} and does not reach {revision}",
            shared.revision()
        )
    });
    StorageError::Unavailable(why)
}

/// Loads all sinks anew, at one revision.
pub(super) async fn reload(
    shared: &Shared,
    sinks: Vec<(Box<str>, Arc<dyn Sink>)>,
    at: i64,
    revision: Revision,
) -> Result<(), Failure> {
    for (prefix, sink) in sinks {
        let deadline = Instant::now() + LOAD_DEADLINE;
        let (items, _) = items(shared, &prefix, "", usize::MAX, at, deadline).await?;
        let load = move || sink.load(items, Vec::new(), revision, revision);
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded.map_err(|err| Failure::new(Effect::NotDone, err.to_string()))?;
    }
    Ok(())
}
