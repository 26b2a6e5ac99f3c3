//! Joined futures: one that settles with several others.
//!
//! | mode | settles | as |
//! |---|---|---|
//! | ALL | with the first that did not succeed, else with the last | that one; success |
//! | SETTLED | with the last | success |
//! | ANY | with the first | that one |
//! | FIRST_SUCCESS | with the first success, else with the last | that one |
//!
//! "As that one" means the same outcome, and getters that look there (`Payload::Alias`).
//! A join holds its inputs for as long as its future lives; cancelling or releasing it
//! touches none of them.

use super::cell::{TaskCell, TaskRef};
use super::hook::{Action, Home, Hook};
use super::make::Work;
use super::result::Payload;
use super::settle::{self, WorkList};
use super::state::{ARGS, HOOKS, Outcome};
use crate::error::{Error, Result};
use crate::platform::memory;
use crate::sync::{AtomicUsize, Ordering};
use std::alloc::Layout;
use std::ptr::NonNull;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    All,
    Settled,
    Any,
    FirstSuccess,
}

/// The head of one allocation: hooks and inputs follow, one of each an input.
pub(crate) struct Join {
    mode: Mode,
    count: usize,
    unsettled: AtomicUsize,
}

/// Offsets of hooks and inputs in the allocation, and its layout.
fn layout(count: usize) -> Option<(usize, usize, Layout)> {
    let (layout, hooks) = Layout::new::<Join>().extend(Layout::array::<Hook>(count).ok()?).ok()?;
    let (layout, inputs) = layout.extend(Layout::array::<TaskRef>(count).ok()?).ok()?;
    Some((hooks, inputs, layout))
}

/// A future that settles with `inputs`, of which there is at least one.
pub(crate) fn join(inputs: &[&TaskCell], mode: Mode) -> Result<TaskRef> {
    inputs.iter().try_for_each(|input| settle::check_fork(input))?;
    let count = inputs.len();
    let Some((hooks, places, layout)) = layout(count) else {
        return Err(Error::no_memory("a join", usize::MAX));
    };
    let no_memory = || Error::no_memory("a join", layout.size());
    let join = memory::allocate(layout.size(), layout.align()).ok_or_else(no_memory)?;
    let head = Join { mode, count, unsettled: AtomicUsize::new(count) };
    // SAFETY: fresh memory of this layout.
    unsafe { join.cast::<Join>().write(head) };
    for (place, input) in inputs.iter().enumerate() {
        // SAFETY: as above; in bounds.
        unsafe { join.add(places).cast::<TaskRef>().add(place).write(input.clone_ref()) };
    }
    // One reference for the handle, one for each hook.
    let refs = u32::try_from(count).ok().and_then(|count| count.checked_add(1));
    let cell = refs.and_then(|refs| TaskCell::allocate(Work::Join(join.cast()), refs));
    let Some(cell) = cell else {
        // SAFETY: just made, known to nobody, no hook placed.
        unsafe { destroy(join.cast()) };
        return Err(no_memory());
    };
    for (place, input) in inputs.iter().enumerate() {
        // SAFETY: in bounds of the allocation; each hook has its own reference of the cell,
        // which keeps the allocation.
        unsafe {
            let hook = join.add(hooks).cast::<Hook>().add(place);
            Hook::place(hook, Action::Join(TaskRef::from_raw(cell)), Home::Embedded);
            settle::hook_in(&input.clone_ref(), hook);
        }
    }
    // SAFETY: the handle's reference.
    Ok(unsafe { TaskRef::from_raw(cell) })
}

/// A join of nothing: settled as success.
pub(crate) fn of_none() -> Result<TaskRef> {
    let cell = TaskCell::allocate(Work::Promise, 1)
        .ok_or_else(|| Error::no_memory("a future", super::arena::block_size(0)))?;
    // SAFETY: fresh, one reference.
    let cell = unsafe { TaskRef::from_raw(cell) };
    let _ = cell.state.lock();
    cell.state.settle_locked(Outcome::Succeeded, None, 0);
    Ok(cell)
}

/// Frees a join's memory and its references to the inputs.
///
/// # Safety
/// The cell it belongs to has no references left, so no hook of it is in any ring.
pub(super) unsafe fn destroy(join: NonNull<Join>) {
    // SAFETY: by the contract it is alive and ours.
    let count = unsafe { join.as_ref() }.count;
    let Some((_, places, layout)) = layout(count) else { return };
    for place in 0..count {
        // SAFETY: each place holds a reference, read out once.
        drop(unsafe { join.cast::<u8>().add(places).cast::<TaskRef>().add(place).read() });
    }
    // SAFETY: allocated in `join` with this layout.
    unsafe { memory::release(join.cast(), layout.size(), layout.align()) };
}

impl TaskCell {
    fn join(&self) -> &Join {
        // SAFETY: a Kind::Join cell has its Join in `back` from the start to the end.
        unsafe { &*self.back().cast::<Join>() }
    }
}

/// An input has settled.
pub(super) fn input_settled(output: TaskRef, input: &TaskRef, list: &mut WorkList) {
    let join = output.join();
    // AcqRel: pairs with itself where the other inputs settle; the last one sees all that
    // they published.
    let last = join.unsettled.fetch_sub(1, Ordering::AcqRel) == 1;
    let outcome = input.snapshot().outcome();
    let succeeded = outcome == Outcome::Succeeded;
    let as_input = match join.mode {
        Mode::All => !succeeded,
        Mode::Settled => false,
        Mode::Any => true,
        Mode::FirstSuccess => succeeded || last,
    };
    if as_input {
        let source = input.source(input.snapshot()).clone_ref();
        settle(&output, outcome, Payload::Alias(source), list);
    } else if last {
        settle(&output, Outcome::Succeeded, Payload::None, list);
    }
}

fn settle(output: &TaskRef, outcome: Outcome, payload: Payload, list: &mut WorkList) {
    let seen = output.state.lock();
    if seen.is_settled() {
        output.state.unlock(0, 0);
        return;
    }
    // SAFETY: LOCK is held, not settled, and joins record nothing.
    let before = unsafe {
        let payload = output.write_payload(payload);
        output.deliver_and_settle(output, seen, outcome, Some(payload), 0)
    };
    if before.has(HOOKS | ARGS) {
        list.settled(output.clone());
    }
}

/// Whether a join can settle as a success only after all of its inputs.
pub(crate) fn needs_all(cell: &TaskCell) -> bool {
    matches!(cell.join().mode, Mode::All | Mode::Settled)
}

/// An input that has not settled yet, of a join that has not: what a waiter can help with.
/// `from` remembers how many inputs are known to be settled.
pub(crate) fn unsettled_input(cell: &TaskCell, from: &mut usize) -> Option<TaskRef> {
    let count = cell.join().count;
    let (_, places, _) = layout(count)?;
    for place in *from..count {
        // SAFETY: `back` points at the whole allocation, whose inputs stay as they are for
        // the life of the cell.
        let input = unsafe { &*cell.back().byte_add(places).cast::<TaskRef>().add(place) };
        if !input.snapshot().is_settled() {
            *from = place;
            return Some(input.clone());
        }
    }
    *from = count;
    None
}
