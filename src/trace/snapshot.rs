//! The state of an executor as JSON: what `docs/snapshot.md` says of it.
//!
//! # Contract
//! A snapshot is taken in steps, each under one lock of the executor at most, and what is seen
//! there is copied into places of fixed size: no text is written and no memory is taken under a lock.
//! So it costs the same with a million tasks as with `SHOWN`. Its parts are of moments that differ by
//! as long as it takes.

use super::figures::{age_ns, write_text};
use super::stats::Totals;
use crate::future::cell::TaskCell;
use crate::future::extra::Spec;
use crate::future::phase::Phase;
use crate::platform::clock::Instant;
use crate::shared::Shared;
use crate::sync::Ordering;
use std::fmt::{self, Write};

/// Tasks that are shown one by one: those that run, then those that wait.
pub(crate) const SHOWN: usize = 256;

/// One of them.
pub(crate) struct Task {
    /// Its options, for its name.
    pub(crate) spec: Option<Shared<Spec>>,
    pub(crate) age_ns: u64,
    pub(crate) running: bool,
    /// None: it waits, or nobody knows.
    pub(crate) run_ns: Option<u64>,
    pub(crate) worker: Option<u32>,
    /// Which run of it this is, or will be.
    pub(crate) attempt: u32,
}

impl Task {
    /// One that waits. The caller keeps it from ending meanwhile.
    pub(crate) fn queued(cell: &TaskCell, worker: Option<u32>, attempt: u32) -> Task {
        let spec = cell.shared_spec();
        let age_ns = age_ns(cell.accepted_at());
        Task { spec, age_ns, running: false, run_ns: None, worker, attempt }
    }
}

impl Task {
    /// A command, which needs no worker.
    pub(crate) fn command(cell: &TaskCell) -> Task {
        let seen = cell.snapshot();
        // Relaxed: a figure; 0 for the moment before it is known.
        let began = cell.extra_in(seen).map_or(0, |extra| extra.started_at.load(Ordering::Relaxed));
        let ran = Instant::now().0.saturating_sub(if began == 0 { u64::MAX } else { began });
        let running = !seen.is_pending();
        Task { running, run_ns: running.then_some(ran), ..Task::queued(cell, None, 1) }
    }
}

/// The tasks of a snapshot, as they are found.
pub(crate) struct Tasks {
    list: [Option<Task>; SHOWN],
    count: usize,
}

impl Tasks {
    pub(crate) fn new() -> Tasks {
        Tasks { list: [const { None }; SHOWN], count: 0 }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.count < SHOWN
    }

    pub(crate) fn room(&self) -> usize {
        SHOWN - self.count
    }

    pub(crate) fn push(&mut self, task: Task) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = Some(task);
            self.count += 1;
        }
    }

    /// `all`: how many there are, about.
    pub(crate) fn write(&self, out: &mut dyn Write, all: u64) -> fmt::Result {
        out.write_str(",\"tasks\":[")?;
        let mut comma = "";
        for task in self.list.iter().flatten() {
            write!(out, "{comma}{{\"name\":")?;
            comma = ",";
            match name_of(task) {
                Some(name) => write_text(out, name)?,
                None => out.write_str("null")?,
            }
            let state = if task.running { "running" } else { "queued" };
            write!(out, ",\"state\":\"{state}\",\"age_ns\":{},\"run_ns\":", task.age_ns)?;
            write_number(out, task.run_ns)?;
            out.write_str(",\"worker\":")?;
            write_number(out, task.worker.map(u64::from))?;
            write!(out, ",\"attempt\":{}}}", task.attempt)?;
        }
        let omitted = all.saturating_sub(self.count as u64);
        write!(out, "],\"tasks_omitted\":{omitted}")
    }
}

fn name_of(task: &Task) -> Option<&[u8]> {
    let spec = task.spec.as_ref()?;
    let names = [spec.name.as_bytes(), spec.function.as_bytes()].into_iter();
    names.chain(spec.program.as_deref().map(|program| program.name())).find(|name| !name.is_empty())
}

fn write_number(out: &mut dyn Write, number: Option<u64>) -> fmt::Result {
    match number {
        Some(number) => write!(out, "{number}"),
        None => out.write_str("null"),
    }
}

/// What is said of the executor as a whole.
pub(crate) struct Head<'a> {
    pub(crate) kind: &'static str,
    pub(crate) name: &'a [u8],
    pub(crate) phase: Phase,
    pub(crate) broken: Option<&'a [u8]>,
    pub(crate) max_workers: u64,
    pub(crate) workers_started: u64,
    pub(crate) totals: Totals,
    pub(crate) queued: u64,
    pub(crate) running: u64,
    pub(crate) stolen: u64,
    /// Tasks whose functions have returned CFUT_DETACH; they are among those that run.
    pub(crate) detached: u64,
    pub(crate) oldest_queued_ns: u64,
}

impl Head<'_> {
    /// Up to the workers; an object that is still open.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{{\"kind\":\"{}\",\"name\":", self.kind)?;
        write_text(out, self.name)?;
        let phase = match self.phase {
            Phase::Open => "open",
            Phase::Closing => "closing",
            Phase::Ended => "ended",
        };
        write!(out, ",\"phase\":\"{phase}\",\"broken\":")?;
        match self.broken {
            Some(reason) => write_text(out, reason)?,
            None => out.write_str("null")?,
        }
        let totals = &self.totals;
        for (key, figure) in [
            ("max_workers", self.max_workers),
            ("workers_started", self.workers_started),
            ("submitted", totals.submitted),
            ("queued", self.queued),
            ("running", self.running),
            ("detached", self.detached),
            ("succeeded", totals.succeeded),
            ("failed", totals.failed),
            ("cancelled", totals.cancelled),
            ("expired", totals.expired),
            ("crashed", totals.crashed),
            ("stolen", self.stolen),
            ("oldest_queued_ns", self.oldest_queued_ns),
        ] {
            write!(out, ",\"{key}\":{figure}")?;
        }
        Ok(())
    }

    /// Queued and running ones.
    pub(crate) fn all_tasks(&self) -> u64 {
        self.queued + self.running
    }
}

/// One worker.
#[derive(Clone, Copy)]
pub(crate) struct Worker {
    pub(crate) number: u32,
    pub(crate) pid: i32,
    pub(crate) tid: i32,
    pub(crate) state: &'static str,
    /// How long it has been in that state.
    pub(crate) state_ns: u64,
    /// Tasks that wait with it.
    pub(crate) queued: u64,
}

impl Worker {
    pub(crate) fn write(&self, out: &mut dyn Write, comma: &str) -> fmt::Result {
        let Worker { number, pid, tid, state, state_ns, queued } = self;
        write!(
            out,
            "{comma}{{\"worker\":{number},\"pid\":{pid},\"tid\":{tid},\"state\":\"{state}\",\
             \"state_ns\":{state_ns},\"queued\":{queued}}}"
        )
    }
}
