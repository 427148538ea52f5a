//! Tests of types from OpenAPI.

use serde_json::json;

use super::*;
use crate::typed::Duplicates;

fn fields(schema: Value, object: Value) -> String {
    let of = openapi::object_type(&schema).unwrap();
    let object = of.typed(object, Duplicates::Refused).unwrap();
    object.to_field_set().unwrap().to_json()
}

fn errors(schema: Value, object: Value) -> String {
    let of = openapi::object_type(&schema).unwrap();
    let result = of.typed(object, Duplicates::Refused);
    result.expect_err("it does not conform").to_string()
}

fn spec(spec: Value) -> Value {
    json!({"type": "object", "properties": {"spec": spec}})
}

#[test]
fn metadata_is_the_real_object_meta_whatever_the_schema_says() {
    let schema = json!({"type": "object", "properties": {
        "apiVersion": {"type": "integer"},
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 5}}},
    }});
    let object = json!({
        "apiVersion": "example.com/v1", "kind": "Thing",
        "metadata": {
            "name": "a", "namespace": "b", "generateName": "c", "uid": "d", "resourceVersion": "1", "generation": 2,
            "creationTimestamp": null, "deletionTimestamp": "2020-01-01T00:00:00Z", "deletionGracePeriodSeconds": 0,
            "annotations": {"a/b": "c"}, "labels": {}, "finalizers": ["x/y"],
            "managedFields": [{"manager": "m", "fieldsV1": {"f:a": {"f:b": {}}}, "time": "2020-01-01T00:00:00Z"}],
            "ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "a", "uid": "1", "controller": true}, {"name": "b"}],
        },
    });
    assert_eq!(
        fields(schema.clone(), object),
        r#"{"f:apiVersion":{},"f:kind":{},"f:metadata":{"f:annotations":{"f:a/b":{}},"f:creationTimestamp":{},"f:deletionGracePeriodSeconds":{},"f:deletionTimestamp":{},"f:finalizers":{"v:\"x/y\"":{}},"f:generateName":{},"f:generation":{},"f:labels":{},"f:managedFields":{},"f:name":{},"f:namespace":{},"f:ownerReferences":{"k:{\"uid\":\"\"}":{},"k:{\"uid\":\"1\"}":{}},"f:resourceVersion":{},"f:uid":{}}}"#
    );
    let cases = [
        (
            json!({"metadata": {"unknown": 1}}),
            ".metadata.unknown: field not declared in schema",
        ),
        (
            json!({"metadata": {"labels": {"a": 1}}}),
            ".metadata.labels.a: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            json!({"metadata": {"finalizers": ["a", "a"]}}),
            ".metadata.finalizers: duplicate entries for key [=\"a\"]",
        ),
        (
            json!({"unknown": 1}),
            ".unknown: field not declared in schema",
        ),
        (
            json!({"kind": 1}),
            ".kind: expected string, got &value.valueUnstructured{Value:1}",
        ),
    ];
    for (object, expected) in cases {
        assert_eq!(errors(schema.clone(), object), expected);
    }
}

#[test]
fn keywords_say_what_is_owned_as_a_whole() {
    let item = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string", "default": "x"}}});
    let schema = spec(json!({"type": "object", "properties": {
        "map": {"type": "object", "additionalProperties": {"type": "string"}},
        "granular": {"type": "object", "x-kubernetes-map-type": "granular", "properties": {"a": {"type": "string"}}},
        "atomic": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"a": {"type": "string"}}},
        "list": {"type": "array", "items": {"type": "string"}},
        "atomicList": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["b", "a"], "items": item},
        "patched": {"type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "a", "items": item},
        "replaced": {"type": "array", "x-kubernetes-patch-strategy": "retainKeys", "items": item},
    }}));
    let items = json!([{"a": "1"}]);
    let object = json!({"spec": {
        "map": {"a": "1"}, "granular": {"a": "1"}, "atomic": {"a": "1"}, "list": ["1"], "atomicList": ["1"], "set": ["1"],
        "keyed": items, "patched": items, "replaced": items,
    }});
    assert_eq!(
        fields(schema, object),
        r#"{"f:spec":{"f:atomic":{},"f:atomicList":{},"f:granular":{"f:a":{}},"f:keyed":{"k:{\"a\":\"1\",\"b\":\"x\"}":{".":{},"f:a":{}}},"f:list":{},"f:map":{"f:a":{}},"f:patched":{"k:{\"a\":\"1\"}":{".":{},"f:a":{}}},"f:replaced":{},"f:set":{"v:\"1\"":{}}}}"#
    );
}

#[test]
fn what_is_not_typed_may_be_anything() {
    let schema = spec(json!({"type": "object", "properties": {
        "intOrString": {"x-kubernetes-int-or-string": true},
        "free": {"type": "object"},
        "open": {"type": "object", "additionalProperties": true},
        "closed": {"type": "object", "additionalProperties": false},
        "preserved": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
            "known": {"type": "object", "properties": {"a": {"type": "integer"}}},
        }},
        "quantity": {"type": "string", "format": "quantity"},
        "bytes": {"type": "string", "format": "byte"},
    }}));
    let anything = json!({"x": {"y": [1], "z": null}});
    let object = json!({"spec": {
        "intOrString": 80, "free": anything, "open": anything, "closed": {}, "quantity": 5, "bytes": "AA==",
        "preserved": {"known": {"a": 1, "b": anything}, "unknown": anything},
    }});
    assert_eq!(
        fields(schema.clone(), object),
        r#"{"f:spec":{"f:bytes":{},"f:closed":{},"f:free":{"f:x":{".":{},"f:y":{},"f:z":{}}},"f:intOrString":{},"f:open":{"f:x":{".":{},"f:y":{},"f:z":{}}},"f:preserved":{"f:known":{"f:a":{},"f:b":{".":{},"f:x":{".":{},"f:y":{},"f:z":{}}}},"f:unknown":{".":{},"f:x":{".":{},"f:y":{},"f:z":{}}}},"f:quantity":{}}}"#
    );
    assert_eq!(
        errors(schema.clone(), json!({"spec": {"closed": {"a": 1}}})),
        ".spec.closed.a: field not declared in schema"
    );
    assert_eq!(
        errors(schema, json!({"spec": {"bytes": 1}})),
        ".spec.bytes: expected string, got &value.valueUnstructured{Value:1}"
    );
}

#[test]
fn an_embedded_resource_has_metadata_of_its_own() {
    let schema = spec(json!({"type": "object", "properties": {
        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        "any": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
    }}));
    let embedded = json!({"apiVersion": "v1", "kind": "A", "metadata": {"finalizers": ["a"]}, "spec": {"x": 1}});
    assert_eq!(
        fields(
            schema.clone(),
            json!({"spec": {"template": embedded, "any": {"kind": "B", "data": {"x": 1}}}})
        ),
        r#"{"f:spec":{"f:any":{"f:data":{".":{},"f:x":{}},"f:kind":{}},"f:template":{"f:apiVersion":{},"f:kind":{},"f:metadata":{"f:finalizers":{"v:\"a\"":{}}},"f:spec":{"f:x":{}}}}}"#
    );
    assert_eq!(
        errors(schema, json!({"spec": {"template": {"data": 1}}})),
        ".spec.template.data: field not declared in schema"
    );
}

#[test]
fn a_schema_that_cannot_be_followed_is_refused() {
    let cases = [
        (json!({"type": "null"}), "spec: unrecognized type: 'null'"),
        (
            json!({"type": "array"}),
            "spec: `items` must be specified on arrays",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "bag", "items": {}}),
            "spec: unknown list type bag",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "items": {}}),
            "spec: missing map keys",
        ),
        (
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": 1, "items": {}}),
            "spec: uninterpreted map keys: 1",
        ),
        (
            json!({"type": "array", "x-kubernetes-patch-strategy": "x", "items": {}}),
            "spec: unknown patch strategy x",
        ),
        (
            json!({"type": "object", "x-kubernetes-map-type": "x"}),
            "spec: unknown map type x",
        ),
        (
            json!({"type": "object", "properties": {"a": 1}}),
            "a: no schema",
        ),
        (
            json!({"type": "object", "x-kubernetes-map-type": "x", "properties": {"a": {"type": "b"}}}),
            "a: unrecognized type: 'b'\nspec: unknown map type x",
        ),
    ];
    for (wrong, expected) in cases {
        let err = openapi::object_type(&spec(wrong)).unwrap_err();
        assert_eq!(err.to_string(), expected);
    }
    assert!(openapi::object_type(&json!(true)).is_err());
}

#[test]
fn schemas_in_the_own_form_are_checked() {
    let cases = [
        (json!({"types": 1}), "types is no list"),
        (json!({"types": [{}]}), "a type has no name"),
        (json!({"types": [{"name": 1}]}), "name is no string"),
        (
            json!({"types": [{"name": "a", "scalar": "b"}]}),
            "unknown scalar \"b\"",
        ),
        (
            json!({"types": [{"name": "a", "map": {"fields": [{}]}}]}),
            "a field has no name",
        ),
        (
            json!({"types": [{"name": "a", "list": {"keys": [1]}}]}),
            "a key is no string",
        ),
        (
            json!({"types": [{"name": "a", "list": {"elementRelationship": "b"}}]}),
            "unknown relationship \"b\"",
        ),
        (
            json!({"types": [{"name": "a", "list": {"elementType": {"scalar": "string", "elementRelationship": "atomic"}}}]}),
            "a scalar has no elements",
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(
            Schema::from_value(&document).unwrap_err().to_string(),
            expected
        );
    }
}
