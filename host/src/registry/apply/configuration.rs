//! The document of an apply: what its sender wants, in YAML or JSON.

use serde_json::{Map, Value};

use crate::api::Object;
use crate::api::document::{self, Twice};
use crate::api::options::FieldValidation;
use crate::api::status::{self, Result};

#[derive(Debug, Clone)]
pub struct Configuration {
    pub(super) object: Object,
    /// What a strict parser would not have taken.
    complaint: Option<String>,
}

impl Configuration {
    /// # Errors
    /// 400 for what is no YAML, or no object.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let is_json = bytes.trim_ascii_start().starts_with(b"{");
        let document = document::parse_yaml(bytes, Twice::Replaces).map_err(|error| {
            // Only what does not look like JSON is read before the request is.
            let doing = if is_json { "decoding" } else { "encoding" };
            status::bad_request(format!(
                "error {doing} patch: error converting YAML to JSON: yaml: {error}"
            ))
        })?;
        let kind = match document.value {
            Value::Object(map) => {
                return Ok(Self {
                    object: Object(map),
                    complaint: complaint(&document.duplicates),
                });
            }
            Value::Null => {
                return Ok(Self {
                    object: Object(Map::new()),
                    complaint: None,
                });
            }
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
        };
        Err(status::bad_request(format!(
            "error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
        )))
    }

    /// Whether its sender insists on a resourceVersion, so that a conflict is its answer.
    pub fn names_resource_version(&self) -> bool {
        !self.object.resource_version().is_empty()
    }

    /// Refuses fields that are there twice, or adds a warning about them, as asked.
    ///
    /// # Errors
    /// 400 where the client is strict.
    pub fn report(&self, validation: FieldValidation, warnings: &mut Vec<String>) -> Result<()> {
        let Some(complaint) = &self.complaint else {
            return Ok(());
        };
        match validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => warnings.push(complaint.clone()),
            FieldValidation::Strict => {
                return Err(status::bad_request(format!(
                    "error strict decoding patch: {complaint}"
                )));
            }
        }
        Ok(())
    }
}

fn complaint(duplicates: &[String]) -> Option<String> {
    if duplicates.is_empty() {
        return None;
    }
    let keys = duplicates.iter().map(|path| {
        let key = path.rsplit('.').next().unwrap_or(path);
        format!("key {key:?} already set in map")
    });
    let keys: Vec<String> = keys.collect();
    Some(format!(
        "error converting YAML to JSON: yaml: unmarshal errors:\n  {}",
        keys.join("\n  ")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn reads_yaml_and_json() {
        let yaml = Configuration::parse(b"kind: K\nspec: {a: 1}\n").unwrap();
        assert_eq!(yaml.object.kind(), "K");
        let json = Configuration::parse(br#"{"kind": "K", "spec": {"a": 1}}"#).unwrap();
        assert_eq!(yaml.object, json.object);
        assert!(Configuration::parse(b"").unwrap().object.0.is_empty());
    }

    #[test]
    fn refuses_what_is_no_object() {
        let of = |text: &str| Configuration::parse(text.as_bytes()).unwrap_err().message;
        assert!(of("[]").ends_with(
            "json: cannot unmarshal array into Go value of type map[string]interface {}"
        ));
        assert!(
            of("{{nope").starts_with("error decoding patch: error converting YAML to JSON: yaml: ")
        );
        assert!(
            of("a: b: c")
                .starts_with("error encoding patch: error converting YAML to JSON: yaml: ")
        );
    }

    #[test]
    fn strict_clients_are_told_of_duplicates() {
        let twice = Configuration::parse(b"spec: {a: 1}\nspec: {a: 2}\n").unwrap();
        let mut warnings = Vec::new();
        twice.report(FieldValidation::Warn, &mut warnings).unwrap();
        assert_eq!(warnings.len(), 1);
        let strict = twice.report(FieldValidation::Strict, &mut warnings);
        assert!(
            strict
                .unwrap_err()
                .message
                .contains("key \"spec\" already set in map")
        );
    }
}
