//! Counters of an executor, one set for each worker and one for everybody else.

use crate::future::state::Outcome;
use crate::sync::{AtomicU64, Ordering};

/// A count that only grows, but for what its own thread takes back.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// For the only thread that adds to it.
    #[inline(always)]
    pub(crate) fn add_own(&self, count: u64) {
        // Relaxed throughout: figures, nothing is published with them.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// Undoes `add_own`, by the same thread.
    #[cold]
    pub(crate) fn take_back_own(&self, count: u64) {
        self.add_own(count.wrapping_neg());
    }

    /// For any thread.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Undoes `add`.
    #[cold]
    pub(crate) fn take_back(&self) {
        self.add(1u64.wrapping_neg());
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What happened to tasks.
#[derive(Default)]
pub(crate) struct Tally {
    /// Accepted by a way that the inbox does not count.
    pub(crate) submitted: Counter,
    /// Functions entered, and left again.
    pub(crate) entered: Counter,
    pub(crate) left: Counter,
    /// Settled before they started.
    pub(crate) withdrawn: Counter,
    /// Left as a success, counted nowhere else.
    pub(crate) plain: Counter,
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) expired: Counter,
    pub(crate) crashed: Counter,
    /// Taken from another worker's queue.
    pub(crate) stolen: Counter,
}

impl Tally {
    pub(crate) fn outcome(&self, outcome: Outcome) -> &Counter {
        match outcome {
            Outcome::Succeeded => &self.succeeded,
            // A broken executor or promise is a failure the task had no part in.
            Outcome::Failed | Outcome::Broken => &self.failed,
            Outcome::Cancelled => &self.cancelled,
            Outcome::Crashed => &self.crashed,
            Outcome::Expired => &self.expired,
        }
    }
}

/// Sums over the tallies of an executor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) submitted: u64,
    pub(crate) entered: u64,
    pub(crate) left: u64,
    pub(crate) withdrawn: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) expired: u64,
    pub(crate) crashed: u64,
    pub(crate) stolen: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, tally: &Tally) {
        // Read in the reverse of the order in which a task moves on: a task counted in a
        // later stage is then counted in the earlier ones too.
        let plain = tally.plain.get();
        self.succeeded += tally.succeeded.get() + plain;
        self.failed += tally.failed.get();
        self.cancelled += tally.cancelled.get();
        self.expired += tally.expired.get();
        self.crashed += tally.crashed.get();
        self.left += tally.left.get() + plain;
        self.withdrawn += tally.withdrawn.get();
        self.entered += tally.entered.get();
        self.stolen += tally.stolen.get();
        self.submitted += tally.submitted.get();
    }

    /// Accepted and neither started nor settled.
    pub(crate) fn queued(&self) -> u64 {
        self.submitted.saturating_sub(self.entered + self.withdrawn)
    }

    /// Functions that have been entered and not left.
    pub(crate) fn running(&self) -> u64 {
        self.entered.saturating_sub(self.left)
    }
}
