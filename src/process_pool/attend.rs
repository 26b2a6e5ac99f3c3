//! A thread of the host that waits for a task looks at its worker's answers itself, for a moment.
//!
//! An answer that is just coming then costs no wake-up: neither of the manager, by the worker's
//! bell, nor of the waiting thread, by the manager. While somebody looks the worker need not ring;
//! afterwards it must again, if the manager sleeps.

use super::pool::Pool;
use super::results::Round;
use crate::future::cell::TaskRef;
use crate::platform::{clock, thread};
use crate::sync::spin_loop;

/// As long as nothing comes, where tasks are short: longer than it takes to wake a worker (about
/// 50 us on a virtual machine), for a thread that falls asleep meanwhile has to be woken in its turn,
/// and by then the worker sleeps again.
const LOOK_NS: u64 = 120_000;
/// After this the processor is offered to others between two looks.
const POLITE_NS: u64 = 5_000;
/// Where they are not.
const GLANCE_NS: u64 = 5_000;
/// What is short.
const SHORT_NS: u64 = 20_000;
/// In all, however much comes: the caller may have a time-out.
const MOST_NS: u64 = 500_000;

impl Pool {
    /// Called with no lock held, in any thread but the manager. What becomes due is left to the
    /// notifier.
    pub(super) fn attend(&self, task: &TaskRef) {
        if !self.may_look {
            return;
        }
        let Some((number, generation, look_ns)) = self.child_of(task) else { return };
        let mut round = Round::new();
        let (pause, most) = (clock::ns_to_ticks(look_ns), clock::ns_to_ticks(MOST_NS));
        let polite = clock::ns_to_ticks(POLITE_NS);
        let began = clock::ticks();
        let mut last = began;
        loop {
            let now = clock::ticks();
            if now.wrapping_sub(last) > pause || now.wrapping_sub(began) > most {
                break;
            }
            if let Some(more) = self.take_from(number, generation, &mut round) {
                self.settle_round(&mut round);
                if more || self.notifier.wants_thread() {
                    self.poller.wake();
                }
                last = clock::ticks();
            }
            if task.snapshot().is_settled() {
                break;
            }
            if now.wrapping_sub(last) > polite {
                // The worker may wait for this processor.
                thread::yield_now();
            }
            for _ in 0..16 {
                spin_loop();
            }
        }
        self.give_back(number, generation);
    }

    /// The worker that a task was given to, and how long to look for its answer.
    fn child_of(&self, task: &TaskRef) -> Option<(u32, u32, u64)> {
        let mut state = self.state.lock();
        let look_ns = if state.average_ns < SHORT_NS { LOOK_NS } else { GLANCE_NS };
        state.find(task).map(|(child, _)| (child.number, child.generation, look_ns))
    }

    /// Takes what a worker has answered; None: nothing. Else whether the manager, which may sleep,
    /// has something to do now: for workers, or for when they are idle.
    fn take_from(&self, number: u32, generation: u32, round: &mut Round) -> Option<bool> {
        let mut state = self.state.try_lock()?;
        let child = state.child(number, generation)?;
        child.wire.end_wait();
        if !child.wire.has_answer() {
            return None;
        }
        let child: *mut _ = child;
        round.busy = false;
        // SAFETY: P1; `state` is not used for this child otherwise.
        self.collect_from(&mut state, unsafe { &mut *child }, round);
        self.dispatch(&mut state, clock::Instant::now());
        // SAFETY: as above.
        let child = unsafe { &*child };
        let idle = child.in_flight == 0 && self.config.idle_ns.is_some();
        Some(idle || self.is_used_up(child) || self.wants_manager(&mut state))
    }

    /// From now on the manager has to see to the worker again.
    fn give_back(&self, number: u32, generation: u32) {
        let mut state = self.state.lock();
        if !state.manager_sleeps {
            return; // it looks before it sleeps
        }
        let come = state.child(number, generation).is_some_and(|child| !child.wire.announce_wait());
        drop(state);
        if come {
            self.poller.wake();
        }
    }
}
