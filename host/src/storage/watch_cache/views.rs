//! Derived encodings of one object: made once, shared by everybody who asks.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;

/// Derived encodings of one object, by a key that their maker chooses. One pointer, as most objects have none.
#[derive(Debug, Default)]
pub struct Views {
    // A resource has a handful of versions and media types: walking them beats a map.
    first: ArcSwapOption<View>,
}

#[derive(Debug)]
struct View {
    key: u32,
    bytes: Bytes,
    next: Option<Arc<View>>,
}

impl Views {
    pub fn get(&self, key: u32) -> Option<Bytes> {
        self.with(key, Clone::clone)
    }

    /// What `read` makes of the view, if there is one.
    pub fn with<T>(&self, key: u32, read: impl FnOnce(&Bytes) -> T) -> Option<T> {
        find(self.first.load().as_ref(), key).map(read)
    }

    /// Keeps `view`, or returns the one that somebody else has kept meanwhile.
    pub fn put(&self, key: u32, view: Bytes) -> Bytes {
        loop {
            let first = self.first.load_full();
            if let Some(kept) = find(first.as_ref(), key) {
                return kept.clone();
            }
            let new = Arc::new(View {
                key,
                bytes: view.clone(),
                next: first.clone(),
            });
            let before = self.first.compare_and_swap(&first, Some(new));
            if before.as_ref().map(Arc::as_ptr) == first.as_ref().map(Arc::as_ptr) {
                return view;
            }
        }
    }
}

fn find(mut view: Option<&Arc<View>>, key: u32) -> Option<&Bytes> {
    while let Some(it) = view {
        if it.key == key {
            return Some(&it.bytes);
        }
        view = it.next.as_ref();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_view_of_a_key() {
        let views = Views::default();
        assert_eq!(views.get(7), None);
        assert_eq!(views.put(7, Bytes::from_static(b"first")), "first");
        assert_eq!(views.put(7, Bytes::from_static(b"second")), "first");
        assert_eq!(views.put(8, Bytes::from_static(b"other")), "other");
        assert_eq!(views.get(7), Some(Bytes::from_static(b"first")));
    }

    #[test]
    fn keeps_one_view_of_a_key_that_many_make_at_once() {
        let views = Views::default();
        let made: Vec<Bytes> = std::thread::scope(|scope| {
            let make = |maker: u8| {
                let views = &views;
                move || {
                    (0..1000)
                        .map(|key| views.put(key, vec![maker].into()))
                        .collect()
                }
            };
            let makers: Vec<_> = (0..4).map(|it| scope.spawn(make(it))).collect();
            let made = makers.into_iter().map(|it| it.join().expect("no panic"));
            made.flat_map(|it: Vec<Bytes>| it.into_iter().enumerate())
                .map(|(key, view)| {
                    let key = u32::try_from(key).expect("small");
                    assert_eq!(views.get(key), Some(view.clone()));
                    view
                })
                .collect()
        });
        assert_eq!(made.len(), 4000);
    }
}
