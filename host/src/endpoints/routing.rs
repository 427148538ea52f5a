//! From a RequestInfo to the store that serves it, and what the two kinds of servers answer where there is none:
//! the Go library's typed resources have a route for each path and method, custom resources one handler for all.

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode, Uri};

use super::negotiation::{self, MEDIA_TYPES, STREAM_MEDIA_TYPES};
use super::{Response, response};
use crate::api::request_info::UnreadablePath;
use crate::api::status::{self, Result};
use crate::api::{RequestInfo, Status, quote};
use crate::registry::definition::{ObjectModel, ResourceDefinition};
use crate::registry::scale::SCALE;
use crate::registry::{Registry, Store};

/// What the Go library answers where it can make nothing of a path.
pub(super) fn unreadable(why: UnreadablePath, uri: &Uri) -> Response {
    match why {
        UnreadablePath::Encoding => response::text(StatusCode::BAD_REQUEST, "400 Bad Request"),
        UnreadablePath::NoResource => {
            let target = target(uri);
            let why = format!(
                "failed to create RequestInfo: unable to determine kind and namespace from url, {target}"
            );
            internal_error(uri, &why)
        }
    }
}

/// 500 of the chain itself: text, in which the client's own words are escaped for browsers.
pub(super) fn internal_error(uri: &Uri, why: &str) -> Response {
    let text = format!("Internal Server Error: {}: {why}", quote(target(uri)));
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    response::text(StatusCode::INTERNAL_SERVER_ERROR, &(escaped + "\n"))
}

fn target(uri: &Uri) -> &str {
    uri.path_and_query().map_or("", |it| it.as_str())
}

/// The store of a resource in a version that is served, where the path is one of its scope.
pub(super) fn find<'a>(registry: &'a Registry, info: &RequestInfo) -> Option<&'a Arc<Store>> {
    let store = registry.find(&info.group, &info.resource)?;
    let definition = store.definition();
    let is_in_place = if !definition.is_namespaced() {
        info.namespace.is_empty()
    } else if definition.object_model == ObjectModel::Custom {
        // Only lists and watches go across all namespaces.
        !info.namespace.is_empty() || matches!(info.verb.as_str(), "list" | "watch")
    } else {
        true
    };
    (is_in_place && info.api_prefix == "apis" && definition.served(&info.version).is_some())
        .then_some(store)
}

/// 404 in the words of whoever serves the rest of the group.
pub(super) fn unknown_resource(registry: &Registry, info: &RequestInfo) -> Result<Response> {
    let model = registry
        .stores()
        .find(|it| it.definition().group == info.group)
        .map(|it| it.definition().object_model);
    match model {
        Some(ObjectModel::Custom) => Ok(response::text(
            StatusCode::NOT_FOUND,
            "404 page not found\n",
        )),
        _ => Err(status::resource_not_found()),
    }
}

/// Whether the path and the method go together, and for typed resources the form that is asked for.
pub(super) fn check_route(
    definition: &ResourceDefinition,
    info: &RequestInfo,
    method: &Method,
    headers: &HeaderMap,
) -> Result<()> {
    if !info.subresource.is_empty() {
        check_subresource(definition, info, method)?;
    } else {
        match definition.object_model {
            ObjectModel::Typed => check_typed(definition, info, method)?,
            ObjectModel::Custom => check_custom(definition, info)?,
        }
    }
    if definition.object_model == ObjectModel::Typed {
        check_produced(info, headers)?;
    }
    // Only the name of the path is looked up; one of a selector that no object can have selects nothing.
    let is_item = matches!(info.verb.as_str(), "get" | "update" | "patch" | "delete");
    let errors = path_segment_errors(&info.name);
    if is_item && !errors.is_empty() {
        return Err(status::bad_request(format!(
            "Name parameter invalid: {}: {}",
            quote(&info.name),
            errors.join(";")
        )));
    }
    Ok(())
}

/// The Go library has a route for each path of a typed resource, and methods for each route.
fn check_typed(definition: &ResourceDefinition, info: &RequestInfo, method: &Method) -> Result<()> {
    let has_scope = !definition.is_namespaced() || !info.namespace.is_empty();
    let is_named_by_selector =
        !info.has_verb_in_path && matches!(info.verb.as_str(), "list" | "watch");
    let has_name = !info.name.is_empty() && !is_named_by_selector;
    let routes: &[(Method, &str)] = match (info.has_verb_in_path, has_name) {
        (true, _) if info.verb != "watch" => &[],
        (_, true) if !has_scope => &[],
        (true, _) => &[(Method::GET, "watch")],
        (false, true) => &[
            (Method::GET, "get"),
            (Method::PUT, "update"),
            (Method::PATCH, "patch"),
            (Method::DELETE, "delete"),
        ],
        (false, false) if has_scope => &[
            (Method::GET, "list"),
            (Method::POST, "create"),
            (Method::DELETE, "deletecollection"),
        ],
        (false, false) => &[(Method::GET, "list")],
    };
    let verbs = definition.verbs();
    let mut routes = routes.iter().filter(|(_, verb)| verbs.contains(verb));
    match routes.clone().next() {
        None => return Err(status::resource_not_found()),
        Some(_) if routes.any(|(routed, _)| routed == method) => {}
        Some(_) => return Err(no_such_route()),
    }
    // A list's route is a watch's too, whether or not the resource can be watched.
    if !verbs.contains(&info.verb.as_str()) {
        let resource = definition.group_resource();
        return Err(status::method_not_allowed(&resource, &info.verb));
    }
    Ok(())
}

fn check_custom(definition: &ResourceDefinition, info: &RequestInfo) -> Result<()> {
    let verb = info.verb.as_str();
    if matches!(verb, "update" | "patch") && info.name.is_empty() {
        return Err(status::bad_request("name must be provided"));
    }
    if definition.verbs().contains(&verb) {
        return Ok(());
    }
    let resource = definition.group_resource();
    Err(status::method_not_allowed(&resource, verb))
}

/// The routes of the Go library know what they produce, and look at the types of `Accept` alone: no wild card
/// but `*/*`, no parameters.
fn check_produced(info: &RequestInfo, headers: &HeaderMap) -> Result<()> {
    let accept = negotiation::accept_header(headers);
    if accept.is_empty() {
        return Ok(());
    }
    let is_produced = accept.split(',').any(|clause| {
        let media_type = clause.split(';').next().unwrap_or_default();
        let media_type = media_type.trim_matches(' ');
        media_type == "*/*" || MEDIA_TYPES.contains(&media_type)
    });
    if is_produced {
        return Ok(());
    }
    let mut produced = MEDIA_TYPES.join(", ");
    if matches!(info.verb.as_str(), "list" | "watch") {
        produced = format!("{produced}, {}", STREAM_MEDIA_TYPES.join(", "));
    }
    let text = format!("406: Not Acceptable\n\nAvailable representations: {produced}");
    let mut status = Status::failure(406, "NotAcceptable", text);
    status.details = Some(status::Details::default());
    Err(status)
}

/// What the Go library has against a name that it makes a key of.
fn path_segment_errors(name: &str) -> Vec<String> {
    if name == "." || name == ".." {
        return vec![format!("may not be '{name}'")];
    }
    let forbidden = ["/", "%"].into_iter().filter(|it| name.contains(it));
    forbidden
        .map(|it| format!("may not contain '{it}'"))
        .collect()
}

fn check_subresource(
    definition: &ResourceDefinition,
    info: &RequestInfo,
    method: &Method,
) -> Result<()> {
    let version = definition.served(&info.version);
    let is_served = version.is_some_and(|it| match info.subresource.as_str() {
        "status" => it.has_status,
        SCALE => it.scale.is_some(),
        _ => false,
    });
    let resource = definition.group_resource();
    match definition.object_model {
        ObjectModel::Typed => {
            let has_scope = !definition.is_namespaced() || !info.namespace.is_empty();
            if !is_served || !has_scope || info.has_verb_in_path || !info.rest.is_empty() {
                return Err(status::resource_not_found());
            }
            if !matches!(*method, Method::GET | Method::PUT | Method::PATCH) {
                return Err(no_such_route());
            }
        }
        ObjectModel::Custom => {
            if !is_served {
                return Err(status::not_found(&resource, &info.name));
            }
            if !matches!(info.verb.as_str(), "get" | "update" | "patch") {
                return Err(status::method_not_allowed(&resource, &info.verb));
            }
        }
    }
    Ok(())
}

fn no_such_route() -> Box<Status> {
    let text = "the server does not allow this method on the requested resource";
    let mut status = Status::failure(405, "MethodNotAllowed", text);
    status.details = Some(status::Details::default());
    status
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use expect_test::{Expect, expect};

    use super::*;
    use crate::endpoints::testing::{anchors, yard};

    /// What comes of a request for a path below the version, `CODE message` or `ok`.
    fn outcome(definition: &ResourceDefinition, request: &str, accept: &str) -> String {
        let (method, path) = request.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let version = &definition.versions[0].name;
        let target = format!("/apis/{}/{version}/{path}", definition.group);
        let info = RequestInfo::parse(&method, &target.parse().unwrap()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(http::header::ACCEPT, accept.parse().unwrap());
        match check_route(definition, &info, &method, &headers) {
            Ok(()) => "ok".into(),
            Err(status) => format!("{} {}", status.code, status.message),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "as expect-test is used")]
    #[track_caller]
    fn check(definition: &ResourceDefinition, requests: &[&str], expected: Expect) {
        let lines = requests
            .iter()
            .map(|it| format!("{it}: {}\n", outcome(definition, it, "*/*")));
        expected.assert_eq(&lines.collect::<String>());
    }

    const REQUESTS: &[&str] = &[
        "GET namespaces/n/cargos",
        "GET cargos",
        "POST cargos",
        "POST namespaces/n/cargos",
        "POST namespaces/n/cargos/a",
        "PUT namespaces/n/cargos",
        "DELETE namespaces/n/cargos",
        "DELETE cargos",
        "HEAD namespaces/n/cargos/a",
        "GET namespaces/n/cargos/a",
        "GET namespaces/n/cargos/..",
        "GET cargos/a",
        "GET cargos?fieldSelector=metadata.name%3Da",
        "GET watch/cargos",
        "GET watch/namespaces/n/cargos/a",
        "GET watch/cargos/a",
        "POST watch/cargos",
        "GET proxy/cargos/a",
        "GET namespaces/n/cargos/a/status",
        "GET namespaces/n/cargos/a/b",
    ];

    #[test]
    fn typed_resources_have_a_route_for_each_path_and_method() {
        check(
            &yard()[0],
            REQUESTS,
            expect![[r#"
                GET namespaces/n/cargos: ok
                GET cargos: ok
                POST cargos: 405 the server does not allow this method on the requested resource
                POST namespaces/n/cargos: ok
                POST namespaces/n/cargos/a: 405 the server does not allow this method on the requested resource
                PUT namespaces/n/cargos: 405 the server does not allow this method on the requested resource
                DELETE namespaces/n/cargos: ok
                DELETE cargos: 405 the server does not allow this method on the requested resource
                HEAD namespaces/n/cargos/a: 405 the server does not allow this method on the requested resource
                GET namespaces/n/cargos/a: ok
                GET namespaces/n/cargos/..: 400 Name parameter invalid: "..": may not be '..'
                GET cargos/a: 404 the server could not find the requested resource
                GET cargos?fieldSelector=metadata.name%3Da: ok
                GET watch/cargos: ok
                GET watch/namespaces/n/cargos/a: ok
                GET watch/cargos/a: 404 the server could not find the requested resource
                POST watch/cargos: 405 the server does not allow this method on the requested resource
                GET proxy/cargos/a: 404 the server could not find the requested resource
                GET namespaces/n/cargos/a/status: 404 the server could not find the requested resource
                GET namespaces/n/cargos/a/b: 404 the server could not find the requested resource
            "#]],
        );
    }

    #[test]
    fn custom_resources_have_one_handler_for_all() {
        let requests: Vec<String> = REQUESTS
            .iter()
            .map(|it| it.replace("cargos", "anchors"))
            .collect();
        let requests: Vec<&str> = requests.iter().map(String::as_str).collect();
        check(
            &anchors(),
            &requests,
            expect![[r#"
                GET namespaces/n/anchors: ok
                GET anchors: ok
                POST anchors: ok
                POST namespaces/n/anchors: ok
                POST namespaces/n/anchors/a: ok
                PUT namespaces/n/anchors: 400 name must be provided
                DELETE namespaces/n/anchors: ok
                DELETE anchors: ok
                HEAD namespaces/n/anchors/a: ok
                GET namespaces/n/anchors/a: ok
                GET namespaces/n/anchors/..: 400 Name parameter invalid: "..": may not be '..'
                GET anchors/a: ok
                GET anchors?fieldSelector=metadata.name%3Da: ok
                GET watch/anchors: ok
                GET watch/namespaces/n/anchors/a: ok
                GET watch/anchors/a: ok
                POST watch/anchors: ok
                GET proxy/anchors/a: 405 proxy is not supported on resources of kind "anchors.pier.example.com"
                GET namespaces/n/anchors/a/status: ok
                GET namespaces/n/anchors/a/b: 404 anchors.pier.example.com "a" not found
            "#]],
        );
    }

    #[test]
    fn routes_look_at_the_types_of_accept_alone() {
        let cargos = &yard()[0];
        for (accept, is_produced) in [
            ("*/*", true),
            ("text/html, application/json;q=0", true),
            ("application/yaml;as=x", true),
            ("application/*", false),
            ("*", false),
            ("text/html", false),
        ] {
            let outcome = outcome(cargos, "GET namespaces/n/cargos/a", accept);
            assert_eq!(outcome == "ok", is_produced, "{accept}: {outcome}");
        }
        expect![[r#"
            406 406: Not Acceptable

            Available representations: application/json, application/yaml, application/vnd.kubernetes.protobuf, application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"#]].assert_eq(&outcome(cargos, "GET cargos", "text/html"));
        let anchors = anchors();
        assert_eq!(outcome(&anchors, "GET anchors", "text/html"), "ok");
    }

    #[test]
    fn texts_of_the_chain_cannot_break_out() {
        let uri: Uri = "/apis/g/v1/watch?a=b&c=%22".parse().unwrap();
        let response = unreadable(UnreadablePath::NoResource, &uri);
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let response = unreadable(UnreadablePath::Encoding, &uri);
        assert_eq!(response.status(), 400);
    }
}
