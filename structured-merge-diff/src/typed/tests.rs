//! Tests of typed values.

mod differences;
mod items;
mod validation;

use serde_json::json;

use super::*;
use crate::schema::Schema;

/// The type that is named `object` in a schema in the library's own form.
fn object_of(types: Value) -> Type {
    let schema = Schema::from_value(&json!({"types": types})).unwrap();
    schema.named("object").unwrap()
}

/// A bit of everything.
fn everything() -> Type {
    let item = json!({"map": {"fields": [
        {"name": "key", "type": {"scalar": "string"}},
        {"name": "id", "type": {"scalar": "numeric"}, "default": 1},
        {"name": "value", "type": {"scalar": "untyped"}},
        {"name": "nested", "type": {"map": {"elementType": {"scalar": "numeric"}}}},
    ]}});
    object_of(json!([
        {"name": "object", "map": {"fields": [
            {"name": "string", "type": {"scalar": "string"}},
            {"name": "number", "type": {"scalar": "numeric"}},
            {"name": "bool", "type": {"scalar": "boolean"}},
            {"name": "scalar", "type": {"scalar": "untyped"}},
            {"name": "struct", "type": {"map": {"fields": [
                {"name": "a", "type": {"scalar": "numeric"}}, {"name": "b", "type": {"scalar": "numeric"}},
            ]}}},
            {"name": "map", "type": {"map": {"elementType": {"scalar": "numeric"}}}},
            {"name": "atomicMap", "type": {"map": {"elementType": {"scalar": "numeric"}, "elementRelationship": "atomic"}}},
            {"name": "list", "type": {"list": {"elementType": {"scalar": "string"}, "elementRelationship": "atomic"}}},
            {"name": "set", "type": {"list": {"elementType": {"scalar": "untyped"}, "elementRelationship": "associative"}}},
            {"name": "items", "type": {"list": {"elementType": item, "elementRelationship": "associative", "keys": ["key", "id"]}}},
            {"name": "any", "type": {"namedType": "any"}},
            {"name": "lost", "type": {"namedType": "nowhere"}},
        ]}},
        {"name": "any", "scalar": "untyped",
            "list": {"elementType": {"scalar": "numeric"}, "elementRelationship": "associative"},
            "map": {"elementType": {"namedType": "any"}}},
    ]))
}

fn typed(value: Value) -> TypedValue {
    everything().typed(value, Duplicates::Allowed).unwrap()
}

/// Two values of one type.
fn pair(left: Value, right: Value) -> (TypedValue, TypedValue) {
    let of = everything();
    let typed = |it| of.typed(it, Duplicates::Allowed).unwrap();
    (typed(left), typed(right))
}

fn set(json: &str) -> Set {
    Set::from_json(json.as_bytes()).unwrap()
}
