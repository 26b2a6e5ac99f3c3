//! The work-stealing thread pool.
//!
//! # Purpose
//! Runs tasks in the order accepted (outside submits), in depth (a task's own), on as many
//! threads as there are processors, and on more when tasks block. Knows futures by their
//! cells, and knows no other executor.
//!
//! # Parts
//! ```text
//!   submit ──▶ inbox: low | normal | high      one lock, three lists
//!      │             │ batches of up to 32
//!      │             ▼
//!      │      ┌── slot 0 ──┐  ┌── slot 1 ──┐      one worker each
//!      └─────▶│ nested     │◀▶│ nested     │      ◀▶ stealing, the oldest first
//!   (a task's │ batch      │  │ batch      │
//!     own)    └─────┬──────┘  └─────┬──────┘
//!                   └─── sleep ─────┘            who is awake; wakes one, who wakes the next
//!                          ▲
//!                       monitor                  time-outs; more workers when tasks block
//! ```
//! | file | question it answers |
//! |---|---|
//! | `config` | what is a pool made with? |
//! | `pool` | what is it made of? |
//! | `submit` | how does a task come in? |
//! | `inbox`, `batch`, `queue` | where do tasks wait? |
//! | `bound` | how many may? |
//! | `worker` | how does a worker find, run and end? |
//! | `sleep` | who sleeps, and who is woken? (`sleep.md` has the proof) |
//! | `blocking`, `turn` | what if a task waits? |
//! | `deadlock` | what if it waits for itself? |
//! | `monitor` | when are more workers worth it? |
//! | `timer`, `deadlines` | what if time is up? |
//! | `shutdown` | how does a pool end? |
//! | `registry` | is anything going on in this process? |
//! | `snapshot` | what is going on? |
//! | `vtable` | what do futures ask of a pool? |
//!
//! # States of a pool
//! | phase | submits | tasks | workers | leaves it by |
//! |---|---|---|---|---|
//! | OPEN | accepted | run | made, parked, woken | `close`: shutdown, last release, broken |
//! | CLOSING | refused | run, or settled if CANCEL or broken | as before | `end_if_done` |
//! | ENDED | refused | none, but detached ones | leave | the last reference |
//!
//! Broken is a flag beside it: CLOSING or ENDED, with a reason.
//!
//! # States of a worker thread
//! awake, idle, blocked, dormant: `sleep.md`. Made → hooks and initializer → loop → stop
//! hook → leaves; a task that ends its thread goes from the loop to the stop hook by way
//! of the drop guards.
//!
//! # Locks, and the order in which they nest
//! `sleep.idle` → `inbox` or `roster` → a cell's LOCK → `future::arena`. The rest
//! (`timers`, `bound`, `reason`, the registry and the table of waits) take no lock of the
//! pool inside, but for the registry, which looks at pools. No user code under any of them.
//!
//! # Errors
//! A pool works with the threads it gets: only a submit that finds none at all, and cannot
//! make one, is refused, and then the task is not accepted. Each step that can fail does
//! so before the task is accepted.
//!
//! # Shutdown
//! The numbered steps stand in `shutdown`.

mod batch;
mod blocking;
mod bound;
mod config;
mod deadlines;
mod deadlock;
mod inbox;
mod monitor;
mod pool;
mod queue;
mod registry;
mod shutdown;
mod sleep;
mod snapshot;
mod submit;
mod timer;
mod turn;
mod vtable;
mod worker;

#[cfg(all(test, loom))]
mod models;

pub(crate) use blocking::{declare_begin, declare_end, run_in_caller};
pub(crate) use config::{
    Config, DEFAULT_IDLE_NS, FullPolicy, Initializer, MOST_WORKERS, WorkerHooks, default_workers,
};
pub(crate) use pool::Pool;
pub(crate) use registry::quiesce;
pub(crate) use snapshot::Figure;
#[cfg(all(any(test, fuzzing), not(loom)))]
pub(crate) use snapshot::write_text;
pub(crate) use submit::Submitted;
