#![doc = include_str!("sleep.md")]

use crate::platform::clock::Instant;
use crate::sync::{AtomicBool, AtomicU64, Futex32, Lock, Ordering, Padded};
use std::fmt;

/// How many workers may do what; see the module's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) target: u32,
    pub(super) most: u32,
    pub(super) extra: u32,
}

const AWAKE: u64 = 1;
const IDLE: u64 = 1 << 16;
const BLOCKED: u64 = 1 << 32;
const DORMANT: u64 = 1 << 47;
const SEARCHING: u64 = 1 << 62;
const FIRST: u64 = 1 << 63;

/// Largest number of threads of a pool: what each count can hold.
pub(super) const MOST_THREADS: u32 = (1 << 15) - 1;

/// What the word was at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Census(u64);

impl Census {
    pub(super) fn awake(self) -> u32 {
        self.0 as u16 as u32
    }

    pub(super) fn idle(self) -> u32 {
        (self.0 >> 16) as u16 as u32
    }

    pub(super) fn blocked(self) -> u32 {
        (self.0 >> 32) as u32 & 0x7fff
    }

    pub(super) fn dormant(self) -> u32 {
        (self.0 >> 47) as u32 & 0x7fff
    }

    pub(super) fn live(self) -> u32 {
        self.awake() + self.idle() + self.blocked() + self.dormant()
    }

    fn searching(self) -> bool {
        self.0 & SEARCHING != 0
    }

    fn first(self) -> bool {
        self.0 & FIRST != 0
    }

    /// Nobody runs anything or could begin to without being woken.
    pub(super) fn at_rest(self) -> bool {
        self.awake() == 0 && self.blocked() == 0 && self.dormant() == 0 && !self.first()
    }
}

impl fmt::Debug for Census {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "awake {} idle {} blocked {} dormant {}{}{}",
            self.awake(),
            self.idle(),
            self.blocked(),
            self.dormant(),
            if self.searching() { " searching" } else { "" },
            if self.first() { " first" } else { "" },
        )
    }
}

/// What a call of `notify` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notified {
    /// Somebody will look.
    Enough,
    /// All that may be awake are. If the pool can grow, the monitor should look whether they
    /// are blocked.
    Watch,
    /// The pool has no thread and none could be made.
    Stranded,
}

/// Whether a worker may linger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linger {
    No,
    WithoutDuty,
    WithDuty,
}

/// So many short tasks may wait for each worker that is awake before another is woken.
const SHORT_BACKLOG: usize = 64;

/// What made a parked worker go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unparked {
    /// It was popped to look for work; it has the duty of SEARCHING.
    ToSearch,
    /// It was popped by the monitor or at the end of the pool.
    ToLook,
    /// Its time was up and it has left the idle stack: it is in no count any more.
    TimedOut,
}

enum TakenOff {
    Yes,
    Popped,
    Kept,
}

const PARKED: u32 = 0;
const TO_SEARCH: u32 = 1;
const TO_LOOK: u32 = 2;

pub(super) struct Sleep {
    word: Padded<AtomicU64>,
    limits: Limits,
    /// The workers have lately run nothing but short tasks; see "Short tasks".
    short: AtomicBool,
    /// Numbers of the parked workers; never reallocated.
    idle: Lock<Vec<u16>>,
    /// A word to sleep on for each worker number.
    parkers: Vec<Padded<Futex32>>,
}

impl Sleep {
    /// None when there is no memory.
    pub(super) fn new(limits: Limits) -> Option<Sleep> {
        let capacity = (limits.most + limits.extra) as usize;
        let mut idle = Vec::new();
        idle.try_reserve_exact(capacity).ok()?;
        let mut parkers = Vec::new();
        parkers.try_reserve_exact(capacity).ok()?;
        parkers.extend((0..capacity).map(|_| Padded(Futex32::new(PARKED))));
        let word = Padded(AtomicU64::new(0));
        let short = AtomicBool::new(false);
        Some(Sleep { word, limits, short, idle: Lock::new(idle), parkers })
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    #[inline(always)]
    pub(super) fn census(&self) -> Census {
        // Relaxed: "Published and precisely" in the module's head says what orders it.
        Census(self.word.load(Ordering::Relaxed))
    }

    fn limit(&self, now: Census) -> u32 {
        self.limits.most + now.blocked().min(self.limits.extra)
    }

    /// Whether more threads than are awake could be made to run.
    pub(super) fn could_grow(&self, now: Census) -> bool {
        now.idle() > 0 || now.live() < self.limit(now)
    }

    /// How many workers may be awake for `backlog` tasks that wait.
    #[inline(always)]
    fn allowed(&self, backlog: usize) -> u32 {
        // Relaxed: a hint; either answer is right, see "Short tasks".
        if !self.short.load(Ordering::Relaxed) || backlog >= SHORT_BACKLOG * 32 {
            return self.limits.target;
        }
        (1 + (backlog / SHORT_BACKLOG) as u32).min(self.limits.target)
    }

    pub(super) fn is_short(&self) -> bool {
        // Relaxed: as in `allowed`.
        self.short.load(Ordering::Relaxed)
    }

    /// A worker says whether its tasks are short; stored only when it changes.
    pub(super) fn set_short(&self, short: bool) {
        // Relaxed: as in `allowed`.
        if self.short.load(Ordering::Relaxed) != short {
            self.short.store(short, Ordering::Relaxed);
        }
    }

    /// Whether `notify` would find enough workers awake.
    #[inline(always)]
    pub(super) fn is_enough(&self, backlog: impl Fn() -> usize) -> bool {
        let now = self.census();
        let awake = now.awake();
        !now.first() && (awake >= self.limits.target || awake >= self.allowed(backlog()))
    }

    /// Called after a task was published, with the number of tasks that wait, about.
    /// `create` makes a thread that is counted as awake already, with the duty of SEARCHING
    /// or without, and says whether it could.
    #[inline(always)]
    pub(super) fn notify(&self, backlog: usize, create: impl FnMut(bool) -> bool) -> Notified {
        let now = self.census();
        let allowed = self.allowed(backlog);
        if now.awake() >= allowed && !now.first() {
            return Notified::Watch;
        }
        self.notify_slow(create, Some(allowed))
    }

    /// As `notify`, but whatever number is awake: the monitor has found them blocked, or all
    /// workers are to be started.
    pub(super) fn add_worker(&self, create: impl FnMut(bool) -> bool) -> Notified {
        self.notify_slow(create, None)
    }

    /// Makes one more thread up to the maximum, idle ones or not.
    pub(super) fn start_worker(&self, mut create: impl FnMut(bool) -> bool) -> Notified {
        let idle = self.idle.lock();
        let now = self.census();
        if now.live() >= self.limits.most {
            return Notified::Enough;
        }
        if now.live() == 0 {
            if self.exchange(now, now.0 + AWAKE | FIRST) {
                return self.create_first(&mut create, 0);
            }
            return Notified::Enough; // the caller asks again
        }
        drop(idle);
        self.word.fetch_add(AWAKE, Ordering::AcqRel); // see `exchange`
        if create(false) {
            return Notified::Enough;
        }
        self.word.fetch_sub(AWAKE, Ordering::AcqRel); // see `exchange`
        Notified::Stranded
    }

    /// `allowed`: how many may be awake; None: as many as there can be.
    #[cold]
    #[inline(never)]
    fn notify_slow(&self, mut create: impl FnMut(bool) -> bool, allowed: Option<u32>) -> Notified {
        let mut may_create = true;
        let now = self.census();
        if allowed.is_some() && now.0 & (SEARCHING | FIRST) == SEARCHING {
            return Notified::Enough;
        }
        loop {
            let mut idle = self.idle.lock();
            let now = self.census();
            if let Some(allowed) = allowed {
                if now.searching() {
                    return Notified::Enough;
                }
                if now.awake() >= allowed {
                    return Notified::Watch;
                }
            }
            let duty = if allowed.is_some() { SEARCHING } else { 0 };
            if let Some(&number) = idle.last() {
                if self.exchange(now, now.0 - IDLE + AWAKE | duty) {
                    idle.pop();
                    drop(idle);
                    self.unpark(number, if duty == 0 { TO_LOOK } else { TO_SEARCH });
                    return Notified::Enough;
                }
            } else if !may_create || now.live() >= self.limit(now) {
                return match (may_create, now.live()) {
                    (true, _) => Notified::Enough,
                    // The last worker has left since the thread could not be made.
                    (false, 0) => Notified::Stranded,
                    (false, _) => Notified::Watch,
                };
            } else if now.live() == 0 {
                if self.exchange(now, now.0 + AWAKE | duty | FIRST) {
                    return self.create_first(&mut create, duty);
                }
            } else if self.exchange(now, now.0 + AWAKE | duty) {
                drop(idle);
                if create(duty != 0) {
                    return Notified::Enough;
                }
                self.word.fetch_sub(AWAKE + duty, Ordering::Relaxed); // see `exchange`
                // Case (d): others have relied on the thread that was not made.
                may_create = false;
            }
        }
    }

    /// Makes the pool's first thread; the caller holds the lock.
    fn create_first(&self, create: &mut impl FnMut(bool) -> bool, duty: u64) -> Notified {
        if create(duty != 0) {
            self.word.fetch_sub(FIRST, Ordering::Relaxed); // see `exchange`
            Notified::Enough
        } else {
            self.word.fetch_sub(FIRST + AWAKE + duty, Ordering::Relaxed); // see `exchange`
            Notified::Stranded
        }
    }

    /// AcqRel on all changes of the word that are decisions: each pairs with the one before
    /// it in the order of the word. The plain counts may be Relaxed: what orders a change
    /// against the queues is the lock of the inbox or the fence beside the deques, and
    /// per-location order does the rest.
    fn exchange(&self, seen: Census, next: u64) -> bool {
        self.word.compare_exchange(seen.0, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn unpark(&self, number: u16, why: u32) {
        if let Some(parker) = self.parkers.get(usize::from(number)) {
            // Release: pairs with the Acquire in `park`.
            parker.store(why, Ordering::Release);
            parker.wake_one();
        }
    }

    // ---- a worker's own moves ----

    /// Whether a worker without work may look around for a moment, and with which duty: one
    /// processor is left for whoever submits, and only one worker does it. Where submitters
    /// would wake nobody else anyway, it needs no SEARCHING, and the word stays as it is.
    pub(super) fn may_linger(&self) -> Linger {
        let now = self.census();
        if now.searching() || now.awake() >= self.limits.target.max(2) {
            return Linger::No;
        }
        if now.awake() >= self.allowed(0) {
            return Linger::WithoutDuty;
        }
        if self.exchange(now, now.0 | SEARCHING) { Linger::WithDuty } else { Linger::No }
    }

    /// The searcher has found work. Afterwards it looks precisely, and notifies.
    pub(super) fn found(&self) {
        self.word.fetch_and(!SEARCHING, Ordering::AcqRel); // pairs with `notify`'s exchange
    }

    /// A worker that looked in vain goes onto the idle stack. Afterwards it looks
    /// precisely and notifies if there is something, then parks.
    pub(super) fn publish_idle(&self, number: u16, searching: bool) {
        if let Some(parker) = self.parkers.get(usize::from(number)) {
            // Relaxed: published by the lock.
            parker.store(PARKED, Ordering::Relaxed);
        }
        let mut idle = self.idle.lock();
        idle.push(number); // never beyond the capacity: a number is there once
        let duty = if searching { SEARCHING } else { 0 };
        self.word.fetch_add((IDLE - AWAKE).wrapping_sub(duty), Ordering::AcqRel); // see `exchange`
    }

    /// Sleeps until popped, or until the deadline if more than `keep` workers are alive and
    /// `stays`, asked under the lock, does not object.
    pub(super) fn park(
        &self,
        number: u16,
        deadline: Option<Instant>,
        keep: u32,
        stays: impl Fn() -> bool,
    ) -> Unparked {
        let Some(parker) = self.parkers.get(usize::from(number)) else {
            return Unparked::ToLook;
        };
        let mut deadline = deadline;
        loop {
            // Acquire: pairs with the Release in `unpark`.
            match parker.load(Ordering::Acquire) {
                TO_SEARCH => return Unparked::ToSearch,
                TO_LOOK => return Unparked::ToLook,
                _ => {}
            }
            if !parker.wait(PARKED, deadline) {
                match self.take_off(number, keep, &stays) {
                    TakenOff::Yes => return Unparked::TimedOut,
                    TakenOff::Popped => {}
                    // One of those that stay: no need to ask again.
                    TakenOff::Kept => deadline = None,
                }
            }
        }
    }

    /// Takes a worker off the idle stack and out of the counts.
    fn take_off(&self, number: u16, keep: u32, stays: impl Fn() -> bool) -> TakenOff {
        let mut idle = self.idle.lock();
        let Some(place) = idle.iter().position(|&other| other == number) else {
            return TakenOff::Popped;
        };
        // Only idle workers leave, and only under this lock: the count cannot fall below
        // `keep` by two of them at once.
        if self.census().live() <= keep || stays() {
            return TakenOff::Kept;
        }
        idle.remove(place);
        self.word.fetch_sub(IDLE, Ordering::AcqRel); // see `exchange`
        TakenOff::Yes
    }

    /// An awake worker ends. Afterwards it looks precisely, and notifies.
    pub(super) fn leave(&self, searching: bool) {
        let duty = if searching { SEARCHING } else { 0 };
        self.word.fetch_sub(AWAKE + duty, Ordering::AcqRel); // see `exchange`
    }

    /// An awake worker will block. Afterwards it looks precisely, and notifies. The
    /// answer is the count with it.
    pub(super) fn block(&self) -> Census {
        let before = self.word.fetch_add(BLOCKED - AWAKE, Ordering::AcqRel); // see `exchange`
        Census(before + BLOCKED - AWAKE)
    }

    pub(super) fn unblock(&self) {
        self.word.fetch_sub(BLOCKED - AWAKE, Ordering::AcqRel); // see `exchange`
    }

    /// The monitor has found an awake worker blocked inside its task.
    pub(super) fn mark_dormant(&self) {
        self.word.fetch_add(DORMANT - AWAKE, Ordering::AcqRel); // see `exchange`
    }

    pub(super) fn unmark_dormant(&self) {
        self.word.fetch_sub(DORMANT - AWAKE, Ordering::AcqRel); // see `exchange`
    }

    /// A thread of the host takes a worker's place, if one is free.
    pub(super) fn take_seat(&self) -> bool {
        let mut now = self.census();
        loop {
            if now.awake() + now.dormant() >= self.limits.most || now.first() {
                return false;
            }
            // See `exchange`.
            match self.word.compare_exchange_weak(
                now.0,
                now.0 + AWAKE,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(changed) => now = Census(changed),
            }
        }
    }

    /// A thread of the host runs a task whatever number is awake: the queue was full.
    pub(super) fn force_seat(&self) {
        self.word.fetch_add(AWAKE, Ordering::AcqRel); // see `exchange`
    }

    /// Looks at the counts while no worker can leave.
    pub(super) fn inspect<R>(&self, look: impl FnOnce(Census) -> R) -> R {
        let _idle = self.idle.lock();
        look(self.census())
    }

    /// Wakes all parked workers, for the end of the pool, if `really` says so under the lock.
    pub(super) fn wake_all_if(&self, really: impl FnOnce(Census) -> bool) -> bool {
        let mut idle = self.idle.lock();
        if !really(self.census()) {
            return false;
        }
        while let Some(number) = idle.pop() {
            self.word.fetch_sub(IDLE - AWAKE, Ordering::AcqRel); // see `exchange`
            self.unpark(number, TO_LOOK);
        }
        true
    }
}
