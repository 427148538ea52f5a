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
            r#"resources[0].names.plural: "Anchors" is no name: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"#
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
            "resources[0].versions[0].additionalPrinterColumns[0].type: must be one of string, integer, number, boolean, date"
        ],
    );
    check(
        "/versions",
        json!([{"name": "v1", "selectableFields": [{"jsonPath": ".spec.list[0]"}]}]),
        &expect![
            "resources[0].versions[0].selectableFields: need a schema that has them: add schema.openAPIV3Schema"
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
    let definition = custom_resource_definition(definition()).expect("a definition");
    assert_eq!(definition.names.kind, "Anchor");
    assert_eq!(definition.object_model, ObjectModel::Custom);
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "anchors.example.com", "labels": {"a": "b"}},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "anchors", "kind": "Anchor"},
            "conversion": {"strategy": "None"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}},
            }],
        },
    })
}

/// As [`check`], of a CustomResourceDefinition; null removes what is there.
#[track_caller]
fn check_definition(pointer: &str, value: Value, shown: &Expect) {
    let mut document = definition();
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut);
    let parent = parent.expect("an object");
    if value.is_null() {
        parent.remove(field);
    } else {
        parent.insert(field.to_owned(), value);
    }
    let told = match custom_resource_definition(document) {
        Ok(_) => "served".to_owned(),
        Err(line) => line,
    };
    shown.assert_eq(&told);
}

#[test]
fn definitions_are_what_kube_apiserver_takes() {
    check_definition(
        "/apiVersion",
        json!("apiextensions.k8s.io/v1beta1"),
        &expect!["apiVersion: must be apiextensions.k8s.io/v1, not apiextensions.k8s.io/v1beta1"],
    );
    check_definition(
        "/metadata/name",
        json!("anchor.example.com"),
        &expect![[
            r#"metadata.name: must be spec.names.plural+"."+spec.group, "anchors.example.com""#
        ]],
    );
    check_definition(
        "/spec/group",
        json!("example"),
        &expect!["spec.group: should be a domain with at least one dot"],
    );
    check_definition(
        "/spec/scope",
        Value::Null,
        &expect!["spec.scope: is missing: add it"],
    );
    check_definition(
        "/spec/nameRule",
        json!("dnsLabel"),
        &expect![
            "spec.nameRule: is not known: remove it; known here are group, names, scope, preserveUnknownFields, conversion, versions"
        ],
    );
    check_definition(
        "/spec/conversion",
        json!({"strategy": "Webhook"}),
        &expect![
            "spec.conversion.strategy: only None is known: export `convert` from a plugin instead"
        ],
    );
    check_definition(
        "/spec/preserveUnknownFields",
        json!(true),
        &expect![
            "spec.preserveUnknownFields: must be false: use x-kubernetes-preserve-unknown-fields in the schema"
        ],
    );
    check_definition(
        "/spec/versions/0/storage",
        Value::Null,
        &expect![[r#"spec.versions: exactly one has `"storage": true`"#]],
    );
    check_definition(
        "/spec/versions/0/served",
        Value::Null,
        &expect!["spec.versions: at least one must be served"],
    );
    check_definition(
        "/spec/versions/0/schema",
        Value::Null,
        &expect!["spec.versions[0].schema.openAPIV3Schema: is missing: add it"],
    );
    check_definition(
        "/spec/versions/0/emptyObject",
        json!({}),
        &expect![
            "spec.versions[0].emptyObject: is not known: remove it; known here are name, served, storage, deprecated, deprecationWarning, schema, additionalPrinterColumns, selectableFields, subresources"
        ],
    );
}

#[test]
fn names_the_place_within_a_schema() {
    let schema = |it: Value| json!({ "openAPIV3Schema": it });
    check_definition(
        "/spec/versions/0/schema",
        schema(json!({"type": "object", "properties": {"spec": {"type": "array"}}})),
        &expect![
            "spec.versions[0].schema.openAPIV3Schema.properties[spec].items: must be specified"
        ],
    );
    check_definition(
        "/spec/versions/0/schema",
        schema(json!({"type": "array"})),
        &expect!["spec.versions[0].schema.openAPIV3Schema.items: must be specified"],
    );
    check_definition(
        "/spec/versions/0/schema",
        schema(json!([])),
        &expect!["spec.versions[0].schema.openAPIV3Schema: must be an object"],
    );
    let mut document = definition();
    document["spec"]["versions"][0]["subresources"] = json!({"status": {}});
    document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["maxProperties"] = json!(5);
    expect!["spec.versions[0].schema.openAPIV3Schema.maxProperties: is not allowed at the root of the schema if the status subresource is enabled"].assert_eq(&custom_resource_definition(document).expect_err("beside status"));
}

#[test]
fn checks_what_is_shown_and_selected() {
    let column = |path: &str| json!([{"name": "A", "type": "string", "jsonPath": path}]);
    let columns = "/spec/versions/0/additionalPrinterColumns";
    check_definition(
        columns,
        column(".spec.parts[?(@.a==\"x\")].b"),
        &expect!["served"],
    );
    check_definition(
        columns,
        column("spec"),
        &expect![
            "spec.versions[0].additionalPrinterColumns[0].jsonPath: must be a simple json path starting with ."
        ],
    );
    check_definition(
        columns,
        column(".spec["),
        &expect!["spec.versions[0].additionalPrinterColumns[0].jsonPath: unterminated array"],
    );
    check_definition(
        columns,
        column(""),
        &expect![
            "spec.versions[0].additionalPrinterColumns[0].jsonPath: is missing: add it, or export `columns` from a plugin"
        ],
    );
    check_definition(
        columns,
        json!([{"name": "A", "type": "string", "format": "x"}]),
        &expect![
            "spec.versions[0].additionalPrinterColumns[0].format: must be one of int32, int64, float, double, byte, date, date-time, password"
        ],
    );

    let fields = "/spec/versions/0/selectableFields";
    check_definition(
        fields,
        json!([{"jsonPath": ".spec.color"}]),
        &expect!["spec.versions[0].selectableFields[0].jsonPath: does not refer to a valid field"],
    );
    let many: Vec<Value> = (0..9)
        .map(|it| json!({"jsonPath": format!(".spec.map.f{it}")}))
        .collect();
    let with = |selectable: Value| {
        let mut document = definition();
        let version = &mut document["spec"]["versions"][0];
        version["schema"]["openAPIV3Schema"] = json!({"type": "object", "properties": {"spec": {"type": "object",
            "properties": {"map": {"type": "object", "additionalProperties": {"type": "string"}}}}}});
        version["selectableFields"] = selectable;
        custom_resource_definition(document).map(|_| ())
    };
    assert_eq!(with(json!(many[..8])), Ok(()));
    expect!["spec.versions[0].selectableFields: must have at most 8 items"]
        .assert_eq(&with(json!(many)).expect_err("too many"));
    expect!["spec.versions[0].selectableFields[1].jsonPath: is there twice: remove one"]
        .assert_eq(&with(json!([many[0], many[0]])).expect_err("twice"));
    expect!["spec.versions[0].selectableFields[0].jsonPath: must point to a field of type string, boolean or integer"].assert_eq(&with(json!([{"jsonPath": ".spec.map"}])).expect_err("no scalar"));
}

#[test]
fn checks_the_words_of_warnings() {
    let with = |warning: &str| {
        let mut document = definition();
        document["spec"]["versions"][0]["deprecated"] = json!(true);
        document["spec"]["versions"][0]["deprecationWarning"] = json!(warning);
        custom_resource_definition(document).map(|it| it.versions[0].deprecation_warning.clone())
    };
    assert_eq!(with("use v2"), Ok(Some("use v2".into())));
    for bad in ["", "a\nb", &"x".repeat(257)] {
        assert!(with(bad).is_err(), "{bad}");
    }
}

#[test]
fn approvals_are_urls_or_reasons() {
    let with = |approval: &str| {
        let mut document = definition();
        document["metadata"] =
            json!({"name": "anchors.x.k8s.io", "annotations": {APPROVED: approval}});
        document["spec"]["group"] = json!("x.k8s.io");
        custom_resource_definition(document).map(|_| ())
    };
    assert_eq!(with("https://example.com/approval"), Ok(()));
    assert_eq!(with("unapproved, an experiment"), Ok(()));
    assert!(with("yes").is_err());
    assert!(with("").is_err());
    check_definition(
        "/metadata/annotations",
        json!({APPROVED: "yes"}),
        &expect!["served"],
    );
}
