//! A batch of writes as one transaction of etcd.
//!
//! Its preconditions are compares of `mod_revision`. What only a look can tell (whether a record differs from the one
//! that is there) is read first, and then is a precondition, too. The failing branch returns what is there.
//!
//! **An answer that is lost** leaves open whether the transaction was carried out, or will be. Its mark is in the
//! records that it writes, or in `meta/deletes` where it only deletes: once the feed has passed a later read, it has
//! seen the mark or the transaction was not carried out until then. Then it is tried again under the same
//! preconditions, of which only one of both can find them true. What stays open is told as such.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::anyhow;
use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::client::BackOff;
use super::failure::{Effect, Failure};
use super::load::behind;
use super::meta;
use super::proto::{self, Compare, Operation, RequestOp};
use super::record::{Mark, decode, encode};
use super::shared::{Outcome, Shared};
use crate::api::Status;
use crate::storage::{Expected, Key, Record, Revision, StorageError, Write, transaction};

/// A write of nobody in particular may take so long.
const DEADLINE_MAX: Duration = Duration::from_secs(60);
/// A write that etcd has not taken waits so long for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a write that is in etcd waits for the sinks. They get it later, then.
const FEED_WAIT: Duration = Duration::from_secs(10);

/// What was under the keys of a batch at one revision.
struct Seen {
    /// etcd's.
    revision: i64,
    /// By key; 0 for the `mod_revision` of what is not there.
    records: HashMap<Key, (i64, Option<Record>)>,
    /// Whether the store's own record is the one that is known.
    is_same_store: bool,
}

/// How one try ended.
enum Tried {
    Committed(i64),
    Failed(Seen),
    Unanswered(Failure),
    /// etcd's database is full.
    Full(Failure),
}

pub(super) async fn commit(
    shared: &Shared,
    writes: Vec<Write>,
    deadline: Instant,
) -> Result<Revision, StorageError> {
    transaction::check_keys(&writes)?;
    if let Some(inner) = writes.iter().find(|it| it.key.starts_with(meta::PREFIX)) {
        return Err(StorageError::Failed(anyhow!(
            "the key {:?} is the engine's own",
            inner.key
        )));
    }
    if let Some(why) = shared.refusal() {
        return Err(StorageError::ReadOnly(why));
    }
    let deadline = deadline.min(Instant::now() + DEADLINE_MAX);
    if writes.is_empty() {
        return Ok(shared.revision());
    }
    let mark = Mark::new();
    shared.state().await_outcome(mark);
    let batch = Batch {
        shared,
        writes,
        mark,
        patience: deadline.min(Instant::now() + PATIENCE),
        deadline,
    };
    let revision = batch.run().await?;
    // It is in etcd; where the feed stands still, it gets there later.
    let wait = deadline.min(Instant::now() + FEED_WAIT);
    if !shared.wait_for(revision, false, wait).await {
        tracing::warn!(%revision, "a write is in etcd, and not in the caches yet");
    }
    Ok(revision)
}

struct Batch<'a> {
    shared: &'a Shared,
    writes: Vec<Write>,
    mark: Mark,
    /// When it is given up where it was not done.
    patience: Instant,
    /// When it is given up where that is not known.
    deadline: Instant,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.shared.state().forget_outcome(self.mark);
    }
}

impl Batch<'_> {
    async fn run(&self) -> Result<Revision, StorageError> {
        let mut seen = match self.needs_look() {
            true => Some(self.look(self.patience).await.map_err(unavailable)?),
            false => None,
        };
        // The failure of a try whose outcome is open.
        let mut open: Option<Failure> = None;
        let mut is_marked = true;
        let mut back_off = BackOff::default();
        loop {
            if let Some(seen) = &seen
                && let Some(revision) = self.settle(seen, open.as_ref(), is_marked).await?
            {
                return Ok(revision);
            }
            let tried = self.attempt(seen.as_ref(), is_marked, open.as_ref()).await;
            // Whatever the last try met, the open one may have been carried out.
            match tried.map_err(|refused| open.as_ref().map_or(refused, unknown))? {
                Tried::Committed(at) => {
                    if is_marked && self.shared.has_write_trouble() {
                        self.shared.set_write_trouble(None);
                    }
                    return Ok(self.shared.state().public(at));
                }
                // A full etcd takes deletes, and nothing with them.
                Tried::Full(_) if is_marked && self.only_deletes() => {
                    is_marked = false;
                    continue;
                }
                Tried::Full(failure) => {
                    self.shared.set_write_trouble(Some(failure.text.clone()));
                    return Err(StorageError::ReadOnly(failure.text));
                }
                Tried::Failed(found) => seen = Some(found),
                Tried::Unanswered(failure) => {
                    if failure.effect == Effect::Unknown {
                        open = Some(failure.clone());
                    }
                    self.pause(&mut back_off, &failure, open.as_ref()).await?;
                    if let Some(open) = &open {
                        let found = self.look(self.deadline).await;
                        let found = found.map_err(|_| unknown(open))?;
                        seen = Some(found);
                    }
                    continue;
                }
            }
            // Somebody else wrote between the look and the try.
            let raced = Failure::new(
                Effect::NotDone,
                "others write the same keys all the time: try again",
            );
            self.pause(&mut back_off, &raced, open.as_ref()).await?;
        }
    }

    /// Whether preconditions alone do not tell what the batch is to do.
    fn needs_look(&self) -> bool {
        self.writes.iter().any(|it| match it.expected {
            Expected::Anything => true,
            Expected::At(_) => it.record.is_some(),
            Expected::Absent => it.record.is_none(),
        })
    }

    fn only_deletes(&self) -> bool {
        self.writes.iter().all(|it| it.record.is_none())
    }

    /// Ends the batch where what is there tells how: it was committed, it is refused, or it changes nothing.
    async fn settle(
        &self,
        seen: &Seen,
        open: Option<&Failure>,
        is_marked: bool,
    ) -> Result<Option<Revision>, StorageError> {
        let now = self.shared.state().public(seen.revision);
        if let Some(open) = open {
            if !self.shared.wait_for(now, true, self.deadline).await {
                return Err(unknown(open));
            }
            match self.shared.state().outcome(self.mark) {
                Outcome::Committed(revision) => return Ok(Some(revision)),
                Outcome::Lost => return Err(unknown(open)),
                Outcome::Awaited if !is_marked => return Err(unknown(open)),
                Outcome::Awaited => {}
            }
        }
        if !seen.is_same_store {
            // The feed finds that out, too, and what to say of it.
            return Err(behind(self.shared, now));
        }
        let current = |key: &Key| {
            let found = seen.records.get(key);
            let found = found.and_then(|(at, record)| Some((*at, record.clone()?)));
            let state = self.shared.state();
            Ok(found.map(|(at, record)| (state.public(at), record)))
        };
        match transaction::events(self.writes.clone(), now, current) {
            Ok(events) if events.is_empty() => {
                // What is there now must be in the sinks.
                if !self.shared.wait_for(now, true, self.deadline).await {
                    return Err(behind(self.shared, now));
                }
                Ok(Some(now))
            }
            Ok(_) => Ok(None),
            // The open try may find the key gone again.
            Err(refused @ StorageError::Exists { .. }) => Err(open.map_or(refused, unknown)),
            Err(refused) => Err(refused),
        }
    }

    async fn attempt(
        &self,
        seen: Option<&Seen>,
        is_marked: bool,
        open: Option<&Failure>,
    ) -> Result<Tried, StorageError> {
        match self.shared.wait_followed(self.end(open)).await {
            Ok(()) => {}
            Err(failure) if failure.effect == Effect::Refused => {
                return Err(StorageError::ReadOnly(failure.text));
            }
            Err(failure) => return Ok(Tried::Unanswered(failure)),
        }
        let request = self.transaction(seen, is_marked);
        let answer = match self.shared.client.txn(request, self.deadline).await {
            Ok(answer) => answer,
            Err(failure) => {
                return match failure.effect {
                    Effect::NotDone | Effect::Unknown | Effect::NoToken => {
                        Ok(Tried::Unanswered(failure))
                    }
                    Effect::NoSpace => Ok(Tried::Full(failure)),
                    Effect::TooLarge => Err(too_large(failure.text)),
                    Effect::Refused => {
                        self.shared.set_write_trouble(Some(failure.text.clone()));
                        Err(StorageError::ReadOnly(failure.text))
                    }
                    Effect::Compacted => Err(StorageError::Failed(anyhow!(failure))),
                };
            }
        };
        Ok(match answer.succeeded {
            true => Tried::Committed(answer.header.unwrap_or_default().revision),
            false => Tried::Failed(self.seen(answer)),
        })
    }

    fn transaction(&self, seen: Option<&Seen>, is_marked: bool) -> proto::TxnRequest {
        let state = self.shared.state();
        let store = self.shared.key(meta::STORE);
        let mut compare = vec![Compare::written_at(store, state.found.mod_revision)];
        let mut success: Vec<RequestOp> = Vec::new();
        let mut has_mark = !is_marked;
        for write in &self.writes {
            let key = self.shared.key(&write.key);
            let found = seen.and_then(|it| it.records.get(&write.key));
            let expected = match write.expected {
                Expected::Absent => 0,
                // A revision that is not of this store is not of its records.
                Expected::At(revision) => state.etcd(revision).unwrap_or(-1),
                Expected::Anything => found.map_or(0, |(at, _)| *at),
            };
            compare.push(Compare::written_at(key.clone(), expected));
            let changes = match found {
                Some((_, before)) => *before != write.record,
                None => write.record.is_some() || write.expected != Expected::Absent,
            };
            if !changes {
                continue;
            }
            success.push(match &write.record {
                Some(record) => {
                    has_mark = true;
                    put(key, encode(record, self.mark))
                }
                None => Operation::Delete(proto::DeleteRangeRequest {
                    key,
                    range_end: Bytes::new(),
                })
                .into(),
            });
        }
        if !has_mark {
            let empty = Record {
                bytes: Bytes::new(),
                version_at: 0,
            };
            let key = self.shared.key(meta::DELETES);
            success.push(put(key, encode(&empty, self.mark)));
        }
        proto::TxnRequest {
            compare,
            success,
            failure: self.ranges(),
        }
    }

    /// What is under the keys now.
    async fn look(&self, deadline: Instant) -> Result<Seen, Failure> {
        self.shared.wait_followed(deadline).await?;
        let request = proto::TxnRequest {
            success: self.ranges(),
            ..Default::default()
        };
        let answer = self.shared.client.repeatable_txn(request, deadline).await?;
        Ok(self.seen(answer))
    }

    fn ranges(&self) -> Vec<RequestOp> {
        let keys = self.writes.iter().map(|it| &*it.key);
        let keys = keys.chain([meta::STORE]);
        keys.map(|key| {
            let request = proto::RangeRequest {
                key: self.shared.key(key),
                ..Default::default()
            };
            Operation::Range(request).into()
        })
        .collect()
    }

    /// Reads the answers to [`Self::ranges`].
    fn seen(&self, answer: proto::TxnResponse) -> Seen {
        let mut found = answer.responses.into_iter().map(|it| {
            let kvs = it.range.unwrap_or_default().kvs;
            kvs.into_iter().next()
        });
        let records = self.writes.iter().map(|write| {
            let key = write.key.clone();
            let kv = found.next().flatten();
            let at = kv.as_ref().map_or(0, |it| it.mod_revision);
            let record = kv.map(|it| decode(&key, &it.value));
            (key, (at, record))
        });
        let records = records.collect();
        let store = found.next().flatten();
        Seen {
            revision: answer.header.unwrap_or_default().revision,
            records,
            is_same_store: store.map(|it| it.mod_revision)
                == Some(self.shared.state().found.mod_revision),
        }
    }

    /// When it is given up.
    fn end(&self, open: Option<&Failure>) -> Instant {
        match open {
            Some(_) => self.deadline,
            None => self.patience,
        }
    }

    async fn pause(
        &self,
        back_off: &mut BackOff,
        failure: &Failure,
        open: Option<&Failure>,
    ) -> Result<(), StorageError> {
        let pause = back_off.next();
        if Instant::now() + pause >= self.end(open) {
            return Err(match open {
                Some(open) => unknown(open),
                None => unavailable(failure.clone()),
            });
        }
        sleep(pause).await;
        Ok(())
    }
}

fn put(key: Bytes, value: Bytes) -> RequestOp {
    Operation::Put(proto::PutRequest { key, value }).into()
}

fn unavailable(failure: Failure) -> StorageError {
    match failure.effect {
        Effect::TooLarge => too_large(failure.text),
        _ => StorageError::Unavailable(failure.text),
    }
}

fn too_large(text: String) -> StorageError {
    let status = Status::failure(413, "RequestEntityTooLarge", text);
    StorageError::Refused(status)
}

fn unknown(failure: &Failure) -> StorageError {
    StorageError::Unknown(failure.text.clone())
}

/// Tries whether an etcd that was full or refused writes takes them again.
pub(super) async fn probe(shared: &Shared) {
    let request = proto::TxnRequest {
        success: vec![put(shared.key(meta::PROBE), Bytes::from_static(b"{}"))],
        ..Default::default()
    };
    let deadline = Instant::now() + Duration::from_secs(3);
    if shared.client.txn(request, deadline).await.is_ok() {
        shared.set_write_trouble(None);
    }
}
