//! Requests to etcd: one member at a time, the next one when it does not answer.
//!
//! A connection is made anew, with the certificates that lie in the files then, after each failure that a connection
//! may be the reason of. A request is tried once; those that may be carried out twice are
//! tried again, with back-off, until their deadline.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use futures_util::stream;
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::failure::{Effect, Failure};
use super::{Options, proto};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longer than etcd's own limit of a request, 7 s with its default election time-out.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Answers of etcd have no limit of their own; a page of a list has at least one object.
const ANSWER_MAX_BYTES: usize = 256 << 20;

const RANGE: &str = "/etcdserverpb.KV/Range";
const TXN: &str = "/etcdserverpb.KV/Txn";
const COMPACT: &str = "/etcdserverpb.KV/Compact";
const WATCH: &str = "/etcdserverpb.Watch/Watch";
const AUTHENTICATE: &str = "/etcdserverpb.Auth/Authenticate";
const STATUS: &str = "/etcdserverpb.Maintenance/Status";

pub(super) struct Client {
    pub(super) options: Options,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which of the servers is used.
    current: usize,
    channel: Option<Channel>,
    /// Counts connections, so that the failure of an old one does not end a new one.
    generation: u64,
    token: Option<MetadataValue<Ascii>>,
}

#[derive(Clone)]
struct Connection {
    server: String,
    channel: Channel,
    generation: u64,
}

impl Client {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            state: Mutex::default(),
        }
    }

    // Nothing in it can be half changed by a panic.
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, until `deadline`.
    pub(super) async fn range(
        &self,
        request: proto::RangeRequest,
        deadline: Instant,
    ) -> Result<proto::RangeResponse, Failure> {
        self.repeat(RANGE, &request, deadline).await
    }

    /// Reads once.
    pub(super) async fn range_once(
        &self,
        request: proto::RangeRequest,
    ) -> Result<proto::RangeResponse, Failure> {
        self.call(RANGE, &request, Instant::now() + REQUEST_TIMEOUT)
            .await
    }

    /// A transaction that only reads, or that may be carried out twice, until `deadline`.
    pub(super) async fn repeatable_txn(
        &self,
        request: proto::TxnRequest,
        deadline: Instant,
    ) -> Result<proto::TxnResponse, Failure> {
        self.repeat(TXN, &request, deadline).await
    }

    /// Writes, with one try.
    pub(super) async fn txn(
        &self,
        request: proto::TxnRequest,
        deadline: Instant,
    ) -> Result<proto::TxnResponse, Failure> {
        self.call(TXN, &request, deadline).await
    }

    /// The release of the member that is used, e.g. `3.7.3`.
    pub(super) async fn version(&self, deadline: Instant) -> Result<String, Failure> {
        let request = proto::StatusRequest {};
        let answer: proto::StatusResponse = self.repeat(STATUS, &request, deadline).await?;
        Ok(answer.version)
    }

    pub(super) async fn compact(&self, revision: i64) -> Result<(), Failure> {
        let request = proto::CompactionRequest { revision };
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let answer: Result<proto::CompactionResponse, _> =
            self.call(COMPACT, &request, deadline).await;
        answer.map(drop)
    }

    /// Tries a request that may be carried out twice until `deadline`.
    async fn repeat<M, A>(
        &self,
        path: &'static str,
        request: &M,
        deadline: Instant,
    ) -> Result<A, Failure>
    where
        M: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let mut back_off = BackOff::default();
        let mut before: Option<Failure> = None;
        loop {
            let failure = match self.call(path, request, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if Instant::now() >= deadline {
                // The last try was cut short, which says nothing of etcd.
                return Err(before.unwrap_or(failure));
            }
            let pause = back_off.next();
            if !failure.is_passing() || Instant::now() + pause >= deadline {
                return Err(failure);
            }
            before = Some(failure);
            sleep(pause).await;
        }
    }

    /// One try, and one more with a new token where etcd wants one.
    pub(super) async fn call<M, A>(
        &self,
        path: &'static str,
        request: &M,
        deadline: Instant,
    ) -> Result<A, Failure>
    where
        M: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        match self.call_once(path, request, deadline).await {
            Err(failure) if failure.effect == Effect::NoToken => {
                self.state().token = None;
                self.call_once(path, request, deadline).await
            }
            answer => answer,
        }
    }

    async fn call_once<M, A>(
        &self,
        path: &'static str,
        request: &M,
        deadline: Instant,
    ) -> Result<A, Failure>
    where
        M: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let connection = self.connection().await?;
        let token = self.token(&connection).await?;
        self.unary(&connection, path, token, request.clone(), deadline)
            .await
    }

    async fn unary<M, A>(
        &self,
        connection: &Connection,
        path: &'static str,
        token: Option<MetadataValue<Ascii>>,
        request: M,
        deadline: Instant,
    ) -> Result<A, Failure>
    where
        M: Message + 'static,
        A: Message + Default + 'static,
    {
        let request = decorated(request, token);
        let mut grpc = grpc(connection);
        let path = PathAndQuery::from_static(path);
        let asking = async {
            ready(&mut grpc).await?;
            grpc.unary(request, path, ProstCodec::<M, A>::default())
                .await
        };
        let limit = REQUEST_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
        self.answered(connection, timeout(limit, asking).await)
    }

    /// Leaves the connection where it may be the reason of a failure.
    fn answered<A>(
        &self,
        connection: &Connection,
        answer: Result<Result<tonic::Response<A>, Status>, tokio::time::error::Elapsed>,
    ) -> Result<A, Failure> {
        let failure = match answer {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) => Failure::of(&status, &connection.server, &self.options),
            Err(_) => Failure::timeout(&connection.server),
        };
        if matches!(failure.effect, Effect::NotDone | Effect::Unknown) {
            self.leave(connection.generation);
        }
        Err(failure)
    }

    /// Goes to the next server with what is asked from now on.
    fn leave(&self, generation: u64) {
        let mut state = self.state();
        if state.generation == generation {
            state.channel = None;
            state.generation += 1;
            state.current = (state.current + 1) % self.options.servers.len();
        }
    }

    async fn connection(&self) -> Result<Connection, Failure> {
        let (server, generation) = {
            let state = self.state();
            let server = self.options.servers[state.current].clone();
            if let Some(channel) = &state.channel {
                return Ok(Connection {
                    server,
                    channel: channel.clone(),
                    generation: state.generation,
                });
            }
            (server, state.generation)
        };
        let endpoint = self.endpoint(&server).await;
        let endpoint = endpoint.map_err(|err| Failure::new(Effect::Refused, format!("{err:#}")))?;
        let mut state = self.state();
        if state.generation != generation {
            // Others have found meanwhile that it does not answer.
            let text = format!("etcd at {server} does not answer");
            return Err(Failure::new(Effect::NotDone, text));
        }
        // Two that came at the same time use the same one.
        let channel = state.channel.get_or_insert_with(|| endpoint.connect_lazy());
        Ok(Connection {
            server,
            channel: channel.clone(),
            generation,
        })
    }

    async fn endpoint(&self, server: &str) -> anyhow::Result<Endpoint> {
        let endpoint = Endpoint::from_shared(server.to_owned())
            .with_context(|| format!("--etcd-servers: {server:?} is no URL"))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(10))
            .keep_alive_timeout(Duration::from_secs(5))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let Some(tls) = self.tls().await? else {
            return Ok(endpoint);
        };
        endpoint.tls_config(tls).context(
            "the files of --etcd-cafile, --etcd-certfile and --etcd-keyfile cannot be used",
        )
    }

    async fn tls(&self) -> anyhow::Result<Option<ClientTlsConfig>> {
        let Some(ca) = &self.options.ca_file else {
            return Ok(None);
        };
        let ca = read("--etcd-cafile", ca).await?;
        let mut tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(ca))
            .timeout(CONNECT_TIMEOUT);
        if let Some((certificate, key)) = &self.options.identity {
            let certificate = read("--etcd-certfile", certificate).await?;
            let key = read("--etcd-keyfile", key).await?;
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        Ok(Some(tls))
    }

    /// What shows etcd who asks, where a user was given.
    async fn token(
        &self,
        connection: &Connection,
    ) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let Some(credentials) = &self.options.credentials else {
            return Ok(None);
        };
        if let Some(token) = &self.state().token {
            return Ok(Some(token.clone()));
        }
        let refused = |text: String| Failure::new(Effect::Refused, text);
        let password = read("--etcd-password-file", &credentials.password_file).await;
        let password = password.map_err(|err| refused(format!("{err:#}")))?;
        let request = proto::AuthenticateRequest {
            name: credentials.username.clone(),
            password: String::from_utf8_lossy(&password)
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
        };
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let answer: proto::AuthenticateResponse = self
            .unary(connection, AUTHENTICATE, None, request, deadline)
            .await?;
        let token = answer.token.parse::<MetadataValue<Ascii>>();
        let token = token.map_err(|_| refused("etcd's token is no text".into()))?;
        self.state().token = Some(token.clone());
        Ok(Some(token))
    }

    /// Opens a watch; etcd has confirmed it when the stream's first message is there.
    pub(super) async fn watch(
        &self,
        create: proto::WatchCreateRequest,
    ) -> Result<WatchStream<'_>, Failure> {
        let connection = self.connection().await?;
        let token = self.token(&connection).await?;
        let (requests, queue) = mpsc::channel(16);
        let create = proto::WatchRequest::from(proto::WatchUnion::Create(create));
        requests
            .try_send(create)
            .expect("the queue is new and empty");
        let queue = stream::unfold(queue, async |mut queue| {
            let request = queue.recv().await?;
            Some((request, queue))
        });
        let request = decorated(Box::pin(queue), token);
        let mut grpc = grpc(&connection);
        let codec = ProstCodec::<proto::WatchRequest, proto::WatchResponse>::default();
        let opening = async {
            ready(&mut grpc).await?;
            let path = PathAndQuery::from_static(WATCH);
            grpc.streaming(request, path, codec).await
        };
        let answer = self.answered(&connection, timeout(REQUEST_TIMEOUT, opening).await);
        if let Err(failure) = &answer
            && failure.effect == Effect::NoToken
        {
            self.state().token = None;
        }
        Ok(WatchStream {
            client: self,
            connection: connection.clone(),
            requests,
            responses: answer?,
            partial: None,
        })
    }
}

/// One watch on a stream of its own.
pub(super) struct WatchStream<'a> {
    client: &'a Client,
    connection: Connection,
    requests: mpsc::Sender<proto::WatchRequest>,
    responses: Streaming<proto::WatchResponse>,
    /// Of a message whose end has not come yet.
    partial: Option<proto::WatchResponse>,
}

impl WatchStream<'_> {
    /// The next message, whole. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<proto::WatchResponse, Failure> {
        loop {
            let message = match self.responses.message().await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    let status = Status::unavailable("the stream has ended");
                    return Err(self.lost(&status));
                }
                Err(status) => return Err(self.lost(&status)),
            };
            let is_last = !message.fragment;
            match &mut self.partial {
                Some(partial) => partial.events.extend(message.events),
                None => self.partial = Some(message),
            }
            if is_last && let Some(whole) = self.partial.take() {
                return Ok(whole);
            }
        }
    }

    /// Asks how far the watch is. Where many such questions wait already, it is one of them.
    pub(super) fn ask_progress(&self) {
        let ask = proto::WatchUnion::Progress(proto::WatchProgressRequest {});
        let _ = self.requests.try_send(ask.into());
    }

    /// The member does not answer, or has fallen behind.
    pub(super) fn leave(&self) -> Failure {
        self.client.leave(self.connection.generation);
        Failure::timeout(&self.connection.server)
    }

    pub(super) fn cancelled(&self, reason: &str) -> Failure {
        let failure = Failure::of_cancelled(reason, &self.connection.server, &self.client.options);
        match failure.effect {
            Effect::NoToken => self.client.state().token = None,
            Effect::NotDone => self.client.leave(self.connection.generation),
            _ => {}
        }
        failure
    }

    fn lost(&self, status: &Status) -> Failure {
        self.client.leave(self.connection.generation);
        Failure::of(status, &self.connection.server, &self.client.options)
    }
}

fn grpc(connection: &Connection) -> Grpc<Channel> {
    Grpc::new(connection.channel.clone()).max_decoding_message_size(ANSWER_MAX_BYTES)
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    let ready = grpc.ready().await;
    ready.map_err(|err| Status::from_error(Box::new(err)))
}

fn decorated<T>(message: T, token: Option<MetadataValue<Ascii>>) -> Request<T> {
    let mut request = Request::new(message);
    // A member without a leader then refuses, and ends watches, rather than answer with what may be old.
    let has_leader = MetadataValue::from_static("true");
    request.metadata_mut().insert("hasleader", has_leader);
    if let Some(token) = token {
        request.metadata_mut().insert("token", token);
    }
    request
}

async fn read(flag: &str, file: &std::path::Path) -> anyhow::Result<Bytes> {
    let bytes = tokio::fs::read(file).await;
    let bytes = bytes.with_context(|| format!("{flag} {} cannot be read", file.display()))?;
    Ok(bytes.into())
}

/// Pauses between tries: 20 ms, then twice as long each time up to a second, each 50 to 100 % of that.
#[derive(Default)]
pub(super) struct BackOff {
    tries: u32,
}

impl BackOff {
    pub(super) fn next(&mut self) -> Duration {
        let whole = Duration::from_millis(20)
            .saturating_mul(1 << self.tries.min(6))
            .min(Duration::from_secs(1));
        self.tries = self.tries.saturating_add(1);
        let random = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 255.0;
        whole.mul_f64(0.5 + 0.5 * random)
    }

    pub(super) fn has_paused(&self) -> bool {
        self.tries > 0
    }

    pub(super) fn reset(&mut self) {
        self.tries = 0;
    }
}
