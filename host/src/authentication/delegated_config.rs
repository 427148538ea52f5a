//! What kube-apiserver tells extension servers in `kube-system/extension-apiserver-authentication`: whom
//! it trusts, and how its front proxy names users. Values are PEM, or JSON arrays of strings.

use std::collections::BTreeMap;

use http::HeaderName;
use rustls_pki_types::CertificateDer;

use super::chain::TrustBundle;

const CLIENT_CA: &str = "client-ca-file";
const REQUEST_HEADER_CA: &str = "requestheader-client-ca-file";
const USERNAME_HEADERS: &str = "requestheader-username-headers";
const UID_HEADERS: &str = "requestheader-uid-headers";
const GROUP_HEADERS: &str = "requestheader-group-headers";
const EXTRA_PREFIXES: &str = "requestheader-extra-headers-prefix";
const ALLOWED_NAMES: &str = "requestheader-allowed-names";

/// Whom to trust; replaced whole when the cluster's ConfigMap changes. The default trusts nobody.
#[derive(Debug, Clone, Default)]
pub struct DelegatedConfig {
    /// CAs of client certificates that name a user themselves.
    pub client_ca: TrustBundle,
    /// `None`: no front proxy is trusted, its headers are ignored.
    pub request_header: Option<RequestHeaderConfig>,
}

/// How a front proxy is known and how it names users. All header names are lower case.
#[derive(Debug, Clone)]
pub struct RequestHeaderConfig {
    pub ca: TrustBundle,
    pub username_headers: Vec<String>,
    pub uid_headers: Vec<String>,
    pub group_headers: Vec<String>,
    pub extra_prefixes: Vec<String>,
    /// Common names of the proxy's certificate; empty is any.
    pub allowed_names: Vec<String>,
}

/// One line per mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigMapErrors(pub Vec<String>);

impl DelegatedConfig {
    /// # Errors
    /// Each key that cannot be used. Absent keys trust nobody.
    pub fn from_config_map(data: &BTreeMap<String, String>) -> Result<Self, ConfigMapErrors> {
        let mut errors = Vec::new();
        let client_ca = bundle(data, CLIENT_CA, &mut errors).unwrap_or_default();
        let request_header = match RequestHeaderConfig::from_config_map(data) {
            Ok(config) => config,
            Err(ConfigMapErrors(more)) => {
                errors.extend(more);
                None
            }
        };
        let config = Self {
            client_ca,
            request_header,
        };
        if config.lets_users_be_proxies() {
            errors.push(format!(
                "{REQUEST_HEADER_CA} and {CLIENT_CA} share a CA and {ALLOWED_NAMES} is empty: \
                 every user could call itself any other; name the front proxy in \
                 --requestheader-allowed-names of kube-apiserver, or give it a CA of its own"
            ));
        }
        if errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigMapErrors(errors))
        }
    }

    /// Every CA that a client may come with, to be advertised in the handshake.
    pub fn certificates(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        let proxies = self.request_header.iter();
        let proxies = proxies.flat_map(|it| it.ca.certificates());
        self.client_ca.certificates().iter().chain(proxies)
    }

    fn lets_users_be_proxies(&self) -> bool {
        self.request_header.as_ref().is_some_and(|it| {
            it.allowed_names.is_empty() && it.ca.shares_a_ca_with(&self.client_ca)
        })
    }
}

impl RequestHeaderConfig {
    /// `None` without the CA of a front proxy.
    ///
    /// # Errors
    /// Each key that cannot be used.
    pub fn from_config_map(
        data: &BTreeMap<String, String>,
    ) -> Result<Option<Self>, ConfigMapErrors> {
        if !data.contains_key(REQUEST_HEADER_CA) {
            return Ok(None);
        }
        let mut errors = Vec::new();
        let config = Self {
            ca: bundle(data, REQUEST_HEADER_CA, &mut errors).unwrap_or_default(),
            username_headers: header_names(data, USERNAME_HEADERS, &mut errors),
            uid_headers: header_names(data, UID_HEADERS, &mut errors),
            group_headers: header_names(data, GROUP_HEADERS, &mut errors),
            extra_prefixes: header_names(data, EXTRA_PREFIXES, &mut errors),
            allowed_names: strings(data, ALLOWED_NAMES, &mut errors),
        };
        if errors.is_empty() {
            Ok(Some(config))
        } else {
            Err(ConfigMapErrors(errors))
        }
    }

    /// Whether a header (in lower case) names a user.
    pub(super) fn names_header(&self, header: &str) -> bool {
        let mut names = [
            &self.username_headers,
            &self.uid_headers,
            &self.group_headers,
        ]
        .into_iter()
        .flatten();
        names.any(|it| it == header) || self.extra_prefixes.iter().any(|it| header.starts_with(it))
    }
}

fn bundle(
    data: &BTreeMap<String, String>,
    key: &str,
    errors: &mut Vec<String>,
) -> Option<TrustBundle> {
    match TrustBundle::from_pem(data.get(key)?) {
        Ok(bundle) => Some(bundle),
        Err(why) => {
            errors.push(format!("{key} {why}"));
            None
        }
    }
}

fn strings(data: &BTreeMap<String, String>, key: &str, errors: &mut Vec<String>) -> Vec<String> {
    let Some(text) = data.get(key).filter(|it| !it.is_empty()) else {
        return Vec::new();
    };
    serde_json::from_str(text).unwrap_or_else(|_| {
        errors.push(format!("{key} is not a JSON array of strings: {text}"));
        Vec::new()
    })
}

fn header_names(
    data: &BTreeMap<String, String>,
    key: &str,
    errors: &mut Vec<String>,
) -> Vec<String> {
    let mut names = Vec::new();
    for name in strings(data, key, errors) {
        // An empty prefix would make an extra of every header of the request.
        match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => names.push(name.as_str().to_owned()),
            Err(_) => errors.push(format!("{key} holds {name:?}, which is no header name")),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failed test")]
    use expect_test::{Expect, expect};

    use super::*;
    use crate::certificates::CertificateAuthority;

    #[track_caller]
    fn check(data: &[(&str, &str)], expected: Expect) {
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let shown = match DelegatedConfig::from_config_map(&data) {
            Ok(config) => format!(
                "{} client CAs, proxy: {:?}",
                config.client_ca.certificates().len(),
                config.request_header.map(|it| (
                    it.username_headers,
                    it.extra_prefixes,
                    it.allowed_names
                ))
            ),
            Err(err) => err.to_string(),
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn reads_what_kube_apiserver_publishes() {
        let (users, proxy) = (ca("users"), ca("front-proxy"));
        check(
            &[
                (CLIENT_CA, &users),
                (REQUEST_HEADER_CA, &proxy),
                (USERNAME_HEADERS, r#"["X-Remote-User"]"#),
                (GROUP_HEADERS, r#"["X-Remote-Group"]"#),
                (EXTRA_PREFIXES, r#"["X-Remote-Extra-"]"#),
                (ALLOWED_NAMES, r#"["front-proxy-client"]"#),
            ],
            expect![[
                r#"1 client CAs, proxy: Some((["x-remote-user"], ["x-remote-extra-"], ["front-proxy-client"]))"#
            ]],
        );
    }

    #[test]
    fn trusts_nobody_when_the_config_map_is_empty() {
        check(&[], expect!["0 client CAs, proxy: None"]);
    }

    #[test]
    fn names_every_mistake() {
        check(
            &[
                (CLIENT_CA, "nothing"),
                (REQUEST_HEADER_CA, &ca("front-proxy")),
                (USERNAME_HEADERS, "X-Remote-User"),
                (EXTRA_PREFIXES, r#"[""]"#),
            ],
            expect![[r#"
                client-ca-file holds no PEM certificate
                requestheader-username-headers is not a JSON array of strings: X-Remote-User
                requestheader-extra-headers-prefix holds "", which is no header name"#]],
        );
    }

    #[test]
    fn refuses_a_proxy_that_any_user_could_be() {
        let shared = ca("shared");
        check(
            &[
                (CLIENT_CA, &shared),
                (REQUEST_HEADER_CA, &shared),
                (USERNAME_HEADERS, r#"["X-Remote-User"]"#),
                (ALLOWED_NAMES, "[]"),
            ],
            expect![
                "requestheader-client-ca-file and client-ca-file share a CA and requestheader-allowed-names is empty: every user could call itself any other; name the front proxy in --requestheader-allowed-names of kube-apiserver, or give it a CA of its own"
            ],
        );
    }

    fn ca(name: &str) -> String {
        let ca = CertificateAuthority::generate(name).unwrap();
        ca.certificate_pem().to_owned()
    }
}
