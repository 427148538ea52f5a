//! A client that repeats one GET, counts what it gets, and copies nothing of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Buf as _, BytesMut};
use outrigger_tests::client::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use super::frames::{self, Blocks};
use crate::load::Window;

/// What a read may bring at most.
const READ_BYTES: usize = 256 << 10;

/// One HTTP/2 connection.
pub(crate) struct Counting {
    tls: TlsStream<TcpStream>,
    blocks: Blocks,
    is_first: bool,
    next_stream: u32,
    received: BytesMut,
    to_send: Vec<u8>,
    /// Bytes that the server may not know to be read: of the connection, and of each stream that goes on.
    unread: u32,
    unread_of: HashMap<u32, u32>,
}

/// What has come.
pub(crate) enum Got<'a> {
    /// The headers of an answer, which is 200.
    Headers,
    Data(&'a [u8]),
    /// The answer on this stream is whole.
    End(u32),
}

impl Counting {
    /// `number` chooses an address of this machine to come from: a server may take only so many connections of one.
    pub(crate) async fn open(
        client: &Client,
        path: &str,
        headers: &[(&str, &str)],
        number: usize,
    ) -> Result<Self> {
        let to: SocketAddr = client.address().parse()?;
        let socket = TcpSocket::new_v4()?;
        let last = u8::try_from(number % 8)? + 1;
        socket.bind(([127, 0, 0, last], 0).into())?;
        let tls = client.connect_over(socket.connect(to).await?).await?;
        ensure!(
            tls.get_ref().1.alpn_protocol() == Some(b"h2"),
            "the server does not speak HTTP/2"
        );
        let mut to_send = Vec::new();
        frames::preface(&mut to_send);
        Ok(Self {
            tls,
            blocks: Blocks::get(client.authority(), path, headers),
            is_first: true,
            next_stream: 1,
            received: BytesMut::with_capacity(2 * READ_BYTES),
            to_send,
            unread: 0,
            unread_of: HashMap::new(),
        })
    }

    /// Asks once more; sent with the next [`Counting::turn`]. Returns the stream's number.
    pub(crate) fn ask(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let is_first = std::mem::replace(&mut self.is_first, false);
        let block = if is_first {
            &self.blocks.first
        } else {
            &self.blocks.again
        };
        frames::request(&mut self.to_send, stream, block);
        stream
    }

    /// Sends what is to be sent, waits for something to come, and shows it.
    pub(crate) async fn turn(&mut self, mut show: impl FnMut(Got<'_>)) -> Result<()> {
        if !self.to_send.is_empty() {
            self.tls.write_all(&self.to_send).await?;
            self.tls.flush().await?;
            self.to_send.clear();
        }
        self.received.reserve(READ_BYTES);
        let read = self.tls.read_buf(&mut self.received).await?;
        ensure!(read > 0, "the server has closed the connection");
        let mut at = 0;
        while let Some(frame) = frames::first(&self.received[at..]) {
            at += frames::HEADER_BYTES + frame.payload.len();
            let is_end = frame.flags & frames::END_STREAM != 0;
            match frame.kind {
                frames::DATA => {
                    show(Got::Data(frame.payload));
                    let bytes = u32::try_from(frame.payload.len())?;
                    self.unread += bytes;
                    if !is_end {
                        let unread = self.unread_of.entry(frame.stream).or_default();
                        *unread += bytes;
                        if *unread > frames::STREAM_WINDOW_BYTES / 2 {
                            frames::window_update(&mut self.to_send, frame.stream, *unread);
                            *unread = 0;
                        }
                    }
                }
                frames::HEADERS => {
                    ensure!(
                        frames::is_ok(frame.payload),
                        "an answer is not 200: its headers begin with {:02x?}",
                        &frame.payload[..frame.payload.len().min(8)]
                    );
                    show(Got::Headers);
                }
                frames::SETTINGS if frame.flags & frames::ACK == 0 => {
                    frames::acknowledge(&mut self.to_send, frames::SETTINGS, &[]);
                }
                frames::PING if frame.flags & frames::ACK == 0 => {
                    frames::acknowledge(&mut self.to_send, frames::PING, frame.payload);
                }
                frames::RST_STREAM => bail!("the server has reset a stream"),
                frames::GOAWAY => bail!("the server closes the connection"),
                _ => {}
            }
            if is_end && matches!(frame.kind, frames::DATA | frames::HEADERS) {
                self.unread_of.remove(&frame.stream);
                show(Got::End(frame.stream));
            }
        }
        self.received.advance(at);
        if self.unread > frames::CONNECTION_WINDOW_BYTES / 4 {
            frames::window_update(&mut self.to_send, 0, self.unread);
            self.unread = 0;
        }
        Ok(())
    }

    /// Asks once and waits for the whole answer.
    pub(crate) async fn once(mut self) -> Result<()> {
        self.ask();
        let mut is_whole = false;
        while !is_whole {
            self.turn(|got| is_whole |= matches!(got, Got::End(_)))
                .await?;
        }
        Ok(())
    }

    /// Keeps `clients` requests in flight until the window is over; the times of those that were answered in it.
    pub(crate) async fn repeat(
        mut self,
        clients: usize,
        window: Arc<Window>,
    ) -> Result<Vec<Duration>> {
        let mut asked: HashMap<u32, Instant> = HashMap::new();
        for _ in 0..clients {
            asked.insert(self.ask(), Instant::now());
        }
        let mut latencies = Vec::new();
        let mut ended = Vec::new();
        loop {
            self.turn(|got| {
                if let Got::End(stream) = got {
                    ended.push(stream);
                }
            })
            .await?;
            let now = Instant::now();
            for stream in ended.drain(..) {
                let began = asked.remove(&stream).context("nobody asked for it")?;
                if window.counts(now) {
                    latencies.push(now - began);
                }
                if !window.is_over() {
                    asked.insert(self.ask(), now);
                }
            }
            if asked.is_empty() {
                return Ok(latencies);
            }
        }
    }
}
