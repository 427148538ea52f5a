//! Answers of whole handlers, as their clients read them.

use expect_test::{Expect, expect};
use http::HeaderMap;
use http_body_util::BodyExt;

use crate::admission::EveryNamespace;
use crate::api::RequestInfo;
use crate::api::status::Result;
use crate::endpoints::request::ResourceRequest;
use crate::endpoints::{get, list, watch};
use crate::metrics::{InFlight, Metrics};
use crate::registry::definition::ObjectModel;
use crate::registry::store::read::tests::fixture::{Fixture, PREFIX};
use crate::serving::{Body, ConnectionInfo};
use std::sync::Arc;

mod shared_watches;

const TABLE: &str = "application/json;as=Table;g=meta.k8s.io;v=v1";

const PARTIAL: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

fn request(it: &Fixture, path: &str, accept: &str) -> ResourceRequest {
    let uri: http::Uri = format!("/apis/g/{path}").parse().expect("a path");
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT, accept.parse().expect("a value"));
    headers.insert(
        http::header::ACCEPT_ENCODING,
        "gzip".parse().expect("a value"),
    );
    let query = uri.query().unwrap_or_default().as_bytes();
    let (stop, draining) = tokio::sync::watch::channel(false);
    // Kept for as long as the process: a server's signal outlives its requests.
    std::mem::forget(stop);
    ResourceRequest {
        info: Arc::new(RequestInfo::parse(&http::Method::GET, &uri).expect("a path")),
        query: form_urlencoded::parse(query).into_owned().collect(),
        headers,
        context: it.context.clone(),
        store: Arc::clone(&it.store),
        body: None,
        deprecation: None,
        upgrade: None,
        warnings: vec![],
        draining,
    }
}

async fn answer(it: &Fixture, path: &str, accept: &str) -> Result<http::Response<Body>> {
    let mut request = request(it, path, accept);
    match request.info.verb.as_str() {
        "get" => get::get(&mut request).await,
        "list" => list::list(&mut request, &EveryNamespace).await,
        "watch" => watched(&mut request).await,
        other => unreachable!("{other}"),
    }
}

async fn watched(request: &mut ResourceRequest) -> Result<http::Response<Body>> {
    // Frames of a watch are compressed one by one; these tests read the text.
    request.headers.remove(http::header::ACCEPT_ENCODING);
    let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let connection = ConnectionInfo::new(peer, vec![], false);
    let open = opened(request);
    watch::watch(request, &connection, open).await
}

fn opened(request: &ResourceRequest) -> InFlight {
    Metrics::default().begin_watch(&request.info)
}

async fn body(response: http::Response<Body>) -> Vec<u8> {
    let collected = response.into_body().collect().await.expect("infallible");
    collected.to_bytes().to_vec()
}

#[track_caller]
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

async fn check(it: &Fixture, path: &str, accept: &str, expected: Expect) {
    let shown = match answer(it, path, accept).await {
        Ok(response) => text(&body(response).await).to_owned(),
        Err(status) => format!("{} {}: {}", status.code, status.reason, status.message),
    };
    expected.assert_eq(&shown);
}

/// Lists are written when they are sent: what their head says of them is counted before.
#[tokio::test]
async fn lists_are_as_long_as_they_say() {
    for object_model in [ObjectModel::Custom, ObjectModel::Typed] {
        let it = Fixture::of(object_model).await;
        for count in [0, 1, 300] {
            for number in it.cache.snapshot().range(PREFIX, "").count()..count {
                // Some are longer than a frame.
                let label = "x".repeat(if number % 50 == 3 { 50_000 } else { 200 });
                it.put(&format!("n/a{number:03}"), &label).await;
            }
            for path in [
                "v1/anchors",
                "v2/anchors",
                "v1/anchors?limit=7",
                "v1/anchors?includeObject=Object",
                "v2/anchors?includeObject=Object",
                "v1/anchors?includeObject=None",
            ] {
                for accept in [
                    "*/*",
                    PARTIAL_LIST,
                    TABLE,
                    "application/json;as=Table;g=meta.k8s.io;v=v1;pretty=1",
                ] {
                    let mut request = request(&it, path, accept);
                    request.headers.remove(http::header::ACCEPT_ENCODING);
                    let answer = list::list(&mut request, &EveryNamespace).await;
                    let answer = answer.expect("a list");
                    let length = http_body::Body::size_hint(answer.body()).exact();
                    let sent = body(answer).await;
                    assert_eq!(length, Some(sent.len() as u64), "{path} {accept}");
                    let list: serde_json::Value = serde_json::from_slice(&sent).expect("JSON");
                    let items = list.get("items").or(list.get("rows")).expect("items");
                    let limit = if path.ends_with('7') { 7 } else { count };
                    let found = items.as_array().map_or(0, Vec::len);
                    assert_eq!(found, count.min(limit), "{path} {accept}");
                }
            }
        }
    }
}

#[tokio::test]
async fn rows_are_made_once_and_age() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    let first = body(answer(&it, "v2/anchors", TABLE).await.expect("a table")).await;
    let calls = it.strategy.calls.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(calls, 1, "the row is of the version that was asked for");
    let again = body(answer(&it, "v2/anchors", TABLE).await.expect("a table")).await;
    assert_eq!(text(&again), text(&first));
    it.put("n/a", "blue").await;
    let changed = body(answer(&it, "v2/anchors", TABLE).await.expect("a table")).await;
    assert!(text(&changed).contains("blue"));
}

#[tokio::test]
async fn shows_custom_objects_as_they_are_stored() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    check(
        &it,
        "v1/namespaces/n/anchors/a",
        "*/*",
        expect![[r#"
            {"apiVersion":"g/v1","kind":"Anchor","metadata":{"resourceVersion":"2","labels":{"color":"red"},"name":"a","namespace":"n"},"spec":{"color":"red"}}
        "#]],
    )
    .await;
    check(
        &it,
        "v2/namespaces/n/anchors",
        "*/*",
        expect![[r#"
            {"kind":"AnchorList","apiVersion":"g/v2","metadata":{"continue":"","resourceVersion":"2"},"items":[{"apiVersion":"g/v2","kind":"Anchor","metadata":{"resourceVersion":"2","labels":{"color":"red"},"name":"a","namespace":"n"},"spec":{"color":"red"}}]}
        "#]],
    )
    .await;
    check(
        &it,
        "v1/namespaces/none/anchors",
        "*/*",
        expect![[r#"
            {"kind":"AnchorList","apiVersion":"g/v1","metadata":{"continue":"","resourceVersion":"2"},"items":[]}
        "#]],
    )
    .await;
    check(
        &it,
        "v1/namespaces/n/anchors/a",
        "application/yaml",
        expect![[r#"
            apiVersion: g/v1
            kind: Anchor
            metadata:
              labels:
                color: red
              name: a
              namespace: "n"
              resourceVersion: "2"
            spec:
              color: red
        "#]],
    )
    .await;
}

#[tokio::test]
async fn items_of_typed_lists_have_no_type() {
    let it = Fixture::of(ObjectModel::Typed).await;
    it.put("n/a", "red").await;
    it.put("n/b", "red").await;
    check(
        &it,
        "v1/anchors?limit=1",
        "*/*",
        expect![[r#"
            {"kind":"AnchorList","apiVersion":"g/v1","metadata":{"continue":"eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6Mywic3RhcnQiOiJuL2FcdTAwMDAifQ","remainingItemCount":1,"resourceVersion":"3"},"items":[{"metadata":{"resourceVersion":"2","labels":{"color":"red"},"name":"a","namespace":"n"},"spec":{"color":"red"}}]}
        "#]],
    )
    .await;
    check(
        &it,
        "v1/namespaces/n/anchors/a",
        PARTIAL_LIST,
        expect!["406 NotAcceptable: you requested PartialObjectMetadataList, but the requested object is not a list (*g.Anchor)"],
    )
    .await;
    check(
        &it,
        "v1/anchors",
        PARTIAL,
        expect!["406 NotAcceptable: you requested PartialObjectMetadata, but the requested object is a list (*g.AnchorList)"],
    )
    .await;
}

#[tokio::test]
async fn cuts_metadata_out_of_objects_that_cannot_be_converted() {
    let it = Fixture::new().await;
    it.put("n/a", "bad").await;
    it.put("n/b", "red").await;
    check(
        &it,
        "v2/anchors",
        "*/*",
        expect!["500 InternalError: Internal error occurred: bad"],
    )
    .await;
    check(
        &it,
        "v2/namespaces/n/anchors/a",
        PARTIAL,
        expect![[r#"
            {"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"2","labels":{"color":"bad"},"name":"a","namespace":"n"}}
        "#]],
    )
    .await;
    check(
        &it,
        "v2/anchors",
        PARTIAL_LIST,
        expect![[r#"
            {"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"3"},"items":[{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"2","labels":{"color":"bad"},"name":"a","namespace":"n"}},{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"3","labels":{"color":"red"},"name":"b","namespace":"n"}}]}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn shows_tables_with_the_metadata_of_their_objects() {
    let it = Fixture::of(ObjectModel::Typed).await;
    let rows = async |path: &str| {
        let answer = answer(&it, path, TABLE).await.expect("a table");
        let table: serde_json::Value = serde_json::from_slice(&body(answer).await).expect("JSON");
        assert_eq!(table["columnDefinitions"][1]["name"], "Created At");
        table["rows"].to_string()
    };
    assert_eq!(rows("v1/anchors").await, "null");
    it.put("n/a", "red").await;
    expect![[r#"[{"cells":["a",null],"object":{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":{"labels":{"color":"red"},"name":"a","namespace":"n","resourceVersion":"2"}}}]"#]]
        .assert_eq(&rows("v1/anchors").await);
    expect![[r#"[{"cells":["a",null],"object":null}]"#]]
        .assert_eq(&rows("v1/namespaces/n/anchors/a?includeObject=None").await);
    check(
        &it,
        "v1/anchors?includeObject=Nope",
        TABLE,
        expect!["400 BadRequest: Unable to convert to Table as requested: includeObject: Invalid value: \"Nope\": must be 'Metadata', 'Object', 'None', or empty"],
    )
    .await;

    let path = "v1/anchors?watch=1&allowWatchBookmarks=true&includeObject=None";
    let mut events = answer(&it, path, TABLE).await.expect("a watch").into_body();
    let first: serde_json::Value = serde_json::from_str(&next(&mut events).await).expect("JSON");
    assert!(first["object"]["columnDefinitions"].is_array());
    // The end of the state is an annotation: it is shown whatever the client includes.
    expect![[r#"
        {"type":"BOOKMARK","object":{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"2"},"columnDefinitions":null,"rows":[{"cells":["",null],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"annotations":{"k8s.io/initial-events-end":"true"},"resourceVersion":"2"}}}]}}
    "#]]
    .assert_eq(&next(&mut events).await);
}

#[tokio::test]
async fn lists_metadata_as_protobuf() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    let accept =
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let answer = answer(&it, "v1/anchors", accept).await.expect("a list");
    assert_eq!(
        answer.headers()["content-type"],
        "application/vnd.kubernetes.protobuf"
    );
    let head = b"k8s\0\x0a\x2b\x0a\x0emeta.k8s.io/v1\x12\x19PartialObjectMetadataList";
    let sent = body(answer).await;
    // The lengths of what is inside are checked by the messages' own tests; here it is what stands around.
    assert!(sent.starts_with(head), "{sent:?}");
    let raw = &sent[head.len()..];
    assert_eq!(raw[0], 0x12);
    assert_eq!(usize::from(raw[1]), raw.len() - 2);
    assert!(raw[2..].starts_with(b"\x0a\x03\x12\x012\x12"), "{raw:?}");
}

#[tokio::test]
async fn compresses_long_lists() {
    let it = Fixture::new().await;
    for at in 0..1500 {
        it.put(&format!("n/{at:04}"), "red").await;
    }
    let answer = answer(&it, "v1/anchors", "*/*").await.expect("a list");
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "Accept-Encoding");
    let sent = body(answer).await;
    let list: serde_json::Value =
        serde_json::from_reader(flate2::read::GzDecoder::new(sent.as_slice())).expect("JSON");
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1500));
}

#[tokio::test]
async fn watches_tell_the_end_of_the_state_and_what_follows() {
    let it = Fixture::of(ObjectModel::Typed).await;
    it.put("n/a", "red").await;
    let path = "v1/anchors?watch=1&allowWatchBookmarks=true&sendInitialEvents=true\
        &resourceVersionMatch=NotOlderThan";
    let mut events = answer(&it, path, "*/*").await.expect("a watch").into_body();
    let added = r#"{"type":"ADDED","object":{"apiVersion":"g/v1","kind":"Anchor","metadata":{"resourceVersion":"2","labels":{"color":"red"},"name":"a","namespace":"n"},"spec":{"color":"red"}}}"#;
    assert_eq!(next(&mut events).await, format!("{added}\n"));
    expect![[r#"
        {"type":"BOOKMARK","object":{"apiVersion":"g/v1","kind":"Anchor","metadata":{"annotations":{"k8s.io/initial-events-end":"true"},"resourceVersion":"2"},"status":{}}}
    "#]]
    .assert_eq(&next(&mut events).await);
    it.put("n/b", "red").await;
    it.delete("n/a").await;
    // Both at once: they waited together.
    expect![[r#"
        {"type":"ADDED","object":{"apiVersion":"g/v1","kind":"Anchor","metadata":{"resourceVersion":"3","labels":{"color":"red"},"name":"b","namespace":"n"},"spec":{"color":"red"}}}
        {"type":"DELETED","object":{"apiVersion":"g/v1","kind":"Anchor","metadata":{"resourceVersion":"4","labels":{"color":"red"},"name":"a","namespace":"n"},"spec":{"color":"red"}}}
    "#]]
    .assert_eq(&next(&mut events).await);
    it.cache.close();
    assert!(events.frame().await.is_none());
}

#[tokio::test]
async fn watches_go_on_past_objects_that_cannot_be_converted() {
    let it = Fixture::new().await;
    it.put("n/a", "bad").await;
    it.put("n/b", "red").await;
    let path = "v2/anchors?watch=1&resourceVersion=1";
    let mut events = answer(&it, path, "*/*").await.expect("a watch").into_body();
    expect![[r#"
        {"type":"ADDED","object":{"apiVersion":"g/v2","kind":"Anchor","metadata":{"resourceVersion":"3","labels":{"color":"red"},"name":"b","namespace":"n"},"spec":{"color":"red"}}}
    "#]]
    .assert_eq(&next(&mut events).await);
    it.delete("n/a").await;
    expect![[r#"
        {"type":"DELETED","object":{"apiVersion":"g/v2","kind":"Anchor","metadata":{"resourceVersion":"4","labels":{"color":"bad"},"name":"a","namespace":"n"}}}
    "#]]
    .assert_eq(&next(&mut events).await);
}

#[tokio::test]
async fn watches_from_a_forgotten_revision_say_so_and_end() {
    use crate::storage::{Revision, Sink};
    let it = Fixture::unloaded(ObjectModel::Custom);
    it.cache.load(vec![], vec![], Revision(10), Revision(10));
    let path = "v1/anchors?watch=1&resourceVersion=3";
    check(
        &it,
        path,
        "*/*",
        expect![[r#"
            {"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version: 3 (10)","reason":"Expired","code":410}}
        "#]],
    )
    .await;
}

#[tokio::test]
async fn watches_of_metadata_are_framed_as_protobuf() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    let accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
    let answer = answer(&it, "v1/anchors?watch=1", accept)
        .await
        .expect("a watch");
    assert_eq!(
        answer.headers()["content-type"],
        "application/vnd.kubernetes.protobuf;stream=watch"
    );
    let frame = answer
        .into_body()
        .frame()
        .await
        .expect("a frame")
        .expect("infallible");
    let frame = frame.into_data().expect("data");
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
    assert_eq!(frame.len(), length as usize + 4);
    assert!(frame[4..].starts_with(b"\x0a\x05ADDED\x12"));
}

#[tokio::test]
async fn a_draining_server_ends_its_watches() {
    let it = Fixture::new().await;
    let mut request = request(&it, "v1/anchors?watch=1&resourceVersion=1", "*/*");
    let (stop, draining) = tokio::sync::watch::channel(false);
    request.draining = draining;
    let mut events = watched(&mut request).await.expect("a watch").into_body();
    stop.send_replace(true);
    assert!(events.frame().await.is_none());
}

async fn next(events: &mut Body) -> String {
    let frame = events.frame().await.expect("a frame").expect("infallible");
    text(&frame.into_data().expect("data")).to_owned()
}

#[test]
fn indents_as_go_does() {
    let json = br#"{"b":[],"a":{},"c":[1,{"d":"x\\\"{,:"},null]}"#;
    expect![[r#"
        {
          "b": [],
          "a": {},
          "c": [
            1,
            {
              "d": "x\\\"{,:"
            },
            null
          ]
        }"#]]
    .assert_eq(text(&super::indented(json)));
}
