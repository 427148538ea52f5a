//! What a resource's own rules are: the hooks of a plugin, or none.
//!
//! Named for `RESTCreateStrategy` and `RESTUpdateStrategy` of k8s.io/apiserver, pkg/registry/rest. The generic
//! store has pruned, defaulted and validated an object by its schema before it asks; it stores what comes back.

use async_trait::async_trait;
use bytes::Bytes;

use crate::api::status::Result;
use crate::api::{Object, RequestContext};

/// Which object, and what is done to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub group: String,
    /// The request's version; the storage version in `prepare` and `validate`.
    pub version: String,
    pub resource: String,
    pub subresource: Option<String>,
    pub namespace: Option<String>,
    /// `None` while a generated name is not known.
    pub name: Option<String>,
    /// The request's verb as authorization sees it.
    pub verb: String,
    /// What a patch or an update turns out to be.
    pub operation: Operation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
}

#[async_trait]
pub trait Strategy: Send + Sync {
    /// Begins one write; its hooks run in one instance of the plugin, which sees no other write.
    fn begin(&self, context: &RequestContext) -> Box<dyn WriteHooks>;

    /// Converts whole objects of one kind to `to_version`: JSON in, JSON out, same order and number.
    /// Metadata comes back as it went in, labels and annotations apart.
    async fn convert(
        &self,
        context: &RequestContext,
        to_version: &str,
        items: Vec<Bytes>,
    ) -> Result<Vec<Bytes>>;

    /// Whether all versions are the same but for their names, so that a conversion needs no call.
    fn only_relabels(&self) -> bool {
        false
    }

    /// The cells of table rows, a JSON array per object; only asked where the resource exports columns.
    async fn cells(
        &self,
        context: &RequestContext,
        target: &Target,
        items: Vec<Bytes>,
    ) -> Result<Vec<serde_json::Value>>;
}

/// The hooks of one write, in the order in which they are called: default, prepare, validate.
/// They may run again, with another `old`, when the write meets a conflict.
#[async_trait]
pub trait WriteHooks: Send {
    /// Fills in what the client left out; sees the request's version.
    async fn default(&mut self, target: &Target, object: Object) -> Result<Object>;

    /// Changes the object before it is validated (PrepareForCreate, PrepareForUpdate); storage version.
    /// Adds to `warnings` what the client is to be told.
    async fn prepare(
        &mut self,
        target: &Target,
        new: Object,
        old: Option<&Object>,
        warnings: &mut Vec<String>,
    ) -> Result<Object>;

    /// Refuses the object or lets it pass, perhaps with warnings; storage version.
    async fn validate(
        &mut self,
        target: &Target,
        new: &Object,
        old: Option<&Object>,
        warnings: &mut Vec<String>,
    ) -> Result<()>;
}
