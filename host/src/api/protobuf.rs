//! The few messages of the API that travel as protobuf: statuses, object metadata, watch events, delete options.
//!
//! Objects of plugins have no protobuf form; controllers read their metadata in this one. Field numbers are
//! those of k8s.io/apimachinery, pkg/runtime/generated.proto and pkg/apis/meta/v1/generated.proto. Fields
//! that are empty are not written, where Go writes them: readers see no difference.

use std::collections::BTreeMap;

use prost::Message;
use serde::{Deserialize, Deserializer};

use super::status::Status;

/// What every message begins with on the wire.
const MAGIC: &[u8] = b"k8s\0";

/// The envelope of every object (runtime.Unknown).
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(message, optional, tag = "1")]
    type_meta: Option<TypeMeta>,
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
    #[prost(string, tag = "3")]
    content_encoding: String,
    #[prost(string, tag = "4")]
    content_type: String,
}

#[derive(Clone, PartialEq, Message)]
struct TypeMeta {
    #[prost(string, tag = "1")]
    api_version: String,
    #[prost(string, tag = "2")]
    kind: String,
}

/// What stands before `length` bytes of an object's message: the magic number, its type, the length.
pub fn envelope(api_version: &str, kind: &str, length: usize) -> Vec<u8> {
    let head = Unknown {
        type_meta: Some(TypeMeta {
            api_version: api_version.into(),
            kind: kind.into(),
        }),
        ..Unknown::default()
    };
    let mut out = MAGIC.to_vec();
    head.encode(&mut out).expect("a vector grows");
    field_head(&mut out, 2, length);
    out
}

/// Writes the key and the length of a field of bytes: its value is to follow.
pub fn field_head(out: &mut Vec<u8>, tag: u32, length: usize) {
    prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, out);
    prost::encoding::encode_varint(length as u64, out);
}

/// A whole object in its envelope.
pub fn object(api_version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let mut out = envelope(api_version, kind, message.len());
    out.extend_from_slice(message);
    out
}

/// metav1.WatchEvent around `object`, an envelope; itself it has none.
pub fn watch_event(event: &str, object: &[u8]) -> Vec<u8> {
    let mut head = Vec::with_capacity(8);
    field_head(&mut head, 1, object.len());
    let raw = head.len() + object.len();
    let mut message = Vec::with_capacity(raw + event.len() + 16);
    field_head(&mut message, 1, event.len());
    message.extend_from_slice(event.as_bytes());
    field_head(&mut message, 2, raw);
    message.extend_from_slice(&head);
    message.extend_from_slice(object);
    message
}

/// metav1.ObjectMeta. Read from the JSON of an object's metadata by serde, written as protobuf by prost.
#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub generate_name: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(string, tag = "4")]
    pub self_link: String,
    #[prost(string, tag = "5")]
    pub uid: String,
    #[prost(string, tag = "6")]
    pub resource_version: String,
    #[prost(int64, tag = "7")]
    pub generation: i64,
    #[prost(message, optional, tag = "8")]
    #[serde(deserialize_with = "time")]
    pub creation_timestamp: Option<Time>,
    #[prost(message, optional, tag = "9")]
    #[serde(deserialize_with = "time")]
    pub deletion_timestamp: Option<Time>,
    #[prost(int64, optional, tag = "10")]
    pub deletion_grace_period_seconds: Option<i64>,
    #[prost(btree_map = "string, string", tag = "11")]
    pub labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "12")]
    pub annotations: BTreeMap<String, String>,
    #[prost(message, repeated, tag = "13")]
    pub owner_references: Vec<OwnerReference>,
    #[prost(string, repeated, tag = "14")]
    pub finalizers: Vec<String>,
    #[prost(message, repeated, tag = "17")]
    pub managed_fields: Vec<ManagedFieldsEntry>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    #[prost(string, tag = "5")]
    pub api_version: String,
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(string, tag = "4")]
    pub uid: String,
    #[prost(bool, optional, tag = "6")]
    pub controller: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub block_owner_deletion: Option<bool>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedFieldsEntry {
    #[prost(string, tag = "1")]
    pub manager: String,
    #[prost(string, tag = "2")]
    pub operation: String,
    #[prost(string, tag = "3")]
    pub api_version: String,
    #[prost(message, optional, tag = "4")]
    #[serde(deserialize_with = "time")]
    pub time: Option<Time>,
    #[prost(string, tag = "6")]
    pub fields_type: String,
    #[prost(message, optional, tag = "7")]
    #[serde(deserialize_with = "raw_fields")]
    pub fields_v1: Option<FieldsV1>,
    #[prost(string, tag = "8")]
    pub subresource: String,
}

/// JSON, in protobuf too.
#[derive(Clone, PartialEq, Message)]
pub struct FieldsV1 {
    #[prost(bytes = "vec", tag = "1")]
    pub raw: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Time {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Always 0: times of the API are whole seconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let time: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
    Ok(Some(Time {
        seconds: time.as_second(),
        nanos: 0,
    }))
}

fn raw_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FieldsV1>, D::Error> {
    let raw = Option::<Box<serde_json::value::RawValue>>::deserialize(deserializer)?;
    Ok(raw.map(|it| FieldsV1 {
        raw: Box::<str>::from(it).into_string().into_bytes(),
    }))
}

/// autoscaling/v1 Scale.
#[derive(Clone, PartialEq, Message, Deserialize)]
struct Scale {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    spec: Option<ScaleSpec>,
    #[prost(message, optional, tag = "3")]
    status: Option<ScaleStatus>,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
struct ScaleSpec {
    #[prost(int32, tag = "1")]
    replicas: i32,
}

#[derive(Clone, PartialEq, Message, Deserialize)]
struct ScaleStatus {
    #[prost(int32, tag = "1")]
    replicas: i32,
    #[prost(string, tag = "2")]
    #[serde(default)]
    selector: String,
}

/// autoscaling/v1 Scale, without its envelope, from its JSON.
///
/// # Errors
/// Where the JSON is not what a Scale is.
pub fn scale(json: &[u8]) -> serde_json::Result<Vec<u8>> {
    let scale: Scale = serde_json::from_slice(json)?;
    Ok(scale.encode_to_vec())
}

/// metav1.PartialObjectMetadata, without its envelope, from the JSON of an object's metadata.
///
/// # Errors
/// Where the JSON is not what an ObjectMeta is; stored objects have been checked.
pub fn partial_object_metadata(metadata: &[u8]) -> serde_json::Result<Vec<u8>> {
    let metadata: ObjectMeta = serde_json::from_slice(metadata)?;
    let mut out = Vec::with_capacity(metadata.encoded_len() + 4);
    field_head(&mut out, 1, metadata.encoded_len());
    metadata.encode(&mut out).expect("a vector grows");
    Ok(out)
}

/// metav1.ListMeta, the first field of each list.
#[derive(Clone, PartialEq, Message)]
pub struct ListMeta {
    #[prost(string, tag = "2")]
    pub resource_version: String,
    #[prost(string, tag = "3")]
    pub continue_token: String,
    #[prost(int64, optional, tag = "4")]
    pub remaining_item_count: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct StatusMessage {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ListMeta>,
    #[prost(string, tag = "2")]
    status: String,
    #[prost(string, tag = "3")]
    message: String,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(message, optional, tag = "5")]
    details: Option<DetailsMessage>,
    #[prost(int32, tag = "6")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct DetailsMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    group: String,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(message, repeated, tag = "4")]
    causes: Vec<CauseMessage>,
    #[prost(int32, tag = "5")]
    retry_after_seconds: i32,
    #[prost(string, tag = "6")]
    uid: String,
}

#[derive(Clone, PartialEq, Message)]
struct CauseMessage {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(string, tag = "3")]
    field: String,
}

/// A Status in its envelope.
pub fn status(status: &Status) -> Vec<u8> {
    let details = status.details.as_ref().map(|it| DetailsMessage {
        name: it.name.clone(),
        group: it.group.clone(),
        kind: it.kind.clone(),
        causes: it
            .causes
            .iter()
            .map(|cause| CauseMessage {
                reason: cause.reason.clone(),
                message: cause.message.clone(),
                field: cause.field.clone(),
            })
            .collect(),
        retry_after_seconds: i32::try_from(it.retry_after_seconds).unwrap_or(i32::MAX),
        uid: it.uid.clone(),
    });
    let message = StatusMessage {
        metadata: Some(ListMeta {
            continue_token: status.metadata.continue_token.clone(),
            ..ListMeta::default()
        }),
        status: status.status.clone(),
        message: status.message.clone(),
        reason: status.reason.clone(),
        details,
        code: i32::from(status.code),
    };
    object(&status.api_version, &status.kind, &message.encode_to_vec())
}

/// metav1.DeleteOptions, as controllers send them.
#[derive(Clone, PartialEq, Message)]
pub struct DeleteOptions {
    #[prost(int64, optional, tag = "1")]
    pub grace_period_seconds: Option<i64>,
    #[prost(message, optional, tag = "2")]
    pub preconditions: Option<Preconditions>,
    #[prost(bool, optional, tag = "3")]
    pub orphan_dependents: Option<bool>,
    #[prost(string, optional, tag = "4")]
    pub propagation_policy: Option<String>,
    #[prost(string, repeated, tag = "5")]
    pub dry_run: Vec<String>,
    #[prost(bool, optional, tag = "6")]
    pub ignore_store_read_error: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Preconditions {
    #[prost(string, optional, tag = "1")]
    pub uid: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub resource_version: Option<String>,
}

impl DeleteOptions {
    /// Reads options in their envelope, with the `apiVersion` and `kind` that it names (maybe empty).
    /// `None` where it is no such message.
    pub fn from_envelope(body: &[u8]) -> Option<(String, String, Self)> {
        let unknown = Unknown::decode(body.strip_prefix(MAGIC)?).ok()?;
        let types = unknown.type_meta.unwrap_or_default();
        let options = Self::decode(unknown.raw.as_slice()).ok()?;
        Some((types.api_version, types.kind, options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::status;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|it| format!("{it:02x}")).collect()
    }

    /// The bytes that k8s.io/apimachinery's field numbers make of these values, put together by hand.
    #[test]
    fn writes_metadata_with_the_field_numbers_of_apimachinery() {
        let json = br#"{"name":"a","namespace":"n","uid":"u","resourceVersion":"7","generation":2,
            "creationTimestamp":"1970-01-01T00:00:05Z","labels":{"k":"v"},"finalizers":["f"],
            "ownerReferences":[{"apiVersion":"v1","kind":"K","name":"o","uid":"w","controller":true}],
            "managedFields":[{"manager":"m","operation":"Update","apiVersion":"v1",
                "fieldsType":"FieldsV1","fieldsV1":{"f:spec":{}}}]}"#;
        let message = partial_object_metadata(json).expect("metadata");
        let expected = [
            "0a5b",                                     // metadata
            "0a0161",                                   // 1 name
            "1a016e",                                   // 3 namespace
            "2a0175",                                   // 5 uid
            "320137",                                   // 6 resourceVersion
            "3802",                                     // 7 generation
            "42020805",                                 // 8 creationTimestamp
            "5a060a016b120176",                         // 11 labels
            "6a0f0a014b1a016f2201772a0276313001",       // 13 ownerReferences
            "720166",                                   // 14 finalizers
            "8a012a0a016d12065570646174651a0276313208", // 17 managedFields …
            "4669656c64735631",                         // … fieldsType
            "3a0f0a0d7b22663a73706563223a7b7d7d",       // … fieldsV1
        ]
        .concat();
        assert_eq!(hex(&message), expected);
        let back = ObjectMeta::decode(&message[2..]).expect("a message");
        assert_eq!(back.managed_fields[0].manager, "m");
    }

    #[test]
    fn wraps_objects_as_upstream_does() {
        assert_eq!(
            hex(&object("v1", "Status", b"\x10\x00")),
            "6b387300\
             0a0c0a027631120653746174757312021000"
        );
    }

    #[test]
    fn wraps_objects_into_watch_events() {
        assert_eq!(
            hex(&watch_event("ADDED", b"xyz")),
            "0a054144444544120 50a0378797a".replace(' ', "")
        );
    }

    #[test]
    fn writes_statuses_whole() {
        let failure = status::too_many_requests("wait", 3);
        let bytes = super::status(&failure);
        let unknown = Unknown::decode(&bytes[4..]).expect("an envelope");
        let message = StatusMessage::decode(unknown.raw.as_slice()).expect("a status");
        assert_eq!(message.code, 429);
        assert_eq!(message.reason, "TooManyRequests");
        assert_eq!(message.details.expect("details").retry_after_seconds, 3);
    }

    #[test]
    fn reads_delete_options_of_controllers() {
        // propagationPolicy Background and a uid, as the garbage collector sends them.
        let mut message = vec![0x12, 0x03, 0x0a, 0x01, b'u', 0x22, 0x0a];
        message.extend_from_slice(b"Background");
        let body = object("v1", "DeleteOptions", &message);
        let (version, kind, options) = DeleteOptions::from_envelope(&body).expect("options");
        assert_eq!((version.as_str(), kind.as_str()), ("v1", "DeleteOptions"));
        assert_eq!(options.propagation_policy.as_deref(), Some("Background"));
        assert_eq!(
            options.preconditions.expect("preconditions").uid.as_deref(),
            Some("u")
        );
        assert_eq!(options.grace_period_seconds, None);
        assert!(DeleteOptions::from_envelope(b"{}").is_none());
    }

    use proptest::option;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn delete_options_are_read_as_they_were_written(
            grace_period_seconds in any::<Option<i64>>(),
            uid in option::of(".{0,5}"),
            resource_version in option::of("[0-9]{0,5}"),
            orphan_dependents in any::<Option<bool>>(),
            propagation_policy in option::of(".{0,5}"),
            dry_run in prop::collection::vec(".{0,5}", 0..3),
        ) {
            let options = DeleteOptions {
                grace_period_seconds,
                preconditions: Some(Preconditions { uid, resource_version }),
                orphan_dependents,
                propagation_policy,
                dry_run,
                ignore_store_read_error: None,
            };
            let body = object("v1", "DeleteOptions", &options.encode_to_vec());
            let expected = Some(("v1".to_owned(), "DeleteOptions".to_owned(), options));
            prop_assert_eq!(DeleteOptions::from_envelope(&body), expected);
            for end in 0..body.len() {
                let _ = DeleteOptions::from_envelope(&body[..end]);
            }
        }

        #[test]
        fn any_bytes_are_options_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let body = [MAGIC, &bytes].concat();
            let _ = DeleteOptions::from_envelope(&body);
            let _ = DeleteOptions::from_envelope(&object("v1", "DeleteOptions", &bytes));
            prop_assert_eq!(DeleteOptions::from_envelope(&bytes).filter(|_| !bytes.starts_with(MAGIC)), None);
        }
    }
}
