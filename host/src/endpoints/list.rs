//! GET of many objects, and the options that lists and watches share.

use std::time::Duration;

use super::negotiation;
use super::request::ResourceRequest;
use super::response;
use crate::api::status::{self, FieldError, Result};
use crate::registry::selectors::{FieldSelector, KnownFields, LabelSelector};
use crate::registry::store::read::{List, ListOptions, Selection, VersionMatch};
use crate::serving::Body;

pub async fn list(request: &mut ResourceRequest) -> Result<http::Response<Body>> {
    let accepted = negotiation::accept(request)?;
    let options = options(request, false)?;
    let timeout = timeout(request)?;
    let listing = async {
        let list = request.store.list(&request.context, &options).await?;
        response::list(request, &accepted, list).await
    };
    match timeout {
        None => listing.await,
        Some(timeout) => match tokio::time::timeout(timeout, listing).await {
            Ok(answer) => answer,
            Err(_) => Err(status::timeout(
                "request did not complete within the allotted timeout",
                0,
            )),
        },
    }
}

/// All objects that a deletecollection selects.
pub async fn selected(request: &ResourceRequest) -> Result<List> {
    let options = options(request, false)?;
    request.store.list(&request.context, &options).await
}

/// `timeoutSeconds`, where it is given and not 0.
pub(super) fn timeout(request: &ResourceRequest) -> Result<Option<Duration>> {
    let seconds = number(request, "timeoutSeconds")?;
    Ok((seconds > 0).then(|| Duration::from_secs(seconds)))
}

/// Reads and checks the options of a list or a watch (ListOptions of meta.k8s.io/v1).
///
/// # Errors
/// 400 for what cannot be read, 422 for options that exclude each other.
pub(super) fn options(request: &ResourceRequest, is_watch: bool) -> Result<ListOptions> {
    let version_match = request.query("resourceVersionMatch");
    let send_initial_events = request
        .has_query("sendInitialEvents")
        .then(|| flag(request, "sendInitialEvents"));
    let limit = number(request, "limit")?;
    let selection = selection(request)?;
    let options = ListOptions {
        selection,
        resource_version: request.query("resourceVersion").to_owned(),
        version_match: match version_match {
            "Exact" => Some(VersionMatch::Exact),
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            _ => None,
        },
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        continue_token: request.query("continue").to_owned(),
        send_initial_events,
        allow_watch_bookmarks: flag(request, "allowWatchBookmarks"),
    };
    let errors = if is_watch {
        check_watch(&options, version_match)
    } else {
        check_list(&options, version_match)
    };
    if errors.is_empty() {
        Ok(options)
    } else {
        Err(status::invalid("meta.k8s.io", "ListOptions", "", errors))
    }
}

fn selection(request: &ResourceRequest) -> Result<Selection> {
    let definition = request.store.definition();
    let known = KnownFields {
        object_model: definition.object_model,
        is_namespaced: definition.is_namespaced(),
        selectable: &request.version().selectable_fields,
    };
    let info = &request.info;
    let labels = LabelSelector::parse(&info.label_selector)?;
    let fields = FieldSelector::parse(&info.field_selector, known)?;
    // The name is in the path of old watches, or was read from the selector itself.
    if !info.name.is_empty() && !fields.is_empty() && fields.exact_name() != Some(&info.name) {
        return Err(status::bad_request(
            "fieldSelector metadata.name doesn't match requested name",
        ));
    }
    Ok(Selection {
        namespace: info.namespace.clone(),
        name: info.name.clone(),
        labels,
        fields,
    })
}

/// `version_match` is as sent; what is unknown is in no [`ListOptions`].
fn check_list(options: &ListOptions, version_match: &str) -> Vec<FieldError> {
    const FIELD: &str = "resourceVersionMatch";
    let mut errors = Vec::new();
    if !version_match.is_empty() {
        if options.resource_version.is_empty() {
            errors.push(FieldError::forbidden(
                FIELD,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        errors.extend(continue_with_match(options));
        if options.version_match.is_none() {
            let supported = ["Exact", "NotOlderThan", ""].map(str::to_owned);
            errors.push(FieldError::not_supported(
                FIELD,
                &version_match.into(),
                &supported,
            ));
        }
        if version_match == "Exact" && options.resource_version == "0" {
            errors.push(FieldError::forbidden(
                FIELD,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if options.send_initial_events.is_some() {
        errors.push(FieldError::forbidden(
            "sendInitialEvents",
            "sendInitialEvents is forbidden for list",
        ));
    }
    errors
}

fn check_watch(options: &ListOptions, version_match: &str) -> Vec<FieldError> {
    const FIELD: &str = "resourceVersionMatch";
    let mut errors = Vec::new();
    let is_not_older = options.version_match == Some(VersionMatch::NotOlderThan);
    if options.send_initial_events.is_some() && !is_not_older {
        errors.push(FieldError::forbidden(
            FIELD,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if !version_match.is_empty() {
        if options.send_initial_events.is_none() {
            errors.push(FieldError::forbidden(
                FIELD,
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            ));
        }
        if !is_not_older {
            let supported = ["NotOlderThan".to_owned()];
            errors.push(FieldError::not_supported(
                FIELD,
                &version_match.into(),
                &supported,
            ));
        }
        errors.extend(continue_with_match(options));
    }
    errors
}

fn continue_with_match(options: &ListOptions) -> Option<FieldError> {
    (!options.continue_token.is_empty()).then(|| {
        FieldError::forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden when continue is provided",
        )
    })
}

/// A boolean as the API's parameters have it: given without a value, it is true.
fn flag(request: &ResourceRequest, name: &str) -> bool {
    let value = request.query(name);
    request.has_query(name) && value != "0" && !value.eq_ignore_ascii_case("false")
}

/// A number; 0 where it is absent or negative.
fn number(request: &ResourceRequest, name: &str) -> Result<u64> {
    let text = request.query(name);
    if !request.has_query(name) {
        return Ok(0);
    }
    match text.parse::<i64>() {
        Ok(number) => Ok(u64::try_from(number).unwrap_or(0)),
        Err(_) => Err(status::bad_request(format!(
            "strconv.ParseInt: parsing {text:?}: invalid syntax"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn given(version: &str, version_match: &str, token: &str) -> ListOptions {
        ListOptions {
            resource_version: version.into(),
            version_match: match version_match {
                "Exact" => Some(VersionMatch::Exact),
                "NotOlderThan" => Some(VersionMatch::NotOlderThan),
                _ => None,
            },
            continue_token: token.into(),
            ..ListOptions::default()
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "as expect-test is used")]
    #[track_caller]
    fn check(errors: Vec<FieldError>, expected: Expect) {
        let shown: Vec<String> = errors
            .iter()
            .map(|it| format!("{}: {}\n", it.field, it.message))
            .collect();
        expected.assert_eq(&shown.concat());
    }

    #[test]
    fn refuses_matches_without_a_version_to_match() {
        let list = |version, it, token| check_list(&given(version, it, token), it);
        check(list("", "", "token"), expect![""]);
        check(list("5", "Exact", ""), expect![""]);
        check(
            list("", "Exact", "abc"),
            expect![[r#"
                resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided
                resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided
            "#]],
        );
        check(
            list("0", "Exact", ""),
            expect![[r#"
                resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"
            "#]],
        );
        check(
            list("1", "Nope", ""),
            expect![[r#"
                resourceVersionMatch: Unsupported value: "Nope": supported values: "Exact", "NotOlderThan", ""
            "#]],
        );
    }

    #[test]
    fn refuses_initial_events_that_are_asked_for_halfway() {
        let watch = |initial, version, it| {
            let mut options = given(version, it, "");
            options.send_initial_events = initial;
            check_watch(&options, it)
        };
        check(watch(None, "", ""), expect![""]);
        check(watch(Some(true), "", "NotOlderThan"), expect![""]);
        check(
            watch(Some(true), "", ""),
            expect![[r#"
                resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan
            "#]],
        );
        check(
            watch(Some(true), "1", "Exact"),
            expect![[r#"
                resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan
                resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"
            "#]],
        );
        check(
            watch(None, "", "NotOlderThan"),
            expect![[r#"
                resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided
            "#]],
        );
    }

    #[test]
    fn refuses_initial_events_of_lists() {
        let mut options = given("", "", "");
        options.send_initial_events = Some(true);
        check(
            check_list(&options, ""),
            expect![[r#"
                sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list
            "#]],
        );
    }
}
