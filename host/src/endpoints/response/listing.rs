//! The body of a list in JSON: items between commas, written when they are sent.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::body::{Frames, Source, is_long};
use crate::registry::store::read::{Objects, Shown};
use crate::storage::watch_cache::CachedObject;

/// How an object is shown in a list.
pub(super) trait Item: Send + Unpin + 'static {
    /// `None` where it is to be made first.
    fn length(&self, object: &CachedObject) -> Option<usize>;

    /// Writes what [`Item::length`] has counted.
    fn write(&self, object: &CachedObject, frames: &mut Frames);
}

/// Objects in one version, each from a position of its JSON on.
pub(super) struct Whole {
    pub(super) shown: Shown,
    pub(super) from: usize,
}

impl Item for Whole {
    fn length(&self, object: &CachedObject) -> Option<usize> {
        let length = self.shown.length(object, object.revision)?;
        Some(length - self.from)
    }

    fn write(&self, object: &CachedObject, frames: &mut Frames) {
        if is_long(object.whole().len()) && self.shown.is_stored(object) {
            let part = self.from..object.whole().end;
            for piece in object.shared(part, object.revision) {
                frames.share(piece);
            }
            return;
        }
        let length = self.length(object).unwrap_or(0);
        let out = frames.room(length);
        self.shown.write(object, object.revision, self.from, out);
    }
}

/// The metadata of objects.
pub(super) struct Metadata;

impl Item for Metadata {
    fn length(&self, object: &CachedObject) -> Option<usize> {
        Some(object.length(&object.metadata(), object.revision))
    }

    fn write(&self, object: &CachedObject, frames: &mut Frames) {
        let part: Range<usize> = object.metadata();
        let out = frames.room(object.length(&part, object.revision));
        object.write(part, object.revision, out);
    }
}

/// Objects that are looked at before others may run.
const OBJECTS_PER_TURN: usize = 4096;
/// Objects that are converted, or made into rows, together.
const MADE_TOGETHER: usize = 256;

/// Counts objects and their length as items, which an answer's head says.
pub(super) struct Measure {
    objects: Objects,
    pub(super) count: usize,
    length: usize,
    missing: Vec<Arc<CachedObject>>,
}

impl Measure {
    pub(super) fn new(objects: &Objects) -> Self {
        Self {
            objects: objects.clone(),
            count: 0,
            length: 0,
            missing: Vec::new(),
        }
    }

    /// Goes on; the caller makes what is missing, lets others run, and comes again. `None` at the end.
    pub(super) fn missing(&mut self, item: &impl Item) -> Option<&[Arc<CachedObject>]> {
        let made = self.missing.drain(..).filter_map(|it| item.length(&it));
        self.length += made.sum::<usize>();
        let before = self.count;
        let (count, length, missing) = (&mut self.count, &mut self.length, &mut self.missing);
        self.objects.visit(|object| {
            *count += 1;
            match item.length(object) {
                Some(known) => *length += known,
                None => missing.push(Arc::clone(object)),
            }
            match *count - before < OBJECTS_PER_TURN && missing.len() < MADE_TOGETHER {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        });
        (self.count > before).then_some(&self.missing)
    }
}

/// What stands around the items.
pub(super) struct Around {
    /// Up to the first.
    pub(super) head: String,
    pub(super) open: &'static str,
    pub(super) close: &'static str,
    /// Behind the last.
    pub(super) tail: String,
}

pub(super) struct Listing<I> {
    objects: Objects,
    item: I,
    around: Around,
    frames: Frames,
    is_first: bool,
    is_done: bool,
    left: usize,
}

impl<I: Item> Listing<I> {
    pub(super) fn new(objects: Objects, item: I, around: Around, measured: &Measure) -> Self {
        let each = around.open.len() + around.close.len();
        let commas = measured.count.saturating_sub(1);
        let left = around.head.len()
            + around.tail.len()
            + measured.length
            + measured.count * each
            + commas;
        let mut frames = Frames::default();
        frames
            .room(around.head.len())
            .extend_from_slice(around.head.as_bytes());
        Self {
            objects,
            item,
            around,
            frames,
            is_first: true,
            is_done: false,
            left,
        }
    }

    /// Writes items until a frame is full.
    fn fill(&mut self) {
        let Self {
            frames,
            item,
            around,
            is_first,
            ..
        } = self;
        let mut is_end = true;
        self.objects.visit(|object: &Arc<CachedObject>| {
            let comma = if std::mem::take(is_first) { "" } else { "," };
            for text in [comma, around.open] {
                frames.room(text.len()).extend_from_slice(text.as_bytes());
            }
            item.write(object, frames);
            let close = around.close.as_bytes();
            frames.room(close.len()).extend_from_slice(close);
            if frames.is_ready() {
                is_end = false;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        if is_end {
            self.is_done = true;
            let tail = self.around.tail.as_bytes();
            self.frames.room(tail.len()).extend_from_slice(tail);
            self.frames.close();
        }
    }
}

impl<I: Item> Source for Listing<I> {
    fn next_frame(&mut self) -> Option<Bytes> {
        if !self.frames.is_ready() && !self.is_done {
            self.fill();
        }
        let frame = self.frames.pop();
        self.left -= frame.as_ref().map_or(0, Bytes::len);
        frame
    }

    fn left(&self) -> usize {
        self.left
    }

    fn append(&mut self, bytes: &'static [u8]) {
        self.left += bytes.len();
        self.around.tail.push_str(&String::from_utf8_lossy(bytes));
    }
}
