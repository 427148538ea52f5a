//! Addresses as Go's `mail.ParseAddress` reads them (RFC 5322): `a@b`, `Name <a@b>`, a group of one.
//!
//! Words of names that are encoded by RFC 2047 in a character set that Go does not know are taken, too.

use std::net::IpAddr;

pub(super) fn is_email(text: &str) -> bool {
    let mut rest = Rest(text);
    rest.address(true) == Some(1) && rest.skip_comments().is_some() && rest.0.is_empty()
}

/// What is left to read; methods take from it, and are `None` where it does not fit.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// How many addresses there are.
    fn address(&mut self, takes_group: bool) -> Option<usize> {
        self.skip_space();
        if self.0.is_empty() {
            return None;
        }
        if self.spec().is_some() {
            self.skip_space();
            if self.take('(') {
                self.comment()?;
            }
            return Some(1);
        }
        if !self.0.starts_with('<') {
            self.phrase()?;
        }
        self.skip_space();
        if takes_group && self.take(':') {
            return self.group();
        }
        (self.take('<') && self.spec().is_some() && self.take('>')).then_some(1)
    }

    fn group(&mut self) -> Option<usize> {
        let mut count = 0;
        self.skip_space();
        if !self.take(';') {
            loop {
                self.skip_space();
                count += self.address(false)?;
                self.skip_comments()?;
                if self.take(';') {
                    break;
                }
                if !self.take(',') {
                    return None;
                }
            }
        }
        self.skip_comments()?;
        Some(count)
    }

    /// `local@domain`; takes nothing where it is none.
    fn spec(&mut self) -> Option<()> {
        let before = self.0;
        let found = self.local_and_domain();
        if found.is_none() {
            self.0 = before;
        }
        found
    }

    fn local_and_domain(&mut self) -> Option<()> {
        self.skip_space();
        if self.0.starts_with('"') {
            if self.quoted()? == 0 {
                return None;
            }
        } else {
            self.atom(false)?;
        }
        if !self.take('@') {
            return None;
        }
        self.skip_space();
        let Some(literal) = self.0.strip_prefix('[') else {
            return self.atom(false);
        };
        let (address, rest) = literal.split_once(']')?;
        address.parse::<IpAddr>().ok()?;
        self.0 = rest;
        Some(())
    }

    /// One word at least.
    fn phrase(&mut self) -> Option<()> {
        let mut words = 0;
        loop {
            if words > 0 {
                self.skip_comments()?;
            }
            self.skip_space();
            let word = if self.0.is_empty() {
                None
            } else if self.0.starts_with('"') {
                self.quoted().map(|_| ())
            } else {
                self.atom(true)
            };
            if word.is_none() {
                return (words > 0).then_some(());
            }
            words += 1;
        }
    }

    /// How many characters the quotes have in them.
    fn quoted(&mut self) -> Option<usize> {
        let mut count = 0;
        let mut is_escaped = false;
        for (index, character) in self.0.char_indices().skip(1) {
            let is_blank = matches!(character, ' ' | '\t');
            match character {
                _ if is_escaped => {
                    if !is_visible(character) && !is_blank {
                        return None;
                    }
                    is_escaped = false;
                    count += 1;
                }
                '"' => {
                    self.0 = &self.0[index + 1..];
                    return Some(count);
                }
                '\\' => is_escaped = true,
                _ if is_visible(character) || is_blank => count += 1,
                _ => return None,
            }
        }
        None
    }

    fn atom(&mut self, takes_any_dots: bool) -> Option<()> {
        let is_special = |it: char| "()<>[]:;@\\,\"".contains(it);
        let end = self
            .0
            .find(|it| !is_visible(it) || is_special(it))
            .unwrap_or(self.0.len());
        if end == 0 {
            return None;
        }
        let (atom, rest) = self.0.split_at(end);
        self.0 = rest;
        let has_good_dots = !atom.starts_with('.') && !atom.ends_with('.') && !atom.contains("..");
        (takes_any_dots || has_good_dots).then_some(())
    }

    fn skip_comments(&mut self) -> Option<()> {
        self.skip_space();
        while self.take('(') {
            self.comment()?;
            self.skip_space();
        }
        Some(())
    }

    /// Behind its first parenthesis; there may be others in it.
    fn comment(&mut self) -> Option<()> {
        let mut depth = 1_usize;
        let mut bytes = self.0.bytes().enumerate();
        while let Some((index, byte)) = bytes.next() {
            match byte {
                b'\\' if index + 1 < self.0.len() => {
                    bytes.next();
                }
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.0 = &self.0[index + 1..];
                return Some(());
            }
        }
        None
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, character: char) -> bool {
        let rest = self.0.strip_prefix(character);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }
}

fn is_visible(character: char) -> bool {
    character.is_ascii_graphic() || !character.is_ascii()
}
