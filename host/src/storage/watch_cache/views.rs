//! Derived encodings of one object: made once, shared by everybody who asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Derived encodings of one object, by a key that their maker chooses.
#[derive(Debug, Default)]
pub struct Views {
    // A resource has a handful of versions and media types: walking them beats a map.
    views: Mutex<Vec<(u32, Bytes)>>,
}

impl Views {
    pub fn get(&self, key: u32) -> Option<Bytes> {
        find(&self.lock(), key)
    }

    /// Keeps `view`, or returns the one that somebody else has kept meanwhile.
    pub fn put(&self, key: u32, view: Bytes) -> Bytes {
        let mut views = self.lock();
        if let Some(kept) = find(&views, key) {
            return kept;
        }
        views.push((key, view.clone()));
        view
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u32, Bytes)>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find(views: &[(u32, Bytes)], key: u32) -> Option<Bytes> {
    let found = views.iter().find(|(it, _)| *it == key);
    found.map(|(_, view)| view.clone())
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
}
