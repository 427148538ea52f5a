//! The generic store: what every resource does the same (k8s.io/apiserver, pkg/registry/generic/registry).

use super::ResourceDefinition;

/// One resource.
pub struct Store {
    definition: ResourceDefinition,
}

impl Store {
    pub fn definition(&self) -> &ResourceDefinition {
        &self.definition
    }
}
