//! Users by bearer token: the cluster is asked by TokenReview.
//!
//! Answers, good or bad, are kept for 10 s; failures of the review itself are not. Requests with the same
//! token share one review. Tokens are kept as HMACs under a key of this process, never as they are
//! (k8s.io/apiserver, pkg/authentication/token/cache).

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use async_trait::async_trait;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::{self, SystemRandom};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};

use super::Outcome;
use crate::api::UserInfo;

const MAX_KEPT: usize = 8192;
/// For one request, with all retries.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(30);
const CALL_DEADLINE: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 5;

#[derive(Clone, Copy)]
struct Timing {
    /// For how long an answer holds.
    kept: Duration,
    first_back_off: Duration,
}

/// As upstream, which has the same for good and bad answers.
const TIMING: Timing = Timing {
    kept: Duration::from_secs(10),
    first_back_off: Duration::from_millis(500),
};

/// The status of an `authentication.k8s.io/v1` TokenReview.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenReview {
    pub authenticated: bool,
    pub user: UserInfo,
    /// Those of the asked audiences that the token is for; empty from clusters that know none.
    pub audiences: Vec<String>,
    /// Why the token could not be checked; empty otherwise.
    pub error: String,
}

/// The cluster's TokenReview API.
///
/// # Errors
/// The API gave no answer. It is asked again, with back-off.
#[async_trait]
pub trait TokenReviews: Send + Sync + 'static {
    async fn review(&self, token: &str, audiences: &[String]) -> anyhow::Result<TokenReview>;
}

type TokenHash = [u8; 32];
type Answer = Result<Option<UserInfo>, Arc<str>>;

/// One review, perhaps still under way.
struct Review {
    answer: OnceCell<(Instant, Answer)>,
}

#[derive(Default)]
struct Reviews {
    by_token: HashMap<TokenHash, Arc<Review>>,
    /// Oldest first, to give up when there are too many.
    order: VecDeque<TokenHash>,
}

pub struct TokenAuthenticator {
    cluster: Arc<dyn TokenReviews>,
    /// The audiences of this server; empty are those of the cluster's API server.
    audiences: Vec<String>,
    key: hmac::Key,
    reviews: Mutex<Reviews>,
    timing: Timing,
}

impl TokenAuthenticator {
    /// # Errors
    /// The system has no randomness to give.
    pub fn new(cluster: Arc<dyn TokenReviews>, audiences: Vec<String>) -> anyhow::Result<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| anyhow!("no random key for the cache of tokens"))?;
        Ok(Self {
            cluster,
            audiences,
            key,
            reviews: Mutex::default(),
            timing: TIMING,
        })
    }

    pub(super) async fn authenticate(&self, token: &str) -> Outcome {
        let looked_up = timeout(LOOKUP_DEADLINE, self.look_up(token)).await;
        match looked_up {
            Ok(Ok(Some(user))) => Outcome::is(user),
            Ok(Ok(None)) => Outcome::Failed("the bearer token is not valid".into()),
            Ok(Err(why)) => Outcome::Failed(format!("the bearer token was not reviewed: {why}")),
            Err(_) => Outcome::Failed(format!(
                "the bearer token was not reviewed within {LOOKUP_DEADLINE:?}"
            )),
        }
    }

    /// Cancel-safe: the next of those who wait goes on with the review.
    async fn look_up(&self, token: &str) -> Answer {
        let hash = self.hash(token);
        let review = self.join(hash);
        let (_, answer) = review
            .answer
            .get_or_init(|| async { (Instant::now(), self.ask(token).await) })
            .await;
        if answer.is_err() {
            self.forget(&hash, &review);
        }
        answer.clone()
    }

    fn hash(&self, token: &str) -> TokenHash {
        let mut hash = [0; 32];
        hash.copy_from_slice(hmac::sign(&self.key, token.as_bytes()).as_ref());
        hash
    }

    fn lock(&self) -> MutexGuard<'_, Reviews> {
        self.reviews.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The review of this token: one that is under way, one whose answer still holds, or a new one.
    fn join(&self, hash: TokenHash) -> Arc<Review> {
        let mut reviews = self.lock();
        if let Some(review) = reviews.by_token.get(&hash) {
            let answered = review.answer.get();
            if answered.is_none_or(|(at, _)| at.elapsed() < self.timing.kept) {
                return Arc::clone(review);
            }
        }
        let review = Arc::new(Review {
            answer: OnceCell::new(),
        });
        if reviews.by_token.insert(hash, Arc::clone(&review)).is_some() {
            reviews.order.retain(|it| *it != hash);
        }
        reviews.order.push_back(hash);
        if reviews.order.len() > MAX_KEPT
            && let Some(oldest) = reviews.order.pop_front()
        {
            reviews.by_token.remove(&oldest);
        }
        review
    }

    fn forget(&self, hash: &TokenHash, review: &Arc<Review>) {
        let mut reviews = self.lock();
        let is_same = reviews
            .by_token
            .get(hash)
            .is_some_and(|it| Arc::ptr_eq(it, review));
        if is_same {
            reviews.by_token.remove(hash);
            reviews.order.retain(|it| it != hash);
        }
    }

    async fn ask(&self, token: &str) -> Answer {
        let mut back_off = self.timing.first_back_off;
        for attempt in 1.. {
            let call = timeout(CALL_DEADLINE, self.cluster.review(token, &self.audiences)).await;
            let call = call.context("no answer in time").flatten();
            match call {
                Ok(review) => return self.judge(review),
                Err(err) if attempt >= ATTEMPTS => {
                    tracing::warn!("cannot review tokens, {attempt} attempts: {err:#}");
                    return Err(format!("{err:#}").into());
                }
                Err(_) => {}
            }
            sleep(with_jitter(back_off)).await;
            back_off = back_off * 3 / 2;
        }
        unreachable!("the last attempt returns")
    }

    fn judge(&self, review: TokenReview) -> Answer {
        if !review.error.is_empty() && !review.authenticated {
            return Err(review.error.into());
        }
        if !review.authenticated {
            return Ok(None);
        }
        // A cluster that names no audiences knows none: its own API server is the only one.
        let is_for_us = self.audiences.is_empty()
            || review.audiences.is_empty()
            || review
                .audiences
                .iter()
                .any(|it| self.audiences.contains(it));
        Ok(is_for_us.then_some(review.user))
    }
}

/// Up to a fifth more, so that requests that failed together do not come again together.
fn with_jitter(back_off: Duration) -> Duration {
    let mut random = [0];
    match rand::fill(&mut random) {
        Ok(()) => back_off + back_off * u32::from(random[0]) / (5 * 256),
        Err(_) => back_off,
    }
}

/// The token of `Authorization: Bearer …`, if there is one.
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut parts = bearer_parts(headers)?;
    parts.next().filter(|it| !it.is_empty())
}

/// Whether a space stands where the token should begin: such a header is ignored.
pub(super) fn has_extra_space(headers: &HeaderMap) -> bool {
    bearer_parts(headers)
        .is_some_and(|mut parts| parts.next() == Some("") && parts.next().is_some())
}

/// What follows `Bearer `, cut at the first space.
fn bearer_parts(headers: &HeaderMap) -> Option<impl Iterator<Item = &str>> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.trim().split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| rest.splitn(2, ' '))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failed test")]
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Knows the token `good`; the first `failing` calls fail, each call takes a permit.
    struct Cluster {
        calls: AtomicU32,
        failing: u32,
        permits: Semaphore,
        audiences: Vec<String>,
    }

    impl Cluster {
        fn new(failing: u32) -> Arc<Self> {
            Arc::new(Self {
                calls: AtomicU32::new(0),
                failing,
                permits: Semaphore::new(1000),
                audiences: Vec::new(),
            })
        }

        fn calls(&self) -> u32 {
            self.calls.load(Ordering::SeqCst)
        }
    }

    #[async_trait]
    impl TokenReviews for Cluster {
        async fn review(&self, token: &str, _audiences: &[String]) -> anyhow::Result<TokenReview> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await?.forget();
            anyhow::ensure!(call >= self.failing, "connection refused");
            Ok(TokenReview {
                authenticated: token == "good",
                user: UserInfo {
                    name: "jane".into(),
                    ..UserInfo::default()
                },
                audiences: self.audiences.clone(),
                error: String::new(),
            })
        }
    }

    fn authenticator(cluster: &Arc<Cluster>) -> TokenAuthenticator {
        let mut tokens = TokenAuthenticator::new(Arc::clone(cluster) as _, Vec::new()).unwrap();
        tokens.timing.first_back_off = Duration::from_millis(1);
        tokens
    }

    fn shown(outcome: Outcome) -> String {
        match outcome {
            Outcome::Is(user) => user.name.clone(),
            Outcome::NotMine => "not mine".into(),
            Outcome::Failed(why) => why,
        }
    }

    #[tokio::test]
    async fn keeps_good_and_bad_answers_until_they_are_old() {
        let cluster = Cluster::new(0);
        let mut tokens = authenticator(&cluster);
        for _ in 0..3 {
            assert_eq!(shown(tokens.authenticate("good").await), "jane");
            let bad = shown(tokens.authenticate("bad").await);
            assert_eq!(bad, "the bearer token is not valid");
        }
        assert_eq!(cluster.calls(), 2);
        tokens.timing.kept = Duration::ZERO;
        assert_eq!(shown(tokens.authenticate("good").await), "jane");
        assert_eq!(cluster.calls(), 3);
    }

    #[tokio::test]
    async fn asks_again_when_the_cluster_gives_no_answer() {
        let cluster = Cluster::new(2);
        let tokens = authenticator(&cluster);
        assert_eq!(shown(tokens.authenticate("good").await), "jane");
        assert_eq!(cluster.calls(), 3);
    }

    #[tokio::test]
    async fn does_not_keep_the_failure_of_a_review() {
        let cluster = Cluster::new(ATTEMPTS);
        let tokens = authenticator(&cluster);
        assert_eq!(
            shown(tokens.authenticate("good").await),
            "the bearer token was not reviewed: connection refused"
        );
        assert_eq!(shown(tokens.authenticate("good").await), "jane");
        assert_eq!(cluster.calls(), ATTEMPTS + 1);
    }

    #[tokio::test]
    async fn reviews_once_for_requests_at_the_same_time() {
        let cluster = Cluster::new(0);
        cluster.permits.forget_permits(1000);
        let tokens = authenticator(&cluster);
        let release = async {
            while cluster.calls() == 0 {
                tokio::task::yield_now().await;
            }
            cluster.permits.add_permits(1);
        };
        let (one, two, three, ()) = tokio::join!(
            tokens.authenticate("good"),
            tokens.authenticate("good"),
            tokens.authenticate("good"),
            release
        );
        assert_eq!([one, two, three].map(shown), ["jane", "jane", "jane"]);
        assert_eq!(cluster.calls(), 1);
    }

    #[tokio::test]
    async fn refuses_a_token_for_another_audience() {
        let mut cluster = Cluster::new(0);
        Arc::get_mut(&mut cluster).unwrap().audiences = vec!["vault".into()];
        let tokens = TokenAuthenticator::new(cluster, vec!["outrigger".into()]).unwrap();
        assert_eq!(
            shown(tokens.authenticate("good").await),
            "the bearer token is not valid"
        );
    }

    #[tokio::test]
    async fn keeps_a_bounded_number_of_answers() {
        let cluster = Cluster::new(0);
        cluster.permits.add_permits(MAX_KEPT + 10);
        let tokens = authenticator(&cluster);
        for token in 0..MAX_KEPT + 10 {
            tokens.authenticate(&token.to_string()).await;
        }
        assert_eq!(tokens.lock().by_token.len(), MAX_KEPT);
        assert_eq!(tokens.lock().order.len(), MAX_KEPT);
    }

    #[test]
    fn reads_the_token_as_go_does() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            let token = bearer_token(&headers).map(str::to_owned);
            (token, has_extra_space(&headers))
        };
        assert_eq!(read("Bearer abc"), (Some("abc".into()), false));
        assert_eq!(read(" bEARER abc def"), (Some("abc".into()), false));
        assert_eq!(read("Bearer  abc"), (None, true));
        assert_eq!(read("Bearer"), (None, false));
        assert_eq!(read("Basic abc"), (None, false));
    }
}
