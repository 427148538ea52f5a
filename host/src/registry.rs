//! What is served: one generic [`Store`] per resource, over a [`Strategy`] and a storage.

pub mod apply;
mod decode;
pub mod definition;
pub mod object_meta;
pub mod object_model;
pub mod patch;
pub mod scale;
pub mod schema;
pub mod selectors;
pub mod store;
pub mod strategy;
pub mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use definition::ResourceDefinition;
pub use store::Store;
pub use strategy::Strategy;

/// Everything that is served at one moment. It never changes: it is replaced whole.
#[derive(Default)]
pub struct Registry {
    /// By group, then plural resource.
    groups: BTreeMap<String, BTreeMap<String, Arc<Store>>>,
}

impl Registry {
    pub fn new(stores: impl IntoIterator<Item = Arc<Store>>) -> Self {
        let mut groups: BTreeMap<String, BTreeMap<String, Arc<Store>>> = BTreeMap::new();
        for store in stores {
            let definition = store.definition();
            groups
                .entry(definition.group.clone())
                .or_default()
                .insert(definition.names.plural.clone(), Arc::clone(&store));
        }
        Self { groups }
    }

    pub fn find(&self, group: &str, resource: &str) -> Option<&Arc<Store>> {
        self.groups.get(group)?.get(resource)
    }

    pub fn stores(&self) -> impl Iterator<Item = &Arc<Store>> {
        self.groups.values().flat_map(BTreeMap::values)
    }

    pub fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }
}
