//! The shapes are those of recorded answers of k8s.io/sample-apiserver and of kube-apiserver.

use expect_test::{Expect, expect};
use http::{HeaderValue, header};
use http_body_util::BodyExt;

use super::*;
use crate::endpoints::testing::{anchors, yard};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn documents() -> Documents {
    let mut definitions = yard();
    definitions.push(anchors());
    Documents::build(definitions.into_iter().map(Arc::new).collect())
}

fn get(path: &str, headers: &[(header::HeaderName, &str)]) -> http::Response<Body> {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value")))
        .collect();
    let uri: Uri = path.parse().expect("a path");
    let answer = documents().answer(&Method::GET, &uri, &headers);
    match answer.expect("a document") {
        Ok(response) => response,
        Err(status) => response::status(&headers, "", &status),
    }
}

/// Status line, headers that clients read, and the body.
async fn show(response: http::Response<Body>) -> String {
    let (parts, body) = response.into_parts();
    let mut out = format!("{}\n", parts.status.as_u16());
    for name in ["content-type", "cache-control", "vary"] {
        if let Some(value) = parts.headers.get(name) {
            out += &format!("{name}: {}\n", value.to_str().expect("ASCII"));
        }
    }
    let bytes = body.collect().await.expect("infallible").to_bytes();
    out + &String::from_utf8_lossy(&bytes)
}

#[track_caller]
fn check(response: http::Response<Body>, expected: Expect) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    expected.assert_eq(&runtime.block_on(show(response)));
}

#[test]
fn lists_groups_with_the_preferred_version_first() {
    check(
        get("/apis", &[]),
        expect![[r#"
            200
            content-type: application/json
            cache-control: no-cache, private
            {"groups":[{"name":"pier.example.com","preferredVersion":{"groupVersion":"pier.example.com/v1","version":"v1"},"serverAddressByClientCIDRs":[{"clientCIDR":"0.0.0.0/0","serverAddress":""}],"versions":[{"groupVersion":"pier.example.com/v1","version":"v1"}]},{"name":"yard.example.com","preferredVersion":{"groupVersion":"yard.example.com/v1beta1","version":"v1beta1"},"serverAddressByClientCIDRs":[{"clientCIDR":"0.0.0.0/0","serverAddress":""}],"versions":[{"groupVersion":"yard.example.com/v1beta1","version":"v1beta1"},{"groupVersion":"yard.example.com/v1alpha1","version":"v1alpha1"}]}],"kind":"APIGroupList"}
        "#]],
    );
    check(
        get("/apis/yard.example.com/?pretty=1", &[]),
        expect![[r#"
            200
            content-type: application/json
            cache-control: no-cache, private
            {
              "apiVersion": "v1",
              "kind": "APIGroup",
              "name": "yard.example.com",
              "preferredVersion": {
                "groupVersion": "yard.example.com/v1beta1",
                "version": "v1beta1"
              },
              "versions": [
                {
                  "groupVersion": "yard.example.com/v1beta1",
                  "version": "v1beta1"
                },
                {
                  "groupVersion": "yard.example.com/v1alpha1",
                  "version": "v1alpha1"
                }
              ]
            }"#]],
    );
}

#[test]
fn lists_resources_as_servers_of_their_kind_do() {
    check(
        get("/apis/yard.example.com/v1alpha1", &[]),
        expect![[r#"
            200
            content-type: application/json
            cache-control: no-cache, private
            {"apiVersion":"v1","groupVersion":"yard.example.com/v1alpha1","kind":"APIResourceList","resources":[{"kind":"Barge","name":"barges","namespaced":false,"singularName":"barge","storageVersionHash":"mQLEkUnckVM=","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]},{"kind":"Cargo","name":"cargos","namespaced":true,"singularName":"cargo","storageVersionHash":"FzftEo+Iaag=","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}]}
        "#]],
    );
    check(
        get("/apis/yard.example.com/v1beta1/", &[]),
        expect![[r#"
            200
            content-type: application/json
            cache-control: no-cache, private
            {"apiVersion":"v1","groupVersion":"yard.example.com/v1beta1","kind":"APIResourceList","resources":[{"kind":"Cargo","name":"cargos","namespaced":true,"singularName":"cargo","storageVersionHash":"FzftEo+Iaag=","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}]}
        "#]],
    );
    check(
        get("/apis/pier.example.com/v1", &[]),
        expect![[r#"
            200
            content-type: application/json
            cache-control: no-cache, private
            {"apiVersion":"v1","groupVersion":"pier.example.com/v1","kind":"APIResourceList","resources":[{"categories":["all"],"kind":"Anchor","name":"anchors","namespaced":true,"shortNames":["wd"],"singularName":"anchor","storageVersionHash":"lMLo4iV4pvE=","verbs":["delete","deletecollection","get","list","patch","create","update","watch"]},{"kind":"Anchor","name":"anchors/status","namespaced":true,"singularName":"","verbs":["get","patch","update"]},{"group":"autoscaling","kind":"Scale","name":"anchors/scale","namespaced":true,"singularName":"","verbs":["get","patch","update"],"version":"v1"}]}
        "#]],
    );
}

#[test]
fn tells_everything_at_once_to_those_who_ask() {
    check(
        get("/apis", &[(header::ACCEPT, AGGREGATED)]),
        expect![[r#"
            200
            content-type: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList
            cache-control: public
            vary: Accept
            {"apiVersion":"apidiscovery.k8s.io/v2","items":[{"metadata":{"name":"pier.example.com"},"versions":[{"freshness":"Current","resources":[{"categories":["all"],"resource":"anchors","responseKind":{"group":"pier.example.com","kind":"Anchor","version":"v1"},"scope":"Namespaced","shortNames":["wd"],"singularResource":"anchor","subresources":[{"responseKind":{"group":"pier.example.com","kind":"Anchor","version":"v1"},"subresource":"status","verbs":["get","patch","update"]},{"responseKind":{"group":"autoscaling","kind":"Scale","version":"v1"},"subresource":"scale","verbs":["get","patch","update"]}],"verbs":["delete","deletecollection","get","list","patch","create","update","watch"]}],"version":"v1"}]},{"metadata":{"name":"yard.example.com"},"versions":[{"freshness":"Current","resources":[{"resource":"cargos","responseKind":{"group":"","kind":"Cargo","version":""},"scope":"Namespaced","singularResource":"cargo","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}],"version":"v1beta1"},{"freshness":"Current","resources":[{"resource":"barges","responseKind":{"group":"","kind":"Barge","version":""},"scope":"Cluster","singularResource":"barge","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]},{"resource":"cargos","responseKind":{"group":"","kind":"Cargo","version":""},"scope":"Namespaced","singularResource":"cargo","verbs":["create","delete","deletecollection","get","list","patch","update","watch"]}],"version":"v1alpha1"}]}],"kind":"APIGroupDiscoveryList","metadata":{}}"#]],
    );
}

#[test]
fn falls_through_to_a_form_that_there_is() {
    let content_type = |path: &str, accept: &str| {
        let response = get(path, &[(header::ACCEPT, accept)]);
        let content_type = response.headers()[header::CONTENT_TYPE].to_str();
        content_type.expect("ASCII").to_owned()
    };
    let both = format!("{AGGREGATED},application/json");
    assert_eq!(content_type("/apis", &both), AGGREGATED);
    assert_eq!(
        content_type("/apis/yard.example.com", &both),
        "application/json"
    );
    let profile = AGGREGATED.replace("v=v2", "v=v2;profile=nopeer");
    assert_eq!(content_type("/apis", &profile), AGGREGATED);
    let beta = both.replace("v=v2", "v=v2beta1");
    assert_eq!(content_type("/apis", &beta), "application/json");
    let less = format!("{AGGREGATED};q=0.5,application/json");
    assert_eq!(content_type("/apis", &less), "application/json");
    assert_eq!(
        content_type("/apis", "application/yaml"),
        "application/yaml"
    );
    let protobuf = "application/vnd.kubernetes.protobuf";
    assert_eq!(content_type("/apis", protobuf), protobuf);
    assert_eq!(get("/apis", &[(header::ACCEPT, "text/html")]).status(), 406);
}

#[test]
fn does_not_send_what_the_client_has() {
    let first = get("/apis", &[(header::ACCEPT, AGGREGATED)]);
    let etag = first.headers()[header::ETAG]
        .to_str()
        .expect("ASCII")
        .to_owned();
    assert_eq!(etag.len(), 130);
    assert!(
        etag[1..129]
            .bytes()
            .all(|it| matches!(it, b'0'..=b'9' | b'A'..=b'F'))
    );
    let again = get(
        "/apis",
        &[(header::ACCEPT, AGGREGATED), (header::IF_NONE_MATCH, &etag)],
    );
    assert_eq!(again.headers()[header::ETAG], etag.as_str());
    check(
        again,
        expect![[r#"
        304
        cache-control: public
        vary: Accept
    "#]],
    );
    let other = get(
        "/apis",
        &[
            (header::ACCEPT, AGGREGATED),
            (header::IF_NONE_MATCH, "\"0\""),
        ],
    );
    assert_eq!(other.status(), 200);
}

#[test]
fn names_its_paths_to_those_who_are_lost() {
    check(
        get("/", &[]),
        expect![[r#"
            200
            content-type: application/json
            cache-control: no-cache, private
            {
              "paths": [
                "/apis",
                "/apis/pier.example.com",
                "/apis/pier.example.com/v1",
                "/apis/yard.example.com",
                "/apis/yard.example.com/v1alpha1",
                "/apis/yard.example.com/v1beta1",
                "/healthz",
                "/healthz/ping",
                "/livez",
                "/livez/ping",
                "/metrics",
                "/openapi/v2",
                "/openapi/v3",
                "/readyz",
                "/readyz/ping",
                "/version"
              ]
            }"#]],
    );
    assert_eq!(documents().not_found().status(), 404);
}

#[test]
fn knows_nothing_of_other_paths() {
    let documents = documents();
    for path in [
        "/nope",
        "/api",
        "/apis/nope",
        "/apis/yard.example.com/v9",
        "/apis/yard.example.com/v1alpha1/cargos",
    ] {
        let uri = path.parse().expect("a path");
        assert!(
            documents
                .answer(&Method::GET, &uri, &HeaderMap::new())
                .is_none(),
            "{path}"
        );
    }
}

#[test]
fn is_only_read() {
    let uri = "/apis".parse().expect("a path");
    let answer = documents().answer(&Method::POST, &uri, &HeaderMap::new());
    let status = answer.expect("a document").expect_err("a refusal");
    assert_eq!(
        (status.code, status.reason.as_str()),
        (405, "MethodNotAllowed")
    );
}
