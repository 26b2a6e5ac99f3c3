//! Who calls the user: threads that make the calls which became due in the manager.
//!
//! The manager must go on whatever a callback does, so it never makes one. It hands what is due
//! over as a batch; batches wait in order. One thread is enough while callbacks are short. If a
//! batch has waited for a millisecond, its predecessors block, and another thread is made, up to
//! a limit: a callback that waits for another future of the pool does not keep that from settling,
//! nor from being told of. The functions of one future are in one batch, so they keep their order.

use super::pool::Pool;
use crate::error::Line;
use crate::future::due::List;
use crate::future::owner::OwnerRef;
use crate::local;
use crate::log::{self, Level};
use crate::platform::clock::Instant;
use crate::platform::thread::{self, Thread};
use crate::quiet;
use crate::sync::{Futex32, Lock, Ordering};
use std::collections::VecDeque;
use std::ffi::c_void;

/// Threads at most.
const MOST: u32 = 32;
/// A batch that waits longer gets a thread of its own.
const PATIENCE_NS: u64 = 1_000_000;
/// After a thread could not be made.
const RETRY_NS: u64 = 10_000_000;
/// An idle thread stays so long.
const IDLE_NS: u64 = 2_000_000_000;

/// Calls to make.
pub(super) struct Batch {
    pub(super) calls: List,
    /// A line for the log.
    pub(super) note: Option<Line>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.note.is_none()
    }

    /// Not contained: calls the user.
    fn run(self) {
        if let Some(line) = self.note {
            log::write(Level::Warning, format_args!("{}", line.as_str()));
        }
        self.calls.run();
    }
}

pub(super) struct Notifier {
    queue: Lock<Queue>,
    signal: Futex32,
}

struct Queue {
    batches: VecDeque<(Instant, Batch)>,
    threads: u32,
    idle: u32,
    /// No thread is made before this.
    retry: Instant,
    /// The pool has ended: threads leave once there is nothing to do.
    closed: bool,
    /// The last thread that has left, to be joined: it has joined the one before it.
    gone: Option<Thread>,
}

impl Queue {
    /// The calling thread leaves; the one to join once the lock is released.
    #[must_use]
    fn leave(&mut self) -> Option<Thread> {
        self.threads -= 1;
        self.gone.replace(Thread::current())
    }
}

fn join(before: Option<Thread>) {
    if let Some(thread) = before {
        // SAFETY: taken from the queue, so joined here only; it has left before this one.
        unsafe { thread.join(None) };
    }
}

impl Notifier {
    pub(super) fn new() -> Option<Notifier> {
        let mut batches = VecDeque::new();
        batches.try_reserve(64).ok()?;
        let queue =
            Queue { batches, threads: 0, idle: 0, retry: Instant(0), closed: false, gone: None };
        Some(Notifier { queue: Lock::new(queue), signal: Futex32::new(0) })
    }

    /// Takes a batch over; without memory it is joined to the last one that waits.
    pub(super) fn hand(&self, batch: Batch, now: Instant) {
        if batch.is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        if queue.batches.try_reserve(1).is_ok() || queue.batches.is_empty() {
            queue.batches.push_back((now, batch));
        } else if let Some((_, last)) = queue.batches.back_mut() {
            last.calls.append(batch.calls);
        }
        let idle = queue.idle > 0;
        drop(queue);
        if idle {
            self.wake();
        }
    }

    fn wake(&self) {
        // Relaxed: the lock orders the queue; the futex compares the value itself.
        self.signal.fetch_add(1, Ordering::Relaxed);
        self.signal.wake_all();
    }

    /// Sees to it that what waits is done; the answer is when to look again.
    pub(super) fn tend(&self, pool: &Pool, now: Instant) -> Option<Instant> {
        let mut queue = self.queue.lock();
        let (since, _) = queue.batches.front()?;
        let due = if queue.threads == 0 { *since } else { since.plus(PATIENCE_NS) };
        let due = due.max(queue.retry);
        if queue.idle > 0 || queue.threads >= MOST {
            return Some(now.plus(PATIENCE_NS));
        }
        if now < due {
            return Some(due);
        }
        queue.threads += 1;
        queue.retry = now.plus(PATIENCE_NS);
        drop(queue);
        if !start_thread(pool) {
            let mut queue = self.queue.lock();
            queue.threads -= 1;
            queue.retry = now.plus(RETRY_NS);
            return Some(queue.retry);
        }
        Some(now.plus(PATIENCE_NS))
    }

    /// Something waits, and no thread will come to it by itself.
    pub(super) fn wants_thread(&self) -> bool {
        let queue = self.queue.lock();
        !queue.batches.is_empty() && queue.idle == 0
    }

    /// Nothing waits and nobody calls.
    pub(super) fn is_quiet(&self) -> bool {
        let queue = self.queue.lock();
        queue.batches.is_empty() && queue.idle == queue.threads
    }

    /// No more batches will come.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.wake();
    }

    /// Whether all threads have left; the caller joins those that did.
    pub(super) fn threads_gone(&self) -> bool {
        let queue = self.queue.lock();
        queue.threads == 0
    }

    pub(super) fn take_gone(&self) -> Option<Thread> {
        self.queue.lock().gone.take()
    }

    /// The next batch; None: the thread leaves.
    fn next(&self, pool: &Pool) -> Option<Batch> {
        let mut queue = self.queue.lock();
        loop {
            if let Some((_, batch)) = queue.batches.pop_front() {
                return Some(batch);
            }
            if queue.closed {
                let before = queue.leave();
                drop(queue);
                join(before);
                self.wake();
                pool.signal();
                return None;
            }
            queue.idle += 1;
            // Relaxed: changed after its critical section by whoever wakes, who then sees us.
            let seen = self.signal.load(Ordering::Relaxed);
            drop(queue);
            quiet::signal();
            let woken = self.signal.wait(seen, Some(Instant::now().plus(IDLE_NS)));
            queue = self.queue.lock();
            queue.idle -= 1;
            if !woken && queue.batches.is_empty() && queue.threads > 1 && !queue.closed {
                let before = queue.leave();
                drop(queue);
                join(before);
                return None;
            }
        }
    }
}

/// A new thread for the batches, which keeps the pool alive.
fn start_thread(pool: &Pool) -> bool {
    let owner = pool.retain().into_raw();
    match thread::spawn(main, owner.as_ptr().cast(), 0) {
        Ok(_) => true,
        Err(_) => {
            // SAFETY: the count that the thread would have had.
            drop(unsafe { OwnerRef::adopt(owner) });
            false
        }
    }
}

extern "C-unwind" fn main(argument: *mut c_void) -> *mut c_void {
    /// Also when a callback ends the thread: another one goes on.
    struct Leaving<'a>(&'a Pool, bool);
    impl Drop for Leaving<'_> {
        fn drop(&mut self) {
            if self.1 {
                let before = self.0.notifier.queue.lock().leave();
                join(before);
                self.0.poller.wake();
                self.0.signal();
            }
        }
    }
    // SAFETY: `start_thread` passed a counted reference to a live pool.
    let owner = unsafe { OwnerRef::adopt(std::ptr::NonNull::new_unchecked(argument.cast())) };
    // SAFETY: `owner` keeps it.
    let pool = unsafe { Pool::of(owner.as_ptr()) };
    pool.name_thread("notify");
    // What runs here must not wait for the pool's end, which waits for this thread.
    local::with(|local| local.executor.set(owner.as_ptr().as_ptr().cast()));
    let mut leaving = Leaving(pool, true);
    while let Some(batch) = pool.notifier.next(pool) {
        batch.run();
    }
    leaving.1 = false;
    drop(leaving);
    local::with(|local| local.executor.set(std::ptr::null()));
    drop(owner);
    std::ptr::null_mut()
}
