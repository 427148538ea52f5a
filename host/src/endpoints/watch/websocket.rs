//! Watches over WebSocket: each event is a message, text in JSON and binary in protobuf, as in
//! k8s.io/apiserver, pkg/endpoints/handlers/watch.go.
//!
//! The client is not to send anything: what it sends is read and dropped, at most 64 KiB a message. Pings are
//! answered, none are sent: TCP finds clients that are gone. One that takes nothing for 30 s is closed on.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::Stream;
use crate::endpoints::negotiation::MediaType;
use crate::endpoints::request::ResourceRequest;
use crate::endpoints::response::text as text_response;
use crate::serving::websocket::handshake;
use crate::serving::{Body, ConnectionInfo};

pub(super) use crate::serving::websocket::is_request;

/// Of what the client sends.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// For how long a client may take nothing of what it is sent.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// From this side's goodbye to the client's.
const FAREWELL: Duration = Duration::from_secs(5);

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// Switches protocols and sends the stream's events from then on, or says why not.
pub(super) fn answer(
    request: &mut ResourceRequest,
    connection: &ConnectionInfo,
    stream: Stream,
) -> http::Response<Body> {
    let response = handshake(&request.headers);
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return response;
    }
    let Some(upgrade) = request.upgrade.take() else {
        // HTTP/2 has no upgrade, and hyper none that could be taken twice.
        let text = "a WebSocket needs a connection of HTTP/1.1\n";
        return text_response(StatusCode::BAD_REQUEST, text);
    };
    connection.run_upgraded(async move {
        let upgraded = match upgrade.await {
            Ok(upgraded) => TokioIo::new(upgraded),
            Err(error) => {
                tracing::debug!(%error, "a connection was closed before it spoke WebSocket");
                return;
            }
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, Some(config)).await;
        serve(socket, stream).await;
    });
    response
}

async fn serve(socket: Socket, mut stream: Stream) {
    let media = stream.media;
    let (mut sink, mut source) = socket.split();
    // Ends when the client has closed, or is not to be understood.
    let mut reading = std::pin::pin!(async move {
        while let Some(Ok(_)) = source.next().await {}
        source
    });
    let writing = async {
        while let Some(frames) = stream.next_frames().await {
            for frame in frames.iter().cloned() {
                let message = match media {
                    MediaType::Protobuf => Message::Binary(frame),
                    _ => Message::Text(text(frame)),
                };
                timeout(WRITE_STALL, sink.feed(message)).await??;
            }
            timeout(WRITE_STALL, sink.flush()).await??;
        }
        let goodbye = CloseFrame {
            code: CloseCode::Normal,
            reason: Utf8Bytes::default(),
        };
        timeout(FAREWELL, sink.send(Message::Close(Some(goodbye)))).await??;
        Ok::<_, Interrupted>(())
    };
    let source = tokio::select! {
        source = &mut reading => Some(source),
        written = writing => match written {
            Ok(()) => timeout(FAREWELL, reading).await.ok(),
            Err(error) => {
                tracing::debug!(%error, "closed a WebSocket");
                None
            }
        },
    };
    // TLS has a goodbye of its own, without which the client must take the end for a cut.
    if let Some(Ok(mut socket)) = source.map(|it| sink.reunite(it)) {
        let _ = timeout(FAREWELL, socket.get_mut().shutdown()).await;
    }
}

/// Events in JSON are made of JSON, which is UTF-8.
fn text(frame: bytes::Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(frame).unwrap_or_default()
}

#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("the client takes nothing of what it is sent")]
    Stalled(#[from] tokio::time::error::Elapsed),
    #[error(transparent)]
    Failed(#[from] Error),
}
