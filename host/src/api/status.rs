//! metav1.Status and the errors that clients get, each with the words of k8s.io/apimachinery's
//! `pkg/api/errors`: clients act upon `code` and `reason`, kubectl prints `message`.

use serde::{Deserialize, Serialize};

use super::go_text;
use super::group_version::GroupResource;
use super::quote;

/// An answer that is not an object: a failure, or the success of a delete.
///
/// As an error it is boxed where it crosses many frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub kind: String,
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    pub metadata: ListMeta,
    /// `Success` or `Failure`.
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status; 0 (not shown) for a success.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code: u16,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMeta {
    /// With 410 Expired of a paged list: the token that goes on from the same place at the latest revision.
    #[serde(default, rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_token: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The plural resource, or the Kind where the reason is Invalid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(
        default,
        rename = "retryAfterSeconds",
        skip_serializing_if = "is_zero_u32"
    )]
    pub retry_after_seconds: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(code: &u16) -> bool {
    *code == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero_u32(seconds: &u32) -> bool {
    *seconds == 0
}

/// `Err` of everything that ends in an answer to the client.
pub type Result<T, E = Box<Status>> = std::result::Result<T, E>;

/// A field of an object that is not as it must be: one cause of a 422, as `field.Error` upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// One of the `FieldValue…` reasons.
    pub reason: &'static str,
    /// Path as `spec.containers[0].name`.
    pub field: String,
    /// The whole text behind the path, e.g. `Invalid value: "x": must be y`.
    pub message: String,
}

impl FieldError {
    /// `value` is the bad value; it is shown as Go shows it.
    pub fn invalid(field: impl Into<String>, value: &serde_json::Value, detail: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            field: field.into(),
            message: format!("Invalid value: {}: {detail}", go_text::value(value)),
        }
    }

    pub fn type_invalid(field: impl Into<String>, value: &serde_json::Value, detail: &str) -> Self {
        Self {
            reason: "FieldValueTypeInvalid",
            field: field.into(),
            message: format!("Invalid value: {}: {detail}", go_text::value(value)),
        }
    }

    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".into()
        } else {
            format!("Required value: {detail}")
        };
        Self {
            reason: "FieldValueRequired",
            field: field.into(),
            message,
        }
    }

    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            field: field.into(),
            message: format!("Forbidden: {detail}"),
        }
    }

    pub fn duplicate(field: impl Into<String>, value: &serde_json::Value) -> Self {
        Self::duplicate_text(field, &go_text::value(value))
    }

    /// `shown` is the bad value as Go shows it.
    pub fn duplicate_text(field: impl Into<String>, shown: &str) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            field: field.into(),
            message: format!("Duplicate value: {shown}"),
        }
    }

    pub fn not_supported(
        field: impl Into<String>,
        value: &serde_json::Value,
        supported: &[String],
    ) -> Self {
        Self::not_supported_text(field, &go_text::value(value), supported)
    }

    /// `shown` is the bad value as Go shows it.
    pub fn not_supported_text(field: impl Into<String>, shown: &str, supported: &[String]) -> Self {
        let list: Vec<String> = supported.iter().map(|it| go_text::quote(it)).collect();
        Self {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!(
                "Unsupported value: {shown}: supported values: {}",
                list.join(", ")
            ),
        }
    }

    pub fn too_long(field: impl Into<String>, max_length: u64) -> Self {
        let unit = if max_length == 1 { "byte" } else { "bytes" };
        Self {
            reason: "FieldValueTooLong",
            field: field.into(),
            message: format!("Too long: may not be more than {max_length} {unit}"),
        }
    }

    pub fn too_many(field: impl Into<String>, actual: u64, max: u64) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self {
            reason: "FieldValueTooMany",
            field: field.into(),
            message: format!("Too many: {actual}: must have at most {max} {unit}"),
        }
    }
}

impl Status {
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            kind: "Status".into(),
            api_version: "v1".into(),
            metadata: ListMeta::default(),
            status: "Failure".into(),
            message: message.into(),
            reason: reason.into(),
            details: None,
            code,
        })
    }

    /// The answer to a delete that left nothing behind.
    pub fn deleted(resource: &GroupResource, name: &str, uid: &str) -> Self {
        Self {
            kind: "Status".into(),
            api_version: "v1".into(),
            metadata: ListMeta::default(),
            status: "Success".into(),
            message: String::new(),
            reason: String::new(),
            details: Some(Details {
                uid: uid.into(),
                ..details(resource, name)
            }),
            code: 0,
        }
    }

    /// Adds `details.retryAfterSeconds`, which the Retry-After header mirrors.
    pub fn with_retry_after(mut self: Box<Self>, seconds: u32) -> Box<Self> {
        self.details.get_or_insert_default().retry_after_seconds = seconds;
        self
    }

    pub fn with_causes(mut self: Box<Self>, causes: Vec<Cause>) -> Box<Self> {
        self.details.get_or_insert_default().causes = causes;
        self
    }
}

fn details(resource: &GroupResource, name: &str) -> Details {
    Details {
        name: name.into(),
        group: resource.group.clone(),
        kind: resource.resource.clone(),
        ..Details::default()
    }
}

pub fn bad_request(message: impl Into<String>) -> Box<Status> {
    Status::failure(400, "BadRequest", message)
}

pub fn unauthorized() -> Box<Status> {
    Status::failure(401, "Unauthorized", "Unauthorized")
}

/// `message` is the whole text behind `is forbidden: `.
pub fn forbidden(resource: &GroupResource, name: &str, message: &str) -> Box<Status> {
    let text = if name.is_empty() {
        format!("{resource} is forbidden: {message}")
    } else {
        format!("{resource} {} is forbidden: {message}", quote(name))
    };
    let mut status = Status::failure(403, "Forbidden", text);
    status.details = Some(details(resource, name));
    status
}

pub fn not_found(resource: &GroupResource, name: &str) -> Box<Status> {
    let mut status = Status::failure(
        404,
        "NotFound",
        format!("{resource} {} not found", quote(name)),
    );
    status.details = Some(details(resource, name));
    status
}

/// No such path or resource: what a client sees for a type that is not served.
pub fn resource_not_found() -> Box<Status> {
    let mut status = Status::failure(
        404,
        "NotFound",
        "the server could not find the requested resource",
    );
    status.details = Some(Details::default());
    status
}

pub fn method_not_allowed(resource: &GroupResource, verb: &str) -> Box<Status> {
    let text = format!("{verb} is not supported on resources of kind \"{resource}\"");
    let mut status = Status::failure(405, "MethodNotAllowed", text);
    status.details = Some(details(resource, ""));
    status
}

pub fn not_acceptable(accepted: &[&str]) -> Box<Status> {
    let text = format!(
        "only the following media types are accepted: {}",
        accepted.join(", ")
    );
    Status::failure(406, "NotAcceptable", text)
}

pub fn unsupported_media_type(accepted: &[&str]) -> Box<Status> {
    let text = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        accepted.join(", ")
    );
    Status::failure(415, "UnsupportedMediaType", text)
}

pub fn already_exists(resource: &GroupResource, name: &str) -> Box<Status> {
    let mut status = Status::failure(
        409,
        "AlreadyExists",
        format!("{resource} {} already exists", quote(name)),
    );
    status.details = Some(details(resource, name));
    status
}

pub fn conflict(resource: &GroupResource, name: &str, why: &str) -> Box<Status> {
    let text = format!(
        "Operation cannot be fulfilled on {resource} {}: {why}",
        quote(name)
    );
    let mut status = Status::failure(409, "Conflict", text);
    status.details = Some(details(resource, name));
    status
}

/// The conflict of a stale resourceVersion.
pub fn modified(resource: &GroupResource, name: &str) -> Box<Status> {
    let why = "the object has been modified; please apply your changes to the latest version and try again";
    conflict(resource, name, why)
}

/// 410: the revision that a list, a page or a watch asks for is no longer kept.
pub fn expired(message: impl Into<String>) -> Box<Status> {
    Status::failure(410, "Expired", message)
}

pub fn too_large(limit_bytes: usize) -> Box<Status> {
    let text = format!("Request entity too large: limit is {limit_bytes}");
    Status::failure(413, "RequestEntityTooLarge", text)
}

/// 422 with a cause per field. `kind` is shown as `Kind.group`.
pub fn invalid(group: &str, kind: &str, name: &str, errors: Vec<FieldError>) -> Box<Status> {
    let mut shown: Vec<String> = Vec::with_capacity(errors.len());
    for error in &errors {
        let text = if error.field.is_empty() {
            error.message.clone()
        } else {
            format!("{}: {}", error.field, error.message)
        };
        // The same cause may be there twice; it is told once, as in Go's aggregates.
        if !shown.contains(&text) {
            shown.push(text);
        }
    }
    let list = if shown.len() == 1 {
        shown.join("")
    } else {
        format!("[{}]", shown.join(", "))
    };
    let of = if group.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}.{group}")
    };
    let mut status = Status::failure(
        422,
        "Invalid",
        format!("{of} {} is invalid: {list}", quote(name)),
    );
    let causes = errors
        .into_iter()
        .map(|it| Cause {
            reason: it.reason.into(),
            message: it.message,
            field: it.field,
        })
        .collect();
    status.details = Some(Details {
        name: name.into(),
        group: group.into(),
        kind: kind.into(),
        causes,
        ..Details::default()
    });
    status
}

/// 429 of the server itself, e.g. when the queue of a plugin is full.
pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Box<Status> {
    Status::failure(429, "TooManyRequests", message).with_retry_after(retry_after_seconds)
}

/// The client sees only `message`; what went wrong belongs in the log.
pub fn internal(message: impl AsRef<str>) -> Box<Status> {
    let text = message.as_ref();
    Status::failure(
        500,
        "InternalError",
        format!("Internal error occurred: {text}"),
    )
    .with_causes(vec![Cause {
        reason: String::new(),
        message: text.to_owned(),
        field: String::new(),
    }])
}

/// 500 without a reason: what Go servers answer to errors that are no Status.
pub fn unclassified(message: impl Into<String>) -> Box<Status> {
    Status::failure(500, "", message)
}

pub fn unavailable(message: impl Into<String>, retry_after_seconds: u32) -> Box<Status> {
    Status::failure(503, "ServiceUnavailable", message).with_retry_after(retry_after_seconds)
}

pub fn timeout(message: impl AsRef<str>, retry_after_seconds: u32) -> Box<Status> {
    let text = format!("Timeout: {}", message.as_ref());
    Status::failure(504, "Timeout", text).with_retry_after(retry_after_seconds)
}
