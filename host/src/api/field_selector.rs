//! The grammar of field selectors (k8s.io/apimachinery, pkg/fields): terms, before anybody has asked whether
//! there are such fields.

use std::fmt;

/// One term of a selector; all of them must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldTerm {
    pub field: String,
    /// Without the escapes.
    pub value: String,
    pub is_negated: bool,
}

/// The terms in the order of their texts, as upstream has them. Those that say nothing are left out.
///
/// # Errors
/// Upstream's text, for a 400.
pub fn parse(text: &str) -> Result<Vec<FieldTerm>, String> {
    let mut parts = split_terms(text);
    parts.sort_unstable();
    let mut terms = Vec::new();
    for part in parts.into_iter().filter(|it| !it.is_empty()) {
        let Some((field, operator, value)) = split_term(part) else {
            return Err(format!(
                "invalid selector: '{text}'; can't understand '{part}'"
            ));
        };
        let value = unescape(value)?;
        if !field.is_empty() || !value.is_empty() {
            terms.push(FieldTerm {
                field: field.to_owned(),
                value,
                is_negated: operator == "!=",
            });
        }
    }
    Ok(terms)
}

/// The value that `field` must have, if there is a term that says so.
pub fn exact_match<'a>(terms: &'a [FieldTerm], field: &str) -> Option<&'a str> {
    let term = terms.iter().find(|it| it.field == field && !it.is_negated);
    term.map(|it| it.value.as_str())
}

impl fmt::Display for FieldTerm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operator = if self.is_negated { "!=" } else { "=" };
        write!(f, "{}{operator}", self.field)?;
        for character in self.value.chars() {
            if matches!(character, '\\' | ',' | '=') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

/// Splits at the commas that no backslash escapes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut is_escaped) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        if is_escaped {
            is_escaped = false;
        } else if byte == b'\\' {
            is_escaped = true;
        } else if byte == b',' {
            terms.push(&text[start..at]);
            start = at + 1;
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, &str, &str)> {
    for (at, _) in term.char_indices() {
        let rest = &term[at..];
        for operator in ["!=", "==", "="] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((&term[..at], operator, value));
            }
        }
    }
    None
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                other => {
                    let shown = other.map(String::from).unwrap_or_default();
                    return Err(format!(
                        "invalid field selector: invalid escape sequence: \\{shown}"
                    ));
                }
            },
            ',' | '=' => {
                return Err(format!(
                    "invalid field selector: unescaped character in value: {}",
                    u32::from(character)
                ));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use proptest::prelude::*;

    use super::*;

    fn shown(terms: &[FieldTerm]) -> String {
        let terms: Vec<String> = terms.iter().map(ToString::to_string).collect();
        terms.join(",")
    }

    #[test]
    fn reads_terms_in_the_order_of_their_texts() {
        for (text, expected) in [
            ("", ""),
            (",,", ""),
            ("=", ""),
            ("!=", ""),
            ("==", ""),
            ("b=2,a==1", "a=1,b=2"),
            ("a!=", "a!="),
            ("=x", "=x"),
            (r"a=\,\=\\", r"a=\,\=\\"),
        ] {
            assert_eq!(shown(&parse(text).unwrap()), expected, "{text}");
        }
        let terms = parse("a!=0,a=1,b=2").unwrap();
        assert_eq!(exact_match(&terms, "a"), Some("1"));
        assert_eq!(exact_match(&terms, "c"), None);
    }

    #[test]
    fn says_what_it_cannot_read() {
        for (text, expected) in [
            ("nope", "invalid selector: 'nope'; can't understand 'nope'"),
            (
                "a=b=c",
                "invalid field selector: unescaped character in value: 61",
            ),
            (
                r"a=x\b",
                r"invalid field selector: invalid escape sequence: \b",
            ),
            (
                r"a=x\",
                r"invalid field selector: invalid escape sequence: \",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected);
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_shows_what_it_has_read(text in r"[ab.,=!\\é]{0,24}|\PC{0,24}") {
            if let Ok(mut terms) = parse(&text) {
                let mut again = parse(&shown(&terms)).unwrap();
                // `a==0` stands behind `a=1`, `a=0` before it.
                terms.sort_by_key(ToString::to_string);
                again.sort_by_key(ToString::to_string);
                prop_assert_eq!(again, terms);
            }
        }
    }
}
