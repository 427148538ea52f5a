#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use expect_test::{Expect, expect};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    Authenticators, DelegatedConfig, RequestHeaderConfig, TokenAuthenticator, TokenReview,
    TokenReviews, TrustBundle, warning,
};
use crate::api::UserInfo;
use crate::certificates::{CertificateAuthority, KeyedCertificate};
use crate::serving::Limits;
use crate::serving::testing::{TestServer, answering, soon, text};

/// Knows the token `good`.
struct Cluster;

#[async_trait]
impl TokenReviews for Cluster {
    async fn review(&self, token: &str, _: &[String]) -> anyhow::Result<TokenReview> {
        let user = UserInfo {
            name: "robot".into(),
            groups: vec!["robots".into()],
            ..UserInfo::default()
        };
        Ok(TokenReview {
            authenticated: token == "good",
            user,
            ..TokenReview::default()
        })
    }
}

/// A server that says who asks, and the CAs that it trusts.
struct Fixture {
    server: TestServer,
    config: Arc<ArcSwap<DelegatedConfig>>,
    users: CertificateAuthority,
    proxies: CertificateAuthority,
}

impl Fixture {
    fn start(allow_anonymous: bool) -> Self {
        let users = CertificateAuthority::generate("users").unwrap();
        let proxies = CertificateAuthority::generate("proxies").unwrap();
        let config = Arc::new(ArcSwap::from_pointee(trusting(&users, &proxies)));
        let tokens = TokenAuthenticator::new(Arc::new(Cluster), Vec::new()).unwrap();
        let authenticators = Arc::new(Authenticators::new(
            Arc::clone(&config),
            Some(tokens),
            allow_anonymous,
        ));
        let handler = answering(move |request, connection| {
            let authenticators = Arc::clone(&authenticators);
            async move {
                let user = authenticators
                    .authenticate(&connection, request.headers())
                    .await;
                match user {
                    Ok(user) => text(200, shown(&user)),
                    Err(status) => text(status.code, status.message),
                }
            }
        });
        Self {
            server: TestServer::start(handler, Limits::default()),
            config,
            users,
            proxies,
        }
    }

    fn proxy(&self) -> KeyedCertificate {
        self.proxies
            .issue_client("front-proxy-client", &[])
            .unwrap()
    }

    async fn ask(&self, client: Option<&KeyedCertificate>, headers: &[(&str, &str)]) -> String {
        let mut answers = Vec::new();
        for protocol in ["h2", "http/1.1"] {
            let mut client = self.server.connect(protocol, client).await;
            let (code, text) = soon(client.get_with("/", map(headers))).await.unwrap();
            answers.push(format!("{} {text}", code.as_u16()));
        }
        assert_eq!(answers[0], answers[1], "both protocols answer the same");
        answers.swap_remove(0)
    }

    async fn check(
        &self,
        client: Option<&KeyedCertificate>,
        headers: &[(&str, &str)],
        expected: Expect,
    ) {
        expected.assert_eq(&self.ask(client, headers).await);
    }
}

fn trusting(users: &CertificateAuthority, proxies: &CertificateAuthority) -> DelegatedConfig {
    let one = |name: &str| vec![name.to_owned()];
    DelegatedConfig {
        client_ca: TrustBundle::from_pem(users.certificate_pem()).unwrap(),
        request_header: Some(RequestHeaderConfig {
            ca: TrustBundle::from_pem(proxies.certificate_pem()).unwrap(),
            username_headers: one("x-remote-user"),
            uid_headers: one("x-remote-uid"),
            group_headers: one("x-remote-group"),
            extra_prefixes: one("x-remote-extra-"),
            allowed_names: one("front-proxy-client"),
        }),
    }
}

fn shown(user: &UserInfo) -> String {
    let extra: Vec<_> = user.extra.keys().collect();
    format!("{} {:?} {:?} {extra:?}", user.name, user.uid, user.groups)
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    map
}

fn long_ago() -> Range<SystemTime> {
    SystemTime::UNIX_EPOCH..SystemTime::UNIX_EPOCH + Duration::from_secs(86_400)
}

const SPOOFED: &[(&str, &str)] = &[
    ("X-Remote-User", "admin"),
    ("x-remote-group", "system:masters"),
    ("X-REMOTE-UID", "1"),
    ("X-Remote-Extra-Scopes", "all"),
];

#[tokio::test]
async fn believes_the_front_proxy() {
    let fixture = Fixture::start(true);
    fixture
        .check(
            Some(&fixture.proxy()),
            SPOOFED,
            expect![[r#"200 admin "1" ["system:masters", "system:authenticated"] ["scopes"]"#]],
        )
        .await;
}

#[tokio::test]
async fn lets_the_front_proxy_vouch_for_anonymous_requests() {
    let fixture = Fixture::start(false);
    let headers = [
        ("x-remote-user", "system:anonymous"),
        ("x-remote-group", "system:unauthenticated"),
    ];
    fixture
        .check(
            Some(&fixture.proxy()),
            &headers,
            expect![[r#"200 system:anonymous "" ["system:unauthenticated"] []"#]],
        )
        .await;
}

#[tokio::test]
async fn ignores_identity_headers_without_a_certificate() {
    let fixture = Fixture::start(true);
    fixture
        .check(
            None,
            SPOOFED,
            expect![[r#"200 system:anonymous "" ["system:unauthenticated"] []"#]],
        )
        .await;
}

#[tokio::test]
async fn ignores_identity_headers_of_a_user_with_a_certificate() {
    let fixture = Fixture::start(true);
    let jane = fixture.users.issue_client("jane", &["a", "b"]).unwrap();
    fixture
        .check(
            Some(&jane),
            SPOOFED,
            expect![[
                r#"200 jane "" ["a", "b", "system:authenticated"] ["authentication.kubernetes.io/credential-id"]"#
            ]],
        )
        .await;
}

#[tokio::test]
async fn refuses_certificates_that_are_neither_a_users_nor_the_proxys() {
    let fixture = Fixture::start(true);
    let stranger = CertificateAuthority::generate("proxies").unwrap();
    let server = fixture
        .proxies
        .issue_serving(&["front-proxy-client".into()]);
    let refused = [
        // The right name of a wrong CA, the right CA with a wrong name, for servers, and out of date.
        stranger.issue_client("front-proxy-client", &[]),
        fixture.proxies.issue_client("somebody", &[]),
        server,
        fixture
            .proxies
            .issue_client_within("front-proxy-client", &[], &long_ago()),
        fixture.users.issue_client_within("jane", &[], &long_ago()),
    ];
    for pair in refused {
        fixture
            .check(Some(&pair.unwrap()), SPOOFED, expect!["401 Unauthorized"])
            .await;
    }
}

#[tokio::test]
async fn refuses_the_front_proxy_when_it_names_nobody() {
    let fixture = Fixture::start(true);
    let headers = [("x-remote-group", "system:masters")];
    fixture
        .check(
            Some(&fixture.proxy()),
            &headers,
            expect!["401 Unauthorized"],
        )
        .await;
}

#[tokio::test]
async fn asks_the_cluster_about_bearer_tokens() {
    let fixture = Fixture::start(true);
    let good = [("Authorization", "Bearer good")];
    let robot = r#"200 robot "" ["robots", "system:authenticated"] []"#;
    assert_eq!(fixture.ask(None, &good).await, robot);
    // A certificate that holds nothing does not spoil a token that does.
    let stranger = CertificateAuthority::generate("stranger").unwrap();
    let stranger = stranger.issue_client("jane", &[]).unwrap();
    assert_eq!(fixture.ask(Some(&stranger), &good).await, robot);
    let bad = [("Authorization", "Bearer bad")];
    fixture.check(None, &bad, expect!["401 Unauthorized"]).await;
}

#[tokio::test]
async fn refuses_anonymous_requests_where_they_are_not_allowed() {
    let fixture = Fixture::start(false);
    fixture.check(None, &[], expect!["401 Unauthorized"]).await;
}

#[tokio::test]
async fn trusts_a_removed_ca_no_longer_on_an_open_connection() {
    let fixture = Fixture::start(true);
    let mut client = fixture.server.connect("h2", Some(&fixture.proxy())).await;
    let (code, _) = soon(client.get_with("/", map(SPOOFED))).await.unwrap();
    assert_eq!(code, 200);
    let other = CertificateAuthority::generate("proxies").unwrap();
    fixture
        .config
        .store(Arc::new(trusting(&fixture.users, &other)));
    let (code, _) = soon(client.get_with("/", map(SPOOFED))).await.unwrap();
    assert_eq!(code, 401);
}

#[tokio::test]
async fn ends_the_http_2_connection_of_an_unknown_client() {
    let fixture = Fixture::start(true);
    let mut unknown = fixture.server.connect("h2", None).await;
    assert_eq!(soon(unknown.get("/")).await.unwrap().0, 200);
    soon(unknown.connection).await.unwrap();
    let mut proxy = fixture.server.connect("h2", Some(&fixture.proxy())).await;
    for _ in 0..2 {
        let (code, _) = soon(proxy.get_with("/", map(SPOOFED))).await.unwrap();
        assert_eq!(code, 200);
    }
}

#[test]
fn strips_every_header_that_names_a_user() {
    let mut config = DelegatedConfig::default();
    let proxies = CertificateAuthority::generate("proxies").unwrap();
    config.request_header = Some(RequestHeaderConfig {
        ca: TrustBundle::from_pem(proxies.certificate_pem()).unwrap(),
        username_headers: vec!["x-proxy-user".into()],
        uid_headers: Vec::new(),
        group_headers: Vec::new(),
        extra_prefixes: vec!["x-proxy-extra-".into()],
        allowed_names: vec!["proxy".into()],
    });
    let config = Arc::new(ArcSwap::from_pointee(config));
    let authenticators = Authenticators::new(config, None, true);
    let mut headers = map(&[
        ("Authorization", "Bearer secret"),
        ("X-Remote-User", "a"),
        ("X-Remote-Group", "b"),
        ("X-Remote-Group", "c"),
        ("X-Remote-Anything", "d"),
        ("X-Proxy-User", "e"),
        ("X-Proxy-Extra-Scopes", "f"),
        ("Accept", "application/json"),
        ("X-Remotely", "g"),
    ]);
    authenticators.strip_identity(&mut headers);
    let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["accept", "x-remotely"]);
}

#[test]
fn warns_of_a_space_before_the_token() {
    assert!(warning(&map(&[("Authorization", "Bearer  token")])).is_some());
    assert!(warning(&map(&[("Authorization", "Bearer token")])).is_none());
    assert!(warning(&HeaderMap::new()).is_none());
}

#[tokio::test]
async fn takes_the_token_of_a_websocket_from_its_subprotocols() {
    let it = Fixture::start(false);
    let ask = async |upgrade: &str, protocols: &str| {
        let headers = map(&[
            ("connection", "Upgrade"),
            ("upgrade", upgrade),
            ("sec-websocket-protocol", protocols),
        ]);
        let mut client = it.server.connect("http/1.1", None).await;
        let (code, text) = soon(client.get_with("/", headers)).await.unwrap();
        format!("{} {text}", code.as_u16())
    };
    const GOOD: &str = "base64url.bearer.authorization.k8s.io.Z29vZA";
    const BAD: &str = "base64url.bearer.authorization.k8s.io.YmFk";
    let robot = ask("websocket", &format!("{GOOD}, events")).await;
    assert!(robot.starts_with("200 robot"), "{robot}");
    for (upgrade, protocols) in [
        ("websocket", format!("events, {BAD}")),
        ("websocket", GOOD.to_owned()),
        ("websocket", format!("events, {GOOD}, {GOOD}")),
        ("h2c", format!("events, {GOOD}")),
    ] {
        let answer = ask(upgrade, &protocols).await;
        assert_eq!(answer, "401 Unauthorized", "{upgrade} {protocols}");
    }
}
