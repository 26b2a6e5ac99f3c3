//! Section 11 of the header: worker processes. They come with a later version.

use super::guard;
use super::handle;
use super::task::task_fn;
use super::types::{cfut_status, cfut_task_fn};
use crate::error::fail;
use std::ffi::c_char;

/// ---- 11. Process workers -------------------------------------------------------------
///
/// The first line of main() in a program whose own functions shall run in process workers.
/// Returns at once in the program itself. Process pools come with a later version; until then
/// no program is ever started as a worker.
///
/// Thread: the main thread, before others. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_worker_main() {}

/// Gives a task function a name.
///
/// @param name copied, UTF-8.
/// @param fn the function.
/// @return CFUT_ENOTSUP: named tasks come with a later version; CFUT_EINVAL: NULL.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_register(
    name: *const c_char,
    r#fn: cfut_task_fn,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        unsafe { handle::borrow_text(name, "the name") }?;
        task_fn(r#fn)?;
        fail!(NotSupported, "named tasks come with a later version")
    })
}

/// Runs a worker process of the user's own.
///
/// @return CFUT_ENOTSUP: process pools come with a later version.
/// Thread: the main thread. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_worker_run() -> cfut_status {
    guard::status(|| fail!(NotSupported, "process pools come with a later version"))
}
