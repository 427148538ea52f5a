//! What selectors need of an object, read from its stored bytes once, when it enters the cache.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::registry::ResourceDefinition;
use crate::storage::watch_cache::{Attributes, Indexer};

/// Reads labels and the fields that any version lets clients select by.
pub struct ObjectIndexer {
    fields: Vec<Field>,
}

struct Field {
    /// As field selectors name it: `spec.color`.
    path: String,
    segments: Vec<String>,
}

impl ObjectIndexer {
    pub fn new(definition: &ResourceDefinition) -> Self {
        let fields = definition.selectable_paths().into_iter().map(|path| {
            let path = path.trim_start_matches('.');
            Field {
                path: path.to_owned(),
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
    labels: Option<BTreeMap<Text<'a>, Text<'a>>>,
}

/// Borrowed, but for what has escapes: serde borrows a `Cow` in a map only if it is told so.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Indexer for ObjectIndexer {
    fn attributes(&self, _key: &str, bytes: &Bytes) -> Result<Attributes, String> {
        let outline = serde_json::from_slice::<Outline<'_>>(bytes);
        let outline = outline.map_err(|why| why.to_string())?;
        let metadata = outline.metadata.get();
        // The slice lies within `bytes`: its place is a difference of addresses.
        let start = metadata.as_ptr() as usize - bytes.as_ptr() as usize;
        let range =
            u32::try_from(start).unwrap_or(0)..u32::try_from(start + metadata.len()).unwrap_or(0);
        let labels = serde_json::from_str::<Metadata<'_>>(metadata)
            .ok()
            .and_then(|it| it.labels)
            .unwrap_or_default();
        let labels = labels.iter().map(|(key, value)| (&*key.0, &*value.0));
        let values = self.selectable(bytes);
        let fields = self.fields.iter().zip(&values);
        let fields = fields.map(|(field, value)| (field.path.as_str(), value.as_str()));
        Ok(Attributes::new(labels, fields, range))
    }
}

impl ObjectIndexer {
    /// The values of the fields; empty where there is none.
    fn selectable(&self, bytes: &[u8]) -> Vec<String> {
        let mut values = vec![String::new(); self.fields.len()];
        if !self.fields.is_empty() {
            let wanted = self.fields.iter().map(|it| it.segments.as_slice());
            let walk = Walk {
                wanted: wanted.enumerate().collect(),
                values: &mut values,
            };
            let mut document = serde_json::Deserializer::from_slice(bytes);
            if walk.deserialize(&mut document).is_err() {
                values.fill(String::new());
            }
        }
        values
    }
}

/// Reads a value for those fields whose path leads through it, and nothing else of it.
struct Walk<'a> {
    /// Which field, and what is left of its path.
    wanted: Vec<(usize, &'a [String])>,
    values: &'a mut [String],
}

impl Walk<'_> {
    /// What is here is the value of the fields whose path ends here.
    fn set<E>(self, value: &str) -> Result<(), E> {
        for (field, path) in self.wanted {
            if path.is_empty() {
                value.clone_into(&mut self.values[field]);
            } else {
                // Of a key that stands twice the last counts.
                self.values[field].clear();
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        for (field, _) in &self.wanted {
            self.values[*field].clear();
        }
        while let Some(Text(key)) = map.next_key::<Text<'de>>()? {
            let below = self.wanted.iter().filter_map(|(field, path)| {
                let (first, rest) = path.split_first()?;
                (*first == *key).then_some((*field, rest))
            });
            let wanted: Vec<_> = below.collect();
            if wanted.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let values = &mut *self.values;
            map.next_value_seed(Walk { wanted, values })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        self.set("")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.set(value)
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.set(if value { "true" } else { "false" })
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.set(&value.to_string())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.set(&value.to_string())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.set(&serde_json::Value::from(value).to_string())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.set("")
    }
}
