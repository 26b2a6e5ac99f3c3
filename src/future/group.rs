//! Waiting for one of several futures: `cfut_wait_many` with ANY and FIRST_FAILURE.
//!
//! The waiter hooks into each future that is not settled, sleeps on one word, and takes its
//! hooks out again, so that polling a long-lived future a million times leaves nothing
//! behind. The group is one allocation that the hooks and the waiter hold together: a hook
//! that is just being carried out may outlive the wait. (Waiting for all needs none of
//! this: it waits for each in turn.)

use super::cell::TaskCell;
use super::hook::{Action, Home, Hook};
use super::settle;
use super::state::Outcome;
use crate::platform::memory;
use crate::sync::{AtomicUsize, Futex32, Ordering};
use std::alloc::Layout;
use std::ptr::NonNull;

/// What ends the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Any,
    FirstFailure,
}

/// Head of the allocation; one hook a future follows.
pub(crate) struct Group {
    references: AtomicUsize,
    until: Until,
    count: usize,
    unsettled: AtomicUsize,
    /// 0: go on waiting; 1: look again.
    ready: Futex32,
}

pub(crate) struct GroupRef(NonNull<Group>);

// SAFETY: all fields are atomic or do not change; the hooks are their rings' business.
unsafe impl Send for GroupRef {}
// SAFETY: as above.
unsafe impl Sync for GroupRef {}

/// Whether `outcome` ends a wait for the first failure: being cancelled is none.
pub(crate) fn is_failure(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Succeeded | Outcome::Cancelled)
}

fn layout(count: usize) -> Option<(usize, Layout)> {
    let (layout, hooks) = Layout::new::<Group>().extend(Layout::array::<Hook>(count).ok()?).ok()?;
    Some((hooks, layout))
}

impl GroupRef {
    /// None when there is no memory.
    fn new(count: usize, until: Until) -> Option<GroupRef> {
        let (_, layout) = layout(count)?;
        let place = memory::allocate(layout.size(), layout.align())?.cast::<Group>();
        // SAFETY: fresh memory of this layout.
        unsafe {
            place.write(Group {
                references: AtomicUsize::new(1),
                until,
                count,
                unsettled: AtomicUsize::new(count),
                ready: Futex32::new(0),
            });
        }
        Some(GroupRef(place))
    }

    fn group(&self) -> &Group {
        // SAFETY: this reference keeps it alive.
        unsafe { self.0.as_ref() }
    }

    fn hook(&self, place: usize) -> Option<NonNull<Hook>> {
        let (hooks, _) = layout(self.group().count)?;
        // SAFETY: in bounds of the allocation.
        Some(unsafe { self.0.cast::<u8>().add(hooks).cast::<Hook>().add(place) })
    }

    /// One of the futures has settled.
    pub(super) fn report(&self, cell: &TaskCell) {
        let group = self.group();
        // AcqRel: pairs with itself in the other reports; the last one has seen what all of
        // them published.
        let last = group.unsettled.fetch_sub(1, Ordering::AcqRel) == 1;
        let ends = match group.until {
            Until::Any => true,
            Until::FirstFailure => is_failure(cell.snapshot().outcome()),
        };
        // Release: pairs with the Acquire in `Watch::is_ready`.
        if (ends || last) && group.ready.swap(1, Ordering::Release) == 0 {
            group.ready.wake_all();
        }
    }
}

impl Clone for GroupRef {
    fn clone(&self) -> GroupRef {
        // Relaxed: a reference from an existing one publishes nothing.
        self.group().references.fetch_add(1, Ordering::Relaxed);
        GroupRef(self.0)
    }
}

impl Drop for GroupRef {
    fn drop(&mut self) {
        // Release: pairs with the Acquire below in the last drop; uses through this
        // reference come before the end of the memory.
        if self.group().references.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // Acquire: pairs with the Releases of the other drops.
        let _ = self.group().references.load(Ordering::Acquire);
        if let Some((_, layout)) = layout(self.group().count) {
            // SAFETY: the last reference; allocated in `new` with this layout.
            unsafe { memory::release(self.0.cast(), layout.size(), layout.align()) };
        }
    }
}

/// A wait for several futures, hooked in while it exists.
pub(crate) struct Watch<'a> {
    group: GroupRef,
    futures: &'a [*const TaskCell],
    hooked: usize,
}

impl<'a> Watch<'a> {
    /// None when there is no memory.
    ///
    /// # Safety
    /// The futures are alive for `'a`.
    pub(crate) unsafe fn new(futures: &'a [*const TaskCell], until: Until) -> Option<Watch<'a>> {
        let group = GroupRef::new(futures.len(), until)?;
        let mut watch = Watch { group, futures, hooked: 0 };
        for (place, &future) in futures.iter().enumerate() {
            if watch.is_ready() {
                break;
            }
            let hook = watch.group.hook(place)?;
            // SAFETY: the hook's place is in the group, which its own action keeps; the
            // future is alive by the contract.
            unsafe {
                Hook::place(hook, Action::Report(watch.group.clone()), Home::Embedded);
                settle::hook_in(&(*future).clone_ref(), hook);
            }
            watch.hooked = place + 1;
        }
        Some(watch)
    }

    pub(crate) fn is_ready(&self) -> bool {
        // Acquire: pairs with the Release in `report`.
        self.group.group().ready.load(Ordering::Acquire) == 1
    }

    /// Sleeps until ready; false at the deadline.
    pub(crate) fn sleep(&self, deadline: Option<crate::platform::clock::Instant>) -> bool {
        let ready = &self.group.group().ready;
        while !self.is_ready() {
            if !ready.wait(0, deadline) {
                return self.is_ready();
            }
        }
        true
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        for (place, &future) in self.futures[..self.hooked].iter().enumerate() {
            let Some(hook) = self.group.hook(place) else { continue };
            // SAFETY: the futures are alive for 'a. A hook taken out of its ring is ours;
            // one that is not found is being carried out, or was.
            unsafe {
                if (*future).remove_hook(hook) {
                    drop(Hook::consume(hook));
                }
            }
        }
    }
}
