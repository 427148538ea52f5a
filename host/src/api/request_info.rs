//! What a request asks for, parsed once from its method and URI: authorization, routing, audit and metrics
//! read this same value (k8s.io/apiserver, pkg/endpoints/request/requestinfo.go).

use http::{Method, Uri};

/// Attributes of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    pub is_resource_request: bool,
    /// The path as sent, percent-encoding undone nowhere but in resource segments.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for other paths the
    /// HTTP method in lower case.
    pub verb: String,
    /// `api` or `apis` for resource requests.
    pub api_prefix: String,
    pub group: String,
    pub version: String,
    /// Empty for cluster-scoped requests and for those across all namespaces.
    pub namespace: String,
    /// Plural, as in the path.
    pub resource: String,
    pub subresource: String,
    /// Also from `fieldSelector=metadata.name=…` of lists and watches (R3).
    pub name: String,
    /// What follows the subresource, for connect handlers (R5).
    pub rest: Vec<String>,
    /// Of the query, raw; only for list, watch and deletecollection.
    pub label_selector: String,
    pub field_selector: String,
}

impl RequestInfo {
    /// Never fails: what is no resource request is a non-resource one, and finds no handler.
    pub fn parse(method: &Method, uri: &Uri) -> Self {
        let path = uri.path();
        let mut info = Self {
            path: path.to_owned(),
            verb: method.as_str().to_ascii_lowercase(),
            ..Self::default()
        };
        let Some(segments) = split(path) else {
            return info;
        };
        let mut parts = segments.iter().map(String::as_str).peekable();
        let prefix = parts.next().unwrap_or_default();
        if prefix != "api" && prefix != "apis" {
            return info;
        }
        info.api_prefix = prefix.to_owned();
        // `/api/v1` and `/apis/g/v` are discovery, shorter ones too: no resource is named.
        if segments.len() < if prefix == "api" { 3 } else { 4 } {
            if prefix == "apis" {
                info.group = segments.get(1).cloned().unwrap_or_default();
                info.version = segments.get(2).cloned().unwrap_or_default();
            } else {
                info.version = segments.get(1).cloned().unwrap_or_default();
            }
            info.api_prefix = prefix.to_owned();
            return info;
        }
        if prefix == "apis" {
            info.group = parts.next().unwrap_or_default().to_owned();
        }
        info.version = parts.next().unwrap_or_default().to_owned();
        info.is_resource_request = true;

        let deprecated_watch = parts.peek() == Some(&"watch");
        if deprecated_watch {
            parts.next();
        }
        info.verb = match *method {
            Method::POST => "create",
            Method::GET | Method::HEAD => "get",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "",
        }
        .to_owned();

        let mut rest: Vec<&str> = parts.collect();
        if rest.first() == Some(&"namespaces")
            && let Some(namespace) = rest.get(1)
        {
            info.namespace = (*namespace).to_owned();
            // `namespaces/<ns>/<res>…`, but not the namespace's own subresources.
            if rest.len() > 2 && !matches!(rest[2], "status" | "finalize") {
                rest.drain(..2);
            }
        }
        let mut rest = rest.into_iter().map(str::to_owned);
        info.resource = rest.next().unwrap_or_default();
        info.name = rest.next().unwrap_or_default();
        info.subresource = rest.next().unwrap_or_default();
        info.rest = rest.collect();

        let query = uri.query().unwrap_or_default();
        if info.name.is_empty() && info.verb == "get" {
            info.verb = if deprecated_watch || asks_to_watch(query) {
                "watch"
            } else {
                "list"
            }
            .to_owned();
        } else if deprecated_watch && info.verb == "get" {
            info.verb = "watch".to_owned();
        } else if info.name.is_empty() && info.verb == "delete" {
            info.verb = "deletecollection".to_owned();
        }
        if matches!(info.verb.as_str(), "list" | "watch" | "deletecollection") {
            for (key, value) in form_urlencoded::parse(query.as_bytes()) {
                match &*key {
                    "labelSelector" if info.label_selector.is_empty() => {
                        info.label_selector = value.into_owned()
                    }
                    "fieldSelector" if info.field_selector.is_empty() => {
                        info.field_selector = value.into_owned()
                    }
                    _ => {}
                }
            }
            if info.name.is_empty() {
                info.name = single_name(&info.field_selector);
            }
        }
        info
    }

    /// Whether the path names a version of a group, or less: discovery.
    pub fn is_discovery(&self) -> bool {
        !self.is_resource_request && !self.api_prefix.is_empty()
    }

    /// Whether the answer goes on for as long as the client listens.
    pub fn is_long_running(&self) -> bool {
        self.verb == "watch"
    }
}

/// Percent-decoded, non-empty segments; `None` where one is no UTF-8 or would change the path's shape.
fn split(path: &str) -> Option<Vec<String>> {
    let trimmed = path.strip_prefix('/')?;
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    let mut segments = Vec::new();
    for raw in trimmed.split('/') {
        let segment = percent_encoding::percent_decode_str(raw)
            .decode_utf8()
            .ok()?;
        // An encoded slash, a dot segment or NUL would let a key climb out of what was authorized.
        if segment.is_empty() || segment == "." || segment == ".." || segment.contains(['/', '\0'])
        {
            return None;
        }
        segments.push(segment.into_owned());
    }
    Some(segments)
}

/// `watch=…` as Go parses it: present without a value, or true.
fn asks_to_watch(query: &str) -> bool {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "watch")
        .is_some_and(|(_, value)| !matches!(&*value, "0" | "f" | "F" | "false" | "FALSE" | "False"))
}

/// The name in `metadata.name=x`, if the selector demands exactly one.
fn single_name(field_selector: &str) -> String {
    field_selector
        .split(',')
        .find_map(|term| {
            let name = term.strip_prefix("metadata.name=")?;
            Some(name.strip_prefix('=').unwrap_or(name).to_owned())
        })
        .filter(|name| !name.contains(['!', '=', '\\']))
        .unwrap_or_default()
}
