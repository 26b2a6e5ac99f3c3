//! Section 6 of the header: maps and parallel loops. They come with a later version.

use super::guard;
use super::types::{
    cfut_closure_fn, cfut_executor, cfut_free_fn, cfut_future, cfut_map, cfut_range_fn,
    cfut_source_fn, cfut_status, cfut_task,
};
use crate::error::fail;
use crate::future::due::Moved;
use std::ffi::c_void;

fn not_yet() -> cfut_status {
    guard::status(|| fail!(NotSupported, "maps and parallel loops come with a later version"))
}

/// ---- 6. Map and parallel loops -------------------------------------------------------
///
/// Results in input order, from an array.
///
/// @return CFUT_ENOTSUP: maps come with a later version.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_new(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    items: *const c_void,
    item_size: usize,
    count: usize,
    out: *mut *mut cfut_map,
) -> cfut_status {
    let _ = (executor, task, items, item_size, count, out);
    not_yet()
}

/// Results in input order, from a source that is asked for the next item.
///
/// @param arg moved, also when the call fails.
/// @return CFUT_ENOTSUP: maps come with a later version.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_new_source(
    executor: *mut cfut_executor,
    task: *const cfut_task,
    next: cfut_source_fn,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
    out: *mut *mut cfut_map,
) -> cfut_status {
    let _ = (executor, task, next, out);
    drop(Moved { argument: arg, free: arg_free });
    not_yet()
}

/// The outcome of the next item.
///
/// @return CFUT_ENOTSUP: maps come with a later version.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_next(
    map: *mut cfut_map,
    timeout_ns: i64,
    out: *mut *mut cfut_future,
) -> cfut_status {
    let _ = (map, timeout_ns, out);
    not_yet()
}

/// Results in input order, of closures.
///
/// @param args moved, each of them, also when the call fails.
/// @return CFUT_ENOTSUP: maps come with a later version.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_new_closure(
    executor: *mut cfut_executor,
    r#fn: cfut_closure_fn,
    args: *const *mut c_void,
    count: usize,
    arg_free: cfut_free_fn,
    out: *mut *mut cfut_map,
) -> cfut_status {
    let _ = (executor, r#fn, out);
    if !args.is_null() {
        for place in 0..count {
            // SAFETY: the contract of `ffi`: `count` pointers.
            let argument = unsafe { *args.add(place) };
            drop(Moved { argument, free: arg_free });
        }
    }
    not_yet()
}

/// Frees a map; cancels what has not started.
///
/// @param map moved; NULL does nothing.
/// Thread: one at a time for each map. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_free(map: *mut cfut_map) {
    // No map exists that could be freed.
    let _ = map;
}

/// Frees the handle of a map; all of it runs.
///
/// @param map moved; NULL does nothing.
/// Thread: one at a time for each map. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_detach(map: *mut cfut_map) {
    // No map exists that could be detached.
    let _ = map;
}

/// Blocking: results of items[i] into results[i].
///
/// @return CFUT_ENOTSUP: maps come with a later version.
/// Thread: any. Blocks: no. Since: 0.1.
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
    let _ = (executor, task, items, item_size, count, results, result_size, timeout_ns);
    not_yet()
}

/// Calls `fn` over [0, count) in ranges.
///
/// @param arg moved, also when the call fails.
/// @return CFUT_ENOTSUP: parallel loops come with a later version.
/// Thread: any. Blocks: no. Since: 0.1.
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
    let _ = (executor, count, grain, r#fn, out);
    drop(Moved { argument: arg, free: arg_free });
    not_yet()
}
