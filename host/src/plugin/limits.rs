//! What one call of a plugin may use: time, memory, and bytes over host calls.
//!
//! A core wasm memory is limited by itself in wasmtime's own `StoreLimits`; here all memories of a store are
//! summed, and all stores of the process draw on one budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// All linear memories of a store together.
pub(crate) const STORE_MEMORY_BYTES: usize = 64 << 20;
/// All linear memories of all plugins together.
const PROCESS_MEMORY_BYTES: usize = 2 << 30;
const MAX_CORE_INSTANCES: usize = 64;
const MAX_MEMORIES: usize = 8;
const MAX_TABLES: usize = 32;
/// All tables of a store together; the largest single one seen has 7,688 elements.
const STORE_TABLE_ELEMENTS: usize = 40_000;

/// Component handles alive at once in a store.
pub(crate) const MAX_HANDLES: usize = 1_000;
/// What one call may log, with standard output and error.
pub(crate) const LOG_BYTES: usize = 64 << 10;

/// Limits of one call into a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallLimits {
    /// In ticks of a millisecond in which the guest ran.
    pub(crate) cpu_ticks: u32,
    pub(crate) wall: Duration,
    /// What the guest may hand to host functions and back as results.
    pub(crate) transfer_bytes: usize,
}

/// The classes of calls, each with its own limits and its own room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) hooks: CallLimits,
    /// A batch of conversions or of table rows.
    pub(crate) batch: CallLimits,
    pub(crate) backend: CallLimits,
    /// A poll for changes; its wall clock adds the time that it was asked to wait.
    pub(crate) poll: CallLimits,
    pub(crate) memory_bytes: usize,
    pub(crate) concurrent_hooks: usize,
    pub(crate) concurrent_batches: usize,
    pub(crate) concurrent_backend: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hooks: CallLimits {
                cpu_ticks: 200,
                wall: Duration::from_secs(2),
                transfer_bytes: 8 << 20,
            },
            batch: CallLimits {
                cpu_ticks: 500,
                wall: Duration::from_secs(5),
                transfer_bytes: 8 << 20,
            },
            backend: CallLimits {
                cpu_ticks: 500,
                wall: Duration::from_secs(10),
                transfer_bytes: 16 << 20,
            },
            poll: CallLimits {
                cpu_ticks: 200,
                wall: Duration::from_secs(5),
                transfer_bytes: 16 << 20,
            },
            memory_bytes: STORE_MEMORY_BYTES,
            concurrent_hooks: 16,
            concurrent_batches: 4,
            concurrent_backend: 32,
        }
    }
}

/// Bytes that are left to the memories of all plugins.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    left: AtomicUsize,
}

impl Default for MemoryBudget {
    fn default() -> Self {
        Self {
            left: AtomicUsize::new(PROCESS_MEMORY_BYTES),
        }
    }
}

impl MemoryBudget {
    fn take(&self, bytes: usize) -> bool {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.left.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Counts what the memories and tables of one store hold.
pub(crate) struct StoreLimiter {
    budget: Arc<MemoryBudget>,
    memory_max_bytes: usize,
    memory_bytes: usize,
    table_elements: usize,
    /// Whether memory was refused: a trap after that is most likely the guest's allocator giving up.
    pub(crate) has_refused_memory: bool,
}

impl StoreLimiter {
    pub(crate) fn new(budget: &Arc<MemoryBudget>, memory_max_bytes: usize) -> Self {
        Self {
            budget: Arc::clone(budget),
            memory_max_bytes,
            memory_bytes: 0,
            table_elements: 0,
            has_refused_memory: false,
        }
    }
}

impl ResourceLimiter for StoreLimiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let is_allowed = self.memory_bytes.saturating_add(more) <= self.memory_max_bytes
            && self.budget.take(more);
        if is_allowed {
            self.memory_bytes += more;
        } else {
            self.has_refused_memory = true;
        }
        Ok(is_allowed)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements + desired.saturating_sub(current);
        let is_allowed = total <= STORE_TABLE_ELEMENTS;
        if is_allowed {
            self.table_elements = total;
        }
        Ok(is_allowed)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

impl Drop for StoreLimiter {
    fn drop(&mut self) {
        self.budget.give_back(self.memory_bytes);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a limiter that fails is a failed test")]
    use super::*;

    #[test]
    fn sums_all_memories_of_a_store() {
        let budget = Arc::new(MemoryBudget::default());
        let mut limiter = StoreLimiter::new(&budget, STORE_MEMORY_BYTES);
        assert!(limiter.memory_growing(0, 40 << 20, None).unwrap());
        assert!(limiter.memory_growing(0, 24 << 20, None).unwrap());
        assert!(!limiter.memory_growing(24 << 20, 25 << 20, None).unwrap());
        assert!(limiter.has_refused_memory);
    }

    #[test]
    fn gives_memory_back_to_the_process() {
        let budget = Arc::new(MemoryBudget::default());
        let stores: Vec<StoreLimiter> = (0..32)
            .map(|_| {
                let mut limiter = StoreLimiter::new(&budget, STORE_MEMORY_BYTES);
                assert!(limiter.memory_growing(0, 64 << 20, None).unwrap());
                limiter
            })
            .collect();
        let mut one_more = StoreLimiter::new(&budget, STORE_MEMORY_BYTES);
        assert!(!one_more.memory_growing(0, 1 << 16, None).unwrap());
        drop(stores);
        assert!(one_more.memory_growing(0, 1 << 16, None).unwrap());
    }
}
