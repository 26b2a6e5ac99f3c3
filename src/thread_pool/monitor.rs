//! The monitor: one thread a pool, made when first needed, that watches the clock.
//!
//! It settles tasks whose deadline passes, and it decides when more workers than processors
//! are worth waking. A pool whose tasks are short or compute must not pay for more
//! threads than processors; one whose tasks sleep must get more within about a millisecond.
//! What tells them apart is whether the running workers use their processors:
//!
//! - Work waits and all workers that may be awake are: a submitter sets `watch`.
//! - The monitor looks after 200 microseconds and then every millisecond. A worker whose
//!   thread has used less than a quarter of a processor since the last look, and whose
//!   thread the kernel says is blocked, is *dormant*: it no longer counts as awake, so
//!   another worker may. If all are dormant, as many again are added, so the number doubles
//!   every 200 microseconds until something computes or the maximum is reached.
//! - A dormant worker that uses its processor again, or whose task returns, counts again.
//! - If nothing at all has started for half a second although work waits, one worker is added
//!   whatever the others do: tasks that compute for very long, or spin until another one of
//!   theirs runs, must not shut everybody else out.
//! - If the last worker has gone, work waits, and no thread could be made, each look tries again.
//! - After eight looks with nothing to do the monitor goes to sleep until it is asked.
//!
//! Callbacks of futures that expire run in this thread.

use super::inbox::LANES;
use super::pool::Pool;
use super::sleep::Notified;
use super::worker::{self, DORMANT, Slot};
use crate::error::{Result, fail};
use crate::future::due;
use crate::future::owner::OwnerRef;
use crate::future::phase::Phase;
use crate::local;
use crate::platform::clock::{self, Instant};
use crate::platform::thread::{self, Activity, Thread};
use crate::sync::{AtomicU32, Futex32, Ordering};
use crate::unwind::contain;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// Between looks while workers are being added, and before the first.
const QUICK_NS: u64 = 200_000;
/// Between looks otherwise.
const STEADY_NS: u64 = 1_000_000;
/// Looks with nothing to do before the monitor sleeps.
const QUIET_LOOKS: u32 = 8;
/// Nothing has started for so long although work waits: one more worker.
const STARVED_NS: u64 = 500_000_000;
/// Shorter spans say nothing about whether a thread computes.
const JUDGED_NS: u64 = 100_000;

pub(super) struct Monitor {
    /// Changes when the monitor has something to see.
    signal: Futex32,
    /// ASLEEP, WATCHING or NEVER.
    watch: AtomicU32,
    /// What that is while the monitor does not watch.
    resting: u32,
}

/// A submitter that finds all workers awake that may be has to call.
const ASLEEP: u32 = 0;
/// Work waits and all workers that may be awake are: the monitor looks at them.
const WATCHING: u32 = 1;
/// The pool cannot grow: there is nothing to watch for.
const NEVER: u32 = 2;

impl Monitor {
    pub(super) fn new(may_grow: bool) -> Monitor {
        let resting = if may_grow { ASLEEP } else { NEVER };
        Monitor { signal: Futex32::new(0), watch: AtomicU32::new(resting), resting }
    }

    /// Has the monitor look until there is nothing more to see.
    #[inline]
    pub(super) fn watch(&self, pool: &Pool) {
        if self.wants_call() {
            self.start_watching(pool);
        }
    }

    /// Whether `watch` would do anything.
    #[inline(always)]
    pub(super) fn wants_call(&self) -> bool {
        // Relaxed: ordered against the monitor's last look like the sleep protocol's word:
        // by the lock of the inbox, or by the fence of a nested push.
        self.watch.load(Ordering::Relaxed) == ASLEEP
    }

    /// False: it watches already.
    fn begin(&self) -> bool {
        // Relaxed, here and below: as in `wants_call`.
        self.watch.swap(WATCHING, Ordering::Relaxed) != WATCHING
    }

    fn rest(&self) {
        self.watch.store(self.resting, Ordering::Relaxed);
    }

    /// Work waits, no worker is left, and none could be made: the monitor tries again.
    #[cold]
    pub(super) fn keep_trying(&self, pool: &Pool) {
        self.start_watching(pool);
    }

    #[cold]
    fn start_watching(&self, pool: &Pool) {
        if !self.begin() {
            return;
        }
        if !self.make_thread(pool) {
            // Without it the pool works with the threads it has; the next submit asks again.
            self.rest();
            return;
        }
        self.wake();
    }

    /// Makes the thread, if there is none; tasks with time-outs need it.
    pub(super) fn ensure(&self, pool: &Pool) -> Result<()> {
        if self.make_thread(pool) {
            return Ok(());
        }
        let errno = pool.roster.lock().errno;
        fail!(System, "no thread could be created to keep the task's time-outs: {errno}")
    }

    fn make_thread(&self, pool: &Pool) -> bool {
        let mut roster = pool.roster.lock();
        if roster.monitor_runs {
            return true;
        }
        // The thread's own reference, taken up in `main`.
        let reference = pool.retain().into_raw();
        match thread::spawn(main, reference.as_ptr().cast(), STACK) {
            Ok(_) => {
                roster.monitor_runs = true;
                true
            }
            Err(errno) => {
                roster.errno = errno;
                drop(roster);
                // SAFETY: counted above.
                drop(unsafe { OwnerRef::adopt(reference) });
                false
            }
        }
    }

    pub(super) fn wake(&self) {
        // Release: pairs with the Acquire in `run`.
        self.signal.fetch_add(1, Ordering::Release);
        self.signal.wake_one();
    }
}

/// Callbacks of expired futures run on it: the system's default.
const STACK: usize = 0;

extern "C-unwind" fn main(argument: *mut c_void) -> *mut c_void {
    let Some(owner) = NonNull::new(argument.cast()) else { return argument };
    // SAFETY: the reference that `make_thread` counted for this thread.
    let life = Life(Some(unsafe { OwnerRef::adopt(owner) }));
    // SAFETY: `life` keeps the pool.
    run(unsafe { Pool::of(owner) });
    drop(life);
    ptr::null_mut()
}

/// What the thread leaves however it ends; a callback may end it.
struct Life(Option<OwnerRef>);

impl Drop for Life {
    fn drop(&mut self) {
        let Some(reference) = self.0.take() else { return };
        // SAFETY: the reference keeps the pool.
        let pool = unsafe { Pool::of(reference.as_ptr()) };
        let _ = contain(|| {
            {
                let mut roster = pool.roster.lock();
                roster.monitor_runs = false;
                if pool.has_handles() {
                    roster.ended.push(Thread::current());
                } else {
                    // SAFETY: this very thread, in no list.
                    unsafe { Thread::current().detach() };
                }
            }
            // The next submit that needs a monitor makes one.
            pool.monitor.rest();
            pool.signal();
            drop(reference);
        });
        due::run_pending();
    }
}

fn run(pool: &Pool) {
    let _ = contain(|| thread::set_name(c"cfut-monitor"));
    local::with(|local| local.executor.set(ptr::null()));
    let mut looks = Looks::default();
    loop {
        // Acquire: pairs with `wake`; read before looking.
        let seen = pool.monitor.signal.load(Ordering::Acquire);
        let next = contain(|| {
            pool.expire_passed(Instant::now());
            looks.step(pool)
        });
        due::run_pending();
        let Ok(look_in) = next else { return };
        if pool.phase() == Phase::Ended && pool.timers.is_empty() {
            return;
        }
        let look_at = look_in.map(|span| Instant::now().plus(span));
        let deadline = [look_at, pool.timers.next()].into_iter().flatten().min();
        pool.monitor.signal.wait(seen, deadline);
    }
}

/// What the monitor remembers from look to look.
#[derive(Default)]
struct Looks {
    running: bool,
    quiet: u32,
    /// Tasks started at the last progress, and when that was.
    entered: u64,
    progress_at: Option<Instant>,
    next_at: Option<Instant>,
}

impl Looks {
    /// Looks if it is time to; in how many nanoseconds to look again, None if not at all.
    fn step(&mut self, pool: &Pool) -> Option<u64> {
        // Relaxed: as in `wants_call`.
        if pool.monitor.watch.load(Ordering::Relaxed) != WATCHING {
            return None;
        }
        let now = Instant::now();
        if !std::mem::replace(&mut self.running, true) {
            *self = Looks { running: true, ..Looks::default() };
            return self.again(now, QUICK_NS);
        }
        if let Some(left) = self.next_at.map(|at| at.saturating_since(now)) {
            if left > 0 {
                return Some(left);
            }
        }
        self.look(pool, now)
    }

    fn again(&mut self, now: Instant, span: u64) -> Option<u64> {
        self.next_at = Some(now.plus(span));
        Some(span)
    }

    fn look(&mut self, pool: &Pool, now: Instant) -> Option<u64> {
        if !pool.seems_to_have_work() {
            self.quiet += 1;
            self.progress_at = None;
            if self.quiet >= QUIET_LOOKS && self.stop(pool) {
                return None;
            }
            return self.again(now, STEADY_NS);
        }
        self.quiet = 0;
        let dormant = pool.slots().filter(|slot| pool.judge(slot)).count() as u32;
        let wanted = self.wanted(pool, dormant, now);
        let mut added = 0;
        while added < wanted && pool.sleep.could_grow(pool.sleep.census()) {
            if pool.sleep.add_worker(|searching| worker::create(pool, searching))
                != Notified::Enough
            {
                break; // no thread could be made: asked again at the next look
            }
            added += 1;
        }
        self.again(now, if added > 0 { QUICK_NS } else { STEADY_NS })
    }

    /// How many workers to add, with `dormant` found blocked by this look.
    fn wanted(&mut self, pool: &Pool, dormant: u32, now: Instant) -> u32 {
        let census = pool.sleep.census();
        let target = pool.sleep.limits().target;
        let starved = self.is_starved(pool, now);
        let wanted = if census.awake() < target && pool.somebody_waits_long() {
            (target - census.awake()).max(dormant)
        } else {
            u32::from(starved)
        };
        let queued = u32::try_from(pool.totals().queued()).unwrap_or(u32::MAX);
        wanted.min(queued.max(1))
    }

    /// Nothing has started for long although work waits.
    fn is_starved(&mut self, pool: &Pool, now: Instant) -> bool {
        let entered = pool.totals().entered;
        let since = match self.progress_at {
            Some(since) if entered == self.entered => since,
            _ => now,
        };
        self.entered = entered;
        let starved = now.saturating_since(since) >= STARVED_NS;
        // The one that is added gets its time before the next.
        self.progress_at = Some(if starved { now } else { since });
        starved
    }

    /// Goes to sleep, unless something came up meanwhile.
    fn stop(&mut self, pool: &Pool) -> bool {
        pool.monitor.rest();
        // SeqCst: the change before the precise look; pairs with the fence of a nested push, and
        // with the lock of the inbox.
        crate::sync::fence(Ordering::SeqCst);
        let census = pool.sleep.census();
        let needed = pool.has_work()
            && census.awake() >= pool.sleep.limits().target
            && pool.sleep.could_grow(census);
        if needed {
            pool.monitor.begin();
            self.quiet = 0;
            return false;
        }
        self.running = false;
        true
    }
}

impl Pool {
    /// Whether some task has waited for longer than short tasks need.
    fn somebody_waits_long(&self) -> bool {
        let now = clock::ticks();
        self.oldest_queued()
            .is_some_and(|stamp| clock::ticks_to_ns(now.saturating_sub(stamp)) >= JUDGED_NS)
    }

    /// Whether work waits, by hints: cheap, and asked again soon.
    fn seems_to_have_work(&self) -> bool {
        LANES.into_iter().any(|lane| self.inbox.hint(lane) > 0)
            || self.slots().any(|slot| slot.waiting() > 0)
    }

    /// Finds out whether a worker is blocked inside its task, and counts it so. True: it
    /// is, and this look found it.
    fn judge(&self, slot: &Slot) -> bool {
        let public = slot.public();
        // Relaxed throughout: figures that the worker writes for us.
        let (id, since) =
            (public.thread.load(Ordering::Relaxed), public.since.load(Ordering::Relaxed));
        if id == 0 || since == 0 {
            return false;
        }
        let now = clock::ticks();
        let seen_at = public.seen_at.load(Ordering::Relaxed);
        let span = clock::ticks_to_ns(now.saturating_sub(since.max(seen_at)));
        if span < JUDGED_NS {
            return false;
        }
        let Some(cpu) = thread::cpu_time(id) else { return false };
        let used = cpu.saturating_sub(public.seen_cpu.swap(cpu, Ordering::Relaxed));
        public.seen_at.store(now, Ordering::Relaxed);
        let computes = used >= span / 4;
        if public.called.load(Ordering::Relaxed) & DORMANT != 0 {
            if computes {
                self.wake_dormant(slot);
            }
            return false;
        }
        if computes || thread::activity(id) == Activity::Runnable {
            return false;
        }
        self.put_to_rest(slot, since)
    }

    /// Counts a worker as dormant, if it still runs the same task.
    fn put_to_rest(&self, slot: &Slot, since: u64) -> bool {
        let public = slot.public();
        let _roster = self.roster.lock();
        // Relaxed: DORMANT changes under this lock; the worker looks at it when the
        // task returns, and takes the lock then.
        if public.since.load(Ordering::Relaxed) != since
            || public.called.load(Ordering::Relaxed) & DORMANT != 0
            || public.blocked.load(Ordering::Relaxed)
        {
            return false;
        }
        public.called.fetch_or(DORMANT, Ordering::Relaxed);
        self.sleep.mark_dormant();
        true
    }

    /// A dormant worker counts as awake again.
    pub(super) fn wake_dormant(&self, slot: &Slot) {
        let _roster = self.roster.lock();
        // Relaxed: changes under this lock.
        if slot.public().called.fetch_and(!DORMANT, Ordering::Relaxed) & DORMANT != 0 {
            self.sleep.unmark_dormant();
        }
    }
}
