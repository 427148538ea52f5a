//! From loaded plugins to what is served: stores, discovery, OpenAPI, APIServices; each change one atomic swap.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::ambient::{Clock, UidSource};
use crate::api::{GroupVersion, RequestContext};
use crate::endpoints::Served;
use crate::endpoints::discovery::Documents;
use crate::metrics::Metrics;
use crate::plugin::{Loaded, Plugin, PluginResource, Problem, digest_of};
use crate::registry::definition::{BackendDefinition, ResourceDefinition};
use crate::registry::store::ObjectIndexer;
use crate::registry::{Registry, Store};
use crate::storage::encrypted::Encryption;
use crate::storage::mirror::{Changes, Mirror, MirrorOptions};
use crate::storage::watch_cache::WatchCache;
use crate::storage::{Expected, Item, Key, Record, Revision, Sink, Storage, StorageError, Write};

use super::identity::Registration;

/// How long a look into the store may take.
const STORE_TIMEOUT: Duration = Duration::from_secs(30);

/// How often it is asked whether somebody else serves a group-version, too: where there is a cluster.
const FOREIGN_POLL: Duration = Duration::from_secs(2);

/// No object is known to be written under the schema of now.
const ALWAYS: Revision = Revision(u64::MAX);

pub(super) struct Assembly {
    storage: Arc<dyn Storage>,
    parts: Parts,
    /// By key prefix. A cache outlives the plugin's component, so that watches go on over a reload.
    kept: BTreeMap<String, Kept>,
}

/// What it is made of besides the store.
pub(super) struct Parts {
    pub(super) served: Arc<ArcSwap<Served>>,
    pub(super) registration: Option<Arc<dyn Registration>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) uids: Arc<dyn UidSource>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) problems: watch::Sender<Vec<Problem>>,
}

struct Kept {
    cache: Arc<WatchCache>,
    /// What the cache's attributes were made by.
    fields: Vec<String>,
    /// Of which component, for a mirrored resource.
    mirror: Option<(String, Arc<Mirror>)>,
}

impl Assembly {
    pub(super) fn new(storage: Arc<dyn Storage>, parts: Parts) -> Self {
        Self {
            storage,
            parts,
            kept: BTreeMap::new(),
        }
    }

    /// Serves what is loaded, each time that changes, or who else serves a group-version of it does, or by which keys
    /// it is read. Ends with the loader.
    pub(super) async fn follow(
        mut self,
        mut loaded: watch::Receiver<Arc<Loaded>>,
        mut encryption: watch::Receiver<Arc<Encryption>>,
    ) {
        loop {
            let now = Arc::clone(&loaded.borrow_and_update());
            let foreign = self.foreign(&now);
            let is_served = self.serve(&now).await;
            loop {
                tokio::select! {
                    changed = loaded.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    Ok(()) = encryption.changed() => {
                        if self.forget_unreadable() {
                            break;
                        }
                    }
                    () = tokio::time::sleep(FOREIGN_POLL) => {
                        if !is_served || self.foreign(&now) != foreign {
                            break;
                        }
                    }
                }
            }
        }
    }

    /// Other keys may read what those of before did not: such a cache is loaded again. Says whether there is one.
    fn forget_unreadable(&mut self) -> bool {
        let before = self.kept.len();
        self.kept.retain(|_, kept| {
            let is_readable = !kept.cache.has_unreadable();
            if !is_readable {
                kept.cache.close();
            }
            is_readable
        });
        self.kept.len() < before
    }

    /// Why group-versions of what is loaded cannot be served here.
    fn foreign(&self, loaded: &Loaded) -> Vec<String> {
        let Some(registration) = &self.parts.registration else {
            return Vec::new();
        };
        let resources = loaded.plugins.iter().flat_map(|it| &it.resources);
        let versions = resources.flat_map(|it| {
            let served = it.definition.versions.iter().filter(|it| it.served);
            served.map(|version| it.definition.group_version(&version.name))
        });
        versions
            .filter_map(|it| registration.foreign(&it))
            .collect()
    }

    /// Returns whether the store could be read for all of it. Until it can, what is not served is not known to be
    /// gone: it is 503, and stays registered.
    async fn serve(&mut self, loaded: &Loaded) -> bool {
        let mut is_store_read = true;
        let before = self.parts.problems.borrow().clone();
        let mut problems = Vec::new();
        let mut stores = Vec::new();
        let mut prefixes = BTreeSet::new();
        let notes = Notes::read(self.storage.as_ref()).await.unwrap_or_default();
        for plugin in &loaded.plugins {
            for resource in &plugin.resources {
                match self.store(plugin, resource, &notes).await {
                    Ok(store) => {
                        prefixes.insert(store.prefix().to_owned());
                        stores.push(Arc::new(store));
                    }
                    Err(Unserved {
                        message,
                        is_of_store,
                    }) => {
                        is_store_read &= !is_of_store;
                        // It is tried again and again.
                        if !before.iter().any(|it| it.message == message) {
                            tracing::warn!(plugin.name = plugin.name, "{message}");
                        }
                        problems.push(Problem {
                            plugin: plugin.name.clone(),
                            message,
                        });
                    }
                }
            }
        }
        let is_complete = loaded.is_complete && is_store_read;
        let registry = Registry::new(stores);
        let group_versions = group_versions(&registry);
        let definitions = registry.stores().map(|it| Arc::clone(it.definition()));
        let documents = Documents::build(definitions.collect());

        // A group that goes is unregistered before it is unserved: kube-apiserver must not ask for what is gone.
        if let Some(registration) = &self.parts.registration
            && is_complete
        {
            let before = group_versions_of(&self.parts.served.load());
            let staying: BTreeSet<_> = before.intersection(&group_versions).cloned().collect();
            if staying != before {
                registration.register(staying).await;
            }
        }
        self.parts.served.store(Arc::new(Served {
            registry,
            documents,
            is_complete,
        }));
        self.kept.retain(|prefix, kept| {
            let stays = prefixes.contains(prefix);
            if !stays {
                kept.cache.close();
            }
            stays
        });
        self.parts.metrics.set_plugins(loaded.plugins.len());
        self.parts.problems.send_replace(problems);
        if let Some(registration) = &self.parts.registration
            && is_complete
        {
            registration.register(group_versions).await;
        }
        is_store_read
    }

    /// # Errors
    /// One line that says why the resource is not served and what to do.
    async fn store(
        &mut self,
        plugin: &Plugin,
        resource: &PluginResource,
        notes: &Notes,
    ) -> Result<Store, Unserved> {
        let definition = &resource.definition;
        let of = definition.group_resource();
        if let Some(registration) = &self.parts.registration {
            for version in definition.versions.iter().filter(|it| it.served) {
                if let Some(by) = registration.foreign(&definition.group_version(&version.name)) {
                    return Err(Unserved {
                        message: format!("{of} is not served: {by}"),
                        is_of_store: false,
                    });
                }
            }
        }
        let unread = |error: StorageError| Unserved {
            message: format!("{of} is not served: {error}"),
            is_of_store: true,
        };
        self.own(plugin, definition, notes).await.map_err(|error| match error {
            Ownership::Other(owner) => Unserved {
                message: format!(
                    "{of} is not served: its objects belong to plugin {owner}; remove them, or name the file {owner}.wasm"
                ),
                is_of_store: false,
            },
            Ownership::Unknown(error) => unread(error),
        })?;
        let cache = self.cache(definition).await.map_err(unread)?;
        let schema_since = self.schema_since(definition, notes).await.map_err(unread)?;
        let storage = self.engine(plugin, resource);
        let store = Store::new(
            Arc::clone(definition),
            Arc::clone(&resource.strategy),
            storage,
            cache,
            Arc::clone(&self.parts.clock),
            Arc::clone(&self.parts.uids),
        );
        Ok(store.with_schema_since(schema_since))
    }

    /// The revision from which on objects were written under the schema of now: that of the note of its digest. Where
    /// another server may write under its own schema meanwhile, as in a rolling update, there is none.
    async fn schema_since(
        &self,
        definition: &ResourceDefinition,
        notes: &Notes,
    ) -> Result<Revision, StorageError> {
        let key = Notes::key(Notes::SCHEMAS, definition);
        let mut noted = notes.0.get(&key).cloned();
        let schema = &definition.storage_version().schema;
        let since = if self.storage.is_shared() {
            if let Some(noted) = &noted {
                // Copied here from where nobody else wrote. Whoever is quicker has done the same.
                self.note(&key, Some(noted), None).await?;
            }
            ALWAYS
        } else {
            let digest = digest_of(schema.document().to_string().as_bytes());
            loop {
                let since = match &noted {
                    Some(noted) if noted.record.bytes == digest.as_bytes() => Some(noted.revision),
                    _ => self.note(&key, noted.as_ref(), Some(&digest)).await?,
                };
                if let Some(since) = since {
                    break since;
                }
                noted = self.storage.get(&key).await?;
            }
        };
        // An object of any schema is one of a schema without fields.
        Ok(match schema.takes_anything() {
            true => Revision(0),
            false => since,
        })
    }

    /// Writes what this server found out, or with `None` removes what was, if nobody else has written there since
    /// `before` was read. `None` where another server has: it is to be read again.
    async fn note(
        &self,
        key: &Key,
        before: Option<&Item>,
        text: Option<&str>,
    ) -> Result<Option<Revision>, StorageError> {
        let write = Write {
            key: Arc::clone(key),
            expected: before.map_or(Expected::Absent, |it| Expected::At(it.revision)),
            record: text.map(|text| Record {
                bytes: text.to_owned().into(),
                version_at: 0,
            }),
        };
        let context = RequestContext::background("assembly", Instant::now() + STORE_TIMEOUT);
        match self.storage.commit(&context, vec![write]).await {
            Ok(revision) => Ok(Some(revision)),
            Err(StorageError::Exists { .. } | StorageError::Conflict { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the resource for the plugin, or finds that it has it: objects outlive their plugin, and belong to it.
    async fn own(
        &self,
        plugin: &Plugin,
        definition: &ResourceDefinition,
        notes: &Notes,
    ) -> Result<(), Ownership> {
        let key = Notes::key(Notes::OWNERS, definition);
        let mut owner = notes.0.get(&key).cloned();
        let name = &plugin.name;
        loop {
            if let Some(owner) = &owner {
                if owner.record.bytes == name.as_bytes() {
                    return Ok(());
                }
                let first = self.storage.list(&definition.prefix(), "", 1).await;
                if !first.map_err(Ownership::Unknown)?.is_empty() {
                    return Err(Ownership::Other(
                        String::from_utf8_lossy(&owner.record.bytes).into_owned(),
                    ));
                }
            }
            let noted = self.note(&key, owner.as_ref(), Some(name)).await;
            if noted.map_err(Ownership::Unknown)?.is_some() {
                return Ok(());
            }
            let now = self.storage.get(&key).await;
            owner = now.map_err(Ownership::Unknown)?;
        }
    }

    async fn cache(
        &mut self,
        definition: &ResourceDefinition,
    ) -> Result<Arc<WatchCache>, StorageError> {
        let prefix = definition.prefix();
        let fields = definition.selectable_paths().into_iter();
        let fields: Vec<String> = fields.map(str::to_owned).collect();
        if let Some(kept) = self.kept.get(&prefix) {
            if kept.fields == fields {
                return Ok(Arc::clone(&kept.cache));
            }
            kept.cache.close();
        }
        let indexer = Arc::new(ObjectIndexer::new(definition));
        let cache = WatchCache::new(prefix.clone(), definition.is_namespaced(), indexer);
        self.storage
            .attach(&prefix, Arc::clone(&cache) as Arc<dyn Sink>)
            .await?;
        let kept = Kept {
            cache: Arc::clone(&cache),
            fields,
            mirror: None,
        };
        self.kept.insert(prefix, kept);
        Ok(cache)
    }

    /// The engine itself, or the mirror of what the plugin keeps: one per component, so that a reload begins anew.
    fn engine(&mut self, plugin: &Plugin, resource: &PluginResource) -> Arc<dyn Storage> {
        let definition = &resource.definition;
        let (Some(backend), Some(changes)) = (&resource.backend, definition.backend) else {
            return Arc::clone(&self.storage);
        };
        let changes = match changes {
            BackendDefinition::Poll => Changes::Poll,
            BackendDefinition::Relist { seconds } => Changes::Relist {
                period: Duration::from_secs(seconds.into()),
            },
            BackendDefinition::Unwatched => Changes::Unwatched,
        };
        let kept = self
            .kept
            .get_mut(&definition.prefix())
            .expect("the cache was made before");
        if let Some((digest, mirror)) = &kept.mirror
            && *digest == plugin.digest
        {
            return Arc::clone(mirror) as Arc<dyn Storage>;
        }
        let version = &definition.storage_version().name;
        let options = MirrorOptions {
            prefix: definition.prefix(),
            is_namespaced: definition.is_namespaced(),
            api_version: definition.group_version(version).to_string(),
            kind: definition.names.kind.clone(),
            has_generation: definition.object_model.counts_generation(),
            changes,
        };
        let mirror = Arc::new(Mirror::start(
            options,
            Arc::clone(backend),
            Arc::clone(&self.storage),
            Arc::clone(&self.parts.clock),
            Arc::clone(&self.parts.uids),
        ));
        kept.mirror = Some((plugin.digest.clone(), Arc::clone(&mirror)));
        mirror
    }
}

/// What this server, or one before it, has found out of resources: a text by key. A note that is not here may be in
/// the store all the same: where one is damaged, all of them are read one by one.
#[derive(Default)]
struct Notes(HashMap<Key, Item>);

impl Notes {
    const OWNERS: &str = "control/owners/";
    const SCHEMAS: &str = "control/schemas/";

    /// One look for hundreds of resources.
    async fn read(storage: &dyn Storage) -> Result<Self, StorageError> {
        let mut notes = HashMap::new();
        for prefix in [Self::OWNERS, Self::SCHEMAS] {
            let items = storage.list(prefix, "", usize::MAX).await?;
            notes.extend(items.into_iter().map(|it| (Arc::clone(&it.key), it)));
        }
        Ok(Self(notes))
    }

    fn key(prefix: &str, definition: &ResourceDefinition) -> Key {
        format!("{prefix}{}/{}", definition.group, definition.names.plural).into()
    }
}

/// Why a resource is not served.
struct Unserved {
    message: String,
    /// Not because of the plugin: it is tried again.
    is_of_store: bool,
}

enum Ownership {
    Other(String),
    Unknown(StorageError),
}

fn group_versions_of(served: &Served) -> BTreeSet<GroupVersion> {
    group_versions(&served.registry)
}

fn group_versions(registry: &Registry) -> BTreeSet<GroupVersion> {
    let served = registry.stores().flat_map(|store| {
        let definition = store.definition();
        definition
            .versions
            .iter()
            .filter(|it| it.served)
            .map(|it| definition.group_version(&it.name))
    });
    served.collect()
}
