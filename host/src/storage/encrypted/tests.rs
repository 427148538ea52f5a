//! The whole suite through the layer, and what only it can get wrong: keys that change, records that do not decrypt.

#![allow(clippy::unwrap_used, reason = "a panic is the failure of a test")]

use std::time::Duration;

use super::*;
use crate::storage::conformance::{
    self, PREFIX, Subject, conformance, context, create, delete, key, put, record,
};
use crate::storage::memory::MemoryStorage;
use crate::storage::sqlite::{Options, SqliteStorage};
use crate::storage::watch_cache::WatchCache;

const ONE: &str = "{name: one, secret: MDEyMzQ1Njc4OWFiY2RlZg==}";
const TWO: &str = "{name: two, secret: MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=}";

fn keys(keys: &str) -> Arc<Encryption> {
    let text = format!(
        "{{apiVersion: apiserver.config.k8s.io/v1, kind: EncryptionConfiguration, resources: [{{resources: \
         [anchors.g], providers: [{{aesgcm: {{keys: [{keys}]}}}}, {{identity: {{}}}}]}}]}}"
    );
    Arc::new(Encryption::parse(text.as_bytes()).unwrap())
}

/// A store over one engine whose keys change.
struct Store {
    engine: Arc<MemoryStorage>,
    keys: watch::Sender<Arc<Encryption>>,
    storage: Arc<dyn Storage>,
}

impl Store {
    fn with(encryption: Arc<Encryption>) -> Self {
        let engine = Arc::new(MemoryStorage::new());
        let keys = watch::Sender::new(encryption);
        let storage = Arc::new(EncryptedStorage::new(engine.clone(), keys.subscribe()));
        Self {
            engine,
            keys,
            storage,
        }
    }

    async fn commit(&self, write: Write) -> Revision {
        self.storage.commit(&context(), vec![write]).await.unwrap()
    }

    /// What the engine keeps under the name.
    async fn kept(&self, name: &str) -> Record {
        self.engine.get(&key(name)).await.unwrap().unwrap().record
    }

    async fn is_under(&self, name: &str, prefix: &str) -> bool {
        self.kept(name).await.bytes.starts_with(prefix.as_bytes())
    }

    async fn read(&self, name: &str) -> Result<Record, StorageError> {
        let found = self.storage.get(&key(name)).await?;
        Ok(found.unwrap().record)
    }
}

fn encrypting(engine: Arc<dyn Storage>) -> Arc<dyn Storage> {
    let (_, encryption) = watch::channel(keys(ONE));
    Arc::new(EncryptedStorage::new(engine, encryption))
}

mod over_memory {
    use super::*;
    fn subject() -> Subject {
        Subject::new(encrypting(Arc::new(MemoryStorage::new())), ())
    }
    conformance!(subject());
}

mod over_sqlite {
    use super::*;
    fn subject() -> Subject {
        let folder = tempfile::tempdir().unwrap();
        let engine = SqliteStorage::open(folder.path(), Options::default()).unwrap();
        Subject::new(encrypting(Arc::new(engine)), Some(folder))
    }
    conformance!(subject());
}

#[tokio::test]
async fn the_engine_keeps_ciphertext_and_no_place_of_a_version() {
    let store = Store::with(keys(ONE));
    store.commit(create("a/x", "crimson")).await;
    let kept = store.kept("a/x").await;
    assert_eq!(kept.version_at, 0);
    assert!(kept.bytes.starts_with(b"k8s:enc:aesgcm:v1:one:"));
    let is_shown = kept.bytes.windows(7).any(|it| it == b"crimson");
    assert!(!is_shown);
    assert_eq!(store.read("a/x").await.unwrap(), record("a/x", "crimson"));
    // Two writes of the same are two ciphertexts.
    store.commit(create("a/y", "crimson")).await;
    store.commit(delete("a/x", Expected::Anything)).await;
    store.commit(create("a/x", "crimson")).await;
    assert_ne!(kept, store.kept("a/x").await);
}

#[tokio::test]
async fn a_ciphertext_that_was_moved_to_another_key_is_not_read() {
    let store = Store::with(keys(ONE));
    store.commit(create("a/x", "red")).await;
    let moved = Write {
        key: key("a/y"),
        expected: Expected::Absent,
        record: Some(store.kept("a/x").await),
    };
    store.engine.commit(&context(), vec![moved]).await.unwrap();
    let error = store.read("a/y").await.unwrap_err().to_string();
    assert_eq!(
        error,
        "objects/g/anchors/a/y cannot be read: data from the storage is not transformable revision=0: cipher: \
         message authentication failed"
    );
}

#[tokio::test]
async fn an_older_key_reads_and_the_same_write_encrypts_anew() {
    let store = Store::with(Arc::new(Encryption::none()));
    let first = store.commit(create("a/x", "red")).await;
    assert!(store.is_under("a/x", "{").await);
    let mut at = first;
    for (now, prefix) in [
        (keys(ONE), "k8s:enc:aesgcm:v1:one:"),
        (keys(&format!("{TWO}, {ONE}")), "k8s:enc:aesgcm:v1:two:"),
    ] {
        store.keys.send_replace(now);
        assert_eq!(store.read("a/x").await.unwrap(), record("a/x", "red"));
        assert!(store.storage.is_stale(&key("a/x")).await.unwrap());
        let next = store.commit(put("a/x", "red", Expected::At(at))).await;
        assert!(next > at);
        assert!(store.is_under("a/x", prefix).await, "{prefix}");
        assert!(!store.storage.is_stale(&key("a/x")).await.unwrap());
        // And then nothing changes.
        assert_eq!(
            store.commit(put("a/x", "red", Expected::At(next))).await,
            next
        );
        at = next;
    }
    assert_eq!(store.read("a/x").await.unwrap(), record("a/x", "red"));
}

#[tokio::test]
async fn identity_first_decrypts_with_the_next_write() {
    let store = Store::with(keys(ONE));
    let first = store.commit(create("a/x", "red")).await;
    let text = format!(
        "{{apiVersion: apiserver.config.k8s.io/v1, kind: EncryptionConfiguration, resources: [{{resources: ['*.*'], \
         providers: [{{identity: {{}}}}, {{aesgcm: {{keys: [{ONE}]}}}}]}}]}}"
    );
    let back = Encryption::parse(text.as_bytes()).unwrap();
    store.keys.send_replace(Arc::new(back));
    assert!(store.storage.is_stale(&key("a/x")).await.unwrap());
    store.commit(put("a/x", "red", Expected::At(first))).await;
    assert_eq!(store.kept("a/x").await, record("a/x", "red"));
    assert!(!store.storage.is_stale(&key("a/x")).await.unwrap());
}

#[tokio::test]
async fn without_the_key_nothing_is_read_and_nothing_is_lost() {
    let store = Store::with(keys(ONE));
    let first = store.commit(create("a/x", "red")).await;
    for (now, why) in [
        (
            Arc::new(Encryption::none()),
            "identity transformer tried to read encrypted data",
        ),
        (keys(TWO), "no matching prefix found"),
        (
            keys("{name: one, secret: MDEyMzQ1Njc4OWFiY2RlMA==}"),
            "cipher: message authentication failed",
        ),
    ] {
        store.keys.send_replace(now);
        let error = store.read("a/x").await.unwrap_err();
        assert!(matches!(error, StorageError::Unreadable { .. }));
        assert!(error.to_string().ends_with(why), "{error}");
        assert!(store.storage.list(PREFIX, "", 10).await.is_err());
        let cache = conformance::attached(&store.storage).await;
        let shown = cache.get(&key("a/x")).unwrap();
        assert_eq!(shown.revision, first);
        assert!(shown.problem().unwrap().ends_with(why));
    }
    store.keys.send_replace(keys(ONE));
    assert_eq!(store.read("a/x").await.unwrap(), record("a/x", "red"));
}

#[tokio::test]
async fn history_that_cannot_be_read_is_as_good_as_compacted() {
    let store = Store::with(keys(ONE));
    let first = store.commit(create("a/x", "red")).await;
    let second = store.commit(put("a/x", "blue", Expected::At(first))).await;
    store.keys.send_replace(keys(&format!("{TWO}, {ONE}")));
    let third = store.commit(put("a/x", "blue", Expected::At(second))).await;
    let fourth = store.commit(put("a/x", "green", Expected::At(third))).await;
    store.keys.send_replace(keys(TWO));
    let cache: Arc<WatchCache> = conformance::attached(&store.storage).await;
    assert_eq!(cache.get(&key("a/x")).unwrap().problem(), None);
    assert_eq!(cache.watch_after(second).unwrap_err().oldest, third);
    let mut watcher = cache.watch_after(third).unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(10), watcher.next()).await;
    assert_eq!(seen.unwrap().unwrap()[0].revision, fourth);
}

#[tokio::test]
async fn says_what_it_cannot_decrypt_until_it_is_gone() {
    let store = Store::with(keys(ONE));
    store.commit(create("a/x", "red")).await;
    store.commit(create("a/y", "red")).await;
    let encrypted = EncryptedStorage::new(store.engine.clone(), store.keys.subscribe());
    let encrypted = Arc::new(encrypted);
    let storage: Arc<dyn Storage> = encrypted.clone();
    assert_eq!(encrypted.unreadable(), None);
    store.keys.send_replace(keys(TWO));
    let cache = conformance::attached(&storage).await;
    assert!(cache.has_unreadable());
    let told = encrypted.unreadable().unwrap();
    let begin = "2 records cannot be decrypted, the first is objects/g/anchors/a/x: ";
    assert!(told.starts_with(begin), "{told}");
    for name in ["a/x", "a/y"] {
        let gone = vec![delete(name, Expected::Anything)];
        storage.commit(&context(), gone).await.unwrap();
    }
    assert_eq!(encrypted.unreadable(), None);
    assert!(!cache.has_unreadable());
    drop(cache);
    assert!(encrypted.fed().is_empty());
}
