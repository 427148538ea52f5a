//! As much of HTTP/2 (RFC 9113) and HPACK (RFC 7541) as a client needs that repeats one request.
//!
//! No Huffman codes, no priorities, no trailers; of an answer's headers only the status is read, and of that
//! only whether it is 200.

/// Of a frame's header.
pub(super) const HEADER_BYTES: usize = 9;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

pub(super) const END_STREAM: u8 = 1;
pub(super) const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

pub(super) const STREAM_WINDOW_BYTES: u32 = 16 << 20;
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
/// The connection's window before any update.
const FIRST_WINDOW_BYTES: u32 = 65_535;

/// A frame that has come in whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

/// The first frame in `bytes`, if all of it is there.
pub(super) fn first(bytes: &[u8]) -> Option<Frame<'_>> {
    let header = bytes.get(..HEADER_BYTES)?;
    let length =
        usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
    let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + length)?;
    let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
    Some(Frame {
        kind: header[3],
        flags: header[4],
        stream: stream & 0x7fff_ffff,
        payload,
    })
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("our frames are short");
    out.extend_from_slice(&length.to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// What a client says first: large windows, no pushes.
pub(super) fn preface(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let mut settings = Vec::new();
    for (name, value) in [(2u16, 0u32), (4, STREAM_WINDOW_BYTES)] {
        settings.extend_from_slice(&name.to_be_bytes());
        settings.extend_from_slice(&value.to_be_bytes());
    }
    frame(out, SETTINGS, 0, 0, &settings);
    window_update(out, 0, CONNECTION_WINDOW_BYTES - FIRST_WINDOW_BYTES);
}

pub(super) fn window_update(out: &mut Vec<u8>, stream: u32, bytes: u32) {
    frame(out, WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
}

pub(super) fn acknowledge(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    frame(out, kind, ACK, 0, payload);
}

pub(super) fn request(out: &mut Vec<u8>, stream: u32, block: &[u8]) {
    frame(out, HEADERS, END_HEADERS | END_STREAM, stream, block);
}

/// The header block of a GET: as it is sent the first time on a connection, and ever after.
pub(super) struct Blocks {
    pub(super) first: Vec<u8>,
    pub(super) again: Vec<u8>,
}

impl Blocks {
    pub(super) fn get(authority: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        const METHOD_GET: u8 = 0x82;
        const SCHEME_HTTPS: u8 = 0x87;
        const LITERAL_INDEXED: u8 = 0x40;
        const FIRST_DYNAMIC: usize = 62;

        let mut first = vec![METHOD_GET, SCHEME_HTTPS];
        let mut again = first.clone();
        first.push(LITERAL_INDEXED | 1);
        text(&mut first, authority);
        first.push(LITERAL_INDEXED | 4);
        text(&mut first, path);
        for (name, value) in headers {
            first.push(LITERAL_INDEXED);
            text(&mut first, name);
            text(&mut first, value);
        }
        // The last entry of the dynamic table has the lowest number.
        let entries = headers.len() + 2;
        let indices = (FIRST_DYNAMIC..FIRST_DYNAMIC + entries).rev();
        again.extend(indices.map(|it| 0x80 | u8::try_from(it).expect("few headers")));
        Self { first, again }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    // An integer of seven bits, the rest in groups of seven.
    let mut rest = text.len();
    if rest < 127 {
        out.push(rest.to_le_bytes()[0]);
    } else {
        out.push(127);
        rest -= 127;
        while rest >= 128 {
            out.push((rest % 128).to_le_bytes()[0] | 0x80);
            rest /= 128;
        }
        out.push(rest.to_le_bytes()[0]);
    }
    out.extend_from_slice(text.as_bytes());
}

/// Whether an answer's header block begins with `:status: 200`.
pub(super) fn is_ok(block: &[u8]) -> bool {
    const STATUS_200: u8 = 0x88;
    // The size of the dynamic table may be told first.
    let mut rest = block.iter().skip_while(|it| **it & 0xe0 == 0x20);
    rest.next() == Some(&STATUS_200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_frames_only() {
        let mut bytes = Vec::new();
        window_update(&mut bytes, 3, 77);
        assert_eq!(first(&bytes[..12]), None);
        let frame = first(&bytes).expect("it is whole");
        assert_eq!(
            (frame.kind, frame.flags, frame.stream),
            (WINDOW_UPDATE, 0, 3)
        );
        assert_eq!(frame.payload, 77u32.to_be_bytes());
    }

    #[test]
    fn a_request_is_short_the_second_time() {
        let blocks = Blocks::get("a:1", "/x", &[("accept", "b")]);
        assert_eq!(
            blocks.first,
            b"\x82\x87\x41\x03a:1\x44\x02/x\x40\x06accept\x01b"
        );
        assert_eq!(blocks.again, [0x82, 0x87, 0xc0, 0xbf, 0xbe]);
    }

    #[test]
    fn long_texts_have_long_lengths() {
        let mut out = Vec::new();
        text(&mut out, &"x".repeat(127 + 300));
        assert_eq!(&out[..3], [127, 0x80 | 44, 2]);
    }

    #[test]
    fn knows_an_answer_that_is_well() {
        assert!(is_ok(&[0x88, 1, 2]));
        assert!(is_ok(&[0x20, 0x88]));
        assert!(!is_ok(&[0x8d]));
        assert!(!is_ok(&[]));
    }
}
