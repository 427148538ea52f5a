//! How many calls of a plugin run and wait, and how many of its guests are on a core at once.
//!
//! A class of calls has its own room: as many run as its limit says, three times as many wait, and the next
//! is refused. Guests yield at each epoch tick; a plugin's may be on half of the cores at once, so that
//! guests that only compute leave the other half to the serving of requests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;

use crate::ambient::processors;

/// Waiting calls per running one.
const WAITING_FACTOR: usize = 3;

/// The room of one class of calls.
#[derive(Debug)]
pub(crate) struct Room {
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

/// A place in a [`Room`], given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _admitted: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

/// There is no room and no place to wait for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Room {
    pub(crate) fn new(running: usize) -> Self {
        Self {
            admitted: Arc::new(Semaphore::new(running * (1 + WAITING_FACTOR))),
            running: Arc::new(Semaphore::new(running)),
        }
    }

    /// Waits for a place until `deadline`. Cancel-safe.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<Place, Full> {
        let admitted = Arc::clone(&self.admitted)
            .try_acquire_owned()
            .map_err(|_| Full)?;
        let running = match Arc::clone(&self.running).try_acquire_owned() {
            Ok(running) => running,
            Err(_) => {
                let running = Arc::clone(&self.running).acquire_owned();
                let running = tokio::time::timeout_at(deadline, running).await;
                running.map_err(|_| Full)?.map_err(|_| Full)?
            }
        };
        Ok(Place {
            _admitted: admitted,
            _running: running,
        })
    }
}

/// As many guests of one plugin as may be on a core at once.
pub(crate) fn half_of_the_cores() -> Arc<Semaphore> {
    Arc::new(Semaphore::new((processors() / 2).max(1)))
}

type Acquire = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// Polls `inner` only while it holds one of the permits, and holds it only while it polls.
pub(crate) struct OnCore<F> {
    cores: Arc<Semaphore>,
    waiting: Option<Acquire>,
    inner: F,
}

impl<F: Future + Unpin> OnCore<F> {
    pub(crate) fn new(cores: &Arc<Semaphore>, inner: F) -> Self {
        Self {
            cores: Arc::clone(cores),
            waiting: None,
            inner,
        }
    }

    fn acquire(&mut self, cx: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        if self.waiting.is_none() {
            match Arc::clone(&self.cores).try_acquire_owned() {
                Ok(permit) => return Poll::Ready(Some(permit)),
                // Nobody closes the semaphore; were it closed, guests would run without it.
                Err(TryAcquireError::Closed) => return Poll::Ready(None),
                Err(TryAcquireError::NoPermits) => {
                    let acquire = Arc::clone(&self.cores).acquire_owned();
                    self.waiting = Some(Box::pin(async move { acquire.await.ok() }));
                }
            }
        }
        let Some(waiting) = &mut self.waiting else {
            return Poll::Ready(None);
        };
        let result = waiting.as_mut().poll(cx);
        if result.is_ready() {
            self.waiting = None;
        }
        result
    }
}

impl<F: Future + Unpin> Future for OnCore<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let permit = std::task::ready!(self.acquire(cx));
        let result = Pin::new(&mut self.inner).poll(cx);
        drop(permit);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refuses_at_once_when_the_queue_is_full() {
        let room = Room::new(1);
        let far = Instant::now() + Duration::from_secs(60);
        let running = room.enter(far).await.expect("the first runs");
        let soon = Instant::now() + Duration::from_secs(1);
        let mut waiting = futures_util::future::join3(
            Box::pin(room.enter(soon)),
            Box::pin(room.enter(soon)),
            Box::pin(room.enter(soon)),
        );
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let started = Instant::now();
        assert_eq!(room.enter(far).await.err(), Some(Full));
        assert_eq!(started.elapsed(), Duration::ZERO);

        let waited = waiting.await;
        assert!(waited.0.is_err() && waited.1.is_err() && waited.2.is_err());
        drop(running);
        assert!(room.enter(far).await.is_ok());
    }

    #[tokio::test]
    async fn holds_a_core_only_while_it_polls() {
        let cores = Arc::new(Semaphore::new(1));
        let most = Arc::new(AtomicUsize::new(0));
        let guest = |most: Arc<AtomicUsize>, cores: Arc<Semaphore>| async move {
            for _ in 0..10 {
                most.fetch_max(1 - cores.available_permits(), Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        };
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let inner = guest(Arc::clone(&most), Arc::clone(&cores));
                OnCore::new(&cores, Box::pin(inner))
            })
            .collect();
        futures_util::future::join_all(tasks).await;
        assert_eq!(most.load(Ordering::Relaxed), 1);
        assert_eq!(cores.available_permits(), 1);
    }
}
