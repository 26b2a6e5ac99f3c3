//! The end of a view.
//!
//! 1. *Close*: nothing more is accepted, under the gate. By `cfut_executor_shutdown`, or the last
//!    release.
//! 2. *Cancel*, if asked: what has not started is settled, also what the parent has queued.
//! 3. *Stop*, if asked: its running tasks see their stop flags.
//! 4. *Drain*: tasks go on to the parent as before.
//! 5. *Kill*, if asked and a wait has come to its end: tasks that still run in processes are
//!    cancelled with their processes.
//! 6. *End*: no task waits or holds a place. The parent's handle goes.
//!
//! SIGTERM to all workers is refused: they are the parent's.

use super::view::View;
use crate::error::{Result, fail};
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::phase::Phase;
use crate::future::phase::how::{self, CANCEL, KILL, STOP, TERM};
use crate::future::promise::{self, Reach};
use crate::future::remote;
use crate::future::settle::Verdict;
use crate::future::state::{Life, Outcome};
use crate::future::wait;
use crate::local;
use crate::sync::{Ordering, Timeout};
use std::ptr;

/// A shutdown that has killed what was busy waits so long for the end of it.
const AFTER_KILL_NS: i64 = 900_000_000;

impl View {
    /// `cfut_executor_shutdown`; false: time-out.
    pub(crate) fn shutdown(&self, flags: u32, timeout: Timeout) -> Result<bool> {
        self.check_fork()?;
        how::check(flags)?;
        if flags & TERM != 0 {
            return fail!(
                NotSupported,
                "CFUT_SHUTDOWN_TERM ends all workers, and a view's are its parent's; use \
                 CFUT_SHUTDOWN_KILL, or shut the parent down"
            );
        }
        if timeout != Timeout::Now {
            self.refuse_own_task()?;
        }
        if flags & CANCEL != 0 {
            self.gate.lock().cancels = true;
        }
        self.close();
        if flags & CANCEL != 0 {
            self.cancel_waiting();
            self.reach_placed(Reach::Pending);
        }
        if flags & STOP != 0 {
            self.reach_placed(Reach::Stop);
        }
        if self.wait_for_end(timeout) {
            return Ok(true);
        }
        if flags & KILL == 0 || !self.elsewhere {
            return Ok(false);
        }
        self.gate.lock().cancels = true;
        self.cancel_waiting();
        self.reach_placed(Reach::Kill);
        Ok(self.wait_for_end(Timeout::from_ns(AFTER_KILL_NS)))
    }

    /// An error in a task of this view: it cannot wait for its own end.
    pub(crate) fn refuse_own_task(&self) -> Result<()> {
        self.check_fork()?;
        let root = self.root().as_ptr();
        let on_root = local::with(|local| ptr::addr_eq(local.executor.get(), root));
        let mine = match wait::this_worker() {
            Some(_) => wait::find_own_task(|task| self.has_placed(task)).is_some(),
            // A helping thread, whose tasks nobody can look at, or a callback.
            None => on_root,
        };
        if mine {
            return fail!(
                Deadlock,
                "a task cannot wait for the end of the view that it holds a place of; use CFUT_NOW"
            );
        }
        Ok(())
    }

    fn has_placed(&self, task: &TaskCell) -> bool {
        self.gate.lock().placed.tasks().any(|placed| ptr::eq(placed.as_ptr().as_ptr(), task))
    }

    /// Step 1.
    pub(super) fn close(&self) {
        let mut gate = self.gate.lock();
        if gate.phase == Phase::Open {
            gate.phase = Phase::Closing;
        }
        self.end_if_done(gate);
    }

    /// Step 2: everything that waits here.
    fn cancel_waiting(&self) {
        loop {
            let first = self.gate.lock().take_waiting();
            let Some(task) = first else { return };
            // Its hook tells the view, whoever settles it.
            task.settle_if(&task, |seen| seen.is_pending(), Verdict::new(Outcome::Cancelled));
        }
    }

    /// Cancels, stops or kills what the parent has.
    fn reach_placed(&self, reach: Reach) {
        let nth = |number| -> Option<TaskRef> { self.gate.lock().placed.tasks().nth(number) };
        let count = self.gate.lock().placed.count;
        let mut number = 0;
        // Not those that get a place meanwhile.
        for _ in 0..count {
            let Some(task) = nth(number) else { return };
            if reach != Reach::Stop || remote::life(&task) == Life::Running {
                let _ = promise::cancel(&task, reach);
            }
            // One that has settled has left the list, and others have moved up.
            if nth(number).is_some_and(|same| same.as_ptr() == task.as_ptr()) {
                number += 1;
            }
        }
    }

    fn wait_for_end(&self, timeout: Timeout) -> bool {
        loop {
            // Acquire: pairs with the Release in `end_if_done`; read before looking.
            let seen = self.events.load(Ordering::Acquire);
            if self.gate.lock().phase == Phase::Ended {
                return true;
            }
            if timeout == Timeout::Now || !self.events.wait(seen, timeout.deadline()) {
                return self.gate.lock().phase == Phase::Ended;
            }
        }
    }
}
