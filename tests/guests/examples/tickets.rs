//! Tickets with a status, for controllers to reconcile.

use outrigger_sdk::{Failure, Object, Plugin, Target, Validate, Warnings, json};

struct Guest;

outrigger_sdk::export!(Guest: Validate);

impl Plugin for Guest {
    fn manifest() -> String {
        let spec = json!({
            "type": "object",
            "properties": {
                "seats": {"type": "integer", "minimum": 1, "default": 1},
                "note": {"type": "string"},
            },
        });
        let status = json!({
            "type": "object",
            "properties": {
                "reserved": {"type": "integer"},
                "observedGeneration": {"type": "integer"},
            },
        });
        let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
        json!({"resources": [{
            "group": "tickets.example.com",
            "names": {"kind": "Ticket", "plural": "tickets"},
            "versions": [{
                "name": "v1",
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}},
            }],
        }]})
        .to_string()
    }
}

impl Validate for Guest {
    fn validate(_: &Target, new: &Object, old: Option<&Object>) -> Result<Warnings, Failure> {
        let generation = |of: &Object| of["metadata"]["generation"].as_u64();
        let observed = new["status"]["observedGeneration"].as_u64();
        if old.is_some() && observed > generation(new) {
            return Err(Failure::invalid().field(
                "status.observedGeneration",
                observed,
                "must be a generation that there has been",
            ));
        }
        Ok(Warnings::new())
    }
}
