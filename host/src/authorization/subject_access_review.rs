//! Decisions of the cluster's own authorizers, by `authorization.k8s.io/v1` SubjectAccessReview.
//!
//! Allows and denials are cached for 10 s, errors never; a review whose answer somebody waits for already is
//! asked once. Attributes that a client chooses, of 10,000 bytes and more, are never cached. As k8s.io/apiserver,
//! plugin/pkg/authorizer/webhook/webhook.go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use k8s_openapi::api::authorization::v1::{
    FieldSelectorAttributes, LabelSelectorAttributes, NonResourceAttributes, ResourceAttributes,
    SubjectAccessReviewSpec, SubjectAccessReviewStatus,
};
use tokio::sync::OnceCell;

use super::decision_cache::{DecisionCache, Key};
use super::{Authorizer, Decision, selector_requirements};
use crate::ambient::Clock;
use crate::api::RequestInfo;
use crate::api::UserInfo;

/// As `maxControlledAttrCacheSize` upstream.
const CACHED_ATTRIBUTES_MAX_BYTES: usize = 10_000;

/// Where reviews are answered: the cluster. Retries, and ends within a time of its own.
#[async_trait]
pub trait AccessReviews: Send + Sync {
    /// # Errors
    /// No answer was to be had; the text is for the log.
    async fn review(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> anyhow::Result<SubjectAccessReviewStatus>;
}

pub struct SubjectAccessReviews {
    reviews: Arc<dyn AccessReviews>,
    clock: Arc<dyn Clock>,
    cache: Mutex<DecisionCache>,
    /// Reviews under way. A flight leaves with the last request that waits for it.
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
}

/// The first request that waits asks; where it goes away, the next one does.
type Flight = OnceCell<Result<Decision, Arc<str>>>;

impl SubjectAccessReviews {
    pub fn new(reviews: Arc<dyn AccessReviews>, clock: Arc<dyn Clock>) -> Self {
        Self {
            reviews,
            clock,
            cache: Mutex::new(DecisionCache::new()),
            flights: Mutex::default(),
        }
    }

    fn cached(&self, key: &Key) -> Option<Decision> {
        let now = self.clock.now();
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key, now)
    }

    async fn ask(
        &self,
        spec: SubjectAccessReviewSpec,
        cache_as: Option<Key>,
    ) -> Result<Decision, Arc<str>> {
        let decision = match self.reviews.review(spec).await {
            Ok(status) => decide(status)?,
            Err(err) => return Err(Arc::from(format!("{err:#}"))),
        };
        if let Some(key) = cache_as {
            let now = self.clock.now();
            self.cache
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(key, decision.clone(), now);
        }
        Ok(decision)
    }
}

#[async_trait]
impl Authorizer for SubjectAccessReviews {
    async fn authorize(&self, user: &UserInfo, request: &RequestInfo) -> anyhow::Result<Decision> {
        let spec = review_of(user, request);
        let key = digest(&spec)?;
        if let Some(decision) = self.cached(&key) {
            return Ok(decision);
        }
        let seat = Seat::take(&self.flights, key);
        let cache_as = is_cacheable(request).then_some(key);
        let answer = seat
            .flight
            .get_or_init(|| self.ask(spec, cache_as))
            .await
            .clone();
        answer.map_err(|err| anyhow::anyhow!("{err}"))
    }
}

/// One request's place in a flight.
struct Seat<'a> {
    flights: &'a Mutex<HashMap<Key, Arc<Flight>>>,
    key: Key,
    flight: Arc<Flight>,
}

impl<'a> Seat<'a> {
    fn take(flights: &'a Mutex<HashMap<Key, Arc<Flight>>>, key: Key) -> Self {
        let mut under_way = flights.lock().unwrap_or_else(PoisonError::into_inner);
        let flight = under_way.entry(key).or_default();
        // One that has landed answers those who waited, not those who come later: the cache is for them.
        if flight.initialized() {
            *flight = Arc::default();
        }
        Self {
            flights,
            key,
            flight: Arc::clone(flight),
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut under_way = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        // Two hold it: the map and this seat.
        let is_last = under_way.get(&self.key).is_some_and(|it| {
            Arc::ptr_eq(it, &self.flight) && Arc::strong_count(&self.flight) == 2
        });
        if is_last {
            under_way.remove(&self.key);
        }
    }
}

fn decide(status: SubjectAccessReviewStatus) -> Result<Decision, Arc<str>> {
    if status.denied == Some(true) && status.allowed {
        return Err(Arc::from(
            "the subject access review answered both allowed and denied",
        ));
    }
    if status.allowed {
        return Ok(Decision::Allow);
    }
    Ok(Decision::Deny {
        reason: status.reason.unwrap_or_default(),
    })
}

fn review_of(user: &UserInfo, request: &RequestInfo) -> SubjectAccessReviewSpec {
    let mut spec = SubjectAccessReviewSpec {
        user: some(&user.name),
        uid: some(&user.uid),
        groups: Some(user.groups.clone()).filter(|it| !it.is_empty()),
        extra: Some(user.extra.clone()).filter(|it| !it.is_empty()),
        ..SubjectAccessReviewSpec::default()
    };
    if request.is_resource_request {
        spec.resource_attributes = Some(resource_attributes(request));
    } else {
        spec.non_resource_attributes = Some(NonResourceAttributes {
            path: some(&request.path),
            verb: some(&request.verb),
        });
    }
    spec
}

fn resource_attributes(request: &RequestInfo) -> ResourceAttributes {
    let fields = selector_requirements::of_fields(&request.field_selector);
    let labels = selector_requirements::of_labels(&request.label_selector);
    ResourceAttributes {
        namespace: some(&request.namespace),
        verb: some(&request.verb),
        group: some(&request.group),
        version: some(&request.version),
        resource: some(&request.resource),
        subresource: some(&request.subresource),
        name: some(&request.name),
        field_selector: (!fields.is_empty()).then(|| FieldSelectorAttributes {
            requirements: Some(fields),
            ..FieldSelectorAttributes::default()
        }),
        label_selector: (!labels.is_empty()).then(|| LabelSelectorAttributes {
            requirements: Some(labels),
            ..LabelSelectorAttributes::default()
        }),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn digest(spec: &SubjectAccessReviewSpec) -> serde_json::Result<Key> {
    let json = serde_json::to_vec(spec)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &json);
    let mut key = Key::default();
    key.copy_from_slice(digest.as_ref());
    Ok(key)
}

/// What a client chooses may be large on purpose, to push everybody else out of the cache.
fn is_cacheable(request: &RequestInfo) -> bool {
    let chosen = [
        &request.namespace,
        &request.verb,
        &request.group,
        &request.version,
        &request.resource,
        &request.subresource,
        &request.name,
        &request.path,
        &request.field_selector,
        &request.label_selector,
    ];
    chosen.iter().map(|it| it.len()).sum::<usize>() < CACHED_ATTRIBUTES_MAX_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    use expect_test::expect;
    use futures_util::future::{join, join3};
    use jiff::Timestamp;
    use tokio::sync::Semaphore;

    use super::*;

    /// The clock's second.
    #[derive(Default)]
    struct Seconds(AtomicI64);

    impl Clock for Seconds {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::Relaxed)).unwrap()
        }
    }

    /// Answers one review for each permit: allowed to users whose name begins with `a`, an error to those
    /// whose name begins with `e`.
    struct Answers {
        permits: Semaphore,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl AccessReviews for Answers {
        async fn review(
            &self,
            spec: SubjectAccessReviewSpec,
        ) -> anyhow::Result<SubjectAccessReviewStatus> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.permits.acquire().await?.forget();
            let user = spec.user.unwrap_or_default();
            if user.starts_with('e') {
                anyhow::bail!("connection refused");
            }
            Ok(SubjectAccessReviewStatus {
                allowed: user.starts_with('a') || user == "both",
                denied: Some(user == "both"),
                reason: Some(format!("{user} said no")),
                ..SubjectAccessReviewStatus::default()
            })
        }
    }

    struct Bench {
        authorizer: SubjectAccessReviews,
        answers: Arc<Answers>,
        clock: Arc<Seconds>,
    }

    impl Bench {
        fn new(permits: usize) -> Self {
            let answers = Arc::new(Answers {
                permits: Semaphore::new(permits),
                asked: AtomicUsize::new(0),
            });
            let clock = Arc::new(Seconds::default());
            let authorizer = SubjectAccessReviews::new(
                Arc::clone(&answers) as Arc<dyn AccessReviews>,
                Arc::clone(&clock) as Arc<dyn Clock>,
            );
            Self {
                authorizer,
                answers,
                clock,
            }
        }

        async fn ask(&self, user: &str, request: &RequestInfo) -> String {
            let user = UserInfo {
                name: user.into(),
                ..UserInfo::default()
            };
            match self.authorizer.authorize(&user, request).await {
                Ok(Decision::Allow) => "allow".into(),
                Ok(Decision::Deny { reason }) => format!("deny: {reason}"),
                Err(err) => format!("error: {err:#}"),
            }
        }

        fn asked(&self) -> usize {
            self.answers.asked.load(Ordering::Relaxed)
        }
    }

    fn get(name: &str) -> RequestInfo {
        RequestInfo {
            is_resource_request: true,
            verb: "get".into(),
            resource: "anchors".into(),
            name: name.into(),
            ..RequestInfo::default()
        }
    }

    #[tokio::test]
    async fn keeps_allows_and_denials_for_ten_seconds() {
        let bench = Bench::new(10);
        for _ in 0..3 {
            assert_eq!(bench.ask("ann", &get("w")).await, "allow");
            assert_eq!(bench.ask("bob", &get("w")).await, "deny: bob said no");
        }
        assert_eq!(bench.asked(), 2);
        bench.clock.0.store(10, Ordering::Relaxed);
        assert_eq!(bench.ask("ann", &get("w")).await, "allow");
        assert_eq!(bench.asked(), 3);
    }

    #[tokio::test]
    async fn never_takes_an_answer_for_that_to_another_question() {
        let bench = Bench::new(10);
        bench.ask("ann", &get("w")).await;
        bench.ask("ann", &get("v")).await;
        let status = RequestInfo {
            subresource: "status".into(),
            ..get("w")
        };
        bench.ask("ann", &status).await;
        assert_eq!(bench.asked(), 3);
    }

    #[tokio::test]
    async fn fails_closed_and_forgets_errors() {
        let bench = Bench::new(10);
        assert_eq!(
            bench.ask("eve", &get("w")).await,
            "error: connection refused"
        );
        assert_eq!(
            bench.ask("eve", &get("w")).await,
            "error: connection refused"
        );
        assert_eq!(bench.asked(), 2);
        assert_eq!(
            bench.ask("both", &get("w")).await,
            "error: the subject access review answered both allowed and denied"
        );
    }

    #[tokio::test]
    async fn asks_once_for_all_who_wait() {
        let bench = Bench::new(1);
        let request = get("w");
        let (first, second, third) = join3(
            bench.ask("ann", &request),
            bench.ask("ann", &request),
            bench.ask("ann", &request),
        )
        .await;
        assert_eq!([first, second, third], ["allow", "allow", "allow"]);
        assert_eq!(bench.asked(), 1);
        assert!(bench.authorizer.flights.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn goes_on_when_the_one_who_asked_goes_away() {
        let bench = Bench::new(0);
        let request = get("w");
        {
            let mut first = Box::pin(bench.ask("ann", &request));
            assert!(futures_util::poll!(&mut first).is_pending());
            let waits = bench.ask("ann", &request);
            let goes_away = async {
                drop(first);
                bench.answers.permits.add_permits(1);
            };
            assert_eq!(join(waits, goes_away).await.0, "allow");
        }
        assert_eq!(bench.asked(), 2);
        assert!(bench.authorizer.flights.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn keeps_no_answer_to_a_huge_question() {
        let bench = Bench::new(10);
        let huge = get(&"w".repeat(CACHED_ATTRIBUTES_MAX_BYTES));
        bench.ask("ann", &huge).await;
        bench.ask("ann", &huge).await;
        assert_eq!(bench.asked(), 2);
    }

    #[test]
    fn sends_all_attributes() {
        let user = UserInfo {
            name: "jane".into(),
            uid: "7".into(),
            groups: vec!["dev".into()],
            extra: BTreeMap::from([("scopes".to_owned(), vec!["a".to_owned()])]),
        };
        let request = RequestInfo {
            is_resource_request: true,
            verb: "list".into(),
            group: "g.example.com".into(),
            version: "v1".into(),
            namespace: "team".into(),
            resource: "anchors".into(),
            label_selector: "a=b".into(),
            field_selector: "metadata.name!=x".into(),
            ..RequestInfo::default()
        };
        let resource = serde_json::to_string(&review_of(&user, &request)).unwrap();
        expect![[r#"{"extra":{"scopes":["a"]},"groups":["dev"],"resourceAttributes":{"fieldSelector":{"requirements":[{"key":"metadata.name","operator":"NotIn","values":["x"]}]},"group":"g.example.com","labelSelector":{"requirements":[{"key":"a","operator":"In","values":["b"]}]},"namespace":"team","resource":"anchors","verb":"list","version":"v1"},"uid":"7","user":"jane"}"#]].assert_eq(&resource);
        let path = RequestInfo {
            verb: "get".into(),
            path: "/metrics".into(),
            ..RequestInfo::default()
        };
        let path = serde_json::to_string(&review_of(&UserInfo::default(), &path)).unwrap();
        expect![[r#"{"nonResourceAttributes":{"path":"/metrics","verb":"get"}}"#]].assert_eq(&path);
    }
}
