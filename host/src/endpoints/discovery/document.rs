//! A document that never changes, with the digest by which clients know that they have it already.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::endpoints::response;
use crate::serving::Body;

pub(in crate::endpoints) struct Document {
    pub(in crate::endpoints) bytes: Bytes,
    /// SHA-512 of the JSON in upper-case hexadecimal.
    pub(in crate::endpoints) digest: String,
}

impl Document {
    pub(in crate::endpoints) fn new(json: Bytes) -> Self {
        Self {
            digest: digest(&json),
            bytes: json,
        }
    }

    pub(in crate::endpoints) fn etag(&self) -> HeaderValue {
        etag(&self.digest)
    }
}

/// The digest as a header's value, quoted.
pub(in crate::endpoints) fn etag(digest: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("hexadecimal is ASCII")
}

/// Whether the client says that it has this one (RFC 9110, 13.1.2).
pub(in crate::endpoints) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter();
    values.filter_map(|it| it.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|it| {
            let tag = it.strip_prefix("W/").unwrap_or(it);
            tag == "*" || tag.as_bytes() == etag.as_bytes()
        })
    })
}

pub(in crate::endpoints) fn json(code: StatusCode, json: Bytes) -> http::Response<Body> {
    answer(code, "application/json", json)
}

pub(in crate::endpoints) fn answer(
    code: StatusCode,
    content_type: &'static str,
    bytes: Bytes,
) -> http::Response<Body> {
    response::answer(code, content_type, Full::new(bytes).boxed_unsync())
}

/// An answer of which the status says everything.
pub(in crate::endpoints) fn bare(code: StatusCode) -> http::Response<Body> {
    let mut response = json(code, Bytes::new());
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

fn digest(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, bytes);
    let hex = digest.as_ref().iter().map(|it| format!("{it:02X}"));
    hex.collect()
}
