//! What is going on in a pool: single figures, and everything as JSON.

use super::pool::Pool;
use crate::future::cell::TaskCell;
use crate::sync::Ordering;
use crate::trace::figures::{Figure, age_ns, write_commands, write_text};
use std::fmt::{self, Write};

/// Queued tasks that a snapshot shows one by one.
const SHOWN: usize = 100;

impl Pool {
    pub(crate) fn figure(&self, figure: Figure) -> u64 {
        let totals = || self.totals();
        match figure {
            Figure::Workers => u64::from(self.roster.lock().workers),
            Figure::IdleWorkers => u64::from(self.sleep.census().idle()),
            Figure::Queued => totals().queued(),
            Figure::Running => totals().running() + self.detached_tasks(),
            Figure::Submitted => totals().submitted,
            Figure::Succeeded => totals().succeeded,
            Figure::Failed => totals().failed,
            Figure::Cancelled => totals().cancelled,
            Figure::Expired => totals().expired,
            Figure::Crashed => totals().crashed,
            Figure::Stolen => totals().stolen,
            Figure::WorkersStarted => self.roster.lock().started,
            Figure::OldestQueuedNs => self.oldest_of_all().map_or(0, age_ns),
            Figure::MaxWorkers => u64::from(self.sleep.limits().most),
            Figure::Broken => u64::from(self.reason().is_some()),
        }
    }

    fn detached_tasks(&self) -> u64 {
        // Relaxed: a figure.
        u64::try_from(self.detached.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Writes the pool's state as JSON.
    pub(crate) fn write_json(&self, out: &mut dyn Write) -> fmt::Result {
        let totals = self.totals();
        let census = self.sleep.census();
        write!(out, "{{\"kind\":\"thread_pool\",\"name\":")?;
        write_text(out, self.config.name.as_bytes())?;
        write!(out, ",\"phase\":\"{:?}\",\"broken\":", self.phase())?;
        match self.reason() {
            Some(reason) => write_text(out, reason.text.as_bytes())?,
            None => out.write_str("null")?,
        }
        write!(
            out,
            ",\"max_workers\":{},\"awake\":{},\"idle\":{},\"blocked\":{},\"dormant\":{}",
            self.sleep.limits().most,
            census.awake(),
            census.idle(),
            census.blocked(),
            census.dormant()
        )?;
        write!(
            out,
            ",\"submitted\":{},\"queued\":{},\"running\":{},\"detached\":{},\"succeeded\":{},\
             \"failed\":{},\"cancelled\":{},\"expired\":{},\"stolen\":{},\"oldest_queued_ns\":{}",
            totals.submitted,
            totals.queued(),
            totals.running(),
            self.detached_tasks(),
            totals.succeeded,
            totals.failed,
            totals.cancelled,
            totals.expired,
            totals.stolen,
            self.oldest_of_all().map_or(0, age_ns)
        )?;
        self.write_workers(out)?;
        self.write_queue(out)?;
        write_commands(out, &self.lane)?;
        out.write_str("}")
    }

    fn write_workers(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str(",\"workers\":[")?;
        let mut comma = "";
        for slot in self.slots() {
            let public = slot.public();
            // Relaxed: figures.
            let thread = public.thread.load(Ordering::Relaxed);
            if thread == 0 {
                continue;
            }
            let since = public.since.load(Ordering::Relaxed);
            write!(out, "{comma}{{\"worker\":{},\"thread\":{thread}", slot.number())?;
            let state = match (since, public.blocked.load(Ordering::Relaxed)) {
                (0, _) => "idle",
                (_, true) => "blocked",
                (_, false) => "running",
            };
            write!(out, ",\"state\":\"{state}\"")?;
            if since != 0 {
                write!(out, ",\"task_ns\":{}", age_ns(since))?;
            }
            write!(out, ",\"queued\":{}}}", slot.waiting())?;
            comma = ",";
        }
        out.write_str("]")
    }

    fn write_queue(&self, out: &mut dyn Write) -> fmt::Result {
        out.write_str(",\"queue\":[")?;
        let mut result = Ok(());
        let mut comma = "";
        self.inbox.for_each(SHOWN, |task| {
            // SAFETY: under the inbox's lock its entries keep their tasks.
            let task: &TaskCell = unsafe { task.as_ref() };
            result = result.and_then(|()| {
                write!(out, "{comma}{{\"age_ns\":{},\"name\":", age_ns(task.accepted_at()))?;
                write_text(out, task.spec().map_or(b"", |spec| spec.name.as_bytes()))?;
                write!(out, ",\"state\":\"{:?}\"}}", task.snapshot().life())
            });
            comma = ",";
        });
        result?;
        out.write_str("]")
    }
}
