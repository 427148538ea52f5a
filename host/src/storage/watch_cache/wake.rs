//! When watchers are woken.
//!
//! To wake them all is work for each of them. Events that come while that is done for those before are told together:
//! after a quiet time at once, then not again before a time that grows with the watchers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

/// For each watcher; about what it costs to send one event to one.
const EACH: Duration = Duration::from_micros(20);
/// The clock of timers is no finer.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(20);

/// Wakes watchers.
#[derive(Debug)]
pub(super) struct Wake(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    events: watch::Sender<()>,
    pace: Mutex<Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    /// Not before this.
    next: Option<Instant>,
    /// Whether somebody waits for that.
    is_due: bool,
    /// Where to wait: known once there is a watcher.
    runtime: Option<Handle>,
}

impl Default for Wake {
    fn default() -> Self {
        Self(Arc::new(Shared {
            events: watch::Sender::new(()),
            pace: Mutex::default(),
        }))
    }
}

impl Wake {
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        let mut pace = self.0.lock();
        if pace.runtime.is_none() {
            pace.runtime = Handle::try_current().ok();
        }
        self.0.events.subscribe()
    }

    /// All of them, now.
    pub(super) fn all(&self) {
        self.0.events.send_replace(());
    }

    /// All of them, now or soon.
    pub(super) fn soon(&self) {
        let pause = pause_for(self.0.events.receiver_count());
        let mut pace = self.0.lock();
        if pace.is_due {
            return;
        }
        let now = Instant::now();
        let wait = pace.next.filter(|it| *it > now).zip(pace.runtime.clone());
        let Some((next, runtime)) = wait else {
            pace.next = pause.map(|it| now + it);
            drop(pace);
            self.all();
            return;
        };
        pace.is_due = true;
        drop(pace);
        let shared = Arc::clone(&self.0);
        runtime.spawn(async move {
            tokio::time::sleep_until(next).await;
            let pause = pause_for(shared.events.receiver_count());
            let mut pace = shared.lock();
            pace.is_due = false;
            pace.next = pause.map(|it| Instant::now() + it);
            drop(pace);
            shared.events.send_replace(());
        });
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From one time that all are woken to the next; `None` where it is not worth a timer.
fn pause_for(watchers: usize) -> Option<Duration> {
    let watchers = u32::try_from(watchers).unwrap_or(u32::MAX);
    let interval = EACH.saturating_mul(watchers).min(LONGEST);
    (interval >= SHORTEST).then_some(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn woken(watchers: &mut [watch::Receiver<()>]) -> usize {
        let woken = watchers
            .iter_mut()
            .filter(|it| it.has_changed().is_ok_and(|it| it));
        woken.map(watch::Receiver::mark_unchanged).count()
    }

    #[tokio::test(start_paused = true)]
    async fn many_watchers_are_woken_at_once_and_then_together() {
        let wake = Wake::default();
        let mut watchers: Vec<_> = (0..1_000).map(|_| wake.subscribe()).collect();
        wake.soon();
        assert_eq!(woken(&mut watchers), 1_000, "nobody was woken just before");
        for _ in 0..5 {
            wake.soon();
        }
        assert_eq!(woken(&mut watchers), 0);
        tokio::time::sleep(LONGEST + SHORTEST).await;
        assert_eq!(woken(&mut watchers), 1_000);
        tokio::time::sleep(2 * LONGEST).await;
        assert_eq!(woken(&mut watchers), 0, "there was nothing more to tell");
        wake.soon();
        assert_eq!(woken(&mut watchers), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn few_watchers_never_wait() {
        let wake = Wake::default();
        let mut watchers = [wake.subscribe(), wake.subscribe()];
        for _ in 0..3 {
            wake.soon();
            assert_eq!(woken(&mut watchers), 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_waits_for_nobody() {
        let wake = Wake::default();
        let mut watchers: Vec<_> = (0..1_000).map(|_| wake.subscribe()).collect();
        wake.soon();
        assert_eq!(woken(&mut watchers), 1_000);
        wake.all();
        assert_eq!(woken(&mut watchers), 1_000);
    }
}
