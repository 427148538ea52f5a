//! The engine that objects are kept in: opened first, and closed last.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::config::EtcdConfig;
use crate::storage::Storage;
use crate::storage::etcd::{self, EtcdStorage};
use crate::storage::sqlite::{self, SqliteStorage};

/// How long the start waits for an etcd that does not answer; then the process ends, and is started again.
const ETCD_WAIT: Duration = Duration::from_secs(30);

pub(super) enum OpenStore {
    Embedded(Arc<SqliteStorage>),
    Etcd(Arc<EtcdStorage>),
}

impl OpenStore {
    /// Blocks while another process uses the folder, and tells which.
    pub(super) fn take_over(
        folder: &Path,
        drain: Duration,
        waits_for: impl FnMut(&str),
    ) -> anyhow::Result<Self> {
        let mut options = sqlite::Options::default();
        options.lock_wait += drain;
        let storage = SqliteStorage::take_over(folder, options, waits_for)?;
        Ok(Self::Embedded(Arc::new(storage)))
    }

    /// `unused` is the folder that an embedded store would be in.
    pub(super) async fn connect(config: EtcdConfig, unused: &Path) -> anyhow::Result<Self> {
        if unused.exists() {
            tracing::warn!(
                "the objects in {} are not served: --etcd-servers says that they are in etcd",
                unused.display()
            );
        }
        let storage = EtcdStorage::connect(etcd_options(config)).await?;
        Ok(Self::Etcd(Arc::new(storage)))
    }

    pub(super) fn storage(&self) -> Arc<dyn Storage> {
        match self {
            Self::Embedded(storage) => Arc::clone(storage) as Arc<dyn Storage>,
            Self::Etcd(storage) => Arc::clone(storage) as Arc<dyn Storage>,
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Embedded(storage) => storage.close().await,
            Self::Etcd(storage) => storage.close().await,
        }
    }
}

/// As a server uses it.
pub(crate) fn etcd_options(config: EtcdConfig) -> etcd::Options {
    let EtcdConfig {
        servers,
        prefix,
        ca_file,
        identity,
        user,
        compaction_interval,
    } = config;
    let credentials = user.map(|(username, password_file)| etcd::Credentials {
        username,
        password_file,
    });
    etcd::Options {
        servers,
        prefix,
        ca_file,
        identity,
        credentials,
        compaction_interval,
        connect_wait: ETCD_WAIT,
    }
}
