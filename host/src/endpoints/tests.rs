//! The chain through a socket: which of its errors wins, and what each of them looks like.

use std::sync::{Mutex, mpsc};

use bytes::Bytes;
use expect_test::{Expect, expect};
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;

use super::*;
use crate::admission::EveryNamespace;
use crate::api::UserInfo;
use crate::authentication::DelegatedConfig;
use crate::registry::store::read::tests::fixture::Fixture;
use crate::serving::Limits;
use crate::serving::testing::{Client, SOON, TestServer, soon};

/// Decides by the object's name.
#[derive(Default)]
struct Rules {
    is_hanging: Notify,
    go_on: Notify,
    /// Once it is known, e.g. to a delete that goes on, whether others were answered meanwhile.
    were_answered: Mutex<Option<mpsc::Receiver<()>>>,
}

#[async_trait]
impl Authorizer for Rules {
    async fn authorize(&self, _: &UserInfo, request: &RequestInfo) -> anyhow::Result<Decision> {
        if request.verb == "unsafe-delete-ignore-read-errors" {
            let others = self.were_answered.lock().expect("nobody panics").take();
            if let Some(others) = others {
                // Holds its thread, as something does that computes.
                others.recv_timeout(SOON).expect("others are answered");
            }
            return Ok(Decision::Deny {
                reason: "no rule".into(),
            });
        }
        match request.name.as_str() {
            "denied" => Ok(Decision::Deny {
                reason: "no <rule> allows it".into(),
            }),
            "unknown" => anyhow::bail!("the cluster is <away>"),
            "panics" => panic!("a test's authorizer"),
            "hangs" => {
                self.is_hanging.notify_one();
                self.go_on.notified().await;
                Ok(Decision::Allow)
            }
            _ => Ok(Decision::Allow),
        }
    }
}

struct Chain {
    server: TestServer,
    rules: Arc<Rules>,
    _draining: watch_channel::Sender<bool>,
}

impl Chain {
    async fn start(allow_anonymous: bool, is_complete: bool) -> Self {
        let it = Fixture::new().await;
        it.put("n/a", "red").await;
        let rules = Arc::new(Rules::default());
        let (sender, draining) = watch_channel::channel(false);
        let config = Arc::new(ArcSwap::from_pointee(DelegatedConfig::default()));
        let api = Api {
            served: Arc::new(ArcSwap::from_pointee(Served {
                registry: Registry::new([Arc::clone(&it.store)]),
                documents: discovery::Documents::build(Vec::new()),
                is_complete,
            })),
            authenticators: Arc::new(Authenticators::new(config, None, allow_anonymous)),
            authorizer: Arc::clone(&rules) as _,
            namespaces: Arc::new(EveryNamespace),
            flow_control: FlowControl::with_seats(1, 1),
            health: Arc::new(health::Health::new(Arc::new(Vec::new))),
            metrics: Arc::default(),
            elsewhere: Arc::new(|it| it.group == "elsewhere"),
            draining,
        };
        Self {
            server: TestServer::start(api, Limits::default()),
            rules,
            _draining: sender,
        }
    }

    /// The connection of a stranger ends with its answer.
    async fn client(&self) -> Client {
        self.server.connect("http/1.1", None).await
    }

    /// Status, those headers that clients act upon, and the body.
    async fn check(&self, path: &str, expected: Expect) {
        self.check_as(Method::GET, path, expected).await;
    }

    async fn check_as(&self, method: Method, path: &str, expected: Expect) {
        let mut client = self.client().await;
        let response = soon(client.send_as(method, path, HeaderMap::new())).await;
        let response = response.expect("an answer");
        let mut shown = format!("{}\n", response.status().as_u16());
        for name in ["content-type", "retry-after", "x-content-type-options"] {
            if let Some(value) = response.headers().get(name) {
                shown += &format!("{name}: {}\n", value.to_str().expect("text"));
            }
        }
        assert!(response.headers().contains_key("audit-id"), "{shown}");
        let body = soon(response.into_body().collect()).await.expect("a body");
        shown += &String::from_utf8_lossy(&body.to_bytes());
        expected.assert_eq(&shown);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_computes_holds_up_no_other_request_of_its_connection() {
    let chain = Chain::start(true, true).await;
    let (tell, told) = mpsc::channel();
    *chain.rules.were_answered.lock().expect("nobody panics") = Some(told);
    let stream = chain.server.handshake("h2", None).await;
    let io = TokioIo::new(stream.expect("a handshake"));
    let handshake = http2::handshake(TokioExecutor::new(), io).await;
    let (mut client, connection) = handshake.expect("HTTP/2");
    tokio::spawn(async move { drop(connection.await) });
    let mut ask = |method: Method, path: &str| {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = method;
        *request.uri_mut() = format!("https://localhost{path}").parse().expect("a URI");
        client.send_request(request)
    };

    let unsafe_delete = "ignoreStoreReadErrorWithClusterBreakingPotential=true";
    let computes = ask(Method::DELETE, &format!("{ANCHORS}/a?{unsafe_delete}"));
    let other = ask(Method::GET, "/livez");
    let other = soon(other).await.expect("an answer");
    assert_eq!(other.status(), StatusCode::OK);
    tell.send(()).expect("the delete still computes");
    let computed = soon(computes).await.expect("an answer");
    assert_eq!(computed.status(), StatusCode::FORBIDDEN);
}

const ANCHORS: &str = "/apis/g/v1/namespaces/n/anchors";

#[tokio::test]
async fn errors_of_the_chain_look_as_upstreams_do() {
    let chain = Chain::start(true, true).await;
    chain
        .check(&format!("{ANCHORS}/denied"), expect![[r#"
            403
            content-type: application/json
            x-content-type-options: nosniff
            {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"anchors.g \"denied\" is forbidden: User \"system:anonymous\" cannot get resource \"anchors\" in API group \"g\" in the namespace \"n\": no <rule> allows it","reason":"Forbidden","details":{"name":"denied","group":"g","kind":"anchors"},"code":403}
        "#]])
        .await;
    chain
        .check(&format!("{ANCHORS}/unknown?x=%22&y"), expect![[r#"
            500
            content-type: text/plain; charset=utf-8
            x-content-type-options: nosniff
            Internal Server Error: "/apis/g/v1/namespaces/n/anchors/unknown?x=%22&amp;y": the cluster is &lt;away&gt;
        "#]])
        .await;
    chain
        .check(
            &format!("{ANCHORS}/panics"),
            expect![[r#"
            500
            content-type: text/plain; charset=utf-8
            x-content-type-options: nosniff
            This request caused apiserver to panic. Look in the logs for details.
        "#]],
        )
        .await;
    chain
        .check(
            &format!("{ANCHORS}/a?timeout=10ms&resourceVersion=1000000"),
            expect![[r#"
                504
                content-type: application/json
                {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout","details":{},"code":504}
            "#]],
        )
        .await;
    chain.check("/apis/nope/v1/things", expect![[r#"
        404
        content-type: application/json
        {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the requested resource","reason":"NotFound","details":{},"code":404}
    "#]]).await;
}

#[tokio::test]
async fn strangers_are_told_nothing() {
    let chain = Chain::start(false, true).await;
    chain
        .check(&format!("{ANCHORS}/denied"), expect![[r#"
            401
            content-type: application/json
            {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}
        "#]])
        .await;
    // What is wrong with the deadline is found before that, as upstream.
    chain
        .check(&format!("{ANCHORS}?timeout=x"), expect![[r#"
            400
            content-type: application/json
            {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"invalid timeout specified in the request URL - time: invalid duration \"x\"","reason":"BadRequest","code":400}
        "#]])
        .await;
}

/// The right to delete is not enough.
#[tokio::test]
async fn what_cannot_be_read_is_removed_by_those_alone_who_may() {
    let chain = Chain::start(true, true).await;
    let path = format!("{ANCHORS}/a?ignoreStoreReadErrorWithClusterBreakingPotential=true");
    chain.check_as(Method::DELETE, &path, expect![[r#"
        403
        content-type: application/json
        {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"anchors.g \"a\" is forbidden: not permitted to do \"unsafe-delete-ignore-read-errors\", reason: no rule","reason":"Forbidden","details":{"name":"a","group":"g","kind":"anchors"},"code":403}
    "#]]).await;
}

#[tokio::test]
async fn what_another_replica_serves_is_not_gone() {
    let chain = Chain::start(true, true).await;
    for path in ["/apis/elsewhere/v1/things", "/apis/elsewhere/v1"] {
        chain.check(path, expect![[r#"
            503
            content-type: application/json
            retry-after: 5
            {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the request has been made before all known HTTP paths have been installed, please try again","reason":"ServiceUnavailable","details":{"retryAfterSeconds":5},"code":503}
        "#]]).await;
    }
}

#[tokio::test]
async fn what_is_not_loaded_yet_may_come() {
    let chain = Chain::start(true, false).await;
    chain.check("/apis/nope/v1/things", expect![[r#"
        503
        content-type: application/json
        retry-after: 5
        {"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the request has been made before all known HTTP paths have been installed, please try again","reason":"ServiceUnavailable","details":{"retryAfterSeconds":5},"code":503}
    "#]]).await;
}

/// 429 comes before 403, and in text.
#[tokio::test]
async fn those_who_find_no_seat_may_come_again() {
    let chain = Chain::start(true, true).await;
    let mut first = chain.client().await;
    let hanging = tokio::spawn(async move { first.get(&format!("{ANCHORS}/hangs")).await });
    soon(chain.rules.is_hanging.notified()).await;
    chain
        .check(
            &format!("{ANCHORS}/denied"),
            expect![[r#"
            429
            content-type: text/plain; charset=utf-8
            retry-after: 1
            x-content-type-options: nosniff
            Too many requests, please try again later.
        "#]],
        )
        .await;
    // Watches need none.
    let mut client = chain.client().await;
    let path = format!("{ANCHORS}?watch=1&timeoutSeconds=1&resourceVersion=1000000");
    let (code, events) = soon(client.get(&path)).await.expect("an answer");
    assert_eq!((code.as_u16(), events.as_str()), (200, ""));
    chain.rules.go_on.notify_one();
    let (code, _) = soon(hanging).await.expect("no panic").expect("an answer");
    assert_eq!(code, StatusCode::NOT_FOUND);
}

#[test]
fn warnings_are_cut_where_there_are_too_many() {
    let sent = |warnings: &[String]| {
        let mut headers = HeaderMap::new();
        add_warnings(&mut headers, warnings.iter());
        let sent = headers.get_all(http::header::WARNING).iter();
        sent.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned())
            .collect::<Vec<_>>()
    };
    let few = ["a \"b\" \\c", "", "é", "é", "bad\u{1}"].map(str::to_owned);
    assert_eq!(sent(&few), [r#"299 - "a \"b\" \\c""#, "299 - \"é\""]);

    let many: Vec<String> = (0..40)
        .map(|it| format!("{it:02}{}", "é".repeat(398)))
        .collect();
    let cut = sent(&many);
    assert_eq!(cut.len(), 16);
    for text in &cut {
        assert_eq!(text.chars().count(), "299 - \"\"".len() + 256);
    }
    // Up to 4096 characters nothing is cut.
    assert_eq!(
        sent(&many[..10])[9].chars().count(),
        "299 - \"\"".len() + 400
    );
}
