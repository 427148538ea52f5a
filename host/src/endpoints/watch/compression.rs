//! Frames of a compressed watch: each is a gzip member of its own, as upstream's are, so that it can be read as
//! soon as it comes and nothing is kept between two.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

/// `frame` as a gzip member. The state of a watch is worth compressing; a single event is not, for each of its
/// watchers again.
///
/// All of it is flushed before the member ends: Go's reader (compress/gzip) hands out what it finds in a member's
/// last block only when it has read the head of the next member, which for a watch is the next event.
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

    use flate2::{Decompress, FlushDecompress, Status};

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

    /// Informers of kube-controller-manager learnt of each event only with the one after it.
    #[test]
    fn an_event_is_flushed_before_its_member_ends() {
        const HEAD: usize = 10;
        const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
        for is_state in [true, false] {
            let sent = member(b"event", is_state);
            let end = sent.windows(4).position(|it| it == FLUSHED);
            let flushed = &sent[HEAD..end.expect("a flush") + FLUSHED.len()];
            let mut back = Vec::with_capacity(100);
            let status = Decompress::new(false)
                .decompress_vec(flushed, &mut back, FlushDecompress::None)
                .expect("deflate");
            assert_eq!((status, &*back), (Status::Ok, &b"event"[..]));
        }
    }
}
