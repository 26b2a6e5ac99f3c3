//! The other side of a process pool: what runs in its supervisor and in its workers.
//!
//! # Purpose
//! A process that a pool has started finds out what it is (`bootstrap`). The supervisor makes
//! worker processes, watches their ends and kills them if it is told to; a worker runs tasks with
//! ordinary promises and ships their outcomes. Neither knows the pool: what they are to do comes
//! over a socket and a link (`transport`), from a host that they trust.
//!
//! | file | question it answers |
//! |---|---|
//! | `bootstrap` | what is this process? |
//! | `supervisor` | how do workers begin, and how do they end? |
//! | `keeper` | how do commands begin, and how do they end? |
//! | `outbox` | how does the host hear of it? |
//! | `life` | how does a worker begin: limits, name, initializer? |
//! | `run` | what does it do with a task? |
//! | `functions` | which function is meant? |
//! | `slots` | what do futures ask of a task's owner here? |
//! | `outcome` | how does an outcome become a record? |
//! | `shipping` | how does a record get to the host? |
//! | `areas` | which memory do both sides know? |
//! | `registry` | what is called by which name? |
//!
//! # Threads
//! A supervisor has one thread, for it forks; modules that it preloads may have made more, which
//! its children then do not have. A worker begins with one, the main thread, which takes all
//! records and runs all tasks. Others are the tasks' own; they may settle detached promises, so
//! shipping is under a lock of the process.
//!
//! # Who may touch what
//! W1. The task ring and the table of functions are the main thread's.
//! W2. The result ring, the areas and what was said of them on the socket are under
//!     `Worker::shipping`.
//! W3. A slot's owner is the main thread's from the start of its task until the function has
//!     returned; then whoever settles the task ships it, once: `Slot::take`. From then on the host
//!     may give the slot to the next task.
//! W4. A task's argument in the ring stays until its function has returned, one in an area as long
//!     as its `BufferRef`.
//! W5. The worker object and the owners of its slots stay until the process ends.
//!
//! # Ends
//! A keeper of commands is a supervisor without a pool: one for a process, with one thread, and with
//! nothing loaded. Its children are programs of the user's.
//!
//! A worker ends when it is told to (EXIT), when its link is damaged, with its supervisor
//! (PR_SET_PDEATHSIG), and as its tasks have it. A supervisor ends when the host's side of its
//! socket is closed or the host is gone, and kills all that it has made before.
//!
//! # Errors
//! What keeps a supervisor from working is told with REFUSED, a worker with START_FAILED. Later
//! shortage fails one task with CFUT_ENOMEM or CFUT_ESYS, which its future then has as its code.

pub(crate) mod bootstrap;
pub(crate) mod registry;

mod areas;
mod functions;
mod keeper;
mod life;
mod outbox;
mod outcome;
mod run;
mod shipping;
mod slots;
mod supervisor;
#[cfg(test)]
mod tests;

use crate::error::{Result, fail};
use crate::platform::process;
use crate::transport::control::Role;
use crate::transport::entry;

/// Failure codes of the header that a worker gives by itself.
pub(crate) mod code {
    pub(crate) const NO_MEMORY: i32 = -2;
    pub(crate) const NOT_SUPPORTED: i32 = -3;
    pub(crate) const NOT_FOUND: i32 = -8;
    pub(crate) const SYSTEM: i32 = -9;
}

/// Works for the pool that has started this process, if one has, and does not return then. Not
/// contained: calls the user.
pub(crate) fn run_if_worker() {
    entry::note_guard();
    let Some(task) = bootstrap::take_task() else { return };
    match task.role {
        Role::Supervisor => supervisor::run(task),
        Role::Keeper => keeper::run(task),
        Role::Worker => {
            let code = life::run_executed(task).code();
            process::flush_streams();
            process::leave(code)
        }
    }
}

/// Runs a worker in a program that was made for it, until it shall end. Not contained: calls the
/// user.
pub(crate) fn run_as_worker() -> Result<()> {
    let Some(task) = bootstrap::take_task() else {
        return fail!(
            State,
            "no process pool has started this program: it is for CFUT_OPT_WORKER_PROGRAM"
        );
    };
    match task.role {
        Role::Supervisor => supervisor::run(task),
        Role::Keeper => keeper::run(task),
        Role::Worker => match life::run_executed(task) {
            life::End::Told => Ok(()),
            life::End::Failed => fail!(System, "the worker could not begin; its pool knows why"),
        },
    }
}
