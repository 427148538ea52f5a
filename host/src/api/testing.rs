//! Documents of any form, for tests of what must hold for all of them.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::Object;

/// Keys that matter somewhere, and others.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "a", "b", "metadata", "name", "labels", "finalizers", "ownerReferences", "managedFields", "spec",
            "uid", "apiVersion", "kind", "generation", "creationTimestamp", "annotations", "controller",
        ])
        .prop_map(str::to_owned),
        1 => "[a-z/~.\u{0}\u{e9}]{0,4}",
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(Value::from("2001-02-03T04:05:06.7+01:00")),
    ]
}

/// At most four levels deep.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key(), inner, 0..4).prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

pub(crate) fn map() -> impl Strategy<Value = Map<String, Value>> {
    btree_map(key(), json(), 0..5).prop_map(|it| it.into_iter().collect())
}

/// With the metadata of an object that is stored, more or less.
pub(crate) fn object() -> impl Strategy<Value = Object> {
    (map(), map(), vec("[a-c]/[a-c]", 0..3), vec("[a-c]", 0..3)).prop_map(
        |(mut fields, mut metadata, finalizers, owners)| {
            let owner = |uid: String| serde_json::json!({"uid": uid, "name": "n"});
            metadata.insert("name".into(), "a".into());
            metadata.insert("finalizers".into(), finalizers.into());
            let owners: Vec<Value> = owners.into_iter().map(owner).collect();
            metadata.insert("ownerReferences".into(), owners.into());
            fields.insert("metadata".into(), metadata.into());
            Object(fields)
        },
    )
}
