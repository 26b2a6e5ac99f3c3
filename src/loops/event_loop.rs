//! The loop itself: its parts and its making.

use super::queue::State;
use crate::error::{Error, Result, fail};
use crate::future::bound::{Bound, FullPolicy};
use crate::future::cell::TaskRef;
use crate::future::extra::Text;
use crate::future::owner::{Owner, OwnerRef, attention};
use crate::future::registry;
use crate::future::timer::Timers;
use crate::platform::pipe::Pipe;
use crate::platform::{clock, fork, memory};
use crate::sync::{AtomicI32, AtomicU32, AtomicUsize, Futex32, Lock, Ordering};
use crate::trace::running::Running;
use crate::trace::stats::Tally;
use crate::trace::timeline::{Timeline, Watch};
use std::ptr::NonNull;

/// What a loop is made with.
pub(crate) struct Config {
    /// 0: no bound.
    pub(crate) queue_limit: u64,
    pub(crate) queue_bytes: u64,
    /// Not RunInCaller.
    pub(crate) full_policy: FullPolicy,
    /// Negative: for ever.
    pub(crate) full_timeout: i64,
    pub(crate) name: Text,
    /// Empty: no timeline.
    pub(crate) trace_file: Text,
}

#[repr(C)]
pub(crate) struct Loop {
    /// First, so that a pointer to the loop is a pointer to its head.
    pub(super) owner: Owner,
    /// The whole allocation: a reference to a loop is not enough to free it.
    this: NonNull<Loop>,
    handles: AtomicUsize,
    pub(super) config: Config,
    pub(super) bound: Option<Bound>,
    pub(super) state: Lock<State>,
    /// Changes when a thread that waits for tasks should look again.
    pub(super) signal: Futex32,
    /// Changes when something does that a shutdown waits for.
    pub(super) events: Futex32,
    pub(super) timers: Timers,
    pub(super) tally: Tally,
    /// The tasks that its threads run.
    pub(super) running: Running,
    pub(super) timeline: Option<Timeline>,
    /// The thread whose row in the timeline was named last.
    named: AtomicI32,
    /// How often running tasks were told to stop; see `owner::Vtable`.
    pub(super) stop_level: AtomicU32,
}

// SAFETY: everything in it is atomic, locked or constant.
unsafe impl Send for Loop {}
// SAFETY: as above.
unsafe impl Sync for Loop {}

impl Loop {
    /// A loop with one handle.
    pub(crate) fn new(config: Config) -> Result<OwnerRef> {
        fork::watch();
        clock::prepare();
        let timeline = Timeline::open(&config.trace_file, &config.name, true)?;
        let made = Loop {
            owner: Owner::new(&super::vtable::VTABLE, fork::generation()),
            this: NonNull::dangling(),
            handles: AtomicUsize::new(1),
            bound: Bound::new(config.queue_limit, config.queue_bytes),
            config,
            state: Lock::new(State::new()),
            signal: Futex32::new(0),
            events: Futex32::new(0),
            timers: Timers::new(),
            tally: Tally::default(),
            running: Running::new(),
            timeline,
            named: AtomicI32::new(0),
            stop_level: AtomicU32::new(0),
        };
        let made =
            memory::try_box(made).map_err(|_| Error::no_memory("a loop", size_of::<Loop>()))?;
        // SAFETY: fresh, and its first reference is the handle's.
        let owner = unsafe {
            (*made.as_ptr()).this = made;
            OwnerRef::adopt(made.cast())
        };
        owner.call_attention(attention::NO_THREADS);
        registry::enter(&owner);
        Ok(owner)
    }

    /// # Safety
    /// `owner` is the head of a live loop, for `'a`.
    pub(crate) unsafe fn of<'a>(owner: NonNull<Owner>) -> &'a Loop {
        // SAFETY: by the contract; the head is the loop's first field, and pointers to it are
        // made from pointers to the loop.
        unsafe { owner.cast::<Loop>().as_ref() }
    }

    pub(super) fn as_owner(&self) -> NonNull<Owner> {
        self.this.cast()
    }

    pub(crate) fn retain(&self) -> OwnerRef {
        // SAFETY: `self` is alive.
        unsafe { OwnerRef::retain(self.as_owner()) }
    }

    // ---- handles ----

    pub(crate) fn add_handle(&self) {
        // Relaxed: a handle from an existing one publishes nothing.
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Drops a handle; with the last one the loop takes no more work, and what is queued ends.
    pub(crate) fn drop_handle(&self) {
        // AcqRel: pairs with itself: the last one closes after all that the others did.
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 && !self.is_inherited() {
            self.close();
            self.abandon();
            // SAFETY: the reference that the handles had together.
            drop(unsafe { OwnerRef::adopt(self.as_owner()) });
        }
    }

    // ---- timeline ----

    /// Writes a task that is about to be run to the timeline, if there is one, when the answer goes.
    pub(super) fn watch(&self, task: &TaskRef, queued: u64) -> Option<Watch<'_>> {
        let timeline = self.timeline.as_ref()?;
        let row = timeline.here();
        // Relaxed: a row that is named twice has the same name.
        if self.named.swap(row.thread, Ordering::Relaxed) != row.thread {
            timeline.name_worker(row, 0);
        }
        timeline.sample(|| self.load());
        // SAFETY: started by the caller, and not called yet.
        Some(unsafe { Watch::begin(timeline, task, clock::ticks_to_ns(queued)) })
    }

    /// Tasks that wait, and that run.
    pub(super) fn load(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.queued() as u64, (state.running + state.detached) as u64)
    }

    pub(super) fn is_inherited(&self) -> bool {
        self.owner.generation != fork::generation()
    }

    pub(crate) fn check_fork(&self) -> Result<()> {
        if self.is_inherited() {
            return fail!(
                Forked,
                "this loop was made before fork(); it is the parent's: make a new one here"
            );
        }
        Ok(())
    }

    /// The descriptor, made when first asked for.
    pub(crate) fn descriptor(&self) -> Result<i32> {
        self.check_fork()?;
        let mut state = self.state.lock();
        if state.pipe.is_none() {
            match Pipe::new() {
                Ok(pipe) => state.pipe = Some(pipe),
                Err(errno) => return fail!(System, "no pipe for the loop's descriptor: {errno}"),
            }
            state.show();
        }
        Ok(state.pipe.as_ref().map_or(-1, Pipe::readable_end))
    }
}

/// # Safety
/// The last reference to the loop is gone.
pub(super) unsafe fn destroy(owner: NonNull<Owner>) {
    // SAFETY: by the contract nobody else has it. What is left in the lanes is settled.
    unsafe {
        registry::leave(owner.as_ref());
        memory::drop_box(owner.cast::<Loop>());
    }
}
