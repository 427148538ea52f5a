//! What comes of Accept and Content-Type headers.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::content_type::essence;
use super::*;

#[expect(clippy::needless_pass_by_value, reason = "as expect-test is used")]
#[track_caller]
fn check(header: &str, expected: Expect) {
    let show = |offer| match negotiate(header, false, offer) {
        None => "406".to_owned(),
        Some(it) => format!("{:?} {:?}", it.media, it.transform),
    };
    let shown = format!("{} / {}", show(Offer::Resource), show(Offer::Status));
    expected.assert_eq(&shown);
}

#[test]
fn answers_json_when_anything_is_welcome() {
    check("", expect!["Json Full / Json Full"]);
    check("*/*", expect!["Json Full / Json Full"]);
    check("*", expect!["Json Full / Json Full"]);
    check("application/*", expect!["Json Full / Json Full"]);
    check("text/html, */*;q=0.8", expect!["Json Full / Json Full"]);
}

#[test]
fn falls_through_to_the_next_clause_that_can_be_met() {
    check(
        "application/vnd.kubernetes.protobuf,application/json",
        expect!["Json Full / Protobuf Full"],
    );
    check(
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json",
        expect!["Protobuf PartialObjectMetadata(V1) / Json Full"],
    );
    check(
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        expect!["Json Table(V1) / Json Full"],
    );
    check(
        "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/yaml",
        expect!["Yaml Full / Yaml Full"],
    );
    check(
        "application/json;as=Scale;v=v1;g=autoscaling,application/yaml",
        expect!["Yaml Full / Yaml Full"],
    );
}

#[test]
fn prefers_by_quality_then_by_precision() {
    check(
        "application/json;q=0.5,application/yaml",
        expect!["Yaml Full / Yaml Full"],
    );
    check("*/*,application/yaml", expect!["Yaml Full / Yaml Full"]);
    check(
        "application/yaml;q=0.1,application/json;q=0",
        expect!["Yaml Full / Yaml Full"],
    );
    check("application/json;q=0", expect!["Json Full / Json Full"]);
    check(
        "application/json;q= 0.9,application/yaml;q=0.1",
        expect!["Yaml Full / Yaml Full"],
    );
}

/// goautoneg's order is none: it depends on where the clauses stand.
#[test]
fn orders_wild_cards_as_upstream_happens_to() {
    check(
        "application/yaml;q=0.1,*/*;q=0.9",
        expect!["Json Full / Json Full"],
    );
    check(
        "*/*;q=0.9,application/yaml;q=0.1",
        expect!["Yaml Full / Yaml Full"],
    );
}

#[test]
fn refuses_what_nothing_can_be_written_in() {
    check("text/html", expect!["406 / 406"]);
    check(
        "application/vnd.kubernetes.protobuf",
        expect!["406 / Protobuf Full"],
    );
    check("application/yaml;stream=watch", expect!["406 / 406"]);
    check("application/json;stream=other", expect!["406 / 406"]);
    check("application/json/x", expect!["406 / 406"]);
    check("Application/JSON", expect!["406 / 406"]);
    check("application/json;sv=v2", expect!["406 / 406"]);
    check("*/json", expect!["406 / 406"]);
}

#[test]
fn reads_parameters_as_upstream_does() {
    check("application/json;sv=v1", expect!["Json Full / 406"]);
    check(
        "application/json; as=Table; g=meta.k8s.io; v=v1; v=v1beta1",
        expect!["Json Table(V1Beta1) / 406"],
    );
    check("application/json;as=a=b", expect!["Json Full / Json Full"]);
    check(
        "application/json;stream=other;stream=watch",
        expect!["Json Full / Json Full"],
    );
    check("application/json;v=v1", expect!["406 / 406"]);
    check("application/json/;x", expect!["Json Full / Json Full"]);
}

proptest! {
    #[test]
    fn never_panics_and_ends_with_a_form_or_none(
        header in r"((application|\*|text)?/?(json|yaml|vnd\.kubernetes\.protobuf|\*)?(;(q|as|g|v|stream)=?[a-zA-Z0-9.]{0,4})*,? ?){0,20}|\PC{0,40}",
    ) {
        let accepted = negotiate(&header, false, Offer::Resource);
        let is_protobuf_object = accepted.is_some_and(|it| {
            it.media == MediaType::Protobuf && it.transform == Transform::Full
        });
        prop_assert!(!is_protobuf_object);
    }

    #[test]
    fn never_panics_at_a_content_type(value in r"[a-z/;=\x22\x5c, ]{0,30}|\PC{0,40}") {
        let essence = essence(&value);
        prop_assert!(essence.is_none_or(|it| value.contains(it)));
    }
}

#[test]
fn indents_for_people_and_where_asked() {
    let mut headers = HeaderMap::new();
    assert!(is_pretty(&headers, "1"));
    assert!(!is_pretty(&headers, ""));
    headers.insert(header::USER_AGENT, "curl/8.5.0".parse().expect("a value"));
    assert!(is_pretty(&headers, ""));
    assert!(!is_pretty(&headers, "false"));
}

#[test]
fn reads_content_types_without_their_parameters() {
    let check = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, value.parse().expect("a value"));
        content_type(&headers).map_err(|it| it.code)
    };
    assert_eq!(content_type(&HeaderMap::new()), Ok(MediaType::Json));
    assert_eq!(
        check("Application/JSON; charset=utf-8"),
        Ok(MediaType::Json)
    );
    assert_eq!(check("application/yaml"), Ok(MediaType::Yaml));
    assert_eq!(check("text/plain"), Err(415));
    assert_eq!(check(r#"application/json; a="\";" ;"#), Ok(MediaType::Json));
    for malformed in [
        "application/json; charset",
        "application/json; a=1; A=2",
        "application/json; a=",
        r#"application/json; a="b"#,
        "application/json, application/yaml",
    ] {
        assert_eq!(check(malformed), Err(415), "{malformed}");
    }
}
