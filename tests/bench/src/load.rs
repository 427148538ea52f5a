//! The load: so many clients, each with one request at a time, all over one HTTP/2 connection, as
//! kube-apiserver's aggregation layer sends what its clients ask.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use outrigger_tests::client::Client;
use outrigger_tests::process::Process;
use tokio::task::{AbortHandle, JoinSet};

use crate::report::Cell;
use crate::resources::{Operation, Resource};

/// Requests before the clock starts: the server's pools and the connection's windows fill.
const WARM_UP: Duration = Duration::from_millis(500);

/// A connection and the task that drives it.
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
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success(),
            "{path}: {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body)
    }
}

/// Does `operation` again and again with `clients` at once.
pub(crate) async fn measure(
    connection: &Connection,
    server: &Process,
    resource: Resource,
    operation: Operation,
    clients: usize,
    duration: Duration,
) -> Result<Cell> {
    let mut users = Vec::new();
    for number in 0..clients {
        let mut user = connection.user();
        let mut work = operation.begin(resource, number);
        work.prepare(&mut user).await?;
        users.push((user, work));
    }
    let start = Instant::now() + WARM_UP;
    let end = start + duration;
    let mut running = JoinSet::new();
    for (mut user, mut work) in users {
        running.spawn(async move {
            let mut latencies: Vec<Duration> = Vec::new();
            loop {
                let began = Instant::now();
                if began > end {
                    return anyhow::Ok(latencies);
                }
                work.once(&mut user).await?;
                if began >= start {
                    latencies.push(began.elapsed());
                }
            }
        });
    }
    tokio::time::sleep_until(start.into()).await;
    let (cpu_before, clock_before) = (cpu_time(server)?, Instant::now());
    tokio::time::sleep_until(end.into()).await;
    let (cpu, elapsed) = (cpu_time(server)? - cpu_before, clock_before.elapsed());
    let mut latencies = Vec::new();
    while let Some(done) = running.join_next().await {
        latencies.extend(done??);
    }
    ensure!(
        !latencies.is_empty(),
        "not one request was answered in time"
    );
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let at = (latencies.len() * percent / 100).min(latencies.len() - 1);
        latencies[at].as_secs_f64() * 1e6
    };
    Ok(Cell {
        per_second: latencies.len() as f64 / elapsed.as_secs_f64(),
        p50_us: percentile(50),
        p99_us: percentile(99),
        server_cpu_us: cpu.as_secs_f64() * 1e6 / latencies.len() as f64,
    })
}

/// User and system time of a process, in steps of 10 ms (proc(5): Linux shows it in hundredths of a second).
fn cpu_time(process: &Process) -> Result<Duration> {
    let pid = process.pid().as_raw_nonzero();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name, in parentheses, may contain anything.
    let fields = stat.rsplit_once(')').context("no stat")?.1;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let mut next = || anyhow::Ok(times.next().context("no time")??);
    Ok(Duration::from_millis(10 * (next()? + next()?)))
}
