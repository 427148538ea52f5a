//! Lists with keys, sets, defaults of keys, and elements that come twice.

use expect_test::expect;

use super::*;

fn lists() -> Type {
    object(json!([
        {"name": "map", "type": {"list": {"elementRelationship": "associative", "keys": ["name"],
            "elementType": {"map": {"fields": [
                {"name": "name", "type": {"scalar": "string"}},
                {"name": "value", "type": {"scalar": "numeric"}},
                {"name": "other", "type": {"scalar": "numeric"}},
            ]}}}}},
        {"name": "set", "type": {"list": {"elementRelationship": "associative", "elementType": {"scalar": "string"}}}},
        {"name": "atomic", "type": {"list": {"elementRelationship": "atomic", "elementType": {"scalar": "string"}}}},
    ]))
}

fn ports() -> Type {
    object(json!([
        {"name": "ports", "type": {"list": {"elementRelationship": "associative", "keys": ["port", "protocol"],
            "elementType": {"map": {"fields": [
                {"name": "port", "type": {"scalar": "numeric"}},
                {"name": "protocol", "type": {"scalar": "string"}, "default": "TCP"},
                {"name": "name", "type": {"scalar": "string"}},
            ]}}}}},
    ]))
}

#[test]
fn elements_of_a_list_of_maps_have_owners_of_their_own() {
    let mut story = story(lists());
    story.apply(
        "ann",
        json!({"map": [{"name": "a", "value": 1}, {"name": "b", "value": 2}]}),
    );
    story.apply(
        "bob",
        json!({"map": [{"name": "c", "value": 3}, {"name": "a", "other": 4}]}),
    );
    expect![[r#"
        {"map":[{"name":"c","value":3},{"name":"a","other":4,"value":1},{"name":"b","value":2}]}
        ann applied in v1: {"f:map":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:value":{}},"k:{\"name\":\"b\"}":{".":{},"f:name":{},"f:value":{}}}}
        bob applied in v1: {"f:map":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:other":{}},"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:value":{}}}}
    "#]]
    .assert_eq(&story.told());
    expect![[r#"conflict with "ann": .map[name="b"].value"#]]
        .assert_eq(&story.conflicts("bob", json!({"map": [{"name": "b", "value": 5}]})));
    story.apply("ann", json!({"map": [{"name": "b", "value": 2}]}));
    expect![[r#"
        {"map":[{"name":"c","value":3},{"name":"a","other":4},{"name":"b","value":2}]}
        ann applied in v1: {"f:map":{"k:{\"name\":\"b\"}":{".":{},"f:name":{},"f:value":{}}}}
        bob applied in v1: {"f:map":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:other":{}},"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:value":{}}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn an_element_whose_key_is_changed_is_another_element() {
    let mut story = story(lists());
    story.apply("ann", json!({"map": [{"name": "a", "value": 1}]}));
    story.apply("ann", json!({"map": [{"name": "b", "value": 1}]}));
    assert_eq!(
        story.live.value(),
        &json!({"map": [{"name": "b", "value": 1}]})
    );
    story.update("ctl", json!({"map": [{"name": "c", "value": 1}]}));
    expect![[r#"
        {"map":[{"name":"c","value":1}]}
        ctl updated in v1: {"f:map":{"k:{\"name\":\"c\"}":{".":{},"f:name":{},"f:value":{}}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn an_applied_order_is_kept_and_others_stay_where_they_were() {
    let mut story = story(lists());
    story.apply("ann", json!({"set": ["a", "b", "c", "d"]}));
    story.apply("bob", json!({"set": ["x", "d", "y", "b"]}));
    assert_eq!(
        story.live.value()["set"],
        json!(["a", "c", "x", "d", "y", "b"])
    );
    story.apply("bob", json!({"set": ["y"]}));
    expect![[r#"
        {"set":["a","c","d","y","b"]}
        ann applied in v1: {"f:set":{"v:\"a\"":{},"v:\"b\"":{},"v:\"c\"":{},"v:\"d\"":{}}}
        bob applied in v1: {"f:set":{"v:\"y\"":{}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn an_atomic_list_is_one_value() {
    let mut story = story(lists());
    story.apply("ann", json!({"atomic": ["a", "b"]}));
    expect![[r#"conflict with "ann": .atomic"#]]
        .assert_eq(&story.conflicts("bob", json!({"atomic": ["b", "a"]})));
    story.apply("ann", json!({"atomic": ["b"], "set": []}));
    expect![[r#"
        {"atomic":["b"],"set":[]}
        ann applied in v1: {"f:atomic":{}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn a_key_that_is_left_out_is_its_default() {
    let mut story = story(ports());
    story.apply("ann", json!({"ports": [{"port": 80, "name": "a"}]}));
    expect![[r#"conflict with "ann": .ports[port=80,protocol="TCP"].name"#]].assert_eq(
        &story.conflicts(
            "bob",
            json!({"ports": [{"port": 80, "protocol": "TCP", "name": "b"}]}),
        ),
    );
    story.apply(
        "bob",
        json!({"ports": [{"port": 80, "protocol": "UDP", "name": "b"}]}),
    );
    story.apply("cat", json!({"ports": [{"name": "no port"}]}));
    expect![[r#"
        {"ports":[{"name":"a","port":80},{"name":"b","port":80,"protocol":"UDP"},{"name":"no port"}]}
        ann applied in v1: {"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}}}
        bob applied in v1: {"f:ports":{"k:{\"port\":80,\"protocol\":\"UDP\"}":{".":{},"f:name":{},"f:port":{},"f:protocol":{}}}}
        cat applied in v1: {"f:ports":{"k:{\"protocol\":\"TCP\"}":{".":{},"f:name":{}}}}
    "#]]
    .assert_eq(&story.told());
    let twice = json!({"ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}]});
    let err = story.of.typed(twice, Duplicates::Refused).unwrap_err();
    assert_eq!(
        err.to_string(),
        ".ports: duplicate entries for key [port=80,protocol=\"TCP\"]"
    );
}

#[test]
fn elements_that_come_twice_are_owned_as_one_and_replaced_by_an_apply() {
    let mut story = story(lists());
    story.update(
        "ctl",
        json!({"map": [{"name": "a", "value": 1}, {"name": "a", "value": 2}, {"name": "b"}], "set": ["x", "x", "y"]}),
    );
    expect![[r#"
        {"map":[{"name":"a","value":1},{"name":"a","value":2},{"name":"b"}],"set":["x","x","y"]}
        ctl updated in v1: {"f:map":{".":{},"k:{\"name\":\"a\"}":{},"k:{\"name\":\"b\"}":{".":{},"f:name":{}}},"f:set":{".":{},"v:\"x\"":{},"v:\"y\"":{}}}
    "#]]
    .assert_eq(&story.told());
    // What is merged with an element that is there twice starts from nothing.
    expect![[r#"conflict with "ctl": .map[name="a"]"#]]
        .assert_eq(&story.conflicts("ann", json!({"map": [{"name": "a", "other": 3}]})));
    story.force(
        "ann",
        json!({"map": [{"name": "a", "other": 3}], "set": ["x"]}),
    );
    expect![[r#"
        {"map":[{"name":"a","other":3},{"name":"b"}],"set":["x","y"]}
        ann applied in v1: {"f:map":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:other":{}}},"f:set":{"v:\"x\"":{}}}
        ctl updated in v1: {"f:map":{".":{},"k:{\"name\":\"b\"}":{".":{},"f:name":{}}},"f:set":{".":{},"v:\"y\"":{}}}
    "#]]
    .assert_eq(&story.told());
    // And an update may bring them back.
    story.update(
        "ctl",
        json!({"map": [{"name": "a", "other": 3}, {"name": "a", "other": 3}, {"name": "b"}], "set": ["x", "y"]}),
    );
    expect![[r#"
        {"map":[{"name":"a","other":3},{"name":"a","other":3},{"name":"b"}],"set":["x","y"]}
        ann applied in v1: {"f:set":{"v:\"x\"":{}}}
        ctl updated in v1: {"f:map":{".":{},"k:{\"name\":\"a\"}":{},"k:{\"name\":\"b\"}":{".":{},"f:name":{}}},"f:set":{".":{},"v:\"y\"":{}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn an_apply_beside_elements_that_come_twice_leaves_them() {
    let mut story = story(lists());
    story.update(
        "ctl",
        json!({"map": [{"name": "a", "value": 1}, {"name": "a", "value": 2}], "set": ["x", "x"]}),
    );
    story.apply("ann", json!({"map": [{"name": "c"}], "set": ["y"]}));
    story.apply("ann", json!({"set": ["z"]}));
    expect![[r#"
        {"map":[{"name":"a","value":1},{"name":"a","value":2}],"set":["x","x","z"]}
        ann applied in v1: {"f:set":{"v:\"z\"":{}}}
        ctl updated in v1: {"f:map":{".":{},"k:{\"name\":\"a\"}":{}},"f:set":{".":{},"v:\"x\"":{}}}
    "#]]
    .assert_eq(&story.told());
}

/// A client took the keys out of what it owns. Upstream removes the element although it is applied.
#[test]
fn an_element_whose_keys_nobody_owns_goes_with_its_last_field_as_upstream() {
    let mut story = story(lists());
    story.apply("ann", json!({"map": [{"name": "a", "value": 1}]}));
    story.owns(
        "ann",
        "v1",
        r#"{"f:map":{"k:{\"name\":\"a\"}":{".":{},"f:value":{}}}}"#,
    );
    story = Story {
        updater: story.updater.clone().with_ignored(HashMap::from([(
            "v1".into(),
            Filter::Exclude(
                Set::from_json(br#"{"f:map":{"k:{\"name\":\"a\"}":{"f:name":{}}}}"#).unwrap(),
            ),
        )])),
        ..story
    };
    story.apply(
        "ann",
        json!({"map": [{"name": "a", "value": 1}], "set": ["x"]}),
    );
    expect![[r#"
        {"map":null,"set":["x"]}
        ann applied in v1: {"f:map":{"k:{\"name\":\"a\"}":{".":{},"f:value":{}}},"f:set":{"v:\"x\"":{}}}
    "#]]
    .assert_eq(&story.told());
}
