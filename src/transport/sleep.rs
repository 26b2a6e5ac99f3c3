#![doc = include_str!("sleep.md")]

use super::ring::{Consumer, Damaged, Memory, Producer};
use crate::platform::clock::{self, Instant};
use crate::platform::thread;
use crate::sync::{AtomicU32, Ordering, Padded, SharedFutex32, fence, spin_loop};

/// Who sleeps, or is about to.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Bells {
    /// The worker sleeps on this word, for tasks. Set by the worker, cleared by whoever wakes.
    worker_sleeps: Padded<SharedFutex32>,
    /// The worker sleeps on this word, for room in the result ring. As above.
    worker_is_full: Padded<SharedFutex32>,
    /// The host sleeps in its poller, and wants a message. Set by the host, cleared by the worker.
    host_waits: Padded<AtomicU32>,
}

/// From here on a look lets others run in between: the other side may wait for this processor,
/// and then nothing comes as long as we look.
const POLITE_NS: u64 = 5_000;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Woken {
    /// There is something to take.
    Ready,
    /// The deadline passed first.
    TimedOut,
}

impl Bells {
    /// Worker: until there is a record, looking for `spin_ns` before it sleeps.
    pub(crate) fn wait_for_task<M: Memory>(
        &self,
        tasks: &mut Consumer<M>,
        spin_ns: u64,
        deadline: Option<Instant>,
    ) -> Result<Woken, Damaged> {
        if spin(spin_ns, || tasks.has_record())? {
            return Ok(Woken::Ready);
        }
        sleep_until(&self.worker_sleeps, deadline, || tasks.has_record())
    }

    /// Host: after a push. Wakes the worker if it sleeps; one load otherwise.
    #[inline]
    pub(crate) fn ring_worker(&self) {
        wake(&self.worker_sleeps);
    }

    /// Worker: until a payload of `length` bytes finds room among the results.
    pub(crate) fn wait_for_room<M: Memory>(
        &self,
        results: &mut Producer<M>,
        length: u64,
        deadline: Option<Instant>,
    ) -> Result<Woken, Damaged> {
        sleep_until(&self.worker_is_full, deadline, || results.fits(length))
    }

    /// Host: after it has advanced over results; once for several is enough.
    #[inline]
    pub(crate) fn room_made(&self) {
        wake(&self.worker_is_full);
    }

    /// Host: it is about to sleep. If this says true there are results: it does not.
    pub(crate) fn announce_wait<M: Memory>(
        &self,
        results: &mut Consumer<M>,
    ) -> Result<bool, Damaged> {
        // Relaxed: the fence orders it.
        self.host_waits.store(1, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `bell_needed`: sleep.md.
        fence(Ordering::SeqCst);
        results.has_record()
    }

    /// Host: it is awake and looks at the ring by itself.
    pub(crate) fn end_wait(&self) {
        // Relaxed: a worker that sees it late sends a message too many.
        self.host_waits.store(0, Ordering::Relaxed);
    }

    /// Worker: after a push. True: it sends a BELL.
    #[inline]
    #[must_use]
    pub(crate) fn bell_needed(&self) -> bool {
        // SeqCst: pairs with the fence in `announce_wait`: sleep.md.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders the load; the swap lets one of several send.
        self.host_waits.load(Ordering::Relaxed) != 0
            && self.host_waits.swap(0, Ordering::Relaxed) != 0
    }
}

fn spin(budget_ns: u64, mut look: impl FnMut() -> Result<bool, Damaged>) -> Result<bool, Damaged> {
    if look()? {
        return Ok(true);
    }
    if budget_ns == 0 {
        return Ok(false);
    }
    if cfg!(loom) {
        spin_loop(); // no clock runs in models: one more look stands for all
        return look();
    }
    let (begun, budget) = (clock::ticks(), clock::ns_to_ticks(budget_ns));
    let polite = clock::ns_to_ticks(POLITE_NS);
    loop {
        let looked = clock::ticks().wrapping_sub(begun);
        if looked >= budget {
            break;
        }
        if looked > polite {
            thread::yield_now();
        }
        for _ in 0..16 {
            if look()? {
                return Ok(true);
            }
            spin_loop();
        }
    }
    Ok(false)
}

/// The sleeper's half of the protocol.
fn sleep_until(
    word: &SharedFutex32,
    deadline: Option<Instant>,
    mut look: impl FnMut() -> Result<bool, Damaged>,
) -> Result<Woken, Damaged> {
    loop {
        // Relaxed: the fence orders it.
        word.store(1, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `wake`: sleep.md.
        fence(Ordering::SeqCst);
        if look()? {
            // Relaxed: a waker that sees it late makes a call too many.
            word.store(0, Ordering::Relaxed);
            return Ok(Woken::Ready);
        }
        if !word.wait(1, deadline) {
            // Relaxed: as above.
            word.store(0, Ordering::Relaxed);
            return Ok(if look()? { Woken::Ready } else { Woken::TimedOut });
        }
    }
}

/// The waker's half.
#[inline]
fn wake(word: &SharedFutex32) {
    // SeqCst: pairs with the fence in `sleep_until`: sleep.md.
    fence(Ordering::SeqCst);
    // Relaxed: the fence orders it.
    if word.load(Ordering::Relaxed) != 0 {
        wake_sleeper(word);
    }
}

#[cold]
fn wake_sleeper(word: &SharedFutex32) {
    // Relaxed: the kernel compares the word under its own lock, so a sleeper that comes
    // after this store does not fall asleep.
    word.store(0, Ordering::Relaxed);
    word.wake_all();
}
