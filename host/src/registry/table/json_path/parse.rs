//! From the text of a path to its steps, as kubectl's parser reads them.

use serde_json::Value;

use super::{Operator, Slice, Step};

type Result<T> = std::result::Result<T, String>;

/// # Errors
/// One line about what cannot be read.
pub(super) fn steps(text: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        if let Some(filter) = rest.strip_prefix("[?(") {
            rest = self::filter(filter, &mut steps)?;
            continue;
        }
        if let Some(behind) = rest.strip_prefix("..") {
            if steps.last() == Some(&Step::Descend) {
                return Err("invalid multiple recursive descent".into());
            }
            steps.push(Step::Descend);
            let is_name = |it: char| it == '_' || it.is_alphanumeric();
            rest = if behind.starts_with(is_name) {
                field(behind, &mut steps)
            } else {
                behind
            };
            continue;
        }
        rest = match first {
            ' ' | '@' | '$' => after,
            '[' => array(after, &mut steps)?,
            '"' | '\'' => quote(rest, first, &mut steps)?,
            '.' => field(after, &mut steps),
            '+' | '-' | '0'..='9' => number(rest, &mut steps)?,
            it if it == '_' || it.is_alphabetic() => word(rest, &mut steps)?,
            other => return Err(format!("unrecognized character {other:?}")),
        };
    }
    Ok(steps)
}

fn is_end(character: char) -> bool {
    matches!(
        character,
        ' ' | '\t' | '\r' | '\n' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}'
    )
}

/// Up to the next end that no backslash is before.
fn field<'a>(text: &'a str, steps: &mut Vec<Step>) -> &'a str {
    let mut name = String::new();
    let mut characters = text.char_indices();
    let mut rest = "";
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, it)| it).filter(|it| *it != '\\')),
            other if is_end(other) => {
                rest = &text[at..];
                break;
            }
            other => name.push(other),
        }
    }
    steps.push(if name == "*" {
        Step::All
    } else {
        Step::Field(name)
    });
    rest
}

/// Behind the bracket.
fn array<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str> {
    let (inner, rest) = text.split_once(']').ok_or("unterminated array")?;
    if inner.contains('\n') {
        return Err("unterminated array".into());
    }
    if inner.contains(',') {
        let parts = inner
            .split(',')
            .map(|it| self::steps(&format!("[{}]", it.trim_matches(' '))));
        steps.push(Step::Union(parts.collect::<Result<_>>()?));
        return Ok(rest);
    }
    let name = inner
        .strip_prefix('\'')
        .and_then(|it| it.strip_suffix('\''));
    if let Some(name) = name.filter(|it| !it.contains('\'')) {
        steps.extend(self::steps(&format!(".{name}"))?);
        return Ok(rest);
    }
    let slice = if inner == "*" { ":" } else { inner };
    steps.push(Step::Slice(self::slice(slice)?));
    Ok(rest)
}

fn slice(text: &str) -> Result<Slice> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |part: &str| -> Result<Option<i64>> {
        if part.is_empty() {
            return Ok(None);
        }
        let is_plain = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
        let digits = part.strip_prefix('-').unwrap_or(part);
        // As an int of 32 bits: more items there are nowhere.
        match part.parse::<i32>() {
            Ok(number) if is_plain(digits) => Ok(Some(number.into())),
            _ => Err(format!("invalid array index {text}")),
        }
    };
    match parts[..] {
        [from] => Ok(Slice {
            from: number(from)?,
            to: None,
            step: None,
            is_index: true,
        }),
        [from, to] => Ok(Slice {
            from: number(from)?,
            to: number(to)?,
            step: None,
            is_index: false,
        }),
        [from, to, step] => Ok(Slice {
            from: number(from)?,
            to: number(to)?,
            step: number(step)?,
            is_index: false,
        }),
        _ => Err(format!("invalid array index {text}")),
    }
}

/// Behind `[?(`. Quotes may be around one text in it.
fn filter<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str> {
    let mut quote = None;
    let mut is_closed = false;
    let mut before = '\0';
    let mut end = None;
    for (at, character) in text.char_indices() {
        match character {
            '\n' => break,
            '"' | '\'' => match quote {
                None => quote = Some(character),
                Some(open) => is_closed |= before != '\\' && character == open,
            },
            ')' if quote.is_some() == is_closed => {
                end = Some(at);
                break;
            }
            _ => {}
        }
        before = character;
    }
    let end = end.ok_or("unterminated filter")?;
    let rest = text[end + 1..]
        .strip_prefix(']')
        .ok_or("unclosed array expect ]")?;
    steps.push(condition(&text[..end])?);
    Ok(rest)
}

fn condition(text: &str) -> Result<Step> {
    let is_sign = |it: char| matches!(it, '!' | '<' | '>' | '=');
    let at = text.find(is_sign).unwrap_or(text.len());
    let (left, rest) = text.split_at(at);
    let right = rest.trim_start_matches(is_sign);
    let sign = &rest[..rest.len() - right.len()];
    if left.is_empty() || sign.is_empty() || right.is_empty() {
        return Ok(Step::Filter {
            left: steps(text)?,
            test: None,
        });
    }
    let operator = match sign {
        "==" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        other => return Err(format!("unrecognized filter operator {other}")),
    };
    Ok(Step::Filter {
        left: steps(left)?,
        test: Some((operator, steps(right)?)),
    })
}

/// From a quote on.
fn quote<'a>(text: &'a str, quote: char, steps: &mut Vec<Step>) -> Result<&'a str> {
    let mut literal = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\n' => break,
            '\\' => {
                let escaped = characters.next().map(|(_, it)| it);
                literal.push(match escaped {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('r') => '\r',
                    Some(it @ ('\\' | '\'' | '"')) => it,
                    _ => return Err(format!("unquote string {text} error invalid syntax")),
                });
            }
            other if other == quote => {
                steps.push(Step::Literal(literal.into()));
                return Ok(&text[at + 1..]);
            }
            other => literal.push(other),
        }
    }
    Err("unterminated quoted string".into())
}

fn number<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let rest = digits.trim_start_matches(|it: char| it == '.' || it.is_ascii_digit());
    let number = &text[..text.len() - rest.len()];
    let unsigned = number.strip_prefix('+').unwrap_or(number);
    let value = match (unsigned.parse::<i64>(), unsigned.parse::<f64>()) {
        (Ok(whole), _) => Value::from(whole),
        (_, Ok(float)) => Value::from(float),
        _ => return Err(format!("cannot parse number {number}")),
    };
    steps.push(Step::Literal(value));
    Ok(rest)
}

fn word<'a>(text: &'a str, steps: &mut Vec<Step>) -> Result<&'a str> {
    let end = text.find(is_end).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let value = match word {
        "true" => true,
        "false" => false,
        other => {
            return Err(format!(
                "unrecognized identifier {other}: begin it with a dot"
            ));
        }
    };
    steps.push(Step::Literal(value.into()));
    Ok(rest)
}
