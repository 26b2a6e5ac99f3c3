//! What futures ask of a loop: `future::owner::Vtable` for it, and what views of it ask.

use super::event_loop::{self, Loop};
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::expiry;
use crate::future::intake::Intake;
use crate::future::owner::{Arrival, Kind, Owner, OwnerRef, ParentTable, Refused, Stage, Vtable};
use crate::future::phase::Phase;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::platform::clock::Instant;
use crate::quiet;
use crate::sync::Ordering;
use std::ptr::NonNull;

pub(super) static VTABLE: Vtable = Vtable {
    kind: Kind::Loop,
    enqueue,
    // SAFETY: by the contract the loop is alive.
    keep_time: |owner, task| unsafe { Loop::of(owner) }.keep_time(task),
    settled,
    detached,
    attached,
    stop_level,
    // Its tasks run in `cfut_loop_run` only.
    take_seat: |_| false,
    run_in_seat: |_, task| drop(task),
    uncharge,
    is_quiet,
    expire: Some(expire),
    shipped: None,
    remote: None,
    parent: Some(&PARENT),
    view: None,
    outside: None,
    destroy: event_loop::destroy,
};

/// What views ask.
static PARENT: ParentTable = ParentTable {
    // SAFETY: by the contract, here and below: the loop is alive.
    add_handle: |owner| unsafe { Loop::of(owner) }.add_handle(),
    // SAFETY: see above.
    drop_handle: |owner| unsafe { Loop::of(owner) }.drop_handle(),
    // SAFETY: see above.
    check: |owner| unsafe { Loop::of(owner) }.check_takes_work(),
    // SAFETY: see above.
    take_room: |owner, load| unsafe { Loop::of(owner) }.take_room(load),
    // SAFETY: see above.
    try_take_room: |owner, load| unsafe { Loop::of(owner) }.try_take_room(load),
    // SAFETY: see above.
    give_room: |owner, load| unsafe { Loop::of(owner) }.give_room(load),
    make: |owner, view, work, bytes, spec, handle| {
        // SAFETY: see above.
        unsafe { Loop::of(owner) }.make_for(view, work, bytes, spec, handle)
    },
    // SAFETY: see above.
    unmake: |owner, task, handle| unsafe { Loop::of(owner) }.unmake(task, handle),
    hold,
};

/// # Safety
/// The loop is alive.
unsafe fn hold(owner: NonNull<Owner>, task: &TaskRef) -> Result<(), Option<Verdict>> {
    // SAFETY: by the contract.
    let here = unsafe { Loop::of(owner) };
    if here.is_inherited() || here.state.lock().phase != Phase::Open {
        return Err(here.verdict_for_late(task));
    }
    here.let_in(task);
    Ok(())
}

impl Loop {
    /// How a continuation ends that comes too late; None: it runs in the settling thread.
    fn verdict_for_late(&self, task: &TaskRef) -> Option<Verdict> {
        task.spec().filter(|spec| spec.has_deadline())?;
        let text = b"not run: the loop takes no work any more";
        Some(Verdict::because(Outcome::Broken, 0, text))
    }
}

/// # Safety
/// The loop is alive.
unsafe fn enqueue(owner: NonNull<Owner>, task: TaskRef, arrival: Arrival) -> Result<(), Refused> {
    // SAFETY: by the contract.
    let here = unsafe { Loop::of(owner) };
    if here.is_inherited() {
        return Err(Refused { verdict: here.verdict_for_late(&task), task });
    }
    if arrival != Arrival::Held {
        here.let_in(&task);
    }
    here.enqueue(task)
}

/// # Safety
/// The loop is alive.
unsafe fn settled(owner: NonNull<Owner>, task: &TaskCell, outcome: Outcome, stage: Stage) {
    // SAFETY: by the contract.
    let here = unsafe { Loop::of(owner) };
    here.disarm(task);
    match stage {
        Stage::Waiting => {}
        Stage::Held => here.give_room_of(task),
        Stage::Queued => {
            here.tally.outcome(outcome).add(1);
            here.forget_queued(task);
        }
        Stage::Running => here.tally.outcome(outcome).add(1),
        Stage::Detached => {
            here.tally.outcome(outcome).add(1);
            release_detached(here);
        }
    }
}

impl Loop {
    /// A queued task has been settled, or runs elsewhere.
    pub(super) fn forget_queued(&self, task: &TaskCell) {
        self.tally.withdrawn.add(1);
        self.give_room_of(task);
        let settled = self.state.lock().remove_live();
        drop(settled);
        self.end_if_done();
        quiet::signal();
    }
}

fn release_detached(here: &Loop) {
    here.state.lock().detached -= 1;
    here.end_if_done();
    quiet::signal();
    // SAFETY: the reference that `detached` left behind.
    drop(unsafe { OwnerRef::adopt(here.as_owner()) });
}

/// # Safety
/// The loop is alive.
unsafe fn detached(owner: NonNull<Owner>) {
    // SAFETY: by the contract.
    let here = unsafe { Loop::of(owner) };
    here.state.lock().detached += 1;
    let _left_behind = here.retain().into_raw();
}

/// # Safety
/// The loop is alive, and `detached` was called before.
unsafe fn attached(owner: NonNull<Owner>) {
    // SAFETY: by the contract.
    release_detached(unsafe { Loop::of(owner) });
}

/// # Safety
/// The loop is alive.
unsafe fn stop_level(owner: NonNull<Owner>) -> u32 {
    // SAFETY: by the contract. Relaxed: a level that tasks poll.
    unsafe { Loop::of(owner) }.stop_level.load(Ordering::Relaxed)
}

/// # Safety
/// The loop is alive, kept by the reference that the charge left behind.
unsafe fn uncharge(owner: NonNull<Owner>, bytes: u64) {
    // SAFETY: by the contract.
    unsafe {
        Loop::of(owner).give_room(crate::future::bound::Load { tasks: 0, bytes });
        drop(OwnerRef::adopt(owner)); // left behind by the charge
    }
}

/// # Safety
/// The loop is alive.
unsafe fn is_quiet(owner: NonNull<Owner>) -> bool {
    // SAFETY: by the contract.
    unsafe { Loop::of(owner) }.state.lock().is_at_rest()
}

/// # Safety
/// The loop is alive.
unsafe fn expire(owner: NonNull<Owner>) -> Option<Instant> {
    // SAFETY: by the contract.
    let here = unsafe { Loop::of(owner) };
    if here.is_inherited() {
        return None;
    }
    expiry::expire_passed(&here.timers, Instant::now());
    here.timers.next()
}
