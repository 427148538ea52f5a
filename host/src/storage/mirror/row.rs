//! A row of the journal: an object of the backend with the metadata that the host owns. Pure.

use std::sync::Arc;

use anyhow::anyhow;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::MirrorOptions;
use crate::ambient::rfc3339;
use crate::api::Object;
use crate::storage::{Expected, Item, Key, Record, Revision, StorageError, Write};

/// Metadata that the row owns: the backend's own is not looked at, but for the uid and the creation time of an
/// object that is seen for the first time.
pub(super) const HOST_OWNED: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generation",
    "managedFields",
    "ownerReferences",
    "uid",
];

/// What the journal knows of the backend's side, as JSON under [`side_key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Side {
    /// `metadata.resourceVersion` of the backend's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Stands in where the backend has no versions.
    digest: String,
    /// Another uid is another object of the same name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uid: String,
}

impl Side {
    fn record(&self) -> Record {
        let json = serde_json::to_vec(self).expect("texts are always JSON");
        Record {
            bytes: json.into(),
            version_at: 0,
        }
    }
}

/// An answer of the backend.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    side: Side,
    /// Without version and host-owned metadata.
    object: Object,
    created: String,
}

impl Seen {
    pub(super) fn new(mut object: Object, options: &MirrorOptions) -> Self {
        object.set_type(&options.api_version, &options.kind);
        let version = object.resource_version().to_owned();
        object.metadata_mut().remove("resourceVersion");
        // Maps are sorted: the same object is the same bytes.
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &object.to_vec());
        let side = Side {
            version: (!version.is_empty()).then_some(version),
            digest: digest
                .as_ref()
                .iter()
                .map(|it| format!("{it:02x}"))
                .collect(),
            uid: object.uid().to_owned(),
        };
        let created = object.meta("creationTimestamp").to_owned();
        for field in HOST_OWNED {
            object.metadata_mut().remove(field);
        }
        Self {
            side,
            object,
            created,
        }
    }

    pub(super) fn uid(&self) -> &str {
        &self.side.uid
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    item: Option<Item>,
    object: Option<Object>,
    side: Option<(Revision, Option<Side>)>,
}

impl Row {
    pub(super) fn new(item: Option<Item>, side: Option<Item>) -> Self {
        let object = item
            .as_ref()
            .and_then(|it| Object::from_slice(&it.record.bytes));
        // A side record that cannot be read is as good as none: the next answer of the backend replaces it.
        let side = side.map(|it| (it.revision, serde_json::from_slice(&it.record.bytes).ok()));
        Self { item, object, side }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.item.is_none()
    }

    pub(super) fn object(&self) -> Option<&Object> {
        self.object.as_ref()
    }

    /// The latest change of any part of it.
    pub(super) fn revision(&self) -> Revision {
        let item = self.item.as_ref().map(|it| it.revision);
        let side = self.side.as_ref().map(|(revision, _)| *revision);
        item.max(side).unwrap_or_default()
    }

    fn known(&self) -> Option<&Side> {
        self.side.as_ref().and_then(|(_, side)| side.as_ref())
    }

    pub(super) fn backend_version(&self) -> Option<&str> {
        self.known()?.version.as_deref()
    }

    pub(super) fn has_digest_of(&self, seen: &Seen) -> bool {
        self.known().is_some_and(|it| it.digest == seen.side.digest)
    }

    /// Whether the backend says, by another uid, that it is not the object of this row.
    pub(super) fn is_another_object(&self, seen: &Seen) -> bool {
        let known = self.known().map_or("", |it| it.uid.as_str());
        !self.is_empty() && !known.is_empty() && !seen.uid().is_empty() && known != seen.uid()
    }

    /// Whether a deletion of the object with this uid (empty: unknown) is about this row.
    pub(super) fn has_uid(&self, uid: &str) -> bool {
        let known = self.known().map_or("", |it| it.uid.as_str());
        let shown = self.object().map_or("", Object::uid);
        uid.is_empty() || uid == shown || known.is_empty() || uid == known
    }

    /// Whether the row says already what the backend does.
    pub(super) fn is_same(&self, key: &str, seen: &Seen, options: &MirrorOptions) -> bool {
        self.known() == Some(&seen.side)
            && self.object().is_some_and(|old| {
                let merged = with_host_metadata(key, seen, old, options);
                merged.encode().bytes == old.encode().bytes
            })
    }

    /// The object as the host shows it. `first_seen` is used where there is no row.
    pub(super) fn merged(
        &self,
        key: &str,
        seen: &Seen,
        first_seen: (Timestamp, String),
        options: &MirrorOptions,
    ) -> Object {
        if let Some(old) = self.object() {
            let mut object = with_host_metadata(key, seen, old, options);
            if options.has_generation && content(&object) != content(old) {
                let next = old.generation() + 1;
                object
                    .metadata_mut()
                    .insert("generation".into(), next.into());
            }
            return object;
        }
        let (now, uid) = first_seen;
        let mut host = Object(Map::new());
        let or = |theirs: &str, ours: String| match theirs {
            "" => ours,
            theirs => theirs.to_owned(),
        };
        host.set_meta("uid", &or(seen.uid(), uid));
        host.set_meta("creationTimestamp", &or(&seen.created, rfc3339(now)));
        if options.has_generation {
            host.metadata_mut().insert("generation".into(), 1.into());
        }
        with_host_metadata(key, seen, &host, options)
    }

    /// The side record as it is.
    pub(super) fn side_again(&self, key: &Key) -> Option<Write> {
        let (revision, side) = self.side.as_ref()?;
        Some(Write {
            key: side_key(key),
            expected: Expected::At(*revision),
            record: Some(side.as_ref()?.record()),
        })
    }

    pub(super) fn check(&self, key: &Key, expected: Expected) -> Result<(), StorageError> {
        match (expected, &self.item) {
            (Expected::Anything, _) | (Expected::Absent, None) => Ok(()),
            (Expected::Absent, Some(_)) => Err(StorageError::Exists { key: key.clone() }),
            (Expected::At(revision), Some(item)) if item.revision == revision => Ok(()),
            (Expected::At(_), actual) => Err(StorageError::Conflict {
                key: key.clone(),
                actual: actual.clone().map(Box::new),
            }),
        }
    }

    /// What makes the row be `now`, if it is still this one.
    pub(super) fn writes(
        &self,
        key: &Key,
        now: Option<(&Object, &Seen)>,
        options: &MirrorOptions,
    ) -> Result<Vec<Write>, StorageError> {
        let at = |revision: Option<Revision>| revision.map_or(Expected::Absent, Expected::At);
        let (record, side) = match now {
            None => (None, None),
            Some((object, seen)) => {
                if object.name().is_empty() {
                    let why = anyhow!("an object of {} without a name", options.prefix);
                    return Err(StorageError::Failed(why));
                }
                let encoded = object.encode();
                let record = Record {
                    bytes: encoded.bytes,
                    version_at: encoded.version_at,
                };
                (Some(record), Some(seen.side.record()))
            }
        };
        Ok(vec![
            Write {
                key: Arc::clone(key),
                expected: at(self.item.as_ref().map(|it| it.revision)),
                record,
            },
            Write {
                key: side_key(key),
                expected: at(self.side.as_ref().map(|(revision, _)| *revision)),
                record: side,
            },
        ])
    }
}

/// Where the side record of an object is kept, or of all objects below a prefix.
pub(super) fn side_key(key: &str) -> Key {
    let below = key.strip_prefix("objects/").unwrap_or(key);
    format!("mirror/{below}").into()
}

/// Removes both records of a row that cannot be read.
pub(super) fn forgotten(write: Write) -> Vec<Write> {
    let side = Write {
        key: side_key(&write.key),
        expected: Expected::Anything,
        record: None,
    };
    vec![write, side]
}

/// What the backend has, with the metadata of `host` that the host owns.
pub(super) fn with_host_metadata(
    key: &str,
    seen: &Seen,
    host: &Object,
    options: &MirrorOptions,
) -> Object {
    let mut object = seen.object.clone();
    let target = options.target(key);
    object.set_meta("name", target.name.unwrap_or_default());
    object.set_meta("namespace", target.namespace.unwrap_or_default());
    for field in HOST_OWNED {
        if let Some(value) = host.metadata().get(field) {
            object.metadata_mut().insert(field.into(), value.clone());
        }
    }
    object
}

/// What the backend gets: field ownership is the host's business and often larger than the object.
pub(super) fn for_backend(object: &Object) -> Object {
    let mut object = object.clone();
    object.metadata_mut().remove("managedFields");
    object
}

/// Whether nothing differs that the backend keeps.
pub(super) fn is_host_owned_change(old: &Object, new: &Object) -> bool {
    let kept = |object: &Object| {
        let mut object = object.clone();
        for field in HOST_OWNED {
            object.metadata_mut().remove(field);
        }
        object.metadata_mut().remove("resourceVersion");
        object
    };
    kept(old) == kept(new)
}

/// What a generation counts: all but metadata and status.
fn content(object: &Object) -> Vec<(&String, &Value)> {
    let fields = object.0.iter();
    fields
        .filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status"))
        .collect()
}
