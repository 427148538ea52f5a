//! Bodies that can be read, and bodies that cannot.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::api::testing;

#[track_caller]
fn check(parsed: Result<Document, String>, expected: Expect) {
    let shown = match parsed {
        Ok(document) => format!("{} {:?}", document.value, document.duplicates),
        Err(error) => error,
    };
    expected.assert_eq(&shown);
}

#[test]
fn reports_duplicate_fields_by_their_paths() {
    check(
        parse_json(br#"{"a":1,"b":[{"c":1,"c":2}],"a":3}"#, Twice::Replaces),
        expect![[r#"{"a":3,"b":[{"c":2}]} ["b[0].c", "a"]"#]],
    );
    check(
        parse_yaml(b"a: 1\nb:\n- c: 1\n  c: 2\na: 3\n", Twice::Replaces),
        expect![[r#"{"a":3,"b":[{"c":2}]} ["b[0].c", "a"]"#]],
    );
}

#[test]
fn merges_duplicates_as_a_typed_decoder_does() {
    check(
        parse_json(
            br#"{"a":{"x":1,"y":[1]},"b":1,"a":{"x":null,"y":[2],"z":3},"b":null}"#,
            Twice::Merges,
        ),
        expect![[r#"{"a":{"x":1,"y":[2],"z":3},"b":1} ["a", "b"]"#]],
    );
}

#[test]
fn refuses_documents_that_are_too_deep() {
    check(
        parse_json(
            ("[".repeat(200) + &"]".repeat(200)).as_bytes(),
            Twice::Replaces,
        ),
        expect!["recursion limit exceeded at line 1 column 128"],
    );
    assert!(parse_yaml(&[b'['; 3000], Twice::Replaces).is_err());
}

#[test]
fn refuses_yaml_whose_aliases_multiply() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for i in 1..9 {
        bomb += &format!(
            "a{i}: &a{i} [{}]\n",
            vec![format!("*a{}", i - 1); 9].join(",")
        );
    }
    assert!(parse_yaml(bomb.as_bytes(), Twice::Replaces).is_err());
}

proptest! {
    #[test]
    fn json_is_read_as_serde_json_reads_it(value in testing::json()) {
        for text in [value.to_string(), format!("{value:#}")] {
            let document = parse_json(text.as_bytes(), Twice::Replaces).expect("it is JSON");
            prop_assert_eq!(&document.value, &serde_json::from_str::<Value>(&text).expect("it is JSON"));
            prop_assert!(document.duplicates.is_empty(), "{:?}", document.duplicates);
        }
    }

    #[test]
    fn a_field_that_comes_twice_is_told_and_the_last_one_counts(mut map in testing::map(), value in testing::json()) {
        map.insert("a".into(), value);
        let value = Value::Object(map);
        let text = format!("{{\"a\":null,{}", &value.to_string()[1..]);
        let document = parse_json(text.as_bytes(), Twice::Replaces).expect("it is JSON");
        prop_assert_eq!(document.value, value);
        prop_assert_eq!(document.duplicates, ["a"]);
    }

    #[test]
    fn json_without_floats_is_yaml_too(value in testing::json()) {
        let text = value.to_string();
        prop_assume!(text.bytes().all(|it| (b' '..0x7f).contains(&it)) && !text.contains(['.', '\\']));
        let document = parse_yaml(text.as_bytes(), Twice::Replaces).map_err(TestCaseError::fail)?;
        prop_assert_eq!(document.value, value);
        prop_assert!(document.duplicates.is_empty());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[-\\[\\]{}\":,&*!|> \n#a-c0-9.]{0,80}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            let plain = serde_json::from_slice::<Value>(bytes).ok();
            prop_assert_eq!(parse_json(bytes, Twice::Replaces).ok().map(|it| it.value), plain);
            let _ = parse_yaml(bytes, Twice::Replaces);
        }
    }
}
