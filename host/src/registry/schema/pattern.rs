//! Regular expressions as Go's RE2 reads them, for a library that reads them a little differently.
//!
//! In RE2 `\d`, `\w`, `\s` and `\b` know ASCII only, a class has no nested classes and no set operators, and a
//! brace that begins no repetition stands for itself. A pattern that fits into a table of 128 KiB costs one look
//! into it for each byte, whatever the text; others are run as they are, and each byte costs as much as they are large.

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, meta};

/// Of a compiled pattern.
const MAX_BYTES: usize = 1024 * 1024;
const MAX_SOURCE: usize = 16 * 1024;
/// Of a pattern's table.
const MAX_TABLE: usize = 128 * 1024;
/// Of the tables of one schema.
const MAX_TABLES: usize = 16 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Pattern {
    source: String,
    machine: Machine,
}

#[derive(Debug)]
enum Machine {
    Table(Box<dense::DFA<Vec<u32>>>),
    Program { regex: meta::Regex, states: u32 },
}

/// What the tables of a schema may still take.
#[derive(Debug)]
pub(super) struct Memory(usize);

impl Default for Memory {
    fn default() -> Self {
        Self(MAX_TABLES)
    }
}

impl Pattern {
    /// # Errors
    /// One line about what cannot be read, or is too large.
    pub(super) fn compile(source: &str, memory: &mut Memory) -> Result<Self, String> {
        if source.len() > MAX_SOURCE {
            return Err(format!("it is longer than {MAX_SOURCE} bytes"));
        }
        let translated = translate(source);
        let syntax = syntax::Config::new().utf8(false);
        let config = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(MAX_BYTES));
        let nfa = thompson::Compiler::new()
            .configure(config)
            .syntax(syntax)
            .build(&translated)
            .map_err(|error| last_line(&error))?;
        let machine = match table(&nfa, memory) {
            Some(table) => Machine::Table(Box::new(table)),
            None => Machine::Program {
                regex: meta::Regex::builder()
                    .configure(
                        meta::Config::new()
                            .utf8_empty(false)
                            .nfa_size_limit(Some(MAX_BYTES)),
                    )
                    .syntax(syntax)
                    .build(&translated)
                    .map_err(|error| last_line(&error))?,
                states: u32::try_from(nfa.states().len()).unwrap_or(u32::MAX),
            },
        };
        Ok(Self {
            source: source.to_owned(),
            machine,
        })
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        match &self.machine {
            Machine::Table(table) => {
                let input = Input::new(text).anchored(Anchored::No).earliest(true);
                // A table without quit bytes finds what there is.
                table.try_search_fwd(&input).is_ok_and(|it| it.is_some())
            }
            Machine::Program { regex, .. } => regex.is_match(text),
        }
    }

    /// How many steps a byte of a text takes at most.
    pub(super) fn steps(&self) -> u32 {
        match &self.machine {
            Machine::Table(_) => 1,
            Machine::Program { states, .. } => *states,
        }
    }
}

fn table(nfa: &NFA, memory: &mut Memory) -> Option<dense::DFA<Vec<u32>>> {
    // Unicode's word boundaries are not in Go's syntax: what is built knows all bytes.
    let config = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(MAX_TABLE.min(memory.0)))
        .determinize_size_limit(Some(4 * MAX_TABLE));
    let table = dense::Builder::new()
        .configure(config)
        .build_from_nfa(nfa)
        .ok()?;
    memory.0 -= table.memory_usage().min(memory.0);
    Some(table)
}

/// The library draws the place over several lines; its last line says what is wrong.
fn last_line(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let text = cause.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 16);
    let mut rest = source;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '\\' => escape(&mut out, after, false),
            '[' => class(&mut out, after),
            '{' if !is_repetition(after) => {
                out.push_str("\\{");
                after
            }
            other => {
                out.push(other);
                after
            }
        };
    }
    out
}

/// Whether what follows a brace is `n}`, `n,}` or `n,m}`.
fn is_repetition(text: &str) -> bool {
    let Some((inner, _)) = text.split_once('}') else {
        return false;
    };
    let (least, most) = inner.split_once(',').unwrap_or((inner, inner));
    let is_number = |it: &str| it.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

/// A class, behind its first bracket; returns what follows it.
fn class<'a>(out: &mut String, text: &'a str) -> &'a str {
    out.push('[');
    let mut rest = text;
    if let Some(after) = rest.strip_prefix('^') {
        out.push('^');
        rest = after;
    }
    let mut is_start = true;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            // At the start it is an ordinary character.
            ']' if is_start => {
                out.push_str("\\]");
                after
            }
            ']' => {
                out.push(']');
                return after;
            }
            '\\' => escape(out, after, true),
            '[' => match after.strip_prefix(':').and_then(|it| it.split_once(":]")) {
                Some((name, behind)) => {
                    out.push_str("[:");
                    out.push_str(name);
                    out.push_str(":]");
                    behind
                }
                None => {
                    out.push_str("\\[");
                    after
                }
            },
            '&' | '~' => {
                out.push('\\');
                out.push(character);
                after
            }
            '-' if after.starts_with('-') => {
                out.push_str("\\-");
                after
            }
            other => {
                out.push(other);
                after
            }
        };
        is_start = false;
    }
    rest
}

/// An escape, behind its backslash; returns what follows it.
fn escape<'a>(out: &mut String, text: &'a str, is_class: bool) -> &'a str {
    let Some(escaped) = text.chars().next() else {
        out.push('\\');
        return "";
    };
    let after = &text[escaped.len_utf8()..];
    let of_class = match escaped {
        'd' | 'D' => "0-9",
        'w' | 'W' => "0-9A-Za-z_",
        's' | 'S' => r"\t\n\f\r ",
        'b' | 'B' if !is_class => {
            out.push_str("(?-u:\\");
            out.push(escaped);
            out.push(')');
            return after;
        }
        'Q' => {
            let (literal, behind) = after.split_once("\\E").unwrap_or((after, ""));
            literal.chars().for_each(|it| push_literal(out, it));
            return behind;
        }
        '0'..='7' => {
            let digits = octal(text);
            let code = u32::from_str_radix(digits, 8).ok().and_then(char::from_u32);
            // One digit that is not zero would be a backreference.
            if let Some(code) = code.filter(|_| digits.len() > 1 || digits == "0") {
                push_literal(out, code);
                return &text[digits.len()..];
            }
            out.push('\\');
            out.push(escaped);
            return after;
        }
        'p' if after.starts_with("{^") => {
            out.push_str("\\P{");
            return &after[2..];
        }
        other if other.is_ascii_punctuation() => {
            push_literal(out, other);
            return after;
        }
        other => {
            out.push('\\');
            out.push(other);
            return after;
        }
    };
    let negation = if escaped.is_ascii_uppercase() {
        "^"
    } else {
        ""
    };
    if is_class && negation.is_empty() {
        out.push_str(of_class);
    } else {
        out.push_str(&format!("[{negation}{of_class}]"));
    }
    after
}

fn octal(text: &str) -> &str {
    let count = text
        .bytes()
        .take(3)
        .take_while(|it| (b'0'..b'8').contains(it))
        .count();
    &text[..count]
}

fn push_literal(out: &mut String, character: char) {
    out.push_str(&format!("\\x{{{:x}}}", u32::from(character)));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    fn compile(source: &str) -> Result<Pattern, String> {
        Pattern::compile(source, &mut Memory::default())
    }

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap().is_match(text)
    }

    #[test]
    fn patterns_mean_what_they_mean_in_go() {
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
        assert!(matches(r"^a\B.$", "ab"));
        assert!(matches(r"^a{,3}{x}\<$", "a{,3}{x}<"));
        assert!(matches(r"^\Qa.b\E+$", "a.bb"));
        assert!(matches(r"^\101\0$", "A\0"));
        assert!(matches(r"^\p{^Greek}\pL$", "ab"));
        assert!(matches("(?i)^STRASSE$", "strasse"));
        assert!(!matches("^a.b$", "a\nb"));
        assert!(matches("^.$", "\u{1f600}"));
    }

    #[test]
    fn bad_or_huge_patterns_are_refused_in_one_line() {
        for bad in [
            "(",
            "[a",
            "\\",
            "a{1000}{1000}{1000}",
            "(?=a)",
            r"(a)\1",
            &"a".repeat(20_000),
        ] {
            let error = compile(bad).unwrap_err();
            assert!(!error.is_empty() && !error.contains('\n'), "{bad}: {error}");
        }
    }

    #[test]
    fn what_fits_no_table_costs_what_it_is_large() {
        assert_eq!(
            compile("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$").unwrap().steps(),
            1
        );
        let pattern = compile("(a|b)*a(a|b){40}$").unwrap();
        assert!(pattern.steps() > 40);
        assert!(pattern.is_match(&format!("a{}", "b".repeat(40))));
    }

    #[test]
    fn tables_take_no_more_than_their_memory() {
        let mut memory = Memory(1_000);
        assert!(Pattern::compile("^a$", &mut memory).unwrap().steps() >= 1);
        assert!(memory.0 <= 1_000);
    }
}
