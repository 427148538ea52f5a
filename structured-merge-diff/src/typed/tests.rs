//! Tests of typed values.

use serde_json::json;

use super::*;
use crate::schema::openapi;

#[test]
fn an_object_of_a_structural_schema_has_the_fields_that_the_schema_says() {
    let of = openapi::object_type(&json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {
                "ports": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                    "items": {"type": "object", "properties": {
                        "port": {"type": "integer"},
                        "protocol": {"type": "string", "default": "TCP"},
                        "name": {"type": "string"},
                    }}},
                "args": {"type": "array", "items": {"type": "string"}},
                "any": {"x-kubernetes-preserve-unknown-fields": true},
            }},
        },
    }))
    .unwrap();
    let object = json!({
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "metadata": {"name": "a", "labels": {"x": "y"}, "finalizers": ["a/b"]},
        "spec": {"ports": [{"port": 80, "name": "http"}], "args": ["a"], "any": {"x": [1]}},
    });
    let object = of.typed(object, Duplicates::Refused).unwrap();
    assert_eq!(
        object.to_field_set().unwrap().to_json(),
        r#"{"f:apiVersion":{},"f:kind":{},"f:metadata":{"f:finalizers":{"v:\"a/b\"":{}},"f:labels":{"f:x":{}},"f:name":{}},"f:spec":{"f:any":{"f:x":{}},"f:args":{},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}}}}"#
    );
    let wrong =
        json!({"spec": {"ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}], "unknown": 1}});
    let errors = of.typed(wrong, Duplicates::Refused).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "errors:\n  .spec.ports: duplicate entries for key [port=80,protocol=\"TCP\"]\n  .spec.unknown: field not declared in schema"
    );
}
