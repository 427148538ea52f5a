use expect_test::{Expect, expect};
use serde_json::{Value, json};

use super::*;

fn anchor() -> Value {
    json!({
        "group": "example.com",
        "names": {"plural": "anchors", "kind": "Anchor"},
        "versions": [{"name": "v1"}],
    })
}

/// Puts a value at a JSON pointer of a good resource, and shows what the manifest's author is told.
#[track_caller]
fn check(pointer: &str, value: Value, shown: &Expect) {
    let mut resource = anchor();
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    resource
        .pointer_mut(parent)
        .and_then(Value::as_object_mut)
        .expect("an object")
        .insert(field.to_owned(), value);
    let manifest = json!({"resources": [resource]}).to_string();
    let told = match parse(&manifest, Exports::default()) {
        Ok(_) => "served".to_owned(),
        Err(line) => line,
    };
    shown.assert_eq(&told);
}

#[test]
fn completes_what_is_left_out() {
    let manifest = json!({"resources": [anchor()]}).to_string();
    let definitions = parse(&manifest, Exports::default()).expect("a manifest");
    let definition = &definitions[0];
    assert_eq!(definition.names.singular, "anchor");
    assert_eq!(definition.names.list_kind, "AnchorList");
    assert_eq!(definition.scope, Scope::Namespaced);
    assert_eq!(definition.name_rule, NameRule::DnsSubdomain);
    assert_eq!(definition.object_model, ObjectModel::Custom);
    let version = definition.storage_version();
    assert!(version.served && !version.has_status);
    assert_eq!(version.deprecation_warning, None);
}

#[test]
fn warns_of_deprecated_versions_in_the_usual_words() {
    let mut resource = anchor();
    resource["versions"][0]["deprecated"] = json!(true);
    let manifest = json!({"resources": [resource]}).to_string();
    let definitions = parse(&manifest, Exports::default()).expect("a manifest");
    assert_eq!(
        definitions[0].versions[0].deprecation_warning.as_deref(),
        Some("example.com/v1 Anchor is deprecated")
    );
}

#[test]
fn names_the_field_that_is_wrong() {
    check("/scope", json!("Cluster"), &expect!["served"]);
    check(
        "/scope",
        json!("Global"),
        &expect![[r#"resources[0].scope: must be one of Namespaced, Cluster, not "Global""#]],
    );
    check(
        "/colour",
        json!(1),
        &expect![
            "resources[0].colour: is not known: remove it; known here are group, names, scope, nameRule, objectModel, update, backend, preserveUnknownFields, conversion, versions"
        ],
    );
    check(
        "/names/plural",
        json!("Anchors"),
        &expect![[
            r#"resources[0].names.plural: "Anchors" is no name: a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"#
        ]],
    );
    check(
        "/names/kind",
        Value::Null,
        &expect!["resources[0].names.kind: is missing: add it"],
    );
    check(
        "/backend",
        json!({}),
        &expect![
            "resources[0].backend: the component exports no `backend`: export it, or remove this field"
        ],
    );
    check(
        "/update",
        json!({"allowUnconditional": true, "x": 1}),
        &expect![
            "resources[0].update: unknown field `x`, expected one of `allowUnconditional`, `allowCreate`, `resetStatus`"
        ],
    );
}

#[test]
fn checks_versions() {
    check(
        "/versions",
        json!([]),
        &expect!["resources[0].versions: is empty: add at least one version"],
    );
    check(
        "/versions",
        json!([{"name": "v1"}, {"name": "v2"}]),
        &expect![[r#"resources[0].versions: exactly one has `"storage": true`"#]],
    );
    check(
        "/versions",
        json!([{"name": "v1", "storage": true}, {"name": "v1"}]),
        &expect![[r#"resources[0].versions[1].name: "v1" is there twice: remove one"#]],
    );
    check(
        "/versions",
        json!([{"name": "v1", "additionalPrinterColumns": [{"name": "A", "type": "text"}]}]),
        &expect![
            "resources[0].versions[0].additionalPrinterColumns[0]: type: must be one of string, integer, number, boolean, date"
        ],
    );
    check(
        "/versions",
        json!([{"name": "v1", "selectableFields": [{"jsonPath": ".spec.list[0]"}]}]),
        &expect![
            "resources[0].versions[0].selectableFields[0].jsonPath: must be a simple path like .spec.color"
        ],
    );
    check(
        "/versions",
        json!([{"name": "v1", "subresources": {"scale": {"specReplicasPath": "x", "statusReplicasPath": "y"}}}]),
        &expect![
            "resources[0].versions[0].subresources.scale.specReplicasPath: must begin with .spec."
        ],
    );
}

#[test]
fn protects_the_groups_of_kubernetes() {
    for group in ["apps", "k8s.io", "x.k8s.io", "kubernetes.io"] {
        let mut resource = anchor();
        resource["group"] = json!(group);
        let mut manifest = json!({"resources": [resource]});
        let error = parse(&manifest.to_string(), Exports::default()).expect_err("protected");
        assert!(error.contains("is a protected group"), "{error}");
        manifest["annotations"] = json!({APPROVED: "https://example.com/approval"});
        parse(&manifest.to_string(), Exports::default()).expect("approved");
    }
    check("/group", json!("notk8s.io"), &expect!["served"]);
}

#[test]
fn refuses_two_resources_of_one_name() {
    let manifest = json!({"resources": [anchor(), anchor()]}).to_string();
    expect![
        "resources[1].names: anchors.example.com has the plural or kind of anchors.example.com before it: rename one"
    ]
    .assert_eq(&parse(&manifest, Exports::default()).expect_err("taken"));
}

#[test]
fn reads_a_custom_resource_definition() {
    let mut spec = anchor();
    spec["scope"] = json!("Namespaced");
    spec["conversion"] = json!({"strategy": "None"});
    let mut document = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "anchors.example.com"},
        "spec": spec,
    });
    let definition = custom_resource_definition(document.clone()).expect("a definition");
    assert_eq!(definition.names.kind, "Anchor");
    document["metadata"]["name"] = json!("anchor.example.com");
    expect![[r#"metadata.name: must be spec.names.plural+"."+spec.group, "anchors.example.com""#]]
        .assert_eq(&custom_resource_definition(document).expect_err("another name"));
}
