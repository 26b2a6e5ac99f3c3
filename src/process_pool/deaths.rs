//! What if a worker dies? What it had begun is lost with it, unless the task may be run again;
//! what it had not goes to another worker; and the pool gets a worker in its place.

use super::child::{Child, Ended, Left, Phase, Why};
use super::config::OnDeath;
use super::pool::{ChildBox, Pool, State};
use super::results::{Arrival, Round, with_durations};
use crate::error::{Line, Lossy};
use crate::future::cell::TaskRef;
use crate::future::extra::Text;
use crate::future::remote::{Death, Report};
use crate::future::result::Payload;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::platform::clock::Instant;
use crate::platform::signal;
use crate::sync::Ordering;
use std::fmt::Write;

/// An order to kill is given again after this.
const REPEAT_NS: u64 = 250_000_000;

const KILLED: u8 = signal::KILL as u8;

/// CFUT_CRASHED's place for a code: a crash has none.
const NO_CODE: i32 = 0;

/// How a begun task was lost.
struct Loss<'a> {
    child: &'a Child,
    ended: &'a Ended,
    text: &'a Line,
    /// How far it said it was.
    progress: (u64, u64),
}

impl Pool {
    /// Has a worker killed; its tasks are seen to when the supervisor says that it has ended.
    pub(super) fn kill_child(&self, state: &mut State, child: &mut Child, why: Why) {
        if child.phase == Phase::Dying {
            return;
        }
        child.phase = Phase::Dying;
        child.phase_since = Instant::now();
        child.why = why;
        self.note_kill(state, child, why);
        // Repeated until the supervisor says that it has ended.
        child.deadline = Some(Instant::now().plus(REPEAT_NS));
        state.supervisor.kill(child.number, child.generation, signal::KILL, true);
    }

    /// A worker that was killed has not ended yet. If its pool is to end, whoever keeps it goes: a
    /// supervisor that does not answer, and with it all its workers.
    pub(super) fn kill_again(&self, state: &mut State, child: &mut Child, now: Instant) {
        child.deadline = Some(now.plus(REPEAT_NS));
        if state.killing || self.phase() != crate::future::phase::Phase::Open && self.is_idle(state)
        {
            state.supervisor.kill_itself();
        } else {
            state.supervisor.kill(child.number, child.generation, signal::KILL, true);
        }
    }

    /// No task is left that a living worker could end.
    fn is_idle(&self, state: &State) -> bool {
        state.children().all(|child| child.phase == Phase::Dying || child.in_flight == 0)
    }

    /// A worker has ended: `child` is out of the table. Called under `state`.
    pub(super) fn bury(
        &self,
        state: &mut State,
        mut child: ChildBox,
        ended: Ended,
        round: &mut Round,
        now: Instant,
    ) {
        self.collect_rest(state, &mut child, round);
        self.poller.remove(child.fd());
        let expected = child.phase == Phase::Leaving || child.phase == Phase::Dying;
        let never_ready = never_ready(&child) && child.why != Why::Orphaned;
        let text = describe(self, &child, &ended);
        let died = !matches!((child.phase, child.why), (Phase::Leaving, Why::Unknown));
        self.note_end(state, &child, died, text.as_bytes());
        let (mut crashed, mut given_back) = (false, false);
        while let Some(task) = child.take_last() {
            match task {
                Left::Begun(task, slot, progress) => {
                    note_use(state, &mut child);
                    let outcome = if state.killing { Outcome::Cancelled } else { Outcome::Crashed };
                    if let Some(slice) = self.slice_of(&mut child, slot, &task, (outcome, None)) {
                        round.push(Arrival::Ran(task.clone(), slice));
                    }
                    let loss = Loss { child: &child, ended: &ended, text: &text, progress };
                    crashed |= self.lose(state, task, loss, round);
                }
                Left::Waiting(task) => {
                    given_back = true;
                    self.requeue(state, task, round);
                }
            }
        }
        if never_ready && !state.killing {
            let spent = state.budget.failed(now);
            break_if(spent, "workers cannot start", "were ready", &text, round);
        } else if given_back && !child.useful && !expected && !state.killing {
            let spent = state.useless.failed(now);
            break_if(spent, "workers are of no use", "began a task", &text, round);
        } else if crashed && !expected && self.config.on_death == OnDeath::BreakPool {
            round.breaks = Some((NO_CODE, Line::of(format_args!("{}", text.as_str()))));
        }
        round.busy = true;
        self.signal();
    }

    /// A task that was running in a worker which has ended; true: it is lost.
    fn lose(&self, state: &mut State, task: TaskRef, loss: Loss, round: &mut Round) -> bool {
        let Loss { child, ended, text, progress } = loss;
        self.mark_started(&task);
        task.note_progress(progress);
        self.leave_place(&task, child, ended.cpu_ns);
        let runs = task.extra_in(task.snapshot()).map_or(1, |extra| {
            let kib = u32::try_from(ended.max_rss / 1024).unwrap_or(u32::MAX);
            extra.max_rss_kib.store(kib, Ordering::Relaxed); // published by settling
            extra.attempts.load(Ordering::Relaxed) // P1
        });
        let most = task.spec().map_or(1, |spec| spec.attempts);
        if runs < most && !task.snapshot().is_settled() && !state.killing {
            self.requeue(state, task, round);
            return false;
        }
        let report = if state.killing {
            report(Outcome::Cancelled, b"")
        } else {
            task.note_death(ended.death);
            report(Outcome::Crashed, text.as_bytes())
        };
        let report = with_durations(&task, report, 0);
        round.push(Arrival::Ended(task, report));
        !state.killing
    }

    /// Puts a task back in front of the backlog, or ends it where nothing starts any more.
    fn requeue(&self, state: &mut State, task: TaskRef, round: &mut Round) {
        if let Some(extra) = task.extra_in(task.snapshot()) {
            extra.place.store(0, Ordering::Relaxed); // P1
        }
        if task.snapshot().is_settled() {
            return self.drop_settled(task, round);
        }
        match self.verdict_for_queued() {
            None if !state.killing => {
                if let Err(task) = state.backlog.push_front(task) {
                    let text = b"no memory to queue the task again";
                    round.push(Arrival::Verdict(task, Verdict::because(Outcome::Broken, -2, text)));
                }
            }
            None => self.end_unstarted(task, Verdict::new(Outcome::Cancelled), round),
            Some(verdict) => self.end_unstarted(task, verdict, round),
        }
    }

    /// A task that was to be run again, or for the first time, and will not be.
    fn end_unstarted(&self, task: TaskRef, verdict: Verdict, round: &mut Round) {
        if task.snapshot().is_pending() {
            round.push(Arrival::Verdict(task, verdict));
        } else {
            let report = Report {
                outcome: verdict.outcome,
                code: verdict.code,
                message: verdict.message,
                payload: Payload::None,
                queued: 0,
                ran: 0,
            };
            round.push(Arrival::Ended(task, report));
        }
    }

    /// A task that somebody settled while it was in a worker: if it had begun, its arguments are
    /// the pool's to free.
    pub(super) fn drop_settled(&self, task: TaskRef, round: &mut Round) {
        if task.has_run() {
            round.push(Arrival::Ended(task, report(Outcome::Broken, b"")));
        } else {
            round.push(Arrival::Dropped(task));
        }
    }
}

/// A task of the worker has begun.
pub(super) fn note_use(state: &mut State, child: &mut Child) {
    if !child.useful {
        child.useful = true;
        state.useless.succeeded();
    }
}

/// The pool breaks if the budget is spent.
fn break_if(spent: bool, what: &str, before: &str, text: &Line, round: &mut Round) {
    if spent && round.breaks.is_none() {
        let most = super::supervisor::BUDGET;
        let text = text.as_str();
        round.breaks = Some((
            0,
            Line::of(format_args!(
                "{what}: {most} of them ended before they {before}; the last: {text}"
            )),
        ));
    }
}

/// It ended before it took tasks.
fn never_ready(child: &Child) -> bool {
    child.phase == Phase::Starting || child.phase == Phase::Dying && child.why == Why::StartTimeout
}

fn report(outcome: Outcome, message: &[u8]) -> Report {
    Report {
        outcome,
        code: NO_CODE,
        message: Text::copy(message).unwrap_or(Text::EMPTY),
        payload: Payload::None,
        queued: 0,
        ran: 0,
    }
}

/// What happened, in a sentence a person can act on.
fn describe(pool: &Pool, child: &Child, ended: &Ended) -> Line {
    let mut line = Line::new();
    let name = pool.config.name.as_bytes();
    let name = if name.is_empty() { &b"cfut"[..] } else { name };
    // Cannot fail: a Line cuts what does not fit.
    let _ = write!(line, "worker {}-{} (pid {}) ", Lossy(name), child.number, child.pid);
    let death = ended.death;
    let _ = match (child.why, death) {
        (Why::Stubborn, _) => {
            write!(line, "was killed: a task in it went on after it had been told to stop")
        }
        (Why::Shutdown, _) => write!(line, "was killed by the shutdown of its pool"),
        (Why::Damaged, _) => write!(
            line,
            "was killed: it damaged the memory it shares with the pool; a task writes where it must not"
        ),
        (Why::Disconnected, Death { signal: KILLED, .. }) => {
            write!(
                line,
                "was killed: it closed its connection to the pool (a task that closes all descriptors?)"
            )
        }
        (Why::StartTimeout, _) => write!(
            line,
            "was killed: it was not ready within CFUT_OPT_START_TIMEOUT_NS; does the worker program call \
             cfut_worker_main() or cfut_worker_run()?"
        ),
        (Why::LeaveTimeout, _) => write!(line, "was killed: it did not leave when it was told to"),
        (Why::Orphaned, _) => {
            write!(line, "ended with the supervisor of its pool, which was killed")
        }
        (_, Death { signal: 0, exit_code, .. }) if never_ready(child) => write!(
            line,
            "exited with status {exit_code} before it was ready: a module's constructor, or the \
             initializer, ended it"
        ),
        (_, Death { signal: 0, exit_code, .. }) => write!(
            line,
            "exited with status {exit_code} in a task: a task must return, and not call exit()"
        ),
        (_, Death { signal, .. }) => {
            let when = if never_ready(child) { " before it was ready" } else { "" };
            let name = signal::name(i32::from(signal));
            write!(line, "was killed by signal {signal} ({name}){when}")
        }
    };
    if let Some(hint) = hint(child.why, ended) {
        let _ = write!(line, "; {hint}");
    }
    line
}

fn hint(why: Why, ended: &Ended) -> Option<&'static str> {
    if ended.death.out_of_memory {
        return Some("the memory of its limit or of the machine was used up");
    }
    if why != Why::Unknown {
        return None;
    }
    Some(match i32::from(ended.death.signal) {
        signal::SEGV | signal::BUS => {
            "an invalid memory access or a stack overflow in the task, or in code it calls"
        }
        signal::ABRT => "an assertion, an uncaught C++ exception or heap corruption",
        signal::KILL => "killed from outside: by a person, or by the system for want of memory",
        signal::XCPU => "CFUT_OPT_CPU_TIME_LIMIT was used up",
        _ => return None,
    })
}
