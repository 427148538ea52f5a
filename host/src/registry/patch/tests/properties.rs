//! What holds for every patch.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{OWNERSHIP, Patch, PatchKind};
use crate::api::Object;
use crate::api::testing;
use crate::registry::schema::PatchMeta;

fn parse(kind: PatchKind, patch: &Value) -> Patch {
    Patch::parse(kind, patch.to_string().as_bytes()).expect("a patch of this form can be read")
}

/// RFC 7386, section 2, as it stands there.
fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut target = match target {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.remove(&name);
            }
            value => {
                let old = target.remove(&name).unwrap_or(Value::Null);
                target.insert(name, merged(old, value));
            }
        }
    }
    Value::Object(target)
}

fn pointer() -> impl Strategy<Value = String> {
    let step = prop::sample::select(vec![
        "metadata",
        "finalizers",
        "ownerReferences",
        "managedFields",
        "name",
        "labels",
        "spec",
        "a",
        "b",
        "0",
        "1",
        "-",
        "",
        "~0",
        "~1",
        "uid",
        "resourceVersion",
    ]);
    prop::collection::vec(step, 0..4)
        .prop_map(|steps| steps.iter().map(|it| format!("/{it}")).collect())
}

fn operation() -> impl Strategy<Value = Value> {
    let op = prop::sample::select(vec![
        "add", "remove", "replace", "move", "copy", "test", "nope",
    ]);
    (op, pointer(), pointer(), testing::json()).prop_map(
        |(op, path, from, value)| json!({"op": op, "path": path, "from": from, "value": value}),
    )
}

/// A patch of any kind, mostly of metadata.
fn patch() -> impl Strategy<Value = (PatchKind, Value)> {
    let operations = prop::collection::vec(operation(), 0..4);
    let of_metadata = testing::map().prop_map(|it| json!({"metadata": it}));
    let any = testing::map().prop_map(Value::Object);
    let directives = prop::sample::select(vec![
        json!({"$patch": "replace"}),
        json!({"metadata": {"$patch": "delete"}}),
        json!({"metadata": {"$retainKeys": ["name"], "finalizers": ["x/y"]}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"], "ownerReferences": [{"$patch": "replace"}]}}),
        json!({"metadata": {"ownerReferences": [{"uid": "a", "$patch": "delete"}, {"uid": "b", "x": 1}]}}),
    ]);
    prop_oneof![
        operations.prop_map(|it| (PatchKind::Json, it.into())),
        prop_oneof![of_metadata.boxed(), any.boxed()].prop_flat_map(|it| {
            let kinds = prop::sample::select(vec![PatchKind::Merge, PatchKind::Strategic]);
            (kinds, Just(it))
        }),
        directives.prop_map(|it| (PatchKind::Strategic, it)),
    ]
}

/// Without what [`Patch::touches_only_ownership`] lets a patch change.
fn beside_ownership(object: &Object) -> Object {
    let mut rest = object.clone();
    if let Some(Value::Object(metadata)) = rest.0.get_mut("metadata") {
        metadata.retain(|key, _| !OWNERSHIP.contains(&key.as_str()));
    }
    rest
}

/// A null in a list that is new is taken out of a strategic patch.
fn has_lists(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(map) => map.values().any(has_lists),
        _ => false,
    }
}

proptest! {
    #[test]
    fn merge_patches_do_what_the_rfc_says(object in testing::object(), patch in testing::map()) {
        let patch = Value::Object(patch);
        let expected = merged(Value::Object(object.0.clone()), patch.clone());
        let patched = parse(PatchKind::Merge, &patch).apply(&object, PatchMeta::PLAIN).expect("it applies to any object");
        prop_assert_eq!(Value::Object(patched.0), expected);
    }

    #[test]
    fn strategic_patches_without_lists_and_directives_are_merge_patches(object in testing::object(), patch in testing::map()) {
        let patch = Value::Object(patch);
        prop_assume!(!has_lists(&patch));
        let strategic = parse(PatchKind::Strategic, &patch).apply(&object, PatchMeta::PLAIN).expect("it applies to any object");
        let merged = parse(PatchKind::Merge, &patch).apply(&object, PatchMeta::PLAIN).expect("it applies to any object");
        prop_assert_eq!(strategic, merged);
    }

    #[test]
    fn what_is_added_can_be_removed_again(object in testing::object(), key in "[a-z~/]{1,4}", value in testing::json(), at in 0_usize..3) {
        let key = format!("/new{}", key.replace('~', "~0").replace('/', "~1"));
        let owners = object.0["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len);
        let element = format!("/metadata/ownerReferences/{}", at.min(owners));
        for path in [key, element] {
            let patch = json!([{"op": "add", "path": path, "value": value}]);
            let added = parse(PatchKind::Json, &patch).apply(&object, PatchMeta::PLAIN).expect("it is added");
            prop_assert_ne!(&added, &object);
            let patch = json!([
                {"op": "test", "path": path, "value": value}, {"op": "remove", "path": path},
            ]);
            let removed = parse(PatchKind::Json, &patch).apply(&added, PatchMeta::PLAIN).expect("it is removed");
            prop_assert_eq!(&removed, &object);
        }
    }

    #[test]
    fn patches_either_apply_or_are_refused(object in testing::object(), (kind, patch) in patch()) {
        let patch = parse(kind, &patch);
        match patch.apply(&object, PatchMeta::PLAIN) {
            Ok(patched) => prop_assert_eq!(patch.apply(&object, PatchMeta::PLAIN), Ok(patched)),
            Err(status) => prop_assert!((400..500).contains(&status.code), "{:?}", status),
        }
    }

    /// What such a patch does is written without a plugin being asked.
    #[test]
    fn patches_of_ownership_change_nothing_else(object in testing::object(), (kind, patch) in patch()) {
        let patch = parse(kind, &patch);
        prop_assume!(patch.touches_only_ownership());
        if let Ok(patched) = patch.apply(&object, PatchMeta::PLAIN) {
            prop_assert_eq!(beside_ownership(&patched), beside_ownership(&object));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[\\]{}\":,a-z0-9$ ]{0,80}") {
        for kind in [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic] {
            for bytes in [&bytes[..], text.as_bytes()] {
                if let Err(status) = Patch::parse(kind, bytes) {
                    prop_assert!(matches!(status.code, 400 | 413), "{:?}", status);
                }
            }
        }
    }
}
