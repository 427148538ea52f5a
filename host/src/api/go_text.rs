//! Values as Go's formatting shows them: what clients read in messages is made by `%q`, `%v` and `encoding/json`.

use std::fmt::Write;
use std::sync::LazyLock;

use regex_automata::meta::Regex;
use serde_json::{Map, Value};

/// Characters beyond ASCII that `%q` leaves as they are.
static PRINTABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S}]$").expect("classes of the Unicode standard")
});

/// A text in double quotes, as `%q`.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(character),
            '\0'..='\u{7f}' => push_hex(&mut out, 'x', 2, character),
            _ if is_seen(character) => out.push(character),
            '\u{80}'..='\u{ffff}' => push_hex(&mut out, 'u', 4, character),
            _ => push_hex(&mut out, 'U', 8, character),
        }
    }
    out.push('"');
    out
}

/// Whether there are only characters in it that can be seen, and spaces.
pub fn is_printable(text: &str) -> bool {
    text.chars()
        .all(|it| matches!(it, ' '..='~') || !it.is_ascii() && is_seen(it))
}

fn is_seen(character: char) -> bool {
    PRINTABLE.is_match(character.encode_utf8(&mut [0; 4]).as_bytes())
}

fn push_hex(out: &mut String, letter: char, digits: usize, character: char) {
    let code = u32::from(character);
    write!(out, "\\{letter}{code:0digits$x}").expect("a string takes everything");
}

/// A value as errors of fields show it: texts quoted, numbers plain, everything else as JSON.
pub fn value(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Number(number) if number.is_i64() => number.to_string(),
        Value::Number(number) => float(number.as_f64().unwrap_or(0.0)),
        other => json(other),
    }
}

/// A float as `%v`: the shortest digits, an exponent of at least two digits below 1e-04 and from 1e+06 on.
pub fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// What Go calls the type of a decoded value.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// A value as `%v`: `map[a:1 b:[x y]]`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(list) => plain_list(list),
        Value::Object(map) => plain_map(map),
        scalar => self::value(scalar),
    }
}

/// As [`plain`], of an array.
pub fn plain_list(list: &[Value]) -> String {
    let shown: Vec<String> = list.iter().map(plain).collect();
    format!("[{}]", shown.join(" "))
}

/// As [`plain`], of an object.
pub fn plain_map(map: &Map<String, Value>) -> String {
    let fields = map
        .iter()
        .map(|(key, item)| format!("{key}:{}", plain(item)));
    format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
}

/// JSON as `encoding/json` writes it: what HTML would take for markup is escaped.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    push_json(&mut out, value);
    out
}

/// As [`json`], of an object.
pub fn json_map(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    push_json_map(&mut out, map);
    out
}

/// As [`json`], of an array.
pub fn json_list(list: &[Value]) -> String {
    let mut out = String::new();
    push_json_list(&mut out, list);
    out
}

fn push_json(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) if number.is_i64() => out.push_str(&number.to_string()),
        Value::Number(number) => push_json_float(out, number.as_f64().unwrap_or(0.0)),
        Value::String(text) => push_json_text(out, text),
        Value::Array(list) => push_json_list(out, list),
        Value::Object(map) => push_json_map(out, map),
    }
}

fn push_json_list(out: &mut String, list: &[Value]) {
    out.push('[');
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_json(out, item);
    }
    out.push(']');
}

fn push_json_map(out: &mut String, map: &Map<String, Value>) {
    out.push('{');
    for (index, (key, item)) in map.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_json_text(out, key);
        out.push(':');
        push_json(out, item);
    }
    out.push('}');
}

fn push_json_float(out: &mut String, number: f64) {
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        let plain = format!("{number}");
        out.push_str(&plain);
        return;
    }
    let scientific = format!("{number:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) if !exponent.starts_with('-') => {
            out.push_str(digits);
            out.push_str("e+");
            out.push_str(exponent);
        }
        _ => out.push_str(&scientific),
    }
}

fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => {
                push_hex(out, 'u', 4, character);
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        for (text, shown) in [
            ("a b", r#""a b""#),
            ("\u{1}<>\u{7f}\u{e9}\n\"\\", r#""\x01<>\x7fé\n\"\\""#),
            ("\u{200b}\u{301}\u{1f600}", "\"\\u200b\u{301}\u{1f600}\""),
            ("\u{e000}\u{f0000}", r#""\ue000\U000f0000""#),
        ] {
            assert_eq!(quote(text), shown);
        }
    }

    #[test]
    fn values_are_shown_as_errors_show_them() {
        for (given, shown) in [
            (json!("a"), r#""a""#),
            (json!(true), "true"),
            (json!(5), "5"),
            (json!(1.5), "1.5"),
            (json!(3.0), "3"),
            (
                json!(12_345_678_901_234_567_890_u64),
                "1.2345678901234567e+19",
            ),
            (json!(0.00001), "1e-05"),
            (json!(1_000_000.5), "1.0000005e+06"),
            (json!(null), "null"),
            (
                json!({"a": ["<", 1e21, 2.0, 0.000_000_1]}),
                r#"{"a":["\u003c",1e+21,2,1e-7]}"#,
            ),
        ] {
            assert_eq!(value(&given), shown);
        }
    }
}
