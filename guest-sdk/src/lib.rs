//! Write an API group of Kubernetes as a WebAssembly component, and have Outrigger serve it.
//!
//! A plugin is a type, a manifest, and the hooks that it wants; [`export!`] makes a component of them.
//! This one serves teapots and refuses those without a size:
//!
//! ```
//! use outrigger_sdk::{Failure, Object, Plugin, Target, Validate, Warnings, json};
//!
//! struct Shop;
//!
//! impl Plugin for Shop {
//!     fn manifest() -> String {
//!         json!({"resources": [{
//!             "group": "shop.example.com",
//!             "names": {"kind": "Teapot", "plural": "teapots"},
//!             "versions": [{"name": "v1"}],
//!         }]})
//!         .to_string()
//!     }
//! }
//!
//! impl Validate for Shop {
//!     fn validate(_: &Target, new: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
//!         if new["spec"]["size"].is_null() {
//!             return Err(Failure::invalid().required("spec.size", "a teapot has a size"));
//!         }
//!         Ok(Warnings::new())
//!     }
//! }
//!
//! outrigger_sdk::export!(Shop: Validate);
//! ```
//!
//! With `crate-type = ["cdylib"]`, `cargo build --release --target wasm32-wasip2` writes the component.
//!
//! # Hooks
//!
//! Naming a hook in [`export!`] opts in; the host never calls into a plugin for one that is not named.
//!
//! | trait | what it does | sees |
//! |---|---|---|
//! | [`Defaults`] | fills in what the client left out | the request's version |
//! | [`Mutate`] | changes an object before it is validated | the storage version |
//! | [`Validate`] | refuses an object, or warns about it | the storage version |
//! | [`Convert`] | converts between versions | any version |
//! | [`Columns`] | computes cells of `kubectl get` | the request's version |
//! | [`Backend`] | keeps the objects itself | the storage version |
//! | [`Changes`] | tells what changed in a backend | the storage version |
//!
//! Each request is served by a fresh instance: nothing in memory outlives it. What must last goes into [`kv`].
//!
//! # What a plugin can ask the host
//!
//! [`request`] (who asks, how long there is), [`log`], [`config`] (the operator's settings), [`kv`] (a durable
//! key-value space of the plugin's own) and [`objects`] (the objects of the plugin's own groups). A component
//! imports only what it calls. There are no sockets, files or environment variables.
//!
//! # Tests
//!
//! Built for the machine that you work on, the same functions are answered out of memory: see `testing`.

#![deny(missing_docs)]

#[doc(hidden)]
pub mod adapter;
#[doc(hidden)]
pub mod bindings;
pub mod config;
mod failure;
pub mod kv;
pub mod log;
mod object;
pub mod objects;
mod plugin;
pub mod request;
mod target;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use failure::{Cause, Failure};
pub use object::Object;
pub use plugin::{
    Backend, Change, Changes, Columns, Convert, Defaults, ListOptions, Mutate, Page, Plugin, Poll,
    Validate, Warnings,
};
pub use serde_json::{Value, json};
pub use target::Target;

/// Makes a component of a [`Plugin`] and of those of its hooks that are named.
///
/// ```
/// # use outrigger_sdk::{Convert, Defaults, Failure, Object, Plugin, Target};
/// # struct Shop;
/// # impl Plugin for Shop { fn manifest() -> String { String::new() } }
/// # impl Defaults for Shop { fn defaults(_: &Target, _: &mut Object) -> Result<(), Failure> { Ok(()) } }
/// # impl Convert for Shop { fn convert(_: &mut Object, _: &str) -> Result<(), Failure> { Ok(()) } }
/// outrigger_sdk::export!(Shop: Defaults, Convert);
/// ```
///
/// The hooks are `Defaults`, `Mutate`, `Validate`, `Convert`, `Columns`, `Backend` and `Changes`. Use it once
/// in a component. In a build that is not for WebAssembly it only checks that the traits are implemented.
#[macro_export]
macro_rules! export {
    ($plugin:ty $(: $($hook:ident),* $(,)?)?) => {
        const _: () = {
            type Exported = $crate::adapter::Adapter<$plugin>;
            $crate::__export_hook!(Exported Plugin $plugin);
            $($($crate::__export_hook!(Exported $hook $plugin);)*)?
        };
    };
}

/// One interface of the component; not for plugins.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_hook {
    ($adapter:ident Plugin $plugin:ty) => { $crate::__export_hook!(@ $adapter $plugin, Plugin, manifest); };
    ($adapter:ident Defaults $plugin:ty) => { $crate::__export_hook!(@ $adapter $plugin, Defaults, defaults); };
    ($adapter:ident Mutate $plugin:ty) => { $crate::__export_hook!(@ $adapter $plugin, Mutate, mutate); };
    ($adapter:ident Validate $plugin:ty) => { $crate::__export_hook!(@ $adapter $plugin, Validate, validate); };
    ($adapter:ident Convert $plugin:ty) => { $crate::__export_hook!(@ $adapter $plugin, Convert, convert); };
    ($adapter:ident Columns $plugin:ty) => { $crate::__export_hook!(@ $adapter $plugin, Columns, columns); };
    ($adapter:ident Backend $plugin:ty) => { $crate::__export_hook!(@ $adapter $plugin, Backend, backend); };
    ($adapter:ident Changes $plugin:ty) => { $crate::__export_hook!(@ $adapter $plugin, Changes, changes); };
    ($adapter:ident $hook:ident $plugin:ty) => {
        compile_error!(concat!(
            "there is no hook `", stringify!($hook),
            "`: the hooks are Defaults, Mutate, Validate, Convert, Columns, Backend and Changes"
        ));
    };
    (@ $adapter:ident $plugin:ty, $hook:ident, $interface:ident) => {
        const _: fn() = || {
            fn is_implemented<T: $crate::$hook>() {}
            is_implemented::<$plugin>();
        };
        // The names of a component's exports are no names of a native library's.
        #[cfg(target_arch = "wasm32")]
        $crate::bindings::$interface::export!(
            $adapter with_types_in $crate::bindings::$interface
        );
    };
}
