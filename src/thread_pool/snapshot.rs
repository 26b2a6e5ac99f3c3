//! What is going on in a pool: single figures, and everything as JSON.

use super::pool::Pool;
use super::worker::Slot;
use crate::future::cell::TaskCell;
use crate::platform::process_id;
use crate::sync::Ordering;
use crate::trace::figures::{Figure, age_ns};
use crate::trace::snapshot::{Head, Task, Tasks, Worker};
use std::fmt::{self, Write};

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
        let reason = self.reason();
        let totals = self.totals();
        let head = Head {
            kind: "thread_pool",
            name: self.config.name.as_bytes(),
            phase: self.phase(),
            broken: reason.as_ref().map(|reason| reason.text.as_bytes()),
            max_workers: u64::from(self.sleep.limits().most),
            workers_started: self.roster.lock().started,
            queued: totals.queued(),
            running: totals.running() + self.detached_tasks(),
            stolen: totals.stolen,
            detached: self.detached_tasks(),
            oldest_queued_ns: self.oldest_of_all().map_or(0, age_ns),
            totals,
        };
        head.write(out)?;
        self.write_workers(out)?;
        // Their workers' counts are written.
        self.recall();
        let mut tasks = Tasks::new();
        for slot in self.slots() {
            slot.show_running(&mut tasks);
        }
        self.inbox.for_each(tasks.room(), |task| {
            // SAFETY: under the inbox's lock its entries keep their tasks.
            let task: &TaskCell = unsafe { task.as_ref() };
            if task.snapshot().is_pending() {
                tasks.push(Task::queued(task, None, 1));
            }
        });
        self.lane.for_each(tasks.room(), |task| tasks.push(Task::command(task)));
        tasks.write(out, head.all_tasks())?;
        out.write_str("}")
    }

    fn write_workers(&self, out: &mut dyn Write) -> fmt::Result {
        let census = self.sleep.census();
        write!(
            out,
            ",\"awake\":{},\"idle\":{},\"blocked\":{},\"dormant\":{},\"workers\":[",
            census.awake(),
            census.idle(),
            census.blocked(),
            census.dormant()
        )?;
        let mut comma = "";
        let pid = process_id();
        for slot in self.slots() {
            if let Some(worker) = slot.shown(pid) {
                worker.write(out, comma)?;
                comma = ",";
            }
        }
        out.write_str("]")
    }
}

impl Slot {
    /// None without a thread.
    fn shown(&self, pid: i32) -> Option<Worker> {
        let public = self.public();
        // Relaxed, all: figures.
        let thread = public.thread.load(Ordering::Relaxed);
        let since = public.since.load(Ordering::Relaxed);
        let (state, since) = match (since, public.blocked.load(Ordering::Relaxed)) {
            (0, _) => ("idle", public.rests_since.load(Ordering::Relaxed)),
            (since, true) => ("blocked", since),
            (since, false) => ("running", since),
        };
        (thread != 0).then(|| Worker {
            number: u32::from(self.number()),
            pid,
            tid: thread,
            state,
            state_ns: age_ns(since),
            queued: self.waiting() as u64,
        })
    }

    /// The tasks on this worker's stack: those with options, and the one on top.
    fn show_running(&self, tasks: &mut Tasks) {
        let worker = Some(u32::from(self.number()));
        // Relaxed: a figure.
        let since = self.public().since.load(Ordering::Relaxed);
        let top = self.public().named.add_to(tasks, worker);
        if since != 0 && top != Some(since) {
            let run_ns = age_ns(since);
            // When it was accepted nobody else may ask: it is that old at least.
            tasks.push(Task {
                spec: None,
                age_ns: run_ns,
                running: true,
                run_ns: Some(run_ns),
                worker,
                attempt: 1,
            });
        }
    }
}
