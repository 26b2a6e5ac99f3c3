//! What a worker does when there is nothing to do.

use super::Slot;
use crate::future::arena;
use crate::future::phase::Phase;
use crate::platform::clock::{self, Instant};
use crate::quiet;
use crate::sync::{Ordering, spin_loop};
use crate::thread_pool::inbox::LANES;
use crate::thread_pool::sleep::{Linger, Unparked};

/// Spins between two looks at the inbox: a few hundred nanoseconds.
pub(super) const LOOK_EVERY: u32 = 16;

/// The time to linger is halved for each linger in vain, but not more often than this.
const LEAST_PATIENCE: u32 = 4;
/// After so many it is whole again.
const TRY_AGAIN: u32 = 32;

/// A worker that has slept for so long gives back what memory was kept for the next burst. It looks
/// again after twice as long each time while much is in use.
const TRIM_NS: u64 = 20_000_000_000;

impl Slot {
    /// The worker found nothing. False: it is to leave.
    #[cold]
    pub(super) fn idle(&self) -> bool {
        let pool = self.pool();
        if pool.phase() == Phase::Ended {
            return false;
        }
        let mine = self.mine();
        mine.just_ended.set(0);
        // Relaxed: a figure.
        self.public.rests_since.store(clock::ticks(), Ordering::Relaxed);
        if mine.has_turn.replace(false) {
            pool.turn.give();
        }
        if self.linger() {
            return true;
        }
        if mine.worked.replace(false) {
            if let Some(timeline) = &pool.timeline {
                timeline.sample_now(pool.load());
                timeline.tend();
            }
        }
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
        if !self.park() {
            mine.uncounted.set(true);
            return false;
        }
        self.pool().end_quiet();
        true
    }

    /// Sleeps until there is something to look at. False: the time is up, and the worker has left
    /// the idle stack.
    fn park(&self) -> bool {
        let pool = self.pool();
        let leaves_after = pool.config.idle_ns;
        // Relaxed: one that trims is enough, and two do no harm.
        let trims = leaves_after.is_none()
            && arena::is_ample()
            && !pool.trimmer.swap(true, Ordering::Relaxed);
        let mut span = leaves_after.or(trims.then_some(TRIM_NS));
        let stays = || {
            // Relaxed: changes under the lock that this is asked under.
            let quiet = pool.quiet.load(Ordering::Relaxed);
            leaves_after.is_none() || pool.config.has_stop_hook() && quiet
        };
        let why = loop {
            let deadline = span.map(|span| Instant::now().plus(span));
            let why = pool.sleep.park(self.number, deadline, pool.config.keep, stays);
            if matches!(why, Unparked::TimedOut | Unparked::Stays) {
                arena::trim();
            }
            if why != Unparked::Stays {
                break why;
            }
            // Whoever stays need not be asked again, but what is in use may be released later.
            span = span.filter(|_| trims && arena::is_ample()).map(|span| span.saturating_mul(2));
        };
        if trims {
            pool.trimmer.store(false, Ordering::Relaxed);
        }
        self.mine().searching.set(why == Unparked::ToSearch);
        why != Unparked::TimedOut
    }

    /// Makes sure that the monitor does not count this worker as dormant, now or later: the
    /// caller has stored what `put_to_rest` looks at under the same lock.
    pub(in crate::thread_pool) fn settle_dormancy(&self) {
        self.pool().wake_dormant(self);
    }

    /// More threads than the maximum exist only while some of them block.
    pub(super) fn is_surplus(&self) -> bool {
        let census = self.pool().sleep.census();
        census.live() > self.pool().sleep.limits().most + census.blocked()
    }

    /// Looks around for a short while, if nobody else does. True: there is something.
    fn linger(&self) -> bool {
        let (mine, pool) = (self.mine(), self.pool());
        if pool.config.linger_ns == 0 || !mine.worked.get() {
            return false;
        }
        match pool.sleep.may_linger(mine.searching.get()) {
            Linger::No => return false,
            Linger::WithoutDuty => {}
            Linger::WithDuty => mine.searching.set(true),
        }
        let found = self.look_around();
        pool.sleep.end_linger();
        self.learn_patience(found);
        found
    }

    /// Where lingers are in vain, because whoever submits needs this very processor or has
    /// nothing more, they become short, but for one in a while.
    fn learn_patience(&self, found: bool) {
        let mine = self.mine();
        if found {
            mine.impatience.set(mine.impatience.get().saturating_sub(1).min(LEAST_PATIENCE));
        } else {
            mine.impatience.set((mine.impatience.get() + 1) % TRY_AGAIN);
        }
    }

    /// Until there is something (true), the time is up, or the pool ends.
    fn look_around(&self) -> bool {
        let pool = self.pool();
        let patience = pool.config.linger_ns >> self.mine().impatience.get().min(LEAST_PATIENCE);
        let end = clock::ticks().wrapping_add(clock::ns_to_ticks(patience));
        let mut looks = 0u32;
        loop {
            looks = looks.wrapping_add(1);
            pause(looks.min(LOOK_EVERY));
            if self.sees_work(looks % 8 == 0) {
                return true;
            }
            // A pool that is closing ends when its workers have come to rest.
            if pool.phase() != Phase::Open || clock::ticks().wrapping_sub(end) as i64 > 0 {
                return false;
            }
        }
    }

    fn sees_work(&self, everywhere: bool) -> bool {
        let pool = self.pool();
        let inbox = &pool.inbox;
        LANES.into_iter().any(|lane| inbox.hint(lane) > 0)
            || everywhere && pool.slots().any(|slot| slot.waiting() > 0)
    }
}

pub(super) fn pause(spins: u32) {
    for _ in 0..spins {
        spin_loop();
    }
}
