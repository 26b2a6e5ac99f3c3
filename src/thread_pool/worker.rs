//! One worker: its slot, its loop, how it runs a task, how it comes and goes.
//!
//! | file | question it answers |
//! |---|---|
//! | `worker` | what is kept for a worker, and who may touch it? |
//! | `life` | how does its thread come and go? |
//! | `find` | which task is next? |
//! | `run` | how is a task run? |
//! | `straight` | how is it run where nothing is unusual? |
//! | `idle` | what if there is none? |
//!
//! # Slots
//! A slot is what the pool keeps for a worker number: queues, counters, what other
//! threads may look at. It is made when the number is first used and stays until the pool
//! is destroyed, so nobody who looks needs to ask whether it is still there. A worker that
//! ends leaves its slot, queues and all, to the next one with its number.
//!
//! W1. `mine` is touched by the thread that occupies the slot, and by nobody else.
//! W2. A slot has at most one thread: a number is taken from `Roster::vacant` before the
//!     thread is made and put back as its last act but for dropping its references.

mod find;
mod idle;
mod life;
mod run;
mod straight;

pub(super) use life::{create, destroy_slot};
pub(super) use run::Begun;

use super::batch::{BATCH, Batch};
use super::pool::Pool;
use super::queue::{Entry, Own, Theirs};
use super::sleep::SOME_PACE;
use crate::future::cell::TaskCell;
use crate::future::wait::WorkerHead;
use crate::local::Local;
use crate::platform::clock;
use crate::sync::{
    AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering, Padded, UnsafeCell, fence,
};
use crate::trace::running::Running;
use crate::trace::stats::Tally;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// After about so many tasks a worker looks out of turn (`find_out_of_turn`); a batch from
/// outside is not cut short for it.
const FAIRNESS: u32 = 61;

#[repr(C)]
pub(crate) struct Slot {
    /// First, so that a pointer to the slot is a pointer to its head.
    /// Its `executor` is the pool.
    head: WorkerHead,
    number: u16,
    mine: UnsafeCell<Mine>,
    theirs: Theirs,
    batch: Padded<Batch>,
    public: Padded<Public>,
}

// SAFETY: W1 for `mine`; the rest is constant or atomic.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

/// What only the worker itself touches (W1). Cells, because a task may come back into the
/// library, and so to the slot, while it runs.
pub(super) struct Mine {
    pub(super) queues: Own,
    /// The thread's own block: finding it anew costs more than looking into it.
    local: Cell<*const Local>,
    random: Cell<u32>,
    /// Tasks until the next look out of turn, and how many such looks there were.
    fuel: Cell<u32>,
    rounds: Cell<u32>,
    /// A task took long since the last such look.
    ran_long: Cell<bool>,
    /// How fast its short tasks go lately; see `Sleep::note_short`.
    pace: Cell<u32>,
    /// When the first task of the batch began, in ticks, and how many they were.
    batch_began: Cell<u64>,
    batch_size: Cell<u32>,
    /// The worker has the duty of SEARCHING.
    searching: Cell<bool>,
    /// It has run something since it last slept.
    worked: Cell<bool>,
    /// When the last task ended, in ticks, if the next one follows it at once; else 0.
    just_ended: Cell<u64>,
    /// Lingers in vain, of late; see `idle`.
    impatience: Cell<u32>,
    /// Something was pushed to the queue of nested tasks since it was last found empty.
    pub(super) has_nested: Cell<bool>,
    /// The newest nested task, as far as known.
    pub(super) newest: Cell<*const TaskCell>,
    /// Entries that its waits left behind since its queues were last found empty; see `leftovers`.
    pub(super) left_behind: Cell<u32>,
    /// The tasks on this stack, innermost first.
    pub(super) frames: Cell<*const Frame>,
    /// Lowest address of the stack, 0 if unknown.
    pub(super) stack_floor: Cell<usize>,
    pub(super) has_turn: Cell<bool>,
    /// The thread has left the counts of the sleep protocol.
    uncounted: Cell<bool>,
    /// How deep `cfut_blocking_begin` is nested.
    pub(super) declared_blocks: Cell<u32>,
    /// How deep waits and declarations are nested: the outermost one counts.
    pub(super) block_depth: Cell<u32>,
    /// The outermost block is a wait without a time-out.
    pub(super) blocked_forever: Cell<bool>,
    hooks_done: Cell<bool>,
}

/// What others may look at.
pub(super) struct Public {
    /// Kernel number of the thread, 0 without one.
    pub(super) thread: AtomicI32,
    /// When the task on top of the stack began, in ticks; 0 = none runs.
    pub(super) since: AtomicU64,
    /// What is to be seen to when the task has returned: DORMANT, DECLARED, FORKED.
    pub(super) called: AtomicU32,
    /// What the monitor saw of it last.
    pub(super) seen_cpu: AtomicU64,
    pub(super) seen_at: AtomicU64,
    /// When it last had nothing to do, in ticks.
    pub(super) rests_since: AtomicU64,
    /// The tasks with options on its stack.
    pub(super) named: Running,
    /// It has declared to block: the monitor leaves it alone.
    pub(super) blocked: AtomicBool,
    /// The thread that is being made has the duty of SEARCHING.
    born_searching: AtomicBool,
    /// When the oldest task of each queue was accepted, in ticks, roughly.
    batch_since: AtomicU64,
    nested_since: AtomicU64,
    pub(super) tally: Tally,
}

/// The monitor has counted this worker as dormant; changes under the roster's lock.
pub(super) const DORMANT: u32 = 1;
/// The task has declared to block, and not that it is over; changed by the worker.
pub(super) const DECLARED: u32 = 1 << 1;
/// The task forked, and this is the child: its only thread, with nothing to go on with.
pub(super) const FORKED: u32 = 1 << 2;

/// A task that is being run, on the stack of its worker.
pub(super) struct Frame {
    pub(super) task: Cell<*const TaskCell>,
    pub(super) below: *const Frame,
}

impl Slot {
    fn new(pool: &Pool, number: u16) -> Slot {
        let (queues, theirs) = Own::new();
        let mine = Mine {
            queues,
            local: Cell::new(ptr::null()),
            random: Cell::new(u32::from(number).wrapping_mul(0x9E37_79B9) | 1),
            fuel: Cell::new(FAIRNESS),
            rounds: Cell::new(0),
            ran_long: Cell::new(true),
            pace: Cell::new(SOME_PACE),
            batch_began: Cell::new(0),
            batch_size: Cell::new(0),
            searching: Cell::new(false),
            worked: Cell::new(false),
            just_ended: Cell::new(0),
            impatience: Cell::new(0),
            has_nested: Cell::new(false),
            newest: Cell::new(ptr::null()),
            left_behind: Cell::new(0),
            frames: Cell::new(ptr::null()),
            stack_floor: Cell::new(0),
            has_turn: Cell::new(false),
            uncounted: Cell::new(false),
            declared_blocks: Cell::new(0),
            block_depth: Cell::new(0),
            blocked_forever: Cell::new(false),
            hooks_done: Cell::new(false),
        };
        let public = Public {
            thread: AtomicI32::new(0),
            since: AtomicU64::new(0),
            called: AtomicU32::new(0),
            seen_cpu: AtomicU64::new(0),
            seen_at: AtomicU64::new(0),
            rests_since: AtomicU64::new(0),
            named: Running::new(),
            blocked: AtomicBool::new(false),
            born_searching: AtomicBool::new(false),
            batch_since: AtomicU64::new(0),
            nested_since: AtomicU64::new(0),
            tally: Tally::default(),
        };
        Slot {
            head: WorkerHead::new(&super::blocking::WORKER_VTABLE, pool.as_owner()),
            number,
            mine: UnsafeCell::new(mine),
            theirs,
            batch: Padded(Batch::new()),
            public: Padded(public),
        }
    }

    pub(super) fn pool(&self) -> &Pool {
        // SAFETY: the pool owns its slots; a worker thread keeps the pool by a reference.
        unsafe { self.head.executor.cast().as_ref() }
    }

    pub(super) fn head(&self) -> NonNull<WorkerHead> {
        NonNull::from(self).cast()
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// How many tasks wait with this worker, about.
    pub(super) fn waiting(&self) -> usize {
        self.batch.len() + self.theirs.len()
    }

    /// The same for a decision on waking: a nested task may be the root of many.
    pub(super) fn backlog(&self) -> usize {
        self.batch.len() + self.theirs.len() * (1 << 20)
    }

    /// Whether nothing waited with this worker at one moment after the call began; see
    /// "precisely" in `sleep.md`. (The fence is in the look at the deque.)
    pub(super) fn is_empty(&self) -> bool {
        self.theirs.is_empty() && self.batch.len() == 0
    }

    /// Takes every task out of the slot's queues, for somebody who settles them.
    pub(super) fn steal_all(&self, mut take: impl FnMut(Entry)) {
        let mut loot = [MaybeUninit::uninit(); BATCH];
        let count = self.batch.take_all(&mut loot);
        for task in &loot[..count] {
            // SAFETY: `take_all` filled this many.
            take(unsafe { task.assume_init() });
        }
        while let Some(task) = self.theirs.steal() {
            take(task);
        }
    }

    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    pub(super) fn theirs(&self) -> &Theirs {
        &self.theirs
    }

    pub(super) fn public(&self) -> &Public {
        &self.public
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.public.tally
    }

    /// For the thread that occupies the slot (W1): callers have the slot from `this_worker`,
    /// from the thread's own start, or from its `WorkerHead`.
    #[inline(always)]
    pub(super) fn mine(&self) -> &Mine {
        // SAFETY: W1; all fields are cells, so shared references do not clash.
        self.mine.with(|mine| unsafe { &*mine })
    }

    /// When the oldest task in the slot's queues was accepted, roughly.
    pub(super) fn oldest_queued(&self) -> Option<u64> {
        if self.waiting() == 0 {
            return None;
        }
        // Relaxed: figures.
        let batch = self.public.batch_since.load(Ordering::Relaxed);
        let nested = self.public.nested_since.load(Ordering::Relaxed);
        [batch, nested].into_iter().filter(|&stamp| stamp != 0).min()
    }

    // ---- queueing ----

    /// A task of this worker submits another; false: its queue is full.
    #[inline(never)]
    pub(super) fn push_nested(&self, task: Entry) -> bool {
        let mine = self.mine();
        if !mine.queues.push(task) {
            return false;
        }
        mine.has_nested.set(true);
        mine.newest.set(task.as_ptr());
        let stamps = &self.public.nested_since;
        // Relaxed: figures; only this thread writes them.
        if stamps.load(Ordering::Relaxed) == 0 {
            // SAFETY: a thief may run and free the task by now: its stamp is copied from
            // the clock instead of the cell.
            stamps.store(clock::ticks(), Ordering::Relaxed);
        }
        self.public.tally.submitted.add_own(1);
        // The fence of the sleep protocol: the push comes before the look at the word, in one
        // order with the look of a worker that goes to sleep.
        fence(Ordering::SeqCst);
        self.pool().look_for_a_worker(usize::MAX);
        true
    }
}
