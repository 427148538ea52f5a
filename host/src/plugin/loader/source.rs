//! One file, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::GONE_POLLS;
use super::folder::{File, Fingerprint};
use crate::plugin::{LoadError, Plugin};

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// `T` is what the file was looked at with, or what it says.
pub(super) struct Source<T> {
    examined: Option<(Fingerprint, Option<T>)>,
    /// What the last good content says.
    content: Option<T>,
    plugin: Option<Arc<Plugin>>,
    problem: Option<String>,
    retry_at: Option<Instant>,
    retry_after: Duration,
    is_blocked: bool,
    polls_gone: u32,
}

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self {
            examined: None,
            content: None,
            plugin: None,
            problem: None,
            retry_at: None,
            retry_after: RETRY_MIN,
            is_blocked: false,
            polls_gone: 0,
        }
    }
}

impl<T: Clone> Source<T> {
    pub(super) fn content(&self) -> Option<&T> {
        self.content.as_ref()
    }

    pub(super) fn plugin(&self) -> Option<&Arc<Plugin>> {
        self.plugin.as_ref()
    }

    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Counts a poll in which the file is there, or is not; whether to keep it.
    pub(super) fn is_kept(&mut self, is_there: bool) -> bool {
        self.polls_gone = if is_there { 0 } else { self.polls_gone + 1 };
        self.polls_gone < GONE_POLLS
    }

    /// Whether to look at the file now, if it has come to rest.
    pub(super) fn is_due(&self, file: &File, has_changed: impl Fn(&T) -> bool) -> bool {
        let Some((fingerprint, with)) = &self.examined else {
            return true;
        };
        *fingerprint != file.fingerprint
            || with.as_ref().is_some_and(has_changed)
            || self.retry_at.is_some_and(|at| Instant::now() >= at)
    }

    pub(super) fn unblock(&mut self) {
        if std::mem::take(&mut self.is_blocked) {
            self.examined = None;
        }
    }

    pub(super) fn succeed(&mut self, file: &File, content: T, plugin: Option<Arc<Plugin>>) {
        *self = Self {
            examined: Some((file.fingerprint, Some(content.clone()))),
            content: Some(content),
            plugin,
            ..Self::default()
        };
    }

    /// Keeps what was good before.
    pub(super) fn fail(&mut self, file: &File, with: Option<T>, name: &str, error: &LoadError) {
        let message = error.message.clone();
        if self.problem.as_ref() != Some(&message) {
            tracing::warn!(
                plugin.name = name,
                path = file.path.display().to_string(),
                is_old_one_serving = self.plugin.is_some(),
                "not loaded: the file {message}"
            );
        }
        self.examined = Some((file.fingerprint, with));
        self.problem = Some(message);
        self.is_blocked = error.is_blocked;
        self.retry_at = None;
        if error.is_passing {
            self.retry_at = Some(Instant::now() + self.retry_after);
            self.retry_after = (self.retry_after * 2).min(RETRY_MAX);
        }
    }

    /// Serves what can be served without the component.
    pub(super) fn stand_in(&mut self, plugin: Arc<Plugin>) {
        self.plugin = Some(plugin);
    }
}
