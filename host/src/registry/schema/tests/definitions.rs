//! Schemas that kube-apiserver refuses, and what is told of them.

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
#[track_caller]
fn refused(spec: Value, expected: Expect) {
    let document = json!({"type": "object", "properties": {"spec": spec}});
    expected.assert_eq(&Schema::compile(&document).unwrap_err());
}

#[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
#[track_caller]
fn refused_root(document: Value, expected: Expect) {
    expected.assert_eq(&Schema::compile(&document).unwrap_err());
}

#[test]
fn roots_are_objects() {
    refused_root(json!(1), expect![": must be an object"]);
    refused_root(
        json!({"type": "string"}),
        expect![".type: must be object at the root"],
    );
    refused_root(json!({}), expect![".type: must not be empty at the root"]);
    refused_root(
        json!({"type": "object", "nullable": true}),
        expect![".nullable: cannot be true at the root"],
    );
    refused_root(
        json!({"type": "object", "additionalProperties": true}),
        expect![".additionalProperties: must not be used at the root"],
    );
    refused_root(
        json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}}),
        expect![
            ".properties[metadata]: must not specify anything other than name and generateName, but metadata is implicitly specified"
        ],
    );
    refused_root(
        json!({"type": "object", "properties": {"kind": {"type": "integer"}}}),
        expect![".properties[kind].type: must be string"],
    );
    refused_root(
        json!({"type": "object", "anyOf": [{"properties": {"spec": {"minimum": 1}}}]}),
        expect![
            ".properties[spec]: must be specified because it is defined in anyOf[0].properties[spec]"
        ],
    );
    let good = json!({"type": "object", "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 9}}}}});
    Schema::compile(&good).unwrap();
}

#[test]
fn keywords_are_known_and_have_their_types() {
    refused(
        json!({"type": "text"}),
        expect![[
            r#".properties[spec].type: must be one of array, boolean, integer, number, object, string, not "text""#
        ]],
    );
    refused(
        json!({"type": "null"}),
        expect![".properties[spec].type: cannot be set to null, use nullable as an alternative"],
    );
    refused(
        json!({"type": ["string"]}),
        expect![".properties[spec].type: must be a text"],
    );
    refused(
        json!({"type": "string", "maxLenght": 5}),
        expect![".properties[spec]: maxLenght is no keyword: remove it"],
    );
    refused(
        json!({"type": "string", "maxLength": "5"}),
        expect![".properties[spec].maxLength: must be a whole number"],
    );
    refused(
        json!({"$ref": "#/x"}),
        expect![".properties[spec]: $ref is not supported"],
    );
    refused(
        json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true}),
        expect![
            ".properties[spec]: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        ],
    );
    refused(
        json!({"type": "string", "pattern": "("}),
        expect![
            ".properties[spec].pattern: must be a valid regular expression, but isn't: unclosed group"
        ],
    );
    let mut deep = json!({"type": "string"});
    for _ in 0..70 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    let document = json!({"type": "object", "properties": {"spec": deep}});
    assert!(
        Schema::compile(&document)
            .unwrap_err()
            .ends_with("is deeper than 64 levels")
    );
}

#[test]
fn schemas_are_structural() {
    refused(
        json!({}),
        expect![".properties[spec].type: must not be empty for specified object fields"],
    );
    refused(
        json!({"type": "array"}),
        expect![".properties[spec].items: must be specified"],
    );
    refused(
        json!({"type": "array", "items": {}}),
        expect![".properties[spec].items.type: must not be empty for specified array items"],
    );
    refused(
        json!({"type": "array", "items": [{"type": "string"}]}),
        expect![".properties[spec].items: must be a schema object and not an array"],
    );
    refused(
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false}),
        expect![
            ".properties[spec].additionalProperties: additionalProperties and properties are mutual exclusive"
        ],
    );
    refused(
        json!({"x-kubernetes-int-or-string": true, "x-kubernetes-preserve-unknown-fields": true}),
        expect![
            ".properties[spec].x-kubernetes-preserve-unknown-fields: must be false if x-kubernetes-int-or-string is true"
        ],
    );
    refused(
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": false}),
        expect![
            ".properties[spec].x-kubernetes-preserve-unknown-fields: must be true or undefined"
        ],
    );
    refused(
        json!({"type": "object", "x-kubernetes-embedded-resource": true}),
        expect![
            ".properties[spec].properties: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        ],
    );
    refused(
        json!({"type": "integer", "anyOf": [{"default": 1}]}),
        expect![".properties[spec].anyOf[0].default: must be undefined to be structural"],
    );
    refused(
        json!({"type": "integer", "not": {"type": "string"}}),
        expect![".properties[spec].not.type: must be undefined to be structural"],
    );
    refused(
        json!({"type": "object", "allOf": [{"properties": {"metadata": {"minLength": 1}}}]}),
        expect![
            ".properties[spec].allOf[0].properties[metadata]: must not be specified in a nested context"
        ],
    );
}

#[test]
fn lists_and_maps_are_what_they_say() {
    let map = |item: Value, keys: Value| json!({"type": "array", "items": item, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys});
    let item =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
    refused(
        json!({"type": "string", "x-kubernetes-list-type": "set"}),
        expect![".properties[spec].type: must be array if x-kubernetes-list-type is specified"],
    );
    refused(
        json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"}),
        expect![
            ".properties[spec].items.x-kubernetes-map-type: must be atomic as item of a list with x-kubernetes-list-type=set"
        ],
    );
    refused(
        json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-map-keys": ["a"]}),
        expect![
            ".properties[spec].x-kubernetes-list-type: must be map if x-kubernetes-list-map-keys is non-empty"
        ],
    );
    refused(
        json!({"type": "object", "x-kubernetes-map-type": "set"}),
        expect![".properties[spec].x-kubernetes-map-type: must be atomic or granular"],
    );
    refused(
        map(item.clone(), json!([])),
        expect![
            ".properties[spec].x-kubernetes-list-map-keys: must not be empty if x-kubernetes-list-type is map"
        ],
    );
    refused(
        map(item.clone(), json!(["b"])),
        expect![
            ".properties[spec].x-kubernetes-list-map-keys: entries must all be names of item properties"
        ],
    );
    refused(
        map(item.clone(), json!(["a", "a"])),
        expect![".properties[spec].x-kubernetes-list-map-keys: must not contain duplicate entries"],
    );
    refused(
        map(json!({"type": "string"}), json!(["a"])),
        expect![
            ".properties[spec].items.type: must be object if parent array's x-kubernetes-list-type is map"
        ],
    );
    let mut optional = item.clone();
    optional["required"] = json!([]);
    refused(
        map(optional, json!(["a"])),
        expect![
            ".properties[spec].items.properties[a].default: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"
        ],
    );
    let mut nullable = item;
    nullable["nullable"] = json!(true);
    refused(
        map(nullable, json!(["a"])),
        expect![
            ".properties[spec].items.nullable: cannot be nullable when x-kubernetes-list-type is map"
        ],
    );
}

#[test]
fn defaults_are_values_of_the_schema() {
    refused(
        json!({"type": "string", "default": 5}),
        expect![[
            r#".properties[spec].default: Invalid value: "integer":  in body must be of type string: "integer""#
        ]],
    );
    refused(
        json!({"type": "object", "properties": {"a": {"type": "object", "default": {"b": 1}}}}),
        expect![".properties[spec].properties[a].default: must not have unknown fields"],
    );
    refused(
        json!({"type": "object", "default": {}, "required": ["a"], "properties": {"a": {"type": "string", "default": "x"}}}),
        expect![".properties[spec].default: a: Required value"],
    );
    refused_root(
        json!({"type": "object", "properties": {"kind": {"type": "string", "default": "A"}}}),
        expect![".properties[kind].default: must not be set in top-level kind"],
    );
    let embedded = |metadata: Value| {
        json!({
            "type": "object", "x-kubernetes-embedded-resource": true,
            "properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object",
                "properties": {"a": {"type": "string", "default": metadata}}}}}},
        })
    };
    refused(
        embedded(json!("-")),
        expect![[
            r#".properties[spec].properties[metadata].properties[labels].properties[a].default: must result in valid metadata: metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#
        ]],
    );
    let document = json!({"type": "object", "properties": {"spec": embedded(json!("good"))}});
    Schema::compile(&document).unwrap();
}

#[test]
fn rules_are_taken_as_they_are_if_they_look_like_rules() {
    let with = |rule: Value| json!({"type": "object", "properties": {"a": {"type": "string"}}, "x-kubernetes-validations": [rule]});
    refused(
        with(json!({"rule": " "})),
        expect![".properties[spec].x-kubernetes-validations[0].rule: rule is not specified"],
    );
    refused(
        with(json!({"rule": "true", "message": "a\nb"})),
        expect![
            ".properties[spec].x-kubernetes-validations[0].message: must not contain line breaks"
        ],
    );
    refused(
        with(json!({"rule": "true\n&& true"})),
        expect![
            ".properties[spec].x-kubernetes-validations[0].message: message must be specified if rule contains line breaks"
        ],
    );
    refused(
        with(json!({"rule": "true", "reason": "No"})),
        expect![
            ".properties[spec].x-kubernetes-validations[0].reason: must be one of FieldValueDuplicate, FieldValueForbidden, FieldValueInvalid, FieldValueRequired"
        ],
    );
    refused(
        with(json!({"rule": "true", "fieldPath": ".b"})),
        expect![".properties[spec].x-kubernetes-validations[0].fieldPath: must be a valid path"],
    );
    refused(
        with(json!({"rules": "true"})),
        expect![".properties[spec].x-kubernetes-validations[0]: rules is not known: remove it"],
    );
    let rule = json!({"rule": "self.a != oldSelf.a", "messageExpression": "'no'", "fieldPath": ".a", "optionalOldSelf": true});
    let document = json!({"type": "object", "properties": {"spec": with(rule)}});
    let schema = Schema::compile(&document).unwrap();
    assert!(schema.has_rules());
    assert_eq!(schema.document(), &document);
}

#[test]
fn what_means_nothing_is_not_published() {
    let document = json!({"type": "object", "description": "", "required": [], "properties": {"spec": {
        "type": "string", "nullable": false, "default": null, "maxLength": 0, "enum": [],
    }}});
    let schema = Schema::compile(&document).unwrap();
    assert_eq!(
        schema.document(),
        &json!({"type": "object", "properties": {"spec": {"type": "string", "maxLength": 0}}})
    );
}

#[test]
fn beside_a_status_subresource_little_may_stand_at_the_root() {
    let compiled = |keyword: &str, value: Value| {
        let mut document = json!({"type": "object", "properties": {"status": {"type": "object"}}});
        document[keyword] = value;
        Schema::compile(&document).unwrap().check_beside_status()
    };
    assert_eq!(compiled("required", json!(["status"])), Ok(()));
    assert!(compiled("oneOf", json!([{"required": ["status"]}])).is_err());
    assert!(compiled("maxProperties", json!(5)).is_err());
}

#[test]
fn some_fields_can_be_selected_by() {
    let document = json!({"type": "object", "properties": {
        "metadata": {"type": "object"},
        "spec": {"type": "object", "properties": {
            "color": {"type": "string"}, "size": {"type": "integer"}, "ratio": {"type": "number"},
            "list": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
        }},
    }});
    let schema = Schema::compile(&document).unwrap();
    for good in [".spec.color", ".spec.size", ".spec.map.any"] {
        assert_eq!(schema.check_selectable(good).as_deref(), Ok(&good[1..]));
    }
    for bad in [
        "spec.color",
        ".spec.none",
        ".spec",
        ".spec.ratio",
        ".spec.list",
        ".spec.list[0]",
        ".spec['color']",
        ".metadata",
        ".spec.color.deep",
        ".",
        "..",
    ] {
        assert!(schema.check_selectable(bad).is_err(), "{bad}");
    }
}
