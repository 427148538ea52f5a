//! A reader of JSON that takes what Go's reader of field sets takes, which is a little more than JSON.

use std::borrow::Cow;

use super::{FieldsError, MAX_DEPTH};
use crate::literal::Literal;

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn error(&self, expected: &'static str) -> FieldsError {
        let rest = self.text.get(self.at..).unwrap_or_default();
        FieldsError::Syntax {
            expected,
            found: match rest.chars().next() {
                Some(it) => it.to_string(),
                None => "the end".to_owned(),
            },
        }
    }

    /// Nothing but white space may follow.
    pub(super) fn end(&mut self) -> Result<(), FieldsError> {
        match self.token() {
            None => Ok(()),
            Some(_) => Err(FieldsError::TrailingData),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), FieldsError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.error(word));
        }
        self.at += word.len();
        Ok(())
    }

    /// Calls back for each name of an object, to read the value. `null` is an object without fields.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, &str) -> Result<(), FieldsError>,
    ) -> Result<(), FieldsError> {
        match self.token() {
            Some(b'{') => self.at += 1,
            Some(b'n') => return self.word("null"),
            _ => return Err(self.error("expect { or n")),
        }
        match self.token() {
            Some(b'"') => {}
            Some(b'}') => {
                self.at += 1;
                return Ok(());
            }
            _ => return Err(self.error("expect \" after {")),
        }
        loop {
            let name = self.string()?;
            match self.token() {
                Some(b':') => self.at += 1,
                _ => return Err(self.error("expect : after object field")),
            }
            field(self, &name)?;
            match self.token() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("expect } at the end of the object")),
            }
        }
    }

    fn array(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), FieldsError>,
    ) -> Result<(), FieldsError> {
        self.at += 1;
        if self.token() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.token() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.error("expect ] in the end")),
            }
        }
    }

    /// Any value; numbers are floats.
    pub(super) fn literal(&mut self, depth: usize) -> Result<Literal, FieldsError> {
        if depth >= MAX_DEPTH {
            return Err(FieldsError::TooDeep);
        }
        Ok(match self.token() {
            Some(b'"') => Literal::String(self.string()?.into()),
            Some(b'n') => {
                self.word("null")?;
                Literal::Null
            }
            Some(b't') => {
                self.word("true")?;
                Literal::Bool(true)
            }
            Some(b'f') => {
                self.word("false")?;
                Literal::Bool(false)
            }
            Some(b'-' | b'0'..=b'9') => Literal::Float(self.number()?),
            Some(b'[') => {
                let mut items = Vec::new();
                self.array(|it| {
                    items.push(it.literal(depth + 1)?);
                    Ok(())
                })?;
                Literal::List(items.into())
            }
            Some(b'{') => {
                // The last of two fields of a name counts.
                let mut fields = std::collections::BTreeMap::new();
                self.object(|it, name| {
                    fields.insert(name.into(), it.literal(depth + 1)?);
                    Ok(())
                })?;
                Literal::Map(fields.into_iter().collect())
            }
            _ => return Err(self.error("expect a value")),
        })
    }

    /// Any value, passed over.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), FieldsError> {
        if depth >= MAX_DEPTH {
            return Err(FieldsError::TooDeep);
        }
        match self.token() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'n') => self.word("null"),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'-' | b'0'..=b'9') => match self.number_text()?.parse::<f64>() {
                Ok(_) => Ok(()), // Even one that no float can hold.
                Err(_) => Err(self.error("expect a number")),
            },
            Some(b'[') => self.array(|it| it.skip(depth + 1)),
            Some(b'{') => self.object(|it, _| it.skip(depth + 1)),
            _ => Err(self.error("expect a value")),
        }
    }

    fn number(&mut self) -> Result<f64, FieldsError> {
        let is_negative = self.peek() == Some(b'-');
        let digits = self.number_text()?;
        match digits.parse::<f64>() {
            Ok(it) if it.is_finite() => Ok(if is_negative { -it } else { it }),
            _ => Err(self.error("expect a number")),
        }
    }

    /// The number without its sign.
    fn number_text(&mut self) -> Result<&'a str, FieldsError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let from = self.at;
        while let Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E') = self.peek() {
            self.at += 1;
        }
        let text = &self.text[from..self.at];
        let digit_after_dot = text
            .split_once('.')
            .is_none_or(|(_, rest)| rest.as_bytes().first().is_some_and(u8::is_ascii_digit));
        match text.as_bytes() {
            [] | [b'-' | b'.', ..] | [b'0', b'0'..=b'9', ..] => Err(self.error("expect a number")),
            _ if !digit_after_dot => Err(self.error("expect a digit after the dot")),
            _ => Ok(text),
        }
    }

    /// A string. `null` is the empty one.
    fn string(&mut self) -> Result<Cow<'a, str>, FieldsError> {
        match self.token() {
            Some(b'"') => self.at += 1,
            Some(b'n') => {
                self.word("null")?;
                return Ok(Cow::Borrowed(""));
            }
            _ => return Err(self.error("expects \" or n")),
        }
        let rest = &self.text[self.at..];
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                b'"' => {
                    self.at += at + 1;
                    return Ok(Cow::Borrowed(&rest[..at]));
                }
                b'\\' => return self.escaped_string().map(Cow::Owned),
                b'\0'..b' ' => {
                    self.at += at;
                    return Err(self.error("expect no control character"));
                }
                _ => {}
            }
        }
        self.at = self.text.len();
        Err(self.error("expect \" in the end"))
    }

    fn escaped_string(&mut self) -> Result<String, FieldsError> {
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.bytes().position(|it| it == b'"' || it == b'\\');
            let Some(plain) = plain else {
                self.at = self.text.len();
                return Err(self.error("expect \" in the end"));
            };
            string.push_str(&rest[..plain]);
            self.at += plain + 1;
            if rest.as_bytes()[plain] == b'"' {
                return Ok(string);
            }
            let escape = self.next_char()?;
            self.escape(escape, &mut string)?;
        }
    }

    fn next_char(&mut self) -> Result<char, FieldsError> {
        let next = self.text[self.at..].chars().next();
        let next = next.ok_or_else(|| self.error("expect \" in the end"))?;
        self.at += next.len_utf8();
        Ok(next)
    }

    fn escape(&mut self, escape: char, out: &mut String) -> Result<(), FieldsError> {
        out.push(match escape {
            '"' | '\\' | '/' => escape,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode_escape(out),
            _ => return Err(self.error("expect an escape after \\")),
        });
        Ok(())
    }

    /// `\uhhhh`, or two of them that are one character; halves that stand alone are replaced.
    fn unicode_escape(&mut self, out: &mut String) -> Result<(), FieldsError> {
        let first = self.code_unit()?;
        if let Some(it) = char::from_u32(first) {
            out.push(it);
            return Ok(());
        }
        if self.peek() != Some(b'\\') {
            out.push(char::REPLACEMENT_CHARACTER);
            return Ok(());
        }
        self.at += 1;
        let escape = self.next_char()?;
        if escape != 'u' {
            out.push(char::REPLACEMENT_CHARACTER);
            return self.escape(escape, out);
        }
        let second = self.code_unit()?;
        let is_pair = (0xd800..0xdc00).contains(&first) && (0xdc00..0xe000).contains(&second);
        if is_pair {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            out.extend(char::from_u32(code));
            return Ok(());
        }
        out.push(char::REPLACEMENT_CHARACTER);
        out.push(char::from_u32(second).unwrap_or(char::REPLACEMENT_CHARACTER));
        Ok(())
    }

    fn code_unit(&mut self) -> Result<u32, FieldsError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.next_char()?.to_digit(16);
            unit = unit * 16 + digit.ok_or_else(|| self.error("expects 0~9 or a~f"))?;
        }
        Ok(unit)
    }
}
