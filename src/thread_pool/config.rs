//! What a pool is made with: checked values, defaults filled in.

use super::sleep::MOST_THREADS;
use crate::error::{Result, fail};
use crate::future::bound::FullPolicy;
use crate::future::buffer::BufferRef;
use crate::future::cell::TaskFn;
use crate::future::extra::Text;
use crate::platform::cpu;
use crate::shared::Shared;
use std::ffi::c_void;

/// In a worker thread as it starts (not 0: the pool breaks) and as it leaves.
pub(crate) type HookFn = unsafe extern "C-unwind" fn(argument: *mut c_void, worker: u32) -> i32;

/// The user's hooks; `keep` frees the argument with the last pool and builder that has it.
pub(crate) struct WorkerHooks {
    pub(crate) start: Option<HookFn>,
    pub(crate) stop: Option<HookFn>,
    pub(crate) argument: *mut c_void,
    #[allow(dead_code)] // kept for what its end calls
    pub(crate) keep: BufferRef,
}

// SAFETY: the argument is the user's, who was told by the header that worker threads use it.
unsafe impl Send for WorkerHooks {}
// SAFETY: as above.
unsafe impl Sync for WorkerHooks {}

/// A task that runs once in each worker before its first one.
pub(crate) struct Initializer {
    pub(crate) function: TaskFn,
    pub(crate) data: BufferRef,
}

pub(crate) struct Config {
    /// Most workers.
    pub(crate) workers: u32,
    /// Workers that stay when idle.
    pub(crate) keep: u32,
    /// An idle worker above `keep` leaves after this; None: never.
    pub(crate) idle_ns: Option<u64>,
    /// 0: no bound.
    pub(crate) queue_limit: u64,
    pub(crate) queue_bytes: u64,
    pub(crate) full_policy: FullPolicy,
    /// Negative: for ever.
    pub(crate) full_timeout: i64,
    /// 0: the system's default.
    pub(crate) stack_size: usize,
    pub(crate) nice: Option<i32>,
    /// How long one idle worker looks for work before it sleeps.
    pub(crate) linger_ns: u64,
    pub(crate) waiters_help: bool,
    pub(crate) name: Text,
    /// Empty: no timeline.
    pub(crate) trace_file: Text,
    pub(crate) initializer: Option<Shared<Initializer>>,
    pub(crate) hooks: Option<Shared<WorkerHooks>>,
}

/// By how many blocked workers a pool may exceed its maximum.
pub(crate) const EXTRA_WORKERS: u32 = if cfg!(loom) { 1 } else { 256 };

/// Largest value of CFUT_OPT_WORKERS.
pub(crate) const MOST_WORKERS: u32 = MOST_THREADS - EXTRA_WORKERS - 1;

/// A woken core of a virtual machine needs about 50 microseconds: as long as that, looking
/// costs no more than sleeping would.
const DEFAULT_LINGER_NS: u64 = 50_000;

/// An idle worker above the minimum stays this long unless told otherwise.
pub(crate) const DEFAULT_IDLE_NS: u64 = 10_000_000_000;

/// The default number of workers: enough for some that block, as Python has it.
pub(crate) fn default_workers() -> u32 {
    (cpu::cpus().usable + 4).min(32)
}

impl Config {
    /// `min(target)`: how many may be awake without the monitor's leave.
    pub(crate) fn target(&self) -> u32 {
        cpu::cpus().usable.min(self.workers).max(1)
    }

    /// Lingering pays only where a processor is left over for it, and steals from the
    /// workers where a quota is smaller than the processors.
    pub(crate) fn default_linger() -> u64 {
        let cpus = cpu::cpus();
        if cpus.usable > 1 && cpus.usable == cpus.affinity { DEFAULT_LINGER_NS } else { 0 }
    }

    pub(crate) fn has_stop_hook(&self) -> bool {
        self.hooks.as_ref().is_some_and(|hooks| hooks.stop.is_some())
    }

    /// What cannot be checked option by option.
    pub(crate) fn check(&self) -> Result<()> {
        if self.keep > self.workers {
            return fail!(
                Invalid,
                "CFUT_OPT_MIN_WORKERS is {}, more than the {} of CFUT_OPT_WORKERS",
                self.keep,
                self.workers
            );
        }
        Ok(())
    }
}
