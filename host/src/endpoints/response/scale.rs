//! The scale of an object, as autoscaling/v1 has it.

use bytes::Bytes;

use super::body::Pieces;
use super::table::Tables;
use super::{PARTIAL, finish, not_a_list, partial_json};
use crate::api::status::{self, Result};
use crate::api::{Object, protobuf};
use crate::endpoints::Response;
use crate::endpoints::negotiation::{Accepted, MediaType, Transform};
use crate::endpoints::request::ResourceRequest;
use crate::registry::scale::{API_VERSION, KIND, Scaling};
use crate::registry::store::Written;

/// What a get of the subresource answers for the stored `object`.
///
/// # Errors
/// 500 where the object has no replicas, or other things in their place.
pub async fn read_scale(
    request: &ResourceRequest,
    accepted: &Accepted,
    object: Object,
) -> Result<Response> {
    let (store, version) = (&request.store, &request.info.version);
    let object = store.shown(&request.context, object, version).await?;
    let scale = Scaling::of(store.definition(), version, &object)?.shown()?;
    answer(request, accepted, 200, scale).await
}

/// What a write of the subresource answers.
///
/// # Errors
/// 400 where the object has other things in the place of replicas.
pub async fn scale(
    request: &ResourceRequest,
    accepted: &Accepted,
    code: u16,
    written: Written,
) -> Result<Response> {
    let (store, version) = (&request.store, &request.info.version);
    let object = match written {
        Written::Stored(cached) => store.parse(&cached)?,
        Written::Unstored(object) => object,
    };
    let object = store.shown(&request.context, object, version).await?;
    let scaling = Scaling::of(store.definition(), version, &object)
        .map_err(|error| status::bad_request(error.message))?;
    answer(request, accepted, code, scaling.written()).await
}

async fn answer(
    request: &ResourceRequest,
    accepted: &Accepted,
    code: u16,
    scale: Object,
) -> Result<Response> {
    let metadata = serde_json::to_vec(scale.metadata()).expect("a JSON tree has only string keys");
    let partial = || protobuf::partial_object_metadata(&metadata).map_err(unwritable);
    let is_protobuf = accepted.media == MediaType::Protobuf;
    let bytes: Bytes = match accepted.transform {
        Transform::Full if is_protobuf => {
            let message = protobuf::scale(&scale.to_vec()).map_err(unwritable)?;
            protobuf::object(API_VERSION, KIND, &message).into()
        }
        Transform::Full => scale.to_vec().into(),
        Transform::PartialObjectMetadata(version) if is_protobuf => {
            protobuf::object(version.api_version(), PARTIAL, &partial()?).into()
        }
        Transform::PartialObjectMetadata(version) => partial_json(version, &metadata),
        Transform::PartialObjectMetadataList(_) => {
            return Err(not_a_list(request.store.definition()));
        }
        Transform::Table(version) => {
            let tables = Tables::new(request, version)?;
            tables.made(&request.context, scale, &metadata).await
        }
    };
    Ok(finish(request, accepted, code, Pieces::new(vec![bytes])))
}

#[expect(clippy::needless_pass_by_value, reason = "reads best at the calls")]
fn unwritable(error: serde_json::Error) -> Box<status::Status> {
    tracing::error!(%error, "a scale cannot be written as protobuf");
    status::internal("the scale cannot be written as protobuf")
}
