//! What the original's server answered, hook by hook.

use outrigger_sdk::testing;

use super::*;

fn target(version: &str, resource: &str) -> Target {
    Target {
        group: "wardle.example.com".into(),
        version: version.into(),
        resource: resource.into(),
        name: Some("a".into()),
        operation: "create".into(),
        ..Target::default()
    }
}

fn flunder(version: &str, spec: Value) -> Object {
    json!({
        "apiVersion": format!("wardle.example.com/{version}"),
        "kind": "Flunder",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": spec,
    })
    .into()
}

fn defaulted(version: &str, spec: Value) -> Value {
    let mut object = flunder(version, spec);
    Wardle::defaults(&target(version, "flunders"), &mut object).expect("defaults never fail");
    object["spec"].clone()
}

fn converted(from: &str, to: &str, spec: Value) -> Value {
    let mut object = flunder(from, spec);
    Wardle::convert(&mut object, to).expect("every spec converts");
    object["spec"].clone()
}

fn causes(spec: Value) -> Vec<String> {
    let checked = Wardle::validate(
        &target("v1beta1", "flunders"),
        &flunder("v1beta1", spec),
        None,
    );
    let causes = checked
        .err()
        .map(|failure| failure.causes)
        .unwrap_or_default();
    causes
        .iter()
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect()
}

#[test]
fn defaults_the_type_of_a_reference_in_v1alpha1_only() {
    let defaults = |version| defaulted(version, json!({"reference": "x"}));
    assert_eq!(
        defaults("v1alpha1"),
        json!({"reference": "x", "referenceType": "Flunder"})
    );
    assert_eq!(defaults("v1beta1"), json!({"reference": "x"}));
    assert_eq!(defaulted("v1alpha1", json!({})), json!({}));
    assert_eq!(
        defaulted("v1alpha1", json!({"reference": "x", "referenceType": ""})),
        json!({"reference": "x", "referenceType": "Flunder"})
    );
    assert_eq!(
        defaulted(
            "v1alpha1",
            json!({"reference": "x", "referenceType": "Fischer"})
        ),
        json!({"reference": "x", "referenceType": "Fischer"})
    );
}

#[test]
fn keeps_no_empty_fields() {
    assert_eq!(
        defaulted(
            "v1beta1",
            json!({"flunderReference": "", "referenceType": null})
        ),
        json!({})
    );

    let mut fischer = Object::from(json!({"kind": "Fischer", "disallowedFlunders": []}));
    Wardle::defaults(&target("v1alpha1", "fischers"), &mut fischer).expect("defaults never fail");
    assert_eq!(*fischer, json!({"kind": "Fischer"}));
}

#[test]
fn converts_there_and_back() {
    for (alpha, beta) in [
        (json!({}), json!({})),
        (
            json!({"reference": "f1", "referenceType": "Fischer"}),
            json!({"fischerReference": "f1", "referenceType": "Fischer"}),
        ),
        (
            json!({"reference": "f1", "referenceType": "Flunder"}),
            json!({"flunderReference": "f1", "referenceType": "Flunder"}),
        ),
    ] {
        assert_eq!(converted("v1alpha1", "v1beta1", alpha.clone()), beta);
        assert_eq!(converted("v1beta1", "v1alpha1", beta), alpha);
    }
}

#[test]
fn drops_references_of_an_unknown_type_when_it_converts() {
    let spec = json!({"reference": "x", "referenceType": "Nope"});
    assert_eq!(converted("v1alpha1", "v1beta1", spec), json!({}));
}

#[test]
fn says_what_is_wrong_with_a_spec() {
    for (spec, expected) in [
        (json!({}), vec![]),
        (
            json!({"referenceType": "Fischer", "fischerReference": "f1"}),
            vec![],
        ),
        (
            json!({"flunderReference": "q", "fischerReference": "r"}),
            vec![
                r#"spec.fischerReference: Invalid value: "r": cannot be set with flunderReference at the same time"#,
            ],
        ),
        (
            json!({"flunderReference": "q", "referenceType": "Fischer"}),
            vec![
                r#"spec.flunderReference: Invalid value: "q": cannot be set if referenceType is not Flunder"#,
            ],
        ),
        (
            json!({"fischerReference": "q", "referenceType": "Nope"}),
            vec![
                r#"spec.fischerReference: Invalid value: "q": cannot be set if referenceType is not Fischer"#,
                r#"spec.referenceType: Invalid value: "Nope": must be Flunder or Fischer"#,
            ],
        ),
        (
            json!({"referenceType": "Fischer"}),
            vec![
                r#"spec.fischerReference: Invalid value: "": cannot be empty if referenceType is Fischer"#,
            ],
        ),
        (
            json!({"referenceType": "Flunder"}),
            vec![
                r#"spec.flunderReference: Invalid value: "": cannot be empty if referenceType is Flunder"#,
            ],
        ),
        (
            json!({"referenceType": "Nope"}),
            vec![r#"spec.referenceType: Invalid value: "Nope": must be Flunder or Fischer"#],
        ),
    ] {
        assert_eq!(causes(spec), expected);
    }
}

#[test]
fn refuses_names_that_a_fischer_bans_on_create_alone() {
    let fischer = json!({
        "apiVersion": "wardle.example.com/v1alpha1",
        "kind": "Fischer",
        "metadata": {"name": "ban"},
        "disallowedFlunders": ["b", "a"],
    });
    testing::add_object(fischer.into(), "fischers");
    let mut target = target("v1beta1", "flunders");
    let new = flunder("v1beta1", json!({}));

    let failure = Wardle::validate(&target, &new, None).expect_err("the name is banned");
    assert_eq!((failure.code, failure.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        failure.message,
        r#"flunders.wardle.example.com "a" is forbidden: this name may not be used, please change the resource name"#
    );

    target.operation = "update".into();
    assert!(Wardle::validate(&target, &new, Some(&new)).is_ok());
}

#[test]
fn has_a_manifest_that_is_json() {
    let manifest: Value = Wardle::manifest().parse().expect("it is JSON");
    assert_eq!(manifest["resources"].as_array().map(Vec::len), Some(2));
}
