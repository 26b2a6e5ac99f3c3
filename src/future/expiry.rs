//! What happens when a deadline of a task passes that runs in this process.

use super::cell::{TaskCell, TaskRef};
use super::settle::Verdict;
use super::state::{EXTRA, Life, Outcome};
use super::timer::{NEVER, Nanoseconds, Timers, first_deadline};
use crate::error::Line;
use crate::platform::clock::Instant;
use crate::sync::Ordering;

/// For a task whose executor has no thread that watches its deadlines: settles what has expired;
/// the next deadline.
pub(super) fn look(cell: &TaskCell) -> Option<Instant> {
    let seen = cell.snapshot();
    if seen.is_settled() || !seen.has(EXTRA) || !cell.spec()?.has_deadline() {
        return None;
    }
    let seen = cell.state.lock();
    let keeper = if seen.is_settled() {
        None
    } else {
        // SAFETY: LOCK is held and it is not settled.
        unsafe { cell.retain_owner(seen).or_else(|| cell.retain_timekeeper(seen)) }
    };
    cell.state.unlock(0, 0);
    let keeper = keeper?;
    // SAFETY: the reference keeps the executor.
    keeper.vtable.expire.and_then(|expire| unsafe { expire(keeper.as_ptr()) })
}

/// Settles every task whose deadline has passed.
pub(crate) fn expire_passed(timers: &Timers, now: Instant) {
    while let Some(task) = timers.pop_passed(now) {
        match task.snapshot().life() {
            Life::Pending if expire_queued(&task, now) => {}
            // It has started meanwhile, or is running: its other deadlines.
            Life::Pending | Life::Running => expire_running(&task, now),
            Life::Cancelled | Life::Finished => {}
        }
    }
}

fn expire_running(task: &TaskRef, now: Instant) {
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

/// Settles a task that waited too long; false if it has not, or has started.
pub(crate) fn expire_queued(task: &TaskRef, now: Instant) -> bool {
    let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return false };
    let Some(extra) = task.extra_in(task.snapshot()) else { return false };
    // Relaxed: published with the task.
    let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
    let queued = Instant(extra.queued_at.load(Ordering::Relaxed));
    let passed = |from: Instant, timeout: i64| {
        let deadline = first_deadline(from, &[timeout]);
        deadline != NEVER && deadline <= now
    };
    let (name, timeout) = if queued.0 != 0 && passed(queued, spec.queue_timeout) {
        ("CFUT_TASK_QUEUE_TIMEOUT_NS", spec.queue_timeout)
    } else if passed(accepted, spec.total_timeout) {
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
