//! Who waits, who holds a place, and who is next.

use super::view::View;
use crate::future::cell::{Kind, TaskRef};
use crate::future::hook::Hook;
use crate::future::owner::{Arrival, Refused};
use crate::future::phase::Phase;
use crate::future::place::{self, At, Place};
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::future::then;
use crate::quiet;
use crate::sync::{Guard, Ordering};
use std::ptr::{self, NonNull};

/// What the lock of a view guards: also the places that its lists consist of.
pub(super) struct Gate {
    pub(super) phase: Phase,
    /// What waits is cancelled.
    pub(super) cancels: bool,
    pub(super) waiting: List,
    pub(super) placed: List,
    /// Tasks in neither list that are about to be settled.
    leaving: usize,
}

/// Hooks of tasks, linked through their places.
pub(super) struct List {
    first: *mut Hook,
    last: *mut Hook,
    pub(super) count: usize,
}

// SAFETY: the pointers lead to hooks that the futures of the listed tasks keep.
unsafe impl Send for List {}

/// The place of a hook in one of the lists.
///
/// # Safety
/// The gate is locked, or the hook is known to nobody else; it is a place.
pub(super) unsafe fn place_of<'a>(hook: NonNull<Hook>) -> &'a Place {
    // SAFETY: by the contract.
    match unsafe { Hook::place_in_view(hook) } {
        Some(place) => place,
        None => crate::unwind::die("a view's list has a hook that is no place"),
    }
}

impl List {
    const EMPTY: List = List { first: ptr::null_mut(), last: ptr::null_mut(), count: 0 };

    /// # Safety
    /// The gate is locked; the hook is a live place in no list.
    pub(super) unsafe fn push(&mut self, hook: NonNull<Hook>, at: At) {
        // SAFETY: by the contract; what is listed is alive.
        unsafe {
            let place = place_of(hook);
            place.at.set(at);
            place.next.set(ptr::null_mut());
            place.previous.set(self.last);
            match NonNull::new(self.last) {
                Some(last) => place_of(last).next.set(hook.as_ptr()),
                None => self.first = hook.as_ptr(),
            }
        }
        self.last = hook.as_ptr();
        self.count += 1;
    }

    /// # Safety
    /// The gate is locked; the hook is in this list.
    pub(super) unsafe fn remove(&mut self, hook: NonNull<Hook>) {
        // SAFETY: by the contract; what is listed is alive.
        unsafe {
            let place = place_of(hook);
            let (next, previous) = (place.next.get(), place.previous.get());
            place.at.set(At::Nowhere);
            match NonNull::new(previous) {
                Some(previous) => place_of(previous).next.set(next),
                None => self.first = next,
            }
            match NonNull::new(next) {
                Some(next) => place_of(next).previous.set(previous),
                None => self.last = previous,
            }
        }
        self.count -= 1;
    }

    pub(super) fn first(&self) -> Option<NonNull<Hook>> {
        NonNull::new(self.first)
    }

    /// The tasks in it, oldest first. Their cells are alive as long as the gate is locked: a place
    /// leaves its list before the reference goes that its future is settled with.
    pub(super) fn tasks(&self) -> impl Iterator<Item = TaskRef> {
        let mut hook = self.first;
        std::iter::from_fn(move || {
            // SAFETY: the gate is locked, for `self` is borrowed from it.
            let place = unsafe { place_of(NonNull::new(hook)?) };
            hook = place.next.get();
            // SAFETY: see above.
            Some(unsafe { place.task.as_ref() }.clone_ref())
        })
    }
}

impl Gate {
    pub(super) fn new() -> Gate {
        Gate {
            phase: Phase::Open,
            cancels: false,
            waiting: List::EMPTY,
            placed: List::EMPTY,
            leaving: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.count == 0 && self.placed.count == 0 && self.leaving == 0
    }

    /// Takes the next task out, for somebody who settles it at once. Its hook tells the view.
    pub(super) fn take_waiting(&mut self) -> Option<TaskRef> {
        let hook = self.waiting.first()?;
        self.leaving += 1;
        // SAFETY: the gate is locked; the hook is in the list, and the reference in its place.
        unsafe {
            self.waiting.remove(hook);
            place_of(hook).at.set(At::Leaving);
            Some(TaskRef::from_raw(place_of(hook).task))
        }
    }

    /// The next task gets a place, if there is one for it, and its reference.
    fn place_next(&mut self, most: u32) -> Option<(TaskRef, NonNull<Hook>)> {
        if self.placed.count >= most as usize {
            return None;
        }
        let hook = self.waiting.first()?;
        // SAFETY: the gate is locked; the hook is in the list.
        unsafe {
            self.waiting.remove(hook);
            self.placed.push(hook, At::Placed);
            Some((TaskRef::from_raw(place_of(hook).task), hook))
        }
    }
}

impl View {
    /// Hands up to `count` tasks on, as places are free.
    pub(super) fn hand_on<'a>(&'a self, mut gate: Guard<'a, Gate>, mut count: usize) {
        while count > 0 {
            let Some((task, hook)) = gate.place_next(self.most) else { break };
            drop(gate);
            if self.give(task, hook) {
                count -= 1;
            }
            gate = self.gate.lock();
        }
        self.end_if_done(gate);
    }

    /// Gives a task that has a place to the parent; false: it is refused and settled, and the
    /// place is free again.
    fn give(&self, task: TaskRef, hook: NonNull<Hook>) -> bool {
        if !task.move_to(self.parent.as_ptr().as_ptr()) {
            return true; // whoever settled it gives the place back
        }
        let enqueue = self.parent.vtable.enqueue;
        // SAFETY: `parent` keeps it.
        match unsafe { enqueue(self.parent.as_ptr(), task, Arrival::Held) } {
            Ok(()) => true,
            Err(refused) => self.refuse(refused, hook),
        }
    }

    /// As `give`, for a task that the parent has refused.
    #[cold]
    fn refuse(&self, Refused { task, verdict }: Refused, hook: NonNull<Hook>) -> bool {
        if verdict.is_none() && task.kind() == Kind::Then {
            // It holds its place until it has run.
            then::start_here(task);
            return true;
        }
        task.move_to(ptr::null_mut());
        if !place::take_back(&task, hook) {
            return true; // as in `give`
        }
        {
            let mut gate = self.gate.lock();
            // SAFETY: taken back, so it is still in the list.
            unsafe { gate.placed.remove(hook) };
            gate.leaving += 1;
        }
        // SAFETY: in no list and no ring.
        let _view = unsafe { Hook::consume(hook) };
        let text = b"not run: the executor under the view takes no work any more";
        let verdict = verdict.unwrap_or_else(|| Verdict::because(Outcome::Broken, 0, text));
        task.settle_if(&task, |seen| seen.is_pending(), verdict);
        self.tally.outcome(task.snapshot().outcome()).add(1);
        self.gate.lock().leaving -= 1;
        false
    }

    /// A task of the view has settled, and its function does not run.
    pub(super) fn leave(&self, hook: NonNull<Hook>, task: &TaskRef) {
        let mut gate = self.gate.lock();
        // SAFETY: the gate is locked; the hook came from this view's task.
        let place = unsafe { place_of(hook) };
        let waited = place.at.get() == At::Waiting;
        // SAFETY: as above; `at` says which list it is in.
        unsafe {
            match place.at.get() {
                At::Waiting => gate.waiting.remove(hook),
                At::Placed => gate.placed.remove(hook),
                At::Leaving => gate.leaving -= 1,
                At::Nowhere => {}
            }
        }
        let reference = place.task;
        self.tally.outcome(task.snapshot().outcome()).add(1);
        self.hand_on(gate, 1);
        // SAFETY: in no list and no ring. A waiting task has its reference in it.
        unsafe {
            drop(Hook::consume(hook));
            if waited {
                drop(TaskRef::from_raw(reference));
            }
        }
    }

    /// Nothing is left of a view that was closed; gives the lock back.
    pub(super) fn end_if_done(&self, mut gate: Guard<'_, Gate>) {
        let empty = gate.is_empty();
        let ends = empty && gate.phase == Phase::Closing;
        if ends {
            gate.phase = Phase::Ended;
        }
        drop(gate);
        if ends {
            // Release: pairs with the Acquire in `wait_for_end`.
            self.events.fetch_add(1, Ordering::Release);
            self.events.wake_all();
            self.let_parent_go();
        }
        if empty {
            quiet::signal();
        }
    }
}
