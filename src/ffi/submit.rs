//! Section 5 of the header: handing work to an executor.

use super::guard;
use super::handle;
use super::status;
use super::task::{Task, any_task_fn, task_fn};
use super::types::{
    cfut_buffer, cfut_closure_fn, cfut_executor, cfut_free_fn, cfut_future, cfut_status, cfut_task,
    cfut_task_fn,
};
use crate::error::{Error, Result, fail};
use crate::executor::{Executor, Submitted};
use crate::future::cell::{ClosureFn, TaskRef};
use crate::future::due::{self, Moved};
use crate::future::make::{Data, Work};
use crate::future::owner::OwnerRef;
use std::ffi::c_void;
use std::ptr::NonNull;

/// A task that its submitter runs, because the queue is full.
pub(super) struct RunHere {
    executor: OwnerRef,
    task: TaskRef,
}

/// Runs what a submit left to its caller, and what has become due: with an error, or where a view's
/// parent has refused a task. Not contained: calls the user.
#[inline(always)]
pub(super) fn finish(left: Option<RunHere>) {
    if let Some(left) = left {
        run_here(left);
    }
    due::run_pending();
}

#[cold]
fn run_here(left: RunHere) {
    // SAFETY: the reference keeps the executor.
    unsafe { Executor::from_ptr(left.executor.as_ptr()) }.run_here(left.task);
}

/// Writes the handle of an accepted task.
#[inline(always)]
pub(super) fn accept(
    executor: Executor<'_>,
    submitted: Submitted,
    out: *mut *mut cfut_future,
    left: &mut Option<RunHere>,
) -> cfut_status {
    let handle = match submitted {
        Submitted::Queued(handle) => handle,
        Submitted::RunHere(task, handle) => {
            *left = Some(RunHere { executor: executor.retain(), task });
            handle
        }
    };
    if let (Some(handle), Some(out)) = (handle, NonNull::new(out)) {
        // SAFETY: the contract of `ffi`.
        unsafe { out.write(handle::give_future(handle)) };
    }
    status::OK
}

/// ---- 5. Submit -----------------------------------------------------------------------
///
/// Hands a task to an executor: `fn` will be called with a copy of the data. Either the task
/// is accepted, and its future will settle, or the call fails and the task never runs.
///
/// @param executor borrowed.
/// @param fn the function.
/// @param data copied, `len` bytes (8 or fewer cost nothing extra, up to 960 no allocation);
/// NULL with 0. To hand over more without copying, see cfut_submit_buffer().
/// @param out NULL: fire and forget, a failure then goes to the log; else the future, owned.
/// Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_BROKEN: the executor broke, the reason is in cfut_last_error();
/// CFUT_EINVAL: NULL executor or fn, NULL data with a length, a length no object can have;
/// CFUT_ENOMEM; CFUT_ESHUTDOWN; CFUT_EFULL: the queue is full, and the policy is to reject or
/// the time to wait has passed; CFUT_EFORKED; CFUT_ESYS: the executor has no thread and could
/// not make one (the next submit tries again).
/// Thread: any. Blocks: only while the queue is full, with CFUT_FULL_BLOCK. With
/// CFUT_FULL_RUN_IN_CALLER, and in a task of the executor itself with either, a full queue
/// has the task run inside this call. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_submit(
    executor: *mut cfut_executor,
    r#fn: cfut_task_fn,
    data: *const c_void,
    len: usize,
    out: *mut *mut cfut_future,
) -> cfut_status {
    // SAFETY: the contract of `ffi`.
    if let (Some(word), false) = (unsafe { small_data(data, len) }, out.is_null()) {
        // SAFETY: the contract of `ffi`.
        if let Some(accepted) = unsafe { submit_straight(executor, r#fn, word, out) } {
            return answer(accepted);
        }
    }
    // SAFETY: the contract of `ffi`.
    unsafe { submit_bytes(executor, r#fn, data, len, out) }
}

/// Argument bytes that fit the cell and whose number is that of a common type; None: others.
///
/// # Safety
/// The contract of `ffi`.
#[inline(always)]
unsafe fn small_data(data: *const c_void, len: usize) -> Option<Data<'static>> {
    let mut word = [0u8; 8];
    // SAFETY: by the contract the bytes are there.
    unsafe {
        match len {
            8 if !data.is_null() => word = data.cast::<[u8; 8]>().read(),
            0 => {}
            _ if data.is_null() => return None,
            4 => word[..4].copy_from_slice(&data.cast::<[u8; 4]>().read()),
            _ => return None,
        }
    }
    Some(Data::Word(usize::from_ne_bytes(word), len))
}

/// The way of most submits. None: nothing was done, and the ordinary way, which is contained
/// and says why, has to be gone.
///
/// # Safety
/// The contract of `ffi`.
#[inline(always)]
unsafe fn submit_straight(
    executor: *mut cfut_executor,
    function: cfut_task_fn,
    data: Data<'_>,
    out: *mut *mut cfut_future,
) -> Option<Result<()>> {
    let (Some(executor), Some(function)) = (NonNull::new(executor), any_task_fn(function)) else {
        return None;
    };
    // SAFETY: by the contract the executor is alive, and `out` is NULL or has room for a
    // handle, which is a pointer to a cell. Where handles are noted (`checks`), no cell is at
    // hand, and nothing is done.
    unsafe { Executor::from_ptr(executor.cast()).submit_straight(function, data, out.cast()) }
}

#[inline(always)]
fn answer(accepted: Result<()>) -> cfut_status {
    match accepted {
        Ok(()) => status::OK,
        Err(error) => refused(error),
    }
}

/// A refusal may have ended the executor, and with it tasks that it kept the time of.
#[cold]
fn refused(error: Error) -> cfut_status {
    due::run_pending();
    status::of_error(error.0)
}

/// The ordinary way of a submit, and the straight one for what is less common.
///
/// # Safety
/// The contract of `ffi`.
#[inline(never)]
unsafe fn submit_bytes(
    executor: *mut cfut_executor,
    function: cfut_task_fn,
    data: *const c_void,
    len: usize,
    out: *mut *mut cfut_future,
) -> cfut_status {
    // SAFETY: the contract of `ffi`.
    let data_here = unsafe {
        match len {
            0..=8 => small_data(data, len),
            _ if data.is_null() || len > isize::MAX as usize => None,
            _ => Some(Data::Tail(std::slice::from_raw_parts(data.cast::<u8>(), len))),
        }
    };
    if let Some(data) = data_here {
        // SAFETY: the contract of `ffi`.
        if let Some(accepted) = unsafe { submit_straight(executor, function, data, out) } {
            return answer(accepted);
        }
    }
    let mut left = None;
    let status = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (executor, data) =
            unsafe { (handle::borrow_executor(executor)?, handle::borrow_bytes(data, len)?) };
        let work = Work::Bytes(task_fn(function)?, data);
        let submitted = executor.submit(work, len as u64, None, !out.is_null())?;
        Ok(accept(executor, submitted, out, &mut left))
    });
    finish(left);
    status
}

/// As cfut_submit(), with the options of a task builder.
///
/// @param executor borrowed.
/// @param task borrowed; it may be changed or freed at once.
/// @param data copied, `len` bytes; NULL with 0.
/// @param out NULL: fire and forget, a failure then goes to the log; else the future, owned.
/// Written on CFUT_OK only.
/// @return As cfut_submit(), CFUT_EINVAL also for a NULL task; CFUT_ESYS also if no thread could be
/// made to keep the task's time-outs; CFUT_ENOENT: the task's name means nothing in this process,
/// or there is no program to start commands with; CFUT_ESYS also if commands cannot be followed.
/// Thread: any. Blocks: as cfut_submit(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_submit_task(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    data: *const c_void,
    len: usize,
    out: *mut *mut cfut_future,
) -> cfut_status {
    let mut left = None;
    let status = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (executor, task, data) = unsafe {
            (
                handle::borrow_executor(executor)?,
                handle::borrow_builder::<Task>(task)?,
                handle::borrow_bytes(data, len)?,
            )
        };
        let work = Work::Bytes(task.function_for(executor)?, data);
        let submitted = executor.submit(work, len as u64, task.spec(), !out.is_null())?;
        Ok(accept(executor, submitted, out, &mut left))
    });
    finish(left);
    status
}

/// As cfut_submit_task(), but the task works on the bytes of a buffer, which are not copied on
/// any kind of executor. The task can get the buffer itself with cfut_promise_input().
///
/// @param executor borrowed.
/// @param task borrowed; it may be changed or freed at once.
/// @param buffer retained until the task has returned, or will not run.
/// @param out NULL: fire and forget, a failure then goes to the log; else the future, owned.
/// Written on CFUT_OK only.
/// @return As cfut_submit_task(), CFUT_EINVAL also for a NULL buffer.
/// Thread: any. Blocks: as cfut_submit(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_submit_buffer(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    buffer: *mut cfut_buffer,
    out: *mut *mut cfut_future,
) -> cfut_status {
    let mut left = None;
    let status = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (executor, task, buffer) = unsafe {
            (
                handle::borrow_executor(executor)?,
                handle::borrow_builder::<Task>(task)?,
                handle::borrow_buffer(buffer)?,
            )
        };
        let bytes = buffer.len() as u64;
        let work = Work::Buffer(task.function_for(executor)?, (*buffer).clone());
        let submitted = executor.submit(work, bytes, task.spec(), !out.is_null())?;
        Ok(accept(executor, submitted, out, &mut left))
    });
    finish(left);
    status
}

/// Hands a function and a pointer to an executor of this process: what C++ lambdas and FFI
/// callbacks use.
///
/// @param executor borrowed.
/// @param fn the function.
/// @param arg moved, also when the call fails: `arg_free` is called once, after the function
/// has returned, or when it is certain that it will not be called.
/// @param arg_free NULL for none; runs in the thread that ran, cancelled or refused the task.
/// @param out NULL: fire and forget, a failure then goes to the log; else the future, owned.
/// Written on CFUT_OK only.
/// @return As cfut_submit(); CFUT_ENOTSUP: the executor's tasks run in other processes.
/// Thread: any. Blocks: as cfut_submit(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_submit_closure(
    executor: *mut cfut_executor,
    r#fn: cfut_closure_fn,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
    out: *mut *mut cfut_future,
) -> cfut_status {
    let mut left = None;
    let mut moved = Moved { argument: arg, free: arg_free };
    let status = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let executor = unsafe { handle::borrow_executor(executor) }?;
        let work = Work::Closure(closure_fn(r#fn)?, arg, arg_free);
        let submitted = executor.submit(work, 0, None, !out.is_null())?;
        moved.hand_on();
        Ok(accept(executor, submitted, out, &mut left))
    });
    drop(moved);
    finish(left);
    status
}

pub(super) fn closure_fn(function: cfut_closure_fn) -> Result<ClosureFn> {
    match function {
        // SAFETY: the types differ in what their opaque pointers are called.
        Some(function) => Ok(unsafe { std::mem::transmute::<_, ClosureFn>(function) }),
        None => fail!(Invalid, "the closure function is NULL"),
    }
}

/// Hands `count` tasks to an executor, over consecutive items: all or none, in order, with one
/// wake-up. Each task has a future of its own.
///
/// @param executor borrowed.
/// @param task borrowed; it may be changed or freed at once.
/// @param items copied, `count` times `item_size` bytes; NULL with 0.
/// @param item_size bytes of an item.
/// @param count 0: nothing is done.
/// @param out NULL: fire and forget; else room for `count` futures, each owned. Written on
/// CFUT_OK only (and not with `count` 0).
/// @return As cfut_submit_task(). CFUT_EINVAL also for an item size of 0 with items, and where
/// the items are more bytes than any object can have. A full queue takes the whole batch
/// once it is empty, however large; with CFUT_FULL_RUN_IN_CALLER, and in a task of the
/// executor itself, at once.
/// Thread: any. Blocks: as cfut_submit(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_submit_many(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    items: *const c_void,
    item_size: usize,
    count: usize,
    out: *mut *mut cfut_future,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (executor, task) =
            unsafe { (handle::borrow_executor(executor)?, handle::borrow_builder::<Task>(task)?) };
        if count == 0 {
            return Ok(status::OK);
        }
        if item_size == 0 {
            return fail!(Invalid, "item_size is 0, but count is {count}");
        }
        let Some(total) = item_size.checked_mul(count) else {
            return fail!(
                Invalid,
                "{count} items of {item_size} bytes are more than any object has"
            );
        };
        // SAFETY: the contract of `ffi`.
        let items: &'static [u8] = unsafe { handle::borrow_bytes(items, total) }?;
        if count > isize::MAX as usize / 8 {
            return Err(Error::no_memory("a batch of tasks", usize::MAX));
        }
        let function = task.function_for(executor)?;
        let work = |place: usize| {
            Work::Bytes(function, &items[place * item_size..(place + 1) * item_size])
        };
        // SAFETY: `out` has room for `count` handles, which are pointers to cells.
        unsafe {
            executor.submit_many(work, item_size, count, task.spec(), NonNull::new(out.cast()))?;
            for place in 0..if out.is_null() { 0 } else { count } {
                crate::checks::given("future", *out.add(place));
            }
        }
        Ok(status::OK)
    })
}
