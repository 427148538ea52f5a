//! JSON and YAML documents, parsed once, with what a strict client wants to know of them.

mod syntax;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Most duplicate fields that are reported for one document.
const DUPLICATES_MAX: usize = 100;

/// A parsed document.
#[derive(Debug)]
pub struct Document {
    pub value: Value,
    /// Paths of the fields that are there twice (`spec.x`), in order.
    pub duplicates: Vec<String>,
}

/// What becomes of a field that is there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twice {
    /// The last one counts.
    Replaces,
    /// Objects are merged and a null changes nothing, as Go's decoder fills a struct that it fills already.
    Merges,
}

/// # Errors
/// What is wrong, without the place's context. Documents deeper than 128 levels are refused.
pub fn parse_json(bytes: &[u8], twice: Twice) -> Result<Document, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    parse(&mut deserializer, twice)
        .and_then(|document| {
            deserializer.end()?;
            Ok(document)
        })
        .map_err(|error| syntax::complaint(bytes).unwrap_or_else(|| error.to_string()))
}

/// # Errors
/// What is wrong, without the place's context; also aliases that multiply beyond the parser's budget.
pub fn parse_yaml(bytes: &[u8], twice: Twice) -> Result<Document, String> {
    let mut options = serde_saphyr::Options::default();
    options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::PassThrough;
    options.with_snippet = false;
    serde_saphyr::with_deserializer_from_slice_with_options(bytes, options, |deserializer| {
        parse(deserializer, twice)
    })
    .map_err(|error| error.to_string())
}

fn parse<'de, D: Deserializer<'de>>(deserializer: D, twice: Twice) -> Result<Document, D::Error> {
    let mut duplicates = Vec::new();
    let value = Tree {
        path: &mut String::new(),
        duplicates: &mut duplicates,
        twice,
    }
    .deserialize(deserializer)?;
    Ok(Document { value, duplicates })
}

/// Builds a tree and notes the fields that come twice.
struct Tree<'a> {
    path: &'a mut String,
    duplicates: &'a mut Vec<String>,
    twice: Twice,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        let length = self.path.len();
        loop {
            use fmt::Write;
            write!(self.path, "[{}]", items.len())
                .map_err(|_| serde::de::Error::custom("out of memory"))?;
            let item = sequence.next_element_seed(Tree {
                path: self.path,
                duplicates: self.duplicates,
                twice: self.twice,
            })?;
            self.path.truncate(length);
            match item {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let length = self.path.len();
        while let Some(key) = access.next_key::<String>()? {
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if map.contains_key(&key) && self.duplicates.len() < DUPLICATES_MAX {
                self.duplicates.push(self.path.clone());
            }
            let value = access.next_value_seed(Tree {
                path: self.path,
                duplicates: self.duplicates,
                twice: self.twice,
            })?;
            self.path.truncate(length);
            match map.get_mut(&key) {
                Some(present) if self.twice == Twice::Merges => merge(present, value),
                _ => {
                    map.insert(key, value);
                }
            }
        }
        Ok(Value::Object(map))
    }
}

/// Fills `present` in with what `value` says.
fn merge(present: &mut Value, value: Value) {
    match (present, value) {
        (Value::Object(map), Value::Object(fields)) => {
            for (key, value) in fields {
                match map.get_mut(&key) {
                    Some(inner) => merge(inner, value),
                    None => {
                        map.insert(key, value);
                    }
                }
            }
        }
        (_, Value::Null) => {}
        (present, value) => *present = value,
    }
}

#[cfg(test)]
mod tests;
