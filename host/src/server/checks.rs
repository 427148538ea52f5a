//! What `/livez` and `/readyz` look at.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::encryption::EncryptionKeys;
use super::identity::Identity;
use crate::cluster::ClusterStatus;
use crate::endpoints::Served;
use crate::endpoints::health::Check;
use crate::plugin::{Loaded, Problem};
use crate::serving::Tls;
use crate::storage::Storage;
use crate::storage::encrypted::EncryptedStorage;

pub(super) struct Checks {
    storage: Arc<dyn Storage>,
    served: Arc<ArcSwap<Served>>,
    loaded: watch::Receiver<Arc<Loaded>>,
    /// What could not be served of what was loaded.
    problems: watch::Receiver<Vec<Problem>>,
    encryption: EncryptionChecks,
    cluster: Option<ClusterStatus>,
    tls: Arc<Tls>,
    stopping: watch::Receiver<bool>,
}

/// What encryption at rest is looked at by.
pub(super) struct EncryptionChecks {
    /// Set when the store is open.
    pub(super) storage: Arc<OnceLock<Arc<EncryptedStorage>>>,
    pub(super) keys: Arc<EncryptionKeys>,
}

impl EncryptionChecks {
    fn trouble(&self) -> Option<String> {
        let unreadable = self.storage.get().and_then(|it| it.unreadable());
        let both: Vec<String> = self.keys.trouble().into_iter().chain(unreadable).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }
}

impl Checks {
    pub(super) fn new(
        storage: Arc<dyn Storage>,
        served: Arc<ArcSwap<Served>>,
        loaded: watch::Receiver<Arc<Loaded>>,
        problems: watch::Receiver<Vec<Problem>>,
        encryption: EncryptionChecks,
        identity: &Identity,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let cluster = identity.cluster.clone();
        let tls = Arc::clone(&identity.tls);
        Self {
            storage,
            served,
            loaded,
            problems,
            encryption,
            cluster,
            tls,
            stopping,
        }
    }

    pub(super) fn into_source(self) -> Arc<crate::endpoints::health::Checks> {
        Arc::new(move || self.look())
    }

    fn look(&self) -> Vec<Check> {
        let required = |name: &str, problem: Option<String>| Check {
            name: name.into(),
            problem,
            is_notice: false,
            is_alive_check: false,
        };
        let notice = |name: String, problem: Option<String>| Check {
            is_notice: true,
            ..required(&name, problem)
        };
        let loading = "the plugins that were there at the start are being compiled, or the store cannot be read for \
                       one of them"
            .to_owned();
        let stopping = "the server is shutting down".to_owned();
        let (trouble, is_dead) = (self.storage.trouble(), self.storage.is_dead());
        let mut checks = vec![
            Check {
                is_alive_check: true,
                ..required("storage", trouble.clone().filter(|_| is_dead))
            },
            // Reads, watches and discovery go on: a server that is not ready takes them from everybody, and one that
            // is restarted has the same disk.
            notice("storage-writes".into(), trouble.filter(|_| !is_dead)),
            notice("encryption".into(), self.encryption.trouble()),
            required(
                "plugins-loaded",
                (!self.served.load().is_complete).then_some(loading),
            ),
            required("shutdown", self.stopping.borrow().then_some(stopping)),
            notice(
                "serving-certificate".into(),
                self.tls.certificate().trouble(),
            ),
        ];
        if let Some(cluster) = &self.cluster {
            checks.extend(cluster.parts().into_iter().map(|(name, part)| Check {
                is_notice: !part.blocks_readiness,
                ..required(name, part.problem)
            }));
        }
        let loaded = self.loaded.borrow();
        for plugin in &loaded.plugins {
            checks.push(notice(
                format!("plugin/{}", plugin.name),
                plugin.trouble.clone(),
            ));
        }
        for problem in loaded.problems.iter().chain(self.problems.borrow().iter()) {
            checks.retain(|it| it.name != format!("plugin/{}", problem.plugin));
            checks.push(notice(
                format!("plugin/{}", problem.plugin),
                Some(problem.message.clone()),
            ));
        }
        checks
    }
}
