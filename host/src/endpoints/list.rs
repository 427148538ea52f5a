//! GET of many objects, and the options that lists and watches share.

use super::negotiation;
use super::request::ResourceRequest;
use super::response;
use crate::admission::Namespaces;
use crate::api::request_info::is_true;
use crate::api::status::{self, FieldError, Result};
use crate::api::{field_selector, strconv};
use crate::registry::selectors::{FieldSelector, KnownFields, LabelSelector};
use crate::registry::store::read::{List, ListOptions, Selection, VersionMatch};
use crate::serving::Body;

/// Only `timeout` bounds a list: `timeoutSeconds` is for watches.
pub async fn list(
    request: &mut ResourceRequest,
    namespaces: &dyn Namespaces,
) -> Result<http::Response<Body>> {
    let accepted = negotiation::accept(request)?;
    let options = options(request)?;
    let list = listed(request, options, namespaces).await?;
    response::list(request, &accepted, list).await
}

/// All objects that a deletecollection selects. Upstream goes through them in pages, so a revision means exactly
/// that one.
pub async fn selected(request: &mut ResourceRequest, namespaces: &dyn Namespaces) -> Result<List> {
    let mut options = options(request)?;
    let has_version = !matches!(options.resource_version.as_str(), "" | "0");
    if has_version && options.version_match.is_none() && options.continue_token.is_empty() {
        options.version_match = Some(VersionMatch::Exact);
    }
    listed(request, options, namespaces).await
}

/// Where a plugin keeps the objects and does not work, a namespace that is being deleted is shown as it was last
/// seen. With an error instead no namespace of the cluster could be deleted, though almost none has such objects.
/// What is there to be deleted waits for the plugin all the same.
async fn listed(
    request: &mut ResourceRequest,
    mut options: ListOptions,
    namespaces: &dyn Namespaces,
) -> Result<List> {
    let listed = request.store.list(&request.context, &options).await;
    match listed {
        Err(status)
            if status.code >= 500
                && request.store.definition().backend.is_some()
                && options.resource_version.is_empty()
                && options.continue_token.is_empty()
                && namespaces.is_terminating(&request.info.namespace) =>
        {
            let text = format!("shown as it was last seen: {}", status.message);
            request.warnings.push(text);
            options.resource_version = "0".into();
            request.store.list(&request.context, &options).await
        }
        listed => listed,
    }
}

/// `timeoutSeconds`; 0 where it is not given.
pub(super) fn timeout_seconds(request: &ResourceRequest) -> Result<i64> {
    number(request, "timeoutSeconds")
}

/// Reads and checks the options of a list or a watch (ListOptions of meta.k8s.io/v1), in upstream's order
/// (k8s.io/apiserver, pkg/endpoints/handlers/get.go). Whether they must be a watch's depends on the parameter
/// alone: a watch by its path has a list's.
///
/// # Errors
/// 400 for what cannot be read, 422 for options that exclude each other, 400 for fields that there are not.
pub(super) fn options(request: &ResourceRequest) -> Result<ListOptions> {
    timeout_seconds(request)?;
    let limit = number(request, "limit")?;
    let labels = LabelSelector::parse(request.query("labelSelector"))?;
    let fields = FieldSelector::parse(request.query("fieldSelector"))?;
    let is_watch = flag(request, "watch").unwrap_or(false);
    let version_match = request.query("resourceVersionMatch");
    let mut options = ListOptions {
        selection: Selection::default(),
        resource_version: request.query("resourceVersion").to_owned(),
        version_match: match version_match {
            "Exact" => Some(VersionMatch::Exact),
            "NotOlderThan" => Some(VersionMatch::NotOlderThan),
            _ => None,
        },
        limit: usize::try_from(limit).unwrap_or(0),
        continue_token: request.query("continue").to_owned(),
        send_initial_events: flag(request, "sendInitialEvents"),
        allow_watch_bookmarks: flag(request, "allowWatchBookmarks").unwrap_or(false),
    };
    let errors = if is_watch {
        check_watch(&options, version_match)
    } else {
        check_list(&options, version_match)
    };
    if !errors.is_empty() {
        return Err(status::invalid("meta.k8s.io", "ListOptions", "", errors));
    }
    let is_any = matches!(options.resource_version.as_str(), "" | "0");
    if is_watch && is_any && version_match.is_empty() && options.send_initial_events.is_none() {
        // Old clients of watches from anywhere get what new ones ask for (X8).
        options.send_initial_events = Some(true);
    }
    options.selection = selection(request, labels, fields)?;
    Ok(options)
}

fn selection(
    request: &ResourceRequest,
    labels: LabelSelector,
    terms: Vec<field_selector::FieldTerm>,
) -> Result<Selection> {
    let definition = request.store.definition();
    let known = KnownFields {
        object_model: definition.object_model,
        is_namespaced: definition.is_namespaced(),
        selectable: &request.version().selectable_fields,
    };
    let fields = FieldSelector::of(terms, known)?;
    let info = &request.info;
    // The name is in the path of old watches, or was read from the selector itself.
    if !info.name.is_empty() && !fields.is_empty() && fields.exact_name() != Some(&info.name) {
        return Err(status::bad_request(
            "fieldSelector metadata.name doesn't match requested name",
        ));
    }
    // What can only be one object, or in one namespace, is looked for nowhere else.
    let mut namespace = info.namespace.clone();
    if namespace.is_empty() && definition.is_namespaced() {
        namespace = fields.exact_namespace().unwrap_or_default().to_owned();
    }
    let name = match info.name.as_str() {
        "" => fields.exact_name().unwrap_or_default().to_owned(),
        name => name.to_owned(),
    };
    Ok(Selection {
        namespace,
        name,
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

/// A boolean as the API's parameters have it; `None` where it is not given.
fn flag(request: &ResourceRequest, name: &str) -> Option<bool> {
    request
        .has_query(name)
        .then(|| is_true(request.query(name)))
}

/// A number; 0 where it is absent.
fn number(request: &ResourceRequest, name: &str) -> Result<i64> {
    if !request.has_query(name) {
        return Ok(0);
    }
    strconv::parse_int(request.query(name)).map_err(status::bad_request)
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
