#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

mod by_chance;
mod definitions;
mod updates;

fn compile(spec: &Value) -> Schema {
    let document = json!({"type": "object", "properties": {"spec": spec}});
    Schema::compile(&document).unwrap()
}

fn object(spec: Value) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("apiVersion".into(), "g/v1".into());
    object.insert("spec".into(), spec);
    object
}

fn show(errors: &[FieldError]) -> String {
    let lines: Vec<String> = errors
        .iter()
        .map(|it| format!("{} {}: {}", it.reason, it.field, it.message))
        .collect();
    lines.join("\n")
}

#[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
fn check(schema: &Schema, spec: Value, expected: Expect) {
    expected.assert_eq(&show(&schema.validate(&object(spec))));
}

fn anchor() -> Schema {
    compile(&json!({
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 0, "maximum": 100},
            "color": {"type": "string", "enum": ["red", "green", "blue"], "default": "green"},
            "code": {"type": "string", "pattern": "^[A-Z]+$", "maxLength": 10, "minLength": 1},
            "tags": {"type": "array", "maxItems": 8, "minItems": 1, "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "parts": {
                "type": "array",
                "items": {
                    "type": "object", "required": ["name"],
                    "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 1}},
                },
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
            },
            "born": {"type": "string", "format": "date-time"},
            "port": {"x-kubernetes-int-or-string": true},
            "choice": {
                "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            "some": {"type": "integer", "anyOf": [{"minimum": 10}, {"maximum": 1}]},
            "never": {"type": "string", "not": {"enum": ["no"]}},
            "all": {"type": "integer", "allOf": [{"minimum": 2}, {"multipleOf": 3}]},
            "even": {"type": "integer", "multipleOf": 2},
            "maybe": {"type": "string", "nullable": true},
            "limits": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}, "maxProperties": 2},
            "ratio": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
            "small": {"type": "integer", "format": "int32"},
            "nested": {
                "type": "object", "default": {},
                "properties": {"keep": {"type": "boolean"}, "mode": {"type": "string", "default": "auto"}},
            },
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "known": {"type": "object", "properties": {"x": {"type": "string"}}},
            }},
            "embedded": {"type": "object", "x-kubernetes-embedded-resource": true, "properties": {"spec": {"type": "object"}}},
        },
    }))
}

#[test]
fn valid_objects_have_no_errors() {
    let schema = anchor();
    check(
        &schema,
        json!({
            "size": 3, "color": "red", "code": "ABC", "tags": ["x", "y"], "parts": [{"name": "a", "count": 2}],
            "born": "2024-01-01T00:00:00Z", "port": "http", "choice": {"a": 1}, "some": 12, "never": "yes", "all": 6,
            "even": 4, "maybe": null, "limits": {"cpu": 1}, "ratio": 0.5, "small": -5,
            "embedded": {"apiVersion": "v1", "kind": "Pod"},
        }),
        expect![""],
    );
    check(
        &schema,
        json!({"size": 3.0, "port": 80, "ratio": 1}),
        expect![""],
    );
}

#[test]
fn types_and_values_are_told_in_upstreams_words() {
    let schema = anchor();
    check(
        &schema,
        json!({}),
        expect!["FieldValueRequired spec.size: Required value"],
    );
    check(
        &schema,
        json!({"size": "big"}),
        expect![[
            r#"FieldValueTypeInvalid spec.size: Invalid value: "string": spec.size in body must be of type integer: "string""#
        ]],
    );
    check(
        &schema,
        json!({"size": null, "port": true}),
        expect![[r#"
        FieldValueTypeInvalid spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"
        FieldValueTypeInvalid spec.size: Invalid value: "null": spec.size in body must be of type integer: "null""#]],
    );
    check(
        &schema,
        json!({"size": -1, "color": "mauve", "parts": [{"count": "x"}]}),
        expect![[r#"
        FieldValueNotSupported spec.color: Unsupported value: "mauve": supported values: "red", "green", "blue"
        FieldValueTypeInvalid spec.parts[0].count: Invalid value: "string": spec.parts[0].count in body must be of type integer: "string"
        FieldValueRequired spec.parts[0].name: Required value
        FieldValueInvalid spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0"#]],
    );
    check(
        &schema,
        json!({"size": 12_345_678_901_234_567_890_u64}),
        expect![[r#"
        FieldValueTypeInvalid spec.size: Invalid value: "number": spec.size in body must be of type integer: "number"
        FieldValueInvalid <nil>: Invalid value: "": Checked value must be of type integer (default format) in spec.size
        FieldValueInvalid spec.size: Invalid value: 1.2345678901234567e+19: spec.size in body should be less than or equal to 100"#]],
    );
    check(
        &schema,
        json!({"size": 1.5, "small": 3_000_000_000_i64, "ratio": 0, "even": 3}),
        expect![[r#"
        FieldValueInvalid spec.even: Invalid value: 3: spec.even in body should be a multiple of 2
        FieldValueInvalid spec.ratio: Invalid value: 0: spec.ratio in body should be greater than 0
        FieldValueTypeInvalid spec.size: Invalid value: "number": spec.size in body must be of type integer: "number"
        FieldValueInvalid <nil>: Invalid value: "": Checked value must be of type integer (default format) in spec.size
        FieldValueInvalid <nil>: Invalid value: "": Checked value must be of type integer with format int32 in spec.small"#]],
    );
    check(
        &schema,
        json!({"size": 1, "color": 5, "parts": {}, "tags": "x", "code": "lower"}),
        expect![[r#"
        FieldValueInvalid spec.code: Invalid value: "lower": spec.code in body should match '^[A-Z]+$'
        FieldValueTypeInvalid spec.color: Invalid value: "integer": spec.color in body must be of type string: "integer"
        FieldValueNotSupported spec.color: Unsupported value: 5: supported values: "red", "green", "blue"
        FieldValueTypeInvalid spec.parts: Invalid value: "object": spec.parts in body must be of type array: "object"
        FieldValueTypeInvalid spec.tags: Invalid value: "string": spec.tags in body must be of type array: "string""#]],
    );
    check(
        &schema,
        json!({"size": 1, "code": "ABCDEFGHIJK", "born": "yesterday"}),
        expect![[r#"
        FieldValueTypeInvalid spec.born: Invalid value: "yesterday": spec.born in body must be of type date-time: "yesterday"
        FieldValueTooLong spec.code: Too long: may not be more than 10 bytes"#]],
    );
    check(
        &schema,
        json!({"size": 1, "code": "", "tags": [], "limits": {"a": -1, "b": 1, "c": 1}}),
        expect![[r#"
        FieldValueInvalid spec.code: Invalid value: "": spec.code in body should be at least 1 chars long
        FieldValueTooMany spec.limits: Too many: 3: must have at most 2 items
        FieldValueInvalid spec.limits.a: Invalid value: -1: spec.limits.a in body should be greater than or equal to 0
        FieldValueInvalid spec.tags: Invalid value: 0: spec.tags in body should have at least 1 items"#]],
    );
    check(
        &schema,
        json!({"size": 1, "tags": ["1", "2", "3", "4", "5", "6", "7", "8", "9"]}),
        expect!["FieldValueTooMany spec.tags: Too many: 9: must have at most 8 items"],
    );
}

#[test]
fn logic_tells_of_the_best_alternative() {
    let schema = anchor();
    check(
        &schema,
        json!({"size": 1, "choice": {"a": 1, "b": 2}}),
        expect![[
            r#"FieldValueInvalid <nil>: Invalid value: "": "spec.choice" must validate one and only one schema (oneOf). Found 2 valid alternatives"#
        ]],
    );
    check(
        &schema,
        json!({"size": 1, "choice": {}}),
        expect![[r#"
        FieldValueInvalid <nil>: Invalid value: "": "spec.choice" must validate one and only one schema (oneOf). Found none valid
        FieldValueRequired spec.choice.a: Required value"#]],
    );
    check(
        &schema,
        json!({"size": 1, "some": 5}),
        expect![[r#"
        FieldValueInvalid <nil>: Invalid value: "": "spec.some" must validate at least one schema (anyOf)
        FieldValueInvalid spec.some: Invalid value: 5: spec.some in body should be greater than or equal to 10"#]],
    );
    check(
        &schema,
        json!({"size": 1, "never": "no"}),
        expect![[
            r#"FieldValueInvalid <nil>: Invalid value: "": "spec.never" must not validate the schema (not)"#
        ]],
    );
    check(
        &schema,
        json!({"size": 1, "all": 4}),
        expect![[r#"
        FieldValueInvalid spec.all: Invalid value: 4: spec.all in body should be a multiple of 3
        FieldValueInvalid <nil>: Invalid value: "": "spec.all" must validate all the schemas (allOf)"#]],
    );
    check(
        &schema,
        json!({"size": 1, "all": 1}),
        expect![[r#"
        FieldValueInvalid spec.all: Invalid value: 1: spec.all in body should be greater than or equal to 2
        FieldValueInvalid spec.all: Invalid value: 1: spec.all in body should be a multiple of 3
        FieldValueInvalid <nil>: Invalid value: "": "spec.all" must validate all the schemas (allOf). None validated"#]],
    );
}

#[test]
fn sets_maps_and_embedded_resources_are_checked() {
    let schema = anchor();
    check(
        &schema,
        json!({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}),
        expect![[r#"FieldValueDuplicate spec.parts[1]: Duplicate value: {"name":"a"}"#]],
    );
    check(
        &schema,
        json!({"size": 1, "tags": ["a", "b", "a"]}),
        expect![[r#"FieldValueDuplicate spec.tags[2]: Duplicate value: "a""#]],
    );
    check(
        &schema,
        json!({"size": 1, "embedded": {"apiVersion": "a/b/c", "kind": ""}}),
        expect![[r#"
            FieldValueInvalid spec.embedded.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c
            FieldValueInvalid spec.embedded.kind: Invalid value: "": must not be empty"#]],
    );
}

#[test]
fn fields_outside_the_schema_are_removed_and_told() {
    let schema = anchor();
    let mut object = object(json!({
        "size": 1, "nope": 1, "parts": [{"name": "a", "x": {"y": 1}}], "limits": {"a": 1},
        "free": {"any": {"thing": 1}, "known": {"x": "1", "z": 1}},
        "embedded": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x"}, "spec": {"q": 1}, "status": 1},
    }));
    object.insert("metadata".into(), json!({"zzz": 1}));
    object.insert("extra".into(), json!([{"a": 1}]));
    let unknown = schema.prune(&mut object);
    assert_eq!(
        unknown,
        [
            "extra",
            "spec.embedded.spec.q",
            "spec.embedded.status",
            "spec.free.known.z",
            "spec.nope",
            "spec.parts[0].x",
        ]
    );
    assert_eq!(
        Value::Object(object),
        json!({"apiVersion": "g/v1", "metadata": {"zzz": 1}, "spec": {
            "size": 1, "parts": [{"name": "a"}], "limits": {"a": 1},
            "free": {"any": {"thing": 1}, "known": {"x": "1"}},
            "embedded": {"apiVersion": "v1", "kind": "K", "metadata": {"name": "x"}, "spec": {}},
        }})
    );
}

#[test]
fn defaults_fill_in_and_useless_nulls_go() {
    let schema = anchor();
    let mut object = object(json!({
        "size": 1, "color": null, "maybe": null, "code": null, "parts": [{"name": "a"}], "nested": null,
    }));
    schema.default(&mut object);
    assert_eq!(
        object["spec"],
        json!({"size": 1, "color": "green", "maybe": null, "parts": [{"name": "a", "count": 1}], "nested": {"mode": "auto"}})
    );
    let before = object.clone();
    schema.default(&mut object);
    assert_eq!(object, before);
}

#[test]
fn without_properties_everything_can_be_kept() {
    let document = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema = Schema::compile(&document).unwrap();
    let mut object = object(json!({"a": [{"b": null}]}));
    let before = object.clone();
    assert!(schema.prune(&mut object).is_empty());
    schema.default(&mut object);
    assert_eq!(object, before);
    assert!(schema.validate(&object).is_empty());
}

#[test]
fn unchecked_rules_are_told_of() {
    let document = json!({"type": "object", "x-kubernetes-validations": [{"rule": "true"}]});
    let schema = Schema::compile(&document).unwrap();
    let mut errors = vec![FieldError::required("metadata.name", "")];
    schema.add_unchecked_rules(&mut errors);
    assert_eq!(errors[1].field, "<nil>");
    let mut errors = vec![FieldError::invalid("a", &json!(1), "x")];
    schema.add_unchecked_rules(&mut errors);
    assert_eq!(errors.len(), 1);
}

#[test]
fn multiplied_alternatives_come_to_an_end() {
    let mut node = json!({"required": ["x"]});
    for _ in 0..12 {
        node = json!({"anyOf": [node, {"allOf": [node, node]}, {"not": {"not": node}}]});
        if node.to_string().len() > 200_000 {
            break;
        }
    }
    let schema = compile(
        &json!({"type": "object", "additionalProperties": {"type": "object", "allOf": [node]}}),
    );
    let spec: Map<String, Value> = (0..2_000).map(|it| (format!("k{it}"), json!({}))).collect();
    check_bounded(&schema, Value::Object(spec));
}

#[test]
fn patterns_that_are_hard_to_match_come_to_an_end() {
    let schema = compile(
        &json!({"type": "array", "items": {"type": "string", "pattern": "(a|b)*a(a|b){40}$"}}),
    );
    let long: Vec<String> = vec!["ab".repeat(100_000); 10];
    check_bounded(&schema, json!(long));
}

#[test]
fn long_enums_come_to_an_end() {
    let values: Vec<Value> = (0..5_000).map(|it| json!({ "a": it })).collect();
    let schema = compile(&json!({
        "type": "array",
        "items": {"type": "object", "enum": values, "x-kubernetes-preserve-unknown-fields": true},
    }));
    let items: Vec<Value> = (0..5_000).map(|_| json!({"a": 4_999})).collect();
    check_bounded(&schema, json!(items));
}

/// Counts steps: the object is refused, and took no more than it may.
#[track_caller]
fn check_bounded(schema: &Schema, spec: Value) {
    let object = object(spec);
    let operand = Operand::Map(&object);
    let (errors, steps) = validate::validate_within(&schema.root, operand, None, "", work::LIMIT);
    assert!(steps <= 2 * work::LIMIT, "{steps}");
    let last = errors.last().unwrap();
    assert!(last.message.ends_with("than can be checked"), "{last:?}");
    assert!(errors.len() <= 1_000, "{}", errors.len());
}

#[test]
fn long_lists_of_plain_values_are_no_work() {
    let schema = compile(
        &json!({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 9}}),
    );
    let object = object(json!(vec![1; 700_000]));
    let operand = Operand::Map(&object);
    let (errors, steps) = validate::validate_within(&schema.root, operand, None, "", work::LIMIT);
    assert!(errors.is_empty() && steps < work::LIMIT / 2, "{steps}");
}

#[test]
fn ordinary_objects_take_few_steps() {
    let schema = anchor();
    let spec = json!({
        "size": 3, "color": "red", "code": "ABC", "tags": ["x", "y"], "parts": [{"name": "a", "count": 2}],
        "born": "2024-01-01T00:00:00Z", "port": "http", "choice": {"a": 1}, "some": 12, "never": "yes",
    });
    let object = object(spec);
    let operand = Operand::Map(&object);
    let (errors, steps) = validate::validate_within(&schema.root, operand, None, "", work::LIMIT);
    assert!(errors.is_empty() && steps < 500, "{steps}");
}
