//! WASI 0.2 as plugins have it: clocks, randomness, and standard output and error into the log.
//!
//! There are no files, sockets, arguments or environment variables. In `convert` and `manifest.describe`, clocks stand
//! still and randomness repeats, so that they give the same answer each time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx, WasiCtxBuilder};

use super::super::limits::LOG_BYTES;
use super::log::{Level, PluginLog};
use super::{Access, Capabilities};

/// The most that a guest may ask for at once; the default is 64 MiB.
const RANDOM_MAX_BYTES: u64 = 64 << 10;
/// A line without an end is cut here.
const LINE_MAX_BYTES: usize = 4 << 10;

pub(crate) fn context(capabilities: &Capabilities, access: &Access, quota: &LogQuota) -> WasiCtx {
    let stream = |level, source| LineLog {
        log: Arc::clone(&capabilities.log),
        quota: quota.clone(),
        level,
        source,
    };
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(stream(Level::Info, "stdout"))
        .stderr(stream(Level::Warn, "stderr"))
        .max_random_size(RANDOM_MAX_BYTES);
    if matches!(access, Access::Deterministic | Access::Nothing) {
        builder
            .wall_clock(StoppedClock)
            .monotonic_clock(StoppedClock)
            .secure_random(Deterministic::new(vec![4]))
            .insecure_random(Deterministic::new(vec![4]))
            .insecure_random_seed(4);
    }
    builder.build()
}

/// What one call may still log.
#[derive(Clone)]
pub(crate) struct LogQuota(Arc<AtomicUsize>);

impl LogQuota {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(LOG_BYTES)))
    }

    pub(crate) fn take(&self, bytes: usize) -> bool {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok()
    }
}

/// Always the beginning of 1970.
struct StoppedClock;

impl HostWallClock for StoppedClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl HostMonotonicClock for StoppedClock {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}

struct LineLog {
    log: Arc<PluginLog>,
    quota: LogQuota,
    level: Level,
    source: &'static str,
}

impl IsTerminal for LineLog {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LineLog {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(LineWriter {
            log: Arc::clone(&self.log),
            quota: self.quota.clone(),
            level: self.level,
            source: self.source,
            line: Vec::new(),
        })
    }
}

/// Makes lines of what is written; never waits.
struct LineWriter {
    log: Arc<PluginLog>,
    quota: LogQuota,
    level: Level,
    source: &'static str,
    line: Vec<u8>,
}

impl LineWriter {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
                continue;
            }
            self.line.push(byte);
            if self.line.len() >= LINE_MAX_BYTES {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && self.quota.take(line.len()) {
            let text = String::from_utf8_lossy(&line);
            self.log.emit(self.level, self.source, &text, "");
        }
    }
}

impl Drop for LineWriter {
    fn drop(&mut self) {
        self.end_line();
    }
}

impl AsyncWrite for LineWriter {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
