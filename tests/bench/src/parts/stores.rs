//! Durable writes below the requests: the product's engine with a watch cache behind it, and SQLite alone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use outrigger::api::RequestContext;
use outrigger::registry::store::ObjectIndexer;
use outrigger::storage::sqlite::{Options, SqliteStorage};
use outrigger::storage::watch_cache::WatchCache;
use outrigger::storage::{Expected, Record, Sink, Storage as _, Write};
use tempfile::TempDir;

use super::Part;
use crate::bench::Bench;
use crate::load::in_process;
use crate::loads;
use crate::report::Cost;
use crate::report::server::{BARE, OUTRIGGER};
use crate::resources::Resource;
use crate::yardsticks::engine::plugin;
use crate::yardsticks::store::BareStore;

const WRITERS: [usize; 2] = [1, 64];
const OBJECT_BYTES: usize = 1_024;

pub(super) async fn run(bench: &mut Bench) -> Result<()> {
    for writers in WRITERS {
        for server in [BARE, OUTRIGGER] {
            bench.step(loads::DURABLE, writers, server);
            let duration = bench.settings.duration();
            let folder = TempDir::with_prefix("outrigger-store-")?;
            let cost = if server == BARE {
                let store = BareStore::open(&folder.path().join("store.sqlite3"))?;
                measure(Arc::new(Bare(store)), writers, duration).await?
            } else {
                let store = Layer::open(&folder, bench).await?;
                measure(Arc::new(store), writers, duration).await?
            };
            bench.row(Part::Store, loads::DURABLE, writers, server, cost);
        }
    }
    Ok(())
}

/// What keeps bytes under a key.
trait Durable: Send + Sync + 'static {
    fn put(&self, key: String, bytes: Bytes) -> impl Future<Output = Result<()>> + Send;
}

struct Bare(BareStore);

impl Durable for Bare {
    async fn put(&self, key: String, bytes: Bytes) -> Result<()> {
        self.0.put(key, bytes).await
    }
}

/// The engine, and the cache that it feeds.
struct Layer {
    storage: SqliteStorage,
    cache: Arc<WatchCache>,
    context: RequestContext,
}

impl Layer {
    async fn open(folder: &TempDir, bench: &Bench) -> Result<Self> {
        let storage = SqliteStorage::open(folder.path(), Options::default())?;
        let plugin = plugin(&bench.settings).await?;
        let indexer = Arc::new(ObjectIndexer::new(&plugin.resources[0].definition));
        let prefix = Resource::Hooks.prefix();
        let cache = WatchCache::new(prefix.to_owned(), true, indexer);
        let sink: Arc<dyn Sink> = Arc::clone(&cache) as _;
        storage.attach(prefix, sink).await?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
        Ok(Self {
            storage,
            cache,
            context: RequestContext::background("bench", deadline),
        })
    }
}

impl Durable for Layer {
    async fn put(&self, key: String, bytes: Bytes) -> Result<()> {
        let record = Record {
            bytes,
            version_at: version_at(),
        };
        let write = Write {
            key: Arc::from(key),
            expected: Expected::Absent,
            record: Some(record),
        };
        let revision = self.storage.commit(&self.context, vec![write]).await?;
        ensure!(self.cache.revision() >= revision, "the cache is behind");
        Ok(())
    }
}

const HEAD: &str = r#"{"apiVersion":"wardle.example.com/v1beta1","kind":"Flunder","metadata":{"#;

fn version_at() -> u32 {
    u32::try_from(HEAD.len()).expect("it is short")
}

/// An object of [`OBJECT_BYTES`].
fn object(name: &str) -> Bytes {
    let mut text = format!(
        r#"{HEAD}"name":"{name}","namespace":"default","uid":"7a1f1c7e-3c1b-4b0e-9a53-1f4cb7a7a001","labels":{{"app":"thing"}}}},"spec":{{"flunderReference":""#
    );
    let end = r#"","referenceType":"Flunder"}}"#;
    let filler = OBJECT_BYTES.saturating_sub(text.len() + end.len());
    text.push_str(&"x".repeat(filler));
    text.push_str(end);
    text.into()
}

/// Each writer has one write at a time, of a new key.
async fn measure(store: Arc<impl Durable>, writers: usize, duration: Duration) -> Result<Cost> {
    let write = move |writer, before| {
        let store = Arc::clone(&store);
        async move {
            let name = format!("o-{writer:02}-{before:06}");
            let key = format!("{}default/{name}", Resource::Hooks.prefix());
            store.put(key, object(&name)).await
        }
    };
    in_process(writers, duration, write).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_the_size_that_is_told() {
        let object = object("o-01-000001");
        assert_eq!(object.len(), OBJECT_BYTES);
        let parsed: serde_json::Value = serde_json::from_slice(&object).expect("JSON");
        assert_eq!(parsed["metadata"]["name"], "o-01-000001");
    }
}
