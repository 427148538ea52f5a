//! A body to an object of the resource: type checks, unknown fields, and its place (W1, V2).

use serde_json::Value;

use super::body;
use super::negotiation::{self, MediaType};
use super::request::ResourceRequest;
use crate::api::Object;
use crate::api::document::{self, Document, Twice};
use crate::api::options::FieldValidation;
use crate::api::status::{self, FieldError, Result};
use crate::registry::definition::{Form, ObjectModel};
use crate::registry::{object_meta, object_model};

/// Reads and parses the body as its Content-Type says.
///
/// # Errors
/// 415 for another type; 413; the parser's complaint as the inner text of a 400.
pub(super) async fn document(
    request: &mut ResourceRequest,
    twice: Twice,
) -> Result<(bytes::Bytes, std::result::Result<Document, String>)> {
    let media = negotiation::content_type(&request.headers)?;
    let bytes = body::read(request.body.take()).await?;
    let parsed = match media {
        MediaType::Yaml => document::parse_yaml(&bytes, twice),
        MediaType::Json => document::parse_json(&bytes, twice),
        MediaType::Protobuf => Err("the resource has no protobuf form".to_owned()),
    };
    Ok((bytes, parsed))
}

/// The body as an object of the request's form, pruned and defaulted by its schema.
pub(super) async fn object(
    request: &mut ResourceRequest,
    validation: FieldValidation,
) -> Result<Object> {
    let twice = match request.form().object_model {
        ObjectModel::Typed => Twice::Merges,
        ObjectModel::Custom => Twice::Replaces,
    };
    let (bytes, parsed) = document(request, twice).await?;
    let form = request.form();
    let kind = form.kind;
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
    match check_type(request, &form, &mut object) {
        Ok(()) => {}
        Err(TypeError::Missing(field)) => {
            let text = String::from_utf8_lossy(&bytes);
            let why = format!("Object '{field}' is missing in '{text}'");
            return Err(unrecognized(&why));
        }
        Err(TypeError::Status(status)) => {
            let definition = request.store.definition();
            let said = object_model::warnings_of_other_version(definition, &object, validation);
            request.warnings.extend(said);
            return Err(status);
        }
    }
    let cannot_be_handled = |why: &str| {
        let text = format!(
            "{kind} in version \"{}\" cannot be handled as a {kind}: {why}",
            form.version
        );
        status::bad_request(text)
    };
    let duplicates = document.duplicates.iter();
    let complaints = duplicates.map(|it| format!("duplicate field \"{it}\""));
    let warnings = form
        .decode(&mut object, complaints, validation)
        .map_err(|why| cannot_be_handled(&why))?;
    request.warnings.extend(warnings);
    Ok(object)
}

enum TypeError {
    Missing(&'static str),
    Status(Box<status::Status>),
}

/// `apiVersion` and `kind` are those of the request; typed servers fill in what is missing.
fn check_type(
    request: &ResourceRequest,
    form: &Form<'_>,
    object: &mut Object,
) -> std::result::Result<(), TypeError> {
    let definition = request.store.definition();
    let (expected, expected_kind) = (form.api_version(), form.kind);
    let (given, given_kind) = (object.api_version().to_owned(), object.kind().to_owned());
    match form.object_model {
        ObjectModel::Typed => {
            let version = given.rsplit('/').next().unwrap_or_default();
            let is_known = given.is_empty()
                || given == expected
                || given.split_once('/').is_some_and(|(group, version)| {
                    group == form.group && definition.version(version).is_some()
                });
            if !is_known || !(given_kind.is_empty() || given_kind == expected_kind) {
                let api_version = if given.is_empty() { &expected } else { &given };
                let version = if given.is_empty() {
                    form.version
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
    if !given_kind.is_empty() && given_kind != expected_kind {
        let error = FieldError::invalid(
            "kind",
            &given_kind.as_str().into(),
            &format!("must be {expected_kind}"),
        );
        let name = object.name();
        return Err(TypeError::Status(status::invalid(
            form.group,
            &given_kind,
            name,
            vec![error],
        )));
    }
    object.set_type(&expected, expected_kind);
    Ok(())
}

/// Puts the object where the URL says (W1); the URL of a create names no object.
pub(super) fn place(request: &ResourceRequest, object: &mut Object) -> Result<()> {
    let info = &request.info;
    object_meta::set_namespace(object, &info.namespace)?;
    if info.name.is_empty() {
        return Ok(());
    }
    object_meta::check_name(object, &info.name)
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
