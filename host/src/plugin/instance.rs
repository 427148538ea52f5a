//! One instance of a plugin: a store of its own, bounded in time, memory and host calls.
//!
//! Each request has a fresh instance, and one instance serves all hooks of one write. After a trap, a limit
//! or a cancelled call the store is dropped: it may not be entered again. A call ends at the wall clock even
//! where its guest is blocked in a host call, which epochs do not interrupt.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::component::{InstancePre, ResourceTable};
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::breaker::{Breaker, Change};
use super::capability::wasi::{self, LogQuota};
use super::capability::{Access, Capabilities};
use super::concurrency::{OnCore, Place, Room, half_of_the_cores};
use super::contract::v1::Hooks;
use super::engine::{Engine, Ticking};
use super::limits::{CallLimits, Limits, MAX_HANDLES, StoreLimiter};
use crate::api::RequestContext;

/// Why a call has no result. What the client is told is decided by the contract.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("trapped: {0}")]
    Trapped(String),
    #[error("ran out of memory: {0}")]
    OutOfMemory(String),
    #[error("ran for more than {0} ms of CPU time")]
    CpuLimit(u32),
    #[error("did not answer within {} ms", .0.as_millis())]
    WallLimit(Duration),
    #[error("too many of its calls are running and waiting")]
    QueueFull,
    #[error("not called for {} s more, because it failed too often", .0.as_secs())]
    BreakerOpen(Duration),
    /// The text names the rule of the contract.
    #[error("broke the contract: {0}")]
    BrokenContract(String),
}

/// What is different about calls: their limits, their room, and what they may ask the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Hooks,
    /// Conversions: clocks and randomness are fixed, and nothing can be read.
    Convert,
    Columns,
    Backend,
    Poll,
}

/// A plugin that can be called.
pub(crate) struct PluginRuntime {
    engine: Arc<Engine>,
    pre: InstancePre<CallState>,
    pub(crate) hooks: Hooks,
    capabilities: Arc<Capabilities>,
    limits: Limits,
    breaker: Mutex<Breaker>,
    hook_room: Room,
    batch_room: Room,
    backend_room: Room,
    /// One pump per resource; the mirror starts no second one.
    poll_room: Room,
    cores: Arc<Semaphore>,
    /// Which groups the `objects` import may read; set when the manifest has been checked.
    pub(crate) groups: OnceLock<Arc<[String]>>,
}

impl PluginRuntime {
    pub(crate) fn new(
        engine: Arc<Engine>,
        pre: InstancePre<CallState>,
        hooks: Hooks,
        capabilities: Capabilities,
        limits: Limits,
    ) -> Self {
        Self {
            engine,
            pre,
            hooks,
            capabilities: Arc::new(capabilities),
            breaker: Mutex::new(Breaker::new()),
            hook_room: Room::new(limits.concurrent_hooks),
            batch_room: Room::new(limits.concurrent_batches),
            backend_room: Room::new(limits.concurrent_backend),
            poll_room: Room::new(limits.concurrent_backend),
            cores: half_of_the_cores(),
            limits,
            groups: OnceLock::new(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.capabilities.plugin
    }

    pub(crate) fn limits(&self, class: Class) -> CallLimits {
        match class {
            Class::Hooks => self.limits.hooks,
            Class::Convert | Class::Columns => self.limits.batch,
            Class::Backend => self.limits.backend,
            Class::Poll => self.limits.poll,
        }
    }

    /// A fresh instance for one request.
    ///
    /// # Errors
    /// The breaker is open, there is no room, or the component fails as it starts.
    pub(crate) async fn instance(
        self: &Arc<Self>,
        context: &RequestContext,
        class: Class,
    ) -> Result<Instance, CallError> {
        let room = match class {
            Class::Hooks => &self.hook_room,
            Class::Convert | Class::Columns => &self.batch_room,
            Class::Backend => &self.backend_room,
            Class::Poll => &self.poll_room,
        };
        let limits = self.limits(class);
        self.admit()?;
        let until = context.deadline.min(Instant::now() + limits.wall);
        let place = room.enter(until).await.map_err(|_| CallError::QueueFull)?;
        let access = if class == Class::Convert {
            Access::Deterministic
        } else {
            Access::Granted {
                context: context.clone(),
                groups: self.groups.get().cloned().unwrap_or_default(),
            }
        };
        self.start(limits, access, context.deadline, Some(place))
            .await
    }

    /// Compares the component with the contract and asks for its manifest, with no grants.
    ///
    /// # Errors
    /// One line that says what is wrong with the component.
    pub(crate) async fn describe(self: &Arc<Self>) -> Result<String, String> {
        let limits = self.limits.backend;
        let deadline = Instant::now() + limits.wall;
        let failed = |error: CallError| {
            format!("cannot be asked for its manifest: it {error}; its log says more")
        };
        let mut instance = self
            .start(limits, Access::Nothing, deadline, None)
            .await
            .map_err(failed)?;
        self.hooks
            .check_types(&mut instance.store, &instance.instance)?;
        let bounds = instance.begin(limits, deadline);
        let (store, guest) = (&mut instance.store, &instance.instance);
        let call = self.hooks.describe(store, guest);
        let result = bounds.run(call).await;
        instance.end(result).map_err(failed)
    }

    async fn start(
        self: &Arc<Self>,
        limits: CallLimits,
        access: Access,
        deadline: Instant,
        place: Option<Place>,
    ) -> Result<Instance, CallError> {
        let ticking = self.engine.ticking();
        let log_quota = LogQuota::new();
        let mut store = Store::new(
            self.engine.wasmtime(),
            CallState {
                limiter: StoreLimiter::new(self.engine.memory(), self.limits.memory_bytes),
                wasi: wasi::context(&self.capabilities, &access, &log_quota),
                table: table(),
                cpu_ticks: 0,
                cpu_ticks_max: limits.cpu_ticks,
                deadline,
                access,
                log_quota,
                capabilities: Arc::clone(&self.capabilities),
            },
        );
        store.limiter(|state| &mut state.limiter);
        store.set_max_component_handles(MAX_HANDLES);
        store.epoch_deadline_callback(|mut store| {
            let state = store.data_mut();
            state.cpu_ticks += 1;
            if state.cpu_ticks >= state.cpu_ticks_max {
                return Ok(UpdateDeadline::Interrupt);
            }
            // A plain yield would be scheduled again before the tasks that wait.
            let others_first = Box::pin(tokio::task::yield_now());
            Ok(UpdateDeadline::YieldCustom(1, others_first))
        });
        let bounds = Bounds::arm(self, &mut store, limits, deadline);
        let started = bounds.run(self.pre.instantiate_async(&mut store)).await;
        match self.report(&store, started, limits) {
            Ok(instance) => Ok(Instance {
                runtime: Arc::clone(self),
                store,
                instance,
                is_poisoned: false,
                limits,
                _ticking: ticking,
                _place: place,
            }),
            Err(error) => Err(error),
        }
    }

    fn admit(&self) -> Result<(), CallError> {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        breaker
            .admit(Instant::now())
            .map_err(CallError::BreakerOpen)
    }

    /// Counts a finished call, and gives its failure a name.
    fn report<R>(
        &self,
        store: &Store<CallState>,
        result: Result<R, Failed>,
        limits: CallLimits,
    ) -> Result<R, CallError> {
        let result = result.map_err(|failed| failed.name(store.data(), limits));
        self.count(result.is_ok());
        result
    }

    /// Tells the breaker how a call ended.
    pub(crate) fn count(&self, has_succeeded: bool) {
        let change = self
            .breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .report(Instant::now(), has_succeeded);
        match change {
            Some(Change::Opened { retry_after }) => tracing::warn!(
                plugin.name = self.name(),
                retry_after_seconds = retry_after.as_secs(),
                "the plugin fails too often: its calls are refused for a while"
            ),
            Some(Change::Closed) => {
                tracing::info!(plugin.name = self.name(), "the plugin works again");
            }
            None => {}
        }
    }
}

fn table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_HANDLES);
    table
}

/// What belongs to one store, and what host functions see.
pub(crate) struct CallState {
    limiter: StoreLimiter,
    wasi: WasiCtx,
    table: ResourceTable,
    cpu_ticks: u32,
    cpu_ticks_max: u32,
    /// When the call that is running ends.
    pub(crate) deadline: Instant,
    pub(crate) access: Access,
    pub(crate) log_quota: LogQuota,
    pub(crate) capabilities: Arc<Capabilities>,
}

impl WasiView for CallState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// An instance and its store. Dropping it in the middle of a call cancels the call.
pub(crate) struct Instance {
    runtime: Arc<PluginRuntime>,
    pub(crate) store: Store<CallState>,
    pub(crate) instance: wasmtime::component::Instance,
    is_poisoned: bool,
    limits: CallLimits,
    _ticking: Ticking,
    _place: Option<Place>,
}

impl Instance {
    /// Prepares one call: what [`Bounds::run`] runs is bounded by `limits` and `deadline`.
    pub(crate) fn begin(&mut self, limits: CallLimits, deadline: Instant) -> Bounds {
        // Poisoned until it has ended well, so that a call that is cancelled leaves it so.
        self.is_poisoned = true;
        self.limits = limits;
        Bounds::arm(&self.runtime, &mut self.store, limits, deadline)
    }

    /// Counts how a call ended.
    pub(crate) fn end<R>(&mut self, result: Result<R, Failed>) -> Result<R, CallError> {
        self.is_poisoned = result.is_err();
        self.runtime.report(&self.store, result, self.limits)
    }

    /// Whether it may be called again.
    pub(crate) fn is_usable(&self) -> bool {
        !self.is_poisoned
    }
}

/// The time that a call has.
pub(crate) struct Bounds {
    until: Instant,
    cores: Arc<Semaphore>,
}

/// A call that ended without a result, before the store has been asked why.
pub(crate) enum Failed {
    Wasm(wasmtime::Error),
    TimedOut,
    Panicked,
}

impl Bounds {
    fn arm(
        runtime: &PluginRuntime,
        store: &mut Store<CallState>,
        limits: CallLimits,
        deadline: Instant,
    ) -> Self {
        let until = deadline.min(Instant::now() + limits.wall);
        store.set_hostcall_fuel(limits.transfer_bytes);
        store.set_epoch_deadline(1);
        let state = store.data_mut();
        state.cpu_ticks = 0;
        state.cpu_ticks_max = limits.cpu_ticks;
        state.deadline = until;
        Self {
            until,
            cores: Arc::clone(&runtime.cores),
        }
    }

    pub(crate) async fn run<R>(
        self,
        call: impl Future<Output = wasmtime::Result<R>>,
    ) -> Result<R, Failed> {
        let call = std::pin::pin!(call);
        // A panic in wasmtime or a host function costs this call, not the process.
        let call = AssertUnwindSafe(OnCore::new(&self.cores, call)).catch_unwind();
        match tokio::time::timeout_at(self.until, call).await {
            Ok(Ok(Ok(result))) => Ok(result),
            Ok(Ok(Err(error))) => Err(Failed::Wasm(error)),
            Ok(Err(_panic)) => Err(Failed::Panicked),
            Err(_elapsed) => Err(Failed::TimedOut),
        }
    }
}

impl Failed {
    fn name(self, state: &CallState, limits: CallLimits) -> CallError {
        match self {
            Self::TimedOut => CallError::WallLimit(limits.wall),
            Self::Panicked => CallError::Trapped("the host panicked while it ran".into()),
            Self::Wasm(error) => {
                if state.cpu_ticks >= state.cpu_ticks_max {
                    return CallError::CpuLimit(limits.cpu_ticks);
                }
                // On one line, with the guest's frames.
                let text = format!("{error:#}").replace('\n', " ");
                if state.limiter.has_refused_memory {
                    CallError::OutOfMemory(text)
                } else {
                    CallError::Trapped(text)
                }
            }
        }
    }
}
