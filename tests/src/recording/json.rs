//! JSON that keeps the order of an object's fields, as a server wrote them.
//!
//! The order decides which uid of an answer is called the first (see [`super::normalise`]).

use std::fmt::{self, Display, Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    pub fn read(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// An object of the fields that are there.
    #[must_use]
    pub fn object<const N: usize>(fields: [(&str, Self); N]) -> Self {
        Self::Object(fields.map(|(key, value)| (key.to_owned(), value)).into())
    }

    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A list of texts in their order.
    #[must_use]
    pub fn sorted(mut texts: Vec<String>) -> Self {
        texts.sort();
        Self::List(texts.into_iter().map(Self::Text).collect())
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let found = self.fields().iter().find(|(it, _)| it == key);
        found.map(|(_, value)| value)
    }

    /// The field, which is put at the end if it is new.
    pub fn set(&mut self, key: &str, value: Self) {
        let Self::Object(fields) = self else { return };
        match fields.iter_mut().find(|(it, _)| it == key) {
            Some((_, old)) => *old = value,
            None => fields.push((key.to_owned(), value)),
        }
    }

    /// None, if it is no object.
    #[must_use]
    pub fn fields(&self) -> &[(String, Self)] {
        match self {
            Self::Object(fields) => fields,
            _ => &[],
        }
    }

    /// None, if it is no list.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a JSON pointer leads to.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&Self> {
        let mut found = self;
        for part in pointer.split('/').skip(1) {
            found = match found {
                Self::List(items) => items.get(part.parse::<usize>().ok()?)?,
                _ => found.get(&part.replace("~1", "/").replace("~0", "~"))?,
            };
        }
        Some(found)
    }

    /// One text for equal values, by which lists without an order are sorted: fields in their order, ASCII only.
    #[must_use]
    pub fn sort_key(&self) -> String {
        let mut out = String::new();
        write_sorted(self, &mut out);
        out
    }
}

fn write_sorted(value: &Json, out: &mut String) {
    match value {
        Json::Text(text) => write_ascii(text, out),
        Json::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_sorted(item, out);
            }
            out.push(']');
        }
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            out.push('{');
            for (at, (key, item)) in fields.into_iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_ascii(key, out);
                out.push_str(": ");
                write_sorted(item, out);
            }
            out.push('}');
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {
            let _ = write!(out, "{value}");
        }
    }
}

fn write_ascii(text: &str, out: &mut String) {
    let mut units = [0; 2];
    for character in serde_json::Value::from(text).to_string().chars() {
        if character.is_ascii() {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
}

/// Compact, fields as they came.
impl Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => serde_json::Value::from(value.as_str()).fmt(f),
            Self::List(items) => {
                f.write_char('[')?;
                for (at, item) in items.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    item.fmt(f)?;
                }
                f.write_char(']')
            }
            Self::Object(fields) => {
                f.write_char('{')?;
                for (at, (key, item)) in fields.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    write!(f, "{}:{item}", serde_json::Value::from(key.as_str()))?;
                }
                f.write_char('}')
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::text(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut object = Json::Object(Vec::new());
        while let Some((key, value)) = map.next_entry::<String, Json>()? {
            object.set(&key, value);
        }
        Ok(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_fields() -> serde_json::Result<()> {
        let text = r#"{"b":[1,-2,1.5,true,null],"a":{"d":"x","c":{}}}"#;
        assert_eq!(Json::read(text)?.to_string(), text);
        Ok(())
    }

    #[test]
    fn sorts_by_a_text_that_is_the_same_for_equal_values() -> serde_json::Result<()> {
        let one = Json::read(r#"{"b": "\u00e9\ud83d\ude00", "a": [1, {}]}"#)?;
        let other = Json::read(r#"{"a": [1, {}], "b": "é😀"}"#)?;
        assert_eq!(one.sort_key(), other.sort_key());
        assert_eq!(
            one.sort_key(),
            r#"{"a": [1, {}], "b": "\u00e9\ud83d\ude00"}"#
        );
        Ok(())
    }

    #[test]
    fn follows_pointers() -> serde_json::Result<()> {
        let value = Json::read(r#"{"a/b": [{"~": "found"}]}"#)?;
        let found = value.at("/a~1b/0/~0").and_then(Json::as_text);
        assert_eq!(found, Some("found"));
        assert_eq!(value.at("/a~1b/1"), None);
        assert_eq!(value.at("/a~1b/0/~0/deeper"), None);
        Ok(())
    }
}
