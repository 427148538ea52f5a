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
