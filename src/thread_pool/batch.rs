//! A worker's share of the inbox: up to 128 tasks, taken from the front by their worker and,
//! in halves, by thieves.
//!
//! | word | bits | meaning |
//! |---|---|---|
//! | head | 0-15 | next place to take |
//! | tail | 16-31 | end of the filled places |
//! | round | 32-63 | how often the batch was filled |
//!
//! B1. Only the owner fills, and only an empty batch: it writes the places, then publishes
//!     them with one store of the word, which nobody else changes while head = tail.
//! B2. Taking is a compare-exchange that moves head; whoever wins owns the places passed. The
//!     places themselves are never cleared.
//! B3. The round differs with each filling, so a thief that slept over a whole round fails
//!     (it would have to sleep over 2^32 of them).
//!
//! A thief may read places that are being filled anew, and then fails by B3: they are
//! atomics, so such a read is merely useless.

use super::queue::Entry;
use crate::future::cell::TaskCell;
use crate::platform::cpu::prefetch_to_write;
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// Most tasks a worker takes from the inbox at once. Each time costs whoever submits the lines of the
/// inbox, and the next submit waits for them.
pub(super) const BATCH: usize = if cfg!(loom) { 4 } else { 128 };

/// So many tasks before a task is run its cell is fetched: several are on their way at once.
const AHEAD: usize = if cfg!(loom) { 0 } else { 16 };

pub(super) struct Batch {
    word: AtomicU64,
    /// With AHEAD places that are not cells behind the last task.
    places: [AtomicPtr<TaskCell>; BATCH + AHEAD],
}

#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    #[inline(always)]
    fn head(self) -> usize {
        usize::from(self.0 as u16)
    }

    #[inline(always)]
    fn tail(self) -> usize {
        usize::from((self.0 >> 16) as u16)
    }

    #[inline(always)]
    fn length(self) -> usize {
        self.tail().wrapping_sub(self.head())
    }
}

impl Batch {
    pub(super) fn new() -> Batch {
        let places = std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut()));
        Batch { word: AtomicU64::new(0), places }
    }

    /// Fills the batch, by its owner, when it is empty (B1).
    pub(super) fn fill(&self, tasks: &[Entry]) {
        // Relaxed: only the owner changes the word of an empty batch.
        let now = Word(self.word.load(Ordering::Relaxed));
        debug_assert!(now.length() == 0 && tasks.len() <= BATCH);
        let (places, end) = self.places.split_at(tasks.len().min(BATCH));
        // Relaxed: published by the word. By fours, as nobody unrolls atomic stores.
        let put = |place: &AtomicPtr<TaskCell>, task: &Entry| {
            place.store(task.as_ptr(), Ordering::Relaxed);
        };
        let (fours, four_tasks) = (places.chunks_exact(4), tasks.chunks_exact(4));
        let (rest, rest_tasks) = (fours.remainder(), four_tasks.remainder());
        for (places, tasks) in fours.zip(four_tasks) {
            places.iter().zip(tasks).for_each(|(place, task)| put(place, task));
        }
        rest.iter().zip(rest_tasks).for_each(|(place, task)| put(place, task));
        for place in &end[..AHEAD] {
            place.store(ptr::from_ref(self).cast_mut().cast(), Ordering::Relaxed);
        }
        tasks.iter().take(AHEAD).for_each(|task| prefetch_to_write(task.as_ptr()));
        let round = (now.0 >> 32).wrapping_add(1);
        let count = tasks.len().min(BATCH) as u64;
        // Release: pairs with the Acquire in `steal`, publishes places and tasks.
        self.word.store(round << 32 | count << 16, Ordering::Release);
    }

    /// Takes the oldest task, by the owner.
    #[inline(always)]
    pub(super) fn pop(&self) -> Option<Entry> {
        // Relaxed: the owner filled the places itself, and nobody else does.
        let mut now = Word(self.word.load(Ordering::Relaxed));
        while now.length() != 0 {
            // Relaxed: as above; thieves that lose look at the word again.
            match self.word.compare_exchange_weak(
                now.0,
                now.0 + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                // SAFETY: B1: the places before the tail, and AHEAD behind it, are filled.
                Ok(_) => unsafe {
                    if AHEAD != 0 {
                        // A task's first step is a change of its state.
                        prefetch_to_write(self.filled(now.head() + AHEAD).as_ptr());
                    }
                    return Some(self.filled(now.head()));
                },
                Err(changed) => now = Word(changed),
            }
        }
        None
    }

    /// # Safety
    /// The place is one that was filled.
    #[inline(always)]
    unsafe fn filled(&self, place: usize) -> Entry {
        // SAFETY: by the contract. Relaxed: the owner filled it itself.
        unsafe { NonNull::new_unchecked(self.places.get_unchecked(place).load(Ordering::Relaxed)) }
    }

    #[inline(always)]
    fn taken(&self, place: usize) -> Option<Entry> {
        // Relaxed: see `pop`; for thieves the word published it.
        NonNull::new(self.places.get(place)?.load(Ordering::Relaxed))
    }

    /// Takes half of the tasks, rounded up, by a thief; their number.
    pub(super) fn steal(&self, loot: &mut [MaybeUninit<Entry>; BATCH]) -> usize {
        self.take(loot, |waiting| waiting.div_ceil(2))
    }

    /// Takes all tasks, by anybody; their number.
    pub(super) fn take_all(&self, loot: &mut [MaybeUninit<Entry>; BATCH]) -> usize {
        self.take(loot, |waiting| waiting)
    }

    /// Takes the oldest task, by anybody.
    pub(super) fn take_one(&self) -> Option<Entry> {
        let mut one = [MaybeUninit::uninit()];
        // SAFETY: `take` says that it filled one.
        (self.take(&mut one, |waiting| waiting.min(1)) == 1)
            .then(|| unsafe { one[0].assume_init() })
    }

    /// Takes the oldest of those that wait, as many as `share` says, which `loot` holds.
    #[inline(always)]
    fn take(&self, loot: &mut [MaybeUninit<Entry>], share: impl Fn(usize) -> usize) -> usize {
        // Acquire: pairs with the Release in `fill`.
        let mut now = Word(self.word.load(Ordering::Acquire));
        loop {
            let count = share(now.length());
            if count == 0 || now.tail() > BATCH {
                return 0;
            }
            for (number, place) in loot.iter_mut().enumerate().take(count) {
                if let Some(task) = self.taken(now.head() + number) {
                    place.write(task);
                }
            }
            // Acquire on failure as above. Relaxed on success: the places were read before,
            // and B3 says that they are of this round.
            match self.word.compare_exchange_weak(
                now.0,
                now.0 + count as u64,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                Ok(_) => return count,
                Err(changed) => now = Word(changed),
            }
        }
    }

    /// How many tasks wait, a moment ago.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        // Relaxed: a hint, or ordered by the fence of the sleep protocol.
        Word(self.word.load(Ordering::Relaxed)).length()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn entry(number: usize) -> Entry {
        NonNull::new(ptr::without_provenance_mut(number * 64)).expect("not null")
    }

    #[test]
    fn owner_takes_the_oldest_and_thieves_take_half() {
        let batch = Batch::new();
        assert_eq!(batch.pop(), None);
        for round in 0..3 {
            batch.fill(&[entry(1), entry(2), entry(3), entry(4), entry(5)]);
            assert_eq!((batch.len(), batch.pop()), (5, Some(entry(1))), "round {round}");
            let mut loot = [MaybeUninit::uninit(); BATCH];
            assert_eq!(batch.steal(&mut loot), 2);
            // SAFETY: `steal` filled two.
            let two = unsafe { (loot[0].assume_init(), loot[1].assume_init()) };
            assert_eq!(two, (entry(2), entry(3)));
            assert_eq!(batch.steal(&mut loot), 1);
            assert_eq!(batch.pop(), Some(entry(5)));
            assert_eq!((batch.pop(), batch.steal(&mut loot), batch.len()), (None, 0, 0));
        }
    }

    #[test]
    fn nothing_is_lost_or_taken_twice() {
        use std::sync::Arc;
        const ROUNDS: usize = if cfg!(miri) { 20 } else { 20_000 };
        let batch = Arc::new(Batch::new());
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let thieves: Vec<_> = (0..2)
            .map(|_| {
                let (batch, stop) = (Arc::clone(&batch), Arc::clone(&stop));
                std::thread::Builder::new()
                    .spawn(move || {
                        let mut sum = 0;
                        let mut loot = [MaybeUninit::uninit(); BATCH];
                        while !stop.load(std::sync::atomic::Ordering::Acquire) {
                            let count = batch.steal(&mut loot);
                            for one in &loot[..count] {
                                // SAFETY: `steal` filled this many.
                                sum += unsafe { one.assume_init() }.as_ptr().addr() / 64;
                            }
                        }
                        sum
                    })
                    .expect("thread")
            })
            .collect();
        let mut mine = 0;
        for round in 0..ROUNDS {
            let tasks: Vec<_> = (1..=BATCH).map(|n| entry(round * BATCH + n)).collect();
            batch.fill(&tasks);
            while let Some(task) = batch.pop() {
                mine += task.as_ptr().addr() / 64;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Release);
        let stolen: usize = thieves.into_iter().map(|thief| thief.join().expect("joined")).sum();
        let all = ROUNDS * BATCH;
        assert_eq!(mine + stolen, all * (all + 1) / 2);
    }
}
