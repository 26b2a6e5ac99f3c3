//! Waiting for one future: help where that is allowed, look for a moment, sleep.
//!
//! A wait is a sequence of steps: library code says what to do next, and the export, which
//! may call the user (rule U2), does it. In order:
//!
//! 1. settled, or no time: done;
//! 2. calls into the user's code are due in this thread: they are made first, for the
//!    future may depend on one of them;
//! 3. the wait has no time-out and the future, or one it depends on, has not started: a
//!    worker of its pool runs it here (*claim on wait*), another thread does if the pool
//!    was made with CFUT_OPT_WAITERS_HELP. Never any other work: the caller may hold locks;
//! 4. a short look, if there is more than one processor;
//! 5. sleep on the word. A worker first says that it blocks, so that its pool can run
//!    another thread in its place; if no one could ever settle the future, that is refused.

use super::cell::{Kind, TaskCell, TaskRef};
use super::due;
use super::expiry;
use super::join;
use super::owner::{Owner, OwnerRef};
use super::place;
use super::remote;
use super::state::Outcome;
use super::then;
use crate::error::{self, Error, Result, fail};
use crate::local;
use crate::platform::clock::Instant;
use crate::platform::cpu;
use crate::sync::{AtomicPtr, Timeout, spin_loop};
use crate::unwind::contain;
use once_cell::race::OnceNonZeroUsize;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

/// The head of what a pool keeps for a worker thread; `local::Local::worker` points at it.
#[repr(C)]
pub(crate) struct WorkerHead {
    pub(crate) vtable: &'static WorkerVtable,
    /// The executor it is a worker of, for as long as it is.
    pub(crate) executor: NonNull<Owner>,
    /// What it waits for, while it is in the table of blocked workers (`deadlock`).
    pub(super) awaited: AtomicPtr<TaskCell>,
    pub(super) next_blocked: AtomicPtr<WorkerHead>,
}

impl WorkerHead {
    pub(crate) fn new(vtable: &'static WorkerVtable, executor: NonNull<Owner>) -> WorkerHead {
        let (awaited, next_blocked) =
            (AtomicPtr::new(ptr::null_mut()), AtomicPtr::new(ptr::null_mut()));
        WorkerHead { vtable, executor, awaited, next_blocked }
    }
}

/// See `WorkerVtable::find_task`.
pub(crate) type FindTask = unsafe fn(
    NonNull<WorkerHead>,
    look: &mut dyn FnMut(&TaskCell) -> bool,
) -> Option<NonNull<TaskCell>>;

/// What a waiting worker asks of its pool.
pub(crate) struct WorkerVtable {
    /// Starts a pending task of the worker's own pool in this thread; the answer is the
    /// runner's reference.
    pub(crate) claim: unsafe fn(NonNull<WorkerHead>, TaskRef) -> Option<TaskRef>,
    /// Runs what `claim` gave. Not contained (U2).
    pub(crate) run: unsafe fn(NonNull<WorkerHead>, TaskRef),
    /// The worker is about to sleep, for ever or not, for this future or for something
    /// else. False: nobody could ever end that sleep.
    pub(crate) block: unsafe fn(NonNull<WorkerHead>, Option<&TaskCell>, forever: bool) -> bool,
    /// The sleep is over.
    pub(crate) unblock: unsafe fn(NonNull<WorkerHead>),
    /// The innermost task on the worker's stack for which `look` says yes. Called by its own
    /// thread, or while that is blocked and the table of waits is locked.
    pub(crate) find_task: FindTask,
}

/// The worker this thread is.
pub(crate) fn this_worker() -> Option<NonNull<WorkerHead>> {
    local::with(|local| NonNull::new(local.worker.get().cast_mut().cast()))
}

/// The innermost task on the stack of this thread, if it is a worker, for which `look` says yes.
pub(crate) fn find_own_task(mut look: impl FnMut(&TaskCell) -> bool) -> Option<NonNull<TaskCell>> {
    let worker = this_worker()?;
    // SAFETY: this thread's own worker.
    unsafe { (worker.as_ref().vtable.find_task)(worker, &mut look) }
}

/// The view that the innermost task on the stack of this thread was given to, if any; borrowed from
/// the task.
pub(crate) fn view_of_own_task() -> Option<NonNull<Owner>> {
    let task = find_own_task(|_| true)?;
    // SAFETY: it is being run below us.
    place::view_of(unsafe { task.as_ref() })
}

/// Tells the pool of this thread, if any, that it sleeps; undone when this goes.
pub(crate) struct Blocking(Option<NonNull<WorkerHead>>);

impl Blocking {
    /// None: the sleep could never end.
    pub(crate) fn begin(awaited: Option<&TaskCell>, forever: bool) -> Option<Blocking> {
        let worker = this_worker();
        if let Some(worker) = worker {
            // SAFETY: this thread's own worker, alive while the thread is.
            if !unsafe { (worker.as_ref().vtable.block)(worker, awaited, forever) } {
                return None;
            }
        }
        Some(Blocking(worker))
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(worker) = self.0 {
            // SAFETY: as in `begin`.
            unsafe { (worker.as_ref().vtable.unblock)(worker) };
        }
    }
}

/// What the caller of a wait does next.
pub(crate) enum Step {
    Settled(Outcome),
    TimedOut,
    /// Nobody could ever settle it.
    Deadlock,
    /// It came here through fork() unsettled.
    Inherited,
    /// Make the calls that are due, then ask again.
    CallDue,
    /// Run this, then ask again.
    Help(Helped),
}

/// A started task and who runs it.
pub(crate) enum Helped {
    AsWorker(NonNull<WorkerHead>, TaskRef),
    InSeat(OwnerRef, TaskRef),
}

impl Helped {
    /// Not contained: calls the user.
    pub(crate) fn run(self) {
        // SAFETY: the worker is this thread's; the seat was taken in this thread.
        unsafe {
            match self {
                Helped::AsWorker(worker, task) => (worker.as_ref().vtable.run)(worker, task),
                Helped::InSeat(owner, task) => (owner.vtable.run_in_seat)(owner.as_ptr(), task),
            }
        }
    }
}

/// How a wait ended that is allowed and could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Settled(Outcome),
    TimedOut,
}

/// Waits for one future. Not contained: may run tasks and callbacks.
pub(crate) fn wait_for(cell: &TaskCell, timeout: Timeout) -> Result<Waited> {
    let mut wait = Wait::new(cell, timeout);
    loop {
        match contain(|| wait.step()).map_err(|panic| panic.into_error())? {
            Step::Settled(outcome) => return Ok(Waited::Settled(outcome)),
            Step::TimedOut => return Ok(Waited::TimedOut),
            Step::CallDue => due::run_all(),
            Step::Help(helped) => helped.run(),
            Step::Deadlock => {
                return fail!(
                    Deadlock,
                    "this wait could never end: the future can settle only after the task that waits"
                );
            }
            Step::Inherited => return Err(inherited()),
        }
    }
}

/// The error of a wait for a future of a parent process.
#[cold]
pub(crate) fn inherited() -> Error {
    let text = "this future was made before fork(); it settles in the parent process";
    Error::new(error::Kind::Forked, format_args!("{text}"))
}

/// A wait in progress.
pub(crate) struct Wait<'a> {
    cell: &'a TaskCell,
    timeout: Timeout,
    looked: bool,
    blocking: Option<Blocking>,
    /// How many inputs of a join are known to be settled.
    settled_inputs: usize,
}

impl<'a> Wait<'a> {
    pub(crate) fn new(cell: &'a TaskCell, timeout: Timeout) -> Wait<'a> {
        Wait { cell, timeout, looked: false, blocking: None, settled_inputs: 0 }
    }

    /// The next step; sleeps as long as that is all there is to do.
    pub(crate) fn step(&mut self) -> Step {
        loop {
            let seen = self.cell.snapshot();
            if seen.is_settled() {
                self.cell.note_seen_in(seen);
                return Step::Settled(seen.outcome());
            }
            if self.cell.is_inherited() {
                return Step::Inherited;
            }
            if self.timeout == Timeout::Now {
                return Step::TimedOut;
            }
            if due::pending_nested() {
                self.blocking = None;
                return Step::CallDue;
            }
            if self.timeout == Timeout::Forever {
                if let Some(helped) = self.help() {
                    self.blocking = None;
                    return Step::Help(helped);
                }
            }
            if !std::mem::replace(&mut self.looked, true) && self.look() {
                continue;
            }
            match self.sleep() {
                Sleep::Again => {}
                Sleep::TimedOut => return Step::TimedOut,
                Sleep::Deadlock => return Step::Deadlock,
            }
        }
    }

    /// Looks for a moment, in the hope that the task is just ending.
    fn look(&self) -> bool {
        if remote::attend(self.cell) {
            return true;
        }
        for _ in 0..looks() {
            if self.cell.snapshot().is_settled() {
                return true;
            }
            spin_loop();
        }
        false
    }

    fn sleep(&mut self) -> Sleep {
        let forever = self.timeout == Timeout::Forever;
        if self.blocking.is_none() {
            match Blocking::begin(Some(self.cell), forever) {
                Some(blocking) => self.blocking = Some(blocking),
                None => return Sleep::Deadlock,
            }
        }
        let next = expiry::look(self.cell);
        if due::pending_nested() {
            return Sleep::Again; // a callback of one that has expired
        }
        let seen = self.cell.state.announce_waiter();
        if seen.is_settled() {
            return Sleep::Again;
        }
        let last = self.timeout.deadline();
        let deadline = [last, next].into_iter().flatten().min();
        let expired = |deadline: Instant| Instant::now() >= deadline;
        if !self.cell.state.sleep(seen, deadline) && last.is_some_and(expired) {
            return if self.cell.snapshot().is_settled() { Sleep::Again } else { Sleep::TimedOut };
        }
        Sleep::Again
    }

    /// A task that is to be run here so that the future can settle.
    fn help(&mut self) -> Option<Helped> {
        let target = self.unstarted_task()?;
        if let Some(claimed) = claim(&target) {
            return Some(claimed);
        }
        if let Some(owner) = take_seat(&target) {
            return Some(Helped::InSeat(owner, target));
        }
        help_holder(&place::unstarted_holder(&target)?)
    }

    /// The future itself, or one it depends on, if it is a task that waits in a queue.
    fn unstarted_task(&mut self) -> Option<TaskRef> {
        /// Deeper chains of continuations are left to the pool.
        const DEPTH: usize = 1000;
        if !self.cell.snapshot().is_pending() {
            return None;
        }
        let mut cell = self.cell.clone_ref();
        for depth in 0..DEPTH {
            if !cell.snapshot().is_pending() {
                return None;
            }
            cell = match cell.kind() {
                Kind::Promise => return None,
                Kind::Join if depth == 0 => join::unsettled_input(&cell, &mut self.settled_inputs)?,
                Kind::Join => join::unsettled_input(&cell, &mut 0)?,
                Kind::Then => match then::input_of(&cell) {
                    Some(input) => input,
                    None => return Some(cell),
                },
                // A command is nothing that a thread could run.
                _ if cell.is_command() => return None,
                Kind::Bytes | Kind::External | Kind::Foreign | Kind::Closure | Kind::Buffer => {
                    return Some(cell);
                }
            };
        }
        None
    }
}

enum Sleep {
    Again,
    TimedOut,
    Deadlock,
}

/// A task that is to be run here so that `cell` can settle, for waits for several.
pub(crate) fn help_with(cell: &TaskCell) -> Option<Helped> {
    Wait::new(cell, Timeout::Forever).help()
}

/// Starts `target` in this thread, if it is a worker of its executor.
fn claim(target: &TaskRef) -> Option<Helped> {
    let worker = this_worker()?;
    // SAFETY: this thread's own worker.
    let claimed = unsafe { (worker.as_ref().vtable.claim)(worker, target.clone()) };
    claimed.map(|task| Helped::AsWorker(worker, task))
}

/// A task that waits in a view cannot be run, but one whose place it waits for.
fn help_holder(holder: &TaskRef) -> Option<Helped> {
    claim(holder).or_else(|| Some(Helped::InSeat(take_seat(holder)?, holder.clone())))
}

/// Starts `target` in a worker's place, if its executor lets this thread help.
fn take_seat(target: &TaskRef) -> Option<OwnerRef> {
    let seen = target.state.lock();
    let seat = if seen.is_pending() {
        // SAFETY: LOCK is held and it is not settled.
        let owner = unsafe { target.retain_owner(seen) };
        // SAFETY: the reference keeps the executor alive.
        owner.filter(|owner| unsafe { (owner.vtable.take_seat)(owner.as_ptr()) })
    } else {
        None
    };
    match &seat {
        Some(_) => target.state.start_locked(),
        None => target.state.unlock(0, 0),
    }
    seat
}

/// How often to look before sleeping: about two microseconds; not at all on one processor.
fn looks() -> usize {
    static LOOKS: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let choose = || NonZeroUsize::new(if cpu::cpus().usable > 1 && !cfg!(loom) { 65 } else { 1 });
    LOOKS.get_or_init(|| choose().unwrap_or(NonZeroUsize::MIN)).get() - 1
}
