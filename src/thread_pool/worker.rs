//! One worker: its slot, its loop, how it runs a task, how it comes and goes.
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

use super::batch::{BATCH, Batch};
use super::config::Config;
use super::inbox::{LANES, Lane};
use super::pool::{Phase, Pool};
use super::queue::{Entry, Own, Theirs};
use super::sleep::{Linger, Unparked};
use crate::error::Lossy;
use crate::future::cell::{TaskCell, TaskRef, Work};
use crate::future::due;
use crate::future::owner::OwnerRef;
use crate::future::run::{self, Ended};
use crate::future::state::{EXTRA, Outcome};
use crate::future::wait::WorkerHead;
use crate::local::{self, Local};
use crate::log::{self, Level};
use crate::platform::clock::{self, Instant};
use crate::platform::thread::{self, Thread};
use crate::platform::{Errno, memory};
use crate::quiet;
use crate::sync::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering, Padded, UnsafeCell, fence,
    spin_loop,
};
use crate::trace::stats::Tally;
use crate::unwind::contain;
use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::io::Write;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// How many tasks of its own a worker runs before it looks at the inbox first.
const FAIRNESS: u32 = 61;

#[repr(C)]
pub(crate) struct Slot {
    /// First, so that a pointer to the slot is a pointer to its head.
    head: WorkerHead,
    pool: NonNull<Pool>,
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
    /// The worker has the duty of SEARCHING.
    searching: Cell<bool>,
    /// It has run something since it last slept.
    worked: Cell<bool>,
    /// When the last task ended, in ticks, if the next one follows it at once; else 0.
    just_ended: Cell<u64>,
    /// Lingers in a row that found nothing, and lingers to skip.
    failed_lingers: Cell<u32>,
    skip_lingers: Cell<u32>,
    /// The newest nested task, as far as known.
    pub(super) newest: Cell<*const TaskCell>,
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
    /// The monitor has counted this worker as dormant; changes under the roster's lock.
    pub(super) dormant: AtomicU32,
    /// What the monitor saw of it last.
    pub(super) seen_cpu: AtomicU64,
    pub(super) seen_at: AtomicU64,
    /// What it waits for, while it is in the table of blocked workers (`deadlock`).
    pub(super) awaited: AtomicPtr<TaskCell>,
    pub(super) next_blocked: AtomicPtr<Slot>,
    /// It has declared to block: the monitor leaves it alone.
    pub(super) blocked: AtomicBool,
    /// The thread that is being made has the duty of SEARCHING.
    born_searching: AtomicBool,
    /// When the oldest task of each queue was accepted, in ticks, roughly.
    batch_since: AtomicU64,
    nested_since: AtomicU64,
    pub(super) tally: Tally,
}

/// A task that is being run, on the stack of its worker.
pub(super) struct Frame {
    pub(super) task: *const TaskCell,
    pub(super) below: *const Frame,
}

/// What the worker does next.
enum Next {
    /// A started task, when it was accepted to have been queued, and when it began.
    Run(TaskRef, Begun),
    Leave,
}

/// Times of a started task, in ticks.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    at: u64,
    queued: u64,
}

impl Begun {
    pub(super) fn now(task: &TaskCell) -> Begun {
        Begun::at(task, clock::ticks())
    }

    #[inline(always)]
    fn at(task: &TaskCell, at: u64) -> Begun {
        Begun { at, queued: at.saturating_sub(task.accepted_at()) }
    }

    #[inline(always)]
    pub(super) fn durations(self, end: u64) -> (u64, u64) {
        (self.queued, end.saturating_sub(self.at))
    }
}

/// Spins between two looks at the inbox: a few hundred nanoseconds.
const LOOK_EVERY: u32 = 16;

/// A task that takes less than about this many nanoseconds is short: less than waking a
/// worker would take.
const SHORT_NS: u64 = 8_000;

impl Slot {
    fn new(pool: &Pool, number: u16) -> Slot {
        let (queues, theirs) = Own::new(pool.serial);
        let mine = Mine {
            queues,
            local: Cell::new(ptr::null()),
            random: Cell::new(u32::from(number).wrapping_mul(0x9E37_79B9) | 1),
            fuel: Cell::new(FAIRNESS),
            rounds: Cell::new(0),
            ran_long: Cell::new(true),
            searching: Cell::new(false),
            worked: Cell::new(false),
            just_ended: Cell::new(0),
            failed_lingers: Cell::new(0),
            skip_lingers: Cell::new(0),
            newest: Cell::new(ptr::null()),
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
            dormant: AtomicU32::new(0),
            seen_cpu: AtomicU64::new(0),
            seen_at: AtomicU64::new(0),
            awaited: AtomicPtr::new(ptr::null_mut()),
            next_blocked: AtomicPtr::new(ptr::null_mut()),
            blocked: AtomicBool::new(false),
            born_searching: AtomicBool::new(false),
            batch_since: AtomicU64::new(0),
            nested_since: AtomicU64::new(0),
            tally: Tally::default(),
        };
        Slot {
            head: WorkerHead { vtable: &super::blocking::WORKER_VTABLE },
            pool: pool.as_owner().cast(),
            number,
            mine: UnsafeCell::new(mine),
            theirs,
            batch: Padded(Batch::new()),
            public: Padded(public),
        }
    }

    pub(super) fn pool_ptr(&self) -> *const Pool {
        self.pool.as_ptr()
    }

    pub(super) fn pool(&self) -> &Pool {
        // SAFETY: the pool owns its slots; a worker thread keeps the pool by a reference.
        unsafe { self.pool.as_ref() }
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
        self.batch.len() + self.theirs.len() * 4096
    }

    /// Whether nothing waited with this worker at one moment after the call began; see
    /// "precisely" in `sleep.md`. (The fence is in the look at the deque.)
    pub(super) fn is_empty(&self) -> bool {
        self.theirs.is_empty() && self.batch.len() == 0
    }

    /// Takes one task, for somebody without queues; the rest of a stolen batch goes to `more`.
    pub(super) fn steal_all(&self, mut take: impl FnMut(Entry)) {
        let mut loot = [MaybeUninit::uninit(); BATCH];
        loop {
            let count = self.batch.steal(&mut loot);
            for task in &loot[..count] {
                // SAFETY: `steal` filled this many.
                take(unsafe { task.assume_init() });
            }
            if count == 0 {
                break;
            }
        }
        while let Some(task) = self.theirs.steal() {
            take(task);
        }
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
    #[inline]
    pub(super) fn push_nested(&self, task: Entry) -> bool {
        let mine = self.mine();
        if !mine.queues.push(task) {
            return false;
        }
        mine.newest.set(task.as_ptr());
        let stamps = &self.public.nested_since;
        // Relaxed: figures; only this thread writes them.
        if stamps.load(Ordering::Relaxed) == 0 {
            // SAFETY: a thief may run and free the task by now: its stamp is copied from
            // the clock instead of the cell.
            stamps.store(clock::ticks(), Ordering::Relaxed);
        }
        self.public.tally.submitted.add_own(1);
        true
    }

    // ---- finding work ----

    /// The next task to run, after sleeping if need be.
    #[inline(always)]
    fn next(&self) -> Next {
        loop {
            if self.pool().serial && !self.take_turn() {
                return Next::Leave;
            }
            if let Some(entry) = self.find() {
                self.stop_searching();
                if let Some((task, begun)) = self.begin(entry) {
                    return Next::Run(task, begun);
                }
            } else if !self.idle() {
                return Next::Leave;
            }
        }
    }

    /// In a pool of one worker whose tasks have blocked: takes the turn before it takes a
    /// task, so that the order stays. False: somebody came back from blocking, and this
    /// thread, which stood in, is one too many.
    #[inline]
    fn take_turn(&self) -> bool {
        let (mine, pool) = (self.mine(), self.pool());
        if !pool.turn.is_engaged() || mine.has_turn.get() {
            return true;
        }
        if self.is_surplus() {
            return false;
        }
        pool.turn.take();
        mine.has_turn.set(true);
        true
    }

    /// A queued task, from wherever the worker should look next.
    #[inline(always)]
    fn find(&self) -> Option<Entry> {
        let (mine, inbox) = (self.mine(), &self.pool().inbox);
        let fuel = mine.fuel.get().wrapping_sub(1);
        mine.fuel.set(fuel);
        if fuel == 0 || inbox.hint(Lane::High) > 0 {
            if let Some(entry) = self.find_out_of_turn() {
                return Some(entry);
            }
        }
        if let Some(entry) = mine.queues.pop() {
            mine.newest.set(ptr::null());
            return Some(entry);
        }
        self.batch.pop().or_else(|| self.find_elsewhere())
    }

    /// High priority goes first; and now and then outside work goes before the worker's own,
    /// and low priority before both, so that none waits for ever.
    #[cold]
    #[inline(never)]
    fn find_out_of_turn(&self) -> Option<Entry> {
        let (mine, inbox) = (self.mine(), &self.pool().inbox);
        if let Some(entry) = inbox.pop_one(Lane::High) {
            return Some(entry);
        }
        if mine.fuel.get() != 0 {
            return None;
        }
        mine.fuel.set(FAIRNESS);
        if !mine.ran_long.replace(false) {
            self.pool().sleep.set_short(true);
        }
        let round = mine.rounds.get().wrapping_add(1);
        mine.rounds.set(round);
        if round % 4 == 0 && inbox.hint(Lane::Low) > 0 {
            if let Some(entry) = inbox.pop_one(Lane::Low) {
                return Some(entry);
            }
        }
        let waiting = inbox.hint(Lane::Normal) > 0;
        self.batch.pop().or_else(|| if waiting { inbox.pop_one(Lane::Normal) } else { None })
    }

    /// The worker's own queues are empty.
    #[inline(never)]
    fn find_elsewhere(&self) -> Option<Entry> {
        // Relaxed: figures.
        self.public.nested_since.store(0, Ordering::Relaxed);
        self.public.batch_since.store(0, Ordering::Relaxed);
        let inbox = &self.pool().inbox;
        if inbox.hint(Lane::Normal) > 0 {
            self.let_some_gather();
            if let Some(entry) = self.take_batch() {
                return Some(entry);
            }
        }
        if let Some(entry) = self.steal() {
            return Some(entry);
        }
        if inbox.hint(Lane::Low) > 0 { inbox.pop_one(Lane::Low) } else { None }
    }

    /// Each look at the inbox takes its cache lines away from whoever submits. Where short
    /// tasks come one after the other it pays to look rarely and take several: as long as
    /// more come in, up to a batch.
    fn let_some_gather(&self) {
        let pool = self.pool();
        if pool.config.linger_ns == 0 || !pool.sleep.is_short() {
            return;
        }
        let mut seen = pool.inbox.hint(Lane::Normal);
        for _ in 0..4 {
            if seen >= BATCH {
                return;
            }
            pause(LOOK_EVERY);
            let now = pool.inbox.hint(Lane::Normal);
            if now == seen {
                return;
            }
            seen = now;
        }
    }

    /// Moves a share of the inbox into the worker's own batch; the oldest is the answer.
    fn take_batch(&self) -> Option<Entry> {
        let pool = self.pool();
        let mut batch = [MaybeUninit::uninit(); BATCH];
        let sharers = pool.sleep.census().awake() as usize;
        let taken = pool.inbox.pop(Lane::Normal, sharers, &mut batch);
        // SAFETY: `pop` filled this many.
        self.keep_rest(unsafe { &*(ptr::from_ref(&batch[..taken]) as *const [Entry]) })
    }

    /// Keeps all tasks but the first, which is the answer, in the worker's own batch.
    fn keep_rest(&self, tasks: &[Entry]) -> Option<Entry> {
        let (&first, rest) = tasks.split_first()?;
        if let Some(second) = rest.first() {
            tasks.iter().for_each(prefetch);
            // SAFETY: the entry is ours until it is published. Relaxed: a figure.
            let stamp = unsafe { second.as_ref() }.accepted_at();
            self.public.batch_since.store(stamp, Ordering::Relaxed);
            self.batch.fill(rest);
            // Between the two queues they were nowhere to be seen: published anew.
            fence(Ordering::SeqCst);
            self.pool().look_for_a_worker(rest.len());
        }
        Some(first)
    }

    /// Takes work from another worker, beginning with a random one.
    fn steal(&self) -> Option<Entry> {
        let pool = self.pool();
        // Acquire: pairs with the Release in `create`.
        let used = pool.slots_used.load(Ordering::Acquire);
        let start = self.random() as usize % used.max(1);
        for place in (start..used).chain(0..start) {
            // Acquire: pairs with the Release in `create`.
            // SAFETY: a slot stays until the pool is destroyed.
            let victim = unsafe { pool.slots[place].load(Ordering::Acquire).as_ref() };
            let Some(victim) = victim.filter(|victim| !ptr::eq(*victim, self)) else { continue };
            if let Some(entry) = self.steal_from(victim) {
                self.public.tally.stolen.add_own(1);
                return Some(entry);
            }
        }
        None
    }

    fn steal_from(&self, victim: &Slot) -> Option<Entry> {
        if victim.batch.len() > 0 {
            let mut loot = [MaybeUninit::uninit(); BATCH];
            let count = victim.batch.steal(&mut loot);
            // SAFETY: `steal` filled this many.
            let loot = unsafe { &*(ptr::from_ref(&loot[..count]) as *const [Entry]) };
            if let Some(entry) = self.keep_rest(loot) {
                return Some(entry);
            }
        }
        match victim.theirs.len() {
            0 => None,
            _ => victim.theirs.steal(),
        }
    }

    /// Marsaglia, "Xorshift RNGs" (2003), the 32-bit generator 13, 17, 5.
    fn random(&self) -> u32 {
        let mut x = self.mine().random.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.mine().random.set(x);
        x
    }

    /// Step FOUND of the sleep protocol.
    #[inline(always)]
    fn stop_searching(&self) {
        if self.mine().searching.get() {
            self.found();
        }
    }

    #[cold]
    fn found(&self) {
        self.mine().searching.set(false);
        let pool = self.pool();
        pool.sleep.found();
        if pool.has_work() {
            pool.look_for_a_worker(pool.backlog());
        }
    }

    // ---- starting ----

    /// Starts a queued task, unless it is settled already or must not start.
    #[inline(always)]
    fn begin(&self, entry: Entry) -> Option<(TaskRef, Begun)> {
        // SAFETY: the queue's reference becomes the runner's.
        let task = self.start_task(unsafe { TaskRef::from_raw(entry) })?;
        // Reading the clock is dear: one task's end is the next one's beginning.
        let at = match self.mine().just_ended.get() {
            0 => clock::ticks(),
            end => end,
        };
        let begun = Begun::at(&task, at);
        Some((task, begun))
    }

    /// As `begin`, for a task with the reference that will be the runner's.
    #[inline(always)]
    pub(super) fn start_task(&self, task: TaskRef) -> Option<TaskRef> {
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
    pub(super) fn run(&self, task: TaskRef, begun: Begun) {
        if task.snapshot().has(EXTRA) {
            return self.run_with_care(task, begun);
        }
        let ended = {
            let frame = Frame { task: task.as_ptr().as_ptr(), below: self.mine().frames.get() };
            let _running = Running::enter(self, &frame, begun.at);
            run::run_started(task, |_| self.end_of(begun))
        };
        self.count(ended);
        self.call_what_is_due();
    }

    /// As `run`, for a task with options, or in a pool that counts bytes.
    #[inline(never)]
    fn run_with_care(&self, task: TaskRef, begun: Begun) {
        let pool = self.pool();
        let timed = pool.prepare_timed(&task);
        let ended = {
            let frame = Frame { task: task.as_ptr().as_ptr(), below: self.mine().frames.get() };
            let _running = Running::enter(self, &frame, begun.at);
            run::run_started(task, |task| {
                pool.charge_result(task);
                self.end_of(begun)
            })
        };
        self.count(ended);
        if let Some(task) = timed {
            let _ = contain(|| pool.disarm(task, ended));
        }
        self.call_what_is_due();
    }

    /// The function has returned: how long the task was queued and ran.
    #[inline(always)]
    fn end_of(&self, begun: Begun) -> (u64, u64) {
        let mine = self.mine();
        let end = clock::ticks();
        mine.just_ended.set(end);
        let (queued, ran) = begun.durations(end);
        if ran > clock::about_ticks(SHORT_NS) {
            mine.ran_long.set(true);
            self.pool().sleep.set_short(false);
        }
        (queued, ran)
    }

    #[inline(always)]
    fn count(&self, ended: Ended) {
        let tally = &self.public.tally;
        match ended {
            Ended::Settled(Outcome::Succeeded) => tally.succeeded.add_own(1),
            Ended::Settled(outcome) => tally.outcome(outcome).add_own(1),
            Ended::TooLate | Ended::Detached => {}
        }
    }

    /// Callbacks and free functions that have become due with the last task.
    #[inline(always)]
    fn call_what_is_due(&self) {
        // SAFETY: this thread's own block, which lasts as long as the thread.
        if due::pending_in(unsafe { &*self.mine().local.get() }) {
            due::run_all();
            self.mine().just_ended.set(0);
        }
    }

    // ---- sleeping ----

    /// The worker found nothing. False: it is to leave.
    #[cold]
    fn idle(&self) -> bool {
        let pool = self.pool();
        if pool.phase() == Phase::Ended {
            return false;
        }
        let mine = self.mine();
        mine.just_ended.set(0);
        if mine.has_turn.replace(false) {
            pool.turn.give();
        }
        if self.linger() {
            return true;
        }
        mine.worked.set(false);
        if self.is_surplus() {
            return false;
        }
        self.settle_dormancy();
        pool.sleep.publish_idle(self.number, mine.searching.replace(false));
        if pool.has_work() {
            pool.look_for_a_worker(usize::MAX);
        } else {
            pool.end_if_done();
            quiet::signal();
        }
        let deadline = pool.config.idle_ns.map(|idle| Instant::now().plus(idle));
        // Relaxed: changes under the lock that this is asked under.
        let stays = || pool.config.has_stop_hook() && pool.quiet.load(Ordering::Relaxed);
        match pool.sleep.park(self.number, deadline, pool.config.keep, stays) {
            Unparked::ToSearch => mine.searching.set(true),
            Unparked::ToLook => {}
            Unparked::TimedOut => {
                mine.uncounted.set(true);
                return false;
            }
        }
        true
    }

    /// Makes sure that the monitor does not count this worker as dormant, now or later: the
    /// caller has stored what `put_to_rest` looks at under the same lock.
    pub(super) fn settle_dormancy(&self) {
        self.pool().wake_dormant(self);
    }

    /// More threads than the maximum exist only while some of them block.
    fn is_surplus(&self) -> bool {
        let census = self.pool().sleep.census();
        census.live() > self.pool().sleep.limits().most + census.blocked()
    }

    /// Looks around for a short while, if nobody else does. True: there is something.
    fn linger(&self) -> bool {
        let (mine, pool) = (self.mine(), self.pool());
        if pool.config.linger_ns == 0 || !mine.worked.get() || !self.may_linger() {
            return false;
        }
        if !mine.searching.get() {
            match pool.sleep.may_linger() {
                Linger::No => return false,
                Linger::WithoutDuty => {}
                Linger::WithDuty => mine.searching.set(true),
            }
        }
        let end = clock::ticks().wrapping_add(clock::ns_to_ticks(pool.config.linger_ns));
        let mut looks = 0u32;
        loop {
            looks = looks.wrapping_add(1);
            pause(looks.min(LOOK_EVERY));
            if self.sees_work(looks % 8 == 0) {
                mine.failed_lingers.set(0);
                return true;
            }
            // A pool that is closing ends when its workers have come to rest.
            if pool.phase() != Phase::Open {
                return false;
            }
            if clock::ticks().wrapping_sub(end) as i64 > 0 {
                mine.failed_lingers.set(mine.failed_lingers.get() + 1);
                return false;
            }
        }
    }

    /// After three lingers in vain the next sixteen are left out.
    fn may_linger(&self) -> bool {
        let mine = self.mine();
        if mine.skip_lingers.get() > 0 {
            mine.skip_lingers.set(mine.skip_lingers.get() - 1);
            return false;
        }
        if mine.failed_lingers.get() >= 3 {
            mine.failed_lingers.set(0);
            mine.skip_lingers.set(16);
            return false;
        }
        true
    }

    fn sees_work(&self, everywhere: bool) -> bool {
        let pool = self.pool();
        let inbox = &pool.inbox;
        LANES.into_iter().any(|lane| inbox.hint(lane) > 0)
            || everywhere && pool.slots().any(|slot| slot.waiting() > 0)
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
        // Relaxed: see `Slot::idle`.
        if slot.pool().quiet.load(Ordering::Relaxed) {
            slot.pool().quiet.store(false, Ordering::Relaxed);
        }
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
        let (mine, public) = (self.slot.mine(), self.slot.public());
        // SAFETY: the innermost frame is the one this guard was made with, still on the
        // stack below us.
        mine.frames.set(unsafe { mine.frames.get().as_ref() }.map_or(ptr::null(), |top| top.below));
        // Relaxed: as in `enter`.
        public.since.store(self.outer_since, Ordering::Relaxed);
        public.tally.left.add_own(1);
        // Relaxed: set under the roster's lock; looked at again under it.
        if public.dormant.load(Ordering::Relaxed) != 0 {
            self.slot.pool().wake_dormant(self.slot);
        }
        if self.outer_since == 0 && mine.has_turn.replace(false) {
            self.slot.pool().turn.give();
        }
    }
}

fn pause(spins: u32) {
    for _ in 0..spins {
        spin_loop();
    }
}

#[inline(always)]
fn prefetch(task: &Entry) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; any address is allowed.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(task.as_ptr().cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = task;
}

// ---- threads ----

/// Makes a worker thread that the sleep protocol has counted already, with the duty of
/// SEARCHING or without; false: it could not.
#[cold]
pub(super) fn create(pool: &Pool, searching: bool) -> bool {
    let mut roster = pool.roster.lock();
    let Some(number) = roster.vacant.pop() else { return false };
    let Some(slot) = slot_for(pool, number) else {
        roster.vacant.push(number);
        roster.errno = Errno(libc::ENOMEM);
        return false;
    };
    // The thread's own reference to the pool, taken up in `main`.
    let reference = pool.retain().into_raw();
    // SAFETY: the slot is alive. Relaxed: making the thread publishes it.
    unsafe { slot.as_ref() }.public.born_searching.store(searching, Ordering::Relaxed);
    roster.workers += 1;
    roster.starting += 1;
    match thread::spawn(main, slot.as_ptr().cast(), pool.config.stack_size) {
        Ok(_) => {
            roster.started += 1;
            true
        }
        Err(errno) => {
            roster.errno = errno;
            roster.workers -= 1;
            roster.starting -= 1;
            roster.vacant.push(number);
            drop(roster);
            // SAFETY: counted above; the caller's reference keeps the pool.
            drop(unsafe { OwnerRef::adopt(reference) });
            false
        }
    }
}

/// The slot of a number, made if need be; under the roster's lock.
fn slot_for(pool: &Pool, number: u16) -> Option<NonNull<Slot>> {
    let place = &pool.slots[usize::from(number)];
    // Relaxed: written under the same lock.
    if let Some(slot) = NonNull::new(place.load(Ordering::Relaxed)) {
        return Some(slot);
    }
    // Crossbeam allocates its deques without asking whether it can: ask for it.
    let probe = memory::allocate(4096, 64)?;
    // SAFETY: allocated just now.
    unsafe { memory::release(probe, 4096, 64) };
    let slot = memory::try_box(Slot::new(pool, number)).ok()?;
    // Release, both: pair with the Acquires in `Pool::slots` and `steal`.
    place.store(slot.as_ptr(), Ordering::Release);
    pool.slots_used.fetch_max(usize::from(number) + 1, Ordering::Release);
    Some(slot)
}

/// Frees a slot of a pool that is being destroyed.
///
/// # Safety
/// The slot has no thread and nobody else looks at it.
pub(super) unsafe fn destroy_slot(place: &AtomicPtr<Slot>) {
    // Relaxed: the last reference to the pool is gone.
    if let Some(slot) = NonNull::new(place.swap(ptr::null_mut(), Ordering::Relaxed)) {
        // SAFETY: made by try_box; by the contract nobody uses it.
        unsafe { memory::drop_box(slot) };
    }
}

/// What a worker thread runs. Unwinds through here if a task ends the thread.
extern "C-unwind" fn main(argument: *mut c_void) -> *mut c_void {
    let Some(slot) = NonNull::new(argument.cast::<Slot>()) else { return argument };
    let life = Life::begin(slot);
    // SAFETY: the slot stays as long as the pool, which `life` keeps.
    let slot = unsafe { slot.as_ref() };
    if slot.start() {
        while let Ok(Next::Run(task, begun)) = contain(|| slot.next()) {
            slot.run(task, begun);
        }
    }
    drop(life);
    ptr::null_mut()
}

impl Slot {
    /// The thread's first steps. False: the pool broke.
    fn start(&self) -> bool {
        let _ = contain(|| self.name_thread());
        if let Some(nice) = self.pool().config.nice {
            if let Err(errno) = thread::set_nice(nice) {
                log::write(
                    Level::Warning,
                    format_args!("CFUT_OPT_NICE {nice}: the system refused it: {errno}"),
                );
            }
        }
        let config = &self.pool().config;
        if config.hooks.is_some() || config.initializer.is_some() {
            // They may take long: others must not rely on this worker's search meanwhile.
            let _ = contain(|| self.stop_searching());
        }
        let _started = Started(self);
        self.run_start_hook() && self.run_initializer()
    }

    fn name_thread(&self) {
        let mut name = [0u8; 16];
        let digits = decimal_digits(self.number);
        // NAME-N in 15 bytes: the name is cut, not the number.
        let room = 15 - 1 - digits;
        let wanted = self.pool().config.name.as_bytes();
        let wanted = if wanted.is_empty() { b"cfut" } else { wanted };
        let kept = wanted.len().min(room);
        name[..kept].copy_from_slice(&wanted[..kept]);
        // Cannot fail: the room was counted.
        let _ = write!(&mut name[kept..15], "-{}", self.number);
        if let Ok(name) = CStr::from_bytes_until_nul(&name) {
            thread::set_name(name);
        }
    }

    fn run_start_hook(&self) -> bool {
        let Some(hooks) = &self.pool().config.hooks else { return true };
        let Some(start) = hooks.start else {
            self.mine().hooks_done.set(true);
            return true;
        };
        let code = {
            let _user = due::InUser::enter();
            // SAFETY: the user's hook with its argument, which the configuration keeps.
            unsafe { start(hooks.argument, u32::from(self.number)) }
        };
        if code == 0 {
            self.mine().hooks_done.set(true);
            return true;
        }
        self.break_pool(
            code,
            format_args!("the start hook of worker {} failed with code {code}", self.number),
        );
        false
    }

    fn run_initializer(&self) -> bool {
        let Some(initializer) = &self.pool().config.initializer else { return true };
        // SAFETY: the buffer's bytes are ours and do not change.
        let data = unsafe {
            let buffer = &initializer.data;
            if buffer.len() == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(buffer.data().cast::<u8>().cast_const(), buffer.len())
            }
        };
        let cell = TaskCell::allocate(Work::Bytes(initializer.function, data), 2);
        let Some(cell) = cell else {
            self.break_pool(
                0,
                format_args!("no memory for the initializer of worker {}", self.number),
            );
            return false;
        };
        // SAFETY: fresh, with two references: one for the run, one to look at the end.
        let (task, end) = unsafe { (TaskRef::from_raw(cell), TaskRef::from_raw(cell)) };
        let _ = contain(|| task.state.start(false));
        let ended = {
            let _user = due::InUser::enter();
            run::run_started(task, |_| (0, 0))
        };
        due::run_pending();
        match ended {
            Ended::Settled(Outcome::Succeeded) => return true,
            Ended::Detached => self.break_pool(
                0,
                format_args!("the initializer returned CFUT_DETACH, which it must not"),
            ),
            _ => self.break_pool(
                end.code(),
                format_args!(
                    "the initializer of worker {} failed with code {}{}{}",
                    self.number,
                    end.code(),
                    if end.message().is_empty() { "" } else { ": " },
                    Lossy(end.message().as_bytes())
                ),
            ),
        }
        false
    }

    fn break_pool(&self, code: i32, text: std::fmt::Arguments<'_>) {
        let line = crate::error::Line::of(text);
        let _ = contain(|| self.pool().break_with(code, line.as_bytes()));
        log::write(Level::Error, format_args!("executor broken: {}", line.as_str()));
        due::run_pending();
    }
}

/// Tells whoever waits for the workers to be up, also if a hook ends the thread.
struct Started<'a>(&'a Slot);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        let _ = contain(|| {
            self.0.pool().roster.lock().starting -= 1;
            self.0.pool().signal();
        });
    }
}

fn decimal_digits(number: u16) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// A worker thread's life: what it enters and, however it ends, leaves.
struct Life {
    slot: NonNull<Slot>,
    /// Keeps the pool, and with it the slot.
    pool: Option<OwnerRef>,
}

impl Life {
    fn begin(slot: NonNull<Slot>) -> Life {
        // SAFETY: the creating thread counted a reference for us, so pool and slot live.
        let (this, pool) = unsafe {
            let this = slot.as_ref();
            (this, OwnerRef::adopt(this.pool.cast()))
        };
        let mine = this.mine();
        // Relaxed: published by the making of this thread.
        mine.searching.set(this.public.born_searching.load(Ordering::Relaxed));
        mine.uncounted.set(false);
        mine.hooks_done.set(false);
        mine.has_turn.set(false);
        mine.declared_blocks.set(0);
        mine.block_depth.set(0);
        mine.frames.set(ptr::null());
        mine.newest.set(ptr::null());
        mine.stack_floor.set(thread::stack_floor());
        // Relaxed: figures for the monitor.
        this.public.seen_cpu.store(0, Ordering::Relaxed);
        this.public.seen_at.store(clock::ticks(), Ordering::Relaxed);
        this.public.thread.store(thread::id(), Ordering::Relaxed);
        local::with(|local| {
            mine.local.set(local);
            local.worker.set(slot.as_ptr().cast());
            local.executor.set(pool.as_ptr().as_ptr().cast());
        });
        Life { slot, pool: Some(pool) }
    }
}

impl Drop for Life {
    /// Also runs when a task ends the thread. Steps: the stop hook; out of the counts;
    /// the slot goes back; the pool may end; the reference goes.
    fn drop(&mut self) {
        // SAFETY: `self.pool` keeps the slot.
        let slot = unsafe { self.slot.as_ref() };
        let pool = slot.pool();
        due::run_pending();
        if slot.mine().hooks_done.get() {
            if let Some((hooks, stop)) = stop_hook(&pool.config) {
                let _user = due::InUser::enter();
                // SAFETY: the user's hook with its argument, which the configuration keeps.
                unsafe { stop(hooks, u32::from(slot.number)) };
            }
        }
        let _ = contain(|| leave_pool(slot, pool));
        local::with(|local| {
            local.worker.set(ptr::null());
            local.executor.set(ptr::null());
        });
        let reference = self.pool.take();
        let _ = contain(|| drop(reference));
        due::run_pending();
    }
}

fn stop_hook(config: &Config) -> Option<(*mut c_void, super::config::HookFn)> {
    let hooks = config.hooks.as_ref()?;
    hooks.stop.map(|stop| (hooks.argument, stop))
}

fn leave_pool(slot: &Slot, pool: &Pool) {
    // Relaxed: figures for the monitor.
    slot.public.since.store(0, Ordering::Relaxed);
    slot.public.thread.store(0, Ordering::Relaxed);
    let mine = slot.mine();
    if mine.has_turn.replace(false) {
        pool.turn.give();
    }
    slot.settle_dormancy();
    if !mine.uncounted.replace(true) {
        // A thread that ends inside a task may have declared to block.
        if mine.block_depth.replace(0) > 0 {
            pool.sleep.unblock();
        }
        pool.sleep.leave(mine.searching.replace(false));
    }
    if pool.has_work() {
        pool.look_for_a_worker(usize::MAX);
    } else {
        pool.end_if_done();
    }
    let to_join = {
        let mut roster = pool.roster.lock();
        roster.workers -= 1;
        roster.vacant.push(slot.number);
        let to_join = roster.ended.pop();
        if pool.has_handles() {
            roster.ended.push(Thread::current());
        } else {
            // SAFETY: this very thread, in no list: nobody will join it.
            unsafe { Thread::current().detach() };
        }
        to_join
    };
    if let Some(thread) = to_join {
        // SAFETY: taken from the list, so joined here only; it is past its last lock.
        unsafe { thread.join(None) };
    }
    pool.signal();
}
