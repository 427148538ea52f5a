//! What of an answer stays, and what becomes a name.

use anyhow::Result;
use expect_test::{Expect, expect};

use super::*;

fn check(bodies: &[&str], expected: &Expect) -> Result<()> {
    let values = Values {
        namespace: "oracle-ns-1".into(),
        id: "oracle-id-1".into(),
        answers: BTreeMap::new(),
    };
    let read = |body: &&str| {
        Ok(Answer {
            status: 200,
            headers: [("warning".to_owned(), "299 - \"oracle-id-1\"".to_owned())].into(),
            content: match Json::read(body)? {
                events @ Json::List(_) => Content::Events(events),
                body => Content::Body(body),
            },
        })
    };
    let answers = bodies.iter().map(read).collect::<Result<Vec<_>>>()?;
    let mut normaliser = Normaliser::new(&values, answers.iter());
    let shown: Vec<_> = answers
        .iter()
        .map(|it| normaliser.answer(it).to_string())
        .collect();
    expected.assert_eq(&shown.join("\n"));
    Ok(())
}

#[test]
fn versions_of_objects_are_ranks_over_the_whole_case() -> Result<()> {
    check(
        &[
            r#"{"metadata": {"name": "a", "resourceVersion": "120"}}"#,
            r#"{"metadata": {"resourceVersion": "130"}, "items": [{"metadata": {"name": "a", "resourceVersion": "99"}}]}"#,
            r#"{"message": "too old resource version: 1 (120), current: 130; {\"resourceVersion\":\"99\"} (7)"}"#,
            r#"{"metadata": {"name": "a", "resourceVersion": "0"}}"#,
        ],
        &expect![[r#"
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"metadata":{"name":"a","resourceVersion":"<rv-2>"}}}
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"metadata":{"resourceVersion":"<rv>"},"items":[{"metadata":{"name":"a","resourceVersion":"<rv-1>"}}]}}
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"message":"too old resource version: <rv> (<rv-2>), current: <rv>; {\"resourceVersion\":\"<rv-1>\"} (7)"}}
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"metadata":{"name":"a","resourceVersion":"0"}}}"#]],
    )
}

#[test]
fn uids_times_ages_and_continue_tokens_become_names() -> Result<()> {
    check(
        &[
            r#"{"uid": "6d7c9f0e-1111-2222-3333-444455556666", "of": "oracle-ns-1", "t": "2026-01-02T03:04:05.123456Z", "cells": ["5m3s", "5", 7]}"#,
            r#"{"b": "6d7c9f0e-1111-2222-3333-444455556667", "a": "x 6d7c9f0e-1111-2222-3333-444455556666", "continue": "eyJ2", "remaining": {"continue": ""}}"#,
        ],
        &expect![[r#"
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"uid":"<uid-1>","of":"$NS","t":"<time>","cells":["<age>","5",7]}}
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"b":"<uid-2>","a":"x <uid-1>","continue":"<continue>","remaining":{"continue":""}}}"#]],
    )
}

#[test]
fn causes_and_managed_fields_have_no_order() -> Result<()> {
    check(
        &[
            r#"{"kind": "Status", "message": "invalid: [b, a]", "details": {"causes": [{"field": "b"}, {"field": "a"}]}}"#,
            r#"{"kind": "Status", "message": "invalid: [a]", "details": {"causes": [{"field": "a"}]}}"#,
            r#"{"managedFields": [{"manager": "b"}, {"manager": "a"}]}"#,
        ],
        &expect![[r#"
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"kind":"Status","message":"invalid: ","details":{"causes":[{"field":"a"},{"field":"b"}]}}}
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"kind":"Status","message":"invalid: [a]","details":{"causes":[{"field":"a"}]}}}
            {"status":200,"headers":{"warning":"299 - \"$ID\""},"body":{"managedFields":[{"manager":"a"},{"manager":"b"}]}}"#]],
    )
}

#[test]
fn of_bookmarks_only_the_one_that_ends_the_initial_events_counts() -> Result<()> {
    check(
        &[
            r#"[{"type": "ADDED"}, {"type": "BOOKMARK"}, {"type": "BOOKMARK", "object": {"k8s.io/initial-events-end": "true"}}, "END"]"#,
        ],
        &expect![[
            r#"{"status":200,"headers":{"warning":"299 - \"$ID\""},"events":[{"type":"ADDED"},{"type":"BOOKMARK","object":{"k8s.io/initial-events-end":"true"}},"END"]}"#
        ]],
    )
}
