//! The pool itself: its parts, its making, and what it knows of itself.

use super::child::Child;
use super::config::Config;
use super::dispatch::Backlog;
use super::functions::Functions;
use super::manager;
use super::notifier::Notifier;
use super::program::Recipe;
use super::supervisor::{Budget, Supervisor};
use crate::error::{Error, Kind, Lossy, Result, fail};
use crate::future::bound::Bound;
use crate::future::cell::TaskRef;
use crate::future::extra::Text;
use crate::future::leftovers::Leftovers;
use crate::future::outside::Lane;
use crate::future::owner::{Owner, OwnerRef, Reason, attention};
use crate::future::phase::{Life, Phase};
use crate::future::registry;
use crate::future::rest::Rest;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::future::timer::Timers;
use crate::platform::clock::{self, Instant};
use crate::platform::poll::Poller;
use crate::platform::thread::Thread;
use crate::platform::{cpu, fork, memory};
use crate::quiet;
use crate::shared::Shared;
use crate::sync::{AtomicBool, AtomicUsize, Futex32, Lock, Ordering};
use crate::trace::stats::{Tally, Totals};
use crate::trace::timeline::Timeline;
use std::fmt::Write;
use std::ptr::NonNull;

#[repr(C)]
pub(crate) struct Pool {
    /// First, so that a pointer to the pool is a pointer to its head.
    pub(super) owner: Owner,
    /// The whole allocation: a reference to a pool is not enough to free it.
    this: NonNull<Pool>,
    /// Handles of the user's; the last one closes the pool.
    handles: AtomicUsize,
    pub(super) config: Config,
    pub(super) recipe: Recipe,
    /// There is a processor for a thread that looks for what is about to come.
    pub(super) may_look: bool,
    pub(super) state: Lock<State>,
    pub(super) poller: Poller,
    pub(super) bound: Option<Bound>,
    pub(super) timers: Timers,
    pub(super) tally: Tally,
    pub(super) timeline: Option<Timeline>,
    pub(super) notifier: Notifier,
    life: Life,
    /// Changes at each step of the pool's end and start that somebody may wait for.
    pub(super) events: Futex32,
    pub(super) rest: Rest,
    pub(super) lane: Lane,
    pub(super) leftovers: Leftovers,
    /// Tasks that have not started are cancelled.
    pub(super) cancel_queued: AtomicBool,
    broken: AtomicBool,
    reason: Lock<Option<Shared<Reason>>>,
}

// SAFETY: everything in it is atomic, locked or constant.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

/// What P1 guards.
pub(super) struct State {
    pub(super) backlog: Backlog,
    /// By number; twice as many as there may be workers, for those that leave and those that
    /// come in their place.
    pub(super) children: Vec<Option<NonNull<Child>>>,
    pub(super) functions: Functions,
    pub(super) supervisor: Supervisor,
    pub(super) budget: Budget,
    /// The same for workers that became ready, and ended before a task of theirs began.
    pub(super) useless: Budget,
    /// How long a task runs, about.
    pub(super) average_ns: u64,
    /// A worker with room for more tasks could not be given one: its ring or socket was full.
    pub(super) stalled: bool,
    /// Tasks that have run, were to run again, and were settled meanwhile.
    pub(super) ended: Vec<TaskRef>,
    /// `cfut_executor_warm` wants all workers.
    pub(super) warm: bool,
    pub(super) started: u64,
    pub(super) stolen: u64,
    /// Workers that died or were killed, and in whose place none has come, for the timeline.
    pub(super) missing: u32,
    /// The manager will look by itself for tasks that wait behind others.
    pub(super) looks_again: bool,
    /// The manager sees to it that what is handed over begins.
    pub(super) watches: bool,
    /// How often running tasks were told to stop: 0, 1, or 2 for more.
    pub(super) stop_level: u32,
    /// Running tasks end as CANCELLED with their workers.
    pub(super) killing: bool,
    /// When even the supervisor is killed, if there are workers yet.
    pub(super) kill_by: Option<Instant>,
    pub(super) generation: u32,
    pub(super) manager: Option<Thread>,
    /// It wants a bell from every worker.
    pub(super) manager_sleeps: bool,
    /// The manager thread is past its last look at the pool.
    pub(super) manager_gone: bool,
}

// SAFETY: the children are reached through this alone.
unsafe impl Send for State {}

impl State {
    pub(super) fn children(&self) -> impl Iterator<Item = &Child> {
        // SAFETY: children are freed when they are taken out (P1).
        self.children.iter().filter_map(|child| child.map(|child| unsafe { child.as_ref() }))
    }

    pub(super) fn children_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        // SAFETY: as above, and each is reached once.
        self.children
            .iter_mut()
            .filter_map(|child| child.map(|mut child| unsafe { child.as_mut() }))
    }

    /// Whether there is a child of this number, with nothing to do.
    pub(super) fn is_idle(&self, number: usize) -> bool {
        // SAFETY: as above.
        self.children[number].is_some_and(|child| unsafe { child.as_ref() }.in_flight == 0)
    }

    pub(super) fn child(&mut self, number: u32, generation: u32) -> Option<&mut Child> {
        let child = self.children.get(number as usize).copied().flatten();
        // SAFETY: as above.
        child
            .map(|mut child| unsafe { child.as_mut() })
            .filter(|child| child.generation == generation)
    }

    /// Takes a child out; None when there is none of that number and generation.
    pub(super) fn remove_child(&mut self, number: u32, generation: u32) -> Option<ChildBox> {
        self.child(number, generation)?;
        self.children[number as usize].take().map(ChildBox)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.take().map(ChildBox));
        }
    }
}

/// A child that nobody else reaches any more.
pub(super) struct ChildBox(pub(super) NonNull<Child>);

impl std::ops::Deref for ChildBox {
    type Target = Child;
    fn deref(&self) -> &Child {
        // SAFETY: owned.
        unsafe { self.0.as_ref() }
    }
}

impl std::ops::DerefMut for ChildBox {
    fn deref_mut(&mut self) -> &mut Child {
        // SAFETY: owned.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for ChildBox {
    fn drop(&mut self) {
        // SAFETY: made by try_box, and owned.
        unsafe { memory::drop_box(self.0) };
    }
}

impl Pool {
    /// A pool with one handle. Its supervisor has been executed, its manager runs; there are
    /// no workers yet.
    pub(crate) fn new(config: Config) -> Result<OwnerRef> {
        config.check()?;
        fork::watch();
        clock::prepare();
        let recipe = Recipe::of(&config)?;
        let owner = Pool::allocate(config, recipe)?;
        // `destroy` takes it out again.
        registry::enter(&owner);
        // SAFETY: just made.
        let pool = unsafe { Pool::of(owner.as_ptr()) };
        pool.start_supervisor()?;
        manager::start(pool)?;
        Ok(owner)
    }

    fn allocate(config: Config, recipe: Recipe) -> Result<OwnerRef> {
        let no_memory = || Config::no_memory("the tables of a process pool");
        let mut children = Vec::new();
        let places = config.workers as usize * 2;
        children.try_reserve_exact(places).map_err(|_| no_memory())?;
        children.resize(places, None);
        let timeline = Timeline::open(&config.trace_file, &config.name, false)?;
        let poller = Poller::new().map_err(|errno| {
            Error::new(
                Kind::System,
                format_args!("no descriptor for the events of a process pool: {errno}"),
            )
        })?;
        let state = State {
            backlog: Backlog::new(),
            children,
            functions: Functions::new(),
            supervisor: Supervisor::none(),
            budget: Budget::new(),
            useless: Budget::new(),
            average_ns: 0,
            stalled: false,
            ended: Vec::new(),
            warm: false,
            started: 0,
            stolen: 0,
            missing: 0,
            looks_again: false,
            watches: false,
            stop_level: 0,
            killing: false,
            kill_by: None,
            generation: 0,
            manager: None,
            manager_sleeps: false,
            manager_gone: false,
        };
        let lane = Lane::new(config.workers);
        let pool = Pool {
            owner: Owner::new(&super::vtable::VTABLE, fork::generation()),
            this: NonNull::dangling(),
            handles: AtomicUsize::new(1),
            bound: Bound::new(config.queue_limit, config.queue_bytes),
            may_look: cpu::cpus().usable > 1,
            config,
            recipe,
            state: Lock::new(state),
            poller,
            timers: Timers::new(),
            tally: Tally::default(),
            timeline,
            notifier: Notifier::new().ok_or_else(no_memory)?,
            life: Life::new(),
            events: Futex32::new(0),
            rest: Rest::new(),
            lane,
            leftovers: Leftovers::new(),
            cancel_queued: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            reason: Lock::new(None),
        };
        let pool = memory::try_box(pool).map_err(|_| no_memory())?;
        // SAFETY: fresh, and its first reference is the handle's.
        let owner = unsafe {
            (*pool.as_ptr()).this = pool;
            OwnerRef::adopt(pool.cast())
        };
        owner.call_attention(attention::PROCESSES);
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
        // AcqRel: pairs with itself: the last one closes after all that the others did.
        if self.handles.fetch_sub(1, Ordering::AcqRel) != 1 || self.is_inherited() {
            return;
        }
        self.close();
        // SAFETY: the reference that the handles had together.
        drop(unsafe { OwnerRef::adopt(self.as_owner()) });
    }

    pub(crate) fn is_inherited(&self) -> bool {
        self.owner.generation != fork::generation()
    }

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

    /// Breaks the pool: nothing more is accepted, what has not started is BROKEN. False: it
    /// was broken before.
    pub(super) fn break_with(&self, code: i32, text: &[u8]) -> bool {
        let reason =
            Shared::try_new(Reason { code, text: Text::copy(text).unwrap_or(Text::EMPTY) });
        {
            let mut place = self.reason.lock();
            if place.is_some() {
                return false; // the first reason stays
            }
            *place = reason;
        }
        // Release: pairs with the Acquire in `reason`.
        self.broken.store(true, Ordering::Release);
        self.close();
        self.settle_queued();
        self.signal();
        true
    }

    /// How to settle a task that will not start: the pool is broken, or closed with CANCEL.
    pub(super) fn verdict_for_queued(&self) -> Option<Verdict> {
        if let Some(reason) = self.reason() {
            return Some(Verdict::because(Outcome::Broken, reason.code, reason.text.as_bytes()));
        }
        // Relaxed: set before the backlog is emptied under its lock.
        self.cancel_queued.load(Ordering::Relaxed).then(|| Verdict::new(Outcome::Cancelled))
    }

    pub(super) fn broken_error(&self, reason: &Reason) -> Error {
        let text = Lossy(reason.text.as_bytes());
        Error::new(Kind::Broken, format_args!("the executor is broken: {text}"))
    }

    /// Tells whoever waits for the pool's state.
    pub(super) fn signal(&self) {
        // Release: pairs with the Acquire loads before `events` is waited on.
        self.events.fetch_add(1, Ordering::Release);
        self.events.wake_all();
        quiet::signal();
    }

    // ---- looking ----

    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.add(&self.tally);
        totals
    }

    /// Names the calling thread NAME-what.
    pub(super) fn name_thread(&self, what: &str) {
        let mut line = crate::error::Line::new();
        let name = self.config.name.as_bytes();
        let name = if name.is_empty() { b"cfut" } else { &name[..name.len().min(7)] };
        let _ = write!(line, "{}-{what}\0", Lossy(name));
        if let Ok(name) = std::ffi::CStr::from_bytes_until_nul(line.as_bytes()) {
            crate::platform::thread::set_name(name);
        }
    }
}
