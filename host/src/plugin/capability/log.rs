//! `log`, standard output and standard error: lines of the plugin in the server's log.
//!
//! A plugin may write 100 lines a second, 200 at once; what is more is counted and told in one line. A call
//! may write 64 KiB, a line has at most 4 KiB.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::super::contract::v1::imported::log::Host;
use super::super::instance::CallState;

const LINES_PER_SECOND: f64 = 100.0;
const LINES_AT_ONCE: f64 = 200.0;
const LINE_MAX_BYTES: usize = 4 << 10;

/// The log of one plugin.
pub(crate) struct PluginLog {
    plugin: String,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    lines: f64,
    filled: Instant,
    suppressed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl PluginLog {
    pub(crate) fn new(plugin: &str) -> Self {
        Self {
            plugin: plugin.to_owned(),
            bucket: Mutex::new(Bucket {
                lines: LINES_AT_ONCE,
                filled: Instant::now(),
                suppressed: 0,
            }),
        }
    }

    /// Writes one line, or counts it where there are too many.
    pub(crate) fn emit(&self, level: Level, source: &str, message: &str, fields: &str) {
        let Some(suppressed) = self.take(Instant::now()) else {
            return;
        };
        let plugin = self.plugin.as_str();
        if suppressed > 0 {
            tracing::warn!(
                plugin.name = plugin,
                suppressed,
                "the plugin logs too much: lines were left out"
            );
        }
        let message = cut(message);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    plugin.name = plugin,
                    plugin.source = source,
                    plugin.fields = fields,
                    "{message}"
                )
            };
        }
        match level {
            Level::Error => line!(error),
            Level::Warn => line!(warn),
            Level::Info => line!(info),
            Level::Debug => line!(debug),
            Level::Trace => line!(trace),
        }
    }

    /// Takes a line's worth; how many were left out before it, or `None` where it is left out itself.
    fn take(&self, now: Instant) -> Option<u64> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.lines = (bucket.lines + since * LINES_PER_SECOND).min(LINES_AT_ONCE);
        bucket.filled = now;
        if bucket.lines < 1.0 {
            bucket.suppressed += 1;
            return None;
        }
        bucket.lines -= 1.0;
        Some(std::mem::take(&mut bucket.suppressed))
    }
}

fn cut(line: &str) -> &str {
    let mut end = line.len().min(LINE_MAX_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

impl Host for CallState {
    async fn emit(
        &mut self,
        level: String,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let level = match level.as_str() {
            "error" => Level::Error,
            "warn" => Level::Warn,
            "debug" => Level::Debug,
            "trace" => Level::Trace,
            _ => Level::Info,
        };
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        let fields = fields.join(" ");
        if self.log_quota.take(message.len() + fields.len()) {
            self.capabilities
                .log
                .emit(level, "log", &message, cut(&fields));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn counts_lines_that_are_too_many() {
        let log = PluginLog::new("noisy");
        let now = Instant::now();
        let written = (0..500).filter(|_| log.take(now).is_some()).count();
        assert_eq!(written, 200);
        assert_eq!(log.take(now + Duration::from_secs(1)), Some(300));
        assert_eq!(log.take(now + Duration::from_secs(1)), Some(0));
    }

    #[test]
    fn cuts_lines_between_characters() {
        let line = "ä".repeat(LINE_MAX_BYTES);
        assert_eq!(cut(&line).len(), LINE_MAX_BYTES);
        assert_eq!(cut(&format!("x{line}")).len(), LINE_MAX_BYTES - 1);
    }
}
