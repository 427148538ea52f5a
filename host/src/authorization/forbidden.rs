//! The 403 of a request that was authenticated but not allowed, in the words of k8s.io/apiserver,
//! pkg/endpoints/handlers/responsewriters/errors.go.
//!
//! `&`, `<` and `>` of the request are escaped as HTML, since browsers may show the text; the reason comes
//! from the cluster's authorizer and is left as it is.

use crate::api::RequestInfo;
use crate::api::status::{self, Details, Status};
use crate::api::{GroupResource, UserInfo, quote};

/// `reason` is the authorizer's, perhaps empty.
pub fn forbidden(user: &UserInfo, request: &RequestInfo, reason: &str) -> Box<Status> {
    let mut text = escape_html(&denial(user, request));
    if !reason.is_empty() {
        text.push_str(": ");
        text.push_str(reason);
    }
    if request.is_resource_request {
        let resource = GroupResource {
            group: request.group.clone(),
            resource: request.resource.clone(),
        };
        return status::forbidden(&resource, &request.name, &text);
    }
    let mut status = Status::failure(403, "Forbidden", format!("forbidden: {text}"));
    status.details = Some(Details::default());
    status
}

fn denial(user: &UserInfo, request: &RequestInfo) -> String {
    let name = quote(&user.name);
    let verb = &request.verb;
    if !request.is_resource_request {
        return format!("User {name} cannot {verb} path {}", quote(&request.path));
    }
    let resource = if request.subresource.is_empty() {
        quote(&request.resource)
    } else {
        quote(&format!("{}/{}", request.resource, request.subresource))
    };
    let group = quote(&request.group);
    let place = if request.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {}", quote(&request.namespace))
    };
    format!("User {name} cannot {verb} resource {resource} in API group {group} {place}")
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(user: &str, request: &RequestInfo, reason: &str, expected: Expect) {
        let user = UserInfo {
            name: user.into(),
            ..UserInfo::default()
        };
        let status = forbidden(&user, request, reason);
        let shown = serde_json::to_string(&status).expect("a Status is JSON");
        expected.assert_eq(&shown);
    }

    fn request(name: &str, namespace: &str, subresource: &str) -> RequestInfo {
        RequestInfo {
            is_resource_request: true,
            verb: "patch".into(),
            group: "g.example.com".into(),
            resource: "anchors".into(),
            name: name.into(),
            namespace: namespace.into(),
            subresource: subresource.into(),
            ..RequestInfo::default()
        }
    }

    #[test]
    fn names_the_object_and_its_namespace() {
        check(
            "jane",
            &request("w", "team", "status"),
            "",
            expect![[
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"anchors.g.example.com \"w\" is forbidden: User \"jane\" cannot patch resource \"anchors/status\" in API group \"g.example.com\" in the namespace \"team\"","reason":"Forbidden","details":{"name":"w","group":"g.example.com","kind":"anchors"},"code":403}"#
            ]],
        );
    }

    #[test]
    fn names_the_cluster_scope_and_gives_the_reason() {
        check(
            "jane",
            &request("", "", ""),
            "no <policy> matched",
            expect![[
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"anchors.g.example.com is forbidden: User \"jane\" cannot patch resource \"anchors\" in API group \"g.example.com\" at the cluster scope: no <policy> matched","reason":"Forbidden","details":{"group":"g.example.com","kind":"anchors"},"code":403}"#
            ]],
        );
    }

    #[test]
    fn escapes_what_the_client_sent() {
        let request = RequestInfo {
            verb: "get".into(),
            path: "/<script>\"&\n".into(),
            ..RequestInfo::default()
        };
        check(
            "é\u{200b}\\",
            &request,
            "",
            expect![[
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"forbidden: User \"é\\u200b\\\\\" cannot get path \"/&lt;script&gt;\\\"&amp;\\n\"","reason":"Forbidden","details":{},"code":403}"#
            ]],
        );
    }
}
