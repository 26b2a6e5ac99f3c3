//! Who wants to know when a future settles: callbacks, continuations, joins, queues and
//! waits for several.
//!
//! Hooks form a ring in the order added; the cell points at the newest. The ring is
//! touched under the future's LOCK only (F3), for a few instructions, and nobody is called
//! meanwhile. Most hooks are the library's own and are carried out by whoever settles;
//! callbacks in the settling thread are the user's and wait in the ring until `due` runs
//! them outside of library code.

use super::arena;
use super::cell::{FreeFn, TaskCell, TaskRef};
use super::group::GroupRef;
use super::place::Place;
use super::queue::QueueRef;
use super::state::{DRAINING, HOOKS};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

pub(crate) type DoneFn =
    unsafe extern "C-unwind" fn(future: *const TaskCell, argument: *mut c_void);

/// What to do when the future settles.
pub(crate) enum Action {
    /// Call the user, in the thread that settles.
    Callback(DoneFn, *mut c_void, Option<FreeFn>),
    /// Start this cell (`Kind::Then`): on its executor, or in the thread that settles.
    Start(TaskRef),
    /// Put the future into a completion queue with a tag.
    Deliver(QueueRef, u64),
    /// In the queue: the settled future and its tag.
    Delivered(TaskRef, u64),
    /// Tell a wait for several.
    Report(GroupRef),
    /// Tell a joined future (`Kind::Join`).
    Join(TaskRef),
    /// Give a place in a view back.
    Place(Place),
}

impl Action {
    /// Not for the user's thread to call.
    pub(super) fn is_internal(&self) -> bool {
        !matches!(self, Action::Callback(..))
    }

    pub(super) fn is_delivery(&self) -> bool {
        matches!(self, Action::Deliver(..))
    }
}

/// Where a hook's memory came from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// A block of the arena.
    Own,
    /// Part of something that is kept by the hook's own action.
    Embedded,
}

#[repr(C)]
pub(crate) struct Hook {
    next: *mut Hook,
    home: Home,
    action: Option<Action>,
}

/// Room a hook takes inside something else.
#[allow(dead_code)] // the oldest compiler does not count uses in assertions
pub(crate) const SPACE: usize = 64;

#[cfg(not(loom))]
const _: () = assert!(size_of::<Hook>() <= SPACE && arena::block_size(0) >= SPACE);

impl Hook {
    /// A hook in memory of its own; None, and the action dropped, when there is none.
    pub(crate) fn allocate(action: Action) -> Option<NonNull<Hook>> {
        let place = arena::allocate(0)?.cast::<Hook>();
        // SAFETY: fresh memory, large enough.
        unsafe { Hook::place(place, action, Home::Own) };
        Some(place)
    }

    /// # Safety
    /// `place` is free memory for a hook, aligned, and stays until the hook is consumed.
    pub(crate) unsafe fn place(place: NonNull<Hook>, action: Action, home: Home) {
        // SAFETY: by the contract.
        unsafe { place.write(Hook { next: ptr::null_mut(), home, action: Some(action) }) };
    }

    /// Ends the hook and gives what it was to do.
    ///
    /// # Safety
    /// The hook is in no ring and nobody else refers to it.
    pub(crate) unsafe fn consume(hook: NonNull<Hook>) -> Option<Action> {
        // SAFETY: by the contract; its memory goes back exactly here.
        unsafe {
            let action = (*hook.as_ptr()).action.take();
            if hook.as_ref().home == Home::Own {
                arena::release(hook.cast(), 0);
            }
            action
        }
    }

    /// A delivery becomes the entry it delivers; the answer is the queue it belongs to.
    ///
    /// # Safety
    /// As `consume`.
    pub(super) unsafe fn redirect(hook: NonNull<Hook>, future: &TaskRef) -> Option<QueueRef> {
        // SAFETY: by the contract.
        let action = unsafe { &mut (*hook.as_ptr()).action };
        let tag = match action {
            Some(Action::Deliver(_, tag)) => *tag,
            _ => return None,
        };
        match action.replace(Action::Delivered(future.clone(), tag)) {
            Some(Action::Deliver(queue, _)) => Some(queue),
            _ => None, // not reached: looked at just now
        }
    }

    /// The place in a view, if this is one.
    ///
    /// # Safety
    /// The hook is alive, for `'a`, and nobody consumes it meanwhile.
    pub(crate) unsafe fn place_in_view<'a>(hook: NonNull<Hook>) -> Option<&'a Place> {
        // SAFETY: by the contract.
        match unsafe { &(*hook.as_ptr()).action } {
            Some(Action::Place(place)) => Some(place),
            _ => None,
        }
    }

    /// The next one in whatever list its owner keeps.
    ///
    /// # Safety
    /// The hook is in no ring, and the caller owns it.
    pub(super) unsafe fn link(hook: NonNull<Hook>) -> *mut *mut Hook {
        // SAFETY: by the contract.
        unsafe { &raw mut (*hook.as_ptr()).next }
    }
}

/// What became of a hook that was to be added.
#[must_use]
pub(crate) enum Added {
    /// It will be carried out.
    Waiting,
    /// The future is settled: the caller carries it out now.
    Now(NonNull<Hook>),
    /// A callback on a settled future: it is in the ring, and the caller makes the
    /// future's callbacks due in this thread.
    Due,
}

impl TaskCell {
    /// Adds a hook, or says what to do with it because the future is settled.
    pub(super) fn add_hook(&self, hook: NonNull<Hook>) -> Added {
        let seen = self.state.lock();
        // SAFETY: the hook is the caller's until it is in the ring.
        let callback = unsafe { matches!(hook.as_ref().action, Some(Action::Callback(..))) };
        if seen.is_settled() && !callback {
            self.state.unlock(0, 0);
            return Added::Now(hook);
        }
        // SAFETY: LOCK is held.
        unsafe { self.append(hook) };
        if !seen.is_settled() {
            self.state.unlock(HOOKS, 0);
            Added::Waiting
        } else if seen.has(DRAINING) {
            // Some thread is running callbacks of this future: it takes this one, too.
            self.state.unlock(0, 0);
            Added::Waiting
        } else {
            self.state.unlock(DRAINING, 0);
            Added::Due
        }
    }

    /// # Safety
    /// LOCK is held and the hook is in no ring.
    unsafe fn append(&self, hook: NonNull<Hook>) {
        self.hooks.with_mut(|newest| {
            // SAFETY: by the contract; the ring consists of live hooks.
            unsafe {
                match (*newest).as_mut() {
                    Some(last) => {
                        (*hook.as_ptr()).next = last.next;
                        last.next = hook.as_ptr();
                    }
                    None => (*hook.as_ptr()).next = hook.as_ptr(),
                }
                *newest = hook.as_ptr();
            }
        });
    }

    /// Takes a hook out of the ring again; false: it is being carried out, or was.
    pub(super) fn remove_hook(&self, hook: NonNull<Hook>) -> bool {
        let _ = self.state.lock();
        // SAFETY: LOCK is held.
        let found = unsafe { self.unlink(hook) };
        self.state.unlock(0, 0);
        found
    }

    /// # Safety
    /// LOCK is held.
    unsafe fn unlink(&self, hook: NonNull<Hook>) -> bool {
        self.hooks.with_mut(|newest| {
            // SAFETY: LOCK is held, and the ring consists of live hooks. `hook` itself is
            // only compared until it was found in the ring.
            unsafe {
                let last = *newest;
                if last.is_null() {
                    return false;
                }
                let mut before = last;
                while (*before).next != hook.as_ptr() {
                    before = (*before).next;
                    if before == last {
                        return false;
                    }
                }
                remove_after(newest, before);
                true
            }
        })
    }

    /// Takes a hook out of the ring of a future that is not settled; false: it is settled.
    pub(super) fn remove_hook_of_pending(&self, hook: NonNull<Hook>) -> bool {
        let seen = self.state.lock();
        // SAFETY: LOCK is held.
        let found = !seen.is_settled() && unsafe { self.unlink(hook) };
        self.state.unlock(0, 0);
        found
    }

    /// The first hook, oldest first, of which something is found.
    ///
    /// # Safety
    /// LOCK is held.
    pub(super) unsafe fn find_hook<T>(&self, look: impl Fn(&Action) -> Option<T>) -> Option<T> {
        self.hooks.with(|newest| {
            // SAFETY: LOCK is held, and the ring consists of live hooks.
            unsafe {
                let last = (*newest).cast_const();
                let mut hook = last.as_ref()?.next.cast_const();
                loop {
                    if let Some(found) = (*hook).action.as_ref().and_then(&look) {
                        return Some(found);
                    }
                    if hook == last {
                        return None;
                    }
                    hook = (*hook).next;
                }
            }
        })
    }

    /// The hooks of the wanted kind, oldest first, linked by `Hook::link`; the others stay.
    ///
    /// # Safety
    /// LOCK is held.
    pub(super) unsafe fn take_hooks(&self, wanted: impl Fn(&Action) -> bool) -> *mut Hook {
        let mut first = ptr::null_mut();
        let mut tail = &raw mut first;
        self.hooks.with_mut(|newest| {
            // SAFETY: LOCK is held; each hook is in the ring or in the new list.
            unsafe {
                let end = *newest;
                let mut before = end;
                while !(*newest).is_null() {
                    let hook = (*before).next;
                    let was_end = hook == end;
                    if !(*hook).action.as_ref().is_some_and(&wanted) {
                        before = hook;
                    } else {
                        remove_after(newest, before);
                        (*hook).next = ptr::null_mut();
                        *tail = hook;
                        tail = &raw mut (*hook).next;
                    }
                    if was_end {
                        break;
                    }
                }
            }
        });
        first
    }

    /// Takes the oldest hook of the ring.
    ///
    /// # Safety
    /// LOCK is held.
    pub(super) unsafe fn take_oldest_hook(&self) -> Option<NonNull<Hook>> {
        self.hooks.with_mut(|newest| {
            // SAFETY: LOCK is held.
            unsafe {
                if (*newest).is_null() {
                    return None;
                }
                let oldest = (**newest).next;
                remove_after(newest, *newest);
                NonNull::new(oldest)
            }
        })
    }

    /// # Safety
    /// LOCK is held, or the caller is alone with the cell.
    pub(super) unsafe fn has_hooks(&self) -> bool {
        // SAFETY: by the contract.
        self.hooks.with(|newest| unsafe { !(*newest).is_null() })
    }
}

/// Takes the hook behind `before` out of the ring that ends at `newest`.
///
/// # Safety
/// `before` is in that ring, whose lock is held.
unsafe fn remove_after(newest: *mut *mut Hook, before: *mut Hook) {
    // SAFETY: by the contract.
    unsafe {
        let hook = (*before).next;
        if hook == before {
            *newest = ptr::null_mut();
        } else {
            (*before).next = (*hook).next;
            if *newest == hook {
                *newest = before;
            }
        }
    }
}
