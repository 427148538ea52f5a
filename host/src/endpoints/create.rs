//! POST of an object (W1).

use super::negotiation;
use super::options::{WriteKind, WriteOptions};
use super::request::ResourceRequest;
use super::{Response, decode, write};
use crate::admission::Namespaces;
use crate::api::status::{self, Result};

pub async fn create(
    request: &mut ResourceRequest,
    namespaces: &dyn Namespaces,
) -> Result<Response> {
    let accepted = negotiation::accept(request)?;
    let options = WriteOptions::parse(request, WriteKind::Create)?;
    if request.store.definition().is_namespaced() && request.info.namespace.is_empty() {
        return Err(status::bad_request(
            "an empty namespace may not be set during creation",
        ));
    }
    let mut object = decode::object(request, options.field_validation).await?;
    decode::place(request, &mut object)?;
    write::check_namespace(request, namespaces, &object).await?;
    let written = write::run(request, &options, move |call| {
        Box::pin(async move {
            call.store
                .create(call.context, &call.target, object, call.warnings)
                .await
        })
    })
    .await?;
    write::answer(request, &accepted, 201, written).await
}
