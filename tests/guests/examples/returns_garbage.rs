//! Breaks the rules of mutate, the one that `spec.breaks` names.

use outrigger_sdk::bindings::mutate::exports::outrigger::plugin::mutate::{
    Guest as Mutate, Outcome,
};
use outrigger_sdk::bindings::outrigger::plugin::types;
use outrigger_sdk::{Object, Plugin, json};

struct Guest;

outrigger_sdk::export!(Guest);
#[cfg(target_arch = "wasm32")]
outrigger_sdk::bindings::mutate::export!(Guest with_types_in outrigger_sdk::bindings::mutate);

impl Plugin for Guest {
    fn manifest() -> String {
        guests::manifest("garbage.example.com", "Heap", "heaps")
    }
}

impl Mutate for Guest {
    fn prepare(
        _: types::Target,
        new: String,
        _: Option<String>,
    ) -> Result<Outcome, types::Failure> {
        let mut object = Object::parse(&new)?;
        let answer = match object["spec"]["breaks"].as_str() {
            Some("json") => Some("{".to_owned()),
            Some("kind") => {
                object["kind"] = json!("Other");
                Some(object.to_string())
            }
            Some(field @ ("name" | "uid" | "resourceVersion")) => {
                let field = field.to_owned();
                object["metadata"][field] = json!("other");
                Some(object.to_string())
            }
            _ => None,
        };
        Ok(Outcome {
            object: answer,
            warnings: Vec::new(),
        })
    }
}
