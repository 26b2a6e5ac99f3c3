//! The tasks that a worker's own tasks submit: a bounded work-stealing deque.
//!
//! Newest first for the worker, oldest first for thieves, so that recursion goes in depth and
//! its memory stays small. In a pool of one worker the worker takes the oldest, too:
//! people use such a pool as an order.
//!
//! After Chase and Lev, "Dynamic circular work-stealing deque" (2005), with the orderings of Lê,
//! Pop, Cohen and Zappa Nardelli, "Correct and efficient work-stealing for weak memory models"
//! (2013), but that it does not grow: what does not fit goes to the inbox. All its memory is
//! there from the beginning, so that a push cannot fail for lack of it, and nothing has to be
//! reclaimed behind a thief that is still looking.
//!
//! # Invariants
//! Q1. Tasks lie in the places `oldest..newest`, each at its number modulo CAPACITY. The numbers
//!     only wrap around after 2^64 pushes; differences are signed.
//! Q2. The owner alone changes `newest`, and writes places: only such as are free by an `oldest`
//!     it has read, which can only be too small.
//! Q3. A task belongs to whoever moves `oldest` past it, by one exchange; the owner takes the
//!     newest without one if it is not the oldest as well.

use crate::future::cell::TaskCell;
use crate::shared::Shared;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, Padded, fence};
use std::ptr::{self, NonNull};

/// A queued task: a pointer that owns one reference.
pub(super) type Entry = NonNull<TaskCell>;

/// Places of a deque, a power of two.
const CAPACITY: usize = if cfg!(loom) { 2 } else { 1024 };

struct Ring {
    /// The number of the oldest task; moved by whoever takes it.
    oldest: Padded<AtomicUsize>,
    /// The number the next task gets.
    newest: Padded<AtomicUsize>,
    places: [AtomicPtr<TaskCell>; CAPACITY],
}

/// The owner's end.
pub(super) struct Own {
    ring: Shared<Ring>,
    /// In a pool of one worker: the owner takes the oldest.
    oldest_first: bool,
}

/// The thieves' end.
pub(super) struct Theirs(Shared<Ring>);

impl Own {
    /// None when there is no memory.
    pub(super) fn new(in_order: bool) -> Option<(Own, Theirs)> {
        let ring = Shared::try_new(Ring {
            oldest: Padded(AtomicUsize::new(0)),
            newest: Padded(AtomicUsize::new(0)),
            places: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
        })?;
        Some((Own { ring: ring.clone(), oldest_first: in_order }, Theirs(ring)))
    }

    /// False: full; the task goes to the inbox.
    #[inline(always)]
    pub(super) fn push(&self, task: Entry) -> bool {
        let ring = &*self.ring;
        // Relaxed: only the owner changes it.
        let newest = ring.newest.load(Ordering::Relaxed);
        // Acquire: pairs with the exchange in `take_oldest`: whoever took what was in the place
        // has read it.
        let oldest = ring.oldest.load(Ordering::Acquire);
        if newest.wrapping_sub(oldest) >= CAPACITY {
            return false;
        }
        // Relaxed: published with the number.
        ring.place(newest).store(task.as_ptr(), Ordering::Relaxed);
        // Release: pairs with the Acquire of `steal`; publishes the place, and the task.
        ring.newest.store(newest.wrapping_add(1), Ordering::Release);
        true
    }

    /// The task whose turn it is.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<Entry> {
        // The owner's look at the length is cheap; the rest is not.
        // Relaxed: its own number, and one that can only be too small.
        if self.ring.length(Ordering::Relaxed) == 0 { None } else { self.pop_some() }
    }

    #[inline(never)]
    fn pop_some(&self) -> Option<Entry> {
        if self.oldest_first { self.ring.steal() } else { self.pop_newest() }
    }

    /// The task pushed last.
    pub(super) fn pop_newest(&self) -> Option<Entry> {
        let ring = &*self.ring;
        // Relaxed: only the owner changes it.
        let next = ring.newest.load(Ordering::Relaxed);
        let last = next.wrapping_sub(1);
        // Release, here and below: thieves that read this number still see the places that
        // earlier pushes have published.
        ring.newest.store(last, Ordering::Release);
        // SeqCst: pairs with the fence of `steal`. Either a thief sees that this task is gone, or
        // the owner sees that the thief is at it, and they meet in the exchange.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        let oldest = ring.oldest.load(Ordering::Relaxed);
        match last.wrapping_sub(oldest) as isize {
            ..0 => {
                ring.newest.store(next, Ordering::Release);
                None
            }
            0 => {
                let task = ring.take_oldest(oldest);
                ring.newest.store(next, Ordering::Release);
                task.ok()
            }
            // Relaxed: written by the owner.
            _ => NonNull::new(ring.place(last).load(Ordering::Relaxed)),
        }
    }
}

impl Theirs {
    /// How many there are, about.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        // Relaxed: a hint.
        self.0.length(Ordering::Relaxed)
    }

    /// Whether there was nothing at one moment after the call began; see "precisely" in
    /// `sleep.md` (the fence is inside).
    pub(super) fn is_empty(&self) -> bool {
        // SeqCst: the caller's change before this look; pairs with the fence of
        // `Slot::push_nested`.
        fence(Ordering::SeqCst);
        // Acquire: whoever has seen a number of the owner's has seen all before it.
        self.0.length(Ordering::Acquire) == 0
    }

    /// Takes the oldest task.
    pub(super) fn steal(&self) -> Option<Entry> {
        self.0.steal()
    }
}

impl Ring {
    #[inline(always)]
    fn place(&self, number: usize) -> &AtomicPtr<TaskCell> {
        &self.places[number % CAPACITY]
    }

    /// `oldest` is read first: what is taken in between makes the answer too large at most.
    #[inline(always)]
    fn length(&self, order: Ordering) -> usize {
        let oldest = self.oldest.load(order); // explained by the callers, both
        let newest = self.newest.load(order);
        (newest.wrapping_sub(oldest) as isize).max(0) as usize
    }

    /// Takes the oldest task, from whichever end.
    fn steal(&self) -> Option<Entry> {
        // Acquire: pairs with the exchange of the last thief: this number first, then the other.
        let mut oldest = self.oldest.load(Ordering::Acquire);
        loop {
            // SeqCst: pairs with the fence of `pop_newest`.
            fence(Ordering::SeqCst);
            // Acquire: pairs with the Releases of the owner; publishes the places below it.
            let newest = self.newest.load(Ordering::Acquire);
            if newest.wrapping_sub(oldest) as isize <= 0 {
                return None;
            }
            match self.take_oldest(oldest) {
                Ok(task) => return Some(task),
                Err(changed) => oldest = changed,
            }
        }
    }

    /// Takes the task with this number, if that is still the oldest; which one is, otherwise.
    fn take_oldest(&self, oldest: usize) -> Result<Entry, usize> {
        // Before the exchange: afterwards the place is the owner's (Q2). Relaxed: published
        // with `newest`; a value written later goes with an exchange that fails.
        let task = self.place(oldest).load(Ordering::Relaxed);
        // SeqCst: in one order with the fences of `pop_newest` and `steal`, and Release for the
        // Acquire of `push`. Acquire on failure: as the load in `steal`.
        self.oldest.compare_exchange(
            oldest,
            oldest.wrapping_add(1),
            Ordering::SeqCst,
            Ordering::Acquire,
        )?;
        NonNull::new(task).ok_or(oldest) // not reached: places below `newest` are filled
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::sync::atomic::{AtomicBool, AtomicU8};

    fn entry(number: usize) -> Entry {
        NonNull::new(ptr::without_provenance_mut(number * 64 + 64)).expect("not null")
    }

    fn number(entry: Entry) -> usize {
        entry.as_ptr().addr() / 64 - 1
    }

    proptest! {
        /// Against a plain deque, from both ends, beyond the last place and around.
        #[test]
        fn behaves_like_a_deque(steps in proptest::collection::vec((0u8..4, 1usize..600), 1..60)) {
            let (own, theirs) = Own::new(false).expect("memory");
            let mut model = VecDeque::new();
            let mut next = 0;
            for (kind, times) in steps {
                for _ in 0..times {
                    match kind {
                        0 | 1 => {
                            let fits = model.len() < CAPACITY;
                            prop_assert_eq!(own.push(entry(next)), fits);
                            if fits {
                                model.push_back(next);
                            }
                            next += 1;
                        }
                        2 => prop_assert_eq!(own.pop().map(number), model.pop_back()),
                        _ => prop_assert_eq!(theirs.steal().map(number), model.pop_front()),
                    }
                    prop_assert_eq!(theirs.len(), model.len());
                    prop_assert_eq!(theirs.is_empty(), model.is_empty());
                }
            }
        }
    }

    #[test]
    fn one_worker_takes_the_oldest() {
        let (own, _theirs) = Own::new(true).expect("memory");
        assert!(own.push(entry(1)) && own.push(entry(2)));
        assert_eq!(own.pop().map(number), Some(1));
        assert_eq!(own.pop_newest().map(number), Some(2));
        assert_eq!(own.pop().map(number), None);
    }

    /// Each task comes out once, whoever takes it.
    #[test]
    fn owner_and_thieves_share_without_loss() {
        const TASKS: usize = 200_000;
        let (own, theirs) = Own::new(false).expect("memory");
        let seen: Vec<AtomicU8> = (0..TASKS).map(|_| AtomicU8::new(0)).collect();
        let note = |task| seen[number(task)].fetch_add(1, Ordering::Relaxed);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Acquire) || !theirs.is_empty() {
                        theirs.steal().map(note);
                    }
                });
            }
            for task in 0..TASKS {
                while !own.push(entry(task)) {
                    own.pop().map(note);
                }
                if task % 3 == 0 {
                    own.pop().map(note);
                }
            }
            done.store(true, Ordering::Release);
        });
        assert!(seen.iter().all(|times| times.load(Ordering::Relaxed) == 1));
    }
}
