//! The executors of this process, for `cfut_quiesce`.

use super::owner::{Owner, OwnerRef};
use crate::error::{Result, fail};
use crate::local;
use crate::platform::fork::PerProcess;
use crate::quiet;
use crate::sync::{AtomicPtr, Lock, Ordering, Timeout, global};
use std::ptr::{self, NonNull};

/// An executor's place in the list; changes under the list's lock.
pub(super) struct Links {
    previous: AtomicPtr<Owner>,
    next: AtomicPtr<Owner>,
}

impl Links {
    pub(super) fn new() -> Links {
        let none = || AtomicPtr::new(ptr::null_mut());
        Links { previous: none(), next: none() }
    }
}

struct List {
    first: *mut Owner,
}

// SAFETY: executors are shared between threads; one leaves the list before it is freed.
unsafe impl Send for List {}

global! {
    static LIST: Lock<List> = Lock::new(List { first: ptr::null_mut() });
}
static PER_PROCESS: PerProcess = PerProcess::new();

fn follow_fork() {
    PER_PROCESS.follow(|| {
        // SAFETY: first use in this child: no thread of it holds the lock.
        unsafe { LIST.reset(List { first: ptr::null_mut() }) };
        quiet::reset();
    });
}

pub(crate) fn enter(owner: &OwnerRef) {
    follow_fork();
    let entered = owner.as_ptr().as_ptr();
    let mut list = LIST.lock();
    // SAFETY: the caller's reference keeps the executor; the first of the list is alive.
    // Relaxed, here and below: the lock orders the links.
    unsafe {
        (*entered).links.next.store(list.first, Ordering::Relaxed);
        if let Some(first) = list.first.as_ref() {
            first.links.previous.store(entered, Ordering::Relaxed);
        }
    }
    list.first = entered;
}

/// An executor is about to be freed.
pub(crate) fn leave(owner: &Owner) {
    let mut list = LIST.lock();
    let previous = owner.links.previous.load(Ordering::Relaxed);
    let next = owner.links.next.load(Ordering::Relaxed);
    // SAFETY: its neighbours are in the list, so alive while the lock is held.
    unsafe {
        match previous.as_ref() {
            Some(previous) => previous.links.next.store(next, Ordering::Relaxed),
            None => list.first = next,
        }
        if let Some(next) = next.as_ref() {
            next.links.previous.store(previous, Ordering::Relaxed);
        }
    }
}

/// Whether no executor has work and nobody calls the user.
fn all_quiet() -> bool {
    let list = LIST.lock();
    let mut entered = list.first;
    // SAFETY: executors in the list are alive while the lock is held.
    while let Some(owner) = NonNull::new(entered) {
        // SAFETY: as above.
        let this = unsafe { owner.as_ref() };
        // SAFETY: as above.
        if !unsafe { (this.vtable.is_quiet)(owner) } {
            return false;
        }
        entered = this.links.next.load(Ordering::Relaxed);
    }
    quiet::nobody_calls()
}

/// Waits until no executor has work and nothing calls the user; false at the time-out.
pub(crate) fn quiesce(timeout: Timeout) -> Result<bool> {
    let in_user = local::with(|local| local.user_depth.get() != 0 || !local.worker.get().is_null());
    if in_user {
        return fail!(Deadlock, "cfut_quiesce was called from a task or a callback");
    }
    follow_fork();
    let wait = quiet::Wait::begin();
    loop {
        let seen = wait.seen();
        if all_quiet() {
            return Ok(true);
        }
        if timeout == Timeout::Now {
            return Ok(false);
        }
        if !wait.sleep(seen, timeout.deadline()) {
            return Ok(all_quiet());
        }
    }
}
