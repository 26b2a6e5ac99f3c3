//! What a worker does when there is nothing to do.

use super::Slot;
use crate::platform::clock::{self, Instant};
use crate::quiet;
use crate::sync::{Ordering, spin_loop};
use crate::thread_pool::inbox::LANES;
use crate::thread_pool::pool::Phase;
use crate::thread_pool::sleep::{Linger, Unparked};

/// Spins between two looks at the inbox: a few hundred nanoseconds.
pub(super) const LOOK_EVERY: u32 = 16;

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
        self.pool().end_quiet();
        true
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

pub(super) fn pause(spins: u32) {
    for _ in 0..spins {
        spin_loop();
    }
}
