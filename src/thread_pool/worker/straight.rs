//! The straight way: a worker runs what lies near, for as long as nothing is unusual.
//!
//! A task that is nothing but a function and its bytes, in a pool about which there is
//! nothing to heed, needs few of the steps of `run`; this file has those, in the same order
//! and with the same effects. What is not plain goes back to the ordinary way, at any step.
//!
//! Not contained as a whole, because it calls the user (rule U2); what it does around that
//! has no operation that could panic, and where more is needed it is contained.

use super::run::SHORT_NS;
use super::{Frame, Slot};
use crate::future::cell::{self, Kind, TaskRef};
use crate::future::run;
use crate::future::state::Plain;
use crate::platform::clock;
use crate::sync::Ordering;
use crate::thread_pool::queue::Entry;
use std::cell::Cell;
use std::mem;
use std::ptr;

impl Slot {
    /// Runs what lies near. The answer is a task that has to go the ordinary way, and is in
    /// no queue any more.
    #[inline(always)]
    pub(super) fn run_straight(&self) -> Option<Entry> {
        let (mine, pool) = (self.mine(), self.pool());
        let frame = Frame { task: Cell::new(ptr::null()), below: ptr::null() };
        let mut at = match mine.just_ended.get() {
            0 => clock::ticks(),
            end => end,
        };
        let long = clock::about_ticks(SHORT_NS);
        let mut fuel = mine.fuel.get();
        mine.frames.set(&frame);
        let unusual = loop {
            // The last of the fuel is for `find`, which then looks out of turn.
            if fuel <= 1 || !pool.owner.is_plain() {
                break None;
            }
            let Some(entry) = self.find_near() else { break None };
            fuel -= 1;
            // SAFETY: the queue's reference is ours.
            if !unsafe { entry.as_ref() }.state.start_plain(Kind::Bytes as u32) {
                break Some(entry);
            }
            // SAFETY: just started, with the queue's reference, which becomes the runner's.
            let (end, plain) = unsafe { self.run_plain(entry, &frame, at) };
            if end.wrapping_sub(at) > long {
                self.note_long();
            }
            at = end;
            // Relaxed: set under the roster's lock; looked at again under it. (A task that has
            // blocked and so taken the turn has called the attention of the next look.)
            if !plain || self.public.dormant.load(Ordering::Relaxed) != 0 {
                break None;
            }
        };
        mine.fuel.set(fuel);
        mine.just_ended.set(at);
        self.leave_frame(0);
        self.call_what_is_due();
        unusual
    }

    /// Runs one task; when it ended, and whether nothing else has to be done now.
    ///
    /// # Safety
    /// The task is of `Kind::Bytes` and was started by the caller, who hands over its
    /// reference.
    #[inline(always)]
    unsafe fn run_plain(&self, task: Entry, frame: &Frame, at: u64) -> (u64, bool) {
        let tally = &self.public.tally;
        // SAFETY: by the contract the cell is alive, and F2 gives us its arguments.
        let (cell, (function, data, length)) = unsafe {
            let cell = task.as_ref();
            (cell, cell.bytes_call())
        };
        frame.task.set(task.as_ptr());
        // Relaxed: figures for the monitor; only this thread writes them.
        self.public.since.store(at, Ordering::Relaxed);
        tally.entered.add_own(1);
        let unreturned = Unreturned(self, task);
        // SAFETY: the user's function with the arguments it was submitted with.
        let code = unsafe { function(task.as_ptr(), data, length) };
        mem::forget(unreturned);
        let end = clock::fast_ticks();
        // SAFETY: the function has returned.
        unsafe {
            cell.stamp_durations(at.wrapping_sub(cell.accepted_at()), end.wrapping_sub(at));
        }
        if code == 0 {
            // Before it is settled: whoever sees that sees the count.
            tally.plain.add_own(1);
            match cell.state.finish_plain() {
                Plain::Settled => return (end, true),
                // SAFETY: the last reference is ours and given up here.
                Plain::Last => return (end, unsafe { cell::destroy(task) }),
                Plain::No => tally.plain.take_back_own(1),
            }
        }
        // SAFETY: by the contract.
        unsafe { self.end_ordinarily(task, code) };
        (end, false)
    }

    /// # Safety
    /// As `run_plain`; the function has returned `code`.
    #[cold]
    #[inline(never)]
    unsafe fn end_ordinarily(&self, task: Entry, code: i32) {
        self.public.tally.left.add_own(1);
        // SAFETY: by the contract.
        self.count(unsafe { run::end(task, code) });
    }
}

/// The function did not return: its thread ends.
struct Unreturned<'a>(&'a Slot, Entry);

impl Drop for Unreturned<'_> {
    #[cold]
    fn drop(&mut self) {
        // SAFETY: the runner's reference, given up here.
        run::thread_ended(unsafe { TaskRef::from_raw(self.1) });
        self.0.public.tally.left.add_own(1);
        self.0.leave_frame(0);
    }
}
