//! GET of one object.

use super::negotiation;
use super::request::ResourceRequest;
use super::response;
use crate::api::status::Result;
use crate::registry::scale::SCALE;
use crate::serving::Body;

pub async fn get(request: &mut ResourceRequest) -> Result<http::Response<Body>> {
    let accepted = negotiation::accept(request)?;
    negotiation::refuse_export(request)?;
    let version = request.query("resourceVersion");
    let info = &request.info;
    let object = request
        .store
        .get(&request.context, &info.namespace, &info.name, version)
        .await?;
    if info.subresource == SCALE {
        let stored = request.store.parse(&object)?;
        return response::read_scale(request, &accepted, stored).await;
    }
    response::object(request, &accepted, 200, &object).await
}
