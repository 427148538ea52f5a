//! The query of a URL as Go's net/url reads it: a pair that it cannot read is left out, and so is one with a
//! semicolon, which was another `&` once.

use std::borrow::Cow;

/// Decoded pairs in order. What is no UTF-8 reads as U+FFFD.
pub fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query
        .split('&')
        .filter(|it| !it.contains(';') && is_percent_encoded(it))
        .flat_map(|it| form_urlencoded::parse(it.as_bytes()))
}

/// The first value of the name.
pub fn first<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let found = pairs(query).find(|(key, _)| key == name);
    found.map(|(_, value)| value)
}

/// Whether each `%` has two hexadecimal digits behind it.
pub(super) fn is_percent_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|it| {
        let digits = it.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_go_leaves_out() {
        let query = "a=1&b;c=2&d=%zz&=x&&e&f=%20+%ff&a=3";
        let shown: Vec<String> = pairs(query)
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(shown, ["a=1", "=x", "e=", "f=  \u{fffd}", "a=3"]);
        assert_eq!(first(query, "a").as_deref(), Some("1"));
        assert_eq!(first(query, "d"), None);
    }
}
