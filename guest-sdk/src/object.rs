//! An object as JSON.

use std::ops::{Deref, DerefMut};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Failure;

/// One object: its JSON, with a few short cuts.
///
/// It reads and writes as a [`Value`]: `object["spec"]["size"]`. With [`field`](Object::field) and
/// [`set_field`](Object::set_field) parts of it are Rust types of the plugin's own.
#[derive(Debug, Clone, Default)]
pub struct Object {
    value: Value,
    /// Whether it was borrowed to be changed: what was not goes not back over the host's border.
    is_touched: bool,
}

impl Object {
    /// Parses an object.
    ///
    /// # Errors
    /// 500 `InternalError` where it is not JSON.
    pub fn parse(json: &str) -> Result<Self, Failure> {
        serde_json::from_str(json)
            .map(|value| Self {
                value,
                is_touched: false,
            })
            .map_err(|error| Failure::internal(&format!("an object is not JSON: {error}")))
    }

    /// `metadata.name`; empty where there is none.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// `metadata.namespace`; empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// `kind`; empty where there is none.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// The version in `apiVersion`, without the group.
    pub fn version(&self) -> &str {
        let api_version = self.text("/apiVersion");
        api_version
            .rsplit_once('/')
            .map_or(api_version, |(_, version)| version)
    }

    /// The whole object as a type of the plugin's own.
    ///
    /// # Errors
    /// 422 `Invalid` where it does not fit the type.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        T::deserialize(&self.value)
            .map_err(|error| Failure::invalid().cause("FieldValueInvalid", "", &error.to_string()))
    }

    /// A field at the top, e.g. `spec`, as a type of the plugin's own. One that is absent or null reads as
    /// `{}`.
    ///
    /// # Errors
    /// 422 `Invalid` that names the field, where it does not fit the type.
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Result<T, Failure> {
        let empty = Value::Object(Map::new());
        let value = self
            .value
            .get(name)
            .filter(|value| !value.is_null())
            .unwrap_or(&empty);
        T::deserialize(value)
            .map_err(|error| Failure::invalid().field(name, value, &error.to_string()))
    }

    /// Sets a field at the top, e.g. `spec`.
    ///
    /// # Errors
    /// 500 `InternalError` where the type cannot be written as JSON.
    pub fn set_field<T: Serialize>(&mut self, name: &str, value: &T) -> Result<(), Failure> {
        let value = serde_json::to_value(value)?;
        if self.value.get(name) != Some(&value) {
            self[name] = value;
        }
        Ok(())
    }

    /// Whether it may have been changed since it was parsed.
    pub(crate) fn is_touched(&self) -> bool {
        self.is_touched
    }

    fn text(&self, pointer: &str) -> &str {
        self.value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

impl Deref for Object {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl DerefMut for Object {
    fn deref_mut(&mut self) -> &mut Value {
        self.is_touched = true;
        &mut self.value
    }
}

impl From<Value> for Object {
    fn from(value: Value) -> Self {
        Self {
            value,
            is_touched: true,
        }
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        object.value
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Deserialize, Serialize)]
    struct Spec {
        size: Option<u32>,
    }

    #[test]
    fn is_touched_by_changes_only() {
        let mut object = Object::from(json!({"spec": {"size": 1}}));
        object.is_touched = false;

        assert_eq!(object["spec"]["size"], 1);
        object
            .set_field("spec", &Spec { size: Some(1) })
            .expect("it is JSON");
        assert!(!object.is_touched());

        object
            .set_field("spec", &Spec { size: Some(2) })
            .expect("it is JSON");
        assert!(object.is_touched());
    }

    #[test]
    fn refuses_a_field_that_does_not_fit_its_type() {
        let object = Object::from(json!({"spec": {"size": "x"}}));
        let failure = object
            .field::<Spec>("spec")
            .err()
            .expect("a text is no size");

        assert_eq!(
            (failure.code, failure.causes[0].field.as_str()),
            (422, "spec")
        );
    }

    #[test]
    fn reads_an_absent_field_as_an_empty_one() {
        let spec: Spec = Object::from(json!({})).field("spec").expect("it is empty");
        assert_eq!(spec.size, None);
    }
}
