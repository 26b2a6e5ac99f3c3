//! Futures, promises, and everything one can do with several of them.
//!
//! # Purpose
//! One object, the cell, is a task, its place in a queue, its future and a small result,
//! one after the other. This room owns it from allocation to the last release and knows
//! nothing of who runs it: an executor is an `owner::Owner` with a table of functions.
//!
//! # States
//! ```text
//!                start                    finish, settle_locked
//!   PENDING ───────────────▶ RUNNING ───────────────────────────▶ FINISHED
//!      │                        │  │  ▲                               ▲
//!      │ cancel                 │  │  └── detach: the function has    │
//!      ▼                        │  │      returned, a promise goes on │
//!   CANCELLED ◀─────────────────┘  └───────────────────────────────── ┤
//!      ▲       the task agreed (set_cancelled)                        │
//!      │                                                              │
//!      └─ PENDING ── queue time-out, broken executor, by hand ────────┘
//! ```
//! | from | by | to | who |
//! |---|---|---|---|
//! | PENDING | `start`, `start_plain`, `start_locked` | RUNNING | a worker, a helping waiter, a continuation's runner, the follower of commands |
//! | PENDING | `promise::start` | RUNNING | the owner of a hand-made promise |
//! | PENDING | `cancel` | CANCELLED | anybody |
//! | PENDING | `settle_if` | FINISHED | time-outs (EXPIRED), a broken or closed pool (BROKEN), a join |
//! | PENDING | `put` | FINISHED, CANCELLED | the owner of a hand-made promise |
//! | RUNNING | `record_locked`, `record_plain` | RUNNING | the task: the outcome is chosen, not yet visible |
//! | RUNNING | `finish`, `finish_plain`, `fail` | FINISHED, CANCELLED | the runner, when the function has returned |
//! | RUNNING | `detach` | RUNNING | the runner: a retained promise settles later |
//! | RUNNING | `settle_if` | FINISHED | a run or total time-out; the last promise gone |
//! | RUNNING | `put` | FINISHED, CANCELLED | a promise that was detached or made by hand |
//!
//! # Who may touch what
//! F1. A cell lives while it has references. A `TaskRef` is one; so is each handle, each
//!     queue entry, each hook that will start or settle the cell, each entry of a due list.
//! F2. `front` and `back` hold the arguments until the task starts and belong to whoever
//!     starts it, or settles it unstarted. From then on `front` is the result's: written
//!     once, under LOCK, before RECORDED or the settled life publishes it; read-only
//!     afterwards. `back` stays the runner's, who at the end leaves there how long the task
//!     ran, until IN_TASK is gone; read-only afterwards.
//! F3. The ring of hooks and the progress are touched under LOCK only.
//! F4. Life and outcome change in `state` only, each to its last value once: a future
//!     settles exactly once, whoever else tries is told.
//! F5. Once EXTRA is set it stays, and so does the `Extra`, until the cell is dismantled.
//! F6. The executor of an unsettled task is alive for whoever holds the cell's LOCK: its
//!     pool cannot end before each accepted task has started or settled, which the LOCK
//!     delays. It is alive for the runner, who is one of its threads or holds a seat.
//!     Nobody else follows the pointer. A continuation that is not queued has none there, but
//!     a reference in its arguments, which are its own until it starts or settles.
//! F7. A cell is on at most one due list or work list. Between settling and the end of its
//!     callbacks that place belongs to the thread that set DRAINING; before it starts, a
//!     continuation's own link belongs to whoever consumed its hook; after the last
//!     release, to whoever dropped it.
//! F8. No user code runs under LOCK, and none inside `unwind::contain`.
//!
//! # Ordering
//! The settling write releases, `snapshot` acquires: whoever sees a settled word sees the
//! result. LOCK acquires and releases everything of F3. References are counted as in Arc.
//!
//! # Straight ways
//! `start_plain`, `lock_plain` with `record_plain`, `finish_plain` and `release_plain` do what
//! `start`, `lock` with `record_locked`, `finish` and `release` do, for a future about which the
//! word says that nothing is unusual, and decline otherwise. One difference: a task whose runner
//! has the only reference is not settled but freed, for nobody could tell.
//!
//! # Errors
//! Memory is the only thing that can fail here; whoever asked gets an error and keeps what
//! it had moved. Completion never allocates: hooks, queue entries and continuations exist
//! before the future settles.
//!
//! # Shutdown
//! The room has no threads and nothing to shut down. Futures outlive their executor.

pub(crate) mod arena;
pub(crate) mod bound;
pub(crate) mod buffer;
pub(crate) mod cell;
pub(crate) mod deadlock;
pub(crate) mod due;
pub(crate) mod expiry;
pub(crate) mod extra;
pub(crate) mod group;
pub(crate) mod hook;
pub(crate) mod intake;
pub(crate) mod join;
pub(crate) mod leftovers;
pub(crate) mod make;
pub(crate) mod outside;
pub(crate) mod owner;
pub(crate) mod phase;
pub(crate) mod place;
pub(crate) mod promise;
pub(crate) mod queue;
pub(crate) mod registry;
pub(crate) mod remote;
pub(crate) mod rest;
pub(crate) mod result;
pub(crate) mod run;
pub(crate) mod settle;
pub(crate) mod state;
pub(crate) mod then;
pub(crate) mod timer;
mod unseen;
pub(crate) mod wait;

#[cfg(all(test, loom))]
mod models;
