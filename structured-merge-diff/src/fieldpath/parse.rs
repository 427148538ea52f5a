//! Sets from their JSON form. A client may send anything there.
//!
//! What is refused is what Go's library refuses, with one bound that is lower: [`MAX_DEPTH`].

mod scanner;

use serde_json::{Map, Value};
use thiserror::Error;

use self::scanner::Scanner;
use super::{PathElement, Set};
use crate::literal::Literal;

/// How many levels a set, or a value inside a key of it, may have. Go's library takes 10,000.
pub const MAX_DEPTH: usize = 256;

/// Why something is no set of fields.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FieldsError {
    /// A key without a kind.
    #[error("key must be 2 characters long:")]
    ShortKey,
    /// A key whose kind is longer than a letter.
    #[error("missing colon: {0}")]
    MissingColon(String),
    /// The position after `i:` is no number.
    #[error("parsing {0:?}: invalid syntax")]
    Index(String),
    /// Something stands after the JSON.
    #[error("unexpected trailing data after JSON object")]
    TrailingData,
    /// More than [`MAX_DEPTH`] levels.
    #[error("exceeded max depth")]
    TooDeep,
    /// Not UTF-8.
    #[error("invalid UTF-8")]
    Encoding,
    /// No JSON, or another kind of value than belongs there.
    #[error("{expected}, but found {found}")]
    Syntax {
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

/// What a key of `fieldsV1` says.
enum Key {
    /// The parent itself is in the set.
    Own,
    Element(PathElement),
    /// Of a later version: dropped, with what is below it.
    Unknown,
}

impl Set {
    /// Reads the bytes of a `fieldsV1`. `null` is the empty set.
    pub fn from_json(bytes: &[u8]) -> Result<Self, FieldsError> {
        let text = std::str::from_utf8(bytes).map_err(|_| FieldsError::Encoding)?;
        let mut scanner = Scanner::new(text);
        let mut set = Self::new();
        set.read(&mut scanner, 0)?;
        scanner.end()?;
        Ok(set)
    }

    /// Reads one object into this empty set. Whether the parent is a member: an empty object means only that.
    fn read(&mut self, scanner: &mut Scanner<'_>, depth: usize) -> Result<bool, FieldsError> {
        check_depth(depth)?;
        let mut is_member = false;
        scanner.object(|scanner, key| {
            match read_key(key)? {
                Key::Own => {
                    is_member = true;
                    scanner.skip(depth + 1)?;
                }
                Key::Unknown => scanner.skip(depth + 1)?,
                Key::Element(element) => {
                    let mut child = Self::new();
                    let is_member = child.read(scanner, depth + 1)?;
                    self.add_read(element, is_member, child);
                }
            }
            Ok(())
        })?;
        Ok(is_member || self.has_nothing())
    }

    /// Reads a `fieldsV1` that has been parsed. `null` is the empty set.
    pub fn from_value(value: &Value) -> Result<Self, FieldsError> {
        let mut set = Self::new();
        if let Some(map) = object_of(value)? {
            set.read_map(map, 0)?;
        }
        Ok(set)
    }

    fn read_map(&mut self, map: &Map<String, Value>, depth: usize) -> Result<bool, FieldsError> {
        check_depth(depth)?;
        let mut is_member = false;
        for (key, value) in map {
            match read_key(key)? {
                Key::Own => is_member = true,
                Key::Unknown => {}
                Key::Element(element) => {
                    let mut child = Self::new();
                    let is_member = match object_of(value)? {
                        Some(map) => child.read_map(map, depth + 1)?,
                        None => true,
                    };
                    self.add_read(element, is_member, child);
                }
            }
        }
        Ok(is_member || self.has_nothing())
    }

    /// A key that stands there twice is a member if it is one once; what is below it is what stood there last.
    fn add_read(&mut self, element: PathElement, is_member: bool, child: Self) {
        if !child.has_nothing() {
            self.replace_child(element.clone(), child);
        }
        if is_member {
            self.insert_member(element);
        }
    }
}

fn check_depth(depth: usize) -> Result<(), FieldsError> {
    match depth >= MAX_DEPTH {
        true => Err(FieldsError::TooDeep),
        false => Ok(()),
    }
}

fn object_of(value: &Value) -> Result<Option<&Map<String, Value>>, FieldsError> {
    match value {
        Value::Null => Ok(None),
        Value::Object(map) => Ok(Some(map)),
        other => Err(FieldsError::Syntax {
            expected: "expect { or n",
            found: other.to_string().chars().take(1).collect(),
        }),
    }
}

impl PathElement {
    /// Reads a key of `fieldsV1`. None is of a kind that this version does not know.
    pub fn from_key(key: &str) -> Result<Option<Self>, FieldsError> {
        let (kind, content) = match key.as_bytes() {
            [] | [_] => return Err(FieldsError::ShortKey),
            [kind, b':', ..] => (*kind, &key[2..]),
            _ => return Err(FieldsError::MissingColon(key.to_owned())),
        };
        Ok(Some(match kind {
            b'f' => Self::field(content),
            b'v' => {
                let mut scanner = Scanner::new(content);
                let value = scanner.literal(0)?;
                scanner.end()?;
                Self::Value(value)
            }
            b'k' => Self::key(read_key_fields(content)?),
            b'i' => match content.parse() {
                Ok(index) => Self::Index(index),
                Err(_) => return Err(FieldsError::Index(content.to_owned())),
            },
            _ => return Ok(None),
        }))
    }
}

fn read_key(key: &str) -> Result<Key, FieldsError> {
    if key == "." {
        return Ok(Key::Own);
    }
    Ok(PathElement::from_key(key)?.map_or(Key::Unknown, Key::Element))
}

fn read_key_fields(content: &str) -> Result<Vec<(std::sync::Arc<str>, Literal)>, FieldsError> {
    let mut fields = Vec::new();
    let mut scanner = Scanner::new(content);
    scanner.object(|scanner, name| {
        fields.push((name.into(), scanner.literal(1)?));
        Ok(())
    })?;
    scanner.end()?;
    Ok(fields)
}
