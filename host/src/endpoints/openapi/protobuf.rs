//! OpenAPI documents in gnostic's protobuf form, which kubectl and client-go read.
//!
//! Encoded from the JSON documents by tables of gnostic's messages (github.com/google/gnostic-models,
//! openapiv2/OpenAPIv2.proto and openapiv3/OpenAPIv3.proto): name of the field, its number, its kind. What a
//! table does not name is not in these documents.

mod v2;
mod v3;

use prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Value};

pub(super) fn v2(document: &Value) -> Vec<u8> {
    message(&v2::DOCUMENT, document)
}

pub(super) fn v3(document: &Value) -> Vec<u8> {
    message(&v3::DOCUMENT, document)
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Flag,
    Integer,
    Number,
    /// One text or many.
    Texts,
    /// gnostic's Any: the value as YAML, which JSON is.
    Yaml,
    Yamls,
    One(&'static Message),
    Many(&'static Message),
}

enum Message {
    /// Fields by name; `x-…` fields go to the number behind.
    Fields(&'static [(&'static str, u32, Kind)], u32),
    /// Any names: pairs of name and message under a number; `x-…` fields go to the number behind.
    Entries(u32, &'static Message, u32),
    /// A message around the value.
    Around(u32, Kind),
    /// A oneof: which it is, if it can be said at all.
    OneOf(fn(&Value) -> Option<(u32, Kind)>),
}

fn message(shape: &Message, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match shape {
        Message::Fields(fields, extensions) => {
            for (name, number, kind) in *fields {
                if let Some(value) = value.get(*name) {
                    field(&mut out, *number, *kind, value);
                }
            }
            extension_fields(&mut out, *extensions, value);
        }
        Message::Entries(number, of, extensions) => {
            for (name, value) in entries(value).filter(|(name, _)| !name.starts_with("x-")) {
                named(&mut out, *number, name, &message(of, value));
            }
            extension_fields(&mut out, *extensions, value);
        }
        Message::Around(number, kind) => field(&mut out, *number, *kind, value),
        Message::OneOf(choose) => {
            if let Some((number, kind)) = choose(value) {
                field(&mut out, number, kind, value);
            }
        }
    }
    out
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn extension_fields(out: &mut Vec<u8>, number: u32, value: &Value) {
    if number > 0 {
        for (name, value) in entries(value).filter(|(name, _)| name.starts_with("x-")) {
            named(out, number, name, &any(value));
        }
    }
}

fn field(out: &mut Vec<u8>, number: u32, kind: Kind, value: &Value) {
    match kind {
        Kind::Text => {
            if let Some(text) = value.as_str() {
                bytes(out, number, text.as_bytes());
            }
        }
        Kind::Flag => {
            if let Some(flag) = value.as_bool() {
                encode_key(number, WireType::Varint, out);
                encode_varint(flag.into(), out);
            }
        }
        Kind::Integer => {
            if let Some(integer) = value.as_i64() {
                encode_key(number, WireType::Varint, out);
                encode_varint(integer.cast_unsigned(), out);
            }
        }
        Kind::Number => {
            if let Some(number_value) = value.as_f64() {
                encode_key(number, WireType::SixtyFourBit, out);
                out.extend_from_slice(&number_value.to_le_bytes());
            }
        }
        Kind::Texts => {
            for text in one_or_many(value).iter().filter_map(Value::as_str) {
                bytes(out, number, text.as_bytes());
            }
        }
        Kind::Yaml => bytes(out, number, &any(value)),
        Kind::Yamls => {
            for value in one_or_many(value) {
                bytes(out, number, &any(value));
            }
        }
        Kind::One(of) => bytes(out, number, &message(of, value)),
        Kind::Many(of) => {
            for value in one_or_many(value) {
                bytes(out, number, &message(of, value));
            }
        }
    }
}

fn one_or_many(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// gnostic's Any: `yaml` is its field 2.
fn any(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, 2, format!("{value}\n").as_bytes());
    out
}

/// gnostic's Named…: `name` is 1 and `value` is 2.
fn named(out: &mut Vec<u8>, number: u32, name: &str, value: &[u8]) {
    let mut pair = Vec::new();
    bytes(&mut pair, 1, name.as_bytes());
    bytes(&mut pair, 2, value);
    bytes(out, number, &pair);
}

fn bytes(out: &mut Vec<u8>, number: u32, content: &[u8]) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// Whether the value only refers to another.
fn is_reference(value: &Value) -> bool {
    value.get("$ref").is_some()
}
