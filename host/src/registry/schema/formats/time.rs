//! Dates, times and durations.

use jiff::civil::Date;

use super::{has_shape, is_digits};

pub(super) fn is_date(text: &str) -> bool {
    has_shape(text, "dddd-dd-dd") && text.parse::<Date>().is_ok()
}

/// As upstream's expression has it: the fraction may begin with any character, offsets are not looked at closer,
/// nor is what follows another `t`.
pub(super) fn is_date_time(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut parts = lower.split('t');
    let (Some(date), Some(time)) = (parts.next(), parts.next()) else {
        return false;
    };
    let Some((clock, rest)) = time.split_at_checked(8) else {
        return false;
    };
    let is_clock = has_shape(clock, "dd:dd:dd")
        && clock[..2] <= *"23"
        && clock[3..5] <= *"59"
        && clock[6..] <= *"59";
    is_date(date) && is_clock && (is_zone(rest) || is_fraction_and_zone(rest))
}

fn is_zone(text: &str) -> bool {
    text == "z" || has_shape(text, "+dd:dd") || has_shape(text, "-dd:dd")
}

fn is_fraction_and_zone(text: &str) -> bool {
    let mut characters = text.chars();
    if characters.next().is_none_or(|it| it == '\n') {
        return false;
    }
    let fraction = characters.as_str();
    let zone = fraction.trim_start_matches(|it: char| it.is_ascii_digit());
    zone.len() < fraction.len() && is_zone(zone)
}

/// Go's durations (`1h30m`), or a text with a count and a unit anywhere in it (`3 days`).
pub(super) fn is_duration(text: &str) -> bool {
    is_go_duration(text) || has_worded_duration(text)
}

fn is_go_duration(text: &str) -> bool {
    const HOUR: u64 = 3_600_000_000_000;
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = split_digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_digits(after),
            None => ("", after),
        };
        let end = after
            .find(|it: char| it == '.' || it.is_ascii_digit())
            .unwrap_or(after.len());
        let unit = match &after[..end] {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => HOUR / 60,
            "h" => HOUR,
            _ => return false,
        };
        if whole.is_empty() && fraction.is_empty() {
            return false;
        }
        let count: Option<u64> = if whole.is_empty() {
            Some(0)
        } else {
            whole.parse().ok()
        };
        let total = count.and_then(|it| it.checked_mul(unit)?.checked_add(sum));
        match total.filter(|it| *it < 1 << 63) {
            Some(total) => sum = total,
            None => return false,
        }
        rest = &after[end..];
    }
    true
}

fn has_worded_duration(text: &str) -> bool {
    const UNITS: [&str; 11] = [
        "ns", "us", "\u{b5}s", "ms", "s", "m", "h", "hr", "d", "w", "wk",
    ];
    const BEGINNINGS: [&str; 8] = [
        "nano", "micro", "milli", "sec", "min", "hour", "day", "week",
    ];
    let mut rest = text;
    let mut is_found = false;
    while let Some(at) = rest.find(|it: char| it.is_ascii_digit()) {
        let (digits, after) = split_digits(&rest[at..]);
        let after = after.trim_start_matches(['\t', '\n', '\u{c}', '\r', ' ']);
        let end = after
            .find(|it: char| !it.is_ascii_alphabetic() && it != '\u{b5}')
            .unwrap_or(after.len());
        rest = &after[end..];
        if end == 0 {
            continue;
        }
        if digits.parse::<i64>().is_err() {
            return false;
        }
        let unit = after[..end].to_lowercase();
        is_found |=
            UNITS.contains(&unit.as_str()) || BEGINNINGS.iter().any(|it| unit.starts_with(it));
    }
    is_found
}

fn split_digits(text: &str) -> (&str, &str) {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    debug_assert!(count == 0 || is_digits(&text[..count]));
    text.split_at(count)
}
