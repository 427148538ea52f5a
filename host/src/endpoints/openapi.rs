//! OpenAPI v2 of everything and v3 of each group and version (KEP-2896), made of definitions.
//!
//! The v3 documents have the form of k8s.io/kube-openapi; v2 is derived from them, simplified as apiextensions
//! does. Both are there as JSON and as protobuf (gnostic), which kubectl reads. Operations list what clients act
//! upon: action, kind, parameters, types of bodies.
//!
//! A document is made when it is first asked for, which few clients do, and kept compressed, as nearly all of them
//! want it: it takes a millisecond and many times the room of its definitions, and there may be hundreds of groups.

mod definitions;
mod parameters;
mod paths;
mod protobuf;
mod published;
mod v2;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::ToSpan;
use serde_json::{Map, Value, json};

use super::discovery::document::{self, Document};
use super::discovery::groups::{self, Group};
use super::{negotiation, response};
use crate::ambient::{Clock, SystemClock};
use crate::registry::ResourceDefinition;
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
    definitions: Vec<Arc<ResourceDefinition>>,
    v2: OnceLock<Spec>,
    /// By what follows `/openapi/v3/`.
    v3: BTreeMap<String, OnceLock<Spec>>,
    index: OnceLock<Document>,
}

impl OpenApi {
    pub(super) fn new(definitions: Vec<Arc<ResourceDefinition>>) -> Self {
        let mut paths = vec!["version".to_owned(), "apis".to_owned()];
        for group in by_group(&definitions) {
            let path = format!("apis/{}", group.name);
            let versions = group.versions.iter();
            paths.extend(versions.map(|it| format!("{path}/{}", it.name)));
            paths.push(path);
        }
        Self {
            v2: OnceLock::new(),
            v3: paths.into_iter().map(|it| (it, OnceLock::new())).collect(),
            index: OnceLock::new(),
            definitions,
        }
    }

    fn v2(&self) -> &Spec {
        self.v2.get_or_init(|| {
            let groups = by_group(&self.definitions);
            let versions = groups.iter().flat_map(|it| &it.versions);
            let objects = versions.flat_map(definitions::of_version_2).collect();
            let documents = self.v3.keys().map(|it| document(it, &self.definitions));
            Spec::new(&v2::document(documents, &objects), protobuf::v2)
        })
    }

    /// `None`: there is no such document.
    fn v3(&self, path: &str) -> Option<&Spec> {
        let spec = self.v3.get(path)?;
        let make = || Spec::new(&document(path, &self.definitions), protobuf::v3);
        Some(spec.get_or_init(make))
    }

    fn index(&self) -> &Document {
        self.index.get_or_init(|| {
            let paths: Map<String, Value> = self
                .v3
                .keys()
                .filter_map(|path| {
                    let digest = &self.v3(path)?.digest;
                    let url = format!("/openapi/v3/{path}?hash={digest}");
                    Some((path.clone(), json!({ "serverRelativeURL": url })))
                })
                .collect();
            Document::new(to_bytes(&json!({ "paths": paths })))
        })
    }

    /// The answer to a read of `path`, if it is one of OpenAPI's. `hash` is the query's parameter.
    pub(super) fn answer(
        &self,
        path: &str,
        hash: Option<&str>,
        headers: &HeaderMap,
    ) -> Option<http::Response<Body>> {
        match path.strip_prefix("/openapi/")? {
            "v2" => Some(v2(self.v2(), headers)),
            "v3" => {
                let index = self.index();
                let etag = index.etag();
                let mut response = if document::is_known(headers, &etag) {
                    document::bare(StatusCode::NOT_MODIFIED)
                } else {
                    document::json(StatusCode::OK, index.bytes.clone())
                };
                response.headers_mut().insert(header::ETAG, etag);
                Some(response)
            }
            path => {
                let path = path.strip_prefix("v3/")?;
                Some(match self.v3(path) {
                    Some(spec) => v3(spec, hash, headers),
                    None => document::bare(StatusCode::NOT_FOUND),
                })
            }
        }
    }
}

fn v2(spec: &Spec, headers: &HeaderMap) -> http::Response<Body> {
    let offers = [JSON, V2_PROTOBUF_OLD, V2_PROTOBUF];
    let mut response = match negotiation::accept_one_of(headers, &offers) {
        Some(JSON) => spec.answer(JSON, headers),
        Some(_) => spec.answer(V2_PROTOBUF, headers),
        None => document::bare(StatusCode::NOT_ACCEPTABLE),
    };
    let vary = HeaderValue::from_static("Accept-Encoding, Accept");
    response.headers_mut().insert(header::VARY, vary);
    response
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
    let is_immutable = hash == Some(&spec.digest) && response.status() != 406;
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

/// One document in its media types.
struct Spec {
    /// SHA-512 of the JSON in upper-case hexadecimal: it stands for all forms, as upstream.
    digest: String,
    json: Gzipped,
    /// Converts the document, which `json` is.
    convert: fn(&Value) -> Vec<u8>,
    protobuf: OnceLock<Gzipped>,
}

impl Spec {
    fn new(document: &Value, convert: fn(&Value) -> Vec<u8>) -> Self {
        let Document { bytes, digest } = Document::new(to_bytes(document));
        Self {
            digest,
            json: Gzipped::new(&bytes),
            convert,
            protobuf: OnceLock::new(),
        }
    }

    fn answer(&self, content_type: &'static str, headers: &HeaderMap) -> http::Response<Body> {
        let etag = document::etag(&self.digest);
        let mut response = if document::is_known(headers, &etag) {
            document::bare(StatusCode::NOT_MODIFIED)
        } else {
            let form = match content_type {
                JSON => &self.json,
                _ => self.protobuf(),
            };
            let is_gzip = response::takes_gzip(headers);
            let bytes = match is_gzip {
                true => form.0.clone(),
                false => form.bytes(),
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

    fn protobuf(&self) -> &Gzipped {
        self.protobuf.get_or_init(|| {
            let document = serde_json::from_slice(&self.json.bytes())
                .expect("the bytes were made of a JSON tree");
            Gzipped::new(&(self.convert)(&document))
        })
    }
}

struct Gzipped(Bytes);

impl Gzipped {
    fn new(bytes: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
        encoder.write_all(bytes).expect("a vector grows");
        Self(encoder.finish().expect("a vector grows").into())
    }

    fn bytes(&self) -> Bytes {
        let mut bytes = Vec::new();
        let read = GzDecoder::new(&*self.0).read_to_end(&mut bytes);
        read.expect("it was made by an encoder");
        bytes.into()
    }
}

fn by_group(definitions: &[Arc<ResourceDefinition>]) -> Vec<Group<'_>> {
    groups::by_group(definitions.iter().map(|it| &**it))
}

/// The v3 document with this path behind `/openapi/v3/`, one of those that there are.
fn document(path: &str, definitions: &[Arc<ResourceDefinition>]) -> Value {
    let mut parts = path.split('/').skip(1);
    let (group, version) = (parts.next(), parts.next());
    let of_group = definitions.iter().filter(|it| Some(&*it.group) == group);
    let groups = groups::by_group(of_group.map(|it| &**it));
    let mut own = Map::new();
    let paths = match (groups.first(), version) {
        (None, _) if path == "version" => paths::of_version(),
        (None, _) => paths::of_groups(),
        (Some(group), version) => {
            let version = version.and_then(|name| group.versions.iter().find(|it| it.name == name));
            match version {
                None => paths::of_group(group),
                Some(version) => {
                    own = definitions::of_version(group, version);
                    paths::of_group_version(group, version)
                }
            }
        }
    };
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Outrigger", "version": concat!("v", env!("CARGO_PKG_VERSION"))},
        "components": {"schemas": definitions::complete(&paths, own)},
        "paths": paths,
    })
}

fn to_bytes(value: &Value) -> Bytes {
    let json = serde_json::to_vec(value).expect("a JSON tree has only string keys");
    json.into()
}

#[cfg(test)]
mod tests;
