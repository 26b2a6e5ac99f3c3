//! The ways a task comes in.

use super::event_loop::Loop;
use super::queue::lane_of;
use crate::error::{Error, Result, fail};
use crate::future::bound::{Bound, FullPolicy, Load};
use crate::future::cell::{Kind, TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::intake::Intake;
use crate::future::make::Work;
use crate::future::owner::{Owner, Refused};
use crate::future::phase::Phase;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::future::timer::first_deadline;
use crate::platform::clock::{self, Instant};
use crate::shared::Shared;
use crate::sync::{Ordering, Timeout};
use std::ptr::NonNull;

/// Why a task is not queued.
enum Why {
    Closed,
    NoMemory,
}

impl Intake for Loop {
    fn check_takes_work(&self) -> Result<()> {
        self.check_fork()?;
        if self.state.lock().phase != Phase::Open {
            return self.closed();
        }
        Ok(())
    }

    /// Tasks of the loop's own never wait for some.
    fn take_room(&self, load: Load) -> Result<()> {
        let Some(bound) = &self.bound else { return Ok(()) };
        if bound.try_take(load) {
            return Ok(());
        }
        if self.config.full_policy == FullPolicy::Reject {
            return Err(bound.full("the queue is full"));
        }
        if self.runs_here() {
            bound.force(load);
            return Ok(());
        }
        let timeout = Timeout::from_ns(self.config.full_timeout);
        let stop = || self.state.lock().phase != Phase::Open;
        bound.take(load, timeout, stop).map_err(|why| bound.refusal(why))
    }

    fn try_take_room(&self, load: Load) -> bool {
        self.bound.as_ref().is_none_or(|bound| bound.try_take(load))
    }

    fn give_room(&self, load: Load) {
        if let Some(bound) = &self.bound {
            bound.give(load);
        }
    }

    fn make(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<NonNull<TaskCell>> {
        self.make_for(self.as_owner(), work, bytes, spec, handle)
    }

    #[cold]
    fn unmake(&self, task: NonNull<TaskCell>, handle: bool) {
        // SAFETY: the queue's and the handle's reference, counted by `make`.
        let (task, handle) =
            unsafe { (TaskRef::from_raw(task), handle.then(|| TaskRef::from_raw(task))) };
        self.disarm(&task);
        if let Some(extra) = task.extra_in(task.snapshot()) {
            // Relaxed: nobody else knows the task.
            extra.charged.store(0, Ordering::Relaxed);
        }
        task.return_arguments();
        drop((task, handle));
    }

    /// Tasks of one lane.
    fn accept(&self, tasks: &[NonNull<TaskCell>]) -> Result<()> {
        match self.try_push(tasks) {
            Ok(()) => Ok(()),
            Err(Why::Closed) => self.closed(),
            Err(Why::NoMemory) => Err(Error::no_memory("the queue of a loop", tasks.len() * 8)),
        }
    }
}

impl Loop {
    fn closed<T>(&self) -> Result<T> {
        fail!(Shutdown, "the loop has been shut down and takes no more work")
    }

    pub(super) fn give_room_of(&self, task: &TaskCell) {
        if let Some(bound) = &self.bound {
            bound.give_room_of(task);
        }
    }

    // ---- making ----

    /// A cell of this loop or a view of it, with a reference for the queue and one for a handle,
    /// what goes beside it, and its deadlines.
    pub(super) fn make_for(
        &self,
        owner: NonNull<Owner>,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<NonNull<TaskCell>> {
        let refs = if handle { 2 } else { 1 };
        let no_memory = || Error::no_memory("a task", 64 + bytes as usize);
        let task = TaskCell::allocate(work, refs).ok_or_else(no_memory)?;
        // SAFETY: fresh.
        let cell = unsafe { task.as_ref() };
        cell.set_owner(owner);
        cell.stamp_accepted(clock::ticks());
        if let Err(error) = self.add_extra(cell, bytes, spec) {
            cell.discard(refs);
            return Err(error);
        }
        Ok(task)
    }

    fn add_extra(&self, cell: &TaskCell, bytes: u64, spec: Option<&Shared<Spec>>) -> Result<()> {
        let counts_bytes = self.bound.as_ref().is_some_and(Bound::counts_bytes);
        if spec.is_none() && !counts_bytes {
            return Ok(());
        }
        let no_memory = || Error::no_memory("the options of a task", 128);
        let extra = cell.add_extra(spec.cloned()).ok_or_else(no_memory)?;
        if counts_bytes {
            // Relaxed: published with the task.
            extra.charged.store(bytes, Ordering::Relaxed);
        }
        let Some(spec) = spec.filter(|spec| spec.has_deadline()) else { return Ok(()) };
        let deadline = extra.note_accepted(spec);
        if self.timers.insert(cell.clone_ref(), deadline).ok_or_else(no_memory)? {
            self.wake_all();
        }
        Ok(())
    }

    // ---- queueing ----

    fn try_push(&self, tasks: &[NonNull<TaskCell>]) -> std::result::Result<(), Why> {
        // SAFETY: the queue's references, taken over below.
        let first = tasks.first().and_then(|task| unsafe { task.as_ref() }.spec());
        let lane = first.map_or(1, |spec| lane_of(spec.priority));
        let mut state = self.state.lock();
        if state.phase != Phase::Open {
            return Err(Why::Closed);
        }
        if !state.reserve(lane, tasks.len()) {
            return Err(Why::NoMemory);
        }
        self.tally.submitted.add(tasks.len() as u64);
        for &task in tasks {
            // SAFETY: see above.
            let task = unsafe { TaskRef::from_raw(task) };
            state.push(lane, task);
        }
        let wakes = state.sleepers.min(tasks.len());
        drop(state);
        for _ in 0..wakes {
            self.wake_one();
        }
        Ok(())
    }

    /// Takes a continuation whose input has settled, or a task that waited in a view.
    pub(super) fn enqueue(&self, task: TaskRef) -> std::result::Result<(), Refused> {
        let entry = task.into_raw();
        let Err(why) = self.try_push(&[entry]) else { return Ok(()) };
        // SAFETY: not taken: the reference is still ours.
        let task = unsafe { TaskRef::from_raw(entry) };
        self.give_room_of(&task);
        self.disarm(&task);
        let text: &[u8] = match why {
            Why::Closed => b"not run: the loop takes no work any more",
            Why::NoMemory => b"not run: no memory for the queue of the loop",
        };
        let timed = task.spec().is_some_and(Spec::has_deadline);
        let verdict = if self.state.lock().cancels {
            Some(Verdict::new(Outcome::Cancelled))
        } else if task.kind() == Kind::Then && !timed {
            None
        } else {
            Some(Verdict::because(Outcome::Broken, 0, text))
        };
        Err(Refused { task, verdict })
    }

    /// A task whose input has settled: it is accepted now, has room, and the deadlines of a
    /// queued one.
    pub(super) fn let_in(&self, task: &TaskRef) {
        task.stamp_accepted(clock::ticks());
        if let Some(bound) = &self.bound {
            // Work of the library's own waits for no room: it may be what makes some.
            bound.force(Load { tasks: 1, bytes: 0 });
        }
        let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return };
        let Some(extra) = task.extra_in(task.snapshot()) else { return };
        let now = Instant::now();
        // Relaxed, both: published with the task, and by its entry in the table.
        extra.queued_at.store(now.0, Ordering::Relaxed);
        let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
        let by_total = first_deadline(accepted, &[spec.total_timeout]);
        let by_queue = first_deadline(now, &[spec.queue_timeout]);
        self.enter_deadline(task, by_total.min(by_queue));
    }

    // ---- deadlines ----

    /// Keeps the deadlines of a task whose input is still awaited.
    pub(super) fn keep_time(&self, task: &TaskRef) -> Result<()> {
        self.check_takes_work()?;
        let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return Ok(()) };
        let Some(extra) = task.extra_in(task.snapshot()) else { return Ok(()) };
        let now = Instant::now();
        // Relaxed: published with the entry in the table.
        extra.accepted_at.store(now.0, Ordering::Relaxed);
        let deadline = first_deadline(now, &[spec.total_timeout]);
        let no_memory = || Error::no_memory("the time-outs of a task", 32);
        let soonest = self.timers.insert(task.clone(), deadline).ok_or_else(no_memory)?;
        // A loop that closes takes out what it finds, after its phase has changed.
        if let Err(error) = self.check_takes_work() {
            self.timers.remove(task);
            return Err(error);
        }
        if soonest {
            self.wake_all();
        }
        Ok(())
    }

    /// A started task has the deadlines of a running one.
    pub(super) fn arm(&self, task: &TaskRef) {
        let Some(spec) = task.spec().filter(|spec| spec.has_deadline()) else { return };
        let Some(extra) = task.extra_in(task.snapshot()) else { return };
        // Relaxed, both: published with the task.
        let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
        let now = Instant::now();
        extra.started_at.store(now.0, Ordering::Relaxed);
        let by_total = first_deadline(accepted, &[spec.total_timeout]);
        let by_run = first_deadline(now, &[spec.run_timeout]);
        self.enter_deadline(task, by_total.min(by_run));
    }

    fn enter_deadline(&self, task: &TaskRef, deadline: Instant) {
        if self.timers.enter(task, deadline) {
            self.wake_all();
        }
        // Whoever settles it takes the entry out, if it comes after this look.
        if task.snapshot().is_settled() {
            self.timers.remove(task);
        }
    }

    pub(super) fn disarm(&self, task: &TaskCell) {
        if task.spec().is_some_and(|spec| spec.has_deadline()) {
            self.timers.remove(&task.clone_ref());
        }
    }

    // ---- waking ----

    pub(super) fn wake_one(&self) {
        // Relaxed: the lock orders the queue; the futex compares the value itself.
        self.signal.fetch_add(1, Ordering::Relaxed);
        self.signal.wake_one();
    }

    /// Has everybody in `run` look again.
    pub(super) fn wake_all(&self) {
        // Relaxed: as in `wake_one`.
        self.signal.fetch_add(1, Ordering::Relaxed);
        self.signal.wake_all();
    }
}
