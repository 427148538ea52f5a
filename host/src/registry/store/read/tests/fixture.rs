//! A resource over a store in memory, for the tests of what reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::ambient::{RandomUids, SystemClock};
use crate::api::status::{self, Result};
use crate::api::{Object, RequestContext};
use crate::registry::definition::{
    NameRule, Names, ObjectModel, Scope as ResourceScope, UpdateRules, VersionDefinition,
};
use crate::registry::schema::Schema;
use crate::registry::strategy::{Strategy, Target, WriteHooks};
use crate::registry::{ResourceDefinition, Store};
use crate::storage::memory::MemoryStorage;
use crate::storage::watch_cache::{Attributes, Indexer, WatchCache};
use crate::storage::{Expected, Record, Revision, Storage, Write};

pub(crate) const PREFIX: &str = "objects/g/anchors/";

/// Converts by changing the version's name; refuses objects whose color is `bad`. Counts its calls.
#[derive(Default)]
pub(crate) struct Renaming {
    pub(crate) calls: AtomicUsize,
}

#[async_trait]
impl Strategy for Renaming {
    fn begin(&self, _: &RequestContext) -> Box<dyn WriteHooks> {
        unreachable!("nothing is written through the strategy")
    }

    async fn convert(
        &self,
        _: &RequestContext,
        to_version: &str,
        items: Vec<Bytes>,
    ) -> Result<Vec<Bytes>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let convert = |item: Bytes| {
            let mut object = Object::from_slice(&item).expect("stored JSON");
            if object.0["spec"]["color"] == "bad" {
                return Err(status::internal("bad"));
            }
            object.set_type(&format!("g/{to_version}"), "Anchor");
            Ok(object.to_vec().into())
        };
        items.into_iter().map(convert).collect()
    }

    async fn cells(&self, _: &RequestContext, _: &Target, _: Vec<Bytes>) -> Result<Vec<Value>> {
        unreachable!("the resource has no columns of its own")
    }
}

struct Labels;

impl Indexer for Labels {
    fn attributes(&self, _: &str, bytes: &Bytes) -> Result<Attributes, String> {
        let object = Object::from_slice(bytes).expect("stored JSON");
        let labels = object.metadata()["labels"].as_object();
        fn text(it: &Value) -> &str {
            it.as_str().unwrap_or_default()
        }
        let labels = labels.into_iter().flatten();
        let metadata = serde_json::to_vec(&object.metadata()).expect("JSON");
        let start = object.encode().body_at() + "\"metadata\":".len();
        let end = u32::try_from(start + metadata.len()).expect("small");
        let start = u32::try_from(start).expect("small");
        Ok(Attributes::new(
            labels.map(|(key, value)| (key.as_str(), text(value))),
            [],
            start..end,
        ))
    }
}

pub(crate) struct Fixture {
    pub(crate) store: Arc<Store>,
    storage: Arc<MemoryStorage>,
    pub(crate) cache: Arc<WatchCache>,
    pub(crate) strategy: Arc<Renaming>,
    pub(crate) context: RequestContext,
}

fn definition(object_model: ObjectModel) -> ResourceDefinition {
    let schema =
        Schema::compile(&json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let schema = Arc::new(schema.expect("a schema"));
    let version = |name: &str, storage| VersionDefinition {
        name: name.into(),
        served: true,
        storage,
        deprecation_warning: None,
        schema: Arc::clone(&schema),
        columns: vec![],
        exports_columns: false,
        selectable_fields: vec![],
        has_status: false,
        scale: None,
        empty_object: (object_model == ObjectModel::Typed).then(|| json!({"status": {}})),
    };
    ResourceDefinition {
        group: "g".into(),
        names: Names {
            plural: "anchors".into(),
            kind: "Anchor".into(),
            list_kind: "AnchorList".into(),
            ..Names::default()
        },
        scope: ResourceScope::Namespaced,
        versions: vec![version("v1", true), version("v2", false)],
        name_rule: NameRule::default(),
        object_model,
        update: UpdateRules::default(),
        backend: None,
    }
}

impl Fixture {
    /// Whose cache no engine has loaded.
    pub(crate) fn unloaded(object_model: ObjectModel) -> Self {
        let storage = Arc::new(MemoryStorage::new());
        let cache = WatchCache::new(PREFIX.into(), true, Arc::new(Labels));
        let strategy = Arc::new(Renaming::default());
        let store = Store::new(
            definition(object_model),
            Arc::clone(&strategy) as _,
            Arc::clone(&storage) as _,
            Arc::clone(&cache),
            Arc::new(SystemClock),
            Arc::new(RandomUids),
        );
        let context = RequestContext::background("test", Instant::now() + Duration::from_secs(60));
        Self {
            store: Arc::new(store),
            storage,
            cache,
            strategy,
            context,
        }
    }

    pub(crate) async fn new() -> Self {
        Self::of(ObjectModel::Custom).await
    }

    pub(crate) async fn of(object_model: ObjectModel) -> Self {
        let fixture = Self::unloaded(object_model);
        let sink = Arc::clone(&fixture.cache) as _;
        fixture
            .storage
            .attach(PREFIX, sink)
            .await
            .expect("attached");
        fixture
    }

    /// Another server's store of the same objects, with another schema, where any object may be of the first one's.
    pub(crate) fn beside(&self, schema: &Value) -> Store {
        let schema = Arc::new(Schema::compile(schema).expect("a schema"));
        let mut definition = ResourceDefinition::clone(self.store.definition());
        for version in &mut definition.versions {
            version.schema = Arc::clone(&schema);
        }
        let store = Store::new(
            definition,
            Arc::clone(&self.strategy) as _,
            Arc::clone(&self.storage) as _,
            Arc::clone(&self.cache),
            Arc::new(SystemClock),
            Arc::new(RandomUids),
        );
        store.with_schema_since(Revision(u64::MAX))
    }

    /// Writes an object with a label, as `namespace/name`.
    pub(crate) async fn put(&self, name: &str, label: &str) -> Revision {
        self.commit(name, Some(record(name, label))).await
    }

    pub(crate) async fn delete(&self, name: &str) -> Revision {
        self.commit(name, None).await
    }

    async fn commit(&self, name: &str, record: Option<Record>) -> Revision {
        let write = Write {
            key: format!("{PREFIX}{name}").into(),
            expected: Expected::Anything,
            record,
        };
        let committed = self.storage.commit(&self.context, vec![write]).await;
        committed.expect("committed")
    }
}

pub(crate) fn record(name: &str, label: &str) -> Record {
    let (namespace, name) = name.split_once('/').expect("namespace/name");
    let object = json!({
        "apiVersion": "g/v1", "kind": "Anchor",
        "metadata": {"name": name, "namespace": namespace, "labels": {"color": label}},
        "spec": {"color": label},
    });
    let encoded = Object::from_slice(object.to_string().as_bytes())
        .expect("an object")
        .encode();
    Record {
        bytes: encoded.bytes,
        version_at: encoded.version_at,
    }
}
