//! Durations as Go writes them: `1h30m`, `250ms`, `1.5s` (package time, ParseDuration).

use std::time::Duration;

use super::quote;

/// One below zero is nothing.
///
/// # Errors
/// Go's text.
pub fn parse(text: &str) -> Result<Duration, String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    let invalid = || format!("time: invalid duration {}", quote(text));
    let mut rest = unsigned;
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() || nanoseconds == 0 && rest == unsigned {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, behind) = rest.split_at(digits(rest));
        let (fraction, behind) = match behind.strip_prefix('.') {
            Some(behind) => behind.split_at(digits(behind)),
            None => ("", behind),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let is_number = |it: char| it == '.' || it.is_ascii_digit();
        let (unit, behind) = behind.split_at(behind.find(is_number).unwrap_or(behind.len()));
        rest = behind;
        let scale: u64 = match unit {
            "" => return Err(format!("time: missing unit in duration {}", quote(text))),
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => {
                let unit = quote(unit);
                return Err(format!(
                    "time: unknown unit {unit} in duration {}",
                    quote(text)
                ));
            }
        };
        // More digits than are there for a nanosecond of an hour say nothing.
        let fraction = &fraction[..fraction.len().min(18)];
        let part = format!("0{fraction}").parse::<u128>().unwrap_or(0) * u128::from(scale)
            / 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let whole = format!("0{whole}").parse::<u64>().map_err(|_| invalid())?;
        nanoseconds += u128::from(whole) * u128::from(scale) + part;
        if nanoseconds > 1 << 63 {
            return Err(invalid());
        }
    }
    if text.starts_with('-') {
        return Ok(Duration::ZERO);
    }
    let nanoseconds = u64::try_from(nanoseconds).map_err(|_| invalid())?;
    Ok(Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_go_writes() {
        for (text, milliseconds) in [
            ("1h30m", 5_400_000),
            ("1.5s", 1500),
            ("+1.s", 1000),
            (".5s", 500),
            ("0", 0),
            ("0s", 0),
            ("-0", 0),
            ("-1h", 0),
            ("2000us3ms", 5),
            ("1.0000000000000000000000000009s", 1000),
        ] {
            assert_eq!(
                parse(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_everything_else_in_gos_words() {
        for (text, expected) in [
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            ("abc", r#"time: invalid duration "abc""#),
            (".s", r#"time: invalid duration ".s""#),
            ("1s ", r#"time: unknown unit "s " in duration "1s ""#),
            ("5", r#"time: missing unit in duration "5""#),
            ("1x", r#"time: unknown unit "x" in duration "1x""#),
            (
                "9999999999999999999999h",
                r#"time: invalid duration "9999999999999999999999h""#,
            ),
            ("3000000h", r#"time: invalid duration "3000000h""#),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in r"([+-]?[0-9.]{0,25}(ns|us|ms|s|m|h|x)?){0,3}|\PC{0,10}") {
            let _ = parse(&text);
        }
    }
}
