//! Keeps what is served equal to what lies in a folder: `*.wasm`, and documents of kinds `Plugin` and
//! `CustomResourceDefinition` in YAML or JSON, one to a file.
//!
//! The folder is polled each 500 ms; a file is looked at when it stayed the same for one poll, or when its content was
//! compiled before. A change is served after it was checked, and a broken one leaves the old plugin serving. What
//! failed for a reason outside of the file is tried again, after 1 s to 1 min.
//!
//! What is compiled already is served while the rest is compiled, one after another. The start is complete when all
//! files that were there are served or have a problem; compiling has its own limit of time, and a file that is being
//! written is waited for 30 s.
//!
//! The store may still be waited for when it starts: plugins are loaded all the same, but for one that fails.

mod claims;
mod document;
mod folder;
mod prepare;
mod source;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use self::claims::Claims;
use self::document::{Document, PluginSpec};
use self::folder::{File, Folder, Kind, kind, stem};
use self::prepare::{Job, Prepared, Preparer};
use self::source::Source;
use super::capability::Capabilities;
use super::capability::kv::KeyValue;
use super::capability::log::PluginLog;
use super::compile::Compiler;
use super::compile_cache::CompileCache;
use super::last_manifest::LastManifest;
use super::load::{Checked, Host};
use super::{Engine, Lister, LoadError, Loaded, Plugin, Problem};
use crate::storage::Storage;

const POLL: Duration = Duration::from_millis(500);
/// A file that is gone for so many polls is removed; one that is replaced may be gone for a moment.
const GONE_POLLS: u32 = 2;
/// After that the start does not wait for files that are still being written.
const START_MAX: Duration = Duration::from_secs(30);

pub struct LoaderConfig {
    pub folder: PathBuf,
    /// Compiled components are kept below it.
    pub data_dir: PathBuf,
    /// The program with the subcommand `compile`: this one.
    pub compiler: PathBuf,
}

/// Owns the task that loads.
pub struct Loader {
    loaded: watch::Receiver<Arc<Loaded>>,
    task: JoinHandle<()>,
}

impl Loader {
    /// # Errors
    /// The folder of compiled components cannot be made, or the contract not be linked.
    pub fn start(
        config: LoaderConfig,
        engine: Arc<Engine>,
        storage: Arc<dyn Storage>,
        lister: Arc<dyn Lister>,
    ) -> anyhow::Result<Self> {
        let compiler = Compiler::new(config.compiler);
        let cache = CompileCache::open(&config.data_dir, compiler)?;
        let (sender, loaded) = watch::channel(Arc::new(Loaded::default()));
        let worker = Worker {
            path: config.folder,
            folder: Folder::default(),
            preparer: Arc::new(Preparer::new(Host::new(engine)?, cache)),
            storage,
            lister,
            sender,
            sources: BTreeMap::new(),
            documents: BTreeMap::new(),
            claims: Claims::default(),
            key_values: BTreeMap::new(),
            unkept: BTreeMap::new(),
            folder_problem: None,
            unseen: None,
            started: Instant::now(),
            published: None,
        };
        let task = tokio::spawn(worker.run());
        Ok(Self { loaded, task })
    }

    /// What is loaded; changes with the folder.
    pub fn loaded(&self) -> watch::Receiver<Arc<Loaded>> {
        self.loaded.clone()
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // A compilation that is running is killed with it.
        self.task.abort();
    }
}

struct Worker {
    path: PathBuf,
    folder: Folder,
    preparer: Arc<Preparer>,
    storage: Arc<dyn Storage>,
    lister: Arc<dyn Lister>,
    sender: watch::Sender<Arc<Loaded>>,
    /// Components, by file.
    sources: BTreeMap<PathBuf, Source<PluginSpec>>,
    documents: BTreeMap<PathBuf, Source<Document>>,
    /// Of all that is served.
    claims: Claims,
    /// By plugin; they outlive its reloads.
    key_values: BTreeMap<String, Arc<KeyValue>>,
    /// By plugin: manifests that are to be kept in the store.
    unkept: BTreeMap<String, LastManifest>,
    folder_problem: Option<String>,
    /// Files of the first scan that have not been looked at; `None` before it.
    unseen: Option<BTreeSet<PathBuf>>,
    started: Instant,
    published: Option<Instant>,
}

impl Worker {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.poll().await;
            self.publish();
            self.keep_manifests().await;
        }
    }

    /// After they are served: where the store is not open yet, this waits for it.
    async fn keep_manifests(&mut self) {
        let unkept = std::mem::take(&mut self.unkept);
        if let Err(error) = LastManifest::keep(self.storage.as_ref(), unkept).await {
            tracing::warn!(
                error = error.to_string(),
                "the manifests of plugins are not kept for the next start: those of before could not be read"
            );
        }
    }

    async fn poll(&mut self) {
        let (path, mut folder) = (self.path.clone(), std::mem::take(&mut self.folder));
        let scan = tokio::task::spawn_blocking(move || {
            let files = folder.scan(&path);
            (folder, files)
        });
        let Ok((folder, files)) = scan.await else {
            return;
        };
        self.folder = folder;
        let files = match files {
            Ok(files) => files,
            Err(error) => {
                // What is served goes on being served.
                let shown = self.path.display();
                self.folder_problem = Some(format!("{shown} cannot be read: {error}"));
                return;
            }
        };
        self.folder_problem = None;
        self.unseen
            .get_or_insert_with(|| files.iter().map(|it| it.path.clone()).collect());
        self.forget_gone(&files);
        let (documents, components): (Vec<&File>, Vec<&File>) = files
            .iter()
            .filter(|it| kind(&it.path).is_some())
            .partition(|it| kind(&it.path) == Some(Kind::Document));
        let is_late = self.started.elapsed() >= START_MAX;
        let mut unsettled = documents.iter().filter(|it| !it.is_settled);
        let may_load = is_late || !unsettled.any(|it| self.is_unseen(&it.path));
        for file in documents {
            self.look_at_document(file).await;
        }
        // Grants and limits come first.
        if may_load {
            self.look_at_components(&components).await;
        }
        let others = files.iter().filter(|it| kind(&it.path).is_none());
        for file in others {
            self.has_seen(&file.path);
        }
        if is_late {
            self.give_up();
        }
    }

    fn is_starting(&self) -> bool {
        self.unseen.as_ref().is_none_or(|it| !it.is_empty())
    }

    fn is_unseen(&self, path: &Path) -> bool {
        self.unseen.as_ref().is_some_and(|it| it.contains(path))
    }

    /// What is left has been written to ever since the start: it is served when it is whole.
    fn give_up(&mut self) {
        for path in self.unseen.iter_mut().flat_map(std::mem::take) {
            let path = path.display().to_string();
            tracing::warn!(path, "still being written: the start waits no longer");
        }
    }

    fn has_seen(&mut self, path: &Path) {
        if let Some(unseen) = &mut self.unseen {
            unseen.remove(path);
        }
    }

    fn forget_gone(&mut self, files: &[File]) {
        let there: HashSet<&Path> = files.iter().map(|it| it.path.as_path()).collect();
        let is_there = |path: &Path| there.contains(path);
        let mut gone = Vec::new();
        self.sources.retain(|path, source| {
            let is_kept = source.is_kept(is_there(path));
            if !is_kept {
                gone.push((path.clone(), source.plugin().map(Arc::clone)));
            }
            is_kept
        });
        self.documents.retain(|path, source| {
            let is_kept = source.is_kept(is_there(path));
            if !is_kept {
                gone.push((path.clone(), source.plugin().map(Arc::clone)));
            }
            is_kept
        });
        for (path, plugin) in &gone {
            self.has_seen(path);
            self.claim(path, plugin.as_deref(), None);
            tracing::info!(path = path.display().to_string(), "removed");
        }
        if let Some(unseen) = &mut self.unseen {
            unseen.retain(|path| is_there(path));
        }
        if !gone.is_empty() {
            self.unblock();
        }
    }

    /// What was refused because of another plugin's resources is looked at again.
    fn unblock(&mut self) {
        let blocked = |source: &mut Source<PluginSpec>| source.unblock();
        self.sources.values_mut().for_each(blocked);
        self.documents.values_mut().for_each(Source::unblock);
    }

    async fn look_at_document(&mut self, file: &File) {
        let source = self.documents.entry(file.path.clone()).or_default();
        if !file.is_settled || !source.is_due(file, |_| false) {
            return;
        }
        let result = match tokio::fs::read_to_string(&file.path).await {
            Ok(text) => Document::read(&text).map_err(LoadError::lasting),
            Err(error) => Err(LoadError::passing(format!("cannot be read: {error}"))),
        };
        let result = result.and_then(|document| {
            if let Some(plugin) = &document.plugin {
                self.claims.check(&file.path, plugin)?;
            }
            Ok(document)
        });
        self.has_seen(&file.path);
        let shown = stem(&file.path);
        let source = self.documents.entry(file.path.clone()).or_default();
        match result {
            Ok(document) => {
                let (before, plugin) = (source.plugin().map(Arc::clone), document.plugin.clone());
                source.succeed(file, document, plugin.clone());
                self.claim(&file.path, before.as_deref(), plugin.as_deref());
                self.unblock();
            }
            Err(error) => source.fail(file, None, &shown, &error),
        }
    }

    /// What the operator says of a plugin.
    fn spec(&self, name: &str) -> PluginSpec {
        let documents = self.documents.values().filter_map(Source::content);
        let mut specs = documents.filter_map(|it| it.spec.as_ref());
        let found = specs.find(|(of, _)| of == name);
        found.map(|(_, spec)| spec.clone()).unwrap_or_default()
    }

    /// All of them that are due: first what is compiled already, then the others, one after another.
    async fn look_at_components(&mut self, files: &[&File]) {
        let mut jobs = Vec::new();
        for file in files {
            jobs.extend(self.job(file).await);
        }
        let mut uncompiled = Vec::new();
        for (job, prepared) in self.preparer.prepare(jobs).await {
            match prepared {
                Prepared::Uncompiled => uncompiled.push(job),
                prepared => self.take(job, prepared).await,
            }
        }
        for job in uncompiled {
            // Each time is more work than a compilation where there are hundreds.
            if self.published.is_none_or(|at| at.elapsed() >= POLL) {
                self.publish();
            }
            let prepared = self.preparer.compile(&job).await;
            self.take(job, prepared).await;
        }
    }

    /// What is to be done about a file; `None` where there is nothing to do.
    async fn job(&mut self, file: &File) -> Option<Job> {
        let name = folder::plugin_name(&file.path);
        let spec = name.as_deref().map(|it| self.spec(it)).unwrap_or_default();
        let source = self.sources.entry(file.path.clone()).or_default();
        if !source.is_due(file, |examined| *examined != spec) {
            return None;
        }
        let name = match name {
            Ok(name) => name,
            Err(problem) => {
                let error = LoadError::lasting(problem);
                source.fail(file, Some(spec), &stem(&file.path), &error);
                self.has_seen(&file.path);
                return None;
            }
        };
        if let Err(error) = self.claims.check_name(&file.path, &name) {
            self.has_seen(&file.path);
            self.fail(file, &name, spec, &error).await;
            return None;
        }
        let capabilities = self.capabilities(&name, &spec);
        Some(Job {
            file: file.clone(),
            name,
            spec,
            capabilities,
        })
    }

    /// Serves what was found in a file, or says why not.
    async fn take(&mut self, job: Job, prepared: Prepared) {
        let Job {
            file, name, spec, ..
        } = job;
        let result = match prepared {
            Prepared::Unsettled | Prepared::Uncompiled => return,
            Prepared::Refused(error) => Err(error),
            Prepared::Checked { checked, digest } => self.plugin(&file, &name, *checked, digest),
        };
        self.has_seen(&file.path);
        match result {
            Ok(plugin) => {
                tracing::info!(
                    plugin.name = name,
                    plugin.digest = plugin.digest,
                    resources = plugin.resources.len(),
                    "plugin loaded"
                );
                let plugin = Arc::new(plugin);
                let source = self.sources.entry(file.path.clone()).or_default();
                let before = source.plugin().map(Arc::clone);
                source.succeed(&file, spec, Some(Arc::clone(&plugin)));
                self.claim(&file.path, before.as_deref(), Some(&plugin));
                // It may serve less than before.
                self.unblock();
            }
            Err(error) => self.fail(&file, &name, spec, &error).await,
        }
    }

    async fn fail(&mut self, file: &File, name: &str, spec: PluginSpec, error: &LoadError) {
        let source = self.sources.entry(file.path.clone()).or_default();
        source.fail(file, Some(spec), name, error);
        if source.plugin().is_some() {
            return;
        }
        let last = LastManifest::read(self.storage.as_ref(), name).await;
        let known = last.and_then(|last| last.into_plugin(name, &error.message));
        if let Some(plugin) = known
            && self.claims.check_name(&file.path, name).is_ok()
            && self.claims.check(&file.path, &plugin).is_ok()
        {
            self.claim(&file.path, None, Some(&plugin));
            let source = self.sources.entry(file.path.clone()).or_default();
            source.stand_in(Arc::new(plugin));
        }
    }

    /// For a file that serves another plugin than before.
    fn claim(&mut self, path: &Path, before: Option<&Plugin>, now: Option<&Plugin>) {
        if let Some(before) = before {
            self.claims.give_up(before);
        }
        if let Some(now) = now {
            self.claims.claim(path, now);
        }
    }

    fn plugin(
        &mut self,
        file: &File,
        name: &str,
        checked: Checked,
        digest: String,
    ) -> Result<Plugin, LoadError> {
        self.claims.check_name(&file.path, name)?;
        let last = LastManifest {
            digest,
            manifest: checked.manifest.clone(),
            exports: checked.runtime.hooks.exports(),
        };
        let plugin = checked.into_plugin(name, &last.digest);
        self.claims.check(&file.path, &plugin)?;
        self.unkept.insert(name.to_owned(), last);
        Ok(plugin)
    }

    fn capabilities(&mut self, name: &str, spec: &PluginSpec) -> Capabilities {
        let storage = &self.storage;
        let key_values = self
            .key_values
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(KeyValue::new(name, Arc::clone(storage))));
        Capabilities {
            plugin: Arc::from(name),
            settings: Arc::from(serde_json::Value::Object(spec.settings.clone()).to_string()),
            log: Arc::new(PluginLog::new(name)),
            kv: spec.grants.kv.then(|| Arc::clone(key_values)),
            lister: spec.grants.objects.then(|| Arc::clone(&self.lister)),
        }
    }

    fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        let components = self.sources.values().filter_map(Source::plugin);
        let documents = self.documents.values().filter_map(Source::plugin);
        components.chain(documents)
    }

    fn publish(&mut self) {
        self.published = Some(Instant::now());
        let mut plugins: Vec<Arc<Plugin>> = self.plugins().map(Arc::clone).collect();
        plugins.sort_by(|one, other| one.name.cmp(&other.name));
        let problem = |path: &Path, message: Option<&str>| {
            Some(Problem {
                plugin: folder::plugin_name(path).unwrap_or_else(|_| stem(path)),
                message: format!("{} {}", path.display(), message?),
            })
        };
        let documents = self.documents.iter();
        let documents = documents.filter_map(|(path, it)| problem(path, it.problem()));
        let components = self.sources.iter();
        let components = components.filter_map(|(path, it)| problem(path, it.problem()));
        let folder = self.folder_problem.iter().map(|message| Problem {
            plugin: String::new(),
            message: message.clone(),
        });
        let loaded = Loaded {
            problems: folder.chain(documents).chain(components).collect(),
            plugins,
            is_complete: self.unseen.is_some() && !self.is_starting(),
        };
        self.sender.send_if_modified(|current| {
            let is_same = current.is_complete == loaded.is_complete
                && current.problems == loaded.problems
                && current.plugins.len() == loaded.plugins.len()
                && std::iter::zip(&current.plugins, &loaded.plugins)
                    .all(|(one, other)| Arc::ptr_eq(one, other));
            if !is_same {
                *current = Arc::new(loaded);
            }
            !is_same
        });
    }
}
