//! Version 1 of the contract: `outrigger:plugin@1.0.0`, in guest-sdk/wit/world.wit.

/// Runs one call in an instance: the guest's answer, or why there is none.
macro_rules! call {
    ($instance:expr, $indices:expr, $limits:expr, $deadline:expr, |$guest:ident, $store:ident| $call:expr) => {{
        let instance: &mut $crate::plugin::instance::Instance = $instance;
        let bounds = instance.begin($limits, $deadline);
        let ($store, component) = (&mut instance.store, &instance.instance);
        let call = async {
            let $guest = $indices.load(&mut *$store, component)?;
            $call.await
        };
        let result = bounds.run(call).await;
        instance.end(result)
    }};
}

mod backend;
mod failure;
mod output;
mod strategy;

use wasmtime::component::types::{Component as ComponentType, ComponentItem};
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};
use wasmtime::{Engine, Store};

pub(crate) use self::backend::PluginBackend;
use self::bindings::exports::outrigger::plugin as exported;
pub(crate) use self::bindings::outrigger::plugin as imported;
pub(crate) use self::strategy::{PluginStrategy, relabel};
use super::super::instance::CallState;
use super::super::manifest::Exports;

mod bindings {
    #![allow(
        clippy::all,
        missing_docs,
        unreachable_pub,
        reason = "generated from the WIT"
    )]
    wasmtime::component::bindgen!({
        path: "../guest-sdk/wit",
        inline: "
            package outrigger:host;
            world plugin {
                include outrigger:plugin/imports@1.0.0;
                include outrigger:plugin/manifest-export@1.0.0;
                include outrigger:plugin/defaults-export@1.0.0;
                include outrigger:plugin/mutate-export@1.0.0;
                include outrigger:plugin/validate-export@1.0.0;
                include outrigger:plugin/convert-export@1.0.0;
                include outrigger:plugin/columns-export@1.0.0;
                include outrigger:plugin/backend-export@1.0.0;
                include outrigger:plugin/changes-export@1.0.0;
            }
        ",
        world: "outrigger:host/plugin",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

/// What `bindings` are made of.
pub(crate) const WIT: &str = include_str!("../../../../guest-sdk/wit/world.wit");

/// The version of the contract that this host speaks.
pub(crate) const VERSION: &str = "1.0.0";
const PACKAGE: &str = "outrigger:plugin/";
const INTERFACES: [&str; 8] = [
    "manifest", "defaults", "mutate", "validate", "convert", "columns", "backend", "changes",
];

/// The interfaces that a component exports, and where they are in it.
pub(crate) struct Hooks {
    manifest: exported::manifest::GuestIndices,
    defaults: Option<exported::defaults::GuestIndices>,
    mutate: Option<exported::mutate::GuestIndices>,
    validate: Option<exported::validate::GuestIndices>,
    convert: Option<exported::convert::GuestIndices>,
    columns: Option<exported::columns::GuestIndices>,
    backend: Option<exported::backend::GuestIndices>,
    changes: Option<exported::changes::GuestIndices>,
}

/// Defines all that a plugin may import; what it was not granted answers 403.
pub(crate) fn add_to_linker(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    bindings::Plugin::add_to_linker::<_, HasSelf<CallState>>(linker, |state| state)
}

/// Whether a component is a plugin of this version at all.
///
/// # Errors
/// One line that says what it was built for and what to do.
pub(crate) fn check(component: &ComponentType, engine: &Engine) -> Result<(), String> {
    let mut has_manifest = false;
    for (name, item) in component.exports(engine) {
        let Some(interface) = name.strip_prefix(PACKAGE) else {
            continue;
        };
        let (interface, version) = interface.split_once('@').unwrap_or((interface, "0.0.0"));
        if !is_compatible(version) {
            return Err(format!(
                "exports `{name}`, but this host speaks version {VERSION} of the contract: build the plugin \
                 with an SDK of that version, or run a host that speaks {version}"
            ));
        }
        if !INTERFACES.contains(&interface) {
            return Err(format!(
                "exports `{name}`, which this host does not know: run a newer host, or build the plugin without it"
            ));
        }
        if !matches!(item.ty, ComponentItem::ComponentInstance(_)) {
            return Err(format!(
                "exports `{name}`, which is no interface: build the plugin from the contract's WIT"
            ));
        }
        has_manifest |= interface == "manifest";
    }
    if has_manifest {
        Ok(())
    } else {
        Err(format!(
            "does not export `{PACKAGE}manifest@{VERSION}`: this component is no plugin; build it with the SDK, \
             or export that interface"
        ))
    }
}

/// Versions are compatible within a major version.
fn is_compatible(version: &str) -> bool {
    let major = |text: &str| text.split('.').next().map(str::to_owned);
    major(version) == major(VERSION)
}

impl Hooks {
    /// # Errors
    /// A function of an exported interface is missing; the text names it.
    pub(crate) fn find(pre: &InstancePre<CallState>) -> wasmtime::Result<Self> {
        macro_rules! optional {
            ($interface:ident) => {
                if exports(pre, stringify!($interface)) {
                    Some(exported::$interface::GuestIndices::new(pre)?)
                } else {
                    None
                }
            };
        }
        Ok(Self {
            manifest: exported::manifest::GuestIndices::new(pre)?,
            defaults: optional!(defaults),
            mutate: optional!(mutate),
            validate: optional!(validate),
            convert: optional!(convert),
            columns: optional!(columns),
            backend: optional!(backend),
            changes: optional!(changes),
        })
    }

    pub(crate) fn exports(&self) -> Exports {
        Exports {
            columns: self.columns.is_some(),
            backend: self.backend.is_some(),
            changes: self.changes.is_some(),
        }
    }

    /// The names of the interfaces, in the order of the contract.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let is_exported = [
            true,
            self.defaults.is_some(),
            self.mutate.is_some(),
            self.validate.is_some(),
            self.convert.is_some(),
            self.columns.is_some(),
            self.backend.is_some(),
            self.changes.is_some(),
        ];
        let names = INTERFACES.into_iter().zip(is_exported);
        names.filter(|(_, it)| *it).map(|(name, _)| name).collect()
    }

    /// Compares the types of all exported functions with the contract's.
    ///
    /// # Errors
    /// The text names the interface and the function that differ.
    pub(crate) fn check_types(
        &self,
        store: &mut Store<CallState>,
        instance: &Instance,
    ) -> Result<(), String> {
        macro_rules! check {
            ($($interface:ident),*) => {
                $(if let Some(indices) = &self.$interface {
                    explain(stringify!($interface), indices.load(&mut *store, instance))?;
                })*
            };
        }
        explain("manifest", self.manifest.load(&mut *store, instance))?;
        check!(
            defaults, mutate, validate, convert, columns, backend, changes
        );
        Ok(())
    }

    /// Asks for the manifest.
    pub(crate) async fn describe(
        &self,
        store: &mut Store<CallState>,
        instance: &Instance,
    ) -> wasmtime::Result<String> {
        let guest = self.manifest.load(&mut *store, instance)?;
        guest.call_describe(store).await
    }
}

fn exports(pre: &InstancePre<CallState>, interface: &str) -> bool {
    let name = format!("{PACKAGE}{interface}@{VERSION}");
    pre.component().get_export_index(None, &name).is_some()
}

fn explain<T>(interface: &str, loaded: wasmtime::Result<T>) -> Result<(), String> {
    let Err(error) = loaded else {
        return Ok(());
    };
    Err(format!(
        "`{PACKAGE}{interface}` differs from version {VERSION} of the contract ({error:#}): build the plugin \
         with an SDK of that version"
    ))
}
