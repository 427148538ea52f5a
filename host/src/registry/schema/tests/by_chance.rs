//! Arbitrary schemas and documents: nothing panics, and what is done twice is done once.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 5] = ["a", "b", "apiVersion", "kind", "metadata"];

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c\u{e9}]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let field = prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(field, inner, 0..4)
                .prop_map(|it| Value::Object(it.into_iter().collect())),
        ]
    })
}

/// A keyword with a value that it may have.
fn check_keyword() -> impl Strategy<Value = (&'static str, Value)> {
    let count = || (0..4_i64).prop_map(Value::from);
    prop_oneof![
        (
            prop::sample::select(vec![
                "minLength",
                "maxLength",
                "minItems",
                "maxItems",
                "minProperties",
                "maxProperties"
            ]),
            count()
        ),
        (
            prop::sample::select(vec!["minimum", "maximum", "multipleOf"]),
            prop_oneof![count(), any::<f64>().prop_map(Value::from)]
        ),
        (
            Just("pattern"),
            prop::sample::select(vec!["^a$", "[^]x]", "b"]).prop_map(Value::from)
        ),
        (
            Just("format"),
            prop::sample::select(vec!["date", "ipv4", "int32", "float", "email", "none"])
                .prop_map(Value::from)
        ),
        (
            Just("enum"),
            prop::collection::vec(value(), 1..3).prop_map(Value::from)
        ),
        (Just("required"), Just(json!(["a"]))),
        (Just("exclusiveMinimum"), Just(json!(true))),
    ]
}

fn alternative() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec(check_keyword(), 0..3).prop_map(object_of);
    leaf.prop_recursive(2, 8, 2, |inner| {
        prop_oneof![
            (
                prop::sample::select(vec!["anyOf", "oneOf", "allOf"]),
                prop::collection::vec(inner.clone(), 1..3)
            )
                .prop_map(|(keyword, parts)| json!({ keyword: parts })),
            inner.clone().prop_map(|it| json!({"not": it})),
            inner.prop_map(|it| json!({"properties": {"a": it}})),
        ]
    })
}

fn object_of(fields: Vec<(&'static str, Value)>) -> Value {
    Value::Object(
        fields
            .into_iter()
            .map(|(key, value)| (key.into(), value))
            .collect(),
    )
}

/// Mostly structural, so that many of them compile.
fn node() -> impl Strategy<Value = Value> {
    let scalar = prop::sample::select(vec!["string", "integer", "number", "boolean"])
        .prop_map(|of_type| json!({ "type": of_type }));
    let bare = scalar.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| json!({"type": "array", "items": it})),
            inner.clone().prop_map(|it| json!({"type": "array", "items": it, "x-kubernetes-list-type": "set"})),
            inner.clone().prop_map(|it| json!({
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"],
                "items": {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}, "b": it}},
            })),
            inner.clone().prop_map(|it| json!({"type": "object", "additionalProperties": it})),
            (inner.clone(), inner, any::<bool>(), any::<bool>()).prop_map(|(a, b, is_open, is_embedded)| json!({
                "type": "object", "properties": {"a": a, "b": b},
                "x-kubernetes-preserve-unknown-fields": is_open.then_some(true),
                "x-kubernetes-embedded-resource": is_embedded,
            })),
        ]
    });
    let extras = (
        prop::collection::vec(check_keyword(), 0..3),
        prop::option::weighted(0.2, value()),
        prop::option::weighted(0.3, alternative()),
        any::<bool>(),
    );
    (bare, extras).prop_map(|(mut node, (checks, default, alternative, is_nullable))| {
        for (keyword, value) in checks {
            node[keyword] = value;
        }
        node["nullable"] = json!(is_nullable);
        if let Some(default) = default {
            node["default"] = default;
        }
        if let Some(alternative) = alternative {
            node["anyOf"] = json!([alternative]);
        }
        node
    })
}

fn document() -> impl Strategy<Value = Value> {
    (node(), node()).prop_map(|(a, b)| json!({"type": "object", "properties": {"a": a, "b": b}}))
}

fn map(a: Value, b: Value) -> Map<String, Value> {
    Map::from_iter([("a".to_owned(), a), ("b".to_owned(), b)])
}

proptest! {
    #[test]
    fn any_json_compiles_or_is_refused_in_one_line(document in value(), keyword in check_keyword()) {
        let mut wild = json!({"type": "object", "properties": {"a": document}});
        wild[keyword.0] = keyword.1;
        for it in [&wild, &wild["properties"]["a"]] {
            if let Err(error) = Schema::compile(it) {
                prop_assert!(!error.is_empty() && !error.contains('\n'), "{}", error);
            }
        }
    }

    #[test]
    fn pruning_and_defaulting_twice_is_as_once(document in document(), a in value(), b in value()) {
        let Ok(schema) = Schema::compile(&document) else { return Ok(()) };
        let mut object = map(a, b);
        schema.prune(&mut object);
        let pruned = object.clone();
        prop_assert!(schema.prune(&mut object).is_empty());
        prop_assert_eq!(&object, &pruned);

        schema.default(&mut object);
        let completed = object.clone();
        schema.default(&mut object);
        prop_assert_eq!(&object, &completed);

        schema.read(&mut object);
        let read = object.clone();
        prop_assert!(!schema.read(&mut object));
        prop_assert_eq!(&object, &read);
    }

    #[test]
    fn any_object_is_decoded_and_checked(document in document(), a in value(), b in value(), old in value()) {
        let Ok(schema) = Schema::compile(&document) else { return Ok(()) };
        let object = map(a.clone(), b);
        let _ = schema.decode(&mut object.clone());
        let errors = schema.validate(&object);
        // The same object is forgiven nothing but what is wrong with it.
        let same = schema.validate_update(&object, &object);
        prop_assert!(same.iter().all(|it| errors.contains(it)));
        schema.validate_update(&object, &map(a, old));
        schema.validate_status_update(&object, &object);
        schema.type_error(&object);
    }
}

#[test]
fn many_of_the_schemas_compile() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let compiles = (0..300)
        .filter(|_| {
            let tree = document().new_tree(&mut runner).unwrap();
            Schema::compile(&tree.current()).is_ok()
        })
        .count();
    assert!(compiles > 50, "{compiles}");
}
