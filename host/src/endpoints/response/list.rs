//! Lists: the stored bytes of their objects between commas.

use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value};

use super::body::Pieces;
use super::listing::{Around, Listing, Measure, Metadata, Whole};
use super::table::Tables;
use super::{PARTIAL, finish, go_type, not_acceptable, partial_head};
use crate::api::protobuf;
use crate::api::status::Result;
use crate::endpoints::negotiation::{Accepted, MediaType, Transform};
use crate::endpoints::request::ResourceRequest;
use crate::registry::definition::ObjectModel;
use crate::registry::store::read::{List, ObjectAt};
use crate::serving::Body;

/// # Errors
/// 406 where a single object's form is asked for; that of a conversion.
pub async fn list(
    request: &ResourceRequest,
    accepted: &Accepted,
    list: List,
) -> Result<http::Response<Body>> {
    let definition = request.store.definition();
    match accepted.transform {
        Transform::Full => {
            let (store, version) = (&request.store, &request.info.version);
            let shown = store.shown_in(version);
            // A typed server's items are without their type, which is the list's (Go's omitempty).
            let (from, open) = match definition.object_model {
                ObjectModel::Typed => (shown.head.json.len(), "{"),
                ObjectModel::Custom => (0, ""),
            };
            let whole = Whole { shown, from };
            let mut measure = Measure::new(&list.objects);
            while let Some(missing) = measure.missing(&whole) {
                let missing = missing.iter().map(|it| &**it).collect();
                store
                    .convert_all(&request.context, version, &whole.shown, missing)
                    .await?;
                tokio::task::yield_now().await;
            }
            let api_version = definition.group_version(version).to_string();
            let metadata = list_meta(&list, definition.object_model);
            let around = Around {
                head: head(&api_version, &definition.names.list_kind, metadata),
                open,
                close: "",
                tail: "]}".into(),
            };
            let listing = Listing::new(list.objects, whole, around, &measure);
            Ok(finish(request, accepted, 200, listing))
        }
        Transform::PartialObjectMetadataList(version) if accepted.media == MediaType::Protobuf => {
            let pieces = protobuf_list(version.api_version(), &list)?;
            Ok(finish(request, accepted, 200, Pieces::new(pieces)))
        }
        Transform::PartialObjectMetadataList(version) => {
            let mut measure = Measure::new(&list.objects);
            while measure.missing(&Metadata).is_some() {
                tokio::task::yield_now().await;
            }
            let metadata = list_meta(&list, ObjectModel::Typed);
            let around = Around {
                head: head(version.api_version(), &format!("{PARTIAL}List"), metadata),
                open: partial_head(version),
                close: "}",
                tail: "]}".into(),
            };
            let listing = Listing::new(list.objects, Metadata, around, &measure);
            Ok(finish(request, accepted, 200, listing))
        }
        Transform::PartialObjectMetadata(_) => {
            let of = match definition.object_model {
                ObjectModel::Custom => "*unstructured.UnstructuredList".to_owned(),
                ObjectModel::Typed => go_type(definition, &definition.names.list_kind),
            };
            Err(not_acceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list ({of})"
            )))
        }
        Transform::Table(version) => {
            let metadata = list_meta(&list, ObjectModel::Typed);
            let tables = Tables::new(request, version)?;
            tables.list(request, accepted, list.objects, metadata).await
        }
    }
}

/// metav1.ListMeta. Lists of custom resources show an empty `continue` too.
fn list_meta(list: &List, object_model: ObjectModel) -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("resourceVersion".into(), list.revision.to_string().into());
    if !list.continue_token.is_empty() || object_model == ObjectModel::Custom {
        metadata.insert("continue".into(), list.continue_token.as_str().into());
    }
    if let Some(remaining) = list.remaining {
        metadata.insert("remainingItemCount".into(), remaining.into());
    }
    metadata
}

/// Up to the first item.
fn head(api_version: &str, kind: &str, metadata: Map<String, Value>) -> String {
    format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        Value::from(kind),
        Value::from(api_version),
        Value::Object(metadata)
    )
}

/// metav1.PartialObjectMetadataList; its length stands in front, its items are shared.
fn protobuf_list(api_version: &str, list: &List) -> Result<Vec<Bytes>> {
    const ITEMS: u32 = 2;
    let metadata = protobuf::ListMeta {
        resource_version: list.revision.to_string(),
        continue_token: list.continue_token.clone(),
        remaining_item_count: list
            .remaining
            .map(|it| i64::try_from(it).unwrap_or(i64::MAX)),
    };
    let mut pieces = vec![Bytes::new()];
    let mut head = Vec::new();
    protobuf::field_head(&mut head, 1, metadata.encoded_len());
    metadata.encode(&mut head).expect("a vector grows");
    pieces.push(head.into());
    for object in list.items() {
        let message = ObjectAt::from(&object).protobuf_metadata()?;
        let mut head = Vec::new();
        protobuf::field_head(&mut head, ITEMS, message.len());
        pieces.push(head.into());
        pieces.push(message);
    }
    let length = pieces.iter().map(Bytes::len).sum();
    pieces[0] = protobuf::envelope(api_version, &format!("{PARTIAL}List"), length).into();
    Ok(pieces)
}
