//! A whole object on the write path, and its stored form.
//!
//! Reads never come here: they copy stored bytes. The stored form is compact JSON that begins with
//! `{"apiVersion":"…","kind":"…","metadata":{` so that three things need no parsing later: the
//! resourceVersion is spliced in right behind that brace, list items of typed resources leave the first
//! two fields out, and the metadata can be cut out whole.

use bytes::Bytes;
use serde_json::{Map, Value};

/// A JSON object with `apiVersion`, `kind` and `metadata`. Fields of the wrong type read as absent:
/// decoding checks them before an `Object` is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(pub Map<String, Value>);

/// Compact JSON of an object without its resourceVersion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    pub bytes: Bytes,
    /// Where `"resourceVersion":"N",` is inserted, counted in bytes.
    pub version_at: u32,
}

impl Object {
    /// Parses stored or guest-made JSON. `None` where it is no JSON object.
    pub fn from_slice(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().map(Self)
    }

    pub fn api_version(&self) -> &str {
        text(&self.0, "apiVersion")
    }

    pub fn kind(&self) -> &str {
        text(&self.0, "kind")
    }

    pub fn set_type(&mut self, api_version: &str, kind: &str) {
        self.0.insert("apiVersion".into(), api_version.into());
        self.0.insert("kind".into(), kind.into());
    }

    /// The metadata; an empty map where there is none.
    pub fn metadata(&self) -> &Map<String, Value> {
        static EMPTY: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        self.0
            .get("metadata")
            .and_then(Value::as_object)
            .unwrap_or(&EMPTY)
    }

    /// The metadata, made where there is none.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        let slot = self
            .0
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        if !slot.is_object() {
            *slot = Value::Object(Map::new());
        }
        slot.as_object_mut().expect("made an object above")
    }

    /// A text of the metadata, empty where absent.
    pub fn meta(&self, field: &str) -> &str {
        text(self.metadata(), field)
    }

    /// Sets a text of the metadata; an empty one removes the field.
    pub fn set_meta(&mut self, field: &str, value: &str) {
        if value.is_empty() {
            self.metadata_mut().remove(field);
        } else {
            self.metadata_mut().insert(field.into(), value.into());
        }
    }

    /// Sets a field of the object, or removes it.
    pub fn set(&mut self, field: &str, value: Option<Value>) {
        set(&mut self.0, field, value);
    }

    /// Sets a field of the metadata, or removes it.
    pub fn set_in_metadata(&mut self, field: &str, value: Option<Value>) {
        set(self.metadata_mut(), field, value);
    }

    pub fn name(&self) -> &str {
        self.meta("name")
    }

    pub fn namespace(&self) -> &str {
        self.meta("namespace")
    }

    pub fn uid(&self) -> &str {
        self.meta("uid")
    }

    pub fn resource_version(&self) -> &str {
        self.meta("resourceVersion")
    }

    pub fn generation(&self) -> i64 {
        self.metadata()
            .get("generation")
            .and_then(Value::as_i64)
            .unwrap_or(0)
    }

    pub fn is_deleting(&self) -> bool {
        !self.meta("deletionTimestamp").is_empty()
    }

    pub fn finalizers(&self) -> impl Iterator<Item = &str> {
        self.metadata()
            .get("finalizers")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).expect("a JSON tree has only string keys")
    }

    /// The stored form. The resourceVersion is left out: the store knows it only after the commit.
    pub fn encode(&self) -> Encoded {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(b"{\"apiVersion\":");
        write(&mut out, &Value::from(self.api_version()));
        out.extend_from_slice(b",\"kind\":");
        write(&mut out, &Value::from(self.kind()));
        out.extend_from_slice(b",\"metadata\":{");
        let version_at = u32::try_from(out.len()).expect("apiVersion and kind are short");
        let metadata = self
            .metadata()
            .iter()
            .filter(|(key, _)| *key != "resourceVersion");
        write_fields(&mut out, metadata, true);
        out.push(b'}');
        let rest = self
            .0
            .iter()
            .filter(|(key, _)| !matches!(key.as_str(), "apiVersion" | "kind" | "metadata"));
        write_fields(&mut out, rest, false);
        out.push(b'}');
        // Caches keep it for long: it must hold no room that it does not need.
        let bytes = out.into_boxed_slice().into();
        Encoded { bytes, version_at }
    }
}

fn text<'a>(map: &'a Map<String, Value>, field: &str) -> &'a str {
    map.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn set(map: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => map.insert(field.into(), value),
        None => map.remove(field),
    };
}

fn write(out: &mut Vec<u8>, value: &Value) {
    serde_json::to_writer(out, value).expect("writing to memory cannot fail");
}

fn write_fields<'a>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = (&'a String, &'a Value)>,
    mut first: bool,
) {
    for (key, value) in fields {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, key).expect("writing to memory cannot fail");
        out.push(b':');
        write(out, value);
    }
}

/// Length of `"metadata":{`, which stands right before `version_at`.
pub const METADATA_OPENS: usize = "\"metadata\":{".len();

impl Encoded {
    /// The object's bytes with `revision` as its resourceVersion.
    pub fn with_version(&self, revision: u64) -> Bytes {
        splice(&self.bytes, self.version_at as usize, revision)
    }

    /// Where the fields behind `kind` begin (`"metadata":…`): what a list item of a typed resource shows.
    pub fn body_at(&self) -> usize {
        self.version_at as usize - METADATA_OPENS
    }
}

/// Inserts `"resourceVersion":"N",` at `at`. An object's metadata has at least its name, so the comma is right.
pub fn splice(bytes: &[u8], at: usize, revision: u64) -> Bytes {
    let version = version_field(revision);
    let mut out = Vec::with_capacity(bytes.len() + version.len());
    out.extend_from_slice(&bytes[..at]);
    out.extend_from_slice(&version);
    out.extend_from_slice(&bytes[at..]);
    out.into()
}

/// `"resourceVersion":"N",` without an allocation: it is written once for each object of a list.
pub struct VersionField {
    text: [u8; VersionField::LONGEST],
    length: usize,
}

impl VersionField {
    const OPEN: &[u8] = b"\"resourceVersion\":\"";
    const CLOSE: &[u8] = b"\",";
    const LONGEST: usize = Self::OPEN.len() + MAX_DIGITS + Self::CLOSE.len();
}

/// Of a `u64`.
const MAX_DIGITS: usize = 20;

pub fn version_field(revision: u64) -> VersionField {
    let mut digits = [0; MAX_DIGITS];
    let mut first = MAX_DIGITS;
    let mut left = revision;
    loop {
        first -= 1;
        digits[first] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    let mut field = VersionField {
        text: [0; VersionField::LONGEST],
        length: 0,
    };
    for part in [VersionField::OPEN, &digits[first..], VersionField::CLOSE] {
        field.text[field.length..field.length + part.len()].copy_from_slice(part);
        field.length += part.len();
    }
    field
}

impl std::ops::Deref for VersionField {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_with_a_place_for_the_version() {
        let object = Object::from_slice(
            br#"{"spec":{"a":1},"metadata":{"resourceVersion":"7","name":"x"},"kind":"K","apiVersion":"g/v"}"#,
        )
        .expect("JSON");
        let encoded = object.encode();
        assert_eq!(
            encoded.with_version(12),
            r#"{"apiVersion":"g/v","kind":"K","metadata":{"resourceVersion":"12","name":"x"},"spec":{"a":1}}"#
        );
        assert!(encoded.bytes[encoded.body_at()..].starts_with(b"\"metadata\":{\"name\""));
    }

    #[test]
    fn writes_versions_of_every_length() {
        for revision in [0, 7, 10, 1_000_000_007, u64::MAX] {
            let expected = format!("\"resourceVersion\":\"{revision}\",");
            assert_eq!(&*version_field(revision), expected.as_bytes());
        }
    }
}
