//! Brings the metadata of a decoded document into its canonical form, as a typed ObjectMeta would have it.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::ambient::rfc3339;

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Boolean,
    Time,
    /// Any JSON object.
    Free,
    Texts,
    TextMap,
    Structs(&'static [(&'static str, Kind)]),
}

const OBJECT_META: &[(&str, Kind)] = &[
    ("annotations", Kind::TextMap),
    ("creationTimestamp", Kind::Time),
    ("deletionGracePeriodSeconds", Kind::Integer),
    ("deletionTimestamp", Kind::Time),
    ("finalizers", Kind::Texts),
    ("generateName", Kind::Text),
    ("generation", Kind::Integer),
    ("labels", Kind::TextMap),
    ("managedFields", Kind::Structs(MANAGED_FIELDS)),
    ("name", Kind::Text),
    ("namespace", Kind::Text),
    ("ownerReferences", Kind::Structs(OWNER_REFERENCE)),
    ("resourceVersion", Kind::Text),
    ("selfLink", Kind::Text),
    ("uid", Kind::Text),
];

const OWNER_REFERENCE: &[(&str, Kind)] = &[
    ("apiVersion", Kind::Text),
    ("blockOwnerDeletion", Kind::Boolean),
    ("controller", Kind::Boolean),
    ("kind", Kind::Text),
    ("name", Kind::Text),
    ("uid", Kind::Text),
];

const MANAGED_FIELDS: &[(&str, Kind)] = &[
    ("apiVersion", Kind::Text),
    ("fieldsType", Kind::Text),
    ("fieldsV1", Kind::Free),
    ("manager", Kind::Text),
    ("operation", Kind::Text),
    ("subresource", Kind::Text),
    ("time", Kind::Time),
];

/// Removes unknown and empty fields, brings times to UTC in whole seconds. Returns the paths of the unknown
/// ones (`metadata.x`), sorted. A missing metadata becomes an empty one.
///
/// # Errors
/// One line about a field of the wrong type; the object is then to be refused.
pub fn decode(object: &mut Map<String, Value>) -> Result<Vec<String>, String> {
    let slot = object.entry("metadata").or_insert(Value::Null);
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    let mut unknown = Vec::new();
    let metadata = slot
        .as_object_mut()
        .ok_or_else(|| mismatch("metadata", "v1.ObjectMeta"))?;
    fields(metadata, OBJECT_META, "metadata", &mut unknown)?;
    unknown.sort_unstable();
    Ok(unknown)
}

fn fields(
    map: &mut Map<String, Value>,
    known: &[(&str, Kind)],
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let mut dropped = Vec::new();
    for (key, value) in map.iter_mut() {
        let path = format!("{path}.{key}");
        match known.iter().find(|(name, _)| name == key) {
            None => {
                unknown.push(path);
                dropped.push(key.clone());
            }
            Some((_, kind)) => {
                if !keep(value, *kind, &path, unknown)? {
                    dropped.push(key.clone());
                }
            }
        }
    }
    for key in dropped {
        map.remove(&key);
    }
    Ok(())
}

/// Whether the value stays; empty ones do not.
fn keep(
    value: &mut Value,
    kind: Kind,
    path: &str,
    unknown: &mut Vec<String>,
) -> Result<bool, String> {
    if value.is_null() {
        return Ok(false);
    }
    match kind {
        Kind::Text => match value.as_str() {
            Some(text) => Ok(!text.is_empty()),
            None => Err(mismatch(path, "string")),
        },
        Kind::Integer => match value.as_i64() {
            Some(number) => Ok(number != 0 || path.ends_with("GracePeriodSeconds")),
            None => Err(mismatch(path, "int64")),
        },
        Kind::Boolean => match value {
            Value::Bool(_) => Ok(true),
            _ => Err(mismatch(path, "bool")),
        },
        Kind::Free => match value {
            Value::Object(_) => Ok(true),
            _ => Err(mismatch(path, "v1.FieldsV1")),
        },
        Kind::Time => {
            let text = value.as_str().ok_or_else(|| mismatch(path, "v1.Time"))?;
            let time = parse_time(text).ok_or_else(|| {
                format!(
                    "parsing time {text:?} of {path}: it must be RFC 3339 as 2006-01-02T15:04:05Z"
                )
            })?;
            *value = rfc3339(time).into();
            Ok(true)
        }
        Kind::Texts => {
            let items = value
                .as_array_mut()
                .ok_or_else(|| mismatch(path, "[]string"))?;
            for item in items.iter_mut() {
                if item.is_null() {
                    *item = "".into();
                }
                if !item.is_string() {
                    return Err(mismatch(path, "string"));
                }
            }
            Ok(!items.is_empty())
        }
        Kind::TextMap => {
            let map = value
                .as_object_mut()
                .ok_or_else(|| mismatch(path, "map[string]string"))?;
            for item in map.values_mut() {
                if item.is_null() {
                    *item = "".into();
                }
                if !item.is_string() {
                    return Err(mismatch(path, "string"));
                }
            }
            Ok(!map.is_empty())
        }
        Kind::Structs(known) => {
            let items = value
                .as_array_mut()
                .ok_or_else(|| mismatch(path, "a list of objects"))?;
            for (index, item) in items.iter_mut().enumerate() {
                let path = format!("{path}[{index}]");
                let map = item
                    .as_object_mut()
                    .ok_or_else(|| mismatch(&path, "an object"))?;
                fields(map, known, &path, unknown)?;
            }
            // An empty list of managedFields is a wish: to forget who owns what.
            Ok(!items.is_empty() || path == "metadata.managedFields")
        }
    }
}

/// RFC 3339 with a T, as Go reads it.
pub fn parse_time(text: &str) -> Option<Timestamp> {
    (text.as_bytes().get(10) == Some(&b'T'))
        .then(|| text.parse().ok())
        .flatten()
}

fn mismatch(path: &str, wanted: &str) -> String {
    format!("json: cannot unmarshal {path}: it must be of type {wanted}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use serde_json::json;

    use super::*;

    fn run(metadata: Value) -> Result<(Value, Vec<String>), String> {
        let mut object = Map::new();
        object.insert("metadata".into(), metadata);
        let unknown = decode(&mut object)?;
        Ok((object["metadata"].clone(), unknown))
    }

    #[test]
    fn empty_fields_vanish_and_unknown_ones_are_told() {
        let (metadata, unknown) = run(json!({
            "name": "a", "labels": {}, "creationTimestamp": null, "uid": "", "generation": 0,
            "deletionGracePeriodSeconds": 0, "zzz": 1, "annotations": {"a": null},
            "ownerReferences": [{"uid": "u", "y": 1, "controller": false}],
            "managedFields": [{"manager": "m", "time": "2020-01-01T01:00:00.5+01:00", "fieldsV1": {}}],
        }))
        .unwrap();
        assert_eq!(unknown, ["metadata.ownerReferences[0].y", "metadata.zzz"]);
        assert_eq!(
            metadata,
            json!({
                "name": "a", "deletionGracePeriodSeconds": 0, "annotations": {"a": ""},
                "ownerReferences": [{"uid": "u", "controller": false}],
                "managedFields": [{"manager": "m", "time": "2020-01-01T00:00:00Z", "fieldsV1": {}}],
            })
        );
        assert_eq!(run(Value::Null).unwrap().0, json!({}));
    }

    #[test]
    fn wrong_types_are_refused() {
        for bad in [
            json!([]),
            json!({"name": 1}),
            json!({"labels": {"a": 1}}),
            json!({"labels": "x"}),
            json!({"generation": "1"}),
            json!({"generation": 1.5}),
            json!({"finalizers": [1]}),
            json!({"finalizers": {}}),
            json!({"ownerReferences": ["x"]}),
            json!({"ownerReferences": [{"controller": "true"}]}),
            json!({"creationTimestamp": "yesterday"}),
            json!({"creationTimestamp": 5}),
            json!({"managedFields": [{"fieldsV1": 1}]}),
        ] {
            assert!(run(bad.clone()).is_err(), "{bad}");
        }
    }

    use proptest::prelude::*;

    use crate::api::testing;
    use crate::api::{Object, protobuf};

    proptest! {
        /// The canonical form is one, and it is what controllers get in protobuf.
        #[test]
        fn any_object_is_brought_into_its_canonical_form_or_refused(object in testing::object()) {
            let Object(mut object) = object;
            if decode(&mut object).is_ok() {
                let mut again = object.clone();
                prop_assert_eq!(decode(&mut again), Ok(Vec::new()));
                prop_assert_eq!(&again, &object);
                let metadata = object["metadata"].to_string();
                let message = protobuf::partial_object_metadata(metadata.as_bytes());
                prop_assert!(message.is_ok(), "{:?} of {}", message, metadata);
            }
        }
    }
}
