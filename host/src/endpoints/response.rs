//! Answers: objects, lists and statuses in the form that was agreed on, with their headers.
//!
//! In JSON of the storage version an answer is the stored bytes; other versions and forms are made once per
//! object and shared ([`crate::storage::watch_cache::Views`]). YAML and indented JSON are for people and are
//! made for each of them.

mod body;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::negotiation::{self, Accepted, MediaType};
use crate::api::{Status, protobuf};
use crate::serving::Body;

/// A Status as the client takes it, with `Retry-After` where it says when to come again.
pub fn status(headers: &HeaderMap, status: &Status) -> http::Response<Body> {
    let accepted = negotiation::accept_status(headers, "");
    let code = match status.code {
        0 => StatusCode::OK,
        code => StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let bytes = match accepted.media {
        MediaType::Protobuf => protobuf::status(status),
        _ => {
            let json = serde_json::to_vec(status).expect("a status has only string keys");
            in_text(&accepted, json.into()).into()
        }
    };
    let mut response = answer(
        code,
        accepted.media.as_str(),
        body::pieces(vec![bytes.into()]),
    );
    let retry_after = status
        .details
        .as_ref()
        .map_or(0, |it| it.retry_after_seconds);
    if retry_after > 0 {
        let value = HeaderValue::from(retry_after);
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

/// Plain text, where upstream answers with no object.
pub fn text(code: StatusCode, text: &str) -> http::Response<Body> {
    let body = body::pieces(vec![Bytes::copy_from_slice(text.as_bytes())]);
    answer(code, "text/plain; charset=utf-8", body)
}

/// JSON as it is asked for: as it is, indented, or as YAML.
fn in_text(accepted: &Accepted, json: Bytes) -> Bytes {
    if accepted.media == MediaType::Json && !accepted.pretty {
        return json;
    }
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(&json) else {
        tracing::error!("an answer of this server's own is no JSON; it is sent as it is");
        return json;
    };
    if accepted.media == MediaType::Yaml {
        match serde_saphyr::to_string(&value) {
            Ok(yaml) => return yaml.into(),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as YAML; it is sent as JSON, which is YAML too")
            }
        }
    }
    let mut pretty = serde_json::to_vec_pretty(&value).expect("a JSON tree has only string keys");
    pretty.push(b'\n');
    pretty.into()
}

fn answer(code: StatusCode, content_type: &'static str, body: Body) -> http::Response<Body> {
    let mut response = http::Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
