//! Section 7 of the header: one future.

use super::guard;
use super::handle;
use super::keys;
use super::status;
use super::task::Task;
use super::types::{
    cfut_buffer, cfut_done_fn, cfut_executor, cfut_free_fn, cfut_future, cfut_status, cfut_task,
    cfut_then_fn,
};
use crate::error::{Error, Result, fail};
use crate::future::cell::TaskCell;
use crate::future::due::{self, Moved};
use crate::future::hook::{Action, DoneFn, Hook};
use crate::future::promise::{self, Cancel, Reach};
use crate::future::remote;
use crate::future::settle;
use crate::future::then::{self, ThenCall, ThenFn};
use crate::future::wait::{self, Waited};
use crate::platform::clock;
use crate::sync::Timeout;
use crate::unwind::contain;
use std::ffi::{c_char, c_void};
use std::ptr;

/// ---- 7. Futures ----------------------------------------------------------------------
///
/// Another handle of a future.
///
/// @param future borrowed; NULL gives NULL.
/// @return `future`, owned once more.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_retain(future: *mut cfut_future) -> *mut cfut_future {
    guard::value(future, || {
        // SAFETY: the contract of `ffi`.
        if let Ok(cell) = unsafe { handle::borrow_future(future) } {
            handle::give_future(cell.clone_ref());
        }
        Ok(future)
    })
}

/// Gives a handle back. The task runs all the same; a value nobody took is freed with the
/// last reference. Releasing a handle twice is undefined; with CFUT_CHECK=1 in the environment
/// it ends the program with a text.
///
/// @param future moved; NULL does nothing.
/// Thread: any, also callbacks of the future itself. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_release(future: *mut cfut_future) {
    // SAFETY: the contract of `ffi`. The way of most releases.
    if unsafe { !handle::release_plain(future) } {
        // SAFETY: the contract of `ffi`.
        unsafe { release_ordinarily(future) };
    }
}

/// # Safety
/// The contract of `ffi`.
#[inline(never)]
unsafe fn release_ordinarily(future: *mut cfut_future) {
    guard::value_then_calls((), || {
        // SAFETY: the contract of `ffi`.
        drop(unsafe { handle::take_future(future) });
        Ok(())
    });
}

/// Where a future is in its life. RUNNING means that the task's function has been entered, not
/// that it is near a worker.
///
/// @param future borrowed.
/// @return CFUT_STATE_PENDING, _RUNNING, _CANCELLED or _FINISHED; for NULL CFUT_STATE_FINISHED, so
/// that nobody waits for it.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_state(future: *const cfut_future) -> i32 {
    const FINISHED: i32 = 3;
    guard::value(FINISHED, || {
        // SAFETY: the contract of `ffi`.
        let cell = unsafe { handle::borrow_future(future) }?;
        let life = remote::life(cell);
        cell.note_seen();
        Ok(life as i32)
    })
}

/// Waits for the outcome. The time-out ends the wait, not the task; to end the task, give it a
/// CFUT_TASK_RUN_TIMEOUT_NS or cancel it.
///
/// In a task of a pool, a wait without a time-out for a future of that pool that has not
/// started runs it here; otherwise another worker stands in while this one sleeps. Threads
/// outside do the former only with CFUT_OPT_WAITERS_HELP. A wait with a time-out never runs
/// anything.
///
/// @param future borrowed.
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
/// @return CFUT_OK: it succeeded; CFUT_FAILED, CFUT_CANCELLED, CFUT_CRASHED, CFUT_EXPIRED,
/// CFUT_BROKEN: it ended so; CFUT_TIMEOUT: it has not ended; CFUT_EINVAL: NULL; CFUT_EDEADLK:
/// it could end only after this task has; CFUT_EFORKED: it will end in the parent process.
/// Thread: any. Blocks: up to `timeout_ns`; goes on over signals. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_wait(
    future: *mut cfut_future,
    timeout_ns: i64,
) -> cfut_status {
    // The most common answer first. A released future has another outcome in its mark.
    // SAFETY: the contract of `ffi`.
    if unsafe { handle::succeeded(future) } {
        return status::OK;
    }
    wait_slowly(future, timeout_ns)
}

#[inline(never)]
fn wait_slowly(future: *mut cfut_future, timeout_ns: i64) -> cfut_status {
    // SAFETY: the contract of `ffi`.
    let at_once = guard::status(|| Ok(wait_now(unsafe { handle::borrow_future(future) }?)));
    if at_once != status::TIMEOUT || timeout_ns == 0 {
        return at_once;
    }
    // SAFETY: as above, and it is not NULL. The reference keeps it if a callback or another
    // thread releases the caller's.
    let Ok(kept) = contain(|| unsafe { handle::borrow_future(future) }.map(TaskCell::clone_ref))
    else {
        return status::EPANIC;
    };
    let status = match kept {
        Ok(ref kept) => wait_for(kept, Timeout::from_ns(timeout_ns)),
        Err(Error(kind)) => status::of_error(kind),
    };
    let _ = contain(|| drop(kept));
    due::run_pending();
    status
}

#[inline(always)]
fn wait_now(cell: &TaskCell) -> cfut_status {
    let seen = cell.snapshot();
    if seen.is_settled() {
        cell.note_seen_in(seen);
        status::of_outcome(seen.outcome())
    } else if cell.is_inherited() {
        inherited()
    } else {
        status::TIMEOUT
    }
}

#[cold]
fn inherited() -> cfut_status {
    status::of_error(wait::inherited().0)
}

/// Waits for one future. Not contained: may run tasks and callbacks.
pub(super) fn wait_for(cell: &TaskCell, timeout: Timeout) -> cfut_status {
    match wait::wait_for(cell, timeout) {
        Ok(Waited::Settled(outcome)) => status::of_outcome(outcome),
        Ok(Waited::TimedOut) => status::TIMEOUT,
        Err(Error(kind)) => status::of_error(kind),
    }
}

/// The result bytes of a finished future, or of a failed one that has details; for a buffer
/// result the buffer's bytes. Aligned to 16 bytes.
///
/// @param future borrowed; NULL has no bytes.
/// @param len NULL, or written in any case: the length; 0 where there are no bytes.
/// @return borrowed, valid until the last release of the future; NULL before the end, and where
/// there are no bytes.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_bytes(
    future: *const cfut_future,
    len: *mut usize,
) -> *const c_void {
    // SAFETY: the contract of `ffi`. The way of small results.
    if let Some(cell) = unsafe { future.cast::<TaskCell>().as_ref() } {
        if let (Some((data, length)), false) = (cell.inline_bytes(), len.is_null()) {
            // SAFETY: the contract of `ffi`.
            unsafe { len.write(length) };
            return data;
        }
    }
    // SAFETY: the contract of `ffi`.
    unsafe { bytes(future, len) }
}

/// The ordinary way.
///
/// # Safety
/// The contract of `ffi`.
#[inline(never)]
unsafe fn bytes(future: *const cfut_future, len: *mut usize) -> *const c_void {
    guard::value_then_calls(ptr::null(), || {
        // SAFETY: the contract of `ffi`.
        let found = unsafe { handle::borrow_future(future) }.ok().and_then(|cell| {
            cell.mark_read();
            cell.bytes()
        });
        let (data, length) = found.unwrap_or((ptr::null(), 0));
        // SAFETY: the contract of `ffi`.
        if let Some(len) = unsafe { handle::optional_output(len) } {
            len.write(length);
        }
        Ok(data)
    })
}

/// The value of a finished future that was given with cfut_promise_set_value() or _fail_value().
///
/// @param future borrowed.
/// @return borrowed, valid until it is taken or the future is released for the last time; NULL
/// before the end, after cfut_future_take(), and where there is no value.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_value(future: *const cfut_future) -> *mut c_void {
    guard::value_then_calls(ptr::null_mut(), || {
        // SAFETY: the contract of `ffi`.
        let cell = unsafe { handle::borrow_future(future) }?;
        cell.mark_read();
        Ok(cell.value())
    })
}

/// Moves the value out of a finished future: to exactly one caller. Its free function will not
/// run.
///
/// @param future borrowed.
/// @return owned; NULL before the end, the second time, and where there is no value.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_take(future: *mut cfut_future) -> *mut c_void {
    guard::value_then_calls(ptr::null_mut(), || {
        // SAFETY: the contract of `ffi`.
        let cell = unsafe { handle::borrow_future(future) }?;
        cell.mark_read();
        Ok(cell.take_value())
    })
}

/// The buffer a finished future ended with.
///
/// @param future borrowed.
/// @return borrowed, valid until the last release of the future (retain it to keep it longer);
/// NULL before the end, and where there is no buffer.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_buffer(future: *const cfut_future) -> *mut cfut_buffer {
    guard::value_then_calls(ptr::null_mut(), || {
        // SAFETY: the contract of `ffi`.
        let cell = unsafe { handle::borrow_future(future) }?;
        cell.mark_read();
        let buffer = cell.buffer().filter(|buffer| buffer.is_visible());
        Ok(buffer.map_or(ptr::null_mut(), |buffer| buffer.as_ptr().as_ptr().cast()))
    })
}

/// The failure code: of a failed task what it returned or gave to cfut_promise_fail(); of one
/// whose thread ended in it CFUT_EPANIC; of a broken one that of the initializer.
///
/// @param future borrowed.
/// @return 0 before the end, and where there was no failure.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_code(future: *const cfut_future) -> i32 {
    // SAFETY: the contract of `ffi`.
    guard::value(0, || Ok(unsafe { handle::borrow_seen(future) }?.code()))
}

/// The message that goes with a failure, a time-out or a break.
///
/// @param future borrowed.
/// @return borrowed, valid until the last release of the future; "" before the end, and where
/// there is none; never NULL.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_message(future: *const cfut_future) -> *const c_char {
    guard::value(c"".as_ptr(), || {
        // SAFETY: the contract of `ffi`.
        Ok(unsafe { handle::borrow_seen(future) }?.message().as_c_str())
    })
}

/// A figure about a finished future: how long it was queued and ran, and what is known of a
/// worker process.
///
/// @param future borrowed.
/// @param key a CFUT_INFO_ key.
/// @param out 0 where the key does not apply; written on CFUT_OK only.
/// @return CFUT_OK; CFUT_PENDING: it has not ended; CFUT_EINVAL: NULL; CFUT_ENOTSUP: no such
/// key.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_info(
    future: *const cfut_future,
    key: i32,
    out: *mut i64,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (cell, out) = unsafe { (handle::borrow_future(future)?, handle::output(out, "out")?) };
        keys::find(keys::INFOS, key, "info")?;
        if !cell.snapshot().is_settled() {
            return Ok(status::PENDING);
        }
        cell.note_seen();
        let (queued, ran) = cell.durations();
        let value = match key {
            keys::INFO_QUEUED_NS => clock::ticks_to_ns(queued),
            keys::INFO_RUN_NS => clock::ticks_to_ns(ran),
            keys::INFO_ATTEMPTS => cell.attempts(),
            key => remote_info(cell, key),
        };
        out.write(i64::try_from(value).unwrap_or(i64::MAX));
        Ok(status::OK)
    })
}

/// What is known of the process that a task ran in.
fn remote_info(cell: &TaskCell, key: i32) -> u64 {
    let Some(process) = cell.process() else { return 0 };
    let death = cell.death().unwrap_or_default();
    match key {
        keys::INFO_WORKER_PID => u64::from(process.pid),
        keys::INFO_CPU_NS => process.cpu_ns,
        keys::INFO_MAX_RSS => process.max_rss,
        keys::INFO_EXIT_CODE => u64::from(death.exit_code),
        keys::INFO_SIGNAL => u64::from(death.signal),
        keys::INFO_OUT_OF_MEMORY => u64::from(death.out_of_memory),
        _ => 0,
    }
}

/// How far a task says it is, with cfut_promise_set_progress(); also after its end.
///
/// @param future borrowed.
/// @param done NULL, or written on CFUT_OK only; 0 before the task has said anything.
/// @param total NULL, or written on CFUT_OK only; 0 before the task has said anything.
/// @return CFUT_OK; CFUT_EINVAL: NULL future.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_progress(
    future: *const cfut_future,
    done: *mut u64,
    total: *mut u64,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let progress = promise::progress(unsafe { handle::borrow_future(future) }?);
        // SAFETY: the contract of `ffi`.
        unsafe {
            if let Some(done) = handle::optional_output(done) {
                done.write(progress.0);
            }
            if let Some(total) = handle::optional_output(total) {
                total.write(progress.1);
            }
        }
        Ok(status::OK)
    })
}

/// Cancels a future: one that has not started is CFUT_CANCELLED at once, for every kind of
/// waiter, and its arguments are freed. One that runs is asked to stop if `mode` says so; how
/// it then ends is up to the task (cfut_promise_set_cancelled() is how it agrees).
///
/// @param future borrowed.
/// @param mode CFUT_CANCEL_PENDING, _STOP or _KILL. Threads and promises made by hand cannot be
/// killed: with them _KILL is _STOP. Commands can (see cfut_task_new_command()).
/// @return CFUT_OK: cancelled, now or before; CFUT_PENDING: asked to stop; CFUT_TOO_LATE:
/// finished, or running and `mode` does not reach it; CFUT_EINVAL: NULL or an unknown mode;
/// CFUT_EFORKED.
/// Thread: any; callbacks of the future run in it. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_cancel(
    future: *mut cfut_future,
    mode: u32,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let future = unsafe { handle::borrow_future_ref(future) }?;
        const KILL: u32 = 2;
        if mode > KILL {
            return fail!(
                Invalid,
                "the cancel mode is {mode}; it is CFUT_CANCEL_PENDING, _STOP or _KILL"
            );
        }
        let reach = match mode {
            0 => Reach::Pending,
            KILL => Reach::Kill,
            _ => Reach::Stop,
        };
        Ok(match promise::cancel(&future, reach)? {
            Cancel::Done => status::OK,
            Cancel::Asked => status::PENDING,
            Cancel::TooLate => status::TOO_LATE,
        })
    })
}

/// Has a function called when the future settles: exactly once, functions of one future in
/// the order added, with no lock held. It may call everything, release the future and add
/// further functions.
///
/// With an executor it is called there, as a task (its queue bound does not hold it up); if that
/// executor has been shut down, or there is no memory left, as without one. Without one it is
/// called in the thread that settles the future (a worker, or whoever cancels; for a time-out
/// the pool's monitor, which it must not hold up), or, if the future is settled, here and now.
/// Such functions do not nest: one that becomes due while another one runs in the same thread
/// runs after it, or when that one waits.
///
/// @param future borrowed; it is alive during the call of `fn`.
/// @param executor retained until the call; NULL: see above.
/// @param fn the function.
/// @param arg moved, also when this call fails: `arg_free` is called once, after `fn`, in the same
/// thread; in this one if the call fails.
/// @param arg_free NULL for none.
/// @return CFUT_OK; CFUT_EINVAL: NULL future or fn; CFUT_ENOMEM; CFUT_EFORKED: the executor is
/// the parent process's; CFUT_ENOTSUP: the executor's tasks run in other processes.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_on_done(
    future: *mut cfut_future,
    executor: *mut cfut_executor,
    r#fn: cfut_done_fn,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
) -> cfut_status {
    let mut moved = Moved { argument: arg, free: arg_free };
    let status = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let future = unsafe { handle::borrow_future_ref(future) }?;
        let function: DoneFn = match r#fn {
            // SAFETY: the types differ in what their opaque pointers are called.
            Some(function) => unsafe { std::mem::transmute::<_, DoneFn>(function) },
            None => return fail!(Invalid, "the callback is NULL"),
        };
        // SAFETY: the contract of `ffi`.
        match unsafe { handle::borrow_optional_executor(executor) } {
            Some(executor) => {
                executor.check_fork()?;
                executor.refuse_calls()?;
                let owner = Some(executor.retain());
                then::continue_with(
                    &future,
                    owner,
                    ThenCall::Callback(function),
                    arg,
                    arg_free,
                    None,
                )?;
            }
            None => {
                settle::check_fork(&future)?;
                let action = Action::Callback(function, arg, arg_free);
                let hook =
                    Hook::allocate(action).ok_or_else(|| Error::no_memory("a callback", 64))?;
                settle::hook_in(&future, hook);
            }
        }
        moved.hand_on();
        Ok(status::OK)
    });
    drop(moved);
    due::run_pending();
    status
}

/// Makes a future for `fn(input)`, a task that starts when `future` settles, however it does.
/// Cancelling it before it starts does not touch `future`.
///
/// @param future retained until the task has run, or will not.
/// @param executor where it runs, retained until it is queued; NULL, or shut down by then: in
/// the thread that settles `future`, as with cfut_future_on_done().
/// @param fn the function.
/// @param arg moved, also when this call fails: `arg_free` is called once, after `fn`, or when it
/// is certain that `fn` will not be called.
/// @param arg_free NULL for none; runs in the thread that ran, cancelled or refused the task.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL future, fn or out; CFUT_ENOMEM; CFUT_EFORKED: the executor is
/// the parent process's; CFUT_ENOTSUP: the executor's tasks run in other processes.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_then(
    future: *mut cfut_future,
    executor: *mut cfut_executor,
    r#fn: cfut_then_fn,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
    out: *mut *mut cfut_future,
) -> cfut_status {
    let mut moved = Moved { argument: arg, free: arg_free };
    let status = guard::status(|| {
        let function: ThenFn = match r#fn {
            // SAFETY: the types differ in what their opaque pointers are called.
            Some(function) => unsafe { std::mem::transmute::<_, ThenFn>(function) },
            None => return fail!(Invalid, "the continuation is NULL"),
        };
        let call = ThenCall::Then(function);
        // SAFETY: the contract of `ffi`.
        let executor = unsafe { handle::borrow_optional_executor(executor) };
        if let Some(executor) = executor {
            executor.refuse_calls()?;
        }
        // SAFETY: the contract of `ffi`.
        unsafe { continue_with(future, executor, call, arg, arg_free, None, out) }?;
        moved.hand_on();
        Ok(status::OK)
    });
    drop(moved);
    due::run_pending();
    status
}

/// As cfut_future_then(), portable to every kind of executor: `task` gets the bytes of `future`
/// (none if it has none). If `future` does not succeed, the new future ends the same way, with
/// its code and message, without running the task.
///
/// The options of the task apply: its priority when it is queued, once `future` has settled;
/// CFUT_TASK_TOTAL_TIMEOUT_NS from this call on, also while `future` is awaited;
/// CFUT_TASK_QUEUE_TIMEOUT_NS from when it is queued; CFUT_TASK_RUN_TIMEOUT_NS from its start.
///
/// @param future retained until the task has run, or will not.
/// @param executor where it runs, retained until it is queued; if it is shut down by then, the task
/// runs in the thread that settles `future`. A task with time-outs, which nobody would keep, does
/// not: it ends as CFUT_BROKEN, at the latest with the end of the executor, or as CFUT_CANCELLED if
/// that was shut down with CFUT_SHUTDOWN_CANCEL.
/// @param task borrowed; it may be changed or freed at once.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM; CFUT_EFORKED: the executor is the parent
/// process's; CFUT_ENOENT: its name means nothing in this process; if the task has time-outs also
/// CFUT_ESHUTDOWN and CFUT_BROKEN: the executor takes no more work; CFUT_ESYS: no thread could be
/// made to keep them.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_future_pipe(
    future: *mut cfut_future,
    executor: *mut cfut_executor,
    task: *const cfut_task,
    out: *mut *mut cfut_future,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (executor, task) =
            unsafe { (handle::borrow_executor(executor)?, handle::borrow_builder::<Task>(task)?) };
        let call = ThenCall::Pipe(task.function_for(executor)?);
        let spec = task.spec().cloned();
        // SAFETY: the contract of `ffi`.
        unsafe { continue_with(future, Some(executor), call, ptr::null_mut(), None, spec, out) }
    })
}

/// # Safety
/// The contract of `ffi`.
unsafe fn continue_with(
    future: *mut cfut_future,
    executor: Option<crate::executor::Executor<'_>>,
    call: ThenCall,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
    spec: Option<crate::shared::Shared<crate::future::extra::Spec>>,
    out: *mut *mut cfut_future,
) -> Result<cfut_status> {
    // SAFETY: by the contract.
    let (future, out) =
        unsafe { (handle::borrow_future_ref(future)?, handle::output(out, "out")?) };
    if let Some(executor) = executor {
        executor.check_fork()?;
    }
    let owner = executor.map(|executor| executor.retain());
    if let Some(made) = then::continue_with(&future, owner, call, arg, arg_free, spec)? {
        out.write(handle::give_future(made));
    }
    Ok(status::OK)
}
