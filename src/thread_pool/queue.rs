//! The tasks that a worker's own tasks submit. The only file that names crossbeam-deque.
//!
//! Newest first for the worker, oldest first for thieves, so that recursion goes in depth and
//! its memory stays small. A pool of one worker, which people use as an order, has such tasks in a lane
//! of the inbox.
//!
//! Under the model checker, which cannot look into crossbeam, the deque is a locked vector
//! with the same interface.

use crate::future::cell::TaskCell;
use std::ptr::NonNull;

/// A queued task: a pointer that owns one reference.
pub(super) type Entry = NonNull<TaskCell>;

/// Beyond this many the deque overflows into the inbox: so many places crossbeam has from the
/// beginning. For more it would ask for memory, and end the process where there is none.
const LIMIT: usize = 64;

#[derive(Clone, Copy)]
#[repr(transparent)]
struct Sendable(Entry);
// SAFETY: an entry owns a reference to a cell, which any thread may use.
unsafe impl Send for Sendable {}

#[cfg(not(loom))]
use crossbeam_deque::{Steal, Stealer, Worker};

#[cfg(loom)]
use stand_in::{Steal, Stealer, Worker};

/// The owner's end.
pub(super) struct Own {
    deque: Worker<Sendable>,
}

/// The thieves' end.
pub(super) struct Theirs(Stealer<Sendable>);

impl Own {
    pub(super) fn new() -> (Own, Theirs) {
        let deque = Worker::new_lifo();
        let theirs = Theirs(deque.stealer());
        (Own { deque }, theirs)
    }

    /// False: full; the task goes to the inbox.
    #[inline(always)]
    pub(super) fn push(&self, task: Entry) -> bool {
        if self.deque.len() >= LIMIT {
            return false;
        }
        self.deque.push(Sendable(task));
        true
    }

    /// The task pushed last.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<Entry> {
        // The owner's look at the length is cheap; the rest is not.
        if self.deque.is_empty() { None } else { self.pop_some() }
    }

    #[inline(never)]
    fn pop_some(&self) -> Option<Entry> {
        self.deque.pop().map(|entry| entry.0)
    }
}

impl Theirs {
    /// How many there are, about.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there was nothing at one moment after the call began; see "precisely" in
    /// `sleep.md` (the fence is inside).
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the oldest task.
    pub(super) fn steal(&self) -> Option<Entry> {
        loop {
            match self.0.steal() {
                Steal::Success(entry) => return Some(entry.0),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}

#[cfg(loom)]
mod stand_in {
    use crate::sync::{Lock, Ordering, fence};
    use std::collections::VecDeque;
    use std::sync::Arc;

    pub(super) enum Steal<T> {
        Success(T),
        Empty,
        #[allow(dead_code)] // crossbeam's has it
        Retry,
    }

    pub(super) struct Worker<T>(Arc<Lock<VecDeque<T>>>);
    pub(super) struct Stealer<T>(Arc<Lock<VecDeque<T>>>);

    impl<T> Worker<T> {
        pub(super) fn new_lifo() -> Worker<T> {
            Worker(Arc::new(Lock::new(VecDeque::new())))
        }

        pub(super) fn stealer(&self) -> Stealer<T> {
            Stealer(Arc::clone(&self.0))
        }

        pub(super) fn len(&self) -> usize {
            self.0.lock().len()
        }

        pub(super) fn is_empty(&self) -> bool {
            self.0.lock().is_empty()
        }

        pub(super) fn push(&self, task: T) {
            self.0.lock().push_back(task);
        }

        pub(super) fn pop(&self) -> Option<T> {
            self.0.lock().pop_back()
        }
    }

    impl<T> Stealer<T> {
        pub(super) fn len(&self) -> usize {
            self.0.lock().len()
        }

        /// As crossbeam's: a fence, then the look.
        pub(super) fn is_empty(&self) -> bool {
            fence(Ordering::SeqCst);
            self.0.lock().is_empty()
        }

        pub(super) fn steal(&self) -> Steal<T> {
            match self.0.lock().pop_front() {
                Some(task) => Steal::Success(task),
                None => Steal::Empty,
            }
        }
    }
}
