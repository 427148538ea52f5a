//! The engine that objects are kept in: opened first, and closed last.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::config::{EtcdConfig, StoreConfig};
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
    pub(super) async fn open(config: StoreConfig, data_dir: &Path) -> anyhow::Result<Self> {
        let folder = data_dir.join("store");
        match config {
            StoreConfig::Embedded => {
                let open = move || SqliteStorage::open(&folder, sqlite::Options::default());
                let opening = tokio::task::spawn_blocking(open);
                let storage = opening.await.context("the store")??;
                Ok(Self::Embedded(Arc::new(storage)))
            }
            StoreConfig::Etcd(config) => {
                if folder.exists() {
                    tracing::warn!(
                        "the objects in {} are not served: --etcd-servers says that they are in etcd",
                        folder.display()
                    );
                }
                let storage = EtcdStorage::connect(options(config)).await?;
                Ok(Self::Etcd(Arc::new(storage)))
            }
        }
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

fn options(config: EtcdConfig) -> etcd::Options {
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
