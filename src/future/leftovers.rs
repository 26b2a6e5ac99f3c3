//! What tasks leave in queues when they are settled there.
//!
//! A task that is cancelled, whose time is up, or that runs in the wait for it, leaves its entry, with
//! a reference to its cell, in the queue, and whoever finds it there drops it. Where nobody comes,
//! because all workers are in tasks that take long, such entries would pile up, in a bounded queue
//! too: they need no room. So they are counted, and when they may be half of all entries, whoever leaves
//! the last one looks through all and takes them out. That costs each of them a look at two entries, and
//! as many lie in a queue as there are others, at most, and a `FEW`.
//!
//! Those that their turn has come for stay counted: then it is looked too early, which costs the same.

use super::cell::TaskRef;
use crate::sync::{AtomicUsize, Ordering};
use std::collections::VecDeque;

/// So many may lie anywhere before somebody looks.
pub(crate) const FEW: usize = 64;

/// Counts what is left in an executor's queues.
pub(crate) struct Leftovers(AtomicUsize);

impl Leftovers {
    pub(crate) fn new() -> Leftovers {
        Leftovers(AtomicUsize::new(0))
    }

    /// So many more, among as many entries as `all` says. True: the caller takes them out.
    pub(crate) fn add(&self, count: usize, all: impl FnOnce() -> usize) -> bool {
        // Relaxed, here and below: a count of its own.
        let before = self.0.fetch_add(count, Ordering::Relaxed);
        let now = before + count;
        if now / FEW == before / FEW || now < all() / 2 {
            return false;
        }
        self.0.swap(0, Ordering::Relaxed) >= FEW
    }
}

/// Takes the settled tasks that `may_go` out of a lane, as far as there is memory. They may be last
/// references: not to be dropped under a lock.
pub(crate) fn take_settled(
    lane: &mut VecDeque<TaskRef>,
    may_go: impl Fn(&TaskRef) -> bool,
) -> VecDeque<TaskRef> {
    let mut gone = VecDeque::new();
    for _ in 0..lane.len() {
        let Some(task) = lane.pop_front() else { break };
        let goes = task.snapshot().is_settled() && may_go(&task) && gone.try_reserve(1).is_ok();
        if goes { &mut gone } else { &mut *lane }.push_back(task);
    }
    gone
}
