//! wasmtime alone: the component of examples/wardle in a fresh instance for each call, from the same pool and with the
//! same limits as the product's, and the mapping of compiled components.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use outrigger::plugin::{Loader, LoaderConfig, NoObjects, Plugin};
use outrigger::storage::memory::MemoryStorage;
use tempfile::TempDir;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use self::bindings::exports::outrigger::plugin as exported;
use self::bindings::outrigger::plugin as imported;
use self::imported::types::{Failure, Target};
use crate::bench::Settings;

mod bindings {
    #![allow(
        clippy::all,
        missing_docs,
        unreachable_pub,
        reason = "generated from the WIT"
    )]
    wasmtime::component::bindgen!({
        path: "../../guest-sdk/wit",
        inline: "
            package outrigger:bench;
            world hooks {
                import outrigger:plugin/objects@1.0.0;
                include outrigger:plugin/defaults-export@1.0.0;
                include outrigger:plugin/validate-export@1.0.0;
            }
        ",
        world: "outrigger:bench/hooks",
        imports: { default: async | trappable },
        exports: { default: async },
        require_store_data_send: true,
    });
}

const LOAD_DEADLINE: Duration = Duration::from_secs(120);
/// As host/src/plugin/limits.rs and engine.rs have them.
const STORE_MEMORY_BYTES: usize = 64 << 20;
const MAX_HANDLES: usize = 1_000;
const TRANSFER_BYTES: usize = 8 << 20;
const TICK: Duration = Duration::from_millis(1);

/// Which hooks are called in one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hooks {
    Validate,
    DefaultAndValidate,
}

/// The component, linked.
pub(crate) struct BareEngine {
    engine: Engine,
    pre: InstancePre<State>,
    defaults: exported::defaults::GuestIndices,
    validate: exported::validate::GuestIndices,
    _ticker: Ticker,
}

struct State {
    limits: StoreLimits,
    wasi: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl imported::types::Host for State {}

/// There are no objects.
impl imported::objects::Host for State {
    async fn get(
        &mut self,
        _group: String,
        _version: String,
        _resource: String,
        _namespace: Option<String>,
        _name: String,
    ) -> wasmtime::Result<Result<Option<String>, Failure>> {
        Ok(Ok(None))
    }

    async fn list(
        &mut self,
        _group: String,
        _version: String,
        _resource: String,
        _namespace: Option<String>,
        _label_selector: String,
    ) -> wasmtime::Result<Result<Vec<String>, Failure>> {
        Ok(Ok(Vec::new()))
    }
}

impl BareEngine {
    pub(crate) fn compile(component: &Path) -> Result<Self> {
        let engine = engine()?;
        let component = Component::from_file(&engine, component).map_err(shown)?;
        let pre = link(&engine, &component)?;
        Ok(Self {
            defaults: exported::defaults::GuestIndices::new(&pre).map_err(shown)?,
            validate: exported::validate::GuestIndices::new(&pre).map_err(shown)?,
            _ticker: Ticker::start(engine.clone())?,
            engine,
            pre,
        })
    }

    /// One fresh instance.
    pub(crate) async fn call(&self, hooks: Hooks, object: &String) -> Result<()> {
        self.try_call(hooks, object).await.map_err(shown)?
    }

    async fn try_call(&self, hooks: Hooks, object: &String) -> wasmtime::Result<Result<()>> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let state = State {
            limits: StoreLimitsBuilder::new()
                .memory_size(STORE_MEMORY_BYTES)
                .build(),
            wasi: WasiCtx::builder().build(),
            table,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.limits);
        store.set_max_component_handles(MAX_HANDLES);
        store.set_hostcall_fuel(TRANSFER_BYTES);
        store.epoch_deadline_callback(|_| Ok(UpdateDeadline::Yield(1)));
        store.set_epoch_deadline(1);
        let instance = self.pre.instantiate_async(&mut store).await?;
        let target = target();
        if hooks == Hooks::DefaultAndValidate {
            let guest = self.defaults.load(&mut store, &instance)?;
            let answer = guest.call_apply(&mut store, &target, object).await?;
            if let Err(failure) = answer {
                return Ok(Err(anyhow!("it is refused: {}", failure.message)));
            }
        }
        let guest = self.validate.load(&mut store, &instance)?;
        let answer = guest.call_check(&mut store, &target, object, None).await?;
        Ok(match answer {
            Ok(_) => Ok(()),
            Err(failure) => Err(anyhow!("it is refused: {}", failure.message)),
        })
    }
}

fn target() -> Target {
    Target {
        group: "wardle.example.com".into(),
        version: "v1beta1".into(),
        resource: "flunders".into(),
        subresource: None,
        namespace: Some("default".into()),
        name: Some("a".into()),
        verb: "create".into(),
        operation: "create".into(),
        dry_run: false,
    }
}

fn link<'a>(engine: &'a Engine, component: &'a Component) -> Result<InstancePre<State>> {
    let mut linker = Linker::<State>::new(engine);
    let mut define = || {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        imported::types::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
        imported::objects::add_to_linker::<_, HasSelf<State>>(&mut linker, |state| state)?;
        // What it could import and does not need here.
        linker.define_unknown_imports_as_traps(component)?;
        linker.instantiate_pre(component)
    };
    define().map_err(shown)
}

fn engine() -> Result<Engine> {
    Engine::new(&outrigger::plugin::Engine::settings()).map_err(shown)
}

fn shown(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

/// Maps and links all compiled components in a folder; how many, and how long it takes.
pub(crate) fn map_and_link(folder: &Path) -> Result<(usize, Duration)> {
    let engine = engine()?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "cwasm") {
            files.push(path);
        }
    }
    let began = Instant::now();
    let mut linked = Vec::with_capacity(files.len());
    for file in &files {
        linked.push(link(&engine, &map(&engine, file)?)?);
    }
    Ok((linked.len(), began.elapsed()))
}

#[expect(
    unsafe_code,
    reason = "mapping compiled code is unsafe by nature: it is run as it is"
)]
fn map(engine: &Engine, file: &Path) -> Result<Component> {
    // SAFETY: the product has just written the file, into a folder of this run; nobody changes it.
    unsafe { Component::deserialize_file(engine, file) }.map_err(shown)
}

/// Lets epochs pass.
struct Ticker {
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: Engine) -> Result<Self> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_stopped);
        let thread = std::thread::Builder::new()
            .name("ticker".into())
            .spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(TICK);
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            is_stopped,
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The plugin as the product loads it, in this process.
pub(crate) async fn plugin(settings: &Settings) -> Result<Arc<Plugin>> {
    let folder = TempDir::with_prefix("outrigger-plugin-")?;
    let plugins = folder.path().join("plugins");
    std::fs::create_dir(&plugins)?;
    std::fs::copy(&settings.plugin, plugins.join("wardle.wasm"))?;
    let config = LoaderConfig {
        folder: plugins,
        data_dir: folder.path().join("data"),
        compiler: settings.server.clone(),
    };
    let engine = Arc::new(outrigger::plugin::Engine::new()?);
    let storage = Arc::new(MemoryStorage::new());
    let loader = Loader::start(config, engine, storage, Arc::new(NoObjects))?;
    let mut loaded = loader.loaded();
    let complete = loaded.wait_for(|it| it.is_complete);
    let loaded = tokio::time::timeout(LOAD_DEADLINE, complete)
        .await
        .context("the plugin is not loaded in time")??;
    match loaded.plugins.first() {
        Some(plugin) => Ok(Arc::clone(plugin)),
        None => bail!("the plugin is not loaded: {:?}", loaded.problems),
    }
}
