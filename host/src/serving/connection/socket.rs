//! The decrypted stream of a connection, and what waits to be sent on it.
//!
//! h2 writes each DATA frame by itself and flushes behind it. On HTTP/2 the bytes are gathered instead, into whole TLS
//! records, and sent when there are 64 KiB or hyper has no more to say for now: answers that are ready together share a
//! record and a system call.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::activity::Activity;
use crate::serving::accept::Slot;

/// The longest TLS record.
const RECORD_BYTES: usize = 16 * 1024;
/// Most bytes that wait, but for one write more.
const SENT_TOGETHER: usize = 64 * 1024;

/// What hyper reads and writes. Holds the connection's slot, also after an upgrade.
pub(super) struct Socket(Arc<Mutex<Wire>>);

/// Sends what hyper has written: for the connection's task, whenever it has polled hyper.
pub(super) struct Sender(Arc<Mutex<Wire>>);

struct Wire {
    stream: TlsStream<TcpStream>,
    activity: Arc<Activity>,
    /// Whether what is written waits for [`Sender::poll_send`].
    gathers: bool,
    /// The next record, as far as it goes.
    gathered: Vec<u8>,
    /// Bytes in records that have not been sent yet.
    sealed: usize,
    _slot: Slot,
}

/// `gathers`: where [`Sender::poll_send`] is called whenever hyper has been polled.
pub(super) fn socket(
    mut stream: TlsStream<TcpStream>,
    activity: Arc<Activity>,
    slot: Slot,
    gathers: bool,
) -> (Socket, Sender) {
    if gathers {
        // `SENT_TOGETHER` is the limit.
        stream.get_mut().1.set_buffer_limit(None);
    }
    let wire = Arc::new(Mutex::new(Wire {
        stream,
        activity,
        gathers,
        gathered: Vec::new(),
        sealed: 0,
        _slot: slot,
    }));
    (Socket(Arc::clone(&wire)), Sender(wire))
}

impl Sender {
    /// Ready once nothing waits any more.
    pub(super) fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_send(context)
    }

    /// Each write is sent from now on, and each flush counts: nobody is left to send for.
    pub(super) fn stop_gathering(&self) {
        lock(&self.0).gathers = false;
    }
}

impl Wire {
    /// Takes at least one byte, or waits until it can.
    fn gather(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.sealed >= SENT_TOGETHER {
            ready!(self.poll_flush(context))?;
        }
        let mut taken = 0;
        for slice in slices {
            let mut left: &[u8] = slice;
            while !left.is_empty() {
                if self.sealed >= SENT_TOGETHER {
                    return Poll::Ready(Ok(taken));
                }
                let room = RECORD_BYTES - self.gathered.len();
                if left.len() < room {
                    if self.gathered.capacity() == 0 {
                        self.gathered.reserve_exact(RECORD_BYTES);
                    }
                    self.gathered.extend_from_slice(left);
                    taken += left.len();
                    break;
                }
                let (end, rest) = left.split_at(room);
                self.seal(end)?;
                taken += room;
                left = rest;
            }
        }
        Poll::Ready(Ok(taken))
    }

    /// Makes a record of what is gathered and `end`.
    fn seal(&mut self, end: &[u8]) -> io::Result<()> {
        let length = self.gathered.len() + end.len();
        let parts = [IoSlice::new(&self.gathered), IoSlice::new(end)];
        let session = self.stream.get_mut().1;
        let taken = session.writer().write_vectored(&parts)?;
        self.gathered.clear();
        self.sealed += length;
        if taken == length {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Makes a record of what does not fill one.
    fn seal_rest(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        self.seal(&[])?;
        // Connections are many, and most of them idle.
        self.gathered = Vec::new();
        Ok(())
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gathered.is_empty() && self.sealed == 0 {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(context)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seal_rest()?;
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        if poll.is_ready() {
            self.sealed = 0;
        }
        self.note(poll)
    }

    fn note<T>(&self, poll: Poll<T>) -> Poll<T> {
        self.activity.wrote(&poll);
        poll
    }
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.0);
        let before = buffer.filled().len();
        let poll = Pin::new(&mut wire.stream).poll_read(context, buffer);
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            wire.activity.received(bytes);
        }
        poll
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut wire = lock(&self.0);
        if wire.gathers {
            return wire.gather(context, &[IoSlice::new(bytes)]);
        }
        wire.seal_rest()?;
        let poll = Pin::new(&mut wire.stream).poll_write(context, bytes);
        wire.note(poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut wire = lock(&self.0);
        if wire.gathers {
            return wire.gather(context, slices);
        }
        wire.seal_rest()?;
        let poll = Pin::new(&mut wire.stream).poll_write_vectored(context, slices);
        wire.note(poll)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// On HTTP/2 the connection's task does it.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.0);
        if wire.gathers {
            return Poll::Ready(Ok(()));
        }
        wire.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = lock(&self.0);
        ready!(wire.poll_send(context))?;
        let poll = Pin::new(&mut wire.stream).poll_shutdown(context);
        wire.note(poll)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use http::Response;
    use http_body::Frame;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use crate::serving::Limits;
    use crate::serving::testing::{TestServer, answering, soon, text};

    const REQUESTS: u8 = 8;

    /// HTTP/2's preface, no settings, and so many times `GET /`.
    fn asked() -> Vec<u8> {
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        // GET, https, /, and an authority.
        let block = b"\x82\x87\x84\x41\x09localhost";
        for number in 0..REQUESTS {
            sent.extend_from_slice(&[
                0,
                0,
                u8::try_from(block.len()).unwrap(),
                1,
                5,
                0,
                0,
                0,
                2 * number + 1,
            ]);
            sent.extend_from_slice(block);
        }
        sent
    }

    /// How many streams have ended.
    fn ended(mut frames: &[u8]) -> usize {
        let mut ended = 0;
        while let [a, b, c, kind, flags, _, _, _, _, rest @ ..] = frames {
            let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
            ended += usize::from(matches!(kind, 0 | 1) && flags & 1 != 0);
            frames = &rest[length..];
        }
        ended
    }

    #[tokio::test]
    async fn answers_that_are_ready_together_leave_in_one_record() {
        let body = "x".repeat(1_000);
        let handler = answering(move |_, _| std::future::ready(text(200, body.clone())));
        let server = TestServer::start(handler, Limits::default());
        let mut client = server.handshake("h2", None).await.unwrap();
        client.write_all(&asked()).await.unwrap();
        // A read returns what one record holds.
        let mut got = vec![0; 64 << 10];
        let read = soon(client.read(&mut got)).await.unwrap();
        assert_eq!(ended(&got[..read]), usize::from(REQUESTS));
    }

    #[tokio::test]
    async fn answers_of_any_length_arrive_whole() {
        let long = |length: usize| -> String {
            let letter = |it| char::from(b'a' + u8::try_from(it % 23).unwrap());
            (0..length).map(letter).collect()
        };
        let handler = answering(move |request, _| {
            let length = request.uri().path()[1..].parse().unwrap();
            std::future::ready(text(200, long(length)))
        });
        let server = TestServer::start(handler, Limits::default());
        for protocol in ["h2", "http/1.1"] {
            let mut client = server.connect(protocol, None).await;
            for length in [0, 1, 1_023, 16_383, 16_384, 16_385, 65_536, 1_000_000] {
                let answer = soon(client.get(&format!("/{length}"))).await.unwrap();
                assert!(answer.1 == long(length), "{length} over {protocol}");
            }
        }
    }

    struct TellsWhenDropped(Arc<Notify>);

    impl Drop for TellsWhenDropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_closed_on() {
        let dropped = Arc::new(Notify::new());
        let told = Arc::clone(&dropped);
        let endless = answering(move |_, _| {
            let guard = TellsWhenDropped(Arc::clone(&told));
            let frames = futures_util::stream::repeat_with(move || {
                let _ = &guard;
                Ok(Frame::data(Bytes::from_static(&[0; 16 << 10])))
            });
            std::future::ready(Response::new(StreamBody::new(frames).boxed_unsync()))
        });
        let limits = Limits {
            write_stall: Duration::from_millis(20),
            ..Limits::default()
        };
        let server = TestServer::start(endless, limits);
        let mut client = server.handshake("h2", None).await.unwrap();
        let mut sent = asked();
        // Windows that let all of it through: the socket is what fills.
        sent.extend_from_slice(&[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x7f, 0, 0, 0]);
        for number in 0..REQUESTS {
            sent.extend_from_slice(&[0, 0, 4, 8, 0, 0, 0, 0, 2 * number + 1, 0x7f, 0, 0, 0]);
        }
        client.write_all(&sent).await.unwrap();
        soon(dropped.notified()).await;
    }
}
