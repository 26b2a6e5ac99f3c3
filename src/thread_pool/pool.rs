//! The pool itself: its parts, its making, and the ways a task comes in.

use super::bound::{Bound, Load, NoRoom};
use super::config::{Config, EXTRA_WORKERS, FullPolicy};
use super::inbox::{Inbox, LANES, Lane, Refused};
use super::monitor::Monitor;
use super::queue::Entry;
use super::registry;
use super::sleep::{Limits, Notified, Sleep};
use super::timer::{NEVER, Timers};
use super::turn::Turn;
use super::worker::{self, Slot};
use crate::error::{Error, Kind, Lossy, Result, fail};
use crate::future::arena;
use crate::future::cell::{TaskCell, TaskRef, Work};
use crate::future::extra::{Spec, Text};
use crate::future::owner::{Owner, OwnerRef};
use crate::future::run;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::local;
use crate::platform::clock::{self, Instant};
use crate::platform::thread::Thread;
use crate::platform::{Errno, fork, memory};
use crate::quiet;
use crate::shared::Shared;
use crate::sync::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicUsize, Futex32, Lock, Ordering, Timeout,
    fence,
};
use crate::trace::stats::{Tally, Totals};
use std::ptr::{self, NonNull};

/// Where the pool is in its life; see the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Phase {
    Open = 0,
    Closing = 1,
    Ended = 2,
}

#[repr(C)]
pub(crate) struct Pool {
    /// First, so that a pointer to the pool is a pointer to its head.
    pub(super) owner: Owner,
    /// The whole allocation: a reference to a pool is not enough to free it.
    this: NonNull<Pool>,
    /// Handles of the user's; the last one closes the pool.
    handles: AtomicUsize,
    pub(super) config: Config,
    /// Few at a time, though the machine has more: one worker, in order.
    pub(super) serial: bool,
    /// More workers than processors, or than short tasks are given, are possible.
    may_grow: bool,
    pub(super) sleep: Sleep,
    pub(super) inbox: Inbox,
    /// One place for each worker number; filled when the number is first used.
    pub(super) slots: Vec<AtomicPtr<Slot>>,
    /// Numbers below this may be filled.
    pub(super) slots_used: AtomicUsize,
    pub(super) roster: Lock<Roster>,
    phase: AtomicU32,
    /// Changes at each step of the pool's end and start that somebody may wait for.
    pub(super) events: Futex32,
    pub(super) bound: Option<Bound>,
    pub(super) timers: Timers,
    pub(super) monitor: Monitor,
    pub(super) turn: Turn,
    /// What is done by threads that are no workers.
    pub(super) tally: Tally,
    /// Tasks that returned CFUT_DETACH and are not settled.
    pub(super) detached: AtomicI64,
    /// How often running tasks were told to stop; see `owner::Vtable`.
    pub(super) stop_level: AtomicU32,
    /// Tasks that have not started are cancelled.
    pub(super) cancel_queued: AtomicBool,
    /// The pool is broken; `reason` says why.
    pub(super) broken: AtomicBool,
    reason: Lock<Option<Shared<Reason>>>,
    /// Workers blocked for ever in waits.
    pub(super) blocked_forever: AtomicU32,
    /// `cfut_quiesce` has found the pool at rest: idle workers with a stop hook stay.
    pub(super) quiet: AtomicBool,
    pub(super) links: registry::Links,
}

// SAFETY: everything in it is atomic, locked or constant; what belongs to one worker says so
// in `worker`.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

/// Why a pool broke.
pub(crate) struct Reason {
    pub(crate) code: i32,
    pub(crate) text: Text,
}

/// The threads of a pool. Guards what it contains.
pub(super) struct Roster {
    /// Free worker numbers, the smallest last.
    pub(super) vacant: Vec<u16>,
    /// Threads that have ended, or are about to, and are to be joined.
    pub(super) ended: Vec<Thread>,
    /// Worker threads that exist.
    pub(super) workers: u32,
    /// Workers that have not passed their hooks and initializer yet.
    pub(super) starting: u32,
    pub(super) monitor_runs: bool,
    pub(super) started: u64,
    /// Why the last thread could not be made.
    pub(super) errno: Errno,
}

/// What became of a submitted task.
pub(crate) enum Submitted {
    Queued(Option<TaskRef>),
    /// The queue is full: the caller runs it, with this reference.
    RunHere(TaskRef, Option<TaskRef>),
}

impl Pool {
    /// A pool with one handle.
    pub(crate) fn new(config: Config) -> Result<OwnerRef> {
        config.check()?;
        fork::watch();
        clock::prepare();
        let limits = Limits { target: config.target(), most: config.workers, extra: EXTRA_WORKERS };
        let threads = (limits.most + limits.extra) as usize;
        let no_memory = || Error::no_memory("the tables of a thread pool", threads * 160);
        let sleep = Sleep::new(limits).ok_or_else(no_memory)?;
        let mut slots = Vec::new();
        slots.try_reserve_exact(threads).map_err(|_| no_memory())?;
        slots.extend((0..threads).map(|_| AtomicPtr::new(ptr::null_mut())));
        let roster = Roster::new(threads).ok_or_else(no_memory)?;
        let pool = Pool {
            owner: Owner::new(&super::vtable::VTABLE, fork::generation()),
            this: NonNull::dangling(),
            handles: AtomicUsize::new(1),
            serial: config.workers == 1,
            may_grow: config.workers > 1,
            bound: Bound::new(config.queue_limit, config.queue_bytes),
            config,
            sleep,
            inbox: Inbox::new(),
            slots,
            slots_used: AtomicUsize::new(0),
            roster: Lock::new(roster),
            phase: AtomicU32::new(Phase::Open as u32),
            events: Futex32::new(0),
            timers: Timers::new(),
            monitor: Monitor::new(),
            turn: Turn::new(),
            tally: Tally::default(),
            detached: AtomicI64::new(0),
            stop_level: AtomicU32::new(0),
            cancel_queued: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            reason: Lock::new(None),
            blocked_forever: AtomicU32::new(0),
            quiet: AtomicBool::new(false),
            links: registry::Links::new(),
        };
        let pool = memory::try_box(pool)
            .map_err(|_| Error::no_memory("a thread pool", size_of::<Pool>()))?;
        // SAFETY: fresh, and its first reference is the handle's.
        let owner = unsafe {
            (*pool.as_ptr()).this = pool;
            OwnerRef::adopt(pool.cast())
        };
        registry::enter(&owner);
        Ok(owner)
    }

    /// # Safety
    /// `owner` is the head of a live pool, for `'a`.
    pub(crate) unsafe fn of<'a>(owner: NonNull<Owner>) -> &'a Pool {
        // SAFETY: by the contract; the head is the pool's first field, and pointers to
        // it are made from pointers to the pool.
        unsafe { owner.cast::<Pool>().as_ref() }
    }

    pub(super) fn as_owner(&self) -> NonNull<Owner> {
        self.this.cast()
    }

    /// A counted reference to this pool.
    pub(crate) fn retain(&self) -> OwnerRef {
        // SAFETY: `self` is alive.
        unsafe { OwnerRef::retain(self.as_owner()) }
    }

    pub(super) fn phase(&self) -> Phase {
        // Acquire: pairs with the exchanges in `shutdown`; what they announce is seen.
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Closing,
            _ => Phase::Ended,
        }
    }

    /// Moves on by one phase; false if it was not in `from`.
    pub(super) fn advance(&self, from: Phase) -> bool {
        let next = from as u32 + 1;
        // AcqRel: pairs with `phase`.
        self.phase.compare_exchange(from as u32, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    // ---- handles ----

    pub(crate) fn add_handle(&self) {
        // Relaxed: a handle from an existing one publishes nothing.
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Drops a handle; with the last one the pool takes no more work. What was accepted
    /// still runs.
    pub(crate) fn drop_handle(&self) {
        // AcqRel: the last one closes after all that the others did.
        if self.handles.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if !self.is_inherited() {
            self.close();
            // SAFETY: the reference that the handles had together.
            drop(unsafe { OwnerRef::adopt(self.as_owner()) });
        }
    }

    pub(super) fn has_handles(&self) -> bool {
        // Relaxed: only decides who joins threads that have ended.
        self.handles.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn is_inherited(&self) -> bool {
        self.owner.generation != fork::generation()
    }

    #[inline]
    pub(crate) fn check_fork(&self) -> Result<()> {
        if self.is_inherited() {
            return fail!(
                Forked,
                "this executor was made before fork(): its threads do not exist in the child; \
                 make a new one here"
            );
        }
        Ok(())
    }

    // ---- submitting ----

    /// Accepts one task. A closure's argument is the caller's again on an error.
    #[inline(always)]
    pub(crate) fn submit(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Submitted> {
        if spec.is_some() || self.bound.is_some() {
            return self.submit_with_care(work, bytes, spec, handle);
        }
        self.check_fork()?;
        let task = self.make_plain(work, bytes, handle)?;
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
        self.check_fork()?;
        let run_here = match &self.bound {
            None => false,
            Some(bound) => !self.take_room(bound, Load { tasks: 1, bytes })?,
        };
        let task = match self.make(work, bytes, spec, handle) {
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

    /// A cell of this pool, with a reference for the queue and one for a handle.
    #[inline(always)]
    fn make_plain(&self, work: Work<'_>, bytes: u64, handle: bool) -> Result<Entry> {
        let refs = if handle { 2 } else { 1 };
        let Some(task) = TaskCell::allocate(work, refs) else {
            return Err(Error::no_memory("a task", arena::block_size(0) + bytes as usize));
        };
        // SAFETY: fresh.
        let cell = unsafe { task.as_ref() };
        cell.set_owner(self.as_owner());
        cell.stamp_accepted(clock::ticks());
        Ok(task)
    }

    /// As `make_plain`, with what goes beside the cell.
    fn make(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Entry> {
        let task = self.make_plain(work, bytes, handle)?;
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
        let now = Instant::now();
        // Relaxed: published with the task.
        extra.accepted_at.store(now.0, Ordering::Relaxed);
        let deadline = first_deadline(now, &[spec.queue_timeout, spec.total_timeout]);
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
            if let Some(slot) = self.this_worker() {
                if self.phase() != Phase::Open {
                    return Err(Unaccepted::Refused(Refused::Closed));
                }
                if slot.push_nested(task) {
                    // The fence of the sleep protocol: the push comes before the look at
                    // the word, in one order with the look of a worker that goes to sleep.
                    fence(Ordering::SeqCst);
                    self.look_for_a_worker(usize::MAX);
                    return Ok(());
                }
            }
        }
        let waiting = self.inbox.push(lane, task).map_err(Unaccepted::Refused)?;
        if self.look_for_a_worker(waiting) == Notified::Stranded && self.withdraw(task) {
            return Err(Unaccepted::NoThread);
        }
        Ok(())
    }

    /// The worker of this pool that the calling thread is, if it is one.
    #[inline(always)]
    pub(super) fn this_worker(&self) -> Option<&Slot> {
        let worker = local::with(|local| local.worker.get());
        if worker.is_null() {
            return None;
        }
        // SAFETY: points at this thread's own slot, which lives as long as the thread.
        let slot = unsafe { &*worker.cast::<Slot>() };
        ptr::addr_eq(slot.pool_ptr(), self).then_some(slot)
    }

    /// Step "notify" of the sleep protocol, with the number of tasks that wait, about.
    #[inline(always)]
    pub(super) fn look_for_a_worker(&self, backlog: usize) -> Notified {
        let notified = self.sleep.notify(backlog, |searching| worker::create(self, searching));
        if notified == Notified::Watch && self.may_grow {
            self.monitor.watch(self);
        }
        notified
    }

    /// Takes a queued task back that nobody will run; false if somebody has it.
    #[cold]
    fn withdraw(&self, task: Entry) -> bool {
        // SAFETY: the caller has not given up its knowledge of the task; the queue's
        // reference keeps it.
        let cell = unsafe { task.as_ref() };
        let seen = cell.state.lock();
        if !seen.is_pending() {
            cell.state.unlock(0, 0);
            return false;
        }
        // The entry stays in the queue, with its reference, as one that is settled.
        cell.state.retain(1);
        cell.state.settle_locked(Outcome::Cancelled, None);
        self.tally.withdrawn.add(1);
        true
    }

    /// Undoes `make` for a task that was not accepted.
    #[cold]
    fn take_back(&self, task: TaskRef, handle: Option<TaskRef>) {
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
            self.timers.remove(task);
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

    // ---- many at once ----

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
        out: Option<NonNull<Entry>>,
    ) -> Result<()> {
        self.check_fork()?;
        let bytes = item_size as u64;
        if let Some(bound) = &self.bound {
            let all = Load { tasks: count as u64, bytes: bytes.saturating_mul(count as u64) };
            self.take_room_for_many(bound, all)?;
        }
        let result = (|| {
            let mut own = Vec::new();
            let places = match out {
                // SAFETY: by the contract.
                Some(out) => unsafe { std::slice::from_raw_parts_mut(out.as_ptr().cast(), count) },
                None => {
                    own.try_reserve_exact(count)
                        .map_err(|_| Error::no_memory("a batch of tasks", count * 8))?;
                    own.resize_with(count, std::mem::MaybeUninit::uninit);
                    &mut own[..]
                }
            };
            self.make_and_push_all(make_work, bytes, spec, out.is_some(), places)
        })();
        if result.is_err() {
            self.give_room(count as u64, bytes.saturating_mul(count as u64));
        }
        result
    }

    fn make_and_push_all(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handles: bool,
        places: &mut [std::mem::MaybeUninit<Entry>],
    ) -> Result<()> {
        for made in 0..places.len() {
            match self.make(make_work(made), bytes, spec, handles) {
                Ok(task) => {
                    places[made].write(task);
                }
                Err(error) => {
                    self.discard_all(&places[..made], handles);
                    return Err(error);
                }
            }
        }
        let lane = spec.map_or(Lane::Normal, |spec| Lane::of_priority(spec.priority));
        // SAFETY: all places were written above.
        let tasks = unsafe { &*(ptr::from_ref(places) as *const [Entry]) };
        if let Err(refused) = self.inbox.push_all(lane, tasks) {
            self.discard_all(places, handles);
            return Err(self.refusal(Unaccepted::Refused(refused)));
        }
        if self.look_for_a_worker(tasks.len()) == Notified::Stranded && self.withdraw_all(tasks) {
            self.discard_all(places, handles);
            return Err(self.refusal(Unaccepted::NoThread));
        }
        Ok(())
    }

    /// Takes a batch back that nobody will run; false if somebody has begun with it: then
    /// what was taken back stays cancelled.
    #[cold]
    fn withdraw_all(&self, tasks: &[Entry]) -> bool {
        let withdrawn = tasks.iter().filter(|&&task| self.withdraw(task)).count();
        if withdrawn == tasks.len() {
            return true;
        }
        for &task in &tasks[..withdrawn] {
            // SAFETY: `withdraw` counted a reference for each.
            drop(unsafe { TaskRef::from_raw(task) });
        }
        false
    }

    fn discard_all(&self, made: &[std::mem::MaybeUninit<Entry>], handles: bool) {
        for task in made {
            // SAFETY: each was written by `make_and_push_all` and is known to nobody else,
            // but for the timers.
            let task = unsafe { TaskRef::from_raw(task.assume_init()) };
            // SAFETY: the handle's reference, if one was counted.
            let handle = handles.then(|| unsafe { TaskRef::from_raw(task.as_ptr()) });
            self.take_back(task, handle);
        }
    }

    // ---- the bound ----

    /// Takes room in the queue as the policy says. False: the caller runs the task.
    fn take_room(&self, bound: &Bound, load: Load) -> Result<bool> {
        if bound.try_take(load) {
            return Ok(true);
        }
        let policy = self.config.full_policy;
        if policy == FullPolicy::Reject {
            return Err(self.full(bound, "the queue is full"));
        }
        // A worker that waited for room would wait for itself.
        if policy == FullPolicy::RunInCaller || self.this_worker().is_some() {
            return if self.phase() == Phase::Open {
                Ok(false)
            } else {
                Err(self.refusal(Unaccepted::Refused(Refused::Closed)))
            };
        }
        self.wait_for_room(bound, load).map(|()| true)
    }

    fn take_room_for_many(&self, bound: &Bound, load: Load) -> Result<()> {
        if bound.try_take(load) {
            return Ok(());
        }
        match self.config.full_policy {
            FullPolicy::Reject => Err(self.full(bound, "the queue has no room for the batch")),
            // All or nothing, and many: they are not run here but accepted.
            FullPolicy::RunInCaller => {
                bound.force(load);
                Ok(())
            }
            FullPolicy::Block if self.this_worker().is_some() => {
                bound.force(load);
                Ok(())
            }
            FullPolicy::Block => self.wait_for_room(bound, load),
        }
    }

    fn wait_for_room(&self, bound: &Bound, load: Load) -> Result<()> {
        let timeout = Timeout::from_ns(self.config.full_timeout);
        bound.take(load, timeout, || self.phase() != Phase::Open).map_err(|why| match why {
            NoRoom::Full => self.full(bound, "the queue is full"),
            NoRoom::TimedOut => {
                self.full(bound, "the queue stayed full for CFUT_OPT_FULL_TIMEOUT_NS")
            }
        })
    }

    #[cold]
    fn full(&self, bound: &Bound, what: &str) -> Error {
        let most = bound.most();
        let show = |bound: u64| if bound == u64::MAX { 0 } else { bound };
        Error::new(
            Kind::Full,
            format_args!(
                "{what} (CFUT_OPT_QUEUE_LIMIT {}, CFUT_OPT_QUEUE_BYTES {}; 0 = none)",
                show(most.tasks),
                show(most.bytes)
            ),
        )
    }

    pub(super) fn give_room(&self, tasks: u64, bytes: u64) {
        if let Some(bound) = &self.bound {
            bound.give(Load { tasks, bytes });
        }
    }

    /// The room a task took is free: it starts, or was settled before it could.
    pub(super) fn give_room_of(&self, cell: &TaskCell) {
        if self.bound.is_some() {
            let bytes = cell.extra_in(cell.snapshot()).map_or(0, |extra| {
                // Relaxed: one thread starts or settles it.
                extra.charged.swap(0, Ordering::Relaxed)
            });
            self.give_room(1, bytes);
        }
    }

    // ---- breaking ----

    /// Why the pool is broken, if it is.
    pub(super) fn reason(&self) -> Option<Shared<Reason>> {
        // Acquire: pairs with the Release in `break_with`.
        if !self.broken.load(Ordering::Acquire) {
            return None;
        }
        self.reason.lock().clone()
    }

    /// Breaks the pool: nothing more is accepted, what has not started is BROKEN.
    pub(super) fn break_with(&self, code: i32, text: &[u8]) {
        let reason =
            Shared::try_new(Reason { code, text: Text::copy(text).unwrap_or(Text::EMPTY) });
        {
            let mut place = self.reason.lock();
            if place.is_some() {
                return; // the first reason stays
            }
            *place = reason;
        }
        // Release: pairs with the Acquire in `reason`.
        self.broken.store(true, Ordering::Release);
        self.close();
        self.settle_queued();
        self.signal();
    }

    /// How to settle a task that will not start: the pool is broken, or closed with CANCEL.
    pub(super) fn verdict_for_queued(&self) -> Option<Verdict> {
        if let Some(reason) = self.reason() {
            return Some(Verdict::because(Outcome::Broken, reason.code, reason.text.as_bytes()));
        }
        // Relaxed: set before the queues are emptied under their locks.
        self.cancel_queued.load(Ordering::Relaxed).then(|| Verdict::new(Outcome::Cancelled))
    }

    /// Tells whoever waits for the pool's state.
    pub(super) fn signal(&self) {
        // Release: pairs with the Acquire loads before `events` is waited on.
        self.events.fetch_add(1, Ordering::Release);
        self.events.wake_all();
        quiet::signal();
    }

    // ---- looking ----

    /// The slots in use.
    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        // Acquire, both: pair with the Releases in `worker::create`.
        let used = self.slots_used.load(Ordering::Acquire);
        self.slots[..used].iter().filter_map(|slot| {
            // SAFETY: a slot stays until the pool is destroyed.
            unsafe { slot.load(Ordering::Acquire).as_ref() }
        })
    }

    /// Whether a task is queued anywhere; "precisely" in the sense of `sleep.md`.
    #[inline(never)]
    pub(super) fn has_work(&self) -> bool {
        !self.inbox.is_empty() || self.slots().any(|slot| !slot.is_empty())
    }

    /// How many tasks wait, about; nested ones count for as many as it takes to have each
    /// looked after.
    pub(super) fn backlog(&self) -> usize {
        let inbox: usize = LANES.into_iter().map(|lane| self.inbox.hint(lane)).sum();
        let workers: usize = self.slots().map(|slot| slot.backlog()).sum();
        inbox + workers
    }

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for slot in self.slots() {
            totals.add(slot.tally());
        }
        totals.add(&self.tally);
        totals.submitted += self.inbox.accepted();
        totals
    }

    /// When the oldest queued task was accepted, in ticks, roughly; None if none is queued.
    pub(super) fn oldest_queued(&self) -> Option<u64> {
        let mut oldest = None;
        let mut take = |stamp: u64| oldest = Some(oldest.map_or(stamp, |old: u64| old.min(stamp)));
        // SAFETY: under the inbox's lock its entries keep their tasks.
        self.inbox.with_oldest(|task| take(unsafe { task.as_ref() }.accepted_at()));
        self.slots().filter_map(Slot::oldest_queued).for_each(take);
        oldest
    }

    /// Counts the end of a task that was run by a thread that is no worker.
    pub(super) fn count_end(&self, ended: run::Ended) {
        self.tally.left.add(1);
        if let run::Ended::Settled(outcome) = ended {
            self.tally.outcome(outcome).add(1);
        }
    }
}

/// The handle of a task that was made with one.
#[inline(always)]
fn handle_of(task: Entry, handle: bool) -> Option<TaskRef> {
    // SAFETY: `make_plain` counted a reference for it.
    handle.then(|| unsafe { TaskRef::from_raw(task) })
}

/// Why a task was not accepted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unaccepted {
    Refused(Refused),
    NoThread,
}

/// The earliest of several time-outs from `start`; negative ones are none.
pub(super) fn first_deadline(start: Instant, timeouts: &[i64]) -> Instant {
    let set = timeouts.iter().filter(|&&timeout| timeout >= 0);
    set.map(|&timeout| start.plus(timeout as u64)).min().unwrap_or(NEVER)
}

impl Roster {
    /// None when there is no memory.
    fn new(threads: usize) -> Option<Roster> {
        let mut vacant = Vec::new();
        vacant.try_reserve_exact(threads).ok()?;
        vacant.extend((0..threads as u16).rev());
        let mut ended = Vec::new();
        ended.try_reserve_exact(threads + 1).ok()?;
        Some(Roster {
            vacant,
            ended,
            workers: 0,
            starting: 0,
            monitor_runs: false,
            started: 0,
            errno: Errno(0),
        })
    }
}
