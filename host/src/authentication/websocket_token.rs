//! A bearer token among the subprotocols of a WebSocket request, since browsers can set no header
//! (k8s.io/apiserver, pkg/authentication/request/websocket).

use base64::Engine;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue};

use crate::api::base64_url::BASE64_URL;
use crate::serving::websocket;

const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// The token, if there is one.
///
/// # Errors
/// What is wrong with it, for the log.
pub(super) fn token(headers: &HeaderMap) -> Result<Option<String>, &'static str> {
    if !websocket::is_request(headers) {
        return Ok(None);
    }
    let mut others = 0;
    let mut token = None;
    for protocol in websocket::protocols(headers) {
        let Some(encoded) = protocol.strip_prefix(PREFIX) else {
            others += 1;
            continue;
        };
        let decoded = BASE64_URL
            .decode(encoded)
            .map_err(|_| "the subprotocol with the token is not base64url without padding")?;
        let decoded = String::from_utf8(decoded).map_err(|_| "the token is no UTF-8")?;
        if token.replace(decoded).is_some() {
            return Err("more than one subprotocol has a token");
        }
    }
    match token.filter(|it| !it.is_empty()) {
        // The answer must name one, and the token must not be it.
        Some(_) if others == 0 => Err("no other subprotocol than the token"),
        token => Ok(token),
    }
}

/// Leaves the other subprotocols.
pub(super) fn strip(headers: &mut HeaderMap) {
    if !websocket::protocols(headers).any(|it| it.starts_with(PREFIX)) {
        return;
    }
    let others = websocket::protocols(headers).filter(|it| !it.starts_with(PREFIX));
    let others = others.collect::<Vec<_>>().join(",");
    headers.remove(SEC_WEBSOCKET_PROTOCOL);
    if let Ok(value) = HeaderValue::from_str(&others)
        && !others.is_empty()
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offering(protocols: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("upgrade", HeaderValue::from_static("websocket"));
        headers.insert("connection", HeaderValue::from_static("Upgrade"));
        for protocol in protocols {
            let value = protocol.parse().expect("a value");
            headers.append(SEC_WEBSOCKET_PROTOCOL, value);
        }
        headers
    }

    fn encoded(token: &[u8]) -> String {
        format!("{PREFIX}{}", BASE64_URL.encode(token))
    }

    #[test]
    fn finds_the_token_beside_another_subprotocol() {
        let secret = encoded(b"secret");
        for protocols in [
            &[&*format!("{secret}, a")] as &[&str],
            &["a", &secret],
            &["a,b", &secret],
        ] {
            let mut headers = offering(protocols);
            assert_eq!(token(&headers), Ok(Some("secret".into())));
            strip(&mut headers);
            assert_eq!(token(&headers), Ok(None));
            assert!(websocket::protocols(&headers).next().is_some());
        }
        assert_eq!(token(&offering(&["a", PREFIX])), Ok(None));
    }

    #[test]
    fn looks_for_none_in_other_requests() {
        let mut headers = offering(&["a", &encoded(b"secret")]);
        headers.remove("upgrade");
        assert_eq!(token(&headers), Ok(None));
    }

    #[test]
    fn refuses_what_is_no_token() {
        for protocols in [
            &[&*encoded(b"secret")] as &[&str],
            &["a", &encoded(b"one"), &encoded(b"two")],
            &["a", &encoded(b"\xff")],
            &["a", &format!("{PREFIX}@")],
            &["a", &format!("{PREFIX}YQ==")],
        ] {
            assert!(token(&offering(protocols)).is_err(), "{protocols:?}");
        }
    }
}
