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
/// Makes a map: results in input order, from an array.
///
/// @param executor retained by the map.
/// @param task borrowed; it may be changed or freed at once.
/// @param items copied, `count` times `item_size` bytes; NULL with 0.
/// @param item_size bytes of an item.
/// @param count number of items.
/// @param out owned; free with cfut_map_free(). Written on CFUT_OK only.
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

/// Makes a map: results in input order, from a source that is asked for the next item.
///
/// @param executor retained by the map.
/// @param task borrowed; it may be changed or freed at once.
/// @param next asked for items by the thread that makes or reads the map.
/// @param arg moved, also when the call fails: `arg_free` is called once.
/// @param arg_free NULL for none.
/// @param out owned; free with cfut_map_free(). Written on CFUT_OK only.
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
/// @param map borrowed.
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
/// @param out borrowed until the next call on the map. Written for each outcome.
/// @return CFUT_ENOTSUP: maps come with a later version.
/// Thread: one at a time for each map. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_map_next(
    map: *mut cfut_map,
    timeout_ns: i64,
    out: *mut *mut cfut_future,
) -> cfut_status {
    let _ = (map, timeout_ns, out);
    not_yet()
}

/// Makes a map: results in input order, of closures.
///
/// @param executor retained by the map.
/// @param fn called once with each of `args`.
/// @param args moved, each of the `count` pointers, also when the call fails: `arg_free` is called
/// once for each. The array itself is borrowed for the call; NULL with 0.
/// @param arg_free NULL for none.
/// @param out owned; free with cfut_map_free(). Written on CFUT_OK only.
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

/// Maps an array to another one: each result goes to the place that its item has.
///
/// @param executor borrowed.
/// @param task borrowed.
/// @param items borrowed for the call, `count` times `item_size` bytes; NULL with 0.
/// @param item_size bytes of an item.
/// @param count number of items.
/// @param results written, `count` times `result_size` bytes.
/// @param result_size bytes of a result.
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
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

/// Calls a function over [0, count) in ranges.
///
/// @param executor borrowed.
/// @param count end of the last range.
/// @param grain fewest indices of a range, but for the last; 0: chosen.
/// @param fn called with each range, several at once.
/// @param arg moved, also when the call fails: `arg_free` is called once, after the last range.
/// @param arg_free NULL for none.
/// @param out NULL, or the future of it all, owned. Written on CFUT_OK only.
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
