//! The end of a pool, in numbered steps.
//!
//! 1. *Close*: the inbox takes nothing more (under its lock, so each submit comes before or
//!    after), the phase becomes CLOSING, submitters that wait for room go on and are
//!    refused. By `cfut_executor_shutdown`, by the last release, or because the pool broke.
//! 2. *Cancel*, if asked: what has not started is settled; a flag has workers do the same
//!    with what they find.
//! 3. *Stop*, if asked: running tasks see the stop flag, commands are sent SIGTERM. *Kill*, if asked
//!    and a wait has come to its end: commands are killed, threads cannot be.
//! 4. *Drain*: workers go on; nested submits are refused as well. Whoever comes to rest
//!    checks for the end.
//! 5. *End*: nobody is awake, blocked or dormant and every queue is empty, all of it under the
//!    lock of the idle stack: the phase becomes ENDED and all parked workers are woken. They
//!    find the phase and leave. Tasks that wait for their inputs and whose deadlines the pool
//!    keeps are settled; the monitor leaves when no deadline is left.
//! 6. *Join*: the waiting shutdown sees that no thread is left and no detached task is
//!    unsettled, joins the threads that ended, and completes the timeline. Without anybody who
//!    waits, threads detach themselves.
//! 7. *Free*: when the last reference goes: handles together, each thread, each detached
//!    task, each hook that would have submitted here. The timeline is complete then. Memory that is kept for bursts of tasks
//!    goes back to the system, but for a little.

use super::inbox::LANES;
use super::pool::Pool;
use super::sleep::Notified;
use super::worker;
use crate::error::{Error, Kind, Result, fail};
use crate::future::arena;
use crate::future::cell::TaskRef;
use crate::future::owner::{Owner, attention};
use crate::future::phase::Phase;
use crate::future::phase::how::{self, CANCEL, KILL, STOP, TERM};
use crate::future::registry;
use crate::local;
use crate::platform::memory;
use crate::platform::thread::Thread;
use crate::sync::{Ordering, Timeout, fence};
use std::ptr::{self, NonNull};

impl Pool {
    /// `cfut_executor_shutdown`; false: time-out.
    pub(crate) fn shutdown(&self, flags: u32, timeout: Timeout) -> Result<bool> {
        self.check_fork()?;
        how::check(flags)?;
        if timeout != Timeout::Now {
            self.refuse_own_task()?;
        }
        if flags & CANCEL != 0 {
            // Before the end, which may come with `close`. Relaxed: the queues are emptied under
            // their locks afterwards.
            self.cancel_queued.store(true, Ordering::Relaxed);
            self.owner.call_attention(attention::SETTLES_QUEUED);
        }
        self.close();
        // Threads cannot be killed: asking is all there is.
        if flags & (STOP | TERM) != 0 {
            self.raise_stop();
            self.lane.stop_running();
        }
        if flags & CANCEL != 0 {
            self.settle_queued();
        }
        self.end_if_done();
        let mut done = self.wait_for_end(timeout)?;
        if !done && flags & KILL != 0 && !self.lane.is_idle() {
            done = self.kill_commands()?;
        }
        if let (true, Some(timeline)) = (done, &self.timeline) {
            timeline.sample_now(self.load());
            timeline.close();
        }
        Ok(done)
    }

    pub(crate) fn refuse_own_task(&self) -> Result<()> {
        self.check_fork()?;
        if self.is_mine() {
            return fail!(
                Deadlock,
                "a task cannot wait for the end of its own executor; use CFUT_NOW"
            );
        }
        Ok(())
    }

    /// The calling thread runs a task or a hook of this pool.
    pub(super) fn is_mine(&self) -> bool {
        self.this_worker().is_some()
            || local::with(|local| ptr::addr_eq(local.executor.get(), self))
    }

    /// Step 1.
    pub(super) fn close(&self) {
        self.inbox.close();
        self.lane.close();
        if self.advance(Phase::Open) {
            if let Some(bound) = &self.bound {
                bound.wake();
            }
        }
        self.end_if_done();
    }

    fn raise_stop(&self) {
        // Relaxed: a level that tasks poll.
        let level = self.stop_level.load(Ordering::Relaxed);
        self.stop_level.store((level + 1).min(2), Ordering::Relaxed);
        self.owner.call_attention(attention::STOPS);
    }

    /// Step 2: takes every task out of every queue and settles it.
    pub(super) fn settle_queued(&self) {
        let settle = |entry| {
            // SAFETY: the queue's reference, now ours.
            let task = unsafe { TaskRef::from_raw(entry) };
            if let Some(verdict) = self.verdict_for_queued() {
                task.settle_if(&task, |seen| seen.is_pending(), verdict);
            }
        };
        for lane in LANES {
            while let Some(entry) = self.inbox.pop_one(lane) {
                settle(entry);
            }
        }
        for slot in self.slots() {
            slot.steal_all(settle);
        }
        self.settle_commands();
    }

    /// Step 5, if it is time.
    pub(super) fn end_if_done(&self) {
        // SeqCst: pairs with itself. Callers have just changed the counts, the queues or the phase:
        // of two that changed different ones at the same time, the later one sees what the
        // other did.
        fence(Ordering::SeqCst);
        if self.phase() != Phase::Closing {
            return;
        }
        let ended = self.sleep.wake_all_if(|census| {
            census.at_rest()
                && !self.has_work()
                && self.has_no_commands()
                && self.advance(Phase::Closing)
        });
        if ended {
            self.settle_waiting();
            self.monitor.wake();
            self.signal();
        }
    }

    /// Step 6.
    pub(super) fn wait_for_end(&self, timeout: Timeout) -> Result<bool> {
        loop {
            // Acquire: pairs with the Release in `signal`; read before looking.
            let seen = self.events.load(Ordering::Acquire);
            if self.is_gone() {
                return Ok(self.join_threads(timeout));
            }
            self.find_threads_for_the_rest();
            if timeout == Timeout::Now {
                return Ok(false);
            }
            if !self.events.wait(seen, timeout.deadline()) {
                return Ok(self.is_gone() && self.join_threads(Timeout::Now));
            }
        }
    }

    /// Nothing runs and nothing will: no thread, no unsettled task.
    fn is_gone(&self) -> bool {
        // Acquire: pairs with the change in `vtable::settled`.
        if self.phase() != Phase::Ended || self.detached.load(Ordering::Acquire) != 0 {
            return false;
        }
        let roster = self.roster.lock();
        roster.workers == 0 && !roster.monitor_runs
    }

    /// Accepted work whose last worker has gone needs a new one; if none can be made, the
    /// work is settled, for it was promised an end.
    fn find_threads_for_the_rest(&self) {
        let census = self.sleep.census();
        if census.live() != 0 || self.phase() != Phase::Closing || !self.has_work() {
            return;
        }
        if self.look_for_a_worker(usize::MAX) == Notified::Stranded {
            let errno = self.roster.lock().errno;
            let line = crate::error::Line::of(format_args!(
                "no worker thread could be created for the rest of the work: {errno}"
            ));
            self.break_with(0, line.as_bytes());
        }
    }

    fn join_threads(&self, timeout: Timeout) -> bool {
        loop {
            let Some(thread) = self.roster.lock().ended.pop() else { return true };
            let deadline = match timeout {
                Timeout::Forever => None,
                Timeout::Until(instant) => Some(instant),
                Timeout::Now => Some(crate::platform::clock::Instant(0)),
            };
            // SAFETY: taken from the list, so joined here only; all threads of the pool are
            // past their last use of it, and none of them is this one.
            if !unsafe { thread.join(deadline) } {
                self.roster.lock().ended.push(thread);
                return false;
            }
        }
    }

    /// `cfut_executor_warm`: starts all workers; false: time-out.
    pub(crate) fn warm(&self, timeout: Timeout) -> Result<bool> {
        self.check_fork()?;
        let most = self.sleep.limits().most;
        loop {
            self.check_takes_work()?;
            let live = self.sleep.census().live();
            if live >= most {
                break;
            }
            let before = self.roster.lock().started;
            let notified = self.sleep.start_worker(|searching| worker::create(self, searching));
            if notified != Notified::Enough {
                // The thread was counted as awake for a moment; others may have relied on it.
                if !self.has_work() {
                    self.end_if_done();
                } else if self.look_for_a_worker(usize::MAX) == Notified::Stranded {
                    self.monitor.keep_trying(self);
                }
                let roster = self.roster.lock();
                return Err(Error::new(
                    Kind::System,
                    format_args!(
                        "{} of {most} workers run; another thread could not be created: {}",
                        roster.workers, roster.errno
                    ),
                ));
            }
            if self.roster.lock().started == before {
                break; // others have started the rest
            }
        }
        self.wait_until_started(timeout)
    }

    fn wait_until_started(&self, timeout: Timeout) -> Result<bool> {
        loop {
            // Acquire: pairs with the Release in `signal`; read before looking.
            let seen = self.events.load(Ordering::Acquire);
            self.check_takes_work()?;
            if self.roster.lock().starting == 0 {
                return Ok(true);
            }
            if timeout == Timeout::Now || !self.events.wait(seen, timeout.deadline()) {
                return Ok(self.roster.lock().starting == 0);
            }
        }
    }

    pub(super) fn check_takes_work(&self) -> Result<()> {
        self.check_fork()?;
        if let Some(reason) = self.reason() {
            return Err(self.broken_error(&reason));
        }
        if self.phase() != Phase::Open {
            return fail!(Shutdown, "the executor has been shut down");
        }
        Ok(())
    }

    /// For `cfut_quiesce`: nothing to do, nobody at it, and nobody about to leave through
    /// the user's stop hook. From then on idle workers with a stop hook stay.
    pub(super) fn is_quiet(&self) -> bool {
        let workers = {
            let roster = self.roster.lock();
            if roster.starting != 0 {
                return false;
            }
            roster.workers
        };
        // Acquire: pairs with the change in `vtable::settled`.
        if self.detached.load(Ordering::Acquire) != 0 || self.has_work() || !self.has_no_commands()
        {
            return false;
        }
        self.sleep.inspect(|census| {
            let quiet = census.at_rest() && census.live() == workers;
            // Relaxed: read under the same lock.
            self.quiet.store(quiet, Ordering::Relaxed);
            quiet
        })
    }
}

/// Step 7.
///
/// # Safety
/// The last reference to the pool is gone.
pub(super) unsafe fn destroy(owner: NonNull<Owner>) {
    // SAFETY: by the contract nobody else has it.
    let pool = unsafe { Pool::of(owner) };
    registry::leave(&pool.owner);
    // What is left are entries of tasks that are settled.
    pool.settle_queued();
    for thread in std::mem::take(&mut pool.roster.lock().ended) {
        detach(thread);
    }
    for slot in &pool.slots {
        // SAFETY: no thread of the pool is left, but for one that is here and does not look
        // at its slot again.
        unsafe { worker::destroy_slot(slot) };
    }
    // SAFETY: made by try_box; this was the last look at it.
    unsafe { memory::drop_box(owner.cast::<Pool>()) };
    arena::trim();
}

fn detach(thread: Thread) {
    // SAFETY: from the list of threads to be joined, so neither joined nor detached yet.
    unsafe { thread.detach() };
}
