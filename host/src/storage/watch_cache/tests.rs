//! What readers of a cache rely on, with an engine played by hand.

mod indexes;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use expect_test::{Expect, expect};
use serde_json::json;
use tokio::task::yield_now;

use super::ring::Window;
use super::*;
use crate::api::Object;
use crate::storage::{Key, Record};

const PREFIX: &str = "objects/g/anchors/";

/// Finds the metadata as the registry's indexer does, and counts how often it is asked.
#[derive(Default)]
struct CountingIndexer(AtomicUsize);

impl Indexer for CountingIndexer {
    fn attributes(&self, _key: &str, bytes: &Bytes) -> Result<Attributes, String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let text = std::str::from_utf8(bytes).expect("UTF-8");
        let start = text.find("\"metadata\":").expect("metadata") + "\"metadata\":".len();
        let end = start + text[start..].find('}').expect("a brace") + 1;
        let place = |at| u32::try_from(at).expect("small");
        let spec: serde_json::Value = serde_json::from_slice(bytes).expect("JSON");
        let color = spec["spec"]["color"].as_str().expect("a color");
        let labels = (color != "none").then_some(("color", color));
        let metadata = place(start)..place(end);
        Ok(Attributes::new(labels, [("spec.color", color)], metadata))
    }
}

/// The engine's part: it knows what is there and what was there before.
struct Engine {
    cache: Arc<WatchCache>,
    indexer: Arc<CountingIndexer>,
    items: std::collections::BTreeMap<Key, (Revision, Record)>,
    revision: Revision,
    progress: Arc<SharedRevision>,
}

impl Engine {
    fn start() -> Self {
        Self::with_window(Window::default())
    }

    fn with_window(window: Window) -> Self {
        let indexer = Arc::new(CountingIndexer::default());
        let cache = WatchCache::with_window(PREFIX.into(), true, Arc::clone(&indexer) as _, window);
        cache.load(vec![], vec![], Revision(1), Revision(1));
        let progress = Arc::new(SharedRevision::new(Revision(1)));
        cache.follow(&progress);
        Self {
            progress,
            cache,
            indexer,
            items: std::collections::BTreeMap::new(),
            revision: Revision(1),
        }
    }

    /// Commits changes of objects by `namespace/name`; `None` deletes.
    fn commit(&mut self, changes: &[(&str, Option<&str>)]) -> Revision {
        self.revision.0 += 1;
        let revision = self.revision;
        let events: Vec<Event> = changes
            .iter()
            .map(|(name, color)| {
                let key: Key = format!("{PREFIX}{name}").into();
                let record = color.map(|color| record(name, color));
                let previous = match &record {
                    Some(record) => self
                        .items
                        .insert(Arc::clone(&key), (revision, record.clone())),
                    None => self.items.remove(&key),
                };
                Event {
                    key,
                    revision,
                    record,
                    previous,
                }
            })
            .collect();
        self.cache.apply(&events);
        self.progress.reach(revision);
        revision
    }
}

fn record(name: &str, color: &str) -> Record {
    let (namespace, name) = name.split_once('/').expect("namespace/name");
    let object = json!({
        "apiVersion": "g/v1", "kind": "Anchor",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"color": color},
    });
    let encoded = Object(object.as_object().expect("an object").clone()).encode();
    Record {
        bytes: encoded.bytes,
        version_at: encoded.version_at,
    }
}

fn shown(snapshot: &Snapshot) -> String {
    let objects: Vec<String> = snapshot
        .range(PREFIX, "")
        .map(|it| {
            let object = Object::from_slice(&it.bytes()).expect("JSON");
            assert_eq!(object.resource_version(), it.revision.to_string());
            let color = object.0["spec"]["color"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            format!("{}/{}={color}@{}", it.namespace(), it.name(), it.revision)
        })
        .collect();
    format!("{}: {}", snapshot.revision, objects.join(" "))
}

#[track_caller]
fn check_events(events: &[Arc<CacheEvent>], expected: Expect) {
    let lines: Vec<String> = events
        .iter()
        .map(|it| {
            let side = |object: &Option<Arc<CachedObject>>| {
                object.as_ref().map_or("-".to_owned(), |it| {
                    format!("{}@{}", it.name(), it.revision)
                })
            };
            format!(
                "{} {} <- {}",
                it.revision,
                side(&it.object),
                side(&it.previous)
            )
        })
        .collect();
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn splices_the_version_and_cuts_the_metadata_out() {
    let mut engine = Engine::start();
    engine.commit(&[("default/a", Some("red"))]);
    let object = engine
        .cache
        .get("objects/g/anchors/default/a")
        .expect("there");
    assert_eq!(
        object.metadata_at(Revision(2)),
        r#"{"resourceVersion":"2","name":"a","namespace":"default"}"#
    );
    let shared = object.shared(object.whole(), Revision(2)).concat();
    assert_eq!(shared, object.bytes());
    assert_eq!(object.length(&object.whole(), Revision(2)), shared.len());
    assert_eq!(
        object.bytes_at(Revision(1234)),
        r#"{"apiVersion":"g/v1","kind":"Anchor","metadata":{"resourceVersion":"1234","name":"a","namespace":"default"},"spec":{"color":"red"}}"#
    );
}

#[test]
fn a_snapshot_does_not_change_while_the_cache_does() {
    let mut engine = Engine::start();
    engine.commit(&[("a/x", Some("red")), ("b/y", Some("red"))]);
    let before = engine.cache.snapshot();
    engine.commit(&[("a/x", None)]);
    engine.commit(&[("c/z", Some("blue"))]);
    expect!["2: a/x=red@2 b/y=red@2"].assert_eq(&shown(&before));
    expect!["4: b/y=red@2 c/z=blue@4"].assert_eq(&shown(&engine.cache.snapshot()));
}

#[test]
fn lists_a_namespace_whose_name_begins_another() {
    let mut engine = Engine::start();
    engine.commit(&[
        ("a/x", Some("red")),
        ("a-/y", Some("red")),
        ("a/z", Some("red")),
        ("ab/x", Some("red")),
    ]);
    let snapshot = engine.cache.snapshot();
    let keys = |prefix: &str, start: &str| -> Vec<String> {
        let range = snapshot.range(prefix, start);
        range.map(|it| it.key[PREFIX.len()..].to_owned()).collect()
    };
    let a = format!("{PREFIX}a/");
    assert_eq!(keys(&a, ""), ["a/x", "a/z"]);
    assert_eq!(keys(&a, &format!("{PREFIX}a/x\0")), ["a/z"]);
    assert_eq!(keys(&a, &format!("{PREFIX}zzz")), [""; 0]);
    assert_eq!(keys(PREFIX, ""), ["a-/y", "a/x", "a/z", "ab/x"]);
}

/// Every revision of a long history, checked against a model that was kept beside it.
#[test]
fn snapshots_of_every_kept_revision_are_exact() {
    let window = Window {
        max_events: 1_000,
        max_bytes: 64 << 20,
    };
    let mut engine = Engine::with_window(window);
    let mut model = vec![(Revision(1), shown(&engine.cache.snapshot()))];
    for step in 0..2_000u64 {
        let name = format!("ns{}/n{}", step % 3, step * 7 % 31);
        let other = format!("ns{}/m{}", step % 3, step * 5 % 11);
        let color = format!("c{step}");
        // A mix of one and two changes at a revision, and of deletes.
        let change = (step % 4 != 3).then_some(color.as_str());
        let revision = if step % 5 == 0 {
            engine.commit(&[(&name, change), (&other, Some(&color))])
        } else if change.is_some()
            || engine
                .items
                .contains_key(format!("{PREFIX}{name}").as_str())
        {
            engine.commit(&[(&name, change)])
        } else {
            engine.commit(&[(&other, Some(&color))])
        };
        model.push((revision, shown(&engine.cache.snapshot())));
    }
    let Err(Expired { oldest }) = engine.cache.snapshot_at(Revision(1)) else {
        panic!("the first revision is long gone");
    };
    let mut checked = 0;
    for (revision, expected) in &model {
        match engine.cache.snapshot_at(*revision) {
            Ok(snapshot) => {
                assert_eq!(&shown(&snapshot), expected);
                checked += 1;
            }
            Err(expired) => assert!(*revision < oldest, "{expired:?} at {revision}"),
        }
    }
    assert!(checked > 500, "only {checked} were in the window");
}

#[tokio::test]
async fn a_watch_from_now_sees_each_change_once() {
    let mut engine = Engine::start();
    engine.commit(&[("a/x", Some("red"))]);
    let (snapshot, mut watcher) = engine.cache.watch_from_now();
    expect!["2: a/x=red@2"].assert_eq(&shown(&snapshot));
    engine.commit(&[("a/x", Some("blue"))]);
    engine.commit(&[("a/y", Some("blue"))]);
    engine.commit(&[("a/x", None)]);
    check_events(
        &watcher.next().await.expect("open"),
        expect![[r"
            3 x@3 <- x@2
            4 y@4 <- -
            5 - <- x@3"]],
    );
    assert_eq!(watcher.revision(), Revision(5));
}

#[tokio::test]
async fn wakes_a_waiting_watcher() {
    let mut engine = Engine::start();
    let (_, mut watcher) = engine.cache.watch_from_now();
    let waiting = tokio::spawn(async move { watcher.next().await });
    yield_now().await;
    assert!(!waiting.is_finished());
    engine.commit(&[("a/x", Some("red"))]);
    let events = waiting.await.expect("no panic").expect("open");
    check_events(&events, expect!["2 x@2 <- -"]);
}

#[tokio::test]
async fn a_watch_from_the_future_waits_for_it() {
    let mut engine = Engine::start();
    let mut watcher = engine.cache.watch_after(Revision(3)).expect("not expired");
    engine.commit(&[("a/x", Some("red"))]);
    engine.commit(&[("a/y", Some("red"))]);
    engine.commit(&[("a/z", Some("red"))]);
    check_events(&watcher.next().await.expect("open"), expect!["4 z@4 <- -"]);
}

#[tokio::test]
async fn a_slow_watcher_is_told_that_it_expired() {
    let mut engine = Engine::with_window(Window {
        max_events: 2,
        max_bytes: 64 << 20,
    });
    let (_, mut slow) = engine.cache.watch_from_now();
    engine.commit(&[("a/x", Some("1"))]);
    engine.commit(&[("a/x", Some("2"))]);
    let mut just = engine.cache.watch_after(Revision(2)).expect("kept");
    engine.commit(&[("a/x", Some("3"))]);
    let oldest = Revision(2);
    assert_eq!(
        slow.next().await.expect_err("expired"),
        WatchEnd::Expired { oldest }
    );
    assert_eq!(just.next().await.expect("kept").len(), 2);
    let again = engine.cache.watch_after(Revision(1)).expect_err("gone");
    assert_eq!(again, Expired { oldest });
}

#[test]
fn bounds_the_bytes_of_superseded_objects() {
    let mut engine = Engine::with_window(Window {
        max_events: 100_000,
        max_bytes: 64 << 10,
    });
    let large = "r".repeat(8 << 10);
    for step in 0..50 {
        engine.commit(&[("a/x", Some(&format!("{large}{step}")))]);
    }
    // 64 KiB hold seven superseded versions of 8 KiB each.
    assert!(engine.cache.snapshot_at(Revision(51 - 7)).is_ok());
    assert!(engine.cache.snapshot_at(Revision(51 - 9)).is_err());
}

#[tokio::test]
async fn a_bookmark_moves_with_the_store_but_not_past_what_was_read() {
    let mut engine = Engine::start();
    let (_, mut watcher) = engine.cache.watch_from_now();
    engine.progress.reach(Revision(40));
    assert_eq!(watcher.revision(), Revision(40));
    engine.revision = Revision(40);
    engine.commit(&[("a/x", Some("red"))]);
    engine.progress.reach(Revision(50));
    assert_eq!(watcher.revision(), Revision(40), "41 was not read");
    watcher.next().await.expect("open");
    assert_eq!(watcher.revision(), Revision(50));
}

#[tokio::test]
async fn keeps_the_events_of_one_commit_together() {
    let mut engine = Engine::start();
    let (_, mut watcher) = engine.cache.watch_from_now();
    let names: Vec<String> = (0..400).map(|it| format!("a/n{it}")).collect();
    let batch: Vec<_> = names.iter().map(|it| (it.as_str(), Some("red"))).collect();
    engine.commit(&batch[..200]);
    engine.commit(&batch[200..]);
    engine.commit(&[("a/last", Some("red"))]);
    assert_eq!(watcher.next().await.expect("open").len(), 400);
    assert_eq!(watcher.next().await.expect("open").len(), 1);
}

#[tokio::test]
async fn returns_no_more_bytes_at_once_than_a_frame_has() {
    let mut engine = Engine::start();
    let (_, mut watcher) = engine.cache.watch_from_now();
    let large = "r".repeat(100 << 10);
    for name in ["a/x", "a/y", "a/z"] {
        engine.commit(&[(name, Some(&large))]);
    }
    // One commit stays whole, and so does one object.
    engine.commit(&[("a/x", Some(&large)), ("a/y", Some(&large)), ("a/z", None)]);
    engine.commit(&[("a/z", Some(&large.repeat(3)))]);
    for expected in [2, 1 + 3, 1] {
        assert_eq!(watcher.next().await.expect("open").len(), expected);
    }
    assert_eq!(watcher.revision(), Revision(6));
}

#[tokio::test]
async fn waits_for_a_revision_of_any_resource() {
    let engine = Engine::start();
    let cache = Arc::clone(&engine.cache);
    let waiting = tokio::spawn(async move { cache.wait_for(Revision(9)).await });
    yield_now().await;
    assert!(!waiting.is_finished());
    engine.progress.reach(Revision(9));
    waiting.await.expect("no panic");
}

#[tokio::test]
async fn closing_ends_watchers() {
    let engine = Engine::start();
    let (_, mut watcher) = engine.cache.watch_from_now();
    let waiting = tokio::spawn(async move { watcher.next().await.map(|it| it.len()) });
    yield_now().await;
    engine.cache.close();
    assert_eq!(waiting.await.expect("no panic"), Err(WatchEnd::Closed));
}

/// A watch that was open before a restart resumes from the engine's history.
#[tokio::test]
async fn resumes_from_loaded_history() {
    let item = |name: &str, color: &str, revision: u64| Item {
        key: format!("{PREFIX}{name}").into(),
        revision: Revision(revision),
        record: record(name, color),
    };
    let event = |now: Option<&Item>, before: Option<&Item>, revision: u64| Event {
        key: Arc::clone(&now.or(before).expect("one").key),
        revision: Revision(revision),
        record: now.map(|it| it.record.clone()),
        previous: before.map(|it| (it.revision, it.record.clone())),
    };
    let (x, x2, y) = (
        item("a/x", "1", 4),
        item("a/x", "2", 6),
        item("a/y", "1", 5),
    );
    let history = vec![
        event(Some(&x), None, 4),
        event(Some(&y), None, 5),
        event(Some(&x2), Some(&x), 6),
        event(None, Some(&y), 7),
    ];
    let indexer = Arc::new(CountingIndexer::default());
    let cache = WatchCache::new(PREFIX.into(), true, Arc::clone(&indexer) as _);
    assert!(!cache.is_loaded());
    cache.load(vec![x2], history, Revision(3), Revision(9));
    assert!(cache.is_loaded());
    assert_eq!(indexer.0.load(Ordering::Relaxed), 3, "once per version");
    assert_eq!(cache.revision(), Revision(9));
    let mut watcher = cache.watch_after(Revision(5)).expect("kept");
    check_events(
        &watcher.next().await.expect("open"),
        expect![[r"
            6 x@6 <- x@4
            7 - <- y@5"]],
    );
    assert_eq!(watcher.revision(), Revision(9));
    expect!["5: a/x=1@4 a/y=1@5"].assert_eq(&shown(&cache.snapshot_at(Revision(5)).expect("kept")));
    expect!["3: "].assert_eq(&shown(&cache.snapshot_at(Revision(3)).expect("kept")));
    assert!(cache.watch_after(Revision(2)).is_err());
}

/// An engine that has lost changes loads again: who watched must not take what comes next for what comes next.
#[tokio::test]
async fn a_second_load_ends_the_watches_of_the_first() {
    let mut engine = Engine::start();
    engine.commit(&[("a/x", Some("red"))]);
    let (_, mut before) = engine.cache.watch_from_now();
    let mut ahead = engine.cache.watch_after(Revision(20)).expect("the future");
    let item = Item {
        key: format!("{PREFIX}a/y").into(),
        revision: Revision(8),
        record: record("a/y", "blue"),
    };
    let oldest = Revision(9);
    engine.cache.load(vec![item], vec![], oldest, oldest);
    expect!["9: a/y=blue@8"].assert_eq(&shown(&engine.cache.snapshot()));
    engine.revision = oldest;
    engine.commit(&[("a/z", Some("red"))]);
    let expired = WatchEnd::Expired { oldest };
    assert_eq!(before.next().await.expect_err("a gap"), expired);
    assert_eq!(ahead.next().await.expect_err("a gap"), expired);
    assert!(engine.cache.watch_after(Revision(2)).is_err());
    let mut after = engine.cache.watch_after(oldest).expect("kept");
    check_events(&after.next().await.expect("open"), expect!["10 z@10 <- -"]);
}

#[test]
fn asks_the_indexer_once_per_version() {
    let mut engine = Engine::start();
    engine.commit(&[("a/x", Some("red"))]);
    engine.commit(&[("a/x", Some("blue"))]);
    engine.commit(&[("a/x", None)]);
    assert_eq!(engine.indexer.0.load(Ordering::Relaxed), 2);
}
