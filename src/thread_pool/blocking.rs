//! Waiting inside the pool: running the awaited task instead, standing in for a worker that
//! sleeps, and seats for threads of the host that help.

use super::inbox::{Lane, Refused};
use super::leftovers;
use super::pool::Pool;
use super::queue::Entry;
use super::sleep::Notified;
use super::submit::{Unaccepted, handle_of};
use super::worker::{Begun, DECLARED, Slot};
use crate::error::Result;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::deadlock;
use crate::future::due;
use crate::future::make::Work;
use crate::future::owner::{Owner, OwnerRef, attention};
use crate::future::phase::Phase;
use crate::future::run;
use crate::future::wait::{WorkerHead, WorkerVtable};
use crate::local;
use crate::platform::clock;
use crate::platform::thread;
use crate::sync::Ordering;
use crate::trace::timeline::Watch;
use crate::unwind::contain;
use std::ptr::{self, NonNull};

pub(super) static WORKER_VTABLE: WorkerVtable =
    WorkerVtable { claim, run, block, unblock, find_task };

/// # Safety
/// `head` is the head of the calling thread's own slot.
unsafe fn slot<'a>(head: NonNull<WorkerHead>) -> &'a Slot {
    // SAFETY: by the contract; the slot stays while its thread lives.
    unsafe { head.cast::<Slot>().as_ref() }
}

// ---- claim on wait ----

/// # Safety
/// As `slot`.
unsafe fn claim(head: NonNull<WorkerHead>, target: TaskRef) -> Option<TaskRef> {
    // SAFETY: by the contract.
    let slot = unsafe { slot(head) };
    let pool = slot.pool();
    // The pointer is compared, not followed (F6).
    if !ptr::addr_eq(target.owner_in(target.snapshot()), pool) || !slot.has_stack() {
        return None;
    }
    // Taking it off the queue leaves nothing behind there, which deep recursion needs;
    // taking it in place leaves an entry that whoever finds it drops.
    let task = slot.take_if_newest(&target).unwrap_or_else(|| {
        slot.leaves_behind();
        target
    });
    slot.start_task(task)
}

/// # Safety
/// As `slot`; the task was given by `claim`.
unsafe fn run(head: NonNull<WorkerHead>, task: TaskRef) {
    // SAFETY: by the contract.
    let slot = unsafe { slot(head) };
    let begun = Begun::now(&task);
    slot.run(task, begun);
}

impl Slot {
    /// The awaited task's queue reference, if it is the newest of this worker's tasks.
    /// Entries that are settled already are dropped on the way.
    fn take_if_newest(&self, target: &TaskRef) -> Option<TaskRef> {
        let mine = self.mine();
        let wanted = target.as_ptr().as_ptr().cast_const();
        if self.pool().serial {
            return self.take_if_newest_nested(wanted);
        }
        let newest = mine.newest.get();
        if !newest.is_null() && newest != wanted {
            return None;
        }
        loop {
            let entry = mine.queues.pop()?;
            mine.newest.set(ptr::null());
            // SAFETY: the queue's reference, now ours.
            let task = unsafe { TaskRef::from_raw(entry) };
            if ptr::eq(entry.as_ptr(), wanted) {
                return Some(task);
            }
            if task.snapshot().is_settled() {
                continue;
            }
            self.put_back(task);
            return None;
        }
    }

    /// `take_if_newest` in a pool of one worker.
    fn take_if_newest_nested(&self, wanted: *const TaskCell) -> Option<TaskRef> {
        loop {
            // SAFETY: under the inbox's lock its entries keep their tasks.
            let settled = |newest| unsafe { leftovers::is_settled(newest) };
            let is_it = |newest: Entry| ptr::eq(newest.as_ptr(), wanted);
            let pops = |newest| is_it(newest) || settled(newest);
            let entry = self.pool().inbox.pop_newest_if(Lane::Nested, pops)?;
            // SAFETY: the queue's reference, now ours.
            let task = unsafe { TaskRef::from_raw(entry) };
            if is_it(entry) {
                return Some(task);
            }
        }
    }

    /// A task that was only looked at goes back; somebody may have looked for it meanwhile.
    fn put_back(&self, task: TaskRef) {
        let entry = task.into_raw();
        self.mine().newest.set(entry.as_ptr());
        self.mine().has_nested.set(true);
        if self.mine().queues.push(entry) {
            crate::sync::fence(Ordering::SeqCst); // as in `Slot::push_nested`
            self.pool().look_for_a_worker(usize::MAX);
        } else {
            // Not reached: the place it came from is free, and only this thread pushes.
            crate::unwind::die("a worker's queue was full right after a task was taken from it");
        }
    }

    /// Whether a task more may run on this stack.
    fn has_stack(&self) -> bool {
        let floor = self.mine().stack_floor.get();
        let size = self.pool().config.stack_size;
        let reserve = if size == 0 { 128 * 1024 } else { (size / 4).min(128 * 1024) };
        floor == 0 || thread::stack_here().saturating_sub(floor) > reserve
    }

    // ---- standing in ----

    /// The worker will sleep. False: nobody could ever wake it.
    fn block(&self, awaited: Option<&TaskCell>, forever: bool) -> bool {
        let (mine, pool) = (self.mine(), self.pool());
        // A task that forked: in the child nobody stands in, for the work is the parent's.
        if mine.block_depth.get() > 0 || pool.is_inherited() {
            mine.block_depth.set(mine.block_depth.get() + 1);
            return true;
        }
        if forever {
            if let Some(awaited) = awaited {
                // SAFETY: this thread's own slot, which leaves in `end_block`.
                if !unsafe { deadlock::enter(self.head(), awaited) } {
                    return false;
                }
            }
            // Relaxed: counts workers in `is_stuck`, which looks again at the word.
            pool.blocked_forever.fetch_add(1, Ordering::Relaxed);
        }
        mine.block_depth.set(1);
        let replaced = self.stand_aside();
        if forever && pool.is_stuck(!replaced) {
            self.end_block(true);
            return false;
        }
        true
    }

    /// Out of the awake ones, so that another may be made awake. False: work waits, and no
    /// thread could be made for it.
    fn stand_aside(&self) -> bool {
        let (mine, pool) = (self.mine(), self.pool());
        // Relaxed: the lock in `settle_dormancy` orders it against the monitor.
        self.public().blocked.store(true, Ordering::Relaxed);
        self.settle_dormancy();
        if pool.serial {
            pool.turn.engage();
            pool.owner.call_attention(attention::TURNS);
            if mine.has_turn.replace(false) {
                pool.turn.give();
            }
        }
        pool.sleep.block();
        !pool.has_work()
            || pool.look_for_a_worker(usize::MAX) == Notified::Enough
            || pool.sleep.census().awake() > 0
    }

    fn come_back(&self) {
        let pool = self.pool();
        pool.sleep.unblock();
        self.public().blocked.store(false, Ordering::Relaxed); // as in `stand_aside`
        if pool.serial {
            pool.turn.take();
            self.mine().has_turn.set(true);
        }
    }

    fn end_block(&self, forever: bool) {
        let mine = self.mine();
        mine.block_depth.set(mine.block_depth.get().saturating_sub(1));
        if mine.block_depth.get() > 0 || self.pool().is_inherited() {
            return;
        }
        if forever {
            self.pool().blocked_forever.fetch_sub(1, Ordering::Relaxed); // as in `block`
        }
        // SAFETY: this thread's own slot.
        unsafe { deadlock::leave(self.head()) };
        self.come_back();
    }
}

/// # Safety
/// As `slot`.
unsafe fn block(head: NonNull<WorkerHead>, awaited: Option<&TaskCell>, forever: bool) -> bool {
    // SAFETY: by the contract.
    let slot = unsafe { slot(head) };
    let good = slot.block(awaited, forever);
    if good && slot.mine().block_depth.get() == 1 {
        slot.mine().blocked_forever.set(forever);
    }
    good
}

/// # Safety
/// As `slot`.
unsafe fn unblock(head: NonNull<WorkerHead>) {
    // SAFETY: by the contract.
    let slot = unsafe { slot(head) };
    slot.end_block(slot.mine().blocked_forever.get());
}

/// # Safety
/// As `slot`.
unsafe fn find_task(
    head: NonNull<WorkerHead>,
    look: &mut dyn FnMut(&TaskCell) -> bool,
) -> Option<NonNull<TaskCell>> {
    // SAFETY: by the contract.
    let mut frame = unsafe { slot(head) }.mine().frames.get();
    // SAFETY: by the contract frames stand still, and a task in one is being run.
    while let Some(this) = unsafe { frame.as_ref() } {
        let task = NonNull::new(this.task.get().cast_mut());
        // SAFETY: as above.
        if task.is_some_and(|task| look(unsafe { task.as_ref() })) {
            return task;
        }
        frame = this.below;
    }
    None
}

impl Pool {
    /// Every thread there can be waits for ever, and tasks are queued that none can run.
    /// `at_limit`: there cannot be one more.
    fn is_stuck(&self, at_limit: bool) -> bool {
        let census = self.sleep.census();
        let limits = self.sleep.limits();
        census.awake() == 0
            && census.idle() == 0
            && census.dormant() == 0
            && (at_limit || census.blocked() >= limits.most + limits.extra)
            // Relaxed: every one of them has counted itself before it blocked.
            && self.blocked_forever.load(Ordering::Relaxed) >= census.blocked()
            && self.has_work()
    }
}

/// `cfut_blocking_begin`: nothing outside a worker.
pub(crate) fn declare_begin() {
    if let Some(slot) = this_slot() {
        let mine = slot.mine();
        mine.declared_blocks.set(mine.declared_blocks.get() + 1);
        mine.block_depth.set(mine.block_depth.get() + 1);
        // Relaxed: this thread looks at it.
        slot.public().called.fetch_or(DECLARED, Ordering::Relaxed);
        if mine.block_depth.get() == 1 && !slot.pool().is_inherited() {
            mine.blocked_forever.set(false);
            slot.stand_aside();
        }
    }
}

/// `cfut_blocking_end`: nothing without a begin.
pub(crate) fn declare_end() {
    if let Some(slot) = this_slot() {
        slot.end_one_declared();
    }
}

impl Slot {
    /// False: there is none.
    fn end_one_declared(&self) -> bool {
        let mine = self.mine();
        let left = mine.declared_blocks.get();
        if left <= 1 {
            // Relaxed: as in `declare_begin`.
            self.public().called.fetch_and(!DECLARED, Ordering::Relaxed);
        }
        if left > 0 {
            mine.declared_blocks.set(left - 1);
            self.end_block(mine.blocked_forever.get());
        }
        left > 0
    }

    /// The last task on the stack is over, and with it what it declared.
    pub(super) fn end_declared(&self) {
        while self.end_one_declared() {}
    }
}

fn this_slot<'a>() -> Option<&'a Slot> {
    let head = crate::future::wait::this_worker()?;
    // SAFETY: this thread's own worker; the table tells whether it is a slot.
    unsafe { ptr::eq(head.as_ref().vtable, &WORKER_VTABLE).then(|| slot(head)) }
}

// ---- seats ----

/// The place of a worker, taken by a thread of the host for one task.
pub(super) struct Seat {
    pool: OwnerRef,
    outer_executor: *const (),
    has_turn: bool,
}

impl Seat {
    /// The seat is counted already.
    pub(super) fn enter(pool: OwnerRef) -> Seat {
        let here: *const () = pool.as_ptr().as_ptr().cast_const().cast();
        let outer_executor = local::with(|local| local.executor.replace(here));
        // SAFETY: the reference is to a pool.
        let this = unsafe { Pool::of(pool.as_ptr()) };
        let has_turn = this.serial && this.turn.is_engaged();
        if has_turn {
            this.turn.take();
        }
        this.tally.entered.add(1);
        Seat { pool, outer_executor, has_turn }
    }
}

impl Drop for Seat {
    /// Also if the task ends its thread. After that a worker is needed that does what
    /// this thread, unlike one, does not: look for more.
    fn drop(&mut self) {
        local::with(|local| local.executor.set(self.outer_executor));
        let _ = contain(|| {
            // SAFETY: the reference is to a pool.
            let pool = unsafe { Pool::of(self.pool.as_ptr()) };
            if pool.is_inherited() {
                return; // whoever holds its locks does not exist here
            }
            if self.has_turn {
                pool.turn.give();
            }
            pool.tally.left.add(1);
            pool.sleep.leave(false);
            if pool.has_work() {
                pool.look_for_a_worker(usize::MAX);
            } else {
                pool.end_if_done();
                crate::quiet::signal();
            }
        });
    }
}

/// Runs a started task in a counted seat. Not contained.
///
/// # Safety
/// The seat of the live pool was taken by this thread.
pub(super) unsafe fn run_in_seat(owner: NonNull<Owner>, task: TaskRef) {
    // SAFETY: by the contract the pool is alive.
    let (pool, reference) = unsafe { (Pool::of(owner), OwnerRef::retain(owner)) };
    pool.arm(&task);
    let begun = Begun::now(&task);
    let ended = {
        let _user = due::InUser::enter();
        let _seat = Seat::enter(reference);
        let mut watch = pool.watch(&task, begun);
        run::run_started(task, |task, code| {
            if pool.is_inherited() {
                watch.iter_mut().for_each(Watch::forget);
                return None;
            }
            pool.note_return(task, code);
            Some(begun.durations(clock::ticks()))
        })
    };
    // SAFETY: the caller still holds its own reference.
    let pool = unsafe { Pool::of(owner) };
    pool.count_end(ended);
    due::run_pending();
}

impl Pool {
    /// Whether a loop's caller may run a part of it in a place of a worker: one of the pool's
    /// own workers, in whose task it calls; and any other thread, unless people use the pool as
    /// a lock and an order (one worker), or rely on what its threads have been through.
    pub(crate) fn lets_caller_run(&self) -> bool {
        let config = &self.config;
        let picky = self.serial || config.initializer.is_some() || config.hooks.is_some();
        !picky || self.this_worker().is_some()
    }

    /// A task for `run_in_caller`, and its handle. An argument is the caller's again on an error.
    pub(crate) fn make_for_caller(
        &self,
        work: Work<'_>,
        handle: bool,
    ) -> Result<(TaskRef, Option<TaskRef>)> {
        self.check_fork()?;
        if self.phase() != Phase::Open {
            return Err(self.refusal(Unaccepted::Refused(Refused::Closed)));
        }
        let task = self.make_plain(self.as_owner(), work, 0, handle)?;
        // SAFETY: the runner's reference, known to nobody else.
        Ok((unsafe { TaskRef::from_raw(task) }, handle_of(task, handle)))
    }
}

/// Runs a task that found the queue full in the thread that submitted it. Not contained.
pub(crate) fn run_in_caller(pool: &Pool, task: TaskRef) {
    let started = contain(|| {
        pool.tally.submitted.add(1);
        !pool.must_not_start(&task) && task.state.start(false)
    });
    if !matches!(started, Ok(true)) {
        return;
    }
    match pool.this_worker() {
        Some(slot) => {
            let begun = Begun::now(&task);
            slot.run(task, begun);
        }
        None => {
            pool.sleep.force_seat();
            // SAFETY: just counted; the caller's handle keeps the pool.
            unsafe { run_in_seat(pool.as_owner(), task) };
        }
    }
}
