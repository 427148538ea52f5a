//! A JSON value as checks look at it: the root of an object is a map, everything in it a value.

use serde_json::{Map, Number, Value};

use super::compile::Type;
use crate::api::go_text;

#[derive(Debug, Clone, Copy)]
pub(super) enum Operand<'a> {
    Null,
    Flag(bool),
    Integer(i64),
    Float(f64),
    Text(&'a str),
    List(&'a [Value]),
    Map(&'a Map<String, Value>),
}

impl<'a> From<&'a Value> for Operand<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Flag(*flag),
            Value::Number(number) => Self::from(number),
            Value::String(text) => Self::Text(text),
            Value::Array(list) => Self::List(list),
            Value::Object(map) => Self::Map(map),
        }
    }
}

impl From<&Number> for Operand<'_> {
    /// What does not fit into 64 bits is a float, as in Go.
    fn from(number: &Number) -> Self {
        match number.as_i64() {
            Some(integer) => Self::Integer(integer),
            None => Self::Float(number.as_f64().unwrap_or(0.0)),
        }
    }
}

impl Operand<'_> {
    /// The JSON type; null has none.
    pub(super) fn kind(self) -> Option<Type> {
        Some(match self {
            Self::Null => return None,
            Self::Flag(_) => Type::Boolean,
            Self::Integer(_) => Type::Integer,
            Self::Float(_) => Type::Number,
            Self::Text(_) => Type::String,
            Self::List(_) => Type::Array,
            Self::Map(_) => Type::Object,
        })
    }

    /// As an error shows it.
    pub(super) fn show(self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Flag(flag) => flag.to_string(),
            Self::Integer(integer) => integer.to_string(),
            Self::Float(float) => go_text::float(float),
            Self::Text(text) => go_text::quote(text),
            Self::List(list) => go_text::json_list(list),
            Self::Map(map) => go_text::json_map(map),
        }
    }

    /// Whether a value of an enum is meant: Go converts the value to the type of the enum's.
    pub(super) fn is_member(self, member: &Value) -> bool {
        match (Operand::from(member), self) {
            (Operand::Flag(a), Self::Flag(b)) => a == b,
            (Operand::Integer(a), Self::Integer(b)) => a == b,
            (Operand::Integer(a), Self::Float(b)) => a == to_integer(b),
            (Operand::Float(a), Self::Integer(b)) => a == to_float(b),
            (Operand::Float(a), Self::Float(b)) => a == b,
            (Operand::Text(a), Self::Text(b)) => a == b,
            (Operand::Text(a), Self::Integer(b)) => {
                let code = u32::try_from(b).ok().and_then(char::from_u32);
                let mut characters = a.chars();
                characters.next() == Some(code.unwrap_or(char::REPLACEMENT_CHARACTER))
                    && characters.next().is_none()
            }
            (Operand::List(a), Self::List(b)) => a == b,
            (Operand::Map(a), Self::Map(b)) => a == b,
            _ => false,
        }
    }
}

/// A float as Go converts it to int64 on amd64.
#[expect(
    clippy::cast_possible_truncation,
    reason = "Go cuts the fraction, too; the range is checked"
)]
pub(super) fn to_integer(float: f64) -> i64 {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if (-LIMIT..LIMIT).contains(&float) {
        float as i64
    } else {
        i64::MIN
    }
}

#[expect(clippy::cast_precision_loss, reason = "as Go converts it")]
pub(super) fn to_float(integer: i64) -> f64 {
    integer as f64
}
