//! The cell: one cache line that is a task, its place in a queue, its future and a small
//! result, one after the other.
//!
//! | offset | field | before it starts | while it runs | settled |
//! |---|---|---|---|---|
//! | 0 | `state` | see `state` | | |
//! | 8 | `hooks` | who wants to know, newest last | same | callbacks not run yet |
//! | 16 | `owner` | executor, or the `Extra` | same | link of the due list, or the `Extra` |
//! | 24 | `stamp` | when it was accepted | same | how long it was queued, if it ran |
//! | 32 | `front` | function and argument | recorded result | result |
//! | 48 | `back` | third argument word, or up to 8 bytes of data | same | how long it ran, if it ran |
//! | 56 | `code` | | recorded code | code |
//! | 60 | `promises` | promise handles, the runner's included | same | |
//! | 64 | tail | argument bytes, or `ThenArgs` and a hook | same | unused |
//!
//! The rules F1 to F8 that make this sound stand in the module doc of `future`.

use super::arena;
use super::buffer::BufferRef;
use super::due;
use super::extra::Extra;
use super::hook::{self, Hook};
use super::owner::Owner;
use super::state::{self, Snapshot, State};
use super::then::ThenArgs;
use crate::local;
use crate::platform::fork;
use crate::sync::{AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use std::ffi::c_void;
use std::fmt;
use std::ptr::{self, NonNull};

/// The C types of user functions; the handles in them are opaque here.
pub(crate) type TaskFn =
    unsafe extern "C-unwind" fn(promise: *const TaskCell, data: *const c_void, len: usize) -> i32;
pub(crate) type ClosureFn =
    unsafe extern "C-unwind" fn(promise: *const TaskCell, argument: *mut c_void) -> i32;
pub(crate) type FreeFn = unsafe extern "C-unwind" fn(*mut c_void);

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    /// Made by hand: no function.
    Promise = 0,
    /// Argument bytes in the cell: `front` = function, length.
    Bytes = 1,
    /// Argument bytes elsewhere: `front` = function, length; `back` = address.
    External = 2,
    /// `front` = function, argument; `back` = free function.
    Closure = 3,
    /// `front` = function; `back` = buffer.
    Buffer = 4,
    /// Starts when another future settles: `ThenArgs` and a hook in the tail.
    Then = 5,
    /// Settles with other futures: `back` = `join::Join`.
    Join = 6,
    /// Argument bytes that somebody else keeps until the task has returned: as `External`,
    /// but not to be freed.
    Foreign = 7,
}

impl Kind {
    fn from_bits(bits: u32) -> Kind {
        match bits {
            0 => Kind::Promise,
            1 => Kind::Bytes,
            2 => Kind::External,
            3 => Kind::Closure,
            4 => Kind::Buffer,
            5 => Kind::Then,
            6 => Kind::Join,
            _ => Kind::Foreign,
        }
    }
}

pub(super) const NO_BACK: Word = ptr::null_mut();
pub(super) const NO_FRONT: [Word; 2] = [NO_BACK; 2];

/// Longest argument that fits a cell without a tail.
pub(super) const INLINE_DATA: usize = 8;

#[repr(C, align(64))]
pub(crate) struct TaskCell {
    pub(crate) state: State,
    /// The newest of a ring of hooks (its `next` is the oldest), or NULL. Under LOCK (F3).
    pub(super) hooks: UnsafeCell<*mut Hook>,
    pub(super) owner: AtomicPtr<()>,
    pub(super) stamp: AtomicU64,
    pub(super) front: UnsafeCell<Front>,
    pub(super) back: UnsafeCell<Word>,
    pub(super) code: AtomicI32,
    pub(super) promises: AtomicU32,
    /// Read by each use, written by the end: a model fails if the two are not in order.
    #[cfg(loom)]
    pub(super) alive: UnsafeCell<()>,
}

/// A word of arguments or result: a pointer, or a number without provenance.
pub(crate) type Word = *mut c_void;

/// A number as a word.
pub(crate) fn number(value: usize) -> Word {
    ptr::without_provenance_mut(value)
}

#[repr(align(16))]
#[derive(Clone, Copy)]
pub(super) struct Front(pub(super) [Word; 2]);

#[cfg(not(loom))]
const _: () = assert!(size_of::<TaskCell>() == arena::HEAD && align_of::<TaskCell>() == 64);
#[cfg(loom)]
const _: () = assert!(size_of::<TaskCell>() <= arena::HEAD);

// SAFETY: F1 to F8 say who may touch which field when; pointers of the user's in it are
// handed between threads with the user's consent (the header's section on threads).
unsafe impl Send for TaskCell {}
// SAFETY: as above.
unsafe impl Sync for TaskCell {}

impl TaskCell {
    /// The block behind the head.
    ///
    /// # Safety
    /// `cell` points at a whole block (not at a reference's 64 bytes) with a tail.
    pub(super) unsafe fn tail(cell: NonNull<TaskCell>) -> NonNull<u8> {
        // SAFETY: by the contract the block goes on behind its head.
        unsafe { cell.cast::<u8>().add(arena::HEAD) }
    }

    /// The whole block this head belongs to.
    ///
    /// The address was exposed when the block was allocated, and a reference to the head
    /// alone may not be used for what lies behind it.
    pub(super) fn block(&self) -> NonNull<TaskCell> {
        let address = ptr::from_ref(self).addr();
        // SAFETY: the address of a live object is not null.
        unsafe { NonNull::new_unchecked(ptr::with_exposed_provenance_mut(address)) }
    }

    /// Another reference to this cell.
    pub(crate) fn clone_ref(&self) -> TaskRef {
        self.state.retain(1);
        TaskRef(self.block())
    }

    // ---- reading the word ----

    #[inline(always)]
    pub(crate) fn snapshot(&self) -> Snapshot {
        // Acquire: pairs with `finish` and `settle_locked`; a settled word publishes the
        // result and everything else F2 freezes.
        self.state.load(Ordering::Acquire)
    }

    pub(crate) fn kind(&self) -> Kind {
        // Relaxed: never changes.
        Kind::from_bits(self.state.load(Ordering::Relaxed).kind())
    }

    // ---- arguments (F2: the runner's, or the one's who settled it before it started) ----

    /// # Safety
    /// The caller has the right of F2 to the arguments.
    pub(super) unsafe fn front(&self) -> [Word; 2] {
        // SAFETY: by the contract nobody writes.
        self.front.with(|front| unsafe { *front }).0
    }

    /// The call of a started `Kind::Bytes` task: function, data, length.
    ///
    /// # Safety
    /// As `front`, and the cell is of that kind.
    #[inline(always)]
    pub(crate) unsafe fn bytes_call(&self) -> (TaskFn, *const c_void, usize) {
        // SAFETY: by the contract; `with_bytes` stored the function here.
        let (function, length) = unsafe {
            let [first, second] = self.front();
            (std::mem::transmute::<Word, TaskFn>(first), second.addr())
        };
        (function, self.inline_data(length), length)
    }

    /// # Safety
    /// As `front`.
    pub(super) unsafe fn back(&self) -> Word {
        // SAFETY: by the contract nobody writes.
        self.back.with(|back| unsafe { *back })
    }

    /// The buffer of a `Kind::Buffer` cell.
    ///
    /// # Safety
    /// As `front`, and the cell is of that kind.
    pub(super) unsafe fn back_buffer(&self) -> &BufferRef {
        // SAFETY: by the contract: such a cell's `back` is a BufferRef, which is a pointer.
        self.back.with(|back| unsafe { &*back.cast::<BufferRef>() })
    }

    /// # Safety
    /// The caller is the only one who may touch `back` (F2).
    pub(super) unsafe fn set_back(&self, value: Word) {
        // SAFETY: by the contract.
        self.back.with_mut(|back| unsafe { *back = value });
    }

    /// Address of the argument bytes of a `Kind::Bytes` cell of `length`. There is one also
    /// where there are no bytes: a task may pass it to memcpy.
    #[inline(always)]
    pub(super) fn inline_data(&self, length: usize) -> *const c_void {
        if length > INLINE_DATA {
            return self.tail_data();
        }
        let offset = std::mem::offset_of!(TaskCell, back);
        // The whole block's provenance: the task reads through this pointer for as long as it
        // runs, without a reference of ours in between.
        // SAFETY: a field of the block.
        unsafe { self.block().cast::<u8>().add(offset) }.as_ptr().cast()
    }

    /// Not inlined, to leave the way of small data straight.
    #[inline(never)]
    fn tail_data(&self) -> *const c_void {
        // SAFETY: longer data was put into the tail when the cell was made.
        unsafe { TaskCell::tail(self.block()) }.as_ptr().cast()
    }

    /// Where a `Kind::Then` cell has its arguments.
    pub(super) fn then_args(&self) -> NonNull<ThenArgs> {
        debug_assert!(self.kind() == Kind::Then);
        // SAFETY: such cells have a tail.
        unsafe { TaskCell::tail(self.block()) }.cast()
    }

    /// Where a `Kind::Then` cell has its hook.
    pub(super) fn then_hook(&self) -> NonNull<Hook> {
        debug_assert!(self.kind() == Kind::Then);
        // SAFETY: such cells have a tail of more than 64 bytes plus a hook.
        unsafe { TaskCell::tail(self.block()).add(ThenArgs::SPACE) }.cast()
    }

    /// Where a `Kind::Then` cell has room for a second hook, of its first place in a view.
    pub(super) fn place_hook(&self) -> NonNull<Hook> {
        debug_assert!(self.kind() == Kind::Then);
        // SAFETY: asserted in `then`: the tail holds that, too.
        unsafe { TaskCell::tail(self.block()).add(ThenArgs::SPACE + hook::SPACE) }.cast()
    }

    // ---- code, stamp, owner ----

    /// The failure code; 0 before the end.
    pub(crate) fn code(&self) -> i32 {
        let seen = self.snapshot();
        if !seen.is_settled() {
            return 0;
        }
        // Relaxed: published by settling.
        self.source(seen).code.load(Ordering::Relaxed)
    }

    /// Called under LOCK, before the future settles.
    pub(super) fn set_code(&self, code: i32) {
        // Relaxed: published by settling.
        self.code.store(code, Ordering::Relaxed);
    }

    /// Whether the cell came here through fork(): its executor and its settlers may not
    /// exist in this process.
    pub(crate) fn is_inherited(&self) -> bool {
        let now = fork::generation();
        // Nobody who could have forked us knew the library in generation 1.
        now != 1 && arena::generation_of(self.block().cast()) != now
    }

    /// Notes when it was accepted, in ticks.
    #[inline(always)]
    pub(crate) fn stamp_accepted(&self, ticks: u64) {
        // Relaxed, here and below: figures, nothing is published with them.
        self.stamp.store(ticks, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(crate) fn accepted_at(&self) -> u64 {
        self.stamp.load(Ordering::Relaxed)
    }

    /// Notes how long it was queued and has run, in ticks, before anybody can see its end.
    ///
    /// # Safety
    /// The caller runs the task, whose function has returned: `back` is free (F2).
    #[inline(always)]
    pub(crate) unsafe fn stamp_durations(&self, queued: u64, ran: u64) {
        // Relaxed: published with the end of IN_TASK.
        self.stamp.store(queued, Ordering::Relaxed);
        // SAFETY: by the contract nobody else touches `back` until IN_TASK is gone.
        unsafe { self.set_back(number(ran as usize)) };
    }

    /// (queued, ran) in ticks; zero where it never got there.
    pub(crate) fn durations(&self) -> (u64, u64) {
        let seen = self.snapshot();
        if !seen.has(state::RAN) || seen.has(state::IN_TASK) {
            return (0, 0);
        }
        // Counters of two processors may differ by a little: not below zero.
        let span = |ticks: u64| (ticks as i64).max(0) as u64;
        // SAFETY: it ran and IN_TASK is gone: nobody writes `back` any more.
        let ran = unsafe { self.back() }.addr() as u64;
        (span(self.stamp.load(Ordering::Relaxed)), span(ran))
    }

    /// Whether the function of the task was ever entered.
    pub(crate) fn has_run(&self) -> bool {
        self.snapshot().has(state::RAN)
    }

    /// Gives a cell that nobody else knows to an executor.
    #[inline(always)]
    pub(crate) fn set_owner(&self, owner: NonNull<Owner>) {
        // Relaxed: published with the cell itself.
        self.owner.store(owner.as_ptr().cast(), Ordering::Relaxed);
    }

    /// Frees the arguments of a task that is not accepted after all, but for those of the
    /// user's: they are the caller's again.
    pub(crate) fn return_arguments(&self) {
        if self.state.consume_args() {
            // SAFETY: F2: it has not started and nobody else consumes the arguments.
            let _the_callers = unsafe { super::run::drop_arguments(self) };
        }
    }

    /// Takes back a cell that nobody else knows, with all its references.
    pub(crate) fn discard(&self, refs: u32) {
        self.return_arguments();
        for _ in 0..refs {
            // SAFETY: the caller has this many references.
            drop(unsafe { TaskRef::from_raw(self.block()) });
        }
    }

    // ---- the due list's links (see `due`) ----

    /// Of a continuation that runs in the settling thread: the memory of its hook, which
    /// has been consumed.
    ///
    /// # Safety
    /// The caller has consumed the hook and is the one who starts the continuation.
    pub(super) unsafe fn start_link(&self) -> &AtomicPtr<()> {
        // SAFETY: by the contract nobody uses the place otherwise; it begins with a pointer.
        unsafe { self.then_hook().cast().as_ref() }
    }

    /// # Safety
    /// The caller is the one whom F7 gives the link.
    pub(super) unsafe fn due_link(&self) -> &AtomicPtr<()> {
        match self.extra_in(self.snapshot()) {
            // SAFETY: the same pointer under another name; only `due` reads it.
            Some(extra) => unsafe { &*(&raw const extra.due).cast::<AtomicPtr<()>>() },
            None => &self.owner,
        }
    }

    // ---- the end ----

    /// Frees result, `Extra` and memory. Calls no user code.
    ///
    /// # Safety
    /// No reference is left, and a value's free function has been called or is not wanted.
    pub(super) unsafe fn dismantle(cell: NonNull<TaskCell>) {
        // SAFETY: by the contract this thread is alone with the cell.
        let this = unsafe { cell.as_ref() };
        this.mark_read();
        let seen = this.snapshot();
        // SAFETY: by the contract.
        unsafe { this.free_result(seen) };
        if let Some(extra) = this.extra_pointer(seen) {
            // SAFETY: reached only through this cell.
            unsafe { Extra::destroy(extra) };
        }
        if this.kind() == Kind::Join {
            // SAFETY: made with the cell; its hooks hold references to the cell, so none is left.
            unsafe { super::join::destroy(NonNull::new_unchecked(this.back().cast())) };
        }
        #[cfg(loom)]
        this.alive.with_mut(|_| ());
        this.state.bury();
        // SAFETY: the class it was allocated from; nobody refers to it.
        unsafe { arena::release(cell.cast(), seen.class() as usize) };
    }
}

impl fmt::Debug for TaskCell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.snapshot();
        write!(out, "TaskCell({:p}, {:?}: {seen:?})", self, self.kind())
    }
}

/// One counted reference to a cell (F1).
#[repr(transparent)]
pub(crate) struct TaskRef(NonNull<TaskCell>);

// SAFETY: a cell may be used from any thread (see TaskCell).
unsafe impl Send for TaskRef {}
// SAFETY: as above.
unsafe impl Sync for TaskRef {}

impl TaskRef {
    /// # Safety
    /// One counted reference to the live cell becomes this object's.
    pub(crate) unsafe fn from_raw(cell: NonNull<TaskCell>) -> TaskRef {
        TaskRef(cell)
    }

    /// The reference as a bare pointer; `from_raw` takes it back.
    pub(crate) fn into_raw(self) -> NonNull<TaskCell> {
        std::mem::ManuallyDrop::new(self).0
    }

    pub(crate) fn as_ptr(&self) -> NonNull<TaskCell> {
        self.0
    }
}

impl std::ops::Deref for TaskRef {
    type Target = TaskCell;
    #[inline(always)]
    fn deref(&self) -> &TaskCell {
        // SAFETY: F1: this object's reference keeps the cell alive.
        let cell = unsafe { self.0.as_ref() };
        #[cfg(loom)]
        cell.alive.with(|_| ());
        cell
    }
}

impl Clone for TaskRef {
    fn clone(&self) -> TaskRef {
        self.state.retain(1);
        TaskRef(self.0)
    }
}

impl Drop for TaskRef {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: this object's reference is given up here, once.
        unsafe { release(self.0) };
    }
}

/// Drops the last reference to a cell with nothing to free but itself, if that is what it is;
/// false: nothing was done, and `release` is needed.
///
/// # Safety
/// As `release`.
#[inline(always)]
pub(crate) unsafe fn release_plain(cell: NonNull<TaskCell>) -> bool {
    // SAFETY: by the contract the cell is alive.
    let this = unsafe { cell.as_ref() };
    let seen = this.snapshot();
    let local = local::here();
    if !seen.is_last_of_small() || !arena::is_ready(local) {
        return false;
    }
    #[cfg(loom)]
    this.alive.with_mut(|_| ());
    this.state.bury();
    // SAFETY: that was the last reference; a cell of the first class.
    unsafe { arena::give_ready(local, cell.cast(), 0) };
    true
}

/// Drops one reference. The last one frees the cell; a value's free function becomes due.
///
/// # Safety
/// The caller owns one reference and does not use it afterwards.
#[inline(always)]
pub(crate) unsafe fn release(cell: NonNull<TaskCell>) {
    // SAFETY: by the contract the cell is alive.
    if unsafe { cell.as_ref() }.state.release() {
        // SAFETY: that was the last reference.
        unsafe { destroy(cell) };
    }
}

/// Frees a cell; false: something of the user's may be due now.
///
/// # Safety
/// No reference to the cell is left.
#[inline(always)]
pub(crate) unsafe fn destroy(cell: NonNull<TaskCell>) -> bool {
    // SAFETY: by the contract this thread is alone with it.
    let this = unsafe { cell.as_ref() };
    let local = local::here();
    if !this.snapshot().is_small() || !arena::is_ready(local) {
        // SAFETY: by the contract.
        return unsafe { destroy_slowly(cell) };
    }
    #[cfg(loom)]
    this.alive.with_mut(|_| ());
    this.state.bury();
    // SAFETY: a cell of the first class; nobody refers to it.
    unsafe { arena::give_ready(local, cell.cast(), 0) };
    true
}

/// # Safety
/// As `destroy`.
#[inline(never)]
unsafe fn destroy_slowly(cell: NonNull<TaskCell>) -> bool {
    // SAFETY: by the contract this thread is alone with it.
    let this = unsafe { cell.as_ref() };
    let seen = this.snapshot();
    if this.is_unseen(seen) {
        // SAFETY: the cell is alone, so its link is free (F7).
        unsafe { due::push_dying(cell) };
        return false;
    }
    if seen.is_plain() {
        #[cfg(loom)]
        this.alive.with_mut(|_| ());
        this.state.bury();
        // SAFETY: the class it was allocated from; nobody refers to it.
        unsafe { arena::release(cell.cast(), seen.class() as usize) };
        return true;
    }
    // A join's inputs may be joins, whose ends must not nest.
    let has_inputs = this.kind() == Kind::Join;
    if has_inputs || this.value_to_free(seen).is_some() || seen.has(state::ARGS) {
        // SAFETY: the cell is alone, so its link is free (F7).
        unsafe { due::push_dying(cell) };
    } else {
        // SAFETY: by the contract; there is nothing of the user's to free.
        unsafe { TaskCell::dismantle(cell) };
    }
    false
}
