//! Plugins that misbehave, one a file in `examples/`, and a few that behave, for the tests of the host.
//!
//! `cargo build --release --target wasm32-wasip2 --examples` builds them all, to
//! `target/wasm32-wasip2/release/examples/NAME.wasm`.
//!
//! | component | group, resource | what it does |
//! |---|---|---|
//! | `traps_on_validate` | `traps.example.com`, `traps` | panics in validate, unless `spec.calm` is true |
//! | `never_returns` | `loops.example.com`, `loops` | spins in validate, unless `spec.calm` is true |
//! | `allocates_without_end` | `hogs.example.com`, `hogs` | fills its memory in validate, unless `spec.calm` is true |
//! | `sleeps` | `sleepers.example.com`, `sleepers` | sleeps for an hour in validate, unless `spec.calm` is true |
//! | `never_lists` | `silent.example.com`, `silences` | keeps its objects itself and fails whenever it is asked for them |
//! | `returns_garbage` | `garbage.example.com`, `heaps` | breaks the rule of mutate that `spec.breaks` names: `json`, `kind`, `name`, `uid` or `resourceVersion` |
//! | `bad_manifest` | `bad.example.com` | has the unknown field `plurall` in its manifest |
//! | `manifest_is_no_json` | | answers `not JSON` for a manifest |
//! | `manifest_traps` | | panics when it is asked for its manifest |
//! | `taken_resource` | `hello.example.com`, `greetings` | serves what `examples/hello` serves |
//! | `built_in_group` | `apps`, `deployments` | serves a group of Kubernetes itself |
//! | `protected_group` | `plugins.k8s.io`, `plugins` | serves a protected group without approval |
//! | `other_contract` | | exports the manifest of `outrigger:plugin@2.0.0` |
//! | `newer_contract` | `newer.example.com`, `newers` | imports the interface `teleport`, which there is not |
//! | `second` | `second.example.com`, `parcels` | behaves |
//! | `generation_1` | `generations.example.com`, `generations` | refuses `spec.size` over 1: `must be at most 1` |
//! | `generation_2` | `generations.example.com`, `generations` | refuses `spec.size` over 2: `must be at most 2` |
//! | `ships_afloat` | `ships.example.com`, `ships` and `crates` | behaves; keeps the crates itself |
//! | `ships_wrecked` | the same | panics whatever it is asked, but for its manifest |
//! | `named_by_settings` | `named.example.com`, what the setting `plural` says | behaves |
//! | `tickets` | `tickets.example.com`, `tickets` | has a schema and a status, for controllers |

use outrigger_sdk::{Failure, Object, json};

pub mod ships;

/// A manifest with one resource in version v1, without a schema.
pub fn manifest(group: &str, kind: &str, plural: &str) -> String {
    let names = json!({"kind": kind, "plural": plural});
    json!({"resources": [{"group": group, "names": names, "versions": [{"name": "v1"}]}]})
        .to_string()
}

/// Whether an object asks its plugin to behave.
pub fn is_calm(object: &Object) -> bool {
    object["spec"]["calm"] == true
}

/// Refuses a size over `limit`.
pub fn check_size(object: &Object, limit: u64) -> Result<(), Failure> {
    let size = object["spec"]["size"].as_u64().unwrap_or_default();
    if size > limit {
        return Err(Failure::invalid().field(
            "spec.size",
            size,
            &format!("must be at most {limit}"),
        ));
    }
    Ok(())
}
