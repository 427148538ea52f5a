//! Why a request fails.

use std::fmt;

use serde::Serialize;

/// What the client is told instead of an answer; becomes a metav1.Status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status, 400 to 599.
    pub code: u16,
    /// A metav1.StatusReason, e.g. `Forbidden`; empty: the usual one of the code.
    pub reason: String,
    /// For a person. With 422 and causes the host writes it.
    pub message: String,
    /// The fields that are not as they must be.
    pub causes: Vec<Cause>,
    /// When the client may try again, in seconds.
    pub retry_after_seconds: Option<u32>,
}

/// One field that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// A metav1.CauseType, e.g. `FieldValueInvalid`.
    pub reason: String,
    /// Path of the field, e.g. `spec.items[0].name`.
    pub field: String,
    /// What stands behind the path, e.g. `Invalid value: "x": must be y`.
    pub message: String,
}

impl Failure {
    /// Any failure: an HTTP status from 400 to 599, a metav1.StatusReason and a text for a person.
    pub fn new(code: u16, reason: &str, message: &str) -> Self {
        Self {
            code,
            reason: reason.to_owned(),
            message: message.to_owned(),
            causes: Vec::new(),
            retry_after_seconds: None,
        }
    }

    /// 422 `Invalid`, to which the fields that are wrong are added:
    ///
    /// ```
    /// # use outrigger_sdk::Failure;
    /// let failure = Failure::invalid().field("spec.color", "grue", "must be red or blue");
    /// assert_eq!(failure.causes[0].message, r#"Invalid value: "grue": must be red or blue"#);
    /// ```
    ///
    /// [`check`](Failure::check) passes where nothing was added.
    pub fn invalid() -> Self {
        Self::new(422, "Invalid", "")
    }

    /// 400 `BadRequest`.
    pub fn bad_request(message: &str) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 403 `Forbidden`. [`Target::forbidden`](crate::Target::forbidden) words it as Kubernetes does.
    pub fn forbidden(message: &str) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// 404 `NotFound`. [`Target::not_found`](crate::Target::not_found) words it as Kubernetes does.
    pub fn not_found(message: &str) -> Self {
        Self::new(404, "NotFound", message)
    }

    /// 409 `Conflict`. [`Target::conflict`](crate::Target::conflict) words it as Kubernetes does.
    pub fn conflict(message: &str) -> Self {
        Self::new(409, "Conflict", message)
    }

    /// 503 `ServiceUnavailable`: the client may try again after so many seconds.
    pub fn unavailable(message: &str, retry_after_seconds: u32) -> Self {
        Self {
            retry_after_seconds: Some(retry_after_seconds),
            ..Self::new(503, "ServiceUnavailable", message)
        }
    }

    /// 500 `InternalError`.
    pub fn internal(message: &str) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// A field whose value is wrong: `Invalid value: ` the value, and `why`.
    #[must_use]
    pub fn field(self, path: &str, value: impl Serialize, why: &str) -> Self {
        self.cause(
            "FieldValueInvalid",
            path,
            &format!("Invalid value: {}: {why}", shown(&value)),
        )
    }

    /// A field that is missing: `Required value: ` and `why`.
    #[must_use]
    pub fn required(self, path: &str, why: &str) -> Self {
        self.cause(
            "FieldValueRequired",
            path,
            &with_reason("Required value", why),
        )
    }

    /// A field that may not be set: `Forbidden: ` and `why`.
    #[must_use]
    pub fn forbidden_field(self, path: &str, why: &str) -> Self {
        self.cause("FieldValueForbidden", path, &with_reason("Forbidden", why))
    }

    /// A field whose value is none of those that there are: `Unsupported value: ` the value, and the others.
    #[must_use]
    pub fn unsupported(self, path: &str, value: impl Serialize, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(shown).collect();
        let supported = supported.join(", ");
        self.cause(
            "FieldValueNotSupported",
            path,
            &format!(
                "Unsupported value: {}: supported values: {supported}",
                shown(&value)
            ),
        )
    }

    /// A value that was there before: `Duplicate value: ` the value.
    #[must_use]
    pub fn duplicate(self, path: &str, value: impl Serialize) -> Self {
        self.cause(
            "FieldValueDuplicate",
            path,
            &format!("Duplicate value: {}", shown(&value)),
        )
    }

    /// A cause in the plugin's own words: a metav1.CauseType, the field's path, and the text behind it.
    #[must_use]
    pub fn cause(mut self, reason: &str, path: &str, message: &str) -> Self {
        self.causes.push(Cause {
            reason: reason.to_owned(),
            field: path.to_owned(),
            message: message.to_owned(),
        });
        self
    }

    /// Passes a 422 to which no field was added.
    ///
    /// # Errors
    /// The failure itself otherwise.
    pub fn check(self) -> Result<(), Self> {
        if self.code == 422 && self.causes.is_empty() {
            Ok(())
        } else {
            Err(self)
        }
    }
}

/// A value as messages of Kubernetes show it: JSON.
fn shown(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn with_reason(what: &str, why: &str) -> String {
    if why.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {why}")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}: {}", self.code, self.reason, self.message)?;
        for cause in &self.causes {
            write!(formatter, " [{}: {}]", cause.field, cause.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(&error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_when_no_field_is_wrong() {
        assert_eq!(Failure::invalid().check(), Ok(()));
        assert!(Failure::invalid().required("spec.a", "").check().is_err());
        assert!(Failure::forbidden("no").check().is_err());
    }

    #[test]
    fn words_causes_as_kubernetes_does() {
        let failure = Failure::invalid()
            .field("a", 5, "must be even")
            .required("b", "")
            .forbidden_field("c", "it is fixed")
            .unsupported("d", "x", &["y", "z"])
            .duplicate("e[1]", "x");
        let messages: Vec<&str> = failure
            .causes
            .iter()
            .map(|cause| cause.message.as_str())
            .collect();

        assert_eq!(
            messages,
            [
                "Invalid value: 5: must be even",
                "Required value",
                "Forbidden: it is fixed",
                r#"Unsupported value: "x": supported values: "y", "z""#,
                r#"Duplicate value: "x""#,
            ]
        );
    }
}
