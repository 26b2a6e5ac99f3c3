//! Settling a future, and everything that follows from it.
//!
//! Order: completion queues get the future; the word changes (and sleepers are woken); then, in
//! this thread and before anything of the user's runs, the library's other own hooks are carried
//! out in the order added; then the callbacks become due here. Queues come first so that whoever
//! sees the future settled finds it there, in front of all that settles because of that. Settling a join may settle further joins: that is a
//! loop over a work list, not a recursion, so chains of any length need no stack.

use super::cell::{TaskCell, TaskRef};
use super::due;
use super::extra::Text;
use super::hook::{Action, Added, Hook};
use super::join;
use super::outside;
use super::owner::{Owner, OwnerRef, Stage};
use super::place;
use super::queue;
use super::result::Payload;
use super::state::{
    ARGS, DETACHED, DRAINING, HOOKS, IN_TASK, LOCK, Outcome, PayloadBits, Snapshot,
};
use crate::error::{Result, fail};
use crate::sync::Ordering;
use std::ptr::{self, NonNull};

/// How to settle a future that did not come to its end by itself.
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) code: i32,
    pub(crate) message: Text,
    pub(crate) payload: Payload,
}

impl Verdict {
    pub(crate) fn new(outcome: Outcome) -> Verdict {
        Verdict { outcome, code: 0, message: Text::EMPTY, payload: Payload::None }
    }

    /// With a message, if there is memory for it.
    pub(crate) fn because(outcome: Outcome, code: i32, message: &[u8]) -> Verdict {
        let message = Text::copy(message).unwrap_or(Text::EMPTY);
        Verdict { outcome, code, message, payload: Payload::None }
    }
}

impl TaskCell {
    /// Settles the future if `decide` agrees with the word it sees under LOCK. True: it
    /// settled here. The caller holds a reference.
    pub(crate) fn settle_if(
        &self,
        this: &TaskRef,
        decide: impl FnOnce(Snapshot) -> bool,
        verdict: Verdict,
    ) -> bool {
        let seen = self.state.lock();
        if seen.is_settled() || !decide(seen) {
            self.state.unlock(0, 0);
            return false;
        }
        // SAFETY: LOCK is held and the future is not settled.
        unsafe { self.settle_under_lock(this, seen, verdict) };
        true
    }

    /// The second half of `settle_if`; gives LOCK back.
    ///
    /// # Safety
    /// LOCK is held with `seen`, and the future is not settled.
    pub(super) unsafe fn settle_under_lock(
        &self,
        this: &TaskRef,
        seen: Snapshot,
        verdict: Verdict,
    ) {
        // F6: under LOCK an unsettled task keeps its executor alive long enough to
        // take a reference.
        // SAFETY: LOCK is held.
        let (owner, stage) = match unsafe { self.retain_owner(seen) } {
            Some(owner) => (Some(owner), stage(seen)),
            // SAFETY: as above.
            None => (unsafe { self.retain_timekeeper(seen) }, Stage::Waiting),
        };
        // SAFETY: by the contract.
        let payload =
            unsafe { self.write_verdict(seen, verdict.code, verdict.message, verdict.payload) };
        // SAFETY: by the contract.
        let before = unsafe { self.deliver_and_settle(this, seen, verdict.outcome, payload, 0) };
        if let Some(owner) = owner {
            let settled = owner.vtable.settled;
            // SAFETY: the reference keeps the executor alive.
            unsafe { settled(owner.as_ptr(), self, verdict.outcome, stage) };
        }
        if stage >= Stage::Running && self.is_command() {
            outside::ring();
        }
        self.after_settling(this, before);
    }

    /// `State::settle_locked` after the deliveries that come before it.
    ///
    /// # Safety
    /// LOCK is held with `seen`, and the future is not settled.
    pub(super) unsafe fn deliver_and_settle(
        &self,
        this: &TaskRef,
        seen: Snapshot,
        outcome: Outcome,
        payload: Option<PayloadBits>,
        done: u32,
    ) -> Snapshot {
        if !seen.has(HOOKS) {
            return self.state.settle_locked(outcome, payload, done);
        }
        // SAFETY: by the contract.
        let (sleepers, rest) = unsafe { (queue::deliver_all(this), self.has_hooks()) };
        let done = if rest { done } else { done | HOOKS };
        let before = self.state.settle_locked(outcome, payload, done);
        drop(sleepers);
        before
    }

    /// Code, message and payload of an outcome that is about to be published. Payload None:
    /// whatever was recorded before stays as it is, for the getters or for the end.
    ///
    /// # Safety
    /// LOCK is held with `seen`, and the future is not settled.
    pub(super) unsafe fn write_verdict(
        &self,
        seen: Snapshot,
        code: i32,
        message: Text,
        payload: Payload,
    ) -> Option<PayloadBits> {
        if code != 0 {
            self.set_code(code);
        }
        if !message.is_empty() {
            // SAFETY: LOCK is held. Without memory the message is lost, the rest is not.
            if let Some(extra) = unsafe { self.extra_locked(seen) } {
                // SAFETY: LOCK is held and it is not settled: nobody reads the message.
                extra.message.with_mut(|place| unsafe { *place = message });
            }
        }
        match payload {
            Payload::None => None,
            // SAFETY: LOCK is held; a payload is given only where none is recorded.
            some => Some(unsafe { self.write_payload(some) }),
        }
    }

    /// The executor of an unsettled task.
    ///
    /// # Safety
    /// LOCK is held with `seen`, and the future is not settled.
    pub(super) unsafe fn retain_owner(&self, seen: Snapshot) -> Option<OwnerRef> {
        let owner: *mut Owner = self.owner_in(seen);
        // SAFETY: F6: not settled and locked, so the executor is alive.
        NonNull::new(owner).map(|owner| unsafe { OwnerRef::retain(owner) })
    }

    /// What follows when a future has settled. `before` is the word before: what counts is which
    /// flags were up.
    pub(super) fn after_settling(&self, this: &TaskRef, before: Snapshot) {
        if !before.has(HOOKS | ARGS) {
            return;
        }
        let mut list = WorkList::new();
        list.settled(this.clone());
        list.run();
    }
}

fn stage(seen: Snapshot) -> Stage {
    if seen.has(DETACHED) {
        Stage::Detached
    } else if seen.is_pending() {
        Stage::Queued
    } else {
        debug_assert!(seen.has(IN_TASK | LOCK));
        Stage::Running
    }
}

/// Settled futures whose hooks are to be carried out. Intrusive: the due link is free
/// between settling and the due list (F7).
pub(super) struct WorkList {
    first: *mut (),
}

impl WorkList {
    pub(super) fn new() -> WorkList {
        WorkList { first: ptr::null_mut() }
    }

    /// Adds a future that has just settled with hooks or unused arguments.
    pub(super) fn settled(&mut self, cell: TaskRef) {
        // SAFETY: F7: whoever settles it has the link until the due list takes it.
        // Relaxed: the list belongs to this thread.
        unsafe { cell.due_link() }.store(self.first, Ordering::Relaxed);
        self.first = cell.into_raw().as_ptr().cast();
    }

    pub(super) fn run(&mut self) {
        while let Some(cell) = NonNull::new(self.first.cast::<TaskCell>()) {
            // SAFETY: put in by `settled` with its reference.
            let cell = unsafe { TaskRef::from_raw(cell) };
            // SAFETY: on this list, so the link is ours.
            self.first = unsafe { cell.due_link() }.load(Ordering::Relaxed);
            self.carry_out_hooks(cell);
        }
    }

    fn carry_out_hooks(&mut self, cell: TaskRef) {
        let seen = cell.state.lock();
        // SAFETY: LOCK is held.
        let (mut hook, callbacks) =
            unsafe { (cell.take_hooks(Action::is_internal), cell.has_hooks()) };
        let user_has_calls = callbacks || seen.has(ARGS);
        cell.state.unlock(0, if user_has_calls { 0 } else { DRAINING | HOOKS });
        if callbacks {
            cell.note_seen_in(seen);
        }
        while let Some(this) = NonNull::new(hook) {
            // SAFETY: out of the ring and ours.
            unsafe {
                hook = *Hook::link(this);
                self.carry_out(&cell, this);
            }
        }
        if user_has_calls {
            due::push_settled(cell);
        }
    }

    /// Carries out one of the library's own hooks of the settled `cell`.
    ///
    /// # Safety
    /// The hook is in no ring and nobody else refers to it.
    pub(super) unsafe fn carry_out(&mut self, cell: &TaskRef, hook: NonNull<Hook>) {
        // SAFETY: by the contract.
        if let Some(place) = unsafe { Hook::place_in_view(hook) } {
            // SAFETY: by the contract.
            return unsafe { place::leave(cell, place, hook) };
        }
        cell.note_seen();
        // A delivery keeps its hook: it becomes the entry in the queue.
        // SAFETY: by the contract.
        let hook = match unsafe { queue::deliver(cell, hook) } {
            Some(hook) => hook,
            None => return,
        };
        // SAFETY: by the contract.
        match unsafe { Hook::consume(hook) } {
            Some(Action::Start(output)) => super::then::start(output),
            Some(Action::Report(group)) => group.report(cell),
            Some(Action::Join(output)) => join::input_settled(output, cell, self),
            // The last one: not reached, for it was looked for above.
            Some(
                Action::Deliver(..)
                | Action::Delivered(..)
                | Action::Callback(..)
                | Action::Place(..),
            )
            | None => {}
        }
    }
}

/// An error for a future that another process settles, and this one never sees settle: nothing
/// can be hung on it, and its lock may be held by a thread that does not exist here.
pub(crate) fn check_fork(cell: &TaskCell) -> Result<()> {
    if cell.is_inherited() && !cell.snapshot().is_settled() {
        return fail!(Forked, "this future was made before fork(); it settles in the parent");
    }
    Ok(())
}

/// Adds a hook to a future that passed `check_fork`, and carries it out if it is settled.
pub(crate) fn hook_in(cell: &TaskRef, hook: NonNull<Hook>) {
    match cell.add_hook(hook) {
        Added::Waiting => {}
        Added::Due => {
            cell.note_seen();
            due::push_settled(cell.clone());
        }
        Added::Now(hook) => {
            let mut list = WorkList::new();
            // SAFETY: not in a ring; given to us alone.
            unsafe { list.carry_out(cell, hook) };
            list.run();
        }
    }
}
