//! Types from OpenAPI: a structural `openAPIV3Schema`, as a CustomResourceDefinition has it and as a server writes
//! for types of its own.
//!
//! `metadata` is always the real ObjectMeta, whatever the document says of it, and `apiVersion` and `kind` are strings;
//! the same below `x-kubernetes-embedded-resource`. Understood are `type`, `format`, `properties`,
//! `additionalProperties`, `items`, `default` and the `x-kubernetes-` keywords `list-type`, `list-map-keys`, `map-type`,
//! `preserve-unknown-fields`, `embedded-resource`, and, where a list has no type, `patch-strategy` with
//! `patch-merge-key`. `x-kubernetes-int-or-string` needs no reading: such a value has no `type`, and so may be
//! anything. All else is validation, which is not decided here. There are no references.
//!
//! Follows `ToSchemaFromOpenAPI` in k8s.io/kube-openapi/pkg/schemaconv, and the CustomResourceDefinitions' builder in
//! k8s.io/apiextensions-apiserver/pkg/controller/openapi.

mod metadata;

use std::sync::Arc;

use serde_json::Value;

use super::builder::{Builder, DEDUCED, UNTYPED};
use super::{Atom, List, Map, Relationship, Scalar, SchemaError, StructField, Type, TypeRef};
use crate::literal::Literal;

const OBJECT: &str = "object";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The type of the objects that a structural schema describes.
pub fn object_type(document: &Value) -> Result<Type, SchemaError> {
    let mut reader = Reader::default();
    let metadata = metadata::object_meta();
    let metadata = reader.atom(&metadata, Context::new("metadata"))?;
    reader.builder.define(OBJECT_META, metadata);

    let context = Context {
        is_resource: true,
        ..Context::new("openAPIV3Schema")
    };
    let object = reader.atom(document, context)?;
    let of = reader.builder.define(OBJECT, object);
    reader.builder.define_common();
    match reader.errors.is_empty() {
        true => Ok(Type {
            schema: Arc::new(reader.builder.finish()),
            of,
        }),
        false => Err(SchemaError(reader.errors.join("\n"))),
    }
}

#[derive(Default)]
struct Reader {
    builder: Builder,
    errors: Vec<String>,
}

#[derive(Clone, Copy)]
struct Context<'a> {
    /// Where in the document, for errors.
    name: &'a str,
    /// `x-kubernetes-preserve-unknown-fields` stands above.
    preserves_unknown: bool,
    /// It has `apiVersion`, `kind` and `metadata`.
    is_resource: bool,
}

impl<'a> Context<'a> {
    fn new(name: &'a str) -> Self {
        Self {
            name,
            preserves_unknown: false,
            is_resource: false,
        }
    }

    fn below<'b>(&self, name: &'b str) -> Context<'b> {
        Context {
            name,
            preserves_unknown: self.preserves_unknown,
            is_resource: false,
        }
    }
}

impl Reader {
    fn report(&mut self, context: Context<'_>, message: &str) {
        self.errors.push(format!("{}: {message}", context.name));
    }

    fn atom(&mut self, schema: &Value, mut context: Context<'_>) -> Result<Atom, SchemaError> {
        if !schema.is_object() {
            return Err(SchemaError(format!("{}: no schema", context.name)));
        }
        context.preserves_unknown |= is_true(schema, "x-kubernetes-preserve-unknown-fields");
        context.is_resource |= is_true(schema, "x-kubernetes-embedded-resource");
        let mut atom = Atom::default();
        match schema
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
        {
            "" => {
                atom.scalar = Some(Scalar::Untyped);
                atom.list = Some(self.list(schema, context)?);
                atom.map = Some(self.map(schema, context)?);
            }
            "object" => atom.map = Some(self.map(schema, context)?),
            "array" => atom.list = Some(self.list(schema, context)?),
            "integer" | "number" => atom.scalar = Some(Scalar::Numeric),
            "boolean" => atom.scalar = Some(Scalar::Boolean),
            "string" => {
                let format = schema.get("format").and_then(Value::as_str);
                atom.scalar = Some(match format {
                    None | Some("" | "byte") => Scalar::String,
                    Some(_) => Scalar::Untyped,
                });
            }
            other => self.report(context, &format!("unrecognized type: '{other}'")),
        }
        Ok(atom)
    }

    fn inlined(&mut self, schema: &Value, context: Context<'_>) -> Result<TypeRef, SchemaError> {
        let atom = self.atom(schema, context)?;
        Ok(self.builder.inlined(atom))
    }

    fn map(&mut self, schema: &Value, context: Context<'_>) -> Result<Map, SchemaError> {
        let mut fields = Vec::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let of = self.inlined(property, context.below(name))?;
            let default = property.get("default").filter(|it| !it.is_null());
            fields.push(StructField {
                name: name.as_str().into(),
                of,
                default: default.map(Literal::from),
            });
        }
        if context.is_resource {
            self.add_type_and_metadata(&mut fields);
        }
        let element = match schema.get("additionalProperties") {
            // An object of which nothing is said may have anything.
            None | Some(Value::Null) if context.preserves_unknown || fields.is_empty() => {
                Some(self.builder.named(DEDUCED))
            }
            None | Some(Value::Null | Value::Bool(false)) => None,
            Some(Value::Bool(true)) => Some(self.builder.named(DEDUCED)),
            Some(other) => {
                let name = format!("{}.additionalProperties", context.name);
                Some(self.inlined(other, context.below(&name))?)
            }
        };
        let relationship = self.map_relationship(schema, context);
        Ok(self.builder.map(fields, element, relationship))
    }

    fn add_type_and_metadata(&mut self, fields: &mut Vec<StructField>) {
        for name in ["apiVersion", "kind"] {
            let atom = Atom {
                scalar: Some(Scalar::String),
                ..Atom::default()
            };
            fields.push(StructField {
                name: name.into(),
                of: self.builder.inlined(atom),
                default: None,
            });
        }
        fields.push(StructField {
            name: "metadata".into(),
            of: self.builder.named(OBJECT_META),
            default: None,
        });
    }

    fn map_relationship(&mut self, schema: &Value, context: Context<'_>) -> Relationship {
        match schema.get("x-kubernetes-map-type").map(Value::as_str) {
            None | Some(Some("granular")) => Relationship::Separable,
            Some(Some("atomic")) => Relationship::Atomic,
            Some(other) => {
                let other = other.unwrap_or_default();
                self.report(context, &format!("unknown map type {other}"));
                Relationship::Separable
            }
        }
    }

    fn list(&mut self, schema: &Value, context: Context<'_>) -> Result<List, SchemaError> {
        let (relationship, keys) = match list_relationship(schema) {
            Ok(it) => it,
            Err(message) => {
                self.report(context, &message);
                (Relationship::Atomic, Vec::new())
            }
        };
        let element = match schema.get("items") {
            Some(items) => {
                let name = format!("{}.items", context.name);
                self.inlined(items, context.below(&name))?
            }
            None => {
                if schema.get("type").is_some() {
                    self.report(context, "`items` must be specified on arrays");
                }
                self.builder.named(UNTYPED)
            }
        };
        Ok(List {
            element: Some(element),
            relationship,
            keys,
        })
    }
}

fn is_true(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}

fn list_relationship(schema: &Value) -> Result<(Relationship, Vec<Arc<str>>), String> {
    let keyword = |name: &str| schema.get(name).map(|it| it.as_str().unwrap_or_default());
    match keyword("x-kubernetes-list-type") {
        None => {}
        Some("atomic") => return Ok((Relationship::Atomic, Vec::new())),
        Some("set") => return Ok((Relationship::Associative, Vec::new())),
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys");
            let keys = keys.ok_or("missing map keys")?;
            let keys = keys
                .as_array()
                .ok_or_else(|| format!("uninterpreted map keys: {keys}"))?;
            let keys = keys.iter().filter_map(Value::as_str).map(Arc::from);
            return Ok((Relationship::Associative, keys.collect()));
        }
        Some(other) => return Err(format!("unknown list type {other}")),
    }
    match keyword("x-kubernetes-patch-strategy") {
        None | Some("retainKeys") => Ok((Relationship::Atomic, Vec::new())),
        Some("merge" | "merge,retainKeys") => {
            let key = keyword("x-kubernetes-patch-merge-key").map(Arc::from);
            Ok((Relationship::Associative, key.into_iter().collect()))
        }
        Some(other) => Err(format!("unknown patch strategy {other}")),
    }
}
