//! Who asks: request header (front proxy), client certificate, bearer token, bearer token of a WebSocket, in
//! this order.
//!
//! The first that recognises the request decides. If none does, one that failed makes it a 401; else the
//! request is anonymous (k8s.io/apiserver, pkg/authentication/request/union). Why a request is refused
//! is never told to the client.

mod chain;
mod client_certificate;
mod delegated_config;
mod request_header;
mod token_review;
mod websocket_token;

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::api::{Status, UserInfo, status};
use crate::serving::ConnectionInfo;

pub use chain::TrustBundle;
pub use delegated_config::{ConfigMapErrors, DelegatedConfig, RequestHeaderConfig};
pub use token_review::{TokenAuthenticator, TokenReview, TokenReviews};

use client_certificate::ClientCertificates;
use request_header::RequestHeader;

pub const ANONYMOUS: &str = "system:anonymous";
pub const AUTHENTICATED: &str = "system:authenticated";
pub const UNAUTHENTICATED: &str = "system:unauthenticated";

/// What each authenticator says of a request.
enum Outcome {
    /// All of it: nothing is to be added.
    Is(Arc<UserInfo>),
    /// Nothing in the request is for this authenticator.
    NotMine,
    /// It is, and does not hold; the text is for the log alone.
    Failed(String),
}

impl Outcome {
    fn is(user: UserInfo) -> Self {
        Self::Is(settled(user))
    }
}

/// All authenticators, in their order.
pub struct Authenticators {
    config: Arc<ArcSwap<DelegatedConfig>>,
    request_header: RequestHeader,
    client_certificates: ClientCertificates,
    tokens: Option<TokenAuthenticator>,
    allow_anonymous: bool,
}

impl Authenticators {
    /// `config` is read anew for each request: storing another one counts at once, also on connections
    /// that are open. Without `tokens`, a bearer token is as good as none.
    pub fn new(
        config: Arc<ArcSwap<DelegatedConfig>>,
        tokens: Option<TokenAuthenticator>,
        allow_anonymous: bool,
    ) -> Self {
        Self {
            config,
            request_header: RequestHeader::default(),
            client_certificates: ClientCertificates::default(),
            tokens,
            allow_anonymous,
        }
    }

    /// # Errors
    /// 401 without a reason. As after an anonymous request, an HTTP/2 connection then ends with the
    /// answer, so that nobody unknown can keep one busy.
    pub async fn authenticate(
        &self,
        connection: &ConnectionInfo,
        headers: &HeaderMap,
    ) -> Result<Arc<UserInfo>, Box<Status>> {
        let result = self.find_user(connection, headers).await;
        let is_known = result.as_ref().is_ok_and(|user| user.name != ANONYMOUS);
        if !is_known && connection.is_http2 {
            connection.close_after_response();
        }
        result
    }

    async fn find_user(
        &self,
        connection: &ConnectionInfo,
        headers: &HeaderMap,
    ) -> Result<Arc<UserInfo>, Box<Status>> {
        let config = self.config.load_full();
        let certificates = &connection.client_certificates;
        let mut failures = Vec::new();
        let certified = [
            self.request_header
                .authenticate(config.request_header.as_ref(), certificates, headers),
            self.client_certificates
                .authenticate(&config.client_ca, certificates),
        ];
        for outcome in certified {
            match outcome {
                Outcome::Is(user) => return Ok(user),
                Outcome::NotMine => {}
                Outcome::Failed(why) => failures.push(why),
            }
        }
        if let Some(tokens) = &self.tokens {
            let bearer = token_review::bearer_token(headers).map(str::to_owned);
            for token in [Ok(bearer), websocket_token::token(headers)] {
                let outcome = match token {
                    Ok(Some(token)) => tokens.authenticate(&token).await,
                    Ok(None) => Outcome::NotMine,
                    Err(why) => Outcome::Failed(why.into()),
                };
                match outcome {
                    Outcome::Is(user) => return Ok(user),
                    Outcome::NotMine => {}
                    Outcome::Failed(why) => failures.push(why),
                }
            }
        }
        if !failures.is_empty() {
            tracing::debug!(peer = %connection.peer, "not authenticated: {}", failures.join("; "));
            return Err(status::unauthorized());
        }
        if !self.allow_anonymous {
            return Err(status::unauthorized());
        }
        Ok(Arc::new(UserInfo {
            name: ANONYMOUS.into(),
            groups: vec![UNAUTHENTICATED.into()],
            ..UserInfo::default()
        }))
    }

    /// Removes every header that carries an identity: nothing behind authentication may see one.
    pub fn strip_identity(&self, headers: &mut HeaderMap) {
        let config = self.config.load();
        let configured = config.request_header.as_ref();
        let doomed: Vec<_> = headers
            .keys()
            .filter(|it| {
                **it == AUTHORIZATION
                    || it.as_str().starts_with("x-remote-")
                    || configured.is_some_and(|config| config.names_header(it.as_str()))
            })
            .cloned()
            .collect();
        for name in doomed {
            headers.remove(name);
        }
        websocket_token::strip(headers);
    }
}

/// In the group of those who are known, as by upstream's `group.AuthenticatedGroupAdder`: a front proxy may vouch for
/// anonymous requests.
fn settled(mut user: UserInfo) -> Arc<UserInfo> {
    let is_settled = user.name == ANONYMOUS
        || user.is_in_group(AUTHENTICATED)
        || user.is_in_group(UNAUTHENTICATED);
    if !is_settled {
        user.groups.push(AUTHENTICATED.into());
    }
    Arc::new(user)
}

/// The text of a Warning header (code 299) that the request's Authorization header deserves.
pub fn warning(headers: &HeaderMap) -> Option<&'static str> {
    token_review::has_extra_space(headers).then_some(
        "the provided Authorization header contains extra space before the bearer token, and is ignored",
    )
}

#[cfg(test)]
mod tests;
