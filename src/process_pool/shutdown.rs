//! The end of a pool, in numbered steps.
//!
//! 1. *Close*: nothing more is accepted (under `state`, so each submit comes before or after), the
//!    phase becomes CLOSING, submitters that wait for room go on and are refused. By
//!    `cfut_executor_shutdown`, by the last release, or because the pool broke.
//! 2. *Cancel*, if asked: what has not started is taken back from the workers and settled.
//! 3. *Stop*, if asked: running tasks see the stop flag, commands are sent SIGTERM. *Term*: SIGTERM
//!    to all workers.
//! 4. *Drain*: the manager goes on until every accepted task is settled and every slot is free.
//! 5. *Kill*, if asked and a wait has come to its end: workers that are still busy are killed, and
//!    what ran in them is CANCELLED.
//! 6. *Leave*: workers are told to leave, and killed if they do not within `LEAVE_NS`; then the
//!    connection to the supervisor is closed, which ends whatever is left and itself.
//! 7. *End*: the phase becomes ENDED; the manager has the notifier's threads leave, and leaves.
//! 8. *Join*: the waiting shutdown joins the threads, and completes the timeline. Without anybody who
//!    waits, they detach themselves.
//! 9. *Free*: when the last reference goes: handles together, the manager, each notifier thread,
//!    results that count against the bound. The timeline is complete then.

use super::child::{Child, Phase as Life, Slot, Why};
use super::dispatch::take_revoked;
use super::pool::{Pool, State};
use crate::error::{Result, fail};
use crate::future::cell::TaskRef;
use crate::future::owner::Owner;
use crate::future::phase::Phase;
use crate::future::phase::how::{self, CANCEL, KILL, STOP, TERM};
use crate::future::registry;
use crate::local;
use crate::platform::clock::Instant;
use crate::platform::thread::Thread;
use crate::platform::{memory, signal};
use crate::sync::{Ordering, Timeout};
use std::ptr::NonNull;

/// A worker that was told to leave has so long.
pub(super) const LEAVE_NS: u64 = 2_000_000_000;
/// A shutdown that has killed what was busy waits so long for the end of it.
const AFTER_KILL_NS: u64 = 900_000_000;
/// The supervisor has so long to kill them; then it is killed, and they with it.
const KILL_NS: u64 = 600_000_000;

impl Pool {
    /// `cfut_executor_shutdown`; false: time-out.
    pub(crate) fn shutdown(&self, flags: u32, timeout: Timeout) -> Result<bool> {
        self.check_fork()?;
        how::check(flags)?;
        // What has not started will not, where running tasks are made to end.
        let cancels = flags & (CANCEL | TERM) != 0;
        if cancels {
            // Before the end, which may come with `close`. Relaxed: the backlog is emptied under its
            // lock afterwards.
            self.cancel_queued.store(true, Ordering::Relaxed);
        }
        self.close();
        if cancels {
            self.settle_queued();
        }
        if flags & (STOP | TERM) != 0 {
            self.raise_stop();
            self.lane.stop_running();
        }
        if flags & TERM != 0 {
            self.terminate();
        }
        self.poller.wake();
        if self.wait_for_end(timeout) {
            return Ok(true);
        }
        if flags & KILL == 0 {
            return Ok(false);
        }
        self.kill_busy();
        Ok(self.wait_for_end(Timeout::from_ns(AFTER_KILL_NS as i64)))
    }

    /// An error in a callback that a thread of this pool makes. Its tasks run elsewhere.
    pub(crate) fn refuse_own_task(&self) -> Result<()> {
        self.check_fork()?;
        if local::with(|local| std::ptr::addr_eq(local.executor.get(), self)) {
            return fail!(
                Deadlock,
                "a callback of a process pool's future, made by the pool, cannot wait for the \
                 pool's end; use CFUT_NOW"
            );
        }
        Ok(())
    }

    /// Step 1.
    pub(super) fn close(&self) {
        // First: once the pool is closing, no command comes that its end would have to wait for.
        self.lane.close();
        let closed = {
            // Under the lock: each submit comes before or after.
            let _state = self.state.lock();
            self.advance(Phase::Open)
        };
        if closed {
            if let Some(bound) = &self.bound {
                bound.wake();
            }
            self.poller.wake();
        }
    }

    /// Step 2, and the end of what waits when the pool breaks: in the calling thread.
    pub(super) fn settle_queued(&self) {
        self.settle_commands();
        while let Some(verdict) = self.verdict_for_queued() {
            let Some(task) = self.take_unstarted() else { return };
            if task.snapshot().is_pending() {
                task.settle_if(&task, |seen| seen.is_pending(), verdict);
            } else if !task.snapshot().is_settled() {
                self.end_again(task, verdict);
            }
        }
    }

    /// A task that waited to be run again.
    fn end_again(&self, task: TaskRef, verdict: crate::future::settle::Verdict) {
        let mut round = super::results::Round::new();
        let report = crate::future::remote::Report {
            outcome: verdict.outcome,
            code: verdict.code,
            message: verdict.message,
            payload: crate::future::result::Payload::None,
            queued: 0,
            ran: 0,
        };
        round.push(super::results::Arrival::Ended(task, report));
        self.settle_round(&mut round);
    }

    /// One task that has not begun, from the backlog or from a worker.
    fn take_unstarted(&self) -> Option<TaskRef> {
        let mut state = self.state.lock();
        if let Some(task) = state.backlog.pop() {
            return Some(task);
        }
        state.children_mut().find_map(take_first_waiting)
    }

    /// Step 3.
    fn raise_stop(&self) {
        let mut state = self.state.lock();
        state.stop_level = (state.stop_level + 1).min(2);
        let level = state.stop_level;
        for child in state.children_mut() {
            child.wire.set_stop_level(level);
        }
    }

    fn terminate(&self) {
        let mut state = self.state.lock();
        state.killing = true;
        let State { children, supervisor, .. } = &mut *state;
        for child in children.iter_mut().flatten() {
            // SAFETY: P1: the state is locked, and nothing else reaches the child meanwhile.
            let child = unsafe { child.as_mut() };
            supervisor.kill(child.number, child.generation, signal::TERM, false);
        }
    }

    /// Step 5.
    fn kill_busy(&self) {
        {
            let mut state = self.state.lock();
            state.killing = true;
            state.kill_by = Some(Instant::now().plus(KILL_NS));
        }
        // Relaxed: the backlog is emptied under its lock afterwards.
        self.cancel_queued.store(true, Ordering::Relaxed);
        self.settle_queued();
        self.lane.kill_running();
        let mut state = self.state.lock();
        for number in 0..state.children.len() {
            let Some(mut child) = state.children[number] else { continue };
            // SAFETY: P1; `state` is not used for this child otherwise.
            let child = unsafe { child.as_mut() };
            if child.in_flight > 0 || child.phase == Life::Starting {
                self.kill_child(&mut state, child, Why::Shutdown);
            }
        }
        drop(state);
        self.poller.wake();
    }

    /// Step 8; false: not yet.
    fn wait_for_end(&self, timeout: Timeout) -> bool {
        loop {
            // Acquire: pairs with the Release in `signal`; read before looking.
            let seen = self.events.load(Ordering::Acquire);
            if self.is_gone() {
                return self.join_threads(timeout);
            }
            if timeout == Timeout::Now {
                return false;
            }
            if !self.events.wait(seen, timeout.deadline()) {
                return self.is_gone() && self.join_threads(Timeout::Now);
            }
        }
    }

    fn is_gone(&self) -> bool {
        self.phase() == Phase::Ended
            && self.state.lock().manager_gone
            && self.notifier.threads_gone()
    }

    fn join_threads(&self, timeout: Timeout) -> bool {
        let manager = self.state.lock().manager.take();
        if let Some(manager) = manager {
            if !join(manager, timeout) {
                self.state.lock().manager = Some(manager);
                return false;
            }
        }
        while let Some(thread) = self.notifier.take_gone() {
            // Past its last look at the pool: its end is a matter of moments.
            join(thread, Timeout::Forever);
        }
        if let Some(timeline) = &self.timeline {
            timeline.sample_now(self.load());
            timeline.close();
        }
        true
    }

    /// Whether everything accepted is settled, what is due then is the notifier's, and no worker is
    /// at work. Called under `state`.
    pub(super) fn is_done(&self, state: &State) -> bool {
        // What was taken back may never be answered for, by a worker that is stopped.
        self.is_settled() && state.children().all(|child| child.order.is_empty())
    }

    /// Whether everything accepted is settled, and what is due then is the notifier's.
    pub(super) fn is_settled(&self) -> bool {
        self.rest.is_at_rest()
    }

    /// For `cfut_quiesce`.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.state.lock();
        let starting = state.children().any(|child| child.phase == Life::Starting);
        self.is_done(&state) && !starting && state.backlog.is_empty() && self.notifier.is_quiet()
    }
}

fn join(thread: Thread, timeout: Timeout) -> bool {
    let deadline = match timeout {
        Timeout::Forever => None,
        Timeout::Until(instant) => Some(instant),
        Timeout::Now => Some(Instant(0)),
    };
    // SAFETY: taken from the pool, so joined here only; this is none of its threads.
    unsafe { thread.join(deadline) }
}

/// The oldest task that waits in a child, taken back.
fn take_first_waiting(child: &mut Child) -> Option<TaskRef> {
    for at in 0..child.order.len() {
        let slot = child.order[at];
        let held = matches!(child.slots[slot as usize], Slot::Handed(..));
        if held && child.wire.slot(slot).revoke() {
            child.order.remove(at);
            return take_revoked(child, slot);
        }
    }
    None
}

/// Step 9.
///
/// # Safety
/// The last reference to the pool is gone.
pub(super) unsafe fn destroy(owner: NonNull<Owner>) {
    // SAFETY: by the contract nobody else has it.
    let pool = unsafe { Pool::of(owner) };
    registry::leave(&pool.owner);
    if let Some(manager) = pool.state.lock().manager.take() {
        // SAFETY: nobody has joined it, and nobody will.
        unsafe { manager.detach() };
    }
    while let Some(thread) = pool.notifier.take_gone() {
        // SAFETY: as above.
        unsafe { thread.detach() };
    }
    // SAFETY: made by try_box; this was the last look at it.
    unsafe { memory::drop_box(owner.cast::<Pool>()) };
}
