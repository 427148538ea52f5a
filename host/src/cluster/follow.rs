//! Watches that never end: list, watch, resume, and after an error list again with back-off.

use std::collections::hash_map::RandomState;
use std::fmt::Debug;
use std::hash::BuildHasher;
use std::time::Duration;

use futures_util::StreamExt;
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// Delays that grow by half each time, with 20 % jitter.
pub(super) struct BackOff {
    first: Duration,
    next: Duration,
    max: Duration,
}

impl BackOff {
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            next: first,
            max,
        }
    }

    /// For what is tried again as long as the server runs.
    pub(super) fn for_ever() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(15))
    }

    pub(super) fn next(&mut self) -> Duration {
        let delay = self.next;
        self.next = self.max.min(delay.mul_f64(1.5));
        jittered(delay, 0.2)
    }

    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// The delay, or up to `most` of it longer: servers that failed together must not come back together.
pub(super) fn jittered(delay: Duration, most: f64) -> Duration {
    // The hasher's keys are random.
    let random = RandomState::new().hash_one(delay);
    let part = f64::from(u32::try_from(random & 0xffff).unwrap_or(0)) / f64::from(0xffff);
    delay.mul_f64(1.0 + most * part)
}

/// Hands every event, and every error, to `apply`. Never returns; dropping it ends the watch.
pub(super) async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    mut apply: impl FnMut(Result<watcher::Event<K>, kube::Error>),
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut back_off = BackOff::for_ever();
    loop {
        let since = Instant::now();
        // Begun anew after an error, so that it is followed by a whole list: what works again shows at once.
        let mut events = std::pin::pin!(watcher::watcher(api.clone(), config.clone()));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => apply(Ok(event)),
                Err(err) => {
                    apply(Err(cause(err)));
                    break;
                }
            }
        }
        if since.elapsed() > back_off.max {
            back_off.reset();
        }
        tokio::time::sleep(back_off.next()).await;
    }
}

/// As [`follow`], of one object: `None` where it does not exist.
pub(super) async fn follow_object<K>(
    api: Api<K>,
    name: &str,
    mut apply: impl FnMut(Result<Option<K>, kube::Error>),
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut seen = false;
    follow(api, config, |event| match event {
        Ok(watcher::Event::Init) => seen = false,
        Ok(watcher::Event::InitApply(object)) => {
            seen = true;
            apply(Ok(Some(object)));
        }
        Ok(watcher::Event::InitDone) if !seen => apply(Ok(None)),
        Ok(watcher::Event::InitDone) => {}
        Ok(watcher::Event::Apply(object)) => apply(Ok(Some(object))),
        Ok(watcher::Event::Delete(_)) => apply(Ok(None)),
        Err(err) => apply(Err(err)),
    })
    .await;
}

fn cause(err: watcher::Error) -> kube::Error {
    match err {
        watcher::Error::InitialListFailed(err)
        | watcher::Error::WatchStartFailed(err)
        | watcher::Error::WatchFailed(err) => err,
        watcher::Error::WatchError(status) => kube::Error::Api(status),
        err @ watcher::Error::NoResourceVersion => kube::Error::Service(Box::new(err)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_by_half_up_to_its_maximum() {
        let mut back_off = BackOff::new(Duration::from_millis(100), Duration::from_millis(200));
        let delays: Vec<u128> = (0..4).map(|_| back_off.next().as_millis()).collect();
        for (delay, (least, most)) in
            delays
                .iter()
                .zip([(100, 120), (150, 180), (200, 240), (200, 240)])
        {
            assert!((least..=most).contains(delay), "{delays:?}");
        }
        back_off.reset();
        assert!(back_off.next() <= Duration::from_millis(120));
    }
}
