//! Whether they may: always-allowed groups and paths, then SubjectAccessReview. Fails closed.

pub mod always_allowed;
pub mod subject_access_review;

use async_trait::async_trait;

use crate::api::UserInfo;
use crate::endpoints::request_info::RequestInfo;

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
