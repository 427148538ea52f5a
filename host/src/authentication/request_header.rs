//! Users as a front proxy names them: kube-apiserver's aggregation layer, in `X-Remote-*` headers.
//!
//! The headers count only with a client certificate of the proxy's CA, for client authentication, and with
//! a common name that is allowed (k8s.io/apiserver, pkg/authentication/request/headerrequest).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;

use super::Outcome;
use super::chain::ChainVerifier;
use super::client_certificate::common_name;
use super::delegated_config::RequestHeaderConfig;
use crate::api::UserInfo;
use crate::serving::PeerChain;

/// Remembers which chains are a front proxy's, with their common names.
#[derive(Default)]
pub(super) struct RequestHeader {
    verifier: ChainVerifier<String>,
}

impl RequestHeader {
    pub(super) fn authenticate(
        &self,
        config: Option<&RequestHeaderConfig>,
        chain: &PeerChain,
        headers: &HeaderMap,
    ) -> Outcome {
        let Some(config) = config.filter(|_| !chain.is_empty()) else {
            return Outcome::NotMine;
        };
        let name = self.verifier.verify(&config.ca, chain, |leaf| {
            common_name(leaf).map(Option::unwrap_or_default)
        });
        let name = match name {
            Ok(name) => name,
            Err(why) => return Outcome::Failed(format!("not a front proxy's certificate: {why}")),
        };
        if !config.allowed_names.is_empty() && !config.allowed_names.contains(&name) {
            return Outcome::Failed(format!("{name:?} is not an allowed front proxy"));
        }
        match user(config, headers) {
            Ok(Some(user)) => Outcome::is(user),
            Ok(None) => Outcome::NotMine,
            Err(why) => Outcome::Failed(why),
        }
    }
}

fn user(config: &RequestHeaderConfig, headers: &HeaderMap) -> Result<Option<UserInfo>, String> {
    let Some(name) = first_value(headers, &config.username_headers)? else {
        return Ok(None);
    };
    let uid = first_value(headers, &config.uid_headers)?.unwrap_or_default();
    let mut groups = Vec::new();
    for header in &config.group_headers {
        for value in headers.get_all(header) {
            let group = text(value)?;
            if !group.is_empty() {
                groups.push(group);
            }
        }
    }
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (header, value) in headers {
        for prefix in &config.extra_prefixes {
            // Header names are lower case here, so the key is too, until it is unescaped.
            if let Some(key) = header.as_str().strip_prefix(prefix.as_str()) {
                extra.entry(unescape(key)).or_default().push(text(value)?);
            }
        }
    }
    Ok(Some(UserInfo {
        name,
        uid,
        groups,
        extra,
    }))
}

/// The first value of the first header that has one that is not empty.
fn first_value(headers: &HeaderMap, names: &[String]) -> Result<Option<String>, String> {
    for name in names {
        if let Some(value) = headers.get(name).filter(|it| !it.is_empty()) {
            return text(value).map(Some);
        }
    }
    Ok(None)
}

/// Replacing what is no UTF-8 could make one user of two.
fn text(value: &HeaderValue) -> Result<String, String> {
    String::from_utf8(value.as_bytes().to_vec())
        .map_err(|_| "an identity header is not UTF-8".to_owned())
}

/// As Go's `url.PathUnescape`; what is wrongly escaped stays as it is.
fn unescape(key: &str) -> String {
    let bytes = key.as_bytes();
    let is_escaped = bytes.iter().enumerate().all(|(index, byte)| {
        *byte != b'%'
            || bytes
                .get(index + 1..index + 3)
                .is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit))
    });
    if !is_escaped {
        return key.to_owned();
    }
    match percent_decode_str(key).decode_utf8() {
        Ok(decoded) => decoded.into_owned(),
        Err(_) => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failed test")]
    use expect_test::{Expect, expect};
    use http::HeaderName;

    use super::super::chain::TrustBundle;
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &[u8])], expected: Expect) {
        let config = RequestHeaderConfig {
            ca: TrustBundle::default(),
            username_headers: vec!["x-remote-user".into(), "x-other-user".into()],
            uid_headers: vec!["x-remote-uid".into()],
            group_headers: vec!["x-remote-group".into()],
            extra_prefixes: vec!["x-remote-extra-".into()],
            allowed_names: Vec::new(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        let shown = match user(&config, &map) {
            Ok(Some(user)) => format!(
                "{} {:?} {:?} {:?}",
                user.name, user.uid, user.groups, user.extra
            ),
            Ok(None) => "nobody".into(),
            Err(why) => why,
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn reads_all_that_the_proxy_says() {
        check(
            &[
                ("X-REMOTE-USER", b"jane"),
                ("x-remote-uid", b"42"),
                ("X-Remote-Group", b"devs"),
                ("x-remote-group", b""),
                ("x-Remote-Group", b"ops"),
                ("X-Remote-Extra-Scopes", b"a"),
                ("x-remote-extra-scopes", b"b"),
                ("X-Remote-Extra-Example.com%2fTeam", b"c"),
                ("X-Remote-Extra-50%", b"d"),
            ],
            expect![[
                r#"jane "42" ["devs", "ops"] {"50%": ["d"], "example.com/team": ["c"], "scopes": ["a", "b"]}"#
            ]],
        );
    }

    #[test]
    fn takes_the_first_of_several_names() {
        check(
            &[("x-remote-user", b"jane"), ("x-remote-user", b"admin")],
            expect![[r#"jane "" [] {}"#]],
        );
        check(
            &[("x-remote-user", b""), ("x-other-user", b"joe")],
            expect![[r#"joe "" [] {}"#]],
        );
    }

    #[test]
    fn says_nothing_of_a_request_without_a_name() {
        check(&[("x-remote-group", b"system:masters")], expect!["nobody"]);
    }

    #[test]
    fn keeps_names_that_are_not_ascii_and_refuses_those_that_are_no_text() {
        check(
            &[("x-remote-user", "jörg".as_bytes())],
            expect![[r#"jörg "" [] {}"#]],
        );
        check(
            &[("x-remote-user", b"j\xf6rg")],
            expect!["an identity header is not UTF-8"],
        );
    }
}
