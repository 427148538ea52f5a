//! The election of a leader by a Lease of `coordination.k8s.io/v1`, as client-go's leaderelection holds it.
//!
//! The holder renews each 2 s, and stops to lead where that has not worked for 10 s. The others take a Lease that has
//! not changed for its 15 s; one that is absent or released they take at once. All of that goes by each process's own
//! clock: the times in the object are for people, since the clocks of nodes differ. Two lead at once only where one
//! clock runs half as fast again as another.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::follow::jittered;
use super::leadership::{Leader, Leadership};
use super::status::{ClusterStatus, Part};
use super::{code, explain};
use crate::ambient::Clock;

/// client-go's defaults for the components of Kubernetes.
const DURATION: Duration = Duration::from_secs(15);
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(2);
/// Candidates wait up to so much longer between two tries.
const JITTER: f64 = 1.2;
/// How long a Lease may take to be given back.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Of a released Lease, which must have one.
const RELEASED_SECONDS: i32 = 1;

/// Where the Lease is kept.
#[async_trait]
trait Leases: Send + Sync {
    async fn get(&self) -> Result<Option<Lease>, kube::Error>;
    async fn create(&self, lease: &Lease) -> Result<Lease, kube::Error>;
    /// Fails with 409 where the object has changed since.
    async fn replace(&self, lease: &Lease) -> Result<Lease, kube::Error>;
}

/// One candidate.
pub struct Election {
    leases: Box<dyn Leases>,
    namespace: String,
    name: String,
    /// Of this process: a restarted one is another candidate.
    identity: Arc<str>,
    clock: Arc<dyn Clock>,
    leader: watch::Sender<Leader>,
    resigned: CancellationToken,
    released: CancellationToken,
    part: Part,
}

impl Election {
    /// By the Lease `namespace/name`.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        clock: Arc<dyn Clock>,
        status: &ClusterStatus,
    ) -> Self {
        let leases = ClusterLeases {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
        };
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let identity = format!("{}_{}", host.trim(), uuid::Uuid::new_v4());
        Self::with(Box::new(leases), namespace, name, &identity, clock, status)
    }

    fn with(
        leases: Box<dyn Leases>,
        namespace: &str,
        name: &str,
        identity: &str,
        clock: Arc<dyn Clock>,
        status: &ClusterStatus,
    ) -> Self {
        Self {
            leases,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            identity: identity.into(),
            clock,
            leader: watch::Sender::new(Leader::Unknown),
            resigned: CancellationToken::new(),
            released: CancellationToken::new(),
            part: status.optional("leader-election"),
        }
    }

    pub fn leadership(&self) -> Leadership {
        Leadership::followed(self.leader.subscribe())
    }

    /// Stands until [`Election::resign`], then gives the Lease back.
    pub async fn run(&self) {
        let mut view = View::default();
        self.resigned
            .run_until_cancelled(self.stand(&mut view))
            .await;
        // First it leads no more, then others may.
        self.publish(Leader::Unknown);
        let release = self.release(view);
        match tokio::time::timeout(RELEASE_TIMEOUT, release).await {
            Ok(Ok(())) => {}
            Ok(Err(err)) => tracing::warn!("{}", self.problem(&err)),
            Err(_) => tracing::warn!(
                "kube-apiserver does not answer: the Lease is another replica's when it expires"
            ),
        }
        self.released.cancel();
    }

    /// Stands no more. Returns when the Lease is free, or after a bounded time.
    pub async fn resign(&self) {
        self.resigned.cancel();
        // Where it was not running there is nobody to wait for.
        let _ = tokio::time::timeout(RELEASE_TIMEOUT, self.released.cancelled()).await;
    }

    async fn stand(&self, view: &mut View) {
        let mut leads_until: Option<Instant> = None;
        loop {
            let asked = Instant::now();
            let deadline = leads_until.unwrap_or(asked + RENEW_DEADLINE);
            match tokio::time::timeout_at(deadline, self.attempt(view)).await {
                Ok(Ok(leader)) => {
                    leads_until = (leader == Leader::Ourselves).then(|| asked + RENEW_DEADLINE);
                    self.publish(leader);
                    self.part.works();
                }
                Ok(Err(err)) => self.part.fails(self.problem(&err)),
                Err(_) => self.part.fails("kube-apiserver does not answer".into()),
            }
            let now = Instant::now();
            let next = match leads_until {
                Some(until) if until <= now => {
                    leads_until = None;
                    self.publish(Leader::Unknown);
                    now
                }
                Some(until) => until.min(now + RETRY),
                None => now + jittered(RETRY, JITTER),
            };
            tokio::time::sleep_until(next).await;
        }
    }

    /// Takes the Lease or renews it, where it is ours or nobody's; says whose it is.
    async fn attempt(&self, view: &mut View) -> Result<Leader, kube::Error> {
        // Nobody but the holder writes it, mostly: it need not be read before each renewal.
        if !view.is_held_by(&self.identity) {
            view.see(self.leases.get().await?, Instant::now());
        }
        if let Some(other) = view.other_holder(&self.identity, Instant::now()) {
            return Ok(Leader::Other(other.into()));
        }
        let claim = self.claim(view.lease.as_ref());
        let written = match &view.lease {
            Some(_) => self.leases.replace(&claim).await,
            None => self.leases.create(&claim).await,
        };
        match written {
            Ok(lease) => {
                view.see(Some(lease), Instant::now());
                Ok(Leader::Ourselves)
            }
            Err(err) if matches!(code(&err), Some(404 | 409)) => {
                view.see(self.leases.get().await?, Instant::now());
                match view.other_holder(&self.identity, Instant::now()) {
                    Some(other) => Ok(Leader::Other(other.into())),
                    // An earlier write of ours whose answer was lost, or somebody's annotation: the next try has it.
                    None => Err(err),
                }
            }
            Err(err) => Err(err),
        }
    }

    /// The Lease as it is when this process holds it.
    fn claim(&self, found: Option<&Lease>) -> Lease {
        let before = found.and_then(|it| it.spec.clone()).unwrap_or_default();
        let is_ours = before.holder_identity.as_deref() == Some(&*self.identity);
        let now = self.now();
        let transitions = before.lease_transitions.unwrap_or_default();
        let spec = LeaseSpec {
            acquire_time: match is_ours {
                true => before.acquire_time,
                false => Some(now.clone()),
            },
            holder_identity: Some(self.identity.to_string()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(match found {
                Some(_) if !is_ours => transitions.saturating_add(1),
                _ => transitions,
            }),
            renew_time: Some(now),
            ..before
        };
        let metadata = match found {
            Some(lease) => lease.metadata.clone(),
            None => ObjectMeta {
                name: Some(self.name.clone()),
                namespace: Some(self.namespace.clone()),
                ..ObjectMeta::default()
            },
        };
        Lease {
            metadata,
            spec: Some(spec),
        }
    }

    async fn release(&self, mut view: View) -> Result<(), kube::Error> {
        while view.is_held_by(&self.identity)
            && let Some(mut lease) = view.lease.clone()
        {
            let spec = lease.spec.get_or_insert_default();
            let now = self.now();
            spec.holder_identity = None;
            spec.lease_duration_seconds = Some(RELEASED_SECONDS);
            spec.acquire_time = Some(now.clone());
            spec.renew_time = Some(now);
            match self.leases.replace(&lease).await {
                // A renewal that was under way came first.
                Err(err) if code(&err) == Some(409) => {
                    view.see(self.leases.get().await?, Instant::now());
                }
                written => return written.map(drop),
            }
        }
        Ok(())
    }

    fn publish(&self, leader: Leader) {
        self.leader.send_if_modified(|known| {
            if *known == leader {
                return false;
            }
            let (namespace, name) = (&self.namespace, &self.name);
            match (&*known, &leader) {
                (_, Leader::Ourselves) => {
                    tracing::info!(
                        identity = &*self.identity,
                        "leads by Lease {namespace}/{name}"
                    );
                }
                (Leader::Ourselves, _) => tracing::info!("leads no more"),
                (_, Leader::Other(_)) => tracing::info!("{leader} leads"),
                _ => {}
            }
            *known = leader;
            true
        });
    }

    fn now(&self) -> MicroTime {
        let now = self.clock.now().as_microsecond();
        let now = k8s_openapi::jiff::Timestamp::from_microsecond(now);
        MicroTime(now.unwrap_or_default())
    }

    fn problem(&self, err: &kube::Error) -> String {
        let (namespace, name, text) = (&self.namespace, &self.name, explain(err));
        if code(err) == Some(403) {
            format!(
                "API groups are not registered until this server may get, create and update leases of coordination.k8s.io in {namespace} (deploy/base/rbac.yaml has the Role): {text}"
            )
        } else {
            format!("cannot take or renew Lease {namespace}/{name}: {text}")
        }
    }
}

/// What a candidate knows of the Lease.
#[derive(Default)]
struct View {
    /// As it was read or written last.
    lease: Option<Lease>,
    /// Since when it has been like that, by our clock.
    since: Option<Instant>,
}

impl View {
    fn see(&mut self, lease: Option<Lease>, now: Instant) {
        let is_same = |known: &Lease| lease.as_ref().is_some_and(|it| it.spec == known.spec);
        if !self.lease.as_ref().is_some_and(is_same) {
            self.since = Some(now);
        }
        self.lease = lease;
    }

    fn spec(&self) -> Option<&LeaseSpec> {
        self.lease.as_ref()?.spec.as_ref()
    }

    fn is_held_by(&self, identity: &str) -> bool {
        let holder = self.spec().and_then(|it| it.holder_identity.as_deref());
        holder == Some(identity)
    }

    /// Who else may still lead.
    fn other_holder(&self, identity: &str, now: Instant) -> Option<&str> {
        let spec = self.spec()?;
        let holder = spec.holder_identity.as_deref()?;
        let seconds = spec.lease_duration_seconds;
        let duration = seconds.and_then(|it| u64::try_from(it).ok());
        let duration = duration.map_or(DURATION, Duration::from_secs);
        let is_over = self.since.is_none_or(|it| it + duration <= now);
        (!holder.is_empty() && holder != identity && !is_over).then_some(holder)
    }
}

struct ClusterLeases {
    api: Api<Lease>,
    name: String,
}

#[async_trait]
impl Leases for ClusterLeases {
    async fn get(&self) -> Result<Option<Lease>, kube::Error> {
        self.api.get_opt(&self.name).await
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        self.api.create(&PostParams::default(), lease).await
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        let params = PostParams::default();
        self.api.replace(&self.name, &params, lease).await
    }
}

#[cfg(test)]
mod tests;
