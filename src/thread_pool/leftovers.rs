//! Entries of settled tasks in the inbox: who looks, and when (`future::leftovers` says why).
//!
//! What a wait takes is counted by its worker alone, and told when that worker puts more into the
//! inbox, for its own queue holds no more than `FEW`; all else is told at once.

use super::inbox::LANES;
use super::pool::Pool;
use super::queue::Entry;
use super::worker::Slot;
use crate::future::cell::TaskRef;
use crate::future::leftovers::FEW;

/// # Safety
/// The queue's reference keeps the task meanwhile.
pub(super) unsafe fn is_settled(entry: Entry) -> bool {
    // SAFETY: by the contract.
    unsafe { entry.as_ref() }.snapshot().is_settled()
}

impl Slot {
    /// A wait of this worker runs a task and leaves its entry behind.
    pub(super) fn leaves_behind(&self) {
        let count = &self.mine().left_behind;
        count.set(count.get().saturating_add(1));
    }

    /// Before a task of this worker puts more into the inbox.
    #[inline(always)]
    pub(super) fn tell_left_behind(&self) {
        let count = self.mine().left_behind.get() as usize;
        if count >= FEW {
            self.mine().left_behind.set(0);
            self.pool().leave_behind(count);
        }
    }
}

impl Pool {
    /// So many queued tasks were settled, and their entries stay.
    #[cold]
    #[inline(never)]
    pub(super) fn leave_behind(&self, count: usize) {
        let waiting = || LANES.iter().map(|&lane| self.inbox.hint(lane)).sum::<usize>();
        let all = || waiting() + self.lane.count();
        if self.is_inherited() || !self.leftovers.add(count, all) {
            return;
        }
        for lane in LANES {
            // SAFETY: asked under the inbox's lock, where its entries keep their tasks.
            let settled = |entry| unsafe { is_settled(entry) };
            // SAFETY: the queue's reference, now ours.
            self.inbox.take_out(lane, settled, |entry| drop(unsafe { TaskRef::from_raw(entry) }));
        }
        // SAFETY: the pool's own lane and head.
        unsafe { self.lane.drop_settled(self.as_owner()) };
    }
}
