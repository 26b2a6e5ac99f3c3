//! What is going on in a view: single figures, and everything as JSON.

use super::view::View;
use crate::future::cell::TaskRef;
use crate::future::remote;
use crate::future::state::Life;
use crate::trace::figures::{Figure, age_ns, write_text};
use crate::trace::stats::Totals;
use std::fmt::{self, Write};

/// Waiting tasks that a snapshot shows one by one.
const SHOWN: usize = 100;

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
        let phase = self.gate.lock().phase;
        write!(
            out,
            "{{\"kind\":\"limited\",\"phase\":\"{phase:?}\",\"max_running\":{},\"submitted\":{},\
             \"queued\":{},\"running\":{},\"succeeded\":{},\"failed\":{},\"cancelled\":{},\
             \"expired\":{},\"crashed\":{},\"oldest_queued_ns\":{},\"placed\":[",
            self.most,
            totals.submitted,
            counts.queued,
            counts.running,
            totals.succeeded,
            totals.failed,
            totals.cancelled,
            totals.expired,
            totals.crashed,
            counts.oldest.map_or(0, age_ns)
        )?;
        let mut comma = "";
        for (task, life) in self.placed().take(SHOWN) {
            write_task(out, comma, &task, life)?;
            comma = ",";
        }
        out.write_str("],\"queue\":[")?;
        let mut comma = "";
        let gate = self.gate.lock();
        for task in gate.waiting.tasks().take(SHOWN) {
            write_task(out, comma, &task, task.snapshot().life())?;
            comma = ",";
        }
        drop(gate);
        out.write_str("]}")
    }
}

fn write_task(out: &mut dyn Write, comma: &str, task: &TaskRef, life: Life) -> fmt::Result {
    write!(out, "{comma}{{\"age_ns\":{},\"name\":", age_ns(task.accepted_at()))?;
    write_text(out, task.spec().map_or(b"", |spec| spec.name.as_bytes()))?;
    write!(out, ",\"state\":\"{life:?}\"}}")
}
