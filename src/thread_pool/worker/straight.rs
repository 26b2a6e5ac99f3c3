//! The straight way: a worker runs what lies near, for as long as nothing is unusual.
//!
//! A task that is nothing but a function and its bytes, in a pool about which there is
//! nothing to heed, needs few of the steps of `run`; this file has those, in the same order
//! and with the same effects. What is not plain goes back to the ordinary way, at any step.
//!
//! Batches are refilled here, too; what is unusual about the pool, urgent tasks among it, is
//! seen between any two tasks, in one word (`owner::attention`).
//!
//! Not contained as a whole, because it calls the user (rule U2); what it does around that is
//! what U1 allows, and the rest is contained.

use super::run::SHORT_NS;
use super::{Frame, Slot};
use crate::future::cell::{self, Kind, TaskCell, TaskRef};
use crate::future::run;
use crate::future::state::Plain;
use crate::platform::clock;
use crate::sync::Ordering;
use crate::thread_pool::inbox::Lane;
use crate::thread_pool::queue::Entry;
use crate::unwind::contain;
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// For so many nanoseconds of work another worker is worth waking.
const WORTH_NS: u64 = 200_000;

/// The worker is on the straight way, and the task it runs there. The task of the frame may
/// have ended, and be gone, as long as nothing is called that could unwind.
struct Straight<'a> {
    slot: &'a Slot,
    frame: Frame,
}

/// What is to be done after a task.
enum After {
    /// Go on.
    Nothing,
    /// Something may be due.
    Calls,
}

impl Slot {
    /// Runs what lies near. The answer is a task that has to go the ordinary way, and is in
    /// no queue any more.
    pub(super) fn run_straight(&self) -> Option<Entry> {
        let unusual = self.go_straight();
        self.call_what_is_due();
        unusual
    }

    #[inline(never)]
    fn go_straight(&self) -> Option<Entry> {
        let (mine, owner) = (self.mine(), &self.pool().owner);
        let frame = Frame { task: Cell::new(ptr::null()), below: ptr::null() };
        let straight = Straight { slot: self, frame };
        mine.frames.set(&straight.frame);
        mine.worked.set(true);
        let long = clock::about_ticks(SHORT_NS);
        let mut at = match mine.just_ended.get() {
            0 => clock::ticks(),
            end => end,
        };
        let unusual = loop {
            if !owner.is_plain() || mine.has_nested.get() && !self.use_fuel(1) {
                break None;
            }
            let Some(entry) = self.find_near() else {
                if !self.refill(at) {
                    break None;
                }
                at = mine.batch_began.get();
                continue;
            };
            // SAFETY: the queue's reference is ours.
            if !unsafe { entry.as_ref() }.state.start_plain(Kind::Bytes as u32) {
                break Some(entry);
            }
            // SAFETY: just started, with the queue's reference, which becomes the runner's.
            let (end, after) = unsafe { run_task(self, &straight.frame, entry, (at, long)) };
            at = end;
            if matches!(after, After::Calls) {
                break None;
            }
        };
        straight.frame.task.set(ptr::null());
        mine.just_ended.set(at);
        unusual
    }

    /// Takes the next batch of tasks from outside, if that is what comes next. The last one
    /// ended at `at`.
    #[inline(never)]
    fn refill(&self, at: u64) -> bool {
        let mine = self.mine();
        self.note_pace(at);
        let taken = contain(|| {
            if !self.use_fuel(0) {
                if self.pool().inbox.hint(Lane::Low) > 0 {
                    return 0;
                }
                // What is here is all there is to look at.
                self.refuel();
            }
            self.refill_batch()
        });
        let taken = taken.unwrap_or(0);
        if taken > 0 && !self.use_fuel(taken) {
            mine.fuel.set(1);
        }
        mine.batch_size.set(taken);
        mine.batch_began.set(clock::fast_ticks());
        taken > 0
    }

    /// The batch came to its end at `at`: how long its tasks took. By a factor of two or so.
    fn note_pace(&self, at: u64) {
        let mine = self.mine();
        // A batch of few says little; a thief may have had some of a large one.
        let Some(size) = mine.batch_size.get().checked_ilog2().filter(|&size| size > 2) else {
            return;
        };
        let took = at.saturating_sub(mine.batch_began.get()).max(1).ilog2();
        mine.pace.set((clock::about_ticks(WORTH_NS).max(1).ilog2() + size).saturating_sub(took));
    }

    /// Whether there is fuel for so many tasks, and then uses it. The last is for a look out of
    /// turn.
    #[inline(always)]
    fn use_fuel(&self, tasks: u32) -> bool {
        let fuel = &self.mine().fuel;
        let enough = fuel.get() > tasks.max(1);
        if enough {
            fuel.set(fuel.get() - tasks);
        }
        enough
    }
}

/// Runs one task that begins at `at`, and is not short if it takes more than `long`; when it
/// ended, and what is to be done then.
///
/// # Safety
/// The task is of `Kind::Bytes` and was started by the caller, who hands over its
/// reference.
#[inline(always)]
unsafe fn run_task(
    slot: &Slot,
    frame: &Frame,
    task: Entry,
    (at, long): (u64, u64),
) -> (u64, After) {
    let public = &*slot.public;
    // SAFETY: by the contract the cell is alive, and F2 gives us its arguments.
    let (cell, (function, data, length)) = unsafe {
        let cell = task.as_ref();
        (cell, cell.bytes_call())
    };
    // Relaxed: figures for the monitor; only this thread writes them.
    public.since.store(at, Ordering::Relaxed);
    public.tally.entered.add_own(1);
    frame.task.set(task.as_ptr());
    // SAFETY: the user's function with the arguments it was submitted with.
    let code = unsafe { function(task.as_ptr(), data, length) };
    // Relaxed: as in `leave_frame`. (A task that has blocked and so taken the turn has called
    // the attention of the next look.)
    if public.called.load(Ordering::Relaxed) != 0 {
        // SAFETY: by the contract.
        return unsafe { end_called(slot, frame, task, (at, long), code) };
    }
    // SAFETY: the function has returned.
    let end = unsafe { stamp_end(slot, cell, (at, long)) };
    if code == 0 {
        // Before it is settled: whoever sees that sees the count.
        public.tally.plain.add_own(1);
        match cell.state.finish_plain() {
            Plain::Settled => return (end, After::Nothing),
            // SAFETY: the last reference is ours and given up here.
            Plain::Last if unsafe { cell::destroy(task) } => return (end, After::Nothing),
            Plain::Last => return (end, After::Calls),
            Plain::No => public.tally.plain.take_back_own(1),
        }
    }
    frame.task.set(ptr::null());
    // SAFETY: by the contract.
    unsafe { end_ordinarily(slot, task, code) };
    (end, After::Calls)
}

/// Notes how long a task took; when it ended.
///
/// # Safety
/// As `run_task`; the function has returned.
#[inline(always)]
unsafe fn stamp_end(slot: &Slot, cell: &TaskCell, (at, long): (u64, u64)) -> u64 {
    let end = clock::fast_ticks();
    let ran = end.wrapping_sub(at);
    // SAFETY: the function has returned.
    unsafe { cell.stamp_durations(at.wrapping_sub(cell.accepted_at()), ran) };
    if ran > long {
        slot.note_long();
    }
    end
}

/// The end of a task where something is to be seen to afterwards, in `Public::called`.
///
/// # Safety
/// As `run_task`; the function has returned `code`.
#[cold]
#[inline(never)]
unsafe fn end_called(
    slot: &Slot,
    frame: &Frame,
    task: Entry,
    times: (u64, u64),
    code: i32,
) -> (u64, After) {
    frame.task.set(ptr::null());
    if slot.is_forked() {
        return (times.0, After::Calls);
    }
    // SAFETY: by the contract.
    unsafe {
        let end = stamp_end(slot, task.as_ref(), times);
        end_ordinarily(slot, task, code);
        (end, After::Calls)
    }
}

/// # Safety
/// As `run_task`; the function has returned `code`.
#[cold]
#[inline(never)]
unsafe fn end_ordinarily(slot: &Slot, task: Entry, code: i32) {
    slot.public.tally.left.add_own(1);
    // SAFETY: by the contract.
    slot.count(unsafe { run::end(task, code) });
}

impl Drop for Straight<'_> {
    /// With a task in the frame: its function did not return, for its thread ends.
    fn drop(&mut self) {
        if let Some(task) = NonNull::new(self.frame.task.get().cast_mut()) {
            // SAFETY: the runner's reference, given up here.
            run::thread_ended(unsafe { TaskRef::from_raw(task) });
            self.slot.public.tally.left.add_own(1);
        }
        self.slot.leave_frame(0);
    }
}
