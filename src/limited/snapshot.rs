//! What is going on in a view: single figures, and everything as JSON.

use super::view::View;
use crate::future::cell::TaskRef;
use crate::future::remote;
use crate::future::state::Life;
use crate::trace::figures::{Figure, age_ns};
use crate::trace::snapshot::{Head, Task, Tasks};
use crate::trace::stats::Totals;
use std::fmt::{self, Write};

/// How many tasks of a view wait, here or with the parent, and run; and since when the oldest
/// waits, in ticks.
#[derive(Default)]
struct Counts {
    queued: u64,
    running: u64,
    oldest: Option<u64>,
}

impl View {
    /// None: what the root says holds for the view, too.
    pub(crate) fn figure(&self, figure: Figure) -> Option<u64> {
        let mut totals = Totals::default();
        totals.add(&self.tally);
        Some(match figure {
            Figure::Queued => self.counts().queued,
            Figure::Running => self.counts().running,
            Figure::OldestQueuedNs => self.counts().oldest.map_or(0, age_ns),
            Figure::Submitted => totals.submitted,
            Figure::Succeeded => totals.succeeded,
            Figure::Failed => totals.failed,
            Figure::Cancelled => totals.cancelled,
            Figure::Expired => totals.expired,
            Figure::Crashed => totals.crashed,
            Figure::Workers
            | Figure::IdleWorkers
            | Figure::Stolen
            | Figure::WorkersStarted
            | Figure::MaxWorkers
            | Figure::Broken => return None,
        })
    }

    /// The tasks that hold a place. Looked at without the gate: one in another process is asked.
    fn placed(&self) -> impl Iterator<Item = (TaskRef, Life)> {
        let mut number = 0;
        std::iter::from_fn(move || {
            let task = self.gate.lock().placed.tasks().nth(number)?;
            number += 1;
            let life = remote::life(&task);
            Some((task, life))
        })
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        {
            let gate = self.gate.lock();
            counts.queued = gate.waiting.count as u64;
            counts.oldest = gate.waiting.tasks().next().map(|task| task.accepted_at());
        }
        for (task, life) in self.placed() {
            match life {
                Life::Pending => {
                    let since = task.accepted_at();
                    counts.oldest = Some(counts.oldest.map_or(since, |oldest| oldest.min(since)));
                    counts.queued += 1;
                }
                _ => counts.running += 1,
            }
        }
        counts
    }

    /// Writes the view's state as JSON.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> fmt::Result {
        let mut totals = Totals::default();
        totals.add(&self.tally);
        let counts = self.counts();
        let mut tasks = Tasks::new();
        for (task, life) in self.placed().take(tasks.room()) {
            // Since when it runs the parent knows.
            let running = life != Life::Pending;
            tasks.push(Task { running, ..Task::queued(&task, None, 1) });
        }
        let phase = {
            let gate = self.gate.lock();
            for task in gate.waiting.tasks().take(tasks.room()) {
                tasks.push(Task::queued(&task, None, 1));
            }
            gate.phase
        };
        let head = Head {
            kind: "limited",
            name: b"",
            phase,
            broken: None,
            max_workers: u64::from(self.most),
            workers_started: 0,
            totals,
            queued: counts.queued,
            running: counts.running,
            stolen: 0,
            // They are among those that run; the parent tells them apart.
            detached: 0,
            oldest_queued_ns: counts.oldest.map_or(0, age_ns),
        };
        head.write(out)?;
        out.write_str(",\"workers\":[]")?;
        tasks.write(out, head.all_tasks())?;
        out.write_str("}")
    }
}
