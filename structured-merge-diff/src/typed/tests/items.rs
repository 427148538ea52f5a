//! Values without some of their fields, and with some only.

use super::*;

#[test]
fn items_are_removed_and_extracted() {
    // value, items, what is left without them, what they are
    let cases = [
        (
            json!({"string": "a", "number": 1}),
            r#"{"f:string":{}}"#,
            json!({"number": 1}),
            json!({"string": "a"}),
        ),
        (
            json!({"string": "a"}),
            r"{}",
            json!({"string": "a"}),
            json!(null),
        ),
        (
            json!({"string": "a"}),
            r#"{"f:string":{}}"#,
            json!(null),
            json!({"string": "a"}),
        ),
        (
            json!({"map": {"x": 1, "y": 2}}),
            r#"{"f:map":{"f:x":{}}}"#,
            json!({"map": {"y": 2}}),
            json!({"map": {"x": 1}}),
        ),
        (
            json!({"map": {"x": 1}}),
            r#"{"f:map":{"f:x":{}}}"#,
            json!({"map": null}),
            json!({"map": {"x": 1}}),
        ),
        // Of an atomic map or list, there is all or nothing.
        (
            json!({"atomicMap": {"x": 1, "y": 2}}),
            r#"{"f:atomicMap":{"f:x":{}}}"#,
            json!({"atomicMap": null}),
            json!({"atomicMap": {"x": 1, "y": 2}}),
        ),
        (
            json!({"list": ["a", "b"]}),
            r#"{"f:list":{"i:0":{}}}"#,
            json!({"list": null}),
            json!({"list": ["a", "b"]}),
        ),
        (
            json!({"set": [1, 2, 1]}),
            r#"{"f:set":{"v:1":{}}}"#,
            json!({"set": [2]}),
            json!({"set": [1, 1]}),
        ),
        (
            json!({"set": [1]}),
            r#"{"f:set":{"v:1":{}}}"#,
            json!({"set": null}),
            json!({"set": [1]}),
        ),
        (
            json!({"items": [{"key": "a", "value": 1}, {"key": "b", "id": 2, "value": 2}]}),
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{},"k:{\"id\":2,\"key\":\"b\"}":{"f:value":{}}}}"#,
            json!({"items": [{"key": "b", "id": 2}]}),
            json!({"items": [{"key": "a", "value": 1}, {"value": 2}]}),
        ),
        (
            json!({"struct": {}, "set": []}),
            r#"{"f:struct":{"f:a":{}},"f:set":{"v:1":{}}}"#,
            json!({"set": null, "struct": null}),
            json!({"set": [], "struct": {}}),
        ),
        (
            json!({"string": "a"}),
            r#"{"f:string":{"f:x":{}},"f:number":{}}"#,
            json!({"string": "a"}),
            json!({"string": "a"}),
        ),
    ];
    for (value, items, removed, extracted) in cases {
        let items = set(items);
        assert_eq!(
            typed(value.clone()).remove_items(&items).value(),
            &removed,
            "{value} without {items}"
        );
        assert_eq!(
            typed(value.clone()).extract_items(&items).value(),
            &extracted,
            "{value} with {items}"
        );
    }
}

#[test]
fn extracted_elements_of_lists_can_keep_their_keys() {
    let value =
        json!({"items": [{"key": "a", "id": 2, "value": 1, "nested": {"x": 1}}, {"key": "b"}]});
    let items = set(
        r#"{"f:items":{"k:{\"id\":2,\"key\":\"a\"}":{"f:nested":{"f:x":{}}},"k:{\"key\":\"gone\"}":{"f:value":{}}}}"#,
    );
    let extracted = typed(value).extract_items_with_keys(&items);
    assert_eq!(
        extracted.value(),
        &json!({"items": [{"id": 2, "key": "a", "nested": {"x": 1}}]})
    );
}

#[test]
fn what_was_extracted_can_be_merged() {
    let of = everything();
    let live = json!({"items": [{"key": "a", "value": 1}], "map": {"x": 1}, "string": "a"});
    let live = of.typed(live, Duplicates::Allowed).unwrap();
    let mine = live.extract_items(&set(r#"{"f:map":{"f:x":{}},"f:string":{}}"#));
    let more = of
        .typed(json!({"map": {"y": 2}}), Duplicates::Refused)
        .unwrap();
    let merged = mine.merge(&more).unwrap();
    assert_eq!(
        merged.value(),
        &json!({"map": {"x": 1, "y": 2}, "string": "a"})
    );
    assert_eq!(mine.shared_value().as_ref(), mine.value());
    assert_eq!(
        merged.into_value(),
        json!({"map": {"x": 1, "y": 2}, "string": "a"})
    );
}
