//! Answers: objects, lists and statuses in the form that was agreed on, with their headers.
//!
//! In JSON of the storage version an answer is the stored bytes; other versions and forms are made once per
//! object and shared ([`crate::storage::watch_cache::Views`]). YAML and indented JSON are for people and are
//! made for each of them.

mod body;
mod list;
mod listing;
mod scale;
mod table;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::negotiation::{self, Accepted, MediaType, MetaVersion, Transform};
use super::request::ResourceRequest;
use crate::api::status::{self, Result};
use crate::api::{Object, Status, protobuf};
use crate::registry::ResourceDefinition;
use crate::registry::definition::ObjectModel;
use crate::registry::store::read::ObjectAt;
use crate::serving::Body;
use crate::storage::watch_cache::CachedObject;
use body::{Pieces, Source};
pub(super) use body::{names_gzip, takes_gzip};

pub use list::list;
pub use scale::{read_scale, scale};
pub(super) use table::Tables;

/// One object. The answer to a write that has been committed is no error any more: if the object cannot be
/// converted to the request's version, the client gets a Status of success that says so.
///
/// # Errors
/// 406 for a list of one object; the conversion's, of a read.
pub async fn object(
    request: &ResourceRequest,
    accepted: &Accepted,
    code: u16,
    object: &Arc<CachedObject>,
) -> Result<http::Response<Body>> {
    let at = ObjectAt::from(object);
    if accepted.transform == Transform::Full {
        let shown = request.store.shown_in(&request.info.version);
        if shown.is_stored(object) {
            let pieces = object.shared(object.whole(), object.revision);
            return Ok(finish(request, accepted, code, Pieces::new(pieces.into())));
        }
    }
    let answer = match accepted.transform {
        Transform::Full => {
            let (store, context) = (&request.store, &request.context);
            let version = &request.info.version;
            let shown = store
                .in_version(context, version, std::slice::from_ref(&at))
                .await;
            shown.map(|mut it| it.pop().unwrap_or_default())
        }
        Transform::PartialObjectMetadata(version) if accepted.media == MediaType::Protobuf => {
            let message = at.protobuf_metadata();
            message.map(|it| protobuf::object(version.api_version(), PARTIAL, &it).into())
        }
        Transform::PartialObjectMetadata(version) => Ok(partial_json(version, &at.metadata())),
        Transform::PartialObjectMetadataList(_) => Err(not_a_list(request.store.definition())),
        Transform::Table(version) => match Tables::new(request, version) {
            Ok(tables) => tables.one(&request.context, &at, true).await,
            Err(status) => Err(status),
        },
    };
    match answer {
        Ok(bytes) => Ok(finish(request, accepted, code, Pieces::new(vec![bytes]))),
        Err(error) if is_read(request) => Err(error),
        Err(error) => {
            let what = "the object was written";
            Ok(done_but_not_shown(request, code, what, &error))
        }
    }
}

/// An object that is in no cache, in the storage version: the outcome of a dry run, or the last state of an object
/// that went with its last finalizer.
///
/// # Errors
/// As [`object`]; of a dry run, the conversion's too.
pub async fn value(
    request: &ResourceRequest,
    accepted: &Accepted,
    code: u16,
    object: Object,
) -> Result<http::Response<Body>> {
    let is_done =
        matches!(request.info.verb.as_str(), "update" | "patch") && !request.context.dry_run;
    match value_bytes(request, accepted, object).await {
        Ok(bytes) => Ok(finish(request, accepted, code, Pieces::new(vec![bytes]))),
        Err(error) if is_done => {
            let what = "the object was written";
            Ok(done_but_not_shown(request, code, what, &error))
        }
        Err(error) => Err(error),
    }
}

async fn value_bytes(
    request: &ResourceRequest,
    accepted: &Accepted,
    object: Object,
) -> Result<Bytes> {
    let store = &request.store;
    let metadata = serde_json::to_vec(object.metadata()).expect("a JSON tree has only string keys");
    Ok(match accepted.transform {
        Transform::Full => {
            let version = &request.info.version;
            let shown = store.shown(&request.context, object, version).await?;
            shown.to_vec().into()
        }
        Transform::PartialObjectMetadata(version) if accepted.media == MediaType::Protobuf => {
            let message = protobuf::partial_object_metadata(&metadata).map_err(|error| {
                tracing::error!(name = object.name(), %error, "metadata cannot be written as protobuf");
                status::internal("the object's metadata cannot be written as protobuf")
            })?;
            protobuf::object(version.api_version(), PARTIAL, &message).into()
        }
        Transform::PartialObjectMetadata(version) => partial_json(version, &metadata),
        Transform::PartialObjectMetadataList(_) => return Err(not_a_list(store.definition())),
        Transform::Table(version) => {
            let tables = Tables::new(request, version)?;
            tables.value(&request.context, object, &metadata).await?
        }
    })
}

/// Those headers of a request that the form of a Status depends on.
pub struct Wanted([Option<HeaderValue>; 2]);

impl Wanted {
    const NAMES: [HeaderName; 2] = [header::ACCEPT, header::USER_AGENT];

    pub fn of(headers: &HeaderMap) -> Self {
        Self(Self::NAMES.map(|it| headers.get(it).cloned()))
    }

    pub fn headers(self) -> HeaderMap {
        let pairs = Self::NAMES.into_iter().zip(self.0);
        pairs
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// A Status as the client takes it, with `Retry-After` where it says when to come again. `pretty` is the
/// query's parameter.
pub fn status(headers: &HeaderMap, pretty: &str, status: &Status) -> http::Response<Body> {
    let accepted = negotiation::accept_status(headers, pretty);
    let code = match status.code {
        0 => StatusCode::OK,
        code => StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let bytes: Bytes = match accepted.media {
        MediaType::Protobuf => protobuf::status(status).into(),
        _ => {
            let json = serde_json::to_vec(status).expect("a status has only string keys");
            in_text(&accepted, &json)
        }
    };
    let mut response = answer(code, accepted.media.as_str(), body::pieces(vec![bytes]));
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
    let mut response = answer(code, "text/plain; charset=utf-8", body);
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    response
}

/// Answers are for one user and one moment.
pub(super) const CACHE_CONTROL: &str = "no-cache, private";

pub(super) const PARTIAL: &str = "PartialObjectMetadata";

/// PartialObjectMetadata around the JSON of a metadata.
pub(super) fn partial_json(version: MetaVersion, metadata: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(metadata.len() + 96);
    out.extend_from_slice(partial_head(version).as_bytes());
    out.extend_from_slice(metadata);
    out.push(b'}');
    out.into()
}

pub(super) fn partial_head(version: MetaVersion) -> &'static str {
    match version {
        MetaVersion::V1 => {
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#
        }
        MetaVersion::V1Beta1 => {
            r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1beta1","metadata":"#
        }
    }
}

/// The errors name the Go types that upstream would name, which differ with the kind of server.
pub(super) fn not_a_list(definition: &ResourceDefinition) -> Box<Status> {
    match definition.object_model {
        ObjectModel::Custom => status::unclassified("content is not a list"),
        ObjectModel::Typed => {
            let of = go_type(definition, &definition.names.kind);
            not_acceptable(format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list ({of})"
            ))
        }
    }
}

fn go_type(definition: &ResourceDefinition, kind: &str) -> String {
    let package = definition.group.split('.').next().unwrap_or_default();
    format!("*{package}.{kind}")
}

fn not_acceptable(message: String) -> Box<Status> {
    Status::failure(406, "NotAcceptable", message)
}

fn is_read(request: &ResourceRequest) -> bool {
    matches!(request.info.verb.as_str(), "get" | "list" | "watch")
}

/// The answer to a write that is committed, but cannot be shown as the client wants to see it.
pub(super) fn done_but_not_shown(
    request: &ResourceRequest,
    code: u16,
    what: &str,
    error: &Status,
) -> http::Response<Body> {
    let mut done = Status::deleted(
        &request.store.definition().group_resource(),
        &request.info.name,
        "",
    );
    done.code = code;
    done.message = format!("{what}, but cannot be shown: {}", error.message);
    status(&request.headers, request.query("pretty"), &done)
}

/// The answer whose bytes are `source`: JSON, or protobuf where that was agreed on.
fn finish(
    request: &ResourceRequest,
    accepted: &Accepted,
    code: u16,
    mut source: impl Source,
) -> http::Response<Body> {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::OK);
    let content_type = accepted.media.as_str();
    match accepted.media {
        MediaType::Json if !accepted.pretty => source.append(LINE_END),
        MediaType::Json | MediaType::Yaml => {
            let text = in_text(accepted, &body::joined(source));
            return sent(request, code, content_type, Pieces::new(vec![text]));
        }
        MediaType::Protobuf => {}
    }
    sent(request, code, content_type, source)
}

fn sent(
    request: &ResourceRequest,
    code: StatusCode,
    content_type: &'static str,
    source: impl Source,
) -> http::Response<Body> {
    if source.left() > body::GZIP_THRESHOLD && body::names_gzip(&request.headers) {
        let mut response = answer(code, content_type, body::compressed(source));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        return response;
    }
    answer(code, content_type, body::plain(source))
}

/// JSON as it is asked for: on a line of its own, indented, or as YAML.
pub(super) fn in_text(accepted: &Accepted, json: &[u8]) -> Bytes {
    if accepted.media == MediaType::Yaml {
        let value = serde_json::from_slice::<serde_json::Value>(json);
        let yaml = value
            .map_err(|error| error.to_string())
            .and_then(|it| serde_saphyr::to_string(&it).map_err(|error| error.to_string()));
        match yaml {
            Ok(yaml) => return yaml.into(),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written as YAML; it is sent as JSON, which is YAML too")
            }
        }
    }
    if accepted.pretty {
        return indented(json).into();
    }
    [json, LINE_END].concat().into()
}

/// Go's encoder of JSON ends with a line; where it indents, it does not.
const LINE_END: &[u8] = b"\n";

/// JSON over many lines, two spaces a level, with nothing but its white space changed (Go's json.Indent).
fn indented(json: &[u8]) -> Vec<u8> {
    fn line(out: &mut Vec<u8>, depth: usize) {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
    }
    let mut out = Vec::with_capacity(2 * json.len());
    let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
    // Nothing stands in it yet.
    let mut is_open = false;
    for &byte in json {
        if is_text {
            out.push(byte);
            is_text = is_escaped || byte != b'"';
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        let is_close = matches!(byte, b'}' | b']');
        if is_close && !std::mem::take(&mut is_open) {
            depth = depth.saturating_sub(1);
            line(&mut out, depth);
        } else if is_open {
            is_open = false;
            depth += 1;
            line(&mut out, depth);
        }
        out.push(byte);
        match byte {
            b'"' => is_text = true,
            b'{' | b'[' => is_open = true,
            b',' => line(&mut out, depth),
            b':' => out.push(b' '),
            _ => {}
        }
    }
    out
}

pub(super) fn answer(
    code: StatusCode,
    content_type: &'static str,
    body: Body,
) -> http::Response<Body> {
    let mut response = http::Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static(CACHE_CONTROL),
    );
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests;
