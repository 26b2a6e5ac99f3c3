//! Settled tasks in the backlog: who looks, and when (`future::leftovers` says why).

use super::pool::Pool;
use crate::future::leftovers::take_settled;

impl Pool {
    /// A queued task was settled, and stays in the backlog. Not under `state`.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_behind(&self) {
        let all = || self.state.lock().backlog.len() + self.lane.count();
        if self.is_inherited() || !self.leftovers.add(1, all) {
            return;
        }
        let gone = {
            let mut state = self.state.lock();
            // What has run is in the books of the pool, which `dispatch` closes.
            let lanes = state.backlog.lanes_mut().each_mut();
            lanes.map(|lane| take_settled(lane, |task| !task.has_run()))
        };
        drop(gone);
        // SAFETY: the pool's own lane and head.
        unsafe { self.lane.drop_settled(self.as_owner()) };
    }
}
