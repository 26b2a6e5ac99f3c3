//! The ways a task comes in.

use super::dispatch::lane_of;
use super::functions::{self, Name};
use super::pool::{Pool, State};
use crate::error::{Error, Result, fail};
use crate::future::bound::{Bound, FullPolicy, Load, NoRoom};
use crate::future::buffer::BufferRef;
use crate::future::cell::{TaskCell, TaskFn, TaskRef};
use crate::future::extra::Spec;
use crate::future::make::Work;
use crate::future::outside;
use crate::future::owner::Owner;
use crate::future::phase::Phase;
use crate::platform::clock::{self, Instant};
use crate::shared::Shared;
use crate::sync::{Ordering, Timeout};
use std::ptr::NonNull;

/// A task that is made and not accepted yet.
pub(super) struct Made {
    pub(super) task: TaskRef,
    pub(super) handle: Option<TaskRef>,
}

impl Pool {
    /// Accepts or refuses a task.
    pub(crate) fn submit(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Option<TaskRef>> {
        if outside::are_of_command(spec) {
            return self.submit_command(work, bytes, spec, handle);
        }
        self.check_takes_work()?;
        let function = self.number_of(&work, spec)?;
        self.take_room(Load { tasks: 1, bytes })?;
        let made = match self.make(self.as_owner(), work, bytes, function, spec, handle) {
            Ok(made) => made,
            Err(error) => {
                self.give_room(1, bytes);
                return Err(error);
            }
        };
        let lane = spec.map_or(1, |spec| lane_of(spec.priority));
        let task = made.task.clone();
        match self.accept(std::slice::from_ref(&task), lane) {
            Ok(()) => Ok(made.handle),
            Err(error) => {
                self.unmake(made);
                self.give_room(1, bytes);
                Err(error)
            }
        }
    }

    /// Accepts `count` tasks over consecutive items, all or none. Their handles are
    /// written to `out` if it is given; without, they have none.
    ///
    /// # Safety
    /// `out`, if given, has room for `count` pointers.
    pub(crate) unsafe fn submit_many(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<std::ptr::NonNull<std::ptr::NonNull<TaskCell>>>,
    ) -> Result<()> {
        self.check_takes_work()?;
        let function = self.number_of_first(&make_work(0), spec)?;
        self.take_room(Load::of_many(item_size, count))?;
        // SAFETY: by the contract.
        unsafe { self.submit_charged(make_work, item_size, count, function, spec, out) }
    }

    /// The same if there is room in the queue for all of them at once, whatever the policy;
    /// false: there is not, and nothing was done.
    ///
    /// # Safety
    /// As `submit_many`.
    pub(crate) unsafe fn submit_many_if_room(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<std::ptr::NonNull<std::ptr::NonNull<TaskCell>>>,
    ) -> Result<bool> {
        self.check_takes_work()?;
        let function = self.number_of_first(&make_work(0), spec)?;
        if !self.try_take_room(Load::of_many(item_size, count)) {
            return Ok(false);
        }
        // SAFETY: by the contract.
        unsafe { self.submit_charged(make_work, item_size, count, function, spec, out) }
            .map(|()| true)
    }

    /// The number of the function of a batch; a command has none.
    pub(super) fn number_of_first(
        &self,
        work: &Work<'_>,
        spec: Option<&Shared<Spec>>,
    ) -> Result<u32> {
        if outside::are_of_command(spec) { Ok(0) } else { self.number_of(work, spec) }
    }

    /// `submit_many` for a batch that has its room.
    ///
    /// # Safety
    /// As `submit_many`.
    unsafe fn submit_charged(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        function: u32,
        spec: Option<&Shared<Spec>>,
        out: Option<std::ptr::NonNull<std::ptr::NonNull<TaskCell>>>,
    ) -> Result<()> {
        let commands = outside::are_of_command(spec);
        let all = Load::of_many(item_size, count);
        let mut tasks: Vec<TaskRef> = Vec::new();
        let result = (|| {
            tasks
                .try_reserve_exact(count)
                .map_err(|_| Error::no_memory("a batch of tasks", count * 8))?;
            for item in 0..count {
                let (owner, work) = (self.as_owner(), make_work(item));
                let bytes = item_size as u64;
                let made = self.make(owner, work, bytes, function, spec, out.is_some())?;
                // The handle's reference is counted; it is handed out below.
                std::mem::forget(made.handle);
                tasks.push(made.task);
            }
            if commands {
                return self.accept_commands(&tasks, spec);
            }
            let lane = spec.map_or(1, |spec| lane_of(spec.priority));
            self.accept(&tasks, lane)
        })();
        if let Err(error) = result {
            for task in tasks {
                // SAFETY: the handle's reference, counted by `make`.
                let handle = out.map(|_| unsafe { TaskRef::from_raw(task.as_ptr()) });
                self.unmake(Made { task, handle });
            }
            self.give_room(all.tasks, all.bytes);
            return Err(error);
        }
        if let Some(out) = out {
            for (place, task) in tasks.iter().enumerate() {
                // SAFETY: by the contract there is room.
                unsafe { out.add(place).write(task.as_ptr()) };
            }
        }
        Ok(())
    }

    /// An error if nothing is accepted any more.
    pub(super) fn check_takes_work(&self) -> Result<()> {
        self.check_fork()?;
        if let Some(reason) = self.reason() {
            return Err(self.broken_error(&reason));
        }
        if self.phase() != Phase::Open {
            return fail!(Shutdown, "the executor has been shut down and takes no more work");
        }
        Ok(())
    }

    /// The number of a task's function, which it gets here if it is new.
    pub(super) fn number_of(&self, work: &Work<'_>, spec: Option<&Shared<Spec>>) -> Result<u32> {
        let named = spec.map_or(&b""[..], |spec| spec.function.as_bytes());
        let function = match work {
            Work::Bytes(function, _) | Work::Buffer(function, _) => *function,
            _ => {
                return fail!(
                    NotSupported,
                    "the executor's tasks run in other processes, where closures, continuations and \
                     callbacks of this one cannot be called; submit a task function"
                );
            }
        };
        self.number_of_function(function, named)
    }

    /// `named` is empty for a function given by pointer.
    pub(super) fn number_of_function(&self, function: TaskFn, named: &[u8]) -> Result<u32> {
        let name =
            if named.is_empty() { Name::Function(function) } else { Name::Registered(named) };
        let (known, main_is_there) = {
            let state = self.state.lock();
            (state.functions.find(name), state.supervisor.runs_this_program())
        };
        if let Some(number) = known {
            return Ok(number);
        }
        // Asks the loader, which has a lock of its own.
        let encoded = functions::encode(name, main_is_there)?;
        self.state.lock().functions.insert(name, encoded)
    }

    /// A cell of this pool or a view of it, with what goes beside it, and its deadlines.
    pub(super) fn make(
        &self,
        owner: NonNull<Owner>,
        work: Work<'_>,
        bytes: u64,
        function: u32,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Made> {
        // A command is no worker's.
        let work = if outside::are_of_command(spec) { work } else { self.in_shared_memory(work) };
        let refs = if handle { 2 } else { 1 };
        let no_memory = || Error::no_memory("a task", 256 + bytes as usize);
        let cell = TaskCell::allocate(work, refs).ok_or_else(no_memory)?;
        // SAFETY: fresh, with these references.
        let made = unsafe {
            Made { task: TaskRef::from_raw(cell), handle: handle.then(|| TaskRef::from_raw(cell)) }
        };
        made.task.set_owner(owner);
        made.task.stamp_accepted(clock::ticks());
        if let Err(error) = self.add_extra(&made.task, bytes, function, spec) {
            self.unmake(made);
            return Err(error);
        }
        Ok(made)
    }

    fn add_extra(
        &self,
        task: &TaskRef,
        bytes: u64,
        function: u32,
        spec: Option<&Shared<Spec>>,
    ) -> Result<()> {
        let no_memory = || Error::no_memory("the options of a task", 128);
        let extra = task.add_extra(spec.cloned()).ok_or_else(no_memory)?;
        // Relaxed, here and below: published with the task.
        extra.function.store(function, Ordering::Relaxed);
        if self.bound.as_ref().is_some_and(|bound| bound.counts_bytes()) {
            extra.charged.store(bytes, Ordering::Relaxed);
        }
        let Some(spec) = spec.filter(|spec| spec.has_deadline()) else { return Ok(()) };
        let deadline = extra.note_accepted(spec);
        if self.timers.insert(task.clone(), deadline).ok_or_else(no_memory)? {
            self.poller.wake();
        }
        Ok(())
    }

    /// What does not fit a ring goes into memory that workers map; it is copied here, and not
    /// again if the worker whose memory it is gets the task.
    fn in_shared_memory<'a>(&self, work: Work<'a>) -> Work<'a> {
        let (function, bytes, visible) = match &work {
            Work::Bytes(function, bytes) => (*function, *bytes, false),
            Work::Buffer(function, buffer) if buffer.area().is_none() => {
                (*function, buffer.bytes(), true)
            }
            _ => return work,
        };
        let Some(area) = self.take_area(bytes.len()) else { return work };
        // SAFETY: the area is ours and has room for so many bytes.
        unsafe { area.data().as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        match BufferRef::of_area(area, None, bytes.len(), visible) {
            Some(buffer) => Work::Buffer(function, buffer),
            None => work,
        }
    }

    /// Undoes `make` for a task that was not accepted.
    #[cold]
    pub(super) fn unmake(&self, made: Made) {
        let Made { task, handle } = made;
        if let Some(extra) = task.extra_in(task.snapshot()) {
            // Relaxed: whoever entered it is this thread.
            if extra.timer.load(Ordering::Relaxed) != 0 {
                self.timers.remove(&task);
            }
            extra.charged.store(0, Ordering::Relaxed);
        }
        task.return_arguments();
        drop((task, handle));
    }

    /// Puts tasks into the backlog, all or none, and hands out what can be. The references stay
    /// the caller's; the backlog has its own.
    fn accept(&self, tasks: &[TaskRef], lane: usize) -> Result<()> {
        let now = Instant::now();
        let wake = {
            let mut state = self.state.lock();
            if self.phase() != Phase::Open {
                drop(state);
                return self.check_takes_work();
            }
            if !state.backlog.reserve(lane, tasks.len()) {
                return Err(Error::no_memory("the queue of a pool", tasks.len() * 8));
            }
            self.rest.accept(tasks.len() as i64);
            self.tally.submitted.add(tasks.len() as u64);
            for task in tasks {
                state.backlog.push(lane, task.clone());
            }
            self.dispatch(&mut state, now);
            self.wants_manager(&mut state)
        };
        self.sample();
        if wake {
            self.poller.wake();
        }
        Ok(())
    }

    /// The manager has to make workers for what waits, or to look whether it waits for long.
    pub(super) fn wants_manager(&self, state: &mut State) -> bool {
        if self.wants_worker(state) {
            return true;
        }
        // Once is enough, for both.
        let look = !state.looks_again && self.wants_rebalance(state);
        let watch = !state.watches && self.next_begin(state).is_some();
        state.looks_again |= look;
        state.watches |= watch;
        look || watch
    }

    // ---- room ----

    pub(super) fn try_take_room(&self, load: Load) -> bool {
        let Some(bound) = &self.bound else { return true };
        // A task that has begun gives its room back when that is noticed.
        bound.try_take(load) || {
            self.refresh_all();
            bound.try_take(load)
        }
    }

    pub(super) fn take_room(&self, load: Load) -> Result<()> {
        let Some(bound) = &self.bound else { return Ok(()) };
        if self.try_take_room(load) {
            return Ok(());
        }
        if self.config.full_policy == FullPolicy::Reject {
            return Err(bound.full("the queue is full"));
        }
        self.wait_for_room(bound, load).map_err(|why| bound.refusal(why))
    }

    /// No worker tells that a task begins, so whoever waits for that looks now and then.
    fn wait_for_room(&self, bound: &Bound, load: Load) -> std::result::Result<(), NoRoom> {
        const LOOK_NS: u64 = 1_000_000;
        let timeout = Timeout::from_ns(self.config.full_timeout);
        loop {
            let look = Instant::now().plus(LOOK_NS);
            let (until, last) = match timeout {
                Timeout::Until(end) if end <= look => (timeout, true),
                Timeout::Now => (timeout, true),
                _ => (Timeout::Until(look), false),
            };
            match bound.take(load, until, || self.phase() != Phase::Open) {
                Err(NoRoom::TimedOut) if !last => self.refresh_all(),
                taken => return taken,
            }
        }
    }

    pub(super) fn give_room(&self, tasks: u64, bytes: u64) {
        if let Some(bound) = &self.bound {
            bound.give(Load { tasks, bytes });
        }
    }

    /// The room a task took is free: it starts, or was settled before it could.
    pub(super) fn give_room_of(&self, cell: &TaskCell) {
        if let Some(bound) = &self.bound {
            bound.give_room_of(cell);
        }
    }
}
