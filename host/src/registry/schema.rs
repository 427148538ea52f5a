//! Structural schemas (apiextensions' `openAPIV3Schema`): compiled once at load; prune, default, validate.
//!
//! Follows k8s.io/apiextensions-apiserver, pkg/apiserver/schema, and the texts of k8s.io/kube-openapi,
//! pkg/validation. A schema is at most 64 levels deep and has at most 50,000 nodes and 1,000 patterns of 1 MiB
//! each when compiled. Validating one object visits at most 4,000,000 nodes and finds at most 1,000 errors.
//!
//! Rules of `x-kubernetes-validations` (CEL) are not evaluated; [`Schema::has_rules`] tells where there are some.

mod compile;
mod formats;
mod lists;
mod pattern;
mod prune;
mod validate;

use serde_json::{Map, Value};

use crate::api::status::FieldError;
use compile::Node;

pub(crate) use validate::go_float;

/// A compiled `openAPIV3Schema` of a whole object.
#[derive(Debug)]
pub struct Schema {
    document: Value,
    root: Node,
    has_rules: bool,
}

impl Schema {
    /// # Errors
    /// One line that names the place and what is wrong with it.
    pub fn compile(document: &Value) -> Result<Self, String> {
        let (root, has_rules) = compile::compile(document)?;
        Ok(Self {
            document: document.clone(),
            root,
            has_rules,
        })
    }

    /// What was compiled, for OpenAPI.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Whether it has rules of `x-kubernetes-validations`, which are not evaluated.
    pub fn has_rules(&self) -> bool {
        self.has_rules
    }

    /// Removes the fields that the schema does not have, and returns their paths (`spec.x`, `spec.list[0].y`),
    /// sorted. `apiVersion`, `kind` and `metadata` are always kept.
    pub fn prune(&self, object: &mut Map<String, Value>) -> Vec<String> {
        prune::prune(&self.root, object)
    }

    /// Fills in the schema's defaults, and removes nulls where they mean nothing.
    pub fn default(&self, object: &mut Map<String, Value>) {
        prune::default(&self.root, object);
    }

    /// Everything that is not as the schema wants it.
    pub fn validate(&self, object: &Map<String, Value>) -> Vec<FieldError> {
        let mut errors = validate::validate(&self.root, object);
        lists::validate(&self.root, object, &mut errors);
        errors
    }

    /// The first field of a wrong type: what a typed server's decoder would trip over.
    pub fn type_error(&self, object: &Map<String, Value>) -> Option<FieldError> {
        let mut errors = validate::validate(&self.root, object).into_iter();
        errors.find(|it| it.reason == "FieldValueTypeInvalid")
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
}

/// Where a value stands, rendered only when there is something to tell about it.
#[derive(Clone, Copy)]
enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests;
