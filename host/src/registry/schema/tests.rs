#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;

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
            "unique": {"type": "array", "uniqueItems": true, "items": {"type": "integer"}},
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
            "even": 4, "maybe": null, "limits": {"cpu": 1}, "ratio": 0.5, "small": -5, "unique": [1, 2],
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
        json!({"size": 1, "tags": ["1", "2", "3", "4", "5", "6", "7", "8", "9"], "unique": [1, 1]}),
        expect![[r#"
        FieldValueTooMany spec.tags: Too many: 9: must have at most 8 items
        FieldValueInvalid spec.unique: Invalid value: "": spec.unique in body shouldn't contain duplicates"#]],
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
        FieldValueRequired spec.embedded.kind: Required value: must not be empty"#]],
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
fn bad_schemas_are_refused_in_one_line() {
    let of = |spec: Value| {
        let document = json!({"type": "object", "properties": {"spec": spec}});
        Schema::compile(&document).unwrap_err()
    };
    expect!["the schema: its type must be object"]
        .assert_eq(&Schema::compile(&json!({"type": "string"})).unwrap_err());
    expect!["the schema: a schema must be an object"]
        .assert_eq(&Schema::compile(&json!(1)).unwrap_err());
    expect!["the schema of spec: type must be array, boolean, integer, number, object or string"]
        .assert_eq(&of(json!({"type": "text"})));
    expect!["the schema of spec: type is missing"].assert_eq(&of(json!({})));
    expect!["the schema of spec: items are missing"].assert_eq(&of(json!({"type": "array"})));
    expect!["the schema of spec: pattern must be a regular expression: unclosed group"]
        .assert_eq(&of(json!({"type": "string", "pattern": "("})));
    expect![[r#"the schema of spec: the default is not valid: Invalid value: "integer":  in body must be of type string: "integer""#]].assert_eq(&of(json!({"type": "string", "default": 5})));
    expect!["the schema of spec: $ref is not supported"].assert_eq(&of(json!({"$ref": "#/x"})));
    expect!["the schema of spec: unknown keyword maxLenght"]
        .assert_eq(&of(json!({"type": "string", "maxLenght": 5})));
    expect!["the schema of spec: multipleOf must be more than 0"]
        .assert_eq(&of(json!({"type": "integer", "multipleOf": 0})));
    expect!["the schema of spec: no default may stand here"]
        .assert_eq(&of(json!({"type": "integer", "anyOf": [{"default": 1}]})));
    expect!["the schema of spec: x-kubernetes-list-type map needs x-kubernetes-list-map-keys"]
        .assert_eq(&of(
            json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}),
        ));
    let mut deep = json!({"type": "string"});
    for _ in 0..70 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    assert!(of(deep).ends_with("deeper than 64 levels"));
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
    let errors = schema.validate(&object(Value::Object(spec)));
    assert!(!errors.is_empty());
    assert!(errors.len() <= 2_000, "{}", errors.len());
}

/// A few thousand schemas and objects by chance, the same ones every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth > 3 { 5 } else { 8 }) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(1.5),
            4 => json!("a"),
            5 => (0..self.below(3)).map(|_| self.value(depth + 1)).collect(),
            _ => {
                let count = self.below(4);
                let fields = (0..count).map(|_| {
                    let name = ["a", "b", "apiVersion"][self.below(3)].to_owned();
                    (name, self.value(depth + 1))
                });
                Value::Object(fields.collect())
            }
        }
    }

    fn schema(&mut self, depth: usize, is_logical: bool) -> Value {
        let mut schema = Map::new();
        let kind = ["string", "integer", "number", "boolean", "object", "array"][self.below(6)];
        if !is_logical || self.below(2) == 0 {
            schema.insert("type".into(), kind.into());
        }
        if kind == "array" && depth < 4 {
            schema.insert("items".into(), self.schema(depth + 1, is_logical));
            let list = ["atomic", "set", "nope"][self.below(3)];
            schema.insert("x-kubernetes-list-type".into(), list.into());
        }
        if kind == "object" && depth < 4 {
            let child = self.schema(depth + 1, is_logical);
            if self.below(2) == 0 {
                schema.insert("properties".into(), json!({"a": child}));
            } else {
                schema.insert("additionalProperties".into(), child);
            }
        }
        for _ in 0..self.below(4) {
            let (keyword, value) = match self.below(9) {
                0 => ("minimum", json!(self.below(3))),
                1 => ("maxLength", json!(self.below(3))),
                2 => ("pattern", json!(["^a$", "(", "[^]x]"][self.below(3)])),
                3 => ("nullable", json!(true)),
                4 => ("required", json!(["a"])),
                5 => ("multipleOf", json!(self.below(3))),
                6 => ("enum", json!([self.value(3)])),
                7 if !is_logical && self.below(4) == 0 => ("default", self.value(3)),
                _ if depth < 4 => {
                    let keyword = ["anyOf", "oneOf", "allOf"][self.below(3)];
                    (
                        keyword,
                        json!([self.schema(depth + 1, true), self.schema(depth + 1, true)]),
                    )
                }
                _ => ("maxItems", json!(1)),
            };
            schema.insert(keyword.into(), value);
        }
        Value::Object(schema)
    }
}

#[test]
fn any_document_is_compiled_or_refused_and_any_object_walked() {
    let mut chance = Chance(42);
    let mut compiled = 0;
    for _ in 0..5_000 {
        let spec = chance.schema(0, false);
        let document = json!({"type": "object", "properties": {"a": spec}});
        let Ok(schema) = Schema::compile(&document) else {
            continue;
        };
        compiled += 1;
        for _ in 0..4 {
            let mut object = Map::new();
            object.insert("a".into(), chance.value(0));
            object.insert("b".into(), chance.value(2));
            schema.prune(&mut object);
            schema.default(&mut object);
            let completed = object.clone();
            schema.default(&mut object);
            assert_eq!(object, completed, "{document}");
            assert!(schema.prune(&mut object).is_empty(), "{document}");
            schema.validate(&object);
        }
    }
    assert!(compiled > 1_000, "{compiled}");
}
