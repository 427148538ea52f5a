//! The scale subresource: autoscaling/v1 Scale as a view of the fields that a resource names (L9).
//!
//! Follows apiextensions-apiserver, pkg/registry/customresource/etcd.go, ScaleREST. An object without replicas
//! has no scale to read; one can be set.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::definition::{ColumnDefinition, Form, ObjectModel, ResourceDefinition, ScaleDefinition};
use super::schema::Schema;
use crate::api::Object;
use crate::api::status::{self, Result};

mod fields;

pub use fields::{validate, validate_status};

/// The subresource's name.
pub const SCALE: &str = "scale";

pub const API_VERSION: &str = "autoscaling/v1";
pub const KIND: &str = "Scale";

/// Replicas of an object that has none: no client sends it.
const UNSET: i64 = i32::MIN as i64;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::compile(&document()).expect("the schema of autoscaling/v1 Scale compiles: a test")
});

/// The openAPIV3Schema of autoscaling/v1 Scale.
pub fn document() -> Value {
    let integer = json!({"type": "integer", "format": "int32", "default": 0});
    json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "default": {}, "properties": {"replicas": integer}},
            "status": {
                "type": "object",
                "default": {},
                "properties": {"replicas": integer, "selector": {"type": "string"}},
            },
        },
    })
}

/// The form of the subresource's documents.
pub fn form() -> Form<'static> {
    Form {
        group: "autoscaling",
        version: "v1",
        kind: KIND,
        schema: &SCHEMA,
        object_model: ObjectModel::Typed,
    }
}

/// What `kubectl get` shows of a scale.
pub fn columns() -> Vec<ColumnDefinition> {
    let column = |name: &str, description: &str, path: &str| ColumnDefinition {
        name: name.into(),
        column_type: "integer".into(),
        format: String::new(),
        description: description.into(),
        priority: 0,
        json_path: path.into(),
    };
    vec![
        column("Desired", "Number of desired replicas", ".spec.replicas"),
        column("Available", "Number of actual replicas", ".status.replicas"),
        ObjectModel::Custom.default_column(),
    ]
}

/// One object's scale.
pub struct Scaling<'a> {
    definition: &'a ScaleDefinition,
    scale: Object,
    has_replicas: bool,
}

impl<'a> Scaling<'a> {
    /// The scale of `object`, which is in `version`.
    ///
    /// # Errors
    /// 500 where a field that it shows is of another type.
    pub fn of(definition: &'a ResourceDefinition, version: &str, object: &Object) -> Result<Self> {
        let found = definition.version(version).and_then(|it| it.scale.as_ref());
        let definition = found.ok_or_else(status::resource_not_found)?;
        let wrong = |why: String| status::unclassified(why);
        let replicas = fields::integer(&object.0, &definition.spec_replicas_path).map_err(wrong)?;
        let current =
            fields::integer(&object.0, &definition.status_replicas_path).map_err(wrong)?;
        let selector = match &definition.label_selector_path {
            Some(path) => fields::text(&object.0, path).map_err(wrong)?,
            None => None,
        };
        let mut metadata = Map::new();
        for field in [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "creationTimestamp",
        ] {
            if let Some(value) = object.metadata().get(field) {
                metadata.insert(field.into(), value.clone());
            }
        }
        let mut status = json!({"replicas": current.unwrap_or(0)});
        if let Some(selector) = selector.filter(|it| !it.is_empty()) {
            status["selector"] = selector.into();
        }
        let scale = json!({
            "kind": KIND,
            "apiVersion": API_VERSION,
            "metadata": metadata,
            "spec": {"replicas": replicas.unwrap_or(0)},
            "status": status,
        });
        let Value::Object(scale) = scale else {
            return Err(status::internal("a scale is an object"));
        };
        Ok(Self {
            definition,
            scale: Object(scale),
            has_replicas: replicas.is_some(),
        })
    }

    /// What a get shows.
    ///
    /// # Errors
    /// 500 where the object has no replicas.
    pub fn shown(self) -> Result<Object> {
        if self.has_replicas {
            return Ok(self.scale);
        }
        let path = &self.definition.spec_replicas_path;
        Err(status::internal(format!(
            "the spec replicas field {path:?} does not exist"
        )))
    }

    /// What a write shows of the object that it made.
    pub fn written(self) -> Object {
        self.scale
    }

    /// What a change is applied to.
    pub fn before_change(&self) -> Object {
        let mut scale = self.scale.clone();
        if !self.has_replicas {
            scale.set("spec", Some(json!({"replicas": UNSET})));
        }
        scale
    }

    /// `object` with the replicas that `scale` wants.
    ///
    /// # Errors
    /// 400 where they are still unset.
    pub fn scaled(&self, mut object: Object, scale: &Object) -> Result<Object> {
        let spec = scale.0.get("spec");
        let replicas = spec
            .and_then(|it| it.get("replicas"))
            .and_then(Value::as_i64);
        let replicas = replicas.unwrap_or(0);
        let path = &self.definition.spec_replicas_path;
        if replicas == UNSET {
            return Err(status::bad_request(format!(
                "the spec replicas field {path:?} cannot be empty"
            )));
        }
        fields::set(&mut object.0, path, replicas.into()).map_err(status::unclassified)?;
        for field in ["resourceVersion", "uid"] {
            let given = scale.meta(field);
            if !given.is_empty() {
                object.set_meta(field, given);
            }
        }
        Ok(object)
    }
}
