//! Where tasks from outside wait: three lanes (low, normal, high) in the order accepted, and one
//! for tasks that tasks have submitted and that are in no worker's deque: those of a pool of one
//! worker, which is an order, and what has been called back (`recall`).
//!
//! A lock over pointer arrays, and not a lock-free list, for reasons that were weighed:
//! workers take up to 128 tasks in one critical section, so they hardly ever meet the
//! submitter; taking pointers that lie beside each other lets a worker fetch the cells
//! ahead, where a linked list has it wait for one after the other; closing,
//! age and counts are exact for free; a task that is not accepted after all can be taken out
//! again; and a submit needs one pair of atomic operations for the queue and its counters
//! together, and an allocation for each 511 tasks at most. Crossbeam's injector needs two
//! read-modify-writes, and an allocation for each 63.

use super::fifo::Fifo;
use super::queue::Entry;
use super::recall::{self, Recalled};
use crate::sync::{AtomicUsize, Guard, Lock, Ordering, fence};
use std::mem::MaybeUninit;

/// Which lane; its number is its place in the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    Normal = 0,
    High = 1,
    Low = 2,
    Nested = 3,
}

const COUNT: usize = 4;

/// The order in which they are served.
pub(super) const LANES: [Lane; COUNT] = [Lane::High, Lane::Nested, Lane::Normal, Lane::Low];

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

/// All of it that a submit touches lies on the same two lines.
#[repr(C, align(128))]
pub(super) struct Inbox {
    /// How many tasks each lane holds. Changed under the lock, read also without it.
    lengths: [AtomicUsize; COUNT],
    lanes: Lock<Lanes>,
    /// How often tasks were called back, counted under the lock before the first is taken.
    recalls: AtomicUsize,
}

/// By the numbers of `Lane`.
#[repr(C)]
struct Lanes {
    lanes: [Fifo; COUNT],
    closed: bool,
    /// Tasks ever taken out, less those put back.
    taken: u64,
}

impl Inbox {
    pub(super) fn new() -> Inbox {
        let lanes = std::array::from_fn(|_| Fifo::new());
        Inbox {
            lengths: std::array::from_fn(|_| AtomicUsize::new(0)),
            lanes: Lock::new(Lanes { lanes, closed: false, taken: 0 }),
            recalls: AtomicUsize::new(0),
        }
    }

    /// Under the lock; the new length.
    #[inline(always)]
    fn add_length(&self, lane: Lane, more: isize) -> usize {
        let length = &self.lengths[lane as usize];
        // Relaxed: ordered by the lock, or a hint.
        let sum = length.load(Ordering::Relaxed).wrapping_add_signed(more);
        length.store(sum, Ordering::Relaxed);
        sum
    }

    /// Accepts one task; how many the lane holds with it. The task's reference stays the
    /// caller's if it is refused.
    #[inline(always)]
    pub(super) fn push(&self, lane: Lane, task: Entry) -> Result<usize, Refused> {
        let mut inside = self.lanes.lock();
        let fifo = &mut inside.lanes[lane as usize];
        // A closed inbox has no place left anywhere: the check is on the slow way.
        if fifo.has_place() {
            fifo.push(task);
        } else {
            inside.extend_and_push(lane, task)?;
        }
        Ok(self.add_length(lane, 1))
    }

    /// The inbox for a push into the normal lane, if nobody is at it.
    #[inline(always)]
    pub(super) fn try_enter(&self) -> Option<Entered<'_>> {
        self.lanes.try_lock().map(Entered)
    }

    /// `push` where `Entered::has_place`; whether `wake` is to be called.
    #[inline(always)]
    pub(super) fn push_at_once(&self, entered: Entered<'_>, task: Entry) -> bool {
        let mut inside = entered.0;
        inside.lanes[Lane::Normal as usize].push(task);
        self.add_length(Lane::Normal, 1);
        inside.unlock()
    }

    /// Somebody waits for the lock; see `push_at_once`.
    pub(super) fn wake(&self) {
        self.lanes.wake();
    }

    /// Accepts all of them or none.
    pub(super) fn push_all(&self, lane: Lane, tasks: &[Entry]) -> Result<(), Refused> {
        let mut inside = self.lanes.lock();
        if inside.closed {
            return Err(Refused::Closed);
        }
        if !inside.lanes[lane as usize].reserve(tasks.len()) {
            return Err(Refused::NoMemory);
        }
        for &task in tasks {
            if inside.lanes[lane as usize].has_place() {
                inside.lanes[lane as usize].push(task);
            } else {
                inside.extend_and_push(lane, task)?; // reserved above
            }
        }
        self.add_length(lane, tasks.len() as isize);
        Ok(())
    }

    /// Takes a task out of the middle, for one that is not accepted after all. False: it is
    /// not there, and may be gone for ever.
    pub(super) fn take_back(&self, lane: Lane, task: Entry) -> bool {
        let mut inside = self.lanes.lock();
        let (closed, length) = (inside.closed, self.hint(lane));
        let found = inside.lanes[lane as usize].remove(task, length, closed);
        if found {
            self.add_length(lane, -1);
        }
        found
    }

    /// The length of a lane a moment ago.
    #[inline(always)]
    pub(super) fn hint(&self, lane: Lane) -> usize {
        // Relaxed: a hint, or under the lock.
        self.lengths[lane as usize].load(Ordering::Relaxed)
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
        let closed = inside.closed;
        let fifo = &mut inside.lanes[lane as usize];
        let length = self.hint(lane);
        let share = (length / sharers.max(1)).max(1);
        let wanted = batch.len().min(share).min(length);
        fifo.pop_into(&mut batch[..wanted], closed);
        inside.taken = inside.taken.wrapping_add(wanted as u64);
        self.add_length(lane, -(wanted as isize));
        wanted
    }

    pub(super) fn pop_one(&self, lane: Lane) -> Option<Entry> {
        let mut one = [MaybeUninit::uninit()];
        // SAFETY: pop says that it filled one.
        (self.pop(lane, 1, &mut one) == 1).then(|| unsafe { one[0].assume_init() })
    }

    /// Takes out of a lane what `goes` names, as far as there is memory, and gives it to `take` without
    /// the lock. The others keep their order. A closed inbox is being emptied anyway.
    pub(super) fn take_out(
        &self,
        lane: Lane,
        goes: impl Fn(Entry) -> bool,
        take: impl FnMut(Entry),
    ) {
        let mut gone = Fifo::new();
        let count = {
            let mut inside = self.lanes.lock();
            let length = if inside.closed { 0 } else { self.hint(lane) };
            let count = inside.lanes[lane as usize].take_out(length, goes, &mut gone);
            inside.taken = inside.taken.wrapping_add(count as u64);
            self.add_length(lane, -(count as isize));
            count
        };
        gone.iter(count).for_each(take);
        self.lanes.lock().lanes[lane as usize].take_chunks(gone);
    }

    /// Takes out the newest task of a lane if `wanted` says so of it.
    pub(super) fn pop_newest_if(
        &self,
        lane: Lane,
        wanted: impl FnOnce(Entry) -> bool,
    ) -> Option<Entry> {
        let mut inside = self.lanes.lock();
        let (closed, length) = (inside.closed, self.hint(lane));
        if length == 0 {
            return None;
        }
        let fifo = &mut inside.lanes[lane as usize];
        let newest = fifo.newest(length, closed);
        if !wanted(newest) {
            return None;
        }
        fifo.drop_newest(closed);
        inside.taken = inside.taken.wrapping_add(1);
        self.add_length(lane, -1);
        Some(newest)
    }

    /// Calls back what workers have taken: under the lock, `find` puts into its list what is to
    /// be put before all tasks of the normal lane and behind all of the nested one; how many
    /// they are. Nothing is taken where there is no memory.
    pub(super) fn recall(&self, find: impl FnOnce(&mut Recalled)) -> usize {
        let mut inside = self.lanes.lock();
        if !inside.reserve_for_recall() {
            return 0;
        }
        // Relaxed: the fence orders it, and the lock.
        let recalls = self.recalls.load(Ordering::Relaxed).wrapping_add(1);
        self.recalls.store(recalls, Ordering::Relaxed);
        // SeqCst: pairs with the fence in `recalled_since`: whoever does not see a task where it
        // was taken from sees the count.
        fence(Ordering::SeqCst);
        let mut recalled = Recalled::new();
        find(&mut recalled);
        let (outside, nested) = recalled.parts();
        inside.lanes[Lane::Normal as usize].put_in_front(outside);
        inside.put_nested(nested);
        let count = outside.len() + nested.len();
        inside.taken = inside.taken.wrapping_sub(count as u64);
        self.add_length(Lane::Normal, outside.len() as isize);
        self.add_length(Lane::Nested, nested.len() as isize);
        count
    }

    /// Whether tasks were called back after `is_empty_since` gave `recalls`, or are now.
    pub(super) fn recalled_since(&self, recalls: usize) -> bool {
        // SeqCst: pairs with the one in `recall`.
        fence(Ordering::SeqCst);
        // Relaxed: ordered by the fence.
        self.recalls.load(Ordering::Relaxed) != recalls
    }

    /// Calls `then` under the lock if the lane is empty.
    pub(super) fn if_empty(&self, lane: Lane, then: impl FnOnce()) {
        let _inside = self.lanes.lock();
        if self.hint(lane) == 0 {
            then();
        }
    }

    /// Whether all lanes were empty at one moment after the call began; see "precisely" in
    /// `sleep.md`. If so, how often tasks had been called back by then.
    pub(super) fn is_empty_since(&self) -> Option<usize> {
        let _inside = self.lanes.lock();
        // Relaxed: changes under the lock.
        LANES
            .into_iter()
            .all(|lane| self.hint(lane) == 0)
            .then(|| self.recalls.load(Ordering::Relaxed))
    }

    /// Accepts nothing from now on. True: it did until now.
    pub(super) fn close(&self) -> bool {
        let mut inside = self.lanes.lock();
        for fifo in &mut inside.lanes {
            fifo.give_up_places();
        }
        !std::mem::replace(&mut inside.closed, true)
    }

    /// Tasks ever accepted.
    pub(super) fn accepted(&self) -> u64 {
        let inside = self.lanes.lock();
        let waiting: usize = LANES.into_iter().map(|lane| self.hint(lane)).sum();
        inside.taken.wrapping_add(waiting as u64)
    }

    /// Shows the oldest task of each lane, and how many there are.
    pub(super) fn with_oldest(&self, mut look: impl FnMut(Entry)) {
        let inside = self.lanes.lock();
        for lane in LANES {
            if let Some(task) = inside.lanes[lane as usize].iter(self.hint(lane)).next() {
                look(task);
            }
        }
    }

    /// Shows up to `most` waiting tasks, higher lanes first, the oldest of each first.
    pub(super) fn for_each(&self, most: usize, mut look: impl FnMut(Entry)) {
        let inside = self.lanes.lock();
        let waiting =
            LANES.iter().flat_map(|&lane| inside.lanes[lane as usize].iter(self.hint(lane)));
        waiting.take(most).for_each(&mut look);
    }
}

/// The inbox, held for a push into its normal lane.
pub(super) struct Entered<'a>(Guard<'a, Lanes>);

impl Entered<'_> {
    /// A closed inbox has none.
    #[inline(always)]
    pub(super) fn has_place(&self) -> bool {
        self.0.lanes[Lane::Normal as usize].has_place()
    }
}

impl Lanes {
    /// A push for which the lane has no place at hand.
    #[cold]
    #[inline(never)]
    fn extend_and_push(&mut self, lane: Lane, task: Entry) -> Result<(), Refused> {
        if self.closed {
            return Err(Refused::Closed);
        }
        let fifo = &mut self.lanes[lane as usize];
        if !fifo.extend() {
            return Err(Refused::NoMemory);
        }
        fifo.push(task);
        Ok(())
    }

    /// Has memory for all that may be called back.
    fn reserve_for_recall(&mut self) -> bool {
        self.lanes[Lane::Normal as usize].reserve_in_front(recall::MOST)
            && self.lanes[Lane::Nested as usize].reserve(recall::MOST)
    }

    /// Pushes tasks for which memory was reserved, also where the inbox is closed.
    fn put_nested(&mut self, tasks: &[Entry]) {
        let fifo = &mut self.lanes[Lane::Nested as usize];
        fifo.take_up_places();
        for &task in tasks {
            if !fifo.has_place() && !fifo.extend() {
                crate::unwind::die("a place in a queue that was reserved is not there");
            }
            fifo.push(task);
        }
        if self.closed {
            fifo.give_up_places();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::thread_pool::batch::{BATCH, Batch};
    use crate::thread_pool::fifo::CHUNK;
    use crate::thread_pool::queue::Own;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::ptr::NonNull;

    fn entry(number: usize) -> Entry {
        NonNull::new(std::ptr::without_provenance_mut(number * 64 + 64)).expect("not null")
    }

    fn number(entry: Entry) -> usize {
        entry.as_ptr().addr() / 64 - 1
    }

    proptest! {
        /// Against a plain deque: same order, same lengths, whatever the chunk borders.
        #[test]
        fn behaves_like_a_deque(steps in proptest::collection::vec((0usize..1200, 0usize..40, 0usize..5000, 0usize..4), 1..60)) {
            let inbox = Inbox::new();
            let mut model = VecDeque::new();
            let mut next = 0;
            let mut taken_back = 0;
            for (pushes, pops, place, backs) in steps {
                let tasks: Vec<_> = (next..next + pushes).map(entry).collect();
                if pushes % 2 == 0 {
                    prop_assert_eq!(inbox.push_all(Lane::Normal, &tasks), Ok(()));
                } else {
                    tasks.iter().for_each(|&task| {
                        inbox.push(Lane::Normal, task).expect("memory");
                    });
                }
                model.extend(next..next + pushes);
                next += pushes;
                for _ in 0..pops {
                    let mut batch = [MaybeUninit::uninit(); BATCH_FOR_TEST];
                    let taken = inbox.pop(Lane::Normal, 2, &mut batch);
                    prop_assert_eq!(taken, (model.len() / 2).clamp(model.len().min(1), BATCH_FOR_TEST));
                    for task in &batch[..taken] {
                        // SAFETY: pop filled `taken` places.
                        prop_assert_eq!(Some(number(unsafe { task.assume_init() })), model.pop_front());
                    }
                }
                // What a worker took ahead is called back: nothing has changed.
                let batch = Batch::new();
                let mut ahead = [MaybeUninit::uninit(); BATCH];
                let taken = inbox.pop(Lane::Normal, 1, &mut ahead[..place % BATCH]);
                // SAFETY: pop filled `taken` places.
                let ahead = ahead[..taken].iter().map(|task| unsafe { task.assume_init() });
                batch.fill(&ahead.collect::<Vec<_>>());
                prop_assert_eq!(inbox.recall(|found| { found.take_batch(&batch); }), taken);
                // Some were settled where they are.
                let goes = |task: &usize| place % 2 == 0 && task % 5 < place % 7;
                let mut out = Vec::new();
                inbox.take_out(Lane::Normal, |task| goes(&number(task)), |task| out.push(number(task)));
                let expected: Vec<_> = model.iter().copied().filter(goes).collect();
                prop_assert_eq!(out, expected);
                model.retain(|task| !goes(task));
                for _ in 0..place % 3 {
                    let newest = inbox.pop_newest_if(Lane::Normal, |_| true);
                    prop_assert_eq!(newest.map(number), model.pop_back());
                    prop_assert_eq!(inbox.pop_newest_if(Lane::Normal, |_| false), None);
                }
                let gone = model.remove(place);
                prop_assert_eq!(inbox.take_back(Lane::Normal, entry(gone.unwrap_or(next))), gone.is_some());
                taken_back += u64::from(gone.is_some());
                for _ in 0..backs {
                    let Some(gone) = model.pop_back() else { break };
                    prop_assert!(inbox.take_back(Lane::Normal, entry(gone)));
                    taken_back += 1;
                }
                prop_assert_eq!(inbox.hint(Lane::Normal), model.len());
                let mut seen = Vec::new();
                inbox.for_each(usize::MAX, |task| seen.push(number(task)));
                prop_assert!(seen.iter().eq(model.iter()));
            }
            while let Some(task) = inbox.pop_one(Lane::Normal) {
                prop_assert_eq!(Some(number(task)), model.pop_front());
            }
            prop_assert!(model.is_empty() && inbox.is_empty_since().is_some());
            prop_assert_eq!(inbox.accepted(), next as u64 - taken_back);
        }
    }

    const BATCH_FOR_TEST: usize = 32;

    /// The second task that is taken back leaves the last chunk without one.
    #[test]
    fn taken_back_over_the_border_of_a_chunk() {
        for borders in 1..4 {
            let inbox = Inbox::new();
            let count = borders * CHUNK + 1;
            let mut model: VecDeque<_> = (0..count).collect();
            for &task in &model {
                inbox.push(Lane::Normal, entry(task)).expect("memory");
            }
            for _ in 0..5 {
                let last = model.pop_back().expect("a task");
                assert!(inbox.take_back(Lane::Normal, entry(last)));
            }
            for task in count..count + CHUNK + 7 {
                inbox.push(Lane::Normal, entry(task)).expect("memory");
                model.push_back(task);
            }
            for task in model {
                assert_eq!(inbox.pop_one(Lane::Normal).map(number), Some(task));
            }
            assert!(inbox.is_empty_since().is_some());
        }
    }

    /// The chunks of both lanes end where they may, and the inbox may be closed by then.
    #[test]
    fn called_back_over_the_borders_of_chunks() {
        for (count, closes) in [(1, false), (2, true), (CHUNK, false), (CHUNK + 1, true)] {
            let inbox = Inbox::new();
            for task in 0..count {
                inbox.push(Lane::Normal, entry(task)).expect("memory");
                inbox.push(Lane::Nested, entry(task)).expect("memory");
            }
            if closes {
                inbox.close();
            }
            let batch = Batch::new();
            batch.fill(&[entry(count), entry(count + 1)]);
            let (own, theirs) = Own::new();
            assert!(own.push(entry(count)) && own.push(entry(count + 1)));
            let called = inbox.recall(|found| {
                found.take_batch(&batch);
                found.take_nested(&theirs);
            });
            assert_eq!((called, inbox.pop_newest_if(Lane::Low, |_| true)), (4, None));
            assert!(closes == inbox.push(Lane::Nested, entry(0)).is_err());
            let outside = [count, count + 1].into_iter().chain(0..count);
            assert!(outside.eq(take_all(&inbox, Lane::Normal)));
            let nested = (0..count + 2).chain((!closes).then_some(0));
            assert!(nested.eq(take_all(&inbox, Lane::Nested)));
            assert!(inbox.is_empty_since().is_some());
        }
    }

    fn take_all(inbox: &Inbox, lane: Lane) -> Vec<usize> {
        std::iter::from_fn(|| inbox.pop_one(lane)).map(number).collect()
    }

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
