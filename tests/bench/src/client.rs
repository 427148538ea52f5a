//! Two clients: hyper's for requests with bodies, and a cheap one for what is only counted.
//!
//! The cheap one ([`counting`]) costs a tenth of hyper's: on a machine that client and server share, what the client
//! takes is missing to the server.

pub(crate) mod counting;
mod frames;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_tests::client::Client;
use tokio::task::AbortHandle;

/// An HTTP/2 connection and the task that drives it.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(crate) async fn open(client: &Client) -> Result<Self> {
        let tls = TokioIo::new(client.connect().await?);
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .handshake(tls)
            .await?;
        Ok(Self {
            sender,
            authority: client.authority().to_owned(),
            driver: tokio::spawn(connection).abort_handle(),
        })
    }

    pub(crate) fn user(&self) -> User {
        User {
            sender: self.sender.clone(),
            authority: self.authority.clone(),
        }
    }
}

/// One client among others of a connection.
pub(crate) struct User {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
}

impl User {
    /// The body of an answer that says that all is well.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        media: &str,
        body: Bytes,
    ) -> Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{}{path}", self.authority))
            .header("accept", "application/json")
            .header("content-type", media)
            .body(Full::new(body))?;
        let response = self.sender.send_request(request).await;
        let response = response.with_context(|| path.to_owned())?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success(),
            "{path}: {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Bytes> {
        self.send(Method::GET, path, "application/json", Bytes::new())
            .await
    }
}
