#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use serde_json::json;

use super::*;

fn find(path: &str) -> Option<Value> {
    let object = json!({
        "metadata": {"annotations": {"example.com/x": "1"}},
        "spec": {
            "parts": [{"name": "a", "n": 1}, {"name": "b", "n": 2}, {"name": "c", "n": 2.5}],
            "list": [1, 2, 3, 4], "empty": [], "null": null,
        },
        "status": {"conditions": [{"type": "Synced", "status": "False"}, {"type": "Ready", "status": "True"}]},
    });
    let path = JsonPath::parse(path).unwrap();
    match path.first(object.as_object().unwrap())? {
        Found::Map(map) => Some(Value::Object(map.clone())),
        Found::Value(value) => Some(value.clone()),
    }
}

#[test]
fn finds_the_first_value() {
    for (path, found) in [
        (".spec.parts[0].name", json!("a")),
        (".spec.parts[-1].name", json!("c")),
        ("$.spec.parts[*].n", json!(1)),
        ("@.spec['parts'][1]['n']", json!(2)),
        (r".metadata.annotations.example\.com/x", json!("1")),
        (r".metadata.annotations['example\.com/x']", json!("1")),
        (
            ".status.conditions[?(@.type==\"Ready\")].status",
            json!("True"),
        ),
        (
            ".status.conditions[?(@.type == 'Ready')].status",
            json!("True"),
        ),
        (
            ".status.conditions[?(@.type!='Synced')].type",
            json!("Ready"),
        ),
        (".spec.list[?(@>2)]", json!(3)),
        (".spec.parts[?(@.n)].name", json!("a")),
        (".spec.parts[?(@.name>='b')].name", json!("b")),
        (".spec.list[1:3]", json!(2)),
        (".spec.list[::2][1]", Value::Null),
        (".spec.list[-2:]", json!(3)),
        (".spec.list[3,0]", json!(4)),
        (".spec.null", Value::Null),
        ("..name", json!("a")),
        (".spec..n", json!(1)),
        (".status.conditions[*].*", json!("False")),
    ] {
        let expected = Some(found).filter(|it| !it.is_null() || path == ".spec.null");
        assert_eq!(find(path), expected, "{path}");
    }
}

#[test]
fn what_does_not_fit_is_not_found() {
    for nothing in [
        ".a",
        ".spec.parts.name",
        ".spec.parts[9]",
        ".spec.parts[-4]",
        ".spec.parts[2:1]",
        ".spec.list[::-1]",
        ".spec.empty[*]",
        ".spec.empty[0]",
        ".spec.parts[?(@.zzz)]",
        ".spec.parts[?(@.zzz==1)]",
        // Other types cannot be compared, and end the search.
        ".spec.parts[?(@.n=='1')]",
        ".spec.parts[?(@.n>1.5)]",
        ".spec[?(@.a)]",
        ".metadata.annotations['example.com/x']",
        "[0]",
        "..[0]",
    ] {
        assert_eq!(find(nothing), None, "{nothing}");
    }
}

#[test]
fn paths_come_across_few_values() {
    let mut object = json!({"a": 1});
    for _ in 0..60 {
        object = json!({"a": object, "b": {"c": {"d": {}}}});
    }
    let path = JsonPath::parse("..a..a..a..a..a..a").unwrap();
    assert_eq!(path.first(object.as_object().unwrap()), None);
}

#[test]
fn any_path_is_read_or_refused() {
    for bad in [
        "",
        " ",
        ".a....b",
        "spec.a",
        "a[",
        ".a[b]",
        ".a['b]",
        ".a[?(x)]",
        ".a}",
        ".a\n",
        ".a[?(@.x=5",
        ".a[?(@.x=~5)]",
        ".a[1:2:3:4]",
        ".a['b'",
        ".a[0]\"",
    ] {
        assert!(JsonPath::parse(bad).is_err(), "{bad}");
    }
    let words = [
        "a", ".", "[", "]", "[?(", "@", ")", "'", "\"", "*", "-1", "==", "\\", "\u{e9}", "<", " ",
        ":", ",", "..",
    ];
    let object = json!({"a": [{"a": 1}, [2]], "\u{e9}": {"a": null}});
    let mut seed = 3_u64;
    for _ in 0..50_000 {
        let mut text = String::new();
        for _ in 0..seed % 10 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(words[usize::try_from(seed >> 33).unwrap() % words.len()]);
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _ = JsonPath::parse(&text).map(|it| it.first(object.as_object().unwrap()).is_some());
    }
}
