//! Section 11 of the header: worker processes.

use super::guard;
use super::handle;
use super::status;
use super::task::task_fn;
use super::types::{cfut_status, cfut_task_fn};
use crate::worker::{self, registry};
use std::ffi::c_char;

/// ---- 11. Process workers -------------------------------------------------------------
///
/// The first line of main() in a program whose own functions shall run in process workers, as
/// `if __name__ == "__main__"` is in Python. In the program itself it returns at once. A process
/// that a pool has started to work for it never returns from here: it runs the pool's tasks and
/// ends. What is registered with cfut_register() is registered before.
///
/// What makes a process a worker is a socket inherited from a program of the same user, on which
/// the first message repeats a secret of the environment; no variable alone does, and nothing
/// in a program that runs with other rights than its user's.
///
/// In a worker: 0 is /dev/null, 1 and 2 are the program's own; the directory and the environment
/// are those that the program had when it made the pool; signals are as for a new program;
/// the process leads a process group, and what is left of that when it ends is killed. A task may use threads, make pools, and fork, as in any
/// program; the child of a task that forks ends when the task returns in it. exit() in a task ends
/// the worker, and the task as CFUT_CRASHED. A worker that is no longer needed ends without
/// its exit handlers; what stdio holds is written.
///
/// With CFUT_START_FORKSERVER (the default) workers are forked from a server process that has
/// loaded the modules of CFUT_OPT_PRELOAD and has one thread. A module that starts threads when it
/// is loaded has them in the server only: in the workers locks that such a thread held stay
/// held. Such modules belong into the initializer, or CFUT_START_SPAWN is the method.
///
/// Thread: the main thread, before others. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_worker_main() {
    worker::run_if_worker();
}

/// Gives a task function a name, for as long as the process lives: what other languages and other
/// programs call it by (cfut_task_new_named()).
///
/// @param name copied, UTF-8, up to 1024 bytes.
/// @param fn the function; it must stay where it is: the module it lies in is not to be unloaded.
/// @return CFUT_OK, also if it has that name already; CFUT_EINVAL: NULL, a name that is empty, too
/// long or not UTF-8, or another function has it; CFUT_ENOMEM.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_register(
    name: *const c_char,
    r#fn: cfut_task_fn,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let name = unsafe { handle::borrow_text(name, "the name") }?;
        registry::register(name, task_fn(r#fn)?)?;
        Ok(status::OK)
    })
}

/// Runs the tasks of a pool in a program that was made for it (CFUT_OPT_WORKER_PROGRAM): one that
/// brings its own runtime, an interpreter for instance. It registers its tasks, then calls this,
/// which returns when the worker shall end. Such a program is executed anew for each worker.
///
/// @return CFUT_OK: the program shall clean up and end; CFUT_ESTATE: no pool has started this
/// process; else what keeps it from working, which the pool is told, too.
/// Thread: the main thread. Blocks: for as long as there is work. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_worker_run() -> cfut_status {
    match worker::run_as_worker() {
        Ok(()) => status::OK,
        Err(error) => status::of_error(error.0),
    }
}
