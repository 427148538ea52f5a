//! Whom the server trusts and what it shows of itself: its own CA, or a cluster's word.

mod cluster;
mod own;

use std::collections::BTreeSet;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::JoinSet;

use super::admin::Administrator;
use crate::admission::Namespaces;
use crate::api::GroupVersion;
use crate::authentication::Authenticators;
use crate::authorization::Authorizer;
use crate::cluster::ClusterStatus;
use crate::config;
use crate::serving::Tls;

/// Tells a cluster which group-versions are served here.
#[async_trait]
pub(super) trait Registration: Send + Sync {
    /// Makes the registered group-versions these. Returns when those that went are gone for the cluster's
    /// clients, too, or after a bounded time.
    async fn register(&self, served: BTreeSet<GroupVersion>);

    /// Why the group-version cannot be served here: somebody else does. One line.
    fn foreign(&self, served: &GroupVersion) -> Option<String>;

    /// Whether other replicas serve the group-version, if this one does not: it is registered.
    fn is_elsewhere(&self, group_version: &GroupVersion) -> bool;

    /// Leaves what is registered to other replicas, if there are some. Returns after a bounded time.
    async fn hand_over(&self);
}

/// How many servers there can be on one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replicas {
    One,
    Several,
}

pub(super) struct Identity {
    pub(super) tls: Arc<Tls>,
    pub(super) authenticators: Arc<Authenticators>,
    pub(super) authorizer: Arc<dyn Authorizer>,
    pub(super) namespaces: Arc<dyn Namespaces>,
    /// `None`: there is no cluster to tell.
    pub(super) registration: Option<Arc<dyn Registration>>,
    pub(super) cluster: Option<ClusterStatus>,
    /// Whom `admin.kubeconfig` is written for.
    pub(super) administrator: Option<Administrator>,
}

impl Identity {
    /// What must go on for as long as the server runs is spawned on `tasks`.
    ///
    /// # Errors
    /// One line that says what is missing and what to do.
    pub(super) async fn establish(
        identity: config::Identity,
        replicas: Replicas,
        data_dir: &Path,
        address: SocketAddr,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Self> {
        match identity {
            config::Identity::Own => own::establish(data_dir, address),
            config::Identity::Cluster(identity) => {
                cluster::establish(*identity, replicas, tasks).await
            }
        }
    }
}

/// Writes a file that nobody else may read, whole or not at all.
pub(super) fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}
