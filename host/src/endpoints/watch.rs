//! Watches: a response that goes on for as long as there is somebody to read it.
//!
//! It ends at its deadline, when the server stops, or with an ERROR event. All events that wait are joined into
//! one frame of at most 256 KiB (a longer event goes alone): one frame per event costs two to five times as
//! much. No task stands behind a watch; one whose client is gone is dropped with the connection.

mod encoder;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::Instant;

use self::encoder::Encoder;
use super::negotiation::{self, MediaType};
use super::request::ResourceRequest;
use super::{list, response};
use crate::api::status::{self, Result, Status};
use crate::registry::store::read::{Change, Step, Watch, WatchRefused};
use crate::serving::Body;
use crate::storage::Revision;
use crate::storage::watch_cache::WatchEnd;

/// How long a watch goes on whose client does not say: this, and at random up to as long again, so that
/// clients do not all come back at once.
const SHORTEST_WATCH: Duration = Duration::from_secs(30 * 60);
/// No timer is set for longer.
const LONGEST_WATCH: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long a watch may take to begin.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// The last bookmark comes so long before the end, so that the client goes on from there.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);
/// Stored bytes of the objects whose events are joined.
const FRAME: usize = 256 * 1024;

pub async fn watch(request: &mut ResourceRequest) -> Result<http::Response<Body>> {
    let accepted = negotiation::accept_stream(request)?;
    let options = list::options(request, true)?;
    let lifetime = match list::timeout(request)? {
        Some(asked) => asked.min(LONGEST_WATCH),
        None => SHORTEST_WATCH + SHORTEST_WATCH.mul_f64(chance()),
    };
    let encoder = Encoder::new(request, accepted)?;
    let deadline = Instant::now() + lifetime;
    // Refreshing and waiting for a revision take their time like any request; only what follows is long.
    let start = deadline.min(Instant::now() + START_TIMEOUT);
    request.context.deadline = request.context.deadline.min(start);
    let watch = match request.store.watch(&request.context, &options).await {
        Ok(watch) => Ok(watch),
        Err(WatchRefused::Status(status)) => return Err(status),
        Err(WatchRefused::Expired { requested, oldest }) => Err(too_old(requested, oldest)),
    };
    let (watch, refused) = match watch {
        Ok(watch) => (Some(watch), None),
        Err(status) => (None, Some(status)),
    };
    let stream = Stream {
        watch,
        refused,
        encoder,
        pending: VecDeque::new(),
        deadline,
        next_bookmark: options
            .allow_watch_bookmarks
            .then(|| bookmark_after(Instant::now(), deadline)),
        draining: request.draining.clone(),
    };
    let frames = stream::unfold(stream, |mut stream| async move {
        let frame = stream.next_frame().await?;
        Some((Ok(Frame::data(frame)), stream))
    });
    let content_type = match accepted.media {
        MediaType::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    };
    let mut response = http::Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(response::CACHE_CONTROL),
    );
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

struct Stream {
    /// `None` once there is nothing more to come.
    watch: Option<Watch>,
    /// All there is to say, in an ERROR event.
    refused: Option<Box<Status>>,
    encoder: Encoder,
    /// Happened, but not in a frame yet.
    pending: VecDeque<Change>,
    deadline: Instant,
    /// `None` where the client wants no bookmarks.
    next_bookmark: Option<Instant>,
    draining: tokio::sync::watch::Receiver<bool>,
}

/// What a stream does next.
enum Action {
    End,
    Bookmark,
    Step(Step),
    Fail(Box<Status>),
}

impl Stream {
    /// `None` is the end.
    async fn next_frame(&mut self) -> Option<Bytes> {
        if let Some(status) = self.refused.take() {
            self.watch = None;
            return Some(self.encoder.error(&status));
        }
        loop {
            if !self.pending.is_empty() && Instant::now() < self.deadline {
                let frame = self.joined().await;
                if frame.is_empty() {
                    continue;
                }
                return Some(frame);
            }
            match self.next_action().await {
                Action::End => {
                    self.watch = None;
                    return None;
                }
                Action::Bookmark => {
                    let now = Instant::now();
                    self.next_bookmark = Some(bookmark_after(now, self.deadline));
                    // Within the state there is no revision yet that a client could go on from.
                    if let Some(revision) = self.watch.as_ref().and_then(Watch::revision) {
                        return Some(self.encoder.bookmark(revision, false));
                    }
                }
                Action::Step(Step::InitialEnd(revision)) => {
                    if self.next_bookmark.is_some() {
                        return Some(self.encoder.bookmark(revision, true));
                    }
                }
                Action::Step(Step::Changes(changes)) => {
                    if changes.is_empty() {
                        // A long walk past what is not selected must not keep others from running.
                        tokio::task::yield_now().await;
                    }
                    self.pending.extend(changes);
                }
                Action::Fail(status) => {
                    self.watch = None;
                    return Some(self.encoder.error(&status));
                }
            }
        }
    }

    async fn next_action(&mut self) -> Action {
        let Some(watch) = &mut self.watch else {
            return Action::End;
        };
        let bookmark = self.next_bookmark.unwrap_or(self.deadline);
        tokio::select! {
            biased;
            // The sender is the server's: it is gone only when the server is.
            _ = self.draining.wait_for(|it| *it) => Action::End,
            () = tokio::time::sleep_until(self.deadline) => Action::End,
            () = tokio::time::sleep_until(bookmark) => Action::Bookmark,
            step = watch.next() => match step {
                Ok(step) => Action::Step(step),
                Err(WatchEnd::Closed) => Action::End,
                Err(WatchEnd::Expired { oldest }) => {
                    let at = watch.revision().unwrap_or_default();
                    Action::Fail(too_old(at, oldest))
                }
            },
        }
    }

    /// The events of one frame.
    async fn joined(&mut self) -> Bytes {
        let mut length = 0;
        let fitting = self.pending.iter().take_while(|it| {
            length += it.at.object.bytes.len();
            length <= FRAME
        });
        let count = fitting.count().max(1);
        let changes: Vec<Change> = self.pending.drain(..count).collect();
        self.encoder.changes(&changes).await
    }
}

fn bookmark_after(now: Instant, deadline: Instant) -> Instant {
    let next = now + BOOKMARK_INTERVAL;
    match deadline.checked_sub(LAST_BOOKMARK) {
        Some(last) if last > now && next > last => last,
        _ => next,
    }
}

/// Told in the stream: the watch had been granted.
fn too_old(requested: Revision, oldest: Revision) -> Box<Status> {
    // Upstream names the revision before the first one that it still has.
    let before = oldest.0.saturating_sub(1);
    status::expired(format!("too old resource version: {requested} ({before})"))
}

/// From 0 up to 1.
fn chance() -> f64 {
    let random = uuid::Uuid::new_v4();
    f64::from(u16::from_be_bytes([
        random.as_bytes()[0],
        random.as_bytes()[1],
    ])) / 65536.0
}
