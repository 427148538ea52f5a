//! Whole numbers as Go's strconv reads them, with its words.

use std::str::FromStr;

use super::quote;

/// `strconv.ParseInt(text, 10, 64)`.
///
/// # Errors
/// Go's text: the syntax is wrong, or the number too large.
pub fn parse_int(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    parse("ParseInt", text, digits)
}

/// `strconv.ParseUint(text, 10, 64)`: no sign is taken.
///
/// # Errors
/// Go's text: the syntax is wrong, or the number too large.
pub fn parse_uint(text: &str) -> Result<u64, String> {
    parse("ParseUint", text, text)
}

fn parse<T: FromStr>(function: &str, text: &str, digits: &str) -> Result<T, String> {
    let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
    let why = if is_number {
        match text.parse() {
            Ok(number) => return Ok(number),
            Err(_) => "value out of range",
        }
    } else {
        "invalid syntax"
    };
    Err(format!(
        "strconv.{function}: parsing {}: {why}",
        quote(text)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_as_go_does() {
        assert_eq!(parse_int("-5"), Ok(-5));
        assert_eq!(parse_int("+5"), Ok(5));
        for (text, why) in [
            ("", "invalid syntax"),
            ("-", "invalid syntax"),
            ("5s", "invalid syntax"),
            ("1_000", "invalid syntax"),
            ("9223372036854775808", "value out of range"),
        ] {
            let expected = format!("strconv.ParseInt: parsing \"{text}\": {why}");
            assert_eq!(parse_int(text), Err(expected));
        }
    }

    #[test]
    fn reads_numbers_without_a_sign_as_go_does() {
        assert_eq!(parse_uint("18446744073709551615"), Ok(u64::MAX));
        for (text, why) in [
            ("", "invalid syntax"),
            ("+5", "invalid syntax"),
            ("-1", "invalid syntax"),
            ("18446744073709551616", "value out of range"),
        ] {
            let expected = format!("strconv.ParseUint: parsing \"{text}\": {why}");
            assert_eq!(parse_uint(text), Err(expected));
        }
        let text = "strconv.ParseUint: parsing \"\\a\": invalid syntax";
        assert_eq!(parse_uint("\u{7}"), Err(text.to_owned()));
    }
}
