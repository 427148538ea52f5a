//! Objects that a plugin keeps, made into a [`Storage`](super::Storage) by a journal in the host's own store.

use async_trait::async_trait;

use crate::api::status::Result;
use crate::api::{Object, RequestContext};

/// One object, or a place for one, of a resource that a plugin keeps. Objects are in the storage version.
#[derive(Debug, Clone, Copy)]
pub struct BackendTarget<'a> {
    pub namespace: Option<&'a str>,
    pub name: Option<&'a str>,
}

/// A page of a backend's list.
#[derive(Debug, Default)]
pub struct BackendPage {
    pub items: Vec<Object>,
    /// Opaque: where the next page begins.
    pub next: Option<String>,
}

#[derive(Debug)]
pub struct BackendChanges {
    /// Objects as they are now.
    pub changed: Vec<Object>,
    /// At least name, namespace and uid of objects that are gone.
    pub deleted: Vec<Object>,
    /// Opaque: where the next poll begins.
    pub cursor: String,
    /// The plugin cannot say what changed: all of it is to be listed again.
    pub resync: bool,
}

/// Where a plugin keeps objects. Versions are opaque texts (`metadata.resourceVersion` of its answers).
///
/// # Errors
/// The answer for the client; 404 `NotFound` and 409 `Conflict` are understood by the mirror.
#[async_trait]
pub trait Backend: Send + Sync {
    async fn get(&self, context: &RequestContext, target: BackendTarget<'_>) -> Result<Object>;
    async fn list(
        &self,
        context: &RequestContext,
        namespace: Option<&str>,
        limit: u32,
        next: Option<String>,
    ) -> Result<BackendPage>;
    async fn create(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        object: &Object,
    ) -> Result<Object>;
    async fn update(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        object: &Object,
        expect_version: Option<&str>,
    ) -> Result<Object>;
    async fn delete(
        &self,
        context: &RequestContext,
        target: BackendTarget<'_>,
        expect_version: Option<&str>,
    ) -> Result<()>;
    /// Waits up to `max_wait_ms` for changes after `cursor`; `None` begins.
    async fn poll(
        &self,
        context: &RequestContext,
        cursor: Option<String>,
        max_wait_ms: u32,
        limit: u32,
    ) -> Result<BackendChanges>;
}
