//! Lists and watches over a real cache and a store in memory.

pub(crate) mod fixture;

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use self::fixture::{Fixture, PREFIX, record};
use super::*;
use crate::api::Object;
use crate::registry::definition::ObjectModel;
use crate::registry::selectors::KnownFields;
use crate::registry::store::Written;
use crate::storage::{Item, Sink};

impl Fixture {
    async fn list(&self, options: ListOptions) -> Result<List> {
        self.store.list(&self.context, &options).await
    }

    #[track_caller]
    fn check(&self, listed: Result<List>, expected: Expect) {
        let shown = match listed {
            Err(status) => format!("{} {}: {}", status.code, status.reason, status.message),
            Ok(list) => {
                let names: Vec<String> = list
                    .items()
                    .iter()
                    .map(|it| format!("{}@{}", it.name(), it.revision))
                    .collect();
                let mut shown = format!("{} of {}", names.join(" "), list.revision);
                if !list.continue_token.is_empty() {
                    let _ = write!(shown, ", {:?} more", list.remaining);
                }
                shown
            }
        };
        expected.assert_eq(&shown);
    }
}

fn at(version: &str, version_match: Option<VersionMatch>, limit: usize) -> ListOptions {
    ListOptions {
        resource_version: version.into(),
        version_match,
        limit,
        ..ListOptions::default()
    }
}

fn colored(selector: &str) -> Selection {
    Selection {
        labels: LabelSelector::parse(selector).expect("a selector"),
        ..Selection::default()
    }
}

#[tokio::test]
async fn lists_at_the_revision_that_is_asked_for() {
    use VersionMatch::{Exact, NotOlderThan};
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    let before = it.put("n/b", "red").await.to_string();
    it.put("n/a", "blue").await;
    it.put("m/c", "red").await;

    it.check(it.list(at("", None, 0)).await, expect!["c@5 a@4 b@3 of 5"]);
    it.check(it.list(at("0", None, 1)).await, expect!["c@5 a@4 b@3 of 5"]);
    it.check(
        it.list(at(&before, None, 0)).await,
        expect!["c@5 a@4 b@3 of 5"],
    );
    it.check(
        it.list(at(&before, Some(NotOlderThan), 2)).await,
        expect!["c@5 a@4 of 5, Some(1) more"],
    );
    it.check(
        it.list(at(&before, Some(Exact), 0)).await,
        expect!["a@2 b@3 of 3"],
    );
    // A limit alone means exactly.
    it.check(
        it.list(at(&before, None, 1)).await,
        expect!["a@2 of 3, Some(1) more"],
    );
    it.check(
        it.list(at("x", None, 0)).await,
        expect![[r#"400 BadRequest: invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax"#]],
    );
}

#[tokio::test]
async fn selects_by_namespace_name_and_labels() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    it.put("n/ab", "blue").await;
    it.put("n2/a", "red").await;
    let select = |namespace: &str, name: &str, labels: &str| ListOptions {
        selection: Selection {
            namespace: namespace.into(),
            name: name.into(),
            ..colored(labels)
        },
        ..ListOptions::default()
    };
    it.check(it.list(select("n", "", "")).await, expect!["a@2 ab@3 of 4"]);
    it.check(it.list(select("n", "a", "")).await, expect!["a@2 of 4"]);
    it.check(it.list(select("", "a", "")).await, expect!["a@2 a@4 of 4"]);
    it.check(
        it.list(select("n", "a", "color=blue")).await,
        expect![" of 4"],
    );
    it.check(
        it.list(select("", "", "color=red")).await,
        expect!["a@2 a@4 of 4"],
    );
    let fields = KnownFields {
        object_model: ObjectModel::Custom,
        is_namespaced: true,
        selectable: &[],
    };
    let mut by_field = select("", "", "");
    by_field.selection.fields = FieldSelector::parse("metadata.namespace!=n")
        .and_then(|terms| FieldSelector::of(terms, fields))
        .expect("a selector");
    it.check(it.list(by_field).await, expect!["a@4 of 4"]);
}

#[tokio::test]
async fn selectors_that_find_little_get_an_index() {
    let it = Fixture::new().await;
    for number in 0..1100 {
        let color = if number % 100 == 7 { "red" } else { "blue" };
        it.put(&format!("n/a{number:04}"), color).await;
    }
    let has_index = || {
        let mut snapshot = it.cache.snapshot();
        let terms = colored("color=red").terms();
        it.cache.narrow(&mut snapshot, &terms);
        snapshot.is_narrowed()
    };
    let options = ListOptions {
        selection: colored("color=red"),
        ..at("", None, 4)
    };
    let first = it.list(options.clone()).await.expect("a page");
    let token = first.continue_token.clone();
    let rest = ListOptions {
        continue_token: token,
        limit: 0,
        ..options.clone()
    };
    let expected =
        expect!["a0407@409 a0507@509 a0607@609 a0707@709 a0807@809 a0907@909 a1007@1009 of 1101"];
    let mut all = options.clone();
    all.limit = 0;
    for expects_index in [false, false, true] {
        assert_eq!(has_index(), expects_index);
        it.list(all.clone()).await.expect("a list");
        let exactly = ListOptions {
            limit: 11,
            ..options.clone()
        };
        let page = it.list(exactly).await.expect("a page");
        assert_ne!(
            page.continue_token, "",
            "others are behind the last of them"
        );
    }
    it.put("n/a0507", "green").await;
    it.delete("n/a0607").await;
    it.check(it.list(rest).await, expected);
    it.check(
        it.list(options).await,
        expect!["a0007@9 a0107@109 a0207@209 a0307@309 of 1103, None more"],
    );
    let mut watch = it.watch(ListOptions { limit: 0, ..all }).await;
    let seen = seen(&mut watch).await;
    assert_eq!(seen.matches("Added").count(), 9);
}

#[tokio::test]
async fn pages_show_one_revision() {
    let it = Fixture::new().await;
    for name in ["n/a", "n/b", "n/c"] {
        it.put(name, "red").await;
    }
    let first = it.list(at("", None, 1)).await;
    let token = first.as_ref().expect("a page").continue_token.clone();
    it.check(first, expect!["a@2 of 4, Some(2) more"]);
    it.delete("n/b").await;
    it.put("n/d", "red").await;
    let next = ListOptions {
        continue_token: token.clone(),
        ..at("", None, 5)
    };
    it.check(it.list(next.clone()).await, expect!["b@3 c@4 of 4"]);
    it.check(
        it.list(ListOptions {
            resource_version: "5".into(),
            ..next.clone()
        })
        .await,
        expect!["400 BadRequest: specifying resource version is not allowed when using continue"],
    );
    // What is left is not counted where a selector may leave some of it out.
    let selected = ListOptions {
        selection: colored("color=red"),
        ..at("", None, 1)
    };
    it.check(it.list(selected).await, expect!["a@2 of 6, None more"]);
}

#[tokio::test]
async fn goes_on_at_the_latest_revision_once_that_of_the_list_is_forgotten() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    it.put("n/b", "red").await;
    let token = it
        .list(at("", None, 1))
        .await
        .expect("a page")
        .continue_token;

    let later = Fixture::unloaded(ObjectModel::Custom);
    let items = ["n/a", "n/b", "n/c"].map(|name| Item {
        key: format!("{PREFIX}{name}").into(),
        revision: Revision(100),
        record: record(name, "red"),
    });
    later
        .cache
        .load(items.into(), vec![], Revision(100), Revision(100));
    let next = ListOptions {
        continue_token: token,
        ..at("", None, 1)
    };
    let expired = later.list(next).await.expect_err("expired");
    assert_eq!((expired.code, expired.reason.as_str()), (410, "Expired"));
    assert!(
        expired
            .message
            .starts_with("The provided continue parameter is too old")
    );
    let token = expired.metadata.continue_token.clone();
    let next = ListOptions {
        continue_token: token,
        ..at("", None, 1)
    };
    later.check(
        later.list(next).await,
        expect!["b@100 of 100, Some(1) more"],
    );
    later.check(
        later.list(at("7", Some(VersionMatch::Exact), 0)).await,
        expect!["410 Expired: The resourceVersion for the provided list is too old."],
    );
}

#[tokio::test]
async fn says_when_a_revision_does_not_come() {
    let it = Fixture::new().await;
    let status = it.store.wait_within(Duration::ZERO, Revision(9)).await;
    let status = status.expect_err("too large");
    assert_eq!(status.code, 504);
    assert_eq!(
        status.message,
        "Timeout: Too large resource version: 9, current: 1"
    );
    let details = status.details.expect("details");
    assert_eq!(details.causes[0].reason, "ResourceVersionTooLarge");
    assert_eq!(details.retry_after_seconds, 1);
}

#[tokio::test]
async fn refuses_reads_before_the_cache_is_loaded() {
    let it = Fixture::unloaded(ObjectModel::Custom);
    for version in ["", "0", "5"] {
        let status = it.list(at(version, None, 0)).await.expect_err("refused");
        assert_eq!(status.code, 429);
        let status = it
            .store
            .get(&it.context, "n", "a", version)
            .await
            .expect_err("refused");
        assert_eq!(status.code, 429);
    }
    let refused = it.store.watch(&it.context, &ListOptions::default()).await;
    assert!(matches!(refused, Err(WatchRefused::Status(status)) if status.code == 429));
}

#[tokio::test]
async fn gets_say_what_is_wrong_with_their_revision() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    let get = |version: &'static str, name: &'static str| {
        let (store, context) = (&it.store, &it.context);
        async move {
            store
                .get(context, "n", name, version)
                .await
                .map_err(|it| (it.code, it.reason.clone()))
        }
    };
    assert_eq!(get("", "a").await.expect("found").revision, Revision(2));
    assert_eq!(get("2", "a").await.expect("found").revision, Revision(2));
    assert_eq!(
        get("", "b").await.expect_err("none"),
        (404, "NotFound".into())
    );
    assert_eq!(get("-1", "a").await.expect_err("bad"), (500, String::new()));
}

/// All that a watch has until it waits.
async fn seen(watch: &mut Watch) -> String {
    let mut shown = String::new();
    loop {
        let step = tokio::select! {
            biased;
            step = watch.next() => step,
            () = std::future::ready(()) => return shown,
        };
        match step {
            Ok(Step::Changes(changes)) => {
                for change in changes {
                    let object = Object::from_slice(&change.at.stored()).expect("JSON");
                    let color = object.metadata()["labels"]["color"]
                        .as_str()
                        .unwrap_or_default();
                    let (name, version) = (object.name(), object.resource_version());
                    let _ = write!(shown, "{:?} {name}@{version} {color}; ", change.kind);
                }
            }
            Ok(Step::Written(_)) => unreachable!("no form was told"),
            Ok(Step::InitialEnd(revision)) => {
                let _ = write!(shown, "end of {revision}; ");
            }
            Ok(Step::Unreadable(object)) => {
                let _ = write!(shown, "{} is unreadable", object.name());
                return shown;
            }
            Err(end) => {
                let _ = write!(shown, "{end:?}");
                return shown;
            }
        }
    }
}

impl Fixture {
    async fn watch(&self, options: ListOptions) -> Watch {
        let watch = self.store.watch(&self.context, &options).await;
        watch.unwrap_or_else(|refused| panic!("{refused:?}"))
    }
}

#[tokio::test]
async fn watches_begin_where_they_are_asked_to() {
    let it = Fixture::new().await;
    let first = it.put("n/a", "red").await.to_string();
    it.put("n/b", "red").await;
    let from_state = |version, send_initial_events| ListOptions {
        send_initial_events,
        ..at(version, None, 0)
    };
    let mut state = it.watch(from_state("", Some(true))).await;
    let mut any = it.watch(from_state("0", Some(true))).await;
    let mut old = it.watch(from_state("0", None)).await;
    let without = ListOptions {
        send_initial_events: Some(false),
        ..at("", Some(VersionMatch::NotOlderThan), 0)
    };
    let mut now = it.watch(without).await;
    let mut after = it.watch(at(&first, None, 0)).await;
    let mut future = it.watch(at("4", None, 0)).await;
    let initial = expect!["Added a@2 red; Added b@3 red; end of 3; "];
    initial.assert_eq(&seen(&mut state).await);
    initial.assert_eq(&seen(&mut any).await);
    expect!["Added a@2 red; Added b@3 red; "].assert_eq(&seen(&mut old).await);
    expect![""].assert_eq(&seen(&mut now).await);
    expect!["Added b@3 red; "].assert_eq(&seen(&mut after).await);

    it.delete("n/a").await;
    it.put("n/b", "blue").await;
    let changes = expect!["Deleted a@4 red; Modified b@5 blue; "];
    for watch in [&mut state, &mut any, &mut old, &mut now, &mut after] {
        changes.assert_eq(&seen(watch).await);
        assert_eq!(watch.revision(), Some(Revision(5)));
    }
    expect!["Modified b@5 blue; "].assert_eq(&seen(&mut future).await);
    it.cache.close();
    expect!["Closed"].assert_eq(&seen(&mut state).await);
}

#[tokio::test]
async fn objects_enter_and_leave_a_selection() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    let options = ListOptions {
        selection: colored("color in (red,pink)"),
        ..at("2", None, 0)
    };
    let mut watch = it.watch(options).await;
    for color in ["blue", "green", "pink", "red"] {
        it.put("n/a", color).await;
    }
    it.delete("n/a").await;
    it.put("n/a", "blue").await;
    expect!["Deleted a@3 red; Added a@5 pink; Modified a@6 red; Deleted a@7 red; "]
        .assert_eq(&seen(&mut watch).await);
}

#[tokio::test]
async fn refuses_to_watch_from_before_what_is_known() {
    let it = Fixture::unloaded(ObjectModel::Custom);
    it.cache.load(vec![], vec![], Revision(10), Revision(10));
    let refused = it.store.watch(&it.context, &at("3", None, 0)).await;
    let Err(WatchRefused::InStream(status)) = refused else {
        panic!("watched");
    };
    assert_eq!((status.code, &*status.reason), (410, "Expired"));
    assert_eq!(status.message, "too old resource version: 3 (10)");
    let mut watch = it.watch(at("10", None, 0)).await;
    expect![""].assert_eq(&seen(&mut watch).await);
}

/// An informer that is ahead of this server is told so in the stream, and comes again.
#[tokio::test(start_paused = true)]
async fn a_watch_of_a_state_that_does_not_come_ends_with_an_event() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    let options = ListOptions {
        send_initial_events: Some(true),
        ..at("1000", Some(VersionMatch::NotOlderThan), 0)
    };
    let refused = it.store.watch(&it.context, &options).await;
    let Err(WatchRefused::InStream(status)) = refused else {
        panic!("watched");
    };
    assert_eq!((status.code, &*status.reason), (504, "Timeout"));
    assert_eq!(
        status.message,
        "Timeout: Too large resource version: 1000, current: 2"
    );
}

#[tokio::test]
async fn a_watch_of_one_object_sees_no_other() {
    let it = Fixture::new().await;
    for name in ["n/a", "n/ab", "m/a"] {
        it.put(name, "red").await;
    }
    let mut options = at("0", None, 0);
    options.selection.namespace = "n".into();
    options.selection.name = "a".into();
    let mut watch = it.watch(options).await;
    it.put("n/ab", "blue").await;
    it.put("n/a", "blue").await;
    expect!["Added a@2 red; Modified a@6 blue; "].assert_eq(&seen(&mut watch).await);
}

#[tokio::test]
async fn converts_each_object_once() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    it.put("n/b", "red").await;
    let list = it.list(at("", None, 0)).await.expect("a list");
    let objects: Vec<ObjectAt> = list.items().iter().map(ObjectAt::from).collect();
    let v1 = it
        .store
        .in_version(&it.context, "v1", &objects)
        .await
        .expect("stored");
    assert_eq!(v1[0], list.items()[0].bytes());
    let v2 = it
        .store
        .in_version(&it.context, "v2", &objects)
        .await
        .expect("converted");
    expect![[r#"{"apiVersion":"g/v2","kind":"Anchor","metadata":{"resourceVersion":"2","labels":{"color":"red"},"name":"a","namespace":"n"},"spec":{"color":"red"}}"#]]
        .assert_eq(std::str::from_utf8(&v2[0]).expect("UTF-8"));
    let again = it
        .store
        .in_version(&it.context, "v2", &objects)
        .await
        .expect("shared");
    assert_eq!(again[0].as_ptr(), v2[0].as_ptr());
    assert_eq!(it.strategy.calls.load(Ordering::Relaxed), 1);

    let ended = ObjectAt {
        revision: Revision(1000),
        ..objects[0].clone()
    };
    let v2 = it
        .store
        .in_version(&it.context, "v2", std::slice::from_ref(&ended))
        .await
        .expect("shared");
    assert!(v2[0].starts_with(
        br#"{"apiVersion":"g/v2","kind":"Anchor","metadata":{"resourceVersion":"1000","labels""#
    ));
    expect![[r#"{"resourceVersion":"1000","labels":{"color":"red"},"name":"a","namespace":"n"}"#]]
        .assert_eq(std::str::from_utf8(&ended.metadata()).expect("UTF-8"));
    assert_eq!(it.strategy.calls.load(Ordering::Relaxed), 1);
}

/// Others may write between a commit and its answer.
#[tokio::test]
async fn the_answer_to_a_write_is_what_that_write_has_made() {
    let it = Fixture::new().await;
    let first = it.put("n/a", "red").await;
    let second = it.put("n/a", "blue").await;
    let third = it.delete("n/a").await;
    let key = it.store.key("n", "a");
    let answered = |revision| {
        let object = Object::from_slice(b"{}").expect("JSON");
        match it.store.committed(&key, object, revision) {
            Written::Stored(cached) => {
                let color = cached
                    .attributes
                    .labels()
                    .next()
                    .map(|it| it.1)
                    .unwrap_or_default();
                format!("{color} at {}", cached.revision)
            }
            Written::Unstored(object) => format!("own at {}", object.resource_version()),
        }
    };
    assert_eq!(answered(first), format!("red at {first}"));
    assert_eq!(answered(second), format!("blue at {second}"));
    // A commit that changed nothing returns the store's revision; the object keeps its own.
    let other = it.put("n/b", "green").await;
    let again = it.put("n/a", "red").await;
    it.put("n/b", "grey").await;
    assert_eq!(answered(again), format!("red at {again}"));
    assert!(again > other && other > third);
    let later = Revision(again.0 + 1);
    assert_eq!(answered(later), format!("red at {again}"));
    let unknown = Revision(later.0 + 100);
    assert_eq!(answered(unknown), format!("own at {unknown}"));
}

/// In a rolling update, one server writes without the defaults that the other one has got.
#[tokio::test]
async fn objects_that_others_write_are_read_with_the_defaults_of_now() {
    let it = Fixture::new().await;
    it.put("n/a", "red").await;
    let object = ObjectAt::from(&it.list(at("", None, 0)).await.expect("a list").items()[0]);
    let spec = |properties: Value| {
        let preserved = "x-kubernetes-preserve-unknown-fields";
        let spec = json!({"type": "object", preserved: true, "properties": properties});
        json!({"type": "object", preserved: true, "properties": {"spec": spec}})
    };
    let size = it.beside(&spec(json!({"size": {"type": "integer", "default": 3}})));
    let color = it.beside(&spec(
        json!({"color": {"type": "string", "default": "grey"}}),
    ));
    let cases = [
        (&*it.store, json!({"color": "red"}), true),
        (&size, json!({"color": "red", "size": 3}), false),
        (&color, json!({"color": "red"}), true),
    ];
    for (store, expected, is_stored) in cases {
        // The second time it has been made.
        for _ in 0..2 {
            let objects = std::slice::from_ref(&object);
            let read = store.in_version(&it.context, "v1", objects).await;
            let read = Object::from_slice(&read.expect("read")[0]).expect("an object");
            assert_eq!(read.0["spec"], expected);
        }
        let shown = store.shown_in("v1");
        assert_eq!(shown.is_stored(&object.object), is_stored, "{expected}");
        assert!(shown.is_there(&object.object));
    }
}

#[tokio::test]
async fn metadata_needs_no_conversion() {
    let it = Fixture::new().await;
    it.put("n/a", "bad").await;
    let list = it.list(at("", None, 0)).await.expect("a list");
    let object = ObjectAt::from(&list.items()[0]);
    let failed = it
        .store
        .in_version(&it.context, "v2", std::slice::from_ref(&object))
        .await;
    assert_eq!(failed.expect_err("bad").code, 500);
    assert!(object.metadata().starts_with(b"{\"resourceVersion\":\"2\""));
    assert!(object.protobuf_metadata().is_ok());
}
