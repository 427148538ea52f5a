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

use crate::api::{RequestInfo, UserInfo};

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
