//! Section 9 of the header: promises.

use super::guard;
use super::handle;
use super::status;
use super::types::{cfut_buffer, cfut_free_fn, cfut_future, cfut_promise, cfut_status};
use crate::error::{Error, Result, fail};
use crate::future::cell::{TaskCell, TaskRef, number};
use crate::future::due::{self, Moved};
use crate::future::extra::Text;
use crate::future::promise::{self, Recording};
use crate::future::result::Payload;
use crate::future::run::DETACH;
use crate::future::state::Outcome;
use crate::platform::fork;
use std::ffi::{c_char, c_void};
use std::ptr;

/// ---- 9. Promises ---------------------------------------------------------------------
///
/// Makes a promise by hand and the future that goes with it.
///
/// @param promise owned: the writing side. Written on CFUT_OK only.
/// @param future owned: the reading side. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOMEM.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_new(
    promise: *mut *mut cfut_promise,
    future: *mut *mut cfut_future,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (promise_out, future_out) =
            unsafe { (handle::output(promise, "promise")?, handle::output(future, "future")?) };
        let (promise, future) = promise::new()?;
        promise_out.write(handle::give_promise(promise));
        future_out.write(handle::give_future(future));
        Ok(status::OK)
    })
}

/// Another handle of a promise: what a task keeps that returns CFUT_DETACH.
///
/// @param promise borrowed; NULL gives NULL.
/// @return `promise`, owned once more.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_retain(
    promise: *mut cfut_promise,
) -> *mut cfut_promise {
    guard::value(promise, || {
        // SAFETY: the contract of `ffi`.
        if let Ok(live) = unsafe { handle::borrow_promise(promise) } {
            handle::give_promise(promise::retain(&live));
        }
        Ok(promise)
    })
}

/// Gives a handle back. If it was the last one and the future is not settled, the future ends
/// as CFUT_BROKEN ("promise released"). The promise a running task was called with counts
/// as one until the task returns.
///
/// @param promise moved; NULL does nothing.
/// Thread: any; callbacks of the future run in it. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_release(promise: *mut cfut_promise) {
    guard::value_then_calls((), || {
        // SAFETY: the contract of `ffi`.
        if let Some(promise) = unsafe { handle::take_promise(promise) } {
            promise::release(promise);
        }
        Ok(())
    });
}

/// Says that the work of a promise made by hand begins: its future is RUNNING from now on and
/// can no longer be cancelled, only asked to stop.
///
/// @param promise borrowed.
/// @return CFUT_OK; CFUT_CANCELLED: it was cancelled, do not begin; CFUT_ESTATE: started or
/// finished before; CFUT_EINVAL: NULL; CFUT_EFORKED.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_start(promise: *mut cfut_promise) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let promise = unsafe { handle::borrow_promise(promise) }?;
        Ok(if promise::start(&promise)? { status::OK } else { status::CANCELLED })
    })
}

/// Succeeds with bytes. A promise made by hand, or kept by a task that returned CFUT_DETACH,
/// settles with this call. In a running task it records the outcome, and the future settles
/// when the task returns: 0 = as recorded, other = failed with that code.
///
/// @param promise borrowed.
/// @param data copied, `len` bytes (16 or fewer take no memory); NULL with 0.
/// @return CFUT_OK; CFUT_ESTATE: settled or recorded before, the first outcome stays; CFUT_EFULL:
/// more bytes than the task's CFUT_TASK_OUTPUT_LIMIT; CFUT_EINVAL: NULL promise, NULL data with
/// a length; CFUT_ENOMEM; CFUT_EFORKED.
/// Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_set_bytes(
    promise: *mut cfut_promise,
    data: *const c_void,
    len: usize,
) -> cfut_status {
    // SAFETY: the contract of `ffi`.
    if unsafe { set_small(promise, data, len) } {
        return status::OK;
    }
    // SAFETY: the contract of `ffi`.
    unsafe { set_bytes(promise, data, len) }
}

/// The way of small results of running tasks. False: nothing was done.
///
/// # Safety
/// The contract of `ffi`.
#[inline(always)]
unsafe fn set_small(promise: *mut cfut_promise, data: *const c_void, len: usize) -> bool {
    if promise.is_null() || data.is_null() || !fork::word().is(1) {
        return false;
    }
    let mut bytes = [0u8; 16];
    // SAFETY: by the contract the bytes are there, and the promise is a live cell.
    unsafe {
        match len {
            8 => bytes[..8].copy_from_slice(&data.cast::<[u8; 8]>().read()),
            4 => bytes[..4].copy_from_slice(&data.cast::<[u8; 4]>().read()),
            16 => bytes = data.cast::<[u8; 16]>().read(),
            _ => return false,
        }
        let bits = u128::from_ne_bytes(bytes);
        let (low, high) = (number(bits as usize), number((bits >> 64) as usize));
        let words = if cfg!(target_endian = "little") { [low, high] } else { [high, low] };
        (*promise.cast::<TaskCell>()).record_inline(words, len)
    }
}

/// The ordinary way.
///
/// # Safety
/// The contract of `ffi`.
#[inline(never)]
unsafe fn set_bytes(promise: *mut cfut_promise, data: *const c_void, len: usize) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (promise, data) =
            unsafe { (handle::borrow_promise(promise)?, handle::borrow_bytes(data, len)?) };
        let payload = promise::copy_bytes(&promise, data)?;
        put(&promise, Outcome::Succeeded, 0, Text::EMPTY, payload)
    })
}

/// Succeeds with a pointer. As cfut_promise_set_bytes() in all else.
///
/// @param promise borrowed.
/// @param value moved, also when the call fails: `value_free` is called once, at the last release
/// of the future, unless cfut_future_take() moves the value out; in this thread if the call fails.
/// @param value_free NULL for none.
/// @return CFUT_OK; CFUT_ESTATE; CFUT_EINVAL: NULL promise; CFUT_EFORKED; CFUT_ENOTSUP: in a
/// worker process.
/// Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_set_value(
    promise: *mut cfut_promise,
    value: *mut c_void,
    value_free: cfut_free_fn,
) -> cfut_status {
    let mut moved = Moved { argument: value, free: value_free };
    let status = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let promise = unsafe { handle::borrow_promise(promise) }?;
        let payload = Payload::Value(value, value_free);
        let status = put(&promise, Outcome::Succeeded, 0, Text::EMPTY, payload)?;
        moved.hand_on();
        Ok(status)
    });
    drop(moved);
    due::run_pending();
    status
}

/// Succeeds with a buffer. As cfut_promise_set_bytes() in all else.
///
/// @param promise borrowed.
/// @param buffer retained until the last release of the future.
/// @return CFUT_OK; CFUT_ESTATE; CFUT_EFULL; CFUT_EINVAL: NULL; CFUT_EFORKED.
/// Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_set_buffer(
    promise: *mut cfut_promise,
    buffer: *mut cfut_buffer,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (promise, buffer) =
            unsafe { (handle::borrow_promise(promise)?, handle::borrow_buffer(buffer)?) };
        promise::check_output(&promise, buffer.len())?;
        let payload = Payload::Buffer((*buffer).clone());
        put(&promise, Outcome::Succeeded, 0, Text::EMPTY, payload)
    })
}

/// Fails with a code and a message. As cfut_promise_set_bytes() in all else; where a running task
/// returns another code than 0 afterwards, that one counts and the message stays.
///
/// @param promise borrowed.
/// @param code anything but 0 and CFUT_DETACH.
/// @param message copied up to 64 KiB (a longer one is cut and says so), UTF-8; NULL for none.
/// @return CFUT_OK; CFUT_ESTATE; CFUT_EINVAL: NULL promise or a bad code; CFUT_ENOMEM;
/// CFUT_EFORKED.
/// Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_fail(
    promise: *mut cfut_promise,
    code: i32,
    message: *const c_char,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (promise, text) =
            unsafe { (handle::borrow_promise(promise)?, failure(code, message)?) };
        put(&promise, Outcome::Failed, code, text, Payload::None)
    })
}

/// Fails with details in bytes, which the future's getters give beside code and message.
///
/// @param promise borrowed.
/// @param code anything but 0 and CFUT_DETACH.
/// @param message copied up to 64 KiB, UTF-8; NULL for none.
/// @param data copied, `len` bytes; NULL with 0.
/// @return As cfut_promise_fail(); CFUT_EFULL and CFUT_EINVAL as cfut_promise_set_bytes().
/// Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_fail_bytes(
    promise: *mut cfut_promise,
    code: i32,
    message: *const c_char,
    data: *const c_void,
    len: usize,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (promise, text, data) = unsafe {
            (
                handle::borrow_promise(promise)?,
                failure(code, message)?,
                handle::borrow_bytes(data, len)?,
            )
        };
        let payload = promise::copy_bytes(&promise, data)?;
        put(&promise, Outcome::Failed, code, text, payload)
    })
}

/// Fails with details in a pointer: how an exception of another language travels.
///
/// @param promise borrowed.
/// @param code anything but 0 and CFUT_DETACH.
/// @param message copied up to 64 KiB, UTF-8; NULL for none.
/// @param value moved, as with cfut_promise_set_value(): `value_free` is called once.
/// @param value_free NULL for none.
/// @return As cfut_promise_fail(); CFUT_ENOTSUP: in a worker process.
/// Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_fail_value(
    promise: *mut cfut_promise,
    code: i32,
    message: *const c_char,
    value: *mut c_void,
    value_free: cfut_free_fn,
) -> cfut_status {
    let mut moved = Moved { argument: value, free: value_free };
    let status = guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (promise, text) =
            unsafe { (handle::borrow_promise(promise)?, failure(code, message)?) };
        let payload = Payload::Value(value, value_free);
        let status = put(&promise, Outcome::Failed, code, text, payload)?;
        moved.hand_on();
        Ok(status)
    });
    drop(moved);
    status
}

/// Ends as cancelled: how a task agrees to a request to stop. As cfut_promise_set_bytes() in
/// all else.
///
/// @param promise borrowed.
/// @return CFUT_OK; CFUT_ESTATE; CFUT_EINVAL: NULL; CFUT_EFORKED.
/// Thread: any; callbacks of the future run in it if it settles. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_set_cancelled(
    promise: *mut cfut_promise,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let promise = unsafe { handle::borrow_promise(promise) }?;
        put(&promise, Outcome::Cancelled, 0, Text::EMPTY, Payload::None)
    })
}

fn put(
    promise: &TaskRef,
    outcome: Outcome,
    code: i32,
    message: Text,
    payload: Payload,
) -> Result<cfut_status> {
    match promise::put(promise, Recording { outcome, code, message, payload }) {
        Ok(()) => Ok(status::OK),
        Err((error, payload)) => {
            // A value is freed by the export, which still has it.
            let _the_callers = promise::take_back(payload);
            Err(error)
        }
    }
}

/// # Safety
/// The contract of `ffi`.
unsafe fn failure(code: i32, message: *const c_char) -> Result<Text> {
    if code == 0 || code == DETACH {
        return fail!(Invalid, "the failure code is {code}, which means something else");
    }
    if message.is_null() {
        return Ok(Text::EMPTY);
    }
    // SAFETY: by the contract.
    let text = unsafe { handle::borrow_text(message, "the message") }?;
    Text::copy(text).ok_or_else(|| Error::no_memory("a message", text.len()))
}

/// Whether the task was asked to stop: by cfut_future_cancel(), a time-out, or the shutdown of
/// its executor. A task that runs for long looks now and then.
///
/// @param promise borrowed; NULL gives 0.
/// @return 1 or 0.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_stop_requested(promise: *const cfut_promise) -> i32 {
    guard::value(0, || {
        // SAFETY: the contract of `ffi`.
        let promise = unsafe { handle::borrow_promise(promise) }?;
        Ok(i32::from(promise::stop_requested(&promise)))
    })
}

/// Says how far the work is, for cfut_future_progress().
///
/// @param promise borrowed.
/// @param done in whatever unit `total` is; the library does not compare them.
/// @return CFUT_OK; CFUT_ESTATE: the future is settled; CFUT_EINVAL: NULL; CFUT_ENOMEM;
/// CFUT_EFORKED.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_set_progress(
    promise: *mut cfut_promise,
    done: u64,
    total: u64,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let promise = unsafe { handle::borrow_promise(promise) }?;
        promise::set_progress(&promise, done, total)?;
        Ok(status::OK)
    })
}

/// The buffer a running task was submitted with.
///
/// @param promise borrowed.
/// @return borrowed, valid until the task returns; NULL for other tasks, and after that.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_promise_input(
    promise: *const cfut_promise,
) -> *mut cfut_buffer {
    guard::value(ptr::null_mut(), || {
        // SAFETY: the contract of `ffi`.
        let promise = unsafe { handle::borrow_promise(promise) }?;
        Ok(promise.input_buffer().map_or(ptr::null_mut(), |buffer| buffer.as_ptr().cast()))
    })
}
