//! What futures ask of a view: `future::owner::Vtable` for it, and what views of it ask.

use super::view::{self, View};
use crate::error;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::hook::Hook;
use crate::future::intake::Intake;
use crate::future::owner::{Arrival, Kind, Owner, ParentTable, Refused, Stage, ViewTable, Vtable};
use crate::future::state::Outcome;
use crate::platform::clock::Instant;
use std::ptr::NonNull;

pub(super) static VTABLE: Vtable = Vtable {
    kind: Kind::View,
    enqueue,
    keep_time,
    settled,
    // A task that runs is the parent's.
    detached: |_| {},
    attached: |_| {},
    stop_level: |_| 0,
    take_seat: |_| false,
    run_in_seat: |_, task| drop(task),
    uncharge: |_, _| {},
    is_quiet,
    expire: Some(expire),
    shipped: None,
    remote: None,
    parent: Some(&PARENT),
    view: Some(&VIEW),
    outside: None,
    destroy: view::destroy,
};

/// A view of a view asks the root for all but this.
static PARENT: ParentTable = ParentTable {
    // SAFETY: by the contract, here and below: the view is alive.
    add_handle: |owner| unsafe { View::of(owner) }.add_handle(),
    // SAFETY: see above.
    drop_handle: |owner| unsafe { View::of(owner) }.drop_handle(),
    // SAFETY: see above.
    check: |owner| unsafe { View::of(owner) }.check_takes_work(),
    take_room: |_, _| Ok(()),
    try_take_room: |_, _| true,
    give_room: |_, _| {},
    make: |_, _, _, _, _, _| error::fail!(Invalid, "a view makes no tasks"),
    unmake: |_, _, _| {},
    hold: |_, _| Ok(()),
};

static VIEW: ViewTable = ViewTable { left, holder };

/// # Safety
/// The view is alive.
unsafe fn enqueue(owner: NonNull<Owner>, task: TaskRef, arrival: Arrival) -> Result<(), Refused> {
    // SAFETY: by the contract.
    unsafe { View::of(owner) }.enqueue(task, arrival)
}

/// # Safety
/// The view is alive.
unsafe fn keep_time(owner: NonNull<Owner>, task: &TaskRef) -> error::Result<()> {
    // SAFETY: by the contract.
    let view = unsafe { View::of(owner) };
    view.check_takes_work()?;
    let root = view.root();
    // SAFETY: the view's parent keeps it.
    unsafe { (root.as_ref().vtable.keep_time)(root, task) }
}

/// # Safety
/// The view is alive.
unsafe fn settled(owner: NonNull<Owner>, task: &TaskCell, outcome: Outcome, stage: Stage) {
    // SAFETY: by the contract.
    let root = unsafe { View::of(owner) }.root();
    // SAFETY: the view's parent keeps it.
    unsafe {
        match stage {
            Stage::Waiting => (root.as_ref().vtable.settled)(root, task, outcome, stage),
            // It waited here. Its hook tells the view.
            _ => tell_root(root, task, outcome),
        }
    }
}

/// A task has no room and no deadlines any more that waited in a view.
///
/// # Safety
/// The root is alive.
pub(super) unsafe fn tell_root(root: NonNull<Owner>, task: &TaskCell, outcome: Outcome) {
    // SAFETY: by the contract.
    unsafe { (root.as_ref().vtable.settled)(root, task, outcome, Stage::Held) };
}

/// # Safety
/// The view is alive.
unsafe fn is_quiet(owner: NonNull<Owner>) -> bool {
    // SAFETY: by the contract.
    unsafe { View::of(owner) }.gate.lock().is_empty()
}

/// # Safety
/// The view is alive.
unsafe fn expire(owner: NonNull<Owner>) -> Option<Instant> {
    // SAFETY: by the contract.
    let root = unsafe { View::of(owner) }.root();
    // SAFETY: the view's parent keeps it.
    unsafe { root.as_ref() }.vtable.expire.and_then(|expire| unsafe { expire(root) })
}

/// # Safety
/// The view is alive; the hook is a place of it.
unsafe fn left(owner: NonNull<Owner>, hook: NonNull<Hook>, task: &TaskRef) {
    // SAFETY: by the contract.
    unsafe { View::of(owner) }.leave(hook, task);
}

/// # Safety
/// The view is alive.
unsafe fn holder(owner: NonNull<Owner>, task: &TaskRef, number: usize) -> Option<TaskRef> {
    // SAFETY: by the contract.
    let gate = unsafe { View::of(owner) }.gate.lock();
    // It may have a place by now, and not have been handed on yet.
    let waits =
        gate.waiting.count > 0 && !gate.placed.tasks().any(|held| held.as_ptr() == task.as_ptr());
    gate.placed.tasks().nth(number).filter(|_| waits)
}
