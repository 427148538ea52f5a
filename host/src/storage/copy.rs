//! What a copy of one store into another is held to: all records are read, and the same are there.

use aws_lc_rs::digest::{SHA256, digest};

use super::Item;

/// What all keys begin with.
const PREFIXES: [&str; 3] = ["control/", "kv/", "objects/"];

/// Records that are read at a time.
pub const PAGE: usize = 500;

/// Where a walk over all records of a store is, one page after another.
#[derive(Debug, Default)]
pub struct Walk {
    /// Of [`PREFIXES`].
    at: usize,
    start: String,
}

impl Walk {
    /// Prefix and start of the next [`PAGE`]; `None` at the end.
    pub fn page(&self) -> Option<(&'static str, String)> {
        let prefix = PREFIXES.get(self.at)?;
        Some((prefix, self.start.clone()))
    }

    /// Goes on behind the page that was read.
    pub fn seen(&mut self, page: &[Item]) {
        match page.last() {
            // No key has the byte: nothing is between.
            Some(last) if page.len() >= PAGE => self.start = format!("{}\0", last.key),
            _ => {
                self.at += 1;
                self.start.clear();
            }
        }
    }
}

/// Of records, whatever their order: how many, and a sum of what is in them. Revisions are no part of it: an engine may
/// give records its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub records: u64,
    pub bytes: u64,
    sum: u128,
}

impl Tally {
    pub fn add(&mut self, item: &Item) {
        let Item { key, record, .. } = item;
        let mut content = Vec::with_capacity(key.len() + record.bytes.len() + 8);
        content.extend_from_slice(key.as_bytes());
        // No key has it: where the key ends is part of the sum.
        content.push(0);
        content.extend_from_slice(&record.version_at.to_be_bytes());
        content.extend_from_slice(&record.bytes);
        let digest = digest(&SHA256, &content);
        let mut half = [0; 16];
        half.copy_from_slice(&digest.as_ref()[..16]);
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
        self.records += 1;
        self.bytes += u64::try_from(record.bytes.len()).unwrap_or(u64::MAX);
    }

    /// The sum, for people to compare.
    pub fn checksum(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Record, Revision};

    fn tally(items: &[(&str, &str, u32)]) -> Tally {
        let mut tally = Tally::default();
        for (key, bytes, version_at) in items {
            tally.add(&Item {
                key: (*key).into(),
                revision: Revision(tally.records + 1),
                record: Record {
                    bytes: (*bytes).to_owned().into(),
                    version_at: *version_at,
                },
            });
        }
        tally
    }

    #[tokio::test]
    async fn a_walk_sees_every_record_once() {
        use crate::storage::conformance::{context, put};
        use crate::storage::{Expected, Storage, Write, memory::MemoryStorage};
        let storage = MemoryStorage::new();
        for number in 0..2 * PAGE {
            let key = match number % 4 {
                0 => format!("control/a/{number}"),
                _ => format!("objects/g/things/{number}"),
            };
            let write = Write {
                key: key.into(),
                ..put("a/x", "1", Expected::Absent)
            };
            let committed = storage.commit(&context(), vec![write]).await;
            committed.expect("works");
        }
        let (mut walk, mut tally) = (Walk::default(), Tally::default());
        while let Some((prefix, start)) = walk.page() {
            let page = storage.list(prefix, &start, PAGE).await.expect("works");
            page.iter().for_each(|it| tally.add(it));
            walk.seen(&page);
        }
        assert_eq!(tally.records, 2 * PAGE as u64);
    }

    #[test]
    fn is_of_what_there_is_in_any_order() {
        let all = [("a/x", "1", 0), ("a/y", "22", 1)];
        let expected = tally(&all);
        assert_eq!((expected.records, expected.bytes), (2, 3));
        assert_eq!(tally(&[all[1], all[0]]), expected);
        for other in [
            vec![("a/x", "1", 0)],
            vec![("a/x", "1", 0), ("a/y", "23", 1)],
            vec![("a/x", "1", 0), ("a/y", "22", 0)],
            vec![("a/x", "1", 0), ("a/y2", "2", 1)],
            vec![("a/x", "22", 0), ("a/y", "1", 1)],
        ] {
            assert_ne!(tally(&other), expected);
            assert_ne!(tally(&other).checksum(), expected.checksum());
        }
    }
}
