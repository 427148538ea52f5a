//! Signals to a drain: the first SIGTERM or SIGINT asks for it, the second ends the process at once.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Listens for signals as long as it lives.
pub struct Shutdown {
    requested: CancellationToken,
    _signals: AbortOnDropHandle<()>,
}

impl Shutdown {
    /// Takes over SIGTERM and SIGINT; from then on they no longer end the process by themselves.
    pub fn on_signals() -> Result<Self> {
        let why = "cannot listen for signals";
        let terminate = signal(SignalKind::terminate()).context(why)?;
        let interrupt = signal(SignalKind::interrupt()).context(why)?;
        let requested = CancellationToken::new();
        let task = tokio::spawn(listen(terminate, interrupt, requested.clone()));
        Ok(Self {
            requested,
            _signals: AbortOnDropHandle::new(task),
        })
    }

    /// Cancelled by the first signal.
    pub fn requested(&self) -> CancellationToken {
        self.requested.clone()
    }
}

async fn listen(mut terminate: Signal, mut interrupt: Signal, requested: CancellationToken) {
    loop {
        let (name, number) = tokio::select! {
            _ = terminate.recv() => ("SIGTERM", 15),
            _ = interrupt.recv() => ("SIGINT", 2),
        };
        if requested.is_cancelled() {
            tracing::warn!("{name} again: exiting without waiting for requests in flight");
            // As a shell shows a process that the signal killed.
            #[expect(
                clippy::disallowed_methods,
                reason = "whoever asks twice wants no destructors"
            )]
            std::process::exit(128 + number);
        }
        tracing::info!("{name}: draining; a second signal exits at once");
        requested.cancel();
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn drains_on_the_first_signal() {
        let shutdown = Shutdown::on_signals().expect("signals can be listened for");
        let requested = shutdown.requested();
        assert!(!requested.is_cancelled());
        kill_process(getpid(), Signal::TERM).expect("a process may signal itself");
        tokio::time::timeout(std::time::Duration::from_secs(10), requested.cancelled())
            .await
            .expect("the signal asks for the drain");
    }
}
