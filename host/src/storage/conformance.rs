//! Cases that every [`Storage`] passes, by itself and behind a [`WatchCache`].
//!
//! In the spirit of k8s.io/apiserver, pkg/storage/testing. An engine's tests name the suite once:
//! `conformance!(Subject::new(storage, ()))`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod feeding;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

pub(super) use self::feeding::*;
use super::watch_cache::{Attributes, CacheEvent, Indexer, WatchCache};
use super::*;
use crate::api::Object;

pub(super) const PREFIX: &str = "objects/g/anchors/";

/// The engine under test, and where its objects are read: from itself or from a cache.
pub(super) struct Subject {
    pub(super) storage: Arc<dyn Storage>,
    cache: Option<Arc<WatchCache>>,
    /// What the engine stands on.
    _below: Box<dyn Any + Send>,
}

impl Subject {
    pub(super) fn new(storage: Arc<dyn Storage>, below: impl Any + Send) -> Self {
        Self {
            storage,
            cache: None,
            _below: Box::new(below),
        }
    }

    /// Reads come from a cache from now on.
    pub(super) async fn behind_cache(mut self) -> Self {
        self.cache = Some(attached(&self.storage).await);
        self
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, StorageError> {
        self.storage.commit(&context(), writes).await
    }

    /// Shows what is under the prefix as `name=color@revision`.
    async fn list(&self, below: &str, start: &str) -> String {
        let prefix = format!("{PREFIX}{below}");
        let start = match start {
            "" => String::new(),
            start => format!("{PREFIX}{start}"),
        };
        let scope = Scope {
            prefix: &prefix,
            namespace: None,
            name: None,
        };
        let revision = self.storage.refresh(&context(), scope).await.unwrap();
        let Some(cache) = &self.cache else {
            let items = self
                .storage
                .list(&prefix, &start, usize::MAX)
                .await
                .unwrap();
            return items.iter().map(show).collect::<Vec<_>>().join(" ");
        };
        assert!(
            cache.revision() >= revision,
            "sinks come before the acknowledgement"
        );
        let snapshot = cache.snapshot();
        let objects = snapshot.range(&prefix, &start);
        let shown = objects.map(|it| show_parts(&it.key, it.revision, &it.bytes()));
        shown.collect::<Vec<_>>().join(" ")
    }
}

pub(super) fn context() -> RequestContext {
    RequestContext::background("conformance", Instant::now() + Duration::from_secs(60))
}

pub(super) fn key(name: &str) -> Key {
    format!("{PREFIX}{name}").into()
}

pub(super) fn record(name: &str, color: &str) -> Record {
    let (namespace, name) = name.split_once('/').unwrap();
    let object = json!({
        "apiVersion": "g/v1", "kind": "Anchor",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"color": color},
    });
    let encoded = Object(object.as_object().unwrap().clone()).encode();
    Record {
        bytes: encoded.bytes,
        version_at: encoded.version_at,
    }
}

pub(super) fn put(name: &str, color: &str, expected: Expected) -> Write {
    Write {
        key: key(name),
        expected,
        record: Some(record(name, color)),
    }
}

pub(super) fn create(name: &str, color: &str) -> Write {
    put(name, color, Expected::Absent)
}

pub(super) fn delete(name: &str, expected: Expected) -> Write {
    Write {
        key: key(name),
        expected,
        record: None,
    }
}

pub(super) async fn attached(storage: &Arc<dyn Storage>) -> Arc<WatchCache> {
    let cache = WatchCache::new(PREFIX.into(), true, Arc::new(NoAttributes));
    storage.attach(PREFIX, cache.clone()).await.unwrap();
    assert!(cache.is_loaded());
    cache
}

fn show(item: &Item) -> String {
    show_parts(&item.key, item.revision, &item.record.bytes)
}

fn show_parts(key: &str, revision: Revision, bytes: &[u8]) -> String {
    let object = Object::from_slice(bytes).unwrap();
    let color = object.0["spec"]["color"].as_str().unwrap();
    format!("{}={color}@{revision}", &key[PREFIX.len()..])
}

pub(super) fn show_event(event: &CacheEvent) -> String {
    let side = |object: &Option<Arc<watch_cache::CachedObject>>| {
        let shown = object
            .as_ref()
            .map(|it| show_parts(&it.key, it.revision, &it.bytes()));
        shown.unwrap_or("-".into())
    };
    format!(
        "{}: {} <- {}",
        event.revision,
        side(&event.object),
        side(&event.previous)
    )
}

struct NoAttributes;

impl Indexer for NoAttributes {
    fn attributes(&self, _key: &str, _bytes: &Bytes) -> Result<Attributes, String> {
        Ok(Attributes::default())
    }
}

pub(super) async fn creates_what_is_absent(subject: Subject) {
    let before = subject.storage.current_revision();
    assert!(before >= Revision(1));
    let revision = subject.commit(vec![create("a/x", "red")]).await.unwrap();
    assert!(revision > before);
    assert_eq!(subject.storage.current_revision(), revision);
    let expected = format!("a/x=red@{revision}");
    assert_eq!(subject.list("", "").await, expected);
    let item = subject.storage.get(&key("a/x")).await.unwrap().unwrap();
    assert_eq!(show(&item), expected);
    assert_eq!(item.record, record("a/x", "red"));
    assert_eq!(subject.storage.get(&key("a/y")).await.unwrap(), None);
}

pub(super) async fn refuses_to_create_what_exists(subject: Subject) {
    let revision = subject.commit(vec![create("a/x", "red")]).await.unwrap();
    let refused = subject.commit(vec![create("a/x", "blue")]).await;
    assert!(matches!(refused, Err(StorageError::Exists { key: it }) if it == key("a/x")));
    assert_eq!(subject.list("", "").await, format!("a/x=red@{revision}"));
    assert_eq!(subject.storage.current_revision(), revision);
}

pub(super) async fn updates_at_the_expected_revision(subject: Subject) {
    let first = subject.commit(vec![create("a/x", "red")]).await.unwrap();
    let update = vec![put("a/x", "blue", Expected::At(first))];
    let second = subject.commit(update).await.unwrap();
    assert!(second > first);
    let stale = vec![put("a/x", "green", Expected::At(first))];
    let Err(StorageError::Conflict { key: of, actual }) = subject.commit(stale).await else {
        panic!("the revision is stale");
    };
    assert_eq!(of, key("a/x"));
    assert_eq!(show(&actual.unwrap()), format!("a/x=blue@{second}"));
    let anyway = vec![put("a/x", "green", Expected::Anything)];
    let third = subject.commit(anyway).await.unwrap();
    assert_eq!(subject.list("", "").await, format!("a/x=green@{third}"));
    let missing = vec![put("a/y", "green", Expected::At(third))];
    let refused = subject.commit(missing).await;
    assert!(matches!(
        refused,
        Err(StorageError::Conflict { actual: None, .. })
    ));
}

pub(super) async fn deletes_at_the_expected_revision(subject: Subject) {
    let first = subject.commit(vec![create("a/x", "red")]).await.unwrap();
    let stale = vec![delete("a/x", Expected::At(Revision(first.0 + 7)))];
    let Err(StorageError::Conflict { actual, .. }) = subject.commit(stale).await else {
        panic!("the revision is wrong");
    };
    assert_eq!(show(&actual.unwrap()), format!("a/x=red@{first}"));
    let gone = subject
        .commit(vec![delete("a/x", Expected::At(first))])
        .await
        .unwrap();
    assert!(gone > first);
    assert_eq!(subject.list("", "").await, "");
    let again = subject.commit(vec![create("a/x", "new")]).await.unwrap();
    assert!(again > gone);
    assert_eq!(subject.list("", "").await, format!("a/x=new@{again}"));
}

pub(super) async fn what_changes_nothing_has_no_revision(subject: Subject) {
    let first = subject.commit(vec![create("a/x", "red")]).await.unwrap();
    let nothing = vec![
        delete("a/gone", Expected::Anything),
        put("a/x", "red", Expected::At(first)),
    ];
    assert_eq!(subject.commit(nothing).await.unwrap(), first);
    assert_eq!(subject.commit(vec![]).await.unwrap(), first);
    assert_eq!(subject.list("", "").await, format!("a/x=red@{first}"));
}

pub(super) async fn commits_all_of_a_batch_or_nothing(subject: Subject) {
    let first = subject.commit(vec![create("a/x", "red")]).await.unwrap();
    let refused = vec![
        create("a/w", "red"),
        delete("a/x", Expected::Anything),
        put("a/z", "red", Expected::At(first)),
    ];
    let refused = subject.commit(refused).await;
    assert!(matches!(refused, Err(StorageError::Conflict { .. })));
    assert_eq!(subject.list("", "").await, format!("a/x=red@{first}"));
    let batch = vec![
        create("a/w", "red"),
        put("a/x", "blue", Expected::At(first)),
        create("b/y", "red"),
    ];
    let second = subject.commit(batch).await.unwrap();
    let expected = format!("a/w=red@{second} a/x=blue@{second} b/y=red@{second}");
    assert_eq!(subject.list("", "").await, expected);
}

pub(super) async fn refuses_batches_that_make_no_sense(subject: Subject) {
    let twice = vec![create("a/x", "red"), put("a/x", "blue", Expected::Anything)];
    let err = subject.commit(twice).await.unwrap_err();
    assert!(matches!(&err, StorageError::Failed(_)), "{err}");
    let mut bad = create("a/x", "red");
    bad.key = "objects//x".into();
    let err = subject.commit(vec![bad]).await.unwrap_err();
    assert!(matches!(&err, StorageError::Failed(_)), "{err}");
    assert_eq!(subject.list("", "").await, "");
}

pub(super) async fn lists_ranges_in_the_order_of_keys(subject: Subject) {
    let names = ["ab/x", "a-/x", "a/b", "a/a", "a.b/x", "a/c"];
    let all = names.iter().map(|it| create(it, "red")).collect();
    let r = subject.commit(all).await.unwrap();
    let shown = |names: &[&str]| {
        let shown: Vec<_> = names.iter().map(|it| format!("{it}=red@{r}")).collect();
        shown.join(" ")
    };
    let everything = shown(&["a-/x", "a.b/x", "a/a", "a/b", "a/c", "ab/x"]);
    assert_eq!(subject.list("", "").await, everything);
    assert_eq!(subject.list("a/", "").await, shown(&["a/a", "a/b", "a/c"]));
    assert_eq!(subject.list("a-/", "").await, shown(&["a-/x"]));
    assert_eq!(subject.list("a/", "a/b").await, shown(&["a/b", "a/c"]));
    assert_eq!(subject.list("a/", "a/a\0").await, shown(&["a/b", "a/c"]));
    assert_eq!(
        subject.list("a/", "a-/x").await,
        shown(&["a/a", "a/b", "a/c"])
    );
    assert_eq!(subject.list("a/", "ab/").await, "");
    let page = subject
        .storage
        .list(PREFIX, &key("a.b/x"), 2)
        .await
        .unwrap();
    let page: Vec<_> = page.iter().map(show).collect();
    assert_eq!(page.join(" "), shown(&["a.b/x", "a/a"]));
}

pub(super) async fn keeps_bytes_as_they_are(subject: Subject) {
    let value = Record {
        bytes: (0..1_500_000u32).map(|it| it.to_le_bytes()[0]).collect(),
        version_at: 0,
    };
    let write = Write {
        key: "kv/plugin/ключ".into(),
        expected: Expected::Absent,
        record: Some(value.clone()),
    };
    subject.commit(vec![write]).await.unwrap();
    let items = subject.storage.list("kv/plugin/", "", 10).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].record, value);
    assert_eq!(&*items[0].key, "kv/plugin/ключ");
}

/// Increments of one counter by compare-and-swap, from many sides: none is lost.
pub(super) async fn concurrent_writers_lose_nothing(subject: Subject) {
    const WRITERS: usize = 16;
    const ROUNDS: usize = 10;
    subject
        .commit(vec![create("a/counter", "0")])
        .await
        .unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let storage = Arc::clone(&subject.storage);
        writers.spawn(async move {
            let mut revisions = Vec::new();
            for round in 0..ROUNDS {
                let mine = create(&format!("a/w{writer}-{round}"), "red");
                revisions.push(storage.commit(&context(), vec![mine]).await.unwrap());
                revisions.push(increment(&*storage).await);
            }
            revisions
        });
    }
    let mut revisions = Vec::new();
    while let Some(of_one) = writers.join_next().await {
        let of_one = of_one.unwrap();
        assert!(of_one.is_sorted(), "a writer sees its own order");
        revisions.extend(of_one);
    }
    revisions.sort_unstable();
    let mut distinct = revisions.clone();
    distinct.dedup();
    assert_eq!(revisions, distinct, "each commit has a revision of its own");
    let total = WRITERS * ROUNDS;
    let listed = subject.list("", "").await;
    assert!(listed.contains(&format!("a/counter={total}@")), "{listed}");
    assert_eq!(listed.split(' ').count(), total + 1);
}

async fn increment(storage: &dyn Storage) -> Revision {
    loop {
        let item = storage.get(&key("a/counter")).await.unwrap().unwrap();
        let object = Object::from_slice(&item.record.bytes).unwrap();
        let count: usize = object.0["spec"]["color"].as_str().unwrap().parse().unwrap();
        let next = put(
            "a/counter",
            &(count + 1).to_string(),
            Expected::At(item.revision),
        );
        match storage.commit(&context(), vec![next]).await {
            Ok(revision) => return revision,
            Err(StorageError::Conflict { actual, .. }) => assert!(actual.is_some()),
            Err(err) => panic!("{err}"),
        }
    }
}

/// The whole suite for one engine; `$subject` is an expression of a [`Subject`], in an async function.
macro_rules! conformance {
    ($subject:expr) => {
        conformance!($subject;
            creates_what_is_absent
            refuses_to_create_what_exists
            updates_at_the_expected_revision
            deletes_at_the_expected_revision
            what_changes_nothing_has_no_revision
            commits_all_of_a_batch_or_nothing
            refuses_batches_that_make_no_sense
            lists_ranges_in_the_order_of_keys
            keeps_bytes_as_they_are
            concurrent_writers_lose_nothing
            feeds_sinks_without_a_gap
            sinks_see_their_prefix_and_every_revision
            forgets_sinks_that_nobody_holds
            watches_from_now
            watches_after_a_revision_of_the_past
            watches_from_the_future
        );
    };
    ($subject:expr; $($case:ident)*) => {
        mod by_itself {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::storage::conformance::$case($subject).await;
            })*
        }
        mod behind_the_watch_cache {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::storage::conformance::$case($subject.behind_cache().await).await;
            })*
        }
    };
}
pub(super) use conformance;
