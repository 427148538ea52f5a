//! A body to an object of the resource: type checks, unknown fields, and its place (W1, V2).

use serde_json::Value;

use super::body::{self, Document};
use super::negotiation::{self, MediaType};
use super::request::ResourceRequest;
use crate::api::Object;
use crate::api::options::FieldValidation;
use crate::api::status::{self, FieldError, Result};
use crate::registry::definition::ObjectModel;
use crate::registry::object_meta;

/// Reads and parses the body as its Content-Type says.
///
/// # Errors
/// 415 for another type; 413; the parser's complaint as the inner text of a 400.
pub(super) async fn document(
    request: &mut ResourceRequest,
) -> Result<(bytes::Bytes, std::result::Result<Document, String>)> {
    let media = negotiation::content_type(&request.headers)?;
    let bytes = body::read(request.body.take()).await?;
    let parsed = match media {
        MediaType::Yaml => body::parse_yaml(&bytes),
        MediaType::Json => body::parse_json(&bytes),
        MediaType::Protobuf => Err("the resource has no protobuf form".to_owned()),
    };
    Ok((bytes, parsed))
}

/// The body as an object of the request's kind and version, pruned and defaulted by its schema.
pub(super) async fn object(
    request: &mut ResourceRequest,
    validation: FieldValidation,
) -> Result<Object> {
    let (bytes, parsed) = document(request).await?;
    let definition = request.store.definition();
    let kind = definition.names.kind.clone();
    let unrecognized = |why: &str| {
        let text = format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({})",
            summary(&bytes)
        );
        status::bad_request(text)
    };
    let document = parsed.map_err(|error| {
        unrecognized(&format!(
            "couldn't get version/kind; json parse error: {error}"
        ))
    })?;
    let Value::Object(map) = document.value else {
        return Err(unrecognized(
            "couldn't get version/kind; json parse error: the document is not an object",
        ));
    };
    let mut object = Object(map);
    check_type(request, &mut object).map_err(|error| match error {
        TypeError::Missing(field) => unrecognized(&format!(
            "Object '{field}' is missing in '{}'",
            summary(&bytes)
        )),
        TypeError::Status(status) => status,
    })?;
    let mut unknown = object_meta::decode(&mut object.0).map_err(|why| {
        let version = &request.info.version;
        status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
        ))
    })?;
    let version = request.version();
    unknown.extend(version.schema.decode(&mut object.0).map_err(|error| {
        let version = &request.info.version;
        status::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {}: {}",
            error.field, error.message
        ))
    })?);
    if definition.object_model == ObjectModel::Typed
        && let Some(error) = version.schema.type_error(&object.0)
    {
        let version = &request.info.version;
        let text = format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: json: {}: {}",
            error.field, error.message
        );
        return Err(status::bad_request(text));
    }
    report(request, validation, &document.duplicates, &unknown)?;
    Ok(object)
}

/// Refuses unknown and duplicate fields, or adds warnings about them, as asked.
pub(super) fn report(
    request: &mut ResourceRequest,
    validation: FieldValidation,
    duplicates: &[String],
    unknown: &[String],
) -> Result<()> {
    let said: Vec<String> = duplicates
        .iter()
        .map(|it| format!("duplicate field \"{it}\""))
        .chain(unknown.iter().map(|it| format!("unknown field \"{it}\"")))
        .collect();
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => request.warnings.extend(said),
        FieldValidation::Strict if said.is_empty() => {}
        FieldValidation::Strict => {
            let kind = &request.store.definition().names.kind;
            let version = &request.info.version;
            let text = format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
                said.join(", ")
            );
            return Err(status::bad_request(text));
        }
    }
    Ok(())
}

enum TypeError {
    Missing(&'static str),
    Status(Box<status::Status>),
}

/// `apiVersion` and `kind` are those of the request; typed servers fill in what is missing.
fn check_type(
    request: &ResourceRequest,
    object: &mut Object,
) -> std::result::Result<(), TypeError> {
    let definition = request.store.definition();
    let expected = definition.group_version(&request.info.version).to_string();
    let expected_kind = &definition.names.kind;
    let (given, given_kind) = (object.api_version().to_owned(), object.kind().to_owned());
    match definition.object_model {
        ObjectModel::Typed => {
            let version = given.rsplit('/').next().unwrap_or_default();
            let is_known = given.is_empty()
                || given.split_once('/').is_some_and(|(group, version)| {
                    group == definition.group && definition.version(version).is_some()
                });
            if !is_known || !(given_kind.is_empty() || given_kind == *expected_kind) {
                let api_version = if given.is_empty() { &expected } else { &given };
                let version = if given.is_empty() {
                    request.info.version.as_str()
                } else {
                    version
                };
                let shown = if given_kind.is_empty() {
                    expected_kind
                } else {
                    &given_kind
                };
                return Err(TypeError::Status(status::bad_request(format!(
                    "{shown} in version \"{version}\" cannot be handled as a {expected_kind}: no kind \"{shown}\" is \
                     registered for version \"{api_version}\" in scheme \"pkg/runtime/scheme.go:111\""
                ))));
            }
        }
        ObjectModel::Custom => {
            if given_kind.is_empty() {
                return Err(TypeError::Missing("Kind"));
            }
            if given.is_empty() {
                return Err(TypeError::Missing("apiVersion"));
            }
        }
    }
    if !given.is_empty() && given != expected {
        let text = format!(
            "the API version in the data ({given}) does not match the expected API version ({expected})"
        );
        return Err(TypeError::Status(status::bad_request(text)));
    }
    if !given_kind.is_empty() && given_kind != *expected_kind {
        let error = FieldError::invalid(
            "kind",
            &given_kind.as_str().into(),
            &format!("must be {expected_kind}"),
        );
        let name = object.name();
        return Err(TypeError::Status(status::invalid(
            &definition.group,
            &given_kind,
            name,
            vec![error],
        )));
    }
    object.set_type(&expected, expected_kind);
    Ok(())
}

/// Puts the object where the URL says (W1); `name` of the URL is empty for a plain create.
pub(super) fn place(request: &ResourceRequest, object: &mut Object) -> Result<()> {
    let info = &request.info;
    object_meta::set_namespace(object, &info.namespace)?;
    if !info.name.is_empty() && object.name() != info.name {
        if object.name().is_empty() && info.verb != "update" {
            object.set_meta("name", &info.name);
            return Ok(());
        }
        let text = format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            object.name(),
            info.name
        );
        return Err(status::bad_request(text));
    }
    Ok(())
}

/// A body as an error shows it (k8s.io/apiserver, pkg/endpoints/handlers/rest.go, summarizeData).
fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    if bytes.is_empty() {
        return "<empty>".into();
    }
    let cut = &bytes[..bytes.len().min(SHOWN)];
    let mut shown = if bytes[0] == b'{' {
        String::from_utf8_lossy(cut).into_owned()
    } else {
        cut.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    if bytes.len() > SHOWN {
        shown.push_str(" ...");
    }
    shown
}
