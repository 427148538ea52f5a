//! What the client is told: of a guest's refusal, and of a call that failed.

use super::imported::types::Failure;
use crate::api::status::{self, Cause, Details, FieldError};
use crate::api::{GroupResource, Status};
use crate::plugin::instance::CallError;

/// The object that a call was about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) resource: GroupResource,
    pub(crate) kind: String,
    /// Empty while it is not known.
    pub(crate) name: String,
}

/// A guest's refusal in the words of Kubernetes: what those always say is written by the host.
pub(crate) fn refused(subject: &Subject, failure: Failure) -> Box<Status> {
    if failure.code == 422 {
        return invalid(subject, failure);
    }
    let (resource, name) = (&subject.resource, subject.name.as_str());
    let message = failure.message.as_str();
    let mut answer = match (failure.code, failure.reason.as_str()) {
        // The SDK words whole messages, other guests only what is behind the colon.
        (403, "" | "Forbidden") if is_whole(resource, message) => {
            about(subject, 403, "Forbidden", message)
        }
        (409, "" | "Conflict") if is_whole(resource, message) => {
            about(subject, 409, "Conflict", message)
        }
        (403, _) => status::forbidden(resource, name, message),
        (404, _) if message.is_empty() => status::not_found(resource, name),
        (409, "AlreadyExists") if message.is_empty() => status::already_exists(resource, name),
        (409, "" | "Conflict") if message.is_empty() => status::modified(resource, name),
        (409, "" | "Conflict") => status::conflict(resource, name, message),
        (code, "") => about(subject, code, usual_reason(code), message),
        (code, reason) => about(subject, code, reason, message),
    };
    if !failure.causes.is_empty() {
        let causes = failure.causes.into_iter().map(|cause| Cause {
            reason: cause.reason,
            message: cause.message,
            field: cause.field,
        });
        answer = answer.with_causes(causes.collect());
    }
    match failure.retry_after_seconds {
        Some(seconds) => answer.with_retry_after(seconds),
        None if matches!(failure.code, 429 | 503) => answer.with_retry_after(1),
        None => answer,
    }
}

/// Whether the message begins as Kubernetes' own of this resource do.
fn is_whole(resource: &GroupResource, message: &str) -> bool {
    let message = message
        .strip_prefix("Operation cannot be fulfilled on ")
        .unwrap_or(message);
    message.starts_with(&resource.to_string())
}

/// 422: `Kind.group "name" is invalid: field: text`.
fn invalid(subject: &Subject, failure: Failure) -> Box<Status> {
    let errors = if failure.causes.is_empty() {
        vec![FieldError {
            reason: "FieldValueInvalid",
            field: String::new(),
            message: failure.message,
        }]
    } else {
        let fields = failure.causes.into_iter().map(|cause| FieldError {
            reason: known_reason(&cause.reason),
            field: cause.field,
            message: cause.message,
        });
        fields.collect()
    };
    status::invalid(
        &subject.resource.group,
        &subject.kind,
        &subject.name,
        errors,
    )
}

fn about(subject: &Subject, code: u16, reason: &str, message: &str) -> Box<Status> {
    let mut answer = Status::failure(code, reason, message);
    answer.details = Some(Details {
        name: subject.name.clone(),
        group: subject.resource.group.clone(),
        kind: subject.resource.resource.clone(),
        ..Details::default()
    });
    answer
}

/// metav1.CauseType; what is none of them is an invalid value.
fn known_reason(reason: &str) -> &'static str {
    const REASONS: [&str; 10] = [
        "FieldValueNotFound",
        "FieldValueRequired",
        "FieldValueDuplicate",
        "FieldValueInvalid",
        "FieldValueNotSupported",
        "FieldValueForbidden",
        "FieldValueTooLong",
        "FieldValueTooMany",
        "InternalError",
        "FieldValueTypeInvalid",
    ];
    let known = REASONS.into_iter().find(|it| *it == reason);
    known.unwrap_or("FieldValueInvalid")
}

/// metav1.StatusReason of an HTTP status.
fn usual_reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        406 => "NotAcceptable",
        410 => "Gone",
        413 => "RequestEntityTooLarge",
        415 => "UnsupportedMediaType",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}

/// A failed call: the client learns which plugin, the log learns why.
pub(crate) fn failed(plugin: &str, error: &CallError) -> Box<Status> {
    match error {
        CallError::Trapped(_) | CallError::OutOfMemory(_) | CallError::BrokenContract(_) => {
            log(plugin, error);
            status::internal(format!("the plugin {plugin:?} failed"))
        }
        CallError::CpuLimit(_) | CallError::WallLimit(_) => {
            log(plugin, error);
            status::timeout(format!("the plugin {plugin:?} did not answer in time"), 0)
        }
        CallError::QueueFull => {
            let text = format!("the plugin {plugin:?} is busy, please try again later");
            status::too_many_requests(text, 1)
        }
        CallError::BreakerOpen(wait) => {
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
            let text = format!("the plugin {plugin:?} fails too often and is not called for now");
            status::unavailable(text, seconds)
        }
    }
}

fn log(plugin: &str, error: &CallError) {
    tracing::warn!(
        plugin.name = plugin,
        error = error.to_string(),
        "a call of a plugin failed"
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use expect_test::{Expect, expect};

    use super::super::imported::types;
    use super::*;

    #[track_caller]
    fn check(code: u16, message: &str, causes: &[(&str, &str, &str)], shown: &Expect) {
        let subject = Subject {
            resource: GroupResource {
                group: "yard.example.com".into(),
                resource: "cargos".into(),
            },
            kind: "Cargo".into(),
            name: "bad".into(),
        };
        let causes = causes.iter().map(|(reason, field, message)| types::Cause {
            reason: (*reason).into(),
            field: (*field).into(),
            message: (*message).into(),
        });
        let failure = Failure {
            code,
            reason: String::new(),
            message: message.into(),
            causes: causes.collect(),
            retry_after_seconds: None,
        };
        let answer = refused(&subject, failure);
        let details = serde_json::to_string(&answer.details).expect("JSON");
        let line = format!("{} {}: {}", answer.code, answer.reason, answer.message);
        shown.assert_eq(&format!("{line}\n{details}"));
    }

    #[test]
    fn forbids_as_the_sample_server_does() {
        check(
            403,
            "this name may not be used, please change the resource name",
            &[],
            &expect![[r#"
                403 Forbidden: cargos.yard.example.com "bad" is forbidden: this name may not be used, please change the resource name
                {"name":"bad","group":"yard.example.com","kind":"cargos"}"#]],
        );
    }

    #[test]
    fn writes_the_message_of_invalid_objects() {
        check(
            422,
            "",
            &[
                ("FieldValueRequired", "spec.a", "Required value"),
                ("Strange", "spec.b", "Invalid value: 1: no"),
            ],
            &expect![[r#"
                422 Invalid: Cargo.yard.example.com "bad" is invalid: [spec.a: Required value, spec.b: Invalid value: 1: no]
                {"name":"bad","group":"yard.example.com","kind":"Cargo","causes":[{"reason":"FieldValueRequired","message":"Required value","field":"spec.a"},{"reason":"FieldValueInvalid","message":"Invalid value: 1: no","field":"spec.b"}]}"#]],
        );
    }

    #[test]
    fn keeps_other_codes_and_gives_them_their_reason() {
        check(
            410,
            "gone for good",
            &[],
            &expect![[r#"
                410 Gone: gone for good
                {"name":"bad","group":"yard.example.com","kind":"cargos"}"#]],
        );
        check(
            503,
            "upstream is away",
            &[],
            &expect![[r#"
                503 ServiceUnavailable: upstream is away
                {"name":"bad","group":"yard.example.com","kind":"cargos","retryAfterSeconds":1}"#]],
        );
    }

    #[test]
    fn tells_clients_nothing_of_the_inside_of_a_plugin() {
        let shown = |error: CallError| {
            let answer = failed("a", &error);
            let retry = answer.details.map_or(0, |it| it.retry_after_seconds);
            let (code, reason) = (answer.code, answer.reason);
            format!("{code} {reason} {} {retry}", answer.message)
        };
        assert_eq!(
            shown(CallError::Trapped("secret at 0x1234".into())),
            "500 InternalError Internal error occurred: the plugin \"a\" failed 0"
        );
        assert_eq!(
            shown(CallError::CpuLimit(200)),
            "504 Timeout Timeout: the plugin \"a\" did not answer in time 0"
        );
        assert_eq!(
            shown(CallError::QueueFull),
            "429 TooManyRequests the plugin \"a\" is busy, please try again later 1"
        );
        assert_eq!(
            shown(CallError::BreakerOpen(Duration::from_secs(4))),
            "503 ServiceUnavailable the plugin \"a\" fails too often and is not called for now 4"
        );
    }

    #[test]
    fn says_once_what_is_forbidden() {
        let subject = Subject {
            resource: GroupResource {
                group: "g.example.com".into(),
                resource: "things".into(),
            },
            kind: "Thing".into(),
            name: "a".into(),
        };
        for message in ["no", "things.g.example.com \"a\" is forbidden: no"] {
            let failure = Failure {
                code: 403,
                reason: "Forbidden".into(),
                message: message.into(),
                causes: Vec::new(),
                retry_after_seconds: None,
            };
            let status = refused(&subject, failure);
            assert_eq!(
                status.message,
                "things.g.example.com \"a\" is forbidden: no"
            );
            assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
            assert_eq!(
                status.details.as_ref().map(|it| it.name.as_str()),
                Some("a")
            );
        }
    }
}
