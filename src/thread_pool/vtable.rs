//! What futures ask of a thread pool: `future::owner::Vtable` for it.

use super::blocking;
use super::inbox::{Lane, Refused as Refusal};
use super::pool::Pool;
use super::shutdown;
use super::submit::Unaccepted;
use crate::error;
use crate::error::Result as OrError;
use crate::future::bound::Load;
use crate::future::cell::{Kind as TaskKind, TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::make::Work;
use crate::future::owner::{Arrival, Kind, Owner, OwnerRef, ParentTable, Refused, Stage, Vtable};
use crate::future::phase::Phase;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::platform::clock;
use crate::shared::Shared;
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
    expire: None,
    shipped: None,
    remote: None,
    parent: Some(&PARENT),
    view: None,
    outside: Some(&super::commands::TABLE),
    destroy: shutdown::destroy,
};

/// # Safety
/// The pool is alive.
unsafe fn enqueue(owner: NonNull<Owner>, task: TaskRef, arrival: Arrival) -> Result<(), Refused> {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    if pool.is_inherited() {
        let verdict = pool.verdict_for_refused(&task);
        return Err(Refused { task, verdict });
    }
    if arrival != Arrival::Held {
        pool.let_in(&task);
    }
    // One whose input failed only passes that on.
    if task.is_command() && (task.kind() != TaskKind::Then || task.passes_bytes_on()) {
        return pool.queue_command(task);
    }
    let lane = task.spec().map_or(Lane::Normal, |spec| Lane::of_priority(spec.priority));
    let entry = task.into_raw();
    match pool.push(lane, entry, arrival == Arrival::InOrder) {
        Ok(()) => Ok(()),
        Err(why) => {
            // SAFETY: not taken: the reference is still ours.
            let task = unsafe { TaskRef::from_raw(entry) };
            pool.give_room_of(&task);
            pool.disarm(&task);
            let verdict = pool.verdict_for_refused(&task).or_else(|| pool.verdict_for(&task, why));
            Err(Refused { task, verdict })
        }
    }
}

impl Pool {
    /// A task whose input has settled: it is accepted now, and has room.
    fn let_in(&self, task: &TaskRef) {
        task.stamp_accepted(clock::ticks());
        self.arm_queue_timeout(task);
        if let Some(bound) = &self.bound {
            // Work of the library's own waits for no room: it may be what makes some.
            bound.force(Load { tasks: 1, bytes: 0 });
        }
    }

    fn queue_command(&self, task: TaskRef) -> Result<(), Refused> {
        let spec = task.shared_spec();
        if self.accept_commands(std::slice::from_ref(&task), spec.as_ref()).is_ok() {
            return Ok(());
        }
        self.give_room_of(&task);
        self.disarm(&task);
        let told = || error::with_last(|text| Verdict::because(Outcome::Broken, 0, text));
        let verdict = self.verdict_for_refused(&task).unwrap_or_else(told);
        Err(Refused { task, verdict: Some(verdict) })
    }

    /// How to settle a task that is not taken; None for a continuation, which can do without
    /// this pool.
    fn verdict_for(&self, task: &TaskRef, why: Unaccepted) -> Option<Verdict> {
        if task.kind() == TaskKind::Then {
            return None;
        }
        self.verdict_for_queued().or_else(|| {
            let text: &[u8] = match why {
                Unaccepted::Refused(Refusal::Closed) => {
                    b"not run: the executor under the view takes no work any more"
                }
                Unaccepted::Refused(Refusal::NoMemory) => {
                    b"not run: no memory for the queue of the executor under the view"
                }
                Unaccepted::NoThread => {
                    b"not run: no worker thread could be created for the executor under the view"
                }
            };
            Some(Verdict::because(Outcome::Broken, 0, text))
        })
    }
}

/// What views ask.
static PARENT: ParentTable = ParentTable {
    // SAFETY: by the contract, here and below: the pool is alive.
    add_handle: |owner| unsafe { Pool::of(owner) }.add_handle(),
    // SAFETY: see above.
    drop_handle: |owner| unsafe { Pool::of(owner) }.drop_handle(),
    // SAFETY: see above.
    check: |owner| unsafe { Pool::of(owner) }.check_takes_work(),
    // SAFETY: see above.
    take_room: |owner, load| unsafe { Pool::of(owner) }.take_room_elsewhere(load),
    // SAFETY: see above.
    try_take_room: |owner, load| unsafe { Pool::of(owner) }.try_take_room(load),
    // SAFETY: see above.
    give_room: |owner, load| unsafe { Pool::of(owner) }.give_room(load.tasks, load.bytes),
    make,
    unmake,
    hold,
};

/// # Safety
/// The pool and the view are alive.
unsafe fn make(
    owner: NonNull<Owner>,
    view: NonNull<Owner>,
    work: Work<'_>,
    bytes: u64,
    spec: Option<&Shared<Spec>>,
    handle: bool,
) -> OrError<NonNull<TaskCell>> {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.make(view, work, bytes, spec, handle)
}

/// # Safety
/// The pool is alive; `make` gave the task, and nobody else knows it.
unsafe fn unmake(owner: NonNull<Owner>, task: NonNull<TaskCell>, handle: bool) {
    // SAFETY: by the contract.
    unsafe {
        let handle = handle.then(|| TaskRef::from_raw(task));
        Pool::of(owner).take_back(TaskRef::from_raw(task), handle);
    }
}

/// # Safety
/// The pool is alive.
unsafe fn hold(owner: NonNull<Owner>, task: &TaskRef) -> Result<(), Option<Verdict>> {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    if pool.phase() != Phase::Open || pool.is_inherited() {
        return Err(pool.verdict_for_refused(task));
    }
    pool.let_in(task);
    Ok(())
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
    if !matches!(stage, Stage::Waiting | Stage::Held) {
        pool.tally.outcome(outcome).add(1);
    }
    match stage {
        Stage::Waiting => {}
        Stage::Held => pool.give_room_of(task),
        Stage::Queued => {
            pool.tally.withdrawn.add(1);
            pool.give_room_of(task);
            pool.leave_behind(1);
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
