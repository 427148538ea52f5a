//! The backend and its log, on a key-value space in memory.

use outrigger_sdk::{Change, Changes, Poll};

use super::*;

fn target(name: Option<&str>) -> Target {
    Target {
        group: "notes.example.com".into(),
        version: "v1".into(),
        resource: "notes".into(),
        namespace: Some("default".into()),
        name: name.map(Into::into),
        ..Target::default()
    }
}

fn note(name: &str, text: &str) -> Object {
    json!({
        "apiVersion": "notes.example.com/v1",
        "kind": "Note",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-of-{name}")},
        "spec": {"text": text},
    })
    .into()
}

fn create(name: &str) -> Object {
    Notes::create(&target(Some(name)), note(name, "x")).expect("the name is free")
}

fn version(note: &Object) -> &str {
    note["metadata"]["resourceVersion"]
        .as_str()
        .expect("it has a version")
}

fn poll(cursor: Option<&str>, limit: u32) -> Poll {
    Notes::poll(&target(None), cursor, 0, limit).expect("the log can be read")
}

fn shown(poll: &Poll) -> Vec<String> {
    let shown = |change: &Change| match change {
        Change::Changed(note) => format!("changed {}: {}", note.name(), note["spec"]["text"]),
        Change::Deleted(note) => format!("deleted {}", note["metadata"]["uid"]),
    };
    poll.changes.iter().map(shown).collect()
}

#[test]
fn keeps_what_was_created() {
    let created = create("a");
    assert_eq!(Notes::get(&target(Some("a")), "a"), Ok(created));
    assert_eq!(
        Notes::get(&target(Some("b")), "b")
            .expect_err("there is no b")
            .code,
        404
    );
}

#[test]
fn refuses_a_name_that_is_taken() {
    create("a");
    let failure = Notes::create(&target(Some("a")), note("a", "y")).expect_err("a is taken");
    assert_eq!(
        (failure.code, failure.reason.as_str()),
        (409, "AlreadyExists")
    );
}

#[test]
fn replaces_only_the_version_that_is_expected() {
    let first = create("a");
    let update = |text, expected| Notes::update(&target(Some("a")), note("a", text), expected);

    let second = update("y", Some(version(&first))).expect("nobody else wrote");
    assert_ne!(version(&first), version(&second));
    assert_eq!(
        update("z", Some(version(&first)))
            .expect_err("it is stale")
            .reason,
        "Conflict"
    );
    assert_eq!(
        update("z", None).expect("any version will do")["spec"]["text"],
        "z"
    );
}

#[test]
fn deletes_only_the_version_that_is_expected() {
    let created = create("a");
    let delete = |expected| Notes::delete(&target(Some("a")), "a", expected);

    assert_eq!(
        delete(Some("0")).expect_err("it is at another").reason,
        "Conflict"
    );
    assert_eq!(delete(Some(version(&created))), Ok(Some(created.clone())));
    assert_eq!(delete(None).expect_err("it is gone").code, 404);
}

#[test]
fn lists_in_pages() {
    for name in ["a", "b", "c"] {
        create(name);
    }
    let mut other = note("d", "x");
    other["metadata"]["namespace"] = json!("other");
    Notes::create(&target(Some("d")), other).expect("the name is free");

    let list = |namespace: Option<&str>, limit, next: Option<String>| {
        let target = Target {
            namespace: namespace.map(Into::into),
            ..target(None)
        };
        let page = Notes::list(&target, &ListOptions { limit, next }).expect("it can be read");
        let names: Vec<String> = page
            .items
            .iter()
            .map(|note| note.name().to_owned())
            .collect();
        (names.join(" "), page.next)
    };

    let (names, next) = list(Some("default"), 2, None);
    assert_eq!(names, "a b");
    assert_eq!(list(Some("default"), 2, next), ("c".to_owned(), None));
    assert_eq!(list(Some("default"), 3, None), ("a b c".to_owned(), None));
    assert_eq!(list(None, 100, None), ("a b c d".to_owned(), None));
}

#[test]
fn tells_changes_from_where_a_poll_ended() {
    create("a");
    let begin = poll(None, 10);
    assert!(begin.resync && begin.changes.is_empty());

    create("b");
    Notes::update(&target(Some("a")), note("a", "y"), None).expect("it is there");
    Notes::delete(&target(Some("b")), "b", None).expect("it is there");

    // b as it was created is not known any more when it is deleted before the poll.
    let all = poll(Some(&begin.cursor), 10);
    assert_eq!(shown(&all), [r#"changed a: "y""#, r#"deleted "uid-of-b""#]);
    assert!(!all.resync);

    let first = poll(Some(&begin.cursor), 2);
    assert_eq!(shown(&first), [r#"changed a: "y""#]);
    assert_eq!(
        shown(&poll(Some(&first.cursor), 2)),
        [r#"deleted "uid-of-b""#]
    );
    assert_eq!(
        poll(Some(&all.cursor), 10),
        Poll {
            cursor: all.cursor,
            ..Poll::default()
        }
    );
}

#[test]
fn asks_for_a_list_when_the_log_does_not_reach_back() {
    create("a");
    let old = poll(None, 10).cursor;
    for _ in 0..changes::KEPT {
        Notes::update(&target(Some("a")), note("a", "y"), None).expect("it is there");
    }
    let kept = poll(Some(&old), 10);
    assert_eq!((kept.resync, kept.changes.len()), (false, 10));

    Notes::update(&target(Some("a")), note("a", "y"), None).expect("it is there");
    assert!(poll(Some(&old), 10).resync);
    assert!(poll(Some("not a number"), 10).resync);
    let log = kv::range("log/", "", u32::MAX).expect("it can be read");
    assert_eq!(log.len() as u64, changes::KEPT);
}

#[test]
fn has_a_manifest_that_is_json() {
    let manifest: Value = Notes::manifest().parse().expect("it is JSON");
    assert_eq!(manifest["resources"][0]["backend"]["watch"], "poll");
}
