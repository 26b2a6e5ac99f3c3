//! What is going on in a loop: single figures, and everything as JSON.

use super::event_loop::Loop;
use crate::trace::figures::{Figure, age_ns, write_text};
use crate::trace::stats::Totals;
use std::fmt::{self, Write};

/// Queued tasks that a snapshot shows one by one.
const SHOWN: usize = 100;

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
        let totals = self.totals();
        let oldest = self.oldest_queued_ns();
        write!(out, "{{\"kind\":\"loop\",\"name\":")?;
        write_text(out, self.config.name.as_bytes())?;
        let state = self.state.lock();
        write!(
            out,
            ",\"phase\":\"{:?}\",\"runners\":{},\"idle\":{},\"submitted\":{},\"queued\":{},\
             \"running\":{},\"detached\":{},\"succeeded\":{},\"failed\":{},\"cancelled\":{},\
             \"expired\":{},\"oldest_queued_ns\":{oldest},\"queue\":[",
            state.phase,
            state.runners,
            state.sleepers,
            totals.submitted,
            state.queued(),
            state.running,
            state.detached,
            totals.succeeded,
            totals.failed,
            totals.cancelled,
            totals.expired,
        )?;
        let mut comma = "";
        for task in state.entries().take(SHOWN) {
            write!(out, "{comma}{{\"age_ns\":{},\"name\":", age_ns(task.accepted_at()))?;
            write_text(out, task.spec().map_or(b"", |spec| spec.name.as_bytes()))?;
            out.write_str("}")?;
            comma = ",";
        }
        out.write_str("]}")
    }
}
