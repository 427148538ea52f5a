//! Whether they may: always-allowed groups and paths, then SubjectAccessReview. Fails closed.
//!
//! The order is that of k8s.io/apiserver, pkg/server/options/authorization.go. Nothing here talks to a
//! cluster: SubjectAccessReviews leave through the port [`AccessReviews`].

pub mod always_allowed;
pub mod forbidden;
pub mod subject_access_review;

mod decision_cache;
mod selector_requirements;

use async_trait::async_trait;

use crate::api::RequestInfo;
use crate::api::status::{self, Status};
use crate::api::{RequestContext, UserInfo};

pub use always_allowed::AlwaysAllowed;
pub use forbidden::forbidden;
pub use subject_access_review::{AccessReviews, SubjectAccessReviews};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// Denied or no opinion; the text, perhaps empty, goes into the client's 403.
    Deny {
        reason: String,
    },
}

/// # Errors
/// The decision could not be had: never an allow; the client gets a 500 (Z4).
#[async_trait]
pub trait Authorizer: Send + Sync {
    async fn authorize(&self, user: &UserInfo, request: &RequestInfo) -> anyhow::Result<Decision>;
}

/// Asks for another verb on the object of a request that was authorized for its own: `create` where a PUT
/// or a PATCH is about to create, `unsafe-delete-ignore-read-errors` where a delete asks for that.
///
/// # Errors
/// The 403 of that verb; a 500 where the decision could not be had.
pub async fn authorize_verb(
    authorizer: &dyn Authorizer,
    context: &RequestContext,
    request: &RequestInfo,
    verb: &str,
) -> Result<(), Box<Status>> {
    let request = RequestInfo {
        verb: verb.to_owned(),
        label_selector: String::new(),
        field_selector: String::new(),
        ..request.clone()
    };
    match authorizer.authorize(&context.user, &request).await {
        Ok(Decision::Allow) => Ok(()),
        Ok(Decision::Deny { reason }) => Err(forbidden(&context.user, &request, &reason)),
        Err(err) => {
            tracing::warn!(verb, path = %request.path, "authorization failed: {err:#}");
            Err(status::internal("the authorization of the request failed"))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::sync::Arc;

    use expect_test::{Expect, expect};
    use tokio::time::Instant;

    use super::*;

    /// Answers with what it was asked.
    struct Echo;

    #[async_trait]
    impl Authorizer for Echo {
        async fn authorize(
            &self,
            user: &UserInfo,
            request: &RequestInfo,
        ) -> anyhow::Result<Decision> {
            match user.name.as_str() {
                "jane" => Ok(Decision::Allow),
                "broken" => Err(anyhow::anyhow!("the secret of the host")),
                _ => Ok(Decision::Deny {
                    reason: format!("asked {} {}", request.verb, request.field_selector),
                }),
            }
        }
    }

    async fn check(user: &str, expected: Expect) {
        let user = UserInfo {
            name: user.into(),
            ..UserInfo::default()
        };
        let context = RequestContext {
            user: Arc::new(user),
            ..RequestContext::background("test", Instant::now())
        };
        let request = RequestInfo {
            is_resource_request: true,
            verb: "update".into(),
            group: "g.example.com".into(),
            version: "v1".into(),
            namespace: "default".into(),
            resource: "widgets".into(),
            name: "w".into(),
            field_selector: "metadata.name=w".into(),
            ..RequestInfo::default()
        };
        let shown = match authorize_verb(&Echo, &context, &request, "create").await {
            Ok(()) => "allowed".to_owned(),
            Err(status) => format!("{} {}", status.code, status.message),
        };
        expected.assert_eq(&shown);
    }

    #[tokio::test]
    async fn asks_for_create_where_an_update_creates() {
        check("jane", expect!["allowed"]).await;
        check(
            "joe",
            expect![[
                r#"403 widgets.g.example.com "w" is forbidden: User "joe" cannot create resource "widgets" in API group "g.example.com" in the namespace "default": asked create "#
            ]],
        )
        .await;
    }

    #[tokio::test]
    async fn tells_a_client_nothing_of_a_failed_review() {
        check(
            "broken",
            expect!["500 Internal error occurred: the authorization of the request failed"],
        )
        .await;
    }
}
