//! Section 3 of the header: what a process pool is made with, out of the options.

use super::keys;
use super::options::{First, Options};
use super::task::Target;
use crate::error::{Error, Result, fail};
use crate::future::bound::FullPolicy;
use crate::future::extra::Text;
use crate::process_pool::{
    Config, DEFAULT_START_NS, Initializer, OnDeath, StartMethod, default_linger, default_workers,
};
use crate::shared::Shared;

/// The configuration of a process pool.
pub(super) fn config(options: &Options) -> Result<Config> {
    options.refuse(
        &[keys::OPT_STACK_SIZE, keys::OPT_WAITERS_HELP],
        &[],
        "for thread pools; tasks of a process pool run in other processes",
    )?;
    if options.hooks.is_some() {
        return fail!(
            NotSupported,
            "worker hooks are for thread pools; what a worker process needs is done by an initializer"
        );
    }
    if options.full_policy() == FullPolicy::RunInCaller {
        return fail!(
            NotSupported,
            "CFUT_FULL_RUN_IN_CALLER is for thread pools: run in its caller a task could end the \
             program"
        );
    }
    let number = |key: i32| options.get(key).unwrap_or(0) as u64;
    let workers = options.get(keys::OPT_WORKERS).map_or_else(default_workers, |set| set as u32);
    let (keep, idle_ns) = options.idling(workers);
    let worker_program = options.text(keys::OPT_WORKER_PROGRAM)?;
    let no_memory = || Error::no_memory("the options of a process pool", 4096);
    Ok(Config {
        workers,
        keep,
        idle_ns,
        queue_limit: number(keys::OPT_QUEUE_LIMIT),
        queue_bytes: number(keys::OPT_QUEUE_BYTES),
        full_policy: options.full_policy(),
        full_timeout: options.get(keys::OPT_FULL_TIMEOUT_NS).unwrap_or(-1),
        start_method: match options.get(keys::OPT_START_METHOD) {
            Some(1) => StartMethod::Spawn,
            Some(_) => StartMethod::ForkServer,
            // A program of the user's may have threads, with which forking is not safe.
            None if !worker_program.is_empty() => StartMethod::Spawn,
            None => StartMethod::ForkServer,
        },
        start_timeout: match options.get(keys::OPT_START_TIMEOUT_NS) {
            None => Some(DEFAULT_START_NS),
            Some(set) => u64::try_from(set).ok(),
        },
        tasks_per_worker: number(keys::OPT_TASKS_PER_WORKER),
        rss_per_worker: number(keys::OPT_RSS_PER_WORKER),
        memory_limit: number(keys::OPT_MEMORY_LIMIT),
        cpu_time_limit: number(keys::OPT_CPU_TIME_LIMIT),
        nice: options.get(keys::OPT_NICE).map(|set| set as i32),
        on_death: match options.get(keys::OPT_ON_WORKER_DEATH) {
            Some(1) => OnDeath::BreakPool,
            _ => OnDeath::FailTask,
        },
        linger_ns: match options.get(keys::OPT_SPIN_NS) {
            None | Some(-1) => default_linger(),
            Some(set) => set as u64,
        },
        name: options.text(keys::OPT_NAME)?,
        trace_file: options.text(keys::OPT_TRACE_FILE)?,
        worker_program,
        preload: options.text(keys::OPT_PRELOAD)?,
        arguments: options.arguments.try_clone().ok_or_else(no_memory)?,
        environment: options.environment.try_clone().ok_or_else(no_memory)?,
        initializer: options.initializer.as_ref().map(initializer).transpose()?,
    })
}

fn initializer(first: &First) -> Result<Shared<Initializer>> {
    let no_memory = || Error::no_memory("an initializer", size_of::<Initializer>());
    let (function, name) = match &first.target {
        Target::Function(function) => (Some(*function), Text::EMPTY),
        Target::Named(named) => (None, Text::copy(named.name()).ok_or_else(no_memory)?),
        Target::Command => (Some(first.target.function()?), Text::EMPTY), // not reached
    };
    let initializer = Initializer { function, name, data: first.data.clone() };
    Shared::try_new(initializer).ok_or_else(no_memory)
}
