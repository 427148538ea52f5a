//! What the server says of itself: which groups, versions and resources it serves, its version, its OpenAPI.
//!
//! Everything is made from definitions, and all but OpenAPI when they are loaded: no answer waits for a plugin,
//! since one group whose discovery fails keeps the namespaces of the whole cluster from being deleted. Discovery
//! has the older form, a document per group and version, and the aggregated one (KEP-3352), as JSON only.

mod aggregated;
pub(super) mod document;
pub(super) mod groups;
mod protobuf;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use super::negotiation::{self, MediaType};
use super::openapi::OpenApi;
use super::response;
use super::version;
use crate::api::Status;
use crate::api::status::{self, Details, Result};
use crate::registry::ResourceDefinition;
use crate::serving::Body;
use document::Document;

/// The paths that are there whatever is served.
const OWN_PATHS: &[&str] = &[
    "/apis",
    "/healthz",
    "/healthz/ping",
    "/livez",
    "/livez/ping",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    "/readyz/ping",
    "/version",
];

/// All of it, for one set of definitions.
pub struct Documents {
    /// By path, without a slash at its end.
    pages: BTreeMap<String, Page>,
    openapi: OpenApi,
}

enum Page {
    /// JSON for everybody.
    Raw(Bytes),
    /// An object in the form that is asked for, from its JSON.
    Object(Bytes),
    /// `/apis`, in both of its forms.
    Groups { list: Bytes, aggregated: Document },
}

impl Documents {
    pub fn build(definitions: Vec<Arc<ResourceDefinition>>) -> Self {
        let groups = groups::by_group(definitions.iter().map(|it| &**it));
        let mut pages = BTreeMap::new();
        let list = to_bytes(&groups::list(&groups));
        let aggregated = aggregated::document(&groups);
        pages.insert("/apis".to_owned(), Page::Groups { list, aggregated });
        for group in &groups {
            let path = format!("/apis/{}", group.name);
            for version in &group.versions {
                let resources = to_bytes(&groups::resources(group, version));
                pages.insert(format!("{path}/{}", version.name), Page::Object(resources));
            }
            pages.insert(path, Page::Object(to_bytes(&groups::group(group))));
        }
        pages.insert("/version".to_owned(), Page::Raw(version::document()));
        let root = root(&pages);
        pages.insert("/".to_owned(), Page::Raw(root));
        let openapi = OpenApi::new(definitions);
        Self { pages, openapi }
    }

    /// The answer to a request of one of these documents; `None` where the path is none of them.
    pub fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Result<http::Response<Body>>> {
        let path = uri.path();
        let path = match path.strip_suffix('/') {
            Some(without) if !without.is_empty() => without,
            _ => path,
        };
        let hash = query(uri, "hash");
        if path.starts_with("/openapi/") {
            let answer = self.openapi.answer(path, hash.as_deref(), headers)?;
            return Some(if is_read(method) {
                Ok(answer)
            } else {
                Err(method_not_allowed())
            });
        }
        let page = self.pages.get(path)?;
        if !is_read(method) {
            return Some(Err(method_not_allowed()));
        }
        Some(page.answer(uri, headers))
    }

    /// The answer to everything that nobody knows: 404 with the paths that there are.
    pub fn not_found(&self) -> http::Response<Body> {
        let root = match self.pages.get("/") {
            Some(Page::Raw(root)) => root.clone(),
            _ => Bytes::new(),
        };
        document::json(StatusCode::NOT_FOUND, root)
    }
}

impl Page {
    fn answer(&self, uri: &Uri, headers: &HeaderMap) -> Result<http::Response<Body>> {
        let (json, aggregated) = match self {
            Self::Raw(json) => return Ok(document::json(StatusCode::OK, json.clone())),
            Self::Object(json) => (json, None),
            Self::Groups { list, aggregated } => (list, Some(aggregated)),
        };
        let pretty = query(uri, "pretty").unwrap_or_default();
        match (
            negotiation::accept_discovery(headers, &pretty, aggregated.is_some())?,
            aggregated,
        ) {
            (Some(accepted), _) => {
                let bytes = match accepted.media {
                    MediaType::Protobuf => protobuf::encode(json).map(Bytes::from),
                    _ => Some(response::in_text(&accepted, json)),
                };
                let bytes = bytes.ok_or_else(|| {
                    tracing::error!("a document of discovery has no protobuf form");
                    status::internal("the document has no protobuf form")
                })?;
                let content_type = accepted.media.as_str();
                Ok(document::answer(StatusCode::OK, content_type, bytes))
            }
            (None, Some(aggregated)) => Ok(aggregated::answer(aggregated, headers)),
            (None, None) => Ok(document::json(StatusCode::OK, json.clone())),
        }
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

/// RootPaths of metav1.
fn root(pages: &BTreeMap<String, Page>) -> Bytes {
    let mut paths: Vec<&str> = pages.keys().map(String::as_str).collect();
    paths.extend(OWN_PATHS);
    paths.sort_unstable();
    paths.dedup();
    let document = json!({ "paths": paths });
    let json = serde_json::to_vec_pretty(&document).expect("a JSON tree has only string keys");
    json.into()
}

fn method_not_allowed() -> Box<Status> {
    let mut status = Status::failure(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
    );
    status.details = Some(Details::default());
    status
}

fn query(uri: &Uri, key: &str) -> Option<String> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .find(|it| it.0 == key)
        .map(|it| it.1.into_owned())
}

fn to_bytes(value: &Value) -> Bytes {
    let json = serde_json::to_vec(value).expect("a JSON tree has only string keys");
    json.into()
}

#[cfg(test)]
mod tests;
