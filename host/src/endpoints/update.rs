//! PUT of an object (W4).

use super::negotiation;
use super::options::WriteOptions;
use super::request::ResourceRequest;
use super::{Response, decode, write};
use crate::admission::Namespaces;
use crate::api::status::Result;
use crate::authorization::Authorizer;
use crate::registry::store::Change;

pub async fn update(
    request: &mut ResourceRequest,
    authorizer: &dyn Authorizer,
    namespaces: &dyn Namespaces,
) -> Result<Response> {
    let accepted = negotiation::accept(request)?;
    let options = WriteOptions::parse(request, "UpdateOptions")?;
    let mut object = decode::object(request, options.field_validation).await?;
    decode::place(request, &mut object)?;
    if creates(request).await? {
        write::authorize_create(request, authorizer).await?;
        write::check_namespace(request, namespaces, &object).await?;
        let written = write::detached(request, &options, move |store, context, info, warnings| {
            Box::pin(async move {
                store
                    .create(context, &write::target(info), object, warnings)
                    .await
            })
        })
        .await?;
        return write::answer(request, &accepted, 201, written).await;
    }
    let written = write::detached(request, &options, move |store, context, info, warnings| {
        Box::pin(async move {
            store
                .update(
                    context,
                    &write::target(info),
                    Change::Replace(object),
                    warnings,
                )
                .await
        })
    })
    .await?;
    write::answer(request, &accepted, 200, written).await
}

/// Whether the resource lets an update create, and there is nothing to update.
async fn creates(request: &ResourceRequest) -> Result<bool> {
    let info = &request.info;
    if !request.store.definition().update.allow_create || !info.subresource.is_empty() {
        return Ok(false);
    }
    Ok(request
        .store
        .current(&request.context, &info.namespace, &info.name)
        .await?
        .is_none())
}
