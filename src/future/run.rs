//! Running a task: from its arguments to its outcome.
//!
//! The function of the user's is called between two contained steps (rule U2). Drop
//! guards cover a function that does not return: `pthread_exit`, cancellation, or an
//! exception that ends the thread.

use super::arena;
use super::buffer::BufferRef;
use super::cell::{ClosureFn, FreeFn, Kind, TaskCell, TaskFn, TaskRef, Word};
use super::due::{self, InUser, Moved};
use super::place;
use super::result::Payload;
use super::settle::Verdict;
use super::state::{Finish, IN_TASK, Outcome};
use super::then::{ThenArgs, ThenCall};
use crate::sync::Ordering;
use crate::unwind::contain;
use std::ffi::c_void;
use std::mem::{ManuallyDrop, transmute};
use std::ptr::NonNull;

/// What a task returns when a retained promise will settle it: CFUT_DETACH.
pub(crate) const DETACH: i32 = i32::MIN;
/// Failure code of a task whose thread ended in it: CFUT_EPANIC.
pub(crate) const THREAD_ENDED: i32 = -10;

/// How a run ended, for the executor's books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It settled with the return of the function.
    Settled(Outcome),
    /// It was settled while the function ran, and counted by who did that.
    TooLate,
    /// A retained promise will settle it.
    Detached,
}

/// Runs a task that `State::start` gave to the caller, who hands over the runner's
/// reference. Not contained. `at_end` is asked once, when the function has returned a code and
/// before anybody can see it: how long the task was queued and ran, in ticks; None in a forked
/// child, where it does not end, for it is the parent's.
#[inline(always)]
pub(crate) fn run_started(
    cell: TaskRef,
    at_end: impl FnOnce(&TaskRef, i32) -> Option<(u64, u64)>,
) -> Ended {
    // SAFETY: F2: started by the caller, so the arguments are ours.
    let call = match contain(|| unsafe { Call::prepare(&cell) }) {
        Ok(call) => call,
        Err(panic) => return broken_by_us(cell, panic.text()),
    };
    let mut guard = Unreturned(Some(cell));
    let Some(cell) = &guard.0 else { return Ended::TooLate };
    let code = call.make(cell);
    let Some(cell) = guard.0.take() else { return Ended::TooLate };
    match contain(|| at_end(&cell, code)) {
        // SAFETY: the function has returned, and the arguments are gone.
        Ok(Some((queued, ran))) => unsafe { cell.stamp_durations(queued, ran) },
        Ok(None) => {
            std::mem::forget(cell);
            return Ended::TooLate;
        }
        Err(_) => {}
    }
    // SAFETY: the runner's reference, handed over.
    unsafe { end(cell.into_raw(), code) }
}

/// Ends a task whose function has returned `code` and whose durations are stamped.
///
/// # Safety
/// The caller started the task and hands over the runner's reference.
#[inline(always)]
pub(crate) unsafe fn end(cell: NonNull<TaskCell>, code: i32) -> Ended {
    // SAFETY: by the contract.
    match contain(|| unsafe { complete(cell, code) }) {
        Ok(ended) => ended,
        // SAFETY: as far as a defect lets us know: what can fail in `complete` comes
        // before it drops the reference.
        Err(panic) => broken_by_us(unsafe { TaskRef::from_raw(cell) }, panic.text()),
    }
}

/// Settles a task whose function never returned, for the thread ends. The runner's
/// reference goes.
#[cold]
pub(crate) fn thread_ended(cell: TaskRef) {
    let text = b"the thread ended inside the task (pthread_exit, cancellation or an exception)";
    let verdict = Verdict::because(Outcome::Failed, THREAD_ENDED, text);
    let _ = contain(|| {
        cell.settle_if(&cell, |_| true, verdict);
        place::returned(&cell);
        drop(cell);
    });
    // Its callbacks have to run in this thread, which is about to go.
    due::run_pending();
}

/// Runs a continuation that has no executor, or whose executor takes no work any more.
pub(super) fn run_here(cell: TaskRef) {
    if let Ok(true) = contain(|| cell.state.start(false)) {
        let _user = InUser::enter();
        run_started(cell, |_, _| Some((0, 0)));
    }
}

#[cold]
fn broken_by_us(cell: TaskRef, text: &str) -> Ended {
    let line = crate::error::Line::of(format_args!("defect inside the library: {text}"));
    let verdict = Verdict::because(Outcome::Broken, THREAD_ENDED, line.as_bytes());
    let _ = contain(|| {
        cell.settle_if(&cell, |_| true, verdict);
        place::returned(&cell);
    });
    Ended::TooLate
}

/// Settles the future of a function that never returned.
struct Unreturned(Option<TaskRef>);

impl Drop for Unreturned {
    fn drop(&mut self) {
        if let Some(cell) = self.0.take() {
            thread_ended(cell);
        }
    }
}

/// The call to make, with everything it needs copied out of the cell: the result will be
/// written where the function stood.
enum Call {
    Bytes(TaskFn, *const c_void, usize),
    External(TaskFn, HeapBytes),
    Closure(ClosureFn, Moved),
    Buffer(TaskFn, BufferArgument),
    Then(ThenArgs),
    /// Nothing to run: a promise or a join. Never queued.
    Nothing,
}

/// Argument bytes of `arena::allocate_bytes`.
struct HeapBytes(NonNull<u8>, usize);

impl Drop for HeapBytes {
    fn drop(&mut self) {
        // SAFETY: allocated with this length, owned by this object.
        unsafe { arena::release_bytes(self.0, self.1) };
    }
}

/// The buffer a task works on; it stays in the cell for `cfut_promise_input`, until this
/// goes.
struct BufferArgument(NonNull<super::buffer::Buffer>);

impl BufferArgument {
    fn view(&self) -> (*const c_void, usize) {
        // SAFETY: the cell's reference, which this object owns, keeps the buffer alive.
        let buffer = ManuallyDrop::new(unsafe { BufferRef::from_raw(self.0) });
        (buffer.data().cast_const(), buffer.len())
    }
}

impl Drop for BufferArgument {
    fn drop(&mut self) {
        // SAFETY: the reference that the cell had held.
        drop(unsafe { BufferRef::from_raw(self.0) });
    }
}

/// # Safety
/// `word` was stored as a `TaskFn`.
unsafe fn task_fn(word: Word) -> TaskFn {
    // SAFETY: by the contract.
    unsafe { transmute::<Word, TaskFn>(word) }
}

impl Call {
    /// # Safety
    /// The caller has started the task and not yet called it (F2).
    #[inline(always)]
    unsafe fn prepare(cell: &TaskCell) -> Call {
        // SAFETY: by the contract, here and below: the arguments are ours, each kind has
        // stored what is read back.
        unsafe {
            let [first, second] = cell.front();
            match cell.kind() {
                Kind::Bytes => {
                    let (function, data, length) = cell.bytes_call();
                    Call::Bytes(function, data, length)
                }
                Kind::External => {
                    let bytes = NonNull::new_unchecked(cell.back().cast());
                    Call::External(task_fn(first), HeapBytes(bytes, second.addr()))
                }
                Kind::Closure => {
                    let free = transmute::<Word, Option<FreeFn>>(cell.back());
                    let function = transmute::<Word, ClosureFn>(first);
                    Call::Closure(function, Moved { argument: second, free })
                }
                Kind::Buffer => {
                    let buffer = NonNull::new_unchecked(cell.back().cast());
                    Call::Buffer(task_fn(first), BufferArgument(buffer))
                }
                Kind::Foreign => {
                    Call::Bytes(task_fn(first), cell.back().cast_const(), second.addr())
                }
                Kind::Then => Call::Then(cell.then_args().read()),
                Kind::Promise | Kind::Join => Call::Nothing,
            }
        }
    }

    /// Calls the user. Arguments go when the function has returned, or has not.
    #[inline(always)]
    fn make(self, cell: &TaskRef) -> i32 {
        let promise = cell.as_ptr().as_ptr().cast_const();
        // SAFETY, for all calls: the user's function with the arguments it was submitted
        // with, which stay valid during the call.
        match self {
            // SAFETY: see above.
            Call::Bytes(function, data, length) => unsafe { function(promise, data, length) },
            Call::External(function, bytes) => {
                // SAFETY: see above.
                unsafe { function(promise, bytes.0.as_ptr().cast_const().cast(), bytes.1) }
            }
            // SAFETY: see above.
            Call::Closure(function, moved) => unsafe { function(promise, moved.argument) },
            Call::Buffer(function, buffer) => {
                let (data, length) = buffer.view();
                // SAFETY: see above.
                unsafe { function(promise, data, length) }
            }
            Call::Then(args) => make_then(args, cell),
            Call::Nothing => 0,
        }
    }
}

fn make_then(args: ThenArgs, cell: &TaskRef) -> i32 {
    let ThenArgs { call, argument, free, input, owner: _ } = args;
    let moved = Moved { argument, free };
    let promise = cell.as_ptr().as_ptr().cast_const();
    let future = input.as_ptr().as_ptr().cast_const();
    match call {
        // SAFETY: the user's function with the arguments it was given with.
        ThenCall::Then(function) => unsafe { function(promise, future, moved.argument) },
        ThenCall::Callback(function) => {
            // SAFETY: as above.
            unsafe { function(future, moved.argument) };
            0
        }
        ThenCall::Pipe(function) => {
            if input.snapshot().outcome() != Outcome::Succeeded {
                let _ = contain(|| pass_through(cell, &input));
                return 0;
            }
            let (data, length) = input.bytes().unwrap_or((std::ptr::null(), 0));
            // SAFETY: as above; `input` keeps the bytes.
            unsafe { function(promise, data, length) }
        }
    }
}

/// Records that `cell` ends as `input` did.
fn pass_through(cell: &TaskRef, input: &TaskRef) {
    let seen = input.snapshot();
    let source = input.source(seen).clone_ref();
    let locked = cell.state.lock();
    if locked.is_settled() {
        cell.state.unlock(0, 0);
        return;
    }
    // SAFETY: LOCK is held, not settled, and a pipe's promise is seen by nobody before it
    // runs: nothing is recorded.
    let payload = unsafe { cell.write_payload(Payload::Alias(source)) };
    cell.state.record_locked(seen.outcome(), payload);
}

/// The function returned `code`.
///
/// # Safety
/// The caller hands over the runner's reference.
#[inline(always)]
pub(super) unsafe fn complete(cell: NonNull<TaskCell>, code: i32) -> Ended {
    // SAFETY: by the contract the reference is given up here or in the callee.
    unsafe {
        match code {
            0 => finish(cell),
            DETACH => detach(cell),
            code => {
                let ended = settle_returned(&borrow(cell), Some(code));
                super::cell::release(cell);
                ended
            }
        }
    }
}

/// The runner's reference, without the duty to drop it.
///
/// # Safety
/// The reference is held for as long as the answer is used.
unsafe fn borrow(cell: NonNull<TaskCell>) -> ManuallyDrop<TaskRef> {
    // SAFETY: by the contract.
    ManuallyDrop::new(unsafe { TaskRef::from_raw(cell) })
}

/// # Safety
/// As `complete`.
#[inline(always)]
unsafe fn finish(cell: NonNull<TaskCell>) -> Ended {
    // SAFETY: by the contract the cell is alive; its reference is dropped by
    // `State::finish` (`last` says it was the last), or by `release` here.
    unsafe {
        match cell.as_ref().state.finish() {
            Finish::Settled { outcome, last } => {
                if last {
                    super::cell::destroy(cell);
                }
                Ended::Settled(outcome)
            }
            Finish::Watched(after) => {
                cell.as_ref().state.wake_all();
                super::cell::release(cell);
                Ended::Settled(after.outcome())
            }
            Finish::Hooked => {
                let ended = settle_returned(&borrow(cell), None);
                super::cell::release(cell);
                ended
            }
            Finish::TooLate => {
                leave_task(&borrow(cell));
                super::cell::release(cell);
                Ended::TooLate
            }
        }
    }
}

/// The function of a task that somebody else has settled has returned.
fn leave_task(cell: &TaskRef) {
    cell.state.leave_task();
    place::returned(cell);
}

/// The function returned, with a failure if that is given: settles the future under LOCK.
#[inline(never)]
fn settle_returned(cell: &TaskRef, failure: Option<i32>) -> Ended {
    let seen = cell.state.lock();
    if seen.is_settled() {
        cell.state.unlock(0, 0);
        leave_task(cell);
        return Ended::TooLate;
    }
    let outcome = match failure {
        Some(code) => {
            cell.set_code(code);
            Outcome::Failed
        }
        None => seen.recorded_outcome(),
    };
    // SAFETY: LOCK is held and it is not settled.
    let before = unsafe { cell.deliver_and_settle(cell, seen, outcome, None, IN_TASK) };
    cell.after_settling(cell, before);
    Ended::Settled(outcome)
}

/// # Safety
/// As `complete`.
#[cold]
unsafe fn detach(raw: NonNull<TaskCell>) -> Ended {
    // SAFETY: by the contract.
    let cell = unsafe { borrow(raw) };
    // Under LOCK: whoever has a retained promise may just be giving the cell an `Extra`.
    let seen = cell.state.lock();
    let owner = NonNull::new(cell.owner_in(seen));
    cell.state.unlock(0, 0);
    if let Some(owner) = owner {
        // SAFETY: F6: the runner keeps its executor alive.
        unsafe { (owner.as_ref().vtable.detached)(owner) };
    }
    if cell.state.detach().is_err() {
        if let Some(owner) = owner {
            // SAFETY: as above.
            unsafe { (owner.as_ref().vtable.attached)(owner) };
        }
        // SAFETY: the reference goes on.
        return unsafe { finish(raw) };
    }
    // AcqRel: pairs with itself in `promise::release`: the last one settles it.
    if cell.promises.fetch_sub(1, Ordering::AcqRel) == 1 {
        super::promise::abandon(&cell);
    }
    // SAFETY: by the contract.
    unsafe { super::cell::release(raw) };
    Ended::Detached
}

/// Frees the arguments of a task that will not run; what the user has to free is returned.
///
/// # Safety
/// F2: it was settled before it started, and the caller alone consumes the arguments.
pub(super) unsafe fn drop_arguments(cell: &TaskCell) -> Option<(FreeFn, *mut c_void)> {
    // SAFETY: by the contract; nothing is called.
    match unsafe { Call::prepare(cell) } {
        Call::Closure(_, mut moved) => moved.free.take().map(|free| (free, moved.argument)),
        Call::Then(mut args) => args.free.take().map(|free| (free, args.argument)),
        // Dropped here: their memory goes, and a buffer's free function becomes due.
        Call::Bytes(..) | Call::External(..) | Call::Buffer(..) | Call::Nothing => None,
    }
}

impl TaskCell {
    /// The function of a task, for showing its name; NULL without one.
    ///
    /// # Safety
    /// As `Call::prepare`.
    pub(crate) unsafe fn function(&self) -> *const c_void {
        match self.kind() {
            // SAFETY: by the contract; nothing is called.
            Kind::Then => match unsafe { self.then_args().as_ref() }.call {
                ThenCall::Then(function) => function as *const c_void,
                ThenCall::Callback(function) => function as *const c_void,
                ThenCall::Pipe(function) => function as *const c_void,
            },
            Kind::Promise | Kind::Join => std::ptr::null(),
            // SAFETY: as above.
            _ => unsafe { self.front()[0].cast_const() },
        }
    }

    /// The buffer a running task was submitted with.
    pub(crate) fn input_buffer(&self) -> Option<NonNull<super::buffer::Buffer>> {
        let seen = self.snapshot();
        if self.kind() != Kind::Buffer || !seen.has(IN_TASK) {
            return None;
        }
        // SAFETY: `back` of such a cell does not change between its making and the return
        // of its function; whoever asks holds the promise during the call.
        let buffer = NonNull::new(unsafe { self.back() }.cast())?;
        // SAFETY: the cell's reference, which is only looked at, keeps the buffer alive.
        let visible = ManuallyDrop::new(unsafe { BufferRef::from_raw(buffer) }).is_visible();
        visible.then_some(buffer)
    }
}
