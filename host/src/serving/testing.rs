//! A server on a free port and clients of it, for tests.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::{Resumption, WantsClientCert};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use super::{Body, ConnectionInfo, Handler, Limits, ServingCertificate, Tls, bind};
use crate::certificates::{CertificateAuthority, KeyedCertificate};

/// Far above what any test takes.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future)
        .await
        .expect("it happens soon")
}

/// Answers by an async function.
pub(crate) fn answering<F, A>(answer: F) -> impl Handler
where
    F: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    Answering(answer)
}

struct Answering<F>(F);

#[async_trait]
impl<F, A> Handler for Answering<F>
where
    F: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    async fn handle(
        &self,
        request: Request<Incoming>,
        connection: Arc<ConnectionInfo>,
    ) -> Response<Body> {
        (self.0)(request, connection).await
    }
}

pub(crate) fn text(code: u16, text: impl Into<Bytes>) -> Response<Body> {
    let body = http_body_util::Full::new(text.into()).boxed_unsync();
    Response::builder()
        .status(code)
        .body(body)
        .expect("a response of a test")
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) ca: CertificateAuthority,
    pub(crate) tls: Arc<Tls>,
    pub(crate) drain: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl TestServer {
    pub(crate) fn start(handler: impl Handler, limits: Limits) -> Self {
        let ca = CertificateAuthority::generate("serving-ca").expect("a CA");
        let pair = ca
            .issue_serving(&["localhost".into()])
            .expect("a certificate");
        let certificate = ServingCertificate::from_pem(&pair.certificate_pem, &pair.key_pem)
            .expect("a serving certificate");
        Self::start_with(ca, certificate, handler, limits)
    }

    pub(crate) fn start_with(
        ca: CertificateAuthority,
        certificate: Arc<ServingCertificate>,
        handler: impl Handler,
        limits: Limits,
    ) -> Self {
        let tls = Tls::new(certificate);
        let bound = bind(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&tls))
            .expect("a free port")
            .with_limits(limits);
        let address = bound.address();
        let drain = CancellationToken::new();
        let task = tokio::spawn(bound.serve(Arc::new(handler), drain.clone()));
        Self {
            address,
            ca,
            tls,
            drain,
            task,
        }
    }

    /// A TLS stream as `protocol` (ALPN), with a client certificate or none.
    pub(crate) async fn handshake(
        &self,
        protocol: &str,
        client: Option<&KeyedCertificate>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let builder = self.trusting(rustls::DEFAULT_VERSIONS);
        let config = match client {
            Some(pair) => builder
                .with_client_auth_cert(
                    certificates(&pair.certificate_pem),
                    private_key(&pair.key_pem),
                )
                .expect("a client's certificate"),
            None => builder.with_no_client_auth(),
        };
        self.handshake_with(protocol, config).await
    }

    /// What every client of this server begins with.
    pub(crate) fn trusting(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(self.ca.certificate_pem()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
    }

    pub(crate) async fn handshake_with(
        &self,
        protocol: &str,
        mut config: ClientConfig,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        config.alpn_protocols = vec![protocol.into()];
        config.resumption = Resumption::disabled();
        let stream = TcpStream::connect(self.address).await?;
        let name = "localhost".try_into().expect("a name");
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    pub(crate) async fn connect(
        &self,
        protocol: &str,
        client: Option<&KeyedCertificate>,
    ) -> Client {
        let stream = self.handshake(protocol, client).await.expect("a handshake");
        Client::new(protocol, stream).await
    }
}

pub(crate) fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .expect("PEM")
}

pub(crate) fn private_key(pem: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("a key")
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// One connection.
pub(crate) struct Client {
    sender: Sender,
    /// Ends with the connection.
    pub(crate) connection: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn new(protocol: &str, stream: TlsStream<TcpStream>) -> Self {
        let io = TokioIo::new(stream);
        if protocol == "h2" {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io)
                .await
                .expect("HTTP/2");
            let connection = tokio::spawn(async move { drop(connection.await) });
            Self {
                sender: Sender::Http2(sender),
                connection,
            }
        } else {
            let (sender, connection) = http1::handshake(io).await.expect("HTTP/1.1");
            let connection = tokio::spawn(async move { drop(connection.with_upgrades().await) });
            Self {
                sender: Sender::Http1(sender),
                connection,
            }
        }
    }

    /// The answer as soon as its headers are there.
    pub(crate) async fn send(
        &mut self,
        path: &str,
        headers: HeaderMap,
    ) -> hyper::Result<Response<Incoming>> {
        self.send_as(Method::GET, path, headers).await
    }

    pub(crate) async fn send_as(
        &mut self,
        method: Method,
        path: &str,
        headers: HeaderMap,
    ) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = method;
        *request.headers_mut() = headers;
        let uri = format!("https://localhost{path}");
        match &mut self.sender {
            Sender::Http1(sender) => {
                *request.uri_mut() = path.parse().expect("a path");
                sender.ready().await?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                *request.uri_mut() = uri.parse().expect("a URI");
                *request.version_mut() = Version::HTTP_2;
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> hyper::Result<(StatusCode, String)> {
        self.get_with(path, HeaderMap::new()).await
    }

    pub(crate) async fn get_with(
        &mut self,
        path: &str,
        headers: HeaderMap,
    ) -> hyper::Result<(StatusCode, String)> {
        let response = self.send(path, headers).await?;
        let code = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((code, String::from_utf8_lossy(&body).into_owned()))
    }
}
