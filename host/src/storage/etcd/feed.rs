//! The one watch of etcd that all sinks are fed from.
//!
//! ```text
//!            ┌───────────────── back-off ◀────────────────┐
//!            ▼                                            │ lost, silent, too far behind
//!   look: is it the same etcd? ──▶ watch from the next revision ──▶ follow
//!            │ no                           │ compacted
//!            ▼                              ▼
//!            └────────▶ reload all sinks ◀──┘    (what was missed is not known: watchers are told 410)
//! ```
//!
//! Where etcd is at an earlier revision than the sinks, nothing is read or written until it is not.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::client::{BackOff, WatchStream};
use super::commit;
use super::failure::{Effect, Failure};
use super::shared::{Lost, Shared};
use super::{load, meta, proto};
use crate::storage::Revision;

/// How often an idle watch is asked how far it is: etcd itself tells it every ten minutes.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Without any word for so long it is given up.
const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How often it is asked while somebody waits (k8s.io/apiserver, progressRequestPeriod: 100 ms).
const ASK_WHILE_WANTED: Duration = Duration::from_millis(50);
/// A member that is so far behind what another has answered is left.
const BEHIND_MAX: Duration = Duration::from_secs(10);
/// How long a look at the store may take.
const LOOK_DEADLINE: Duration = Duration::from_secs(10);

/// Why the watch ended.
enum End {
    Failed(Failure),
    /// What follows is compacted up to this etcd revision.
    Compacted(i64),
    /// Changes are missing.
    Lost,
    /// It has another past than what the sinks have.
    Replaced,
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Feeds the sinks for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut back_off = BackOff::default();
    loop {
        let ended = match follow(&shared, &mut back_off).await {
            End::Failed(failure) => Err(failure),
            End::Compacted(at) if shared.begin_after(at) => Ok(()),
            End::Compacted(_) | End::Lost => {
                reload(
                    &shared,
                    "changes in etcd were compacted before they were seen",
                )
                .await
            }
            End::Replaced => reload(&shared, "etcd was restored or made anew").await,
        };
        let Err(failure) = ended else { continue };
        // One failure in between is an ordinary thing: a member was restarted, and another one goes on.
        if back_off.has_paused() || !failure.is_passing() {
            shared.set_feed_trouble(Some(&failure));
        }
        sleep(back_off.next()).await;
    }
}

async fn follow(shared: &Shared, back_off: &mut BackOff) -> End {
    let stream = match open(shared).await {
        Ok(stream) => stream,
        Err(end) => return end,
    };
    shared.set_following(true);
    let end = listen(shared, stream, back_off).await;
    shared.set_following(false);
    end
}

async fn listen(shared: &Shared, mut stream: WatchStream<'_>, back_off: &mut BackOff) -> End {
    let mut heard = Instant::now();
    let mut caught_up = Instant::now();
    let mut asks = interval(ASK_EVERY);
    asks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut wanted = interval(ASK_WHILE_WANTED);
    wanted.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_wanted = shared.is_wanted();
        if !is_wanted {
            caught_up = Instant::now();
        }
        tokio::select! {
            message = stream.next() => {
                heard = Instant::now();
                let taken = match message {
                    Ok(message) => take(shared, &stream, message),
                    Err(failure) => Err(End::Failed(failure)),
                };
                if let Err(end) = taken {
                    return end;
                }
                back_off.reset();
                shared.set_feed_trouble(None);
            }
            () = shared.hurry.notified() => stream.ask_progress(),
            _ = wanted.tick(), if is_wanted => {
                if caught_up.elapsed() > BEHIND_MAX {
                    return End::Failed(stream.leave());
                }
                stream.ask_progress();
            }
            _ = asks.tick() => {
                if heard.elapsed() > SILENCE_MAX {
                    return End::Failed(stream.leave());
                }
                stream.ask_progress();
                if shared.has_write_trouble() {
                    commit::probe(shared).await;
                }
            }
        }
    }
}

/// A watch from after what the sinks have, of the etcd that they have it from.
async fn open(shared: &Shared) -> Result<WatchStream<'_>, End> {
    let request = proto::RangeRequest {
        key: shared.key(meta::STORE),
        ..Default::default()
    };
    let answer = shared.client.range_once(request).await?;
    let header = answer.header.unwrap_or_default();
    let found = shared.state().found;
    let is_same = answer
        .kvs
        .first()
        .is_some_and(|it| it.mod_revision == found.mod_revision);
    if header.cluster_id != found.cluster || !is_same {
        return Err(End::Replaced);
    }
    let at = shared.revision();
    let (now, next) = {
        let state = shared.state();
        (
            state.public(header.revision),
            state.etcd(at).unwrap_or(0) + 1,
        )
    };
    if now < at {
        return Err(End::Failed(Failure::went_back(at, now)));
    }
    if !has_last_change(shared, at).await? {
        return Err(End::Replaced);
    }
    let create = proto::WatchCreateRequest {
        key: shared.key(""),
        range_end: proto::end_of(&shared.prefix),
        start_revision: next,
        progress_notify: true,
        prev_kv: true,
        fragment: true,
    };
    Ok(shared.client.watch(create).await?)
}

/// Whether what the sinks were told last is there, as it was at revision `at`: an etcd that was restored and written
/// since then has something else.
async fn has_last_change(shared: &Shared, at: Revision) -> Result<bool, Failure> {
    let (last, revision) = {
        let state = shared.state();
        (state.last_change(), state.etcd(at).unwrap_or(0))
    };
    let Some((key, written_at)) = last else {
        return Ok(true);
    };
    let request = proto::RangeRequest {
        key: shared.key(&key),
        revision,
        ..Default::default()
    };
    match shared.client.range_once(request).await {
        Ok(answer) => Ok(answer.kvs.first().map(|it| it.mod_revision) == written_at),
        // The watch finds out whether anything is missing.
        Err(failure) if failure.effect == Effect::Compacted => Ok(true),
        Err(failure) => Err(failure),
    }
}

fn take(
    shared: &Shared,
    stream: &WatchStream<'_>,
    message: proto::WatchResponse,
) -> Result<(), End> {
    if message.compact_revision > 0 {
        return Err(End::Compacted(message.compact_revision));
    }
    if message.canceled {
        return Err(stream.cancelled(&message.cancel_reason).into());
    }
    if message.events.is_empty() {
        // The first message says of the store what it was before the watch began.
        if !message.created {
            shared.progress(message.header.unwrap_or_default().revision);
        }
        return Ok(());
    }
    let revision_of = |it: &proto::Event| it.kv.as_ref().map_or(0, |kv| kv.mod_revision);
    let mut events = message.events.into_iter().peekable();
    while let Some(first) = events.next() {
        let revision = revision_of(&first);
        let mut commit = vec![first];
        while let Some(event) = events.next_if(|it| revision_of(it) == revision) {
            commit.push(event);
        }
        let delivered = shared.deliver(revision, commit);
        delivered.map_err(|Lost| End::Lost)?;
    }
    Ok(())
}

async fn reload(shared: &Shared, why: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + LOOK_DEADLINE;
    let found = meta::read(&shared.client, &shared.prefix, deadline).await?;
    let Some(found) = found else {
        return Err(Failure::new(
            Effect::Refused,
            format!(
                "the store below {} in etcd is gone: restore etcd from a snapshot, or restart this server to begin \
                 with an empty one",
                shared.prefix
            ),
        ));
    };
    let revision = found.public(found.revision);
    if revision < shared.revision() {
        return Err(Failure::went_back(shared.revision(), revision));
    }
    let sinks = shared.begin_reload();
    if !sinks.is_empty() {
        tracing::warn!("{why}: everything is read again, and watches end with 410");
    }
    let loaded = load::reload(shared, sinks, found.revision, revision).await;
    shared.end_reload(loaded.is_ok().then_some(found));
    match loaded {
        // Compacted again meanwhile.
        Err(failure) if failure.effect == Effect::Compacted => Err(Failure::new(
            Effect::NotDone,
            "etcd is compacted faster than it can be read: compact it less often",
        )),
        loaded => loaded,
    }
}
