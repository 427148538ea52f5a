//! `Content-Type` of bodies.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::{MEDIA_TYPES, MediaType};
use crate::api::status::{self, Result};

/// The media type of a body; none is JSON.
///
/// # Errors
/// 415 for one that is not read.
pub fn content_type(headers: &HeaderMap) -> Result<MediaType> {
    let value = headers
        .get(header::CONTENT_TYPE)
        .map_or(Cow::Borrowed(""), |it| {
            String::from_utf8_lossy(it.as_bytes())
        });
    if value.is_empty() {
        return Ok(MediaType::Json);
    }
    let essence = essence(&value).unwrap_or_default();
    MediaType::ALL
        .into_iter()
        .find(|it| essence.eq_ignore_ascii_case(it.as_str()))
        .ok_or_else(|| status::unsupported_media_type(MEDIA_TYPES))
}

/// A media type without its parameters, which must be well-formed all the same (Go's mime.ParseMediaType).
pub(super) fn essence(value: &str) -> Option<&str> {
    let (essence, mut rest) = value.split_at(value.find(';').unwrap_or(value.len()));
    let mut keys: Vec<String> = Vec::new();
    loop {
        let Some(parameter) = rest.trim_start().strip_prefix(';') else {
            return rest.trim_start().is_empty().then(|| essence.trim());
        };
        let (key, behind) = token(parameter.trim_start());
        if key.is_empty() {
            // Nothing behind the last semicolon is no parameter.
            return parameter.trim().is_empty().then(|| essence.trim());
        }
        let key = key.to_ascii_lowercase();
        let value = behind.trim_start().strip_prefix('=')?.trim_start();
        rest = match value.strip_prefix('"') {
            Some(quoted) => behind_quotes(quoted)?,
            None => {
                let (value, behind) = token(value);
                (!value.is_empty()).then_some(behind)?
            }
        };
        if keys.contains(&key) {
            return None;
        }
        keys.push(key);
    }
}

/// The token (RFC 9110) at the beginning, perhaps empty, and what is behind it.
fn token(text: &str) -> (&str, &str) {
    let is_token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    let end = text.bytes().position(|it| !is_token(it));
    text.split_at(end.unwrap_or(text.len()))
}

fn behind_quotes(quoted: &str) -> Option<&str> {
    let mut is_escaped = false;
    for (at, byte) in quoted.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return Some(&quoted[at + 1..]),
            _ => {}
        }
    }
    None
}
