//! Notices what changes in a backend without the host: by long polls, or by lists every so often.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::recorder::Recorder;
use super::row::Seen;
use super::{BackendChanges, Changes};
use crate::api::{Object, RequestContext};
use crate::storage::{Key, Revision, Scope, StorageError};

/// How long one poll waits for a change.
const POLL_WAIT: Duration = Duration::from_secs(30);
const POLL_LIMIT: u32 = 500;

/// What a call has beyond its own wait.
const GRACE: Duration = Duration::from_secs(5);

/// How long a whole list may take.
const RELIST_DEADLINE: Duration = Duration::from_secs(60);

const BACK_OFF_MIN: Duration = Duration::from_secs(1);
const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// A poll that answers at once, again and again, is slowed down to this.
const POLL_PAUSE: Duration = Duration::from_millis(100);

pub(super) fn start(changes: Changes, recorder: Arc<Recorder>) -> Option<AbortOnDropHandle<()>> {
    let task = match changes {
        Changes::Unwatched => return None,
        Changes::Poll => tokio::spawn(poll(recorder)),
        Changes::Relist { period } => tokio::spawn(relist(recorder, period)),
    };
    Some(AbortOnDropHandle::new(task))
}

async fn relist(recorder: Arc<Recorder>, period: Duration) {
    let mut failures = Failures::default();
    loop {
        let result = recorder.relist().await;
        let pause = match failures.note(&recorder, result) {
            Some(back_off) => back_off.max(period),
            None => period,
        };
        sleep(jittered(pause)).await;
    }
}

/// A cursor is taken before everything is listed, so that no change falls between.
async fn poll(recorder: Arc<Recorder>) {
    let mut failures = Failures::default();
    let mut cursor = None;
    let mut is_listed = false;
    loop {
        let began = Instant::now();
        let result = recorder.poll_once(&mut cursor, &mut is_listed).await;
        if let Some(back_off) = failures.note(&recorder, result) {
            sleep(jittered(back_off)).await;
        } else if began.elapsed() < POLL_PAUSE {
            sleep(POLL_PAUSE - began.elapsed()).await;
        }
    }
}

impl Recorder {
    async fn relist(&self) -> Result<(), StorageError> {
        let context = RequestContext::background("mirror", Instant::now() + RELIST_DEADLINE);
        let scope = Scope {
            prefix: &self.options.prefix,
            namespace: None,
            name: None,
        };
        self.refresh_all(&context, scope).await
    }

    async fn poll_once(
        &self,
        cursor: &mut Option<String>,
        is_listed: &mut bool,
    ) -> Result<(), StorageError> {
        // The first answer is only for its cursor: it need not wait.
        let wait = if *is_listed {
            POLL_WAIT
        } else {
            Duration::ZERO
        };
        let context = RequestContext::background("mirror", Instant::now() + wait + GRACE);
        let began = self.journal.current_revision();
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let changes = self
            .backend
            .poll(&context, cursor.clone(), wait_ms, POLL_LIMIT);
        let changes = changes.await.map_err(StorageError::Refused)?;
        if changes.resync || !*is_listed {
            self.relist().await?;
        } else {
            self.apply(&changes, began).await?;
        }
        *is_listed = true;
        *cursor = Some(changes.cursor);
        Ok(())
    }

    /// `began` is the journal's revision before the poll: rows that changed since may be newer than it.
    async fn apply(&self, changes: &BackendChanges, began: Revision) -> Result<(), StorageError> {
        let deadline = Instant::now() + RELIST_DEADLINE;
        let context = RequestContext::background("mirror", deadline);
        let changed = changes.changed.iter().map(|it| (it, true));
        let deleted = changes.deleted.iter().map(|it| (it, false));
        for (object, is_there) in deleted.chain(changed) {
            let key = match self.options.key_of(object) {
                Ok(key) => key,
                Err(status) => {
                    // One bad object must not stop the others.
                    tracing::warn!(error = %status.message, "a change of a plugin was left out");
                    continue;
                }
            };
            self.apply_one(&context, &key, object, is_there, began)
                .await?;
        }
        Ok(())
    }

    async fn apply_one(
        &self,
        context: &RequestContext,
        key: &Key,
        object: &Object,
        is_there: bool,
        began: Revision,
    ) -> Result<(), StorageError> {
        let row = self.row(key).await?;
        if !is_there && !row.has_uid(object.uid()) {
            return Ok(());
        }
        let seen = is_there.then(|| Seen::new(object.clone(), &self.options));
        if seen
            .as_ref()
            .is_some_and(|it| row.is_same(key, it, &self.options))
        {
            return Ok(());
        }
        let is_newer = row.revision() > began;
        if is_newer
            || !self
                .record(context, key, &row, is_there.then(|| object.clone()))
                .await?
        {
            // Written by the host meanwhile: only the backend knows which came last.
            self.refresh_one(context, key).await?;
        }
        Ok(())
    }
}

/// Says once that a backend fails, and once that it works again.
#[derive(Default)]
struct Failures(u32);

impl Failures {
    /// How long to wait after a failure; `None` after a success.
    fn note(&mut self, recorder: &Recorder, result: Result<(), StorageError>) -> Option<Duration> {
        let resource = &recorder.options.prefix;
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.0) > 0 {
                    tracing::info!(resource, "the plugin tells of its changes again");
                }
                None
            }
            Err(err) => {
                if self.0 == 0 {
                    tracing::warn!(resource, error = %err, "watches of a plugin's objects stand still");
                }
                let back_off = BACK_OFF_MIN.saturating_mul(1 << self.0.min(6));
                self.0 = self.0.saturating_add(1);
                Some(back_off.min(BACK_OFF_MAX))
            }
        }
    }
}

/// 90 to 110 %, so that the resources of many plugins do not list in step.
fn jittered(pause: Duration) -> Duration {
    let random = uuid::Uuid::new_v4().as_bytes()[0];
    pause.mul_f64(0.9 + 0.2 * f64::from(random) / 255.0)
}
