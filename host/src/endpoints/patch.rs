//! PATCH of an object (W5), and server-side apply, which is one of its media types.

use std::sync::Arc;

use super::negotiation;
use super::options::{WriteKind, WriteOptions};
use super::request::ResourceRequest;
use super::write::CreateGate;
use super::{Response, body, write};
use crate::admission::Namespaces;
use crate::api::status::Result;
use crate::authorization::Authorizer;
use crate::registry::apply::Configuration;
use crate::registry::definition::ObjectModel;
use crate::registry::patch::{Patch, PatchKind};
use crate::registry::store::Change;

pub async fn patch(
    request: &mut ResourceRequest,
    authorizer: &Arc<dyn Authorizer>,
    namespaces: &Arc<dyn Namespaces>,
) -> Result<Response> {
    let content_type = request.header(http::header::CONTENT_TYPE).to_owned();
    let definition = request.store.definition();
    let kind = match crate::registry::patch::kind(&content_type, definition) {
        Ok(kind) => kind,
        Err(status) => {
            // A typed server finds no route for it, and so says nothing of the version.
            if definition.object_model == ObjectModel::Typed {
                request.deprecation = None;
            }
            return Err(status);
        }
    };
    let accepted = negotiation::accept(request)?;
    let is_apply = kind == PatchKind::Apply;
    let options_kind = if is_apply {
        WriteKind::Apply
    } else {
        WriteKind::Patch
    };
    let bytes = body::read(request.body.take()).await?;
    let options = WriteOptions::parse(request, options_kind)?;
    let change = if is_apply {
        Change::Apply {
            configuration: Configuration::parse(&bytes)?,
            force: options.force,
            field_validation: options.field_validation,
        }
    } else {
        Change::Patch {
            patch: Patch::parse(kind, &bytes)?,
            field_validation: options.field_validation,
        }
    };
    let gate = CreateGate::new(request, authorizer, namespaces);
    write::change(request, &accepted, &options, change, gate).await
}
