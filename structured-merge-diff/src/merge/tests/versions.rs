//! Managers that wrote in other versions.

use std::collections::BTreeMap;

use expect_test::expect;

use super::*;

/// In version `vN`, the names of the object's fields end with `N`. A field `failing…` cannot be converted.
struct Renaming(BTreeMap<&'static str, Type>);

impl Renaming {
    fn new() -> Self {
        let fields = |suffix: &str| {
            let map = json!({"map": {"elementType": {"scalar": "string"}}});
            object(json!([
                {"name": format!("string{suffix}"), "type": {"scalar": "string"}},
                {"name": format!("failing{suffix}"), "type": {"scalar": "string"}},
                {"name": format!("map{suffix}"), "type": map},
            ]))
        };
        Self(BTreeMap::from([("v1", fields("1")), ("v2", fields("2"))]))
    }
}

impl Converter for Renaming {
    async fn convert(
        &self,
        object: &TypedValue,
        version: &ApiVersion,
    ) -> Result<TypedValue, ConvertError> {
        let Some(of) = self.0.get(version.as_str()) else {
            return Err(ConvertError::MissingVersion(version.clone()));
        };
        if object.type_of().is(of) {
            return Ok(object.clone());
        }
        let suffix = version.as_str().trim_start_matches('v');
        let mut renamed = json!({});
        for (name, value) in object.value().as_object().into_iter().flatten() {
            let name = name.trim_end_matches(['1', '2']);
            if name == "failing" {
                return Err(ConvertError::Failed("the plugin trapped".to_owned()));
            }
            renamed[format!("{name}{suffix}")] = value.clone();
        }
        of.typed(renamed, Duplicates::Allowed)
            .map_err(|err| ConvertError::Failed(err.to_string()))
    }
}

fn renamed() -> Story<Renaming> {
    let versions = Renaming::new();
    let of = versions.0["v1"].clone();
    Story::with(of, versions)
}

#[test]
fn conflicts_are_found_and_named_in_the_version_of_their_manager() {
    let mut story = renamed();
    story.update("ctl", json!({"string1": "a", "map1": {"x": "1"}}));
    story.managers.clear();
    story.owns("old", "v2", r#"{"f:string2":{},"f:map2":{"f:x":{}}}"#);
    expect![[r#"conflict with "old": .string2"#]]
        .assert_eq(&story.conflicts("ann", json!({"string1": "b", "map1": {"x": "1"}})));
    story.force("ann", json!({"string1": "b", "map1": {"x": "1"}}));
    expect![[r#"
        {"map1":{"x":"1"},"string1":"b"}
        ann applied in v1: {"f:map1":{"f:x":{}},"f:string1":{}}
        old applied in v2: {"f:map2":{"f:x":{}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn what_was_applied_in_another_version_is_removed_there() {
    let mut story = renamed();
    story.update(
        "ctl",
        json!({"string1": "a", "map1": {"x": "1", "y": "2", "z": "3"}}),
    );
    story.managers.clear();
    story.owns(
        "ann",
        "v2",
        r#"{"f:string2":{},"f:map2":{"f:x":{},"f:y":{}}}"#,
    );
    story.owns("bob", "v1", r#"{"f:map1":{"f:y":{}}}"#);
    story.apply("ann", json!({"map1": {"w": "0"}}));
    expect![[r#"
        {"map1":{"w":"0","y":"2","z":"3"}}
        ann applied in v1: {"f:map1":{"f:w":{}}}
        bob applied in v1: {"f:map1":{"f:y":{}}}
    "#]]
    .assert_eq(&story.told());
}

#[test]
fn managers_of_versions_that_are_gone_are_forgotten() {
    let mut story = renamed();
    story.update("ctl", json!({"string1": "a"}));
    story.owns("old", "v0", r#"{"f:string0":{}}"#);
    story.owns("ann", "v0", r#"{"f:map0":{}}"#);
    story.apply("ann", json!({"map1": {"x": "1"}}));
    expect![[r#"
        {"map1":{"x":"1"},"string1":"a"}
        ann applied in v1: {"f:map1":{"f:x":{}}}
        ctl updated in v1: {"f:string1":{}}
    "#]]
    .assert_eq(&story.told());
    story.owns("old", "v0", r#"{"f:string0":{}}"#);
    story.update("ctl", json!({"string1": "b", "map1": {"x": "1"}}));
    assert!(!story.managers.contains_key("old"));
}

#[test]
fn a_conversion_that_fails_fails_the_request() {
    let mut story = renamed();
    story.update("ctl", json!({"failing1": "a"}));
    story.owns("old", "v2", r#"{"f:string2":{}}"#);
    let err = story
        .try_apply("ann", json!({"string1": "b"}), false)
        .unwrap_err();
    assert_eq!(err, UpdateError::Failed("the plugin trapped".to_owned()));

    let mut story = renamed();
    story.update("ctl", json!({"string1": "a"}));
    story.owns("old", "v2", r#"{"f:map2":{}}"#);
    let err = story
        .try_apply("ann", json!({"failing1": "b"}), false)
        .unwrap_err();
    assert_eq!(
        err.to_string(),
        "failed to convert new object: the plugin trapped"
    );
    story.owns("ann", "v2", r#"{"f:map2":{}}"#);
    let err = story
        .try_apply("ann", json!({"failing1": "b"}), false)
        .unwrap_err();
    assert_eq!(
        err.to_string(),
        "failed to prune fields: failed to convert merged object to last applied version: the plugin trapped"
    );
}
