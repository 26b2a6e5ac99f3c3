//! External programs as tasks.
//!
//! # Purpose
//! A command is a task whose function is a program: the task's bytes are its input, what it writes
//! is the result, its exit status the outcome. No thread is held by one that runs: one thread of the
//! process, the *follower*, starts all of them, reads what they write and takes note of their ends.
//!
//! The host must not see them as children: a host that waits for any child of its own would take
//! their status, and get signals for what it does not know. So they are children of a *keeper*, a
//! process that is none of the host's either (`platform/spawn.rs`), and the same program as the
//! supervisor of a process pool (`worker/keeper.rs`). There is one for all commands of a process,
//! made with the first and gone soon after the last.
//!
//! ```text
//!   submit ──▶ lane of the executor ──▶ follower ◀═socket═▶ keeper ── clone, execve ──▶ command
//!                                          ▲  └─ input: sealed memory                     │
//!                                          └───────────────── pipes: output, errors ◀─────┘
//! ```
//!
//! | file | question it answers |
//! |---|---|
//! | `build` | what is a command made of? |
//! | `follower` | what happens next, to all of them? |
//! | `job` | what happens to one of them? |
//! | `outcome` | how does it end? |
//! | `keeper` | how is the process that starts them had? |
//! | `teller` | who calls the user when one has ended? |
//!
//! # States of a job
//! | state | from | waits for |
//! |---|---|---|
//! | Parked | a place in its lane, or a task function that handed it over | descriptors, and a keeper that is ready |
//! | Sent | the request has gone to the keeper | its process |
//! | Runs | `Spawned` | the end of the process |
//! | over | `Exited`, `NotExecuted`, the end of the keeper | nothing: what its pipes still hold is read, then it settles |
//!
//! A process is over when it has exited, whoever still has its pipes; what it has left in its group
//! is killed by the keeper. A future may settle earlier, by a time-out or a cancel: then the process
//! gets SIGTERM with its group, SIGKILL after the grace, and keeps its place until it is over.
//!
//! # Who may touch what
//! C1. Jobs are the follower's alone. Others put lanes and handed-over tasks into `INBOX`, under its
//!     lock, and ring.
//! C2. The follower is the runner of a command in a lane (F2): its arguments stay until it is over.
//! C3. The follower never calls the user: what is due goes to the teller.
//!
//! # Shutdown
//! Executors wait for their commands. The follower leaves, and lets the keeper go, when there has
//! been nothing to do for a while; commands end with their keeper and the keeper with its host.
//!
//! # Errors
//! Without a program for the keeper a submit is refused (CFUT_ENOENT). Want of descriptors, memory
//! or processes keeps a job parked: for as long as others run, which will give some back; else for
//! `follower::WANT_NS`, and then it fails with the reason. A keeper that does not answer is killed, and
//! with it what it has started.

mod build;
mod follower;
mod job;
mod keeper;
mod outcome;
mod teller;
#[cfg(all(test, not(miri)))]
mod tests;

use crate::error::Result;
use crate::future::cell::TaskFn;
use crate::future::outside;

pub(crate) use build::{add_argument, new, set_directory, set_variable};

/// Failure codes of the header that a command ends with by itself.
mod code {
    pub(super) const NO_MEMORY: i32 = -2;
    pub(super) const FULL: i32 = -5;
    pub(super) const NOT_FOUND: i32 = -8;
    pub(super) const SYSTEM: i32 = -9;
    pub(super) const PANIC: i32 = -10;
}

/// The function of a command for executors that keep no lane, before one is submitted. An error
/// where commands cannot be started at all.
pub(crate) fn prepare() -> Result<TaskFn> {
    outside::install(&follower::FOLLOWER);
    keeper::prepare()?;
    Ok(follower::begin)
}
