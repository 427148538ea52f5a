//! The values of `format` that a schema can ask of texts (k8s.io/kube-openapi, pkg/validation/strfmt).

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::civil::Date;

use crate::registry::object_meta::names;

/// Whether `text` has the format. Formats that upstream does not know are not checked.
pub(super) fn is_valid(format: &str, text: &str) -> bool {
    match format {
        "date" => is_date(text),
        "date-time" | "datetime" => is_date_time(text),
        "duration" => is_duration(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uri" => is_uri(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => {
            has_shape(text, "ddd-dd-dddd")
                || has_shape(text, "ddd dd dddd")
                || has_shape(text, "ddddddddd")
        }
        "hexcolor" => is_hex_color(text),
        "rgbcolor" => is_rgb_color(text),
        "bsonobjectid" => text.len() == 24 && is_hex(text),
        "byte" => is_base64(text),
        "k8s-short-name" => names::dns_label_errors(text).is_empty(),
        "k8s-long-name" => names::dns_subdomain_errors(text).is_empty(),
        _ => true,
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_hexdigit())
}

/// `d` stands for a digit, everything else for itself.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(byte, wanted)| match wanted {
                b'd' => byte.is_ascii_digit(),
                other => byte == other,
            })
}

fn is_date(text: &str) -> bool {
    has_shape(text, "dddd-dd-dd") && text.parse::<Date>().is_ok()
}

fn is_date_time(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some((date, time)) = lower.split_once('t') else {
        return false;
    };
    if !is_date(date) || time.len() < 9 || !time.is_ascii() {
        return false;
    }
    let (clock, rest) = time.split_at(8);
    if !has_shape(clock, "dd:dd:dd") || clock[..2].parse().is_ok_and(|it: u8| it > 23) {
        return false;
    }
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
        None => ("0", rest),
    };
    (1..=9).contains(&fraction.len())
        && (zone == "z" || has_shape(zone, "+dd:dd") || has_shape(zone, "-dd:dd"))
}

/// Go's durations (`1h30m`) and a count with a unit (`3 days`).
fn is_duration(text: &str) -> bool {
    is_go_duration(text) || is_worded_duration(text)
}

fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let Some(after) = strip_number(rest) else {
            return false;
        };
        let units = ["ns", "us", "\u{b5}s", "\u{3bc}s", "ms", "s", "m", "h"];
        // "ms" before "m": the longest unit wins.
        let unit = units
            .iter()
            .filter(|it| after.starts_with(**it))
            .max_by_key(|it| it.len());
        let Some(unit) = unit else { return false };
        rest = &after[unit.len()..];
    }
    true
}

fn is_worded_duration(text: &str) -> bool {
    const UNITS: [&str; 33] = [
        "ns",
        "nano",
        "nanos",
        "nanosecond",
        "nanoseconds",
        "us",
        "\u{b5}s",
        "micro",
        "micros",
        "microsecond",
        "microseconds",
        "ms",
        "milli",
        "millis",
        "millisecond",
        "milliseconds",
        "s",
        "sec",
        "secs",
        "second",
        "seconds",
        "m",
        "min",
        "mins",
        "minute",
        "minutes",
        "h",
        "hr",
        "hour",
        "hours",
        "d",
        "day",
        "days",
    ];
    const WEEKS: [&str; 4] = ["w", "wk", "week", "weeks"];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit = unit.trim().to_lowercase();
    !count.is_empty() && (UNITS.contains(&&*unit) || WEEKS.contains(&&*unit))
}

/// What follows a decimal number.
fn strip_number(text: &str) -> Option<&str> {
    let whole = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = &text[whole..];
    let Some(fraction) = rest.strip_prefix('.') else {
        return (whole > 0).then_some(rest);
    };
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
    (whole + digits > 0).then(|| &fraction[digits..])
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&byte);
    !local.is_empty()
        && local.bytes().all(is_plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && is_hostname(domain)
}

fn is_hostname(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 255
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|it| it.is_alphanumeric() || it == '-' || it == '_')
        })
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    if bits.is_empty() || bits.len() > 3 || !bits.bytes().all(|it| it.is_ascii_digit()) {
        return false;
    }
    let bits: u16 = bits.parse().unwrap_or(u16::MAX);
    (address.parse::<Ipv4Addr>().is_ok() && bits <= 32)
        || (address.parse::<Ipv6Addr>().is_ok() && bits <= 128)
}

fn is_mac(text: &str) -> bool {
    let is_pairs = |separator: char, width: usize, counts: &[usize]| {
        let parts: Vec<&str> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|it| it.len() == width && is_hex(it))
    };
    is_pairs(':', 2, &[6, 8, 20]) || is_pairs('-', 2, &[6, 8, 20]) || is_pairs('.', 4, &[3, 4, 10])
}

/// An absolute URI, or a path, as Go's `url.ParseRequestURI` takes them.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|it| it < b' ' || it == 0x7f) {
        return false;
    }
    if text.starts_with('/') {
        return is_escaped(text);
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|it: char| it.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it));
    is_scheme && !rest.contains(' ') && is_escaped(rest)
}

fn is_escaped(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|it| it.get(..2).is_some_and(is_hex))
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let plain: String = text.chars().filter(|it| *it != '-').collect();
    let dashes = text.len() - plain.len();
    let is_placed = dashes == 0 || {
        let bytes = text.as_bytes();
        dashes == 4
            && [8, 13, 18, 23]
                .iter()
                .all(|it| bytes.get(*it) == Some(&b'-'))
    };
    let digit = |at: usize| plain.chars().nth(at).unwrap_or(' ').to_ascii_lowercase();
    is_placed
        && plain.len() == 32
        && is_hex(&plain)
        && version.is_none_or(|it| digit(12) == it)
        && (!matches!(version, Some('4' | '5')) || matches!(digit(16), '8' | '9' | 'a' | 'b'))
}

fn isbn_digits(text: &str) -> String {
    text.chars().filter(|it| !matches!(it, '-' | ' ')).collect()
}

fn is_isbn10(text: &str) -> bool {
    let digits = isbn_digits(text);
    let mut sum = 0;
    for (index, character) in digits.chars().enumerate() {
        let value = match character {
            'X' if index == 9 => 10,
            other => match other.to_digit(10) {
                Some(digit) => digit,
                None => return false,
            },
        };
        sum += value * (u32::try_from(index).unwrap_or(0) + 1);
    }
    digits.len() == 10 && sum % 11 == 0
}

fn is_isbn13(text: &str) -> bool {
    let digits = isbn_digits(text);
    let mut sum = 0;
    for (index, character) in digits.chars().enumerate() {
        let Some(digit) = character.to_digit(10) else {
            return false;
        };
        sum += if index % 2 == 0 { digit } else { 3 * digit };
    }
    digits.len() == 13 && sum % 10 == 0
}

/// 13 to 19 digits whose Luhn sum is right; spaces and dashes do not count.
fn is_credit_card(text: &str) -> bool {
    let digits = isbn_digits(text);
    let mut sum = 0;
    for (index, character) in digits.chars().rev().enumerate() {
        let Some(digit) = character.to_digit(10) else {
            return false;
        };
        let value = if index % 2 == 1 { 2 * digit } else { digit };
        sum += value / 10 + value % 10;
    }
    (13..=19).contains(&digits.len()) && sum % 10 == 0
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && is_hex(digits)
}

fn is_rgb_color(text: &str) -> bool {
    let inner = text
        .strip_prefix("rgb(")
        .and_then(|it| it.strip_suffix(')'));
    let Some(inner) = inner else { return false };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    parts.len() == 3 && parts.iter().all(|it| it.parse::<u8>().is_ok())
}

fn is_base64(text: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_take_what_they_name() {
        for (format, good) in [
            ("date", "2024-02-29"),
            ("date-time", "2024-02-29T23:59:60.123Z"),
            ("date-time", "2024-02-29t00:00:00+01:00"),
            ("duration", "1h30m"),
            ("duration", "-1.5ms"),
            ("duration", "3 days"),
            ("email", "a.b+c@example.com"),
            ("hostname", "a-b.example.com"),
            ("ipv4", "10.0.0.1"),
            ("ipv6", "fe80::1"),
            ("cidr", "10.0.0.0/8"),
            ("cidr", "fe80::/64"),
            ("mac", "01:23:45:67:89:ab"),
            ("mac", "0123.4567.89ab"),
            ("uri", "https://example.com/a?b=%20"),
            ("uri", "/a/b"),
            ("uuid", "a8098c1a-f86e-11da-bd1a-00112444be1e"),
            ("uuid4", "25769c6c-d34d-4bfe-ba98-e0ee856f3e7a"),
            ("isbn", "978-3-16-148410-0"),
            ("isbn10", "0-306-40615-2"),
            ("creditcard", "4111 1111 1111 1111"),
            ("ssn", "111-11-1111"),
            ("hexcolor", "#FFF"),
            ("rgbcolor", "rgb(1, 2, 255)"),
            ("bsonobjectid", "507f1f77bcf86cd799439011"),
            ("byte", "aGVsbG8="),
            ("k8s-short-name", "a-b"),
            ("k8s-long-name", "a.b"),
            ("password", "anything"),
            ("no-such-format", "anything"),
        ] {
            assert!(is_valid(format, good), "{format}: {good}");
        }
    }

    #[test]
    fn formats_refuse_the_rest() {
        for (format, bad) in [
            ("date", "2023-02-29"),
            ("date-time", "yesterday"),
            ("date-time", "2024-02-29 00:00:00Z"),
            ("date-time", "2024-02-29T24:00:00Z"),
            ("date-time", "2024-02-29T00:00:00"),
            ("date-time", "2024-02-29T00:00:0\u{e9}Z"),
            ("duration", ""),
            ("duration", "1"),
            ("duration", "1x"),
            ("duration", "3 fortnights"),
            ("email", "a@"),
            ("email", "a..b@example.com"),
            ("hostname", "-a"),
            ("hostname", ""),
            ("ipv4", "10.0.0.256"),
            ("ipv6", "10.0.0.1"),
            ("cidr", "10.0.0.0/33"),
            ("cidr", "10.0.0.0/+8"),
            ("mac", "01:23"),
            ("uri", "no scheme"),
            ("uri", "http://%zz"),
            ("uuid", "a8098c1af86e-11da-bd1a-00112444be1e"),
            ("uuid4", "a8098c1a-f86e-11da-bd1a-00112444be1e"),
            ("isbn", "978-3-16-148410-1"),
            ("creditcard", "4111111111111112"),
            ("ssn", "1"),
            ("hexcolor", "#FFFF"),
            ("rgbcolor", "rgb(1,2,256)"),
            ("bsonobjectid", "z"),
            ("byte", "a"),
            ("k8s-short-name", "A"),
            ("k8s-long-name", "a..b"),
        ] {
            assert!(!is_valid(format, bad), "{format}: {bad}");
        }
    }
}
