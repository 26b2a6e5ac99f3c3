//! Section 2 of the header: the library as a whole.

use super::guard;
use super::handle;
use super::status;
use super::types::{cfut_free_fn, cfut_log_fn, cfut_status};
use crate::error::{self, Error};
use crate::future::buffer::BufferRef;
use crate::future::due::{self, Moved};
use crate::future::registry;
use crate::log::{self, Sink};
use crate::platform::cpu;
use crate::shared::Shared;
use crate::sync::Timeout;
use std::ffi::{CStr, c_char, c_void};
use std::ptr;

const fn part(digits: &str) -> u32 {
    match u32::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => panic!("a version number"),
    }
}

const VERSION_NUMBER: u32 = part(env!("CARGO_PKG_VERSION_MAJOR")) << 16
    | part(env!("CARGO_PKG_VERSION_MINOR")) << 8
    | part(env!("CARGO_PKG_VERSION_PATCH"));

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a version without a NUL"),
    };

/// ---- 2. Library ----------------------------------------------------------------------
///
/// The version of the library that is loaded; compare with CFUT_VERSION_NUMBER, the version of
/// this header.
///
/// @return 0xMMmmpp: major, minor and patch number.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_version_number() -> u32 {
    VERSION_NUMBER
}

/// The version of the library that is loaded, as text.
///
/// @return borrowed, valid for ever.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The name of a status, as in this header: "CFUT_OK".
///
/// @param status any number.
/// @return borrowed, valid for ever; "CFUT_?" for a number that is none.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_status_name(status: cfut_status) -> *const c_char {
    let entry = status::ALL.iter().find(|entry| entry.0 == status);
    entry.map_or(c"CFUT_?", |entry| entry.1).as_ptr()
}

/// What a status means, in a few words.
///
/// @param status any number.
/// @return borrowed, valid for ever; "unknown status" for a number that is none.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_status_text(status: cfut_status) -> *const c_char {
    let entry = status::ALL.iter().find(|entry| entry.0 == status);
    entry.map_or(c"unknown status", |entry| entry.2).as_ptr()
}

/// What was wrong in the last call of this thread that answered with a negative status, or
/// with CFUT_BROKEN from a submit: the argument, its value, and what to do. A later success
/// leaves it alone. For people and logs: the status alone says what a program can do.
///
/// @param buf written, NUL-terminated, as far as the text fits; NULL: only the length is asked for.
/// @param cap bytes that `buf` has room for; with 0 nothing is written.
/// @return the length of the whole text without its NUL, at most 480; 0 if there was no such call.
/// Thread: any; each has its own text. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_last_error(buf: *mut c_char, cap: usize) -> usize {
    guard::value(0, || {
        // SAFETY: the contract of `ffi`.
        Ok(error::with_last(|text| unsafe { handle::copy_out(text, buf, cap) }))
    })
}

/// How many processors this process may use now: its affinity, cut by a control group's quota
/// (rounded up).
///
/// @return at least 1.
/// Thread: any. Blocks: no (reads a few files of the kernel's). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_cpu_count() -> u32 {
    guard::value(1, || Ok(cpu::cpus().usable))
}

/// Sets where messages go that no call can answer with. Without it they are dropped.
/// CFUT_LOG_ERROR: an executor broke, or a future failed, crashed, expired or broke, and its last
/// reference went unseen: fire and forget, or nobody has waited for its end, asked for anything
/// about it, taken it out of a queue, or hung a callback, a continuation or a join on it. The
/// text has the task's name, its code and its message. CFUT_LOG_WARNING: something is done in a
/// lesser way, such as a timeline that ends early.
///
/// @param fn called with CFUT_LOG_ERROR or CFUT_LOG_WARNING and a text (borrowed for the call),
/// in whichever thread has something to say, several at once; NULL: no messages. It may call
/// the library.
/// @param arg moved, also when the call fails: `arg_free` is called once, when the function has
/// been replaced and no thread is in it any more; at once if `fn` is NULL.
/// @param arg_free NULL for none; runs in the thread that replaces the function, or in the one that
/// was in it last.
/// @return CFUT_OK; CFUT_ENOMEM: the function set before stays.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_set_log(
    r#fn: cfut_log_fn,
    arg: *mut c_void,
    arg_free: cfut_free_fn,
) -> cfut_status {
    let mut moved = Moved { argument: arg, free: arg_free };
    let status = guard::status_then_calls(|| {
        let Some(function) = r#fn else {
            drop(log::set(None));
            return Ok(status::OK);
        };
        let no_memory = || Error::no_memory("a log function", size_of::<Sink>());
        // An empty buffer is a counted thing that calls a free function at its end.
        let keep = BufferRef::wrap(ptr::null_mut(), 0, arg_free, arg).ok_or_else(no_memory)?;
        moved.hand_on();
        let sink = Sink { function, argument: arg, keep };
        drop(log::set(Some(Shared::try_new(sink).ok_or_else(no_memory)?)));
        Ok(status::OK)
    });
    drop(moved);
    status
}

/// Waits until no executor has work and the library will call no function of yours until it is
/// given new work: before dlclose(), or before an interpreter goes away. Executors stay usable.
///
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
/// @return CFUT_OK; CFUT_TIMEOUT; CFUT_EDEADLK: called from a task, a callback or a hook.
/// Thread: any but workers. Blocks: up to `timeout_ns`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_quiesce(timeout_ns: i64) -> cfut_status {
    due::run_pending();
    guard::status(|| {
        let quiet = registry::quiesce(Timeout::from_ns(timeout_ns))?;
        Ok(if quiet { status::OK } else { status::TIMEOUT })
    })
}
