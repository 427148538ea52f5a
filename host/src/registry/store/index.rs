//! What selectors need of an object, read from its stored bytes once, when it enters the cache.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::registry::ResourceDefinition;
use crate::storage::watch_cache::{Attributes, Indexer};

/// Reads labels and the fields that any version lets clients select by.
pub struct ObjectIndexer {
    fields: Vec<Field>,
}

struct Field {
    /// As field selectors name it: `spec.color`.
    path: Arc<str>,
    segments: Vec<String>,
}

impl ObjectIndexer {
    pub fn new(definition: &ResourceDefinition) -> Self {
        let fields = definition.selectable_paths().into_iter().map(|path| {
            let path = path.trim_start_matches('.');
            Field {
                path: Arc::from(path),
                segments: path.split('.').map(str::to_owned).collect(),
            }
        });
        Self {
            fields: fields.collect(),
        }
    }
}

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    labels: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
}

impl Indexer for ObjectIndexer {
    fn attributes(&self, _key: &str, bytes: &Bytes) -> Attributes {
        let outline = match serde_json::from_slice::<Outline<'_>>(bytes) {
            Ok(outline) => outline,
            Err(why) => {
                return Attributes {
                    unreadable: Some(why.to_string().into()),
                    ..Attributes::default()
                };
            }
        };
        let metadata = outline.metadata.get();
        // The slice lies within `bytes`: its place is a difference of addresses.
        let start = metadata.as_ptr() as usize - bytes.as_ptr() as usize;
        let range =
            u32::try_from(start).unwrap_or(0)..u32::try_from(start + metadata.len()).unwrap_or(0);
        let labels = serde_json::from_str::<Metadata<'_>>(metadata)
            .ok()
            .and_then(|it| it.labels)
            .unwrap_or_default();
        Attributes {
            labels: labels
                .into_iter()
                .map(|(key, value)| (Box::from(&*key), Box::from(&*value)))
                .collect(),
            fields: self.selectable(bytes),
            metadata: range,
            unreadable: None,
        }
    }
}

impl ObjectIndexer {
    fn selectable(&self, bytes: &[u8]) -> Vec<(Arc<str>, Box<str>)> {
        if self.fields.is_empty() {
            return Vec::new();
        }
        let object: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let text = |field: &Field| -> Box<str> {
            match field
                .segments
                .iter()
                .try_fold(&object, |value, segment| value.get(segment))
            {
                Some(Value::String(text)) => Box::from(text.as_str()),
                Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string().into(),
                _ => Box::from(""),
            }
        };
        self.fields
            .iter()
            .map(|field| (Arc::clone(&field.path), text(field)))
            .collect()
    }
}
