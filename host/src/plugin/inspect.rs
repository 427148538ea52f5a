//! What one component is: looked at without a server, in this process, with no grants.

use std::sync::Arc;

use anyhow::Context as _;
use wasmtime::component::Component;

use super::capability::Capabilities;
use super::capability::log::PluginLog;
use super::engine::Engine;
use super::limits::Limits;
use super::load;
use crate::registry::ResourceDefinition;

pub struct Inspection {
    pub size_bytes: usize,
    /// SHA-256, hex.
    pub digest: String,
    /// Names of interfaces of the contract, in its order.
    pub hooks: Vec<&'static str>,
    /// Names of all imports, sorted.
    pub imports: Vec<String>,
    pub resources: Vec<ResourceDefinition>,
}

/// # Errors
/// The file is no plugin; the text says why and what to do.
pub async fn inspect(name: &str, bytes: &[u8]) -> anyhow::Result<Inspection> {
    load::check_bytes(bytes)?;
    let engine = Arc::new(Engine::on_demand()?);
    let component = Component::from_binary(engine.wasmtime(), bytes)
        .map_err(|error| anyhow::anyhow!("{error:#}"))
        .context("it cannot be compiled")?;
    let component_type = component.component_type();
    let imports = component_type.imports(engine.wasmtime());
    let mut imports: Vec<String> = imports.map(|(name, _)| name.to_owned()).collect();
    imports.sort_unstable();
    let capabilities = Capabilities {
        plugin: Arc::from(name),
        settings: Arc::from("{}"),
        log: Arc::new(PluginLog::new(name)),
        kv: None,
        lister: None,
    };
    let limits = Limits::default();
    let host = load::Host::new(Arc::clone(&engine))?;
    let checked = host.check(&component, capabilities, limits, None).await?;
    Ok(Inspection {
        size_bytes: bytes.len(),
        digest: load::digest_of(bytes),
        hooks: checked.runtime.hooks.names(),
        imports,
        resources: checked.definitions,
    })
}
