//! Elections on a Lease in memory, in paused time.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use kube::core::response::Status;
use tokio::task::JoinSet;

use super::*;
use crate::ambient::SystemClock;

/// A Lease as kube-apiserver keeps it; of all candidates.
#[derive(Default)]
struct Kept {
    lease: Mutex<Option<Lease>>,
    writes: Mutex<i64>,
}

/// A candidate's way to it.
#[derive(Clone, Default)]
struct Way {
    kept: Arc<Kept>,
    /// Requests get no answer.
    is_cut: Arc<AtomicBool>,
    /// Writes arrive, but their answers do not.
    is_deaf: Arc<AtomicBool>,
}

fn refused(code: u16) -> kube::Error {
    kube::Error::Api(Status::failure("refused", "").with_code(code).boxed())
}

impl Way {
    fn to(kept: &Arc<Kept>) -> Self {
        Self {
            kept: Arc::clone(kept),
            ..Self::default()
        }
    }

    async fn pass(&self) {
        if self.is_cut.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    async fn write(&self, lease: &Lease, must_exist: bool) -> Result<Lease, kube::Error> {
        self.pass().await;
        let written = self.kept.write(lease, must_exist)?;
        if self.is_deaf.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        Ok(written)
    }
}

impl Kept {
    fn write(&self, lease: &Lease, must_exist: bool) -> Result<Lease, kube::Error> {
        let mut kept = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.as_ref().map(|it| it.metadata.resource_version.clone());
        match known {
            Some(_) if !must_exist => return Err(refused(409)),
            None if must_exist => return Err(refused(404)),
            Some(version) if version != lease.metadata.resource_version => {
                return Err(refused(409));
            }
            _ => {}
        }
        let mut writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        *writes += 1;
        let mut written = lease.clone();
        written.metadata.resource_version = Some(writes.to_string());
        *kept = Some(written.clone());
        Ok(written)
    }

    fn spec(&self) -> LeaseSpec {
        let kept = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone().and_then(|it| it.spec).unwrap_or_default()
    }
}

#[async_trait]
impl Leases for Way {
    async fn get(&self) -> Result<Option<Lease>, kube::Error> {
        self.pass().await;
        let kept = self.kept.lease.lock();
        Ok(kept.unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn create(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        self.write(lease, false).await
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        self.write(lease, true).await
    }
}

/// A replica that stands.
struct Candidate {
    election: Arc<Election>,
    way: Way,
    status: ClusterStatus,
    tasks: JoinSet<()>,
}

impl Candidate {
    fn start(identity: &str, kept: &Arc<Kept>) -> Self {
        let (way, status) = (Way::to(kept), ClusterStatus::default());
        let election = Arc::new(Election::with(
            Box::new(way.clone()),
            "outrigger",
            "outrigger",
            identity,
            Arc::new(SystemClock),
            &status,
        ));
        let mut tasks = JoinSet::new();
        let running = Arc::clone(&election);
        tasks.spawn(async move { running.run().await });
        Self {
            election,
            way,
            status,
            tasks,
        }
    }

    fn leads(&self) -> bool {
        self.election.leadership().is_ours()
    }

    /// As a crash ends it: it gives nothing back.
    async fn kill(mut self) {
        self.tasks.shutdown().await;
    }

    /// How long until it leads.
    async fn led_after(&self) -> Duration {
        let (started, mut leadership) = (Instant::now(), self.election.leadership());
        let leads = async {
            while !leadership.is_ours() {
                leadership.changed().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), leads)
            .await
            .expect("it leads within a minute");
        started.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn takes_an_absent_lease_at_once_and_keeps_it() {
    let kept = Arc::new(Kept::default());
    let first = Candidate::start("a", &kept);
    assert!(first.led_after().await < Duration::from_millis(100));
    let second = Candidate::start("b", &kept);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(first.leads() && !second.leads());
    let leader = second.election.leadership().leader();
    assert_eq!(leader, Leader::Other("a".into()));
    let spec = kept.spec();
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!(
        (spec.lease_duration_seconds, spec.lease_transitions),
        (Some(15), Some(0))
    );
    assert!(spec.renew_time > spec.acquire_time);
}

#[tokio::test(start_paused = true)]
async fn takes_a_released_lease_at_the_next_try() {
    let kept = Arc::new(Kept::default());
    let first = Candidate::start("a", &kept);
    first.led_after().await;
    let second = Candidate::start("b", &kept);
    tokio::time::sleep(Duration::from_secs(10)).await;
    first.election.resign().await;
    assert!(!first.leads());
    assert_eq!(kept.spec().holder_identity, None);
    let most = RETRY.mul_f64(1.0 + JITTER) + Duration::from_millis(100);
    assert!(second.led_after().await <= most);
    assert_eq!(kept.spec().lease_transitions, Some(1));
    // And by who starts afterwards, without any wait.
    second.election.resign().await;
    let third = Candidate::start("c", &kept);
    assert!(third.led_after().await < Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn takes_a_dead_leaders_lease_when_it_has_not_changed_for_its_duration() {
    let kept = Arc::new(Kept::default());
    let first = Candidate::start("a", &kept);
    first.led_after().await;
    first.kill().await;
    // Whatever the clock of the dead one said.
    let second = Candidate::start("b", &kept);
    let waited = second.led_after().await;
    let most = DURATION + RETRY.mul_f64(1.0 + JITTER) + Duration::from_millis(100);
    assert!((DURATION..most).contains(&waited), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn leads_no_more_before_another_can_have_taken_the_lease() {
    let kept = Arc::new(Kept::default());
    let first = Candidate::start("a", &kept);
    first.led_after().await;
    let second = Candidate::start("b", &kept);
    tokio::time::sleep(Duration::from_secs(30)).await;
    first.way.is_cut.store(true, Ordering::Relaxed);
    let cut = Instant::now();
    let mut leadership = first.election.leadership();
    leadership.changed().await;
    assert!(!leadership.is_ours());
    assert!(cut.elapsed() <= RENEW_DEADLINE, "{:?}", cut.elapsed());
    assert!(!second.leads());
    let problem = first.status.parts()["leader-election"].problem.clone();
    assert_eq!(problem.as_deref(), Some("kube-apiserver does not answer"));
    second.led_after().await;
    // What it hears first is that another leads.
    first.way.is_cut.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!first.leads() && second.leads());
    assert_eq!(first.status.parts()["leader-election"].problem, None);
}

#[tokio::test(start_paused = true)]
async fn finds_its_own_write_whose_answer_was_lost() {
    let kept = Arc::new(Kept::default());
    let only = Candidate::start("a", &kept);
    only.led_after().await;
    only.way.is_deaf.store(true, Ordering::Relaxed);
    tokio::time::sleep(RENEW_DEADLINE + RETRY).await;
    assert!(!only.leads());
    only.way.is_deaf.store(false, Ordering::Relaxed);
    only.led_after().await;
    only.election.resign().await;
    assert_eq!(kept.spec().holder_identity, None);
}

#[tokio::test(start_paused = true)]
async fn never_do_two_lead_whatever_is_cut_and_killed() {
    let kept = Arc::new(Kept::default());
    let mut candidates: Vec<Candidate> =
        ["a", "b", "c"].map(|it| Candidate::start(it, &kept)).into();
    let mut leaders = BTreeSet::new();
    // Each step cuts or mends one way, or replaces one replica by a kill.
    for step in 0..2_000_u32 {
        tokio::time::sleep(Duration::from_millis(u64::from(step * 7919 % 3_000))).await;
        let leading: Vec<&Candidate> = candidates.iter().filter(|it| it.leads()).collect();
        assert!(leading.len() <= 1, "{} lead", leading.len());
        leaders.extend(leading.iter().map(|it| it.election.identity.to_string()));
        let at = usize::try_from(step * 31 % 3).unwrap_or(0);
        if step % 11 == 0 {
            let next = Candidate::start(&format!("{step}"), &kept);
            std::mem::replace(&mut candidates[at], next).kill().await;
        } else {
            let is_cut = step % 5 < 2;
            candidates[at].way.is_cut.store(is_cut, Ordering::Relaxed);
        }
    }
    assert!(leaders.len() > 10, "{} have led", leaders.len());
}

#[tokio::test(start_paused = true)]
async fn says_which_rights_are_missing() {
    struct Forbidden;
    #[async_trait]
    impl Leases for Forbidden {
        async fn get(&self) -> Result<Option<Lease>, kube::Error> {
            Err(refused(403))
        }
        async fn create(&self, _: &Lease) -> Result<Lease, kube::Error> {
            Err(refused(403))
        }
        async fn replace(&self, _: &Lease) -> Result<Lease, kube::Error> {
            Err(refused(403))
        }
    }
    let status = ClusterStatus::default();
    let clock = Arc::new(SystemClock);
    let election = Election::with(Box::new(Forbidden), "ns", "name", "a", clock, &status);
    let standing = tokio::time::timeout(Duration::from_secs(60), election.run());
    assert!(standing.await.is_err());
    assert!(!election.leadership().is_ours());
    let problem = status.parts()["leader-election"].problem.clone();
    assert_eq!(
        problem.as_deref(),
        Some(
            "API groups are not registered until this server may get, create and update leases of coordination.k8s.io in ns (deploy/base/rbac.yaml has the Role): refused"
        )
    );
}
