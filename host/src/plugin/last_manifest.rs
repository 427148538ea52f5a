//! The last checked manifest of each plugin, in the store under `control/manifests/<plugin>`.
//!
//! With it, a plugin whose component cannot be loaded at the start is still discovered, read and deleted.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::manifest::{self, Exports};
use super::unavailable::Unavailable;
use super::{Plugin, PluginResource};
use crate::api::RequestContext;
use crate::registry::Strategy;
use crate::storage::mirror::Backend;
use crate::storage::{Expected, Record, Storage, StorageError, Write};

const WRITE_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize, PartialEq, Eq)]
pub(super) struct LastManifest {
    pub(super) digest: String,
    pub(super) manifest: String,
    pub(super) exports: Exports,
}

fn key(plugin: &str) -> String {
    format!("control/manifests/{plugin}")
}

impl LastManifest {
    pub(super) async fn read(storage: &dyn Storage, plugin: &str) -> Option<Self> {
        let item = storage.get(&key(plugin)).await.ok()??;
        serde_json::from_slice(&item.record.bytes).ok()
    }

    /// Writes nothing where it is stored already.
    pub(super) async fn keep(
        &self,
        storage: &dyn Storage,
        plugin: &str,
    ) -> Result<(), StorageError> {
        if Self::read(storage, plugin).await.as_ref() == Some(self) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(self).expect("texts and flags are JSON");
        let context = RequestContext::background("loader", Instant::now() + WRITE_DEADLINE);
        let write = Write {
            key: Arc::from(key(plugin)),
            expected: Expected::Anything,
            record: Some(Record {
                bytes: bytes.into(),
                version_at: 0,
            }),
        };
        storage.commit(&context, vec![write]).await.map(|_| ())
    }

    /// What can be served without the component; `None` where this host reads the manifest no more.
    pub(super) fn into_plugin(self, name: &str, trouble: &str) -> Option<Plugin> {
        let definitions = manifest::parse(&self.manifest, self.exports).ok()?;
        let unavailable = Arc::new(Unavailable::new(name));
        let resources = definitions.into_iter().map(|definition| PluginResource {
            strategy: Arc::clone(&unavailable) as Arc<dyn Strategy>,
            backend: definition
                .backend
                .map(|_| Arc::clone(&unavailable) as Arc<dyn Backend>),
            definition: Arc::new(definition),
        });
        Some(Plugin {
            name: name.to_owned(),
            digest: self.digest,
            resources: resources.collect(),
            trouble: Some(trouble.to_owned()),
        })
    }
}
