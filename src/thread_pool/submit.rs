//! The ways a task comes in.

use super::inbox::{Entered, Lane, Refused};
use super::pool::Pool;
use super::queue::Entry;
use super::sleep::Notified;
use super::worker::{self, Slot};
use crate::error::{Error, Kind, Lossy, Result};
use crate::future::arena;
use crate::future::bound::{Bound, Load};
use crate::future::cell::{TaskCell, TaskFn, TaskRef};
use crate::future::extra::Spec;
use crate::future::make::{Data, Work};
use crate::future::outside;
use crate::future::owner::{Owner, Reason, attention};
use crate::future::phase::Phase;
use crate::future::wait::WorkerHead;
use crate::local::{self, Local};
use crate::platform::clock;
use crate::shared::Shared;
use crate::sync::Ordering;
use crate::unwind::{Contained, contain};
use std::ptr::{self, NonNull};

/// What became of a submitted task.
pub(crate) enum Submitted {
    Queued(Option<TaskRef>),
    /// The queue is full: the caller runs it, with this reference.
    RunHere(TaskRef, Option<TaskRef>),
}

impl Pool {
    /// Accepts or refuses a task of a function and bytes, if nothing about it and the pool is
    /// unusual. None: nothing was done, and `submit` is needed. Not contained: what could panic
    /// is. What is rare ends in a call of its own, so that the rest has nothing to save.
    ///
    /// # Safety
    /// `out` is NULL, and the task will have no handle, or has room for it. The caller has just seen
    /// that the pool `is_plain`.
    #[inline(always)]
    pub(crate) unsafe fn submit_straight(
        &self,
        function: TaskFn,
        data: Data<'_>,
        out: *mut Entry,
    ) -> Option<Result<()>> {
        let local = local::here();
        let refs = if out.is_null() { 1 } else { 2 };
        let work = (function, data);
        let task = TaskCell::at_hand(local, || self.as_owner(), work, refs)?;
        if !local.worker.get().is_null() {
            // SAFETY: by the contract.
            return Some(unsafe { self.push_ordinarily(None, task, out) });
        }
        let Some(entered) = self.inbox.try_enter() else {
            // SAFETY: by the contract.
            return Some(unsafe { self.push_ordinarily(None, task, out) });
        };
        if !entered.has_place() {
            // SAFETY: by the contract.
            return Some(unsafe { self.push_ordinarily(Some(entered), task, out) });
        }
        let wakes = self.inbox.push_at_once(entered, task);
        if wakes
            || self.monitor.wants_call()
            || !self.sleep.is_enough(|| self.inbox.hint(Lane::Normal))
        {
            // SAFETY: by the contract.
            return Some(unsafe { self.attend(task, wakes, out) });
        }
        // SAFETY: by the contract.
        unsafe { hand_out(task, out) };
        Some(Ok(()))
    }

    /// Accepts or refuses a task of the straight way that cannot simply be put into the inbox.
    ///
    /// # Safety
    /// As `submit_straight`, which made `task`.
    #[inline(never)]
    unsafe fn push_ordinarily(
        &self,
        entered: Option<Entered<'_>>,
        task: Entry,
        out: *mut Entry,
    ) -> Result<()> {
        drop(entered);
        let pushed = contain(|| self.push(Lane::Normal, task, false));
        // SAFETY: by the contract.
        unsafe { self.accept_if(pushed, task, out) }
    }

    /// A task of the straight way was put into the inbox, and somebody has to be told.
    ///
    /// # Safety
    /// As `submit_straight`.
    #[inline(never)]
    unsafe fn attend(&self, task: Entry, wakes: bool, out: *mut Entry) -> Result<()> {
        if wakes {
            self.inbox.wake();
        }
        let attended = contain(|| self.see_to(Lane::Normal, task, self.inbox.hint(Lane::Normal)));
        // SAFETY: by the contract.
        unsafe { self.accept_if(attended, task, out) }
    }

    /// # Safety
    /// As `submit_straight`; the queue has taken its reference if `pushed` is good.
    unsafe fn accept_if(
        &self,
        pushed: std::result::Result<std::result::Result<(), Unaccepted>, Contained>,
        task: Entry,
        out: *mut Entry,
    ) -> Result<()> {
        match pushed {
            // SAFETY: by the contract.
            Ok(Ok(())) => unsafe { hand_out(task, out) },
            Ok(Err(refused)) => {
                let error = contain(|| self.refuse(task, !out.is_null(), refused));
                return Err(error.unwrap_or_else(|panic| panic.into_error()));
            }
            // What was done by then is not known: the task may be queued.
            Err(panic) => return Err(panic.into_error()),
        }
        Ok(())
    }

    /// Accepts one task. A closure's argument is the caller's again on an error.
    #[inline(always)]
    pub(crate) fn submit(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Submitted> {
        if spec.is_some() || self.owner.needs(attention::BOUNDED | attention::TRACED) {
            self.sample();
            return self.submit_with_care(work, bytes, spec, handle);
        }
        self.check_fork()?;
        let task = self.make_plain(self.as_owner(), work, bytes, handle)?;
        match self.push(Lane::Normal, task, false) {
            Ok(()) => Ok(Submitted::Queued(handle_of(task, handle))),
            Err(refused) => Err(self.refuse(task, handle, refused)),
        }
    }

    /// As `submit`, with options or a bound.
    #[inline(never)]
    fn submit_with_care(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Submitted> {
        if outside::are_of_command(spec) {
            return self.submit_command(work, bytes, spec, handle).map(Submitted::Queued);
        }
        self.check_fork()?;
        let run_here = match &self.bound {
            None => false,
            Some(bound) => !self.take_room(bound, Load { tasks: 1, bytes })?,
        };
        let task = match self.make(self.as_owner(), work, bytes, spec, handle) {
            Ok(task) => task,
            Err(error) => {
                if !run_here {
                    self.give_room(1, bytes);
                }
                return Err(error);
            }
        };
        if run_here {
            // SAFETY: the runner's reference.
            let runner = unsafe { TaskRef::from_raw(task) };
            if let Some(extra) = runner.extra_in(runner.snapshot()) {
                // Relaxed: nobody else knows the task. It takes no room in the queue.
                extra.charged.store(0, Ordering::Relaxed);
            }
            return Ok(Submitted::RunHere(runner, handle_of(task, handle)));
        }
        let lane = spec.map_or(Lane::Normal, |spec| Lane::of_priority(spec.priority));
        match self.push(lane, task, false) {
            Ok(()) => Ok(Submitted::Queued(handle_of(task, handle))),
            Err(refused) => {
                let error = self.refuse(task, handle, refused);
                self.give_room(1, bytes);
                Err(error)
            }
        }
    }

    /// Undoes the making of a task that was not accepted; says why.
    #[cold]
    #[inline(never)]
    fn refuse(&self, task: Entry, handle: bool, refused: Unaccepted) -> Error {
        // SAFETY: the queue's reference, which it did not take.
        self.take_back(unsafe { TaskRef::from_raw(task) }, handle_of(task, handle));
        self.refusal(refused)
    }

    /// A cell of this pool or a view of it, with a reference for the queue and one for a handle.
    #[inline(always)]
    pub(super) fn make_plain(
        &self,
        owner: NonNull<Owner>,
        work: Work<'_>,
        bytes: u64,
        handle: bool,
    ) -> Result<Entry> {
        let refs = if handle { 2 } else { 1 };
        let Some(task) = TaskCell::allocate(work, refs) else {
            return Err(Error::no_memory("a task", arena::block_size(0) + bytes as usize));
        };
        // SAFETY: fresh.
        let cell = unsafe { task.as_ref() };
        cell.set_owner(owner);
        cell.stamp_accepted(clock::ticks());
        Ok(task)
    }

    /// As `make_plain`, with what goes beside the cell.
    #[inline(always)]
    pub(super) fn make(
        &self,
        owner: NonNull<Owner>,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Entry> {
        let task = self.make_plain(owner, work, bytes, handle)?;
        let counts_bytes = self.bound.as_ref().is_some_and(Bound::counts_bytes);
        if spec.is_some() || counts_bytes {
            // SAFETY: fresh.
            let cell = unsafe { task.as_ref() };
            if let Err(error) = self.add_extra(cell, bytes, spec, counts_bytes) {
                cell.discard(if handle { 2 } else { 1 });
                return Err(error);
            }
        }
        Ok(task)
    }

    /// Options of a task, and what the pool keeps beside it.
    #[inline(never)]
    fn add_extra(
        &self,
        cell: &TaskCell,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        counts_bytes: bool,
    ) -> Result<()> {
        let no_memory = || Error::no_memory("the options of a task", 128);
        let extra = cell.add_extra(spec.cloned()).ok_or_else(no_memory)?;
        if counts_bytes {
            // Relaxed: published with the task.
            extra.charged.store(bytes, Ordering::Relaxed);
        }
        let Some(spec) = spec.filter(|spec| spec.has_deadline()) else { return Ok(()) };
        let deadline = extra.note_accepted(spec);
        self.monitor.ensure(self)?;
        let soonest = self.timers.insert(cell.clone_ref(), deadline).ok_or_else(no_memory)?;
        if soonest {
            self.monitor.wake();
        }
        Ok(())
    }

    /// Puts a task into the right queue and has somebody look. The reference stays the
    /// caller's on an error.
    #[inline(always)]
    pub(super) fn push(
        &self,
        lane: Lane,
        task: Entry,
        in_order: bool,
    ) -> std::result::Result<(), Unaccepted> {
        if lane == Lane::Normal && !in_order {
            return self.push_from(local::here(), task);
        }
        if let Some(slot) = self.this_worker() {
            slot.tell_left_behind();
        }
        self.push_into(lane, task)
    }

    /// `push` into the normal lane, by the thread whose block `local` is.
    #[inline(always)]
    fn push_from(&self, local: &Local, task: Entry) -> std::result::Result<(), Unaccepted> {
        if let Some(slot) = self.worker_of(local) {
            if self.serial {
                slot.mine().has_nested.set(true);
                slot.tell_left_behind();
                return self.push_into(Lane::Nested, task);
            }
            if self.phase() != Phase::Open {
                return Err(Unaccepted::Refused(Refused::Closed));
            }
            if slot.push_nested(task) {
                return Ok(());
            }
            slot.tell_left_behind();
        }
        self.push_into(Lane::Normal, task)
    }

    #[inline(always)]
    fn push_into(&self, lane: Lane, task: Entry) -> std::result::Result<(), Unaccepted> {
        let waiting = self.inbox.push(lane, task).map_err(Unaccepted::Refused)?;
        self.announce(lane);
        self.see_to(lane, task, waiting)
    }

    /// After a push: tasks of high priority are called out.
    #[inline(always)]
    pub(super) fn announce(&self, lane: Lane) {
        if lane == Lane::High {
            self.owner.call_attention(attention::URGENT);
        }
    }

    /// Has somebody look for a task that was put into the inbox as one of `waiting`.
    #[inline(always)]
    fn see_to(
        &self,
        lane: Lane,
        task: Entry,
        waiting: usize,
    ) -> std::result::Result<(), Unaccepted> {
        if self.look_for_a_worker(waiting) == Notified::Stranded {
            return self.withdraw(lane, task);
        }
        Ok(())
    }

    /// Takes a task back that nobody will run, if nobody has taken it.
    #[cold]
    fn withdraw(&self, lane: Lane, task: Entry) -> std::result::Result<(), Unaccepted> {
        if !self.inbox.take_back(lane, task) {
            return Ok(());
        }
        // A shutdown may have seen the task, and there is no worker that would see it gone.
        self.end_if_done();
        Err(Unaccepted::NoThread)
    }

    /// The worker of this pool that the calling thread is, if it is one.
    pub(super) fn this_worker(&self) -> Option<&Slot> {
        local::with(|local| self.worker_of(local))
    }

    #[inline(always)]
    fn worker_of(&self, local: &Local) -> Option<&Slot> {
        let worker = local.worker.get();
        if worker.is_null() {
            return None;
        }
        // SAFETY: points at the head of this thread's own worker, which lives as long as it is there.
        let head = unsafe { &*worker.cast::<WorkerHead>() };
        // SAFETY: a worker of this pool is a slot.
        let slot = || unsafe { &*worker.cast::<Slot>() };
        ptr::addr_eq(head.executor.as_ptr(), self).then(slot)
    }

    /// Step "notify" of the sleep protocol, with the number of tasks that wait, about.
    #[inline(always)]
    pub(super) fn look_for_a_worker(&self, backlog: usize) -> Notified {
        let notified = self.sleep.notify(backlog, |searching| worker::create(self, searching));
        if notified == Notified::Watch && !cfg!(loom) {
            self.monitor.watch(self);
        }
        notified
    }

    /// Undoes `make` for a task that was not accepted.
    #[cold]
    pub(super) fn take_back(&self, task: TaskRef, handle: Option<TaskRef>) {
        self.timers_remove(&task);
        if let Some(extra) = task.extra_in(task.snapshot()) {
            // Relaxed: nobody else knows the task.
            extra.charged.store(0, Ordering::Relaxed);
        }
        task.return_arguments();
        drop((task, handle));
    }

    fn timers_remove(&self, task: &TaskRef) {
        let timed = task.extra_in(task.snapshot()).is_some_and(|extra| {
            // Relaxed: whoever entered it is this thread, or published it with the task.
            extra.timer.load(Ordering::Relaxed) != 0
        });
        if timed {
            self.forget_deadline(task);
        }
    }

    #[cold]
    pub(super) fn refusal(&self, refused: Unaccepted) -> Error {
        match refused {
            Unaccepted::Refused(Refused::NoMemory) => Error::no_memory("the queue of a pool", 4096),
            Unaccepted::Refused(Refused::Closed) => match self.reason() {
                Some(reason) => self.broken_error(&reason),
                None => Error::new(
                    Kind::Shutdown,
                    format_args!("the executor has been shut down and takes no more work"),
                ),
            },
            Unaccepted::NoThread => {
                let errno = self.roster.lock().errno;
                Error::new(
                    Kind::System,
                    format_args!(
                        "no worker thread could be created: {errno}; the task was not accepted"
                    ),
                )
            }
        }
    }

    pub(super) fn broken_error(&self, reason: &Reason) -> Error {
        let text = Lossy(reason.text.as_bytes());
        Error::new(Kind::Broken, format_args!("the executor is broken: {text}"))
    }
}

/// Gives the caller its handle, if it wants one.
///
/// # Safety
/// `out` is NULL or has room.
#[inline(always)]
unsafe fn hand_out(task: Entry, out: *mut Entry) {
    if !out.is_null() {
        // SAFETY: by the contract.
        unsafe { out.write(task) };
    }
}

/// The handle of a task that was made with one.
#[inline(always)]
pub(super) fn handle_of(task: Entry, handle: bool) -> Option<TaskRef> {
    // SAFETY: `make_plain` counted a reference for it.
    handle.then(|| unsafe { TaskRef::from_raw(task) })
}

/// Why a task was not accepted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unaccepted {
    Refused(Refused),
    NoThread,
}
