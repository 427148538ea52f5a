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
use crate::registry::store::read::{ListOptions, Selection};

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
        let options = ListOptions {
            selection: Selection {
                namespace: namespace.unwrap_or_default().to_owned(),
                labels: LabelSelector::parse(label_selector)?,
                ..Selection::default()
            },
            ..ListOptions::default()
        };
        let list = store.list(context, &options).await?;
        let items = list.items().iter().map(|it| it.bytes()).collect();
        in_version(&store, context, &resource.version, items).await
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
