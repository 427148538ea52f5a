//! Work that is done to its end, also when its client hangs up.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt as _;
use tokio::runtime::Handle;

use crate::api::status::{self, Result};

type Outcome<T> = std::result::Result<T, Box<dyn Any + Send>>;

/// Runs `work` where it is awaited and, once nobody awaits it any more, in a task of its own: nobody is left with half
/// of it. A task from the start would wake another processor for each write.
///
/// `path` and `what` (e.g. `write`) are for the log and the answer.
///
/// # Errors
/// 500 where it panics.
pub(super) async fn finished<T: Send + 'static>(
    path: &str,
    what: &str,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let outcome = Finished {
        work: Some(Box::pin(AssertUnwindSafe(work).catch_unwind())),
        runtime: Handle::current(),
    };
    outcome.await.map_err(|_panic| {
        // The panic hook has said where and why.
        tracing::error!(path, "a {what} panicked: this is a bug");
        status::internal(format!("the {what} failed"))
    })
}

struct Finished<T: Send + 'static> {
    /// `None` once it has ended.
    work: Option<Pin<Box<dyn Future<Output = Outcome<T>> + Send>>>,
    runtime: Handle,
}

impl<T: Send + 'static> Future for Finished<T> {
    type Output = Outcome<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome<T>> {
        let Some(work) = &mut self.work else {
            // Polled again behind its end, which futures need not bear.
            return Poll::Pending;
        };
        let outcome = ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(outcome)
    }
}

impl<T: Send + 'static> Drop for Finished<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn goes_on_when_nobody_waits_any_more() {
        let (go_on, may_go_on) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let work = async move {
            may_go_on.await.expect("it is told to go on");
            done.send(()).expect("the test waits for it");
        };
        let mut waiting = Box::pin(finished("/path", "write", work));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        go_on.send(()).expect("the work is still there");
        is_done.await.expect("it was done to its end");
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        let work = async { panic!("in a test") };
        let answer: Result<()> = finished("/path", "write", work).await;
        let refusal = answer.expect_err("it panicked");
        assert_eq!(
            (refusal.code, refusal.message.as_str()),
            (500, "Internal error occurred: the write failed")
        );
    }
}
