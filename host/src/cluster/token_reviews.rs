//! TokenReviews answered by kube-apiserver: it knows the tokens of service accounts and users.
//!
//! Needs the ClusterRole `system:auth-delegator`. Who asks tries again by itself.

use std::collections::BTreeMap;

use async_trait::async_trait;
use k8s_openapi::api::authentication::v1::{self, TokenReviewSpec, TokenReviewStatus};
use kube::Client;

use super::review;
use super::status::{ClusterStatus, Part};
use crate::api::UserInfo;
use crate::authentication::{TokenReview, TokenReviews};

pub struct ClusterTokenReviews {
    client: Client,
    part: Part,
}

impl ClusterTokenReviews {
    pub fn new(client: Client, status: &ClusterStatus) -> Self {
        Self {
            client,
            part: status.optional("token-reviews"),
        }
    }
}

#[async_trait]
impl TokenReviews for ClusterTokenReviews {
    async fn review(&self, token: &str, audiences: &[String]) -> anyhow::Result<TokenReview> {
        let question = v1::TokenReview {
            spec: TokenReviewSpec {
                token: token.to_owned(),
                audiences: (!audiences.is_empty()).then(|| audiences.to_vec()),
            },
            ..v1::TokenReview::default()
        };
        let answer = review::ask(&self.client, &self.part, &question, 1).await?;
        Ok(read(answer.status.unwrap_or_default()))
    }
}

fn read(status: TokenReviewStatus) -> TokenReview {
    let user = status.user.unwrap_or_default();
    // Keys are compared in lower case wherever they are read.
    let extra: BTreeMap<String, Vec<String>> = user
        .extra
        .unwrap_or_default()
        .into_iter()
        .map(|(key, values)| (key.to_lowercase(), values))
        .collect();
    TokenReview {
        authenticated: status.authenticated.unwrap_or_default(),
        user: UserInfo {
            name: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra,
        },
        audiences: status.audiences.unwrap_or_default(),
        error: status.error.unwrap_or_default(),
    }
}
