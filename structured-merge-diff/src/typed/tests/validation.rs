//! What conforms to a type, and what is said of what does not.

use super::*;

#[test]
fn what_conforms_is_valid() {
    let valid = [
        json!(null),
        json!({}),
        json!({"string": "", "number": 1, "bool": false, "scalar": 1.5}),
        json!({"string": null, "struct": null, "list": null, "items": null, "any": null}),
        json!({"struct": {"a": 1}, "map": {"x": 1.5, "y": null}, "atomicMap": {}}),
        json!({"list": ["a", "a"], "set": ["a", 1, true, 1.5], "items": [{"key": "a"}, {"key": "a", "id": 2}]}),
        json!({"any": "x"}),
        json!({"any": [1, 2]}),
        json!({"any": {"x": {"y": [1]}}}),
        json!({"items": [{"id": 5}, {}]}),
    ];
    for value in valid {
        let result = everything().typed(value.clone(), Duplicates::Refused);
        assert!(result.is_ok(), "{value}: {result:?}");
    }
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_go_s_library() {
    let cases = [
        (json!("x"), "expected map, got &{x}"),
        (
            json!([1, {"a": null}]),
            "expected map, got &{[1 map[a:<nil>]]}",
        ),
        (
            json!({"string": 1}),
            ".string: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            json!({"string": {"a": ["x", null]}}),
            r#".string: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"a":[]interface {}{"x", interface {}(nil)}}}"#,
        ),
        (
            json!({"number": "1"}),
            ".number: expected numeric (int or float), got string",
        ),
        (
            json!({"number": []}),
            ".number: expected numeric (int or float), got []interface {}",
        ),
        (
            json!({"number": {}}),
            ".number: expected numeric (int or float), got map[string]interface {}",
        ),
        (
            json!({"number": true}),
            ".number: expected numeric (int or float), got bool",
        ),
        (json!({"bool": 1}), ".bool: expected boolean, got &{1}"),
        (
            json!({"bool": 1e6}),
            ".bool: expected boolean, got &{1e+06}",
        ),
        (
            json!({"scalar": []}),
            ".scalar: expected any scalar, got &{[]}",
        ),
        (json!({"struct": []}), ".struct: expected map, got &{[]}"),
        (
            json!({"struct": {"c": 1}}),
            ".struct.c: field not declared in schema",
        ),
        (
            json!({"map": {"x.y/z": "a"}}),
            ".map.x.y/z: expected numeric (int or float), got string",
        ),
        (json!({"list": "a"}), ".list: expected list, got &{a}"),
        (
            json!({"list": ["a", 1]}),
            ".list[1]: expected string, got &value.valueUnstructured{Value:1}",
        ),
        (
            json!({"set": ["a", 1, "a"]}),
            r#".set: duplicate entries for key [="a"]"#,
        ),
        (
            json!({"set": [1, 1.0]}),
            ".set: duplicate entries for key [=1]",
        ),
        (
            json!({"set": ["a", {}]}),
            ".set: element 1: associative list without keys has an element that's a map type",
        ),
        (
            json!({"set": [[]]}),
            ".set: element 0: not supported: associative list with lists as elements",
        ),
        (
            json!({"set": [null]}),
            ".set: element 0: associative list without keys has an element that's an explicit null",
        ),
        (
            json!({"items": [{"key": "a"}, {"key": "a", "id": 1.0}]}),
            r#".items: duplicate entries for key [id=1,key="a"]"#,
        ),
        (
            json!({"items": [{"key": "a", "value": []}]}),
            r#".items[id=1,key="a"].value: expected any scalar, got &{[]}"#,
        ),
        (
            json!({"items": [null]}),
            ".items: element 0: associative list with keys may not have a null element",
        ),
        (
            json!({"items": ["a"]}),
            ".items: element 0: associative list with keys may not have non-map elements",
        ),
        (json!({"any": {"x": "y", "z": [1, "a"]}}), ""),
        (
            json!({"any": [{}]}),
            ".any: element 0: associative list without keys has an element that's a map type",
        ),
        (
            json!({"lost": 1}),
            ".lost: schema error: no type found matching: nowhere",
        ),
    ];
    for (value, expected) in cases {
        let errors = everything()
            .typed(value.clone(), Duplicates::Refused)
            .unwrap_err();
        if !expected.is_empty() {
            assert_eq!(errors.to_string(), expected, "{value}");
        }
    }
}

#[test]
fn several_errors_are_listed() {
    let value = json!({"bool": "x", "number": "y", "set": ["a", "a"], "struct": {"x": 1}});
    let errors = everything().typed(value, Duplicates::Refused).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "errors:\n  .bool: expected boolean, got &{x}\n  .number: expected numeric (int or float), got string\n  \
         .set: duplicate entries for key [=\"a\"]\n  .struct.x: field not declared in schema"
    );
}

#[test]
fn a_list_of_maps_without_defaults_needs_a_key_of_each_element() {
    let of = object_of(json!([{"name": "object", "list": {
        "elementRelationship": "associative", "keys": ["b", "a"],
        "elementType": {"map": {"elementType": {"scalar": "string"}}},
    }}]));
    let partial = of.typed(
        json!([{"a": "x"}, {"b": "x"}, {"a": null}]),
        Duplicates::Refused,
    );
    assert_eq!(
        partial.unwrap().to_field_set().unwrap().to_json(),
        r#"{"k:{\"a\":\"x\"}":{".":{},"f:a":{}},"k:{\"a\":null}":{".":{},"f:a":{}},"k:{\"b\":\"x\"}":{".":{},"f:b":{}}}"#
    );
    let errors = of
        .typed(json!([{"a": "x"}, {"c": "x"}]), Duplicates::Allowed)
        .unwrap_err();
    assert_eq!(
        errors.to_string(),
        r#"element 1: associative list with keys has an element that omits all key fields ["b" "a"] (and doesn't have default values for any key fields)"#
    );
}

#[test]
fn duplicates_are_allowed_in_what_is_stored() {
    let value = json!({"set": ["a", "a"], "items": [{"key": "a"}, {"key": "a", "id": 1}]});
    assert!(
        everything()
            .typed(value.clone(), Duplicates::Allowed)
            .is_ok()
    );
    assert!(everything().typed(value, Duplicates::Refused).is_err());
    // And errors below them are still placed.
    let wrong = json!({"items": [{"key": "a"}, {"key": "a", "nested": {"x": "y"}}]});
    let errors = everything().typed(wrong, Duplicates::Allowed).unwrap_err();
    assert_eq!(
        errors.to_string(),
        r#".items[id=1,key="a"].nested.x: expected numeric (int or float), got string"#
    );
}

#[test]
fn values_may_not_be_nested_without_end() {
    let nested = |depth: usize| {
        let mut value = json!({});
        for _ in 0..depth {
            value = json!({"a": value});
        }
        value
    };
    assert!(
        Type::deduced()
            .typed(nested(MAX_DEPTH), Duplicates::Allowed)
            .is_ok()
    );
    let errors = Type::deduced()
        .typed(nested(MAX_DEPTH + 1), Duplicates::Allowed)
        .unwrap_err();
    assert!(errors.to_string().ends_with(": exceeded max depth"));
}

#[test]
fn the_fields_of_a_value_are_its_leaves_and_its_elements() {
    let cases = [
        (json!(null), r"{}"),
        (json!({}), r"{}"),
        (
            json!({"string": "a", "number": null}),
            r#"{"f:number":{},"f:string":{}}"#,
        ),
        (
            json!({"struct": {"a": 1}, "map": {"x": 1}}),
            r#"{"f:map":{"f:x":{}},"f:struct":{"f:a":{}}}"#,
        ),
        (
            json!({"struct": {}, "map": {}, "atomicMap": {}, "items": []}),
            r#"{"f:atomicMap":{},"f:map":{},"f:struct":{}}"#,
        ),
        (
            json!({"struct": null, "list": null, "items": null}),
            r#"{"f:items":{},"f:list":{},"f:struct":{}}"#,
        ),
        (
            json!({"atomicMap": {"x": 1}, "list": ["a"]}),
            r#"{"f:atomicMap":{},"f:list":{}}"#,
        ),
        (
            json!({"set": ["b", "a", 1]}),
            r#"{"f:set":{"v:1":{},"v:\"a\"":{},"v:\"b\"":{}}}"#,
        ),
        (
            json!({"items": [{"key": "b", "value": 1}, {"id": 2, "nested": {}}]}),
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"b\"}":{".":{},"f:key":{},"f:value":{}},"k:{\"id\":2}":{".":{},"f:id":{},"f:nested":{}}}}"#,
        ),
        (
            json!({"items": [{"key": "a", "value": 1}, {"key": "a", "value": 2}, {"key": "a"}], "set": [1, 1]}),
            r#"{"f:items":{"k:{\"id\":1,\"key\":\"a\"}":{}},"f:set":{"v:1":{}}}"#,
        ),
        (
            json!({"any": {"x": {"y": 1}, "z": [2]}}),
            r#"{"f:any":{"f:x":{".":{},"f:y":{}},"f:z":{".":{},"v:2":{}}}}"#,
        ),
    ];
    for (value, expected) in cases {
        assert_eq!(
            typed(value.clone()).to_field_set().unwrap().to_json(),
            expected,
            "{value}"
        );
    }
    let object = json!({"a": {"b": [1], "c": {}}, "d": null});
    let deduced = Type::deduced().typed(object, Duplicates::Allowed).unwrap();
    assert_eq!(
        deduced.to_field_set().unwrap().to_json(),
        r#"{"f:a":{".":{},"f:b":{},"f:c":{}},"f:d":{}}"#
    );
}
