//! What is going on in a pool: single figures, and everything as JSON.

use super::child::{Child, Phase as Life, Slot};
use super::pool::{Pool, State};
use crate::future::cell::TaskCell;
use crate::platform::clock::Instant;
use crate::sync::Ordering;
use crate::trace::figures::{Figure, age_ns};
use crate::trace::snapshot::{Head, SHOWN, Task, Tasks, Worker};
use std::fmt::{self, Write};

impl Pool {
    pub(crate) fn figure(&self, figure: Figure) -> u64 {
        self.refresh_all();
        let totals = self.totals();
        let state = self.state.lock();
        let ready = || state.children().filter(|child| child.phase == Life::Ready);
        match figure {
            Figure::Workers => state.children().filter(|child| child.pid != 0).count() as u64,
            Figure::IdleWorkers => ready().filter(|child| child.in_flight == 0).count() as u64,
            Figure::Queued => totals.queued(),
            Figure::Running => totals.running(),
            Figure::Submitted => totals.submitted,
            Figure::Succeeded => totals.succeeded,
            Figure::Failed => totals.failed,
            Figure::Cancelled => totals.cancelled,
            Figure::Expired => totals.expired,
            Figure::Crashed => totals.crashed,
            Figure::Stolen => state.stolen,
            Figure::WorkersStarted => state.started,
            Figure::OldestQueuedNs => self.oldest_of_all(&state).map_or(0, age_ns),
            Figure::MaxWorkers => u64::from(self.config.workers),
            Figure::Broken => {
                drop(state);
                u64::from(self.reason().is_some())
            }
        }
    }

    /// Makes every task that has begun RUNNING here, too.
    pub(super) fn refresh_all(&self) {
        let state = self.state.lock();
        for child in state.children() {
            for &slot in &child.order {
                if let Slot::Handed(handed) = &child.slots[slot as usize] {
                    if child.wire.is_started(slot) {
                        self.mark_started(&handed.task);
                    }
                }
            }
        }
    }

    /// Writes the pool's state as JSON.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> fmt::Result {
        self.refresh_all();
        let reason = self.reason();
        let (workers_started, stolen, average_ns, supervisor, oldest) = {
            let state = self.state.lock();
            let State { started, stolen, average_ns, .. } = *state;
            (started, stolen, average_ns, state.supervisor.pid(), self.oldest_of_all(&state))
        };
        let totals = self.totals();
        let head = Head {
            kind: "process_pool",
            name: self.config.name.as_bytes(),
            phase: self.phase(),
            broken: reason.as_ref().map(|reason| reason.text.as_bytes()),
            max_workers: u64::from(self.config.workers),
            workers_started,
            queued: totals.queued(),
            running: totals.running(),
            totals,
            stolen,
            // Tasks are detached in their workers, and run until they are settled.
            detached: 0,
            oldest_queued_ns: oldest.map_or(0, age_ns),
        };
        head.write(out)?;
        write!(out, ",\"supervisor\":{supervisor},\"average_ns\":{average_ns},\"workers\":[")?;
        self.write_workers(out)?;
        let mut tasks = Tasks::new();
        self.find_tasks(&mut tasks);
        self.lane.for_each(tasks.room(), |task| tasks.push(Task::command(task)));
        out.write_str("]")?;
        tasks.write(out, head.all_tasks())?;
        out.write_str("}")
    }

    /// Some at a time, for there may be two thousand.
    fn write_workers(&self, out: &mut dyn Write) -> fmt::Result {
        const AT_ONCE: usize = 64;
        let mut comma = "";
        for first in (0..self.config.workers as usize * 2).step_by(AT_ONCE) {
            let mut some = [None; AT_ONCE];
            let now = Instant::now();
            {
                let state = self.state.lock();
                let children = state.children.iter().skip(first);
                for (place, child) in some.iter_mut().zip(children) {
                    // SAFETY: P1: children are freed when they are taken out.
                    *place = child.map(|child| shown(unsafe { child.as_ref() }, now));
                }
            }
            for worker in some.iter().flatten() {
                worker.write(out, comma)?;
                comma = ",";
            }
        }
        Ok(())
    }

    fn find_tasks(&self, tasks: &mut Tasks) {
        let state = self.state.lock();
        let now = Instant::now();
        // Those that run, then those that wait with a worker.
        for running in [true, false] {
            for child in state.children() {
                for &slot in &child.order {
                    if !tasks.has_room() {
                        return;
                    }
                    let Slot::Handed(handed) = &child.slots[slot as usize] else { continue };
                    if child.wire.is_started(slot) != running {
                        continue;
                    }
                    let task = &handed.task;
                    let mut shown = Task::queued(task, Some(child.number), attempt_of(task));
                    shown.running = running;
                    shown.run_ns = running.then(|| ran_ns(child, slot, now));
                    tasks.push(shown);
                }
            }
        }
        // Of those that were settled meanwhile there may be any number.
        for task in state.backlog.iter().take(4 * SHOWN) {
            if !tasks.has_room() {
                return;
            }
            if !task.snapshot().is_settled() {
                tasks.push(Task::queued(task, None, attempt_of(task)));
            }
        }
    }
}

/// How long the task in a slot has run, by its worker's word.
fn ran_ns(child: &Child, slot: u16, now: Instant) -> u64 {
    now.0.saturating_sub(child.wire.started_ns(slot).unwrap_or(now.0))
}

fn attempt_of(task: &TaskCell) -> u32 {
    // Relaxed: P1.
    let extra = task.extra_in(task.snapshot());
    extra.map_or(0, |extra| extra.attempts.load(Ordering::Relaxed)) + 1
}

fn shown(child: &Child, now: Instant) -> Worker {
    let running = child.order.iter().find(|&&slot| child.wire.is_started(slot));
    let (state, state_ns) = match (child.phase, running) {
        (Life::Ready, Some(&slot)) => ("running", ran_ns(child, slot, now)),
        (Life::Ready, None) => ("idle", now.saturating_since(child.idle_since)),
        (Life::Starting, _) => ("starting", now.saturating_since(child.phase_since)),
        (Life::Leaving, _) => ("leaving", now.saturating_since(child.phase_since)),
        (Life::Dying, _) => ("dying", now.saturating_since(child.phase_since)),
    };
    let queued = child.waiting() as u64;
    Worker { number: child.number, pid: child.pid, tid: child.pid, state, state_ns, queued }
}

/// When the oldest waiting task was accepted. Lanes are in order but for tasks that come back to the
/// front, which are older.
pub(super) fn oldest_queued(state: &State) -> Option<u64> {
    let handed = state.children().flat_map(|child| {
        let waiting = child.order.iter().filter(|&&slot| child.wire.is_handed(slot));
        waiting.filter_map(|&slot| match &child.slots[slot as usize] {
            Slot::Handed(handed) => Some(handed.task.accepted_at()),
            _ => None,
        })
    });
    handed.chain(state.backlog.fronts().map(|task| task.accepted_at())).min()
}
