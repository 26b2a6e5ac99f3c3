//! How a worker runs a task.

use super::{FORKED, Frame, Slot};
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::due;
use crate::future::owner::attention;
use crate::future::run::{self, Ended};
use crate::future::state::{EXTRA, Outcome};
use crate::platform::clock;
use crate::sync::Ordering;
use crate::thread_pool::pool::Pool;
use crate::thread_pool::queue::Entry;
use crate::trace::running::Record;
use crate::trace::timeline::Watch;
use crate::unwind::contain;
use std::cell::Cell;
use std::ptr;

/// Times of a started task, in ticks.
#[derive(Clone, Copy)]
pub(in crate::thread_pool) struct Begun {
    at: u64,
    queued: u64,
}

impl Begun {
    pub(in crate::thread_pool) fn now(task: &TaskCell) -> Begun {
        Begun::with(task, clock::ticks())
    }

    #[inline(always)]
    fn with(task: &TaskCell, at: u64) -> Begun {
        Begun { at, queued: at.saturating_sub(task.accepted_at()) }
    }

    #[inline(always)]
    pub(in crate::thread_pool) fn durations(self, end: u64) -> (u64, u64) {
        (self.queued, end.saturating_sub(self.at))
    }
}

impl Pool {
    /// Writes a task that is about to be run to the timeline, if there is one, when the answer goes.
    #[inline]
    pub(in crate::thread_pool) fn watch(&self, task: &TaskRef, begun: Begun) -> Option<Watch<'_>> {
        let timeline = self.timeline.as_ref()?;
        // SAFETY: started by the caller, and not called yet.
        contain(|| unsafe {
            timeline.sample(|| self.load());
            Watch::begin(timeline, task, clock::ticks_to_ns(begun.queued))
        })
        .ok()
    }
}

/// A task that takes less than about this many nanoseconds is short: less than waking a
/// worker would take.
pub(super) const SHORT_NS: u64 = 8_000;

impl Slot {
    /// Starts a queued task, unless it is settled already or must not start.
    #[inline(always)]
    pub(in crate::thread_pool) fn begin(&self, entry: Entry) -> Option<(TaskRef, Begun)> {
        // SAFETY: the queue's reference becomes the runner's.
        let task = self.start_task(unsafe { TaskRef::from_raw(entry) })?;
        // Reading the clock is dear: one task's end is the next one's beginning.
        let at = match self.mine().just_ended.get() {
            0 => clock::ticks(),
            end => end,
        };
        let begun = Begun::with(&task, at);
        Some((task, begun))
    }

    /// As `begin`, for a task with the reference that will be the runner's.
    #[inline(always)]
    pub(in crate::thread_pool) fn start_task(&self, task: TaskRef) -> Option<TaskRef> {
        let pool = self.pool();
        if pool.must_not_start(&task) {
            return None;
        }
        // Relaxed: raised once, and tasks that start meanwhile may count either way.
        let late = pool.stop_level.load(Ordering::Relaxed) != 0;
        if !task.state.start(late) {
            return None;
        }
        pool.give_room_of(&task);
        Some(task)
    }

    // ---- running ----

    /// Runs a started task and everything that becomes due with it. Not contained.
    #[inline(always)]
    pub(in crate::thread_pool) fn run(&self, task: TaskRef, begun: Begun) {
        if task.snapshot().has(EXTRA) || self.pool().owner.needs(attention::TRACED) {
            return self.run_with_care(task, begun);
        }
        let ended = {
            let frame =
                Frame { task: Cell::new(task.as_ptr().as_ptr()), below: self.mine().frames.get() };
            let _running = Running::enter(self, &frame, begun.at);
            run::run_started(task, |_, _| self.end_of(begun))
        };
        self.count(ended);
        self.call_what_is_due();
    }

    /// As `run`, for a task with options, or in a pool that counts bytes or has a timeline.
    #[inline(never)]
    fn run_with_care(&self, task: TaskRef, begun: Begun) {
        let pool = self.pool();
        pool.arm(&task);
        let ended = {
            let mut watch = pool.watch(&task, begun);
            let mut record = task.spec().map(|_| Record::of(&task, begun.at));
            // SAFETY: the record is not moved, and goes after the answer.
            let show = |record| unsafe { self.public.named.show(record) };
            let _shown = record.as_mut().map(show);
            let frame =
                Frame { task: Cell::new(task.as_ptr().as_ptr()), below: self.mine().frames.get() };
            let _running = Running::enter(self, &frame, begun.at);
            run::run_started(task, |task, code| {
                if !self.is_forked() {
                    pool.note_return(task, code);
                } else {
                    watch.iter_mut().for_each(Watch::forget);
                }
                self.end_of(begun)
            })
        };
        self.count(ended);
        self.call_what_is_due();
    }

    /// The function has returned: how long the task was queued and ran; None if it forked, and
    /// this is the child.
    #[inline(always)]
    fn end_of(&self, begun: Begun) -> Option<(u64, u64)> {
        if self.is_forked() {
            return None;
        }
        let mine = self.mine();
        let end = clock::ticks();
        mine.just_ended.set(end);
        let (queued, ran) = begun.durations(end);
        if ran > clock::about_ticks(SHORT_NS) {
            self.note_long();
        }
        Some((queued, ran))
    }

    #[cold]
    #[inline(never)]
    pub(super) fn note_long(&self) {
        self.mine().ran_long.set(true);
        self.pool().sleep.note_long();
    }

    pub(super) fn count(&self, ended: Ended) {
        let tally = &self.public.tally;
        match ended {
            Ended::Settled(Outcome::Succeeded) => tally.succeeded.add_own(1),
            Ended::Settled(outcome) => tally.outcome(outcome).add_own(1),
            Ended::TooLate | Ended::Detached => {}
        }
    }

    /// Callbacks and free functions that have become due with the last task.
    #[inline(always)]
    pub(super) fn call_what_is_due(&self) {
        // SAFETY: this thread's own block, which lasts as long as the thread.
        if due::pending_in(unsafe { &*self.mine().local.get() }) {
            due::run_all();
            self.mine().just_ended.set(0);
        }
    }
}

/// The task on top of a worker's stack, for as long as its function is there.
struct Running<'a> {
    slot: &'a Slot,
    outer_since: u64,
}

impl<'a> Running<'a> {
    #[inline(always)]
    fn enter(slot: &'a Slot, frame: &Frame, begin: u64) -> Running<'a> {
        let (mine, public) = (slot.mine(), slot.public());
        mine.frames.set(frame);
        mine.worked.set(true);
        // Relaxed: figures for the monitor; only this thread writes them.
        let outer_since = public.since.load(Ordering::Relaxed);
        public.since.store(begin.max(1), Ordering::Relaxed);
        public.tally.entered.add_own(1);
        Running { slot, outer_since }
    }
}

impl Drop for Running<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.slot.public().tally.left.add_own(1);
        self.slot.leave_frame(self.outer_since);
    }
}

impl Slot {
    /// The innermost frame goes; below it, the task that began at `outer_since` goes on, or
    /// none if that is 0.
    #[inline(always)]
    pub(super) fn leave_frame(&self, outer_since: u64) {
        let (mine, public) = (self.mine(), self.public());
        // SAFETY: the innermost frame is still on the stack below us.
        mine.frames.set(unsafe { mine.frames.get().as_ref() }.map_or(ptr::null(), |top| top.below));
        // Relaxed: as in `enter`.
        public.since.store(outer_since, Ordering::Relaxed);
        // Relaxed: set by this thread, or under the roster's lock and looked at again under it.
        if public.called.load(Ordering::Relaxed) != 0 {
            self.answer_call(outer_since == 0);
        }
        if outer_since == 0 && mine.has_turn.replace(false) {
            self.pool().turn.give();
        }
    }

    /// The last task forked, and this is the child.
    pub(super) fn is_forked(&self) -> bool {
        // Relaxed: set by this thread.
        self.public.called.load(Ordering::Relaxed) & FORKED != 0
    }

    /// Sees to `called`, after a task; `bottom`: none is left on the stack.
    #[cold]
    #[inline(never)]
    fn answer_call(&self, bottom: bool) {
        if self.is_forked() {
            return; // whoever holds the locks does not exist here
        }
        if bottom {
            let _ = contain(|| self.end_declared());
        }
        self.pool().wake_dormant(self);
    }
}
