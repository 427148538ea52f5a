//! What watchers of one resource send, made once for all who send the same.
//!
//! A thousand watchers that wait for the same event are woken together, and all stand at the same place: the first of them
//! makes the bytes, the others find them. Somebody who is behind makes his own. Only what was made last is kept, at most
//! 1 MiB of it: what is in flight is shared by reference, whether it is kept or not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Selection;
use crate::storage::watch_cache::Run;

const KEPT: usize = 32;
const KEPT_BYTES: usize = 1 << 20;

/// One or more pieces of a stream, in order.
pub type Frames = Arc<[Bytes]>;

/// All that the bytes of a watch depend on, but for the events. Two watchers share bytes only where all of it is equal:
/// what one of them may see, another may not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) selection: Selection,
    /// How events are written, in words of whoever writes them; empty where that is not said, and nothing shared.
    pub(super) encoding: String,
}

#[derive(Debug, Default)]
pub(crate) struct SharedFrames(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The newest in front.
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    form: Arc<Form>,
    run: Run,
    frames: Frames,
}

impl SharedFrames {
    pub(super) fn get(&self, form: &Arc<Form>, run: Run) -> Option<Frames> {
        if form.encoding.is_empty() {
            return None;
        }
        let kept = self.lock();
        let mut of_run = kept.entries.iter().filter(|it| it.run == run);
        let found = of_run.find(|it| Arc::ptr_eq(&it.form, form) || it.form == *form);
        found.map(|it| Arc::clone(&it.frames))
    }

    pub(super) fn put(&self, form: &Arc<Form>, run: Run, frames: &Frames) {
        let length = bytes(frames);
        if length > KEPT_BYTES || form.encoding.is_empty() {
            return;
        }
        let mut kept = self.lock();
        kept.bytes += length;
        kept.entries.push_front(Entry {
            form: Arc::clone(form),
            run,
            frames: Arc::clone(frames),
        });
        while kept.entries.len() > KEPT || kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.entries.pop_back() else {
                break;
            };
            kept.bytes -= bytes(&oldest.frames);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(frames: &Frames) -> usize {
    frames.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(encoding: &str) -> Arc<Form> {
        Arc::new(Form {
            selection: Selection::default(),
            encoding: encoding.into(),
        })
    }

    fn frames(pieces: usize, length: usize) -> Frames {
        (0..pieces).map(|_| Bytes::from(vec![0; length])).collect()
    }

    /// The numbers of runs of which something is kept, up to `last`.
    fn kept(shared: &SharedFrames, form: &Arc<Form>, last: u64) -> Vec<u64> {
        let runs = 0..=last;
        runs.filter(|it| shared.get(form, Run::of(*it)).is_some())
            .collect()
    }

    #[test]
    fn keeps_the_newest_up_to_a_mebibyte() {
        let (shared, form) = (SharedFrames::default(), form("json"));
        // Two pieces of 128 KiB each: four of them.
        for run in 0..6 {
            shared.put(&form, Run::of(run), &frames(2, KEPT_BYTES / 8));
        }
        assert_eq!(kept(&shared, &form, 6), [2, 3, 4, 5]);
        // One that is larger than all of the room is not kept, and costs the others nothing.
        shared.put(&form, Run::of(6), &frames(1, KEPT_BYTES + 1));
        assert_eq!(kept(&shared, &form, 6), [2, 3, 4, 5]);
        // One that takes all of it is alone.
        shared.put(&form, Run::of(6), &frames(1, KEPT_BYTES));
        assert_eq!(kept(&shared, &form, 6), [6]);
        shared.put(&form, Run::of(0), &frames(1, 1));
        assert_eq!(kept(&shared, &form, 6), [0]);
        assert_eq!(shared.lock().bytes, 1);
    }

    #[test]
    fn keeps_no_more_than_a_few_however_small() {
        let (shared, form) = (SharedFrames::default(), form("json"));
        let last = KEPT as u64 + 4;
        for run in 0..=last {
            shared.put(&form, Run::of(run), &frames(1, 0));
        }
        assert_eq!(kept(&shared, &form, last), (5..=last).collect::<Vec<_>>());
    }

    #[test]
    fn is_for_those_who_say_the_same_and_nobody_else() {
        let shared = SharedFrames::default();
        shared.put(&form("json"), Run::of(1), &frames(1, 8));
        assert!(
            shared.get(&form("json"), Run::of(1)).is_some(),
            "an equal one"
        );
        assert!(shared.get(&form("yaml"), Run::of(1)).is_none());
        assert!(shared.get(&form("json"), Run::of(2)).is_none());
        let other = Form {
            selection: Selection {
                namespace: "n".into(),
                ..Selection::default()
            },
            encoding: "json".into(),
        };
        assert!(shared.get(&Arc::new(other), Run::of(1)).is_none());
        let unsaid = form("");
        shared.put(&unsaid, Run::of(3), &frames(1, 8));
        assert!(shared.get(&unsaid, Run::of(3)).is_none());
    }
}
