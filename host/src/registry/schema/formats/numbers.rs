//! Numbers of things, colours, and bytes: texts of digits.

use super::{has_shape, is_digits, is_hex};

pub(super) fn is_bson_object_id(text: &str) -> bool {
    text.len() == 24 && is_hex(text)
}

pub(super) fn is_uuid(text: &str) -> bool {
    uuid(text).is_some()
}

pub(super) fn is_uuid3(text: &str) -> bool {
    uuid(text).is_some_and(|(version, _)| version == b'3')
}

pub(super) fn is_uuid4(text: &str) -> bool {
    uuid(text).is_some_and(|(version, variant)| version == b'4' && is_variant(variant))
}

pub(super) fn is_uuid5(text: &str) -> bool {
    uuid(text).is_some_and(|(version, variant)| version == b'5' && is_variant(variant))
}

fn is_variant(digit: u8) -> bool {
    matches!(digit, b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
}

/// The digits of version and variant; any of the dashes may be left out.
fn uuid(text: &str) -> Option<(u8, u8)> {
    let mut rest = text;
    let mut digits = [0; 2];
    for (index, width) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let (group, after) = rest.split_at_checked(width)?;
        if !is_hex(group) {
            return None;
        }
        match index {
            2 => digits[0] = group.as_bytes()[0],
            3 => digits[1] = group.as_bytes()[0],
            _ => {}
        }
        rest = after;
    }
    rest.is_empty().then_some((digits[0], digits[1]))
}

pub(super) fn is_isbn(text: &str) -> bool {
    is_isbn10(text) || is_isbn13(text)
}

pub(super) fn is_isbn10(text: &str) -> bool {
    let digits = isbn_digits(text);
    let (body, check) = match digits.split_at_checked(9) {
        Some((body, "X")) => (body, 10),
        Some((body, check)) if check.len() == 1 && is_digits(check) => {
            (body, u32::from(check.as_bytes()[0] - b'0'))
        }
        _ => return false,
    };
    let sum: u32 = digit_values(body)
        .zip(1..)
        .map(|(digit, weight)| digit * weight)
        .sum();
    is_digits(body) && (sum + 10 * check).is_multiple_of(11)
}

pub(super) fn is_isbn13(text: &str) -> bool {
    let digits = isbn_digits(text);
    let sum: u32 = digit_values(&digits)
        .zip([1, 3].into_iter().cycle())
        .map(|(digit, weight)| digit * weight)
        .sum();
    digits.len() == 13 && is_digits(&digits) && sum.is_multiple_of(10)
}

fn isbn_digits(text: &str) -> String {
    let is_separator = |it: &char| matches!(it, '-' | ' ' | '\t' | '\n' | '\r' | '\u{c}');
    text.chars().filter(|it| !is_separator(it)).collect()
}

fn digit_values(text: &str) -> impl DoubleEndedIterator<Item = u32> {
    text.bytes().map(|it| u32::from(it.wrapping_sub(b'0')))
}

/// Digits of one of the issuers' forms, whose Luhn sum is right; everything else in the text does not count.
pub(super) fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let sum: u32 = digit_values(&digits)
        .rev()
        .zip([1, 2].into_iter().cycle())
        .map(|(digit, weight)| digit * weight)
        .map(|it| it / 10 + it % 10)
        .sum();
    is_issued(&digits) && sum.is_multiple_of(10)
}

fn is_issued(digits: &str) -> bool {
    let begins = |count: usize| -> u32 {
        let beginning = digits.get(..count).unwrap_or_default();
        beginning.parse().unwrap_or(0)
    };
    match digits.len() {
        13 => begins(1) == 4,
        14 => matches!(begins(3), 300..=305) || matches!(begins(2), 36 | 38),
        15 => matches!(begins(2), 34 | 37) || matches!(begins(4), 2131 | 1800),
        16 => begins(1) == 4 || matches!(begins(2), 51..=55 | 65 | 35) || begins(4) == 6011,
        _ => false,
    }
}

pub(super) fn is_ssn(text: &str) -> bool {
    ["ddd-dd-dddd", "ddd dd dddd", "ddd-dd dddd", "ddd dd-dddd"]
        .iter()
        .any(|shape| has_shape(text, shape))
}

pub(super) fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && is_hex(digits)
}

pub(super) fn is_rgb_color(text: &str) -> bool {
    let inner = text
        .strip_prefix("rgb(")
        .and_then(|it| it.strip_suffix(')'));
    let Some(inner) = inner else { return false };
    let parts: Vec<&str> = inner.split(',').collect();
    parts.len() == 3
        && parts.iter().all(|part| {
            let part = part.trim_matches(['\t', '\n', '\u{c}', '\r', ' ']);
            let is_plain = part == "0" || !part.starts_with('0');
            is_plain && is_digits(part) && part.parse::<u8>().is_ok()
        })
}

/// Groups of four characters, the last of them filled up; not nothing.
pub(super) fn is_base64(text: &str) -> bool {
    let is_digit = |it: u8| it.is_ascii_alphanumeric() || it == b'+' || it == b'/';
    let digits = text
        .strip_suffix("==")
        .or_else(|| text.strip_suffix('='))
        .unwrap_or(text);
    !digits.is_empty() && text.len().is_multiple_of(4) && digits.bytes().all(is_digit)
}
