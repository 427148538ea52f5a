//! How values differ, and how they are merged.

use super::*;

#[test]
fn a_comparison_says_what_is_removed_modified_and_added() {
    // left, right, removed, modified, added
    let cases = [
        (
            json!({"string": "a"}),
            json!({"string": "a"}),
            "{}",
            "{}",
            "{}",
        ),
        (
            json!({"number": 1}),
            json!({"number": 1.0}),
            "{}",
            "{}",
            "{}",
        ),
        (
            json!({"string": "a", "number": 1}),
            json!({"number": 2, "bool": true}),
            r#"{"f:string":{}}"#,
            r#"{"f:number":{}}"#,
            r#"{"f:bool":{}}"#,
        ),
        (
            json!(null),
            json!({"struct": {"a": 1}}),
            "{}",
            "{}",
            r#"{"f:struct":{".":{},"f:a":{}}}"#,
        ),
        (
            json!({"map": {"x": 1, "y": 2}}),
            json!({}),
            r#"{"f:map":{".":{},"f:x":{},"f:y":{}}}"#,
            "{}",
            "{}",
        ),
        (
            json!({"map": {}}),
            json!({"map": null}),
            "{}",
            r#"{"f:map":{}}"#,
            "{}",
        ),
        (
            json!({"map": {"x": 1}}),
            json!({"map": {}}),
            r#"{"f:map":{"f:x":{}}}"#,
            "{}",
            "{}",
        ),
        (
            json!({"list": ["a", "b"]}),
            json!({"list": ["b", "a"]}),
            "{}",
            r#"{"f:list":{}}"#,
            "{}",
        ),
        (
            json!({"atomicMap": {"x": 1}}),
            json!({"atomicMap": {"y": 1}}),
            "{}",
            r#"{"f:atomicMap":{}}"#,
            "{}",
        ),
        (
            json!({"set": ["a", "b"]}),
            json!({"set": ["c", "b"]}),
            r#"{"f:set":{"v:\"a\"":{}}}"#,
            "{}",
            r#"{"f:set":{"v:\"c\"":{}}}"#,
        ),
        (
            json!({"set": ["a", "b"]}),
            json!({"set": ["b", "a"]}),
            "{}",
            "{}",
            "{}",
        ),
        (
            json!({"items": [{"key": "a", "value": 1}, {"key": "b"}]}),
            json!({"items": [{"key": "b", "value": 1}, {"key": "a", "value": 2}]}),
            "{}",
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{"f:value":{}}}}"#,
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"b\"}":{"f:value":{}}}}"#,
        ),
        // The default of a key that is written out is no other element, but a field more.
        (
            json!({"items": [{"key": "a"}]}),
            json!({"items": [{"key": "a", "id": 1}]}),
            "{}",
            "{}",
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{"f:id":{}}}}"#,
        ),
        // Twice on both sides: as one value.
        (
            json!({"items": [{"key": "a"}, {"key": "a", "value": 1}], "set": [1, 1]}),
            json!({"items": [{"key": "a"}, {"key": "a", "value": 2}], "set": [1, 1, 1]}),
            "{}",
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{}},"f:set":{"v:1":{}}}"#,
            "{}",
        ),
        // Twice before.
        (
            json!({"items": [{"key": "a"}, {"key": "a"}], "set": [1, 1]}),
            json!({"items": [{"key": "a"}], "set": []}),
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{}},"f:set":{"v:1":{}}}"#,
            "{}",
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{".":{},"f:key":{}}}}"#,
        ),
        // Twice after.
        (
            json!({"items": [{"key": "a"}]}),
            json!({"items": [{"key": "a"}, {"key": "a"}]}),
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{".":{},"f:key":{}}}}"#,
            "{}",
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{}}}"#,
        ),
        // Another kind of value.
        (
            json!({"any": "x"}),
            json!({"any": {"a": 1}}),
            "{}",
            r#"{"f:any":{}}"#,
            r#"{"f:any":{"f:a":{}}}"#,
        ),
        (
            json!({"any": {"a": 1}}),
            json!({"any": [1]}),
            r#"{"f:any":{"f:a":{}}}"#,
            "{}",
            r#"{"f:any":{"v:1":{}}}"#,
        ),
        (
            json!({"any": {"a": 1}}),
            json!({"any": null}),
            r#"{"f:any":{"f:a":{}}}"#,
            "{}",
            "{}",
        ),
    ];
    for (left, right, removed, modified, added) in cases {
        let case = format!("{left} and {right}");
        let (left, right) = pair(left, right);
        let comparison = left.compare(&right).unwrap();
        assert_eq!(comparison.removed.to_json(), removed, "{case}");
        assert_eq!(comparison.modified.to_json(), modified, "{case}");
        assert_eq!(comparison.added.to_json(), added, "{case}");
        let back = right.compare(&left).unwrap();
        assert_eq!(back.removed, comparison.added, "{case}, back");
        assert_eq!(back.added, comparison.removed, "{case}, back");
        assert_eq!(
            comparison.is_same(),
            removed.len() + modified.len() + added.len() == 6
        );
    }
}

#[test]
fn a_comparison_is_printed_as_a_list_of_paths() {
    let (left, right) = pair(
        json!({"string": "a", "number": 1}),
        json!({"number": 2, "map": {"x": 1}}),
    );
    let comparison = left.compare(&right).unwrap();
    assert_eq!(
        comparison.to_string(),
        "- Modified Fields:\n.number\n- Added Fields:\n.map\n.map.x\n- Removed Fields:\n.string\n"
    );
}

#[test]
fn a_merge_lays_one_value_over_another() {
    // left, right, merged
    let cases = [
        (
            json!({"string": "a"}),
            json!({"string": "b", "number": 1}),
            json!({"string": "b", "number": 1}),
        ),
        (json!({"string": "a"}), json!(null), json!({"string": "a"})),
        (json!(null), json!({"string": "a"}), json!({"string": "a"})),
        (
            json!({"string": "a"}),
            json!({"string": null}),
            json!({"string": null}),
        ),
        (
            json!({"map": {"x": 1}}),
            json!({"map": {"y": 2}}),
            json!({"map": {"x": 1, "y": 2}}),
        ),
        (
            json!({"map": {"x": 1}}),
            json!({"map": null}),
            json!({"map": {"x": 1}}),
        ),
        (
            json!({"map": {}}),
            json!({"map": null}),
            json!({"map": null}),
        ),
        (json!({"map": null}), json!({"map": {}}), json!({"map": {}})),
        (
            json!({"atomicMap": {"x": 1}}),
            json!({"atomicMap": {"y": 2}}),
            json!({"atomicMap": {"y": 2}}),
        ),
        (
            json!({"atomicMap": {"x": 1}}),
            json!({"atomicMap": null}),
            json!({"atomicMap": null}),
        ),
        (
            json!({"list": ["a"]}),
            json!({"list": []}),
            json!({"list": []}),
        ),
        (
            json!({"set": ["a", "b"]}),
            json!({"set": []}),
            json!({"set": ["a", "b"]}),
        ),
        (
            json!({"set": []}),
            json!({"set": null}),
            json!({"set": null}),
        ),
        (
            json!({"set": [1, 2, 3]}),
            json!({"set": [3, 4]}),
            json!({"set": [1, 2, 3, 4]}),
        ),
        (
            json!({"set": [1, 2, 3]}),
            json!({"set": [3, 2, 1]}),
            json!({"set": [3, 2, 1]}),
        ),
        (
            json!({"set": [1, 2, 3]}),
            json!({"set": [4, 1, 5, 3]}),
            json!({"set": [4, 1, 2, 5, 3]}),
        ),
        (
            json!({"set": [1, 2, 1]}),
            json!({"set": [1]}),
            json!({"set": [1, 2]}),
        ),
        (
            json!({"set": [1, 2, 1]}),
            json!({"set": [3]}),
            json!({"set": [1, 2, 1, 3]}),
        ),
        (
            json!({"items": [{"key": "a", "value": 1}, {"key": "b", "nested": {"x": 1}}]}),
            json!({"items": [{"key": "b", "id": 1, "nested": {"y": 2}}, {"key": "c"}]}),
            json!({"items": [
                {"key": "a", "value": 1}, {"key": "b", "id": 1, "nested": {"x": 1, "y": 2}}, {"key": "c"},
            ]}),
        ),
        (
            json!({"items": [{"key": "a", "value": 1}, {"key": "a", "value": 2}]}),
            json!({"items": [{"key": "a", "nested": {}}]}),
            json!({"items": [{"key": "a", "nested": {}}]}),
        ),
        (
            json!({"any": "x"}),
            json!({"any": {"a": 1}}),
            json!({"any": {"a": 1}}),
        ),
        (
            json!({"any": {"a": 1}}),
            json!({"any": [1]}),
            json!({"any": [1]}),
        ),
        (
            json!({"any": [1]}),
            json!({"any": "x"}),
            json!({"any": "x"}),
        ),
        (
            json!({"any": {"a": {"b": 1}}}),
            json!({"any": {"a": {"c": "x"}}}),
            json!({"any": {"a": {"b": 1, "c": "x"}}}),
        ),
    ];
    for (left, right, expected) in cases {
        let case = format!("{left} and {right}");
        let (left, right) = pair(left, right);
        assert_eq!(left.merge(&right).unwrap().value(), &expected, "{case}");
    }
}

#[test]
fn what_comes_twice_on_the_right_is_not_merged() {
    let (left, right) = pair(
        json!({"set": [1]}),
        json!({"set": [2, 2], "items": [{"key": "a"}, {"key": "a"}]}),
    );
    assert_eq!(
        left.merge(&right).unwrap_err().to_string(),
        "errors:\n  .items: duplicate entries for key [id=1,key=\"a\"]\n  .set: duplicate entries for key [=2]"
    );
}

#[test]
fn only_values_of_one_type_are_compared_and_merged() {
    let value = typed(json!({}));
    let other = typed(json!({}));
    let message = "expected objects with types from the same schema";
    assert_eq!(value.compare(&other).unwrap_err().to_string(), message);
    assert_eq!(value.merge(&other).unwrap_err().to_string(), message);
    let schema = Schema::from_value(
        &json!({"types": [{"name": "a", "scalar": "string"}, {"name": "b", "scalar": "string"}]}),
    );
    let schema = schema.unwrap();
    let [a, b] = ["a", "b"].map(|it| {
        let of = schema.named(it).unwrap();
        of.typed(json!("x"), Duplicates::Refused).unwrap()
    });
    assert_eq!(
        a.compare(&b).unwrap_err().to_string(),
        "expected objects of the same type"
    );
    assert!(schema.named("c").is_none());
}
