//! Calls back what workers have taken from the inbox ahead, and what lies in their deques, so that
//! a snapshot can name it.
//!
//! Whoever looks into a batch or a deque from outside sees pointers whose tasks may run and be freed
//! at any moment. So it takes them out, as a thief does, and owns them then; and puts them back into the
//! inbox: those from batches before all others of the normal lane, where they came from, and those
//! from deques into the nested one. There they can be looked at, under its lock.
//!
//! C1. From the first that is taken to the last that is put back the caller holds the inbox's lock, so nobody
//!     can take a younger task meanwhile: a worker whose batch is empty needs the lock. What two
//!     batches held is put back in the order accepted. A pool of one worker has one batch
//!     at most (`find`), and keeps its order.
//! C2. Whoever looks precisely misses no task on its way: see "Called back" in `sleep.md`.
//! C3. Nothing is called back once tasks that wait are to be settled: whoever settles them empties
//!     the inbox before the batches, after the verdict is set and under the same lock.
//! C4. It costs as much with a million tasks as with `WANTED`, which is what a snapshot shows.

use super::batch::{BATCH, Batch};
use super::pool::Pool;
use super::queue::{Entry, Theirs};
use super::sleep::Notified;
use crate::trace::snapshot::SHOWN;
use std::mem::MaybeUninit;
use std::ptr;

/// So many are called back, if there are as many, and up to one batch more.
const WANTED: usize = if cfg!(loom) { 4 } else { SHOWN };
pub(super) const MOST: usize = WANTED + BATCH;

/// Tasks on their way back, each with its queue's reference.
pub(super) struct Recalled {
    list: [MaybeUninit<Entry>; MOST],
    /// Those from batches come first.
    outside: usize,
    nested: usize,
}

impl Recalled {
    pub(super) fn new() -> Recalled {
        Recalled { list: [MaybeUninit::uninit(); MOST], outside: 0, nested: 0 }
    }

    fn wants_more(&self) -> bool {
        self.outside + self.nested < WANTED
    }

    /// Before all deques. True: there was something.
    pub(super) fn take_batch(&mut self, batch: &Batch) -> bool {
        debug_assert!(self.nested == 0);
        let mut loot = [MaybeUninit::uninit(); BATCH];
        let count = batch.take_all(&mut loot);
        self.list[self.outside..self.outside + count].copy_from_slice(&loot[..count]);
        self.outside += count;
        count > 0
    }

    pub(super) fn take_nested(&mut self, theirs: &Theirs) {
        while self.wants_more() {
            let Some(task) = theirs.steal() else { return };
            self.list[self.outside + self.nested].write(task);
            self.nested += 1;
        }
    }

    /// Those from batches in the order accepted, and of equal stamps in that in which they were found.
    fn sort_outside(&mut self) {
        let mut order = [(0, 0); MOST];
        let list = self.list;
        for (number, place) in order[..self.outside].iter_mut().enumerate() {
            // SAFETY: `outside` were written, and are ours.
            *place = (unsafe { list[number].assume_init().as_ref() }.accepted_at(), number);
        }
        order[..self.outside].sort_unstable();
        for (place, &(_, number)) in self.list.iter_mut().zip(&order[..self.outside]) {
            *place = list[number];
        }
    }

    /// Those from batches, and those from deques.
    pub(super) fn parts(&self) -> (&[Entry], &[Entry]) {
        // SAFETY: so many were written.
        let all = unsafe {
            &*(ptr::from_ref(&self.list[..self.outside + self.nested]) as *const [Entry])
        };
        all.split_at(self.outside)
    }
}

impl Pool {
    /// Has up to `WANTED` of the tasks that workers have lie in the inbox.
    pub(super) fn recall(&self) {
        if self.is_inherited() {
            return;
        }
        let count = self.inbox.recall(|found| {
            if self.verdict_for_queued().is_none() {
                self.find_taken(found);
            }
        });
        // As whoever has published a task.
        if count > 0 && self.look_for_a_worker(count) == Notified::Stranded {
            self.monitor.keep_trying(self);
        }
    }

    fn find_taken(&self, found: &mut Recalled) {
        let mut batches = 0;
        for slot in self.slots() {
            if found.wants_more() && found.take_batch(slot.batch()) {
                batches += 1;
            }
        }
        if batches > 1 {
            found.sort_outside();
        }
        for slot in self.slots() {
            found.take_nested(slot.theirs());
        }
    }
}
