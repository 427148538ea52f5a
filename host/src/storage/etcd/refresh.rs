//! What etcd is at, asked by all reads of the moment together (KEP-2340).
//!
//! A read may share a question only if that is sent after it came: those that come while one is out share the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::failure::Failure;
use super::load::behind;
use super::shared::Shared;
use super::{meta, proto};
use crate::storage::{Revision, StorageError};

/// Reads that wait for the next question; more wait outside.
const QUEUE: usize = 1_024;
/// A read answers within this, or says why not.
const DEADLINE: Duration = Duration::from_secs(5);

type Reply = oneshot::Sender<Result<Revision, Failure>>;

pub(super) struct Questions(mpsc::Sender<Reply>);

impl Questions {
    /// With the receiver that [`run`] takes.
    pub(super) fn new() -> (Self, mpsc::Receiver<Reply>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Returns once everything that was committed before the call is in the sinks.
    pub(super) async fn ask(
        &self,
        shared: &Shared,
        deadline: Instant,
    ) -> Result<Revision, StorageError> {
        let deadline = deadline.min(Instant::now() + DEADLINE);
        let asking = async {
            let (reply, answer) = oneshot::channel();
            self.0.send(reply).await.ok()?;
            answer.await.ok()
        };
        let revision = match timeout_at(deadline, asking).await {
            Ok(Some(Ok(revision))) => revision,
            Ok(Some(Err(failure))) => return Err(StorageError::Unavailable(failure.text)),
            Ok(None) => return Err(StorageError::Unavailable("the server stops".into())),
            Err(_) => return Err(behind(shared, shared.revision())),
        };
        match shared.wait_for(revision, true, deadline).await {
            true => Ok(shared.revision()),
            false => Err(behind(shared, revision)),
        }
    }
}

/// Asks etcd for all that wait, again and again; ends with the last [`Questions`].
pub(super) async fn run(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Reply>) {
    let mut replies = Vec::new();
    while waiting.recv_many(&mut replies, QUEUE).await > 0 {
        let request = proto::RangeRequest {
            key: shared.key(meta::STORE),
            count_only: true,
            ..Default::default()
        };
        let seen = shared.revision();
        // Of a majority: no older than any answer before the question.
        let answer = shared
            .client
            .range(request, Instant::now() + DEADLINE)
            .await;
        let revision = answer.and_then(|it| shared.answered(seen, it.header.as_ref()));
        for reply in replies.drain(..) {
            // Who has gone needs no answer.
            let _ = reply.send(revision.clone());
        }
    }
}
