//! What the library keeps for each thread. Open to all rooms.
//!
//! One block, constant at start and without a destructor: touching it registers nothing,
//! so a thread of the host may come and go without the library noticing, and unloading
//! order does not matter. Nothing here owns memory that would be lost with the thread.

use std::cell::Cell;
use std::ptr;

pub(crate) struct Local {
    /// The shard of the arena this thread uses (`future::arena`); NULL = not chosen yet.
    pub(crate) shard: Cell<*const ()>,
    /// The running pool worker (`thread_pool::worker`), NULL in other threads.
    pub(crate) worker: Cell<*const ()>,
    /// The executor whose task runs in this thread (`future::Owner`), NULL outside tasks.
    pub(crate) executor: Cell<*const ()>,
    /// Futures whose callbacks are due in this thread (`future::due`).
    pub(crate) due_head: Cell<*mut ()>,
    pub(crate) due_tail: Cell<*mut ()>,
    /// How many tasks, callbacks and free functions of the user are on this stack.
    pub(crate) user_depth: Cell<u32>,
    /// A callback or free function is running below us: further ones wait for it.
    pub(crate) in_callback: Cell<bool>,
}

impl Local {
    const fn new() -> Local {
        Local {
            shard: Cell::new(ptr::null()),
            worker: Cell::new(ptr::null()),
            executor: Cell::new(ptr::null()),
            due_head: Cell::new(ptr::null_mut()),
            due_tail: Cell::new(ptr::null_mut()),
            user_depth: Cell::new(0),
            in_callback: Cell::new(false),
        }
    }
}

#[cfg(not(loom))]
thread_local! {
    static LOCAL: Local = const { Local::new() };
}

#[cfg(loom)]
loom::thread_local! {
    static LOCAL: Local = Local::new();
}

/// The calling thread's block.
#[inline(always)]
pub(crate) fn with<R>(use_it: impl FnOnce(&Local) -> R) -> R {
    LOCAL.with(use_it)
}
