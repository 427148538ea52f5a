//! One connection: handshake under a deadline, then hyper's auto builder under a watchdog.
//!
//! hyper's own `header_read_timeout` also runs while a kept-alive connection is idle and would close it
//! sooner than Go's clients expect, so the deadlines of the stages are kept in `activity`.

mod activity;
mod executor;
mod socket;

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, timeout};
use tokio_rustls::server::TlsStream;

use super::accept::{Shared, Slot};
use super::{ConnectionInfo, Handler};
use activity::{Activity, Expired, TrackedBody};
use executor::HereFirst;

/// Streams of one HTTP/2 connection: kube-apiserver multiplexes everything of one APIService on about one
/// (k8s.io/apiserver sets 1000 for aggregated servers).
const MAX_CONCURRENT_STREAMS: u32 = 1000;
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Per stream: ten thousand slow watchers must fit into memory.
const MAX_SEND_BUFFER_BYTES: usize = 32 * 1024;
/// A front proxy sends a header per group and extra of the user.
const MAX_HEADER_LIST_BYTES: u32 = 256 * 1024;
const MAX_HEADERS: usize = 1024;
/// Finds clients that are gone without a word.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);
/// How long sent bytes may stay unacknowledged before the kernel gives the peer up.
const TCP_USER_TIMEOUT_MS: u32 = 60_000;

pub(super) async fn serve(stream: TcpStream, peer: SocketAddr, slot: Slot, shared: Arc<Shared>) {
    tune(&stream);
    let handshake = shared.tls.acceptor().accept(stream);
    let fault = match timeout(shared.limits.handshake, handshake).await {
        Ok(Ok(stream)) => match serve_http(stream, peer, slot, &shared).await {
            Ok(()) => return,
            Err(fault) => fault,
        },
        Ok(Err(err)) => format!("TLS handshake error: {err}"),
        Err(_) => format!(
            "TLS handshake error: not done within {:?}",
            shared.limits.handshake
        ),
    };
    if shared.complaints.is_new(peer.ip(), &fault) {
        tracing::debug!(peer = %peer, "closed a connection of {peer}: {fault}");
    }
}

fn tune(stream: &TcpStream) {
    use rustix::net::sockopt;
    let tuned = sockopt::set_tcp_nodelay(stream, true)
        .and_then(|()| sockopt::set_socket_keepalive(stream, true))
        .and_then(|()| sockopt::set_tcp_keepidle(stream, TCP_KEEP_ALIVE))
        .and_then(|()| sockopt::set_tcp_user_timeout(stream, TCP_USER_TIMEOUT_MS));
    if let Err(err) = tuned {
        tracing::debug!("cannot set socket options: {err}");
    }
}

enum Event {
    /// hyper is done; the text says why if the client did not close in order.
    Finished(Option<String>),
    Expired(Expired),
    CloseAsked,
}

/// # Errors
/// Why the connection was closed on the client.
async fn serve_http(
    stream: TlsStream<TcpStream>,
    peer: SocketAddr,
    slot: Slot,
    shared: &Arc<Shared>,
) -> Result<(), String> {
    let session = stream.get_ref().1;
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let certificates = session
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|it| it.clone().into_owned())
        .collect();
    let info = Arc::new(ConnectionInfo::new(peer, certificates, is_http2));
    let activity = Arc::new(Activity::new(is_http2));
    let (socket, sender) = socket::socket(stream, Arc::clone(&activity), slot, is_http2);
    let service = {
        let (handler, info, activity) = (
            Arc::clone(&shared.handler),
            Arc::clone(&info),
            Arc::clone(&activity),
        );
        service_fn(move |request| {
            answer(
                Arc::clone(&handler),
                Arc::clone(&info),
                Arc::clone(&activity),
                request,
            )
        })
    };
    let builder = builder();
    let mut connection =
        pin!(builder.serve_connection_with_upgrades(TokioIo::new(socket), service));
    let mut timer = pin!(tokio::time::sleep_until(
        activity.deadline(&shared.limits).0
    ));
    let mut closing = false;
    loop {
        let event = tokio::select! {
            biased;
            event = poll_fn(|context| {
                if let Poll::Ready(result) = connection.as_mut().poll(context) {
                    return Poll::Ready(Event::Finished(result.err().map(|err| err.to_string())));
                }
                if let Poll::Ready(Err(err)) = sender.poll_send(context) {
                    return Poll::Ready(Event::Finished(Some(err.to_string())));
                }
                activity_expired(timer.as_mut(), &activity, shared, context).map(Event::Expired)
            }) => event,
            () = info.closing.cancelled(), if !closing => Event::CloseAsked,
            () = shared.drain.cancelled(), if !closing => Event::CloseAsked,
        };
        match event {
            Event::Finished(None) => {
                if let Some(upgraded) = info.take_upgraded() {
                    sender.stop_gathering();
                    upgraded.await;
                }
                return Ok(());
            }
            Event::Finished(Some(why)) => return Err(why),
            Event::Expired(Expired::Idle) if !closing => {}
            Event::Expired(why) => return Err(why.to_string()),
            Event::CloseAsked => {}
        }
        closing = true;
        activity.start_closing();
        connection.as_mut().graceful_shutdown();
    }
}

/// Ready when a deadline of the connection has passed. Deadlines move with what the connection does,
/// so that the timer is only a time to look again.
fn activity_expired(
    mut timer: Pin<&mut Sleep>,
    activity: &Activity,
    shared: &Shared,
    context: &mut std::task::Context<'_>,
) -> Poll<Expired> {
    loop {
        let (deadline, why) = activity.deadline(&shared.limits);
        if deadline <= Instant::now() {
            return Poll::Ready(why);
        }
        if timer.is_elapsed() || deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        std::task::ready!(timer.as_mut().poll(context));
    }
}

async fn answer(
    handler: Arc<dyn Handler>,
    info: Arc<ConnectionInfo>,
    activity: Arc<Activity>,
    request: Request<Incoming>,
) -> Result<Response<TrackedBody>, std::convert::Infallible> {
    let version = request.version();
    let in_flight = activity.start_request(version);
    let mut response = handler.handle(request, Arc::clone(&info)).await;
    // An answer that is ready at once is written before the connection learns that it shall close.
    if info.is_closing()
        && version <= Version::HTTP_11
        && response.status() != StatusCode::SWITCHING_PROTOCOLS
    {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| TrackedBody::new(body, in_flight)))
}

fn builder() -> auto::Builder<HereFirst> {
    let mut builder = auto::Builder::new(HereFirst);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
