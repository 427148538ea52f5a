//! Structural schemas (apiextensions' `openAPIV3Schema`): compiled once at load; prune, default, validate.
//!
//! Follows k8s.io/apiextensions-apiserver, pkg/apiserver/schema, and the texts of k8s.io/kube-openapi,
//! pkg/validation. A schema is at most 64 levels deep and has at most 50,000 nodes and 1,000 patterns of 1 MiB
//! each when compiled. What validating one object may take is bounded (`work`); it finds at most 1,000 errors.
//!
//! Rules of `x-kubernetes-validations` (CEL) are not evaluated; [`Schema::has_rules`] tells where there are some.

mod check_defaults;
mod compile;
mod default;
mod embedded;
mod formats;
mod keywords;
mod lists;
mod operand;
mod patch_meta;
mod pattern;
mod prune;
mod rules;
mod structural;
mod validate;
mod work;

use serde_json::{Map, Value};

use crate::api::status::FieldError;
use compile::Node;
use operand::Operand;

pub use patch_meta::{Merging, PatchMeta};

/// A compiled `openAPIV3Schema` of a whole object.
#[derive(Debug)]
pub struct Schema {
    document: Value,
    root: Node,
    has_rules: bool,
}

impl Schema {
    /// # Errors
    /// One line to be put behind the place of the document: `.properties[spec].type: …`, or `: …`.
    pub fn compile(document: &Value) -> Result<Self, String> {
        let document = compile::read(document)?;
        let (mut root, has_rules) = compile::compile(&document)?;
        check_defaults::check(&root)?;
        root.prune_defaults();
        Ok(Self {
            document: Value::Object(document),
            root,
            has_rules,
        })
    }

    /// What the schema may not have at its root where there is a status subresource.
    ///
    /// # Errors
    /// As [`Schema::compile`].
    pub fn check_beside_status(&self) -> Result<(), String> {
        structural::check_beside_status(self.map())
    }

    /// Whether field selectors can select by the field at a path like `.spec.color`; its name without the dot.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn check_selectable(&self, path: &str) -> Result<String, &'static str> {
        let (names, node) = rules::find(self.map(), path, false)?;
        if names.first().is_some_and(|it| it == "metadata") {
            return Err("must not point to fields in metadata");
        }
        let of_type = node.map_or("", |it| keywords::text(it, "type"));
        if matches!(of_type, "string" | "boolean" | "integer") {
            Ok(names.join("."))
        } else {
            Err("must point to a field of type string, boolean or integer")
        }
    }

    /// What was compiled, for OpenAPI.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Whether it has rules of `x-kubernetes-validations`, which are not evaluated.
    pub fn has_rules(&self) -> bool {
        self.has_rules
    }

    /// Brings a client's object into the form in which it is checked and kept: without the fields that the schema
    /// does not have and without nulls that mean nothing, with canonical metadata of embedded resources, and with
    /// defaults. Returns the paths of the unknown fields (`spec.x`, `spec.list[0].y`). The object's own type and
    /// metadata stay as they are.
    ///
    /// # Errors
    /// A field of an embedded resource that is of a wrong type.
    pub fn decode(&self, object: &mut Map<String, Value>) -> Result<Vec<String>, FieldError> {
        let mut unknown = self.prune(object);
        default::drop_nulls(&self.root, object);
        embedded::coerce(&self.root, object, false, &mut unknown)?;
        default::default(&self.root, object);
        Ok(unknown)
    }

    /// Brings an object that was stored, or converted from another version, into the form of this schema. What does
    /// not fit is left out. Returns whether anything has changed.
    pub fn read(&self, object: &mut Map<String, Value>) -> bool {
        let mut is_changed = !self.prune(object).is_empty();
        is_changed |= default::drop_nulls(&self.root, object);
        is_changed |= embedded::tidy(&self.root, object);
        is_changed |= default::default(&self.root, object);
        is_changed
    }

    /// Whether every object has the form of the schema already.
    pub fn takes_anything(&self) -> bool {
        self.root.preserves_unknown && !self.root.has_fields() && !self.root.has_defaults
    }

    /// Removes the fields that the schema does not have, and returns their paths (`spec.x`, `spec.list[0].y`),
    /// sorted. `apiVersion`, `kind` and `metadata` are always kept.
    pub fn prune(&self, object: &mut Map<String, Value>) -> Vec<String> {
        prune::prune(&self.root, object)
    }

    /// Removes nulls where they mean nothing, and fills in the schema's defaults.
    pub fn default(&self, object: &mut Map<String, Value>) {
        default::drop_nulls(&self.root, object);
        default::default(&self.root, object);
    }

    /// Everything that is not as the schema wants it.
    pub fn validate(&self, object: &Map<String, Value>) -> Vec<FieldError> {
        let mut errors = validate::validate(&self.root, Operand::Map(object), None, "");
        errors.extend(embedded::validate(&self.root, object));
        errors.extend(lists::validate(&self.root, object));
        errors
    }

    /// As [`Schema::validate`], of an object that there was: what is wrong and has not changed is tolerated
    /// (KEP-4008).
    pub fn validate_update(
        &self,
        new: &Map<String, Value>,
        old: &Map<String, Value>,
    ) -> Vec<FieldError> {
        let old_value = Some(Operand::Map(old));
        let mut errors = validate::validate(&self.root, Operand::Map(new), old_value, "");
        errors.extend(embedded::validate(&self.root, new));
        errors.extend(self.new_duplicates(new, old));
        errors
    }

    /// As [`Schema::validate_update`], of the status subresource: only the status is looked at.
    pub fn validate_status_update(
        &self,
        new: &Map<String, Value>,
        old: &Map<String, Value>,
    ) -> Vec<FieldError> {
        let mut errors = match (new.get("status"), self.root.field("status")) {
            (Some(status), Some(node)) => {
                let old = old.get("status").map(Operand::from);
                validate::validate(node, Operand::from(status), old, "status")
            }
            _ => Vec::new(),
        };
        errors.extend(self.new_duplicates(new, old));
        errors
    }

    /// Duplicates in sets and maps are tolerated where there were some before, wherever they were.
    fn new_duplicates(
        &self,
        new: &Map<String, Value>,
        old: &Map<String, Value>,
    ) -> Vec<FieldError> {
        let errors = lists::validate(&self.root, new);
        if errors.is_empty() || lists::validate(&self.root, old).is_empty() {
            errors
        } else {
            Vec::new()
        }
    }

    /// The first field of a wrong type: what a typed server's decoder would trip over.
    pub fn type_error(&self, object: &Map<String, Value>) -> Option<FieldError> {
        let errors = validate::validate(&self.root, Operand::Map(object), None, "");
        errors
            .into_iter()
            .find(|it| it.reason == "FieldValueTypeInvalid")
    }

    /// How fields are merged by strategic merge patches.
    pub fn patch_meta(&self) -> PatchMeta<'_> {
        PatchMeta::of_object(&self.root)
    }

    /// Adds the cause that tells clients of rules that were not checked, where upstream adds it.
    /// Comes when all other errors of the object, those of its metadata too, are there.
    pub fn add_unchecked_rules(&self, errors: &mut Vec<FieldError>) {
        const BLOCKING: [&str; 5] = [
            "FieldValueNotSupported",
            "FieldValueRequired",
            "FieldValueTooLong",
            "FieldValueTooMany",
            "FieldValueTypeInvalid",
        ];
        if self.has_rules && errors.iter().any(|it| BLOCKING.contains(&it.reason)) {
            errors.push(FieldError::invalid(
                "<nil>",
                &Value::Null,
                "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
            ));
        }
    }

    fn map(&self) -> &Map<String, Value> {
        self.document
            .as_object()
            .expect("it was made of an object in compile")
    }
}

/// Where a value stands, rendered only when there is something to tell about it.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    /// A field of the root that `additionalProperties` describe.
    Dotted(&'a str),
    /// A field that `additionalProperties` describe, as apimachinery's paths show it.
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Dotted(name) => write!(f, ".{name}"),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Key(parent, name) => write!(f, "{parent}[{name}]"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests;
