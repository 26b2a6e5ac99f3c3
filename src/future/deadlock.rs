//! Waits that could never end: a cycle of tasks that wait for each other.
//!
//! A worker that waits for ever enters what it waits for, under one lock for the process,
//! and looks whether the chain leads back to itself: the awaited future is run by some
//! worker; if that one waits too, what it waits for is run by some worker; and so on. A
//! continuation leads to its input, a join of all to each of its inputs, a task that waits in a
//! view to the tasks that hold its places, if all of them do. The wait that would close a cycle is
//! refused, so a cycle never exists.
//!
//! The table is a list through the heads of blocked workers, of whichever executor. Their tasks
//! stand still while they are in it, so the lock is all that is needed to look at them.

use super::cell::{Kind, TaskCell};
use super::extra::Spec;
use super::place::Holders;
use super::wait::WorkerHead;
use super::{join, then};
use crate::platform::fork::PerProcess;
use crate::sync::{Lock, Ordering, global};
use std::ptr::{self, NonNull};

struct Table {
    first: *mut WorkerHead,
}

// SAFETY: the workers in the list are alive: one leaves it before it goes.
unsafe impl Send for Table {}

global! {
    static TABLE: Lock<Table> = Lock::new(Table { first: ptr::null_mut() });
}
static PER_PROCESS: PerProcess = PerProcess::new();

/// How many steps a search takes before it gives up and lets the wait be.
const SEARCH: usize = 10_000;

fn follow_fork() {
    PER_PROCESS.follow(|| {
        // SAFETY: first use in this child: no thread of it holds the lock.
        unsafe { TABLE.reset(Table { first: ptr::null_mut() }) };
    });
}

/// Enters a wait for ever; false if it could never end.
///
/// # Safety
/// `worker` is the calling thread's own, as a pointer to all of it, and stays until `leave`.
pub(crate) unsafe fn enter(worker: NonNull<WorkerHead>, awaited: &TaskCell) -> bool {
    follow_fork();
    let mut table = TABLE.lock();
    if leads_to(&table, worker, awaited, &mut Search { steps: SEARCH, behind: None }) {
        return false;
    }
    // SAFETY: by the contract.
    let head = unsafe { worker.as_ref() };
    // Relaxed, here and below: touched under the lock only.
    head.awaited.store(ptr::from_ref(awaited).cast_mut(), Ordering::Relaxed);
    head.next_blocked.store(table.first, Ordering::Relaxed);
    table.first = worker.as_ptr();
    true
}

/// The wait is over. Nothing if the worker had not entered one.
///
/// # Safety
/// `worker` is the calling thread's own.
pub(crate) unsafe fn leave(worker: NonNull<WorkerHead>) {
    // SAFETY: by the contract.
    let head = unsafe { worker.as_ref() };
    if head.awaited.load(Ordering::Relaxed).is_null() {
        return; // only this thread sets it
    }
    let mut table = TABLE.lock();
    let next = head.next_blocked.load(Ordering::Relaxed);
    if table.first == worker.as_ptr() {
        table.first = next;
    } else {
        let before = blocked(&table)
            .map(head_of)
            .find(|other| other.next_blocked.load(Ordering::Relaxed) == worker.as_ptr());
        if let Some(before) = before {
            before.next_blocked.store(next, Ordering::Relaxed);
        }
    }
    head.awaited.store(ptr::null_mut(), Ordering::Relaxed);
}

fn blocked(table: &Table) -> impl Iterator<Item = NonNull<WorkerHead>> {
    let mut next = table.first;
    std::iter::from_fn(move || {
        let worker = NonNull::new(next)?;
        next = head_of(worker).next_blocked.load(Ordering::Relaxed);
        Some(worker)
    })
}

/// Of a worker in the table, whose lock is held.
fn head_of<'a>(worker: NonNull<WorkerHead>) -> &'a WorkerHead {
    // SAFETY: the workers in the list are alive while the lock is held.
    unsafe { worker.as_ref() }
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
fn leads_to(
    table: &Table,
    waiter: NonNull<WorkerHead>,
    awaited: &TaskCell,
    search: &mut Search<'_>,
) -> bool {
    if search.steps == 0 || awaited.snapshot().is_settled() {
        return false;
    }
    search.steps -= 1;
    if runs(waiter, awaited) {
        return true;
    }
    if let Some(runner) = blocked(table).find(|&worker| runs(worker, awaited)) {
        let next = head_of(runner).awaited.load(Ordering::Relaxed);
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
fn waits_behind(
    table: &Table,
    waiter: NonNull<WorkerHead>,
    awaited: &TaskCell,
    search: &mut Search<'_>,
) -> bool {
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
fn runs(worker: NonNull<WorkerHead>, task: &TaskCell) -> bool {
    let find = head_of(worker).vtable.find_task;
    // SAFETY: the caller's own, or that of a blocked worker, which stands still.
    unsafe { find(worker, &mut |running| ptr::eq(running, task)) }.is_some()
}
