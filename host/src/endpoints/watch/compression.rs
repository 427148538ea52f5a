//! Frames of a compressed watch: each is a gzip member of its own, as upstream's are, so that nothing is kept between
//! two.
//!
//! A frame is flushed before its member ends. Go's reader hands over what it has read at a flush; at the end of a member
//! it waits for the next one first, which may be an hour away.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// `frame` as a gzip member. The state of a watch is worth compressing; a single event is not, for each of its
/// watchers again.
pub(super) fn member(frame: &[u8], is_state: bool) -> Bytes {
    let level = if is_state {
        Compression::fast()
    } else {
        Compression::none()
    };
    let mut encoder = GzEncoder::new(Vec::with_capacity(frame.len() / 4 + 64), level);
    encoder.write_all(frame).expect("a vector grows");
    encoder.flush().expect("a vector grows");
    encoder.finish().expect("a vector grows").into()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn members_stand_one_behind_another() {
        let mut sent = member(&b"state ".repeat(1000), true).to_vec();
        assert!(sent.len() < 200);
        sent.extend_from_slice(&member(b"event", false));
        let mut back = String::new();
        flate2::read::MultiGzDecoder::new(sent.as_slice())
            .read_to_string(&mut back)
            .expect("gzip");
        assert_eq!(back, "state ".repeat(1000) + "event");
    }

    /// `kubectl wait` and every informer of client-go hung: the last event before a pause was not read.
    #[test]
    fn a_frame_can_be_read_before_its_member_ends() {
        const HEADER: usize = 10;
        const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
        for is_state in [true, false] {
            let frame = b"event ".repeat(1000);
            let sent = member(&frame, is_state);
            let flushed = sent.windows(4).rposition(|it| it == FLUSHED);
            let until = flushed.expect("a flush") + FLUSHED.len();
            let mut read = Vec::with_capacity(2 * frame.len());
            let status = flate2::Decompress::new(false)
                .decompress_vec(
                    &sent[HEADER..until],
                    &mut read,
                    flate2::FlushDecompress::Sync,
                )
                .expect("deflate");
            assert_eq!(read, frame);
            assert_ne!(status, flate2::Status::StreamEnd, "it ended before");
        }
    }
}
