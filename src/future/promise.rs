//! The writing side of a future: what a task records, what a hand-made or retained promise
//! settles, and requests to stop.

use super::arena;
use super::buffer::BufferRef;
use super::cell::{FreeFn, TaskCell, TaskRef, number};
use super::expiry;
use super::extra::Text;
use super::make::Work;
use super::outside;
use super::owner::{Owner, ShippedTable};
use super::remote::{self, Remote};
use super::result::{INLINE_RESULT, Payload};
use super::settle::{self, Verdict};
use super::state::{DETACHED, EXTRA, IN_TASK, LATE, Life, Outcome, RECORDED, STOP, Snapshot};
use crate::error::{Error, Kind, Result, fail};
use crate::local;
use crate::platform::fork;
use crate::sync::Ordering;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// A promise and its future, made by hand: two references.
pub(crate) fn new() -> Result<(TaskRef, TaskRef)> {
    fork::watch();
    let cell = TaskCell::allocate(Work::Promise, 2)
        .ok_or_else(|| Error::no_memory("a promise", arena::block_size(0)))?;
    // SAFETY: fresh, with two references.
    Ok(unsafe { (TaskRef::from_raw(cell), TaskRef::from_raw(cell)) })
}

/// Another promise handle.
pub(crate) fn retain(cell: &TaskCell) -> TaskRef {
    // Relaxed: a handle from an existing one publishes nothing.
    cell.promises.fetch_add(1, Ordering::Relaxed);
    cell.clone_ref()
}

/// Drops a promise handle; the last one of an unsettled future breaks it.
pub(crate) fn release(cell: TaskRef) {
    // AcqRel: pairs with itself in the other drops; whoever is last has seen what the
    // others did with theirs.
    if cell.promises.fetch_sub(1, Ordering::AcqRel) == 1 && !cell.is_inherited() {
        abandon(&cell);
    }
}

/// Nobody is left who could settle it.
#[cold]
pub(super) fn abandon(cell: &TaskRef) {
    let text = b"promise released: the last promise of this future went without settling it";
    let verdict = Verdict::because(Outcome::Broken, 0, text);
    cell.settle_if(cell, |_| true, verdict);
}

/// The promise's work begins.
pub(crate) fn start(cell: &TaskCell) -> Result<bool> {
    check_fork(cell)?;
    let seen = cell.state.lock();
    let life = seen.life();
    cell.state.unlock(if life == Life::Pending { Life::Running as u32 } else { 0 }, 0);
    match life {
        Life::Pending => Ok(true),
        Life::Cancelled => Ok(false),
        Life::Running => fail!(State, "the promise has been started before"),
        Life::Finished => fail!(State, "the promise is settled"),
    }
}

/// What goes into a future; `payload` comes back if it does not.
pub(crate) struct Recording {
    pub(crate) outcome: Outcome,
    pub(crate) code: i32,
    pub(crate) message: Text,
    pub(crate) payload: Payload,
}

/// Records the outcome of a running task, or settles the future of a promise that nobody
/// else will settle. On an error the payload comes back.
pub(crate) fn put(
    cell: &TaskRef,
    recording: Recording,
) -> std::result::Result<(), (Error, Payload)> {
    if let Err(error) = check_fork(cell) {
        return Err((error, recording.payload));
    }
    let Recording { outcome, code, message, payload } = recording;
    let seen = cell.state.lock();
    if seen.is_settled() || seen.has(RECORDED) {
        cell.state.unlock(0, 0);
        return Err((late(seen.is_settled()), payload));
    }
    if matches!(payload, Payload::Value(..)) && shipped(cell, seen).is_some() {
        cell.state.unlock(0, 0);
        let text = format_args!(
            "a pointer means nothing in another process: a task in a worker process answers with \
             bytes or a buffer"
        );
        return Err((Error::new(Kind::NotSupported, text), payload));
    }
    if seen.has(IN_TASK) {
        // SAFETY: LOCK is held, not settled, nothing recorded.
        let bits = unsafe { cell.write_verdict(seen, code, message, payload) };
        cell.state.record_locked(outcome, bits.unwrap_or(super::state::PayloadBits::NONE));
    } else {
        let verdict = Verdict { outcome, code, message, payload };
        // SAFETY: LOCK is held and it is not settled.
        unsafe { cell.settle_under_lock(cell, seen, verdict) };
    }
    Ok(())
}

/// The owner of a task that runs here for another process. Under LOCK, and not settled: else
/// there is none (F6).
fn shipped(cell: &TaskCell, seen: Snapshot) -> Option<(NonNull<Owner>, &'static ShippedTable)> {
    let owner = NonNull::new(cell.owner_in(seen))?;
    // SAFETY: F6: by the contract it is alive.
    let table = unsafe { owner.as_ref() }.vtable.shipped?;
    Some((owner, table))
}

#[cold]
fn late(settled: bool) -> Error {
    let what = if settled { "is settled" } else { "has a recorded outcome" };
    Error::new(Kind::State, format_args!("the promise {what}; the first outcome stays"))
}

fn check_fork(cell: &TaskCell) -> Result<()> {
    if cell.is_inherited() && !cell.snapshot().is_settled() {
        return fail!(
            Forked,
            "this promise was made before fork(); its future settles in the parent"
        );
    }
    Ok(())
}

/// Whether a result of so many bytes is within the task's limit.
pub(crate) fn check_output(cell: &TaskCell, bytes: usize) -> Result<()> {
    let limit = cell.spec().map_or(-1, |spec| spec.output_limit);
    if limit >= 0 && bytes as u64 > limit as u64 {
        return fail!(
            Full,
            "a result of {bytes} bytes is over the task's CFUT_TASK_OUTPUT_LIMIT of {limit}"
        );
    }
    Ok(())
}

/// A copy of result bytes, in the cell itself where they fit.
pub(crate) fn copy_bytes(cell: &TaskCell, bytes: &[u8]) -> Result<Payload> {
    check_output(cell, bytes.len())?;
    match bytes.len() {
        0 => Ok(Payload::Empty),
        length @ 1..=INLINE_RESULT => {
            let mut words = [[0u8; INLINE_RESULT / 2]; 2];
            let half = length.min(INLINE_RESULT / 2);
            words[0][..half].copy_from_slice(&bytes[..half]);
            words[1][..length - half].copy_from_slice(&bytes[half..]);
            Ok(Payload::Inline(words.map(|word| number(usize::from_ne_bytes(word))), length))
        }
        length => {
            if let Some(memory) = memory_elsewhere(cell, length)? {
                // SAFETY: fresh memory of at least that length.
                unsafe {
                    memory.data().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), length)
                };
                return Ok(Payload::Buffer(memory));
            }
            let copy = arena::allocate_bytes(length)
                .ok_or_else(|| Error::no_memory("a result", length))?;
            // SAFETY: fresh memory of that length.
            unsafe { copy.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), length) };
            Ok(Payload::Heap(copy, length))
        }
    }
}

/// Memory that another process sees, for a large result that is for it.
fn memory_elsewhere(cell: &TaskCell, length: usize) -> Result<Option<BufferRef>> {
    let seen = cell.state.lock();
    let owner = if seen.is_settled() { None } else { shipped(cell, seen) };
    cell.state.unlock(0, 0);
    let Some((owner, table)) = owner.filter(|(_, table)| length >= table.large) else {
        return Ok(None);
    };
    // SAFETY: such owners last as long as the process.
    match unsafe { (table.memory)(owner, length) } {
        Some(memory) => Ok(Some(memory)),
        None => Err(Error::no_memory("a result", length)),
    }
}

/// Frees what `put` gave back, but for a value, which is returned: the caller owns it and
/// its free function again.
pub(crate) fn take_back(payload: Payload) -> Option<(*mut c_void, Option<FreeFn>)> {
    match payload {
        Payload::Heap(bytes, length) => {
            // SAFETY: made by copy_bytes with this length, used by nobody.
            unsafe { arena::release_bytes(bytes, length) };
            None
        }
        Payload::Value(value, free) => Some((value, free)),
        Payload::None | Payload::Empty | Payload::Inline(..) => None,
        Payload::Buffer(buffer) => {
            drop::<BufferRef>(buffer);
            None
        }
        Payload::Alias(other) => {
            drop(other);
            None
        }
    }
}

/// Whether the task was asked to stop, by a cancel or by its executor's shutdown.
#[inline]
pub(crate) fn stop_requested(cell: &TaskCell) -> bool {
    let seen = cell.snapshot();
    // Settled by somebody else, a time-out say, who may be about to raise the flag.
    if seen.has(STOP) || seen.has(IN_TASK) && seen.is_settled() {
        return true;
    }
    if !seen.has(IN_TASK | DETACHED) {
        return false;
    }
    if seen.has(EXTRA) {
        expiry::look(cell);
        if cell.snapshot().has(STOP) {
            return true;
        }
    }
    let owner = cell.owner_in(seen);
    // In a task of its own executor the executor cannot go away; elsewhere the lock
    // keeps it (F6).
    let mine = local::with(|local| local.executor.get());
    if !seen.has(EXTRA) && !owner.is_null() && ptr::addr_eq(owner, mine) {
        // SAFETY: this thread runs a task of that executor, or is a worker of it.
        return unsafe { executor_stops(NonNull::new_unchecked(owner), seen.has(LATE)) };
    }
    let seen = cell.state.lock();
    let stops = match NonNull::new(cell.owner_in(seen)) {
        // SAFETY: F6: locked and not settled.
        Some(owner) if !seen.is_settled() => unsafe { executor_stops(owner, seen.has(LATE)) },
        _ => false,
    };
    cell.state.unlock(0, 0);
    stops
}

/// # Safety
/// The executor is alive.
unsafe fn executor_stops(owner: NonNull<super::owner::Owner>, late: bool) -> bool {
    // SAFETY: by the contract.
    unsafe { (owner.as_ref().vtable.stop_level)(owner) > u32::from(late) }
}

pub(crate) fn set_progress(cell: &TaskCell, done: u64, total: u64) -> Result<()> {
    check_fork(cell)?;
    let seen = cell.state.lock();
    if seen.is_settled() {
        cell.state.unlock(0, 0);
        return Err(late(true));
    }
    if let Some((owner, table)) = shipped(cell, seen) {
        // SAFETY: such owners last as long as the process.
        unsafe { (table.progress)(owner, done, total) };
        cell.state.unlock(0, 0);
        return Ok(());
    }
    // SAFETY: LOCK is held, not settled.
    let result = match unsafe { cell.extra_locked(seen) } {
        Some(extra) => {
            // SAFETY: LOCK is held.
            extra.progress.with_mut(|place| unsafe { *place = (done, total) });
            Ok(())
        }
        None => Err(Error::no_memory("a task's progress", 128)),
    };
    cell.state.unlock(0, 0);
    result
}

/// The progress last set; zero before.
pub(crate) fn progress(cell: &TaskCell) -> (u64, u64) {
    if !cell.snapshot().has(EXTRA) || cell.is_inherited() {
        return (0, 0);
    }
    if let Some(progress) = remote::progress(cell) {
        return progress;
    }
    let seen = cell.state.lock();
    let progress = cell.extra_in(seen).map_or((0, 0), |extra| {
        // SAFETY: LOCK is held.
        extra.progress.with(|place| unsafe { *place })
    });
    cell.state.unlock(0, 0);
    progress
}

/// How a cancellation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancel {
    /// Cancelled, now or before.
    Done,
    /// Asked to stop.
    Asked,
    /// Finished, or running and not to be asked.
    TooLate,
}

/// How far a cancellation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Only a future that has not started.
    Pending,
    /// One that runs is asked to stop.
    Stop,
    /// One that runs in a process of its executor ends with that process; any other is asked.
    Kill,
}

/// Cancels a future that has not started, and one that has as far as `reach` says.
pub(crate) fn cancel(cell: &TaskRef, reach: Reach) -> Result<Cancel> {
    settle::check_fork(cell)?;
    if cell.is_command() {
        return Ok(outside::cancel(cell, reach, || cancel_here(cell, reach != Reach::Pending)));
    }
    let stop = reach != Reach::Pending;
    let remote = Remote::of(cell);
    if let Some(remote) = &remote {
        remote.withdraw(cell);
    }
    let done = cancel_here(cell, stop);
    match (&done, remote) {
        (Cancel::Asked, Some(remote)) if reach == Reach::Kill => {
            cell.settle_if(cell, |_| true, Verdict::new(Outcome::Cancelled));
            remote.stop(cell, true);
            let seen = cell.snapshot();
            Ok(if seen.life() == Life::Cancelled { Cancel::Done } else { Cancel::TooLate })
        }
        (Cancel::Asked, Some(remote)) => {
            remote.stop(cell, false);
            Ok(done)
        }
        _ => Ok(done),
    }
}

fn cancel_here(cell: &TaskRef, stop: bool) -> Cancel {
    let seen = cell.state.lock();
    match seen.life() {
        Life::Pending => {
            // SAFETY: LOCK is held and it is not settled.
            unsafe { cell.settle_under_lock(cell, seen, Verdict::new(Outcome::Cancelled)) };
            Cancel::Done
        }
        Life::Running => {
            cell.state.unlock(if stop { STOP } else { 0 }, 0);
            if stop { Cancel::Asked } else { Cancel::TooLate }
        }
        Life::Cancelled => {
            cell.state.unlock(0, 0);
            Cancel::Done
        }
        Life::Finished => {
            cell.state.unlock(0, 0);
            Cancel::TooLate
        }
    }
}
