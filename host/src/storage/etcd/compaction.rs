//! Compaction of an etcd that is ours alone, as k8s.io/apiserver does it (pkg/storage/etcd3/compact.go).
//!
//! Each interval, one of the servers compacts what was current an interval before: history is kept for one to two of
//! them. Which one is settled by a transaction on `meta/compaction`.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::failure::Failure;
use super::proto::{self, Compare, Operation};
use super::shared::Shared;
use super::{REQUEST_DEADLINE, meta};

/// What is known of the last compaction of any server.
#[derive(Default)]
struct Last {
    /// The `mod_revision` of the record; 0 where there is none.
    at: i64,
    /// etcd's revision when it was written: to be compacted an interval later.
    revision: i64,
}

pub(super) async fn run(shared: Arc<Shared>, interval: Duration) {
    let mut last = Last::default();
    loop {
        sleep(interval).await;
        match step(&shared, &last).await {
            Ok(now) => last = now,
            Err(failure) => {
                tracing::warn!("etcd is not compacted, and grows: {failure}");
            }
        }
    }
}

async fn step(shared: &Shared, last: &Last) -> Result<Last, Failure> {
    let key = shared.key(meta::COMPACTION);
    let put = proto::PutRequest {
        key: key.clone(),
        value: last.revision.to_string().into(),
    };
    let range = proto::RangeRequest {
        key: key.clone(),
        ..Default::default()
    };
    let request = proto::TxnRequest {
        compare: vec![Compare::written_at(key, last.at)],
        success: vec![Operation::Put(put).into()],
        failure: vec![Operation::Range(range).into()],
    };
    let deadline = Instant::now() + REQUEST_DEADLINE;
    let answer = shared.client.txn(request, deadline).await?;
    let revision = answer.header.unwrap_or_default().revision;
    if !answer.succeeded {
        // Another server has, or will: this one looks again after an interval.
        let found = answer.responses.into_iter().next();
        let kvs = found.and_then(|it| it.range).unwrap_or_default().kvs;
        let at = kvs.first().map_or(0, |it| it.mod_revision);
        return Ok(Last { at, revision });
    }
    if last.revision > 0 {
        shared.client.compact(last.revision).await?;
        tracing::debug!(up_to = last.revision, "etcd is compacted");
    }
    Ok(Last {
        at: revision,
        revision,
    })
}
