//! How a cell is made: from the work it is to do.

use super::arena;
use super::buffer::BufferRef;
use super::cell::{
    ClosureFn, FreeFn, Front, INLINE_DATA, Kind, NO_BACK, NO_FRONT, TaskCell, TaskFn, Word, number,
};
use super::owner::Owner;
use super::state::{self, State};
use super::then::ThenArgs;
use crate::local::Local;
use crate::platform::clock;
use crate::sync::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, UnsafeCell};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// Argument bytes by the place they will have.
#[derive(Clone, Copy)]
pub(crate) enum Data<'a> {
    /// In the cell: up to 8, as they lie in memory, and their number.
    Word(usize, usize),
    /// More than that.
    Tail(&'a [u8]),
}

/// Function and arguments of a cell to be made.
pub(crate) enum Work<'a> {
    Promise,
    Bytes(TaskFn, &'a [u8]),
    Closure(ClosureFn, *mut c_void, Option<FreeFn>),
    Buffer(TaskFn, BufferRef),
    /// Bytes at an address that stay there until the task has returned, and their number.
    Foreign(TaskFn, *const c_void, usize),
    Then(ThenArgs),
    Join(NonNull<super::join::Join>),
}

impl TaskCell {
    /// A queued task of `owner` made of what the thread has at hand, where ticks are fast;
    /// None: `allocate` is needed. The process is none of a fork. (The owner is asked for late: one
    /// register fewer to save.)
    #[inline(always)]
    pub(crate) fn at_hand(
        local: &Local,
        owner: impl FnOnce() -> NonNull<Owner>,
        (function, data): (TaskFn, Data<'_>),
        refs: u32,
    ) -> Option<NonNull<TaskCell>> {
        let (class, length, word) = match data {
            Data::Word(word, length) => (0, length, word),
            Data::Tail(data) => (arena::class_for_tail(data.len())?, data.len(), 0),
        };
        let place = arena::take_ready(local, class)?.cast::<TaskCell>();
        // For `block`.
        let _ = place.as_ptr().expose_provenance();
        // SAFETY: fresh memory of at least a cell's size with the tail of its class, aligned
        // to 64.
        unsafe {
            place.write(TaskCell {
                state: State::new(Kind::Bytes as u32, class as u32, 0, refs),
                hooks: UnsafeCell::new(ptr::null_mut()),
                owner: AtomicPtr::new(owner().as_ptr().cast()),
                stamp: AtomicU64::new(clock::fast_ticks()),
                front: UnsafeCell::new(Front([function as Word, number(length)])),
                back: UnsafeCell::new(number(word)),
                code: AtomicI32::new(0),
                promises: AtomicU32::new(1),
                #[cfg(loom)]
                alive: UnsafeCell::new(()),
            });
            if let Data::Tail(data) = data {
                let tail = TaskCell::tail(place);
                tail.as_ptr().copy_from_nonoverlapping(data.as_ptr(), data.len());
            }
        }
        Some(place)
    }

    /// A cell with `refs` references, PENDING. None when there is no memory; `work` is
    /// dropped then, but for a closure's argument, which stays the caller's.
    #[inline(always)]
    pub(crate) fn allocate(work: Work<'_>, refs: u32) -> Option<NonNull<TaskCell>> {
        match work {
            Work::Bytes(function, data) => TaskCell::with_bytes(function, data, refs),
            Work::Promise => TaskCell::place(Kind::Promise, 0, 0, NO_FRONT, NO_BACK, refs),
            Work::Closure(function, argument, free) => {
                let flags = if free.is_some() { state::ARGS } else { 0 };
                let front = [function as Word, argument];
                let back = free.map_or(NO_BACK, |free| free as Word);
                TaskCell::place(Kind::Closure, 0, flags, front, back, refs)
            }
            Work::Buffer(function, buffer) => {
                let front = [function as Word, NO_BACK];
                let cell = TaskCell::place(Kind::Buffer, 0, state::ARGS, front, NO_BACK, refs)?;
                // SAFETY: nobody else knows the cell yet.
                unsafe { cell.as_ref().set_back(buffer.into_raw().as_ptr().cast()) };
                Some(cell)
            }
            Work::Foreign(function, data, length) => {
                let front = [function as Word, number(length)];
                TaskCell::place(Kind::Foreign, 0, 0, front, data.cast_mut(), refs)
            }
            Work::Then(args) => {
                const CLASS: usize = 2;
                let cell =
                    TaskCell::place(Kind::Then, CLASS, state::ARGS, NO_FRONT, NO_BACK, refs)?;
                // SAFETY: nobody else knows the cell yet; the class has a tail that holds
                // the arguments and a hook (asserted in `then`).
                unsafe { cell.as_ref().then_args().write(args) };
                Some(cell)
            }
            Work::Join(join) => {
                TaskCell::place(Kind::Join, 0, 0, NO_FRONT, join.as_ptr().cast(), refs)
            }
        }
    }

    #[inline(always)]
    fn with_bytes(function: TaskFn, data: &[u8], refs: u32) -> Option<NonNull<TaskCell>> {
        // The sizes of nothing, numbers and pointers, without a call.
        let mut word = [0u8; INLINE_DATA];
        match data.len() {
            0 => {}
            4 => word[..4].copy_from_slice(&data[..4]),
            8 => word.copy_from_slice(&data[..8]),
            _ => return TaskCell::with_odd_bytes(function, data, refs),
        }
        TaskCell::with_word(function, data.len(), word, refs)
    }

    #[inline(always)]
    fn with_word(
        function: TaskFn,
        length: usize,
        word: [u8; INLINE_DATA],
        refs: u32,
    ) -> Option<NonNull<TaskCell>> {
        let front = [function as Word, number(length)];
        let back = number(usize::from_ne_bytes(word));
        TaskCell::place(Kind::Bytes, 0, 0, front, back, refs)
    }

    #[inline(never)]
    fn with_odd_bytes(function: TaskFn, data: &[u8], refs: u32) -> Option<NonNull<TaskCell>> {
        let front = [function as Word, number(data.len())];
        if data.len() <= INLINE_DATA {
            let mut word = [0u8; INLINE_DATA];
            word[..data.len()].copy_from_slice(data);
            return TaskCell::with_word(function, data.len(), word, refs);
        }
        let Some(class) = arena::class_for_tail(data.len()) else {
            let copy = arena::allocate_bytes(data.len())?;
            // SAFETY: fresh memory of that length.
            unsafe { copy.as_ptr().copy_from_nonoverlapping(data.as_ptr(), data.len()) };
            let back = copy.as_ptr().cast();
            let cell = TaskCell::place(Kind::External, 0, state::ARGS, front, back, refs);
            if cell.is_none() {
                // SAFETY: just allocated, known to nobody else.
                unsafe { arena::release_bytes(copy, data.len()) };
            }
            return cell;
        };
        let cell = TaskCell::place(Kind::Bytes, class, 0, front, NO_BACK, refs)?;
        // SAFETY: nobody else knows the cell yet; its tail holds the data.
        unsafe {
            let tail = TaskCell::tail(cell);
            tail.as_ptr().copy_from_nonoverlapping(data.as_ptr(), data.len());
        }
        Some(cell)
    }

    #[inline(always)]
    fn place(
        kind: Kind,
        class: usize,
        flags: u32,
        front: [Word; 2],
        back: Word,
        refs: u32,
    ) -> Option<NonNull<TaskCell>> {
        let place = arena::allocate(class)?.cast::<TaskCell>();
        // For `block`.
        let _ = place.as_ptr().expose_provenance();
        // SAFETY: fresh memory of at least a cell's size, aligned to 64.
        unsafe {
            place.write(TaskCell {
                state: State::new(kind as u32, class as u32, flags, refs),
                hooks: UnsafeCell::new(ptr::null_mut()),
                owner: AtomicPtr::new(ptr::null_mut()),
                stamp: AtomicU64::new(0),
                front: UnsafeCell::new(Front(front)),
                back: UnsafeCell::new(back),
                code: AtomicI32::new(0),
                promises: AtomicU32::new(1),
                #[cfg(loom)]
                alive: UnsafeCell::new(()),
            });
        }
        Some(place)
    }
}
