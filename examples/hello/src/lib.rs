//! The smallest plugin that does something: greetings, which must greet somebody.

use outrigger_sdk::{Failure, Object, Plugin, Target, Validate, Warnings, json};

struct Hello;

impl Plugin for Hello {
    fn manifest() -> String {
        let group = "hello.example.com";
        let names = json!({"kind": "Greeting", "plural": "greetings"});
        json!({"resources": [{"group": group, "names": names, "versions": [{"name": "v1"}]}]})
            .to_string()
    }
}

impl Validate for Hello {
    fn validate(_: &Target, new: &Object, _: Option<&Object>) -> Result<Warnings, Failure> {
        if new["spec"]["to"].as_str().is_none_or(str::is_empty) {
            return Err(Failure::invalid().required("spec.to", "a greeting is to somebody"));
        }
        Ok(Warnings::new())
    }
}

outrigger_sdk::export!(Hello: Validate);
