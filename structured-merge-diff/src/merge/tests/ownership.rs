//! Conflicts, force, shared fields, and what is removed when it is no longer applied.

use expect_test::expect;

use super::*;

fn leaves() -> Type {
    object(json!([
        {"name": "number", "type": {"scalar": "numeric"}},
        {"name": "string", "type": {"scalar": "string"}},
        {"name": "bool", "type": {"scalar": "boolean"}},
    ]))
}

fn nested() -> Type {
    object_of(json!([
        {"name": "object", "map": {"fields": [
            {"name": "spec", "type": {"map": {"fields": [
                {"name": "replicas", "type": {"scalar": "numeric"}},
                {"name": "labels", "type": {"map": {"elementType": {"scalar": "string"}}}},
                {"name": "color", "type": {"map": {"elementType": {"scalar": "numeric"}, "elementRelationship": "atomic"}}},
                {"name": "deep", "type": {"map": {"elementType": {"map": {"elementType": {"scalar": "string"}}}}}},
            ]}}},
            {"name": "status", "type": {"map": {"fields": [{"name": "phase", "type": {"scalar": "string"}}]}}},
        ]}},
    ]))
}

#[test]
fn who_applies_owns_and_who_applies_the_same_owns_too() {
    let mut story = story(leaves());
    story.apply("ann", json!({"number": 1, "string": "a"}));
    story.apply("bob", json!({"string": "a", "bool": true}));
    expect![[r#"
        {"bool":true,"number":1,"string":"a"}
        ann applied in v1: {"f:number":{},"f:string":{}}
        bob applied in v1: {"f:bool":{},"f:string":{}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn other_values_are_conflicts_which_are_listed_by_manager_and_field() {
    let mut story = story(leaves());
    story.apply("bob", json!({"number": 1, "string": "a"}));
    story.apply("ann", json!({"bool": true, "string": "a"}));
    expect![[r#"conflict with "bob": .number"#]]
        .assert_eq(&story.conflicts("cat", json!({"number": 2})));
    expect![[r#"
        conflicts with "ann":
        - .bool
        - .string
        conflicts with "bob":
        - .number
        - .string"#]]
    .assert_eq(&story.conflicts("cat", json!({"number": 2, "bool": false, "string": "b"})));
    // Nothing has come of it.
    expect![[r#"
        {"bool":true,"number":1,"string":"a"}
        ann applied in v1: {"f:bool":{},"f:string":{}}
        bob applied in v1: {"f:number":{},"f:string":{}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn conflicts_come_as_a_set_too() {
    let mut story = story(leaves());
    story.apply("ann", json!({"number": 1}));
    story.apply("bob", json!({"number": 1, "bool": true}));
    let err = story.try_apply("cat", json!({"number": 2, "bool": false}), false);
    let Err(UpdateError::Conflicts(conflicts)) = err else {
        panic!("no conflicts: {err:?}");
    };
    assert_eq!(conflicts.0.len(), 3);
    assert_eq!(
        conflicts.to_set().to_json(),
        r#"{"f:bool":{},"f:number":{}}"#
    );
}

#[test]
fn force_takes_what_conflicts_and_no_more() {
    let mut story = story(leaves());
    story.apply("ann", json!({"number": 1, "string": "a"}));
    story.apply("bob", json!({"number": 1}));
    story.force("cat", json!({"number": 2, "string": "a"}));
    expect![[r#"
        {"number":2,"string":"a"}
        ann applied in v1: {"f:string":{}}
        cat applied in v1: {"f:number":{},"f:string":{}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn an_update_takes_what_it_changes_and_an_apply_of_the_same_shares() {
    let mut story = story(leaves());
    story.apply("ann", json!({"number": 1, "string": "a"}));
    story.update("ctl", json!({"number": 2, "string": "a", "bool": true}));
    expect![[r#"
        {"bool":true,"number":2,"string":"a"}
        ann applied in v1: {"f:string":{}}
        ctl updated in v1: {"f:bool":{},"f:number":{}}
    "#]]
    .assert_eq(&story.told());
    expect![[r#"conflict with "ctl": .number"#]]
        .assert_eq(&story.conflicts("ann", json!({"number": 1, "string": "a"})));
    story.apply("ann", json!({"number": 2, "string": "a"}));
    story.update("ctl", json!({"string": "a"}));
    expect![[r#"
        {"string":"a"}
        ann applied in v1: {"f:string":{}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn what_is_no_longer_applied_is_removed_unless_somebody_else_owns_it() {
    let mut story = story(nested());
    story.apply(
        "ann",
        json!({"spec": {"replicas": 1, "labels": {"a": "1", "b": "2", "c": "3"}}}),
    );
    story.apply("bob", json!({"spec": {"labels": {"b": "2"}}}));
    story.update(
        "ctl",
        json!({"spec": {"replicas": 1, "labels": {"a": "1", "b": "2", "c": "4"}}, "status": {"phase": "x"}}),
    );
    story.apply("ann", json!({"spec": {"labels": {}}}));
    expect![[r#"
        {"spec":{"labels":{"b":"2","c":"4"}},"status":{"phase":"x"}}
        ann applied in v1: {"f:spec":{"f:labels":{}}}
        bob applied in v1: {"f:spec":{"f:labels":{"f:b":{}}}}
        ctl updated in v1: {"f:spec":{"f:labels":{"f:c":{}}},"f:status":{".":{},"f:phase":{}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn the_last_who_gives_up_a_shared_field_removes_it() {
    let mut story = story(nested());
    for manager in ["ann", "bob", "cat"] {
        story.apply(
            manager,
            json!({"spec": {"labels": {"a": "1"}, "replicas": 3}}),
        );
    }
    story.apply("ann", json!({"spec": {"replicas": 3}}));
    story.apply("bob", json!({"spec": {"replicas": 3}}));
    assert_eq!(story.live.value()["spec"]["labels"], json!({"a": "1"}));
    story.apply("cat", json!({"spec": {"replicas": 3}}));
    expect![[r#"
        {"spec":{"replicas":3}}
        ann applied in v1: {"f:spec":{"f:replicas":{}}}
        bob applied in v1: {"f:spec":{"f:replicas":{}}}
        cat applied in v1: {"f:spec":{"f:replicas":{}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn what_nobody_owns_stays_beside_a_removed_field_and_goes_with_a_removed_element() {
    let mut story = story(nested());
    let deep = json!({"a": {"x": "1", "y": "2"}, "c": {"z": "3"}});
    story.update(
        "ctl",
        json!({"spec": {"deep": deep}, "status": {"phase": "x"}}),
    );
    story.managers.clear();
    story.apply(
        "ann",
        json!({"spec": {"deep": {"a": {"x": "1"}}, "replicas": 1}}),
    );
    story.apply("ann", json!({"spec": {"replicas": 1}}));
    expect![[r#"
        {"spec":{"replicas":1},"status":{"phase":"x"}}
        ann applied in v1: {"f:spec":{"f:replicas":{}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn an_atomic_map_has_one_owner_and_is_removed_as_one() {
    let mut story = story(nested());
    story.apply("ann", json!({"spec": {"color": {"red": 1, "green": 2}}}));
    expect![[r#"conflict with "ann": .spec.color"#]]
        .assert_eq(&story.conflicts("bob", json!({"spec": {"color": {"blue": 3}}})));
    story.force("bob", json!({"spec": {"color": {"blue": 3}}}));
    expect![[r#"
        {"spec":{"color":{"blue":3}}}
        bob applied in v1: {"f:spec":{"f:color":{}}}
    "#]]
    .assert_eq(&story.told());
    story.apply("bob", json!({"spec": {"replicas": 1}}));
    assert_eq!(story.live.value(), &json!({"spec": {"replicas": 1}}));
}

#[test]
fn null_and_empty_are_values_that_are_owned() {
    let mut story = story(nested());
    story.apply(
        "ann",
        json!({"spec": {"labels": null, "deep": {}, "color": null}}),
    );
    expect![[r#"
        {"spec":{"color":null,"deep":{},"labels":null}}
        ann applied in v1: {"f:spec":{"f:color":{},"f:deep":{},"f:labels":{}}}
    "#]]
    .assert_eq(&story.told());
    story.apply("bob", json!({"spec": {"labels": {"a": "1"}}}));
    story.apply("ann", json!({"spec": null}));
    expect![[r#"
        {"spec":{"labels":{"a":"1"}}}
        ann applied in v1: {"f:spec":{}}
        bob applied in v1: {"f:spec":{"f:labels":{"f:a":{}}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn an_apply_that_changes_nothing_says_so() {
    let mut story = story(nested());
    let config = json!({"spec": {"labels": {"a": "1"}, "replicas": 1}});
    assert!(story.try_apply("ann", config.clone(), false).unwrap());
    assert!(!story.try_apply("ann", config.clone(), false).unwrap());
    // Others may come to own what is there.
    assert!(!story.try_apply("bob", config.clone(), false).unwrap());
    assert_eq!(story.managers.len(), 2);
    // A float of the same value is no change.
    let same = json!({"spec": {"labels": {"a": "1"}, "replicas": 1.0}});
    assert!(!story.try_apply("ann", same, false).unwrap());
    story.updater = story.updater.clone().returning_input_on_noop();
    assert!(story.try_apply("ann", config, false).unwrap());
}

#[test]
fn ignored_fields_are_written_and_never_owned() {
    let mut story =
        story(nested()).ignoring("v1", r#"{"f:status":{},"f:spec":{"f:labels":{"f:a":{}}}}"#);
    story.update(
        "ctl",
        json!({"spec": {"labels": {"a": "1", "b": "1"}}, "status": {"phase": "x"}}),
    );
    story.apply(
        "ann",
        json!({"spec": {"labels": {"a": "2", "c": "1"}}, "status": {"phase": "y"}}),
    );
    expect![[r#"
        {"spec":{"labels":{"a":"2","b":"1","c":"1"}},"status":{"phase":"y"}}
        ann applied in v1: {"f:spec":{"f:labels":{"f:c":{}}}}
        ctl updated in v1: {"f:spec":{".":{},"f:labels":{".":{},"f:b":{}}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn without_a_schema_maps_are_shared_and_lists_are_not() {
    let mut story = story(Type::deduced());
    story.apply("ann", json!({"a": {"b": {"x": 1}}, "list": [1, 2]}));
    story.apply("bob", json!({"a": {"b": {"y": 2}, "c": [{"k": 1}]}}));
    expect![[r#"conflict with "ann": .list"#]]
        .assert_eq(&story.conflicts("bob", json!({"list": [1, 2, 3]})));
    story.apply("ann", json!({"list": [1, 2]}));
    expect![[r#"
        {"a":{"b":{"y":2},"c":[{"k":1}]},"list":[1,2]}
        ann applied in v1: {"f:list":{}}
        bob applied in v1: {"f:a":{".":{},"f:b":{".":{},"f:y":{}},"f:c":{}}}
    "#]]
    .assert_eq(&story.told());
    // Another kind of value is another value.
    story.force("bob", json!({"a": "text"}));
    expect![[r#"
        {"a":"text","list":[1,2]}
        ann applied in v1: {"f:list":{}}
        bob applied in v1: {"f:a":{}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn what_is_applied_must_be_mergeable_at_the_top() {
    let of = leaves();
    let err = of.typed(json!("text"), Duplicates::Refused).unwrap_err();
    assert_eq!(err.to_string(), "expected map, got &{text}");
}
