//! How a pool's queue is kept within its bound: who waits for room, and who gives it back.

use super::inbox::Refused;
use super::pool::Pool;
use super::submit::Unaccepted;
use crate::error::Result;
use crate::future::bound::{Bound, FullPolicy, Load};
use crate::future::cell::TaskCell;
use crate::future::phase::Phase;
use crate::sync::Timeout;

impl Pool {
    /// Takes room in the queue as the policy says. False: the caller runs the task.
    pub(super) fn take_room(&self, bound: &Bound, load: Load) -> Result<bool> {
        if bound.try_take(load) {
            return Ok(true);
        }
        let policy = self.config.full_policy;
        if policy == FullPolicy::Reject {
            return Err(bound.full("the queue is full"));
        }
        // A worker that waited for room would wait for itself.
        if policy == FullPolicy::RunInCaller || self.this_worker().is_some() {
            return if self.phase() == Phase::Open {
                Ok(false)
            } else {
                Err(self.refusal(Unaccepted::Refused(Refused::Closed)))
            };
        }
        self.wait_for_room(bound, load).map(|()| true)
    }

    pub(super) fn take_room_for_many(&self, bound: &Bound, load: Load) -> Result<()> {
        if bound.try_take(load) {
            return Ok(());
        }
        match self.config.full_policy {
            FullPolicy::Reject => Err(bound.full("the queue has no room for the batch")),
            // All or nothing, and many: they are not run here but accepted.
            FullPolicy::RunInCaller => {
                bound.force(load);
                Ok(())
            }
            FullPolicy::Block if self.this_worker().is_some() => {
                bound.force(load);
                Ok(())
            }
            FullPolicy::Block => self.wait_for_room(bound, load),
        }
    }

    /// Room for tasks that will wait in a view, or in the lane of commands: as for a batch, but a
    /// submitter from outside that would run the task waits instead, for it cannot do that.
    pub(super) fn take_room_elsewhere(&self, load: Load) -> Result<()> {
        let Some(bound) = &self.bound else { return Ok(()) };
        if bound.try_take(load) {
            return Ok(());
        }
        if self.config.full_policy == FullPolicy::Reject {
            return Err(bound.full("the queue is full"));
        }
        // A worker that waited for room would wait for itself.
        if self.this_worker().is_some() {
            bound.force(load);
            return Ok(());
        }
        self.wait_for_room(bound, load)
    }

    fn wait_for_room(&self, bound: &Bound, load: Load) -> Result<()> {
        let timeout = Timeout::from_ns(self.config.full_timeout);
        bound.take(load, timeout, || self.phase() != Phase::Open).map_err(|why| bound.refusal(why))
    }

    pub(super) fn give_room(&self, tasks: u64, bytes: u64) {
        if let Some(bound) = &self.bound {
            bound.give(Load { tasks, bytes });
        }
    }

    /// The room a task took is free: it starts, or was settled before it could.
    pub(super) fn give_room_of(&self, cell: &TaskCell) {
        if let Some(bound) = &self.bound {
            bound.give_room_of(cell);
        }
    }
}
