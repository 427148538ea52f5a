//! Stored objects in the forms in which they are read: JSON of any version, metadata alone.
//!
//! The storage version's JSON is the stored bytes. What has to be made is made once per object and kept with it
//! for as long as the object is kept, so that a thousand watchers cost one conversion.

use std::sync::Arc;

use bytes::Bytes;

use crate::api::object::splice;
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext, protobuf};
use crate::registry::Store;
use crate::storage::Revision;
use crate::storage::watch_cache::CachedObject;

/// Objects of one call of a conversion: its deadline, and the memory that it may take, are for about as many.
const BATCH_ITEMS: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

/// Keys of [`crate::storage::watch_cache::Views`], from the lowest bit on: 8 of the version's index, 2 of the
/// form, 21 of the store's epoch.
const CONVERTED: u32 = 1 << 8;
const PROTOBUF_METADATA: u32 = 2 << 8;
/// The same forms at the revision at which the object ceased to be so.
const ENDED: u32 = 1 << 31;

/// An object at a revision: its own, or the one that ended it. A DELETED event shows the last state there was
/// with the revision of the delete.
#[derive(Debug, Clone)]
pub struct ObjectAt {
    pub object: Arc<CachedObject>,
    pub revision: Revision,
}

impl From<&Arc<CachedObject>> for ObjectAt {
    fn from(object: &Arc<CachedObject>) -> Self {
        Self {
            revision: object.revision,
            object: Arc::clone(object),
        }
    }
}

impl ObjectAt {
    /// The whole object as it is stored.
    pub fn stored(&self) -> Bytes {
        if self.revision == self.object.revision {
            return self.object.bytes.clone();
        }
        let views = &self.object.views;
        views
            .get(ENDED)
            .unwrap_or_else(|| views.put(ENDED, self.object.bytes_at(self.revision)))
    }

    /// The metadata as JSON; it never depends on a conversion.
    pub fn metadata(&self) -> Bytes {
        let stored = self.stored();
        // Nothing behind the metadata differs from the object's own bytes, nor does anything before it.
        let behind = self.object.bytes.len() - self.object.metadata.end;
        stored.slice(self.object.metadata.start..stored.len() - behind)
    }

    /// metav1.PartialObjectMetadata as protobuf, without an envelope.
    ///
    /// # Errors
    /// 500 where the metadata is not as Kubernetes' is; writes are checked, so that is a bug.
    pub fn protobuf_metadata(&self) -> Result<Bytes> {
        let key = PROTOBUF_METADATA | self.ended();
        if let Some(view) = self.object.views.get(key) {
            return Ok(view);
        }
        match protobuf::partial_object_metadata(&self.metadata()) {
            Ok(message) => Ok(self.object.views.put(key, message.into())),
            Err(error) => {
                tracing::error!(key = %self.object.key, %error, "stored metadata cannot be written as protobuf");
                Err(status::internal(
                    "the object's metadata cannot be written as protobuf",
                ))
            }
        }
    }

    fn ended(&self) -> u32 {
        if self.revision == self.object.revision {
            0
        } else {
            ENDED
        }
    }
}

impl Store {
    /// What JSON of a whole object in `version` begins with, up to its metadata.
    pub fn json_head(&self, version: &str) -> String {
        let definition = self.definition();
        // Names of groups, versions and kinds have nothing to escape: they are checked at load.
        format!(
            "{{\"apiVersion\":\"{}\",\"kind\":\"{}\",",
            definition.group_version(version),
            definition.names.kind
        )
    }

    /// Whole objects as JSON in `version`, in the same order. Only those that are not stored in it are
    /// converted, many at once.
    ///
    /// # Errors
    /// That of the conversion.
    pub async fn in_version(
        &self,
        context: &RequestContext,
        version: &str,
        objects: &[ObjectAt],
    ) -> Result<Vec<Bytes>> {
        let head = self.json_head(version);
        let position = self
            .definition()
            .versions
            .iter()
            .position(|it| it.name == version);
        let index = u32::try_from(position.unwrap_or(0)).unwrap_or(0) & 0xff;
        let view = self.epoch << 10 & !ENDED | CONVERTED | index;
        let mut shown = Vec::with_capacity(objects.len());
        let mut missing = Vec::new();
        for (at, object) in objects.iter().enumerate() {
            if self.is_shown_as_stored(&object.object, &head) {
                shown.push(object.stored());
                continue;
            }
            let made = object.object.views.get(view);
            if made.is_none() {
                missing.push(at);
            }
            shown.push(made.unwrap_or_default());
        }
        let mut left = missing.as_slice();
        while !left.is_empty() {
            let (batch, rest) = left.split_at(batch_length(left, objects));
            left = rest;
            let sources: Vec<&CachedObject> =
                batch.iter().map(|at| &*objects[*at].object).collect();
            let converted = self.converted(context, version, &sources).await?;
            for (at, json) in batch.iter().zip(converted) {
                shown[*at] = objects[*at].object.views.put(view, json);
            }
        }
        for (object, json) in objects.iter().zip(&mut shown) {
            if object.ended() != 0 && !self.is_shown_as_stored(&object.object, &head) {
                *json = at_revision(json, head.len(), object.object.revision, object.revision);
            }
        }
        Ok(shown)
    }

    /// Whether the stored bytes are what is shown behind `head`: they are of that version, and lack no defaults.
    fn is_shown_as_stored(&self, object: &CachedObject, head: &str) -> bool {
        object.bytes.starts_with(head.as_bytes()) && !self.is_of_older_schema(object)
    }

    async fn converted(
        &self,
        context: &RequestContext,
        version: &str,
        sources: &[&CachedObject],
    ) -> Result<Vec<Bytes>> {
        let head = self.json_head(version);
        let is_stored = |it: &CachedObject| it.bytes.starts_with(head.as_bytes());
        // What is stored in this version lacks defaults only.
        let others = sources.iter().filter(|it| !is_stored(it));
        let others: Vec<Bytes> = others.map(|it| it.bytes.clone()).collect();
        let count = others.len();
        let converted = match count {
            0 => Vec::new(),
            _ => self.strategy.convert(context, version, others).await?,
        };
        let failed = |what: &str| {
            tracing::error!(resource = %self.definition.group_resource(), version, what, "a conversion cannot be used");
            status::internal(format!("conversion to {version} failed: {what}"))
        };
        if converted.len() != count {
            return Err(failed("it returned another number of objects"));
        }
        let api_version = self.definition.group_version(version).to_string();
        let mut out = Vec::with_capacity(sources.len());
        let mut converted = converted.into_iter();
        for source in sources {
            let json = match is_stored(source) {
                true => source.bytes.clone(),
                false => converted.next().unwrap_or_default(),
            };
            let Some(mut object) = Object::from_slice(&json) else {
                return Err(failed("it returned something that is no object"));
            };
            if object.name() != &*source.name || object.namespace() != &*source.namespace {
                return Err(failed("it changed the object's name"));
            }
            if is_stored(source) {
                self.renew(&mut object);
            } else {
                self.coerce(&mut object, version);
            }
            self.complete(&mut object, version);
            object.set_type(&api_version, &self.definition.names.kind);
            out.push(object.encode().with_version(source.revision.0));
        }
        Ok(out)
    }
}

/// How many of `left` (positions in `objects`) go into one call; at least one.
fn batch_length(left: &[usize], objects: &[ObjectAt]) -> usize {
    let mut bytes = 0;
    let fitting = left.iter().take(BATCH_ITEMS).take_while(|at| {
        bytes += objects[**at].object.bytes.len();
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}

/// Another resourceVersion in JSON that [`crate::api::object::Encoded::with_version`] made.
fn at_revision(json: &Bytes, head: usize, from: Revision, to: Revision) -> Bytes {
    let at = head + "\"metadata\":{".len();
    let old = format!("\"resourceVersion\":\"{from}\",").len();
    let mut rest = Vec::with_capacity(json.len());
    rest.extend_from_slice(&json[..at]);
    rest.extend_from_slice(&json[at + old..]);
    splice(&rest, at, to.0)
}
