//! What a request asks for, parsed once from its method and URI: authorization, routing, audit and metrics
//! read this same value (k8s.io/apiserver, pkg/endpoints/request/requestinfo.go).

use http::{Method, Uri};
use percent_encoding::percent_decode_str;

use super::{field_selector, query};

/// Attributes of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestInfo {
    pub is_resource_request: bool,
    /// The whole path, percent-encoding undone.
    pub path: String,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or empty for another
    /// method; for other paths the HTTP method in lower case.
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
    /// Whether the verb stood in the path (`/apis/g/v/watch/…`, W9), whatever the method.
    pub has_verb_in_path: bool,
    /// Of the query, raw, for the authorizer; only for list, watch and deletecollection, and not with a verb in
    /// the path.
    pub label_selector: String,
    pub field_selector: String,
}

/// Why there is no telling what a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadablePath {
    /// A `%` without two hexadecimal digits behind it.
    Encoding,
    /// `/apis/g/v/watch`, with nothing behind the verb.
    NoResource,
}

impl RequestInfo {
    /// What is no resource request is a non-resource one, and perhaps finds no handler.
    ///
    /// # Errors
    /// The two paths that nothing can be made of.
    pub fn parse(method: &Method, uri: &Uri) -> Result<Self, UnreadablePath> {
        let mut info = Self {
            path: decoded(uri.path())?,
            verb: method.as_str().to_ascii_lowercase(),
            ..Self::default()
        };
        let path = std::mem::take(&mut info.path);
        let parsed = info.parse_path(&path, method);
        info.path = path;
        if parsed? {
            info.parse_query(uri.query().unwrap_or_default());
        }
        Ok(info)
    }

    /// Whether a resource is named.
    fn parse_path(&mut self, path: &str, method: &Method) -> Result<bool, UnreadablePath> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", rest @ ..] if rest.len() >= 2 => ("", rest),
            ["apis", group, rest @ ..] if rest.len() >= 2 => (*group, rest),
            _ => return Ok(false),
        };
        parts[0].clone_into(&mut self.api_prefix);
        group.clone_into(&mut self.group);
        rest[0].clone_into(&mut self.version);
        self.is_resource_request = true;
        let mut rest = &rest[1..];
        if let [verb @ ("watch" | "proxy"), behind @ ..] = rest {
            if behind.is_empty() {
                return Err(UnreadablePath::NoResource);
            }
            (*verb).clone_into(&mut self.verb);
            self.has_verb_in_path = true;
            rest = behind;
        } else {
            self.verb = match *method {
                Method::POST => "create",
                Method::GET | Method::HEAD => "get",
                Method::PUT => "update",
                Method::PATCH => "patch",
                Method::DELETE => "delete",
                _ => "",
            }
            .to_owned();
        }
        if let ["namespaces", namespace, behind @ ..] = rest {
            (*namespace).clone_into(&mut self.namespace);
            // `namespaces/<ns>/<res>…`, but not the namespace's own subresources.
            if !matches!(behind, [] | ["status" | "finalize", ..]) {
                rest = behind;
            }
        }
        let mut rest = rest.iter().map(|it| (*it).to_owned());
        self.resource = rest.next().unwrap_or_default();
        self.name = rest.next().unwrap_or_default();
        if self.verb != "proxy" {
            self.subresource = rest.next().unwrap_or_default();
        }
        self.rest = rest.collect();
        Ok(true)
    }

    /// Tells list, watch and get apart.
    fn parse_query(&mut self, query: &str) {
        let first = |name: &str| query::first(query, name);
        let field_selector = first("fieldSelector").unwrap_or_default();
        if self.name.is_empty() && self.verb == "get" {
            let is_watch = first("watch").is_some_and(|it| is_true(&it));
            self.verb = if is_watch { "watch" } else { "list" }.to_owned();
            // Options that cannot be read name nothing: the handler will refuse them.
            let is_number = |name| first(name).is_none_or(|it| it.parse::<i64>().is_ok());
            if is_number("limit") && is_number("timeoutSeconds") {
                self.name = single_name(&field_selector).unwrap_or_default();
            }
        }
        if self.name.is_empty() && self.verb == "delete" {
            self.verb = "deletecollection".to_owned();
        }
        let has_selectors = matches!(self.verb.as_str(), "list" | "watch" | "deletecollection");
        if has_selectors && !self.has_verb_in_path {
            self.label_selector = first("labelSelector").unwrap_or_default().into_owned();
            self.field_selector = field_selector.into_owned();
        }
    }

    /// Whether the answer goes on for as long as the client listens.
    pub fn is_long_running(&self) -> bool {
        self.verb == "watch"
    }
}

/// A boolean parameter that is given: only these two values mean no (k8s.io/apimachinery,
/// pkg/runtime/conversion.go).
pub fn is_true(value: &str) -> bool {
    value != "0" && !value.eq_ignore_ascii_case("false")
}

/// What is no UTF-8 reads as U+FFFD, from here on for everybody.
fn decoded(path: &str) -> Result<String, UnreadablePath> {
    if !query::is_percent_encoded(path) {
        return Err(UnreadablePath::Encoding);
    }
    Ok(percent_decode_str(path).decode_utf8_lossy().into_owned())
}

/// The name that the selector demands, if it demands one that an object can have.
fn single_name(field_selector: &str) -> Option<String> {
    let terms = field_selector::parse(field_selector).ok()?;
    let name = field_selector::exact_match(&terms, "metadata.name")?;
    let is_segment = name != "." && name != ".." && !name.contains(['/', '%']);
    is_segment.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;

    fn parse(method: &str, target: &str) -> Result<RequestInfo, UnreadablePath> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        RequestInfo::parse(&method, &target.parse().unwrap())
    }

    /// `verb group/version namespace/resource/name/subresource+rest`, or the non-resource verb and path.
    fn shown(method: &str, target: &str) -> String {
        let info = match parse(method, target) {
            Ok(info) => info,
            Err(unreadable) => return format!("{unreadable:?}"),
        };
        if !info.is_resource_request {
            return format!("{} {}", info.verb, info.path);
        }
        format!(
            "{} {}/{} {}/{}/{}/{} {:?}",
            info.verb,
            info.group,
            info.version,
            info.namespace,
            info.resource,
            info.name,
            info.subresource,
            info.rest
        )
    }

    #[expect(clippy::needless_pass_by_value, reason = "as expect-test is used")]
    #[track_caller]
    fn check(method: &str, targets: &[&str], expected: Expect) {
        let lines: Vec<String> = targets.iter().map(|it| shown(method, it) + "\n").collect();
        expected.assert_eq(&lines.concat());
    }

    #[test]
    fn tells_resources_from_other_paths() {
        check(
            "GET",
            &[
                "/",
                "/apis",
                "/apis/g/v1",
                "/apis/g/v1/",
                "/api/v1",
                "/api/v1/pods",
                "/apis/g/v1/anchors",
                "//apis/g/v1/anchors//",
                "/apis/g/v1/namespaces/a/anchors",
                "/apis/g/v1/namespaces//anchors",
                "/apis/g/v1/namespaces/a/anchors/x/status/y/z",
                "/apis/g/v1/namespaces/a",
                "/apis/g/v1/namespaces/a/status",
                "/apis/g/v1/namespaces/a/finalize/x",
                "/healthz%2fa",
                "/apis/g/v1/anchors%2Fx",
                "/apis/g/v1/anchors/..",
                "/apis/g/v1/anchors/%ff",
            ],
            expect![[r#"
                get /
                get /apis
                get /apis/g/v1
                get /apis/g/v1/
                get /api/v1
                list /v1 /pods// []
                list g/v1 /anchors// []
                list g/v1 /anchors// []
                list g/v1 a/anchors// []
                list g/v1 /anchors// []
                get g/v1 a/anchors/x/status ["y", "z"]
                get g/v1 a/namespaces/a/ []
                get g/v1 a/namespaces/a/status []
                get g/v1 a/namespaces/a/finalize ["x"]
                get /healthz/a
                get g/v1 /anchors/x/ []
                get g/v1 /anchors/../ []
                get g/v1 /anchors/�/ []
            "#]],
        );
    }

    #[test]
    fn takes_the_verb_from_method_query_or_path() {
        check(
            "GET",
            &[
                "/apis/g/v1/anchors?watch",
                "/apis/g/v1/anchors?watch=",
                "/apis/g/v1/anchors?watch=f",
                "/apis/g/v1/anchors?watch=0",
                "/apis/g/v1/anchors?watch=FALSE",
                "/apis/g/v1/anchors?watch=0&watch=1",
                "/apis/g/v1/anchors/x?watch=1",
                "/apis/g/v1/watch/anchors",
                "/apis/g/v1/watch/namespaces/a/anchors/x",
                "/apis/g/v1/watch",
                "/apis/g/v1/proxy/anchors/x/y",
            ],
            expect![[r#"
                watch g/v1 /anchors// []
                watch g/v1 /anchors// []
                watch g/v1 /anchors// []
                list g/v1 /anchors// []
                list g/v1 /anchors// []
                list g/v1 /anchors// []
                get g/v1 /anchors/x/ []
                watch g/v1 /anchors// []
                watch g/v1 a/anchors/x/ []
                NoResource
                proxy g/v1 /anchors/x/ ["y"]
            "#]],
        );
        for (method, expected) in [
            ("HEAD", "list"),
            ("POST", "create"),
            ("PUT", "update"),
            ("PATCH", "patch"),
            ("DELETE", "deletecollection"),
            ("OPTIONS", ""),
        ] {
            let info = parse(method, "/apis/g/v1/anchors").unwrap();
            assert_eq!(info.verb, expected, "{method}");
        }
        let info = parse("POST", "/apis/g/v1/watch/anchors").unwrap();
        assert_eq!(info.verb, "watch");
    }

    #[test]
    fn reads_the_one_name_of_a_selector() {
        let name = |method, query: &str| {
            let target = format!("/apis/g/v1/anchors?{query}");
            parse(method, &target).unwrap().name
        };
        for (query, expected) in [
            ("fieldSelector=metadata.name%3Dx", "x"),
            ("fieldSelector=metadata.name%3D%3Dx", "x"),
            ("fieldSelector=metadata.name=x,spec.a%3D1&watch=1", "x"),
            ("fieldSelector=metadata.name!=x", ""),
            ("fieldSelector=metadata.name=..", ""),
            ("fieldSelector=metadata.name=a%2Fb", ""),
            (r"fieldSelector=metadata.name=a\,b", "a,b"),
            ("fieldSelector=metadata.name=x,nope", ""),
            ("fieldSelector=metadata.name=x&limit=ten", ""),
        ] {
            assert_eq!(
                name("GET", &query.replace('\\', "%5C")),
                expected,
                "{query}"
            );
        }
        assert_eq!(name("DELETE", "fieldSelector=metadata.name=x"), "");
    }

    #[test]
    fn hands_selectors_to_the_authorizer_where_they_count() {
        let selectors = |method, path: &str| {
            let target = format!("{path}?labelSelector=a&fieldSelector=b%3Dc");
            let info = parse(method, &target).unwrap();
            format!("{} {}", info.label_selector, info.field_selector)
        };
        assert_eq!(selectors("GET", "/apis/g/v1/anchors"), "a b=c");
        assert_eq!(selectors("DELETE", "/apis/g/v1/anchors"), "a b=c");
        assert_eq!(selectors("GET", "/apis/g/v1/anchors/x"), " ");
        assert_eq!(selectors("GET", "/apis/g/v1/watch/anchors"), " ");
    }

    proptest! {
        #[test]
        fn never_panics_and_takes_the_path_apart_without_a_loss(
            segments in prop::collection::vec("[a-z.]{0,3}|apis|api|watch|proxy|namespaces|%2[fF]|%|%0|%ff|%00", 0..9),
            query in "[a-zA-Z.=&%0-9!,]{0,30}",
        ) {
            let target = format!("/{}?{query}", segments.join("/"));
            let Ok(uri) = target.parse::<Uri>() else { return Ok(()) };
            let Ok(info) = RequestInfo::parse(&Method::GET, &uri) else { return Ok(()) };
            if !info.is_resource_request || info.has_verb_in_path || info.verb != "get" {
                return Ok(());
            }
            let mut parts = vec![info.resource, info.name, info.subresource];
            parts.extend(info.rest);
            while parts.last().is_some_and(String::is_empty) {
                parts.pop();
            }
            let path = info.path.trim_matches('/');
            prop_assert!(path.ends_with(&parts.join("/")), "{path} {parts:?}");
            prop_assert!(parts.iter().all(|it| !it.contains('/')));
        }
    }
}
