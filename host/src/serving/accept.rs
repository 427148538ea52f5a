//! The accept loop: caps, back-off, and the drain of what it accepted.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Handler, Limits, Tls, connection};

/// Files that are not connections: the store, the log, calls to the cluster and of plugins.
const RESERVED_FILES: u64 = 512;

/// As Go's net/http waits when a socket cannot be accepted.
const BACK_OFF: std::ops::Range<Duration> = Duration::from_millis(5)..Duration::from_secs(1);

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) tls: Arc<Tls>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) limits: Limits,
    pub(super) drain: CancellationToken,
    pub(super) complaints: Complaints,
}

pub(super) async fn serve(
    listener: TcpListener,
    tls: Arc<Tls>,
    handler: Arc<dyn Handler>,
    mut limits: Limits,
    drain: CancellationToken,
) {
    limits.connections = limits.connections.min(files_for_connections());
    let slots = Arc::new(Slots::new(&limits));
    let shared = Arc::new(Shared {
        tls,
        handler,
        limits,
        drain,
        complaints: Complaints::default(),
    });
    let mut connections = JoinSet::new();
    let mut back_off = BACK_OFF.start;
    loop {
        let accepted = tokio::select! {
            biased;
            () = shared.drain.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(err) = ended {
                    tracing::error!("a connection's task failed: {err}");
                }
                continue;
            }
            accepted = accept(&listener, &mut back_off) => accepted,
        };
        let Some((stream, peer)) = accepted else {
            continue;
        };
        match slots.take(peer.ip()) {
            Ok(slot) => {
                connections.spawn(connection::serve(stream, peer, slot, Arc::clone(&shared)));
            }
            // Closed at once: in the backlog it would only learn later.
            Err(why) if shared.complaints.is_new(peer.ip(), why) => {
                tracing::warn!(peer.ip = %peer.ip(), "closed a new connection of {}: {why}", peer.ip());
            }
            Err(_) => {}
        }
    }
    drop(listener);
    finish(connections, shared.limits.drain).await;
}

/// Waits for the connections, each of which has seen the drain too.
async fn finish(mut connections: JoinSet<()>, deadline: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(deadline, all).await.is_err() {
        tracing::warn!(
            "{} connections still had requests in flight after {deadline:?} of drain: closing them",
            connections.len()
        );
        connections.shutdown().await;
    }
}

/// Cancel-safe: a socket is either still in the backlog or returned.
async fn accept(
    listener: &TcpListener,
    back_off: &mut Duration,
) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => {
            *back_off = BACK_OFF.start;
            Some(accepted)
        }
        // The client was gone before it was accepted.
        Err(err) if is_of_one_connection(&err) => None,
        // Out of files or memory: the socket stays in the backlog, and an immediate retry would spin.
        Err(err) => {
            tracing::warn!("cannot accept connections, trying again in {back_off:?}: {err}");
            let wait = *back_off;
            *back_off = (wait * 2).min(BACK_OFF.end);
            tokio::time::sleep(wait).await;
            None
        }
    }
}

fn is_of_one_connection(err: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(
        err.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted
    )
}

/// Raises the limit of open files to what the process may have, and says how many connections fit.
fn files_for_connections() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    let Some(files) = files else {
        return usize::MAX;
    };
    let fitting = files.saturating_sub(RESERVED_FILES).max(files / 2);
    if fitting < 16_384 {
        tracing::info!("the limit of {files} open files leaves room for {fitting} connections");
    }
    usize::try_from(fitting).unwrap_or(usize::MAX)
}

/// Counts open connections.
pub(super) struct Slots {
    total: usize,
    per_ip: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
}

/// A connection's place, given back when its socket closes.
pub(super) struct Slot {
    slots: Arc<Slots>,
    ip: IpAddr,
}

impl Slots {
    fn new(limits: &Limits) -> Self {
        Self {
            total: limits.connections,
            per_ip: limits.connections_per_ip,
            taken: Mutex::default(),
        }
    }

    fn take(self: &Arc<Self>, ip: IpAddr) -> Result<Slot, &'static str> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.total >= self.total {
            return Err("too many connections are open");
        }
        let of_ip = taken.by_ip.entry(ip).or_default();
        if *of_ip >= self.per_ip {
            return Err("too many connections of its address are open");
        }
        *of_ip += 1;
        taken.total += 1;
        Ok(Slot {
            slots: Arc::clone(self),
            ip,
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self
            .slots
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        if let Some(of_ip) = taken.by_ip.get_mut(&self.ip) {
            *of_ip -= 1;
            if *of_ip == 0 {
                taken.by_ip.remove(&self.ip);
            }
        }
    }
}

/// Keeps a client that fails again and again from filling the log: one line a minute for the same fault.
#[derive(Default)]
pub(super) struct Complaints {
    recent: Mutex<HashMap<(IpAddr, String), Instant>>,
}

impl Complaints {
    const QUIET: Duration = Duration::from_secs(60);
    const MAX_KEPT: usize = 1024;

    pub(super) fn is_new(&self, ip: IpAddr, what: &str) -> bool {
        let now = Instant::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= Self::MAX_KEPT {
            recent.retain(|_, at| now.duration_since(*at) < Self::QUIET);
            if recent.len() >= Self::MAX_KEPT {
                return false;
            }
        }
        let last = recent.insert((ip, what.to_owned()), now);
        match last {
            Some(at) if now.duration_since(at) < Self::QUIET => {
                // Quiet counts from the line that was written, not from the last repetition.
                recent.insert((ip, what.to_owned()), at);
                false
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failed test")]
    use super::*;

    #[test]
    fn caps_connections_of_one_address_and_in_all() {
        let limits = Limits {
            connections: 3,
            connections_per_ip: 2,
            ..Limits::default()
        };
        let slots = Arc::new(Slots::new(&limits));
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let first = slots.take(one).ok().unwrap();
        let _second = slots.take(one).ok().unwrap();
        assert_eq!(
            slots.take(one).err(),
            Some("too many connections of its address are open")
        );
        let _third = slots.take(two).ok().unwrap();
        assert_eq!(slots.take(two).err(), Some("too many connections are open"));
        drop(first);
        assert!(slots.take(one).is_ok());
    }

    #[test]
    fn complains_once_about_the_same_fault() {
        let complaints = Complaints::default();
        let ip = IpAddr::from([10, 0, 0, 1]);
        assert!(complaints.is_new(ip, "bad record"));
        assert!(!complaints.is_new(ip, "bad record"));
        assert!(complaints.is_new(ip, "no certificate"));
    }
}
