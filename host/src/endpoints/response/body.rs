//! Bodies of answers: pieces of shared bytes, joined into frames as the connection takes them.
//!
//! Nothing is copied until a frame is sent, so a list costs a pointer per object while it waits. Frames are
//! 32 KiB: one frame per object costs fourteen times as much over HTTP/2. Compression (gzip, level 1, as
//! upstream) is done frame by frame too, and only above 128 KiB.

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

/// Bytes of a frame, but for the last one and for pieces that are longer than this by themselves.
const FRAME: usize = 32 * 1024;
/// Answers of at most this many bytes are not compressed.
pub(super) const GZIP_THRESHOLD: usize = 128 * 1024;
const GZIP_LEVEL: u32 = 1;

/// A body whose pieces are all known.
pub(super) fn pieces(pieces: Vec<Bytes>) -> Body {
    let left = pieces.iter().map(Bytes::len).sum();
    Pieces {
        pieces: pieces.into_iter(),
        held: None,
        left,
    }
    .boxed_unsync()
}

/// The same, compressed.
pub(super) fn compressed(pieces: Vec<Bytes>) -> Body {
    Compressed {
        pieces: pieces.into_iter(),
        encoder: Some(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
    }
    .boxed_unsync()
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

struct Pieces {
    pieces: std::vec::IntoIter<Bytes>,
    /// Taken, but too long for the frame before it.
    held: Option<Bytes>,
    left: usize,
}

impl Pieces {
    fn next_frame(&mut self) -> Option<Bytes> {
        let first = self.held.take().or_else(|| self.pieces.next())?;
        if first.len() >= FRAME {
            return Some(first);
        }
        let mut frame = BytesMut::with_capacity(FRAME.min(self.left));
        frame.extend_from_slice(&first);
        while frame.len() < FRAME {
            let Some(piece) = self.pieces.next() else {
                break;
            };
            // A long piece goes out as it is, unless that would leave a short frame.
            if piece.len() >= FRAME && frame.len() >= FRAME / 2 {
                self.held = Some(piece);
                break;
            }
            frame.extend_from_slice(&piece);
        }
        Some(frame.freeze())
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.next_frame();
        self.left -= frame.as_ref().map_or(0, Bytes::len);
        Poll::Ready(frame.map(|it| Ok(Frame::data(it))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

struct Compressed {
    pieces: std::vec::IntoIter<Bytes>,
    /// `None` once the end was written.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl Compressed {
    fn next_frame(&mut self) -> Option<Bytes> {
        let mut encoder = self.encoder.take()?;
        while encoder.get_ref().len() < FRAME {
            let Some(piece) = self.pieces.next() else {
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

impl http_body::Body for Compressed {
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
        assert!(frames.len() <= 1_000_000 / FRAME + 1);
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
        let sent = frames(compressed(many.clone())).await.concat();
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
