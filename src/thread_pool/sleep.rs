#![doc = include_str!("sleep.md")]

use crate::platform::clock::Instant;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Futex32, Lock, Ordering, Padded};
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

/// The pace of tasks that are not short.
const LONG: u32 = 0;
/// The pace of short tasks about which nothing else is known.
pub(super) const SOME_PACE: u32 = 6;
const MOST_PACE: u32 = 14;

/// What made a parked worker go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unparked {
    /// It was popped to look for work; it has the duty of SEARCHING.
    ToSearch,
    /// It was popped by the monitor or at the end of the pool.
    ToLook,
    /// Its time was up and it has left the idle stack: it is in no count any more.
    TimedOut,
    /// Its time was up, but it is one of those that stay: to be parked without a deadline.
    Stays,
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
    /// While the workers run nothing but short tasks: the binary logarithm of how many of them
    /// one worker runs in the time for which another is worth waking; else LONG. See "Short
    /// tasks".
    pace: AtomicU32,
    /// A worker lingers. Apart from what each submit reads.
    lingering: Padded<AtomicBool>,
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
        let pace = AtomicU32::new(LONG);
        let lingering = Padded(AtomicBool::new(false));
        Some(Sleep { word, limits, pace, lingering, idle: Lock::new(idle), parkers })
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
        // Relaxed: a hint; any answer is right, see "Short tasks".
        match self.pace.load(Ordering::Relaxed) {
            LONG => self.limits.target,
            pace => 1 + (backlog >> pace).min(self.limits.target as usize - 1) as u32,
        }
    }

    pub(super) fn is_short(&self) -> bool {
        // Relaxed: as in `allowed`.
        self.pace.load(Ordering::Relaxed) != LONG
    }

    /// A worker has run a task that was not short.
    pub(super) fn note_long(&self) {
        // Relaxed: as in `allowed`. Stored only when it changes: each submit reads it.
        if self.is_short() {
            self.pace.store(LONG, Ordering::Relaxed);
        }
    }

    /// A worker has run short tasks for a while, and 2 to the power of `pace` of them take as
    /// long as waking another must be worth.
    pub(super) fn note_short(&self, pace: u32) {
        // Relaxed: as in `allowed`; stored only when it changes by much.
        let (old, pace) = (self.pace.load(Ordering::Relaxed), pace.clamp(1, MOST_PACE));
        if old == LONG || old.abs_diff(pace) > 1 {
            self.pace.store(pace, Ordering::Relaxed);
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

    /// Whether a worker without work, that searches or not, may look around for a moment, and
    /// with which duty: one processor is left for whoever submits, and only one worker does it.
    /// One that is on its way to search is not there yet: it may find nothing left, and has
    /// not worked, so it would sleep again at once. Where submitters would wake nobody anyway
    /// the one that lingers needs no SEARCHING, and the word stays as it is. `end_linger`
    /// follows.
    pub(super) fn may_linger(&self, searching: bool) -> Linger {
        let now = self.census();
        let coming = u32::from(now.searching() && !searching);
        if now.awake() - coming >= self.limits.target.max(2) {
            return Linger::No;
        }
        // Relaxed: whether one or two look around changes nothing but the time it takes.
        if self.lingering.swap(true, Ordering::Relaxed) {
            return Linger::No;
        }
        if now.searching() || now.awake() >= self.allowed(0) {
            return Linger::WithoutDuty;
        }
        if self.exchange(now, now.0 | SEARCHING) { Linger::WithDuty } else { Linger::WithoutDuty }
    }

    pub(super) fn end_linger(&self) {
        // Relaxed: as in `may_linger`.
        self.lingering.store(false, Ordering::Relaxed);
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
                    TakenOff::Kept => return Unparked::Stays,
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn four() -> Sleep {
        Sleep::new(Limits { target: 4, most: 4, extra: 0 }).expect("memory")
    }

    #[test]
    fn short_tasks_allow_one_worker_and_more_for_what_waits() {
        let sleep = four();
        let allowed = |backlog| sleep.allowed(backlog);
        assert_eq!(allowed(0), 4, "nothing is known");
        sleep.note_short(10);
        let waiting = [0, 1023, 1024, 2047, 3072, usize::MAX];
        assert_eq!(waiting.map(allowed), [1, 1, 2, 2, 4, 4]);
        sleep.note_short(11);
        assert_eq!(allowed(1024), 2, "about the same");
        sleep.note_short(12);
        assert_eq!((allowed(4095), allowed(4096)), (1, 2));
        sleep.note_short(1000);
        assert_eq!((allowed((1 << 14) - 1), allowed(1 << 14)), (1, 2), "no pace is above all");
        sleep.note_long();
        assert_eq!(allowed(0), 4);
    }

    #[test]
    fn one_lingers_and_leaves_a_processor() {
        let sleep = four();
        sleep.note_short(SOME_PACE);
        assert!(sleep.take_seat());
        assert_eq!(sleep.may_linger(false), Linger::WithoutDuty);
        assert_eq!(sleep.may_linger(false), Linger::No, "one does");
        sleep.end_linger();
        sleep.note_long();
        assert_eq!(sleep.may_linger(false), Linger::WithDuty);
        sleep.end_linger();
        assert!((0..3).all(|_| sleep.take_seat()));
        assert_eq!(sleep.may_linger(true), Linger::No, "nothing is left for who submits");
        assert_eq!(sleep.may_linger(false), Linger::WithoutDuty, "one is only on its way");
    }
}
