//! The process pool, host side: tasks run in worker processes, and a worker's death costs
//! the task it had begun.
//!
//! # Purpose
//! Hands tasks to workers through shared memory, settles their futures with what comes back,
//! and replaces workers that die, hang or have done enough. Knows futures by their cells, and
//! knows no other executor. What runs in the other processes is `worker`; what both sides
//! share is `transport`.
//!
//! # The two halves
//! ```text
//!  host                                              supervisor, one for each pool
//!   submit ──▶ backlog: low | normal | high    control    forks (or executes) workers,
//!                 │ dispatch                 ◀────────▶   collects them when they end
//!                 ▼                            socket        │
//!   ┌── child 0 ──────┐ ┌── child 1 ─ …                      ▼
//!   │ slots           │ │             one memfd      worker process 0
//!   │ task ring    ───┼─┼───────────────────────────▶  takes, runs, answers
//!   │ result ring  ◀──┼─┼────────────────────────────  one task after the other
//!   │ socket       ◀══┼═┼═══════════════════════════▶  doorbell, memory descriptors
//!   └─────────────────┘ └──
//!        ▲
//!     manager thread: results, deaths, time-outs, how many workers there are
//!        │ due calls
//!        ▼
//!     notifier threads: callbacks and free functions of the user's
//! ```
//! | file | question it answers |
//! |---|---|
//! | `config` | what is a pool made with? |
//! | `pool` | what is it made of? |
//! | `submit` | how does a task come in? |
//! | `commands` | what if it is a program? |
//! | `functions` | how is a function named in another process? |
//! | `dispatch` | which worker gets which task, and how many ahead? |
//! | `leftovers` | what becomes of queued tasks that are settled? |
//! | `child` | what is kept for a worker process? |
//! | `attend` | what does a thread do that waits? |
//! | `results` | what came back, and how does its future end? |
//! | `deaths` | what if a worker dies? |
//! | `deadlines` | what if time is up? |
//! | `supervisor`, `program` | how do processes come and go, and what is executed? |
//! | `manager` | who does all that, and when? |
//! | `notifier` | who calls the user? |
//! | `shutdown` | how does a pool end? |
//! | `snapshot` | what is going on? |
//! | `timeline` | what does its timeline show? |
//! | `vtable` | what do futures ask of a pool? |
//!
//! # States of a child
//! | phase | process | tasks | leaves it by |
//! |---|---|---|---|
//! | STARTING | asked for, or not ready | none | READY record; death: the restart budget pays |
//! | READY | takes tasks | handed, running | `retire`; `kill`; death: a budget pays if no task of it began |
//! | LEAVING | has been told to go, or has had its last task | running | death |
//! | DYING | was killed | will crash or move on | death, told by the supervisor |
//!
//! # A task on its way
//! | where | cell | `Extra::place` | slot in the link | leaves it by |
//! |---|---|---|---|---|
//! | backlog | PENDING (RUNNING: is run again) | 0 | | dispatch; cancel, time-out: skipped later, or taken out (`leftovers`) |
//! | handed over | PENDING | child and slot | HANDED | the worker starts it; `revoke` |
//! | running | RUNNING, once somebody looked | child and slot | STARTED | its result; death |
//! | revoked | settled, or back in the backlog | 0 | REVOKED | the worker says that it skipped it |
//!
//! Handing over ahead keeps a worker busy between short tasks. It costs nothing in fairness: what
//! has not started can be taken back for an idle worker, or because it is cancelled, by one
//! exchange on the slot, which either side wins.
//!
//! # Who may touch what
//! P1. `Pool::state` guards the backlog, the children, their slots, and `Extra::place`,
//!     `attempts` and `function` of every task that is here. No system call that may wait is
//!     made under it, nothing is settled under it, and no user code runs under it.
//! P2. A task in a slot is started, ended and re-queued under `state` only; its cell is settled
//!     outside.
//! P3. The result ring of a child is read under `state`, by whoever collects.
//! P4. The manager thread runs no user code: what becomes due in it goes to the notifier.
//! P5. Nothing a worker wrote is believed beyond its own tasks (rules T of `transport`): a ring
//!     that is damaged ends its worker.
//!
//! # Locks
//! `state` → a cell's LOCK, the buffer of the timeline; `timers`, `bound`, the notifier's queue:
//! nothing inside.
//!
//! # Errors
//! A submit is refused, or the task ends. A worker that cannot start counts against the restart
//! budget (`supervisor`), one that is ready and ends with its first task not begun against another
//! one; past either the pool is broken, with the last reason. No descriptor, no
//! memory, no process: as long as one worker lives the rest waits for it.
//!
//! # Shutdown
//! The numbered steps stand in `shutdown`.

mod attend;
mod child;
mod commands;
mod config;
mod deadlines;
mod deaths;
mod dispatch;
mod functions;
mod leftovers;
mod manager;
mod notifier;
mod pool;
mod program;
mod results;
mod shutdown;
mod snapshot;
mod submit;
mod supervisor;
mod timeline;
mod vtable;
mod wire;

pub(crate) use config::{
    Config, DEFAULT_START_NS, Initializer, OnDeath, StartMethod, Texts, default_linger,
    default_workers,
};
pub(crate) use pool::Pool;
