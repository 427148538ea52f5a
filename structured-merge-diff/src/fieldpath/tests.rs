//! Tests of paths, sets and their JSON form.

use serde_json::json;

use super::*;
use crate::Literal;

fn field(name: &str) -> PathElement {
    PathElement::field(name)
}

fn key(fields: &[(&str, Literal)]) -> PathElement {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).into(), value.clone()));
    PathElement::key(fields.collect())
}

fn path(elements: &[PathElement]) -> Path {
    elements.iter().cloned().collect()
}

fn set(json: &str) -> Set {
    Set::from_json(json.as_bytes()).unwrap()
}

#[test]
fn paths_are_printed_as_clients_know_them() {
    let cases: &[(&[PathElement], &str)] = &[
        (&[field("spec"), field("a.b/c")], ".spec.a.b/c"),
        (
            &[field("l"), key(&[("key", "x".into())]), field("a")],
            ".l[key=\"x\"].a",
        ),
        (
            &[key(&[("port", 80.into()), ("a", true.into())])],
            "[a=true,port=80]",
        ),
        (
            &[PathElement::value("v"), PathElement::Index(0)],
            "[=\"v\"][0]",
        ),
        (
            &[PathElement::value(1.5), PathElement::Value(Literal::Null)],
            "[=1.5][=null]",
        ),
        (&[PathElement::value(8_080_000.0)], "[=8.08e+06]"),
        (
            &[PathElement::Value((&json!([1, {"a": "b", "c": 2}])).into())],
            "[=[1,a=\"b\"c=2]]",
        ),
        (&[], ""),
    ];
    for (elements, expected) in cases {
        assert_eq!(path(elements).to_string(), *expected);
    }
}

#[test]
fn elements_are_ordered_by_kind_and_then_by_content() {
    let sorted = [
        field("a"),
        field("aa"),
        field("b"),
        key(&[]),
        key(&[("a", 1.into())]),
        key(&[("a", 1.into()), ("b", 1.into())]),
        key(&[("a", 2.0.into())]),
        key(&[("a", "1".into())]),
        key(&[("b", 1.into())]),
        PathElement::value(-1),
        PathElement::value(1.5),
        PathElement::value(2),
        PathElement::value(""),
        PathElement::value("a"),
        PathElement::value(false),
        PathElement::value(true),
        PathElement::Value((&json!([])).into()),
        PathElement::Value((&json!([1])).into()),
        PathElement::Value((&json!([1, 0])).into()),
        PathElement::Value((&json!({})).into()),
        PathElement::Value((&json!({"a": 1})).into()),
        PathElement::Value((&json!({"a": 1, "b": 1})).into()),
        PathElement::Value((&json!({"a": 2})).into()),
        PathElement::Value((&json!({"b": 1})).into()),
        PathElement::Value(Literal::Null),
        PathElement::Index(-1),
        PathElement::Index(3),
    ];
    for (left_at, left) in sorted.iter().enumerate() {
        for (right_at, right) in sorted.iter().enumerate() {
            assert_eq!(
                left.cmp(right),
                left_at.cmp(&right_at),
                "{left} and {right}"
            );
            assert_eq!(left == right, left_at == right_at);
        }
    }
    assert_eq!(PathElement::value(2), PathElement::value(2.0));
}

#[test]
fn a_set_has_what_was_inserted_and_not_its_parents() {
    let mut set = Set::new();
    assert!(set.is_empty());
    let deep = path(&[field("a"), key(&[("k", 1.into())]), PathElement::value("v")]);
    set.insert(&deep);
    set.insert(&deep);
    set.insert(&Path::default());
    assert!(set.has(&deep));
    assert!(!set.has(&path(&[field("a")])));
    assert!(!set.has(&Path::default()));
    assert!(!set.has(&path(&[field("a"), field("b"), field("c")])));
    assert_eq!(set.len(), 1);
    set.insert(&path(&[field("a")]));
    assert_eq!(set.to_string(), ".a\n.a[k=1][=\"v\"]");
}

#[test]
fn operations_on_sets_follow_their_definitions() {
    // left, right, union, intersection, difference, recursive difference
    let cases = [
        (
            r#"{"f:a":{},"f:b":{}}"#,
            r#"{"f:b":{},"f:c":{}}"#,
            r#"{"f:a":{},"f:b":{},"f:c":{}}"#,
            r#"{"f:b":{}}"#,
            r#"{"f:a":{}}"#,
            r#"{"f:a":{}}"#,
        ),
        (
            r#"{"f:a":{"f:x":{},"f:y":{"f:z":{}}}}"#,
            r#"{"f:a":{"f:y":{}}}"#,
            r#"{"f:a":{"f:x":{},"f:y":{".":{},"f:z":{}}}}"#,
            r"{}",
            r#"{"f:a":{"f:x":{},"f:y":{"f:z":{}}}}"#,
            r#"{"f:a":{"f:x":{}}}"#,
        ),
        (
            r#"{"f:a":{".":{},"f:x":{}}}"#,
            r#"{"f:a":{"f:x":{}}}"#,
            r#"{"f:a":{".":{},"f:x":{}}}"#,
            r#"{"f:a":{"f:x":{}}}"#,
            r#"{"f:a":{}}"#,
            r#"{"f:a":{}}"#,
        ),
        (
            r#"{"f:a":{".":{},"f:x":{}}}"#,
            r#"{"f:a":{}}"#,
            r#"{"f:a":{".":{},"f:x":{}}}"#,
            r#"{"f:a":{}}"#,
            r#"{"f:a":{"f:x":{}}}"#,
            r"{}",
        ),
        (
            r#"{"f:l":{"k:{\"n\":1}":{"f:x":{}},"v:1":{},"i:3":{}}}"#,
            r#"{"f:l":{"k:{\"n\":1.0}":{".":{}},"v:2":{},"i:3":{}}}"#,
            r#"{"f:l":{"k:{\"n\":1}":{".":{},"f:x":{}},"v:1":{},"v:2":{},"i:3":{}}}"#,
            r#"{"f:l":{"i:3":{}}}"#,
            r#"{"f:l":{"k:{\"n\":1}":{"f:x":{}},"v:1":{}}}"#,
            r#"{"f:l":{"v:1":{}}}"#,
        ),
    ];
    for (left, right, union, intersection, difference, recursive) in cases {
        let (left, right) = (set(left), set(right));
        assert_eq!(left.union(&right).to_json(), union);
        assert_eq!(right.union(&left), left.union(&right));
        assert_eq!(left.intersection(&right).to_json(), intersection);
        assert_eq!(right.intersection(&left), left.intersection(&right));
        assert_eq!(left.difference(&right).to_json(), difference);
        assert_eq!(left.recursive_difference(&right).to_json(), recursive);
        assert_eq!(left.union(&Set::new()), left);
        assert!(left.difference(&left).is_empty());
    }
}

#[test]
fn leaves_are_the_fields_with_nothing_below() {
    let all = set(r#"{"f:a":{".":{},"f:b":{".":{},"f:c":{}},"f:d":{}},"f:e":{}}"#);
    assert_eq!(
        all.leaves().to_json(),
        r#"{"f:a":{"f:b":{"f:c":{}},"f:d":{}},"f:e":{}}"#
    );
}

#[test]
fn filters_leave_out_what_is_excluded_and_keep_what_is_included() {
    let all = set(
        r#"{"f:metadata":{"f:labels":{"f:x":{}}},"f:spec":{"f:a":{},"f:l":{"k:{\"n\":1}":{".":{},"f:a":{},"f:b":{}}}},"f:status":{".":{},"f:b":{}}}"#,
    );
    let status = Filter::Exclude(set(r#"{"f:status":{}}"#));
    assert_eq!(
        status.apply(&all).to_json(),
        r#"{"f:metadata":{"f:labels":{"f:x":{}}},"f:spec":{"f:a":{},"f:l":{"k:{\"n\":1}":{".":{},"f:a":{},"f:b":{}}}}}"#
    );
    let is = |it: PathElement| ElementMatcher::Is(it);
    let in_items = SetMatcher::prefix([
        is(field("spec")),
        is(field("l")),
        ElementMatcher::Any,
        is(field("a")),
    ]);
    let wanted = in_items.merge(&SetMatcher::prefix([is(field("status")), is(field("b"))]));
    assert_eq!(
        Filter::Include(wanted.clone()).apply(&all).to_json(),
        r#"{"f:spec":{"f:l":{"k:{\"n\":1}":{".":{},"f:a":{}}}},"f:status":{".":{},"f:b":{}}}"#
    );
    assert_eq!(wanted.merge(&SetMatcher::Any), SetMatcher::Any);
    assert_eq!(Filter::Include(SetMatcher::Any).apply(&all), all);
    let deeper = in_items.merge(&SetMatcher::prefix([is(field("spec"))]));
    assert_eq!(
        all.matching(&deeper).to_json(),
        r#"{"f:spec":{"f:a":{},"f:l":{"k:{\"n\":1}":{".":{},"f:a":{},"f:b":{}}}}}"#
    );
}

#[test]
fn the_json_form_survives_reading_and_writing() {
    let cases = [
        r"{}",
        r#"{"f:a":{}}"#,
        r#"{"f:a":{".":{},"f:b":{}},"f:c":{}}"#,
        r#"{"f:":{}}"#,
        r#"{"k:{\"a\":\"b\",\"c\":1.5}":{".":{},"f:x":{}},"v:true":{},"v:null":{},"i:-1":{},"i:7":{}}"#,
        r#"{"f:\"\\\n\u0001é<":{},"v:\"\\u003c\\u2028\\\"\"":{}}"#,
        r#"{"v:[1,{\"a\":[]}]":{},"v:{}":{}}"#,
        r#"{"v:1e+21":{},"v:1e-07":{},"v:123456789":{}}"#,
        r#"{"k:{}":{}}"#,
    ];
    for json in cases {
        let set = set(json);
        let value = serde_json::from_str(json).unwrap();
        assert_eq!(Set::from_value(&value).unwrap(), set, "{json}");
        assert_eq!(set.to_value(), value, "{json}");
        if !json.starts_with(r#"{"v:1e+21"#) && !json.starts_with(r#"{"k:{\"a"#) {
            assert_eq!(set.to_json(), json);
        }
    }
}

#[test]
fn what_is_written_is_in_go_s_order_and_form() {
    let cases = [
        (r#"{"f:b":{},"f:a":{}}"#, r#"{"f:a":{},"f:b":{}}"#),
        (r#"{"i:1":{},"v:\"x\":":{}}"#, ""),
        (
            r#"{"i:1":{},"v:1":{},"v:true":{},"v:\"a\"":{},"k:{\"b\":1,\"a\":2}":{},"f:z":{}}"#,
            r#"{"f:z":{},"k:{\"a\":2,\"b\":1}":{},"v:1":{},"v:\"a\"":{},"v:true":{},"i:1":{}}"#,
        ),
        (r#"{"f:a":null}"#, r#"{"f:a":{}}"#),
        (r#"{"f:a":{"f:b":{"x:y":{}}}}"#, r#"{"f:a":{"f:b":{}}}"#),
        (
            r#"{"f:a":{"f:b":{},".":{}}}"#,
            r#"{"f:a":{".":{},"f:b":{}}}"#,
        ),
        (r#"{".":{},"f:a":{".":5}}"#, r#"{"f:a":{}}"#),
        (
            r#"{"f:a":{"f:b":{}},"f:a":{"f:c":{}}}"#,
            r#"{"f:a":{"f:c":{}}}"#,
        ),
        (
            r#"{"f:a":{"f:b":{}},"f:a":{}}"#,
            r#"{"f:a":{".":{},"f:b":{}}}"#,
        ),
        (
            r#"{"f:b":{"f:x":{}},"f:a":{"f:y":{}}}"#,
            r#"{"f:a":{"f:y":{}},"f:b":{"f:x":{}}}"#,
        ),
        (r#"{"x:":{},"future:thing":{}}"#, ""),
        (r#"{"x:":[1,{"a":1e999}]}"#, r"{}"),
        (r#" { "f:a" : { } } "#, r#"{"f:a":{}}"#),
        ("null", r"{}"),
        (
            r#"{"v:8080.0":{},"v:1.0E2":{}}"#,
            r#"{"v:100":{},"v:8080":{}}"#,
        ),
        (
            r#"{"v:\"\\ud83d\\ude00\\ud800\"":{}}"#,
            "{\"v:\\\"\u{1F600}\u{FFFD}\\\"\":{}}",
        ),
        (r#"{"k:null":{}}"#, r#"{"k:{}":{}}"#),
        (r#"{"v:{\"a\":1,\"a\":2}":{}}"#, r#"{"v:{\"a\":2}":{}}"#),
    ];
    for (json, expected) in cases {
        match Set::from_json(json.as_bytes()) {
            Ok(set) => assert_eq!(set.to_json(), expected, "{json}"),
            Err(err) => assert_eq!(expected, "", "{json}: {err}"),
        }
    }
}

#[test]
fn what_is_no_set_is_refused_with_the_reason() {
    let cases = [
        ("", "expect { or n, but found the end"),
        ("[]", "expect { or n, but found ["),
        ("1", "expect { or n, but found 1"),
        ("{", "expect \" after {, but found the end"),
        (
            r#"{"f:a":{}"#,
            "expect } at the end of the object, but found the end",
        ),
        (r#"{"f:a":1}"#, "expect { or n, but found 1"),
        (r#"{"f:a":{},}"#, "expects \" or n, but found }"),
        (r#"{"f:a"{}}"#, "expect : after object field, but found {"),
        (r#"{"":{}}"#, "key must be 2 characters long:"),
        (r#"{"f":{}}"#, "key must be 2 characters long:"),
        (r#"{"fa":{}}"#, "missing colon: fa"),
        (r#"{"é":{}}"#, "missing colon: é"),
        (r#"{"i:x":{}}"#, r#"parsing "x": invalid syntax"#),
        (r#"{"i:":{}}"#, r#"parsing "": invalid syntax"#),
        (r#"{"v:":{}}"#, "expect a value, but found the end"),
        (r#"{"v:x":{}}"#, "expect a value, but found x"),
        (r#"{"v:01":{}}"#, "expect a number, but found the end"),
        (r#"{"v:1e400":{}}"#, "expect a number, but found the end"),
        (
            r#"{"v:1.":{}}"#,
            "expect a digit after the dot, but found the end",
        ),
        (
            r#"{"v:1 2":{}}"#,
            "unexpected trailing data after JSON object",
        ),
        (r#"{"v:\"a":{}}"#, "expect \" in the end, but found the end"),
        (
            r#"{"v:\"\\x\"":{}}"#,
            "expect an escape after \\, but found \"",
        ),
        (r#"{"k:[]":{}}"#, "expect { or n, but found ["),
        (
            r#"{"k:{\"a\":1":{}}"#,
            "expect } at the end of the object, but found the end",
        ),
        (
            r#"{"k:{\"a\":1}x":{}}"#,
            "unexpected trailing data after JSON object",
        ),
        (r"{}{}", "unexpected trailing data after JSON object"),
        (r#"{".":}"#, "expect a value, but found }"),
    ];
    for (json, expected) in cases {
        let err = Set::from_json(json.as_bytes()).expect_err(json);
        assert_eq!(err.to_string(), expected, "{json}");
    }
    assert_eq!(
        Set::from_json(b"{\"f:\xff\":{}}"),
        Err(FieldsError::Encoding)
    );
    assert!(Set::from_value(&json!({"f:a": 1})).is_err());
    assert!(Set::from_value(&json!("x")).is_err());
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let open = r#"{"f:a":"#.repeat(depth);
        format!("{open}{{}}{}", "}".repeat(depth))
    };
    assert_eq!(set(&nested(MAX_DEPTH - 1)).len(), 1);
    let too_deep = Err(FieldsError::TooDeep);
    assert_eq!(Set::from_json(nested(MAX_DEPTH).as_bytes()), too_deep);
    assert_eq!(Set::from_json(nested(1_000_000).as_bytes()), too_deep);
    let arrays = "[".repeat(1_000_000);
    assert_eq!(
        Set::from_json(format!(r#"{{"v:{arrays}":{{}}}}"#).as_bytes()),
        too_deep
    );
    assert_eq!(
        Set::from_json(format!(r#"{{".":{arrays}"#).as_bytes()),
        too_deep
    );
}

/// Bytes that are nearly JSON find more ways through the reader than any bytes do.
#[test]
fn no_bytes_make_the_reader_panic() {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "f:",
        "k:",
        "v:",
        "i:",
        ".",
        "null",
        "true",
        "1",
        "-",
        "e",
        "\\u",
        "d83d",
        "é",
        " ",
        "\"f:a\":{}",
        "\"k:{\\\"a\\\":1}\":",
        "\"v:1\":{}",
        "\u{1}",
        "\u{1F600}",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..next() % 12 {
            text.push_str(PIECES[(next() % PIECES.len() as u64) as usize]);
        }
        for input in [
            text.clone(),
            format!("{{\"{text}\":{{}}}}"),
            format!("{{{text}}}"),
        ] {
            if let Ok(set) = Set::from_json(input.as_bytes()) {
                let written = set.to_json();
                assert_eq!(Set::from_json(written.as_bytes()), Ok(set), "{input}");
            }
        }
        let bytes: Vec<u8> = (0..next() % 20).map(|_| next() as u8).collect();
        _ = Set::from_json(&bytes);
    }
}
