//! Schemas that change while objects stay, relationships that a reference changes, and fields that no schema knows.

use expect_test::expect;

use super::*;

fn with_relationships(map: &str, list: &str) -> Type {
    let mut list_type = json!({"elementRelationship": list, "elementType": {"map": {"fields": [
        {"name": "name", "type": {"scalar": "string"}}, {"name": "value", "type": {"scalar": "numeric"}},
    ]}}});
    if list == "associative" {
        list_type["keys"] = json!(["name"]);
    }
    object(json!([
        {"name": "struct", "type": {"map": {"elementRelationship": map, "fields": [
            {"name": "a", "type": {"scalar": "numeric"}}, {"name": "b", "type": {"scalar": "numeric"}},
        ]}}},
        {"name": "list", "type": {"list": list_type}},
    ]))
}

impl Story {
    fn change_schema(&mut self, of: Type) -> &mut Self {
        self.live = of
            .typed(self.live.shared_value(), Duplicates::Allowed)
            .unwrap();
        self.of = of;
        self
    }
}

#[test]
fn what_becomes_atomic_is_owned_as_a_whole_by_all_who_owned_a_part() {
    let mut story = story(with_relationships("separable", "associative"));
    story.apply(
        "ann",
        json!({"struct": {"a": 1}, "list": [{"name": "x", "value": 1}]}),
    );
    story.apply(
        "bob",
        json!({"struct": {"b": 2}, "list": [{"name": "y", "value": 2}]}),
    );
    story.change_schema(with_relationships("atomic", "atomic"));
    expect![[r#"
        conflicts with "bob":
        - .list
        - .struct"#]]
    .assert_eq(&story.conflicts(
        "ann",
        json!({"struct": {"a": 1}, "list": [{"name": "x", "value": 1}]}),
    ));
    story.apply("ann", json!({"struct": {"a": 1, "b": 2}}));
    expect![[r#"
        {"list":[{"name":"x","value":1},{"name":"y","value":2}],"struct":{"a":1,"b":2}}
        ann applied in v1: {"f:struct":{}}
        bob applied in v1: {"f:list":{},"f:struct":{}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn what_was_atomic_stays_owned_as_a_whole_until_it_is_written() {
    let mut story = story(with_relationships("atomic", "atomic"));
    story.apply(
        "ann",
        json!({"struct": {"a": 1, "b": 2}, "list": [{"name": "x", "value": 1}]}),
    );
    story.change_schema(with_relationships("separable", "associative"));
    story.apply(
        "bob",
        json!({"struct": {"b": 3}, "list": [{"name": "x", "value": 2}, {"name": "y"}]}),
    );
    expect![[r#"
        {"list":[{"name":"x","value":2},{"name":"y"}],"struct":{"a":1,"b":3}}
        ann applied in v1: {"f:list":{},"f:struct":{}}
        bob applied in v1: {"f:list":{"k:{\"name\":\"x\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"y\"}":{".":{},"f:name":{}}},"f:struct":{"f:b":{}}}
    "#]]
    .assert_eq(&story.told());
    story.apply("ann", json!({"struct": {"a": 1}}));
    expect![[r#"
        {"list":[{"name":"x","value":2},{"name":"y"}],"struct":{"a":1,"b":3}}
        ann applied in v1: {"f:struct":{"f:a":{}}}
        bob applied in v1: {"f:list":{"k:{\"name\":\"x\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"y\"}":{".":{},"f:name":{}}},"f:struct":{"f:b":{}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn a_set_that_fits_the_schema_is_left_as_it_is() {
    let of = with_relationships("separable", "associative");
    let fits = [
        r#"{"f:struct":{".":{},"f:a":{}},"f:list":{"k:{\"name\":\"x\"}":{".":{}}},"f:unknown":{"f:x":{}}}"#,
        r#"{"f:struct":{},"f:list":{}}"#,
        r"{}",
    ];
    for fields in fits {
        let set = Set::from_json(fields.as_bytes()).unwrap();
        assert_eq!(of.reconcile(&set), Ok(None), "{fields}");
    }
    let atomic = with_relationships("atomic", "atomic");
    let set = Set::from_json(fits[0].as_bytes()).unwrap();
    let reconciled = atomic.reconcile(&set).unwrap().unwrap();
    assert_eq!(
        reconciled.to_json(),
        r#"{"f:list":{},"f:struct":{},"f:unknown":{"f:x":{}}}"#
    );
    let deduced = Type::deduced();
    let set = Set::from_json(br#"{"f:a":{"f:b":{"f:c":{}}}}"#).unwrap();
    assert_eq!(deduced.reconcile(&set), Ok(None));
}

#[test]
fn a_reference_may_make_a_type_atomic_or_separable() {
    let of = object_of(json!([
        {"name": "object", "map": {"fields": [
            {"name": "asIs", "type": {"namedType": "pair"}},
            {"name": "atomic", "type": {"namedType": "pair", "elementRelationship": "atomic"}},
            {"name": "whole", "type": {"namedType": "whole"}},
            {"name": "separable", "type": {"namedType": "whole", "elementRelationship": "separable"}},
            {"name": "list", "type": {"namedType": "list", "elementRelationship": "atomic"}},
        ]}},
        {"name": "pair", "map": {"elementType": {"scalar": "numeric"}}},
        {"name": "whole", "map": {"elementType": {"scalar": "numeric"}, "elementRelationship": "atomic"}},
        {"name": "list", "list": {"elementType": {"scalar": "string"}, "elementRelationship": "associative"}},
    ]));
    let mut story = story(of);
    let pair = json!({"a": 1});
    story.apply(
        "ann",
        json!({"asIs": pair, "atomic": pair, "whole": pair, "separable": pair, "list": ["a"]}),
    );
    expect![[r#"
        {"asIs":{"a":1},"atomic":{"a":1},"list":["a"],"separable":{"a":1},"whole":{"a":1}}
        ann applied in v1: {"f:asIs":{"f:a":{}},"f:atomic":{},"f:list":{},"f:separable":{"f:a":{}},"f:whole":{}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn fields_that_no_schema_knows_are_owned_where_they_are_preserved() {
    let of = object_of(json!([
        {"name": "object", "map": {"fields": [{"name": "known", "type": {"scalar": "numeric"}}],
            "elementType": {"namedType": "__untyped_deduced_"}}},
        {"name": "__untyped_atomic_", "scalar": "untyped",
            "list": {"elementType": {"namedType": "__untyped_atomic_"}, "elementRelationship": "atomic"},
            "map": {"elementType": {"namedType": "__untyped_atomic_"}, "elementRelationship": "atomic"}},
        {"name": "__untyped_deduced_", "scalar": "untyped",
            "list": {"elementType": {"namedType": "__untyped_atomic_"}, "elementRelationship": "atomic"},
            "map": {"elementType": {"namedType": "__untyped_deduced_"}}},
    ]));
    let mut story = story(of);
    story.apply(
        "ann",
        json!({"known": 1, "unknown": {"a": [1], "b": "x"}, "text": "y"}),
    );
    story.apply("bob", json!({"unknown": {"c": {"d": true}}}));
    story.apply("ann", json!({"known": 1}));
    expect![[r#"
        {"known":1,"unknown":{"c":{"d":true}}}
        ann applied in v1: {"f:known":{}}
        bob applied in v1: {"f:unknown":{".":{},"f:c":{".":{},"f:d":{}}}}
    "#]]
    .assert_eq(&story.told());
}
