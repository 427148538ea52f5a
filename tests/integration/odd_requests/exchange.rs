//! One odd request and what came back: by hand over HTTP/1.1, where everything can be sent, and by a library
//! over HTTP/2.

use std::io::ErrorKind;
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_tests::client::Client;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::client::TlsStream;

use super::generator::{Framing, Odd};

/// What the server made of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// It closed the connection or the stream, which it may where a request cannot be understood.
    Closed,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// `None` for a stream without an end, whose beginning was enough.
    pub(crate) body: Option<Vec<u8>>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = text(self.body.as_deref().unwrap_or_default());
        write!(f, "{} {:?}\n{body:.2000}", self.status, self.headers)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|it| it.0 == name);
        found.map_or("", |it| it.1.as_str())
    }
}

/// Both kinds of connections to one server, kept open for as long as they can be used.
pub(crate) struct Wire {
    client: Client,
    http1: Option<BufReader<TlsStream<TcpStream>>>,
    http2: Option<(SendRequest<OddBody>, Connection)>,
}

struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            http1: None,
            http2: None,
        }
    }

    /// # Errors
    /// What came back is no proper answer.
    pub(crate) async fn send(&mut self, odd: &Odd) -> Result<Outcome> {
        // What HTTP/2's library refuses to send goes by hand.
        match http2_request(odd, self.client.authority()) {
            Some(request) if odd.is_http2 => self.send_http2(odd, request).await,
            _ => self.send_http1(odd).await,
        }
    }

    async fn send_http1(&mut self, odd: &Odd) -> Result<Outcome> {
        let is_clean = odd.is_framed();
        let kept = self.http1.take().filter(|_| is_clean);
        let stream = match kept {
            Some(stream) => stream,
            None => BufReader::new(self.client.http1().connect().await?),
        };
        let (mut reader, mut writer) = tokio::io::split(stream);
        let sent = odd.to_http1(self.client.authority());
        let mut is_unfinished = false;
        let answer = {
            let mut reading = std::pin::pin!(read_answer(&mut reader, odd));
            let writing = async {
                // It may answer and close before it has read all.
                let _ = writer.write_all(&sent).await;
                if odd.is_cut() {
                    let _ = writer.shutdown().await;
                }
            };
            tokio::select! {
                biased;
                read = &mut reading => {
                    is_unfinished = true; // Perhaps in the middle of the request.
                    read
                }
                () = writing => reading.await,
            }
        };
        let answer = match answer {
            Err(error) if odd.may_be_cut_off() && is_cut_off(&error) => None,
            answer => answer?,
        };
        let keeps = |it: &Answer| {
            is_clean
                && !is_unfinished
                && it.body.is_some()
                && it.status != 101
                && !it.header("connection").eq_ignore_ascii_case("close")
        };
        if answer.as_ref().is_some_and(keeps) && !odd.closes_connection() {
            self.http1 = Some(reader.unsplit(writer));
        }
        Ok(answer.map_or(Outcome::Closed, Outcome::Answered))
    }

    async fn send_http2(&mut self, odd: &Odd, request: http::Request<OddBody>) -> Result<Outcome> {
        if self.http2.as_ref().is_none_or(|it| it.0.is_closed()) {
            let tls = self.client.connect().await?;
            let (sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
                    .await?;
            let connection = Connection(tokio::spawn(connection).abort_handle());
            self.http2 = Some((sender, connection));
        }
        let (sender, _) = self.http2.as_mut().context("it was just opened")?;
        let Ok(response) = sender.send_request(request).await else {
            return Ok(Outcome::Closed);
        };
        let (parts, body) = response.into_parts();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes())))
            .collect();
        let body = if odd.may_stream() && parts.status == 200 {
            None
        } else {
            match body.collect().await {
                Ok(body) => Some(body.to_bytes().to_vec()),
                Err(_) => return Ok(Outcome::Closed),
            }
        };
        Ok(Outcome::Answered(Answer {
            status: parts.status.as_u16(),
            headers,
            body,
        }))
    }
}

type Reader = tokio::io::ReadHalf<BufReader<TlsStream<TcpStream>>>;

/// `None` where the connection ended before an answer began.
async fn read_answer(reader: &mut Reader, odd: &Odd) -> Result<Option<Answer>> {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        match reader.read_until(b'\n', &mut line).await {
            Err(_) | Ok(0) => return Ok(None),
            Ok(_) => {}
        }
        let line = text(&line);
        let status = line
            .strip_prefix("HTTP/1.1 ")
            .or_else(|| line.strip_prefix("HTTP/1.0 "))
            .and_then(|it| it.get(..3)?.parse().ok())
            .with_context(|| format!("no status line: {line:?}"))?;
        let headers = read_headers(&mut reader).await?;
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let mut answer = Answer {
            status,
            headers,
            body: None,
        };
        if !odd.may_stream() || status != 200 {
            answer.body = Some(read_body(&mut reader, &answer, odd).await?);
        }
        return Ok(Some(answer));
    }
}

async fn read_headers(reader: &mut BufReader<&mut Reader>) -> Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).await?;
        let line = text(&line);
        ensure!(line.ends_with("\r\n"), "the headers end in {line:?}");
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line
            .split_once(':')
            .with_context(|| format!("no header: {line:?}"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

async fn read_body(
    reader: &mut BufReader<&mut Reader>,
    answer: &Answer,
    odd: &Odd,
) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    if odd.method == "HEAD" || matches!(answer.status, 101 | 204 | 304) {
        return Ok(body);
    }
    if answer.header("transfer-encoding") == "chunked" {
        loop {
            let mut size = Vec::new();
            reader.read_until(b'\n', &mut size).await?;
            let size = text(&size);
            let size = usize::from_str_radix(size.trim(), 16)
                .with_context(|| format!("no size of a chunk: {size:?}"))?;
            let start = body.len();
            body.resize(start + size + 2, 0);
            reader.read_exact(&mut body[start..]).await?;
            ensure!(body.ends_with(b"\r\n"), "a chunk is longer than it says");
            body.truncate(start + size);
            if size == 0 {
                return Ok(body);
            }
        }
    }
    match answer.header("content-length") {
        "" => {
            reader.read_to_end(&mut body).await?;
        }
        length => {
            body.resize(length.parse().context("content-length")?, 0);
            reader.read_exact(&mut body).await?;
        }
    }
    Ok(body)
}

fn is_cut_off(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|it| {
        matches!(
            it.kind(),
            ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof
        )
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `None` for what cannot be sent over HTTP/2, or not by its library.
fn http2_request(odd: &Odd, authority: &str) -> Option<http::Request<OddBody>> {
    let mut request = http::Request::builder()
        .method(odd.method.as_bytes())
        .uri(format!("https://{authority}{}", odd.target));
    let hop_by_hop = [
        "connection",
        "expect",
        "host",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    for (name, value) in &odd.headers {
        if !hop_by_hop.contains(&name.to_ascii_lowercase().as_str()) {
            request = request.header(name, value.as_slice());
        }
    }
    let body = match odd.framing {
        Framing::Exact | Framing::Chunked => OddBody::whole(&odd.body),
        Framing::Truncated => OddBody::broken(&odd.body[..odd.body.len() / 2]),
        Framing::LengthTooSmall | Framing::LengthTooLarge => {
            let length = odd.wrong_length();
            request = request.header("content-length", length);
            OddBody::whole(&odd.body)
        }
        _ => return None,
    };
    request.body(body).ok()
}

/// A body that may break off.
pub(crate) struct OddBody {
    rest: Option<Bytes>,
    is_broken: bool,
}

impl OddBody {
    fn whole(bytes: &[u8]) -> Self {
        Self {
            rest: Some(Bytes::copy_from_slice(bytes)).filter(|it| !it.is_empty()),
            is_broken: false,
        }
    }

    fn broken(bytes: &[u8]) -> Self {
        Self {
            is_broken: true,
            ..Self::whole(bytes)
        }
    }
}

impl Body for OddBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        Poll::Ready(match self.rest.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.is_broken => Some(Err(BrokenOff)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && !self.is_broken
    }

    /// Unknown, so that the library sends no length of its own.
    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[derive(Debug)]
pub(crate) struct BrokenOff;

impl std::fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body breaks off, on purpose")
    }
}

impl std::error::Error for BrokenOff {}
