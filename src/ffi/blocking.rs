//! Section 12 of the header: blocking inside a thread pool.

use super::guard;
use crate::thread_pool;

/// ---- 12. Blocking inside a thread pool -----------------------------------------------
///
/// Says that the calling task is about to block outside of the library (in a read, a lock, a
/// library of somebody else's), so that another worker may run meanwhile. Without it the pool
/// finds out by itself, within about a millisecond, and only up to CFUT_OPT_WORKERS. Nests.
/// Outside of a worker it does nothing.
///
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_blocking_begin() {
    guard::value((), || {
        thread_pool::declare_begin();
        Ok(())
    });
}

/// The end of what cfut_blocking_begin() announced. Without a begin it does nothing.
///
/// Thread: that of the begin. Blocks: in a pool of one worker until the task that ran
/// meanwhile is done; otherwise no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_blocking_end() {
    guard::value((), || {
        thread_pool::declare_end();
        Ok(())
    });
}
