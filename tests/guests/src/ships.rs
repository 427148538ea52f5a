//! What `ships_afloat` and `ships_wrecked` serve: one becomes the other, with everything that is stored.

use outrigger_sdk::json;

/// Ships are stored by the host, and in a version that clients do not prefer: whoever reads them whole has them
/// converted. Crates are kept by the plugin.
pub fn manifest() -> String {
    let schema = json!({"openAPIV3Schema": {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"sails": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"sails": {"type": "integer"}}},
        },
    }});
    let scale = json!({"scale": {
        "specReplicasPath": ".spec.sails", "statusReplicasPath": ".status.sails",
    }});
    let column = json!({"name": "Sails", "type": "integer", "jsonPath": ".spec.sails"});
    let version = |name: &str, is_stored: bool| {
        json!({
            "name": name, "storage": is_stored, "schema": schema, "subresources": scale,
            "additionalPrinterColumns": [column],
        })
    };
    json!({"resources": [
        {
            "group": "ships.example.com",
            "names": {"kind": "Ship", "plural": "ships"},
            "versions": [version("v1", false), version("v1beta1", true)],
        },
        {
            "group": "ships.example.com",
            "names": {"kind": "Crate", "plural": "crates"},
            "backend": {"watch": "relist", "relistSeconds": 5},
            "versions": [{"name": "v1"}],
        },
    ]})
    .to_string()
}
