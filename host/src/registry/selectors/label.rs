//! Label selectors: a lexer and a parser in the steps of k8s.io/apimachinery, pkg/labels, so that each mistake
//! gets the text that clients know.

use std::fmt;

use super::{MAX_BYTES, MAX_REQUIREMENTS, too_large};
use crate::api::quote;
use crate::api::status::{self, Result};
use crate::registry::object_meta::names::{label_value_errors, qualified_name_errors};
use crate::storage::watch_cache::{Attribute, Pairs, Term};

/// All of its requirements must hold; without any it selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// Sorted by key.
    requirements: Vec<Requirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: Box<str>,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    DoesNotExist,
    /// Sorted, at least one.
    In(Vec<Box<str>>),
    NotIn(Vec<Box<str>>),
    GreaterThan(i64),
    LessThan(i64),
}

impl LabelSelector {
    /// # Errors
    /// 400 with upstream's text.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(too_large("label"));
        }
        let mut parser = Parser {
            tokens: lex(text),
            position: 0,
        };
        let mut requirements = parser.parse().map_err(status::bad_request)?;
        if requirements.len() > MAX_REQUIREMENTS {
            return Err(too_large("label"));
        }
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(Self { requirements })
    }

    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    pub fn matches(&self, labels: Pairs<'_>) -> bool {
        self.requirements
            .iter()
            .all(|it| it.test.holds(labels.get(&it.key)))
    }

    /// The labels that must have one certain value.
    pub fn exact(&self) -> impl Iterator<Item = Term> {
        self.requirements.iter().filter_map(|it| match &it.test {
            Test::In(values) if values.len() == 1 => Some(Term {
                attribute: Attribute::Label(it.key.clone()),
                value: values[0].clone(),
            }),
            _ => None,
        })
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Requirement { key, test }) in self.requirements.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::Exists => write!(f, "{key}"),
                Test::DoesNotExist => write!(f, "!{key}"),
                Test::In(values) => write!(f, "{key} in ({})", values.join(",")),
                Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
                Test::GreaterThan(limit) => write!(f, "{key}>{limit}"),
                Test::LessThan(limit) => write!(f, "{key}<{limit}"),
            }?;
        }
        Ok(())
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let is_in = |values: &[Box<str>], value: &str| {
            values.binary_search_by(|it| (**it).cmp(value)).is_ok()
        };
        let number = |value: &str| value.parse::<i64>().ok();
        match (self, value) {
            (Self::Exists, value) => value.is_some(),
            (Self::DoesNotExist, value) => value.is_none(),
            (Self::NotIn(_), None) => true,
            (Self::In(values), Some(value)) => is_in(values, value),
            (Self::NotIn(values), Some(value)) => !is_in(values, value),
            (Self::GreaterThan(limit), Some(value)) => number(value).is_some_and(|it| it > *limit),
            (Self::LessThan(limit), Some(value)) => number(value).is_some_and(|it| it < *limit),
            (Self::In(_) | Self::GreaterThan(_) | Self::LessThan(_), None) => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Error,
    End,
    Close,
    Comma,
    Not,
    Equals,
    GreaterThan,
    Identifier,
    In,
    LessThan,
    NotEquals,
    NotIn,
    Open,
}

fn keyword(text: &str) -> Option<Token> {
    Some(match text {
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "==" | "=" => Token::Equals,
        ">" => Token::GreaterThan,
        "in" => Token::In,
        "<" => Token::LessThan,
        "!=" => Token::NotEquals,
        "notin" => Token::NotIn,
        "(" => Token::Open,
        _ => return None,
    })
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Ends with [`Token::End`]. A NUL ends a token, and the text where a token would begin, as upstream.
fn lex(text: &str) -> Vec<(Token, String)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != 0 {
        let (start, known) = (at, tokens.len());
        if is_space(bytes[at]) {
            at += 1;
        } else if is_special(bytes[at]) {
            let mut found = None;
            // The longest run that is an operator: "!=" before "!".
            for end in start + 1..=bytes.len().min(start + 2) {
                if !is_special(bytes[end - 1]) {
                    break;
                }
                match keyword(&text[start..end]) {
                    Some(token) => found = Some((token, end)),
                    None => break,
                }
            }
            match found {
                Some((token, end)) => {
                    tokens.push((token, text[start..end].to_owned()));
                    at = end;
                }
                None => {
                    at += 1;
                    let literal = format!("error expected: keyword found '{}'", &text[start..at]);
                    tokens.push((Token::Error, literal));
                }
            }
        } else {
            let is_end = |it: u8| it == 0 || is_special(it) || is_space(it);
            while at < bytes.len() && !is_end(bytes[at]) {
                at += 1;
            }
            let literal = &text[start..at];
            let token = keyword(literal).unwrap_or(Token::Identifier);
            tokens.push((token, literal.to_owned()));
        }
        let is_token = tokens.len() > known;
        at += usize::from(is_token && bytes.get(at) == Some(&0));
    }
    tokens.push((Token::End, String::new()));
    tokens
}

struct Parser {
    tokens: Vec<(Token, String)>,
    position: usize,
}

impl Parser {
    /// The token here, where `in` and `notin` are ordinary words.
    fn peek(&self) -> (Token, &str) {
        let (token, literal) = &self.tokens[self.position.min(self.tokens.len() - 1)];
        match token {
            Token::In | Token::NotIn => (Token::Identifier, literal),
            other => (*other, literal),
        }
    }

    fn next(&mut self) -> (Token, String) {
        let (token, literal) = self.peek();
        let taken = (token, literal.to_owned());
        self.position += 1;
        taken
    }

    fn parse(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Identifier | Token::Not, _) => {
                    let requirement = self
                        .requirement()
                        .map_err(|it| format!("unable to parse requirement: {it}"))?;
                    requirements.push(requirement);
                    match self.next() {
                        (Token::End, _) => return Ok(requirements),
                        (Token::Comma, _) => match self.peek() {
                            (Token::Identifier | Token::Not, _) => {}
                            (_, literal) => {
                                return Err(format!(
                                    "found '{literal}', expected: identifier after ','"
                                ));
                            }
                        },
                        (_, literal) => {
                            return Err(format!(
                                "found '{literal}', expected: ',' or 'end of string'"
                            ));
                        }
                    }
                }
                (Token::End, _) => return Ok(requirements),
                (_, literal) => {
                    return Err(format!(
                        "found '{literal}', expected: !, identifier, or 'end of string'"
                    ));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.next();
        let is_negated = token == Token::Not;
        if is_negated {
            (token, key) = self.next();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        let errors = qualified_name_errors(&key);
        if !errors.is_empty() {
            return Err(format!(
                "<nil>: Invalid value: {}: {}",
                quote(&key),
                errors.join("; ")
            ));
        }
        if is_negated {
            return Ok(Requirement {
                key: key.into(),
                test: Test::DoesNotExist,
            });
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(Requirement {
                key: key.into(),
                test: Test::Exists,
            });
        }
        let (operator, literal) = self.tokens[self.position.min(self.tokens.len() - 1)].clone();
        self.position += 1;
        let values = match operator {
            Token::In | Token::NotIn => self.values()?,
            Token::Equals | Token::NotEquals | Token::GreaterThan | Token::LessThan => {
                vec![self.exact_value()?]
            }
            _ => {
                return Err(format!(
                    "found '{literal}', expected: in, notin, =, ==, !=, gt, lt"
                ));
            }
        };
        let test = test(operator, &key, values)?;
        Ok(Requirement {
            key: key.into(),
            test,
        })
    }

    /// `(a,b)`: sorted, without duplicates.
    fn values(&mut self) -> Result<Vec<Box<str>>, String> {
        let (token, literal) = self.next();
        if token != Token::Open {
            return Err(format!("found '{literal}' expected: '('"));
        }
        let mut values: Vec<Box<str>> = match self.peek() {
            (Token::Identifier | Token::Comma, _) => self.identifiers()?,
            (Token::Close, _) => vec!["".into()],
            (_, literal) => {
                return Err(format!(
                    "found '{literal}', expected: ',', ')' or identifier"
                ));
            }
        };
        // identifiers() returns only before a closing parenthesis.
        self.position += 1;
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn identifiers(&mut self) -> Result<Vec<Box<str>>, String> {
        let mut values: Vec<Box<str>> = Vec::new();
        loop {
            match self.next() {
                (Token::Identifier, literal) => {
                    values.push(literal.into());
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, literal) => {
                            return Err(format!("found '{literal}', expected: ',' or ')'"));
                        }
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.push("".into());
                    }
                    match self.peek().0 {
                        Token::Close => {
                            values.push("".into());
                            return Ok(values);
                        }
                        Token::Comma => values.push("".into()),
                        _ => {}
                    }
                }
                (_, literal) => {
                    return Err(format!("found '{literal}', expected: ',', or identifier"));
                }
            }
        }
    }

    fn exact_value(&mut self) -> Result<Box<str>, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok("".into());
        }
        match self.next() {
            (Token::Identifier, literal) => Ok(literal.into()),
            (_, literal) => Err(format!("found '{literal}', expected: identifier")),
        }
    }
}

fn test(operator: Token, key: &str, values: Vec<Box<str>>) -> Result<Test, String> {
    let mut errors = Vec::new();
    let mut number = 0;
    if matches!(operator, Token::GreaterThan | Token::LessThan) {
        match values[0].parse() {
            Ok(parsed) => number = parsed,
            Err(_) => errors.push(format!(
                "values[0]: Invalid value: {}: for 'Gt', 'Lt' operators, the value must be an integer",
                quote(&values[0])
            )),
        }
    }
    for (index, value) in values.iter().enumerate() {
        let found = label_value_errors(value);
        if !found.is_empty() {
            errors.push(format!(
                "values[{index}][{key}]: Invalid value: {}: {}",
                quote(value),
                found.join("; ")
            ));
        }
    }
    match &errors[..] {
        [] => {}
        [error] => return Err(error.clone()),
        many => return Err(format!("[{}]", many.join(", "))),
    }
    Ok(match operator {
        Token::NotIn | Token::NotEquals => Test::NotIn(values),
        Token::GreaterThan => Test::GreaterThan(number),
        Token::LessThan => Test::LessThan(number),
        _ => Test::In(values),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::storage::watch_cache::Attributes;

    fn matches(text: &str) -> bool {
        let labels = [("a", "1"), ("example.com/in", "in"), ("n", "10")];
        let attributes = Attributes::new(labels, [], 0..0);
        let selector = LabelSelector::parse(text).unwrap();
        selector.matches(attributes.labels())
    }

    #[test]
    fn every_operator_selects() {
        for yes in [
            "",
            " ",
            "a",
            "!b",
            "a=1",
            "a==1",
            "a = 1",
            "a!=2",
            "b!=2",
            "a in (1,2)",
            "a in (,1)",
            "b notin (1)",
            "a notin (2,3)",
            "n>9",
            "n<11",
            "example.com/in in (in,notin)",
            "a,n,!z",
            "a=1,n in (10)",
            "z notin ()",
        ] {
            assert!(matches(yes), "{yes:?}");
        }
        for no in [
            "b",
            "!a",
            "a=2",
            "a!=1",
            "a in (2)",
            "a in ()",
            "a notin (1,2)",
            "n>10",
            "n<10",
            "a=",
            "example.com/in>1",
            "z>1",
            "a,b",
        ] {
            assert!(!matches(no), "{no:?}");
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
    fn check_error(text: &str, expected: Expect) {
        let status = LabelSelector::parse(text).unwrap_err();
        assert_eq!(status.code, 400);
        expected.assert_eq(&status.message);
    }

    #[test]
    fn mistakes_are_explained_in_upstreams_words() {
        check_error(
            "a b c",
            expect![
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"
            ],
        );
        check_error("a,", expect!["found '', expected: identifier after ','"]);
        check_error(
            "=a",
            expect!["found '=', expected: !, identifier, or 'end of string'"],
        );
        check_error(
            "a in (1",
            expect!["unable to parse requirement: found '', expected: ',' or ')'"],
        );
        check_error(
            "a in 1",
            expect!["unable to parse requirement: found '1' expected: '('"],
        );
        check_error(
            "a=1 b",
            expect!["found 'b', expected: ',' or 'end of string'"],
        );
        check_error(
            "!",
            expect!["unable to parse requirement: found '', expected: identifier"],
        );
        check_error(
            "a>x",
            expect![
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"
            ],
        );
        check_error(
            "a/b/c=1",
            expect![
                "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ],
        );
        check_error(
            "a=-",
            expect![
                "unable to parse requirement: values[0][a]: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ],
        );
    }

    #[test]
    fn size_is_bounded() {
        let many = vec!["a"; 257].join(",");
        assert!(
            LabelSelector::parse(&many)
                .unwrap_err()
                .message
                .contains("too large")
        );
        let long = "a".repeat(70_000);
        assert!(
            LabelSelector::parse(&long)
                .unwrap_err()
                .message
                .contains("too large")
        );
    }

    #[test]
    fn any_text_is_read_or_refused() {
        let words = [
            "a", "!", "=", "in", "notin", "(", ")", ",", " ", "<", ">", "\0", "\u{e9}", "x/y", "1",
        ];
        let mut seed = 7_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..seed % 9 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text.push_str(words[usize::try_from(seed >> 33).unwrap() % words.len()]);
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let _ = LabelSelector::parse(&text);
        }
    }

    #[test]
    fn a_nul_ends_a_token() {
        check_error(
            "a\0b",
            expect![
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"
            ],
        );
        assert!(matches("a=1\0\0,b"));
    }

    proptest! {
        #[test]
        fn never_panics_and_shows_what_it_has_read(
            text in r"([a-c]{0,2}(/[a-c])?( in | notin |=|==|!=|>|<|!)?\(?[a-c1-9]{0,2},?\)?,?){0,4}|[ab=!(),<> \x00é]{0,16}|\PC{0,24}",
        ) {
            if let Ok(selector) = LabelSelector::parse(&text) {
                let shown = selector.to_string();
                prop_assert_eq!(LabelSelector::parse(&shown).unwrap(), selector, "{}", shown);
            }
        }
    }
}
