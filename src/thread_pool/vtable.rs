//! What futures ask of a thread pool: `future::owner::Vtable` for it.

use super::blocking;
use super::inbox::Lane;
use super::pool::Pool;
use super::shutdown;
use crate::error::Result as OrError;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::owner::{Kind, Owner, OwnerRef, Refused, Stage, Vtable};
use crate::future::phase::Phase;
use crate::future::state::Outcome;
use crate::platform::clock;
use crate::sync::Ordering;
use std::ptr::NonNull;

pub(super) static VTABLE: Vtable = Vtable {
    kind: Kind::Threads,
    enqueue,
    keep_time,
    settled,
    detached,
    attached,
    stop_level,
    take_seat,
    run_in_seat: blocking::run_in_seat,
    uncharge,
    is_quiet,
    shipped: None,
    remote: None,
    outside: Some(&super::commands::TABLE),
    destroy: shutdown::destroy,
};

/// # Safety
/// The pool is alive.
unsafe fn enqueue(owner: NonNull<Owner>, task: TaskRef, in_order: bool) -> Result<(), Refused> {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    if pool.is_inherited() {
        let verdict = pool.verdict_for_refused(&task);
        return Err(Refused { task, verdict });
    }
    task.stamp_accepted(clock::ticks());
    pool.arm_queue_timeout(&task);
    let lane = task.spec().map_or(Lane::Normal, |spec| Lane::of_priority(spec.priority));
    if let Some(bound) = &pool.bound {
        // Work of the library's own waits for no room: it may be what makes some.
        bound.force(crate::future::bound::Load { tasks: 1, bytes: 0 });
    }
    let entry = task.into_raw();
    match pool.push(lane, entry, in_order) {
        Ok(()) => Ok(()),
        Err(_) => {
            pool.give_room(1, 0);
            // SAFETY: not taken: the reference is still ours.
            let task = unsafe { TaskRef::from_raw(entry) };
            pool.disarm(&task);
            let verdict = pool.verdict_for_refused(&task);
            Err(Refused { task, verdict })
        }
    }
}

/// # Safety
/// The pool is alive.
unsafe fn keep_time(owner: NonNull<Owner>, task: &TaskRef) -> OrError<()> {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.arm_waiting(task)
}

/// # Safety
/// The pool is alive.
unsafe fn settled(owner: NonNull<Owner>, task: &TaskCell, outcome: Outcome, stage: Stage) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.disarm(task);
    if stage != Stage::Waiting {
        pool.tally.outcome(outcome).add(1);
    }
    match stage {
        Stage::Waiting => {}
        Stage::Queued => {
            pool.tally.withdrawn.add(1);
            pool.give_room_of(task);
        }
        Stage::Running => {}
        Stage::Detached => release_detached(pool),
    }
}

fn release_detached(pool: &Pool) {
    // AcqRel: pairs with the Acquire in `is_gone`: the task has settled.
    if pool.detached.fetch_sub(1, Ordering::AcqRel) == 1 && pool.phase() != Phase::Open {
        pool.signal();
    }
    crate::quiet::signal();
    // SAFETY: the reference that `detached` left behind.
    drop(unsafe { OwnerRef::adopt(pool.as_owner()) });
}

/// # Safety
/// The pool is alive.
unsafe fn detached(owner: NonNull<Owner>) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.detached.fetch_add(1, Ordering::AcqRel); // pairs with `release_detached`
    let _left_behind = pool.retain().into_raw();
}

/// # Safety
/// The pool is alive, and `detached` was called before.
unsafe fn attached(owner: NonNull<Owner>) {
    // SAFETY: by the contract.
    release_detached(unsafe { Pool::of(owner) });
}

/// # Safety
/// The pool is alive.
unsafe fn stop_level(owner: NonNull<Owner>) -> u32 {
    // SAFETY: by the contract. Relaxed: a level that tasks poll.
    unsafe { Pool::of(owner) }.stop_level.load(Ordering::Relaxed)
}

/// # Safety
/// The pool is alive.
unsafe fn take_seat(owner: NonNull<Owner>) -> bool {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    let config = &pool.config;
    config.waiters_help
        && config.initializer.is_none()
        && config.hooks.is_none()
        && !pool.is_inherited()
        && pool.verdict_for_queued().is_none()
        && pool.sleep.take_seat()
}

/// # Safety
/// The pool is alive, kept by the reference that the charge left behind.
unsafe fn uncharge(owner: NonNull<Owner>, bytes: u64) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.give_room(0, bytes);
    // SAFETY: the reference that `charge_result` left behind.
    drop(unsafe { OwnerRef::adopt(owner) });
}

/// # Safety
/// The pool is alive.
unsafe fn is_quiet(owner: NonNull<Owner>) -> bool {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.is_quiet()
}
