//! How a worker finds its next task.

use super::idle::{LOOK_EVERY, pause};
use super::run::Begun;
use super::{FAIRNESS, Slot};
use crate::future::cell::TaskRef;
use crate::future::due;
use crate::future::owner::attention;
use crate::sync::{Ordering, fence};
use crate::thread_pool::batch::BATCH;
use crate::thread_pool::inbox::Lane;
use crate::thread_pool::queue::Entry;
use std::mem::MaybeUninit;
use std::ptr;

/// What the worker does next.
pub(super) enum Next {
    /// A started task, and when it began.
    Run(TaskRef, Begun),
    /// What has become due by letting go of a task that was settled in the queue.
    Calls,
    Leave,
}

impl Slot {
    /// The next task to run, after sleeping if need be: `first` if it is given, which must
    /// not have been found while tasks ran by turns.
    pub(super) fn next(&self, mut first: Option<Entry>) -> Next {
        loop {
            if first.is_none() && self.pool().serial && !self.take_turn() {
                return Next::Leave;
            }
            let given = first.take();
            let is_given = given.is_some();
            if let Some(entry) = given.or_else(|| self.find()) {
                self.stop_searching();
                if let Some((task, begun)) = self.begin(entry) {
                    return Next::Run(task, begun);
                }
                if !is_given {
                    self.take_back_fuel();
                }
                if due::pending() {
                    return Next::Calls;
                }
            } else if !self.idle() {
                return Next::Leave;
            }
        }
    }

    /// What was settled in the queue is no task that others wait behind: were it one, a task that
    /// leaves many behind could follow the last one before they are gone.
    fn take_back_fuel(&self) {
        let fuel = &self.mine().fuel;
        fuel.set(fuel.get().wrapping_add(1));
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
    fn find(&self) -> Option<Entry> {
        let (mine, pool) = (self.mine(), self.pool());
        let fuel = mine.fuel.get().wrapping_sub(1);
        mine.fuel.set(fuel);
        if fuel == 0 || pool.owner.needs(attention::URGENT) {
            if let Some(entry) = self.find_out_of_turn() {
                return Some(entry);
            }
        }
        if pool.serial && pool.turn.is_engaged() {
            return self.find_in_order();
        }
        self.find_near().or_else(|| self.find_elsewhere())
    }

    /// In a pool of one worker whose tasks have blocked: several threads run them by turns. So that
    /// none holds what another should run first, nobody takes a batch any more, and what is left
    /// of the last one is taken from where it lies.
    fn find_in_order(&self) -> Option<Entry> {
        let inbox = &self.pool().inbox;
        let one = |lane| if inbox.hint(lane) > 0 { inbox.pop_one(lane) } else { None };
        one(Lane::Nested).or_else(|| self.oldest_from_outside()).or_else(|| one(Lane::Low))
    }

    /// In a pool of one worker.
    fn oldest_from_outside(&self) -> Option<Entry> {
        let pool = self.pool();
        let waits = || pool.inbox.hint(Lane::Normal) > 0;
        let first = pool.slots().find_map(|slot| slot.batch.take_one());
        first.or_else(|| if waits() { pool.inbox.pop_one(Lane::Normal) } else { None })
    }

    /// A task from the worker's own queues.
    #[inline(always)]
    pub(super) fn find_near(&self) -> Option<Entry> {
        let mine = self.mine();
        if mine.has_nested.get() {
            if let Some(entry) = self.pop_nested() {
                return Some(entry);
            }
            mine.has_nested.set(false);
            mine.left_behind.set(0);
        }
        self.batch.pop()
    }

    /// A task that a task of this worker submitted.
    #[inline(always)]
    fn pop_nested(&self) -> Option<Entry> {
        if self.pool().serial {
            return self.pool().inbox.pop_one(Lane::Nested);
        }
        let entry = self.mine().queues.pop()?;
        self.mine().newest.set(ptr::null());
        Some(entry)
    }

    /// High priority goes first; and now and then outside work goes before that and the
    /// worker's own, and low priority before all, so that none waits for ever.
    #[cold]
    #[inline(never)]
    fn find_out_of_turn(&self) -> Option<Entry> {
        let (mine, pool) = (self.mine(), self.pool());
        let inbox = &pool.inbox;
        if mine.fuel.get() != 0 {
            let entry = inbox.pop_one(Lane::High);
            if entry.is_none() {
                // Whoever pushes another, calls after that.
                inbox.if_empty(Lane::High, || pool.owner.end_attention(attention::URGENT));
            }
            return entry;
        }
        let round = self.refuel();
        if round % 4 == 0 && inbox.hint(Lane::Low) > 0 {
            if let Some(entry) = inbox.pop_one(Lane::Low) {
                return Some(entry);
            }
        }
        if pool.serial {
            return self.oldest_from_outside();
        }
        let waiting = inbox.hint(Lane::Normal) > 0;
        self.batch.pop().or_else(|| if waiting { inbox.pop_one(Lane::Normal) } else { None })
    }

    /// It is time for a look out of turn: begins to count anew; how often that was.
    pub(super) fn refuel(&self) -> u32 {
        let mine = self.mine();
        mine.fuel.set(FAIRNESS);
        if !mine.ran_long.replace(false) {
            self.pool().sleep.note_short(mine.pace.get());
        }
        let round = mine.rounds.get().wrapping_add(1);
        mine.rounds.set(round);
        round
    }

    /// The worker's own queues are empty.
    #[inline(never)]
    fn find_elsewhere(&self) -> Option<Entry> {
        // Relaxed: figures.
        self.public.nested_since.store(0, Ordering::Relaxed);
        self.public.batch_since.store(0, Ordering::Relaxed);
        let inbox = &self.pool().inbox;
        if inbox.hint(Lane::Nested) > 0 {
            if let Some(entry) = inbox.pop_one(Lane::Nested) {
                return Some(entry);
            }
        }
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
    /// more come in, up to a batch, with twice as long between two looks each time.
    fn let_some_gather(&self) {
        let pool = self.pool();
        if pool.config.linger_ns == 0 || !pool.sleep.is_short() {
            return;
        }
        let mut seen = pool.inbox.hint(Lane::Normal);
        for looks in 0..4 {
            if seen >= BATCH {
                return;
            }
            pause(LOOK_EVERY << looks);
            let now = pool.inbox.hint(Lane::Normal);
            if now == seen {
                return;
            }
            seen = now;
        }
    }

    /// A worker whose own queues are empty takes a share of the inbox into its batch; how many.
    pub(super) fn refill_batch(&self) -> u32 {
        if self.pool().inbox.hint(Lane::Normal) == 0 {
            return 0;
        }
        self.let_some_gather();
        let mut batch = [MaybeUninit::uninit(); BATCH];
        let tasks = self.take_share(&mut batch);
        if !tasks.is_empty() {
            self.publish(tasks);
        }
        tasks.len() as u32
    }

    /// As `refill_batch`; the oldest is the answer, and not in the batch.
    fn take_batch(&self) -> Option<Entry> {
        let mut batch = [MaybeUninit::uninit(); BATCH];
        self.keep_rest(self.take_share(&mut batch))
    }

    /// This worker's share of the inbox: up to a batch.
    fn take_share<'a>(&self, batch: &'a mut [MaybeUninit<Entry>; BATCH]) -> &'a [Entry] {
        let pool = self.pool();
        let sharers = pool.sleep.census().awake() as usize;
        let taken = pool.inbox.pop(Lane::Normal, sharers, batch);
        // SAFETY: `pop` filled this many.
        unsafe { &*(ptr::from_ref(&batch[..taken]) as *const [Entry]) }
    }

    /// Keeps all tasks but the first, which is the answer, in the worker's own batch.
    fn keep_rest(&self, tasks: &[Entry]) -> Option<Entry> {
        let (&first, rest) = tasks.split_first()?;
        if !rest.is_empty() {
            self.publish(rest);
        }
        Some(first)
    }

    /// Puts tasks, at least one, into the worker's batch, which is empty.
    fn publish(&self, tasks: &[Entry]) {
        // SAFETY: the entry is ours until it is published. Relaxed: a figure.
        let stamp = unsafe { tasks[0].as_ref() }.accepted_at();
        self.public.batch_since.store(stamp, Ordering::Relaxed);
        self.batch.fill(tasks);
        // Between the two queues they were nowhere to be seen: published anew.
        fence(Ordering::SeqCst);
        self.pool().look_for_a_worker(tasks.len());
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
    pub(super) fn stop_searching(&self) {
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
}
