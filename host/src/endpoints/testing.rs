//! Definitions that tests of documents share.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::registry::definition::{
    NameRule, Names, ObjectModel, ResourceDefinition, ScaleDefinition, Scope, SelectableField,
    UpdateRules, VersionDefinition,
};
use crate::registry::schema::Schema;

/// As k8s.io/sample-apiserver serves them: cargos in two versions, barges in one and for the cluster.
pub(super) fn yard() -> Vec<ResourceDefinition> {
    let cargo = |reference: Value| {
        json!({
            "type": "object",
            "description": "Cargo is an example type with a spec and a status.",
            "properties": {
                "spec": {"type": "object", "default": {}, "properties": reference},
                "status": {"type": "object", "default": {}},
            },
        })
    };
    let alpha =
        cargo(json!({"reference": {"type": "string"}, "referenceType": {"type": "string"}}));
    let beta = cargo(json!({
        "cargoReference": {"type": "string"},
        "bargeReference": {"type": "string"},
        "referenceType": {"type": "string"},
    }));
    let barge = json!({
        "type": "object",
        "properties": {
            "disallowedCargos": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "atomic"},
        },
    });
    vec![
        ResourceDefinition {
            versions: vec![
                version("v1alpha1", &alpha, true),
                version("v1beta1", &beta, false),
            ],
            ..definition("yard.example.com", "Cargo", ObjectModel::Typed)
        },
        ResourceDefinition {
            scope: Scope::Cluster,
            versions: vec![version("v1alpha1", &barge, true)],
            ..definition("yard.example.com", "Barge", ObjectModel::Typed)
        },
    ]
}

/// As a CustomResourceDefinition with most of what schemas can say.
pub(super) fn anchors() -> ResourceDefinition {
    let schema = json!({
        "type": "object",
        "description": "A Anchor.",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 0, "maximum": 100, "description": "How big it is."},
                    "port": {"x-kubernetes-int-or-string": true},
                    "maybe": {"type": "string", "nullable": true},
                    "choice": {
                        "type": "object",
                        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
                        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                    },
                    "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                             "properties": {"known": {"type": "string", "default": "x"}}},
                    "embedded": {"type": "object", "x-kubernetes-embedded-resource": true,
                                 "x-kubernetes-preserve-unknown-fields": true},
                },
            },
            "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}},
        },
    });
    let mut version = version("v1", &schema, true);
    version.has_status = true;
    version.scale = Some(ScaleDefinition {
        spec_replicas_path: ".spec.size".into(),
        status_replicas_path: ".status.replicas".into(),
        label_selector_path: None,
    });
    version.selectable_fields = vec![SelectableField {
        json_path: ".spec.size".into(),
    }];
    let mut definition = definition("pier.example.com", "Anchor", ObjectModel::Custom);
    definition.names.short_names = vec!["wd".into()];
    definition.names.categories = vec!["all".into()];
    definition.versions = vec![version];
    definition
}

fn definition(group: &str, kind: &str, object_model: ObjectModel) -> ResourceDefinition {
    let singular = kind.to_lowercase();
    ResourceDefinition {
        group: group.into(),
        names: Names {
            plural: format!("{singular}s"),
            singular,
            kind: kind.into(),
            list_kind: format!("{kind}List"),
            ..Names::default()
        },
        scope: Scope::Namespaced,
        versions: Vec::new(),
        name_rule: NameRule::default(),
        object_model,
        update: UpdateRules::default(),
        backend: None,
    }
}

fn version(name: &str, schema: &Value, storage: bool) -> VersionDefinition {
    VersionDefinition {
        name: name.into(),
        served: true,
        storage,
        deprecation_warning: None,
        schema: Arc::new(Schema::compile(schema).expect("a structural schema")),
        columns: Vec::new(),
        exports_columns: false,
        selectable_fields: Vec::new(),
        has_status: false,
        scale: None,
        empty_object: None,
    }
}
