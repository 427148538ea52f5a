//! The last checked manifest of each plugin, in the store under `control/manifests/<plugin>`.
//!
//! With it, a plugin whose component cannot be loaded at the start is still discovered, read and deleted.

use std::collections::{BTreeMap, HashMap};
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

const PREFIX: &str = "control/manifests/";

fn key(plugin: &str) -> String {
    format!("{PREFIX}{plugin}")
}

impl LastManifest {
    pub(super) async fn read(storage: &dyn Storage, plugin: &str) -> Option<Self> {
        let item = storage.get(&key(plugin)).await.ok()??;
        serde_json::from_slice(&item.record.bytes).ok()
    }

    /// Keeps those of `manifests`, by plugin, that are not stored already. One that cannot be kept is logged.
    pub(super) async fn keep(
        storage: &dyn Storage,
        manifests: BTreeMap<String, Self>,
    ) -> Result<(), StorageError> {
        if manifests.is_empty() {
            return Ok(());
        }
        // One read for hundreds of them.
        let stored = storage.list(PREFIX, "", usize::MAX).await?;
        let stored: HashMap<&str, &[u8]> = stored
            .iter()
            .map(|it| (&*it.key, &*it.record.bytes))
            .collect();
        for (plugin, manifest) in &manifests {
            let bytes = serde_json::to_vec(manifest).expect("texts and flags are JSON");
            let key = key(plugin);
            if stored.get(&*key) == Some(&&*bytes) {
                continue;
            }
            let write = Write {
                key: Arc::from(key),
                expected: Expected::Anything,
                record: Some(Record {
                    bytes: bytes.into(),
                    version_at: 0,
                }),
            };
            let context = RequestContext::background("loader", Instant::now() + WRITE_DEADLINE);
            if let Err(error) = storage.commit(&context, vec![write]).await {
                tracing::warn!(
                    plugin.name = plugin,
                    error = error.to_string(),
                    "the manifest of a plugin could not be kept for the next start"
                );
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::memory::MemoryStorage;

    fn manifest(digest: &str) -> LastManifest {
        LastManifest {
            digest: digest.into(),
            manifest: "{}".into(),
            exports: Exports::default(),
        }
    }

    #[tokio::test]
    async fn a_manifest_that_cannot_be_kept_costs_no_other() {
        let storage = MemoryStorage::new();
        // No engine takes a key with an empty segment.
        let names = ["a", "b//", "c"];
        let manifests = names.map(|it| (it.to_owned(), manifest(it)));
        let kept = LastManifest::keep(&storage, manifests.into()).await;
        kept.expect("what was there could be read");
        let mut found = Vec::new();
        for name in names {
            let read = LastManifest::read(&storage, name).await;
            found.push(read.map(|it| it.digest));
        }
        let expected = [Some("a"), None, Some("c")];
        assert_eq!(found, expected.map(|it| it.map(str::to_owned)));
    }
}
