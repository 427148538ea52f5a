//! The opening handshake of WebSocket (RFC 6455) on HTTP/1.1, with the answers of Go's golang.org/x/net/websocket:
//! an `Origin` is required, and at most one subprotocol, whatever it is, is agreed on.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};

use super::Body;

/// Hashed behind the client's key (RFC 6455, section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether a request asks for the protocol; an answer may be another one all the same.
pub fn is_request(headers: &HeaderMap) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut connection = headers.get_all(header::CONNECTION).iter();
    headers
        .get(header::UPGRADE)
        .is_some_and(|it| text(it) == "websocket")
        && connection.any(|it| text(it).contains("upgrade"))
}

/// The subprotocols that the client speaks, in all headers of the name.
pub fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|it| it.to_str().ok())
        .flat_map(|it| it.split(','))
        .map(str::trim)
        .filter(|it| !it.is_empty())
}

/// The answer that switches protocols, or another one where the handshake is not as it must be.
pub fn handshake(headers: &HeaderMap) -> Response<Body> {
    let value = |name: HeaderName| {
        let value = headers.get(name).and_then(|it| it.to_str().ok());
        value.unwrap_or_default()
    };
    let key = value(header::SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return refusal(400, "mismatch challenge/response");
    }
    if value(header::SEC_WEBSOCKET_VERSION) != "13" {
        let mut refusal = refusal(400, "missing or bad WebSocket Version");
        let supported = HeaderValue::from_static("13");
        let headers = refusal.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_VERSION, supported);
        return refusal;
    }
    let origin = value(header::ORIGIN);
    let is_origin =
        origin.starts_with('/') || origin.parse::<Uri>().is_ok_and(|it| it.scheme().is_some());
    if !is_origin {
        return refusal(403, "");
    }
    let mut offered = protocols(headers);
    let protocol = offered.next();
    if offered.next().is_some() {
        return refusal(400, "");
    }
    let mut response = Response::new(Full::default().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    for (name, text) in [
        (header::SEC_WEBSOCKET_ACCEPT, Some(&*accept(key))),
        (header::SEC_WEBSOCKET_PROTOCOL, protocol),
    ] {
        // What came in a header can go in one.
        if let Some(Ok(value)) = text.map(HeaderValue::from_str) {
            headers.insert(name, value);
        }
    }
    response
}

/// Shows the client that its request was understood.
fn accept(key: &str) -> String {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes());
    STANDARD.encode(hash)
}

/// Nothing else can follow on the connection.
fn refusal(code: u16, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_REQUEST);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let parse = |text: &str| text.parse().expect("a value");
        let pairs = pairs.iter();
        pairs
            .map(|(name, value)| (HeaderName::from_static(name), parse(value)))
            .collect()
    }

    #[test]
    fn knows_requests_for_websockets() {
        let check = |upgrade, connection| {
            is_request(&headers(&[
                ("upgrade", upgrade),
                ("connection", connection),
            ]))
        };
        assert!(check("WebSocket", "keep-alive, Upgrade"));
        assert!(!check("websocket", "keep-alive"));
        assert!(!check("h2c", "upgrade"));
        assert!(!is_request(&HeaderMap::new()));
    }

    #[test]
    fn agrees_as_the_rfc_shows() {
        let sent = headers(&[
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", " chat "),
            ("origin", "http://example.com"),
        ]);
        let response = handshake(&sent);
        assert_eq!(response.status(), 101);
        let headers = response.headers();
        assert_eq!(
            headers["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(headers["sec-websocket-protocol"], "chat");
    }

    #[test]
    fn refuses_other_handshakes_as_gos_library_does() {
        let refused = |drop: &str, pairs: &[(&'static str, &str)]| {
            let mut sent = headers(&[
                ("sec-websocket-key", "a"),
                ("sec-websocket-version", "13"),
                ("origin", "https://example.com"),
            ]);
            sent.remove(drop);
            sent.extend(headers(pairs));
            handshake(&sent).status().as_u16()
        };
        assert_eq!(refused("", &[]), 101);
        assert_eq!(refused("sec-websocket-key", &[]), 400);
        assert_eq!(refused("sec-websocket-version", &[]), 400);
        assert_eq!(refused("", &[("sec-websocket-version", "8")]), 400);
        assert_eq!(refused("origin", &[]), 403);
        assert_eq!(refused("", &[("origin", "null")]), 403);
        assert_eq!(refused("", &[("sec-websocket-protocol", "a,b")]), 400);
    }
}
