//! Events in the form that was agreed on.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

use crate::api::status::{Result, Status};
use crate::api::{RequestContext, protobuf};
use crate::endpoints::negotiation::{Accepted, MediaType, Transform};
use crate::endpoints::request::ResourceRequest;
use crate::endpoints::response::{self, Tables};
use crate::registry::Store;
use crate::registry::store::read::{Change, ChangeKind, ObjectAt, Shown};
use crate::storage::Revision;
use crate::storage::watch_cache::CachedObject;

/// Events as they are sent.
pub(super) struct Written {
    /// For all of them, or one for each where each is a message. None where nothing can be shown.
    pub(super) frames: Vec<Bytes>,
    /// Whether they would look the same to whoever asks again: each is there, with all of its object.
    pub(super) is_whole: bool,
}

/// How long a plugin may take for the conversion or the cells of one frame's objects.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// On the bookmark behind the state: informers wait for it (KEP-3157).
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// How one event is told from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::endpoints) enum Framing {
    /// By a line's end, or by a length in front: events are joined.
    Stream,
    /// Each is a message of its own.
    Messages,
}

pub(super) struct Encoder {
    store: Arc<Store>,
    context: RequestContext,
    version: String,
    shown: Shown,
    accepted: Accepted,
    framing: Framing,
    /// Where tables are asked for.
    tables: Option<Tables>,
    /// Whether a table with its columns has been sent: only the first has them.
    has_columns: bool,
    /// With the last form: whether the next table has columns.
    told: Option<bool>,
}

impl Encoder {
    /// # Errors
    /// 400 for options of tables, 406 for a form that is a list's.
    pub(super) fn new(
        request: &ResourceRequest,
        accepted: Accepted,
        framing: Framing,
    ) -> Result<Self> {
        let tables = match accepted.transform {
            Transform::Table(version) => Some(Tables::new(request, version)?),
            Transform::PartialObjectMetadataList(_) => {
                return Err(response::not_a_list(request.store.definition()));
            }
            _ => None,
        };
        Ok(Self {
            store: Arc::clone(&request.store),
            context: request.context.clone(),
            version: request.info.version.clone(),
            shown: request.store.shown_in(&request.info.version),
            accepted,
            framing,
            tables,
            has_columns: false,
            told: None,
        })
    }

    /// What the bytes of the next events depend on, but for the events; `None` where that has been told.
    pub(super) fn new_form(&mut self) -> Option<String> {
        let shows_columns = self.tables.is_some() && !self.has_columns;
        if self.told == Some(shows_columns) {
            return None;
        }
        self.told = Some(shows_columns);
        let Self {
            version,
            accepted,
            framing,
            ..
        } = self;
        let tables = self.tables.as_ref().map(Tables::form);
        Some(format!(
            "{version} {accepted:?} {framing:?} {tables:?} {shows_columns}"
        ))
    }

    /// Whole events have been sent that another encoder of the same form has made.
    pub(super) fn has_sent(&mut self) {
        self.has_columns |= self.tables.is_some();
    }

    /// The ERROR event of an object that is there and cannot be read.
    pub(super) fn unreadable(&self, object: Arc<CachedObject>) -> Bytes {
        let status = self.store.unreadable_status(&[object]);
        self.error(&status)
    }

    /// Events, one after another. One whose object cannot be shown is left out: the conversion of one object
    /// must not end the watch of all. A delete is told with what needs no conversion.
    pub(super) async fn changes(&mut self, changes: &[Change]) -> Written {
        if let Some(frame) = self.copied(changes) {
            return Written {
                frames: vec![frame],
                is_whole: true,
            };
        }
        self.context.deadline = Instant::now() + CALL_TIMEOUT;
        let objects: Vec<ObjectAt> = changes.iter().map(|it| it.at.clone()).collect();
        let shown = self.objects(&objects).await;
        let capacity = match self.framing {
            Framing::Stream => shown.iter().flatten().map(|it| it.len() + 48).sum(),
            Framing::Messages => 0,
        };
        let is_whole = shown.iter().all(Result::is_ok);
        let mut frames = Vec::new();
        let mut out = Vec::with_capacity(capacity);
        for (change, object) in changes.iter().zip(shown) {
            let object = match object {
                Ok(object) => object,
                Err(_) if change.kind == ChangeKind::Deleted => self.without_content(&change.at),
                Err(error) => {
                    tracing::warn!(
                        key = %change.at.object.key,
                        version = self.version,
                        error = error.message,
                        "left an object out of a watch: it cannot be shown"
                    );
                    continue;
                }
            };
            self.event(&mut out, kind_text(change.kind), &object);
            if self.framing == Framing::Messages {
                frames.push(Bytes::from(std::mem::take(&mut out)));
            }
        }
        if !out.is_empty() {
            frames.push(out.into());
        }
        Written { frames, is_whole }
    }

    /// The events, if all of them show JSON that lies in the cache as it is: nothing is made of it in between.
    fn copied(&self, changes: &[Change]) -> Option<Bytes> {
        if self.framing != Framing::Stream || self.accepted.media != MediaType::Json {
            return None;
        }
        let around = "{'type':'MODIFIED','object':}\n".len();
        let mut length = 0;
        for Change { at, .. } in changes {
            let object = &at.object;
            length += around;
            length += match self.accepted.transform {
                Transform::Full if self.shown.is_stored(object) => {
                    object.length(&object.whole(), at.revision)
                }
                Transform::PartialObjectMetadata(version) => {
                    let metadata = object.length(&object.metadata(), at.revision);
                    response::partial_head(version).len() + metadata + "}".len()
                }
                _ => return None,
            };
        }
        let mut out = Vec::with_capacity(length);
        for Change { kind, at } in changes {
            let object = &at.object;
            open(&mut out, kind_text(*kind));
            if let Transform::PartialObjectMetadata(version) = self.accepted.transform {
                out.extend_from_slice(response::partial_head(version).as_bytes());
                object.write(object.metadata(), at.revision, &mut out);
                out.push(b'}');
            } else {
                object.write(object.whole(), at.revision, &mut out);
            }
            out.extend_from_slice(CLOSE);
        }
        Some(out.into())
    }

    async fn objects(&mut self, objects: &[ObjectAt]) -> Vec<Result<Bytes>> {
        match self.accepted.transform {
            Transform::Full => self.full(objects).await,
            Transform::PartialObjectMetadata(version)
            | Transform::PartialObjectMetadataList(version) => {
                let partial = objects.iter().map(|it| match self.accepted.media {
                    MediaType::Protobuf => it.protobuf_metadata().map(|it| {
                        protobuf::object(version.api_version(), response::PARTIAL, &it).into()
                    }),
                    _ => Ok(response::partial_json(version, &it.metadata())),
                });
                partial.collect()
            }
            Transform::Table(_) => {
                let mut out = Vec::with_capacity(objects.len());
                for object in objects {
                    let shows_columns = !self.has_columns;
                    let table = match &self.tables {
                        Some(tables) => tables.one(&self.context, object, shows_columns).await,
                        None => continue,
                    };
                    self.has_columns |= table.is_ok();
                    out.push(table);
                }
                out
            }
        }
    }

    async fn full(&self, objects: &[ObjectAt]) -> Vec<Result<Bytes>> {
        let (context, version) = (&self.context, &self.version);
        if let Ok(all) = self.store.in_version(context, version, objects).await {
            return all.into_iter().map(Ok).collect();
        }
        let mut out = Vec::with_capacity(objects.len());
        for object in objects {
            let one = std::slice::from_ref(object);
            let shown = self.store.in_version(context, version, one).await;
            out.push(shown.map(|mut it| it.pop().unwrap_or_default()));
        }
        out
    }

    /// An object's type and metadata alone.
    fn without_content(&self, at: &ObjectAt) -> Bytes {
        let mut out = self.store.json_head(&self.version).into_bytes();
        out.extend_from_slice(b"\"metadata\":");
        out.extend_from_slice(&at.metadata());
        out.push(b'}');
        out.into()
    }

    /// An object without anything but the revision up to which all has been sent.
    pub(super) fn bookmark(&mut self, revision: Revision, is_initial_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if is_initial_end {
            metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        let object = match self.accepted.transform {
            Transform::Full => self.empty_object(metadata).into(),
            Transform::PartialObjectMetadata(version)
            | Transform::PartialObjectMetadataList(version) => {
                let metadata = metadata.to_string();
                match self.accepted.media {
                    MediaType::Protobuf => {
                        let message = protobuf::partial_object_metadata(metadata.as_bytes());
                        let message = message.expect("metadata made above");
                        protobuf::object(version.api_version(), response::PARTIAL, &message).into()
                    }
                    _ => response::partial_json(version, metadata.as_bytes()),
                }
            }
            Transform::Table(_) => {
                let partial = metadata.to_string();
                let object = self.empty_object(metadata);
                let shows_columns = !std::mem::replace(&mut self.has_columns, true);
                let table = self.tables.as_ref().map(|it| {
                    it.bookmark(&object, &partial, revision, shows_columns, is_initial_end)
                });
                table.unwrap_or_default()
            }
        };
        let mut out = Vec::new();
        self.event(&mut out, "BOOKMARK", &object);
        out.into()
    }

    /// JSON of an object with nothing in it but what a typed server always shows.
    fn empty_object(&self, metadata: Value) -> String {
        let definition = self.store.definition();
        let mut object = match definition
            .version(&self.version)
            .and_then(|it| it.empty_object.clone())
        {
            Some(Value::Object(empty)) => empty,
            _ => Map::new(),
        };
        let api_version = definition.group_version(&self.version).to_string();
        object.insert("apiVersion".into(), api_version.into());
        object.insert("kind".into(), definition.names.kind.as_str().into());
        object.insert("metadata".into(), metadata);
        Value::Object(object).to_string()
    }

    /// What ends a watch.
    pub(super) fn error(&self, status: &Status) -> Bytes {
        let object = match self.accepted.media {
            MediaType::Protobuf => protobuf::status(status),
            _ => serde_json::to_vec(status).expect("a status has only string keys"),
        };
        let mut out = Vec::new();
        self.event(&mut out, "ERROR", &object);
        out.into()
    }

    fn event(&self, out: &mut Vec<u8>, kind: &str, object: &[u8]) {
        if self.accepted.media == MediaType::Protobuf {
            let event = protobuf::watch_event(kind, object);
            if self.framing == Framing::Stream {
                // Objects are limited to a few MiB, far below four GiB.
                let length = u32::try_from(event.len()).unwrap_or(u32::MAX);
                out.extend_from_slice(&length.to_be_bytes());
            }
            out.extend_from_slice(&event);
            return;
        }
        open(out, kind);
        out.extend_from_slice(object);
        out.extend_from_slice(CLOSE);
    }
}

fn kind_text(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Added => "ADDED",
        ChangeKind::Modified => "MODIFIED",
        ChangeKind::Deleted => "DELETED",
    }
}

/// What an event in JSON begins with; its object follows.
fn open(out: &mut Vec<u8>, kind: &str) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
}

const CLOSE: &[u8] = b"}\n";
