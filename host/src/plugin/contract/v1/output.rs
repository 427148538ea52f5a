//! What a guest's answer must keep, checked on everything that comes back.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::imported::types::Failure;
use crate::api::Object;
use crate::plugin::instance::CallError;

/// The largest object, as a body may be.
const OBJECT_MAX_BYTES: usize = 3 << 20;

fn broken(rule: impl Into<String>) -> CallError {
    CallError::BrokenContract(rule.into())
}

/// A refusal with a code that no refusal can have is no answer.
pub(super) fn refusal(failure: Failure) -> Result<Failure, CallError> {
    if (400..=599).contains(&failure.code) {
        return Ok(failure);
    }
    Err(broken(format!(
        "the code of a failure is 400 to 599, not {}",
        failure.code
    )))
}

pub(super) fn object(json: &str) -> Result<Object, CallError> {
    if json.len() > OBJECT_MAX_BYTES {
        return Err(broken(format!(
            "an object has at most {OBJECT_MAX_BYTES} bytes, not {}",
            json.len()
        )));
    }
    Object::from_slice(json.as_bytes()).ok_or_else(|| broken("an object is a JSON object"))
}

/// The object of a hook: its type and identity are those that it was given.
pub(super) fn changed(json: &str, given: &Object) -> Result<Object, CallError> {
    const IDENTITY: [&str; 5] = [
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
    ];
    let object = object(json)?;
    same("apiVersion", object.api_version(), given.api_version())?;
    same("kind", object.kind(), given.kind())?;
    for field in IDENTITY {
        same(
            &format!("metadata.{field}"),
            object.meta(field),
            given.meta(field),
        )?;
    }
    Ok(object)
}

pub(super) fn same(field: &str, actual: &str, expected: &str) -> Result<(), CallError> {
    if actual == expected {
        return Ok(());
    }
    Err(broken(format!(
        "`{field}` is to be {expected:?}, not {actual:?}"
    )))
}

/// The part of an object that conversion may not touch.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Map<String, Value>,
}

/// One converted object.
pub(super) fn converted(json: &str, given: &str, api_version: &str) -> Result<(), CallError> {
    let head = |json: &str, what: &str| {
        serde_json::from_str::<Head>(json).map_err(|_| broken(format!("{what} is a JSON object")))
    };
    let mut after = head(json, "a converted object")?;
    let mut before = head(given, "an object to convert")?;
    same("apiVersion", &after.api_version, api_version)?;
    same("kind", &after.kind, &before.kind)?;
    for metadata in [&mut after.metadata, &mut before.metadata] {
        metadata.remove("labels");
        metadata.remove("annotations");
    }
    if after.metadata == before.metadata {
        return Ok(());
    }
    Err(broken(
        "conversion keeps the metadata, apart from labels and annotations",
    ))
}

/// As many answers as objects were given.
pub(super) fn number(actual: usize, expected: usize, of: &str) -> Result<(), CallError> {
    if actual == expected {
        return Ok(());
    }
    Err(broken(format!(
        "{expected} objects have {expected} {of}, not {actual}"
    )))
}

/// The cells of one row.
pub(super) fn cells(json: &str) -> Result<Value, CallError> {
    match serde_json::from_str::<Value>(json) {
        Ok(row @ Value::Array(_)) => Ok(row),
        _ => Err(broken("the cells of a row are a JSON array")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = r#"{"apiVersion":"g.example.com/v1","kind":"K","metadata":{"name":"a","uid":"u","labels":{"x":"1"}}}"#;

    #[track_caller]
    fn breaks(result: Result<impl std::fmt::Debug, CallError>, rule: &str) {
        let error = result.expect_err("it breaks the contract").to_string();
        assert_eq!(error, format!("broke the contract: {rule}"));
    }

    #[test]
    fn hooks_keep_type_and_identity() {
        let given = object(GIVEN).expect("an object");
        assert!(changed(&GIVEN.replace(r#""1""#, r#""2""#), &given).is_ok());
        breaks(changed("[]", &given), "an object is a JSON object");
        breaks(changed("{", &given), "an object is a JSON object");
        breaks(
            changed(&GIVEN.replace("\"K\"", "\"L\""), &given),
            r#"`kind` is to be "K", not "L""#,
        );
        breaks(
            changed(&GIVEN.replace("\"u\"", "\"v\""), &given),
            r#"`metadata.uid` is to be "u", not "v""#,
        );
        let huge = GIVEN.replace("\"1\"", &format!("\"{}\"", "1".repeat(3 << 20)));
        breaks(
            changed(&huge, &given),
            &format!("an object has at most 3145728 bytes, not {}", huge.len()),
        );
    }

    #[test]
    fn conversion_keeps_metadata_and_yields_the_version() {
        let (v2, wanted) = (GIVEN.replace("/v1", "/v2"), "g.example.com/v2");
        assert!(converted(&v2, GIVEN, wanted).is_ok());
        assert!(converted(&v2.replace("\"x\"", "\"y\""), GIVEN, wanted).is_ok());
        breaks(
            converted(GIVEN, GIVEN, wanted),
            r#"`apiVersion` is to be "g.example.com/v2", not "g.example.com/v1""#,
        );
        breaks(
            converted(&v2.replace("\"u\"", "\"v\""), GIVEN, wanted),
            "conversion keeps the metadata, apart from labels and annotations",
        );
        breaks(
            number(1, 2, "conversions"),
            "2 objects have 2 conversions, not 1",
        );
    }

    #[test]
    fn refusals_have_codes_of_errors() {
        let failure = |code| Failure {
            code,
            reason: String::new(),
            message: String::new(),
            causes: Vec::new(),
            retry_after_seconds: None,
        };
        assert!(refusal(failure(403)).is_ok());
        breaks(
            refusal(failure(200)),
            "the code of a failure is 400 to 599, not 200",
        );
    }
}
