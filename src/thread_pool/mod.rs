//! The work-stealing thread pool.
//!
//! # Purpose
//! Runs tasks in the order accepted (outside submits), in depth (a task's own), on as many
//! threads as there are processors, and on more when tasks block. Knows futures by their
//! cells, and knows no other executor.
//!
//! # Parts
//! ```text
//!   submit ──▶ inbox: low | normal | high      one lock, four lists (the fourth: nested)
//!      │             │ up to 128 at once
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
//! | `submit`, `many` | how does a task come in, and how do several? |
//! | `inbox`, `fifo`, `batch`, `queue` | where do tasks wait? |
//! | `bound` | how many may? |
//! | `commands` | what if one is a program? |
//! | `worker` | what is kept for a worker, and who may touch it? |
//! | `worker/life` | how does its thread come and go? |
//! | `worker/find` | which task is next? |
//! | `worker/run`, `worker/straight` | how is it run, and how where nothing is unusual? |
//! | `worker/idle` | what if there is none? |
//! | `sleep` | who sleeps, and who is woken? (`sleep.md` has the proof) |
//! | `blocking`, `turn` | what if a task waits? |
//! | `monitor` | when are more workers worth it? |
//! | `deadlines` | what if time is up? |
//! | `shutdown` | how does a pool end? |
//! | `snapshot` | what is going on? |
//! | `leftovers` | what becomes of queued tasks that are settled? |
//! | `recall` | how can one look at what workers have taken? |
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
//! of the drop guards. A task that forks and returns: in the child the thread ends at once, and
//! the child, whose only one it is, with it.
//!
//! # Locks, and the order in which they nest
//! `sleep.idle` → `inbox` or `roster`; `inbox` or a cell's LOCK → `reason`; the table of waits → a cell's
//! LOCK; the registry → all of a pool that `is_quiet` looks at. `timers`, `bound` and a worker's
//! running tasks (`trace::running`) have none inside; the timeline is written to under none. Under each of them there
//! may be the depot lock of `future::arena`, and nothing under that. No user code under any.
//!
//! # Errors
//! A pool works with the threads it gets: only a submit that finds none at all, and cannot
//! make one, is refused, and then the task is not accepted. Each step that can fail does
//! so before the task is accepted; one for which no thread can be made is taken out of the
//! inbox again. A wait for ever for which nobody can be made to stand in is refused. If the last
//! worker cannot be replaced, the monitor, the next submit and the shutdown try again.
//!
//! # Shutdown
//! The numbered steps stand in `shutdown`.

mod batch;
mod blocking;
mod bound;
mod commands;
mod config;
mod deadlines;
mod fifo;
mod inbox;
mod leftovers;
mod many;
mod monitor;
mod pool;
mod queue;
mod recall;
mod shutdown;
mod sleep;
mod snapshot;
mod submit;
mod turn;
mod vtable;
mod worker;

#[cfg(all(test, loom))]
mod models;

pub(crate) use blocking::{declare_begin, declare_end, run_in_caller};
pub(crate) use config::{
    Config, DEFAULT_IDLE_NS, Initializer, MOST_WORKERS, WorkerHooks, default_workers,
};
pub(crate) use pool::Pool;
pub(crate) use submit::Submitted;
