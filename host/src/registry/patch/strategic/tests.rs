#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::registry::schema::Schema;

fn schema() -> Schema {
    let texts = json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-patch-strategy": "merge"});
    let document = json!({"type": "object", "properties": {
        "texts": texts,
        "plain": {"type": "array", "items": {"type": "string"}},
        "parts": {
            "type": "array", "x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": "id",
            "items": {"type": "object", "properties": {"id": {"type": "string"}, "v": {"type": "string"}, "texts": texts}},
        },
        "keyless": {"type": "array", "items": {"type": "object"}, "x-kubernetes-patch-strategy": "merge"},
        "whole": {"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-patch-strategy": "replace"},
        "one": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "x-kubernetes-patch-strategy": "retainKeys"},
        "map": {"type": "object", "additionalProperties": {"type": "object"}},
        "odd": {"type": "object", "x-kubernetes-patch-strategy": "a,b"},
    }});
    Schema::compile(&document).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
#[track_caller]
fn check(original: Value, patch: Value, expected: Expect) {
    let (Value::Object(original), Value::Object(patch)) = (original, patch) else {
        panic!("both are objects");
    };
    let shown = match apply(original, &patch, schema().patch_meta()) {
        Ok(map) => Value::Object(map).to_string(),
        Err(status) => format!("{} {} {}", status.code, status.reason, status.message),
    };
    expected.assert_eq(&shown);
}

#[test]
fn objects_are_merged_and_nulls_remove() {
    check(
        json!({"a": {"b": 1, "c": {"d": 1}}, "e": 1}),
        json!({"a": {"b": null, "c": {"f": null, "g": {"h": null, "i": 1}}}, "e": null, "x": null}),
        expect![[r#"{"a":{"c":{"d":1,"g":{"i":1}}}}"#]],
    );
}

#[test]
fn directives_replace_and_delete_objects() {
    check(
        json!({"a": {"b": 1, "c": 1}, "d": {"e": 1}}),
        json!({"a": {"$patch": "replace", "x": 1}, "d": {"$patch": "delete"}, "new": {"$patch": "delete"}}),
        expect![[r#"{"a":{"x":1},"d":{}}"#]],
    );
    check(
        json!({"a": {}}),
        json!({"a": {"$patch": "merge"}}),
        expect!["500  unknown patch type: merge in map: map[$patch:merge]"],
    );
    check(
        json!({"a": {}}),
        json!({"a": {"$patch": 5}}),
        expect!["500  unknown patch type: %!s(int64=5) in map: map[$patch:5]"],
    );
}

#[test]
fn keys_that_are_not_retained_go() {
    check(
        json!({"one": {"a": "1", "c": "3"}}),
        json!({"one": {"$retainKeys": ["b"], "b": "2"}}),
        expect![[r#"{"one":{"b":"2"}}"#]],
    );
    check(
        json!({"one": {"a": "1"}}),
        json!({"one": {"$retainKeys": ["a"], "b": "2"}}),
        expect!["400 BadRequest invalid patch format of retainKeys"],
    );
    check(
        json!({"one": {}}),
        json!({"one": {"$retainKeys": "a"}}),
        expect!["400 BadRequest invalid patch format of retainKeys"],
    );
}

#[test]
fn lists_are_merged_where_the_schema_says_so() {
    check(
        json!({"texts": ["a", "b"], "plain": ["a", "b"], "whole": {"a": "1"}}),
        json!({"texts": ["c", "a"], "plain": ["c"], "whole": {"b": null}}),
        expect![[r#"{"plain":["c"],"texts":["c","a","b"],"whole":{"b":null}}"#]],
    );
    check(
        json!({"parts": [{"id": "x", "v": "1", "texts": ["a"]}, {"id": "y", "v": "2"}]}),
        json!({"parts": [{"id": "y", "v": null}, {"id": "z", "v": "3"}, {"id": "x", "texts": ["b"]}]}),
        expect![[
            r#"{"parts":[{"id":"y"},{"id":"z","v":"3"},{"id":"x","texts":["b","a"],"v":"1"}]}"#
        ]],
    );
    check(
        json!({"parts": [{"id": "x"}, {"id": "y"}]}),
        json!({"parts": [{"id": "x", "$patch": "delete"}, {"id": "none", "$patch": "delete"}]}),
        expect![[r#"{"parts":[{"id":"y"}]}"#]],
    );
    check(
        json!({"parts": [{"id": "x"}, {"id": "y"}]}),
        json!({"parts": [{"id": "z"}, {"$patch": "replace"}]}),
        expect![[r#"{"parts":[{"id":"z"}]}"#]],
    );
}

#[test]
fn values_of_lists_of_texts_are_deleted() {
    check(
        json!({"texts": ["a", "b", "a"]}),
        json!({"$deleteFromPrimitiveList/texts": ["a"], "$deleteFromPrimitiveList/plain": ["a"]}),
        expect![[r#"{"texts":["b"]}"#]],
    );
    check(
        json!({"texts": ["a"]}),
        json!({"$deleteFromPrimitiveList": ["a"]}),
        expect!["400 BadRequest invalid patch format of primitive list"],
    );
}

#[test]
fn lists_have_the_order_that_is_said() {
    check(
        json!({"texts": ["a", "b", "c", "d"]}),
        json!({"$setElementOrder/texts": ["d", "new", "a"], "texts": ["new"]}),
        expect![[r#"{"texts":["b","c","d","new","a"]}"#]],
    );
    check(
        json!({"parts": [{"id": "a"}, {"id": "b"}, {"id": "c"}]}),
        json!({"$setElementOrder/parts": [{"id": "c"}, {"id": "a"}]}),
        expect![[r#"{"parts":[{"id":"b"},{"id":"c"},{"id":"a"}]}"#]],
    );
    check(
        json!({}),
        json!({"$setElementOrder/parts": [{"id": "b"}, {"id": "a"}], "parts": [{"id": "b"}, {"id": "a", "$patch": "delete"}]}),
        expect![[r#"{"parts":[{"id":"b"}]}"#]],
    );
    check(
        json!({"texts": ["a"]}),
        json!({"$setElementOrder/texts": ["b", "c"], "texts": ["c", "b"]}),
        expect![[r#"
            500  The order in patch list:
            [c b]
             doesn't match $setElementOrder list:
            [b c]
        "#]],
    );
    check(
        json!({}),
        json!({"$setElementOrder/texts": "a"}),
        expect!["500  expected a []interface {}, but received a string"],
    );
    check(
        json!({}),
        json!({"$setElementOrder": ["a"]}),
        expect!["400 BadRequest invalid patch format of setElementOrder list"],
    );
}

#[test]
fn what_cannot_be_merged_is_told() {
    check(
        json!({"parts": [{"id": "a"}]}),
        json!({"parts": [{"v": "1"}]}),
        expect!["500  map: map[v:1] does not contain declared merge key: id"],
    );
    check(
        json!({"parts": [{"id": "a"}]}),
        json!({"parts": ["a"]}),
        expect!["500  list element types are not identical: [[map[id:a]] [a]]"],
    );
    check(
        json!({"texts": [["a"]]}),
        json!({"texts": ["a"]}),
        expect!["422 Invalid the server rejected our request due to an error in our request"],
    );
    check(
        json!({"keyless": [{}]}),
        json!({"keyless": [{}]}),
        expect!["500  cannot merge lists without merge key for struct"],
    );
    check(
        json!({"parts": [{"id": "a"}]}),
        json!({"parts": [{"id": "a", "$patch": "merge"}]}),
        expect!["500  merging lists cannot yet be specified in the patch"],
    );
    check(
        json!({"map": {"a": {}}}),
        json!({"map": {"a": {"b": 1}}}),
        expect!["500  merging an object in json but data type is not struct, instead is: map"],
    );
    check(
        json!({"odd": {}}),
        json!({"odd": {"a": 1}}),
        expect!["500  unexpected patch strategy: [a b]"],
    );
}

#[test]
fn metadata_is_merged_as_kubernetes_merges_it() {
    check(
        json!({"metadata": {"finalizers": ["x/y"], "labels": {"a": "1"}, "ownerReferences": [{"uid": "u1"}]}}),
        json!({"metadata": {
            "finalizers": ["z/z", "x/y"], "labels": {"b": "2"},
            "ownerReferences": [{"uid": "u1", "$patch": "delete"}, {"uid": "u2"}],
        }}),
        expect![[
            r#"{"metadata":{"finalizers":["z/z","x/y"],"labels":{"a":"1","b":"2"},"ownerReferences":[{"uid":"u2"}]}}"#
        ]],
    );
    check(
        json!({"metadata": {"finalizers": ["a/a", "b/b"]}}),
        json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/a"], "$setElementOrder/finalizers": ["b/b"]}}),
        expect![[r#"{"metadata":{"finalizers":["b/b"]}}"#]],
    );
}
