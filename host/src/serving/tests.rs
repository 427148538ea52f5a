#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use expect_test::{Expect, expect};
use http::{HeaderMap, Response, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};

use super::testing::{Client, TestServer, answering, certificates, private_key, soon, text};
use super::{Handler, Limits, ServingCertificate, Tls, bind};
use crate::certificates::{CertificateAuthority, KeyedCertificate};

/// Says what it knows of the connection.
fn describing() -> impl Handler {
    answering(async |request, connection| {
        let certificates = connection.client_certificates.len();
        let version = request.version();
        text(200, format!("{version:?}, {certificates} certificates"))
    })
}

#[tokio::test]
async fn answers_with_and_without_a_client_certificate() {
    let server = TestServer::start(describing(), Limits::default());
    // Nobody knows this CA: that is for the authenticators to say.
    let stranger = CertificateAuthority::generate("stranger").unwrap();
    let pair = stranger.issue_client("jane", &[]).unwrap();
    let mut seen = Vec::new();
    for protocol in ["h2", "http/1.1"] {
        for certificate in [None, Some(&pair)] {
            let mut client = server.connect(protocol, certificate).await;
            seen.push(soon(client.get("/")).await.unwrap().1);
        }
    }
    expect![[r#"
        [
            "HTTP/2.0, 0 certificates",
            "HTTP/2.0, 1 certificates",
            "HTTP/1.1, 0 certificates",
            "HTTP/1.1, 1 certificates",
        ]
    "#]]
    .assert_debug_eq(&seen);
}

#[tokio::test]
async fn speaks_tls_1_2_where_the_client_speaks_no_newer() {
    let server = TestServer::start(describing(), Limits::default());
    let ca = CertificateAuthority::generate("users").unwrap();
    let pair = ca.issue_client("jane", &[]).unwrap();
    let config = server
        .trusting(&[&rustls::version::TLS12])
        .with_client_auth_cert(
            certificates(&pair.certificate_pem),
            private_key(&pair.key_pem),
        )
        .unwrap();
    let stream = server.handshake_with("h2", config).await.unwrap();
    let version = stream.get_ref().1.protocol_version();
    assert_eq!(version, Some(rustls::ProtocolVersion::TLSv1_2));
    let mut client = Client::new("h2", stream).await;
    let (_, seen) = soon(client.get("/")).await.unwrap();
    assert_eq!(seen, "HTTP/2.0, 1 certificates");
}

#[tokio::test]
async fn refuses_a_certificate_without_its_key() {
    let server = TestServer::start(describing(), Limits::default());
    let ca = CertificateAuthority::generate("ca").unwrap();
    let (jane, joe) = (
        ca.issue_client("jane", &[]).unwrap(),
        ca.issue_client("joe", &[]).unwrap(),
    );
    let key = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(private_key(&joe.key_pem))
        .unwrap();
    let stolen = CertifiedKey::new(certificates(&jane.certificate_pem), key);
    let config = server
        .trusting(rustls::DEFAULT_VERSIONS)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(stolen)));
    // In TLS 1.3 the client is done before the server has looked.
    if let Ok(mut stream) = server.handshake_with("http/1.1", config).await {
        drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await);
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.unwrap_err();
        assert!(answer.is_empty());
    }
}

#[tokio::test]
async fn refuses_to_bind_a_port_that_is_in_use() {
    let server = TestServer::start(describing(), Limits::default());
    let err = bind(server.address, Arc::clone(&server.tls)).err().unwrap();
    let shown = err
        .to_string()
        .replace(&server.address.to_string(), "ADDRESS");
    expect!["cannot listen on ADDRESS: Address already in use (os error 98): stop the process that listens there, or choose another port"]
        .assert_eq(&shown);
}

fn short(set: impl FnOnce(&mut Limits, Duration)) -> Limits {
    let mut limits = Limits::default();
    set(&mut limits, Duration::from_millis(20));
    limits
}

#[tokio::test]
async fn closes_a_handshake_that_stalls() {
    let limits = short(|limits, time| limits.handshake = time);
    let server = TestServer::start(describing(), limits);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(soon(stream.read(&mut [0; 8])).await.unwrap(), 0);
}

#[tokio::test]
async fn closes_a_connection_that_never_asks() {
    for (protocol, sent) in [("h2", "PRI * HTTP/2.0"), ("http/1.1", "GET")] {
        let limits = short(|limits, time| limits.detection = time);
        let server = TestServer::start(describing(), limits);
        let mut stream = server.handshake(protocol, None).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        drop(soon(stream.read_to_end(&mut Vec::new())).await);
    }
}

#[tokio::test]
async fn closes_a_connection_whose_headers_never_end() {
    let limits = short(|limits, time| limits.header_block = time);
    let server = TestServer::start(describing(), limits);
    let mut stream = server.handshake("http/1.1", None).await.unwrap();
    let sent = b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\r\n";
    stream.write_all(sent).await.unwrap();
    drop(soon(stream.read_to_end(&mut Vec::new())).await);
}

#[tokio::test]
async fn closes_an_idle_connection_but_not_one_in_use() {
    for protocol in ["h2", "http/1.1"] {
        let limits = short(|limits, time| limits.idle = time);
        let longer = limits.idle * 5;
        let slow = answering(move |_, _| async move {
            tokio::time::sleep(longer).await;
            text(200, "done")
        });
        let server = TestServer::start(slow, limits);
        let mut client = server.connect(protocol, None).await;
        assert_eq!(soon(client.get("/")).await.unwrap().1, "done");
        soon(client.connection).await.unwrap();
    }
}

#[tokio::test]
async fn closes_a_client_that_reads_nothing() {
    let dropped = Arc::new(Notify::new());
    struct TellsWhenDropped(Arc<Notify>);
    impl Drop for TellsWhenDropped {
        fn drop(&mut self) {
            self.0.notify_one();
        }
    }
    let told = Arc::clone(&dropped);
    let endless = answering(move |_, _| {
        let guard = TellsWhenDropped(Arc::clone(&told));
        async move {
            let frames = futures_util::stream::repeat_with(move || {
                let _ = &guard;
                Ok(Frame::data(Bytes::from_static(&[0; 16 * 1024])))
            });
            Response::new(StreamBody::new(frames).boxed_unsync())
        }
    });
    let limits = short(|limits, time| limits.write_stall = time);
    let server = TestServer::start(endless, limits);
    let mut stream = server.handshake("http/1.1", None).await.unwrap();
    let sent = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(sent).await.unwrap();
    soon(dropped.notified()).await;
}

#[tokio::test]
async fn closes_connections_above_the_cap() {
    let limits = Limits {
        connections_per_ip: 1,
        ..Limits::default()
    };
    let server = TestServer::start(describing(), limits);
    let mut first = server.connect("h2", None).await;
    assert!(server.handshake("h2", None).await.is_err());
    assert!(soon(first.get("/")).await.is_ok());
}

#[tokio::test]
async fn ends_the_connection_after_the_response_when_asked() {
    for protocol in ["h2", "http/1.1"] {
        let closing = answering(async |_, connection| {
            connection.close_after_response();
            text(401, "who are you?")
        });
        let server = TestServer::start(closing, Limits::default());
        let mut client = server.connect(protocol, None).await;
        let response = soon(client.send("/", HeaderMap::new())).await.unwrap();
        let told = response.headers().get(header::CONNECTION).cloned();
        assert_eq!(told.is_some_and(|it| it == "close"), protocol != "h2");
        let body = soon(response.into_body().collect()).await.unwrap();
        assert_eq!(body.to_bytes(), "who are you?");
        soon(client.connection).await.unwrap();
    }
}

#[tokio::test]
async fn keeps_the_connection_after_a_client_error() {
    for protocol in ["h2", "http/1.1"] {
        let server = TestServer::start(
            answering(async |_, _| text(409, "conflict")),
            Limits::default(),
        );
        let mut client = server.connect(protocol, None).await;
        for _ in 0..3 {
            assert_eq!(soon(client.get("/")).await.unwrap().0, 409);
        }
        assert!(!client.connection.is_finished());
    }
}

#[tokio::test]
async fn answers_requests_in_flight_before_it_ends() {
    for protocol in ["h2", "http/1.1"] {
        let entered = Arc::new(Notify::new());
        let released = Arc::new(Semaphore::new(0));
        let (tell, wait) = (Arc::clone(&entered), Arc::clone(&released));
        let slow = answering(move |_, _| {
            let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
            async move {
                tell.notify_one();
                wait.acquire().await.unwrap().forget();
                text(200, "done")
            }
        });
        let server = TestServer::start(slow, Limits::default());
        let mut client = server.connect(protocol, None).await;
        let asking = tokio::spawn(async move { client.get("/").await });
        soon(entered.notified()).await;
        server.drain.cancel();
        // Nobody listens any more, while the request is still being worked on.
        soon(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
        assert!(!server.task.is_finished());
        released.add_permits(1);
        assert_eq!(soon(asking).await.unwrap().unwrap().1, "done");
        soon(server.task).await.unwrap();
    }
}

#[tokio::test]
async fn ends_by_the_drain_deadline_whatever_is_in_flight() {
    let entered = Arc::new(Notify::new());
    let tell = Arc::clone(&entered);
    let stuck = answering(move |_, _| {
        tell.notify_one();
        std::future::pending()
    });
    let limits = short(|limits, time| limits.drain = time);
    let server = TestServer::start(stuck, limits);
    let mut client = server.connect("h2", None).await;
    let asking = tokio::spawn(async move { client.get("/").await });
    soon(entered.notified()).await;
    server.drain.cancel();
    soon(server.task).await.unwrap();
    assert!(soon(asking).await.unwrap().is_err());
}

#[tokio::test]
async fn upgrades_http_1_connections() {
    let echoing = answering(async |request, _| {
        tokio::spawn(async move {
            let mut upgraded = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            let mut line = [0; 5];
            upgraded.read_exact(&mut line).await.unwrap();
            upgraded.write_all(&line).await.unwrap();
            upgraded.shutdown().await.unwrap();
        });
        let mut response = text(101, "");
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, "upgrade".parse().unwrap());
        headers.insert(header::UPGRADE, "echo".parse().unwrap());
        response
    });
    let server = TestServer::start(echoing, Limits::default());
    let mut client = server.connect("http/1.1", None).await;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONNECTION, "upgrade".parse().unwrap());
    headers.insert(header::UPGRADE, "echo".parse().unwrap());
    let response = soon(client.send("/", headers)).await.unwrap();
    let mut upgraded = TokioIo::new(soon(hyper::upgrade::on(response)).await.unwrap());
    upgraded.write_all(b"hello").await.unwrap();
    let mut echo = String::new();
    soon(upgraded.read_to_string(&mut echo)).await.unwrap();
    assert_eq!(echo, "hello");
}

/// Has no certificate, and notes which CAs the server would like one of.
#[derive(Debug, Default)]
struct NotesHints(Mutex<Vec<Vec<u8>>>);

impl ResolvesClientCert for NotesHints {
    fn resolve(&self, hints: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        *self.0.lock().unwrap() = hints.iter().map(|it| it.to_vec()).collect();
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn advertises_the_client_cas_of_the_moment() {
    let server = TestServer::start(describing(), Limits::default());
    for name in ["users", "new-users"] {
        let ca = CertificateAuthority::generate(name).unwrap();
        let ca = certificates(ca.certificate_pem());
        server.tls.advertise_client_cas(&ca);
        let (_, parsed) = x509_parser::parse_x509_certificate(&ca[0]).unwrap();
        let notes = Arc::new(NotesHints::default());
        let config = server
            .trusting(rustls::DEFAULT_VERSIONS)
            .with_client_cert_resolver(notes.clone());
        let mut stream = server.handshake_with("h2", config).await.unwrap();
        drop(stream.shutdown().await);
        assert_eq!(*notes.0.lock().unwrap(), [parsed.subject().as_raw()]);
    }
}

/// A Secret volume as the kubelet makes it: `tls.crt` and `tls.key` go through `..data`.
struct SecretVolume {
    folder: tempfile::TempDir,
    generation: u32,
}

impl SecretVolume {
    fn new(pair: &KeyedCertificate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tls.crt", "tls.key"] {
            let target = format!("..data/{name}");
            std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
        }
        let mut volume = Self {
            folder,
            generation: 0,
        };
        volume.put(&pair.certificate_pem, &pair.key_pem);
        volume
    }

    fn put(&mut self, certificate: &str, key: &str) {
        self.generation += 1;
        let data = format!("..generation-{}", self.generation);
        let path = self.folder.path();
        std::fs::create_dir(path.join(&data)).unwrap();
        std::fs::write(path.join(&data).join("tls.crt"), certificate).unwrap();
        std::fs::write(path.join(&data).join("tls.key"), key).unwrap();
        std::os::unix::fs::symlink(&data, path.join("..data_tmp")).unwrap();
        std::fs::rename(path.join("..data_tmp"), path.join("..data")).unwrap();
    }

    fn certificate(&self) -> Result<Arc<ServingCertificate>, super::CertificateError> {
        let path = self.folder.path();
        ServingCertificate::from_files(path.join("tls.crt"), path.join("tls.key"))
    }

    /// Errors with the folder's name taken out.
    fn shown(&self, text: &str) -> String {
        text.replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

#[tokio::test]
async fn reloads_its_certificate_and_keeps_connections() {
    let ca = CertificateAuthority::generate("serving-ca").unwrap();
    let names = ["localhost".to_owned()];
    let old = ca.issue_serving(&names).unwrap();
    let mut volume = SecretVolume::new(&old);
    let certificate = volume.certificate().unwrap();
    let limits = Limits {
        certificate_poll: Duration::from_millis(1),
        ..Limits::default()
    };
    let server = TestServer::start_with(ca, certificate, describing(), limits);
    let stream = server.handshake("h2", None).await.unwrap();
    assert_eq!(served(&stream), certificates(&old.certificate_pem)[0]);
    let mut client = Client::new("h2", stream).await;
    assert!(soon(client.get("/")).await.is_ok());

    let new = server.ca.issue_serving(&names).unwrap();
    volume.put(&new.certificate_pem, &new.key_pem);
    soon(async {
        loop {
            let stream = server.handshake("h2", None).await.unwrap();
            if served(&stream) == certificates(&new.certificate_pem)[0] {
                break;
            }
        }
    })
    .await;
    assert!(soon(client.get("/")).await.is_ok());
}

fn served(
    stream: &tokio_rustls::client::TlsStream<TcpStream>,
) -> rustls_pki_types::CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

#[tokio::test]
async fn keeps_the_old_certificate_when_the_new_one_is_broken() {
    let ca = CertificateAuthority::generate("serving-ca").unwrap();
    let names = ["localhost".to_owned()];
    let (old, new) = (
        ca.issue_serving(&names).unwrap(),
        ca.issue_serving(&names).unwrap(),
    );
    let mut volume = SecretVolume::new(&old);
    let certificate = volume.certificate().unwrap();
    volume.put(&new.certificate_pem, &old.key_pem);
    // One look may have caught it half written; the second tells.
    certificate.reload().await;
    assert_eq!(certificate.trouble(), None);
    certificate.reload().await;
    let trouble = volume.shown(&certificate.trouble().unwrap());
    expect!["keeping the old serving certificate: FOLDER/tls.key is not the private key of FOLDER/tls.crt"]
        .assert_eq(&trouble);
    let server = TestServer::start_with(
        ca,
        Arc::clone(&certificate),
        describing(),
        Limits::default(),
    );
    let stream = server.handshake("h2", None).await.unwrap();
    assert_eq!(served(&stream), certificates(&old.certificate_pem)[0]);

    volume.put(&new.certificate_pem, &new.key_pem);
    certificate.reload().await;
    assert_eq!(certificate.trouble(), None);
    let stream = server.handshake("h2", None).await.unwrap();
    assert_eq!(served(&stream), certificates(&new.certificate_pem)[0]);
}

#[tokio::test]
async fn replaces_a_certificate_from_memory() {
    let server = TestServer::start(describing(), Limits::default());
    let names = ["localhost".to_owned()];
    let new = server.ca.issue_serving(&names).unwrap();
    let certificate = server.tls.certificate();
    certificate
        .replace(&new.certificate_pem, &new.key_pem)
        .unwrap();
    let stream = server.handshake("h2", None).await.unwrap();
    assert_eq!(served(&stream), certificates(&new.certificate_pem)[0]);
    assert!(certificate.replace(&new.certificate_pem, "").is_err());
}

/// What is said of files that cannot be served.
#[track_caller]
fn check_refused(certificate: &str, key: &str, expected: Expect) {
    let volume = SecretVolume::new(&KeyedCertificate {
        certificate_pem: certificate.to_owned(),
        key_pem: key.to_owned(),
    });
    let err = volume.certificate().unwrap_err();
    expected.assert_eq(&volume.shown(&err.to_string()));
}

#[test]
fn says_why_a_certificate_cannot_be_served() {
    let ca = CertificateAuthority::generate("ca").unwrap();
    let names = ["localhost".to_owned()];
    let (one, other) = (
        ca.issue_serving(&names).unwrap(),
        ca.issue_serving(&names).unwrap(),
    );
    let long_ago = SystemTime::UNIX_EPOCH..SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
    let expired = ca.issue_serving_within(&names, &long_ago).unwrap();
    check_refused(
        &one.certificate_pem,
        &other.key_pem,
        expect!["FOLDER/tls.key is not the private key of FOLDER/tls.crt"],
    );
    check_refused(
        &expired.certificate_pem,
        &expired.key_pem,
        expect!["FOLDER/tls.crt expired at 1970-01-02T00:00:00Z: renew it"],
    );
    check_refused(
        "",
        &one.key_pem,
        expect!["FOLDER/tls.crt holds no PEM certificate"],
    );
    check_refused(
        &one.certificate_pem,
        &one.certificate_pem,
        expect!["FOLDER/tls.key holds no PEM private key"],
    );
}

#[test]
fn names_a_certificate_file_that_is_not_there() {
    let missing = ServingCertificate::from_files("/nowhere/a".into(), "/nowhere/b".into());
    expect!["cannot read /nowhere/a: No such file or directory (os error 2)"]
        .assert_eq(&missing.unwrap_err().to_string());
}

#[tokio::test]
async fn names_an_address_that_is_not_its_own() {
    let server = TestServer::start(describing(), Limits::default());
    let tls: Arc<Tls> = Arc::clone(&server.tls);
    // 192.0.2.0/24 is for documentation only (RFC 5737).
    let err = bind(SocketAddr::from(([192, 0, 2, 1], 0)), tls)
        .err()
        .unwrap();
    expect!["cannot listen on 192.0.2.1:0: Cannot assign requested address (os error 99): choose an address of this machine, or 0.0.0.0"]
        .assert_eq(&err.to_string());
}
