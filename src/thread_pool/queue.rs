//! A worker's own queues. The only file that names crossbeam-deque.
//!
//! Each worker has two deques:
//! - `nested`, for tasks that its own tasks submit: newest first for the worker, oldest
//!   first for thieves, so that recursion goes in depth and its memory stays small. In a pool
//!   of one worker the worker takes the oldest, too: people use such a pool as an order.
//! - `batch`, for tasks taken from the inbox: oldest first for everyone. It holds at most
//!   `BATCH`, so it never grows.
//!
//! Under the model checker, which cannot look into crossbeam, both are a locked vector with
//! the same interface.

use crate::future::cell::TaskCell;
use std::ptr::NonNull;

/// A queued task: a pointer that owns one reference.
pub(super) type Entry = NonNull<TaskCell>;

/// Most tasks a worker takes from the inbox at once.
pub(super) const BATCH: usize = 32;

/// Beyond this many the nested deque overflows into the inbox: crossbeam grows by
/// allocating, and ends the process when it cannot.
const NESTED_LIMIT: usize = 1024;

#[cfg(not(loom))]
pub(super) use deques::{Own, Theirs};

#[cfg(not(loom))]
mod deques {
    use super::{BATCH, Entry, NESTED_LIMIT};
    use crossbeam_deque::{Steal, Stealer, Worker};

    #[derive(Clone, Copy)]
    #[repr(transparent)]
    struct Sendable(Entry);
    // SAFETY: an entry owns a reference to a cell, which any thread may use.
    unsafe impl Send for Sendable {}

    /// The owner's ends.
    pub(in super::super) struct Own {
        nested: Worker<Sendable>,
        batch: Worker<Sendable>,
        /// Set in a pool of one worker: the owner takes the oldest nested task.
        oldest_first: Option<Stealer<Sendable>>,
    }

    /// The thieves' ends.
    pub(in super::super) struct Theirs {
        nested: Stealer<Sendable>,
        batch: Stealer<Sendable>,
    }

    impl Own {
        pub(in super::super) fn new(in_order: bool) -> (Own, Theirs) {
            let (nested, batch) = (Worker::new_lifo(), Worker::new_fifo());
            let theirs = Theirs { nested: nested.stealer(), batch: batch.stealer() };
            let oldest_first = in_order.then(|| nested.stealer());
            (Own { nested, batch, oldest_first }, theirs)
        }

        /// False: full; the task goes to the inbox.
        #[inline]
        pub(in super::super) fn push_nested(&self, task: Entry) -> bool {
            if self.nested.len() >= NESTED_LIMIT {
                return false;
            }
            self.nested.push(Sendable(task));
            true
        }

        /// The nested task whose turn it is.
        #[inline]
        pub(in super::super) fn pop_nested(&self) -> Option<Entry> {
            match &self.oldest_first {
                None => self.pop_newest(),
                Some(front) => steal_one(front),
            }
        }

        /// The nested task pushed last.
        #[inline]
        pub(in super::super) fn pop_newest(&self) -> Option<Entry> {
            self.nested.pop().map(|entry| entry.0)
        }

        #[inline]
        pub(in super::super) fn push_batch(&self, task: Entry) {
            debug_assert!(self.batch.len() < BATCH);
            self.batch.push(Sendable(task));
        }

        #[inline]
        pub(in super::super) fn pop_batch(&self) -> Option<Entry> {
            self.batch.pop().map(|entry| entry.0)
        }
    }

    impl Theirs {
        /// Whether there was nothing at one moment after the call began; see "precisely"
        /// in `sleep.md` (the fence is inside).
        pub(in super::super) fn is_empty(&self) -> bool {
            self.batch.is_empty() && self.nested.is_empty()
        }

        /// Takes something for a thief whose `batch` is empty: half a batch, the oldest of
        /// it as the answer, or the oldest nested task.
        pub(in super::super) fn steal_into(&self, thief: &Own) -> Option<Entry> {
            loop {
                match self.batch.steal_batch_with_limit_and_pop(&thief.batch, BATCH) {
                    Steal::Success(entry) => return Some(entry.0),
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
            steal_one(&self.nested)
        }

        /// Takes one task, for somebody without queues.
        pub(in super::super) fn steal(&self) -> Option<Entry> {
            steal_one(&self.batch).or_else(|| steal_one(&self.nested))
        }

        /// How many there are, roughly.
        pub(in super::super) fn len(&self) -> usize {
            self.batch.len() + self.nested.len()
        }
    }

    fn steal_one(from: &Stealer<Sendable>) -> Option<Entry> {
        loop {
            match from.steal() {
                Steal::Success(entry) => return Some(entry.0),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}
