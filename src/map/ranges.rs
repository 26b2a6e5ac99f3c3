//! Which range of a loop is next. Plain numbers; `parallel` has the lock.
//!
//! Whoever takes part takes slices from the front, one at a time. A slice is so large that it
//! takes about `SLICE_NS`, by how long the last ones took, so that taking it costs nothing to
//! speak of, and somebody who comes finds something to do soon. Near the end it is at most a
//! share of what is left (C. Polychronopoulos, D. Kuck, "Guided Self-Scheduling", IEEE
//! Transactions on Computers, 1987), so that all end at about the same time.

use crate::future::cell::TaskCell;
use std::ffi::c_void;

/// A function over a range of numbers.
pub(crate) type RangeFn =
    unsafe extern "C-unwind" fn(*const TaskCell, begin: usize, end: usize, *mut c_void) -> i32;

/// How long a slice should take.
pub(super) const SLICE_NS: u64 = 50_000;
/// How much larger the next slice may be than the last one was.
const GROWTH: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) begin: usize,
    pub(super) end: usize,
}

pub(super) struct Slices {
    next: usize,
    count: usize,
    grain: usize,
    /// The grain was asked for: a range of it is worth a thread.
    given: bool,
    /// What a slice should be, by how long others took.
    size: usize,
    done: usize,
    /// How long all slices so far took, in all.
    took: u64,
}

impl Slices {
    /// `grain`: fewest in a slice but the last; 0 = chosen.
    pub(super) fn new(count: usize, grain: usize) -> Slices {
        Slices { next: 0, count, grain: grain.max(1), given: grain > 0, size: 1, done: 0, took: 0 }
    }

    pub(super) fn rest(&self) -> usize {
        self.count - self.next
    }

    pub(super) fn done(&self) -> (u64, u64) {
        (self.done as u64, self.count as u64)
    }

    /// The next slice for one of so many who take part; None: nothing is left.
    pub(super) fn take(&mut self, sharers: u32) -> Option<Slice> {
        let rest = self.rest();
        if rest == 0 {
            return None;
        }
        let share = rest.div_ceil(2 * sharers.max(1) as usize);
        let length = self.size.min(share).max(self.grain).min(rest);
        let begin = self.next;
        self.next += length;
        Some(Slice { begin, end: self.next })
    }

    /// Whether what is left is worth waking somebody, for whom so many indices are few.
    ///
    /// Of few one may take long, and is not run alone to find out; nor is a range of a grain that
    /// was asked for. Of many indices it costs next to nothing to run some first: the loop may be
    /// over before anybody could come.
    pub(super) fn is_worth_company(&self, few: usize, wanted: u64) -> bool {
        let left = || u128::from(self.took) * self.rest() as u128 / self.done.max(1) as u128;
        self.rest() > 0
            && (self.has_few(few) || self.is_long(wanted) && left() > u128::from(wanted))
    }

    /// Whether a slice may take long, as far as is known, and more are left.
    pub(super) fn may_take_long(&self, few: usize, wanted: u64) -> bool {
        self.rest() > 0 && (self.has_few(few) || self.is_long(wanted))
    }

    fn has_few(&self, few: usize) -> bool {
        self.given || self.count < few
    }

    fn is_long(&self, wanted: u64) -> bool {
        self.took > wanted / 4
    }

    /// A slice is done, and took so many of a unit of which a slice should take `wanted`.
    pub(super) fn note(&mut self, slice: Slice, took: u64, wanted: u64) {
        let length = slice.end - slice.begin;
        self.done += length;
        self.took = self.took.saturating_add(took);
        let fits = (length as u128 * u128::from(wanted) / u128::from(took.max(1))).max(1);
        let fits = usize::try_from(fits).unwrap_or(usize::MAX);
        if fits < self.size || length >= self.size {
            self.size = fits.min(length.saturating_mul(GROWTH));
        }
    }

    /// What is left is skipped.
    pub(super) fn close(&mut self) {
        self.next = self.count;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Lengths of the slices that one takes alone, if an index takes so long.
    fn alone(count: usize, grain: usize, each: u64) -> Vec<usize> {
        let mut slices = Slices::new(count, grain);
        let (mut lengths, mut expected) = (Vec::new(), 0);
        while let Some(slice) = slices.take(1) {
            assert_eq!(slice.begin, expected, "in order, without a gap");
            expected = slice.end;
            let length = slice.end - slice.begin;
            lengths.push(length);
            slices.note(slice, each * length as u64, 1000);
        }
        assert_eq!((expected, slices.done()), (count, (count as u64, count as u64)));
        lengths
    }

    #[test]
    fn slices_grow_to_their_time() {
        let lengths = alone(1_000_000, 0, 1);
        assert_eq!(lengths[..5], [1, 8, 64, 512, 1000]);
        assert!(lengths.len() < 1100);
        assert!(alone(100, 0, 5000).into_iter().all(|length| length == 1));
    }

    #[test]
    fn a_short_loop_has_few_slices() {
        assert!(alone(1000, 0, 0).len() < 16);
    }

    #[test]
    fn the_grain_is_kept_but_by_the_last() {
        let lengths = alone(1003, 10, 5000);
        let (last, others) = lengths.split_last().expect("some");
        assert!(others.iter().all(|&length| length == 10) && *last == 3);
        assert_eq!(alone(5, 10, 1), [5]);
        assert_eq!(alone(5, usize::MAX, 1), [5]);
    }

    #[test]
    fn the_end_is_shared() {
        let mut slices = Slices::new(100, 0);
        slices.size = 1000;
        assert_eq!(slices.take(4), Some(Slice { begin: 0, end: 13 }));
        slices.close();
        assert_eq!((slices.take(4), slices.rest()), (None, 0));
    }

    #[test]
    fn a_short_loop_wants_nobody() {
        let worth = |count, each: u64, slices: usize| {
            let mut all = Slices::new(count, 0);
            for _ in 0..slices {
                let slice = all.take(1).expect("some");
                all.note(slice, (slice.end - slice.begin) as u64 * each, 1000);
            }
            all.is_worth_company(32, 1000)
        };
        assert!(worth(31, 0, 0), "few: one may take long");
        assert!(!worth(1000, 1, 0) && !worth(1000, 1, 3), "all of it takes no longer than a slice");
        assert!(!worth(1_000_000, 1, 2), "not long enough to tell");
        assert!(worth(1_000_000, 1, 4) && worth(1000, 1_000_000, 1));
        assert!(!worth(1, 1, 1), "nothing is left");
    }

    #[test]
    fn nothing_overflows() {
        let mut slices = Slices::new(usize::MAX, 0);
        let slice = slices.take(1).expect("some");
        slices.note(slice, 0, u64::MAX);
        let slice = slices.take(u32::MAX).expect("some");
        slices.note(slice, u64::MAX, 1);
        assert!(slices.take(1).is_some() && slices.is_worth_company(1, 1));
    }
}
