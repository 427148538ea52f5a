//! Bodies of answers, made frame by frame as the connection takes them.
//!
//! Nothing is copied until a frame is sent, so a list costs next to nothing while it waits. Frames are at most
//! 32 KiB, but for a piece that is longer by itself: one frame per object costs fourteen times as much over HTTP/2.
//! Compression (gzip, level 1, as upstream) is done frame by frame too, and only above 128 KiB.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::serving::Body;

/// Most bytes of a frame, but for pieces that are longer than this by themselves.
const FRAME: usize = 32 * 1024;
/// Answers of at most this many bytes are not compressed.
pub(super) const GZIP_THRESHOLD: usize = 128 * 1024;
const GZIP_LEVEL: u32 = 1;

/// Where the bytes of a body come from.
pub(super) trait Source: Send + Unpin + 'static {
    /// `None` behind the last frame.
    fn next_frame(&mut self) -> Option<Bytes>;

    /// Bytes that have not been returned yet.
    fn left(&self) -> usize;

    /// Adds to the end.
    fn append(&mut self, bytes: &'static [u8]);
}

pub(super) fn plain(source: impl Source) -> Body {
    Plain(source).boxed_unsync()
}

/// A body whose pieces are all known.
pub(super) fn pieces(pieces: Vec<Bytes>) -> Body {
    plain(Pieces::new(pieces))
}

/// The same, compressed.
pub(super) fn compressed(source: impl Source) -> Body {
    Compressed {
        source,
        encoder: Some(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
    }
    .boxed_unsync()
}

/// All bytes of a body at once.
pub(super) fn joined(mut source: impl Source) -> Vec<u8> {
    let mut all = Vec::with_capacity(source.left());
    while let Some(frame) = source.next_frame() {
        all.extend_from_slice(&frame);
    }
    all
}

/// Whether `Accept-Encoding` names gzip and says no more of it: what handlers of upstream look for.
pub(in crate::endpoints) fn names_gzip(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|it| it.to_str().ok())
        .is_some_and(|it| it.split(',').any(|it| it.trim() == "gzip"))
}

/// Whether the client takes gzip, with all that `Accept-Encoding` can say.
pub(in crate::endpoints) fn takes_gzip(headers: &HeaderMap) -> bool {
    let Some(value) = headers
        .get(header::ACCEPT_ENCODING)
        .and_then(|it| it.to_str().ok())
    else {
        return false;
    };
    value.split(',').any(|it| {
        let (coding, parameters) = it.split_once(';').unwrap_or((it, ""));
        let is_refused = matches!(parameters.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        coding.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// Frames that are being filled. What does not fit into one begins the next.
#[derive(Default)]
pub(super) struct Frames {
    full: VecDeque<Bytes>,
    open: BytesMut,
}

impl Frames {
    /// A buffer for the next `length` bytes.
    pub(super) fn room(&mut self, length: usize) -> &mut BytesMut {
        if !self.open.is_empty() && self.open.len() + length > FRAME {
            self.close();
        }
        if self.open.capacity() == 0 {
            self.open.reserve(length.max(FRAME));
        }
        &mut self.open
    }

    /// Adds bytes, and copies them only where they are few.
    pub(super) fn share(&mut self, bytes: Bytes) {
        if bytes.len() < FRAME {
            self.room(bytes.len()).extend_from_slice(&bytes);
            return;
        }
        self.close();
        self.full.push_back(bytes);
    }

    pub(super) fn is_ready(&self) -> bool {
        !self.full.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.full.pop_front()
    }

    /// Ends the frame that is open.
    pub(super) fn close(&mut self) {
        let frame = std::mem::take(&mut self.open);
        if !frame.is_empty() {
            self.full.push_back(frame.freeze());
        }
    }
}

/// Whether it pays to send so many bytes as they are.
pub(super) fn is_long(length: usize) -> bool {
    length >= FRAME
}

/// Bytes that are all known.
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    left: usize,
}

impl Pieces {
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        Self {
            left: pieces.iter().map(Bytes::len).sum(),
            pieces: pieces.into(),
        }
    }

    fn joined_frame(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front()?;
        let fits = |frame: usize, piece: &Bytes| frame + piece.len() <= FRAME;
        match self.pieces.front() {
            Some(second) if fits(first.len(), second) => {}
            _ => return Some(first),
        }
        let mut frame = BytesMut::with_capacity(FRAME.min(self.left));
        frame.extend_from_slice(&first);
        while let Some(piece) = self.pieces.pop_front_if(|it| fits(frame.len(), it)) {
            frame.extend_from_slice(&piece);
        }
        Some(frame.freeze())
    }
}

impl Source for Pieces {
    fn next_frame(&mut self) -> Option<Bytes> {
        let frame = self.joined_frame();
        self.left -= frame.as_ref().map_or(0, Bytes::len);
        frame
    }

    fn left(&self) -> usize {
        self.left
    }

    fn append(&mut self, bytes: &'static [u8]) {
        self.left += bytes.len();
        self.pieces.push_back(Bytes::from_static(bytes));
    }
}

struct Plain<S>(S);

impl<S: Source> http_body::Body for Plain<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next_frame().map(|it| Ok(Frame::data(it))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.left() as u64)
    }
}

struct Compressed<S> {
    source: S,
    /// `None` once the end was written.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<S: Source> Compressed<S> {
    fn next_frame(&mut self) -> Option<Bytes> {
        let mut encoder = self.encoder.take()?;
        while encoder.get_ref().len() < FRAME {
            let Some(piece) = self.source.next_frame() else {
                let rest = encoder.finish().expect("a vector grows");
                return Some(rest.into());
            };
            encoder.write_all(&piece).expect("a vector grows");
        }
        let frame = std::mem::take(encoder.get_mut());
        self.encoder = Some(encoder);
        Some(frame.into())
    }
}

impl<S: Source> http_body::Body for Compressed<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_frame().map(|it| Ok(Frame::data(it))))
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    async fn frames(mut body: Body) -> Vec<Bytes> {
        let mut frames = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.expect("infallible").into_data();
            frames.push(frame.expect("no trailers"));
        }
        frames
    }

    #[tokio::test]
    async fn joins_small_pieces_into_large_frames() {
        let many = vec![Bytes::from(vec![b'x'; 1000]); 1000];
        let body = pieces(many.clone());
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(1_000_000));
        let frames = frames(body).await;
        assert_eq!(frames.concat(), many.concat());
        assert!(frames.len() <= 1_000_000 / FRAME + 2);
    }

    #[tokio::test]
    async fn sends_long_pieces_without_a_copy() {
        let long = Bytes::from(vec![b'x'; 100_000]);
        let frames = frames(pieces(vec![long.clone(), long.clone()])).await;
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].as_ptr(), long.as_ptr());
    }

    #[tokio::test]
    async fn compresses_what_can_be_read_back() {
        let many: Vec<Bytes> = (0..100_000).map(|it| format!("{it},").into()).collect();
        let sent = frames(compressed(Pieces::new(many.clone()))).await.concat();
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(sent.as_slice())
            .read_to_end(&mut back)
            .expect("gzip");
        assert_eq!(back, many.concat());
        assert!(sent.len() < back.len());
    }

    #[test]
    fn compresses_only_for_those_who_ask() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().expect("a value"));
            takes_gzip(&headers)
        };
        let named = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, value.parse().expect("a value"));
            names_gzip(&headers)
        };
        assert!(named("br, gzip"));
        assert!(!named("gzip;q=1"));
        assert!(!named("GZIP"));
        assert!(check("gzip"));
        assert!(check("br, GZIP;q=0.5"));
        assert!(!check("gzip;q=0"));
        assert!(!check("identity"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
