//! From one component to a [`Plugin`]: checks, linking, manifest.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest;
use wasmtime::component::{Component, Linker};

use super::capability::Capabilities;
use super::compile::{COMPONENT_MAX_BYTES, one_line};
use super::contract::v1::{self, Hooks, PluginBackend, PluginStrategy};
use super::engine::Engine;
use super::instance::{CallState, PluginRuntime};
use super::limits::Limits;
use super::{LoadError, Plugin, PluginResource, manifest};
use crate::registry::{ResourceDefinition, Strategy};
use crate::storage::mirror::Backend;

/// A component that has been checked, and what it says it serves.
pub(crate) struct Checked {
    pub(crate) runtime: Arc<PluginRuntime>,
    pub(crate) manifest: String,
    pub(crate) definitions: Vec<ResourceDefinition>,
}

/// SHA-256, hex.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    let hex = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    hex.collect()
}

/// All that the answer to `manifest.describe` depends on besides the component, and whether its types are the
/// contract's: SHA-256, hex.
pub(crate) fn question(capabilities: &Capabilities, limits: &Limits) -> String {
    static OF_THIS_HOST: LazyLock<String> = LazyLock::new(|| {
        let (version, contract) = (env!("CARGO_PKG_VERSION"), v1::WIT);
        digest_of(format!("{version}\n{contract}").as_bytes())
    });
    let (host, settings) = (OF_THIS_HOST.as_str(), &capabilities.settings);
    let (memory, bounds) = (limits.memory_bytes, limits.backend);
    digest_of(format!("{host}\n{memory} {bounds:?}\n{settings}").as_bytes())
}

/// What can be said of a file without compiling it.
///
/// # Errors
/// It is no component; the line says what it is and what to do.
pub(crate) fn check_bytes(bytes: &[u8]) -> Result<(), LoadError> {
    const BUILD: &str = "build it with `cargo build --release --target wasm32-wasip2`";
    if bytes.len() > COMPONENT_MAX_BYTES {
        return Err(LoadError::lasting(format!(
            "has {} MiB, a component has at most {} MiB: make it smaller",
            bytes.len() >> 20,
            COMPONENT_MAX_BYTES >> 20
        )));
    }
    match bytes {
        [] => Err(LoadError::lasting(format!("is empty: {BUILD}"))),
        [b'\0', b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [b'\0', b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadError::lasting(format!(
            "is a core WebAssembly module, not a component: {BUILD}"
        ))),
        [b'\0', b'a', b's', b'm', ..] => Err(LoadError::lasting(format!(
            "is WebAssembly of a version that this host does not know: {BUILD}"
        ))),
        _ => Err(LoadError::lasting(format!("is not WebAssembly: {BUILD}"))),
    }
}

/// What runs components, and what they are linked with.
pub(crate) struct Host {
    engine: Arc<Engine>,
    /// The same for all: a plugin's grants are told by the state of its calls.
    linker: Linker<CallState>,
}

impl Host {
    /// # Errors
    /// The contract contradicts itself.
    pub(crate) fn new(engine: Arc<Engine>) -> anyhow::Result<Self> {
        let mut linker = Linker::new(engine.wasmtime());
        v1::add_to_linker(&mut linker)
            .map_err(|error| anyhow::anyhow!("the contract cannot be linked: {error:#}"))?;
        Ok(Self { engine, linker })
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Links a component and asks it what it serves, but where its answer is known: to this [`question`] it says
    /// the same each time.
    ///
    /// # Errors
    /// One line that says what is wrong with the file and what to do.
    pub(crate) async fn check(
        &self,
        component: &Component,
        capabilities: Capabilities,
        limits: Limits,
        manifest: Option<String>,
    ) -> Result<Checked, LoadError> {
        if manifest.is_none() {
            let component_type = component.component_type();
            v1::check(&component_type, self.engine.wasmtime()).map_err(LoadError::lasting)?;
        }
        let differs = |error: wasmtime::Error| {
            LoadError::lasting(format!(
                "does not fit this host's contract {} ({}): build it with an SDK of that version",
                v1::VERSION,
                one_line(&format!("{error:#}"))
            ))
        };
        let pre = self.linker.instantiate_pre(component).map_err(differs)?;
        let hooks = Hooks::find(&pre).map_err(differs)?;
        // Only makes the first call faster; what fails here fails there with a reason.
        let _ = component.initialize_copy_on_write_image();
        let exports = hooks.exports();
        let engine = Arc::clone(&self.engine);
        let runtime = PluginRuntime::new(engine, pre, hooks, capabilities, limits);
        let runtime = Arc::new(runtime);
        let manifest = match manifest {
            Some(manifest) => manifest,
            None => {
                let told = runtime.describe().await;
                told.map_err(|problem| LoadError::lasting(one_line(&problem)))?
            }
        };
        let definitions = manifest::parse(&manifest, exports)
            .map_err(|problem| LoadError::lasting(format!("has a wrong manifest: {problem}")))?;
        let mut groups: Vec<String> = definitions.iter().map(|it| it.group.clone()).collect();
        groups.sort_unstable();
        groups.dedup();
        let is_first = runtime.groups.set(groups.into()).is_ok();
        debug_assert!(is_first, "a runtime has one manifest");
        Ok(Checked {
            runtime,
            manifest,
            definitions,
        })
    }
}

impl Checked {
    pub(crate) fn into_plugin(self, name: &str, digest: &str) -> Plugin {
        let runtime = self.runtime;
        let resources = self.definitions.into_iter().map(|definition| {
            let strategy = PluginStrategy::new(&runtime, &definition);
            let backend = definition.backend.map(|_| {
                let backend = PluginBackend::new(&runtime, &definition);
                Arc::new(backend) as Arc<dyn Backend>
            });
            PluginResource {
                strategy: Arc::new(strategy) as Arc<dyn Strategy>,
                backend,
                definition: Arc::new(definition),
            }
        });
        Plugin {
            name: name.to_owned(),
            digest: digest.to_owned(),
            resources: resources.collect(),
            trouble: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::plugin::capability::log::PluginLog;

    #[track_caller]
    fn check(bytes: &[u8], shown: &Expect) {
        let told = check_bytes(bytes).map_or_else(|it| it.to_string(), |()| "fits".into());
        shown.assert_eq(&told);
    }

    #[test]
    fn tells_what_a_file_is_that_is_no_component() {
        check(
            b"",
            &expect!["is empty: build it with `cargo build --release --target wasm32-wasip2`"],
        );
        check(
            b"#!/bin/sh\n",
            &expect![
                "is not WebAssembly: build it with `cargo build --release --target wasm32-wasip2`"
            ],
        );
        check(
            b"\0asm\x01\0\0\0",
            &expect![
                "is a core WebAssembly module, not a component: build it with `cargo build --release --target wasm32-wasip2`"
            ],
        );
        check(b"\0asm\x0d\0\x01\0", &expect!["fits"]);
        check(
            &vec![0; COMPONENT_MAX_BYTES + 1],
            &expect!["has 64 MiB, a component has at most 64 MiB: make it smaller"],
        );
    }

    #[test]
    fn a_manifest_depends_on_settings_and_limits_but_not_on_the_name() {
        let capabilities = |plugin: &str, settings: &str| Capabilities {
            plugin: Arc::from(plugin),
            settings: Arc::from(settings),
            log: Arc::new(PluginLog::new(plugin)),
            kv: None,
            lister: None,
        };
        let limits = Limits::default();
        let asked = question(&capabilities("a", "{}"), &limits);
        assert_eq!(asked, question(&capabilities("b", "{}"), &limits));
        assert_ne!(asked, question(&capabilities("a", r#"{"x":1}"#), &limits));
        let more = Limits {
            memory_bytes: 1 << 20,
            ..limits
        };
        assert_ne!(asked, question(&capabilities("a", "{}"), &more));
    }

    #[test]
    fn digests_are_sha_256_in_hex() {
        assert_eq!(
            digest_of(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
