//! PUT of an object (W4).

use std::sync::Arc;

use super::negotiation;
use super::options::{WriteKind, WriteOptions};
use super::request::ResourceRequest;
use super::write::CreateGate;
use super::{Response, decode, write};
use crate::admission::Namespaces;
use crate::api::status::Result;
use crate::authorization::Authorizer;
use crate::registry::store::Change;

pub async fn update(
    request: &mut ResourceRequest,
    authorizer: &Arc<dyn Authorizer>,
    namespaces: &Arc<dyn Namespaces>,
) -> Result<Response> {
    let accepted = negotiation::accept(request)?;
    let options = WriteOptions::parse(request, WriteKind::Update)?;
    let mut object = decode::object(request, options.field_validation).await?;
    decode::place(request, &mut object)?;
    let change = Change::Replace(object);
    let gate = CreateGate::new(request, authorizer, namespaces);
    write::change(request, &accepted, &options, change, gate).await
}
