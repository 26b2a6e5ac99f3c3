//! The commands of a pool: they wait in a lane of their own and need no worker of it.
//!
//! As many run at once as the pool may have workers, whatever those do meanwhile. The pool keeps
//! their time-outs and counts them; its end waits for each twice: until the future has settled, and
//! until its process has ended and whoever wanted to know has been told.

use super::pool::{Pool, State};
use super::submit::Made;
use crate::error::{Error, Result};
use crate::future::bound::Load;
use crate::future::cell::TaskRef;
use crate::future::extra::Spec;
use crate::future::make::Work;
use crate::future::outside::{Lane, NotTaken, OutsideTable};
use crate::future::owner::Owner;
use crate::future::remote::Report;
use crate::future::timer::first_deadline;
use crate::platform::clock::Instant;
use crate::shared::Shared;
use crate::sync::Ordering;
use std::ptr::NonNull;

pub(super) static TABLE: OutsideTable = OutsideTable { lane, begin, end, left };

impl Pool {
    /// Accepts or refuses a command.
    pub(super) fn submit_command(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Option<TaskRef>> {
        self.check_takes_work()?;
        self.take_room(Load { tasks: 1, bytes })?;
        let made = self
            .make(self.as_owner(), work, bytes, 0, spec, handle)
            .inspect_err(|_| self.give_room(1, bytes))?;
        let Made { task, handle } = made;
        match self.accept_commands(std::slice::from_ref(&task), spec) {
            Ok(()) => Ok(handle),
            Err(error) => {
                self.unmake(Made { task, handle });
                self.give_room(1, bytes);
                Err(error)
            }
        }
    }

    pub(super) fn accept_commands(
        &self,
        tasks: &[TaskRef],
        spec: Option<&Shared<Spec>>,
    ) -> Result<()> {
        let priority = spec.map_or(0, |spec| spec.priority);
        let count = || {
            self.rest.accept(2 * tasks.len() as i64);
            self.tally.submitted.add(tasks.len() as u64);
        };
        let refused = match self.lane.accept(self.as_owner(), tasks, priority, count) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        match refused {
            NotTaken::Closed => {
                self.check_takes_work()?;
                // The pool is just closing.
                Err(Error::new(
                    crate::error::Kind::Shutdown,
                    format_args!("the executor has been shut down and takes no more work"),
                ))
            }
            NotTaken::NoMemory => Err(Error::no_memory("the commands of a pool", tasks.len() * 8)),
            NotTaken::NoFollower(error) => Err(error),
        }
    }

    /// Settles commands that must not start any more.
    pub(super) fn settle_commands(&self) {
        // SAFETY: this pool's own lane.
        unsafe { self.lane.settle_waiting(self.as_owner(), || self.verdict_for_queued()) };
    }
}

impl Pool {
    /// When the oldest waiting task or command was accepted.
    pub(super) fn oldest_of_all(&self, state: &State) -> Option<u64> {
        [super::snapshot::oldest_queued(state), self.lane.oldest()].into_iter().flatten().min()
    }
}

/// When a running command began; None: it is no command.
pub(super) fn began(task: &TaskRef) -> Option<u64> {
    let extra = task.extra_in(task.snapshot()).filter(|_| task.is_command())?;
    Some(extra.started_at.load(Ordering::Relaxed)) // published with the entry in the table
}

/// # Safety
/// The pool is alive.
unsafe fn lane(owner: NonNull<Owner>) -> NonNull<Lane> {
    // SAFETY: by the contract.
    NonNull::from(&unsafe { Pool::of(owner) }.lane)
}

/// # Safety
/// The pool is alive.
unsafe fn begin(owner: NonNull<Owner>, task: &TaskRef) -> bool {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    if let Some(verdict) = pool.verdict_for_queued() {
        task.settle_if(task, |seen| seen.is_pending(), verdict);
    }
    if !task.state.start(false) {
        return false;
    }
    pool.give_room_of(task);
    pool.tally.entered.add(1);
    let Some(extra) = task.extra_in(task.snapshot()) else { return true };
    let now = Instant::now();
    // Relaxed: for snapshots.
    extra.started_at.store(now.0, Ordering::Relaxed);
    let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return true };
    // Relaxed: published with the entry in the table.
    let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
    let by_total = first_deadline(accepted, &[spec.total_timeout]);
    let by_run = first_deadline(now, &[spec.run_timeout]);
    if pool.timers.enter(task, by_total.min(by_run)) {
        pool.poller.wake();
    }
    true
}

/// # Safety
/// The pool is alive.
unsafe fn end(owner: NonNull<Owner>, task: TaskRef, report: Report) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.forget_deadline(&task);
    pool.end_task(task, report);
}

/// # Safety
/// The pool is alive.
unsafe fn left(owner: NonNull<Owner>) {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.note_settled();
}
