#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

mod properties;

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::registry::definition::{NameRule, Names, ObjectModel, Scope, UpdateRules};
use crate::registry::schema::Schema;

fn base() -> Object {
    let json = json!({
        "apiVersion": "g/v1", "kind": "K",
        "metadata": {"name": "a", "labels": {"a": "1"}, "finalizers": ["x/y"],
            "ownerReferences": [{"uid": "u1", "name": "n1"}]},
        "spec": {"list": [1, 2], "deep": {"q": 1}},
    });
    Object::from_slice(json.to_string().as_bytes()).unwrap()
}

fn apply(kind: PatchKind, patch: &str) -> Result<Object> {
    let schema =
        Schema::compile(&json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    Patch::parse(kind, patch.as_bytes())?.apply(&base(), schema.unwrap().patch_meta())
}

#[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
fn check(kind: PatchKind, patch: &str, expected: Expect) {
    let shown = match apply(kind, patch) {
        Ok(object) => Value::Object(object.0).to_string(),
        Err(status) => format!("{} {} {}", status.code, status.reason, status.message),
    };
    expected.assert_eq(&shown);
}

#[test]
fn operations_are_applied_in_order() {
    check(
        PatchKind::Json,
        r#"[{"op":"test","path":"/metadata/labels/a","value":"1"},{"op":"add","path":"/metadata/labels/b~1c","value":"2"},
            {"op":"replace","path":"/metadata/labels/a","value":"9"},{"op":"add","path":"/spec/list/-","value":3},
            {"op":"move","from":"/spec/deep","path":"/spec/moved"},{"op":"copy","from":"/spec/list/0","path":"/spec/first"}]"#,
        expect![[
            r#"{"apiVersion":"g/v1","kind":"K","metadata":{"finalizers":["x/y"],"labels":{"a":"9","b/c":"2"},"name":"a","ownerReferences":[{"name":"n1","uid":"u1"}]},"spec":{"first":1,"list":[1,2,3],"moved":{"q":1}}}"#
        ]],
    );
    check(
        PatchKind::Json,
        "[]",
        expect![[
            r#"{"apiVersion":"g/v1","kind":"K","metadata":{"finalizers":["x/y"],"labels":{"a":"1"},"name":"a","ownerReferences":[{"name":"n1","uid":"u1"}]},"spec":{"deep":{"q":1},"list":[1,2]}}"#
        ]],
    );
    check(
        PatchKind::Json,
        "null",
        expect![[
            r#"{"apiVersion":"g/v1","kind":"K","metadata":{"finalizers":["x/y"],"labels":{"a":"1"},"name":"a","ownerReferences":[{"name":"n1","uid":"u1"}]},"spec":{"deep":{"q":1},"list":[1,2]}}"#
        ]],
    );
}

#[test]
fn a_test_for_null_finds_it_where_an_object_has_no_such_member() {
    for passes in [
        r#"[{"op":"test","path":"/metadata/annotations","value":null}]"#,
        r#"[{"op":"test","path":"/spec/deep/none","value":null},{"op":"test","path":"/spec/list/0","value":1}]"#,
    ] {
        assert_eq!(apply(PatchKind::Json, passes), apply(PatchKind::Json, "[]"));
    }
    for fails in [
        r#"[{"op":"test","path":"/metadata/labels","value":null}]"#,
        r#"[{"op":"test","path":"/metadata/annotations/none","value":null}]"#,
        r#"[{"op":"test","path":"/spec/list/2","value":null}]"#,
        r#"[{"op":"test","path":"/metadata/annotations","value":""}]"#,
        r#"[{"op":"test","path":"","value":null}]"#,
    ] {
        let refused = apply(PatchKind::Json, fails).expect_err("it is not null");
        assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    }
}

#[test]
fn patches_that_fail_say_how() {
    for fails in [
        r#"[{"op":"test","path":"/metadata/labels/a","value":"nope"}]"#,
        r#"[{"op":"remove","path":"/metadata/labels/zzz"}]"#,
        r#"[{"op":"explode","path":"/x"}]"#,
        r#"[{"op":"add"}]"#,
        r#"[{"op":"replace","path":"","value":5}]"#,
        r#"[{"op":"add","path":"no-slash","value":5}]"#,
    ] {
        let status = apply(PatchKind::Json, fails).unwrap_err();
        assert_eq!((status.code, &*status.reason), (422, "Invalid"), "{fails}");
        assert!(status.details.is_some());
    }
    check(
        PatchKind::Json,
        r#"{"op":"add"}"#,
        expect![
            "400 BadRequest error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        ],
    );
    check(
        PatchKind::Json,
        "[5]",
        expect![
            "400 BadRequest error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"
        ],
    );
    check(
        PatchKind::Json,
        "{nope",
        expect!["400 BadRequest invalid JSON patch"],
    );
    check(
        PatchKind::Merge,
        "{nope",
        expect!["400 BadRequest invalid JSON patch"],
    );
    check(
        PatchKind::Merge,
        "[]",
        expect![
            "400 BadRequest error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        ],
    );
    let many = format!(
        "[{}]",
        vec![r#"{"op":"test","path":"/kind","value":"K"}"#; 10_001].join(",")
    );
    check(
        PatchKind::Json,
        &many,
        expect![
            "413 RequestEntityTooLarge Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
        ],
    );
}

#[test]
fn small_patches_cannot_make_huge_objects() {
    let doubling = vec![r#"{"op":"copy","from":"/spec","path":"/spec/x"}"#; 200].join(",");
    assert_eq!(
        apply(PatchKind::Json, &format!("[{doubling}]"))
            .unwrap_err()
            .code,
        422
    );
    let sideways: Vec<String> = (0..100)
        .map(|it| format!(r#"{{"op":"copy","from":"/spec","path":"/metadata/x{it}"}},{{"op":"copy","from":"/metadata","path":"/spec/y{it}"}}"#))
        .collect();
    assert_eq!(
        apply(PatchKind::Json, &format!("[{}]", sideways.join(",")))
            .unwrap_err()
            .code,
        422
    );
}

#[test]
fn merge_patches_replace_and_remove() {
    check(
        PatchKind::Merge,
        r#"{"metadata":{"labels":{"a":null,"b":"2"},"finalizers":null},"spec":{"list":[7],"deep":{"r":{"s":null}}}}"#,
        expect![[
            r#"{"apiVersion":"g/v1","kind":"K","metadata":{"labels":{"b":"2"},"name":"a","ownerReferences":[{"name":"n1","uid":"u1"}]},"spec":{"deep":{"q":1,"r":{}},"list":[7]}}"#
        ]],
    );
}

#[test]
fn media_types_depend_on_the_object_model() {
    let of = |object_model, content_type: &str| {
        let definition = ResourceDefinition {
            group: "g".into(),
            names: Names::default(),
            scope: Scope::Namespaced,
            versions: Vec::new(),
            name_rule: NameRule::DnsLabel,
            object_model,
            update: UpdateRules::default(),
            backend: None,
        };
        kind(content_type, &definition).map_err(|it| format!("{} {}", it.code, it.message))
    };
    let strategic = "application/strategic-merge-patch+json";
    assert_eq!(
        of(
            ObjectModel::Custom,
            "application/json-patch+json; charset=utf-8"
        ),
        Ok(PatchKind::Json)
    );
    assert_eq!(of(ObjectModel::Typed, strategic), Ok(PatchKind::Strategic));
    expect!["415 the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"].assert_eq(&of(ObjectModel::Custom, strategic).unwrap_err());
    expect!["415 415: Unsupported Media Type"]
        .assert_eq(&of(ObjectModel::Typed, "application/json").unwrap_err());
}

#[test]
fn patches_of_ownership_are_recognised() {
    let only = |kind, patch: &str| {
        Patch::parse(kind, patch.as_bytes())
            .unwrap()
            .touches_only_ownership()
    };
    assert!(only(
        PatchKind::Merge,
        r#"{"metadata":{"finalizers":null,"resourceVersion":"7"}}"#
    ));
    assert!(!only(PatchKind::Merge, r#"{"metadata":{"labels":{}}}"#));
    assert!(!only(PatchKind::Merge, r#"{"metadata":null}"#));
    assert!(!only(PatchKind::Merge, r#"{"spec":{}}"#));
    assert!(only(
        PatchKind::Json,
        r#"[{"op":"test","path":"/metadata/name","value":"a"},{"op":"remove","path":"/metadata/finalizers/0"}]"#
    ));
    assert!(!only(
        PatchKind::Json,
        r#"[{"op":"remove","path":"/metadata/finalizersX"}]"#
    ));
    assert!(!only(
        PatchKind::Json,
        r#"[{"op":"copy","from":"/spec/a","path":"/metadata/finalizers"}]"#
    ));
    assert!(!only(
        PatchKind::Json,
        r#"[{"op":"remove","path":"/metadata"}]"#
    ));
}

#[test]
fn a_named_resource_version_is_recognised() {
    let names = |kind, patch: &str| {
        Patch::parse(kind, patch.as_bytes())
            .unwrap()
            .names_resource_version()
    };
    assert!(names(
        PatchKind::Merge,
        r#"{"metadata":{"resourceVersion":"7"}}"#
    ));
    assert!(!names(PatchKind::Merge, r#"{"metadata":{"name":"a"}}"#));
    assert!(names(
        PatchKind::Json,
        r#"[{"op":"replace","path":"/metadata/resourceVersion","value":"7"}]"#
    ));
    assert!(!names(
        PatchKind::Json,
        r#"[{"op":"test","path":"/metadata/resourceVersion","value":"7"}]"#
    ));
}
