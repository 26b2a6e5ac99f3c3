//! What is going on in a loop: single figures, and everything as JSON.

use super::event_loop::Loop;
use crate::trace::figures::{Figure, age_ns};
use crate::trace::snapshot::{Head, Task, Tasks};
use crate::trace::stats::Totals;
use std::fmt::{self, Write};

impl Loop {
    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        totals.add(&self.tally);
        totals
    }

    fn oldest_queued_ns(&self) -> u64 {
        let oldest = self.state.lock().entries().map(|task| task.accepted_at()).min();
        oldest.map_or(0, age_ns)
    }

    pub(crate) fn figure(&self, figure: Figure) -> u64 {
        let totals = self.totals();
        match figure {
            Figure::Workers => self.state.lock().runners as u64,
            Figure::IdleWorkers => self.state.lock().sleepers as u64,
            Figure::Queued => self.state.lock().queued() as u64,
            Figure::Running => {
                let state = self.state.lock();
                (state.running + state.detached) as u64
            }
            Figure::Submitted => totals.submitted,
            Figure::Succeeded => totals.succeeded,
            Figure::Failed => totals.failed,
            Figure::Cancelled => totals.cancelled,
            Figure::Expired => totals.expired,
            // It has no workers to start, or that die, or that steal, and cannot break.
            Figure::Crashed
            | Figure::Stolen
            | Figure::WorkersStarted
            | Figure::MaxWorkers
            | Figure::Broken => 0,
            Figure::OldestQueuedNs => self.oldest_queued_ns(),
        }
    }

    /// Writes the loop's state as JSON.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> fmt::Result {
        let oldest_queued_ns = self.oldest_queued_ns();
        let mut tasks = Tasks::new();
        self.running.add_to(&mut tasks, None);
        let (phase, runners, idle, queued, running, detached) = {
            let state = self.state.lock();
            for task in state.entries().take(tasks.room()) {
                tasks.push(Task::queued(task, None, 1));
            }
            let running = state.running + state.detached;
            (state.phase, state.runners, state.sleepers, state.queued(), running, state.detached)
        };
        let head = Head {
            kind: "loop",
            name: self.config.name.as_bytes(),
            phase,
            broken: None,
            // The threads that call cfut_loop_run are the user's.
            max_workers: 0,
            workers_started: 0,
            totals: self.totals(),
            queued: queued as u64,
            running: running as u64,
            stolen: 0,
            detached: detached as u64,
            oldest_queued_ns,
        };
        head.write(out)?;
        write!(out, ",\"runners\":{runners},\"idle\":{idle},\"workers\":[]")?;
        tasks.write(out, head.all_tasks())?;
        out.write_str("}")
    }
}
