//! Who calls the user: threads that make the calls which became due in the follower.
//!
//! The follower must go on whatever a callback does. Batches wait in order; one thread is enough
//! while callbacks are short. If a batch has waited for a millisecond, its predecessors block, and
//! another thread is made, up to a limit: a callback may wait for another command.

use crate::future::due::List;
use crate::future::outside::Lane;
use crate::future::owner::OwnerRef;
use crate::local;
use crate::platform::clock::Instant;
use crate::platform::fork::PerProcess;
use crate::platform::thread;
use crate::sync::{Futex32, Lock, Ordering, global};
use crate::unwind::contain;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::ptr;

/// Threads at most.
const MOST: u32 = 32;
/// A batch that waits longer gets a thread of its own.
const PATIENCE_NS: u64 = 1_000_000;
/// An idle thread stays so long.
const IDLE_NS: u64 = 2_000_000_000;

/// Calls to make because a command has ended.
pub(super) struct Batch {
    pub(super) calls: List,
    /// It leaves the lane of its executor afterwards.
    pub(super) leaves: Option<OwnerRef>,
}

impl Batch {
    /// Not contained: calls the user.
    fn run(self) {
        /// Also when a callback ends the thread.
        struct Leaving(Option<OwnerRef>);
        impl Drop for Leaving {
            fn drop(&mut self) {
                local::with(|local| local.executor.set(ptr::null()));
                let _ = contain(|| self.0.take().inspect(leave_lane));
            }
        }
        let leaving = Leaving(self.leaves);
        // What runs here must not wait for the executor's end, which waits for this.
        let executor =
            leaving.0.as_ref().map_or(ptr::null(), |owner| owner.as_ptr().as_ptr().cast_const());
        local::with(|local| local.executor.set(executor.cast()));
        self.calls.run();
    }
}

/// The lane of an executor that has one.
pub(super) fn lane_of(owner: &OwnerRef) -> Option<&Lane> {
    let table = owner.vtable.outside?;
    // SAFETY: `owner` keeps the executor, and with it the lane.
    Some(unsafe { (table.lane)(owner.as_ptr()).as_ref() })
}

/// A command of this executor has gone.
pub(super) fn leave_lane(owner: &OwnerRef) {
    if let Some(lane) = lane_of(owner) {
        // SAFETY: its own lane; once for each command, which came here with this reference.
        unsafe { lane.leave(owner.as_ptr()) };
    }
}

struct Queue {
    batches: VecDeque<(Instant, Batch)>,
    threads: u32,
    idle: u32,
    /// No thread is made before this.
    retry: Instant,
}

const EMPTY: Queue = Queue { batches: VecDeque::new(), threads: 0, idle: 0, retry: Instant(0) };

global! {
    static QUEUE: Lock<Queue> = Lock::new(EMPTY);
}
global! {
    static SIGNAL: Futex32 = Futex32::new(0);
}
static PER_PROCESS: PerProcess = PerProcess::new();

/// Before the first use by a new follower.
pub(super) fn follow_fork() {
    // SAFETY: first use in this child: no thread of it holds the lock.
    PER_PROCESS.follow(|| unsafe { QUEUE.reset(EMPTY) });
}

/// Takes a batch over. By the follower alone.
pub(super) fn hand(batch: Batch, now: Instant) {
    if batch.calls.is_empty() {
        if let Some(owner) = batch.leaves {
            leave_lane(&owner);
        }
        return;
    }
    let mut queue = QUEUE.lock();
    while queue.batches.try_reserve(1).is_err() {
        // Those before it give memory back.
        drop(queue);
        thread::yield_now();
        queue = QUEUE.lock();
    }
    queue.batches.push_back((now, batch));
    let idle = queue.idle > 0;
    drop(queue);
    if idle {
        // Relaxed: the lock orders the queue; the futex compares the value itself.
        SIGNAL.fetch_add(1, Ordering::Relaxed);
        SIGNAL.wake_one();
    }
}

/// Sees to it that what waits is done; the answer is when to look again.
pub(super) fn tend(now: Instant) -> Option<Instant> {
    let mut queue = QUEUE.lock();
    let (since, _) = queue.batches.front()?;
    let due = if queue.threads == 0 { *since } else { since.plus(PATIENCE_NS) };
    let due = due.max(queue.retry);
    if now < due {
        return Some(due);
    }
    queue.retry = now.plus(PATIENCE_NS);
    if queue.idle == 0 && queue.threads < MOST {
        queue.threads += 1;
        drop(queue);
        match thread::spawn(main, ptr::null_mut(), 0) {
            // SAFETY: just made, and known to nobody else.
            Ok(made) => unsafe { made.detach() },
            Err(_) => QUEUE.lock().threads -= 1,
        }
    }
    Some(now.plus(PATIENCE_NS))
}

/// Nothing waits.
pub(super) fn is_idle() -> bool {
    QUEUE.lock().batches.is_empty()
}

/// The next batch; None: the thread leaves.
fn next() -> Option<Batch> {
    let mut queue = QUEUE.lock();
    loop {
        if let Some((_, batch)) = queue.batches.pop_front() {
            return Some(batch);
        }
        queue.idle += 1;
        // Relaxed: changed after its critical section by whoever wakes, who then sees us.
        let seen = SIGNAL.load(Ordering::Relaxed);
        drop(queue);
        let woken = SIGNAL.wait(seen, Some(Instant::now().plus(IDLE_NS)));
        queue = QUEUE.lock();
        queue.idle -= 1;
        if !woken && queue.batches.is_empty() {
            return None;
        }
    }
}

extern "C-unwind" fn main(_: *mut c_void) -> *mut c_void {
    /// Also when a callback ends the thread: another one goes on.
    struct Counted;
    impl Drop for Counted {
        fn drop(&mut self) {
            let _ = contain(|| QUEUE.lock().threads -= 1);
        }
    }
    let counted = Counted;
    thread::set_name(c"cfut-notify");
    while let Some(batch) = next() {
        batch.run();
    }
    drop(counted);
    ptr::null_mut()
}
