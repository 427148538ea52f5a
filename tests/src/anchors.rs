//! A declared resource that tests of reads have: anchors, in two versions, selectable by `spec.size`.

use serde_json::{Value, json};

/// Those of the namespace `default`.
pub const ANCHORS: &str = "/apis/pier.example.com/v1/namespaces/default/anchors";
/// The same in a version that is not stored.
pub const OLD_ANCHORS: &str = "/apis/pier.example.com/v1beta1/namespaces/default/anchors";
/// Those of all namespaces.
pub const ALL_ANCHORS: &str = "/apis/pier.example.com/v1/anchors";

#[must_use]
pub fn anchor(name: &str, size: i64) -> Value {
    json!({
        "apiVersion": "pier.example.com/v1", "kind": "Anchor",
        "metadata": {"name": name, "labels": {"size": size.to_string()}}, "spec": {"size": size},
    })
}

/// Its CustomResourceDefinition.
#[must_use]
pub fn definition() -> Value {
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage,
            "selectableFields": [{"jsonPath": ".spec.size"}],
            "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "size": {"type": "integer"}, "text": {"type": "string"}}}}}},
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "anchors.pier.example.com"},
        "spec": {
            "group": "pier.example.com", "scope": "Namespaced",
            "names": {"plural": "anchors", "singular": "anchor", "kind": "Anchor", "listKind": "AnchorList"},
            "versions": [version("v1", true), version("v1beta1", false)],
        },
    })
}
