//! Regular expressions as Go's RE2 reads them, for a library that reads them a little differently.
//!
//! In RE2 `\d`, `\w`, `\s` and `\b` know ASCII only, and a class has no nested classes and no set operators.

use regex::{Regex, RegexBuilder};

/// Of a compiled pattern.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_SOURCE: usize = 16 * 1024;

pub(super) fn compile(source: &str) -> Result<Regex, String> {
    if source.len() > MAX_SOURCE {
        return Err(format!("it is longer than {MAX_SOURCE} bytes"));
    }
    RegexBuilder::new(&translate(source))
        .size_limit(MAX_BYTES)
        .dfa_size_limit(MAX_BYTES)
        .build()
        .map_err(|error| {
            // The library draws the place over several lines; its last line says what is wrong.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            last.trim_start_matches("error: ").to_owned()
        })
}

fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut characters = source.chars().peekable();
    let mut is_class = false;
    // A `]` right behind `[` or `[^` is an ordinary character.
    let mut is_class_start = false;
    while let Some(character) = characters.next() {
        let was_class_start = std::mem::take(&mut is_class_start);
        match character {
            '\\' => {
                let Some(escaped) = characters.next() else {
                    out.push('\\');
                    break;
                };
                push_escape(&mut out, escaped, is_class);
            }
            '[' if !is_class => {
                is_class = true;
                is_class_start = true;
                out.push('[');
                if characters.peek() == Some(&'^') {
                    characters.next();
                    out.push('^');
                }
            }
            '[' if characters.peek() == Some(&':') => {
                out.push('[');
                // The rest of `[:alpha:]`.
                for inner in characters.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            ']' if is_class && was_class_start => out.push_str("\\]"),
            ']' if is_class => {
                is_class = false;
                out.push(']');
            }
            '[' | '&' | '~' if is_class => {
                out.push('\\');
                out.push(character);
            }
            '-' if is_class && characters.peek() == Some(&'-') => out.push_str("\\-"),
            other => out.push(other),
        }
    }
    out
}

fn push_escape(out: &mut String, escaped: char, is_class: bool) {
    let class = match escaped {
        'd' | 'D' => "0-9",
        'w' | 'W' => "0-9A-Za-z_",
        's' | 'S' => r"\t\n\f\r ",
        'b' if !is_class => return out.push_str(r"(?-u:\b)"),
        other => {
            out.push('\\');
            return out.push(other);
        }
    };
    let negation = if escaped.is_ascii_uppercase() {
        "^"
    } else {
        ""
    };
    if is_class && negation.is_empty() {
        out.push_str(class);
    } else {
        out.push_str(&format!("[{negation}{class}]"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap().is_match(text)
    }

    #[test]
    fn classes_mean_what_they_mean_in_go() {
        assert!(matches(r"^\d+$", "12"));
        assert!(!matches(r"^\d+$", "\u{0663}"));
        assert!(matches(r"^[\d.]+$", "1.2"));
        assert!(matches(r"^[^\s]\D$", "ab"));
        assert!(!matches(r"^\w$", "\u{e9}"));
        assert!(matches(r"^[[a]+$", "[a"));
        assert!(matches(r"^[a&&b~~]+$", "a&b~"));
        assert!(matches(r"^[]a]+$", "]a"));
        assert!(matches(r"^[^]a]$", "b"));
        assert!(matches(r"^[[:alpha:]-]+$", "a-b"));
        assert!(matches(r"^[+--]$", "-"));
        assert!(matches(r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?\/)?x$", "a-b/x"));
        assert!(matches(r"a\bb|a\b", "a"));
    }

    #[test]
    fn bad_or_huge_patterns_are_refused_in_one_line() {
        for bad in [
            "(",
            "[a",
            "\\",
            "a{1000}{1000}{1000}",
            "(?=a)",
            &"a".repeat(20_000),
        ] {
            let error = compile(bad).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{bad}: {error}");
        }
    }
}
