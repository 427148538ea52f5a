//! What is forgiven on updates (KEP-4008).

use super::*;

fn schema() -> Schema {
    compile(&json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "maxLength": 3},
            "size": {"type": "integer", "maximum": 5},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 1}},
            "parts": {
                "type": "array",
                "items": {
                    "type": "object", "required": ["id"],
                    "properties": {"id": {"type": "string"}, "count": {"type": "integer", "maximum": 5}},
                },
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
            },
            "labels": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 1}},
            "choice": {
                "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "oneOf": [{"required": ["a"], "properties": {"a": {"maximum": 5}}}, {"required": ["b"]}],
            },
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "minProperties": 2},
            "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        },
    }))
}

#[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
#[track_caller]
fn update(old: Value, new: Value, expected: Expect) {
    let errors = schema().validate_update(&object(new), &object(old));
    expected.assert_eq(&show(&errors));
}

#[test]
fn what_was_wrong_before_and_has_not_changed_is_forgiven() {
    update(
        json!({"name": "long name", "size": 9}),
        json!({"name": "long name", "size": 9, "labels": {}}),
        expect![""],
    );
    update(
        json!({"name": "long name", "size": 9}),
        json!({"name": "other name", "size": 9}),
        expect!["FieldValueTooLong spec.name: Too long: may not be more than 3 bytes"],
    );
    update(json!({"size": 9}), json!({"size": 9}), expect![""]);
    update(
        json!({"size": 9}),
        json!({"size": 9, "tags": []}),
        expect!["FieldValueRequired spec.name: Required value"],
    );
}

#[test]
fn items_correspond_by_their_keys() {
    update(
        json!({"name": "a", "parts": [{"id": "x", "count": 9}, {"id": "y"}]}),
        json!({"name": "a", "parts": [{"id": "y", "count": 8}, {"id": "x", "count": 9}]}),
        expect![
            "FieldValueInvalid spec.parts[0].count: Invalid value: 8: spec.parts[0].count in body should be less than or equal to 5"
        ],
    );
    // Items of other lists do not correspond: the whole list is as it was, or it is not.
    update(
        json!({"name": "a", "tags": ["long"]}),
        json!({"name": "a", "tags": ["long"]}),
        expect![""],
    );
    update(
        json!({"name": "a", "tags": ["long"]}),
        json!({"name": "a", "tags": ["long", "b"]}),
        expect!["FieldValueTooLong spec.tags[0]: Too long: may not be more than 1 byte"],
    );
}

#[test]
fn values_of_maps_correspond_by_their_names() {
    update(
        json!({"name": "a", "labels": {"x": "long", "y": "b"}}),
        json!({"name": "a", "labels": {"x": "long", "y": "longer"}}),
        expect!["FieldValueTooLong spec.labels.y: Too long: may not be more than 1 byte"],
    );
}

#[test]
fn alternatives_are_forgiven_as_a_whole() {
    update(
        json!({"name": "a", "choice": {"a": 9}}),
        json!({"name": "a", "choice": {"a": 9}, "size": 1}),
        expect![""],
    );
    update(
        json!({"name": "a", "choice": {}}),
        json!({"name": "a", "choice": {"a": 9}}),
        expect![[r#"
            FieldValueInvalid <nil>: Invalid value: "": "spec.choice" must validate one and only one schema (oneOf). Found none valid
            FieldValueInvalid spec.choice.a: Invalid value: 9: spec.choice.a in body should be less than or equal to 5"#]],
    );
}

#[test]
fn what_the_schema_knows_nothing_of_counts_as_changed() {
    update(
        json!({"name": "a", "free": {"x": 1}}),
        json!({"name": "a", "free": {"x": 1}}),
        expect![
            "FieldValueInvalid spec.free: Invalid value: 1: spec.free in body should have at least 2 properties"
        ],
    );
}

#[test]
fn duplicates_are_forgiven_where_there_were_some() {
    update(
        json!({"name": "a", "set": ["x", "x"]}),
        json!({"name": "a", "set": ["y", "y"]}),
        expect![""],
    );
    update(
        json!({"name": "a", "set": ["x"]}),
        json!({"name": "a", "set": ["y", "y"]}),
        expect![[r#"FieldValueDuplicate spec.set[1]: Duplicate value: "y""#]],
    );
}

#[test]
fn of_an_update_of_the_status_only_the_status_is_looked_at() {
    let document = json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "string"},
        "status": {"type": "object", "required": ["phase"], "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            "properties": {"phase": {"type": "string"}, "a": {"type": "integer"}, "b": {"type": "integer"}}},
    }});
    let schema = Schema::compile(&document).unwrap();
    let with = |status: Value| {
        let mut object = object(json!(5));
        object.insert("status".into(), status);
        object
    };
    let check = |new: Value, expected: Expect| {
        let errors = schema.validate_status_update(&with(new), &with(json!({"phase": 1})));
        expected.assert_eq(&show(&errors));
    };
    check(json!({"phase": 1, "a": 1}), expect![""]);
    check(
        json!({"phase": 2}),
        expect![[r#"
        FieldValueInvalid status: Invalid value: "": "" must validate one and only one schema (oneOf). Found none valid
        FieldValueRequired status.a: Required value
        FieldValueTypeInvalid status.phase: Invalid value: "integer": phase in body must be of type string: "integer""#]],
    );
    check(
        json!(1),
        expect![[r#"
        FieldValueTypeInvalid status: Invalid value: "integer":  in body must be of type object: "integer"
        FieldValueInvalid status: Invalid value: "": "" must validate one and only one schema (oneOf). Found 2 valid alternatives"#]],
    );
    let (new, old) = (object(json!(5)), object(json!(5)));
    assert!(schema.validate_status_update(&new, &old).is_empty());
}
