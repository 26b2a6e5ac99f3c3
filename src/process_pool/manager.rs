//! The thread that sees to everything: results, deaths, time-outs, and how many workers there are.
//!
//! Each round takes what has come, settles it outside of the lock, hands out what waits, and
//! decides on workers. It sleeps when a round has found nothing, after it has told every worker
//! so (the sleep protocol of `transport`), and is woken by a worker's bell, by the supervisor, by
//! the next deadline, or by `Poller::wake`.

use super::child::{Child, Phase as Life, Why};
use super::dispatch::Backlog;
use super::notifier::Batch;
use super::pool::{Pool, State};
use super::results::{Round, Settling};
use super::shutdown::LEAVE_NS;
use crate::error::{Error, Kind, Result};
use crate::future::due::List;
use crate::future::owner::OwnerRef;
use crate::future::phase::Phase;
use crate::platform::clock::Instant;
use crate::platform::poll::WAKE;
use crate::platform::thread;
use crate::sync::{Timeout, spin_loop};
use std::ffi::c_void;
use std::ptr::NonNull;

/// What the poller calls the supervisor's socket.
pub(super) const SUPERVISOR: u64 = 0;
/// Looks at the rings before it sleeps, while tasks are under way.
const LOOKS: u32 = 400;
/// After something has been asked for in vain.
const RETRY_NS: u64 = 5_000_000;
/// Between two looks for waiting tasks that an idle worker could have.
const REBALANCE_NS: u64 = 100_000;

/// Starts the manager of a pool, which keeps the pool alive.
pub(super) fn start(pool: &Pool) -> Result<()> {
    let owner = pool.retain().into_raw();
    match thread::spawn(main, owner.as_ptr().cast(), 0) {
        Ok(thread) => {
            pool.state.lock().manager = Some(thread);
            Ok(())
        }
        Err(errno) => {
            // SAFETY: the count that the thread would have had.
            drop(unsafe { OwnerRef::adopt(owner) });
            let text = "no thread could be created to look after a process pool";
            Err(Error::new(Kind::System, format_args!("{text}: {errno}")))
        }
    }
}

extern "C-unwind" fn main(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passed a counted reference to a live pool.
    let owner = unsafe { OwnerRef::adopt(NonNull::new_unchecked(argument.cast())) };
    // SAFETY: `owner` keeps it.
    let pool = unsafe { Pool::of(owner.as_ptr()) };
    pool.name_thread("manage");
    // U1: nothing here calls the user. A panic is a defect: the pool breaks, and the rest of its
    // work ends, rather than that it hangs.
    let mut round = Round::new();
    while !matches!(crate::unwind::contain(|| pool.manage(&mut round)), Ok(true)) {}
    pool.end();
    drop(owner);
    std::ptr::null_mut()
}

impl Pool {
    /// One round, and the sleep after it; true: the pool has ended.
    fn manage(&self, round: &mut Round) -> bool {
        let now = Instant::now();
        round.busy = false;
        let was_settled;
        let next = {
            let mut state = self.state.lock();
            self.hear_supervisor(&mut state, round, now);
            self.collect(&mut state, round);
            self.kill_passed(&mut state, now);
            self.see_to_supervisor(&mut state, round, now);
            if round.breaks.is_none() {
                // A pool that is about to break gets no more.
                self.see_to_workers(&mut state, now);
            }
            state.stalled = false;
            self.dispatch(&mut state, now);
            self.take_ended(&mut state, round);
            was_settled = self.is_settled();
            if self.is_over(&mut state, now) {
                return true;
            }
            self.next_look(&mut state, now)
        };
        {
            let _settling = Settling::begin_round(self);
            self.expire_passed(now, round);
            self.settle_round(round);
        }
        // The pool may be over now: others may have settled the last tasks while this thread was
        // not done, and then left it to this one to notice.
        round.busy |= !was_settled && self.is_settled();
        self.restart_supervisor(round);
        if let Some(timeline) = &self.timeline {
            if !round.busy {
                timeline.sample_now(self.load());
            }
            timeline.tend();
        }
        let deadline = [next, self.timers.next(), self.notifier.tend(self, now)];
        if round.busy || self.look() {
            return false;
        }
        self.sleep(deadline.into_iter().flatten().min());
        false
    }

    /// Looks for a moment whether something comes, if something is under way; true: it did.
    fn look(&self) -> bool {
        if !self.may_look {
            return false;
        }
        for _ in 0..LOOKS {
            {
                let mut state = self.state.lock();
                let mut at_work = false;
                for child in state.children_mut().filter(|child| child.in_flight > 0) {
                    at_work = true;
                    if child.wire.has_answer() {
                        return true;
                    }
                }
                if !at_work {
                    return false;
                }
            }
            for _ in 0..8 {
                spin_loop();
            }
        }
        false
    }

    fn sleep(&self, deadline: Option<Instant>) {
        {
            let mut state = self.state.lock();
            if !state.children_mut().all(|child| child.wire.announce_wait()) {
                return self.end_wait(&state);
            }
            state.manager_sleeps = true;
        }
        let mut tokens = [0u64; 64];
        let count = self.poller.wait(&mut tokens, deadline);
        let mut state = self.state.lock();
        state.manager_sleeps = false;
        self.end_wait(&state);
        for &token in &tokens[..count] {
            if token == WAKE || token == SUPERVISOR {
                continue;
            }
            let (number, generation) = ((token as u32).wrapping_sub(1), (token >> 32) as u32);
            if let Some(child) = state.child(number, generation) {
                let child: *mut _ = child;
                // SAFETY: P1: the state is locked.
                self.drain_socket(unsafe { &mut *child });
                // SAFETY: as above. Level-triggered: an end of file would wake for ever.
                if unsafe { (*child).disconnected.is_some() } {
                    // SAFETY: as above.
                    self.poller.remove(unsafe { (*child).fd() });
                }
            }
        }
    }

    fn end_wait(&self, state: &State) {
        for child in state.children() {
            child.wire.end_wait();
        }
    }

    /// When there is something to look at, though nothing may have happened.
    fn next_look(&self, state: &mut State, now: Instant) -> Option<Instant> {
        let begins = self.next_begin(state);
        state.looks_again = self.wants_rebalance(state);
        state.watches = begins.is_some();
        let children = state.children().map(|child| child.next_look());
        let idle = self.next_idle_exit(state);
        let rebalance = state.looks_again.then(|| now.plus(REBALANCE_NS));
        let stalled = state.stalled && !state.backlog.is_empty();
        let retry = (self.wants_worker(state) || state.supervisor.must_retry() || stalled)
            .then(|| now.plus(RETRY_NS));
        let supervisor = self.next_look_at_supervisor(state);
        children.chain([idle, rebalance, retry, supervisor, begins]).flatten().min()
    }

    /// Tasks that somebody settled while they waited to be run again.
    fn take_ended(&self, state: &mut State, round: &mut Round) {
        while let Some(task) = state.ended.pop() {
            self.drop_settled(task, round);
        }
    }

    // ---- how many workers ----

    /// Whether there is work that a further worker would do.
    pub(super) fn wants_worker(&self, state: &State) -> bool {
        let most = self.config.workers as usize;
        let is_live = |child: &&Child| child.phase != Life::Dying;
        let live = state.children().filter(is_live).count();
        // A worker on its last task has a successor by the time it is done.
        if state.killing || live >= most && (live >= most * 2 || !self.has_used_up(state)) {
            return false;
        }
        // At rest all that is left there was settled: a worker would have nothing to do.
        let backlog = if self.is_settled() { 0 } else { state.backlog.len() };
        let (mut usable, mut starting, mut idle, mut waiting) = (0, 0, 0, backlog);
        for child in state.children() {
            match child.phase {
                Life::Starting => (usable, starting) = (usable + 1, starting + 1),
                Life::Ready => {
                    let takes = !self.is_used_up(child);
                    usable += usize::from(takes);
                    idle += usize::from(takes && child.in_flight == 0);
                    // What was handed over ahead waits as well as what was not; also where the
                    // worker takes no more: its task may take long, or it may be stopped.
                    waiting += child.order.len().saturating_sub(1);
                }
                Life::Leaving | Life::Dying => {}
            }
        }
        usable < most && (state.warm || waiting > starting + idle)
    }

    fn has_used_up(&self, state: &State) -> bool {
        state.children().any(|child| child.phase == Life::Leaving || self.is_used_up(child))
    }

    pub(super) fn is_used_up(&self, child: &Child) -> bool {
        let limit = self.config.tasks_per_worker;
        child.overweight || limit != 0 && child.given >= limit
    }

    fn see_to_workers(&self, state: &mut State, now: Instant) {
        while self.wants_worker(state) && self.request_worker(state, now) {}
        for number in 0..state.children.len() {
            let Some(mut child) = state.children[number] else { continue };
            // SAFETY: P1; `state` is not used for this child otherwise.
            let child = unsafe { child.as_mut() };
            let done = child.phase == Life::Ready && child.in_flight == 0;
            if done && (self.is_used_up(child) || self.is_superfluous(state, child, now)) {
                self.retire(child, now);
            }
        }
    }

    /// Tells a worker to leave.
    fn retire(&self, child: &mut Child, now: Instant) {
        if child.wire.push_exit() {
            child.phase = Life::Leaving;
            child.phase_since = now;
            child.deadline = Some(now.plus(LEAVE_NS));
            child.wire.ring_worker();
        }
    }

    fn is_superfluous(&self, state: &State, child: &Child, now: Instant) -> bool {
        if self.phase() != Phase::Open && self.is_done(state) && state.backlog.is_empty() {
            return true;
        }
        let Some(idle) = self.config.idle_ns else { return false };
        let ready = state.children().filter(|child| child.phase == Life::Ready).count();
        ready > self.config.keep as usize && child.idle_since.plus(idle) <= now
    }

    fn next_idle_exit(&self, state: &State) -> Option<Instant> {
        let idle = self.config.idle_ns?;
        let ready = || state.children().filter(|child| child.phase == Life::Ready);
        if ready().count() <= self.config.keep as usize {
            return None;
        }
        ready().filter(|child| child.in_flight == 0).map(|child| child.idle_since.plus(idle)).min()
    }

    // ---- the end ----

    /// Steps 6 and 7 of `shutdown`, as far as it is time for them; true: the pool has ended.
    fn is_over(&self, state: &mut State, now: Instant) -> bool {
        if self.phase() != Phase::Closing || !self.is_done(state) {
            return false;
        }
        for number in 0..state.children.len() {
            let Some(mut child) = state.children[number] else { continue };
            // SAFETY: P1; `state` is not used for this child otherwise.
            let child = unsafe { child.as_mut() };
            match child.phase {
                // It has nothing to lose, and may take long to be ready.
                Life::Starting => self.kill_child(state, child, Why::Shutdown),
                Life::Ready => self.retire(child, now),
                Life::Leaving | Life::Dying => {}
            }
        }
        if state.children().next().is_some() {
            return false;
        }
        state.supervisor.has_ended(now)
    }

    /// The manager's last act.
    fn end(&self) {
        self.advance(Phase::Closing);
        self.settle_waiting();
        let calls = List::take();
        self.notifier.hand(Batch { calls, note: None }, Instant::now());
        let dropped = std::mem::replace(&mut self.state.lock().backlog, Backlog::new());
        drop(dropped); // what is left is settled
        // What became due in this thread must be called by somebody.
        let now = Instant::now();
        self.notifier.tend(self, now);
        while !self.notifier.is_quiet() {
            let next = self.notifier.tend(self, Instant::now());
            let mut tokens = [0u64; 64];
            self.poller.wait(&mut tokens, Some(next.unwrap_or(Instant::now().plus(1_000_000))));
        }
        self.notifier.close();
        self.state.lock().manager_gone = true;
        self.signal();
    }

    /// `cfut_executor_warm`: starts all workers; false: time-out.
    pub(crate) fn warm(&self, timeout: Timeout) -> Result<bool> {
        self.check_takes_work()?;
        {
            let mut state = self.state.lock();
            if self.all_ready(&state) {
                return Ok(true);
            }
            state.warm = true;
        }
        self.poller.wake();
        loop {
            // Acquire: pairs with the Release in `signal`; read before looking.
            let seen = self.events.load(crate::sync::Ordering::Acquire);
            self.check_takes_work()?;
            if self.all_ready(&self.state.lock()) {
                return Ok(true);
            }
            if timeout == Timeout::Now || !self.events.wait(seen, timeout.deadline()) {
                return Ok(self.all_ready(&self.state.lock()));
            }
        }
    }
}
