//! The turn of a pool of one worker: one task at a time, also while one of them blocks.
//!
//! People use such a pool as a lock and as an order. When its only task waits, the pool may
//! have to run another thread in its place (the awaited may depend on a queued task), and
//! then the two must not run at once: each runs while it has the turn, gives it up while it
//! blocks, and takes it again before it goes on. Nothing of this happens until the
//! first time a task of the pool blocks.

use crate::sync::{AtomicBool, Futex32, Ordering};

const FREE: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

pub(super) struct Turn {
    /// Set when the first task blocks; from then on every task takes the turn.
    engaged: AtomicBool,
    state: Futex32,
}

impl Turn {
    pub(super) fn new() -> Turn {
        Turn { engaged: AtomicBool::new(false), state: Futex32::new(FREE) }
    }

    #[inline(always)]
    pub(super) fn is_engaged(&self) -> bool {
        // Acquire: pairs with `engage`, which came before the second thread.
        self.engaged.load(Ordering::Acquire)
    }

    /// A task that runs without the turn is about to block.
    pub(super) fn engage(&self) {
        // Release: pairs with `is_engaged`.
        self.engaged.store(true, Ordering::Release);
    }

    pub(super) fn take(&self) {
        // Acquire, here and below: pairs with the Release in `give`; one task sees what the
        // other did, as under a lock.
        if self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
            self.state.wait(AWAITED, None);
        }
    }

    pub(super) fn give(&self) {
        // Release: pairs with `take`.
        if self.state.swap(FREE, Ordering::Release) == AWAITED {
            self.state.wake_one();
        }
    }
}
