//! Stored objects in the forms in which they are read: JSON of any version, metadata alone.
//!
//! The storage version's JSON is the stored bytes. What has to be made is made once per object and kept with it
//! for as long as the object is kept, so that a thousand watchers cost one conversion.

use std::sync::Arc;

use bytes::{BufMut, Bytes};

use crate::api::object::version_field;
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext, protobuf};
use crate::registry::Store;
use crate::storage::Revision;
use crate::storage::watch_cache::{CachedObject, Head};

/// Objects of one call of a conversion: its deadline, and the memory that it may take, are for about as many.
const BATCH_ITEMS: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

/// Keys of [`crate::storage::watch_cache::Views`], from the lowest bit on: 8 of the version's index, 2 of the
/// form, 21 of the store's epoch. The first says only that the stored bytes are what is shown.
const AS_STORED: u32 = 0;
const CONVERTED: u32 = 1 << 8;
const PROTOBUF_METADATA: u32 = 2 << 8;
const ROW: u32 = 3 << 8;
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
        self.object.bytes_at(self.revision)
    }

    /// The metadata as JSON; it never depends on a conversion.
    pub fn metadata(&self) -> Bytes {
        self.object.metadata_at(self.revision)
    }

    /// metav1.PartialObjectMetadata as protobuf, without an envelope.
    ///
    /// # Errors
    /// 500 where the metadata is not as Kubernetes' is; writes are checked, so that is a bug.
    pub fn protobuf_metadata(&self) -> Result<Bytes> {
        let key = PROTOBUF_METADATA | ended(&self.object, self.revision);
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
}

fn ended(object: &CachedObject, revision: Revision) -> u32 {
    if revision == object.revision {
        0
    } else {
        ENDED
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

    /// How objects are shown in `version`.
    pub fn shown_in(&self, version: &str) -> Shown {
        let position = self
            .definition()
            .versions
            .iter()
            .position(|it| it.name == version);
        let index = u32::try_from(position.unwrap_or(0)).unwrap_or(0) & 0xff;
        Shown {
            head: self.cache.head(self.json_head(version)),
            as_stored: self.epoch << 10 & !ENDED | AS_STORED | index,
            view: self.epoch << 10 & !ENDED | CONVERTED | index,
            row: self.epoch << 10 & !ENDED | ROW | index,
            schema_since: self.schema_since,
        }
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
        let shown = self.shown_in(version);
        let missing = objects.iter().filter(|it| !shown.is_there(&it.object));
        let missing = missing.map(|it| &*it.object).collect();
        self.convert_all(context, version, &shown, missing).await?;
        let bytes = objects.iter().map(|it| shown.bytes(it));
        Ok(bytes.collect())
    }

    /// Makes what [`Shown`] shows of objects for which it is not there yet.
    ///
    /// # Errors
    /// That of the conversion.
    pub async fn convert_all(
        &self,
        context: &RequestContext,
        version: &str,
        shown: &Shown,
        missing: Vec<&CachedObject>,
    ) -> Result<()> {
        let mut left = missing.as_slice();
        while !left.is_empty() {
            let (batch, rest) = left.split_at(batch_length(left));
            left = rest;
            let converted = self.converted(context, version, batch).await?;
            for (object, json) in batch.iter().zip(converted) {
                // Most lack nothing: they are not kept twice.
                match json == object.bytes() {
                    true => object.views.put(shown.as_stored, Bytes::new()),
                    false => object.views.put(shown.view, json),
                };
            }
        }
        Ok(())
    }

    async fn converted(
        &self,
        context: &RequestContext,
        version: &str,
        sources: &[&CachedObject],
    ) -> Result<Vec<Bytes>> {
        let head = self.cache.head(self.json_head(version));
        let is_stored = |it: &CachedObject| it.begins_with(&head);
        // What is stored in this version lacks defaults only.
        let others = sources.iter().filter(|it| !is_stored(it));
        let others: Vec<Bytes> = others.map(|it| it.bytes()).collect();
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
                true => source.bytes(),
                false => converted.next().unwrap_or_default(),
            };
            let Some(mut object) = Object::from_slice(&json) else {
                return Err(failed("it returned something that is no object"));
            };
            if object.name() != source.name() || object.namespace() != source.namespace() {
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

/// How many of `left` go into one call; at least one.
fn batch_length(left: &[&CachedObject]) -> usize {
    let mut bytes = 0;
    let fitting = left.iter().take(BATCH_ITEMS).take_while(|it| {
        bytes += it.whole().len();
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}

/// How whole objects look in one version: where the JSON of each is, and how it is copied.
pub struct Shown {
    /// What the JSON begins with.
    pub head: Head,
    as_stored: u32,
    view: u32,
    row: u32,
    schema_since: Revision,
}

impl Shown {
    /// Whether the stored bytes are what is shown: they are of that version, and lack no defaults.
    pub fn is_stored(&self, object: &CachedObject) -> bool {
        let is_known = || object.views.with(self.as_stored, |_| ()).is_some();
        object.begins_with(&self.head) && (object.revision >= self.schema_since || is_known())
    }

    /// Whether nothing is to be [made](Store::convert_all) before it can be shown.
    pub fn is_there(&self, object: &CachedObject) -> bool {
        self.is_stored(object) || object.views.with(self.view, |_| ()).is_some()
    }

    /// The length of the JSON; `None` where it is to be made first.
    pub fn length(&self, object: &CachedObject, revision: Revision) -> Option<usize> {
        if self.is_stored(object) {
            return Some(object.length(&object.whole(), revision));
        }
        let made = object.views.with(self.view, Bytes::len)?;
        let field = |revision: Revision| version_field(revision.0).len();
        Some(made - field(object.revision) + field(revision))
    }

    fn bytes(&self, at: &ObjectAt) -> Bytes {
        let object = &at.object;
        if at.revision == object.revision && !self.is_stored(object) {
            return object.views.get(self.view).unwrap_or_default();
        }
        let length = self.length(object, at.revision).unwrap_or(0);
        let mut out = Vec::with_capacity(length);
        self.write(object, at.revision, 0, &mut out);
        out.into()
    }

    /// Copies the JSON from a position on, which is not behind the head; nothing where it is to be made first.
    pub fn write(
        &self,
        object: &CachedObject,
        revision: Revision,
        from: usize,
        out: &mut impl BufMut,
    ) {
        if self.is_stored(object) {
            return object.write(from..object.whole().end, revision, out);
        }
        object.views.with(self.view, |made| {
            if revision == object.revision {
                return out.put_slice(&made[from..]);
            }
            // What `Encoded::with_version` has made, with another version.
            let place = self.head.json.len() + "\"metadata\":{".len();
            out.put_slice(&made[from..place]);
            out.put_slice(&version_field(revision.0));
            out.put_slice(&made[place + version_field(object.revision.0).len()..]);
        });
    }

    /// The key of the [view](crate::storage::watch_cache::Views) that keeps an object's table row.
    pub fn row_of(&self, object: &CachedObject, revision: Revision) -> u32 {
        self.row | ended(object, revision)
    }
}
