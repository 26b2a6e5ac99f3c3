//! Waits that could never end: a cycle of tasks that wait for each other.
//!
//! A worker that waits for ever enters what it waits for, under one lock for the process,
//! and looks whether the chain leads back to itself: the awaited future is run by some
//! worker; if that one waits too, what it waits for is run by some worker; and so on. A
//! continuation leads to its input, a join of all to each of its inputs, a task that waits in a
//! view to the tasks that hold its places, if all of them do. The wait that would close a cycle is
//! refused, so a cycle never exists.
//!
//! The table is a list through the slots of blocked workers. Their stacks of frames stand
//! still while they are in it, so the lock is all that is needed to read them.

use super::worker::{Frame, Slot};
use crate::future::cell::{Kind, TaskCell};
use crate::future::extra::Spec;
use crate::future::place::Holders;
use crate::future::{join, then};
use crate::platform::fork::PerProcess;
use crate::sync::{Lock, Ordering, global};
use std::ptr;

struct Table {
    first: *const Slot,
}

// SAFETY: the slots in the list are alive: a worker leaves it before it goes.
unsafe impl Send for Table {}

global! {
    static TABLE: Lock<Table> = Lock::new(Table { first: ptr::null() });
}
static PER_PROCESS: PerProcess = PerProcess::new();

/// How many steps a search takes before it gives up and lets the wait be.
const SEARCH: usize = 10_000;

fn follow_fork() {
    PER_PROCESS.follow(|| {
        // SAFETY: first use in this child: no thread of it holds the lock.
        unsafe { TABLE.reset(Table { first: ptr::null() }) };
    });
}

/// Enters a wait for ever; false if it could never end.
pub(super) fn enter(slot: &Slot, awaited: &TaskCell) -> bool {
    follow_fork();
    let mut table = TABLE.lock();
    if leads_to(&table, slot, awaited, &mut Search { steps: SEARCH, behind: None }) {
        return false;
    }
    let public = slot.public();
    // Relaxed, here and below: touched under the lock only.
    public.awaited.store(ptr::from_ref(awaited).cast_mut(), Ordering::Relaxed);
    public.next_blocked.store(table.first.cast_mut(), Ordering::Relaxed);
    table.first = slot;
    true
}

/// The wait is over. Nothing if the worker had not entered one.
pub(super) fn leave(slot: &Slot) {
    if slot.public().awaited.load(Ordering::Relaxed).is_null() {
        return; // only this thread sets it
    }
    let mut table = TABLE.lock();
    let next = slot.public().next_blocked.load(Ordering::Relaxed).cast_const();
    if ptr::eq(table.first, slot) {
        table.first = next;
    } else {
        let before = blocked(&table)
            .find(|other| ptr::eq(other.public().next_blocked.load(Ordering::Relaxed), slot));
        if let Some(before) = before {
            before.public().next_blocked.store(next.cast_mut(), Ordering::Relaxed);
        }
    }
    slot.public().awaited.store(ptr::null_mut(), Ordering::Relaxed);
}

fn blocked(table: &Table) -> impl Iterator<Item = &Slot> {
    // SAFETY: the lock is held: the slots in the list are alive.
    let mut next = unsafe { table.first.as_ref() };
    std::iter::from_fn(move || {
        let slot = next?;
        // SAFETY: as above.
        next = unsafe { slot.public().next_blocked.load(Ordering::Relaxed).as_ref() };
        Some(slot)
    })
}

/// How far a search has come.
struct Search<'a> {
    steps: usize,
    behind: Option<&'a Behind<'a>>,
}

/// A task that waits in a view, which the search has come through.
struct Behind<'a> {
    task: *const TaskCell,
    outer: Option<&'a Behind<'a>>,
}

/// Whether `awaited` can settle only after a task on the stack of `waiter` has gone on.
fn leads_to(table: &Table, waiter: &Slot, awaited: &TaskCell, search: &mut Search<'_>) -> bool {
    if search.steps == 0 || awaited.snapshot().is_settled() {
        return false;
    }
    search.steps -= 1;
    if runs(waiter, awaited) {
        return true;
    }
    if let Some(runner) = blocked(table).find(|slot| runs(slot, awaited)) {
        let next = runner.public().awaited.load(Ordering::Relaxed);
        // SAFETY: its wait holds a handle, and it stays in the table while we look.
        return unsafe { next.as_ref() }.is_some_and(|next| leads_to(table, waiter, next, search));
    }
    match awaited.kind() {
        // Its total time-out ends the wait.
        Kind::Then if awaited.spec().is_some_and(|spec| spec.total_timeout >= 0) => false,
        Kind::Then => match then::input_of(awaited) {
            Some(input) => leads_to(table, waiter, &input, search),
            None => waits_behind(table, waiter, awaited, search),
        },
        Kind::Join if join::needs_all(awaited) => {
            let mut from = 0;
            while let Some(input) = join::unsettled_input(awaited, &mut from) {
                if search.steps == 0 {
                    return false;
                }
                if leads_to(table, waiter, &input, search) {
                    return true;
                }
                from += 1;
            }
            false
        }
        _ => waits_behind(table, waiter, awaited, search),
    }
}

/// Whether `awaited` waits in a view all of whose places are held by tasks that lead to `waiter`, or
/// back to it.
fn waits_behind(table: &Table, waiter: &Slot, awaited: &TaskCell, search: &mut Search<'_>) -> bool {
    let timed = |spec: &Spec| spec.total_timeout >= 0 || spec.queue_timeout >= 0;
    if !awaited.snapshot().is_pending() || awaited.spec().is_some_and(timed) {
        return false; // it has a place, or its time-out ends the wait
    }
    let mut outer = search.behind;
    while let Some(behind) = outer {
        if ptr::eq(behind.task, awaited) {
            return true;
        }
        outer = behind.outer;
    }
    let Some(holders) = Holders::of(awaited) else { return false };
    let here = Behind { task: awaited, outer: search.behind };
    let mut inner = Search { steps: search.steps, behind: Some(&here) };
    let mut number = 0;
    let mut all = true;
    while let Some(holder) = holders.get(number).filter(|_| all) {
        all = leads_to(table, waiter, &holder, &mut inner);
        number += 1;
    }
    search.steps = inner.steps;
    all && number > 0
}

/// Whether the function of `task` is on the stack of this worker, which is the calling
/// thread's or in the table.
fn runs(slot: &Slot, task: &TaskCell) -> bool {
    // SAFETY: W1 for the caller's own slot; that of a blocked worker stands still.
    let mut frame: *const Frame = slot.mine().frames.get();
    // SAFETY: frames are on the worker's stack, below where it blocks.
    while let Some(this) = unsafe { frame.as_ref() } {
        if ptr::eq(this.task.get(), task) {
            return true;
        }
        frame = this.below;
    }
    false
}
