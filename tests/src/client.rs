//! A small HTTPS client: one connection a request, HTTP/2 or HTTP/1.1, answers as they came.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use tokio_rustls::client::TlsStream;
pub use tokio_tungstenite::tungstenite::Message;

use crate::kubeconfig::Kubeconfig;

/// No answer takes longer, on the slowest machine that tests run on.
const DEADLINE: Duration = Duration::from_secs(60);

/// A user of one server.
#[derive(Clone)]
pub struct Client {
    /// What is dialled, `host:port`.
    address: String,
    /// What the certificate must be for, and the requests' host.
    authority: String,
    tls: Arc<ClientConfig>,
    headers: HeaderMap,
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// An answer whose body is still to be read; dropping it closes its connection.
pub struct Opened {
    pub status: StatusCode,
    pub headers: HeaderMap,
    body: Incoming,
    connection: Connection,
}

/// A watch that is open; dropping it closes its connection.
pub struct Watch {
    body: Incoming,
    buffered: BytesMut,
    _connection: Connection,
}

/// A WebSocket that is open; dropping it closes its connection.
pub struct WebSocket {
    /// Of the answer that switched protocols.
    pub headers: HeaderMap,
    socket: WebSocketStream<TokioIo<Upgraded>>,
    _connection: Connection,
}

struct Connection(AbortHandle);

/// Checks signatures, but not who signed the certificate.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl Client {
    pub fn new(config: &Kubeconfig) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(config.ca_pem.as_bytes()) {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let mut tls = match &config.certificate {
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
                    .collect::<Result<Vec<_>, _>>()?;
                tls.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes())?)?
            }
            None => tls.with_no_client_auth(),
        };
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let mut headers = HeaderMap::new();
        if let Some(token) = &config.token {
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse()?);
        }
        let authority = config
            .server
            .strip_prefix("https://")
            .context("the server's URL is not https")?;
        let address = authority.trim_end_matches('/').to_owned();
        let authority = match (&config.server_name, address.rsplit_once(':')) {
            (Some(name), Some((_, port))) => format!("{name}:{port}"),
            _ => address.clone(),
        };
        Ok(Self {
            address,
            authority,
            tls: Arc::new(tls),
            headers,
        })
    }

    /// Nobody in particular, who believes any certificate: what a kubelet's probe is.
    pub fn unverified(address: &str) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        Ok(Self {
            address: address.to_owned(),
            authority: address.to_owned(),
            tls: Arc::new(tls),
            headers: HeaderMap::new(),
        })
    }

    /// The same user, reaching the server at another address than its name's.
    #[must_use]
    pub fn dialling(&self, address: &str) -> Self {
        Self {
            address: address.to_owned(),
            ..self.clone()
        }
    }

    /// The same user, over HTTP/1.1.
    #[must_use]
    pub fn http1(&self) -> Self {
        let mut tls = (*self.tls).clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            tls: Arc::new(tls),
            ..self.clone()
        }
    }

    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, object: &Value) -> Result<Answer> {
        self.json(Method::POST, path, object).await
    }

    pub async fn put(&self, path: &str, object: &Value) -> Result<Answer> {
        self.json(Method::PUT, path, object).await
    }

    pub async fn merge_patch(&self, path: &str, patch: &Value) -> Result<Answer> {
        let headers = [("content-type", "application/merge-patch+json")];
        let body = serde_json::to_vec(patch)?.into();
        self.send(Method::PATCH, path, &headers, body).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    async fn json(&self, method: Method, path: &str, object: &Value) -> Result<Answer> {
        let headers = [("content-type", "application/json")];
        let body = serde_json::to_vec(object)?.into();
        self.send(method, path, &headers, body).await
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer> {
        let opened = self.open(method, path, headers, body).await?;
        opened
            .whole()
            .await
            .with_context(|| format!("no answer from {path}"))
    }

    /// Opens a watch; an answer other than 200 is an error with the server's own text.
    pub async fn watch(&self, path: &str) -> Result<Watch> {
        let opened = self.open(Method::GET, path, &[], Bytes::new()).await?;
        let status = opened.status;
        if status != StatusCode::OK {
            bail!("watch {path}: {status} {}", opened.whole().await?.text());
        }
        Ok(opened.events())
    }

    /// Sends a request; the answer's body is read later.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Opened> {
        let exchange = self.exchange(method, path, headers, body);
        let (response, connection) = tokio::time::timeout(DEADLINE, exchange)
            .await
            .with_context(|| format!("no answer from {path}"))??;
        let (parts, body) = response.into_parts();
        Ok(Opened {
            status: parts.status,
            headers: parts.headers,
            body,
            connection,
        })
    }

    /// Asks for a WebSocket over HTTP/1.1, with the sample key of RFC 6455.
    ///
    /// # Errors
    /// An answer other than 101, as `STATUS text`.
    pub async fn websocket(&self, path: &str, headers: &[(&str, &str)]) -> Result<WebSocket> {
        let mut all = vec![
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
        ];
        all.extend_from_slice(headers);
        let client = self.http1();
        let open = client.exchange(Method::GET, path, &all, Bytes::new());
        let (mut response, connection) = tokio::time::timeout(DEADLINE, open).await??;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            let body = response.into_body().collect().await?.to_bytes();
            bail!("{status} {}", String::from_utf8_lossy(&body));
        }
        let headers = std::mem::take(response.headers_mut());
        let upgraded = TokioIo::new(hyper::upgrade::on(response).await?);
        Ok(WebSocket {
            headers,
            socket: WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await,
            _connection: connection,
        })
    }

    /// A connection of its own, for what no HTTP library would send; which protocol it is, ALPN says.
    pub async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        self.connect_over(TcpStream::connect(&self.address).await?)
            .await
    }

    /// The same over a socket that the caller has connected to [`Client::address`].
    pub async fn connect_over(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>> {
        let host = self.authority.rsplit_once(':').map_or("", |it| it.0);
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
        tcp.set_nodelay(true)?;
        Ok(TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await?)
    }

    /// What is dialled, `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The host of its requests.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<(Response<Incoming>, Connection)> {
        let tls = self.connect().await?;
        let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");

        let mut request = Request::builder().method(method);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if is_http2 {
            let uri = format!("https://{}{path}", self.authority);
            let request = request.uri(uri).body(Full::new(body))?;
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
                    .await?;
            let connection = Connection(tokio::spawn(connection).abort_handle());
            Ok((sender.send_request(request).await?, connection))
        } else {
            let request = request
                .uri(path)
                .header(header::HOST, &self.authority)
                .body(Full::new(body))?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
            let connection = Connection(tokio::spawn(connection.with_upgrades()).abort_handle());
            Ok((sender.send_request(request).await?, connection))
        }
    }
}

impl Opened {
    /// Reads the body to its end.
    pub async fn whole(self) -> Result<Answer> {
        let body = tokio::time::timeout(DEADLINE, self.body.collect())
            .await
            .context("the body has no end")??;
        Ok(Answer {
            status: self.status,
            headers: self.headers,
            body: body.to_bytes(),
        })
    }

    #[must_use]
    pub fn events(self) -> Watch {
        Watch {
            body: self.body,
            buffered: BytesMut::new(),
            _connection: self.connection,
        }
    }
}

impl Answer {
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }

    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The object, if the server said that all is well.
    pub fn ok(&self) -> Result<Value> {
        if !self.status.is_success() {
            bail!("{}: {}", self.status, self.text());
        }
        self.json()
    }

    /// `CODE REASON: message` of a Status.
    #[must_use]
    pub fn failure(&self) -> String {
        let status = self.json().unwrap_or_default();
        let text = |field: &str| status[field].as_str().unwrap_or("").to_owned();
        format!(
            "{} {}: {}",
            self.status.as_u16(),
            text("reason"),
            text("message")
        )
    }
}

impl WebSocket {
    /// The next message, of any kind; `None` once the connection is closed.
    pub async fn next(&mut self) -> Result<Option<Message>> {
        let next = tokio::time::timeout(DEADLINE, self.socket.next());
        match next.await.context("no message came")? {
            Some(message) => Ok(Some(message?)),
            None => Ok(None),
        }
    }

    /// The next message, which must be text, as JSON.
    pub async fn next_event(&mut self) -> Result<Value> {
        match self.next().await? {
            Some(Message::Text(text)) => Ok(serde_json::from_str(&text)?),
            other => bail!("no text but {other:?}"),
        }
    }

    pub async fn send(&mut self, message: Message) -> Result<()> {
        Ok(tokio::time::timeout(DEADLINE, self.socket.send(message)).await??)
    }
}

impl Watch {
    /// The next event; `None` when the server has ended the watch.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        let line = tokio::time::timeout(DEADLINE, self.next_line())
            .await
            .context("no event came")??;
        line.map(|it| Ok(serde_json::from_slice(&it)?)).transpose()
    }

    /// The next event but bookmarks, as `TYPE name resourceVersion`.
    pub async fn next_change(&mut self) -> Result<String> {
        loop {
            let event = self.next().await?.context("the watch has ended")?;
            if event["type"] != "BOOKMARK" {
                return Ok(shown(&event));
            }
        }
    }

    /// The next event as it came, however long it takes. Nothing is lost if the caller stops waiting.
    pub async fn next_line(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(end) = self.buffered.iter().position(|it| *it == b'\n') {
                return Ok(Some(self.buffered.split_to(end + 1).freeze()));
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Some(data) = frame?.data_ref() {
                        self.buffered.extend_from_slice(data);
                    }
                }
                None => return Ok(None),
            }
        }
    }
}

/// `TYPE name` of a watch event.
#[must_use]
pub fn shown(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    format!(
        "{} {}",
        text(&event["type"]),
        text(&event["object"]["metadata"]["name"])
    )
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}
