//! A thousand watchers: how many events are delivered in a second, and what one delivery costs.
//!
//! A burst of events is made, everybody waits until all watchers have all of it, then comes the next one. Events of the
//! product and its peers are merge patches of 64 objects at once; the processor time of the same patches without
//! watchers is measured before, and taken off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use http::Method;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Part;
use crate::bench::Bench;
use crate::client::counting::{Counting, Got};
use crate::client::{Connection, User};
use crate::load::Meter;
use crate::loads;
use crate::report::Cost;
use crate::resources::{Resource, WATCHED};
use crate::servers::Server;
use crate::stage::Stage;
use crate::yardsticks::static_server;

/// For all of a burst to arrive everywhere; what has not by then is lost.
const DEADLINE: Duration = Duration::from_secs(20);
/// The same where the server has ended watches: watchers too slow are cut off.
const GRACE: Duration = Duration::from_secs(1);
/// Connections of those who write.
const WRITING: usize = 8;
const OBJECTS: usize = 64;

struct Shape {
    load: &'static str,
    connections: usize,
    streams: usize,
    burst: usize,
}

const SHAPES: [Shape; 3] = [
    Shape {
        load: loads::WATCH_BURSTS,
        connections: 10,
        streams: 100,
        burst: OBJECTS,
    },
    Shape {
        load: loads::WATCH_OWN,
        connections: 1_000,
        streams: 1,
        burst: OBJECTS,
    },
    Shape {
        load: loads::WATCH_SINGLE,
        connections: 1_000,
        streams: 1,
        burst: 1,
    },
];

impl Shape {
    fn watchers(&self) -> usize {
        self.connections * self.streams
    }
}

pub(super) async fn run(bench: &mut Bench, stage: &Stage) -> Result<()> {
    let mut servers = vec![stage.product.server()?];
    servers.extend(stage.sample.as_ref().map(|it| it.server()));
    let mut sources = vec![(
        stage.still.server(),
        Source::ring(&stage.still.server()).await?,
    )];
    for server in servers {
        let source = Source::objects(&server).await?;
        sources.push((server, source));
    }
    for shape in SHAPES {
        for (server, source) in &mut sources {
            bench.step(shape.load, shape.watchers(), server.name);
            let duration = bench.settings.duration();
            let own = source.cost_alone(server, &shape, duration / 2).await?;
            let (cost, lost) = deliveries(server, source, &shape, own, duration).await?;
            bench.row(Part::Watch, shape.load, shape.watchers(), server.name, cost);
            let what = format!("{}: lost", shape.load);
            bench.value(
                Part::Watch.title(),
                &what,
                server.name,
                (lost as f64, "events"),
            );
        }
    }
    Ok(())
}

/// Where events come from.
enum Source {
    /// The static server makes them when it is asked to.
    Ring { user: User, _connection: Connection },
    Objects {
        users: Vec<User>,
        _connections: Vec<Connection>,
        round: u64,
    },
}

impl Source {
    async fn ring(server: &Server) -> Result<Self> {
        let connection = Connection::open(&server.client).await?;
        Ok(Self::Ring {
            user: connection.user(),
            _connection: connection,
        })
    }

    async fn objects(server: &Server) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..WRITING {
            connections.push(Connection::open(&server.client).await?);
        }
        let mut users = Vec::new();
        for number in 0..OBJECTS {
            let mut user = connections[number % WRITING].user();
            let resource = Resource::Hooks;
            resource.create(&mut user, WATCHED, &name(number)).await?;
            users.push(user);
        }
        Ok(Self::Objects {
            users,
            _connections: connections,
            round: 0,
        })
    }

    /// What is watched, from now on.
    async fn path(&mut self) -> Result<String> {
        let Self::Objects { users, .. } = self else {
            return Ok("/watch".into());
        };
        let path = Resource::Hooks.collection(WATCHED);
        let list: Value = serde_json::from_slice(&users[0].get(&path).await?)?;
        let version = list["metadata"]["resourceVersion"].as_str();
        let version = version.context("a list has a resourceVersion")?;
        Ok(format!(
            "{path}?watch=true&resourceVersion={version}&timeoutSeconds=600"
        ))
    }

    /// Makes events, all at once.
    async fn publish(&mut self, burst: usize) -> Result<()> {
        match self {
            Self::Ring { user, .. } => {
                let path = static_server::publish_path(burst);
                user.send(Method::POST, &path, "", bytes::Bytes::new())
                    .await?;
            }
            Self::Objects { users, round, .. } => {
                *round += 1;
                let round = *round;
                let patches = users.iter_mut().take(burst).enumerate();
                let patches = patches.map(|(number, user)| async move {
                    let resource = Resource::Hooks;
                    let name = name(number);
                    resource.merge_patch(user, WATCHED, &name, round).await
                });
                futures_util::future::try_join_all(patches).await?;
            }
        }
        Ok(())
    }

    /// Seconds of the server's processor for one burst that nobody watches.
    async fn cost_alone(
        &mut self,
        server: &Server,
        shape: &Shape,
        duration: Duration,
    ) -> Result<f64> {
        self.publish(shape.burst).await?;
        let meter = Meter::start(&server.pids)?;
        let end = Instant::now() + duration;
        let mut bursts = 0.0;
        while Instant::now() < end {
            self.publish(shape.burst).await?;
            bursts += 1.0;
        }
        Ok(meter.stop()?.server.as_secs_f64() / bursts)
    }
}

fn name(number: usize) -> String {
    format!("watched-{number}")
}

/// What all watchers have got.
#[derive(Default)]
struct Counted {
    open: AtomicU64,
    events: AtomicU64,
    /// Watches that the server has ended.
    ended: AtomicU64,
    changed: Notify,
}

impl Counted {
    /// Waits until `counter` is at `expected`; what is missing when time is up.
    async fn wait(&self, counter: &AtomicU64, expected: u64) -> u64 {
        let missing = || expected.saturating_sub(counter.load(Ordering::Acquire));
        let reached = async {
            while missing() > 0 {
                self.changed.notified().await;
            }
        };
        let given_up = async {
            while self.ended.load(Ordering::Acquire) == 0 {
                tokio::time::sleep(GRACE).await;
            }
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = reached => {}
            () = given_up => {}
            () = tokio::time::sleep(DEADLINE) => {}
        }
        missing()
    }
}

/// The cost of a delivery, and how many were lost.
async fn deliveries(
    server: &Server,
    source: &mut Source,
    shape: &Shape,
    cost_alone: f64,
    duration: Duration,
) -> Result<(Cost, u64)> {
    let counted = Arc::new(Counted::default());
    let path = source.path().await?;
    let mut watching = watch(server, &path, shape, &counted).await?;
    let watchers = shape.watchers() as u64;
    if counted.wait(&counted.open, watchers).await > 0 {
        while let Some(ended) = watching.try_join_next() {
            ended??;
        }
        bail!("not all watches were opened in time");
    }

    let mut expected = 0;
    let mut lost = 0;
    let mut latencies = Vec::new();
    let meter = Meter::start(&server.pids)?;
    let end = Instant::now() + duration;
    while lost == 0 && (latencies.is_empty() || Instant::now() < end) {
        let began = Instant::now();
        expected += shape.burst as u64 * watchers;
        source.publish(shape.burst).await?;
        lost = counted.wait(&counted.events, expected).await;
        latencies.push(began.elapsed());
    }
    let used = meter.stop()?;
    while let Some(ended) = watching.try_join_next() {
        ended??;
    }
    watching.abort_all();
    let events = counted.events.load(Ordering::Acquire);
    latencies.sort_unstable();
    let mut cost = used.cost(&latencies, usize::try_from(events)?.max(1));
    let writes = cost_alone * latencies.len() as f64 * 1e6 / events.max(1) as f64;
    cost.server_cpu_us = (cost.server_cpu_us - writes).max(0.0);
    Ok((cost, lost))
}

async fn watch(
    server: &Server,
    path: &str,
    shape: &Shape,
    counted: &Arc<Counted>,
) -> Result<JoinSet<Result<()>>> {
    let mut watching = JoinSet::new();
    for number in 0..shape.connections {
        let headers = [("accept", "application/json")];
        let mut connection = Counting::open(&server.client, path, &headers, number).await?;
        for _ in 0..shape.streams {
            connection.ask();
        }
        let counted = Arc::clone(counted);
        watching.spawn(async move {
            loop {
                let (mut opened, mut events, mut ended) = (0, 0, 0);
                let shown = connection.turn(|got| match got {
                    Got::Headers => opened += 1,
                    Got::Data(data) => events += lines(data),
                    Got::End(_) => ended += 1,
                });
                shown.await?;
                counted.ended.fetch_add(ended, Ordering::AcqRel);
                counted.open.fetch_add(opened, Ordering::AcqRel);
                counted.events.fetch_add(events, Ordering::AcqRel);
                if opened + events > 0 {
                    counted.changed.notify_one();
                }
            }
        });
    }
    Ok(watching)
}

/// An event is a line.
fn lines(data: &[u8]) -> u64 {
    // In short pieces, so that a byte can count: the compiler makes vectors of it.
    let of = |piece: &[u8]| {
        let line_ends = piece.iter().map(|it| u8::from(*it == b'\n'));
        u64::from(line_ends.fold(0u8, u8::wrapping_add))
    };
    data.chunks(255).map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_by_their_ends() {
        assert_eq!(lines(b""), 0);
        assert_eq!(lines(b"{}\n{}\n{"), 2);
        assert_eq!(lines(&[b'\n'; 1_000]), 1_000);
    }
}
