//! The static server: hyper with the same TLS and HTTP/2 settings as the product's, which answers with bytes that it
//! has. A process of its own, so that its processor time can be told from the client's.
//!
//! `/object` is one body. `/list` joins the items of a list into frames of 64 KiB, for each request anew, as a server
//! must whose objects change. `/watch` sends the events of a ring, all that wait (at most 64) joined into one frame;
//! `/publish/N` puts N events into it.

mod ring;

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use outrigger_tests::certificates::Authority;
use outrigger_tests::client::Client;
use outrigger_tests::host::free_port;
use outrigger_tests::kubeconfig::Kubeconfig;
use outrigger_tests::process::Process;
use outrigger_tests::wait;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use self::ring::Ring;
use crate::report::server::STATIC;
use crate::servers::Server;
use crate::stage::Items;

/// The subcommand that is the server's process.
pub(crate) const COMMAND: &str = "static-server";
const READY_DEADLINE: Duration = Duration::from_secs(30);
const FRAME_BYTES: usize = 64 << 10;

type Body = UnsyncBoxBody<Bytes, Infallible>;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    port: u16,
    /// With its certificates and bodies.
    #[arg(long)]
    folder: PathBuf,
}

/// The running process.
pub(crate) struct StaticServer {
    process: Process,
    client: Client,
    _folder: TempDir,
}

impl StaticServer {
    /// Serves these two answers of a real server.
    pub(crate) async fn start(object: &Bytes, list: &Bytes) -> Result<Self> {
        let folder = TempDir::with_prefix("outrigger-static-")?;
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes);
        let authority = Authority::new("static-ca")?;
        let serving = authority.serving(&["localhost", "127.0.0.1"])?;
        let administrator = authority.client("admin", &["system:masters"])?;
        write("ca.crt", authority.certificate.as_bytes())?;
        write("tls.crt", serving.certificate.as_bytes())?;
        write("tls.key", serving.key.as_bytes())?;
        write("object", object)?;
        write("list", list)?;
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(COMMAND)
            .args(["--port", &port.to_string()])
            .arg("--folder")
            .arg(folder.path());
        let log = folder.path().join("log");
        let mut process = Process::spawn("static server", &mut command, log)?;
        let client = Client::new(&Kubeconfig {
            server: format!("https://127.0.0.1:{port}"),
            ca_pem: authority.certificate.clone(),
            certificate: Some((administrator.certificate, administrator.key)),
            ..Kubeconfig::default()
        })?;
        wait::until("the static server", READY_DEADLINE, || {
            let running = process.check_running();
            let client = client.clone();
            async move {
                running?;
                client.get("/object").await?.ok().map(drop)
            }
        })
        .await?;
        Ok(Self {
            process,
            client,
            _folder: folder,
        })
    }

    pub(crate) fn server(&self) -> Server {
        Server {
            name: STATIC,
            client: self.client.clone(),
            pids: vec![self.process.pid()],
        }
    }
}

/// What it answers with.
struct Content {
    object: Bytes,
    before: Bytes,
    items: Vec<Bytes>,
    behind: Bytes,
    list_bytes: usize,
    ring: Arc<Ring>,
}

impl Content {
    fn read(folder: &Path) -> Result<Self> {
        let object = Bytes::from(std::fs::read(folder.join("object"))?);
        let list = Bytes::from(std::fs::read(folder.join("list"))?);
        let items = Items::of(&list)?;
        let event = event(&object);
        ensure!(
            event.iter().filter(|it| **it == b'\n').count() == 1,
            "an event is counted by its line's end: this one has not one"
        );
        Ok(Self {
            // Each in memory of its own, as objects are that came one by one.
            items: items
                .items
                .iter()
                .map(|it| Bytes::copy_from_slice(it))
                .collect(),
            before: Bytes::copy_from_slice(items.before),
            behind: Bytes::copy_from_slice(items.behind),
            list_bytes: list.len(),
            ring: Arc::new(Ring::new(event.into())),
            object,
        })
    }
}

/// A watch's event of an object, as GET answers with it: without the end of the answer's line.
fn event(object: &[u8]) -> Vec<u8> {
    let object = object.trim_ascii_end();
    let head = br#"{"type":"MODIFIED","object":"#.as_slice();
    [head, object, b"}\n"].concat()
}

/// The process: serves until it is killed.
pub(crate) async fn serve(args: &Args) -> Result<()> {
    let content = Arc::new(Content::read(&args.folder)?);
    let acceptor = TlsAcceptor::from(Arc::new(tls(&args.folder)?));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, content) = (acceptor.clone(), Arc::clone(&content));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| {
                let content = Arc::clone(&content);
                async move { Ok::<_, Infallible>(answer(&request, &content)) }
            });
            // A client that goes is no failure of the server.
            let _ = builder()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn tls(folder: &Path) -> Result<ServerConfig> {
    let read = |name: &str| std::fs::read(folder.join(name));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&read("ca.crt")?)?)?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(&read("tls.crt")?)?],
            PrivateKeyDer::from_pem_slice(&read("tls.key")?)?,
        )?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// As host/src/serving/connection.rs has it.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(1_000)
        .initial_stream_window_size(256 << 10)
        .initial_connection_window_size(2 << 20)
        .max_send_buf_size(32 << 10)
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

fn answer(request: &Request<Incoming>, content: &Arc<Content>) -> Response<Body> {
    let path = request.uri().path();
    if let Some(number) = path.strip_prefix("/publish/") {
        let number = number.parse().unwrap_or(0);
        content.ring.publish(number);
        return respond(Full::new(Bytes::from_static(b"{}")).boxed_unsync(), Some(2));
    }
    match path {
        "/object" => {
            let length = content.object.len();
            respond(
                Full::new(content.object.clone()).boxed_unsync(),
                Some(length),
            )
        }
        "/list" => respond(list(content), Some(content.list_bytes)),
        "/watch" => respond(Ring::watch(&content.ring), None),
        _ => {
            let mut response = Response::new(Full::default().boxed_unsync());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

/// With four headers: hyper adds the date.
fn respond(body: Body, length: Option<usize>) -> Response<Body> {
    let response = Response::builder()
        .header("audit-id", "5c1e5a31-0f4c-4a6c-9c39-0d2e1b9a7f00")
        .header(header::CACHE_CONTROL, "no-cache, private")
        .header(header::CONTENT_TYPE, "application/json");
    let response = match length {
        Some(length) => response.header(header::CONTENT_LENGTH, length),
        None => response,
    };
    response.body(body).expect("the headers are constants")
}

/// Joined piece by piece while it is sent.
fn list(content: &Arc<Content>) -> Body {
    let pieces = stream::unfold((Arc::clone(content), 0), |(content, mut next)| async move {
        if next == content.items.len() {
            return None;
        }
        let mut frame = BytesMut::with_capacity(FRAME_BYTES);
        if next == 0 {
            frame.extend_from_slice(&content.before);
        }
        while let Some(item) = content.items.get(next) {
            if !frame.is_empty() && frame.len() + item.len() >= FRAME_BYTES {
                break;
            }
            if next > 0 {
                frame.extend_from_slice(b",");
            }
            frame.extend_from_slice(item);
            next += 1;
        }
        if next == content.items.len() {
            frame.extend_from_slice(&content.behind);
        }
        Some((Ok(Frame::data(frame.freeze())), (content, next)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// The address of the process' `/publish/N`.
pub(crate) fn publish_path(number: usize) -> String {
    format!("/publish/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(
            event(b"{\"kind\":\"K\"}\n"),
            b"{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"K\"}}\n"
        );
    }
}
