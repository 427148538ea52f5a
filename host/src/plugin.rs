//! Plugins: from a `.wasm` file to the [`Strategy`] and [`Backend`] of the resources that it serves.

mod breaker;
mod capability;
pub mod compile;
mod compile_cache;
mod concurrency;
mod contract;
mod declarative;
mod engine;
mod inspect;
mod instance;
mod last_manifest;
mod limits;
mod load;
mod loader;
mod manifest;
mod unavailable;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::engine::Engine;
pub use self::inspect::{Inspection, inspect};
pub(crate) use self::load::digest_of;
pub use self::loader::{Loader, LoaderConfig};
use crate::api::status::Result;
use crate::api::{GroupVersionResource, RequestContext};
use crate::registry::{ResourceDefinition, Strategy};
use crate::storage::mirror::Backend;

/// A loaded, checked plugin.
pub struct Plugin {
    /// The file's stem, `_` read as `-`: a DNS label. It owns keyspace, grants and the metrics' label by it.
    pub name: String,
    /// SHA-256 of the component, hex.
    pub digest: String,
    pub resources: Vec<PluginResource>,
    /// `None` while it works; else why its writes are refused (its component could not be loaded and only the
    /// last checked manifest is known).
    pub trouble: Option<String>,
}

pub struct PluginResource {
    pub definition: Arc<ResourceDefinition>,
    pub strategy: Arc<dyn Strategy>,
    pub backend: Option<Arc<dyn Backend>>,
}

/// What a folder holds at one moment, after checking.
#[derive(Default)]
pub struct Loaded {
    /// In the order of names.
    pub plugins: Vec<Arc<Plugin>>,
    /// What could not be loaded: one line each that names the file, what is wrong and what to do. A file that
    /// replaced a working one is listed here while the old one goes on serving.
    pub problems: Vec<Problem>,
    /// Whether every file that was there at the start has been looked at.
    pub is_complete: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub plugin: String,
    pub message: String,
}

/// Reads host-stored objects for a plugin's `objects` import: whole objects in the asked version, consistent
/// with all that was written before. Which groups may be read has been checked.
#[async_trait]
pub trait Lister: Send + Sync {
    /// `None` where there is no such object.
    async fn get(
        &self,
        context: &RequestContext,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Bytes>>;

    /// In all namespaces where `namespace` is `None`.
    async fn list(
        &self,
        context: &RequestContext,
        resource: &GroupVersionResource,
        namespace: Option<&str>,
        label_selector: &str,
    ) -> Result<Vec<Bytes>>;
}

/// Where plugins are loaded that have nothing to read.
pub struct NoObjects;

#[async_trait]
impl Lister for NoObjects {
    async fn get(
        &self,
        _: &RequestContext,
        _: &GroupVersionResource,
        _: Option<&str>,
        _: &str,
    ) -> Result<Option<Bytes>> {
        Ok(None)
    }

    async fn list(
        &self,
        _: &RequestContext,
        _: &GroupVersionResource,
        _: Option<&str>,
        _: &str,
    ) -> Result<Vec<Bytes>> {
        Ok(Vec::new())
    }
}

/// Why a file is not served.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct LoadError {
    /// One line: what is wrong and what to do.
    message: String,
    /// Whether it may go well later, with the same file.
    is_passing: bool,
    /// Whether another plugin is in the way.
    is_blocked: bool,
}

impl LoadError {
    fn lasting(message: String) -> Self {
        Self {
            message,
            is_passing: false,
            is_blocked: false,
        }
    }

    fn blocked(message: String) -> Self {
        Self {
            message,
            is_passing: false,
            is_blocked: true,
        }
    }

    fn passing(message: String) -> Self {
        Self {
            message,
            is_passing: true,
            is_blocked: false,
        }
    }
}
