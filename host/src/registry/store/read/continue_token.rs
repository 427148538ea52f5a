//! The `continue` token of a paged list: where its next page starts.
//!
//! A token is unpadded base64url of `{"v","rv","start"}`, the form that kube-apiserver writes
//! (k8s.io/apiserver, pkg/storage/continue.go). Pure: no clock, no I/O, no HTTP.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::storage::Revision;

/// The only version written. A new one must be readable for a release before it is written.
const VERSION: &str = "meta.k8s.io/v1";
/// In place of a revision: go on at the latest.
const LATEST: i64 = -1;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContinueToken {
    /// Store-wide revision that every page of the list is read at; `None` goes on at the latest.
    pub(super) revision: Option<Revision>,
    /// First key of the next page, below the resource's prefix, e.g. `default/web-7`.
    pub(super) start: String,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(rename = "v")]
    version: String,
    #[serde(rename = "rv")]
    revision: i64,
    start: String,
}

/// The client's token is unusable; the text goes to the client, with 400 `BadRequest`.
// One struct, not an enum: no caller does anything different for one reason than for another.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("continue key is not valid: {0}")]
pub(super) struct InvalidContinue(&'static str);

impl ContinueToken {
    pub(super) fn encode(&self) -> String {
        let wire = Wire {
            version: VERSION.into(),
            revision: self
                .revision
                .map_or(LATEST, |it| i64::try_from(it.0).unwrap_or(i64::MAX)),
            start: self.start.clone(),
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&wire).expect("texts and a number"))
    }

    pub(super) fn decode(encoded: &str) -> Result<Self, InvalidContinue> {
        let Ok(json) = URL_SAFE_NO_PAD.decode(encoded) else {
            return Err(InvalidContinue("not base64url"));
        };
        let Ok(wire) = serde_json::from_slice::<Wire>(&json) else {
            return Err(InvalidContinue("not a token"));
        };
        if wire.version != VERSION {
            return Err(InvalidContinue("unknown version"));
        }
        let revision = match u64::try_from(wire.revision) {
            Ok(0) => return Err(InvalidContinue("no revision")),
            Ok(revision) => Some(Revision(revision)),
            Err(_) => None,
        };
        // Clients can edit tokens, so the key must not climb out of what is listed.
        let key = wire.start.strip_suffix('\0').unwrap_or(&wire.start);
        if key.split('/').any(|it| matches!(it, "" | "." | "..")) {
            return Err(InvalidContinue("start key leaves the listed prefix"));
        }
        Ok(Self {
            revision,
            start: wire.start,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_has_written() {
        for revision in [None, Some(Revision(7))] {
            let token = ContinueToken {
                revision,
                start: "default/web-7\0".into(),
            };
            assert_eq!(ContinueToken::decode(&token.encode()), Ok(token));
        }
    }

    #[test]
    fn refuses_tokens_that_it_has_not_written() {
        let check = |json: &str| {
            let error = ContinueToken::decode(&URL_SAFE_NO_PAD.encode(json));
            error.expect_err("a bad token").0
        };
        assert_eq!(check("{}"), "not a token");
        assert_eq!(
            check(r#"{"v":"meta.k8s.io/v2","rv":1,"start":"a"}"#),
            "unknown version"
        );
        assert_eq!(
            check(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a"}"#),
            "no revision"
        );
        for start in ["../other/a", "a//b", "", "./a", "/a"] {
            assert_eq!(
                check(&format!(
                    r#"{{"v":"meta.k8s.io/v1","rv":1,"start":"{start}"}}"#
                )),
                "start key leaves the listed prefix"
            );
        }
        assert_eq!(
            ContinueToken::decode("not base64!"),
            Err(InvalidContinue("not base64url"))
        );
    }
}
