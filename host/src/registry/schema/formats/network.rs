//! Names and addresses of networks.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use regex_automata::meta::Regex;

use super::{is_digits, is_hex};

static LETTER_OR_SYMBOL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{S}\p{L}]$").expect("classes of the Unicode standard"));

static LETTER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\p{L}$").expect("a class of the Unicode standard"));

/// One label whose only dash is its second character, or labels and a top-level domain of letters.
pub(super) fn is_hostname(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    if text.len() > 255 || labels.iter().any(|it| it.len() > 63) {
        return false;
    }
    let Some((last, labels)) = labels.split_last() else {
        return false;
    };
    if labels.is_empty() {
        let mut characters = last.chars();
        let is_first = characters.next().is_some_and(is_hostname_character);
        let rest = characters.as_str();
        let rest = rest.strip_prefix('-').unwrap_or(rest);
        return is_first && rest.chars().all(is_hostname_character);
    }
    last.chars().count() >= 2
        && last
            .chars()
            .all(|it| it.is_ascii_alphabetic() || is_of(&LETTER, it))
        && labels.iter().all(|label| {
            let is_edge = |it: Option<char>| it.is_some_and(is_hostname_character);
            is_edge(label.chars().next())
                && is_edge(label.chars().next_back())
                && label
                    .chars()
                    .all(|it| it == '-' || is_hostname_character(it))
        })
}

fn is_hostname_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || is_of(&LETTER_OR_SYMBOL, character)
}

fn is_of(class: &Regex, character: char) -> bool {
    class.is_match(character.encode_utf8(&mut [0; 4]).as_bytes())
}

/// Leading zeros are tolerated, and so is an IPv4 address in IPv6's form.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.contains('.') && (is_dotted(text) || is_ipv6_with_zeros(text))
}

pub(super) fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let limit = if is_dotted(address) {
        32
    } else if is_ipv6_with_zeros(address) {
        128
    } else {
        return false;
    };
    is_digits(bits) && number(bits).is_some_and(|it| it <= limit)
}

/// A small decimal number, however many zeros it begins with.
fn number(digits: &str) -> Option<u32> {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse().ok()
}

fn is_dotted(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4
        && parts
            .iter()
            .all(|it| is_digits(it) && number(it).is_some_and(|it| it <= 255))
}

/// As [`is_ipv6`], whatever zeros its numbers begin with.
fn is_ipv6_with_zeros(text: &str) -> bool {
    if !text.contains(':') {
        return false;
    }
    let parts: Vec<String> = text
        .split(':')
        .map(|part| {
            let numbers = part.split('.').map(|it| {
                let stripped = it.trim_start_matches('0');
                if stripped.is_empty() && !it.is_empty() {
                    "0"
                } else {
                    stripped
                }
            });
            numbers.collect::<Vec<_>>().join(".")
        })
        .collect();
    is_ipv6(&parts.join(":"))
}

pub(super) fn is_mac(text: &str) -> bool {
    let is_parts = |separator: char, width: usize, counts: [usize; 3]| {
        let parts: Vec<&str> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|it| it.len() == width && is_hex(it))
    };
    is_parts(':', 2, [6, 8, 20])
        || is_parts('-', 2, [6, 8, 20])
        || is_parts('.', 4, [3, 4, 10])
        || matches!(text.len(), 12 | 16 | 40) && is_hex(text)
}
