//! The values inside path elements, and the order and equality of JSON values as Go has them.
//!
//! Numbers compare by value whether they are integers or floats: what a client wrote as `80` is read back from
//! managed fields as a float. Between integers beyond 2^53 and floats the order is not transitive, as in Go; nothing
//! here sorts with it, it only searches.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use crate::go_format;

/// A JSON value that is cheap to copy and has an order.
#[derive(Debug, Clone)]
pub enum Literal {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without a fraction, as it stands in objects.
    Int(i64),
    /// Any other number. In managed fields, every number.
    Float(f64),
    /// A string.
    String(Arc<str>),
    /// An array. Only managed fields that a client wrote by hand have it.
    List(Arc<[Literal]>),
    /// An object, sorted by name. Only managed fields that a client wrote by hand have it.
    Map(Arc<[(Arc<str>, Literal)]>),
}

impl Literal {
    fn rank(&self) -> u8 {
        match self {
            Self::Int(_) | Self::Float(_) => 0,
            Self::String(_) => 1,
            Self::Bool(_) => 2,
            Self::List(_) => 3,
            Self::Map(_) => 4,
            Self::Null => 5,
        }
    }

    /// Appends the value as Go's writer of field sets writes it.
    pub(crate) fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(it) => out.push_str(if *it { "true" } else { "false" }),
            Self::Int(it) => out.push_str(&it.to_string()),
            Self::Float(it) => out.push_str(&go_format::json_float(*it)),
            Self::String(it) => write_string(it, true, out),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Map(fields) => {
                out.push('{');
                for (at, (name, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_string(name, true, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

impl PartialEq for Literal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Literal {}

impl PartialOrd for Literal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Literal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::String(left), Self::String(right)) => compare_names(left, right),
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => compare_floats(*left, *right),
            (Self::Int(left), Self::Float(right)) => compare_floats(*left as f64, *right),
            (Self::Float(left), Self::Int(right)) => compare_floats(*left, *right as f64),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::List(left), Self::List(right)) => left.cmp(right),
            // Field by field; a map that has ended, or lacks the name that comes next, decides.
            (Self::Map(left), Self::Map(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// NaN cannot be written in JSON.
fn compare_floats(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or(Ordering::Equal)
}

/// Most names that are compared are the same allocation.
pub(crate) fn compare_names(left: &Arc<str>, right: &Arc<str>) -> Ordering {
    if Arc::ptr_eq(left, right) {
        return Ordering::Equal;
    }
    left.cmp(right)
}

impl From<&Value> for Literal {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(it) => Self::Bool(*it),
            Value::Number(it) => match it.as_i64() {
                Some(integer) => Self::Int(integer),
                None => Self::Float(it.as_f64().unwrap_or_default()),
            },
            Value::String(it) => Self::String(it.as_str().into()),
            Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| (name.as_str().into(), Self::from(value)))
                    .collect();
                fields.sort_by(|(left, _): &(Arc<str>, _), (right, _)| left.cmp(right));
                Self::Map(fields.into())
            }
        }
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<i64> for Literal {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Literal {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<bool> for Literal {
    fn from(it: bool) -> Self {
        Self::Bool(it)
    }
}

/// As it stands in a path: strings quoted, lists in brackets.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(it) => write!(f, "{it}"),
            Self::Int(it) => write!(f, "{it}"),
            Self::Float(it) => f.write_str(&go_format::float(*it)),
            Self::String(it) => f.write_str(&go_format::quote(it)),
            Self::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{item}")?;
                }
                f.write_str("]")
            }
            Self::Map(fields) => fields
                .iter()
                .try_for_each(|(name, value)| write!(f, "{name}={value}")),
        }
    }
}

/// Whether two JSON values are the same to the merge: numbers by value, names in any order.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left == right,
            _ => left.as_f64() == right.as_f64(),
        },
        (Value::Array(left), Value::Array(right)) => equal_lists(left, right),
        (Value::Object(left), Value::Object(right)) => equal_maps(left, right),
        _ => left == right,
    }
}

pub(crate) fn equal_lists(left: &[Value], right: &[Value]) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| equal(left, right))
}

fn equal_maps(left: &Map<String, Value>, right: &Map<String, Value>) -> bool {
    left.len() == right.len()
        && zip(Some(left), Some(right)).all(|(_, left, right)| match (left, right) {
            (Some(left), Some(right)) => equal(left, right),
            _ => false,
        })
}

/// The fields of two maps by name, in the order of names.
pub(crate) fn zip<'a>(
    left: Option<&'a Map<String, Value>>,
    right: Option<&'a Map<String, Value>>,
) -> impl Iterator<Item = (&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let mut left = left.into_iter().flat_map(fields).peekable();
    let mut right = right.into_iter().flat_map(fields).peekable();
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.cmp(right),
        };
        match order {
            Ordering::Less => left.next().map(|(name, value)| (name, Some(value), None)),
            Ordering::Greater => right.next().map(|(name, value)| (name, None, Some(value))),
            Ordering::Equal => {
                let (name, left) = left.next()?;
                Some((name, Some(left), right.next().map(|(_, value)| value)))
            }
        }
    })
}

/// The fields of a map in the order of names, whatever order this build's maps keep.
pub(crate) fn fields(map: &Map<String, Value>) -> impl Iterator<Item = (&str, &Value)> {
    let unsorted = map.iter().map(|(name, value)| (name.as_str(), value));
    let sorted = (!maps_are_sorted()).then(|| {
        let mut fields: Vec<_> = unsorted.clone().collect();
        fields.sort_unstable_by_key(|(name, _)| *name);
        fields
    });
    let unsorted = sorted.is_none().then_some(unsorted);
    unsorted
        .into_iter()
        .flatten()
        .chain(sorted.into_iter().flatten())
}

/// Whether serde_json keeps names sorted: another crate of the build may have asked it for the order of insertion.
fn maps_are_sorted() -> bool {
    static ARE_SORTED: OnceLock<bool> = OnceLock::new();
    *ARE_SORTED.get_or_init(|| {
        let names = ["b", "a"].map(|it| (it.to_owned(), Value::Null));
        Map::from_iter(names).keys().is_sorted()
    })
}

/// Appends a JSON string as Go's writer does: names plainly, values with HTML's characters escaped.
pub(crate) fn write_string(text: &str, escape_html: bool, out: &mut String) {
    out.push('"');
    let mut plain_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let (length, escaped) = match byte {
            b'"' => (1, Cow::Borrowed("\\\"")),
            b'\\' => (1, Cow::Borrowed("\\\\")),
            b'\n' => (1, Cow::Borrowed("\\n")),
            b'\r' => (1, Cow::Borrowed("\\r")),
            b'\t' => (1, Cow::Borrowed("\\t")),
            b'\0'..b' ' => (1, Cow::Owned(format!("\\u{byte:04x}"))),
            b'<' | b'>' | b'&' if escape_html => (1, Cow::Owned(format!("\\u{byte:04x}"))),
            // The first byte of the two that end lines in JavaScript.
            0xe2 if escape_html && text[at..].starts_with('\u{2028}') => (3, "\\u2028".into()),
            0xe2 if escape_html && text[at..].starts_with('\u{2029}') => (3, "\\u2029".into()),
            _ => continue,
        };
        out.push_str(&text[plain_from..at]);
        out.push_str(&escaped);
        plain_from = at + length;
    }
    out.push_str(&text[plain_from..]);
    out.push('"');
}
