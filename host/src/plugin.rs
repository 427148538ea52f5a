//! Plugins: from a `.wasm` file to the [`Strategy`] and [`Backend`] of the resources that it serves.

use std::sync::Arc;

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
    pub definition: ResourceDefinition,
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
