//! Limited views: executors that run on another one, so many tasks at once.
//!
//! # Purpose
//! A view has no threads and runs nothing. It keeps tasks for its *parent* and hands them on, in
//! the order it accepted them, as long as fewer than `most` of those it handed on are unsettled.
//! With one at a time it is a strand. A task that waits here occupies no worker.
//!
//! A task of a view is an ordinary task of the executor at the *root* (the parent, or the parent's
//! parent if that is a view, ...), which makes it, keeps its time-outs and gives it room in its
//! queue from the moment the view accepts it (`owner::ParentTable`); so views work for every kind
//! of executor, and none of them knows of views. What the view adds is a hook, `future::place`.
//!
//! # States of a task
//! | task | owner | list | leaves it by |
//! |---|---|---|---|
//! | WAITING | the view | `waiting` | `hand_on`, when a place is free; settling: cancelled, expired |
//! | PLACED | the parent | `placed` | settling, and the return of its function; being refused |
//!
//! A place is free again when the task has settled and its function, if it was entered, has
//! returned. So a detached task holds its place until its promise settles it, and one whose
//! time-out passes while it runs holds it until it heeds the stop flag. In a process pool it is
//! free at once: the task's process is being killed.
//!
//! # States of a view
//! | phase | submits | tasks | leaves it by |
//! |---|---|---|---|
//! | OPEN | accepted | handed on | `close`: shutdown, last release |
//! | CLOSING | refused | handed on, or CANCELLED | the last task |
//! | ENDED | refused | none | the last reference |
//!
//! # The parent
//! An open view has a handle of its parent, and gives it back with the step to ENDED. Its parent
//! may be shut down under it all the same. Then it refuses what it is handed: those tasks end as
//! BROKEN (or as the parent says: CANCELLED, or BROKEN with its reason), continuations and
//! callbacks run in the thread that hands them on, as they do where an executor has ended.
//!
//! # Order
//! First in, first out, whatever the priorities: a strand is an order. The priority counts in the
//! parent's queue. With `most` > 1 tasks are handed on in order, and start as the parent has it.
//!
//! # Locks
//! One, `Gate`, for everything. Under it there may be a future's LOCK (a hook is added), nothing
//! else. It is taken by the registry of executors, by the search for deadlocks, and with no lock
//! held otherwise. Each call that frees a place or adds a task hands one task on, so nobody works
//! for others, and nothing recurs: a task that is refused is settled after its hook has been taken
//! back, by a loop.
//!
//! # Waiting
//! A task that waits for one behind it in the view could only be run out of turn, or beyond
//! `most`. So it is not; a wait in a task runs a task that holds a place, if one has not started,
//! else it blocks like any other. If all places are held by tasks that lead to the waiter, it is
//! refused (`thread_pool::deadlock`).
//!
//! # Errors
//! Memory for the hook is taken by submit. A continuation has room for one; only one that comes
//! through a view on a view may lack memory, and ends as BROKEN.
//!
//! # Shutdown
//! See `shutdown`.

mod gate;
mod shutdown;
mod snapshot;
mod submit;
mod view;
mod vtable;

pub(crate) use view::View;
