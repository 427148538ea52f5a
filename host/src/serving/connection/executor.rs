//! Where the requests of an HTTP/2 connection run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Waker};

use hyper::rt::Executor;

/// Runs a request within the connection's own task for as long as it waits for nothing, and in a task of its own from
/// there.
///
/// Most reads never wait. They need no task to be made, woken and moved to another thread, and the answers to requests
/// that came together leave together. What may compute for a while yields before it does (endpoints.rs).
#[derive(Clone)]
pub(super) struct HereFirst;

impl<F> Executor<F> for HereFirst
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, request: F) {
        let mut request = Box::pin(request);
        // Nobody is to be woken: the new task begins with another poll.
        let mut context = Context::from_waker(Waker::noop());
        let poll = catch_unwind(AssertUnwindSafe(|| request.as_mut().poll(&mut context)));
        // One that panics ends alone, as it would in a task of its own.
        if poll.is_ok_and(|it| it.is_pending()) {
            tokio::spawn(request);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_waits_for_nothing_is_done_at_once() {
        let (done, mut seen) = oneshot::channel();
        HereFirst.execute(async {
            let _ = done.send(());
        });
        assert_eq!(seen.try_recv(), Ok(()));
    }

    #[tokio::test]
    async fn what_waits_goes_on_in_a_task_of_its_own() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, seen) = oneshot::channel();
        HereFirst.execute(async {
            let _ = gone.await;
            let _ = done.send(());
        });
        drop(go);
        assert_eq!(seen.await, Ok(()));
    }

    #[tokio::test]
    async fn what_panics_ends_alone() {
        HereFirst.execute(async { panic!("of the test") });
    }
}
