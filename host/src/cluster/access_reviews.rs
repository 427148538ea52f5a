//! SubjectAccessReviews answered by kube-apiserver: the cluster's own authorizers decide.
//!
//! Needs the ClusterRole `system:auth-delegator`.

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{
    NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use kube::Client;

use super::follow::BackOff;
use super::review;
use super::status::{ClusterStatus, Part};
use crate::authorization::AccessReviews;

/// As `DefaultAuthWebhookRetryBackoff` of k8s.io/apiserver, pkg/server/options.
const TRIES: u32 = 5;

pub struct ClusterAccessReviews {
    client: Client,
    part: Part,
}

impl ClusterAccessReviews {
    pub fn new(client: Client, status: &ClusterStatus) -> Self {
        Self {
            client,
            part: status.optional("subject-access-reviews"),
        }
    }

    /// Asks once whether asking is allowed at all, so that a missing binding shows before the first user does.
    pub async fn probe(&self) {
        let mut back_off = BackOff::for_ever();
        let spec = SubjectAccessReviewSpec {
            user: Some("system:anonymous".into()),
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some("/readyz".into()),
                verb: Some("get".into()),
            }),
            ..SubjectAccessReviewSpec::default()
        };
        while self.review(spec.clone()).await.is_err() {
            tokio::time::sleep(back_off.next()).await;
        }
    }
}

#[async_trait]
impl AccessReviews for ClusterAccessReviews {
    async fn review(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> anyhow::Result<SubjectAccessReviewStatus> {
        let question = SubjectAccessReview {
            spec,
            ..SubjectAccessReview::default()
        };
        let answer = review::ask(&self.client, &self.part, &question, TRIES).await?;
        answer
            .status
            .ok_or_else(|| anyhow::anyhow!("kube-apiserver answered a review without a status"))
    }
}
