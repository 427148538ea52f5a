//! The objects that the host stores for this plugin, consistent with everything that was written before.
//!
//! Only of groups that the plugin serves itself. Every function fails with 403 `Forbidden` for others.

#[cfg(target_arch = "wasm32")]
use crate::bindings::outrigger::plugin::objects as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::objects as host;
use crate::{Failure, Object};

/// A resource whose objects are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource<'a> {
    /// The API group, e.g. `shop.example.com`.
    pub group: &'a str,
    /// The version in which the objects are wanted, e.g. `v1`.
    pub version: &'a str,
    /// The plural name, e.g. `teapots`.
    pub resource: &'a str,
}

/// One object; `None` where there is none. `namespace` is `None` for cluster-scoped resources.
///
/// # Errors
/// 404 `NotFound` where there is no such resource; see the module.
pub fn get(
    resource: Resource<'_>,
    namespace: Option<&str>,
    name: &str,
) -> Result<Option<Object>, Failure> {
    let Resource {
        group,
        version,
        resource,
    } = resource;
    host::get(group, version, resource, namespace, name)?
        .as_deref()
        .map(Object::parse)
        .transpose()
}

/// All objects of a namespace, or of all namespaces with `None`, that a label selector selects (`a=b,c!=d`;
/// empty: all).
///
/// # Errors
/// 400 `BadRequest` where the selector cannot be read, 404 `NotFound` where there is no such resource; see the
/// module.
pub fn list(
    resource: Resource<'_>,
    namespace: Option<&str>,
    label_selector: &str,
) -> Result<Vec<Object>, Failure> {
    let Resource {
        group,
        version,
        resource,
    } = resource;
    let items = host::list(group, version, resource, namespace, label_selector)?;
    items.iter().map(|item| Object::parse(item)).collect()
}
