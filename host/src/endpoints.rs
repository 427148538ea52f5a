//! HTTP requests to answers: the whole chain, outer to inner, in [`Api::handle`] and `Api::route`.
//!
//! The order decides which error wins, as upstream (k8s.io/apiserver, pkg/server/config.go,
//! DefaultBuildHandlerChain): 401 before 429, 429 before 403, 403 before everything that a handler finds.

pub mod body;
pub mod create;
mod decode;
pub mod delete;
pub mod discovery;
mod finished;
pub mod get;
pub mod health;
pub mod list;
pub mod negotiation;
pub mod openapi;
pub mod options;
pub mod patch;
pub mod request;
pub mod response;
mod routing;
pub mod update;
pub mod version;
pub mod watch;
mod write;

#[cfg(test)]
mod testing;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::watch as watch_channel;
use tokio::time::Instant;

use crate::api::GroupVersion;
use crate::api::RequestContext;
use crate::api::RequestInfo;
use crate::api::query;
use crate::api::status::{self, Result};
use crate::authentication::Authenticators;
use crate::authorization::{Authorizer, Decision, forbidden};
use crate::flow_control::FlowControl;
use crate::metrics::Metrics;
use crate::registry::Registry;
use crate::serving::{Body, ConnectionInfo, Handler};
use request::ResourceRequest;

pub type Response = http::Response<Body>;

/// How long a request that is no watch may take (P2).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a write may take of it, conflicts and all (P2).
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(34);

/// Everything that is served at one moment; replaced whole.
pub struct Served {
    pub registry: Registry,
    /// Discovery and OpenAPI.
    pub documents: discovery::Documents,
    /// Whether every plugin that was there at the start has been looked at: until then what is not found is
    /// 503, since a 404 tells the garbage collector that the type is gone (D6).
    pub is_complete: bool,
}

/// Answers requests.
/// Whether a group-version is registered for this server and its replicas.
pub type Elsewhere = dyn Fn(&GroupVersion) -> bool + Send + Sync;

pub struct Api {
    pub served: Arc<ArcSwap<Served>>,
    pub authenticators: Arc<Authenticators>,
    pub authorizer: Arc<dyn Authorizer>,
    pub namespaces: Arc<dyn crate::admission::Namespaces>,
    pub flow_control: FlowControl,
    pub health: Arc<health::Health>,
    pub metrics: Arc<Metrics>,
    /// Which group-versions that are not served here another replica serves, for all that the cluster knows.
    pub elsewhere: Arc<Elsewhere>,
    /// True once the server stops: watches end.
    pub draining: watch_channel::Receiver<bool>,
}

#[async_trait]
impl Handler for Api {
    /// Counts, guards against panics, and turns a Status into an answer.
    async fn handle(
        &self,
        request: http::Request<Incoming>,
        connection: Arc<ConnectionInfo>,
    ) -> Response {
        let started = Instant::now();
        let (parts, body) = request.into_parts();
        let parsed = RequestInfo::parse(&parts.method, &parts.uri);
        let audit_id = audit_id(&parts.headers);
        let is_head = parts.method == Method::HEAD;
        let wanted = response::Wanted::of(&parts.headers);
        let uri = parts.uri.clone();
        let (info, unreadable) = match parsed {
            Ok(info) => (info, None),
            Err(unreadable) => (RequestInfo::default(), Some(unreadable)),
        };
        let info = Arc::new(info);
        let _in_flight = self.metrics.begin_request(&info);
        let routed = async {
            match unreadable {
                None => self.route(&info, &audit_id, parts, body, &connection).await,
                Some(unreadable) => Ok(routing::unreadable(unreadable, &uri)),
            }
        };
        let mut response = match AssertUnwindSafe(routed).catch_unwind().await {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => response::status(&wanted.headers(), &pretty(&uri), &status),
            Err(_) => {
                tracing::error!(
                    path = info.path,
                    audit_id = &*audit_id,
                    "a request made the server panic: this is a bug"
                );
                let text =
                    "This request caused apiserver to panic. Look in the logs for details.\n";
                response::text(StatusCode::INTERNAL_SERVER_ERROR, text)
            }
        };
        if is_head {
            *response.body_mut() = http_body_util::Empty::new().boxed_unsync();
        }
        if let Ok(value) = HeaderValue::from_str(&audit_id) {
            response
                .headers_mut()
                .insert(HeaderName::from_static("audit-id"), value);
        }
        let is_served = routing::find(&self.served.load().registry, &info).is_some();
        self.metrics.observe_request(
            &info,
            is_served,
            response.status().as_u16(),
            started.elapsed(),
        );
        tracing::debug!(
            verb = info.verb,
            path = info.path,
            code = response.status().as_u16(),
            audit_id = &*audit_id,
            duration_ms = started.elapsed().as_secs_f64() * 1000.0,
            "answered"
        );
        response
    }
}

impl Api {
    async fn route(
        &self,
        info: &Arc<RequestInfo>,
        audit_id: &Arc<str>,
        mut parts: http::request::Parts,
        body: Incoming,
        connection: &ConnectionInfo,
    ) -> Result<Response> {
        let query = query_pairs(&parts.uri);
        let deadline = deadline(info, &query)?;
        let mut headers = std::mem::take(&mut parts.headers);
        let user = match self.authenticators.authenticate(connection, &headers).await {
            Ok(user) => user,
            Err(status) => {
                self.metrics.count_authentication("failure");
                connection.close_after_response();
                return Err(status);
            }
        };
        self.metrics.count_authentication("success");
        let ignored_token = crate::authentication::warning(&headers);
        self.authenticators.strip_identity(&mut headers);
        let Ok(_permit) = self.flow_control.acquire(info, &user) else {
            return Ok(too_many_requests());
        };
        match self.authorizer.authorize(&user, info).await {
            Ok(Decision::Allow) => self.metrics.count_authorization("allowed"),
            Ok(Decision::Deny { reason }) => {
                self.metrics.count_authorization("denied");
                let status = forbidden(&user, info, &reason);
                let mut answer = response::status(&headers, &pretty(&parts.uri), &status);
                let nosniff = HeaderValue::from_static("nosniff");
                answer
                    .headers_mut()
                    .insert(http::header::X_CONTENT_TYPE_OPTIONS, nosniff);
                return Ok(answer);
            }
            Err(error) => {
                self.metrics.count_authorization("error");
                tracing::error!(
                    path = info.path,
                    error = format!("{error:#}"),
                    "the request could not be authorized"
                );
                return Ok(routing::internal_error(&parts.uri, &error.to_string()));
            }
        }
        let served = self.served.load_full();
        if !info.is_resource_request {
            if parts.method == Method::CONNECT {
                // A 2xx would open a tunnel, and the connection would end without its answer's body.
                let text = "there is no tunnel through this server\n";
                return Ok(response::text(StatusCode::METHOD_NOT_ALLOWED, text));
            }
            return self.answer_path(served, info, parts, headers).await;
        }
        let context = RequestContext {
            id: Arc::clone(audit_id),
            user,
            deadline,
            dry_run: false,
        };
        let Some(store) = routing::find(&served.registry, info) else {
            let wanted = GroupVersion {
                group: info.group.clone(),
                version: info.version.clone(),
            };
            if !served.is_complete || self.is_elsewhere(&served, &wanted) {
                return Err(not_yet_installed());
            }
            return routing::unknown_resource(&served.registry, info);
        };
        routing::check_route(store.definition(), info, &parts.method, &headers)?;
        let store = Arc::clone(store);
        let deprecation = store.definition().served(&info.version);
        let deprecation = deprecation.and_then(|it| it.deprecation_warning.clone());
        let request = ResourceRequest {
            info: Arc::clone(info),
            query,
            headers,
            context,
            store,
            body: Some(body),
            upgrade: parts.extensions.remove(),
            warnings: ignored_token.map(str::to_owned).into_iter().collect(),
            deprecation,
            draining: self.draining.clone(),
        };
        self.answer_resource(request, connection).await
    }

    /// Discovery, OpenAPI, health, metrics, version: precomputed or at hand, never from a plugin.
    async fn answer_path(
        &self,
        served: Arc<Served>,
        info: &RequestInfo,
        parts: http::request::Parts,
        headers: HeaderMap,
    ) -> Result<Response> {
        if let Some(answer) = self.health.answer(&parts.uri) {
            return Ok(answer);
        }
        if info.path == "/metrics" {
            return Ok(response::text(StatusCode::OK, &self.metrics.encode()));
        }
        let (documents, is_openapi) = (Arc::clone(&served), info.path.starts_with("/openapi/"));
        let answer = move || {
            documents
                .documents
                .answer(&parts.method, &parts.uri, &headers)
        };
        let answer = match is_openapi {
            // Who asks first for a document of hundreds of kinds waits until it is made, and nobody else.
            true => tokio::task::spawn_blocking(answer).await.map_err(|error| {
                tracing::error!(%error, "a document of OpenAPI could not be made");
                status::internal("the document could not be made")
            })?,
            false => answer(),
        };
        if let Some(answer) = answer {
            return answer;
        }
        let wanted = info.path.strip_prefix("/apis/").and_then(|below| {
            let (group, version) = below.trim_end_matches('/').split_once('/')?;
            let (group, version) = (group.to_owned(), version.to_owned());
            Some(GroupVersion { group, version })
        });
        let is_elsewhere = wanted.is_some_and(|it| self.is_elsewhere(&served, &it));
        if !served.is_complete || is_elsewhere {
            return Err(not_yet_installed());
        }
        Ok(served.documents.not_found())
    }

    /// While replicas have different plugins, what one of them lacks is not gone: a 404 would tell the garbage collector
    /// so.
    fn is_elsewhere(&self, served: &Served, wanted: &GroupVersion) -> bool {
        let mut here = served.registry.stores().map(|it| it.definition());
        let is_here = here.any(|it| {
            it.group == wanted.group && it.versions.iter().any(|it| it.name == wanted.version)
        });
        !is_here && (self.elsewhere)(wanted)
    }

    async fn answer_resource(
        &self,
        mut request: ResourceRequest,
        connection: &ConnectionInfo,
    ) -> Result<Response> {
        let limit = request.context.deadline;
        let answer = async {
            // On HTTP/2 what follows runs in a task of its own: it may compute for a while, and kube-apiserver asks
            // everything of one APIService on about one connection.
            if request.info.verb != "get" {
                tokio::task::yield_now().await;
            }
            match request.info.verb.as_str() {
                "get" => get::get(&mut request).await,
                "list" => list::list(&mut request, &*self.namespaces).await,
                "watch" => {
                    let open = self.metrics.begin_watch(&request.info);
                    watch::watch(&mut request, connection, open).await
                }
                "create" => create::create(&mut request, &*self.namespaces).await,
                "update" => update::update(&mut request, &self.authorizer, &self.namespaces).await,
                "patch" => patch::patch(&mut request, &self.authorizer, &self.namespaces).await,
                "delete" => delete::delete(&mut request, &*self.authorizer).await,
                "deletecollection" => {
                    delete::delete_collection(&mut request, &*self.namespaces).await
                }
                verb => Err(status::method_not_allowed(
                    &request.store.definition().group_resource(),
                    verb,
                )),
            }
        };
        let answer = match tokio::time::timeout_at(limit, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(status::timeout(
                "request did not complete within the allotted timeout",
                0,
            )),
        };
        let mut response = match answer {
            Ok(response) => response,
            Err(status) => response::status(&request.headers, request.query("pretty"), &status),
        };
        add_warnings(
            response.headers_mut(),
            request.deprecation.iter().chain(&request.warnings),
        );
        Ok(response)
    }
}

/// 429 of the filter: text, not a Status, as upstream.
fn too_many_requests() -> Response {
    let mut response = response::text(
        StatusCode::TOO_MANY_REQUESTS,
        "Too many requests, please try again later.\n",
    );
    response
        .headers_mut()
        .insert(http::header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn not_yet_installed() -> Box<status::Status> {
    let text = "the request has been made before all known HTTP paths have been installed, please try again";
    status::unavailable(text, 5)
}

/// The request's Audit-ID, as the aggregator forwards it, else a new one (AU4).
fn audit_id(headers: &HeaderMap) -> Arc<str> {
    const LONGEST: usize = 64;
    match headers.get("audit-id").and_then(|it| it.to_str().ok()) {
        Some(id) if !id.is_empty() => id.chars().take(LONGEST).collect::<String>().into(),
        _ => uuid::Uuid::new_v4().to_string().into(),
    }
}

fn query_pairs(uri: &http::Uri) -> Vec<(String, String)> {
    query::pairs(uri.query().unwrap_or_default())
        .map(|(key, value)| (key.into_owned(), value.into_owned()))
        .collect()
}

/// The query's parameter of the name.
fn pretty(uri: &http::Uri) -> String {
    let found = query::first(uri.query().unwrap_or_default(), "pretty");
    found.unwrap_or_default().into_owned()
}

/// When the answer must be there: the server's limit, or the client's own below it (V9). A watch's end is its own.
fn deadline(info: &RequestInfo, query: &[(String, String)]) -> Result<Instant> {
    // A year: long enough for any watch, short enough for any timer.
    const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);
    if info.is_long_running() {
        return Ok(Instant::now() + NEVER);
    }
    let asked = query.iter().find(|(key, _)| key == "timeout");
    let limit = match asked.map(|(_, text)| text.as_str()) {
        None | Some("") => REQUEST_TIMEOUT,
        Some(text) => match crate::api::duration::parse(text) {
            // None at all is no wish.
            Ok(Duration::ZERO) => REQUEST_TIMEOUT,
            Ok(asked) => asked.min(REQUEST_TIMEOUT),
            Err(why) => {
                let text = format!("invalid timeout specified in the request URL - {why}");
                return Err(status::bad_request(text));
            }
        },
    };
    Ok(Instant::now() + limit)
}

/// Warning headers (N11), each text once. Where they would have more than 4096 characters in all, each is cut to
/// 256, and no more follow once that many are sent (k8s.io/apiserver, pkg/endpoints/filters/warning.go).
fn add_warnings<'a>(headers: &mut HeaderMap, warnings: impl Iterator<Item = &'a String>) {
    const TOTAL: usize = 4096;
    const ITEM: usize = 256;
    let mut texts: Vec<&str> = Vec::new();
    for text in warnings {
        if !text.is_empty() && !texts.contains(&text.as_str()) {
            texts.push(text);
        }
    }
    let texts = texts.iter().filter(|it| !it.chars().any(char::is_control));
    let length: usize = texts.clone().map(|it| it.chars().count()).sum();
    let limit = if length > TOTAL { ITEM } else { TOTAL };
    let mut sent = 0;
    for text in texts {
        if sent >= TOTAL {
            break;
        }
        let mut quoted = String::from("299 - \"");
        for character in text.chars().take(limit) {
            sent += 1;
            if matches!(character, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(character);
        }
        quoted.push('"');
        if let Ok(value) = HeaderValue::from_bytes(quoted.as_bytes()) {
            headers.append(http::header::WARNING, value);
        }
    }
}

#[cfg(test)]
mod tests;
