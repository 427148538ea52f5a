//! Who asks, and until when: passed explicitly from the handler down to the plugin.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

/// An authenticated user, as `authentication.k8s.io/v1` UserInfo has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserInfo {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    /// Keys are lower case.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl UserInfo {
    pub fn is_in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|it| it == group)
    }
}

/// What a call below the handlers may know of its request. Credentials are never in it.
#[derive(Debug, Clone)]
pub struct RequestContext {
    /// The request's Audit-Id.
    pub id: Arc<str>,
    pub user: Arc<UserInfo>,
    /// When the request's answer must be there; calls to plugins never run past it.
    pub deadline: Instant,
    pub dry_run: bool,
}

impl RequestContext {
    /// For work that no client waits for, e.g. the relisting of a backend.
    pub fn background(name: &str, deadline: Instant) -> Self {
        let user = UserInfo {
            name: format!("system:outrigger:{name}"),
            ..UserInfo::default()
        };
        Self {
            id: Arc::from(name),
            user: Arc::new(user),
            deadline,
            dry_run: false,
        }
    }
}
