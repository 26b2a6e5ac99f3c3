//! The pool itself: its parts, its making, and what it knows of itself.

use super::config::{Config, EXTRA_WORKERS};
use super::inbox::{Inbox, LANES};
use super::monitor::Monitor;
use super::sleep::{Limits, Sleep};
use super::turn::Turn;
use super::worker::Slot;
use crate::error::{Error, Result, fail};
use crate::future::bound::Bound;
use crate::future::extra::Text;
use crate::future::leftovers::Leftovers;
use crate::future::outside::Lane;
use crate::future::owner::{Owner, OwnerRef, Reason, attention};
use crate::future::phase::{Life, Phase};
use crate::future::registry;
use crate::future::run;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::future::timer::Timers;
use crate::platform::clock;
use crate::platform::thread::Thread;
use crate::platform::{Errno, fork, memory};
use crate::quiet;
use crate::shared::Shared;
use crate::sync::{
    AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicUsize, Futex32, Lock, Ordering,
};
use crate::trace::stats::{Tally, Totals};
use crate::trace::timeline::Timeline;
use std::ptr::{self, NonNull};

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
    pub(super) sleep: Sleep,
    pub(super) inbox: Inbox,
    /// One place for each worker number; filled when the number is first used.
    pub(super) slots: Vec<AtomicPtr<Slot>>,
    /// Numbers below this may be filled.
    pub(super) slots_used: AtomicUsize,
    pub(super) roster: Lock<Roster>,
    life: Life,
    /// Changes at each step of the pool's end and start that somebody may wait for.
    pub(super) events: Futex32,
    pub(super) bound: Option<Bound>,
    pub(super) timers: Timers,
    pub(super) monitor: Monitor,
    pub(super) turn: Turn,
    pub(super) lane: Lane,
    /// What is done by threads that are no workers.
    pub(super) tally: Tally,
    pub(super) timeline: Option<Timeline>,
    pub(super) leftovers: Leftovers,
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
    /// A sleeping worker will look after the memory that is kept for bursts.
    pub(super) trimmer: AtomicBool,
}

// SAFETY: everything in it is atomic, locked or constant; what belongs to one worker says so
// in `worker`.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

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
        let monitor = Monitor::new(config.workers > 1);
        let timeline = Timeline::open(&config.trace_file, &config.name, true)?;
        let lane = Lane::new(limits.most);
        let pool = Pool {
            owner: Owner::new(&super::vtable::VTABLE, fork::generation()),
            this: NonNull::dangling(),
            handles: AtomicUsize::new(1),
            serial: config.workers == 1,
            bound: Bound::new(config.queue_limit, config.queue_bytes),
            config,
            sleep,
            inbox: Inbox::new(),
            slots,
            slots_used: AtomicUsize::new(0),
            roster: Lock::new(roster),
            life: Life::new(),
            events: Futex32::new(0),
            timers: Timers::new(),
            monitor,
            turn: Turn::new(),
            lane,
            tally: Tally::default(),
            timeline,
            leftovers: Leftovers::new(),
            detached: AtomicI64::new(0),
            stop_level: AtomicU32::new(0),
            cancel_queued: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            reason: Lock::new(None),
            blocked_forever: AtomicU32::new(0),
            quiet: AtomicBool::new(false),
            trimmer: AtomicBool::new(false),
        };
        let pool = memory::try_box(pool)
            .map_err(|_| Error::no_memory("a thread pool", size_of::<Pool>()))?;
        // SAFETY: fresh, and its first reference is the handle's.
        let owner = unsafe {
            (*pool.as_ptr()).this = pool;
            OwnerRef::adopt(pool.cast())
        };
        // SAFETY: just made.
        if unsafe { pool.as_ref() }.bound.is_some() {
            owner.call_attention(attention::BOUNDED);
        }
        // SAFETY: as above.
        if unsafe { pool.as_ref() }.timeline.is_some() {
            owner.call_attention(attention::TRACED);
        }
        if fork::generation() != 1 {
            owner.call_attention(attention::FORKED);
        }
        if !clock::has_fast_ticks() {
            owner.call_attention(attention::SLOW_CLOCK);
        }
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
        self.life.phase()
    }

    /// Moves on by one phase; false if it was not in `from`.
    pub(super) fn advance(&self, from: Phase) -> bool {
        self.life.advance(from)
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
        self.owner.call_attention(attention::SETTLES_QUEUED);
        self.close();
        self.settle_queued();
        // There may be no worker left that would find the queues empty.
        self.end_if_done();
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

    /// A worker goes to look for work: the rest that `is_quiet` may have found is over.
    pub(super) fn end_quiet(&self) {
        // Relaxed, both: it is set only while no worker is awake, under the lock of those
        // that sleep, which this one has passed since.
        if self.quiet.load(Ordering::Relaxed) {
            self.quiet.store(false, Ordering::Relaxed);
        }
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
        loop {
            let Some(recalls) = self.inbox.is_empty_since() else { return true };
            if self.slots().any(|slot| !slot.is_empty()) {
                return true;
            }
            if !self.inbox.recalled_since(recalls) {
                return false;
            }
        }
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

    /// What the timeline shows as a curve: tasks that wait, and that run.
    pub(super) fn load(&self) -> (u64, u64) {
        let totals = self.totals();
        (totals.queued(), totals.running())
    }

    /// After a task has come in or gone: notes the counters on the timeline, now and then.
    #[inline]
    pub(super) fn sample(&self) {
        if let Some(timeline) = &self.timeline {
            timeline.sample(|| self.load());
        }
    }

    /// Counts how a task ended that was run by a thread that is no worker.
    pub(super) fn count_end(&self, ended: run::Ended) {
        if let run::Ended::Settled(outcome) = ended {
            self.tally.outcome(outcome).add(1);
        }
    }
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
