//! Time-outs of tasks, and the other things a pool keeps beside some of them.

use super::inbox::Refused;
use super::pool::Pool;
use super::submit::Unaccepted;
use crate::error::{Error, Result};
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::expiry;
use crate::future::phase::Phase;
use crate::future::run::DETACH;
use crate::future::settle::Verdict;
use crate::future::state::{EXTRA, Outcome};
use crate::future::timer::first_deadline;
use crate::platform::clock::Instant;
use crate::sync::Ordering;
use crate::unwind::contain;

impl Pool {
    /// Settles a task that must not start any more; true: it has been.
    #[inline]
    pub(super) fn must_not_start(&self, task: &TaskRef) -> bool {
        // Relaxed: both are set before the queues are emptied under their locks.
        if !task.snapshot().has(EXTRA)
            && !self.cancel_queued.load(Ordering::Relaxed)
            && !self.broken.load(Ordering::Relaxed)
        {
            return false;
        }
        self.settle_instead(task)
    }

    #[cold]
    fn settle_instead(&self, task: &TaskRef) -> bool {
        if let Some(verdict) = self.verdict_for_queued() {
            return task.settle_if(task, |seen| seen.is_pending(), verdict);
        }
        // The monitor may be late; what is late does not start.
        expiry::expire_queued(task, Instant::now())
    }

    /// A task with options begins: its deadlines are those of a running one. Not contained,
    /// but calls nobody.
    pub(super) fn arm(&self, task: &TaskRef) {
        if task.snapshot().has(EXTRA) {
            let _ = contain(|| self.arm_run_timeout(task));
        }
    }

    /// The deadlines of a task that waits for its input. Nobody else knows it.
    pub(super) fn arm_waiting(&self, task: &TaskRef) -> Result<()> {
        let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return Ok(()) };
        let Some(extra) = task.extra_in(task.snapshot()) else { return Ok(()) };
        let now = Instant::now();
        // Relaxed: published with the task.
        extra.accepted_at.store(now.0, Ordering::Relaxed);
        self.monitor.ensure(self)?;
        let soonest = self
            .timers
            .insert(task.clone(), first_deadline(now, &[spec.total_timeout]))
            .ok_or_else(|| Error::no_memory("the time-outs of a task", 32))?;
        // After the entry: either this sees that the pool ends, or `settle_waiting` sees the
        // entry, under the lock of the table.
        if self.phase() != Phase::Open {
            self.forget_deadline(task);
            return Err(self.refusal(Unaccepted::Refused(Refused::Closed)));
        }
        if soonest {
            self.monitor.wake();
        }
        Ok(())
    }

    /// The input of a task with deadlines has settled, and the task enters the queue.
    pub(super) fn arm_queue_timeout(&self, task: &TaskRef) {
        let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return };
        let Some(extra) = task.extra_in(task.snapshot()) else { return };
        let now = Instant::now();
        // Relaxed, both: published with the task, and by its entry in the table.
        extra.queued_at.store(now.0, Ordering::Relaxed);
        let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
        let by_total = first_deadline(accepted, &[spec.total_timeout]);
        let by_queue = first_deadline(now, &[spec.queue_timeout]);
        // The monitor may have been lost with a callback that ended its thread.
        let _ = self.monitor.ensure(self);
        if self.timers.enter(task, by_total.min(by_queue)) {
            self.monitor.wake();
        }
        // Whoever settles it takes the entry out, if it comes after this look.
        if task.snapshot().is_settled() {
            self.forget_deadline(task);
        }
    }

    /// The pool keeps no deadline of this task any more.
    pub(super) fn disarm(&self, task: &TaskCell) {
        // Not by a look at its place: it may just be entered, and whoever does that looks
        // whether the task is settled, after the lock of the table.
        if task.spec().is_some_and(|spec| spec.has_deadline()) {
            self.forget_deadline(&task.clone_ref());
        }
    }

    /// Takes a task out of the table. The monitor of a pool that has ended leaves when that is
    /// empty, and may be asleep until the deadline that was there.
    pub(super) fn forget_deadline(&self, task: &TaskRef) {
        self.timers.remove(task);
        // After the lock of the table: if the monitor looked before, it had seen the end, and so
        // does this.
        if self.phase() == Phase::Ended {
            self.monitor.wake();
        }
    }

    /// How to settle a task that is not taken; None if it can do without this pool.
    pub(super) fn verdict_for_refused(&self, task: &TaskRef) -> Option<Verdict> {
        task.spec().filter(|spec| spec.has_deadline())?;
        if self.is_inherited() {
            return Some(Verdict::because(Outcome::Broken, 0, NOBODY_KEEPS_TIME));
        }
        let verdict = self.verdict_for_queued();
        verdict.or_else(|| Some(Verdict::because(Outcome::Broken, 0, NOBODY_KEEPS_TIME)))
    }

    /// The pool has ended: settles the tasks that wait for their inputs and whose deadlines it
    /// kept.
    pub(super) fn settle_waiting(&self) {
        while let Some(task) = self.timers.take_waiting() {
            if let Some(verdict) = self.verdict_for_refused(&task) {
                task.settle_if(&task, |seen| seen.is_pending(), verdict);
            }
        }
    }

    fn arm_run_timeout(&self, task: &TaskCell) {
        let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return };
        let Some(extra) = task.extra_in(task.snapshot()) else { return };
        // Relaxed: published with the task.
        let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
        let now = Instant::now();
        extra.started_at.store(now.0, Ordering::Relaxed);
        let by_total = first_deadline(accepted, &[spec.total_timeout]);
        let by_run = first_deadline(now, &[spec.run_timeout]);
        if self.timers.enter(&task.clone_ref(), by_total.min(by_run)) {
            self.monitor.wake();
        }
    }

    /// The function of a task with options has returned `code`, and the task is about to end,
    /// unless it is detached: then it goes on with its deadlines.
    pub(super) fn note_return(&self, task: &TaskRef, code: i32) {
        if !task.snapshot().has(EXTRA) {
            return;
        }
        if let Some(bound) = &self.bound {
            bound.charge_result(task, || self.retain());
        }
        if code != DETACH {
            self.timers.remove(task);
        }
    }

    /// Settles every task whose deadline has passed. Called by the monitor.
    pub(super) fn expire_passed(&self, now: Instant) {
        expiry::expire_passed(&self.timers, now);
    }
}

const NOBODY_KEEPS_TIME: &[u8] =
    b"not run: its executor takes no work any more, and nobody else keeps the task's time-outs";
