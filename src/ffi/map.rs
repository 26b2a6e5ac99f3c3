//! Section 6 of the header: maps and parallel loops.
//!
//! Making and reading a map asks its source, so nothing of that runs inside the guard: the room
//! `map` contains its own steps.

use super::guard;
use super::handle::{self, Output};
use super::status;
use super::submit::{accept, closure_fn, finish};
use super::task::Task;
use super::types::{
    cfut_closure_fn, cfut_executor, cfut_free_fn, cfut_future, cfut_map, cfut_range_fn,
    cfut_source_fn, cfut_status, cfut_task,
};
use crate::error::{Error, Result, fail};
use crate::executor::Executor;
use crate::future::due::{self, Moved};
use crate::future::extra::Spec;
use crate::map::{self, Array, Closures, Filled, Items, Next, Pace, RangeFn, Source};
use crate::shared::Shared;
use crate::sync::Timeout;
use crate::unwind::contain;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// What a call has checked: with it, the rest cannot be wrong use.
struct Checked<'a> {
    executor: Executor<'a>,
    items: Items,
    pace: Pace,
    spec: Option<&'a Shared<Spec>>,
}

/// Runs checks inside the guard.
fn check<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    contain(body).unwrap_or_else(|panic| Err(panic.into_error()))
}

/// The second half of the makers: not contained.
fn make(checked: Result<(Checked<'_>, Output<*mut cfut_map>)>) -> cfut_status {
    let made = checked.and_then(|(checked, out)| {
        let Checked { executor, items, pace, spec } = checked;
        map::create(executor, items, pace, spec).map(|map| out.write(handle::give_map(map)))
    });
    due::run_pending();
    made.map_or_else(|error| status::of_error(error.0), |()| status::OK)
}

/// # Safety
/// The contract of `ffi`; the array stays as it is for as long as the answer is used.
unsafe fn check_array<'a>(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    items: *const c_void,
    item_size: usize,
    count: usize,
) -> Result<Checked<'a>> {
    // SAFETY: the contract of `ffi`.
    let (executor, task) =
        unsafe { (handle::borrow_executor(executor)?, handle::borrow_builder::<Task>(task)?) };
    if item_size == 0 && count > 0 {
        return fail!(Invalid, "item_size is 0, but count is {count}");
    }
    let Some(total) = item_size.checked_mul(count) else {
        return fail!(Invalid, "{count} items of {item_size} bytes are more than any object has");
    };
    // SAFETY: the contract of `ffi`.
    let items = unsafe { handle::borrow_bytes(items, total) }?;
    let function = task.function_for(executor)?;
    // SAFETY: by the contract.
    let items = Items::Array(unsafe { Array::new(function, items, item_size, count) });
    let spec = task.spec();
    let pace = Pace::new(executor, spec.map(|spec| &**spec), item_size);
    Ok(Checked { executor, items, pace, spec })
}

/// ---- 6. Map and parallel loops -------------------------------------------------------
///
/// Makes a map: a task for each item of an array, and their results in input order. Items are
/// handed to the executor ahead of the reader, up to the window, and more as results are read.
/// An item is a task like any other, with an outcome of its own, also where several are handed
/// out at once (CFUT_TASK_CHUNK).
///
/// CFUT_TASK_TOTAL_TIMEOUT_NS is for the whole map: each item that has not ended by then is
/// CFUT_EXPIRED. The other options are for each item. Where the executor has a bound
/// (CFUT_OPT_QUEUE_LIMIT, _BYTES), a full queue makes the map hand out fewer as long as items are
/// outstanding; with none outstanding one is submitted as by cfut_submit(), which may wait, or
/// answer CFUT_EFULL.
///
/// @param executor retained by the map, which so may outlive the caller's handle.
/// @param task borrowed; it may be changed or freed at once.
/// @param items copied, `count` times `item_size` bytes; NULL with 0.
/// @param item_size bytes of an item.
/// @param count number of items; 0: a map at its end.
/// @param out owned; free with cfut_map_free() or cfut_map_detach(). Written on CFUT_OK only.
/// @return As cfut_submit_many(): if not even the first item could be handed out. CFUT_EINVAL
/// also for a NULL out.
/// Thread: any. Blocks: only while a bounded queue has no room for one item. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_new(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    items: *const c_void,
    item_size: usize,
    count: usize,
    out: *mut *mut cfut_map,
) -> cfut_status {
    make(check(|| {
        // SAFETY: the contract of `ffi`.
        let out = unsafe { handle::output(out, "out") }?;
        // SAFETY: the contract of `ffi`.
        Ok((unsafe { check_array(executor, task, items, item_size, count) }?, out))
    }))
}

/// As cfut_map_new(), from a source that is asked for the next item. It is asked by the thread
/// that makes or reads the map, inside that call, and only if the window has room: a source need
/// not end. An item's bytes are copied before it is asked again.
///
/// A source answers 0 with an item, CFUT_END after the last, or a negative status, which ends
/// the map: the items so far are read, then that status once, then CFUT_END. Any other answer,
/// and an item that is NULL with a length, ends it with CFUT_EINVAL. It is not asked any more
/// after any of these, when the time of the map has passed, and when the executor is shut
/// down or broken: what it had given until then settles, and in the last case CFUT_ESHUTDOWN or
/// CFUT_BROKEN follows, once, with no future. With CFUT_WINDOW_ALL it is asked to its end before
/// this returns.
///
/// @param executor retained by the map.
/// @param task borrowed; it may be changed or freed at once.
/// @param next asked for items. It may use the library, but not this map.
/// @param arg moved, also when the call fails: `arg_free` is called once, when the map is freed.
/// @param arg_free NULL for none.
/// @param out owned; free with cfut_map_free() or cfut_map_detach(). Written on CFUT_OK only.
/// @return As cfut_map_new(). A source that fails at once is told by cfut_map_next().
/// Thread: any. Blocks: as cfut_map_new(), and as long as the source does. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_new_source(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    next: cfut_source_fn,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
    out: *mut *mut cfut_map,
) -> cfut_status {
    let mut moved = Moved { argument: arg, free: arg_free };
    let checked = check(|| {
        // SAFETY: the contract of `ffi`.
        let (out, executor, task) = unsafe {
            (
                handle::output(out, "out")?,
                handle::borrow_executor(executor)?,
                handle::borrow_builder::<Task>(task)?,
            )
        };
        let next = match next {
            Some(next) => next,
            None => return fail!(Invalid, "the source is NULL"),
        };
        let function = task.function_for(executor)?;
        let argument = Moved { argument: arg, free: arg_free };
        moved.hand_on();
        let items = Items::Source(Source::new(function, next, argument));
        let spec = task.spec();
        let pace = Pace::new(executor, spec.map(|spec| &**spec), 0);
        Ok((Checked { executor, items, pace, spec }, out))
    });
    drop(moved);
    make(checked)
}

/// The outcome of the next item. Waits for it as cfut_future_wait() does: in a task of the
/// executor, a wait without a time-out may run it here.
///
/// A failure of an item does not end the map. When the executor has been shut down or is broken,
/// items that were not handed out end as CFUT_CANCELLED or CFUT_BROKEN. A wait that answers
/// CFUT_TIMEOUT, and a failure of the call, lose nothing: the next call is for the same item.
///
/// A map is used by one thread at a time. It may be freed in a callback or in its source while
/// this call is going on: then this answers CFUT_END.
///
/// @param map borrowed.
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds. The source is asked all the same.
/// @param out the item's future, borrowed until the next call on the map (retain it to keep it);
/// written for each outcome. With any other answer NULL is written.
/// @return CFUT_OK, CFUT_FAILED, CFUT_CANCELLED, CFUT_CRASHED, CFUT_EXPIRED, CFUT_BROKEN: so
/// it ended (CFUT_BROKEN without a future: see cfut_map_new_source()); CFUT_TIMEOUT: it has not
/// ended, or the queue has no room for it yet; CFUT_END: there are no more; the status of a source
/// that failed; CFUT_EINVAL: NULL; CFUT_EDEADLK: the wait could never end, or another call on this map
/// is going on; CFUT_EFULL, CFUT_ENOMEM, CFUT_ESYS: the next item could not be handed out, and
/// none is outstanding; CFUT_ESHUTDOWN: as CFUT_BROKEN without a future; CFUT_EFORKED.
/// Thread: one at a time for each map. Blocks: up to `timeout_ns`, and as long as the source
/// does. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_next(
    map: *mut cfut_map,
    timeout_ns: i64,
    out: *mut *mut cfut_future,
) -> cfut_status {
    let checked = check(|| {
        // SAFETY: the contract of `ffi`.
        unsafe { Ok((handle::borrow_map(map)?, handle::output(out, "out")?)) }
    });
    let (map, out) = match checked {
        Ok(checked) => checked,
        Err(error) => return status::of_error(error.0),
    };
    // SAFETY: the contract of `ffi`.
    let next = unsafe { map::next(map, Timeout::from_ns(timeout_ns)) };
    let (status, future) = match next {
        Next::Item(outcome, cell) => (status::of_outcome(outcome), cell.as_ptr().cast()),
        Next::TimedOut => (status::TIMEOUT, ptr::null_mut()),
        Next::End => (status::END, ptr::null_mut()),
        Next::Status(status) => (status, ptr::null_mut()),
        Next::Failed(error) => (status::of_error(error.0), ptr::null_mut()),
    };
    out.write(future);
    due::run_pending();
    status
}

/// As cfut_map_new(), for closures in place of items: results in input order of a function that
/// is called with each of the pointers. All options are the defaults.
///
/// @param executor retained by the map.
/// @param fn called once with each of `args`.
/// @param args moved, each of the `count` pointers, also when the call fails: `arg_free` is called
/// once for each. The array itself is borrowed for the call; NULL with 0.
/// @param count number of pointers.
/// @param arg_free NULL for none.
/// @param out owned; free with cfut_map_free() or cfut_map_detach(). Written on CFUT_OK only.
/// @return As cfut_map_new(); CFUT_ENOTSUP: the executor's tasks run in other processes.
/// Thread: any. Blocks: as cfut_map_new(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_new_closure(
    executor: *mut cfut_executor,
    r#fn: cfut_closure_fn,
    args: *const *mut c_void,
    count: usize,
    arg_free: cfut_free_fn,
    out: *mut *mut cfut_map,
) -> cfut_status {
    let checked = check(|| {
        // SAFETY: the contract of `ffi`.
        let (out, executor) =
            unsafe { (handle::output(out, "out")?, handle::borrow_executor(executor)?) };
        let function = closure_fn(r#fn)?;
        if args.is_null() && count > 0 {
            return fail!(Invalid, "args is NULL, but count is {count}");
        }
        if executor.is_elsewhere() {
            return fail!(
                NotSupported,
                "the executor's tasks run in other processes, where closures of this one cannot be \
                 called; use cfut_map_new"
            );
        }
        // SAFETY: the contract of `ffi`.
        let items = Items::Closures(unsafe { Closures::new(function, args, count, arg_free) });
        let pace = Pace::new(executor, None, 0);
        Ok((Checked { executor, items, pace, spec: None }, out))
    });
    if checked.is_err() && !args.is_null() {
        for place in 0..count {
            // SAFETY: the contract of `ffi`: `count` pointers.
            let argument = unsafe { *args.add(place) };
            drop(Moved { argument, free: arg_free });
        }
    }
    make(checked)
}

/// Frees a map: what has not started is cancelled, what runs goes on unseen, and a source is not
/// asked any more. Allowed in callbacks and in the source, also while a call on the map is going
/// on below them: then it is freed when that call returns.
///
/// @param map moved; NULL does nothing.
/// Thread: one at a time for each map. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_free(map: *mut cfut_map) {
    // SAFETY: the contract of `ffi`.
    let map = check(|| Ok(unsafe { handle::take_map(map) }));
    if let Ok(Some(map)) = map {
        // SAFETY: the contract of `ffi`.
        unsafe { map::free(map) };
        due::run_pending();
    }
}

/// Frees the handle of a map, all of which runs: what the window has held back is handed out now,
/// with nobody to see the results; a failure goes to the log. A source is asked by this call, to
/// its end. What an executor does not take any more is told to the log.
///
/// @param map moved; NULL does nothing.
/// Thread: one at a time for each map. Blocks: while a bounded queue is full, whatever its policy;
/// and until a source has ended. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_detach(map: *mut cfut_map) {
    // SAFETY: the contract of `ffi`.
    let map = check(|| Ok(unsafe { handle::take_map(map) }));
    if let Ok(Some(map)) = map {
        // SAFETY: the contract of `ffi`.
        unsafe { map::detach(map) };
        due::run_pending();
    }
}

/// Maps an array to another one: the result of each item goes to the place that the item has.
/// A shorter result leaves the rest of its place zero, and so does an item that does not succeed.
/// A result that is longer than its place fails its item. The window and the time-outs are
/// those of a map (cfut_map_new()).
///
/// @param executor borrowed.
/// @param task borrowed.
/// @param items borrowed for the call, `count` times `item_size` bytes; NULL with 0.
/// @param item_size bytes of an item.
/// @param count number of items; 0: nothing is done.
/// @param results `count` times `result_size` bytes, written if the call answers CFUT_OK, an
/// outcome or CFUT_TIMEOUT, and not after it has returned; NULL if there are none.
/// @param result_size bytes of the place of a result; 0: results are dropped.
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds for all of it. When they have passed,
/// what has not started is cancelled and what runs is asked to stop.
/// @return CFUT_OK: all items succeeded; else as the first, by index, that did not: CFUT_FAILED,
/// CFUT_CANCELLED, CFUT_CRASHED, CFUT_EXPIRED, CFUT_BROKEN, or CFUT_TIMEOUT: it had not ended in
/// time; cfut_last_error() has its index, code and message. All other items have their results.
/// A failure of the call: as cfut_map_new(), CFUT_EINVAL also for NULL results; CFUT_EDEADLK: as
/// cfut_future_wait().
/// Thread: any; in a task of the executor a wait without a time-out runs items here. Blocks: up
/// to `timeout_ns`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_into(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    items: *const c_void,
    item_size: usize,
    count: usize,
    results: *mut c_void,
    result_size: usize,
    timeout_ns: i64,
) -> cfut_status {
    let timeout = Timeout::from_ns(timeout_ns);
    let checked = check(|| {
        // SAFETY: the contract of `ffi`.
        let checked = unsafe { check_array(executor, task, items, item_size, count) }?;
        match result_size.checked_mul(count) {
            Some(total) if total > isize::MAX as usize => None,
            total => total,
        }
        .map_or_else(
            || {
                fail!(
                    Invalid,
                    "{count} results of {result_size} bytes are more than any object has"
                )
            },
            |total| {
                if results.is_null() && total > 0 {
                    return fail!(Invalid, "results is NULL, but result_size is {result_size}");
                }
                Ok(())
            },
        )?;
        Ok(checked)
    });
    let filled = checked.and_then(|Checked { executor, items, pace, spec }| {
        let into = map::Into { results: results.cast(), size: result_size, count };
        // SAFETY: the contract of `ffi`.
        unsafe { map::fill_array(executor, items, pace, spec, into, timeout) }
    });
    due::run_pending();
    match filled {
        Ok(Filled::Item(outcome)) => status::of_outcome(outcome),
        Ok(Filled::TimedOut) => status::TIMEOUT,
        Err(Error(kind)) => status::of_error(kind),
    }
}

/// Calls a function over [0, count) in ranges, on several threads: each index in one call, in
/// no particular order, so no range may wait for another. The ranges are as large as pays, and
/// work is split only while somebody is idle; a loop of many indices that takes less time than
/// waking a thread is done by one.
///
/// Who takes part. The calling thread does, in this call, which then returns when all is done, if
/// it is a thread of the executor, or the executor is a thread pool with more than one worker and
/// neither initializer nor hooks (the caller counts as one of its workers meanwhile). Otherwise (a
/// pool of one worker, which people use as a lock; a limited view, a loop) the loop is submitted
/// like a task, this returns at once, and a cfut_future_wait() takes part where it may run a task.
///
/// `promise` of a range is that of the whole: cfut_promise_stop_requested() tells when it should
/// end early, and a result that one range records is the result of all. The first range that
/// fails (an answer that is not 0, cfut_promise_fail()) fails the whole: ranges not started are
/// skipped, running ones see the stop flag. After cfut_future_cancel() with CFUT_CANCEL_STOP and
/// after a shutdown with CFUT_SHUTDOWN_STOP it ends as CFUT_CANCELLED if a range was skipped. A
/// range cannot detach itself (CFUT_DETACH). The future's progress counts indices, in loops longer
/// than a millisecond. A range may run a loop itself.
///
/// Threads that take part do so as tasks of the executor, and are counted in its statistics.
///
/// @param executor borrowed.
/// @param count end of the last range; 0: the future is done, nothing is called.
/// @param grain fewest indices of a range, but for the last, and worth a thread; 0: chosen by the
/// time they take.
/// @param fn called with each range, by several threads at once.
/// @param arg moved, also when the call fails: `arg_free` is called once, after the last range and
/// before the future settles.
/// @param arg_free NULL for none.
/// @param out NULL (a failure then goes to the log), or the future of it all, owned. Written on
/// CFUT_OK only, before the first range runs.
/// @return As cfut_submit_closure(): the outcome of the loop is in the future; CFUT_ENOTSUP: the
/// executor's tasks run in other processes.
/// Thread: any. Blocks: until all is done where the calling thread takes part, else as
/// cfut_submit(). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_parallel_for(
    executor: *mut cfut_executor,
    count: usize,
    grain: usize,
    r#fn: cfut_range_fn,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
    out: *mut *mut cfut_future,
) -> cfut_status {
    let mut left = None;
    let mut moved = Moved { argument: arg, free: arg_free };
    let status = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let executor = unsafe { handle::borrow_executor(executor) }?;
        let function = match r#fn {
            // SAFETY: the types differ in what their opaque pointers are called.
            Some(function) => unsafe { std::mem::transmute::<_, RangeFn>(function) },
            None => return fail!(Invalid, "the range function is NULL"),
        };
        map::check(executor)?;
        let handle = !out.is_null();
        if count == 0 {
            if let (Some(future), Some(out)) = (map::of_none(executor, handle)?, NonNull::new(out))
            {
                // SAFETY: the contract of `ffi`.
                unsafe { out.write(handle::give_future(future)) };
            }
            return Ok(status::OK);
        }
        let started = map::start(executor, count, grain, function, &mut moved, handle)?;
        Ok(accept(executor, started, out, &mut left))
    });
    drop(moved);
    finish(left);
    status
}
