//! A first-in first-out list of tasks in chunks, whose lock and length its owner has (`inbox`).

use super::queue::Entry;
use crate::platform::memory;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// Pointers a chunk holds: with its link and padding, 4 KiB.
pub(super) const CHUNK: usize = if cfg!(loom) { 2 } else { 511 };
/// Emptied chunks kept for the next burst.
const SPARES: usize = 32;

struct Chunk {
    next: *mut Chunk,
    tasks: [MaybeUninit<Entry>; CHUNK],
}

/// A first-in first-out list of pointers in chunks; all memory is fallible.
#[repr(C)]
pub(super) struct Fifo {
    /// Next place to fill, in `last`, and the end of its places.
    tail: *mut MaybeUninit<Entry>,
    end: *mut MaybeUninit<Entry>,
    /// Next place to take from, in `first`.
    head: usize,
    first: *mut Chunk,
    last: *mut Chunk,
    spare: *mut Chunk,
    spares: usize,
}

// SAFETY: the chunks belong to the list alone.
unsafe impl Send for Fifo {}

impl Fifo {
    pub(super) fn new() -> Fifo {
        Fifo {
            tail: ptr::null_mut(),
            end: ptr::null_mut(),
            head: 0,
            first: ptr::null_mut(),
            last: ptr::null_mut(),
            spare: ptr::null_mut(),
            spares: 0,
        }
    }

    #[inline(always)]
    pub(super) fn has_place(&self) -> bool {
        self.tail != self.end
    }

    /// Pushes into a place that there is.
    #[inline(always)]
    pub(super) fn push(&mut self, task: Entry) {
        debug_assert!(self.has_place());
        // SAFETY: `tail` is a free place of the last chunk.
        unsafe {
            (*self.tail).write(task);
            self.tail = self.tail.add(1);
        }
    }

    /// Takes the task out of `length`, and moves up what is behind it.
    pub(super) fn remove(&mut self, task: Entry, length: usize, closed: bool) -> bool {
        let (mut chunk, mut place) = (self.first, self.head);
        let mut hole: *mut MaybeUninit<Entry> = ptr::null_mut();
        let mut holder = chunk;
        for _ in 0..length {
            // SAFETY: `length` places from `head` on are filled, in chunks of ours.
            unsafe {
                if place == CHUNK {
                    (chunk, place) = ((*chunk).next, 0);
                }
                let here = &raw mut (*chunk).tasks[place];
                if !hole.is_null() {
                    hole.write(here.read());
                    (hole, holder) = (here, chunk);
                } else if (*here).assume_init() == task {
                    (hole, holder) = (here, chunk);
                }
            }
            place += 1;
        }
        if hole.is_null() {
            return false;
        }
        // The last place is free now; where it was its chunk's only one, the chunk is empty. Where
        // it was empty before, the one before it is the last.
        if holder != self.last {
            self.retreat_to(holder);
        }
        self.tail = hole;
        if closed {
            self.give_up_places();
        }
        true
    }

    /// The last chunk is empty: the one before it becomes the last.
    fn retreat_to(&mut self, holder: *mut Chunk) {
        let empty = std::mem::replace(&mut self.last, holder);
        // SAFETY: a chunk of ours.
        unsafe { (*holder).next = ptr::null_mut() };
        self.end = end_of(holder);
        self.tail = self.end;
        self.keep_spare(empty);
    }

    /// The task pushed last of `length`, at least one.
    pub(super) fn newest(&mut self, length: usize, closed: bool) -> Entry {
        debug_assert!(length > 0);
        if self.filled() == 0 {
            let mut holder = self.first;
            // SAFETY: chunks of ours; there is one before an empty last one, as there are tasks.
            unsafe {
                while (*holder).next != self.last {
                    holder = (*holder).next;
                }
            }
            self.retreat_to(holder);
            if closed {
                self.give_up_places();
            }
        }
        // SAFETY: the last filled place of the last chunk.
        unsafe { (*self.tail.sub(1)).assume_init() }
    }

    /// Takes out what `newest` gave.
    pub(super) fn drop_newest(&mut self, closed: bool) {
        // SAFETY: the last chunk has a filled place, as `newest` has seen to.
        self.tail = unsafe { self.tail.sub(1) };
        if closed {
            self.give_up_places();
        }
    }

    /// Puts tasks before all others; there is memory for them, by `reserve_in_front`.
    pub(super) fn put_in_front(&mut self, tasks: &[Entry]) {
        for &task in tasks.iter().rev() {
            if self.first.is_null() || self.head == 0 {
                self.extend_in_front();
            }
            self.head -= 1;
            // SAFETY: a free place of the first chunk.
            unsafe { (&mut (*self.first).tasks)[self.head].write(task) };
        }
    }

    /// Has room for `count` more in front without allocating.
    pub(super) fn reserve_in_front(&mut self, count: usize) -> bool {
        let here = if self.first.is_null() { 0 } else { self.head };
        self.reserve_chunks(count.saturating_sub(here).div_ceil(CHUNK))
    }

    fn extend_in_front(&mut self) {
        let Some(chunk) = self.take_spare() else {
            crate::unwind::die("places were put in front of a queue that were not reserved");
        };
        if self.first.is_null() {
            self.last = chunk;
            self.end = end_of(chunk);
            self.tail = self.end;
        }
        // SAFETY: a chunk of ours.
        unsafe { (*chunk).next = self.first };
        self.first = chunk;
        self.head = CHUNK;
    }

    /// Has no place any more, though its last chunk may.
    pub(super) fn give_up_places(&mut self) {
        self.end = self.tail;
    }

    /// Has the places of its last chunk again.
    pub(super) fn take_up_places(&mut self) {
        if !self.last.is_null() {
            self.end = end_of(self.last);
        }
    }

    /// Filled places of the last chunk.
    fn filled(&self) -> usize {
        if self.last.is_null() {
            return 0;
        }
        // SAFETY: `tail` points into the last chunk's places, or behind them.
        unsafe { self.tail.offset_from((&raw const (*self.last).tasks).cast()) as usize }
    }

    #[cold]
    pub(super) fn extend(&mut self) -> bool {
        let Some(chunk) = self.take_spare().or_else(allocate) else { return false };
        if self.last.is_null() {
            self.first = chunk;
            self.head = 0;
        } else {
            // SAFETY: a chunk of ours.
            unsafe { (*self.last).next = chunk };
        }
        self.last = chunk;
        // SAFETY: the places of a chunk of ours.
        unsafe {
            self.tail = (&raw mut (*chunk).tasks).cast();
            self.end = self.tail.add(CHUNK);
        }
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
    pub(super) fn reserve(&mut self, count: usize) -> bool {
        // SAFETY: both point into the same chunk, or are NULL.
        let here = unsafe { self.end.offset_from(self.tail) } as usize;
        self.reserve_chunks(count.saturating_sub(here).div_ceil(CHUNK))
    }

    fn reserve_chunks(&mut self, count: usize) -> bool {
        while self.spares < count {
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

    /// Fills `batch` with the oldest tasks; there are as many.
    pub(super) fn pop_into(&mut self, batch: &mut [MaybeUninit<Entry>], closed: bool) {
        let mut taken = 0;
        while taken < batch.len() {
            let end = if self.first == self.last { self.filled() } else { CHUNK };
            let count = (end - self.head).min(batch.len() - taken);
            // SAFETY: the places from head to end of the first chunk are filled.
            let tasks = unsafe { &(&(*self.first).tasks)[self.head..self.head + count] };
            batch[taken..taken + count].copy_from_slice(tasks);
            taken += count;
            self.head += count;
            if self.head == end {
                if self.first == self.last { self.start_over(closed) } else { self.drop_first() }
            }
        }
    }

    /// Moves those of its `length` tasks that `goes` names to `gone`, as far as there is memory; how
    /// many. The others keep their order: they go round once. Not of a closed inbox.
    pub(super) fn take_out(
        &mut self,
        length: usize,
        goes: impl Fn(Entry) -> bool,
        gone: &mut Fifo,
    ) -> usize {
        // One chunk is kept for those that go round: before they need another, the first one is empty.
        if length == 0 || !self.reserve_chunks(1) {
            return 0;
        }
        let mut count = 0;
        for _ in 0..length {
            let mut one = [MaybeUninit::uninit()];
            self.pop_into(&mut one, false);
            // SAFETY: `pop_into` fills it.
            let task = unsafe { one[0].assume_init() };
            let out = goes(task) && gone.make_place_with(self);
            count += usize::from(out);
            let to = if out { &mut *gone } else { &mut *self };
            if !to.make_place() {
                crate::unwind::die("a queue had no place for a task that it had just held");
            }
            to.push(task);
        }
        count
    }

    fn make_place(&mut self) -> bool {
        self.has_place() || self.extend()
    }

    /// `make_place`, if need be with a spare chunk of another list, but not its last.
    fn make_place_with(&mut self, other: &mut Fifo) -> bool {
        if !self.has_place() && other.spares > 1 {
            if let Some(chunk) = other.take_spare() {
                self.keep_spare(chunk);
            }
        }
        self.make_place()
    }

    /// Takes over the chunks of a list whose tasks are gone.
    pub(super) fn take_chunks(&mut self, mut other: Fifo) {
        while self.spares < SPARES && !other.first.is_null() {
            let chunk = other.first;
            // SAFETY: a chunk of the other's, and from here on not any more.
            other.first = unsafe { (*chunk).next };
            self.keep_spare(chunk);
        }
    }

    /// The only chunk is empty.
    fn start_over(&mut self, closed: bool) {
        self.head = 0;
        // SAFETY: the places of a chunk of ours.
        unsafe {
            self.tail = (&raw mut (*self.first).tasks).cast();
            self.end = if closed { self.tail } else { self.tail.add(CHUNK) };
        }
    }

    /// The first of several chunks is empty.
    fn drop_first(&mut self) {
        let chunk = self.first;
        // SAFETY: a chunk of ours.
        self.first = unsafe { (*chunk).next };
        self.head = 0;
        if self.spares < SPARES {
            self.keep_spare(chunk);
        } else {
            // SAFETY: no longer part of the list.
            unsafe { free(chunk) };
        }
    }

    /// The first `length` tasks, of as many or more.
    pub(super) fn iter(&self, length: usize) -> impl Iterator<Item = Entry> + '_ {
        let (mut chunk, mut place) = (self.first, self.head);
        (0..length).map(move |_| {
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

/// Behind the last place of a chunk.
fn end_of(chunk: *mut Chunk) -> *mut MaybeUninit<Entry> {
    // SAFETY: a chunk of ours.
    unsafe { (&raw mut (*chunk).tasks).cast::<MaybeUninit<Entry>>().add(CHUNK) }
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
        // The pool has taken every task out before it ends: chunks are all there is.
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
