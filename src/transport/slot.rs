//! One task that a worker has been given, as both sides see it.
//!
//! Table and proof stand in the room's contract. The host has its own record of what each
//! slot stands for, and believes from here only who won the race between `start` and `revoke`.

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Nobody uses the slot.
pub(crate) const EMPTY: u32 = 0;
/// Given to the worker, which has not come to it yet.
pub(crate) const HANDED: u32 = 1;
/// The worker runs it.
pub(crate) const STARTED: u32 = 2;
/// Taken back before the worker came to it.
pub(crate) const REVOKED: u32 = 3;

#[derive(Default)]
#[repr(C, align(64))]
pub(crate) struct Slot {
    state: AtomicU32,
    stop: AtomicU32,
    done: AtomicU64,
    total: AtomicU64,
    started_ns: AtomicU64,
}

impl Slot {
    /// Host: EMPTY → HANDED, before the TASK record is pushed.
    pub(crate) fn hand(&self) {
        // Relaxed: the push of the record publishes all of these.
        self.stop.store(0, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.total.store(0, Ordering::Relaxed);
        self.started_ns.store(0, Ordering::Relaxed);
        self.state.store(HANDED, Ordering::Relaxed);
    }

    /// Worker: HANDED → STARTED at `now`, a time of CLOCK_MONOTONIC. False: the host has
    /// taken the task back; it is answered with SKIPPED.
    #[must_use]
    pub(crate) fn start(&self, now: u64) -> bool {
        // Relaxed: decides a race on one word; the record before published what was handed.
        let won =
            self.state.compare_exchange(HANDED, STARTED, Ordering::Relaxed, Ordering::Relaxed);
        if won.is_ok() {
            // Relaxed: a number that the host may see late, as 0.
            self.started_ns.store(now.max(1), Ordering::Relaxed);
        }
        won.is_ok()
    }

    /// Host: HANDED → REVOKED. False: the worker has started it, or is done with it.
    #[must_use]
    pub(crate) fn revoke(&self) -> bool {
        // Relaxed: as in `start`; the host runs nothing on the strength of the worker's writes.
        self.state.compare_exchange(HANDED, REVOKED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Host: any → EMPTY, when it has the RESULT or the task was never pushed; what it was.
    pub(crate) fn clear(&self) -> u32 {
        // Relaxed: the ring orders the worker's writes before the RESULT.
        let before = self.state.load(Ordering::Relaxed);
        self.state.store(EMPTY, Ordering::Relaxed);
        before
    }

    /// One of the states above, unless the worker has written rubbish.
    pub(crate) fn state(&self) -> u32 {
        // Relaxed: a snapshot. Of a worker that has died: its last write, for the kernel told of
        // the death after it.
        self.state.load(Ordering::Relaxed)
    }

    /// Host: asks the task to stop, with these bits.
    pub(crate) fn raise_stop(&self, bits: u32) {
        // Relaxed: a flag that is polled; nothing is published with it.
        self.stop.fetch_or(bits, Ordering::Relaxed);
    }

    /// Worker: the bits raised so far.
    #[inline]
    pub(crate) fn stop(&self) -> u32 {
        // Relaxed: as in `raise_stop`.
        self.stop.load(Ordering::Relaxed)
    }

    /// Worker: how far the task has come.
    pub(crate) fn set_progress(&self, done: u64, total: u64) {
        // Relaxed: two numbers for showing; a reader may see one of them early.
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
    }

    /// Host: done and total.
    pub(crate) fn progress(&self) -> (u64, u64) {
        // Relaxed: as in `set_progress`.
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// When the task started, on the clock of this machine; None before it is known.
    pub(crate) fn started_ns(&self) -> Option<u64> {
        // Relaxed: as in `start`.
        Some(self.started_ns.load(Ordering::Relaxed)).filter(|&time| time != 0)
    }
}
