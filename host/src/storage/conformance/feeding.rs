//! Cases of what engines tell: sinks, and watches of a cache that is one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::{PREFIX, Subject, attached, context, create, delete, key, put, show_event, show_parts};
use crate::api::Object;
use crate::storage::watch_cache::Expired;
use crate::storage::{Event, Expected, Item, Key, Record, Revision, SharedRevision, Sink};

/// A sink that comes while others write has everything once, in order.
pub(in crate::storage) async fn feeds_sinks_without_a_gap(subject: Subject) {
    let storage = Arc::clone(&subject.storage);
    let writing = tokio::spawn(async move {
        for step in 0..200u32 {
            let name = format!("a/n{}", step % 20);
            let write = if step % 7 == 6 {
                delete(&name, Expected::Anything)
            } else {
                put(&name, &step.to_string(), Expected::Anything)
            };
            storage.commit(&context(), vec![write]).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let mut recorders = Vec::new();
    for _ in 0..5 {
        let recorder = Arc::new(Recorder::default());
        subject
            .storage
            .attach(PREFIX, recorder.clone())
            .await
            .unwrap();
        recorders.push(recorder);
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
    let items = subject.storage.list(PREFIX, "", usize::MAX).await.unwrap();
    let expected: BTreeMap<_, _> = items
        .into_iter()
        .map(|it| (it.key, (it.revision, it.record)))
        .collect();
    for recorder in recorders {
        let seen = recorder.seen.lock().unwrap();
        assert_eq!(seen.loads, 1);
        assert_eq!(seen.objects, expected);
        assert!(seen.revisions.is_sorted());
        assert_eq!(seen.at(), subject.storage.current_revision());
    }
}

pub(in crate::storage) async fn sinks_see_their_prefix_and_every_revision(subject: Subject) {
    let recorder = Arc::new(Recorder::default());
    let prefix = format!("{PREFIX}a/");
    subject
        .storage
        .attach(&prefix, recorder.clone())
        .await
        .unwrap();
    let batch = vec![create("a/x", "red"), create("a-/x", "red")];
    subject.commit(batch).await.unwrap();
    let last = subject.commit(vec![create("b/x", "red")]).await.unwrap();
    let seen = recorder.seen.lock().unwrap();
    assert_eq!(seen.keys, [key("a/x")]);
    assert_eq!(seen.at(), last);
}

pub(in crate::storage) async fn forgets_sinks_that_nobody_holds(subject: Subject) {
    let recorder = Arc::new(Recorder::default());
    subject
        .storage
        .attach(PREFIX, recorder.clone())
        .await
        .unwrap();
    let weak = Arc::downgrade(&recorder);
    drop(recorder);
    assert!(weak.upgrade().is_none());
    subject.commit(vec![create("a/x", "red")]).await.unwrap();
}

pub(in crate::storage) async fn watches_from_now(subject: Subject) {
    subject.commit(vec![create("a/old", "red")]).await.unwrap();
    let cache = attached(&subject.storage).await;
    let (snapshot, mut watcher) = cache.watch_from_now();
    assert_eq!(snapshot.range(PREFIX, "").count(), 1);
    let r1 = subject.commit(vec![create("a/x", "red")]).await.unwrap();
    let r2 = subject
        .commit(vec![put("a/x", "blue", Expected::At(r1))])
        .await
        .unwrap();
    let r3 = subject
        .commit(vec![delete("a/x", Expected::At(r2))])
        .await
        .unwrap();
    let events = watcher.next().await.unwrap();
    let shown: Vec<_> = events.iter().map(|it| show_event(it)).collect();
    let expected = [
        format!("{r1}: a/x=red@{r1} <- -"),
        format!("{r2}: a/x=blue@{r2} <- a/x=red@{r1}"),
        format!("{r3}: - <- a/x=blue@{r2}"),
    ];
    assert_eq!(shown, expected);
    let last = events[2].previous.as_ref().unwrap();
    let deleted = Object::from_slice(&last.bytes_at(events[2].revision)).unwrap();
    assert_eq!(deleted.resource_version(), r3.to_string());
    assert_eq!(watcher.revision(), r3);
}

/// A cache that comes later knows of the time before it.
pub(in crate::storage) async fn watches_after_a_revision_of_the_past(subject: Subject) {
    let r1 = subject
        .commit(vec![create("a/x", "1"), create("a/y", "1")])
        .await
        .unwrap();
    let r2 = subject
        .commit(vec![put("a/x", "2", Expected::At(r1))])
        .await
        .unwrap();
    let r3 = subject
        .commit(vec![delete("a/y", Expected::At(r1))])
        .await
        .unwrap();
    let r4 = subject.commit(vec![create("a/y", "2")]).await.unwrap();
    let cache = attached(&subject.storage).await;
    let mut watcher = cache.watch_after(r1).unwrap();
    let events = watcher.next().await.unwrap();
    let shown: Vec<_> = events.iter().map(|it| show_event(it)).collect();
    let expected = [
        format!("{r2}: a/x=2@{r2} <- a/x=1@{r1}"),
        format!("{r3}: - <- a/y=1@{r1}"),
        format!("{r4}: a/y=2@{r4} <- -"),
    ];
    assert_eq!(shown, expected);
    let past = cache.snapshot_at(r2).unwrap();
    let past: Vec<_> = past
        .range(PREFIX, "")
        .map(|it| show_parts(&it.key, it.revision, &it.bytes()))
        .collect();
    assert_eq!(past, [format!("a/x=2@{r2}"), format!("a/y=1@{r1}")]);
    let Err(Expired { oldest }) = cache.watch_after(Revision(0)) else {
        panic!("no store has a revision 0");
    };
    assert!(oldest >= Revision(1));
}

pub(in crate::storage) async fn watches_from_the_future(subject: Subject) {
    let cache = attached(&subject.storage).await;
    let now = subject.storage.current_revision();
    let mut watcher = cache.watch_after(Revision(now.0 + 1)).unwrap();
    let waiting = {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move { cache.wait_for(Revision(now.0 + 2)).await })
    };
    subject.commit(vec![create("a/x", "red")]).await.unwrap();
    let second = subject.commit(vec![create("a/y", "red")]).await.unwrap();
    waiting.await.unwrap();
    let events = watcher.next().await.unwrap();
    let shown: Vec<_> = events.iter().map(|it| show_event(it)).collect();
    assert_eq!(shown, [format!("{second}: a/y=red@{second} <- -")]);
}

/// Writes down what an engine tells.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    loads: usize,
    objects: BTreeMap<Key, (Revision, Record)>,
    revisions: Vec<Revision>,
    keys: Vec<Key>,
    /// Of what it was given last.
    given: Revision,
    progress: Arc<SharedRevision>,
}

impl Seen {
    fn at(&self) -> Revision {
        self.given.max(self.progress.revision())
    }
}

impl Sink for Recorder {
    fn load(&self, items: Vec<Item>, _history: Vec<Event>, oldest: Revision, revision: Revision) {
        assert!(oldest <= revision);
        let mut seen = self.seen.lock().unwrap();
        seen.loads += 1;
        let records = items
            .into_iter()
            .map(|it| (it.key, (it.revision, it.record)));
        seen.objects = records.collect();
        seen.given = revision;
    }

    fn apply(&self, events: &[Event]) {
        let mut seen = self.seen.lock().unwrap();
        for event in events {
            assert!(event.revision > seen.at(), "behind what was told before");
            let before = match &event.record {
                Some(record) => {
                    let now = (event.revision, record.clone());
                    seen.objects.insert(event.key.clone(), now)
                }
                None => seen.objects.remove(&event.key),
            };
            assert_eq!(before, event.previous, "no change was left out");
            seen.keys.push(event.key.clone());
        }
        seen.revisions.push(events[0].revision);
        seen.given = events[0].revision;
    }

    fn follow(&self, progress: &Arc<SharedRevision>) {
        let mut seen = self.seen.lock().unwrap();
        seen.progress = Arc::clone(progress);
    }
}
