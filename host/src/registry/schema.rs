//! Structural schemas (apiextensions' `openAPIV3Schema`): compiled once at load; prune, default, validate.

use serde_json::{Map, Value};

use crate::api::status::FieldError;

/// A compiled `openAPIV3Schema` of a whole object.
#[derive(Debug)]
pub struct Schema {
    document: Value,
}

impl Schema {
    /// # Errors
    /// One line that names the place and what is wrong with it.
    pub fn compile(document: &Value) -> Result<Self, String> {
        Ok(Self {
            document: document.clone(),
        })
    }

    /// What was compiled, for OpenAPI.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Removes the fields that the schema does not have, and returns their paths (`spec.x`, `spec.list[0].y`),
    /// sorted. `apiVersion`, `kind` and `metadata` are always kept.
    pub fn prune(&self, _object: &mut Map<String, Value>) -> Vec<String> {
        todo!()
    }

    /// Fills in the schema's defaults.
    pub fn default(&self, _object: &mut Map<String, Value>) {
        todo!()
    }

    /// Everything that is not as the schema wants it.
    pub fn validate(&self, _object: &Map<String, Value>) -> Vec<FieldError> {
        todo!()
    }
}
