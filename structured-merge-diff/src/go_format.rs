//! Values as Go prints them: clients read these texts in paths and messages.

use serde_json::Value;

/// A float as `%v` prints it: the shortest digits, with an exponent below 1e-4 and from 1e6.
pub(crate) fn float(number: f64) -> String {
    let (digits, exponent) = split(number);
    match exponent {
        -4..6 => format!("{number}"),
        _ => with_exponent(&digits, exponent),
    }
}

/// A float as Go's JSON writer prints it: with an exponent below 1e-6 and from 1e21.
pub(crate) fn json_float(number: f64) -> String {
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let (digits, exponent) = split(number);
        return with_exponent(&digits, exponent);
    }
    format!("{number}")
}

/// The shortest digits in scientific notation, and the exponent: `-1.5e7` is (`-1.5`, 7).
fn split(number: f64) -> (String, i32) {
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

fn with_exponent(digits: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// A string as `%q` prints it.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            it if is_printable(it) => quoted.push(it),
            it if (it as u32) < 0x80 => quoted.push_str(&format!("\\x{:02x}", it as u32)),
            it if (it as u32) < 0x10000 => quoted.push_str(&format!("\\u{:04x}", it as u32)),
            it => quoted.push_str(&format!("\\U{:08x}", it as u32)),
        }
    }
    quoted.push('"');
    quoted
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space, in Rust's tables.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return matches!(character, ' '..='~');
    }
    // Marks are escaped at the start of a string only, so one character stands before it.
    let mut buffer = [0; 5];
    buffer[0] = b'a';
    let length = character.encode_utf8(&mut buffer[1..]).len();
    std::str::from_utf8(&buffer[..=length]).is_ok_and(|it| it.escape_debug().nth(1) != Some('\\'))
}

/// A list of strings as `%q` prints it.
pub(crate) fn quote_list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = texts.map(quote).collect();
    format!("[{}]", quoted.join(" "))
}

/// A value as `%v` prints it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::Bool(it) => it.to_string(),
        Value::Number(it) => number(it),
        Value::String(it) => it.clone(),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{name}:{}", plain(value)))
                .collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

/// A value as `%#v` prints it.
pub(crate) fn syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(_) | Value::Number(_) => plain(value),
        Value::String(it) => quote(it),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{}:{}", quote(name), syntax(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
    }
}

/// A value's type as `%T` prints it.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(it) if it.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn number(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => integer.to_string(),
        (None, Some(it)) => float(it),
        (None, None) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn floats_get_an_exponent_where_go_gives_them_one() {
        let cases = [
            (1.0, "1", "1"),
            (80.0, "80", "80"),
            (100_000.5, "100000.5", "100000.5"),
            (1e6, "1e+06", "1000000"),
            (12_345_678.0, "1.2345678e+07", "12345678"),
            (1e21, "1e+21", "1e+21"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "0.00001"),
            (1e-7, "1e-07", "1e-07"),
            (-2.5e-100, "-2.5e-100", "-2.5e-100"),
            (0.0, "0", "0"),
        ];
        for (number, plain, json) in cases {
            assert_eq!(float(number), plain);
            assert_eq!(json_float(number), json);
        }
    }

    #[test]
    fn strings_are_quoted_as_go_quotes_them() {
        assert_eq!(
            quote("a\tb<é\u{a0}\u{200d}\u{1F600}`\"\\\u{1}\u{7f}a\u{301}\u{e000}\u{10ffff}"),
            "\"a\\tb<é\\u00a0\\u200d\u{1F600}`\\\"\\\\\\x01\\x7fa\u{301}\\ue000\\U0010ffff\""
        );
    }

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let value = json!({"b": [1, 1.5, null, "x\"y", true], "a": {}});
        assert_eq!(plain(&value), "map[a:map[] b:[1 1.5 <nil> x\"y true]]");
        assert_eq!(
            syntax(&value),
            r#"map[string]interface {}{"a":map[string]interface {}{}, "b":[]interface {}{1, 1.5, interface {}(nil), "x\"y", true}}"#
        );
        assert_eq!(quote_list(["a", "b"].into_iter()), r#"["a" "b"]"#);
    }
}
