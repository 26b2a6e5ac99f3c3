//! What if time is up? Time-outs of tasks, and the grace of those that were told to stop.
//!
//! The worker, not the host, knows when a task begins. A task with a run time-out is entered
//! among the deadlines for the earliest time at which it could pass; if that comes and the task
//! began later, it is entered again.

use super::child::{Phase, Slot, Why};
use super::commands;
use super::dispatch::{note_withdrawn, take_revoked};
use super::pool::{Pool, State};
use super::results::{Arrival, Round};
use crate::error::Line;
use crate::future::cell::TaskRef;
use crate::future::extra::{Extra, Spec};
use crate::future::settle::Verdict;
use crate::future::state::{Life, Outcome};
use crate::future::timer::{NEVER, Nanoseconds, first_deadline};
use crate::platform::clock::Instant;
use crate::sync::Ordering;

/// A worker whose end of the socket is closed has so long to end by itself.
pub(super) const DISCONNECTED_NS: u64 = 100_000_000;

/// The bit of a slot that a task sees as its stop flag.
const STOP: u32 = 1;

/// What is to be done with a task whose deadline has passed.
enum Passed {
    /// It is settled, or out of reach.
    Nothing,
    Again(Instant),
    Expire {
        option: &'static str,
        timeout: i64,
        running: bool,
    },
}

impl Pool {
    /// A task with a run time-out has been handed over, and may begin at once.
    pub(super) fn expect_start(&self, task: &TaskRef, spec: &Spec, now: Instant) {
        let Some(extra) = task.extra_in(task.snapshot()) else { return };
        // Relaxed, both: published with the task.
        let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
        let queued = Instant(extra.queued_at.load(Ordering::Relaxed));
        let waiting = first_deadline(accepted, &[spec.total_timeout])
            .min(first_deadline(queued, &[spec.queue_timeout]));
        let running = first_deadline(now, &[spec.run_timeout]);
        if self.timers.enter(task, waiting.min(running)) {
            self.poller.wake();
        }
    }

    /// Expires what has passed by `now`. Called with no lock held, by the manager.
    pub(super) fn expire_passed(&self, now: Instant, round: &mut Round) {
        while let Some(task) = self.timers.pop_passed(now) {
            round.busy = true;
            let passed = {
                let mut state = self.state.lock();
                self.look_at_passed(&mut state, &task, now)
            };
            match passed {
                Passed::Nothing => {}
                Passed::Again(deadline) => {
                    self.timers.enter(&task, deadline);
                }
                Passed::Expire { option, timeout, running } => {
                    self.expire(task, option, timeout, running, now, round);
                }
            }
        }
    }

    fn look_at_passed(&self, state: &mut State, task: &TaskRef, now: Instant) -> Passed {
        let Some(spec) = task.spec() else { return Passed::Nothing };
        let Some(extra) = task.extra_in(task.snapshot()) else { return Passed::Nothing };
        let spec: &Spec = spec;
        let handed = self.refresh_in(state, task);
        match task.snapshot().life() {
            Life::Pending => pending_passed(spec, extra, handed, now),
            Life::Running => {
                let began = match state.find(task) {
                    Some((child, slot)) => child.wire.started_ns(slot),
                    None => commands::began(task),
                };
                running_passed(spec, extra, began, now)
            }
            Life::Cancelled | Life::Finished => Passed::Nothing,
        }
    }

    fn expire(
        &self,
        task: TaskRef,
        option: &str,
        timeout: i64,
        running: bool,
        now: Instant,
        round: &mut Round,
    ) {
        let what = if running { "while it ran" } else { "before it started" };
        let line =
            Line::of(format_args!("expired {what}: {option} of {} passed", Nanoseconds(timeout)));
        let verdict = Verdict::because(Outcome::Expired, 0, line.as_bytes());
        if running {
            task.settle_if(&task, |_| true, verdict);
            self.stop_task(&task, true, now);
        } else {
            self.withdraw_task(&task);
            if task.snapshot().life() == Life::Pending {
                round.push(Arrival::Verdict(task, verdict));
            } else {
                // It has begun in this moment: its other deadlines.
                self.timers.enter(&task, now);
            }
        }
    }

    // ---- stopping ----

    /// Raises the stop flag of a task in a worker; with `kill` the worker ends after the grace
    /// unless the task does.
    pub(super) fn stop_task(&self, task: &TaskRef, kill: bool, now: Instant) {
        let mut state = self.state.lock();
        let Some((child, slot)) = state.find(task) else { return };
        child.wire.slot(slot).raise_stop(STOP);
        if !kill {
            return;
        }
        let grace = task.spec().map_or(crate::future::extra::DEFAULT_GRACE, |spec| spec.grace);
        let at = if grace < 0 { NEVER } else { now.plus(grace as u64) };
        if let Slot::Handed(handed) = &mut child.slots[slot as usize] {
            if handed.kill_at.is_none() {
                child.kills += 1;
            }
            handed.kill_at = Some(handed.kill_at.map_or(at, |before| before.min(at)));
        }
        drop(state);
        self.poller.wake();
    }

    /// Takes a task that has not begun back from its worker, for good: the caller settles it.
    /// If it has begun, it is RUNNING here, too, afterwards.
    pub(super) fn withdraw_task(&self, task: &TaskRef) {
        let mut state = self.state.lock();
        let taken = match state.find(task) {
            Some((child, slot)) if child.wire.slot(slot).revoke() => {
                if let Some(at) = child.order.iter().position(|&other| other == slot) {
                    child.order.remove(at);
                }
                take_revoked(child, slot)
            }
            Some(_) => {
                self.mark_started(task);
                None
            }
            None => None,
        };
        if task.snapshot().is_pending() {
            note_withdrawn(task);
        }
        drop(state);
        drop(taken);
    }

    /// Makes a task RUNNING here if its worker has begun with it; whether one has it.
    pub(super) fn refresh_in(&self, state: &mut State, task: &TaskRef) -> bool {
        let Some((child, slot)) = state.find(task) else { return false };
        if child.wire.is_started(slot) {
            self.mark_started(task);
        }
        true
    }

    /// Kills workers whose time has come. Called under `state`.
    pub(super) fn kill_passed(&self, state: &mut State, now: Instant) {
        for number in 0..state.children.len() {
            let Some(mut child) = state.children[number] else { continue };
            // SAFETY: P1; `state` is not used for this child otherwise.
            let child = unsafe { child.as_mut() };
            if child.next_kill().is_some_and(|at| at <= now) {
                self.kill_child(state, child, Why::Stubborn);
            }
            if child.disconnected.is_some() && child.phase != Phase::Dying {
                self.take_all_back(state, child);
            }
            let late = child.deadline.is_some_and(|deadline| deadline <= now);
            match child.phase {
                // One that has not even been made is the supervisor's fault.
                Phase::Starting if late && child.pid != 0 => {
                    self.kill_child(state, child, Why::StartTimeout)
                }
                Phase::Leaving if late => self.kill_child(state, child, Why::LeaveTimeout),
                Phase::Dying if late => self.kill_again(state, child, now),
                Phase::Dying => {}
                _ if child.wire.is_damaged() => self.kill_child(state, child, Why::Damaged),
                // Most often it is just ending, and the supervisor will tell. If not, it has lost
                // its connection and must go.
                _ => match child.disconnected {
                    Some(since) if now >= since.plus(DISCONNECTED_NS) => {
                        self.kill_child(state, child, Why::Disconnected);
                    }
                    _ => {}
                },
            }
        }
    }
}

fn pending_passed(spec: &Spec, extra: &Extra, handed: bool, now: Instant) -> Passed {
    // Relaxed, both: published with the entry in the table.
    let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed));
    let queued = Instant(extra.queued_at.load(Ordering::Relaxed));
    let by_total = first_deadline(accepted, &[spec.total_timeout]);
    // 0: a piped task that waits for its input.
    let by_queue =
        if queued.0 == 0 { NEVER } else { first_deadline(queued, &[spec.queue_timeout]) };
    let expire = |option, timeout| Passed::Expire { option, timeout, running: false };
    if by_queue <= now {
        return expire("CFUT_TASK_QUEUE_TIMEOUT_NS", spec.queue_timeout);
    }
    if by_total <= now {
        return expire("CFUT_TASK_TOTAL_TIMEOUT_NS", spec.total_timeout);
    }
    let by_run = if handed { first_deadline(now, &[spec.run_timeout]) } else { NEVER };
    Passed::Again(by_queue.min(by_total).min(by_run))
}

fn running_passed(spec: &Spec, extra: &Extra, began: Option<u64>, now: Instant) -> Passed {
    let accepted = Instant(extra.accepted_at.load(Ordering::Relaxed)); // published with the task
    let by_total = first_deadline(accepted, &[spec.total_timeout]);
    let by_run = began.map_or(NEVER, |began| {
        // What the worker says is believed as far as it lies between two things known here.
        let began = Instant(began.clamp(accepted.0.min(now.0), now.0));
        first_deadline(began, &[spec.run_timeout])
    });
    if by_total <= now {
        let timeout = spec.total_timeout;
        return Passed::Expire { option: "CFUT_TASK_TOTAL_TIMEOUT_NS", timeout, running: true };
    }
    if by_run <= now {
        let timeout = spec.run_timeout;
        return Passed::Expire { option: "CFUT_TASK_RUN_TIMEOUT_NS", timeout, running: true };
    }
    match by_total.min(by_run) {
        // The worker is just writing down when it began, or the task is to be run again.
        NEVER if began.is_none() && spec.run_timeout >= 0 => Passed::Again(now.plus(1_000_000)),
        NEVER => Passed::Nothing,
        deadline => Passed::Again(deadline),
    }
}
