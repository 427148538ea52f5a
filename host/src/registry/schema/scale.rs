//! The fields that a scale subresource shows: their values must fit autoscaling/v1 Scale.

use serde_json::{Map, Value};

use crate::api::go_text;
use crate::api::status::FieldError;
use crate::registry::definition::ScaleDefinition;

/// What is wrong with the replicas and the selector that `scale` points at.
pub fn validate_scale(object: &Map<String, Value>, scale: &ScaleDefinition) -> Vec<FieldError> {
    let mut errors = Vec::new();
    replicas(object, &scale.spec_replicas_path, &mut errors);
    errors.extend(validate_scale_status(object, scale));
    errors
}

/// What is wrong with the status that `scale` points at.
pub fn validate_scale_status(
    object: &Map<String, Value>,
    scale: &ScaleDefinition,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    replicas(object, &scale.status_replicas_path, &mut errors);
    if let Some(path) = &scale.label_selector_path
        && let Err(detail) = find(object, path, "string", Value::is_string)
    {
        errors.push(FieldError::invalid(path, &"".into(), &detail));
    }
    errors
}

fn replicas(object: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let number = match find(object, path, "int64", Value::is_i64) {
        Ok(found) => found.and_then(Value::as_i64).unwrap_or(0),
        Err(detail) => {
            errors.push(FieldError::invalid(path, &0.into(), &detail));
            return;
        }
    };
    if number < 0 {
        errors.push(FieldError::invalid(
            path,
            &number.into(),
            "should be a non-negative integer",
        ));
    } else if number > i64::from(i32::MAX) {
        let detail = format!("should be less than or equal to {}", i32::MAX);
        errors.push(FieldError::invalid(path, &number.into(), &detail));
    }
}

fn find<'a>(
    object: &'a Map<String, Value>,
    path: &str,
    wanted: &str,
    is_right: impl Fn(&Value) -> bool,
) -> Result<Option<&'a Value>, String> {
    let mut map = object;
    let mut segments = path.trim_start_matches('.').split('.').peekable();
    let mut walked = String::new();
    while let Some(segment) = segments.next() {
        walked.push('.');
        walked.push_str(segment);
        let Some(value) = map.get(segment) else {
            return Ok(None);
        };
        if segments.peek().is_none() {
            return if is_right(value) {
                Ok(Some(value))
            } else {
                Err(mismatch(&walked, value, wanted))
            };
        }
        match value {
            Value::Object(inner) => map = inner,
            other => return Err(mismatch(&walked, other, "map[string]interface{}")),
        }
    }
    Ok(None)
}

fn mismatch(path: &str, value: &Value, wanted: &str) -> String {
    format!(
        "{path} accessor error: {} is of the type {}, expected {wanted}",
        go_text::plain(value),
        go_text::type_name(value)
    )
}
