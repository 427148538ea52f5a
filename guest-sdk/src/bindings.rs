//! What wit-bindgen makes of `wit/world.wit`: one world for what is imported, and one for each interface that
//! a plugin may export, so that a component exports only those that its author names. wasm-ld keeps the
//! description of each world in a section of its own and wit-component joins them.
#![allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "generated"
)]

wit_bindgen::generate!({ path: "wit", world: "imports", generate_unused_types: true });

macro_rules! exported {
    ($module:ident, $world:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "wit",
                world: $world,
                with: { "outrigger:plugin/types@1.0.0": crate::bindings::outrigger::plugin::types },
                pub_export_macro: true,
            });
        }
    };
}

exported!(manifest, "manifest-export");
exported!(defaults, "defaults-export");
exported!(mutate, "mutate-export");
exported!(validate, "validate-export");
exported!(convert, "convert-export");
exported!(columns, "columns-export");
exported!(backend, "backend-export");
exported!(changes, "changes-export");
