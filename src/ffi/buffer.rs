//! Section 10 of the header: buffers.

use super::guard;
use super::handle;
use super::status;
use super::types::{cfut_buffer, cfut_free_fn, cfut_status};
use crate::error::{Error, Kind, fail};
use crate::future::buffer::BufferRef;
use crate::future::due::Moved;
use crate::platform::Errno;
use std::ffi::c_void;
use std::ptr;

const SHARED: u32 = 1;

/// ---- 10. Buffers ---------------------------------------------------------------------
///
/// Makes a buffer of `size` zeroed bytes, aligned to 64.
///
/// @param size 0 is an empty buffer.
/// @param flags 0, or CFUT_BUFFER_SHARED: process workers map these bytes and see each other's
/// writes; as an argument or a result they cross to another process without a copy. Such a buffer
/// has a descriptor of its own for as long as it lives.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL or unknown flags; CFUT_ENOMEM; CFUT_ESYS: no descriptor, or
/// no kind of shared memory.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_buffer_new(
    size: usize,
    flags: u32,
    out: *mut *mut cfut_buffer,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let out = unsafe { handle::output(out, "out") }?;
        if flags & !SHARED != 0 {
            return fail!(Invalid, "buffer flags {flags:#x} have unknown bits");
        }
        let buffer = if flags & SHARED != 0 {
            BufferRef::shared(size).map_err(|errno| no_shared_memory(size, errno))?
        } else {
            BufferRef::new(size).ok_or_else(|| Error::no_memory("a buffer", size))?
        };
        out.write(handle::give_buffer(buffer));
        Ok(status::OK)
    })
}

fn no_shared_memory(size: usize, errno: Errno) -> Error {
    match errno.0 {
        libc::ENOMEM | libc::ENOSPC | libc::EFBIG | libc::EINVAL => {
            Error::no_memory("a shared buffer", size)
        }
        _ => Error::new(
            Kind::System,
            format_args!("no shared memory for a buffer of {size} bytes: {errno}"),
        ),
    }
}

/// Makes a buffer of memory that is yours.
///
/// @param data moved, `size` bytes, also when the call fails: `data_free` is called once, when the
/// last reference goes. NULL with 0. Results promise 16 bytes of alignment and tasks 64: memory
/// with less keeps its own.
/// @param data_free called with `free_arg`, not with `data`; NULL for none. Runs in the thread
/// that drops the last reference.
/// @param free_arg moved with `data`: only `data_free` looks at it.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL out, NULL data with a size, a size no object can have;
/// CFUT_ENOMEM.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_buffer_wrap(
    data: *mut c_void,
    size: usize,
    data_free: cfut_free_fn,
    free_arg: *mut c_void,
    out: *mut *mut cfut_buffer,
) -> cfut_status {
    let mut moved = Moved { argument: free_arg, free: data_free };
    let status = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let out = unsafe {
            handle::borrow_bytes(data, size)?;
            handle::output(out, "out")?
        };
        let buffer = BufferRef::wrap(data, size, data_free, free_arg)
            .ok_or_else(|| Error::no_memory("a buffer's head", 64))?;
        moved.hand_on();
        out.write(handle::give_buffer(buffer));
        Ok(status::OK)
    });
    drop(moved);
    status
}

/// Another handle of a buffer.
///
/// @param buffer borrowed; NULL gives NULL.
/// @return `buffer`, owned once more.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_buffer_retain(buffer: *mut cfut_buffer) -> *mut cfut_buffer {
    guard::value(buffer, || {
        // SAFETY: the contract of `ffi`.
        if let Ok(live) = unsafe { handle::borrow_buffer(buffer) } {
            handle::give_buffer((*live).clone());
        }
        Ok(buffer)
    })
}

/// Gives a handle back. The bytes go with the last reference, which a task or a future may
/// hold.
///
/// @param buffer moved; NULL does nothing.
/// Thread: any; the free function of a wrapped buffer may run in it. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_buffer_release(buffer: *mut cfut_buffer) {
    guard::value_then_calls((), || {
        // SAFETY: the contract of `ffi`.
        drop(unsafe { handle::take_buffer(buffer) });
        Ok(())
    });
}

/// The bytes. Who writes when is up to you: the library does not look at them.
///
/// @param buffer borrowed; NULL gives NULL.
/// @return borrowed, valid as long as the buffer; NULL for an empty one.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_buffer_data(buffer: *mut cfut_buffer) -> *mut c_void {
    // SAFETY: the contract of `ffi`.
    guard::value(ptr::null_mut(), || Ok(unsafe { handle::borrow_buffer(buffer) }?.data()))
}

/// How many bytes there are.
///
/// @param buffer borrowed.
/// @return the size it was made with; 0 for NULL.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_buffer_size(buffer: *const cfut_buffer) -> usize {
    // SAFETY: the contract of `ffi`.
    guard::value(0, || Ok(unsafe { handle::borrow_buffer(buffer) }?.len()))
}
