//! OpenAPI v2 of everything and v3 of each group and version (KEP-2896), made of definitions.
//!
//! The v3 documents are made first, in the form of k8s.io/kube-openapi; v2 is derived from them, simplified as
//! apiextensions does. Both are there as JSON and as protobuf (gnostic), which kubectl reads; protobuf and
//! compressed forms are made when they are first asked for, and kept. Operations list what clients act upon:
//! action, kind, parameters, types of bodies.

mod definitions;
mod parameters;
mod paths;
mod protobuf;
mod published;
mod v2;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::ToSpan;
use serde_json::{Map, Value, json};

use super::discovery::document::{self, Document};
use super::discovery::groups::Group;
use super::{negotiation, response};
use crate::ambient::{Clock, SystemClock};
use crate::serving::Body;

const JSON: &str = "application/json";
const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// As it was written before media types were checked.
const V2_PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
const V3_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf";
const V3_PROTOBUF_OLD: &str = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf";

/// As upstream: the fastest, since the answers are large and the network is near.
const GZIP_LEVEL: u32 = 1;

pub(super) struct OpenApi {
    v2: Spec,
    /// By what follows `/openapi/v3/`.
    v3: BTreeMap<String, Spec>,
    index: Document,
}

impl OpenApi {
    pub(super) fn build(groups: &[Group<'_>]) -> Self {
        let documents = documents(groups);
        let versions = groups.iter().flat_map(|it| &it.versions);
        let objects = versions.flat_map(definitions::of_version_2).collect();
        let v2 = Spec::new(&v2::document(documents.values(), &objects), protobuf::v2);
        let v3: BTreeMap<String, Spec> = documents
            .into_iter()
            .map(|(path, document)| (path, Spec::new(&document, protobuf::v3)))
            .collect();
        let paths: Map<String, Value> = v3
            .iter()
            .map(|(path, spec)| {
                let url = format!("/openapi/v3/{path}?hash={}", spec.json.digest);
                (path.clone(), json!({ "serverRelativeURL": url }))
            })
            .collect();
        let index = Document::new(to_bytes(&json!({ "paths": paths })));
        Self { v2, v3, index }
    }

    /// The answer to a read of `path`, if it is one of OpenAPI's. `hash` is the query's parameter.
    pub(super) fn answer(
        &self,
        path: &str,
        hash: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<http::Response<Body>> {
        match path.strip_prefix("/openapi/")? {
            "v2" => Some(self.v2(headers)),
            "v3" => {
                let etag = self.index.etag();
                let mut response = if document::is_known(headers, &etag) {
                    document::bare(StatusCode::NOT_MODIFIED)
                } else {
                    document::json(StatusCode::OK, self.index.bytes.clone())
                };
                response.headers_mut().insert(header::ETAG, etag);
                Some(response)
            }
            path => {
                let path = path.strip_prefix("v3/")?;
                Some(match self.v3.get(path) {
                    Some(spec) => v3(spec, hash, headers),
                    None => document::bare(StatusCode::NOT_FOUND),
                })
            }
        }
    }

    fn v2(&self, headers: &HeaderMap) -> http::Response<Body> {
        let offers = [JSON, V2_PROTOBUF_OLD, V2_PROTOBUF];
        let mut response = match negotiation::accept_one_of(headers, &offers) {
            Some(JSON) => self.v2.answer(JSON, headers),
            Some(_) => self.v2.answer(V2_PROTOBUF, headers),
            None => document::bare(StatusCode::NOT_ACCEPTABLE),
        };
        let vary = HeaderValue::from_static("Accept-Encoding, Accept");
        response.headers_mut().insert(header::VARY, vary);
        response
    }
}

fn v3(spec: &Spec, hash: Option<&str>, headers: &HeaderMap) -> http::Response<Body> {
    let offers = [JSON, V3_PROTOBUF_OLD, V3_PROTOBUF];
    let mut response = match negotiation::accept_one_of(headers, &offers) {
        Some(JSON) => spec.answer(JSON, headers),
        Some(_) => spec.answer(V3_PROTOBUF, headers),
        None => document::bare(StatusCode::NOT_ACCEPTABLE),
    };
    // A wrong hash is not redirected to the right one, as upstream does: kube-apiserver makes 502 of redirects
    // of servers behind it, and it may know an older hash than ours for a minute.
    let is_immutable = hash == Some(&spec.json.digest) && response.status() != 406;
    let varies = if is_immutable || response.headers().contains_key(header::CONTENT_ENCODING) {
        "Accept-Encoding, Accept"
    } else {
        "Accept"
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static(varies));
    if is_immutable {
        let value = HeaderValue::from_static("public, immutable");
        headers.insert(header::CACHE_CONTROL, value);
        if let Some(expires) = in_a_year() {
            headers.insert(header::EXPIRES, expires);
        }
    }
    response
}

fn in_a_year() -> Option<HeaderValue> {
    let time = SystemClock.now().checked_add((365 * 24).hours()).ok()?;
    let text = time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::from_str(&text).ok()
}

/// One document in its media types and codings.
struct Spec {
    json: Document,
    /// Converts the document, which `json` is.
    convert: fn(&Value) -> Vec<u8>,
    protobuf: OnceLock<Bytes>,
    json_gzip: OnceLock<Bytes>,
    protobuf_gzip: OnceLock<Bytes>,
}

impl Spec {
    fn new(document: &Value, convert: fn(&Value) -> Vec<u8>) -> Self {
        Self {
            json: Document::new(to_bytes(document)),
            convert,
            protobuf: OnceLock::new(),
            json_gzip: OnceLock::new(),
            protobuf_gzip: OnceLock::new(),
        }
    }

    /// The digest of the JSON stands for all forms, as upstream.
    fn answer(&self, content_type: &'static str, headers: &HeaderMap) -> http::Response<Body> {
        let etag = self.json.etag();
        let mut response = if document::is_known(headers, &etag) {
            document::bare(StatusCode::NOT_MODIFIED)
        } else {
            let is_json = content_type == JSON;
            let is_gzip = response::takes_gzip(headers);
            let bytes = match (is_json, is_gzip) {
                (true, false) => self.json.bytes.clone(),
                (false, false) => self.protobuf().clone(),
                (true, true) => made(&self.json_gzip, || gzip(&self.json.bytes)),
                (false, true) => made(&self.protobuf_gzip, || gzip(self.protobuf())),
            };
            let mut response = document::answer(StatusCode::OK, content_type, bytes);
            if is_gzip {
                let value = HeaderValue::from_static("gzip");
                response
                    .headers_mut()
                    .insert(header::CONTENT_ENCODING, value);
            }
            response
        };
        response.headers_mut().insert(header::ETAG, etag);
        response
    }

    fn protobuf(&self) -> &Bytes {
        self.protobuf.get_or_init(|| {
            let document = serde_json::from_slice(&self.json.bytes)
                .expect("the bytes were made of a JSON tree");
            (self.convert)(&document).into()
        })
    }
}

fn made(cell: &OnceLock<Bytes>, make: impl FnOnce() -> Vec<u8>) -> Bytes {
    cell.get_or_init(|| make().into()).clone()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
    encoder.write_all(bytes).expect("a vector grows");
    encoder.finish().expect("a vector grows")
}

/// The v3 documents by what follows `/openapi/v3/`.
fn documents(groups: &[Group<'_>]) -> BTreeMap<String, Value> {
    let mut documents = BTreeMap::new();
    let mut add = |path: String, paths: Map<String, Value>, own: Map<String, Value>| {
        let document = json!({
            "openapi": "3.0.0",
            "info": {"title": "Outrigger", "version": concat!("v", env!("CARGO_PKG_VERSION"))},
            "components": {"schemas": definitions::complete(&paths, own)},
            "paths": paths,
        });
        documents.insert(path, document);
    };
    add("version".into(), paths::of_version(), Map::new());
    add("apis".into(), paths::of_groups(), Map::new());
    for group in groups {
        let path = format!("apis/{}", group.name);
        add(path.clone(), paths::of_group(group), Map::new());
        for version in &group.versions {
            let own = definitions::of_version(group, version);
            let of_version = paths::of_group_version(group, version);
            add(format!("{path}/{}", version.name), of_version, own);
        }
    }
    documents
}

fn to_bytes(value: &Value) -> Bytes {
    let json = serde_json::to_vec(value).expect("a JSON tree has only string keys");
    json.into()
}

#[cfg(test)]
mod tests;
