//! PATCH of an object (W5): JSON patch and JSON merge patch.

use super::negotiation;
use super::options::WriteOptions;
use super::request::ResourceRequest;
use super::{Response, body, write};
use crate::api::status::Result;
use crate::registry::patch::Patch;
use crate::registry::store::Change;

pub async fn patch(request: &mut ResourceRequest) -> Result<Response> {
    let accepted = negotiation::accept(request)?;
    let content_type = request.header(http::header::CONTENT_TYPE).to_owned();
    let kind = crate::registry::patch::kind(&content_type, request.store.definition())?;
    let options = WriteOptions::parse(request, "PatchOptions")?;
    let bytes = body::read(request.body.take()).await?;
    let patch = Patch::parse(kind, &bytes)?;
    let change = Change::Patch {
        patch,
        field_validation: options.field_validation,
    };
    let written = write::detached(request, &options, move |store, context, info, warnings| {
        Box::pin(async move {
            store
                .update(context, &write::target(info), change, warnings)
                .await
        })
    })
    .await?;
    write::answer(request, &accepted, 200, written).await
}
