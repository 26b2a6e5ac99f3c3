//! What is going on in a pool: single figures, and everything as JSON.

use super::child::{Phase as Life, Slot};
use super::pool::Pool;
use crate::platform::clock::Instant;
use crate::trace::figures::{Figure, age_ns, write_commands, write_text};
use std::fmt::{self, Write};

/// Queued tasks that a snapshot shows one by one.
const SHOWN: usize = 100;

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
            Figure::OldestQueuedNs => {
                let waiting = state.backlog.iter().map(|task| task.accepted_at());
                let waiting = waiting.chain(self.lane.oldest()).min();
                waiting.map_or(0, age_ns)
            }
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
        let totals = self.totals();
        write!(out, "{{\"kind\":\"process_pool\",\"name\":")?;
        write_text(out, self.config.name.as_bytes())?;
        write!(out, ",\"phase\":\"{:?}\",\"broken\":", self.phase())?;
        match self.reason() {
            Some(reason) => write_text(out, reason.text.as_bytes())?,
            None => out.write_str("null")?,
        }
        let state = self.state.lock();
        write!(
            out,
            ",\"max_workers\":{},\"supervisor\":{},\"started\":{},\"average_ns\":{}",
            self.config.workers,
            state.supervisor.pid(),
            state.started,
            state.average_ns
        )?;
        write!(
            out,
            ",\"submitted\":{},\"queued\":{},\"running\":{},\"succeeded\":{},\"failed\":{},\
             \"cancelled\":{},\"expired\":{},\"crashed\":{},\"taken_back\":{}",
            totals.submitted,
            totals.queued(),
            totals.running(),
            totals.succeeded,
            totals.failed,
            totals.cancelled,
            totals.expired,
            totals.crashed,
            state.stolen
        )?;
        out.write_str(",\"workers\":[")?;
        let now = Instant::now();
        let mut comma = "";
        for child in state.children() {
            write!(
                out,
                "{comma}{{\"worker\":{},\"pid\":{},\"state\":\"{:?}\",\"given\":{},\"tasks\":[",
                child.number, child.pid, child.phase, child.given
            )?;
            comma = ",";
            let mut inner = "";
            for &slot in &child.order {
                let Slot::Handed(handed) = &child.slots[slot as usize] else { continue };
                let task = &handed.task;
                write!(out, "{inner}{{\"name\":")?;
                write_text(out, task.spec().map_or(b"", |spec| spec.name.as_bytes()))?;
                if child.wire.is_started(slot) {
                    let ran = now.0.saturating_sub(child.wire.started_ns(slot).unwrap_or(now.0));
                    write!(out, ",\"state\":\"running\",\"task_ns\":{ran}}}")?;
                } else {
                    let age = age_ns(task.accepted_at());
                    write!(out, ",\"state\":\"waiting\",\"age_ns\":{age}}}")?;
                }
                inner = ",";
            }
            out.write_str("]}")?;
        }
        out.write_str("],\"queue\":[")?;
        comma = "";
        for task in state.backlog.iter().take(SHOWN) {
            write!(out, "{comma}{{\"age_ns\":{},\"name\":", age_ns(task.accepted_at()))?;
            write_text(out, task.spec().map_or(b"", |spec| spec.name.as_bytes()))?;
            write!(out, ",\"state\":\"{:?}\"}}", task.snapshot().life())?;
            comma = ",";
        }
        out.write_str("]")?;
        drop(state);
        write_commands(out, &self.lane)?;
        out.write_str("}")
    }
}
