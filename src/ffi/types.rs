//! Section 1 of the header: the opaque types and the types of functions.

use std::ffi::{c_char, c_void};

/// What a call answers: 0 good, > 0 an expected other outcome, < 0 wrong use or a failure of
/// the system. See CFUT_OK and those that follow it.
pub type cfut_status = i32;

/// Builder: how an executor works. One thread at a time.
pub struct cfut_options {
    _opaque: (),
}

/// Builder: what to run, and how. One thread at a time while it is changed; submitting from
/// it is reading.
pub struct cfut_task {
    _opaque: (),
}

/// Shared, counted: something that runs tasks.
pub struct cfut_executor {
    _opaque: (),
}

/// Shared, counted: the reading side of an outcome.
pub struct cfut_future {
    _opaque: (),
}

/// Shared, counted: the writing side.
pub struct cfut_promise {
    _opaque: (),
}

/// Shared, counted: futures in the order they settle.
pub struct cfut_queue {
    _opaque: (),
}

/// Shared, counted: bytes that are handed over, not copied.
pub struct cfut_buffer {
    _opaque: (),
}

/// One thread at a time: results in the order of their inputs.
pub struct cfut_map {
    _opaque: (),
}

/// A task. Works on `len` bytes at `data`, which stay valid during the call (aligned to 16
/// bytes; a buffer's to 64; with `len` 0 it may be NULL), and answers through `promise`, which
/// is borrowed for the call. Returns 0 = done, CFUT_DETACH = a retained promise settles later,
/// any other value = failed with that code. The same function runs on every kind of executor.
/// No C++ exception may leave it.
pub type cfut_task_fn = Option<
    unsafe extern "C-unwind" fn(promise: *mut cfut_promise, data: *const c_void, len: usize) -> i32,
>;

/// A task for executors of this process: works on a pointer.
pub type cfut_closure_fn =
    Option<unsafe extern "C-unwind" fn(promise: *mut cfut_promise, arg: *mut c_void) -> i32>;

/// One range of a parallel loop.
pub type cfut_range_fn = Option<
    unsafe extern "C-unwind" fn(
        promise: *mut cfut_promise,
        begin: usize,
        end: usize,
        arg: *mut c_void,
    ) -> i32,
>;

/// A continuation: a task that works on a settled future (borrowed for the call).
pub type cfut_then_fn = Option<
    unsafe extern "C-unwind" fn(
        promise: *mut cfut_promise,
        input: *mut cfut_future,
        arg: *mut c_void,
    ) -> i32,
>;

/// The next input of a lazy map: 0 and an item (borrowed until the next call), CFUT_END, or a
/// negative status that ends the map.
pub type cfut_source_fn = Option<
    unsafe extern "C-unwind" fn(arg: *mut c_void, data: *mut *const c_void, len: *mut usize) -> i32,
>;

/// A callback on a settled future (borrowed for the call).
pub type cfut_done_fn =
    Option<unsafe extern "C-unwind" fn(future: *mut cfut_future, arg: *mut c_void)>;

/// Frees what was moved into the library. Called exactly once.
pub type cfut_free_fn = Option<unsafe extern "C-unwind" fn(arg: *mut c_void)>;

/// Takes a message for people; `level` is CFUT_LOG_ERROR or CFUT_LOG_WARNING.
pub type cfut_log_fn =
    Option<unsafe extern "C-unwind" fn(level: i32, message: *const c_char, arg: *mut c_void)>;

/// In a worker thread as it starts (not 0: the executor breaks) and as it leaves.
pub type cfut_hook_fn = Option<unsafe extern "C-unwind" fn(arg: *mut c_void, worker: u32) -> i32>;
