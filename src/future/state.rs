//! The atomic word of a future: every bit, and every transition by name.
//!
//! The low half is the futex that waiters sleep on; the high half counts references, so
//! that taking and dropping references does not disturb a sleeper's comparison.
//!
//! | bits | name | set by | meaning |
//! |---|---|---|---|
//! | 0-1 | life | `start`, `start_plain`, `finish`, `finish_plain`, `settle_locked` | PENDING 0, RUNNING 1, CANCELLED 2, FINISHED 3 |
//! | 2-4 | outcome | `record_locked`, `finish`, `settle_locked` | how it ended; final once life is settled |
//! | 5 | WAITERS | `announce_waiter` | somebody sleeps on the word; never cleared |
//! | 6 | HOOKS | `unlock` | the hook list is not empty, or was not when it settled |
//! | 7 | LOCK | `lock`, `lock_plain` | freezes everything below but WAITERS, LOCK_AWAITED, STOP, TAKEN, the references, and IN_TASK once it is settled |
//! | 8 | STOP | `request_stop` | the task was asked to stop |
//! | 9 | IN_TASK | as RUNNING; cleared by its runner | the task function is on some stack: outcomes are recorded, not settled |
//! | 10 | RECORDED | `record_locked`, `record_plain` | outcome and payload are chosen; the second recording is refused |
//! | 11 | DRAINING | `settle_locked`, hooks | callbacks are being run by one thread |
//! | 12 | EXTRA | hooks of `extra` | the owner slot holds an `Extra` that in turn has the owner |
//! | 13 | TAKEN | `take` | the value was moved out |
//! | 14 | DETACHED | `detach`; cleared by `settle_locked` | the function returned, a retained promise will settle it |
//! | 14 | SEEN | `note_seen`, of a settled word | somebody knows of a failure (`unseen`) |
//! | 15 | ARGS | creation | arguments not consumed yet; `start` hands that duty to the runner |
//! | 16 | LATE | `start` | began after its executor had raised the stop flag of running tasks |
//! | 17 | RAN | `start` | the task function was entered; with IN_TASK gone, `stamp` and `back` hold durations |
//! | 18-20 | class | creation | which arena class the cell came from |
//! | 21-23 | kind | creation | what the cell is (`cell::Kind`) |
//! | 24 | LOCK_AWAITED | `await_unlocked`; cleared by giving LOCK back | somebody sleeps until LOCK is given back |
//! | 25-27 | payload | `record_locked`, `record_plain`, `settle_locked` | what the result is (`cell::Payload`) |
//! | 28-31 | inline length | same | of an inline result, less one |
//! | 32-63 | references | `retain`, `release`, `finish`, `finish_plain` | handles, queue entry or runner, hooks, timers |
//!
//! Each transition is one read-modify-write. (Giving LOCK back in `record_plain` is two where
//! somebody sleeps for it.) The decision is made on a snapshot by code
//! without side effects; the caller acts on what the transition returns.

use crate::sync::{Futex64, Ordering, spin_loop};

mod word;

pub(crate) use word::{
    ARGS, DETACHED, DRAINING, EXTRA, HOOKS, IN_TASK, LATE, LOCK, Life, Outcome, PayloadBits, RAN,
    RECORDED, SEEN, STOP, Snapshot, TAKEN, WAITERS,
};
use word::{
    CLASS_AT, DEAD, KIND, KIND_AT, LIFE, LOCK_AWAITED, ONE_REF, OUTCOME, OUTCOME_AT, PAYLOAD,
    STARTED, UNLOCK,
};

/// What `finish` did.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) enum Finish {
    /// The future settled here. `last`: the runner's reference was the last one and is
    /// gone; the caller destroys the cell.
    Settled { outcome: Outcome, last: bool },
    /// The same, but somebody waits: the runner still has its reference, and wakes them before
    /// it drops it.
    Watched(Snapshot),
    /// Nothing: there are hooks, some of which come before the end. The runner settles it under
    /// LOCK.
    Hooked,
    /// Somebody settled it while the function ran (a time-out); the runner still has its
    /// reference.
    TooLate,
}

/// What `finish_plain` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    /// The future settled; the runner's reference is gone, and was not the last.
    Settled,
    /// The runner's reference is the only one; the caller destroys the cell.
    Last,
    /// Nothing: `finish` is needed.
    No,
}

pub(crate) struct State(Futex64);

impl State {
    /// The word of a cell nobody else has seen yet.
    pub(crate) fn new(kind: u32, class: u32, flags: u32, refs: u32) -> State {
        let low = kind << KIND_AT | class << CLASS_AT | flags;
        State(Futex64::new(u64::from(refs) << 32 | u64::from(low)))
    }

    #[inline(always)]
    pub(crate) fn load(&self, order: Ordering) -> Snapshot {
        Snapshot(self.0.load(order))
    }

    /// Changes the word as `decide` says, once nobody holds the lock; None leaves it.
    /// Answers what it was and became, or what it is where it was left.
    #[inline(always)]
    fn transition(
        &self,
        order: Ordering,
        mut decide: impl FnMut(Snapshot) -> Option<Snapshot>,
    ) -> Result<(Snapshot, Snapshot), Snapshot> {
        // Acquire: a decision may rest on what `settle_locked` or `unlock` published.
        let mut now = self.load(Ordering::Acquire);
        loop {
            if now.has(LOCK) {
                now = self.await_unlocked();
                continue;
            }
            let Some(next) = decide(now) else { return Err(now) };
            // The order is the caller's and explained there; failure only loads anew.
            match self.0.compare_exchange_weak(now.0, next.0, order, Ordering::Acquire) {
                Ok(_) => return Ok((now, next)),
                Err(changed) => now = Snapshot(changed),
            }
        }
    }

    /// Changes the word whoever holds the lock (the caller does, or need not); what it was.
    #[inline(always)]
    fn apply(&self, order: Ordering, change: impl Fn(Snapshot) -> Snapshot) -> Snapshot {
        // Relaxed: the exchange carries the order.
        let mut now = self.load(Ordering::Relaxed);
        loop {
            // The order is the caller's and explained there.
            match self.0.compare_exchange_weak(now.0, change(now).0, order, Ordering::Relaxed) {
                Ok(_) => return now,
                Err(changed) => now = Snapshot(changed),
            }
        }
    }

    // ---- references ----

    #[inline]
    pub(crate) fn retain(&self, count: u32) {
        // Relaxed: whoever has a reference may make more; nothing is published.
        let before = Snapshot(self.0.fetch_add(u64::from(count) * ONE_REF, Ordering::Relaxed));
        if before.refs() > u32::MAX / 2 {
            crate::unwind::die("a future has more than 2^31 references: its handle leaks");
        }
    }

    /// Drops one reference; true: it was the last, and the caller is alone with the cell.
    #[inline(always)]
    #[must_use]
    pub(crate) fn release(&self) -> bool {
        // Acquire: pairs with the Release of the other references' drops. A sole owner
        // needs no write: nobody can make another reference from none.
        if self.load(Ordering::Acquire).refs() == 1 {
            return true;
        }
        // Release: what this reference did comes before the destruction elsewhere.
        if Snapshot(self.0.fetch_sub(ONE_REF, Ordering::Release)).refs() == 1 {
            // Acquire: pairs with those Releases, reached through the same word.
            let _ = self.load(Ordering::Acquire);
            return true;
        }
        false
    }

    /// Marks the memory as given back. No reference is left.
    pub(crate) fn bury(&self) {
        // Relaxed: the caller is alone with the cell.
        self.0.store(DEAD, Ordering::Relaxed);
    }

    /// Whether the cell had been given back: a handle released too often. A hint: memory
    /// already in use again does not show it.
    pub(crate) fn is_dead(&self) -> bool {
        // Relaxed: see above.
        self.0.load(Ordering::Relaxed) == DEAD
    }

    // ---- life ----

    /// PENDING → RUNNING: the caller now runs the task and consumes its arguments.
    /// False: it was settled before.
    #[inline(always)]
    #[must_use]
    pub(crate) fn start(&self, late: bool) -> bool {
        let flags = STARTED | if late { LATE } else { 0 };
        // Acquire: pairs with `unlock`, which published hooks and extras.
        self.transition(Ordering::Acquire, |now| now.is_pending().then(|| now.with(flags, ARGS)))
            .is_ok()
    }

    /// `start` for a queued cell of `kind` without extras or arguments to free. False: it is
    /// none, or something is going on; `start` knows.
    #[inline(always)]
    #[must_use]
    pub(crate) fn start_plain(&self, kind: u32) -> bool {
        // Relaxed: the exchange decides.
        let now = self.load(Ordering::Relaxed);
        if now.low() & (LIFE | LOCK | EXTRA | ARGS | KIND) != kind << KIND_AT {
            return false;
        }
        let next = now.0 + u64::from(STARTED);
        // Acquire: pairs with `unlock`, which published hooks.
        self.0.compare_exchange(now.0, next, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// `finish` for a cell that nobody watches, if it is one; it drops the runner's
    /// reference then. A sole owner's cell stays as it is: nobody could tell.
    #[inline(always)]
    #[must_use]
    pub(crate) fn finish_plain(&self) -> Plain {
        // Acquire: pairs with the Release of the other references' drops.
        let now = self.load(Ordering::Acquire);
        if now.low() & (LIFE | OUTCOME | LOCK | WAITERS | HOOKS) != Life::Running as u32 {
            return Plain::No;
        }
        if now.0 < 2 * ONE_REF {
            return Plain::Last;
        }
        const SETTLE: u64 =
            ONE_REF + IN_TASK as u64 - (Life::Finished as u64 - Life::Running as u64);
        // AcqRel: as in `finish`.
        match self.0.compare_exchange(now.0, now.0 - SETTLE, Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => Plain::Settled,
            Err(_) => Plain::No,
        }
    }

    /// The function of a task that somebody else settled has returned.
    pub(crate) fn leave_task(&self) {
        // Release: publishes the durations; pairs with the Acquire of `snapshot`.
        self.0.fetch_and(!u64::from(IN_TASK), Ordering::Release);
    }

    /// The function returned and the outcome is "as recorded", or success.
    #[inline(always)]
    pub(crate) fn finish(&self) -> Finish {
        let mut watched = false;
        // AcqRel: Release publishes the result to `wait` and the getters; Acquire takes
        // over what another thread recorded or hooked in.
        let result = self.transition(Ordering::AcqRel, |now| {
            if now.is_settled() || now.has(HOOKS) {
                return None;
            }
            let mut next = now.settled_as(now.recorded_outcome()).with(0, IN_TASK);
            watched = now.has(WAITERS);
            if !watched {
                next = Snapshot(next.0 - ONE_REF);
            }
            Some(next)
        });
        match result {
            Ok((_, after)) if watched => Finish::Watched(after),
            Ok((_, after)) => Finish::Settled { outcome: after.outcome(), last: after.refs() == 0 },
            Err(now) if now.is_settled() => Finish::TooLate,
            Err(_) => Finish::Hooked,
        }
    }

    /// The function returned CFUT_DETACH. Err: there is a recorded outcome, or somebody
    /// settled it; then `finish` says how it goes on.
    pub(crate) fn detach(&self) -> Result<(), Snapshot> {
        // AcqRel: as in `finish`.
        self.transition(Ordering::AcqRel, |now| {
            (!now.is_settled() && !now.has(RECORDED)).then(|| now.with(DETACHED, IN_TASK))
        })
        .map(|_| ())
    }

    /// Raises the stop flag for a task that runs.
    pub(crate) fn request_stop(&self) {
        // Relaxed: a flag that the task polls; nothing is published with it.
        self.0.fetch_or(u64::from(STOP), Ordering::Relaxed);
    }

    /// Somebody knows how the settled future has ended.
    pub(crate) fn note_seen(&self) {
        // Relaxed: read by whoever drops the last reference, which orders it.
        self.0.fetch_or(u64::from(SEEN), Ordering::Relaxed);
    }

    /// Moves the value out: true for exactly one caller.
    pub(crate) fn take(&self) -> bool {
        // Relaxed: the value itself was published by settling; this only decides who has it.
        !Snapshot(self.0.fetch_or(u64::from(TAKEN), Ordering::Relaxed)).has(TAKEN)
    }

    // ---- the lock ----

    /// Takes the lock; the answer is the word under it.
    pub(crate) fn lock(&self) -> Snapshot {
        // Acquire: pairs with the Release of `unlock` and `settle_locked`.
        let locked = self.transition(Ordering::Acquire, |now| Some(now.with(LOCK, 0)));
        match locked {
            Ok((_, after)) => after,
            Err(now) => now, // not reached: the decision never declines
        }
    }

    /// Gives the lock back with flags changed. Wakes whoever waits for it.
    pub(crate) fn unlock(&self, set: u32, clear: u32) {
        // Release: publishes what was done under the lock.
        let before = self.apply(Ordering::Release, |now| now.with(set, clear | UNLOCK));
        if before.has(LOCK_AWAITED) {
            self.wake_all();
        }
    }

    /// Takes the lock of a running task without extras, if nothing is recorded and the lock is
    /// free.
    #[inline(always)]
    #[must_use]
    pub(crate) fn lock_plain(&self) -> bool {
        const WANTED: u32 = Life::Running as u32 | IN_TASK;
        // Relaxed: the exchange decides.
        let now = self.load(Ordering::Relaxed);
        now.low() & (LIFE | OUTCOME | LOCK | IN_TASK | RECORDED | EXTRA | PAYLOAD) == WANTED
            // Acquire: as in `lock`.
            && self
                .0
                .compare_exchange(now.0, now.0 | u64::from(LOCK), Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
    }

    /// `record_locked` of a success, after `lock_plain`.
    #[inline(always)]
    pub(crate) fn record_plain(&self, payload: PayloadBits) {
        // Under the lock these bits are still as `lock_plain` saw them: to add is to set.
        let change = u64::from(RECORDED | payload.0) - u64::from(LOCK);
        // Release: as in `unlock`.
        if Snapshot(self.0.fetch_add(change, Ordering::Release)).has(LOCK_AWAITED) {
            self.wake_lock_waiters();
        }
    }

    #[cold]
    fn wake_lock_waiters(&self) {
        // Relaxed: publishes nothing. Whoever waits for the lock anew sets it again.
        self.0.fetch_and(!u64::from(LOCK_AWAITED), Ordering::Relaxed);
        self.wake_all();
    }

    /// Chooses the outcome of a task whose function has not returned; gives the lock back.
    pub(crate) fn record_locked(&self, outcome: Outcome, payload: PayloadBits) {
        self.unlock(RECORDED | (outcome as u32) << OUTCOME_AT | payload.0, OUTCOME | PAYLOAD);
    }

    /// PENDING → RUNNING by the holder of the lock, who gives it back with that.
    pub(crate) fn start_locked(&self) {
        self.unlock(STARTED, ARGS);
    }

    /// Settles, takes the flags `done` back and gives the lock back; the answer is the word
    /// before, without these flags. The caller has seen under the lock that it was not settled,
    /// and holds a reference.
    pub(crate) fn settle_locked(
        &self,
        outcome: Outcome,
        payload: Option<PayloadBits>,
        done: u32,
    ) -> Snapshot {
        // Release: publishes the outcome's fields to `wait` and the getters.
        let before = self.apply(Ordering::Release, |now| {
            let mut next = now.settled_as(outcome).with(0, UNLOCK | DETACHED | done);
            if let Some(payload) = payload {
                next = next.with(payload.0, PAYLOAD);
            }
            if next.has(HOOKS | ARGS) {
                next = next.with(DRAINING, 0);
            }
            next
        });
        if before.has(WAITERS | LOCK_AWAITED) {
            self.wake_all();
        }
        before.with(0, done)
    }

    pub(crate) fn wake_all(&self) {
        Futex64::wake_all_low(&raw const self.0);
    }

    #[cold]
    fn await_unlocked(&self) -> Snapshot {
        // The lock is held for tens of instructions: a short look first.
        for _ in 0..if cfg!(loom) { 0 } else { 64 } {
            let now = self.load(Ordering::Acquire); // pairs with `unlock`
            if !now.has(LOCK) {
                return now;
            }
            spin_loop();
        }
        loop {
            let now = self.load(Ordering::Acquire); // as above
            if !now.has(LOCK) {
                return now;
            }
            let awaited = now.with(LOCK_AWAITED, 0);
            // Relaxed: publishes nothing; who gives the lock back reads it with the lock.
            let announced = now.has(LOCK_AWAITED)
                || self
                    .0
                    .compare_exchange(now.0, awaited.0, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok();
            if announced {
                self.0.wait_low(awaited.low(), None);
            }
        }
    }

    // ---- waiting ----

    /// Says that somebody will sleep on the word; what it is then.
    pub(crate) fn announce_waiter(&self) -> Snapshot {
        // AcqRel: Acquire pairs with settling (it may be settled by now); Release lets the
        // settler's read-modify-write see the flag before it decides whom to wake.
        let before = Snapshot(self.0.fetch_or(u64::from(WAITERS), Ordering::AcqRel));
        before.with(WAITERS, 0)
    }

    /// The owner slot holds an `Extra` from now on. Under LOCK, or before the cell is known.
    pub(crate) fn note_extra(&self) {
        // Release: pairs with the Acquire loads that see the flag and follow the slot.
        self.0.fetch_or(u64::from(EXTRA), Ordering::Release);
    }

    /// The arguments have been consumed by whoever settled it before it started.
    pub(crate) fn consume_args(&self) -> bool {
        // AcqRel: one thread consumes; the last reference's holder may look for the flag.
        Snapshot(self.0.fetch_and(!u64::from(ARGS), Ordering::AcqRel)).has(ARGS)
    }

    /// Sleeps until the low half is no longer as in `seen`; false at the deadline.
    pub(crate) fn sleep(
        &self,
        seen: Snapshot,
        deadline: Option<crate::platform::clock::Instant>,
    ) -> bool {
        self.0.wait_low(seen.low(), deadline)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
