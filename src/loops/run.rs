//! `cfut_loop_run`: how a thread runs what the loop has.
//!
//! As a wait, it is a sequence of steps: library code says what to do next, and the export, which
//! may call the user (rule U2), does it.

use super::event_loop::Loop;
use crate::error::{Result, fail};
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::deadlock;
use crate::future::due::{self, InUser};
use crate::future::expiry;
use crate::future::owner::OwnerRef;
use crate::future::phase::Phase;
use crate::future::run::{self, DETACH, Ended};
use crate::future::state::EXTRA;
use crate::future::wait::{WorkerHead, WorkerVtable};
use crate::local;
use crate::platform::clock::{self, Instant};
use crate::platform::thread;
use crate::quiet;
use crate::sync::{Ordering, Timeout};
use crate::trace::running::Record;
use crate::trace::timeline::Watch;
use crate::unwind::{Contained, contain};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// How a call of `cfut_loop_run` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// As many tasks as were asked for.
    Enough,
    TimedOut,
    /// The loop was shut down, and nothing is queued.
    End,
}

/// A thread that runs a loop's tasks, for as long as it does.
#[repr(C)]
pub(crate) struct Runner {
    /// First, so that a pointer to the runner is a pointer to its head.
    head: WorkerHead,
    target: OwnerRef,
    frames: Cell<*const Frame>,
    stack_floor: Cell<usize>,
    outer_worker: Cell<*const ()>,
    outer_executor: Cell<*const ()>,
    entered: Cell<bool>,
}

/// A task that is being run, on the stack of its runner.
struct Frame {
    task: NonNull<TaskCell>,
    below: *const Frame,
}

/// What is to be done next.
enum Step {
    Run(TaskRef),
    /// Make the calls that are due, then ask again.
    CallDue,
    Ended(Ran),
}

static RUNNER_VTABLE: WorkerVtable = WorkerVtable { claim, run, block, unblock, find_task };

impl Loop {
    /// The calling thread runs a task of this loop, or a callback that one of its runners makes.
    pub(super) fn runs_here(&self) -> bool {
        local::with(|local| ptr::addr_eq(local.executor.get(), self))
    }

    /// A runner for the calling thread; `Runner::run_all` uses it.
    pub(crate) fn runner(&self) -> Result<Runner> {
        self.check_fork()?;
        if self.runs_here() {
            return fail!(
                Deadlock,
                "cfut_loop_run was called in a task or a callback of the same loop"
            );
        }
        Ok(Runner {
            head: WorkerHead::new(&RUNNER_VTABLE, self.as_owner()),
            target: self.retain(),
            frames: Cell::new(ptr::null()),
            stack_floor: Cell::new(0),
            outer_worker: Cell::new(ptr::null()),
            outer_executor: Cell::new(ptr::null()),
            entered: Cell::new(false),
        })
    }

    /// It was shut down, and nothing is queued.
    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.phase != Phase::Open && state.live <= 0
    }

    /// The next task to run. `first`: the call has just begun.
    fn next(&self, timeout: Timeout, first: bool) -> Step {
        loop {
            let now = Instant::now();
            expiry::expire_passed(&self.timers, now);
            if due::pending() {
                return Step::CallDue;
            }
            let late = timeout.deadline().is_some_and(|deadline| deadline <= now);
            let mut state = self.state.lock();
            let looks = !late || first;
            if looks {
                while let Some(task) = state.pop() {
                    // Relaxed: raised once, and tasks that start meanwhile may count either way.
                    if task.state.start(self.stop_level.load(Ordering::Relaxed) != 0) {
                        state.running += 1;
                        let settled = state.remove_live();
                        drop(state);
                        drop(settled);
                        self.give_room_of(&task);
                        return Step::Run(task);
                    }
                    drop(state);
                    drop(task);
                    state = self.state.lock();
                }
            }
            if state.phase != Phase::Open && (looks || state.live <= 0) {
                return Step::Ended(Ran::End);
            }
            if timeout == Timeout::Now || late {
                return Step::Ended(Ran::TimedOut);
            }
            state.sleepers += 1;
            // Relaxed: changes under the lock, or is only a reason to look again.
            let seen = self.signal.load(Ordering::Relaxed);
            drop(state);
            // Read after the signal: who enters an earlier deadline changes it afterwards.
            let until = [timeout.deadline(), self.timers.next()].into_iter().flatten().min();
            self.signal.wait(seen, until);
            self.state.lock().sleepers -= 1;
        }
    }
}

impl Runner {
    fn target(&self) -> &Loop {
        // SAFETY: the reference is to a loop.
        unsafe { Loop::of(self.target.as_ptr()) }
    }

    /// Runs tasks as `cfut_loop_run` says; `ran` counts them as they begin. Not contained.
    pub(crate) fn run_all(&self, most: usize, timeout: Timeout, ran: &mut usize) -> Result<Ran> {
        let here = self.target();
        let _entered = Entered::enter(self);
        // Without time to wait, what is queued now: not what that submits in its turn.
        let queued = match timeout {
            Timeout::Now => here.state.lock().queued().max(1),
            _ => usize::MAX,
        };
        let mut first = true;
        loop {
            if most != 0 && *ran == most {
                return Ok(Ran::Enough);
            }
            if *ran >= queued {
                return Ok(if here.is_over() { Ran::End } else { Ran::TimedOut });
            }
            match contain(|| here.next(timeout, first)).map_err(Contained::into_error)? {
                Step::Run(task) => {
                    *ran += 1;
                    first = false;
                    self.run_started(task);
                    here.check_fork()?;
                }
                Step::CallDue => due::run_all(),
                Step::Ended(how) => return Ok(how),
            }
        }
    }

    /// Runs a task that `start` gave to this thread. Not contained.
    fn run_started(&self, task: TaskRef) {
        let here = self.target();
        // Until the callbacks have been made: they are work of the loop's, too.
        let _busy = Busy(here);
        let begin = clock::ticks();
        let queued = begin.saturating_sub(task.accepted_at());
        if task.snapshot().has(EXTRA) {
            let _ = contain(|| here.arm(&task));
        }
        let ended = {
            let _user = InUser::enter();
            let mut watch = contain(|| here.watch(&task, queued)).unwrap_or(None);
            let mut record = Record::of(&task, begin);
            // SAFETY: the record is not moved, and goes after the answer.
            let _shown = unsafe { here.running.show(&mut record) };
            let frame = Frame { task: task.as_ptr(), below: self.frames.get() };
            let _running = Running::enter(self, &frame);
            run::run_started(task, |task, code| {
                if here.is_inherited() {
                    watch.iter_mut().for_each(Watch::forget);
                    return None;
                }
                here.note_return(task, code);
                Some((queued, clock::ticks().saturating_sub(begin)))
            })
        };
        if let Ended::Settled(outcome) = ended {
            here.tally.outcome(outcome).add(1);
        }
        due::run_pending();
    }

    /// Whether a task more may run on this stack.
    fn has_stack(&self) -> bool {
        const RESERVE: usize = 128 * 1024;
        if self.stack_floor.get() == 0 {
            self.stack_floor.set(thread::stack_floor());
        }
        let floor = self.stack_floor.get();
        floor == 0 || thread::stack_here().saturating_sub(floor) > RESERVE
    }
}

impl Loop {
    /// The function of a task with options has returned.
    fn note_return(&self, task: &TaskRef, code: i32) {
        if !task.snapshot().has(EXTRA) {
            return;
        }
        if let Some(bound) = &self.bound {
            bound.charge_result(task, || self.retain());
        }
        if code != DETACH {
            self.disarm(task);
        }
    }
}

/// The calling thread is in `run`; undone also if a task ends it.
struct Entered<'a>(&'a Runner);

impl<'a> Entered<'a> {
    fn enter(runner: &'a Runner) -> Entered<'a> {
        let here = runner.target();
        here.state.lock().runners += 1;
        local::with(|local| {
            runner.outer_worker.set(local.worker.replace(ptr::from_ref(runner).cast()));
            runner.outer_executor.set(local.executor.replace(ptr::from_ref(here).cast()));
        });
        Entered(runner)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let runner = self.0;
        local::with(|local| {
            local.worker.set(runner.outer_worker.get());
            local.executor.set(runner.outer_executor.get());
        });
        let here = runner.target();
        if here.is_inherited() {
            return; // whoever holds its lock does not exist here
        }
        let _ = contain(|| {
            let others = {
                let mut state = here.state.lock();
                state.runners -= 1;
                state.live > 0 && state.sleepers > 0
            };
            // This one may have been woken for what it leaves to others.
            if others {
                here.wake_one();
            }
        });
    }
}

/// The task on top of a runner's stack, for as long as its function is there.
struct Running<'a>(&'a Runner);

impl<'a> Running<'a> {
    fn enter(runner: &'a Runner, frame: &Frame) -> Running<'a> {
        runner.frames.set(frame);
        runner.target().tally.entered.add(1);
        Running(runner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let frames = &self.0.frames;
        // SAFETY: the innermost frame is still on the stack below us.
        frames.set(unsafe { frames.get().as_ref() }.map_or(ptr::null(), |top| top.below));
        let here = self.0.target();
        if here.is_inherited() {
            return; // as in `Entered`
        }
        here.tally.left.add(1);
    }
}

/// A task that was started, and what becomes due with it: undoes the count in `start`.
struct Busy<'a>(&'a Loop);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if self.0.is_inherited() {
            return; // as in `Entered`
        }
        let _ = contain(|| {
            self.0.state.lock().running -= 1;
            self.0.end_if_done();
            quiet::signal();
        });
    }
}

// ---- what waits in tasks ask ----

/// # Safety
/// `head` is the head of the calling thread's own runner, or of one that is blocked.
unsafe fn runner<'a>(head: NonNull<WorkerHead>) -> &'a Runner {
    // SAFETY: by the contract; the runner stays while its thread is in `run`.
    unsafe { head.cast::<Runner>().as_ref() }
}

/// # Safety
/// As `runner`.
unsafe fn claim(head: NonNull<WorkerHead>, target: TaskRef) -> Option<TaskRef> {
    // SAFETY: by the contract.
    let runner = unsafe { runner(head) };
    let here = runner.target();
    // The pointer is compared, not followed (F6).
    if !ptr::addr_eq(target.owner_in(target.snapshot()), here) || !runner.has_stack() {
        return None;
    }
    let settled = {
        let mut state = here.state.lock();
        // Relaxed: as in `next`.
        if !target.state.start(here.stop_level.load(Ordering::Relaxed) != 0) {
            return None;
        }
        state.running += 1;
        state.remove_live()
    };
    drop(settled);
    here.give_room_of(&target);
    Some(target)
}

/// # Safety
/// As `runner`; the task was given by `claim`.
unsafe fn run(head: NonNull<WorkerHead>, task: TaskRef) {
    // SAFETY: by the contract.
    unsafe { runner(head) }.run_started(task);
}

/// # Safety
/// As `runner`.
unsafe fn block(head: NonNull<WorkerHead>, awaited: Option<&TaskCell>, forever: bool) -> bool {
    let Some(awaited) = awaited.filter(|_| forever) else { return true };
    // SAFETY: by the contract.
    let runner = unsafe { runner(head) };
    // SAFETY: its own, which leaves in `unblock`.
    let entered = runner.entered.get() || unsafe { deadlock::enter(head, awaited) };
    runner.entered.set(entered);
    entered
}

/// # Safety
/// As `runner`.
unsafe fn unblock(head: NonNull<WorkerHead>) {
    // SAFETY: by the contract.
    let runner = unsafe { runner(head) };
    if runner.entered.replace(false) {
        // SAFETY: its own.
        unsafe { deadlock::leave(head) };
    }
}

/// # Safety
/// As `runner`.
unsafe fn find_task(
    head: NonNull<WorkerHead>,
    look: &mut dyn FnMut(&TaskCell) -> bool,
) -> Option<NonNull<TaskCell>> {
    // SAFETY: by the contract.
    let mut frame = unsafe { runner(head) }.frames.get();
    // SAFETY: frames stand still, and a task in one is being run.
    while let Some(this) = unsafe { frame.as_ref() } {
        // SAFETY: as above.
        if look(unsafe { this.task.as_ref() }) {
            return Some(this.task);
        }
        frame = this.below;
    }
    None
}
