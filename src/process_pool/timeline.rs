//! What the timeline of a pool shows: each worker process is a row, with the runs of its tasks as the
//! worker has stamped them, and what became of it.
//!
//! Runs are noted outside of `state`; what happens to workers under it, which needs no system call.

use super::child::{Child, Phase, Why};
use super::pool::{Pool, State};
use crate::future::cell::TaskRef;
use crate::future::remote;
use crate::future::state::Outcome;
use crate::platform::clock::Instant;
use crate::sync::Ordering;
use crate::trace::figures::age_ns;
use crate::trace::timeline::{Name, Row, Slice, Timeline};

/// Of a worker, and of what has no process yet.
fn row_of(timeline: &Timeline, child: &Child) -> Row {
    if child.pid > 0 { Row::of_process(child.pid) } else { timeline.host() }
}

impl Pool {
    /// A run that has ended, by the worker's word, as far as it can be true; `run_ns` None: until
    /// now. Called under `state`, before the slot is given up.
    pub(super) fn slice_of(
        &self,
        child: &mut Child,
        slot: u16,
        task: &TaskRef,
        (outcome, run_ns): (Outcome, Option<u64>),
    ) -> Option<Slice> {
        let timeline = self.timeline.as_ref()?;
        let now = Instant::now().0;
        let age = age_ns(task.accepted_at());
        let began = child.wire.started_ns(slot).unwrap_or(now);
        let begin = began.max(child.traced_until).max(now.saturating_sub(age)).min(now);
        let end = run_ns.map_or(now, |ran| begin.saturating_add(ran).min(now));
        child.traced_until = end;
        // Relaxed: P1.
        let attempts = task
            .extra_in(task.snapshot())
            .map_or(0, |extra| extra.attempts.load(Ordering::Relaxed));
        Some(Slice {
            row: row_of(timeline, child),
            begin,
            end,
            queued_ns: age.saturating_sub(now - begin),
            attempt: attempts + 1,
            outcome: Some(outcome),
        })
    }

    /// Writes a run, before its task ends: what it was given is still there.
    pub(super) fn write_slice(&self, task: &TaskRef, slice: &Slice) {
        let Some(timeline) = &self.timeline else { return };
        // SAFETY: the pool, which has not consumed the arguments.
        let function = unsafe { remote::function_of(task) };
        timeline.slice(slice, &Name { task, function });
    }

    pub(super) fn note_spawned(&self, state: &mut State, number: u32, generation: u32) {
        let Some(timeline) = &self.timeline else { return };
        let replaces = state.missing > 0;
        let Some(child) = state.child(number, generation) else { return };
        let row = row_of(timeline, child);
        timeline.name_worker(row, number);
        timeline.mark(row, if replaces { "worker restarted" } else { "worker started" }, b"");
        state.missing = state.missing.saturating_sub(1);
    }

    pub(super) fn note_ready(&self, child: &Child) {
        if let Some(timeline) = &self.timeline {
            timeline.mark(row_of(timeline, child), "worker ready", b"");
        }
    }

    pub(super) fn note_kill(&self, state: &mut State, child: &Child, why: Why) {
        let Some(timeline) = &self.timeline else { return };
        state.missing = state.missing.saturating_add(1);
        let text: &[u8] = match why {
            Why::Stubborn => b"a task in it went on after it had been told to stop",
            Why::Shutdown => b"the shutdown of its pool",
            Why::Damaged => b"it damaged the memory it shares with the pool",
            Why::Disconnected => b"it closed its connection to the pool",
            Why::StartTimeout => b"it was not ready in time",
            Why::LeaveTimeout => b"it did not leave when it was told to",
            Why::Orphaned | Why::Unknown => b"",
        };
        timeline.mark(row_of(timeline, child), "worker killed", text);
    }

    /// `died`: not because it was told to leave.
    pub(super) fn note_end(&self, state: &mut State, child: &Child, died: bool, text: &[u8]) {
        let Some(timeline) = &self.timeline else { return };
        let row = row_of(timeline, child);
        if died {
            // Another one may have come already in the place of one that was killed.
            let counted = child.phase == Phase::Dying;
            state.missing = state.missing.saturating_add(u32::from(!counted));
            timeline.mark(row, "worker died", text);
        } else {
            timeline.mark(row, "worker left", b"");
        }
    }

    pub(super) fn note_supervisor(&self, what: &str) {
        if let Some(timeline) = &self.timeline {
            timeline.mark(timeline.host(), what, b"");
        }
    }

    /// Tasks that wait, and that run by now. Called with no lock held.
    pub(super) fn load(&self) -> (u64, u64) {
        self.refresh_all();
        let totals = self.totals();
        (totals.queued(), totals.running())
    }

    /// After tasks have come in or gone: notes the counters, now and then.
    #[inline]
    pub(super) fn sample(&self) {
        if let Some(timeline) = &self.timeline {
            timeline.sample(|| self.load());
        }
    }
}
