//! A record as a value of etcd.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the form, 1 |
//! | 4 | `version_at`, little-endian |
//! | 8 | the mark of the transaction that wrote it |
//! | rest | the record's bytes |
//!
//! No checksum: etcd has one for what it writes to its disk. The mark is a random number: a writer whose answer was
//! lost finds its write in the watch by it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::storage::Record;

const FORM: u8 = 1;
const HEADER: usize = 13;

/// Of one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark(u64);

impl Mark {
    pub(super) fn new() -> Self {
        Self(uuid::Uuid::new_v4().as_u64_pair().1)
    }

    /// That of a value's transaction.
    pub(super) fn of(value: &[u8]) -> Option<Self> {
        let bytes: [u8; 8] = value.get(5..HEADER)?.try_into().ok()?;
        (value[0] == FORM).then(|| Self(u64::from_le_bytes(bytes)))
    }
}

pub(super) fn encode(record: &Record, mark: Mark) -> Bytes {
    let mut value = BytesMut::with_capacity(HEADER + record.bytes.len());
    value.put_u8(FORM);
    value.put_u32_le(record.version_at);
    value.put_u64_le(mark.0);
    value.put_slice(&record.bytes);
    value.freeze()
}

/// Copies: a slice would keep the whole answer of etcd in memory for as long as the object is cached.
/// What others wrote below the prefix is a record all the same: an object that does not decode, which can be deleted.
pub(super) fn decode(key: &str, value: &Bytes) -> Record {
    if value.len() >= HEADER && value[0] == FORM {
        let at = [value[1], value[2], value[3], value[4]];
        let version_at = u32::from_le_bytes(at);
        let bytes = Bytes::copy_from_slice(&value[HEADER..]);
        if version_at as usize <= bytes.len() {
            return Record { bytes, version_at };
        }
    }
    tracing::error!(key, "a value in etcd was not written by this server");
    Record {
        bytes: Bytes::copy_from_slice(value),
        version_at: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record {
            bytes: Bytes::from_static(b"{\"metadata\":{}}"),
            version_at: 13,
        };
        let mark = Mark::new();
        let value = encode(&record, mark);
        assert_eq!(decode("a", &value), record);
        assert_eq!(Mark::of(&value), Some(mark));
    }

    #[test]
    fn what_others_wrote_is_kept_as_it_is() {
        let values: [&[u8]; 3] = [b"", b"{}", b"\x01\xff\xff\xff\xff12345678{}"];
        for value in values {
            let value = Bytes::from_static(value);
            let record = decode("a", &value);
            assert_eq!((record.bytes, record.version_at), (value, 0));
        }
        assert_eq!(Mark::of(b"{}"), None);
    }
}
