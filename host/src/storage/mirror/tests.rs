//! A backend with a life of its own, behind a mirror.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shelf;

use std::sync::Mutex;

use expect_test::{Expect, expect};
use serde_json::json;
use tokio::sync::Notify;

use self::shelf::Shelf;
use super::*;
use crate::storage::conformance::{PREFIX, attached, context, delete, key};
use crate::storage::encrypted::{EncryptedStorage, Encryption};
use crate::storage::memory::MemoryStorage;
use crate::storage::watch_cache::{WatchCache, Watcher};
use crate::storage::{Expected, Record, Revision};

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::UNIX_EPOCH
    }
}

/// uid-1, uid-2, …
#[derive(Default)]
struct Counting(Mutex<u32>);

impl UidSource for Counting {
    fn uid(&self) -> String {
        let mut next = self.0.lock().unwrap();
        *next += 1;
        format!("uid-{next}")
    }

    fn name_suffix(&self) -> String {
        unreachable!("the mirror names nothing")
    }
}

struct Setup {
    shelf: Arc<Shelf>,
    mirror: Mirror,
    cache: Arc<WatchCache>,
}

impl Setup {
    async fn new() -> Self {
        Self::with(Shelf::default(), Changes::Unwatched).await
    }

    async fn with(shelf: Shelf, changes: Changes) -> Self {
        Self::over(Arc::new(MemoryStorage::new()), shelf, changes).await
    }

    async fn over(journal: Arc<dyn Storage>, shelf: Shelf, changes: Changes) -> Self {
        let shelf = Arc::new(shelf);
        let options = MirrorOptions {
            prefix: PREFIX.into(),
            is_namespaced: true,
            api_version: "g/v1".into(),
            kind: "Anchor".into(),
            has_generation: true,
            changes,
        };
        let cache = attached(&journal).await;
        let uids = Arc::new(Counting::default());
        let mirror = Mirror::start(options, shelf.clone(), journal, Arc::new(FixedClock), uids);
        Self {
            shelf,
            mirror,
            cache,
        }
    }

    async fn refresh(&self, name: Option<&str>) -> Result<Revision, StorageError> {
        let prefix = format!("{PREFIX}a/");
        let scope = Scope {
            prefix: &prefix,
            namespace: Some("a"),
            name,
        };
        self.mirror.refresh(&context(), scope).await
    }

    fn show(&self) -> String {
        let snapshot = self.cache.snapshot();
        let lines = snapshot.range(PREFIX, "").map(|it| {
            let object = Object::from_slice(&it.bytes()).unwrap();
            let finalizers: Vec<_> = object.finalizers().collect();
            format!(
                "{}/{} {} {} generation {} at {} {}",
                it.namespace(),
                it.name(),
                object.0["spec"],
                object.uid(),
                object.generation(),
                it.revision,
                finalizers.join(",")
            )
        });
        lines
            .map(|it| it.trim_end().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn check(&self, expected: Expect) {
        expected.assert_eq(&self.show());
    }

    async fn commit(&self, write: Write) -> Result<Revision, StorageError> {
        self.mirror.commit(&context(), vec![write]).await
    }

    /// A write of what the cache has, changed.
    fn edit(&self, name: &str, edit: impl FnOnce(&mut Object)) -> Write {
        let cached = self.cache.get(&key(name)).unwrap();
        let mut object = Object::from_slice(&cached.bytes()).unwrap();
        edit(&mut object);
        write(name, &object, Expected::At(cached.revision))
    }
}

fn write(name: &str, object: &Object, expected: Expected) -> Write {
    let encoded = object.encode();
    Write {
        key: key(name),
        expected,
        record: Some(Record {
            bytes: encoded.bytes,
            version_at: encoded.version_at,
        }),
    }
}

/// As the registry prepares an object for its creation.
fn new_anchor(name: &str, color: &str) -> Write {
    let (namespace, short) = name.split_once('/').unwrap();
    let object = json!({
        "apiVersion": "g/v1", "kind": "Anchor",
        "metadata": {"name": short, "namespace": namespace, "uid": "uid-new", "generation": 1,
                     "creationTimestamp": "1970-01-01T00:00:00Z", "managedFields": [{}]},
        "spec": {"color": color},
    });
    write(
        name,
        &Object(object.as_object().unwrap().clone()),
        Expected::Absent,
    )
}

fn set_color(object: &mut Object, color: &str) {
    object.0["spec"] = json!({"color": color});
}

async fn next(watcher: &mut Watcher) -> String {
    let events = tokio::time::timeout(Duration::from_secs(300), watcher.next()).await;
    let events = events.expect("an event").unwrap();
    let shown = events.iter().map(|it| match (&it.object, &it.previous) {
        (Some(now), None) => format!("added {}", now.name()),
        (Some(now), Some(_)) => format!("modified {}", now.name()),
        (None, previous) => format!("deleted {}", previous.as_ref().unwrap().name()),
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn a_get_brings_the_object_up_to_date() {
    let setup = Setup::new().await;
    setup.shelf.put("a/x", "red");
    setup.refresh(Some("x")).await.unwrap();
    let cached = setup.cache.get(&key("a/x")).unwrap();
    expect![[r#"{"apiVersion":"g/v1","kind":"Anchor","metadata":{"resourceVersion":"2","creationTimestamp":"1970-01-01T00:00:00Z","generation":1,"name":"x","namespace":"a","uid":"uid-1"},"spec":{"color":"red"}}"#]]
        .assert_eq(std::str::from_utf8(&cached.bytes()).unwrap());
    assert_eq!(
        setup.refresh(Some("x")).await.unwrap(),
        Revision(2),
        "nothing new"
    );
    setup.shelf.put("a/x", "blue");
    setup.refresh(Some("x")).await.unwrap();
    setup.check(expect![[r#"a/x {"color":"blue"} uid-1 generation 2 at 3"#]]);
    setup.shelf.take("a/x");
    setup.refresh(Some("x")).await.unwrap();
    setup.check(expect![""]);
    assert_eq!(setup.refresh(Some("never")).await.unwrap(), Revision(4));
}

#[tokio::test]
async fn a_list_brings_its_namespace_up_to_date() {
    let setup = Setup::new().await;
    for name in ["a/1", "a/2", "a/3", "b/1"] {
        setup.shelf.put(name, "red");
    }
    setup.refresh(None).await.unwrap();
    assert_eq!(setup.shelf.calls(), "list *, list *");
    assert_eq!(setup.show().lines().count(), 3);
    setup.shelf.take("a/1");
    setup.shelf.put("a/3", "blue");
    setup.shelf.put("a/4", "blue");
    setup.refresh(None).await.unwrap();
    let names: Vec<_> = setup
        .cache
        .snapshot()
        .range(PREFIX, "")
        .map(|it| it.name().to_owned())
        .collect();
    assert_eq!(names, ["2", "3", "4"]);
    let all = Scope {
        prefix: PREFIX,
        namespace: None,
        name: None,
    };
    setup.mirror.refresh(&context(), all).await.unwrap();
    assert_eq!(setup.show().lines().count(), 4);
}

#[tokio::test]
async fn a_write_goes_through_the_backend() {
    let setup = Setup::new().await;
    setup.commit(new_anchor("a/x", "red")).await.unwrap();
    setup.check(expect![[
        r#"a/x {"color":"red","shelf":"top"} uid-new generation 1 at 2"#
    ]]);
    let update = setup.edit("a/x", |it| set_color(it, "blue"));
    setup.commit(update).await.unwrap();
    setup.check(expect![[
        r#"a/x {"color":"blue"} uid-new generation 1 at 3"#
    ]]);
    setup
        .commit(delete("a/x", Expected::At(Revision(3))))
        .await
        .unwrap();
    setup.check(expect![""]);
    assert_eq!(setup.shelf.calls(), "create x, update x@v1, delete x@v2");
    assert!(
        setup
            .mirror
            .get(&row::side_key(&key("a/x")))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn refuses_to_create_what_only_the_backend_has() {
    let setup = Setup::new().await;
    setup.shelf.put("a/x", "red");
    let refused = setup.commit(new_anchor("a/x", "blue")).await;
    assert!(matches!(refused, Err(StorageError::Exists { .. })));
    setup.check(expect![[r#"a/x {"color":"red"} uid-1 generation 1 at 2"#]]);
}

#[tokio::test]
async fn a_stale_revision_does_not_reach_the_backend() {
    let setup = Setup::new().await;
    setup.commit(new_anchor("a/x", "red")).await.unwrap();
    let stale = setup.edit("a/x", |it| set_color(it, "stale"));
    let update = setup.edit("a/x", |it| set_color(it, "blue"));
    setup.commit(update).await.unwrap();
    setup.shelf.calls();
    let refused = setup.commit(stale).await;
    let Err(StorageError::Conflict {
        actual: Some(actual),
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(actual.revision, Revision(3));
    assert_eq!(setup.shelf.calls(), "");
}

#[tokio::test]
async fn a_conflict_of_the_backend_refreshes_the_row() {
    let setup = Setup::new().await;
    setup.commit(new_anchor("a/x", "red")).await.unwrap();
    let update = setup.edit("a/x", |it| set_color(it, "mine"));
    setup.shelf.put("a/x", "theirs");
    let refused = setup.commit(update).await;
    let Err(StorageError::Conflict {
        actual: Some(actual),
        ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(actual.revision, Revision(3));
    setup.check(expect![[
        r#"a/x {"color":"theirs"} uid-new generation 2 at 3"#
    ]]);
    let again = setup.edit("a/x", |it| set_color(it, "mine"));
    setup.commit(again).await.unwrap();
    setup.check(expect![[
        r#"a/x {"color":"mine"} uid-new generation 2 at 4"#
    ]]);
}

#[tokio::test]
async fn what_the_backend_has_lost_is_gone() {
    let setup = Setup::new().await;
    setup.commit(new_anchor("a/x", "red")).await.unwrap();
    setup.commit(new_anchor("a/y", "red")).await.unwrap();
    setup.shelf.take("a/x");
    setup.shelf.take("a/y");
    let update = setup.edit("a/x", |it| set_color(it, "blue"));
    let refused = setup.commit(update).await;
    assert!(matches!(
        refused,
        Err(StorageError::Conflict { actual: None, .. })
    ));
    setup
        .commit(delete("a/y", Expected::At(Revision(3))))
        .await
        .unwrap();
    setup.check(expect![""]);
}

/// The garbage collector's writes must not depend on the plugin.
#[tokio::test]
async fn finalizers_are_the_hosts() {
    let setup = Setup::new().await;
    setup.commit(new_anchor("a/x", "red")).await.unwrap();
    setup.shelf.calls();
    setup.shelf.state.lock().unwrap().is_broken = true;
    let add = setup.edit("a/x", |it| {
        it.metadata_mut()
            .insert("finalizers".into(), json!(["g/f"]));
    });
    setup.commit(add).await.unwrap();
    setup.check(expect![[
        r#"a/x {"color":"red","shelf":"top"} uid-new generation 1 at 3 g/f"#
    ]]);
    assert_eq!(setup.shelf.calls(), "");
    setup.shelf.state.lock().unwrap().is_broken = false;
    setup.shelf.put("a/x", "blue");
    setup.refresh(None).await.unwrap();
    setup.check(expect![[
        r#"a/x {"color":"blue"} uid-new generation 2 at 4 g/f"#
    ]]);
}

#[tokio::test]
async fn a_refusal_of_the_backend_is_the_answer() {
    let setup = Setup::new().await;
    setup.shelf.state.lock().unwrap().is_broken = true;
    for result in [
        setup.commit(new_anchor("a/x", "red")).await,
        setup.refresh(Some("x")).await,
        setup.refresh(None).await,
    ] {
        let Err(StorageError::Refused(status)) = result else {
            panic!("{result:?}");
        };
        assert_eq!((status.code, &*status.message), (503, "the shelf fell"));
    }
}

#[tokio::test]
async fn a_backend_without_versions_is_compared_by_content() {
    let shelf = Shelf {
        has_no_versions: true,
        ..Shelf::default()
    };
    let setup = Setup::with(shelf, Changes::Unwatched).await;
    setup.commit(new_anchor("a/x", "red")).await.unwrap();
    let mine = setup.edit("a/x", |it| set_color(it, "mine"));
    setup.shelf.put("a/x", "theirs");
    setup.shelf.calls();
    let refused = setup.commit(mine).await;
    assert!(matches!(
        refused,
        Err(StorageError::Conflict {
            actual: Some(_),
            ..
        })
    ));
    assert_eq!(setup.shelf.calls(), "get x", "it was not overwritten");
    let again = setup.edit("a/x", |it| set_color(it, "mine"));
    setup.commit(again).await.unwrap();
    setup.check(expect![[
        r#"a/x {"color":"mine"} uid-new generation 2 at 4"#
    ]]);
}

#[tokio::test]
async fn another_uid_is_another_object() {
    let setup = Setup::new().await;
    setup.shelf.put_object("a/x", json!({}), "one");
    setup.refresh(None).await.unwrap();
    let (_, mut watcher) = setup.cache.watch_from_now();
    setup.shelf.put_object("a/x", json!({}), "two");
    setup.refresh(None).await.unwrap();
    assert_eq!(next(&mut watcher).await, "deleted x, added x");
    setup.check(expect!["a/x {} two generation 1 at 4"]);
}

/// A list whose answer is old when it comes must not undo what was written meanwhile.
#[tokio::test]
async fn a_slow_list_does_not_undo_a_write() {
    let shelf = Shelf {
        hold_lists: Some((Notify::new(), Notify::new())),
        ..Shelf::default()
    };
    let setup = Arc::new(Setup::with(shelf, Changes::Unwatched).await);
    setup.commit(new_anchor("a/x", "red")).await.unwrap();
    setup.shelf.put("a/x", "theirs");
    let listing = tokio::spawn({
        let setup = Arc::clone(&setup);
        async move { setup.refresh(None).await.map(drop) }
    });
    let (reached, go_on) = setup.shelf.hold_lists.as_ref().unwrap();
    reached.notified().await;
    setup.refresh(Some("x")).await.unwrap();
    let update = setup.edit("a/x", |it| set_color(it, "blue"));
    setup.commit(update).await.unwrap();
    setup.commit(new_anchor("a/y", "red")).await.unwrap();
    go_on.notify_one();
    listing.await.unwrap().unwrap();
    setup.check(expect![[r#"
        a/x {"color":"blue"} uid-new generation 2 at 4
        a/y {"color":"red","shelf":"top"} uid-new generation 1 at 5"#]]);
}

#[tokio::test]
async fn polls_bring_changes_to_watchers() {
    let shelf = Shelf::default();
    shelf.put("a/old", "red");
    let setup = Setup::with(shelf, Changes::Poll).await;
    let (_, mut watcher) = setup.cache.watch_from_now();
    assert_eq!(next(&mut watcher).await, "added old");
    setup.shelf.put("a/x", "red");
    assert_eq!(next(&mut watcher).await, "added x");
    setup.shelf.put("a/x", "blue");
    assert_eq!(next(&mut watcher).await, "modified x");
    setup.shelf.take("a/x");
    assert_eq!(next(&mut watcher).await, "deleted x");
    // It lost its log: everything is listed again.
    {
        let mut state = setup.shelf.state.lock().unwrap();
        state.resync = true;
        state.objects.clear();
    }
    setup.shelf.put("b/new", "red");
    let mut seen = vec![next(&mut watcher).await];
    if !seen[0].contains(',') {
        seen.push(next(&mut watcher).await);
    }
    let mut seen: Vec<_> = seen.iter().flat_map(|it| it.split(", ")).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["added new", "deleted old"]);
}

/// Waits for a state that another task brings about.
async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), wait).await;
    waited.expect("it comes to be");
}

const OFTEN: Changes = Changes::Relist {
    period: Duration::from_millis(10),
};

#[tokio::test]
async fn relists_bring_changes_to_watchers() {
    let setup = Setup::with(Shelf::default(), OFTEN).await;
    let (_, mut watcher) = setup.cache.watch_from_now();
    setup.shelf.put("a/x", "red");
    assert_eq!(next(&mut watcher).await, "added x");
    setup.shelf.put("a/x", "blue");
    assert_eq!(next(&mut watcher).await, "modified x");
    setup.shelf.state.lock().unwrap().is_broken = true;
    setup.shelf.take("a/x");
    setup.shelf.calls();
    until(|| setup.shelf.calls().contains("list")).await;
    assert_eq!(setup.show().lines().count(), 1, "what cannot be read stays");
    setup.shelf.state.lock().unwrap().is_broken = false;
    assert_eq!(next(&mut watcher).await, "deleted x");
}

#[tokio::test]
async fn the_pump_ends_with_the_mirror() {
    let setup = Setup::with(Shelf::default(), OFTEN).await;
    until(|| setup.shelf.calls().contains("list")).await;
    let Setup { shelf, mirror, .. } = setup;
    drop(mirror);
    until(|| Arc::strong_count(&shelf) == 1).await;
}

/// With a key of each of these names.
fn keys(names: &[&str]) -> Arc<Encryption> {
    let key = |name: &&str| json!({"name": name, "secret": "MDEyMzQ1Njc4OWFiY2RlZg=="});
    let keys: Vec<_> = names.iter().map(key).collect();
    let document = json!({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["anchors.g"], "providers": [{"aesgcm": {"keys": keys}}]}],
    });
    Arc::new(Encryption::parse(document.to_string().as_bytes()).unwrap())
}

#[tokio::test]
async fn both_records_of_a_row_are_encrypted_and_one_that_cannot_be_read_can_be_forgotten() {
    let engine = Arc::new(MemoryStorage::new());
    let encryption = tokio::sync::watch::Sender::new(keys(&["one"]));
    let journal = EncryptedStorage::new(engine.clone(), encryption.subscribe());
    let it = Setup::over(Arc::new(journal), Shelf::default(), Changes::Unwatched).await;
    let check_kept = async |under: &str| {
        for key in [key("a/x"), row::side_key(&key("a/x"))] {
            let kept = engine.get(&key).await.unwrap().unwrap().record.bytes;
            let prefix = format!("k8s:enc:aesgcm:v1:{under}:");
            assert!(kept.starts_with(prefix.as_bytes()), "{key} under {under}");
        }
    };
    it.shelf.put("a/x", "red");
    it.refresh(Some("x")).await.unwrap();
    check_kept("one").await;

    encryption.send_replace(keys(&["two", "one"]));
    assert!(it.mirror.is_stale(&key("a/x")).await.unwrap());
    it.commit(it.edit("a/x", |_| {})).await.unwrap();
    check_kept("two").await;

    encryption.send_replace(keys(&["three"]));
    let refused = it.refresh(Some("x")).await;
    assert!(matches!(refused, Err(StorageError::Unreadable { .. })));
    it.commit(delete("a/x", Expected::Anything)).await.unwrap();
    it.refresh(Some("x")).await.unwrap();
    check_kept("three").await;
    assert!(it.show().contains("red"), "{}", it.show());
}
