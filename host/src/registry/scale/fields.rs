//! The fields that a scale shows: found by their paths, and checked to fit autoscaling/v1 Scale.
//!
//! Texts are those of k8s.io/apimachinery, pkg/apis/meta/v1/unstructured.

use serde_json::{Map, Value};

use crate::api::go_text;
use crate::api::status::FieldError;
use crate::registry::definition::ScaleDefinition;

/// What is wrong with the replicas and the selector that `scale` points at.
pub fn validate(object: &Map<String, Value>, scale: &ScaleDefinition) -> Vec<FieldError> {
    let mut errors = Vec::new();
    replicas(object, &scale.spec_replicas_path, &mut errors);
    errors.extend(validate_status(object, scale));
    errors
}

/// What is wrong with the status that `scale` points at.
pub fn validate_status(object: &Map<String, Value>, scale: &ScaleDefinition) -> Vec<FieldError> {
    let mut errors = Vec::new();
    replicas(object, &scale.status_replicas_path, &mut errors);
    if let Some(path) = &scale.label_selector_path
        && let Err(detail) = text(object, path)
    {
        errors.push(FieldError::invalid(path, &"".into(), &detail));
    }
    errors
}

fn replicas(object: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let number = match integer(object, path) {
        Ok(found) => found.unwrap_or(0),
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

/// A whole number; `None` where there is nothing.
///
/// # Errors
/// One line, where something on the way, or the value, is of another type.
pub(super) fn integer(object: &Map<String, Value>, path: &str) -> Result<Option<i64>, String> {
    let found = find(object, path, "int64", Value::is_i64)?;
    Ok(found.and_then(Value::as_i64))
}

/// A text; `None` where there is nothing.
///
/// # Errors
/// As [`integer`].
pub(super) fn text<'a>(
    object: &'a Map<String, Value>,
    path: &str,
) -> Result<Option<&'a str>, String> {
    let found = find(object, path, "string", Value::is_string)?;
    Ok(found.and_then(Value::as_str))
}

/// Sets a value, making the objects on its way.
///
/// # Errors
/// One line, where something on the way is no object.
pub(super) fn set(object: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), String> {
    let mut map = object;
    let mut walked = String::new();
    let path = path.trim_start_matches('.');
    let (parents, last) = path.rsplit_once('.').map_or(("", path), |it| it);
    for segment in parents.split('.').filter(|it| !it.is_empty()) {
        walked.push('.');
        walked.push_str(segment);
        let inner = map
            .entry(segment)
            .or_insert_with(|| Value::Object(Map::new()));
        map = inner.as_object_mut().ok_or_else(|| {
            format!("value cannot be set because {walked} is not a map[string]interface{{}}")
        })?;
    }
    map.insert(last.to_owned(), value);
    Ok(())
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
        match (value, segments.peek()) {
            (Value::Object(inner), _) => map = inner,
            (Value::Null, _) | (_, None) => return Ok(None),
            // Upstream names the field that was looked for in it.
            (other, Some(next)) => {
                let path = format!("{walked}.{next}");
                return Err(mismatch(&path, other, "map[string]interface{}"));
            }
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

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    fn scale() -> ScaleDefinition {
        ScaleDefinition {
            spec_replicas_path: ".spec.size".into(),
            status_replicas_path: ".status.replicas".into(),
            label_selector_path: Some(".status.selector".into()),
        }
    }

    fn object(spec: &Value) -> Map<String, Value> {
        Map::from_iter([("spec".to_owned(), spec.clone())])
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
    #[track_caller]
    fn check(spec: Value, expected: Expect) {
        let errors = validate(&object(&spec), &scale());
        let shown: Vec<String> = errors
            .iter()
            .map(|it| format!("{} {}: {}", it.reason, it.field, it.message))
            .collect();
        expected.assert_eq(&shown.join("\n"));
    }

    #[test]
    fn scale_fields_are_counts() {
        check(json!({"size": 1}), expect![""]);
        check(
            json!({"size": -1}),
            expect![
                "FieldValueInvalid .spec.size: Invalid value: -1: should be a non-negative integer"
            ],
        );
        check(
            json!({"size": "big"}),
            expect![
                "FieldValueInvalid .spec.size: Invalid value: 0: .spec.size accessor error: big is of the type string, expected int64"
            ],
        );
        check(
            json!({"size": 12_345_678_901_234_567_890_u64}),
            expect![
                "FieldValueInvalid .spec.size: Invalid value: 0: .spec.size accessor error: 1.2345678901234567e+19 is of the type float64, expected int64"
            ],
        );
        check(
            json!(1),
            expect![
                "FieldValueInvalid .spec.size: Invalid value: 0: .spec.size accessor error: 1 is of the type int64, expected map[string]interface{}"
            ],
        );
    }

    #[test]
    fn replicas_are_set_where_nothing_was() {
        let mut object = Map::new();
        assert_eq!(set(&mut object, ".a.b.c", 3.into()), Ok(()));
        assert_eq!(Value::Object(object), json!({"a": {"b": {"c": 3}}}));
        let mut object = self::object(&json!(1));
        assert_eq!(
            set(&mut object, ".spec.size", 3.into()).unwrap_err(),
            "value cannot be set because .spec is not a map[string]interface{}"
        );
    }
}
