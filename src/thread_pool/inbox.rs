//! Where tasks from outside wait: three lanes (low, normal, high) in the order accepted.
//!
//! A lock over pointer arrays, and not a lock-free list, for reasons that were weighed:
//! workers take up to 32 tasks in one critical section, so they hardly ever meet the
//! submitter; taking 32 pointers that lie beside each other lets a worker fetch the 32
//! cells at once, where a linked list has it wait for one after the other; closing,
//! bounds, age and counts are exact for free; and a submit needs one pair of atomic
//! operations for the queue and its counters together. Crossbeam's injector needs two and
//! an allocation for each 63 tasks. `benches/results/` has the figures.

use super::queue::Entry;
use crate::platform::memory;
use crate::sync::{AtomicUsize, Lock, Ordering, Padded};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// Which lane; a higher one goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Low = 0,
    Normal = 1,
    High = 2,
}

impl Lane {
    pub(super) fn of_priority(priority: i8) -> Lane {
        match priority {
            i8::MIN..0 => Lane::Low,
            0 => Lane::Normal,
            1..=i8::MAX => Lane::High,
        }
    }
}

/// Why a push was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Closed,
    NoMemory,
}

pub(super) struct Inbox {
    lanes: Padded<Lock<Lanes>>,
    /// Lengths of the lanes, for looks that need not be precise.
    hints: Padded<[AtomicUsize; 3]>,
}

struct Lanes {
    lanes: [Fifo; 3],
    closed: bool,
    /// Tasks ever accepted here.
    accepted: u64,
}

impl Inbox {
    pub(super) fn new() -> Inbox {
        let lanes = [Fifo::new(), Fifo::new(), Fifo::new()];
        Inbox {
            lanes: Padded(Lock::new(Lanes { lanes, closed: false, accepted: 0 })),
            hints: Padded([AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0)]),
        }
    }

    /// Accepts one task. Its reference stays the caller's if it is refused.
    #[inline]
    pub(super) fn push(&self, lane: Lane, task: Entry) -> Result<(), Refused> {
        let mut inside = self.lanes.lock();
        if inside.closed {
            return Err(Refused::Closed);
        }
        let fifo = &mut inside.lanes[lane as usize];
        if !fifo.push(task) {
            return Err(Refused::NoMemory);
        }
        // Relaxed: a hint.
        self.hints[lane as usize].store(fifo.length, Ordering::Relaxed);
        inside.accepted += 1;
        Ok(())
    }

    /// Accepts all of them or none.
    pub(super) fn push_all(&self, lane: Lane, tasks: &[Entry]) -> Result<(), Refused> {
        let mut inside = self.lanes.lock();
        if inside.closed {
            return Err(Refused::Closed);
        }
        let fifo = &mut inside.lanes[lane as usize];
        if !fifo.reserve(tasks.len()) {
            return Err(Refused::NoMemory);
        }
        for &task in tasks {
            fifo.push(task); // reserved above
        }
        // Relaxed: a hint.
        self.hints[lane as usize].store(fifo.length, Ordering::Relaxed);
        inside.accepted += tasks.len() as u64;
        Ok(())
    }

    /// The length of a lane a moment ago.
    #[inline(always)]
    pub(super) fn hint(&self, lane: Lane) -> usize {
        // Relaxed: a hint.
        self.hints[lane as usize].load(Ordering::Relaxed)
    }

    /// Takes the oldest tasks of a lane: as many as `batch` holds, but no more than the
    /// share of one of `sharers`. The answer is their number.
    pub(super) fn pop(
        &self,
        lane: Lane,
        sharers: usize,
        batch: &mut [MaybeUninit<Entry>],
    ) -> usize {
        let mut inside = self.lanes.lock();
        let fifo = &mut inside.lanes[lane as usize];
        let share = (fifo.length / (2 * sharers.max(1))).max(1);
        let wanted = batch.len().min(share);
        let taken = fifo.pop_into(&mut batch[..wanted]);
        // Relaxed: a hint.
        self.hints[lane as usize].store(fifo.length, Ordering::Relaxed);
        taken
    }

    pub(super) fn pop_one(&self, lane: Lane) -> Option<Entry> {
        let mut one = [MaybeUninit::uninit()];
        // SAFETY: pop says that it filled one.
        (self.pop(lane, 1, &mut one) == 1).then(|| unsafe { one[0].assume_init() })
    }

    /// Whether all lanes were empty at one moment after the call began; see "precisely" in
    /// `sleep.md`.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.lock().lanes.iter().all(|fifo| fifo.length == 0)
    }

    /// Accepts nothing from now on. True: it did until now.
    pub(super) fn close(&self) -> bool {
        !std::mem::replace(&mut self.lanes.lock().closed, true)
    }

    pub(super) fn accepted(&self) -> u64 {
        self.lanes.lock().accepted
    }

    /// Shows the oldest task of each lane, and how many there are.
    pub(super) fn with_oldest(&self, mut look: impl FnMut(Entry)) {
        let inside = self.lanes.lock();
        for fifo in &inside.lanes {
            if let Some(task) = fifo.oldest() {
                look(task);
            }
        }
    }

    /// Shows up to `most` waiting tasks, higher lanes first, the oldest of each first.
    pub(super) fn for_each(&self, most: usize, mut look: impl FnMut(Entry)) {
        let inside = self.lanes.lock();
        let waiting = inside.lanes.iter().rev().flat_map(Fifo::iter);
        waiting.take(most).for_each(&mut look);
    }
}

/// Pointers a chunk holds: with its link and padding, 4 KiB.
const CHUNK: usize = if cfg!(loom) { 2 } else { 511 };
/// Emptied chunks kept for the next burst.
const SPARES: usize = 32;

struct Chunk {
    next: *mut Chunk,
    tasks: [MaybeUninit<Entry>; CHUNK],
}

/// A first-in first-out list of pointers in chunks; all memory is fallible.
struct Fifo {
    first: *mut Chunk,
    last: *mut Chunk,
    /// Next place to take from, in `first`.
    head: usize,
    /// Next place to fill, in `last`.
    tail: usize,
    length: usize,
    spare: *mut Chunk,
    spares: usize,
}

// SAFETY: the chunks belong to the list alone.
unsafe impl Send for Fifo {}

impl Fifo {
    const fn new() -> Fifo {
        Fifo {
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            head: 0,
            tail: CHUNK,
            length: 0,
            spare: ptr::null_mut(),
            spares: 0,
        }
    }

    /// False when there is no memory.
    #[inline]
    fn push(&mut self, task: Entry) -> bool {
        if self.tail == CHUNK && !self.extend() {
            return false;
        }
        // SAFETY: `last` is a chunk of ours with a free place at `tail`.
        unsafe { (&mut (*self.last).tasks)[self.tail].write(task) };
        self.tail += 1;
        self.length += 1;
        true
    }

    #[cold]
    fn extend(&mut self) -> bool {
        let Some(chunk) = self.take_spare().or_else(allocate) else { return false };
        if self.last.is_null() {
            self.first = chunk;
            self.head = 0;
        } else {
            // SAFETY: a chunk of ours.
            unsafe { (*self.last).next = chunk };
        }
        self.last = chunk;
        self.tail = 0;
        true
    }

    fn take_spare(&mut self) -> Option<*mut Chunk> {
        let chunk = NonNull::new(self.spare)?.as_ptr();
        // SAFETY: spares are chunks of ours.
        unsafe {
            self.spare = (*chunk).next;
            (*chunk).next = ptr::null_mut();
        }
        self.spares -= 1;
        Some(chunk)
    }

    /// Has room for `count` more without allocating.
    fn reserve(&mut self, count: usize) -> bool {
        let here = CHUNK - self.tail;
        let chunks = count.saturating_sub(here).div_ceil(CHUNK);
        while self.spares < chunks {
            let Some(chunk) = allocate() else { return false };
            self.keep_spare(chunk);
        }
        true
    }

    fn keep_spare(&mut self, chunk: *mut Chunk) {
        // SAFETY: an empty chunk of ours.
        unsafe { (*chunk).next = self.spare };
        self.spare = chunk;
        self.spares += 1;
    }

    fn pop_into(&mut self, batch: &mut [MaybeUninit<Entry>]) -> usize {
        let mut taken = 0;
        while taken < batch.len() && self.length > 0 {
            let end = if self.first == self.last { self.tail } else { CHUNK };
            let count = (end - self.head).min(batch.len() - taken);
            // SAFETY: the places from head to end of the first chunk are filled.
            let tasks = unsafe { &(&(*self.first).tasks)[self.head..self.head + count] };
            batch[taken..taken + count].copy_from_slice(tasks);
            taken += count;
            self.head += count;
            self.length -= count;
            if self.head == end {
                self.drop_first();
            }
        }
        taken
    }

    /// The first chunk is empty.
    fn drop_first(&mut self) {
        let chunk = self.first;
        // SAFETY: a chunk of ours.
        self.first = unsafe { (*chunk).next };
        self.head = 0;
        if self.first.is_null() {
            self.last = ptr::null_mut();
            self.tail = CHUNK;
        }
        if self.spares < SPARES {
            self.keep_spare(chunk);
        } else {
            // SAFETY: no longer part of the list.
            unsafe { free(chunk) };
        }
    }

    fn oldest(&self) -> Option<Entry> {
        self.iter().next()
    }

    fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        let (mut chunk, mut place) = (self.first, self.head);
        (0..self.length).map(move |_| {
            if place == CHUNK {
                // SAFETY: `length` says that the list goes on.
                chunk = unsafe { (*chunk).next };
                place = 0;
            }
            place += 1;
            // SAFETY: as above, and the place is filled.
            unsafe { (&(*chunk).tasks)[place - 1].assume_init() }
        })
    }
}

fn allocate() -> Option<*mut Chunk> {
    let chunk = memory::allocate(size_of::<Chunk>(), align_of::<Chunk>())?.cast::<Chunk>();
    // SAFETY: fresh memory; the tasks need no initial value.
    unsafe { (&raw mut (*chunk.as_ptr()).next).write(ptr::null_mut()) };
    Some(chunk.as_ptr())
}

/// # Safety
/// `chunk` came from `allocate` and is used no more.
unsafe fn free(chunk: *mut Chunk) {
    if let Some(chunk) = NonNull::new(chunk) {
        // SAFETY: by the contract.
        unsafe { memory::release(chunk.cast(), size_of::<Chunk>(), align_of::<Chunk>()) };
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        // The pool has taken every task out before it ends.
        debug_assert_eq!(self.length, 0);
        for mut chunk in [self.first, self.spare] {
            while !chunk.is_null() {
                // SAFETY: chunks of ours, each once.
                unsafe {
                    let next = (*chunk).next;
                    free(chunk);
                    chunk = next;
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn entry(number: usize) -> Entry {
        NonNull::new(std::ptr::without_provenance_mut(number * 64 + 64)).expect("not null")
    }

    fn number(entry: Entry) -> usize {
        entry.as_ptr().addr() / 64 - 1
    }

    proptest! {
        /// Against a plain deque: same order, same lengths, whatever the chunk borders.
        #[test]
        fn behaves_like_a_deque(steps in proptest::collection::vec((0usize..1200, 0usize..40), 1..60)) {
            let inbox = Inbox::new();
            let mut model = VecDeque::new();
            let mut next = 0;
            for (pushes, pops) in steps {
                let tasks: Vec<_> = (next..next + pushes).map(entry).collect();
                if pushes % 2 == 0 {
                    prop_assert_eq!(inbox.push_all(Lane::Normal, &tasks), Ok(()));
                } else {
                    tasks.iter().for_each(|&task| inbox.push(Lane::Normal, task).expect("memory"));
                }
                model.extend(next..next + pushes);
                next += pushes;
                for _ in 0..pops {
                    let mut batch = [MaybeUninit::uninit(); BATCH_FOR_TEST];
                    let taken = inbox.pop(Lane::Normal, 2, &mut batch);
                    prop_assert_eq!(taken, (model.len() / 4).clamp(model.len().min(1), BATCH_FOR_TEST));
                    for task in &batch[..taken] {
                        // SAFETY: pop filled `taken` places.
                        prop_assert_eq!(Some(number(unsafe { task.assume_init() })), model.pop_front());
                    }
                }
                prop_assert_eq!(inbox.hint(Lane::Normal), model.len());
                let mut seen = Vec::new();
                inbox.for_each(usize::MAX, |task| seen.push(number(task)));
                prop_assert!(seen.iter().eq(model.iter()));
            }
            while let Some(task) = inbox.pop_one(Lane::Normal) {
                prop_assert_eq!(Some(number(task)), model.pop_front());
            }
            prop_assert!(model.is_empty() && inbox.is_empty());
            prop_assert_eq!(inbox.accepted(), next as u64);
        }
    }

    const BATCH_FOR_TEST: usize = 32;

    #[test]
    fn closed_takes_nothing_and_says_so_once() {
        let inbox = Inbox::new();
        assert!(inbox.close());
        assert!(!inbox.close());
        assert_eq!(inbox.push(Lane::High, entry(1)), Err(Refused::Closed));
        assert_eq!(inbox.push_all(Lane::Low, &[entry(1)]), Err(Refused::Closed));
        assert_eq!(inbox.accepted(), 0);
    }
}
