//! Lists: the stored bytes of their objects between commas.

use std::borrow::Cow;

use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value};

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
    let objects: Vec<ObjectAt> = list.items.iter().map(ObjectAt::from).collect();
    let pieces = match accepted.transform {
        Transform::Full => {
            let version = &request.info.version;
            let store = &request.store;
            let items = store
                .in_version(&request.context, version, &objects)
                .await?;
            // A typed server's items are without their type, which is the list's (Go's omitempty).
            let (head, open) = match definition.object_model {
                ObjectModel::Typed => (store.json_head(version).len(), "{"),
                ObjectModel::Custom => (0, ""),
            };
            let items = items.into_iter().map(|it| it.slice(head..));
            let api_version = definition.group_version(version).to_string();
            let metadata = list_meta(&list, definition.object_model);
            json_list(
                &api_version,
                &definition.names.list_kind,
                metadata,
                open,
                items,
                "",
            )
        }
        Transform::PartialObjectMetadataList(version) if accepted.media == MediaType::Protobuf => {
            protobuf_list(version.api_version(), &list, &objects)?
        }
        Transform::PartialObjectMetadataList(version) => {
            let metadata = list_meta(&list, ObjectModel::Typed);
            let items = objects.iter().map(ObjectAt::metadata);
            let kind = format!("{PARTIAL}List");
            json_list(
                version.api_version(),
                &kind,
                metadata,
                partial_head(version),
                items,
                "}",
            )
        }
        Transform::PartialObjectMetadata(_) => {
            let of = match definition.object_model {
                ObjectModel::Custom => "*unstructured.UnstructuredList".to_owned(),
                ObjectModel::Typed => go_type(definition, &definition.names.list_kind),
            };
            return Err(not_acceptable(format!(
                "you requested PartialObjectMetadata, but the requested object is a list ({of})"
            )));
        }
        Transform::Table(version) => {
            let metadata = list_meta(&list, ObjectModel::Typed);
            Tables::new(request, version)?
                .many(&request.context, &objects, metadata)
                .await?
        }
    };
    Ok(finish(request, accepted, 200, pieces))
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

/// Each item stands between `open` and `close`.
fn json_list(
    api_version: &str,
    kind: &str,
    metadata: Map<String, Value>,
    open: &'static str,
    items: impl ExactSizeIterator<Item = Bytes>,
    close: &'static str,
) -> Vec<Bytes> {
    let mut pieces = Vec::with_capacity(2 * items.len() + 2);
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        Value::from(kind),
        Value::from(api_version),
        Value::Object(metadata)
    );
    pieces.push(Bytes::from(head));
    let between: Bytes = match format!("{close},{open}") {
        it if it == "," => Bytes::from_static(b","),
        it => it.into(),
    };
    for (at, item) in items.enumerate() {
        let before = if at == 0 {
            Bytes::from_static(open.as_bytes())
        } else {
            between.clone()
        };
        pieces.push(before);
        pieces.push(item);
    }
    let close: Cow<'static, str> = match pieces.len() {
        1 => "]}".into(),
        _ => format!("{close}]}}").into(),
    };
    pieces.push(Bytes::from(close.into_owned()));
    pieces
}

/// metav1.PartialObjectMetadataList; its length stands in front, its items are shared.
fn protobuf_list(api_version: &str, list: &List, objects: &[ObjectAt]) -> Result<Vec<Bytes>> {
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
    for object in objects {
        let message = object.protobuf_metadata()?;
        let mut head = Vec::new();
        protobuf::field_head(&mut head, ITEMS, message.len());
        pieces.push(head.into());
        pieces.push(message);
    }
    let length = pieces.iter().map(Bytes::len).sum();
    pieces[0] = protobuf::envelope(api_version, &format!("{PARTIAL}List"), length).into();
    Ok(pieces)
}
