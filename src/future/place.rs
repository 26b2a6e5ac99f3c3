//! A task's place in a limited view: what futures know of views.
//!
//! A view (`limited`) keeps tasks of another executor, its parent, until so few of them run that
//! one more may. Such a task is an ordinary one with a hook more: it stands in the future's ring
//! from the moment the view accepts the task, holds a reference of the view, and is told, as every
//! hook is, when the future settles, however that comes about.
//!
//! | the task | its owner | its hook |
//! |---|---|---|
//! | waits in the view | the view | in the view's list of those that wait |
//! | was handed on | the parent | in the list of those that hold a place |
//! | settled, its function still runs | any | in a list at `Extra::place`: it holds its place |
//! | settled | any | gone, the place is free |
//!
//! The third row: a time-out settles a task whose function goes on. A view of one is used as a
//! lock, so the next task must not begin before the function has returned. Whoever settles the
//! task leaves the hook to its runner, under the future's LOCK; the runner takes it with
//! `returned`. Only tasks with time-outs can be in this row, so there is an `Extra`. Tasks in
//! other processes are not: their place is free when they settle.
//!
//! With a view on a view a task has a place in each.

use super::cell::{TaskCell, TaskRef};
use super::hook::{Action, Added, Hook};
use super::owner::{Owner, OwnerRef};
use super::state::{HOOKS, IN_TASK};
use crate::sync::Ordering;
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// What a hook says of a task in a view. The cells are touched under the view's lock only, once the
/// hook is known to others.
pub(crate) struct Place {
    pub(crate) view: OwnerRef,
    /// The task runs in another process: its place does not outlast its future.
    pub(crate) elsewhere: bool,
    pub(crate) at: Cell<At>,
    /// While the task waits this counts as a reference, which it will be queued with.
    pub(crate) task: NonNull<TaskCell>,
    pub(crate) next: Cell<*mut Hook>,
    pub(crate) previous: Cell<*mut Hook>,
}

/// Which of the view's lists a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    Waiting,
    Placed,
    /// In none, and about to be settled.
    Leaving,
    Nowhere,
}

impl Place {
    pub(crate) fn new(view: OwnerRef, elsewhere: bool, task: NonNull<TaskCell>) -> Place {
        let (next, previous) = (Cell::new(ptr::null_mut()), Cell::new(ptr::null_mut()));
        Place { view, elsewhere, at: Cell::new(At::Nowhere), task, next, previous }
    }
}

/// In place of a hook: the function has returned, and whoever settles the task need not leave
/// its places to anybody.
const RETURNED: u64 = 1;

/// Hooks on a list that begins at `first`. (Their blocks' addresses are exposed.)
fn first_of(first: u64) -> *mut Hook {
    ptr::with_exposed_provenance_mut(first as usize)
}

/// A future has settled whose hook this is: the place is free, or its runner will see to it.
///
/// # Safety
/// The hook is in no ring and nobody else refers to it, but its view.
pub(super) unsafe fn leave(cell: &TaskRef, place: &Place, hook: NonNull<Hook>) {
    let view = place.view.clone();
    // SAFETY: by the contract.
    if !place.elsewhere && unsafe { linger(cell, hook) } {
        return;
    }
    // SAFETY: the reference keeps the view, and by the contract.
    unsafe { tell(&view, hook, cell) };
}

/// # Safety
/// As `leave`; the hook is one of this view's.
unsafe fn tell(view: &OwnerRef, hook: NonNull<Hook>, cell: &TaskRef) {
    if let Some(table) = view.vtable.view {
        // SAFETY: by the contract.
        unsafe { (table.left)(view.as_ptr(), hook, cell) };
    }
}

/// Leaves the hook to the runner of a settled task whose function has not returned.
///
/// # Safety
/// As `leave`.
unsafe fn linger(cell: &TaskRef, hook: NonNull<Hook>) -> bool {
    if !cell.snapshot().has(IN_TASK) {
        return false;
    }
    let seen = cell.state.lock();
    let lingers = cell.extra_in(seen).filter(|_| seen.has(IN_TASK)).is_some_and(|extra| {
        // Relaxed, all: touched under LOCK.
        let first = extra.place.load(Ordering::Relaxed);
        if first == RETURNED {
            return false;
        }
        // SAFETY: the hook is ours, and its link free.
        unsafe { *Hook::link(hook) = first_of(first) };
        extra.place.store(hook.as_ptr().expose_provenance() as u64, Ordering::Relaxed);
        true
    });
    cell.state.unlock(0, 0);
    lingers
}

/// The function of a task has returned, or never will, that somebody else has settled, or is
/// settling.
pub(super) fn returned(cell: &TaskRef) {
    let Some(extra) = cell.extra_in(cell.snapshot()) else { return };
    // Relaxed: what ran elsewhere was told so by this thread.
    if extra.attempts.load(Ordering::Relaxed) != 0 {
        return; // places do not linger there, and `place` is the executor's
    }
    let _ = cell.state.lock();
    // Relaxed: touched under LOCK.
    let first = extra.place.swap(RETURNED, Ordering::Relaxed);
    cell.state.unlock(0, 0);
    let mut hook = if first == RETURNED { ptr::null_mut() } else { first_of(first) };
    while let Some(this) = NonNull::new(hook) {
        // SAFETY: taken off the list, so ours. It is a place, whose view it keeps.
        unsafe {
            hook = *Hook::link(this);
            if let Some(place) = Hook::place_in_view(this) {
                let view = place.view.clone();
                tell(&view, this, cell);
            }
        }
    }
}

/// Gives a task its hook; false: it is settled, and the hook still the caller's.
///
/// # Safety
/// The hook is a place, in no ring, and the caller's.
pub(crate) unsafe fn add(cell: &TaskRef, hook: NonNull<Hook>) -> bool {
    matches!(cell.add_hook(hook), Added::Waiting)
}

/// Takes the hook of a task back that is not settled; false: it is, and the view will be told, or
/// was: the hook may be gone.
pub(crate) fn take_back(cell: &TaskRef, hook: NonNull<Hook>) -> bool {
    cell.remove_hook_of_pending(hook)
}

/// Where a continuation has room for the hook of its first place.
pub(crate) fn room_of_continuation(cell: &TaskRef) -> NonNull<Hook> {
    cell.place_hook()
}

/// The view that a running task was given to, borrowed from the task.
pub(crate) fn view_of(cell: &TaskCell) -> Option<NonNull<Owner>> {
    if !cell.snapshot().has(HOOKS) || cell.is_inherited() {
        return None;
    }
    let _ = cell.state.lock();
    let view = |action: &Action| match action {
        Action::Place(place) => Some(place.view.as_ptr()),
        _ => None,
    };
    // SAFETY: LOCK is held.
    let found = unsafe { cell.find_hook(view) };
    cell.state.unlock(0, 0);
    found
}

/// The view that a task waits in.
fn waits_in(cell: &TaskCell) -> Option<OwnerRef> {
    let seen = cell.state.lock();
    // SAFETY: LOCK is held, and a pending future is not settled.
    let owner = if seen.is_pending() { unsafe { cell.retain_owner(seen) } } else { None };
    cell.state.unlock(0, 0);
    owner.filter(|owner| owner.vtable.view.is_some())
}

/// Tasks that hold the places that a task waits for.
pub(crate) struct Holders {
    view: OwnerRef,
    task: TaskRef,
}

impl Holders {
    /// None: the task does not wait in a view.
    pub(crate) fn of(cell: &TaskCell) -> Option<Holders> {
        waits_in(cell).map(|view| Holders { view, task: cell.clone_ref() })
    }

    pub(crate) fn get(&self, number: usize) -> Option<TaskRef> {
        let table = self.view.vtable.view?;
        // SAFETY: the reference keeps the view.
        unsafe { (table.holder)(self.view.as_ptr(), &self.task, number) }
    }
}

/// A task that holds a place which `cell` waits for, and has not started itself.
pub(super) fn unstarted_holder(cell: &TaskCell) -> Option<TaskRef> {
    /// Of more it does not matter.
    const LOOKED_AT: usize = 64;
    let mut cell = cell.clone_ref();
    loop {
        let holders = Holders::of(&cell)?;
        let pending = (0..LOOKED_AT)
            .map_while(|number| holders.get(number))
            .find(|holder| holder.snapshot().is_pending())?;
        // It may wait in a view in its turn.
        cell = pending;
        if Holders::of(&cell).is_none() {
            return Some(cell);
        }
    }
}

impl TaskCell {
    /// Makes `owner`, or NULL, the executor of a pending task; false: it has started or settled.
    pub(crate) fn move_to(&self, owner: *mut Owner) -> bool {
        let seen = self.state.lock();
        let pending = seen.is_pending();
        if pending {
            // SAFETY: LOCK is held and it is PENDING.
            unsafe { self.change_owner(owner, seen) };
        }
        self.state.unlock(0, 0);
        pending
    }
}
