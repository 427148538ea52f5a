//! The revision that the store was at last, in a file beside it.
//!
//! A log that was cut leaves a sound store of an earlier time, and so does a file that somebody has put back: nothing in
//! them tells. The mark is written after each commit and not synced: it is never ahead of what is on the disk, and
//! survives the process. One that cannot be written or read is none.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::storage::Revision;

pub(super) const NAME: &str = "revision";

#[derive(Debug)]
pub(super) struct Mark(Option<File>);

impl Mark {
    pub(super) fn open(folder: &Path) -> Self {
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true);
        let file = options.open(folder.join(NAME));
        if let Err(err) = &file {
            tracing::warn!(error = %err, "the store's revision cannot be kept beside it");
        }
        Self(file.ok())
    }

    pub(super) fn note(&self, revision: Revision) {
        let Some(file) = &self.0 else { return };
        if let Err(err) = file.write_all_at(text(revision).as_bytes(), 0) {
            tracing::debug!(error = %err, "the store's revision was not kept beside it");
        }
    }
}

/// What a folder's mark says; 0 where there is none.
pub(super) fn marked(folder: &Path) -> Revision {
    let read = fs::read_to_string(folder.join(NAME)).unwrap_or_default();
    let digits = read.split(' ').next().and_then(|it| it.parse().ok());
    let marked = digits.map(Revision).filter(|it| text(*it) == read);
    marked.unwrap_or_default()
}

/// Always as long, so that a shorter one leaves nothing of the one before.
fn text(revision: Revision) -> String {
    let digits = format!("{:020}", revision.0);
    let sum = crc32fast::hash(digits.as_bytes());
    format!("{digits} {sum:08x}\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use super::*;

    #[test]
    fn a_mark_says_what_was_noted_last() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(marked(folder.path()), Revision(0));
        let mark = Mark::open(folder.path());
        for revision in [7, u64::MAX, 1_000_000_007, 8] {
            mark.note(Revision(revision));
            assert_eq!(marked(folder.path()), Revision(revision));
        }
        drop(Mark::open(folder.path()));
        assert_eq!(marked(folder.path()), Revision(8));
    }

    #[test]
    fn a_mark_that_was_damaged_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(NAME);
        let sound = text(Revision(4711));
        for at in 0..sound.len() {
            let mut bytes = sound.clone().into_bytes();
            bytes[at] ^= 1;
            fs::write(&file, &bytes).unwrap();
            assert_eq!(marked(folder.path()), Revision(0), "byte {at}");
            fs::write(&file, &sound.as_bytes()[..at]).unwrap();
            assert_eq!(marked(folder.path()), Revision(0), "{at} bytes");
        }
        let missing = folder.path().join("missing");
        Mark::open(&missing).note(Revision(1));
        assert_eq!(marked(&missing), Revision(0));
    }
}
