//! What is wrong with a text that is no JSON, in the words of Go's encoding/json: clients print them.
//!
//! Only asked once a text has turned out to be bad, so it walks the text again, byte by byte, as Go's scanner does.

/// The first thing that is wrong; `None` where the syntax is right.
pub(super) fn complaint(bytes: &[u8]) -> Option<String> {
    let mut scanner = Scanner {
        rest: bytes,
        open: Vec::new(),
    };
    match scanner.document() {
        Ok(()) => None,
        Err(Stop::End) => Some("unexpected end of JSON input".into()),
        Err(Stop::At(byte, context)) => {
            Some(format!("invalid character {} {context}", quoted(byte)))
        }
    }
}

enum Stop {
    End,
    At(u8, &'static str),
}

type Step<T = ()> = Result<T, Stop>;

struct Scanner<'a> {
    rest: &'a [u8],
    /// `{` and `[` that wait for their ends.
    open: Vec<u8>,
}

const VALUE: &str = "looking for beginning of value";
const KEY: &str = "looking for beginning of object key string";

impl Scanner<'_> {
    fn document(&mut self) -> Step {
        loop {
            let mut is_value_done = self.value()?;
            while is_value_done {
                let Some(&open) = self.open.last() else {
                    return match self.peek() {
                        None => Ok(()),
                        Some(byte) => Err(Stop::At(byte, "after top-level value")),
                    };
                };
                is_value_done = self.behind_value(open)?;
            }
        }
    }

    /// Begins a value; whether it is at its end, too.
    fn value(&mut self) -> Step<bool> {
        let byte = self.next()?;
        match byte {
            b'{' => {
                if self.peek() == Some(b'}') {
                    self.rest = &self.rest[1..];
                    return Ok(true);
                }
                self.open.push(b'{');
                self.key()?;
                Ok(false)
            }
            b'[' => {
                if self.peek() == Some(b']') {
                    self.rest = &self.rest[1..];
                    return Ok(true);
                }
                self.open.push(b'[');
                Ok(false)
            }
            b'"' => self.string().map(|()| true),
            b't' => self.literal(&[
                (b'r', "in literal true (expecting 'r')"),
                (b'u', "in literal true (expecting 'u')"),
                (b'e', "in literal true (expecting 'e')"),
            ]),
            b'f' => self.literal(&[
                (b'a', "in literal false (expecting 'a')"),
                (b'l', "in literal false (expecting 'l')"),
                (b's', "in literal false (expecting 's')"),
                (b'e', "in literal false (expecting 'e')"),
            ]),
            b'n' => self.literal(&[
                (b'u', "in literal null (expecting 'u')"),
                (b'l', "in literal null (expecting 'l')"),
                (b'l', "in literal null (expecting 'l')"),
            ]),
            b'-' => match self.byte()? {
                digit @ b'0'..=b'9' => self.number(digit),
                other => Err(Stop::At(other, "in numeric literal")),
            },
            digit @ b'0'..=b'9' => self.number(digit),
            other => Err(Stop::At(other, VALUE)),
        }
    }

    /// A comma or an end; whether the value around is at its end.
    fn behind_value(&mut self, open: u8) -> Step<bool> {
        let byte = self.next()?;
        match (open, byte) {
            (b'{', b',') => {
                self.key()?;
                Ok(false)
            }
            (b'[', b',') => Ok(false),
            (b'{', b'}') | (b'[', b']') => {
                self.open.pop();
                Ok(true)
            }
            (b'{', other) => Err(Stop::At(other, "after object key:value pair")),
            (_, other) => Err(Stop::At(other, "after array element")),
        }
    }

    fn key(&mut self) -> Step {
        match self.next()? {
            b'"' => self.string()?,
            other => return Err(Stop::At(other, KEY)),
        }
        match self.next()? {
            b':' => Ok(()),
            other => Err(Stop::At(other, "after object key")),
        }
    }

    fn string(&mut self) -> Step {
        loop {
            match self.byte()? {
                b'"' => return Ok(()),
                b'\\' => match self.byte()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => {
                        for _ in 0..4 {
                            let digit = self.byte()?;
                            if !digit.is_ascii_hexdigit() {
                                return Err(Stop::At(digit, "in \\u hexadecimal character escape"));
                            }
                        }
                    }
                    other => return Err(Stop::At(other, "in string escape code")),
                },
                control @ 0..0x20 => return Err(Stop::At(control, "in string literal")),
                _ => {}
            }
        }
    }

    fn literal(&mut self, expected: &[(u8, &'static str)]) -> Step<bool> {
        for (wanted, context) in expected {
            let found = self.byte()?;
            if found != *wanted {
                return Err(Stop::At(found, context));
            }
        }
        Ok(true)
    }

    /// Behind its first digit.
    fn number(&mut self, first: u8) -> Step<bool> {
        if first != b'0' {
            self.digits();
        }
        if self.rest.first() == Some(&b'.') {
            self.rest = &self.rest[1..];
            self.digit("after decimal point in numeric literal")?;
        }
        if matches!(self.rest.first(), Some(b'e' | b'E')) {
            self.rest = &self.rest[1..];
            if matches!(self.rest.first(), Some(b'+' | b'-')) {
                self.rest = &self.rest[1..];
            }
            self.digit("in exponent of numeric literal")?;
        }
        Ok(true)
    }

    fn digit(&mut self, context: &'static str) -> Step {
        match self.byte()? {
            b'0'..=b'9' => {
                self.digits();
                Ok(())
            }
            other => Err(Stop::At(other, context)),
        }
    }

    fn digits(&mut self) {
        let count = self
            .rest
            .iter()
            .take_while(|it| it.is_ascii_digit())
            .count();
        self.rest = &self.rest[count..];
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Step<u8> {
        self.peek();
        self.byte()
    }

    fn peek(&mut self) -> Option<u8> {
        let is_space = |it: &&u8| matches!(it, b' ' | b'\t' | b'\r' | b'\n');
        let spaces = self.rest.iter().take_while(is_space).count();
        self.rest = &self.rest[spaces..];
        self.rest.first().copied()
    }

    fn byte(&mut self) -> Step<u8> {
        let (&first, rest) = self.rest.split_first().ok_or(Stop::End)?;
        self.rest = rest;
        Ok(first)
    }
}

/// A byte as Go's errors show it.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".into(),
        b'"' => "'\"'".into(),
        b'\\' => r"'\\'".into(),
        0x07 => r"'\a'".into(),
        0x08 => r"'\b'".into(),
        b'\t' => r"'\t'".into(),
        b'\n' => r"'\n'".into(),
        0x0b => r"'\v'".into(),
        0x0c => r"'\f'".into(),
        b'\r' => r"'\r'".into(),
        0..0x20 | 0x7f => format!("'\\x{byte:02x}'"),
        // Go takes the byte for a character.
        0x80..=0x9f | 0xad => format!("'\\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::complaint;

    #[test]
    fn bad_json_is_described_as_go_describes_it() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(complaint(text.as_bytes()).as_deref(), expected, "{text}");
        };
        check("", Some("unexpected end of JSON input"));
        check("{\"a\"", Some("unexpected end of JSON input"));
        check(
            "{nope",
            Some("invalid character 'n' looking for beginning of object key string"),
        );
        check(
            "nope",
            Some("invalid character 'o' in literal null (expecting 'u')"),
        );
        check("{\"a\" 1}", Some("invalid character '1' after object key"));
        check(
            "{\"a\":1 \"b\"}",
            Some("invalid character '\"' after object key:value pair"),
        );
        check("[1 2]", Some("invalid character '2' after array element"));
        check(
            "[1,]",
            Some("invalid character ']' looking for beginning of value"),
        );
        check(
            "{\"a\":1,}",
            Some("invalid character '}' looking for beginning of object key string"),
        );
        check("1 2", Some("invalid character '2' after top-level value"));
        check("01", Some("invalid character '1' after top-level value"));
        check(
            "1.x",
            Some("invalid character 'x' after decimal point in numeric literal"),
        );
        check(
            "1ex",
            Some("invalid character 'x' in exponent of numeric literal"),
        );
        check("-x", Some("invalid character 'x' in numeric literal"));
        check(
            "\"\\x\"",
            Some("invalid character 'x' in string escape code"),
        );
        check(
            "\"\\u12g4\"",
            Some("invalid character 'g' in \\u hexadecimal character escape"),
        );
        check(
            "\"a\nb\"",
            Some("invalid character '\\n' in string literal"),
        );
        check(
            "\u{e9}",
            Some("invalid character '\u{c3}' looking for beginning of value"),
        );
        check(" {\"a\": [1, {}, [], true, null, \"x\", -1.5e+3]} ", None);
    }
}
