//! Loops: executors whose tasks run in the threads that call `cfut_loop_run`.
//!
//! # Purpose
//! A loop has no thread. It keeps tasks, wakes who waits for some, and shows a descriptor to
//! event loops; tasks and the callbacks that follow from them run inside `cfut_loop_run`, in
//! whichever threads call it: one, usually. Nothing here needs to be fast beyond a lock.
//!
//! # States of a task
//! | task | counted in | leaves it by |
//! |---|---|---|
//! | QUEUED | `live`, a lane | `start`, under the lock: by `run`, or claimed by a waiter; settling |
//! | RUNNING | `running` | the return of its function |
//! | DETACHED | `detached` | its promise; settling |
//! | settled | none; its entry stays in the lane until that is passed or emptied | |
//!
//! # States of a loop
//! | phase | submits | tasks | `run` answers | leaves it by |
//! |---|---|---|---|---|
//! | OPEN | accepted | run | OK, TIMEOUT | `close`: shutdown, last release |
//! | CLOSING | refused | run, or CANCELLED | the same, END once nothing is queued | the last task |
//! | ENDED | refused | none | END | the last reference |
//!
//! With the last release nobody can call `run` any more: what is queued then ends as BROKEN,
//! continuations and callbacks run in the releasing thread.
//!
//! # Time
//! No thread watches deadlines, for its callbacks would be calls from a foreign thread. They are
//! looked at by `run`, between tasks and while it waits; by a thread that waits for one task that
//! has some; and where a running task asks whether it is to stop (`Vtable::expire`).
//!
//! # The descriptor
//! A pipe (see `platform::pipe`), made when first asked for. It holds a byte exactly while tasks
//! are queued, and from the shutdown on. The byte goes in and comes out under the lock.
//!
//! # Waiting in a task
//! As in a pool: an awaited task of the loop that has not started runs in the wait; cycles are
//! found (`future::deadlock`). Nobody stands in for a loop's thread. `run` in a task of the same
//! loop, or in a callback it makes, is refused: it would run what nobody there expects.
//!
//! # Locks
//! One, `State`. Under it there may be a future's LOCK (a task is started), nothing else. Nobody
//! takes it with a LOCK held. The list of running tasks has its own (`trace::running`), with none
//! inside and under none.
//!
//! # Errors
//! Memory for the queue is taken by submit. A continuation for which there is none runs in the
//! settling thread if it can, else it is BROKEN.

mod event_loop;
mod queue;
mod run;
mod shutdown;
mod snapshot;
mod submit;
mod vtable;

pub(crate) use event_loop::{Config, Loop};
pub(crate) use run::{Ran, Runner};
