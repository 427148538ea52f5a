//! Watches: a response that goes on for as long as there is somebody to read it.
//!
//! It ends at its deadline, when the server stops, or with an ERROR event. All events that wait are joined into
//! one frame of at most 256 KiB (a longer event goes alone): one frame per event costs two to five times as
//! much. Watches of one form that stand at the same place share it. No task stands behind a watch; one whose
//! client is gone is dropped with the connection.

mod compression;
mod encoder;
mod websocket;

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::{Instant, Sleep};

use self::encoder::Encoder;
pub(in crate::endpoints) use self::encoder::Framing;
use super::negotiation::{self, MediaType};
use super::request::ResourceRequest;
use super::{list, response};
use crate::api::status::{Result, Status};
use crate::metrics::InFlight;
use crate::registry::store::read::{Change, Frames, Step, Watch, WatchRefused, too_old};
use crate::serving::{Body, ConnectionInfo};
use crate::storage::watch_cache::{BYTES_PER_RUN, WatchEnd};

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

pub async fn watch(
    request: &mut ResourceRequest,
    connection: &ConnectionInfo,
    open: InFlight,
) -> Result<http::Response<Body>> {
    let is_websocket = websocket::is_request(&request.headers);
    let framing = if is_websocket {
        Framing::Messages
    } else {
        Framing::Stream
    };
    let stream = begin(request, framing, open).await?;
    if is_websocket {
        return Ok(websocket::answer(request, connection, stream));
    }
    let is_compressed = stream.is_watch_list && response::names_gzip(&request.headers);
    Ok(streamed(stream, is_compressed))
}

/// What is wrong is said in upstream's order: the form, the options, the revision, and only then whether the
/// form can be streamed.
pub(in crate::endpoints) async fn begin(
    request: &mut ResourceRequest,
    framing: Framing,
    open: InFlight,
) -> Result<Stream> {
    let accepted = negotiation::accept(request)?;
    let options = list::options(request)?;
    let lifetime = match list::timeout_seconds(request)? {
        0 => SHORTEST_WATCH + SHORTEST_WATCH.mul_f64(chance()),
        // One that is over before it begins is none.
        asked => Duration::from_secs(u64::try_from(asked).unwrap_or(0)).min(LONGEST_WATCH),
    };
    let deadline = Instant::now() + lifetime;
    // A watch is refused like any request; only what follows is long.
    request.context.deadline = request.context.deadline.min(Instant::now() + START_TIMEOUT);
    let started = request.store.watch(&request.context, &options).await;
    let (watch, refused) = match started {
        Ok(watch) => (Some(watch), None),
        Err(WatchRefused::InStream(status)) => (None, Some(status)),
        Err(WatchRefused::Status(status)) => return Err(status),
    };
    let encoder = Encoder::new(request, accepted, framing)?;
    negotiation::check_stream(&accepted)?;
    Ok(Stream {
        media: accepted.media,
        is_watch_list: options.send_initial_events == Some(true) && options.allow_watch_bookmarks,
        watch,
        refused,
        encoder,
        pending: VecDeque::new(),
        is_step: false,
        deadline,
        timer: Box::pin(tokio::time::sleep_until(deadline)),
        next_bookmark: options
            .allow_watch_bookmarks
            .then(|| bookmark_after(Instant::now(), deadline)),
        draining: request.draining.clone(),
        _open: open,
    })
}

fn streamed(stream: Stream, is_compressed: bool) -> http::Response<Body> {
    let media = stream.media;
    let frames = stream::unfold(stream, move |mut stream| async move {
        let is_state = stream.is_in_state();
        let frames = stream.next_frames().await?;
        // The encoder has joined them already.
        let frame = match &*frames {
            [frame] => frame.clone(),
            frames => frames.concat().into(),
        };
        let frame = match is_compressed {
            true => compression::member(&frame, is_state),
            false => frame,
        };
        Some((Ok(Frame::data(frame)), stream))
    });
    let mut response = http::Response::new(StreamBody::new(frames).boxed_unsync());
    let content_type = match media {
        MediaType::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(response::CACHE_CONTROL),
    );
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if is_compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    response
}

pub(in crate::endpoints) struct Stream {
    media: MediaType,
    /// Whether it begins with the state and tells its end.
    is_watch_list: bool,
    /// `None` once there is nothing more to come.
    watch: Option<Watch>,
    /// All there is to say, in an ERROR event.
    refused: Option<Box<Status>>,
    encoder: Encoder,
    /// Happened, but not in a frame yet.
    pending: VecDeque<Change>,
    /// Whether that is all of one step.
    is_step: bool,
    deadline: Instant,
    /// For the bookmark or the end, whichever is next: to make one costs more than to send an event.
    timer: Pin<Box<Sleep>>,
    /// `None` where the client wants no bookmarks.
    next_bookmark: Option<Instant>,
    draining: tokio::sync::watch::Receiver<bool>,
    /// Counts it for as long as it goes on.
    _open: InFlight,
}

/// What a stream does next.
enum Action {
    End,
    Bookmark,
    Step(Step),
    Fail(Box<Status>),
}

impl Stream {
    /// Whether what comes next is of the state that the watch began with.
    fn is_in_state(&self) -> bool {
        self.watch
            .as_ref()
            .is_some_and(|it| it.revision().is_none())
    }

    /// Events for one frame, or one message each; `None` is the end.
    pub(in crate::endpoints) async fn next_frames(&mut self) -> Option<Frames> {
        if let Some(status) = self.refused.take() {
            self.watch = None;
            return Some(one(self.encoder.error(&status)));
        }
        loop {
            if !self.pending.is_empty() && Instant::now() < self.deadline {
                match self.joined().await {
                    Some(frames) => return Some(frames),
                    None => continue,
                }
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
                        return Some(one(self.encoder.bookmark(revision, false)));
                    }
                }
                Action::Step(Step::InitialEnd(revision)) => {
                    if self.next_bookmark.is_some() {
                        return Some(one(self.encoder.bookmark(revision, true)));
                    }
                }
                Action::Step(Step::Unreadable(object)) => {
                    self.watch = None;
                    return Some(one(self.encoder.unreadable(object)));
                }
                Action::Step(Step::Changes(changes)) => {
                    if changes.is_empty() {
                        // A long walk past what is not selected must not keep others from running.
                        tokio::task::yield_now().await;
                    }
                    self.pending.extend(changes);
                    self.is_step = true;
                }
                Action::Step(Step::Written(frames)) => {
                    self.encoder.has_sent();
                    return Some(frames);
                }
                Action::Fail(status) => {
                    self.watch = None;
                    return Some(one(self.encoder.error(&status)));
                }
            }
        }
    }

    async fn next_action(&mut self) -> Action {
        let Some(watch) = &mut self.watch else {
            return Action::End;
        };
        if let Some(form) = self.encoder.new_form() {
            watch.write_as(form);
        }
        let wake = self
            .next_bookmark
            .map_or(self.deadline, |it| it.min(self.deadline));
        if self.timer.deadline() != wake {
            self.timer.as_mut().reset(wake);
        }
        tokio::select! {
            biased;
            // The sender is the server's: it is gone only when the server is.
            _ = self.draining.wait_for(|it| *it) => Action::End,
            () = &mut self.timer => match wake < self.deadline {
                true => Action::Bookmark,
                false => Action::End,
            },
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

    /// The events of one frame; `None` where none of them can be shown.
    async fn joined(&mut self) -> Option<Frames> {
        let mut length = 0;
        let fitting = self.pending.iter().take_while(|it| {
            length += it.at.object.whole().len();
            length <= BYTES_PER_RUN
        });
        let count = fitting.count().max(1);
        let changes: Vec<Change> = self.pending.drain(..count).collect();
        let is_step = std::mem::take(&mut self.is_step) && self.pending.is_empty();
        let written = self.encoder.changes(&changes).await;
        if written.frames.is_empty() {
            return None;
        }
        let frames = Frames::from(written.frames);
        if let Some(watch) = self.watch.as_ref().filter(|_| is_step && written.is_whole) {
            watch.share(&frames);
        }
        Some(frames)
    }
}

fn one(frame: Bytes) -> Frames {
    Frames::from([frame])
}

fn bookmark_after(now: Instant, deadline: Instant) -> Instant {
    let next = now + BOOKMARK_INTERVAL;
    match deadline.checked_sub(LAST_BOOKMARK) {
        Some(last) if last > now && next > last => last,
        _ => next,
    }
}

/// From 0 up to 1.
fn chance() -> f64 {
    let random = uuid::Uuid::new_v4();
    f64::from(u16::from_be_bytes([
        random.as_bytes()[0],
        random.as_bytes()[1],
    ])) / 65536.0
}
