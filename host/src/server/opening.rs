//! Opens the store while the rest of the server starts: another process may still use its folder.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use super::store::OpenStore;
use crate::config::StoreConfig;
use crate::storage::Storage;
use crate::storage::encrypted::{EncryptedStorage, Encryption};
use crate::storage::late::{self, LateStorage};

/// Ends with the store. For a folder a thread waits, at most as long as the process before drains.
pub(super) struct Opening {
    task: JoinHandle<anyhow::Result<OpenStore>>,
    tells: late::Opening,
    keys: watch::Receiver<Arc<Encryption>>,
    encrypted: Arc<OnceLock<Arc<EncryptedStorage>>>,
    waits_for: watch::Receiver<Option<String>>,
    started: Instant,
}

impl Opening {
    /// `drain` is how much longer than usual the process before may take to leave.
    pub(super) fn start(
        store: StoreConfig,
        data_dir: &Path,
        drain: Duration,
        keys: watch::Receiver<Arc<Encryption>>,
    ) -> (Self, LateStorage) {
        let (tells, storage) = late::late();
        let (tell, waits_for) = watch::channel(None);
        let folder = data_dir.join("store");
        let task = match store {
            StoreConfig::Embedded => tokio::task::spawn_blocking(move || {
                OpenStore::take_over(&folder, drain, |owner| {
                    tell.send_replace(Some(owner.to_owned()));
                })
            }),
            StoreConfig::Etcd(config) => {
                tokio::spawn(async move { OpenStore::connect(config, &folder).await })
            }
        };
        let opening = Self {
            task,
            tells,
            keys,
            encrypted: Arc::default(),
            waits_for,
            started: Instant::now(),
        };
        (opening, storage)
    }

    /// The store with the layer that encrypts it, once it is open.
    pub(super) fn encrypted(&self) -> Arc<OnceLock<Arc<EncryptedStorage>>> {
        Arc::clone(&self.encrypted)
    }

    /// Returns when the store is open, or when another process must be waited for (`None`).
    ///
    /// # Errors
    /// It cannot be opened.
    pub(super) async fn begin(&mut self) -> anyhow::Result<Option<OpenStore>> {
        let mut waits_for = self.waits_for.clone();
        let owner = tokio::select! {
            biased;
            opened = &mut self.task => return self.take(opened).map(Some),
            Ok(owner) = waits_for.wait_for(Option::is_some) => owner.clone().unwrap_or_default(),
        };
        self.tells.waits(format!(
            "{owner} uses it: this server takes the folder over when that one has ended"
        ));
        Ok(None)
    }

    /// Returns when the store is open. Not to be called once it was.
    ///
    /// # Errors
    /// It cannot be opened; one line that says why and what to do.
    pub(super) async fn finish(&mut self) -> anyhow::Result<OpenStore> {
        let opened = (&mut self.task).await;
        let store = self.take(opened)?;
        let milliseconds = self.started.elapsed().as_millis();
        tracing::info!(milliseconds, "the store is taken over");
        Ok(store)
    }

    fn take(
        &self,
        opened: Result<anyhow::Result<OpenStore>, JoinError>,
    ) -> anyhow::Result<OpenStore> {
        let store = opened.context("the store")??;
        let encrypted = EncryptedStorage::new(store.storage(), self.keys.clone());
        let encrypted = self.encrypted.get_or_init(|| Arc::new(encrypted));
        self.tells.opened(Arc::clone(encrypted) as Arc<dyn Storage>);
        Ok(store)
    }
}
