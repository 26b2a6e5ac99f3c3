//! Continuations: `cfut_future_then`, `cfut_future_pipe`, and callbacks on an executor.
//!
//! A continuation is one block: its own cell, the arguments, and the hook that waits in
//! its input. Its life is an ordinary task's, but that it is queued when the input settles.
//!
//! If it has time-outs, its executor keeps them from the beginning. One that has been shut down
//! by the time the input settles keeps none: such a task does not run then.

use super::cell::{FreeFn, Kind, TaskCell, TaskRef};
use super::due;
use super::extra::Spec;
use super::hook::{self, Action, DoneFn, Home, Hook};
use super::make::Work;
use super::owner::{Arrival, OwnerRef, Refused};
use super::settle;
use super::state::{ARGS, EXTRA, Snapshot};
use crate::error::{Error, Result};
use crate::shared::Shared;
use std::ffi::c_void;

pub(crate) type ThenFn = unsafe extern "C-unwind" fn(
    promise: *const TaskCell,
    input: *const TaskCell,
    argument: *mut c_void,
) -> i32;

/// What a continuation calls.
#[derive(Clone, Copy)]
pub(crate) enum ThenCall {
    Then(ThenFn),
    Callback(DoneFn),
    Pipe(super::cell::TaskFn),
}

/// Arguments of a `Kind::Then` cell, in its tail.
pub(crate) struct ThenArgs {
    pub(super) call: ThenCall,
    pub(super) argument: *mut c_void,
    pub(super) free: Option<FreeFn>,
    pub(super) input: TaskRef,
    /// Where it will be queued; taken when that happens.
    pub(super) owner: Option<OwnerRef>,
}

impl ThenArgs {
    /// Bytes of the tail in front of the hook.
    pub(super) const SPACE: usize = 64;
}

#[cfg(not(loom))]
const _: () = assert!(
    size_of::<ThenArgs>() <= ThenArgs::SPACE
        && ThenArgs::SPACE + 2 * hook::SPACE <= super::arena::block_size(2) - super::arena::HEAD
);

/// Makes a continuation of `input` and hooks it in. The answer is the future's handle;
/// callbacks have none. On an error the argument is still the caller's.
pub(crate) fn continue_with(
    input: &TaskRef,
    owner: Option<OwnerRef>,
    call: ThenCall,
    argument: *mut c_void,
    free: Option<FreeFn>,
    spec: Option<Shared<Spec>>,
) -> Result<Option<TaskRef>> {
    settle::check_fork(input)?;
    let has_handle = !matches!(call, ThenCall::Callback(_));
    let refs = if has_handle { 2 } else { 1 };
    let args = ThenArgs { call, argument, free, input: input.clone(), owner };
    let timed = spec.as_ref().is_some_and(|spec| spec.has_deadline());
    let keeper = args.owner.clone().filter(|_| timed);
    let no_memory = || Error::no_memory("a continuation", super::arena::block_size(2));
    let cell = TaskCell::allocate(Work::Then(args), refs).ok_or_else(no_memory)?;
    // SAFETY: fresh; one reference is for the hook, the other for the handle.
    let for_hook = unsafe { TaskRef::from_raw(cell) };
    // SAFETY: as above.
    let handle = has_handle.then(|| unsafe { TaskRef::from_raw(cell) });
    if let Some(spec) = spec {
        if for_hook.add_extra(Some(spec)).is_none() {
            for_hook.return_arguments();
            return Err(Error::no_memory("the options of a task", 128));
        }
    }
    if let Some(keeper) = keeper {
        // SAFETY: the reference keeps the executor alive.
        if let Err(error) = unsafe { (keeper.vtable.keep_time)(keeper.as_ptr(), &for_hook) } {
            for_hook.return_arguments();
            return Err(error);
        }
    }
    let hook = for_hook.then_hook();
    // SAFETY: the hook's place is in the cell's tail, which its own action keeps.
    unsafe { Hook::place(hook, Action::Start(for_hook), Home::Embedded) };
    settle::hook_in(input, hook);
    Ok(handle)
}

/// The input has settled: queues the continuation, or makes it due in this thread.
pub(super) fn start(output: TaskRef) {
    let seen = output.state.lock();
    if seen.is_settled() || !seen.has(ARGS) {
        output.state.unlock(0, 0);
        return;
    }
    // SAFETY: PENDING and locked, so nobody consumes the arguments.
    let owner = unsafe { (*output.then_args().as_ptr()).owner.take() };
    let pointer = owner.as_ref().map_or(std::ptr::null_mut(), |owner| owner.as_ptr().as_ptr());
    // SAFETY: LOCK is held and it is PENDING.
    unsafe { output.change_owner(pointer, seen) };
    // SAFETY: as above.
    let arrival = match unsafe { output.then_args().as_ref() }.call {
        ThenCall::Callback(_) => Arrival::InOrder,
        ThenCall::Then(_) | ThenCall::Pipe(_) => Arrival::Fresh,
    };
    output.state.unlock(0, 0);
    let Some(owner) = owner else { return due::push_start(output) };
    // SAFETY: `owner` keeps the executor alive.
    let refused = unsafe { (owner.vtable.enqueue)(owner.as_ptr(), output, arrival) };
    if let Err(Refused { task: output, verdict }) = refused {
        let pending = output.move_to(std::ptr::null_mut());
        match verdict {
            Some(verdict) => drop(output.settle_if(&output, |seen| seen.is_pending(), verdict)),
            None if pending => due::push_start(output),
            None => {}
        }
    }
}

/// A continuation that an executor was given and does not take runs in this thread, if it has not
/// been settled.
pub(crate) fn start_here(output: TaskRef) {
    if output.move_to(std::ptr::null_mut()) {
        due::push_start(output);
    }
}

impl TaskCell {
    /// The executor that keeps the deadlines of a continuation that is not queued yet.
    ///
    /// # Safety
    /// LOCK is held with `seen`, and the future is not settled.
    pub(super) unsafe fn retain_timekeeper(&self, seen: Snapshot) -> Option<OwnerRef> {
        if self.kind() != Kind::Then || !seen.is_pending() || !seen.has(ARGS) || !seen.has(EXTRA) {
            return None;
        }
        // SAFETY: PENDING and locked, so nobody consumes the arguments.
        unsafe { (*self.then_args().as_ptr()).owner.clone() }
    }
}

/// What a pending continuation waits for, if it is not queued yet.
pub(crate) fn input_of(cell: &TaskCell) -> Option<TaskRef> {
    let seen = cell.state.lock();
    let input = if seen.is_pending() && seen.has(ARGS) && cell.owner_in(seen).is_null() {
        // SAFETY: PENDING and locked, so nobody consumes the arguments.
        Some(unsafe { cell.then_args().as_ref() }.input.clone())
    } else {
        None
    };
    cell.state.unlock(0, 0);
    input
}
