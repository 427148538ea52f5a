//! Go's `%q`, in which the API's messages show what a client sent: it cannot break out of its quotes, nor out
//! of its line.

/// `text` in double quotes, with what is not printable escaped as Go's strconv.Quote does.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            ' '..='~' => quoted.push(char),
            '\0'..='\x7f' => quoted.push_str(&format!("\\x{:02x}", u32::from(char))),
            _ if char.is_alphanumeric() || char.escape_debug().count() == 1 => quoted.push(char),
            '\u{80}'..='\u{ffff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(char))),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_texts_as_go_does() {
        for (text, expected) in [
            ("", r#""""#),
            ("it's", r#""it's""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\0\x1f\x7f\n", r#""\x00\x1f\x7f\n""#),
            ("é€", "\"é€\""),
            ("\u{200b}\u{e0001}", r#""\u200b\U000e0001""#),
        ] {
            assert_eq!(quote(text), expected);
        }
    }
}
