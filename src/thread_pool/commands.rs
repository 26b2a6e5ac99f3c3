//! The commands of a pool: they wait in a lane of their own and need no thread of it.
//!
//! As many run at once as the pool may have workers, whatever its threads do meanwhile. The pool
//! keeps their time-outs, counts them, and does not end before the last of them has.

use super::inbox::Refused;
use super::pool::Pool;
use super::submit::Unaccepted;
use crate::error::{Error, Result};
use crate::future::bound::Load;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::make::Work;
use crate::future::outside::{Lane, NotTaken, OutsideTable};
use crate::future::owner::Owner;
use crate::future::remote::{self, Report};
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::platform::clock::Instant;
use crate::shared::Shared;
use crate::sync::{Ordering, Timeout};
use std::ptr::NonNull;

pub(super) static TABLE: OutsideTable = OutsideTable { lane, begin, end, left };

/// A shutdown that has killed commands waits so long for the end of them.
const AFTER_KILL_NS: i64 = 900_000_000;

impl Pool {
    /// Accepts or refuses a command.
    pub(super) fn submit_command(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Option<TaskRef>> {
        self.check_fork()?;
        self.take_room_elsewhere(Load { tasks: 1, bytes })?;
        let made = self
            .make(self.as_owner(), work, bytes, spec, handle)
            .inspect_err(|_| self.give_room(1, bytes))?;
        // SAFETY: made with these references.
        let (task, other) =
            unsafe { (TaskRef::from_raw(made), handle.then(|| TaskRef::from_raw(made))) };
        match self.accept_commands(std::slice::from_ref(&task), spec) {
            Ok(()) => Ok(other),
            Err(error) => {
                self.take_back(task, other);
                self.give_room(1, bytes);
                Err(error)
            }
        }
    }

    /// Accepts `count` commands over consecutive items, all or none; they have their room.
    ///
    /// # Safety
    /// As `submit_many`.
    pub(super) unsafe fn submit_commands(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<NonNull<TaskCell>>>,
    ) -> Result<()> {
        let bytes = item_size as u64;
        let all = Load::of_many(item_size, count);
        let mut tasks: Vec<TaskRef> = Vec::new();
        let accepted = (|| {
            let no_memory = |_| Error::no_memory("a batch of commands", count * 8);
            tasks.try_reserve_exact(count).map_err(no_memory)?;
            for item in 0..count {
                let made =
                    self.make(self.as_owner(), make_work(item), bytes, spec, out.is_some())?;
                // SAFETY: made with it; the handle's is counted, and handed out below.
                tasks.push(unsafe { TaskRef::from_raw(made) });
            }
            self.accept_commands(&tasks, spec)
        })();
        if let Err(error) = accepted {
            for task in tasks {
                // SAFETY: the handle's reference, counted by `make`.
                let handle = out.map(|_| unsafe { TaskRef::from_raw(task.as_ptr()) });
                self.take_back(task, handle);
            }
            self.give_room(all.tasks, all.bytes);
            return Err(error);
        }
        if let Some(out) = out {
            for (place, task) in tasks.iter().enumerate() {
                // SAFETY: by the contract there is room.
                unsafe { out.add(place).write(task.as_ptr()) };
            }
        }
        Ok(())
    }

    pub(super) fn accept_commands(
        &self,
        tasks: &[TaskRef],
        spec: Option<&Shared<Spec>>,
    ) -> Result<()> {
        let priority = spec.map_or(0, |spec| spec.priority);
        let count = || self.tally.submitted.add(tasks.len() as u64);
        self.lane.accept(self.as_owner(), tasks, priority, count).map_err(|why| match why {
            NotTaken::Closed => self.refusal(Unaccepted::Refused(Refused::Closed)),
            NotTaken::NoMemory => Error::no_memory("the commands of a pool", tasks.len() * 8),
            NotTaken::NoFollower(error) => error,
        })
    }

    /// Settles commands that must not start any more.
    pub(super) fn settle_commands(&self) {
        // SAFETY: this pool's own lane.
        unsafe { self.lane.settle_waiting(self.as_owner(), || self.verdict_for_queued()) };
    }

    /// Every command that was accepted has ended.
    pub(super) fn has_no_commands(&self) -> bool {
        // No model has any, and would look at one word more.
        cfg!(loom) || self.lane.is_idle()
    }

    pub(super) fn oldest_of_all(&self) -> Option<u64> {
        [self.oldest_queued(), self.lane.oldest()].into_iter().flatten().min()
    }

    /// A shutdown's last step, if it is asked for and the time is up; false: threads go on.
    pub(super) fn kill_commands(&self) -> Result<bool> {
        // What has not started will not.
        let cancelled = || Some(Verdict::new(Outcome::Cancelled));
        // SAFETY: this pool's own lane.
        unsafe { self.lane.settle_waiting(self.as_owner(), cancelled) };
        self.lane.kill_running();
        if self.is_mine() {
            return Ok(false); // a task of the pool: its end would never come
        }
        self.wait_for_end(Timeout::from_ns(AFTER_KILL_NS))
    }
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
    // A stop that was asked for is for those that ran then.
    let late = pool.stop_level.load(Ordering::Relaxed) != 0; // as in `Slot::start_task`
    if pool.must_not_start(task) || !task.state.start(late) {
        return false;
    }
    pool.give_room_of(task);
    pool.tally.entered.add(1);
    if let Some(extra) = task.extra_in(task.snapshot()) {
        // Relaxed: for snapshots.
        extra.started_at.store(Instant::now().0, Ordering::Relaxed);
    }
    pool.arm(task);
    true
}

/// # Safety
/// The pool is alive.
unsafe fn end(owner: NonNull<Owner>, task: TaskRef, report: Report) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.disarm(&task);
    pool.tally.left.add(1);
    let ended = remote::end(task, report, |task| {
        if let Some(bound) = &pool.bound {
            bound.charge_result(task, || pool.retain());
        }
    });
    pool.count_end(ended);
}

/// # Safety
/// The pool is alive.
unsafe fn left(owner: NonNull<Owner>) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.end_if_done();
    crate::quiet::signal();
}
