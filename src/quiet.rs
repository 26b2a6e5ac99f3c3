//! Whether the library is calling user code anywhere, for `cfut_quiesce`. Open to all rooms.

use crate::platform::clock::Instant;
use crate::platform::fork;
use crate::sync::{AtomicU32, AtomicUsize, Futex32, Ordering, fence, global};

global! {
    /// Threads that are running callbacks and free functions.
    static CALLING: AtomicUsize = AtomicUsize::new(0);
}
global! {
    /// Threads that wait for quiet.
    static WAITING: AtomicU32 = AtomicU32::new(0);
}
global! {
    static SIGNAL: Futex32 = Futex32::new(0);
}

/// The calling thread is about to run callbacks; undone when this goes.
pub(crate) struct Calling {
    /// The fork generation it was counted in: a child does not have what its parent counted.
    generation: u32,
}

impl Calling {
    pub(crate) fn begin() -> Calling {
        // AcqRel: pairs with the Acquire in `nobody_calls`: what the callbacks do comes
        // before the quiet that somebody sees.
        CALLING.fetch_add(1, Ordering::AcqRel);
        Calling { generation: fork::generation() }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if self.generation == fork::generation() {
            // AcqRel: as in `begin`.
            CALLING.fetch_sub(1, Ordering::AcqRel);
            signal();
        }
    }
}

/// First use in a forked child: the threads that were calling do not exist.
pub(crate) fn reset() {
    // Relaxed: called once in the child, by `PerProcess`.
    CALLING.store(0, Ordering::Relaxed);
    WAITING.store(0, Ordering::Relaxed);
}

pub(crate) fn nobody_calls() -> bool {
    // Acquire: pairs with the end of each `Calling`.
    CALLING.load(Ordering::Acquire) == 0
}

/// Something has come to rest.
#[inline]
pub(crate) fn signal() {
    // SeqCst: pairs with the fence in `Wait::begin`. Of the two one comes first. If it is the
    // waiter's, its count, made before, is seen here. If it is this one, the waiter, which looks
    // around after its own, sees what came to rest before this call.
    fence(Ordering::SeqCst);
    // Relaxed: ordered by the fence.
    if WAITING.load(Ordering::Relaxed) != 0 {
        // Relaxed: the futex compares the value itself.
        SIGNAL.fetch_add(1, Ordering::Relaxed);
        SIGNAL.wake_all();
    }
}

/// A thread that waits for quiet.
pub(crate) struct Wait(());

impl Wait {
    pub(crate) fn begin() -> Wait {
        // Relaxed: ordered by the fence; see `signal`.
        WAITING.fetch_add(1, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `signal`.
        fence(Ordering::SeqCst);
        Wait(())
    }

    /// To be read before looking around.
    pub(crate) fn seen(&self) -> u32 {
        // Acquire: pairs with the fence in `signal`, after which the word changes; what is
        // looked at afterwards is looked at afterwards.
        SIGNAL.load(Ordering::Acquire)
    }

    /// Sleeps until something changes after `seen`; false at the deadline.
    pub(crate) fn sleep(&self, seen: u32, deadline: Option<Instant>) -> bool {
        SIGNAL.wait(seen, deadline)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        // Relaxed: nothing is published with it.
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}
