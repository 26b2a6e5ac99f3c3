//! The end of a loop.
//!
//! 1. *Close*: nothing more is accepted; the phase becomes CLOSING, who waits for room goes on and
//!    is refused, the descriptor is readable from now on. By `cfut_executor_shutdown`, or the last
//!    release.
//! 2. *Cancel*, if asked: what has not started is settled.
//! 3. *Stop*, if asked: running tasks see their stop flags. Threads cannot be killed: KILL and TERM
//!    do no more.
//! 4. *Drain*: `run` goes on with what is queued, in whoever calls it. After the last release
//!    nobody can: it is settled.
//! 5. *End*: nothing is queued, runs or is detached. Tasks that wait for their inputs and whose
//!    deadlines the loop keeps are settled.

use super::event_loop::Loop;
use crate::error::{Result, fail};
use crate::future::cell::{Kind, TaskRef};
use crate::future::extra::Spec;
use crate::future::owner::attention;
use crate::future::phase::Phase;
use crate::future::phase::how::{self, CANCEL, STOP, TERM};
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::future::then;
use crate::quiet;
use crate::sync::{Ordering, Timeout};
use std::ptr;

impl Loop {
    /// `cfut_executor_shutdown`; false: time-out.
    pub(crate) fn shutdown(&self, flags: u32, timeout: Timeout) -> Result<bool> {
        self.check_fork()?;
        how::check(flags)?;
        if timeout != Timeout::Now {
            self.refuse_own_task()?;
        }
        if flags & CANCEL != 0 {
            self.state.lock().cancels = true;
        }
        self.close();
        if flags & CANCEL != 0 {
            while let Some(task) = self.take_queued() {
                let verdict = Verdict::new(Outcome::Cancelled);
                task.settle_if(&task, |seen| seen.is_pending(), verdict);
            }
        }
        if flags & (STOP | TERM) != 0 {
            // Relaxed: a level that tasks poll.
            let level = self.stop_level.load(Ordering::Relaxed);
            self.stop_level.store((level + 1).min(2), Ordering::Relaxed);
            self.owner.call_attention(attention::STOPS);
        }
        Ok(self.wait_for_end(timeout))
    }

    pub(crate) fn refuse_own_task(&self) -> Result<()> {
        self.check_fork()?;
        if self.runs_here() {
            return fail!(
                Deadlock,
                "a task or callback of a loop cannot wait for the end of the loop; use CFUT_NOW"
            );
        }
        Ok(())
    }

    /// Step 1.
    pub(super) fn close(&self) {
        {
            let mut state = self.state.lock();
            if state.phase == Phase::Open {
                state.phase = Phase::Closing;
            }
            state.show();
        }
        if let Some(bound) = &self.bound {
            bound.wake();
        }
        self.end_if_done();
        // They find the end, if it is there.
        self.wake_all();
    }

    /// Step 4 after the last release.
    pub(super) fn abandon(&self) {
        while let Some(task) = self.take_queued() {
            let timed = task.spec().is_some_and(Spec::has_deadline);
            if task.kind() == Kind::Then && !timed {
                if task.move_to(ptr::null_mut()) {
                    self.forget_queued(&task);
                    then::start_here(task);
                }
                continue;
            }
            let text = b"not run: the loop was released, so nobody can run it";
            let verdict = Verdict::because(Outcome::Broken, 0, text);
            task.settle_if(&task, |seen| seen.is_pending(), verdict);
        }
    }

    fn take_queued(&self) -> Option<TaskRef> {
        self.state.lock().pop()
    }

    /// Step 5, if it is time.
    pub(super) fn end_if_done(&self) {
        let ended = {
            let mut state = self.state.lock();
            let ends = state.phase == Phase::Closing && state.is_at_rest();
            if ends {
                state.phase = Phase::Ended;
            }
            ends
        };
        if ended {
            while let Some(task) = self.timers.take_waiting() {
                let text = b"the executor that kept the time-outs of this task has been shut down";
                let verdict = if self.state.lock().cancels {
                    Verdict::new(Outcome::Cancelled)
                } else {
                    Verdict::because(Outcome::Broken, 0, text)
                };
                task.settle_if(&task, |seen| seen.is_pending(), verdict);
            }
            if let Some(timeline) = &self.timeline {
                timeline.sample_now(self.load());
                timeline.close();
            }
            // Release: pairs with the Acquire in `wait_for_end`.
            self.events.fetch_add(1, Ordering::Release);
            self.events.wake_all();
            quiet::signal();
        }
    }

    fn wait_for_end(&self, timeout: Timeout) -> bool {
        loop {
            // Acquire: pairs with the Release in `end_if_done`; read before looking.
            let seen = self.events.load(Ordering::Acquire);
            if self.state.lock().phase == Phase::Ended {
                return true;
            }
            if timeout == Timeout::Now || !self.events.wait(seen, timeout.deadline()) {
                return self.state.lock().phase == Phase::Ended;
            }
        }
    }
}
