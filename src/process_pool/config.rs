//! What a pool is made with: checked values, defaults filled in.

use crate::error::{Error, Result, fail};
use crate::future::bound::FullPolicy;
use crate::future::buffer::BufferRef;
use crate::future::cell::TaskFn;
use crate::future::extra::Text;
use crate::platform::cpu;
use crate::shared::Shared;

/// How a worker process is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartMethod {
    /// Forked by the supervisor, which has loaded what all of them need.
    ForkServer,
    /// Executed anew.
    Spawn,
}

/// What the death of a worker costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnDeath {
    FailTask,
    BreakPool,
}

/// A task that runs once in each worker before its first one.
pub(crate) struct Initializer {
    pub(crate) function: Option<TaskFn>,
    /// Of a named one; else empty.
    pub(crate) name: Text,
    pub(crate) data: BufferRef,
}

/// Texts in the order given.
pub(crate) struct Texts(Vec<Text>);

impl Texts {
    pub(crate) const NONE: Texts = Texts(Vec::new());

    /// A copy with one more; None when there is no memory.
    pub(crate) fn push(&mut self, text: Text) -> Option<()> {
        self.0.try_reserve(1).ok()?;
        self.0.push(text);
        Some(())
    }

    pub(crate) fn try_clone(&self) -> Option<Texts> {
        let mut copy = Texts::NONE;
        for text in &self.0 {
            copy.push(Text::copy(text.as_bytes())?)?;
        }
        Some(copy)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Text> {
        self.0.iter()
    }

    pub(crate) fn remove_if(&mut self, which: impl Fn(&Text) -> bool) {
        self.0.retain(|text| !which(text));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
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
    pub(crate) start_method: StartMethod,
    /// None: a worker that is asked for may take any time to be ready.
    pub(crate) start_timeout: Option<u64>,
    /// Here and below: 0 = no limit.
    pub(crate) tasks_per_worker: u64,
    pub(crate) rss_per_worker: u64,
    pub(crate) memory_limit: u64,
    pub(crate) cpu_time_limit: u64,
    pub(crate) nice: Option<i32>,
    pub(crate) on_death: OnDeath,
    /// How long a worker looks for work before it sleeps.
    pub(crate) linger_ns: u64,
    pub(crate) name: Text,
    /// Empty: no timeline.
    pub(crate) trace_file: Text,
    /// Empty: this program if it has the guard, else the library's own.
    pub(crate) worker_program: Text,
    pub(crate) preload: Text,
    pub(crate) arguments: Texts,
    /// NAME=value.
    pub(crate) environment: Texts,
    pub(crate) initializer: Option<Shared<Initializer>>,
}

/// Largest value of CFUT_OPT_WORKERS for processes.
pub(crate) const MOST_WORKERS: u32 = 1024;

/// A worker that is not ready after this long is taken for one that hangs.
pub(crate) const DEFAULT_START_NS: u64 = 60_000_000_000;

/// The default number of workers: as many as can compute at once.
pub(crate) fn default_workers() -> u32 {
    cpu::cpus().usable
}

/// As for threads (`thread_pool::config`): waking a core costs about as much.
pub(crate) fn default_linger() -> u64 {
    let cpus = cpu::cpus();
    if cpus.usable > 1 && cpus.usable == cpus.affinity { 50_000 } else { 0 }
}

impl Config {
    /// What cannot be checked option by option.
    pub(crate) fn check(&self) -> Result<()> {
        if self.workers > MOST_WORKERS {
            return fail!(
                Invalid,
                "CFUT_OPT_WORKERS is {}; a process pool has at most {MOST_WORKERS}",
                self.workers
            );
        }
        if self.keep > self.workers {
            return fail!(
                Invalid,
                "CFUT_OPT_MIN_WORKERS is {}, more than the {} of CFUT_OPT_WORKERS",
                self.keep,
                self.workers
            );
        }
        if !self.arguments.is_empty() && self.worker_program.is_empty() {
            return fail!(
                Invalid,
                "cfut_options_add_worker_arg is for a program named by CFUT_OPT_WORKER_PROGRAM"
            );
        }
        Ok(())
    }

    pub(super) fn no_memory(what: &str) -> Error {
        Error::no_memory(what, 4096)
    }
}
