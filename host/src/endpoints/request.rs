//! A request for a resource, authenticated and authorized, with everything that its handler needs.

use std::sync::Arc;

use http::HeaderMap;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::api::RequestContext;
use crate::api::RequestInfo;
use crate::registry::Store;
use crate::registry::definition::{Form, VersionDefinition};

pub struct ResourceRequest {
    pub info: Arc<RequestInfo>,
    /// Decoded pairs of the query, in order.
    pub query: Vec<(String, String)>,
    /// Without Authorization and identity headers.
    pub headers: HeaderMap,
    pub context: RequestContext,
    pub store: Arc<Store>,
    /// Taken by the handler that reads it.
    pub body: Option<Incoming>,
    /// Where the client would go on in another protocol; taken by the handler that does.
    pub upgrade: Option<OnUpgrade>,
    /// That the version is deprecated: told first.
    pub deprecation: Option<String>,
    /// What else the client is told in Warning headers.
    pub warnings: Vec<String>,
    /// True once the server stops: watches end.
    pub draining: tokio::sync::watch::Receiver<bool>,
}

impl ResourceRequest {
    /// The first value of a query parameter; empty where it is absent.
    pub fn query(&self, name: &str) -> &str {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// Whether a parameter is given, perhaps without a value.
    pub fn has_query(&self, name: &str) -> bool {
        self.query.iter().any(|(key, _)| key == name)
    }

    /// The version that was asked for: the router has found it served.
    pub fn version(&self) -> &VersionDefinition {
        self.store
            .definition()
            .served(&self.info.version)
            .expect("routing looks the version up")
    }

    /// What the documents of this request are.
    pub fn form(&self) -> Form<'_> {
        let info = &self.info;
        self.store
            .definition()
            .form(&info.version, &info.subresource)
    }

    pub fn header(&self, name: http::header::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default()
    }
}
