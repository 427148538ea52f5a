//! What works and what is missing of the cluster: one line a part, for `/readyz?verbose` and the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Shared by all parts; cloning shares.
#[derive(Clone, Default)]
pub struct ClusterStatus {
    parts: Arc<Mutex<BTreeMap<&'static str, PartStatus>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartStatus {
    /// Whether the server is not ready by it: what is required has not worked yet. Once it has, the last
    /// good state serves on, and a problem is only shown; a problem of other parts turns a feature off.
    pub blocks_readiness: bool,
    /// One line: what is wrong and what to do about it.
    pub problem: Option<String>,
}

/// One part's own line.
pub struct Part {
    name: &'static str,
    status: ClusterStatus,
}

impl ClusterStatus {
    /// By name.
    pub fn parts(&self) -> BTreeMap<&'static str, PartStatus> {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn is_ready(&self) -> bool {
        !self.parts().values().any(|part| part.blocks_readiness)
    }

    /// A part without which the server is not ready; it begins with this problem, until it works.
    pub(super) fn required(&self, name: &'static str, problem: &str) -> Part {
        self.add(name, true, Some(problem.to_owned()))
    }

    /// A part without which a feature is off.
    pub(super) fn optional(&self, name: &'static str) -> Part {
        self.add(name, false, None)
    }

    fn add(&self, name: &'static str, blocks_readiness: bool, problem: Option<String>) -> Part {
        let part = PartStatus {
            blocks_readiness,
            problem,
        };
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, part);
        Part {
            name,
            status: self.clone(),
        }
    }
}

impl Part {
    pub(super) fn works(&self) {
        if self.replace(None) {
            tracing::info!(part = self.name, "{} works", self.name);
        }
    }

    pub(super) fn fails(&self, problem: String) {
        if self.replace(Some(problem.clone())) {
            tracing::warn!(part = self.name, "{}: {problem}", self.name);
        }
    }

    /// A problem that mostly passes by itself.
    pub(super) fn waits(&self, problem: String) {
        if self.replace(Some(problem.clone())) {
            tracing::info!(part = self.name, "{}: {problem}", self.name);
        }
    }

    /// Whether that is news.
    fn replace(&self, problem: Option<String>) -> bool {
        let mut parts = self
            .status
            .parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(part) = parts.get_mut(self.name) else {
            return false;
        };
        let is_news = part.problem != problem;
        part.blocks_readiness &= problem.is_some();
        part.problem = problem;
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_once_required_parts_have_worked() {
        let status = ClusterStatus::default();
        assert!(status.is_ready());
        let config = status.required("authentication-config", "not read yet");
        let namespaces = status.optional("namespaces");
        config.fails("forbidden".into());
        assert!(!status.is_ready());
        config.works();
        namespaces.fails("forbidden".into());
        assert!(status.is_ready());
        config.fails("gone".into());
        assert!(status.is_ready());
        let problems: Vec<_> = status
            .parts()
            .into_iter()
            .map(|(name, part)| (name, part.problem.unwrap_or_default()))
            .collect();
        assert_eq!(
            problems,
            [
                ("authentication-config", "gone".to_owned()),
                ("namespaces", "forbidden".to_owned()),
            ]
        );
    }
}
