//! Loops over ranges: who runs them, and how a loop ends.
//!
//! # Who takes part
//! A loop is one task (the *root*), which runs in the call itself where the executor lets the
//! calling thread do that, and else is submitted like any other. It takes slices of the range
//! (`ranges`) until none is left. With its first slice, or in a loop of many indices without a given
//! grain once that has taken some microseconds, it *invites*: it submits a helper, which takes slices, too, as soon as a
//! worker is free for it, and then invites the next one. At most one invitation is out at a time, so work is split only if the last offer has been taken: while
//! somebody is idle. That is the rule of A. Tzannes, G. Caragea, R. Barua, U. Vishkin, "Lazy
//! Binary-Splitting: A Run-Time Adaptive Work-Stealing Scheduler" (PPoPP 2010), with one queue of
//! slices for all in place of halves of a range: there is nothing to steal. A loop that is over
//! before anybody comes has cost one submit.
//!
//! Where as many take part as there are processors, one more is invited unless the slices are known
//! to compute rather than to sleep (the thread's clock tells, once in a while): a waiting invitation
//! is work that waits, and the pool would make a thread for each in the end.
//!
//! # States
//! | state | slices are left | who is in it | next |
//! |---|---|---|---|
//! | open | yes | the root, `active` in all | a slice, an invitation |
//! | closed | no: all taken, or skipped after a failure or a stop | those that run their last one | the last one out says that it is over |
//! | over | no | the root, which waits for that | the argument is freed, the future settles |
//!
//! All of it is under one lock, which is taken twice a slice.
//!
//! # Who may touch what
//! P1. The future's cell is used by the root, and by helpers while they are counted in `active`:
//!     the root does not return before they are out, so it is alive, and IN_TASK.
//! P2. The user's argument is freed by the root once the loop is over, or with the last reference
//!     to the loop if the root never ran. No helper exists then.
//! P3. In a forked child nobody touches the lock: another thread may have held it.
//!
//! # Errors
//! The first range that fails records that in the future, raises its stop flag and closes the
//! loop. No memory or no room for a helper: the others go on without it. A range whose
//! thread ends in it fails the loop; the root waits for the others even then, for a range must
//! not outlive the future.
//!
//! # Waits that could not end
//! The root's wait for the last ranges names one of their helpers to the pool: a range that waits
//! for its own loop, or for the task that made it, is refused with CFUT_EDEADLK once the root
//! waits. A range that began such a wait before is its own doing.

use super::ranges::{RangeFn, SLICE_NS, Slice, Slices};
use crate::error::{Error, Line, Result, fail};
use crate::executor::{Executor, Submitted};
use crate::future::cell::{ClosureFn, TaskCell, TaskRef};
use crate::future::due::{self, Moved};
use crate::future::extra::Text;
use crate::future::join;
use crate::future::make::Work;
use crate::future::owner::OwnerRef;
use crate::future::promise::{self, Reach, Recording};
use crate::future::result::Payload;
use crate::future::run::{DETACH, THREAD_ENDED};
use crate::future::state::Outcome;
use crate::future::wait::Blocking;
use crate::platform::{clock, cpu, fork, thread};
use crate::shared::Shared;
use crate::sync::{Futex32, Lock, Ordering, spin_loop};
use crate::unwind::{Contained, contain};
use once_cell::race::OnceNonZeroUsize;
use std::cell::Cell;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

struct Loop {
    function: RangeFn,
    argument: *mut c_void,
    executor: OwnerRef,
    generation: u32,
    processors: u32,
    inside: Lock<Inside>,
    /// 1: nobody is in it any more, and nobody will be.
    over: Futex32,
}

// SAFETY: the argument is handed between threads with the user's consent (the header's section
// on threads); the rest is locked, atomic or constant.
unsafe impl Send for Loop {}
// SAFETY: as above.
unsafe impl Sync for Loop {}

struct Inside {
    slices: Slices,
    /// The root's cell (P1), once it runs.
    future: *const TaskCell,
    /// The user's argument (P2).
    moved: Option<Moved>,
    active: u32,
    invited: bool,
    /// The slices wait for something rather than compute, if that is known.
    sleeps: Option<bool>,
    /// The code of a range that failed, for a future that has a result recorded before.
    failed: i32,
    /// The helper that came last, for the root's wait.
    helper: Option<TaskRef>,
    /// When the progress was told last, in ticks.
    told_at: u64,
}

/// Makes a loop: a task to be run here, or one that was submitted. On an error `moved` is still
/// the caller's.
pub(crate) fn start(
    executor: Executor<'_>,
    count: usize,
    grain: usize,
    function: RangeFn,
    moved: &mut Moved,
    handle: bool,
) -> Result<Submitted> {
    let inside = Inside {
        slices: Slices::new(count, grain),
        future: ptr::null(),
        moved: None,
        active: 0,
        invited: false,
        sleeps: None,
        failed: 0,
        helper: None,
        told_at: clock::ticks(),
    };
    let this = Shared::try_new(Loop {
        function,
        argument: moved.argument,
        executor: executor.retain(),
        generation: fork::generation(),
        processors: processors(),
        inside: Lock::new(inside),
        over: Futex32::new(0),
    });
    let this = this.ok_or_else(|| Error::no_memory("a parallel loop", size_of::<Loop>()))?;
    // Before the submit: the root may run at once.
    this.inside.lock().moved = Some(Moved { argument: moved.argument, free: moved.free });
    let raw = this.clone().into_raw().cast_mut().cast();
    let work = Work::Closure(run_root, raw, Some(drop_loop));
    let started = if executor.lets_caller_run() {
        executor
            .make_for_caller(work, handle)
            .map(|(root, handle)| Submitted::RunHere(root, handle))
    } else {
        executor.submit(work, 0, None, handle)
    };
    if started.is_ok() {
        moved.hand_on();
    } else {
        // Still the caller's, and so is the reference that the task did not take.
        if let Some(mut moved) = this.inside.lock().moved.take() {
            moved.hand_on();
        }
        // SAFETY: see above.
        unsafe { drop_loop(raw) };
    }
    started
}

/// As many as there were at first: asking anew takes longer than a short loop.
fn processors() -> u32 {
    static PROCESSORS: OnceNonZeroUsize = OnceNonZeroUsize::new();
    let count = || NonZeroUsize::new(cpu::cpus().usable as usize).unwrap_or(NonZeroUsize::MIN);
    u32::try_from(PROCESSORS.get_or_init(count).get()).unwrap_or(1)
}

/// The future of a loop over nothing.
pub(crate) fn of_none(executor: Executor<'_>, handle: bool) -> Result<Option<TaskRef>> {
    executor.check_fork()?;
    if handle { join::of_none().map(Some) } else { Ok(None) }
}

/// An error where functions of this process cannot be called.
pub(crate) fn check(executor: Executor<'_>) -> Result<()> {
    if executor.is_elsewhere() {
        return fail!(
            NotSupported,
            "the executor's tasks run in other processes, where the ranges of a loop cannot be \
             called with a pointer of this one; use cfut_map_into, or a thread pool"
        );
    }
    Ok(())
}

/// # Safety
/// `argument` is a reference to a `Loop`, given up here.
unsafe extern "C-unwind" fn drop_loop(argument: *mut c_void) {
    // SAFETY: by the contract. The user's argument may go with it (P2), so this is called where
    // user code may be: it is the free function of a closure.
    drop(unsafe { Shared::<Loop>::from_raw(argument.cast_const().cast()) });
}

/// # Safety
/// `argument` is a reference to a `Loop` that stays for as long as the answer is used.
unsafe fn borrow(argument: *mut c_void) -> ManuallyDrop<Shared<Loop>> {
    // SAFETY: by the contract.
    ManuallyDrop::new(unsafe { Shared::from_raw(argument.cast_const().cast()) })
}

unsafe extern "C-unwind" fn run_root(promise: *const TaskCell, argument: *mut c_void) -> i32 {
    // SAFETY: the closure's argument, which is freed when this has returned.
    let this = unsafe { borrow(argument) };
    if contain(|| this.begin(promise)).is_err() {
        return THREAD_ENDED;
    }
    let root = Part { this: &this, promise, is_root: true, in_user: Cell::new(false) };
    root.work();
    drop(root);
    contain(|| this.code(promise)).unwrap_or(THREAD_ENDED)
}

unsafe extern "C-unwind" fn run_helper(promise: *const TaskCell, argument: *mut c_void) -> i32 {
    // SAFETY: as in `run_root`.
    let this = unsafe { borrow(argument) };
    if let Ok(Some(future)) = contain(|| this.join(promise)) {
        Part { this: &this, promise: future, is_root: false, in_user: Cell::new(false) }.work();
    }
    0
}

/// One who takes part. When it goes, it is out; the root waits for the others, also if its
/// thread ends in a range.
struct Part<'a> {
    this: &'a Shared<Loop>,
    /// The root's cell (P1).
    promise: *const TaskCell,
    is_root: bool,
    in_user: Cell<bool>,
}

impl Part<'_> {
    /// Runs slices until none is left. Not contained: calls the user.
    fn work(&self) {
        let this = self.this;
        let mut number = 0u32;
        loop {
            let (slice, may_take_long) = match contain(|| Loop::next(this, self.promise)) {
                Ok(Some(next)) => next,
                Ok(None) => return,
                Err(panic) => return self.give_up(&panic),
            };
            let timer = Timer::start(&mut number, may_take_long);
            self.in_user.set(true);
            // SAFETY: the user's function with the argument it was given with (P2).
            let code =
                unsafe { (this.function)(self.promise, slice.begin, slice.end, this.argument) };
            self.in_user.set(false);
            if this.is_inherited() {
                return;
            }
            if let Err(panic) = contain(|| this.note(self.promise, slice, timer, code)) {
                return self.give_up(&panic);
            }
        }
    }

    /// A defect of ours: the loop is not what it should be.
    #[cold]
    fn give_up(&self, panic: &Contained) {
        let line = Line::of(format_args!("defect inside the library: {}", panic.text()));
        let message = Text::copy(line.as_bytes()).unwrap_or(Text::EMPTY);
        let _ = contain(|| self.this.fail(self.promise, THREAD_ENDED, message));
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let this = self.this;
        if this.is_inherited() {
            return; // P3
        }
        if self.in_user.get() {
            let text =
                b"the thread ended inside a range (pthread_exit, cancellation or an exception)";
            let message = Text::copy(text).unwrap_or(Text::EMPTY);
            let _ = contain(|| this.fail(self.promise, THREAD_ENDED, message));
        }
        let last = contain(|| this.leave(self.is_root)).unwrap_or(false);
        if self.is_root {
            if !last {
                wait_until_over(this, !self.in_user.get());
            }
            let moved = contain(|| this.inside.lock().moved.take());
            drop(moved); // calls the user
        }
    }
}

/// How long a slice took, and now and then whether it computed.
struct Timer {
    began: u64,
    cpu: Option<u64>,
}

/// One slice of so many is looked at by the thread's own clock, which costs a system call.
const LOOK_EVERY: u32 = 16;

impl Timer {
    fn start(number: &mut u32, may_take_long: bool) -> Timer {
        *number = number.wrapping_add(u32::from(may_take_long));
        let looks = may_take_long && *number % LOOK_EVERY == 1;
        let cpu = if looks { thread::cpu_time(thread::id()) } else { None };
        Timer { began: clock::ticks(), cpu }
    }

    fn ticks(&self) -> u64 {
        clock::ticks().saturating_sub(self.began)
    }

    /// Whether more than half of the time went into waiting; None: not looked at, or too short to tell.
    fn sleeps(&self) -> Option<bool> {
        let before = self.cpu?;
        let took = clock::ticks_to_ns(self.ticks());
        let cpu = thread::cpu_time(thread::id())?.saturating_sub(before);
        (took > SLICE_NS / 2).then_some(cpu < took / 2)
    }
}

impl Loop {
    fn is_inherited(&self) -> bool {
        self.generation != fork::generation()
    }

    fn executor(&self) -> Executor<'_> {
        // SAFETY: the reference keeps it.
        unsafe { Executor::from_ptr(self.executor.as_ptr()) }
    }

    /// The root begins.
    fn begin(&self, promise: *const TaskCell) {
        let mut inside = self.inside.lock();
        inside.future = promise;
        inside.active = 1;
    }

    /// A helper has come: the root's cell, if there is something for it to do.
    fn join(&self, helper: *const TaskCell) -> Option<*const TaskCell> {
        let mut inside = self.inside.lock();
        inside.invited = false;
        if inside.slices.rest() == 0 {
            return None;
        }
        inside.active += 1;
        // SAFETY: this thread runs the helper, and so keeps its cell.
        inside.helper = Some(unsafe { &*helper }.clone_ref());
        Some(inside.future)
    }

    /// One is out; true: it was the last, and the loop is over.
    fn leave(&self, is_root: bool) -> bool {
        let last = {
            let mut inside = self.inside.lock();
            if is_root {
                inside.slices.close();
            }
            inside.active -= 1;
            inside.active == 0
        };
        if last && !is_root {
            // Release: pairs with the Acquire in `wait_until_over`: what the ranges did.
            self.over.store(1, Ordering::Release);
            self.over.wake_all();
        }
        last
    }

    /// The next slice, and whether it may take long; invites somebody if more is left.
    fn next(this: &Shared<Loop>, promise: *const TaskCell) -> Option<(Slice, bool)> {
        // SAFETY: P1: alive.
        if promise::stop_requested(unsafe { &*promise }) {
            this.stop(promise);
        }
        const FEW_PER_PROCESSOR: usize = 16;
        let few = this.processors as usize * FEW_PER_PROCESSOR;
        let long = clock::about_ticks(SLICE_NS);
        let (slice, may_take_long, invites) = {
            let mut inside = this.inside.lock();
            let active = inside.active;
            let slice = inside.slices.take(active)?;
            let wanted = active < this.processors || inside.sleeps != Some(false);
            let invites = wanted && !inside.invited && inside.slices.is_worth_company(few, long);
            inside.invited |= invites;
            (slice, inside.slices.may_take_long(few, long), invites)
        };
        if invites && !Loop::invite(this) {
            this.inside.lock().invited = false;
        }
        Some((slice, may_take_long))
    }

    /// Submits a helper, if there is room for it.
    fn invite(this: &Shared<Loop>) -> bool {
        let argument: *mut c_void = this.clone().into_raw().cast_mut().cast();
        let work = |_| Work::Closure(run_helper as ClosureFn, argument, Some(drop_loop));
        // SAFETY: no handles are asked for.
        let invited = unsafe { this.executor().submit_many_if_room(work, 0, 1, None, None) };
        if invited == Ok(true) {
            return true;
        }
        // SAFETY: the reference that the task did not take; `this` is another.
        unsafe { drop_loop(argument) };
        false
    }

    /// A slice is done.
    fn note(&self, promise: *const TaskCell, slice: Slice, timer: Timer, code: i32) {
        let (took, sleeps) = (timer.ticks(), timer.sleeps());
        {
            let mut inside = self.inside.lock();
            inside.slices.note(slice, took, clock::about_ticks(SLICE_NS));
            inside.sleeps = sleeps.or(inside.sleeps);
            inside.tell_progress(promise);
        }
        if code == DETACH {
            let text = b"a range of a loop cannot detach itself (CFUT_DETACH)";
            self.fail(promise, EINVAL, Text::copy(text).unwrap_or(Text::EMPTY));
        } else if code != 0 || self.has_failed(promise) {
            self.fail(promise, code, Text::EMPTY);
        }
    }

    /// A range has recorded that it failed, or that it agrees to stop.
    fn has_failed(&self, promise: *const TaskCell) -> bool {
        // SAFETY: P1: alive.
        let outcome = unsafe { &*promise }.snapshot().recorded_outcome();
        matches!(outcome, Outcome::Failed | Outcome::Cancelled)
    }

    /// A range has failed with this code; 0: as it has recorded.
    fn fail(&self, promise: *const TaskCell, code: i32, message: Text) {
        if code != 0 {
            record(promise, Outcome::Failed, code, message);
        }
        {
            let mut inside = self.inside.lock();
            if inside.failed == 0 {
                inside.failed = code;
            }
            inside.slices.close();
        }
        // SAFETY: P1; the count is the runner's.
        let cell = ManuallyDrop::new(unsafe { TaskRef::from_raw(NonNull::from(&*promise)) });
        let _ = promise::cancel(&cell, Reach::Stop);
    }

    /// Somebody has asked the loop to stop: it agrees, if that spares it something.
    fn stop(&self, promise: *const TaskCell) {
        let mut inside = self.inside.lock();
        if inside.slices.rest() > 0 {
            inside.slices.close();
            drop(inside);
            record(promise, Outcome::Cancelled, 0, Text::EMPTY);
        }
    }

    /// What the root returns: the first outcome that was recorded stands, unless that was a
    /// result and a range failed after all.
    fn code(&self, promise: *const TaskCell) -> i32 {
        if self.is_inherited() || self.has_failed(promise) {
            return 0;
        }
        self.inside.lock().failed
    }
}

/// Code of a loop whose range has returned CFUT_DETACH: CFUT_EINVAL.
const EINVAL: i32 = -1;

fn record(promise: *const TaskCell, outcome: Outcome, code: i32, message: Text) {
    // SAFETY: P1; the count is the runner's.
    let cell = ManuallyDrop::new(unsafe { TaskRef::from_raw(NonNull::from(&*promise)) });
    // The first outcome stays.
    let _ = promise::put(&cell, Recording { outcome, code, message, payload: Payload::None });
}

impl Inside {
    /// Once in a millisecond: in a short loop never.
    fn tell_progress(&mut self, promise: *const TaskCell) {
        const TELL_NS: u64 = 1_000_000;
        let now = clock::ticks();
        if now.saturating_sub(self.told_at) > clock::about_ticks(TELL_NS) {
            self.told_at = now;
            let (done, total) = self.slices.done();
            // SAFETY: P1: alive. Without memory nothing is told.
            let _ = promise::set_progress(unsafe { &*promise }, done, total);
        }
    }
}

/// The root waits for the last ranges of others. Not contained: makes calls that are due, if
/// it may.
fn wait_until_over(this: &Loop, calls: bool) {
    /// About two microseconds: the others are in their last slices.
    const LOOKS: usize = 64;
    // Acquire, here and below: pairs with the Release in `leave`.
    let is_over = || this.over.load(Ordering::Acquire) != 0;
    for _ in 0..LOOKS {
        if is_over() {
            return;
        }
        spin_loop();
    }
    let mut blocked: Option<(Blocking, Option<TaskRef>)> = None;
    while !is_over() {
        if calls && due::pending_nested() {
            blocked = None;
            due::run_all();
            continue;
        }
        let slept = contain(|| {
            if blocked.is_none() {
                blocked = begin_blocking(this);
            }
            this.over.wait(0, None)
        });
        if slept.is_err() {
            crate::unwind::die("a parallel loop could not wait for its ranges");
        }
    }
}

fn begin_blocking(this: &Loop) -> Option<(Blocking, Option<TaskRef>)> {
    let helper = this.inside.lock().helper.clone();
    // A wait that closes a circle is refused; but this one has to be.
    let blocking = Blocking::begin(helper.as_deref(), true);
    let blocking = blocking.or_else(|| Blocking::begin(None, false))?;
    Some((blocking, helper))
}
