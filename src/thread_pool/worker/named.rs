//! Tasks with options while they run, for whoever wants to show them.
//!
//! What a worker runs nobody else may look at: a task can be gone at any moment. One with options
//! is worth two locks: a record of it is linked on its worker's stack, and seen under the lock of
//! its slot.

use super::Slot;
use super::run::Begun;
use crate::future::cell::TaskRef;
use crate::future::extra::Spec;
use crate::shared::Shared;
use crate::unwind::contain;
use std::ptr;

/// On the stack of its worker, from the start of the task to its end.
pub(in crate::thread_pool) struct Named {
    pub(in crate::thread_pool) spec: Shared<Spec>,
    /// In ticks.
    pub(in crate::thread_pool) accepted: u64,
    pub(in crate::thread_pool) began: u64,
    below: *const Named,
}

/// The newest of a worker's, or NULL.
pub(super) struct Newest(*const Named);

// SAFETY: what it points at is looked at under the lock that this is in, and is taken out of the
// list under it before it goes.
unsafe impl Send for Newest {}

impl Newest {
    pub(super) const NONE: Newest = Newest(ptr::null());
}

/// Takes the record out when the task has ended, however it does.
pub(super) struct Showing<'a>(&'a Slot, bool);

impl Named {
    /// None for a task without options.
    pub(super) fn of(task: &TaskRef, begun: Begun) -> Option<Named> {
        let spec = task.shared_spec()?;
        let (accepted, began) = (task.accepted_at(), begun.at());
        Some(Named { spec, accepted, began, below: ptr::null() })
    }
}

impl Slot {
    /// Shows a task that is about to run.
    ///
    /// # Safety
    /// The record stays where it is until the answer has gone.
    pub(super) unsafe fn show(&self, named: Option<&mut Named>) -> Showing<'_> {
        let shows = named.is_some();
        if let Some(named) = named {
            let mut newest = self.public.named.lock();
            named.below = newest.0;
            newest.0 = named;
        }
        Showing(self, shows)
    }

    /// Shows the records, newest first, while `look` wants more; when the newest one began.
    pub(in crate::thread_pool) fn for_each_named(
        &self,
        mut look: impl FnMut(&Named) -> bool,
    ) -> Option<u64> {
        let newest = self.public.named.lock();
        // SAFETY: in the list, whose lock is held.
        let top = unsafe { newest.0.as_ref() };
        let mut next = top;
        while let Some(named) = next.filter(|named| look(named)) {
            // SAFETY: as above.
            next = unsafe { named.below.as_ref() };
        }
        top.map(|top| top.began.max(1))
    }
}

impl Drop for Showing<'_> {
    fn drop(&mut self) {
        if self.1 && !self.0.is_forked() {
            let _ = contain(|| {
                let mut newest = self.0.public.named.lock();
                // SAFETY: the newest one is this one's, which has not gone yet.
                newest.0 = unsafe { newest.0.as_ref() }.map_or(ptr::null(), |named| named.below);
            });
        }
    }
}
