//! The loads: so many clients, each with one request at a time, on up to eight HTTP/2 connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Pid;
use tokio::task::JoinSet;

use crate::client::Connection;
use crate::client::counting::Counting;
use crate::report::Cost;
use crate::resources::{Operation, Resource};
use crate::servers::Server;
use crate::statistics::percentile;
use crate::usage;

/// Requests before the clock starts: the server's pools and the connections' windows fill.
const WARM_UP: Duration = Duration::from_millis(500);
const MAX_CONNECTIONS: usize = 8;
/// How many times longer than wanted is waited for the first answer to each client.
const PATIENCE: u32 = 10;

/// When is measured: from `start` on, until the time is over and each client may have had an answer.
pub(crate) struct Window {
    start: Instant,
    duration: Duration,
    clients: usize,
    answered: AtomicUsize,
    is_over: AtomicBool,
}

impl Window {
    fn after_warm_up(duration: Duration, clients: usize) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now() + WARM_UP,
            duration,
            clients,
            answered: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Whether an answer that came now counts, whenever it was asked for.
    pub(crate) fn counts(&self, now: Instant) -> bool {
        let counts = now >= self.start && !self.is_over();
        if counts {
            self.answered.fetch_add(1, Ordering::AcqRel);
        }
        counts
    }

    /// Waits until it is over; a slow server has some more time, but not for ever.
    async fn wait(&self) {
        tokio::time::sleep(self.duration).await;
        let end = self.start + self.duration * PATIENCE;
        while self.answered.load(Ordering::Acquire) < self.clients && Instant::now() < end {
            tokio::time::sleep(WARM_UP / 10).await;
        }
        self.is_over.store(true, Ordering::Release);
    }
}

/// How many clients a connection has when there are `clients` in all.
fn shares(clients: usize) -> Vec<usize> {
    let connections = clients.min(MAX_CONNECTIONS);
    (0..connections)
        .map(|it| clients / connections + usize::from(it < clients % connections))
        .collect()
}

/// Repeats one GET.
pub(crate) async fn reads(
    server: &Server,
    path: &str,
    headers: &[(&str, &str)],
    clients: usize,
    duration: Duration,
) -> Result<Cost> {
    let mut connections = Vec::new();
    for (number, share) in shares(clients).into_iter().enumerate() {
        let connection = Counting::open(&server.client, path, headers, number).await?;
        connections.push((connection, share));
    }
    let window = Window::after_warm_up(duration, clients);
    let mut running = JoinSet::new();
    for (connection, share) in connections {
        running.spawn(connection.repeat(share, Arc::clone(&window)));
    }
    collect(running, &window, &server.pids).await
}

/// Does `operation` again and again.
pub(crate) async fn writes(
    server: &Server,
    resource: Resource,
    operation: Operation,
    clients: usize,
    duration: Duration,
) -> Result<Cost> {
    let mut users = Vec::new();
    let mut connections = Vec::new();
    for share in shares(clients) {
        let connection = Connection::open(&server.client).await?;
        for _ in 0..share {
            let mut user = connection.user();
            let mut work = operation.begin(resource, users.len());
            work.prepare(&mut user).await?;
            users.push((user, work));
        }
        connections.push(connection);
    }
    let window = Window::after_warm_up(duration, clients);
    let mut running = JoinSet::new();
    for (mut user, mut work) in users {
        let window = Arc::clone(&window);
        running.spawn(async move {
            let mut latencies: Vec<Duration> = Vec::new();
            while !window.is_over() {
                let began = Instant::now();
                work.once(&mut user).await?;
                let ended = Instant::now();
                if window.counts(ended) {
                    latencies.push(ended - began);
                }
            }
            Ok(latencies)
        });
    }
    collect(running, &window, &server.pids).await
}

/// Looks at the processor time of servers and client while the load runs, and then at what it has measured.
async fn collect(
    mut running: JoinSet<Result<Vec<Duration>>>,
    window: &Window,
    pids: &[Pid],
) -> Result<Cost> {
    tokio::time::sleep_until(window.start.into()).await;
    let meter = Meter::start(pids)?;
    window.wait().await;
    let used = meter.stop()?;
    let mut latencies = Vec::new();
    while let Some(done) = running.join_next().await {
        latencies.extend(done??);
    }
    ensure!(
        !latencies.is_empty(),
        "not one request was answered in time"
    );
    latencies.sort_unstable();
    Ok(used.cost(&latencies, latencies.len()))
}

/// Callers in this process, which is the server: each makes one call at a time, again and again. `call` is told the
/// caller's number, and how many calls that one has made before.
pub(crate) async fn in_process<C, F>(callers: usize, duration: Duration, call: C) -> Result<Cost>
where
    C: Fn(usize, usize) -> F + Clone + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let end = Instant::now() + duration;
    let meter = Meter::start(&[rustix::process::getpid()])?;
    let mut calling = JoinSet::new();
    for caller in 0..callers {
        let call = call.clone();
        calling.spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let began = Instant::now();
                if began > end {
                    return anyhow::Ok(latencies);
                }
                call(caller, latencies.len()).await?;
                latencies.push(began.elapsed());
            }
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = calling.join_next().await {
        latencies.extend(done??);
    }
    let used = meter.stop()?;
    latencies.sort_unstable();
    let mut cost = used.cost(&latencies, latencies.len());
    // There is no client but this process.
    cost.client_cpu_us = 0.0;
    Ok(cost)
}

/// Processor time and clock from a moment on.
pub(crate) struct Meter {
    pids: Vec<Pid>,
    server: Duration,
    client: Duration,
    clock: Instant,
}

pub(crate) struct Used {
    pub(crate) server: Duration,
    pub(crate) client: Duration,
    pub(crate) elapsed: Duration,
}

impl Meter {
    pub(crate) fn start(pids: &[Pid]) -> Result<Self> {
        Ok(Self {
            pids: pids.to_vec(),
            server: usage::cpu_time(pids)?,
            client: usage::own_cpu_time()?,
            clock: Instant::now(),
        })
    }

    pub(crate) fn stop(&self) -> Result<Used> {
        Ok(Used {
            server: usage::cpu_time(&self.pids)?.saturating_sub(self.server),
            client: usage::own_cpu_time()?.saturating_sub(self.client),
            elapsed: self.clock.elapsed(),
        })
    }
}

impl Used {
    /// Of so many requests; `latencies` are sorted, and may be of some of them only.
    pub(crate) fn cost(&self, latencies: &[Duration], requests: usize) -> Cost {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / requests as f64;
        Cost {
            per_second: requests as f64 / self.elapsed.as_secs_f64(),
            p50_us: percentile(latencies, 50),
            p99_us: percentile(latencies, 99),
            server_cpu_us: each(self.server),
            client_cpu_us: each(self.client),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_share_eight_connections() {
        assert_eq!(shares(1), [1]);
        assert_eq!(shares(10), [2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(shares(64), [8; 8]);
    }

    #[test]
    fn what_was_used_is_shared_by_all_requests() {
        let used = Used {
            server: Duration::from_millis(500),
            client: Duration::from_millis(100),
            elapsed: Duration::from_secs(2),
        };
        let latencies = [Duration::from_micros(10), Duration::from_micros(30)];
        let cost = used.cost(&latencies, 1_000);
        assert_eq!(cost.per_second, 500.0);
        assert_eq!(cost.server_cpu_us.round(), 500.0);
        assert_eq!(cost.client_cpu_us.round(), 100.0);
        assert_eq!(cost.p50_us.round(), 30.0);
    }
}
