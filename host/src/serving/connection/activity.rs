//! What a connection is doing, and by when it must have moved on.
//!
//! ```text
//! detection --first bytes--> idle <--headers done / response ended--> requests in flight (no deadline)
//!                              |  first byte of HTTP/1.1 headers: header block
//! at any time, while the client takes nothing of what it is sent: write stall
//! ```

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};
use tokio::time::{Duration, Instant};

use crate::serving::{Body, Limits};

/// The length of HTTP/2's preface: with fewer bytes hyper cannot tell the protocols apart.
const PREFACE_BYTES: u64 = 24;

/// How long a client may take to acknowledge a GOAWAY with nothing in flight.
const FAREWELL: Duration = Duration::from_secs(10);

/// Which deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Expired {
    #[error("no request and no HTTP/2 preface in time")]
    Detection,
    #[error("the headers of a request did not end in time")]
    HeaderBlock,
    #[error("idle")]
    Idle,
    #[error("took nothing of what it was sent for too long")]
    WriteStall,
}

pub(super) struct Activity {
    state: Mutex<State>,
}

struct State {
    is_http2: bool,
    opened: Instant,
    received_bytes: u64,
    requests: u64,
    in_flight: usize,
    /// Since when nothing is in flight.
    idle_since: Instant,
    /// When the first byte after idleness came, on HTTP/1.1.
    head_since: Option<Instant>,
    /// Since when the socket takes no bytes.
    stalled_since: Option<Instant>,
    closing: bool,
}

impl Activity {
    pub(super) fn new(is_http2: bool) -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                is_http2,
                opened: now,
                received_bytes: 0,
                requests: 0,
                in_flight: 0,
                idle_since: now,
                head_since: None,
                stalled_since: None,
                closing: false,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to look again, and what has happened if that is now.
    pub(super) fn deadline(&self, limits: &Limits) -> (Instant, Expired) {
        let state = self.lock();
        if let Some(since) = state.stalled_since {
            return (since + limits.write_stall, Expired::WriteStall);
        }
        if state.requests == 0 && state.received_bytes < PREFACE_BYTES {
            return (state.opened + limits.detection, Expired::Detection);
        }
        if state.in_flight > 0 {
            return (Instant::now() + limits.idle, Expired::Idle);
        }
        if let Some(since) = state.head_since {
            return (since + limits.header_block, Expired::HeaderBlock);
        }
        let allowed = if state.closing { FAREWELL } else { limits.idle };
        (state.idle_since + allowed, Expired::Idle)
    }

    pub(super) fn start_request(self: &Arc<Self>, version: Version) -> InFlight {
        let mut state = self.lock();
        state.is_http2 = version == Version::HTTP_2;
        state.requests += 1;
        state.in_flight += 1;
        state.head_since = None;
        drop(state);
        InFlight(Arc::clone(self))
    }

    pub(super) fn start_closing(&self) {
        let mut state = self.lock();
        state.closing = true;
        state.idle_since = Instant::now();
    }

    pub(super) fn received(&self, bytes: usize) {
        let mut state = self.lock();
        state.received_bytes += bytes as u64;
        if !state.is_http2 && state.in_flight == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    pub(super) fn wrote<T>(&self, poll: &Poll<T>) {
        let mut state = self.lock();
        if poll.is_ready() {
            state.stalled_since = None;
        } else if state.stalled_since.is_none() {
            state.stalled_since = Some(Instant::now());
        }
    }
}

/// A request until its answer has been sent or given up.
pub(super) struct InFlight(Arc<Activity>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.in_flight -= 1;
        if state.in_flight == 0 {
            state.idle_since = Instant::now();
        }
    }
}

/// The body of an answer, in flight until it is dropped.
pub(super) struct TrackedBody {
    body: Body,
    _in_flight: InFlight,
}

impl TrackedBody {
    pub(super) fn new(body: Body, in_flight: InFlight) -> Self {
        Self {
            body,
            _in_flight: in_flight,
        }
    }
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
