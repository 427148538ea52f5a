use expect_test::expect;
use prost::Message;

use super::*;
use crate::endpoints::testing::{anchors, yard};

fn built() -> OpenApi {
    let mut definitions = yard();
    definitions.push(anchors());
    OpenApi::new(definitions.into_iter().map(Arc::new).collect())
}

fn json(spec: &Spec) -> Value {
    serde_json::from_slice(&spec.json.bytes()).expect("JSON")
}

/// The one group and version of a resource in the documents.
fn resource_spec(api: &OpenApi) -> (&String, &Spec) {
    let mut paths = api.v3.keys().filter(|it| it.matches('/').count() == 2);
    let path = paths.next().expect("a group and version");
    (path, api.v3(path).expect("it is there"))
}

#[test]
fn patches_are_published_with_what_kubectl_looks_for() {
    let api = built();
    let document = json(resource_spec(&api).1);
    let paths = document["paths"].as_object().expect("paths");
    let patches: Vec<&Value> = paths.values().filter_map(|it| it.get("patch")).collect();
    assert!(!patches.is_empty());
    for patch in patches {
        assert!(
            patch["x-kubernetes-group-version-kind"]["kind"].is_string(),
            "{patch}"
        );
        assert_eq!(patch["x-kubernetes-action"], "patch");
        let parameters = patch["parameters"].as_array().expect("parameters");
        let names: Vec<&str> = parameters
            .iter()
            .filter_map(|it| it["name"].as_str())
            .collect();
        expect![[r#"["dryRun", "fieldManager", "fieldValidation", "force"]"#]]
            .assert_eq(&format!("{names:?}"));
        let types = patch["requestBody"]["content"].as_object().expect("types");
        for offered in ["merge-patch+json", "apply-patch+yaml"] {
            let media_type = format!("application/{offered}");
            assert!(types.contains_key(&media_type), "{types:?}");
        }
    }
}

#[test]
fn whoever_has_a_document_is_told_so() {
    let api = built();
    let (path, spec) = resource_spec(&api);
    let mut headers = HeaderMap::new();
    let url = format!("/openapi/v3/{path}");
    let first = api.answer(&url, None, &headers).expect("a document");
    assert_eq!(first.status(), StatusCode::OK);
    headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
    let again = api
        .answer(&url, Some(&spec.digest), &headers)
        .expect("an answer");
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(again.headers()[header::CACHE_CONTROL], "public, immutable");
    let stale = api
        .answer(&url, Some("ABC"), &HeaderMap::new())
        .expect("an answer");
    assert_eq!(stale.status(), StatusCode::OK);
    assert_ne!(stale.headers()[header::CACHE_CONTROL], "public, immutable");
}

#[test]
fn unknown_media_types_are_not_acceptable() {
    let api = built();
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/html"));
    let answer = api
        .answer("/openapi/v2", None, &headers)
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::NOT_ACCEPTABLE);
}

/// What a client decodes of openapi_v2.Document, with gnostic's numbers.
#[derive(Clone, PartialEq, Message)]
struct DocumentV2 {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "9")]
    definitions: Option<Definitions>,
}

#[derive(Clone, PartialEq, Message)]
struct Definitions {
    #[prost(message, repeated, tag = "1")]
    schemas: Vec<NamedSchema>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedSchema {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<SchemaV2>,
}

#[derive(Clone, PartialEq, Message)]
struct SchemaV2 {
    #[prost(message, repeated, tag = "31")]
    extensions: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

#[test]
fn protobuf_names_the_kinds_of_definitions() {
    let api = built();
    let document = DocumentV2::decode(api.v2().protobuf().bytes()).expect("openapi_v2.Document");
    assert_eq!(document.swagger, "2.0");
    let json = json(api.v2());
    let schemas = document.definitions.expect("definitions").schemas;
    assert_eq!(
        schemas.len(),
        json["definitions"].as_object().expect("definitions").len()
    );
    let kinds: Vec<String> = schemas
        .iter()
        .filter_map(|it| it.schema.as_ref())
        .flat_map(|it| &it.extensions)
        .filter(|it| it.name == "x-kubernetes-group-version-kind")
        .filter_map(|it| it.value.as_ref().map(|value| value.yaml.clone()))
        .collect();
    assert!(
        !kinds.is_empty(),
        "clients find the schema of a kind by this extension"
    );
    for yaml in kinds {
        assert!(
            serde_json::from_str::<Value>(&yaml)
                .expect("JSON is YAML")
                .is_array(),
            "{yaml}"
        );
    }
}
