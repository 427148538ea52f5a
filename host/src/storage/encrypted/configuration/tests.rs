//! What is configured, and what is refused with which words.

use expect_test::{Expect, expect};

use super::*;

/// 16, 24 and 32 bytes.
const SECRETS: [&str; 3] = [
    "MDEyMzQ1Njc4OWFiY2RlZg==",
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
    "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
];

fn document(resources: &str) -> String {
    format!("apiVersion: {API_VERSION}\nkind: {KIND}\nresources: {resources}\n")
}

fn provider(provider: &str) -> String {
    document(&format!("[{{resources: [a.g], providers: [{provider}]}}]"))
}

#[track_caller]
fn refused(text: &str, expected: Expect) {
    let error = Encryption::parse(text.as_bytes()).expect_err("refused");
    assert!(!error.contains("MDEy"), "no secret is shown: {error}");
    expected.assert_eq(&error);
}

#[test]
fn reads_keys_of_all_sizes_and_identity() {
    for secret in SECRETS {
        let keys =
            format!("{{aesgcm: {{keys: [{{name: k1, secret: {secret}}}]}}}}, {{identity: {{}}}}");
        let encryption = Encryption::parse(provider(&keys).as_bytes()).expect("a configuration");
        let transformers = encryption.of("objects/g/a/ns/x").expect("an object");
        assert!(transformers.encrypts() && transformers.reads_plain());
    }
}

#[test]
fn the_first_rule_for_a_resource_counts() {
    let key = |name: &str| {
        let secret = SECRETS[0];
        format!("[{{aesgcm: {{keys: [{{name: {name}, secret: {secret}}}]}}}}]")
    };
    let rules = format!(
        "[{{resources: [a.g], providers: {}}}, {{resources: ['*.g', secrets], providers: {}}},
         {{resources: ['*.*'], providers: [{{identity: {{}}}}]}}, {{resources: [b.g], providers: {}}},
         {{resources: [a.g], providers: [{{identity: {{}}}}]}}]",
        key("one"),
        key("two"),
        key("three")
    );
    let encryption = Encryption::parse(document(&rules).as_bytes()).expect("a configuration");
    let shown = |key: &str| format!("{:?}", encryption.of(key));
    let one = r#"Some(Transformers([Key(k8s:enc:aesgcm:v1:one:), Identity]))"#;
    let two = r#"Some(Transformers([Key(k8s:enc:aesgcm:v1:two:)]))"#;
    let plain = "Some(Transformers([Identity]))";
    assert_eq!(shown("objects/g/a/ns/x"), one);
    assert_eq!(shown("mirror/g/a/ns/x"), one);
    assert_eq!(shown("objects/g/b/ns/x"), two);
    assert_eq!(shown("objects/g.other/b/ns/x"), plain);
    assert_eq!(shown("kv/plugin/key"), "None");
    assert_eq!(shown("control/owners/g/a"), "None");
}

#[test]
fn without_a_configuration_nothing_is_encrypted() {
    let shown = format!("{:?}", Encryption::none().of("objects/g/a/x"));
    assert_eq!(shown, "Some(Transformers([Identity]))");
}

#[test]
fn refuses_what_is_no_encryption_configuration() {
    refused(" \n", expect!["it is empty"]);
    refused("a: [", expect!["unclosed bracket '[' at line 1, column 4"]);
    refused("[]", expect!["must be an object"]);
    refused(
        "kind: Secret",
        expect![
            "[apiVersion: must be apiserver.config.k8s.io/v1, kind: must be EncryptionConfiguration]"
        ],
    );
    refused(&document("{}"), expect!["resources: must be a list"]);
    refused(
        &document("[]"),
        expect!["resources: Required value: at least one resources is required"],
    );
    refused(
        &format!("{}kind: {KIND}\n", document("[]")),
        expect!["kind: is there twice"],
    );
}

#[test]
fn refuses_resources_as_upstream_does() {
    let rule = |resources: &str| {
        document(&format!(
            "[{{resources: {resources}, providers: [{{identity: {{}}}}]}}]"
        ))
    };
    refused(
        &document("[{}]"),
        expect![
            "[resources[0].resources: Required value: at least one resources[0].resources is required, resources[0].providers: Required value: at least one resources[0].providers is required]"
        ],
    );
    refused(
        &rule("[A.g]"),
        expect![[
            r#"resources[0].resources[0]: Invalid value: "A.g": resource name should not contain capital letters"#
        ]],
    );
    refused(
        &rule("['*']"),
        expect![[
            r#"resources[0].resources[0]: Invalid value: "*": use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources"#
        ]],
    );
    refused(
        &rule("['a.*']"),
        expect![[
            r#"resources[0].resources[0]: Invalid value: "a.*": encrypting the same resource across groups is not supported"#
        ]],
    );
    refused(
        &rule("[a.g, a.g]"),
        expect![[
            r#"resources[0].resources: Invalid value: ["a.g","a.g"]: the same resource cannot be specified multiple times"#
        ]],
    );
    refused(
        &rule("[a.g, '*.g']"),
        expect![[
            r#"resources[0].resources: Invalid value: ["a.g","*.g"]: using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"#
        ]],
    );
    refused(
        &rule("[a.g, '*.*']"),
        expect![[
            r#"resources[0].resources: Invalid value: ["a.g","*.*"]: using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked"#
        ]],
    );
    refused(
        &rule("[1]"),
        expect![
            "[resources[0].resources[0]: must be a text: put it into quotes, resources[0].resources: Required value: at least one resources[0].resources is required]"
        ],
    );
}

#[test]
fn refuses_providers_and_keys_as_upstream_does() {
    refused(
        &provider("{}"),
        expect![
            "resources[0].providers[0]: provider does not contain any of the expected providers: AESGCM, Identity"
        ],
    );
    refused(
        &provider("{identity: {}, aesgcm: {keys: []}}"),
        expect![
            "resources[0].providers[0]: more than one provider specified in a single element, should split into different list elements"
        ],
    );
    refused(
        &provider("{secretbox: {keys: [{name: a, secret: MDEy}]}}"),
        expect![
            "resources[0].providers[0].secretbox: Forbidden: this server has the providers aesgcm and identity alone: give aesgcm a key"
        ],
    );
    refused(
        &provider("{rot13: {}}"),
        expect![
            "[resources[0].providers[0].rot13: unknown field, resources[0].providers[0].rot13: Forbidden: this server has the providers aesgcm and identity alone: give aesgcm a key]"
        ],
    );
    refused(
        &provider("{aesgcm: {keys: []}}"),
        expect![
            "resources[0].providers[0].aesgcm.keys: Required value: at least one keys is required"
        ],
    );
    refused(
        &provider("{aesgcm: {keys: [{}]}}"),
        expect![
            "[resources[0].providers[0].aesgcm.keys[0].name: Required value: name is a mandatory field for a key, resources[0].providers[0].aesgcm.keys[0].secret: Required value: secret is a mandatory field for a key]"
        ],
    );
    refused(
        &provider("{aesgcm: {keys: [{name: a, secret: 'MDEy*'}]}}"),
        expect![[
            r#"resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secrets must be base64 encoded"#
        ]],
    );
    refused(
        &provider("{aesgcm: {keys: [{name: a, secret: MDEy}]}}"),
        expect![[
            r#"resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected length, got 3, expected one of [16 24 32]"#
        ]],
    );
    refused(
        &provider("{aesgcm: {keys: [{name: a, secret: 12}]}}"),
        expect![
            "resources[0].providers[0].aesgcm.keys[0].secret: must be a text: put it into quotes"
        ],
    );
    refused(
        &provider("{aesgcm: MDEyMzQ1Njc4OWFiY2RlZg==}"),
        expect!["resources[0].providers[0].aesgcm: must be an object"],
    );
}
