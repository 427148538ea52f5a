//! Sockets to `http::Request`: listening, TLS, HTTP/1.1 and HTTP/2. Knows nothing of Kubernetes.

pub mod accept;
pub mod connection;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::Incoming;
use rustls_pki_types::CertificateDer;

/// The body of an answer. Errors end the stream.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// What is known of a request from its connection.
#[derive(Debug)]
pub struct ConnectionInfo {
    pub peer: SocketAddr,
    /// The client's certificate and its chain, leaf first, as sent: **not verified** (each authenticator
    /// verifies for itself, for each request). Empty without one.
    pub client_certificates: Vec<CertificateDer<'static>>,
    pub is_http2: bool,
}

/// Whoever answers requests.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    async fn handle(
        &self,
        request: http::Request<Incoming>,
        connection: Arc<ConnectionInfo>,
    ) -> http::Response<Body>;
}
