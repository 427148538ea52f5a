//! What selectors look at, packed into one allocation: there may be a million of them.

use std::ops::Range;

/// Bytes in front of a pair: 2 of its key's length, 4 of its value's.
const LENGTHS: usize = 6;

/// Labels and selectable fields, read from an object once, when it enters the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Pairs behind their lengths: labels first, then fields.
    packed: Box<[u8]>,
    fields_at: u32,
    /// Where the metadata's JSON stands in the stored bytes, with its braces.
    pub metadata: Range<u32>,
}

impl Attributes {
    /// `fields` by path, e.g. `spec.color`; `metadata.name` and `metadata.namespace` come from the key.
    pub fn new<'a>(
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        fields: impl IntoIterator<Item = (&'a str, &'a str)>,
        metadata: Range<u32>,
    ) -> Self {
        let mut packed = Vec::new();
        for pair in labels {
            pack(&mut packed, pair);
        }
        let fields_at = u32::try_from(packed.len()).expect("an object has a few MiB at most");
        for pair in fields {
            pack(&mut packed, pair);
        }
        Self {
            packed: packed.into(),
            fields_at,
            metadata,
        }
    }

    pub fn labels(&self) -> Pairs<'_> {
        Pairs(&self.packed[..self.fields_at as usize])
    }

    pub fn fields(&self) -> Pairs<'_> {
        Pairs(&self.packed[self.fields_at as usize..])
    }

    /// Where the value of a label stands, for [`Attributes::text_at`].
    pub(super) fn label_at(&self, key: &str) -> Option<Range<u32>> {
        self.labels().get(key).map(|it| self.place_of(it))
    }

    pub(super) fn field_at(&self, path: &str) -> Option<Range<u32>> {
        self.fields().get(path).map(|it| self.place_of(it))
    }

    pub(super) fn text_at(&self, place: &Range<u32>) -> &str {
        text(&self.packed[place.start as usize..place.end as usize])
    }

    /// `value` is a part of `packed`: its place is a difference of addresses.
    fn place_of(&self, value: &str) -> Range<u32> {
        let start = value.as_ptr() as usize - self.packed.as_ptr() as usize;
        let place = |at| u32::try_from(at).expect("an object has a few MiB at most");
        place(start)..place(start + value.len())
    }
}

/// A longer key is left out: no selector can name it.
fn pack(packed: &mut Vec<u8>, (key, value): (&str, &str)) {
    let (Ok(key_length), Ok(value_length)) = (u16::try_from(key.len()), u32::try_from(value.len()))
    else {
        return;
    };
    packed.reserve_exact(LENGTHS + key.len() + value.len());
    packed.extend_from_slice(&key_length.to_le_bytes());
    packed.extend_from_slice(&value_length.to_le_bytes());
    packed.extend_from_slice(key.as_bytes());
    packed.extend_from_slice(value.as_bytes());
}

/// Keys and values. There are a handful: walking them beats a map.
#[derive(Debug, Clone, Copy)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    pub fn get(self, key: &str) -> Option<&'a str> {
        let mut left = self.0;
        while let Some((found, value, rest)) = first(left) {
            if found == key.as_bytes() {
                return Some(text(value));
            }
            left = rest;
        }
        None
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value, rest) = first(self.0)?;
        self.0 = rest;
        Some((text(key), text(value)))
    }
}

/// The first key, its value, and what is behind them.
fn first(packed: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (lengths, rest) = packed.split_at_checked(LENGTHS)?;
    let key = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
    let value = u32::from_le_bytes([lengths[2], lengths[3], lengths[4], lengths[5]]) as usize;
    let (key, rest) = rest.split_at_checked(key)?;
    let (value, rest) = rest.split_at_checked(value)?;
    Some((key, value, rest))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("packed from texts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_packed() {
        let labels = [("app", "web"), ("empty", ""), ("z", "\u{e9}")];
        let attributes = Attributes::new(labels, [("app", "field"), ("spec.color", "red")], 3..9);
        assert_eq!(attributes.labels().collect::<Vec<_>>(), labels);
        assert_eq!(attributes.labels().get("app"), Some("web"));
        assert_eq!(attributes.labels().get("empty"), Some(""));
        assert_eq!(attributes.labels().get("spec.color"), None);
        assert_eq!(attributes.fields().get("app"), Some("field"));
        assert_eq!(attributes.fields().get("spec.color"), Some("red"));
        assert_eq!(attributes.fields().get(""), None);
        assert_eq!(Attributes::default().labels().next(), None);
    }

    #[test]
    fn leaves_out_keys_that_no_selector_can_have() {
        let long = "k".repeat(70_000);
        let attributes = Attributes::new([(long.as_str(), "x"), ("a", "b")], [], 0..0);
        assert_eq!(attributes.labels().collect::<Vec<_>>(), [("a", "b")]);
    }
}
