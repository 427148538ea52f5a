//! A ring of events that any number of watchers read, each at its own place.

use std::sync::{Arc, RwLock};

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::sync::watch;

use super::Body;

const SLOTS: usize = 4_096;
/// Events in one frame.
const JOINED: usize = 64;

pub(super) struct Ring {
    event: Bytes,
    slots: Vec<RwLock<Bytes>>,
    /// How many events there were.
    head: watch::Sender<usize>,
}

impl Ring {
    pub(super) fn new(event: Bytes) -> Self {
        Self {
            event,
            slots: (0..SLOTS).map(|_| RwLock::default()).collect(),
            head: watch::Sender::new(0),
        }
    }

    /// Whoever publishes waits until all is delivered, so that nobody falls off.
    pub(super) fn publish(&self, number: usize) {
        let head = *self.head.borrow();
        for at in head..head + number {
            let mut slot = self.slots[at % SLOTS].write().expect("no writer panics");
            // Each in memory of its own.
            *slot = Bytes::copy_from_slice(&self.event);
        }
        self.head.send_replace(head + number);
    }

    /// What is published from now on.
    pub(super) fn watch(ring: &Arc<Self>) -> Body {
        let head = ring.head.subscribe();
        let position = *head.borrow();
        let state = (Arc::clone(ring), head, position);
        let events = stream::unfold(state, |(ring, mut head, position)| async move {
            let end = *head.wait_for(|it| *it > position).await.ok()?;
            let end = end.min(position + JOINED);
            let mut joined = BytesMut::with_capacity((end - position) * ring.event.len());
            for at in position..end {
                let slot = ring.slots[at % SLOTS].read().expect("no writer panics");
                joined.extend_from_slice(&slot);
            }
            Some((Ok(Frame::data(joined.freeze())), (ring, head, end)))
        });
        StreamBody::new(events).boxed_unsync()
    }
}
