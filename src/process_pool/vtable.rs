//! What futures ask of a process pool: `future::owner::Vtable` for it.

use super::dispatch::lane_of;
use super::pool::Pool;
use super::shutdown;
use super::submit::Made;
use crate::error;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::make::Work;
use crate::future::owner::{
    Arrival, Kind, Owner, OwnerRef, ParentTable, Refused, RemoteTable, Stage, Vtable,
};
use crate::future::phase::Phase;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::future::timer::first_deadline;
use crate::platform::clock::{self, Instant};
use crate::shared::Shared;
use crate::sync::Ordering;
use std::ptr::NonNull;

pub(super) static VTABLE: Vtable = Vtable {
    kind: Kind::Processes,
    enqueue,
    keep_time,
    settled,
    // Tasks that run in other processes are detached there.
    detached: |_| {},
    attached: |_| {},
    stop_level: |_| 0,
    take_seat: |_| false,
    run_in_seat: |_, task| drop(task),
    uncharge,
    is_quiet,
    expire: None,
    shipped: None,
    remote: Some(&REMOTE),
    parent: Some(&PARENT),
    view: None,
    outside: Some(&super::commands::TABLE),
    destroy: shutdown::destroy,
};

static REMOTE: RemoteTable = RemoteTable { refresh, withdraw, stop, progress, attend };

/// # Safety
/// The pool is alive.
unsafe fn attend(owner: NonNull<Owner>, task: &TaskRef) {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.attend(task);
}

/// A piped task whose input has settled, or a task that waited in a view.
///
/// # Safety
/// The pool is alive.
unsafe fn enqueue(owner: NonNull<Owner>, task: TaskRef, arrival: Arrival) -> Result<(), Refused> {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    if pool.is_inherited() {
        let text = b"this executor was made before fork(); its workers are the parent's";
        let verdict = Some(Verdict::because(Outcome::Broken, 0, text));
        return Err(Refused { task, verdict });
    }
    if arrival != Arrival::Held {
        if let Err(verdict) = pool.let_in(&task) {
            return Err(Refused { task, verdict });
        }
    }
    match pool.queue(&task) {
        Ok(()) => Ok(()),
        Err(verdict) => {
            pool.give_room_of(&task);
            pool.forget_deadline(&task);
            Err(Refused { task, verdict: Some(verdict) })
        }
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
    take_room: |owner, load| unsafe { Pool::of(owner) }.take_room(load),
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
) -> error::Result<NonNull<TaskCell>> {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    let function = pool.number_of_first(&work, spec)?;
    let made = pool.make(view, work, bytes, function, spec, handle)?;
    if let Some(handle) = made.handle {
        let _counted = handle.into_raw();
    }
    Ok(made.task.into_raw())
}

/// # Safety
/// The pool is alive; `make` gave the task, and nobody else knows it.
unsafe fn unmake(owner: NonNull<Owner>, task: NonNull<TaskCell>, handle: bool) {
    // SAFETY: by the contract.
    unsafe {
        let handle = handle.then(|| TaskRef::from_raw(task));
        Pool::of(owner).unmake(Made { task: TaskRef::from_raw(task), handle });
    }
}

/// # Safety
/// The pool is alive.
unsafe fn hold(owner: NonNull<Owner>, task: &TaskRef) -> Result<(), Option<Verdict>> {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    if pool.is_inherited() || pool.phase() != Phase::Open {
        pool.forget_deadline(task);
        let closed = || Verdict::because(Outcome::Broken, 0, CLOSED);
        return Err(Some(pool.verdict_for_queued().unwrap_or_else(closed)));
    }
    pool.let_in(task)
}

const CLOSED: &[u8] = b"the executor has been shut down and takes no more work";

/// # Safety
/// The pool is alive.
unsafe fn keep_time(owner: NonNull<Owner>, task: &TaskRef) -> error::Result<()> {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.keep_time(task)
}

impl Pool {
    /// The input of a piped task has settled: it is accepted now, and has room; or it ends in
    /// another way, as its input did if that is None.
    fn let_in(&self, task: &TaskRef) -> Result<(), Option<Verdict>> {
        if !task.passes_bytes_on() {
            // The input's end is this one's: no function of the user's is called for that.
            self.forget_deadline(task);
            return Err(None);
        }
        task.stamp_accepted(clock::ticks());
        self.prepare_piped(task).map_err(|verdict| {
            self.forget_deadline(task);
            Some(verdict)
        })
    }

    fn prepare_piped(&self, task: &TaskRef) -> Result<(), Verdict> {
        let named = task.spec().map_or(&b""[..], |spec| spec.function.as_bytes());
        let failed =
            |outcome, code| error::with_last(|text| Err(Verdict::because(outcome, code, text)));
        const NOT_FOUND: i32 = -8;
        const NO_MEMORY: i32 = -2;
        let Some(function) = task.piped_function() else { return failed(Outcome::Broken, 0) };
        // A command has none: it goes to no worker.
        let number = match task.is_command() {
            true => Ok(0),
            false => self.number_of_function(function, named),
        };
        let Ok(number) = number else { return failed(Outcome::Failed, NOT_FOUND) };
        let Some(extra) = task.extra_of_known() else {
            return Err(Verdict::because(Outcome::Failed, NO_MEMORY, b"no memory for a task"));
        };
        // Relaxed: P1 below publishes it.
        extra.function.store(number, Ordering::Relaxed);
        if let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) {
            let now = Instant::now();
            // Relaxed, both: published with the entry in the table.
            extra.queued_at.store(now.0, Ordering::Relaxed);
            let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
            let by_total = first_deadline(accepted, &[spec.total_timeout]);
            let by_queue = first_deadline(now, &[spec.queue_timeout]);
            if self.timers.enter(task, by_total.min(by_queue)) {
                self.poller.wake();
            }
        }
        if let Some(bound) = &self.bound {
            // Work of the library's own waits for no room: it may be what makes some.
            bound.force(crate::future::bound::Load { tasks: 1, bytes: 0 });
        }
        Ok(())
    }

    /// Queues a task that has room and deadlines, or says how it ends instead.
    fn queue(&self, task: &TaskRef) -> Result<(), Verdict> {
        if task.is_command() {
            return self.queue_command(task);
        }
        let wake = {
            let mut state = self.state.lock();
            let lane = task.spec().map_or(1, |spec| lane_of(spec.priority));
            let open = self.phase() == Phase::Open;
            if !open || !state.backlog.reserve(lane, 1) {
                drop(state);
                if open {
                    let text = b"no memory for the queue of a pool";
                    return Err(Verdict::because(Outcome::Broken, 0, text));
                }
                let closed = || Verdict::because(Outcome::Broken, 0, CLOSED);
                return Err(self.verdict_for_queued().unwrap_or_else(closed));
            }
            self.rest.accept(1);
            self.tally.submitted.add(1);
            state.backlog.push(lane, task.clone());
            let now = Instant::now();
            self.dispatch(&mut state, now);
            self.wants_manager(&mut state)
        };
        if wake {
            self.poller.wake();
        }
        Ok(())
    }

    fn queue_command(&self, task: &TaskRef) -> Result<(), Verdict> {
        let spec = task.shared_spec();
        self.accept_commands(std::slice::from_ref(task), spec.as_ref()).map_err(|_told| {
            let told = || error::with_last(|text| Verdict::because(Outcome::Broken, 0, text));
            self.verdict_for_queued().unwrap_or_else(told)
        })
    }

    /// Keeps the time-outs of a piped task from now on.
    fn keep_time(&self, task: &TaskRef) -> error::Result<()> {
        self.check_takes_work()?;
        let Some(spec) = task.spec() else { return Ok(()) };
        let Some(extra) = task.extra_in(task.snapshot()) else { return Ok(()) };
        let now = Instant::now();
        // Relaxed: published with the entry in the table.
        extra.accepted_at.store(now.0, Ordering::Relaxed);
        let deadline = first_deadline(now, &[spec.total_timeout]);
        let no_memory = || error::Error::no_memory("the time-outs of a task", 32);
        let soonest = self.timers.insert(task.clone(), deadline).ok_or_else(no_memory)?;
        // A pool that ends takes out what it finds, after its phase has changed.
        if let Err(error) = self.check_takes_work() {
            self.forget_deadline(task);
            return Err(error);
        }
        if soonest {
            self.poller.wake();
        }
        Ok(())
    }

    /// Takes a task out of the table of deadlines.
    pub(super) fn forget_deadline(&self, task: &TaskRef) {
        if task.spec().is_some_and(|spec| spec.has_deadline()) {
            self.timers.remove(task);
        }
    }

    /// The pool has ended: settles the tasks that wait for their inputs and whose deadlines it
    /// kept.
    pub(super) fn settle_waiting(&self) {
        while let Some(task) = self.timers.take_waiting() {
            let verdict = self.verdict_for_queued().unwrap_or_else(|| {
                let text = b"the executor that kept the time-outs of this task has been shut down";
                Verdict::because(Outcome::Broken, 0, text)
            });
            task.settle_if(&task, |seen| seen.is_pending(), verdict);
        }
    }
}

/// # Safety
/// The pool is alive.
unsafe fn settled(owner: NonNull<Owner>, task: &TaskCell, outcome: Outcome, stage: Stage) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.forget_deadline(&task.clone_ref());
    match stage {
        Stage::Waiting => return,
        Stage::Held => return pool.give_room_of(task),
        Stage::Queued | Stage::Running | Stage::Detached => {}
    }
    pool.tally.outcome(outcome).add(1);
    if stage == Stage::Queued {
        pool.tally.withdrawn.add(1);
        pool.give_room_of(task);
        pool.leave_behind();
    }
    pool.note_settled();
}

/// # Safety
/// The pool is alive, kept by the reference that the charge left behind.
unsafe fn uncharge(owner: NonNull<Owner>, bytes: u64) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.give_room(0, bytes);
    // SAFETY: the reference that the charge left behind.
    drop(unsafe { OwnerRef::adopt(owner) });
}

/// # Safety
/// The pool is alive.
unsafe fn is_quiet(owner: NonNull<Owner>) -> bool {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.is_quiet()
}

/// # Safety
/// The pool is alive.
unsafe fn refresh(owner: NonNull<Owner>, task: &TaskRef) {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    pool.refresh_in(&mut pool.state.lock(), task);
}

/// # Safety
/// The pool is alive.
unsafe fn withdraw(owner: NonNull<Owner>, task: &TaskRef) {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.withdraw_task(task);
}

/// # Safety
/// The pool is alive.
unsafe fn stop(owner: NonNull<Owner>, task: &TaskRef, kill: bool) {
    // SAFETY: by the contract.
    unsafe { Pool::of(owner) }.stop_task(task, kill, Instant::now());
}

/// # Safety
/// The pool is alive.
unsafe fn progress(owner: NonNull<Owner>, task: &TaskRef) -> Option<(u64, u64)> {
    // SAFETY: by the contract.
    let pool = unsafe { Pool::of(owner) };
    let mut state = pool.state.lock();
    let (child, slot) = state.find(task)?;
    Some(child.wire.slot(slot).progress())
}
