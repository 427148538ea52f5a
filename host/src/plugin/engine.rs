//! The one wasmtime engine of the process, and the clock that bounds what its guests may run.
//!
//! Cranelift only; without threads, memory64, relaxed SIMD and garbage collection. Multi-memory stays on:
//! components with nested components make the compiler panic without it. Epochs tick each millisecond, and
//! only while a call is running, so that an idle server sleeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, Strategy,
};

use super::limits::MemoryBudget;

/// CPU time of guests is counted in ticks of this length.
const TICK: Duration = Duration::from_millis(1);

/// Enough for interpreters compiled to WebAssembly.
const WASM_STACK_BYTES: usize = 1 << 20;
/// Leaves the other half to host functions, whose overflow would end the process.
const ASYNC_STACK_BYTES: usize = 2 << 20;
/// The largest initial images seen are 12.4 MiB (Python).
const DENSE_IMAGE_BYTES: u64 = 16 << 20;
/// What stays mapped in a returned slot of the pool; only worth it where the kernel reports dirty pages.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;
/// The same of a table, where it costs a memset; without it each call unmaps pages, for which all threads of the
/// process are interrupted.
const KEEP_TABLE_RESIDENT_BYTES: usize = 16 << 10;

pub struct Engine {
    wasmtime: wasmtime::Engine,
    ticker: EpochTicker,
    memory: Arc<MemoryBudget>,
}

impl Engine {
    /// With a pool of instances where the address space has room for it (2 TiB), else without.
    ///
    /// # Errors
    /// This machine cannot run WebAssembly as configured.
    pub fn new() -> anyhow::Result<Self> {
        let wasmtime = match wasmtime::Engine::new(&Self::settings()) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::info!(
                    error = format!("{error:#}"),
                    "no address space for a pool of plugin instances: they are allocated on demand"
                );
                new_engine(&config())?
            }
        };
        Self::over(wasmtime)
    }

    /// What wasmtime is told where it has room for a pool of instances; compiled components are exchangeable with
    /// those of whoever tells it the same.
    pub fn settings() -> Config {
        let mut pooled = config();
        pooled.allocation_strategy(pool());
        pooled
    }

    /// For a process that compiles or runs one component and ends.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn on_demand() -> anyhow::Result<Self> {
        Self::over(new_engine(&config())?)
    }

    fn over(wasmtime: wasmtime::Engine) -> anyhow::Result<Self> {
        Ok(Self {
            ticker: EpochTicker::start(wasmtime.weak())?,
            memory: Arc::new(MemoryBudget::default()),
            wasmtime,
        })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.wasmtime
    }

    pub(crate) fn memory(&self) -> &Arc<MemoryBudget> {
        &self.memory
    }

    /// Epochs tick as long as what this returns lives.
    pub(crate) fn ticking(&self) -> Ticking {
        self.ticker.ticking()
    }
}

fn new_engine(config: &Config) -> anyhow::Result<wasmtime::Engine> {
    wasmtime::Engine::new(config)
        .map_err(|error| anyhow::anyhow!("WebAssembly cannot be run here: {error:#}"))
}

/// What decides about compiled code; allocation does not, so that every process shares one cache.
fn config() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .memory_init_cow(true)
        .memory_guaranteed_dense_image_size(DENSE_IMAGE_BYTES)
        .native_unwind_info(true);
    config
}

fn pool() -> InstanceAllocationStrategy {
    let keep_resident = if PoolingAllocationConfig::is_pagemap_scan_available() {
        KEEP_RESIDENT_BYTES
    } else {
        0
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(256)
        .total_stacks(256)
        .total_memories(512)
        .total_tables(1024)
        .total_core_instances(4096)
        .max_core_instances_per_component(64)
        .max_memories_per_component(8)
        .max_tables_per_component(32)
        .max_memories_per_module(2)
        .max_tables_per_module(2)
        .table_elements(20_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_memory_size(512 << 20)
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(keep_resident)
        .table_keep_resident(KEEP_TABLE_RESIDENT_BYTES)
        .max_unused_warm_slots(64)
        .decommit_batch_size(8);
    InstanceAllocationStrategy::Pooling(pool)
}

/// One thread of the operating system: a task could starve behind the guests that it is to interrupt.
struct EpochTicker {
    shared: Arc<TickerState>,
    thread: Option<JoinHandle<()>>,
}

struct TickerState {
    running_calls: AtomicUsize,
    is_stopped: AtomicBool,
}

impl EpochTicker {
    fn start(engine: wasmtime::EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::new(TickerState {
            running_calls: AtomicUsize::new(0),
            is_stopped: AtomicBool::new(false),
        });
        let state = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("epoch-ticker".into())
            .spawn(move || {
                while !state.is_stopped.load(Ordering::SeqCst) {
                    // An unpark that comes between the look and the park is kept: park returns at once.
                    if state.running_calls.load(Ordering::SeqCst) == 0 {
                        std::thread::park();
                        continue;
                    }
                    std::thread::sleep(TICK);
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    fn ticking(&self) -> Ticking {
        if self.shared.running_calls.fetch_add(1, Ordering::SeqCst) == 0
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Ticking {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for EpochTicker {
    fn drop(&mut self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It can only have ended by a panic in wasmtime, which the panic hook has shown.
            let _ = thread.join();
        }
    }
}

pub(crate) struct Ticking {
    shared: Arc<TickerState>,
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.shared.running_calls.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(wat: &str) -> Result<(), String> {
        let engine = Engine::on_demand().expect("an engine");
        wasmtime::Engine::precompile_module(engine.wasmtime(), wat.as_bytes())
            .map(|_| ())
            .map_err(|error| format!("{error:#}"))
    }

    /// `(module (memory <limits>))` in binary form.
    fn memory_module(limits: &[u8]) -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0\x05".to_vec();
        module.push(u8::try_from(limits.len() + 1).expect("short"));
        module.push(1);
        module.extend_from_slice(limits);
        module
    }

    #[test]
    fn refuses_proposals_that_plugins_do_not_need() {
        let engine = Engine::on_demand().expect("an engine");
        let accepts = |limits: &[u8]| {
            engine
                .wasmtime()
                .precompile_module(&memory_module(limits))
                .is_ok()
        };
        assert!(accepts(&[0, 1]), "a plain memory");
        assert!(!accepts(&[3, 1, 1]), "a shared memory (threads)");
        assert!(!accepts(&[4, 1]), "a 64-bit memory (memory64)");
        assert!(compile("(module)").is_err(), "text is not WebAssembly");
    }

    #[test]
    fn compiles_the_same_code_with_and_without_a_pool() {
        let hash = |engine: &Engine| super::super::compile_cache::compatibility(engine);
        let (pooled, plain) = (
            Engine::new().expect("an engine"),
            Engine::on_demand().expect("an engine"),
        );
        assert_eq!(hash(&pooled), hash(&plain));
    }
}
