//! Sockets to `http::Request`: listening, TLS, HTTP/1.1 and HTTP/2. Knows nothing of Kubernetes.
//!
//! What each connection may take is in [`Limits`]. Whoever stalls before it has sent a request is closed
//! by a deadline of its stage; a request in flight has none here, since a watch may last for hours.

mod accept;
mod connection;
mod peer_chain;
mod tls;
pub mod websocket;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::Incoming;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

pub use peer_chain::PeerChain;
pub use tls::{CertificateError, ServingCertificate, Tls};

/// The body of an answer. Errors end the stream.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// What is known of a request from its connection.
pub struct ConnectionInfo {
    pub peer: SocketAddr,
    /// **Not verified**: each authenticator verifies for itself, for each request.
    pub client_certificates: PeerChain,
    /// What the handshake agreed upon (ALPN).
    pub is_http2: bool,
    closing: CancellationToken,
    upgraded: Mutex<Option<Upgraded>>,
}

/// What a connection does once it speaks no HTTP any more.
type Upgraded = Pin<Box<dyn Future<Output = ()> + Send>>;

impl ConnectionInfo {
    pub fn new(
        peer: SocketAddr,
        client_certificates: Vec<CertificateDer<'static>>,
        is_http2: bool,
    ) -> Self {
        Self {
            peer,
            client_certificates: PeerChain::new(client_certificates),
            is_http2,
            closing: CancellationToken::new(),
            upgraded: Mutex::default(),
        }
    }

    /// Ends the connection once its requests in flight are answered: by GOAWAY on HTTP/2, by
    /// `Connection: close` on HTTP/1.1.
    pub fn close_after_response(&self) {
        self.closing.cancel();
    }

    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Goes on with `future` once the answer that switches protocols has been sent. The connection's task runs
    /// it, so that a drain waits for it and then ends it like any request.
    pub fn run_upgraded(&self, future: impl Future<Output = ()> + Send + 'static) {
        *self.lock_upgraded() = Some(Box::pin(future));
    }

    fn take_upgraded(&self) -> Option<Upgraded> {
        self.lock_upgraded().take()
    }

    fn lock_upgraded(&self) -> std::sync::MutexGuard<'_, Option<Upgraded>> {
        self.upgraded.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

/// What connections may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections; fewer where the process may not open that many files.
    pub connections: usize,
    /// Open connections of one address. A front proxy needs a few.
    pub connections_per_ip: usize,
    /// From the accepted socket to the end of the TLS handshake.
    pub handshake: Duration,
    /// From there to the bytes that tell HTTP/2 from HTTP/1.1.
    pub detection: Duration,
    /// From the first byte of an HTTP/1.1 request to the end of its headers (Go: 32 s).
    pub header_block: Duration,
    /// Without a request in flight. More than the 90 s after which Go's clients close by themselves, so
    /// that no request meets a connection that is just being closed.
    pub idle: Duration,
    /// For how long a client may take nothing of what it is sent.
    pub write_stall: Duration,
    /// From the drain to the end of requests in flight.
    pub drain: Duration,
    /// Between two looks at the files of the serving certificate.
    pub certificate_poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_ip: 512,
            handshake: Duration::from_secs(10),
            detection: Duration::from_secs(10),
            header_block: Duration::from_secs(32),
            idle: Duration::from_secs(100),
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(20),
            certificate_poll: Duration::from_secs(1),
        }
    }
}

/// A socket that listens; nothing is accepted before [`Bound::serve`].
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Arc<Tls>,
    limits: Limits,
}

/// Connections that wait to be accepted (Go takes the system's somaxconn, 4096 by default).
const BACKLOG: u32 = 4096;

/// Takes the address. Port 0 is any free one: see [`Bound::address`].
///
/// # Errors
/// One line that names the address and what to do.
pub fn bind(address: SocketAddr, tls: Arc<Tls>) -> Result<Bound> {
    let listener = listen(address).map_err(|err| {
        let what_to_do = match err.kind() {
            std::io::ErrorKind::AddrInUse => {
                ": stop the process that listens there, or choose another port"
            }
            std::io::ErrorKind::PermissionDenied => {
                ": choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                ": choose an address of this machine, or 0.0.0.0"
            }
            _ => "",
        };
        anyhow!("cannot listen on {address}: {err}{what_to_do}")
    })?;
    let address = listener
        .local_addr()
        .context("cannot read the address that is listened on")?;
    Ok(Bound {
        listener,
        address,
        tls,
        limits: Limits::default(),
    })
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Without it a restart would wait for the old connections' TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Bound {
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What is listened on, with the port that was chosen for 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `drain` is cancelled; then accepts no more, sends GOAWAY, and returns when the
    /// requests in flight are answered, or after [`Limits::drain`].
    ///
    /// Reloads the serving certificate meanwhile. Dropping the future closes every connection.
    pub async fn serve(self, handler: Arc<dyn Handler>, drain: CancellationToken) {
        let certificate = Arc::clone(self.tls.certificate());
        let interval = self.limits.certificate_poll;
        tokio::select! {
            () = accept::serve(self.listener, self.tls, handler, self.limits, drain) => {}
            () = certificate.keep_reloading(interval) => {}
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
