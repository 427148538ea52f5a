//! The `continue` token of a paged list: where its next page starts.
//!
//! A token is unpadded base64url of `{"v":"meta.k8s.io/v1","rv":N,"start":"<key>\u0000"}`, as kube-apiserver
//! writes it (k8s.io/apiserver, pkg/storage/continue.go); the key is below the prefix that is listed. Pure: no
//! clock, no I/O, no HTTP.

use base64::Engine;
use serde::{Deserialize, Serialize};

use super::Revision;
use crate::api::base64_url::BASE64_URL;

/// The only version written. A new one must be readable for a release before it is written.
const VERSION: &str = "meta.k8s.io/v1";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinueToken {
    /// The revision that every page of the list is read at; `None` goes on at the latest one: what a client
    /// gets with 410 when the list's revision is no longer kept.
    pub revision: Option<Revision>,
    /// Where the next page starts: a whole key, right behind the last one that was shown.
    pub start: String,
}

/// The client's token is unusable; the text goes to the client behind `invalid continue token: `, with 400
/// `BadRequest`.
// One struct, not an enum: no caller does anything different for one reason than for another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("continue key is not valid: {0}")]
pub struct InvalidContinue(String);

#[derive(Default, Serialize, Deserialize)]
struct Encoded {
    #[serde(rename = "v", default)]
    version: String,
    /// Below zero: no revision.
    #[serde(rename = "rv", default)]
    revision: i64,
    #[serde(default)]
    start: String,
}

impl ContinueToken {
    /// Goes on behind `last_key`.
    pub fn after(last_key: &str, revision: Option<Revision>) -> Self {
        Self {
            revision,
            start: format!("{last_key}\0"),
        }
    }

    /// `prefix` is the listed one; the token works only for it.
    pub fn encode(&self, prefix: &str) -> String {
        let revision = self.revision.map_or(-1, |it| {
            i64::try_from(it.0).expect("a store counts from 1, it does not reach 2^63")
        });
        let start = self.start.strip_prefix(prefix).unwrap_or(&self.start);
        let encoded = Encoded {
            version: VERSION.into(),
            revision,
            start: start.into(),
        };
        let json = serde_json::to_vec(&encoded).expect("texts and numbers are always JSON");
        BASE64_URL.encode(json)
    }

    pub fn decode(encoded: &str, prefix: &str) -> Result<Self, InvalidContinue> {
        let json = decode_base64(encoded)?;
        let token = match json.iter().find(|it| !it.is_ascii_whitespace()) {
            // serde would take an array for the struct.
            Some(b'{') => serde_json::from_slice::<Encoded>(&json).ok(),
            Some(b'n') if json.trim_ascii() == b"null" => Some(Encoded::default()),
            _ => None,
        };
        let Some(token) = token else {
            return Err(InvalidContinue(go_json_error(&json)));
        };
        if token.version != VERSION {
            let version = token.version;
            let why = format!("server does not recognize this encoded version {version}");
            return Err(InvalidContinue(why));
        }
        let revision = match u64::try_from(token.revision) {
            Ok(0) => {
                let why = format!("incorrect encoded start resourceVersion (version {VERSION})");
                return Err(InvalidContinue(why));
            }
            revision => revision.ok().map(Revision),
        };
        if token.start.is_empty() {
            let why = format!("encoded start key empty (version {VERSION})");
            return Err(InvalidContinue(why));
        }
        // Clients can edit tokens, so the key must not climb out of what is listed. One slash in front is
        // Go's other form of the same key.
        let start = token.start.strip_prefix('/').unwrap_or(&token.start);
        let is_clean = start.split('/').all(|it| !matches!(it, "" | "." | ".."));
        if !is_clean && !start.is_empty() {
            return Err(InvalidContinue(token.start));
        }
        Ok(Self {
            revision,
            start: format!("{prefix}{start}"),
        })
    }
}

/// Line breaks do not count, as in Go.
fn decode_base64(encoded: &str) -> Result<Vec<u8>, InvalidContinue> {
    let mut digits = Vec::with_capacity(encoded.len());
    let illegal = |at: usize| InvalidContinue(format!("illegal base64 data at input byte {at}"));
    for (at, byte) in encoded.bytes().enumerate() {
        match byte {
            b'\r' | b'\n' => {}
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => digits.push(byte),
            _ => return Err(illegal(at)),
        }
    }
    // One digit alone is no byte.
    BASE64_URL
        .decode(&digits)
        .map_err(|_| illegal(encoded.len().saturating_sub(1)))
}

/// The words of Go's encoding/json for bytes that are no token, as far as clients meet them.
fn go_json_error(json: &[u8]) -> String {
    match json.iter().find(|it| !it.is_ascii_whitespace()) {
        None => "unexpected end of JSON input".into(),
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
            "not an encoded continue key".into()
        }
        Some(&first) => {
            let shown = match first {
                b'\'' => r"\'".to_owned(),
                b'\\' => r"\\".to_owned(),
                0..0x20 | 0x7f => format!("\\x{first:02x}"),
                0x80..=0xa0 | 0xad => format!("\\u{first:04x}"),
                _ => char::from(first).to_string(),
            };
            format!("invalid character '{shown}' looking for beginning of value")
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    const PREFIX: &str = "objects/g/anchors/default/";

    /// Decodes a token and shows what its client would meet.
    #[track_caller]
    fn check(encoded: &str, expected: Expect) {
        let shown = match ContinueToken::decode(encoded, PREFIX) {
            Ok(token) => format!("from {:?} at {:?}", token.start, token.revision),
            Err(err) => err.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[track_caller]
    fn check_json(json: &str, expected: Expect) {
        check(&BASE64_URL.encode(json), expected);
    }

    #[test]
    fn writes_what_kube_apiserver_writes() {
        let key = format!("{PREFIX}web-7");
        let token = ContinueToken::after(&key, Some(Revision(41)));
        let encoded = token.encode(PREFIX);
        let json = BASE64_URL.decode(&encoded).expect("base64");
        assert_eq!(
            std::str::from_utf8(&json),
            Ok(r#"{"v":"meta.k8s.io/v1","rv":41,"start":"web-7\u0000"}"#)
        );
        assert_eq!(ContinueToken::decode(&encoded, PREFIX), Ok(token));
    }

    #[test]
    fn goes_on_at_the_latest_revision() {
        let token = ContinueToken::after(&format!("{PREFIX}a"), None);
        check(
            &token.encode(PREFIX),
            expect![[r#"from "objects/g/anchors/default/a\0" at None"#]],
        );
    }

    #[test]
    fn refuses_in_the_words_of_kube_apiserver() {
        check(
            "nope",
            expect![[
                r"continue key is not valid: invalid character '\u009e' looking for beginning of value"
            ]],
        );
        check(
            "abc",
            expect![
                "continue key is not valid: invalid character 'i' looking for beginning of value"
            ],
        );
        check(
            "a?c",
            expect!["continue key is not valid: illegal base64 data at input byte 1"],
        );
        check(
            "abcde",
            expect!["continue key is not valid: illegal base64 data at input byte 4"],
        );
        check(
            "bnVsbA",
            expect!["continue key is not valid: server does not recognize this encoded version "],
        );
        check_json(
            r#"["meta.k8s.io/v1",1,"a"]"#,
            expect!["continue key is not valid: not an encoded continue key"],
        );
        check_json(
            r#"{"v":"v0","rv":1,"start":"a"}"#,
            expect![[
                r#"continue key is not valid: server does not recognize this encoded version v0"#
            ]],
        );
        check_json(
            r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#,
            expect![
                "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"
            ],
        );
        check_json(
            r#"{"v":"meta.k8s.io/v1","rv":1}"#,
            expect!["continue key is not valid: encoded start key empty (version meta.k8s.io/v1)"],
        );
    }

    #[test]
    fn refuses_to_leave_the_listed_prefix() {
        check_json(
            r#"{"v":"meta.k8s.io/v1","rv":41,"start":"../secrets/a"}"#,
            expect!["continue key is not valid: ../secrets/a"],
        );
        check_json(
            r#"{"v":"meta.k8s.io/v1","rv":41,"start":"/a/./b"}"#,
            expect!["continue key is not valid: /a/./b"],
        );
        check_json(
            r#"{"v":"meta.k8s.io/v1","rv":41,"start":"/a"}"#,
            expect![[r#"from "objects/g/anchors/default/a" at Some(Revision(41))"#]],
        );
    }

    proptest! {
        #[test]
        fn comes_back_as_it_was(
            name in "[a-z]{1,8}(/[a-z.-]{1,8}[a-z])?",
            revision in prop::option::of(1..u64::try_from(i64::MAX).expect("positive")),
        ) {
            let token = ContinueToken::after(&format!("{PREFIX}{name}"), revision.map(Revision));
            let encoded = token.encode(PREFIX);
            prop_assert_eq!(ContinueToken::decode(&encoded, PREFIX), Ok(token));
        }

        #[test]
        fn never_panics_and_never_leaves_the_prefix(
            encoded in r"\PC{0,40}|[A-Za-z0-9_-]{0,60}",
            version in "meta\\.k8s\\.io/v1|v1",
            revision in any::<i64>(),
            start in r"[a./\x00]{0,10}|\PC{0,10}",
        ) {
            let json = serde_json::json!({"v": version, "rv": revision, "start": start});
            for encoded in [encoded, BASE64_URL.encode(json.to_string())] {
                if let Ok(token) = ContinueToken::decode(&encoded, PREFIX) {
                    let below = token.start.strip_prefix(PREFIX).expect("below the prefix");
                    prop_assert!(below.split('/').all(|it| it != ".." && it != "."));
                }
            }
        }
    }
}
