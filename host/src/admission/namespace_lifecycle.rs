//! NamespaceLifecycle: nothing is created in a namespace that does not exist or is being deleted
//! (k8s.io/apiserver, pkg/admission/plugin/namespace/lifecycle).

use async_trait::async_trait;

use crate::api::GroupResource;
use crate::api::status::Result;

/// Whoever knows the namespaces.
#[async_trait]
pub trait Namespaces: Send + Sync {
    /// Of a create of `resource` with this name; `name` is the generateName where there is no name yet.
    ///
    /// # Errors
    /// 404: there is no such namespace. 403 with the cause `NamespaceTerminating`: it is being deleted.
    async fn check_create(
        &self,
        namespace: &str,
        resource: &GroupResource,
        name: &str,
    ) -> Result<()>;

    /// Whether it is known to be on its way out; nobody is asked.
    fn is_terminating(&self, namespace: &str) -> bool;
}

/// Where there is no cluster, every namespace exists.
pub struct EveryNamespace;

#[async_trait]
impl Namespaces for EveryNamespace {
    async fn check_create(&self, _: &str, _: &GroupResource, _: &str) -> Result<()> {
        Ok(())
    }

    fn is_terminating(&self, _: &str) -> bool {
        false
    }
}
