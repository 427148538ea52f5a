//! Durations as Go writes them: `1h30m`, `250ms`, `1.5s` (package time, ParseDuration).

use std::time::Duration;

/// `None` where it is none, or negative.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_ends = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let number: f64 = rest[..number_ends].parse().ok()?;
        rest = &rest[number_ends..];
        let unit_ends = rest
            .find(|it: char| it.is_ascii_digit() || it == '.')
            .unwrap_or(rest.len());
        seconds += number
            * match &rest[..unit_ends] {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_ends..];
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_writes() {
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse("0"), Some(Duration::ZERO));
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "5",
            "abc",
            "-1s",
            "s",
            "1x",
            "1e999s",
            "9999999999999999999999h",
            ".s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
