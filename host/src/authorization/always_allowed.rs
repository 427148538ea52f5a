//! What needs no review: members of `system:masters`, and the paths that probes ask for.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Authorizer, Decision};
use crate::api::RequestInfo;
use crate::api::UserInfo;

/// The flags `--authorization-always-allow-paths` of an extension server upstream, with its defaults.
const PATHS: &[&str] = &["/healthz", "/readyz", "/livez"];

/// The group that kube-apiserver itself, and nobody else, speaks in.
const GROUPS: &[&str] = &["system:masters"];

/// Allows what is always allowed and asks the next authorizer for the rest; without one, denies the rest.
pub struct AlwaysAllowed {
    groups: &'static [&'static str],
    /// Exact, or a prefix where it ends in `*`.
    paths: &'static [&'static str],
    next: Option<Arc<dyn Authorizer>>,
}

impl AlwaysAllowed {
    pub fn then(next: Arc<dyn Authorizer>) -> Self {
        Self {
            groups: GROUPS,
            paths: PATHS,
            next: Some(next),
        }
    }

    /// For servers without a cluster: nobody but `system:masters` may do anything.
    pub fn nobody_else() -> Self {
        Self {
            groups: GROUPS,
            paths: PATHS,
            next: None,
        }
    }

    fn allows(&self, user: &UserInfo, request: &RequestInfo) -> bool {
        self.groups.iter().any(|group| user.is_in_group(group))
            || (!request.is_resource_request
                && self.paths.iter().any(|path| matches(path, &request.path)))
    }
}

#[async_trait]
impl Authorizer for AlwaysAllowed {
    async fn authorize(&self, user: &UserInfo, request: &RequestInfo) -> anyhow::Result<Decision> {
        if self.allows(user, request) {
            return Ok(Decision::Allow);
        }
        match &self.next {
            Some(next) => next.authorize(user, request).await,
            None => Ok(Decision::Deny {
                reason: String::new(),
            }),
        }
    }
}

/// As k8s.io/apiserver, pkg/authorization/path: slashes in front do not count.
fn matches(pattern: &str, path: &str) -> bool {
    let path = path.trim_start_matches('/');
    let pattern = pattern.trim_start_matches('/');
    match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(groups: &[&str], is_resource_request: bool, path: &str) -> bool {
        let authorizer = AlwaysAllowed {
            groups: GROUPS,
            paths: &["/healthz", "/probes/*"],
            next: None,
        };
        let user = UserInfo {
            groups: groups.iter().map(|it| (*it).to_owned()).collect(),
            ..UserInfo::default()
        };
        let request = RequestInfo {
            is_resource_request,
            path: path.into(),
            ..RequestInfo::default()
        };
        authorizer.allows(&user, &request)
    }

    #[test]
    fn allows_masters_everything() {
        assert!(allows(&["a", "system:masters"], true, "/apis/g/v/r"));
        assert!(!allows(&["system:authenticated"], true, "/apis/g/v/r"));
        assert!(!allows(&["system:masters2"], true, "/apis/g/v/r"));
    }

    #[test]
    fn allows_everybody_exact_paths_and_prefixes() {
        assert!(allows(&[], false, "/healthz"));
        assert!(!allows(&[], false, "/healthz/ping"));
        assert!(!allows(&[], false, "/healthzz"));
        assert!(allows(&[], false, "/probes/a/b"));
        assert!(!allows(&[], false, "/metrics"));
        assert!(!allows(&[], false, "/"));
    }

    #[test]
    fn never_takes_a_resource_for_a_path() {
        assert!(!allows(&[], true, "/healthz"));
    }

    #[tokio::test]
    async fn denies_the_rest_without_a_cluster() {
        let decision = AlwaysAllowed::nobody_else()
            .authorize(&UserInfo::default(), &RequestInfo::default())
            .await;
        let denied = Decision::Deny {
            reason: String::new(),
        };
        assert_eq!(decision.ok(), Some(denied));
    }
}
