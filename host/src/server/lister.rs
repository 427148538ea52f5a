//! What plugins read of the host-stored objects of their own groups: the port [`Lister`] over the registry.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;

use crate::api::status::{self, Result};
use crate::api::{GroupVersionResource, RequestContext};
use crate::endpoints::Served;
use crate::plugin::Lister;
use crate::registry::Store;
use crate::registry::selectors::LabelSelector;
use crate::storage::Scope;

pub(super) struct RegistryLister {
    served: Arc<ArcSwap<Served>>,
}

impl RegistryLister {
    pub(super) fn new(served: Arc<ArcSwap<Served>>) -> Self {
        Self { served }
    }

    fn store(&self, of: &GroupVersionResource) -> Result<Arc<Store>> {
        let served = self.served.load();
        let store = served.registry.find(&of.group, &of.resource);
        store
            .filter(|it| it.definition().version(&of.version).is_some())
            .cloned()
            .ok_or_else(status::resource_not_found)
    }
}

#[async_trait]
impl Lister for RegistryLister {
    async fn get(
        &self,
        context: &RequestContext,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Bytes>> {
        let store = self.store(resource)?;
        let Some(cached) = store
            .current(context, namespace.unwrap_or_default(), name)
            .await?
        else {
            return Ok(None);
        };
        let found = in_version(&store, context, &resource.version, vec![cached.bytes()]).await?;
        Ok(found.into_iter().next())
    }

    async fn list(
        &self,
        context: &RequestContext,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        label_selector: &str,
    ) -> Result<Vec<Bytes>> {
        let store = self.store(resource)?;
        let selector = LabelSelector::parse(label_selector)?;
        let prefix = match namespace {
            Some(namespace) => format!("{}{namespace}/", store.prefix()),
            None => store.prefix().to_owned(),
        };
        let scope = Scope {
            prefix: store.prefix(),
            namespace,
            name: None,
        };
        let refreshed = store.storage().refresh(context, scope).await;
        refreshed.map_err(|error| store.storage_status(error, ""))?;
        let snapshot = store.cache().snapshot();
        let unreadable = snapshot
            .range(&prefix, "")
            .filter(|it| it.problem().is_some());
        let unreadable: Vec<_> = unreadable.cloned().collect();
        if !unreadable.is_empty() {
            return Err(store.unreadable_status(&unreadable));
        }
        let selected = snapshot
            .range(&prefix, "")
            .filter(|it| selector.matches(it.attributes.labels()));
        in_version(
            &store,
            context,
            &resource.version,
            selected.map(|it| it.bytes()).collect(),
        )
        .await
    }
}

/// The objects in `version`: as they are where they are in it already.
async fn in_version(
    store: &Store,
    context: &RequestContext,
    version: &str,
    items: Vec<Bytes>,
) -> Result<Vec<Bytes>> {
    // The stored form begins with its apiVersion: see `api::object`.
    let api_version = store.definition().group_version(version);
    let wanted = format!("{{\"apiVersion\":\"{api_version}\",");
    if items.iter().all(|it| it.starts_with(wanted.as_bytes())) {
        return Ok(items);
    }
    store.strategy().convert(context, version, items).await
}
