//! Time-outs of tasks, and the other things a pool keeps beside some of them.

use super::pool::Pool;
use crate::error::Line;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::run::DETACH;
use crate::future::settle::Verdict;
use crate::future::state::{EXTRA, Life, Outcome};
use crate::future::timer::{NEVER, Nanoseconds, first_deadline};
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
        expire_queued(task, Instant::now())
    }

    /// A task with options begins: its deadlines are those of a running one. Not contained,
    /// but calls nobody.
    pub(super) fn arm(&self, task: &TaskRef) {
        if task.snapshot().has(EXTRA) {
            let _ = contain(|| self.arm_run_timeout(task));
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
        self.charge_result(task);
        if code != DETACH {
            self.timers.remove(task);
        }
    }

    /// Settles every task whose deadline has passed. Called by the monitor.
    pub(super) fn expire_passed(&self, now: Instant) {
        while let Some(task) = self.timers.pop_passed(now) {
            match task.snapshot().life() {
                Life::Pending if expire_queued(&task, now) => {}
                // It has started meanwhile, or is running: its other deadlines.
                Life::Pending | Life::Running => self.expire_running(&task, now),
                Life::Cancelled | Life::Finished => {}
            }
        }
    }

    fn expire_running(&self, task: &TaskRef, now: Instant) {
        let Some(spec) = task.spec() else { return };
        let Some(extra) = task.extra_in(task.snapshot()) else { return };
        // Relaxed: published with the task, and by the runner's entry in the table.
        let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
        let started = Instant(extra.started_at.load(Ordering::Relaxed));
        let (name, timeout) = if first_deadline(accepted, &[spec.total_timeout]) <= now {
            ("CFUT_TASK_TOTAL_TIMEOUT_NS", spec.total_timeout)
        } else if started.0 != 0 && first_deadline(started, &[spec.run_timeout]) <= now {
            ("CFUT_TASK_RUN_TIMEOUT_NS", spec.run_timeout)
        } else {
            // It was queued when its entry passed and has started since: its runner has
            // entered it again, or is about to.
            return;
        };
        let line = Line::of(format_args!(
            "expired while it ran: {name} of {} passed; it was asked to stop",
            Nanoseconds(timeout)
        ));
        let verdict = Verdict::because(Outcome::Expired, 0, line.as_bytes());
        task.settle_if(task, |_| true, verdict);
        // Afterwards: a task that sees it at once must not end as cancelled.
        task.state.request_stop();
    }

    // ---- bytes of unread results ----

    /// Counts the bytes of a result against the bound, until it is read.
    fn charge_result(&self, task: &TaskRef) {
        let Some(bound) = self.bound.as_ref().filter(|bound| bound.counts_bytes()) else { return };
        let bytes = task.recorded_bytes();
        if bytes == 0 {
            return;
        }
        if let Some(extra) = task.extra_in(task.snapshot()) {
            bound.force(crate::future::bound::Load { tasks: 0, bytes });
            // The future may outlive the pool's last handle: `uncharge` drops this.
            let _kept = self.retain().into_raw();
            // Relaxed: settling publishes it.
            extra.charged.store(bytes, Ordering::Relaxed);
        }
    }
}

/// Settles a task that waited too long; false if it has not, or has started.
fn expire_queued(task: &TaskRef, now: Instant) -> bool {
    let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return false };
    let Some(extra) = task.extra_in(task.snapshot()) else { return false };
    // Relaxed: published with the task.
    let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
    let passed = |timeout: i64| {
        let deadline = first_deadline(accepted, &[timeout]);
        deadline != NEVER && deadline <= now
    };
    let (name, timeout) = if passed(spec.queue_timeout) {
        ("CFUT_TASK_QUEUE_TIMEOUT_NS", spec.queue_timeout)
    } else if passed(spec.total_timeout) {
        ("CFUT_TASK_TOTAL_TIMEOUT_NS", spec.total_timeout)
    } else {
        return false;
    };
    let line = Line::of(format_args!(
        "expired before it started: {name} of {} passed",
        Nanoseconds(timeout)
    ));
    let verdict = Verdict::because(Outcome::Expired, 0, line.as_bytes());
    task.settle_if(task, |seen| seen.is_pending(), verdict)
}
