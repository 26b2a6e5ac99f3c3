//! Calls into the user's code that have become due in this thread: callbacks, free
//! functions, continuations without an executor.
//!
//! Library code must not call the user (rule U2 of `unwind`), and callbacks must not nest:
//! a chain of ten thousand of them would need ten thousand stack frames. So whoever finds
//! that a call is due puts the object it concerns on a list of the thread, and the list is
//! run when the library is about to return to its caller: at the end of an export, between
//! two tasks of a worker, and before a thread blocks. While a call from the list runs,
//! further ones wait for it to return, except when it blocks in the library.
//!
//! The list is intrusive and needs no memory: F7 gives each object its link.

use super::buffer::{self, Buffer};
use super::cell::{FreeFn, TaskCell, TaskRef};
use super::hook::{Action, DoneFn, Hook};
use super::run;
use super::state::{ARGS, DRAINING, HOOKS};
use crate::local::{self, Local};
use crate::quiet;
use crate::sync::{AtomicPtr, Ordering};
use crate::unwind::contain;
use std::ffi::c_void;
use std::ptr::NonNull;

/// Low bits of a list entry.
const SETTLED: usize = 0;
const DYING: usize = 1;
const START: usize = 2;
const BUFFER: usize = 3;
const TAGS: usize = 3;

/// Makes the callbacks and unused arguments of a settled future due.
pub(super) fn push_settled(cell: TaskRef) {
    push(cell.into_raw().cast(), SETTLED);
}

/// Makes the free functions of a cell without references due, and then its end.
///
/// # Safety
/// No reference to the cell is left.
pub(super) unsafe fn push_dying(cell: NonNull<TaskCell>) {
    push(cell.cast(), DYING);
}

/// Makes a continuation due that runs in this thread.
pub(super) fn push_start(cell: TaskRef) {
    // The model checker's atomics are more than a word: the link has to be made.
    #[cfg(loom)]
    // SAFETY: the consumed hook's memory, larger than the link.
    unsafe {
        const { assert!(size_of::<AtomicPtr<()>>() <= super::hook::SPACE) };
        cell.then_hook().cast().write(AtomicPtr::<()>::new(std::ptr::null_mut()));
    }
    push(cell.into_raw().cast(), START);
}

/// Makes the free function of a buffer due, and then its end.
///
/// # Safety
/// No reference to the buffer is left.
pub(super) unsafe fn push_buffer(buffer: NonNull<Buffer>) {
    push(buffer.cast(), BUFFER);
}

fn push(object: NonNull<()>, tag: usize) {
    let entry = object.as_ptr().map_addr(|address| address | tag);
    // SAFETY: the caller has just given the object, and with it the link (F7), to the list.
    // Relaxed, here and in `pop`: the list belongs to one thread.
    unsafe { link_of(entry) }.store(std::ptr::null_mut(), Ordering::Relaxed);
    local::with(|local| {
        let tail = local.due_tail.replace(entry);
        if tail.is_null() {
            local.due_head.set(entry);
        } else {
            // SAFETY: entries are on the list, so their links are ours.
            unsafe { link_of(tail) }.store(entry, Ordering::Relaxed);
        }
    });
}

fn pop() -> Option<*mut ()> {
    local::with(|local| {
        let entry = local.due_head.get();
        if entry.is_null() {
            return None;
        }
        // SAFETY: as in `push`.
        let next = unsafe { link_of(entry) }.load(Ordering::Relaxed);
        local.due_head.set(next);
        if next.is_null() {
            local.due_tail.set(std::ptr::null_mut());
        }
        Some(entry)
    })
}

/// # Safety
/// `entry` is on this thread's list or about to be.
unsafe fn link_of<'a>(entry: *mut ()) -> &'a AtomicPtr<()> {
    let object = untagged(entry);
    // SAFETY: the tag says what the object is; it stays alive while it is listed.
    unsafe {
        match entry.addr() & TAGS {
            BUFFER => &(*object.cast::<Buffer>()).due,
            // Not settled yet: another thread may cancel it and use the other link.
            START => (*object.cast::<TaskCell>()).start_link(),
            _ => (*object.cast::<TaskCell>()).due_link(),
        }
    }
}

fn untagged(entry: *mut ()) -> *mut () {
    entry.map_addr(|address| address & !TAGS)
}

/// Whether a call is due in this thread and nothing of the list is running.
#[inline(always)]
pub(crate) fn pending() -> bool {
    local::with(pending_in)
}

/// The same for a thread's block that is at hand.
#[inline(always)]
pub(crate) fn pending_in(local: &Local) -> bool {
    !local.due_head.get().is_null() && !local.in_callback.get()
}

/// Whether a call is due, also below one that is running: before this thread blocks.
pub(crate) fn pending_nested() -> bool {
    local::with(|local| !local.due_head.get().is_null())
}

/// Calls that were due in one thread and are made by another.
pub(crate) struct List {
    head: *mut (),
    tail: *mut (),
}

// SAFETY: what is on it belongs to the list (F7); the user's functions and arguments may be
// used by any thread, as the header says.
unsafe impl Send for List {}

impl List {
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    pub(crate) fn none() -> List {
        List { head: std::ptr::null_mut(), tail: std::ptr::null_mut() }
    }

    /// Everything that is due in this thread.
    pub(crate) fn take() -> List {
        local::with(|local| List {
            head: local.due_head.replace(std::ptr::null_mut()),
            tail: local.due_tail.replace(std::ptr::null_mut()),
        })
    }

    /// Puts `more` behind what is there.
    pub(crate) fn append(&mut self, more: List) {
        if more.is_empty() {
            return;
        }
        if self.is_empty() {
            self.head = more.head;
        } else {
            // SAFETY: entries are on the list, so their links are its. Relaxed: as in `push`.
            unsafe { link_of(self.tail) }.store(more.head, Ordering::Relaxed);
        }
        self.tail = more.tail;
    }

    /// Makes the calls. Not contained: calls the user.
    pub(crate) fn run(self) {
        let mut mine = List::take();
        mine.append(self);
        local::with(|local| {
            local.due_head.set(mine.head);
            local.due_tail.set(mine.tail);
        });
        run_pending();
    }
}

/// Runs what is due, unless that is going on below us. Not contained: calls the user.
#[inline]
pub(crate) fn run_pending() {
    if pending() {
        run_all();
    }
}

/// Runs what is due even inside a callback. Not contained: calls the user.
#[cold]
pub(crate) fn run_all() {
    /// Also on a forced unwind out of a callback: what is left is still due exactly once.
    struct Rest(bool, #[allow(dead_code)] quiet::Calling);
    impl Drop for Rest {
        fn drop(&mut self) {
            perform_all();
            local::with(|local| local.in_callback.set(self.0));
        }
    }
    let before = local::with(|local| local.in_callback.replace(true));
    let _rest = Rest(before, quiet::Calling::begin());
    perform_all();
}

fn perform_all() {
    while let Some(entry) = pop() {
        // SAFETY: taken off the list just now.
        unsafe { perform(entry) };
    }
}

/// # Safety
/// `entry` was taken off the list, whose reference it carries.
unsafe fn perform(entry: *mut ()) {
    // SAFETY: entries are never null.
    let object = unsafe { NonNull::new_unchecked(untagged(entry)) };
    // SAFETY: the tag says what the object is and what the list held of it.
    unsafe {
        match entry.addr() & TAGS {
            SETTLED => perform_settled(TaskRef::from_raw(object.cast())),
            DYING => perform_dying(object.cast()),
            START => run::run_here(TaskRef::from_raw(object.cast())),
            _ => perform_buffer(object.cast()),
        }
    }
}

/// A call into the user's code, found by library code and made outside of it.
enum Call {
    Free(FreeFn, *mut c_void),
    Callback(DoneFn, *mut c_void, Option<FreeFn>),
    /// Nothing to call for this one; look again.
    Again,
}

/// A future whose callbacks are not all called: due again if one of them ends the thread.
struct Unfinished(Option<TaskRef>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(cell) = self.0.take() {
            push_settled(cell);
        }
    }
}

fn perform_settled(cell: TaskRef) {
    let mut unfinished = Unfinished(Some(cell));
    if let Some(cell) = &unfinished.0 {
        call_all(cell);
    }
    drop(unfinished.0.take());
}

fn call_all(cell: &TaskRef) {
    while let Ok(Some(call)) = contain(|| next_call(cell)) {
        match call {
            Call::Free(free, argument) => call_free(free, argument),
            Call::Callback(function, argument, free) => {
                let _user = InUser::enter();
                // The argument's free function runs after the callback, also when that
                // one leaves by unwinding.
                let _moved = Moved { argument, free };
                // SAFETY: the user's function with the arguments it was registered
                // with; the future is alive: `cell`.
                unsafe { function(cell.as_ptr().as_ptr(), argument) };
            }
            Call::Again => {}
        }
    }
}

/// The next thing to call for a settled future; None once nothing is left, and then the
/// future is no longer being drained.
fn next_call(cell: &TaskCell) -> Option<Call> {
    if cell.snapshot().has(ARGS) {
        return Some(consume_args(cell).map_or(Call::Again, |(free, arg)| Call::Free(free, arg)));
    }
    let _ = cell.state.lock();
    // SAFETY: LOCK is held.
    let Some(hook) = (unsafe { cell.take_oldest_hook() }) else {
        cell.state.unlock(0, DRAINING | HOOKS);
        return None;
    };
    cell.state.unlock(0, 0);
    // SAFETY: just taken out of the ring.
    match unsafe { Hook::consume(hook) } {
        Some(Action::Callback(function, argument, free)) => {
            Some(Call::Callback(function, argument, free))
        }
        // Others were carried out when it settled.
        _ => Some(Call::Again),
    }
}

/// Frees the arguments of a task that will not run; what the user has to free is returned.
fn consume_args(cell: &TaskCell) -> Option<(FreeFn, *mut c_void)> {
    if !cell.state.consume_args() {
        return None;
    }
    // SAFETY: F2: settled before it started, and this thread alone consumes.
    unsafe { run::drop_arguments(cell) }
}

fn perform_dying(cell: NonNull<TaskCell>) {
    // SAFETY: the list holds the only pointer to it.
    let this = unsafe { cell.as_ref() };
    if let Ok(Some((free, argument))) = contain(|| consume_args(this)) {
        call_free(free, argument);
    }
    if let Some((free, value)) = this.value_to_free(this.snapshot()) {
        call_free(free, value);
    }
    // SAFETY: the only pointer, and the free functions have been called.
    let _ = contain(|| unsafe { TaskCell::dismantle(cell) });
}

fn perform_buffer(buffer: NonNull<Buffer>) {
    // SAFETY: the list holds the only pointer to it.
    if let Some((free, argument)) = unsafe { buffer.as_ref() }.to_free() {
        call_free(free, argument);
    }
    // SAFETY: as above, and the free function has been called.
    let _ = contain(|| unsafe { buffer::dismantle(buffer) });
}

/// Calls a free function of the user's. Not contained.
pub(crate) fn call_free(free: FreeFn, argument: *mut c_void) {
    let _user = InUser::enter();
    // SAFETY: the user's function with the argument it was given for, called once.
    unsafe { free(argument) };
}

/// A moved argument: its free function runs when this goes, unless it was handed on.
pub(crate) struct Moved {
    pub(crate) argument: *mut c_void,
    pub(crate) free: Option<FreeFn>,
}

impl Moved {
    /// Somebody else frees it from now on.
    pub(crate) fn hand_on(&mut self) {
        self.free = None;
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        if let Some(free) = self.free.take() {
            call_free(free, self.argument);
        }
    }
}

/// Counts user code on this stack: `cfut_quiesce` must not be called below it.
pub(crate) struct InUser(());

impl InUser {
    #[inline(always)]
    pub(crate) fn enter() -> InUser {
        local::with(|local| local.user_depth.set(local.user_depth.get() + 1));
        InUser(())
    }
}

impl Drop for InUser {
    #[inline(always)]
    fn drop(&mut self) {
        local::with(|local| local.user_depth.set(local.user_depth.get() - 1));
    }
}
