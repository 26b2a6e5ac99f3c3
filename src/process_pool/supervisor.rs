//! How processes come and go: the pool's end of its supervisor.
//!
//! The supervisor is executed with the pool and executes or forks workers when it is asked to.
//! It is told apart from a dead one by its end of the socket. If it dies, its workers die with
//! it; another one takes its place, at the cost of the restart budget.

use super::child::{Child, Ended, Phase as Life, Why};
use super::manager;
use super::pool::{Pool, State};
use super::results::Round;
use super::wire::Wire;
use crate::error::{self, Error, Kind, Line, Lossy, Result};
use crate::future::phase::Phase;
use crate::future::remote::Death;
use crate::platform::clock::Instant;
use crate::platform::fd::Fd;
use crate::platform::socket::{MOST_FDS, Socket};
use crate::platform::{Errno, host, memory, process, signal};
use crate::transport::control::{Message, PACKET};

/// So many failures before "ready" within `PERIOD_NS` break the pool.
pub(super) const BUDGET: usize = 5;
const PERIOD_NS: u64 = 10_000_000_000;
/// The supervisor has so long to end when it is told to.
const END_NS: u64 = 500_000_000;

/// Before a supervisor takes the place of another one; twice as long after each failure.
const RESTART_NS: u64 = 10_000_000;
/// A worker that has ended, and of whose end the supervisor does not tell for so long: it is
/// stopped, most likely.
const SILENCE_NS: u64 = 5_000_000_000;
/// Before a worker that could not be made is tried again.
const AGAIN_NS: u64 = 15_000_000;
/// Without a single worker, that is tried for so long.
const WANT_NS: u64 = 3_000_000_000;

/// When workers failed to start, lately.
pub(super) struct Budget {
    failures: [Instant; BUDGET],
    count: usize,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { failures: [Instant(0); BUDGET], count: 0 }
    }

    /// Notes a failure; true: the budget is spent.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        if self.count < BUDGET {
            self.failures[self.count] = now;
            self.count += 1;
        } else {
            self.failures.rotate_left(1);
            self.failures[BUDGET - 1] = now;
        }
        self.count == BUDGET && now.saturating_since(self.failures[0]) < PERIOD_NS
    }

    /// A worker has become ready: earlier failures were not for good.
    pub(super) fn succeeded(&mut self) {
        self.count = 0;
    }
}

/// How far a supervisor has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It may be any program yet.
    Executed,
    /// It has said that it is a supervisor.
    Loading,
    Ready,
}

/// That a worker could not be made: since when, when last, and why.
struct Want {
    since: Instant,
    last: Instant,
    errno: Errno,
}

pub(super) struct Supervisor {
    control: Option<Socket>,
    pid: i32,
    stage: Stage,
    /// When it was executed, or when the last one died.
    since: Instant,
    /// The program is a worker program: it has been one, or is the library's or this one.
    proven: bool,
    runs_this_program: bool,
    /// It did not answer, and was killed.
    given_up: bool,
    /// An order did not fit the socket: it is given again.
    blocked: bool,
    /// No worker can be made, for want of something that may be there later.
    want: Option<Want>,
    /// It is given up, or was told to end, at this time.
    ending: Option<Instant>,
}

impl Supervisor {
    pub(super) fn none() -> Supervisor {
        Supervisor {
            control: None,
            pid: 0,
            stage: Stage::Executed,
            since: Instant(0),
            proven: false,
            runs_this_program: false,
            given_up: false,
            blocked: false,
            want: None,
            ending: None,
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// Workers are this program: functions of its own can be reached there.
    pub(super) fn runs_this_program(&self) -> bool {
        self.runs_this_program
    }

    pub(super) fn must_retry(&self) -> bool {
        self.blocked || self.ending.is_some() || self.control.is_none()
    }

    /// Has a worker killed. An order that does not fit now is repeated by the deadlines of
    /// the child, or by the end of the pool.
    pub(super) fn kill(&mut self, worker: u32, generation: u32, signal: i32, tree: bool) {
        let message = Message::Kill { worker, generation, signal, tree };
        self.send(&message, &[]);
    }

    /// A worker could not be made; with a moment between, it is tried again.
    fn note_want(&mut self, errno: Errno, now: Instant) {
        let since = self.want.as_ref().map_or(now, |want| want.since);
        self.want = Some(Want { since, last: now, errno });
        self.blocked = true;
    }

    fn send(&mut self, message: &Message<'_>, fds: &[&Fd]) -> bool {
        let Some(control) = &self.control else { return false };
        let sent = control.send(message.encode().as_bytes(), fds).is_ok();
        self.blocked |= !sent;
        sent
    }

    /// It does not do what it is told.
    pub(super) fn kill_itself(&self) {
        if self.control.is_some() && self.pid > 0 {
            let _ = process::kill(self.pid, signal::KILL);
        }
    }

    /// Tells it to end, and says whether it has: its workers have all gone.
    pub(super) fn has_ended(&mut self, now: Instant) -> bool {
        let Some(control) = &self.control else { return true };
        let began = *self.ending.get_or_insert_with(|| {
            control.shut_down_writing();
            now
        });
        if now.saturating_since(began) > END_NS {
            let _ = process::kill(self.pid, signal::KILL);
            self.control = None;
        }
        self.control.is_none()
    }
}

impl Pool {
    /// Executes a supervisor. Called with no lock held: it lasts until the program has begun.
    pub(super) fn start_supervisor(&self) -> Result<()> {
        let started = self.recipe.execute()?;
        self.poller.add(started.control.fd(), manager::SUPERVISOR).map_err(|errno| {
            let text = "no memory to watch the supervisor of a process pool";
            Error::new(Kind::System, format_args!("{text}: {errno}"))
        })?;
        let mut state = self.state.lock();
        let supervisor = &mut state.supervisor;
        supervisor.control = Some(started.control);
        supervisor.pid = started.pid;
        supervisor.runs_this_program = started.runs_this_program;
        supervisor.stage = Stage::Executed;
        supervisor.proven |= started.proven;
        supervisor.given_up = false;
        supervisor.since = Instant::now();
        supervisor.blocked = false;
        Ok(())
    }

    /// Another supervisor in the place of one that died, outside of `state`, if one is due.
    pub(super) fn restart_supervisor(&self, round: &mut Round) {
        if !std::mem::take(&mut round.restart) {
            return;
        }
        round.busy = true;
        if self.start_supervisor().is_ok() {
            return self.note_supervisor("supervisor restarted");
        }
        let now = Instant::now();
        let mut state = self.state.lock();
        state.supervisor.since = now;
        if state.budget.failed(now) {
            error::with_last(|text| {
                let text = Lossy(text);
                let line = Line::of(format_args!("the supervisor of the pool died, and {text}"));
                round.breaks.get_or_insert((0, line));
            });
        }
    }

    /// With a worker at work the rest waits for that one; without, not for ever.
    fn break_for_want(&self, state: &State, round: &mut Round, now: Instant) {
        let Some(want) = &state.supervisor.want else { return };
        let long = want.since.plus(WANT_NS) <= now;
        if long && state.children().next().is_none() && !state.backlog.is_empty() {
            let line = Line::of(format_args!("no worker can be made: {}", want.errno));
            round.breaks.get_or_insert((0, line));
        }
    }

    /// Whether the supervisor does its work, and whether there is to be another one. Called
    /// under `state`.
    pub(super) fn see_to_supervisor(&self, state: &mut State, round: &mut Round, now: Instant) {
        state.supervisor.blocked = false;
        self.break_for_want(state, round, now);
        let idle_at_the_end = self.phase() != Phase::Open && self.is_done(state);
        if state.supervisor.control.is_none() {
            let pause = RESTART_NS << state.budget.count;
            let due = state.supervisor.since.plus(pause) <= now;
            round.restart = due && !idle_at_the_end && self.reason().is_none();
        } else if state.supervisor.ending.is_none()
            && !state.supervisor.given_up
            && self.is_stuck(state, now)
        {
            // Its end is told by its socket, as if somebody else had killed it.
            let _ = process::kill(state.supervisor.pid, signal::KILL); // it has not been collected
            state.supervisor.given_up = true;
            for child in state.children_mut().filter(|child| child.pid == 0) {
                child.deadline = None;
            }
        }
    }

    /// The supervisor does not answer: it is stopped, or its program does something else.
    fn is_stuck(&self, state: &State, now: Instant) -> bool {
        let passed = |since: Instant, pause: u64| since.plus(pause) <= now;
        let mut children = state.children();
        if state.kill_by.is_some_and(|time| time <= now) && children.next().is_some() {
            return true;
        }
        let silent = |child: &Child| {
            let gone = child.disconnected.is_some_and(|since| passed(since, SILENCE_NS));
            gone && child.phase == Life::Dying
        };
        let Some(timeout) = self.config.start_timeout else { return state.children().any(silent) };
        // A worker that it has not even made; one that it has made and is late is killed alone.
        let unmade = |child: &Child| child.pid == 0 && passed(child.idle_since, timeout);
        state.supervisor.stage != Stage::Ready && passed(state.supervisor.since, timeout)
            || state.children().any(|child| silent(child) || unmade(child))
    }

    /// When `see_to_supervisor` is to look again.
    pub(super) fn next_look_at_supervisor(&self, state: &State) -> Option<Instant> {
        let supervisor = &state.supervisor;
        if supervisor.given_up || supervisor.ending.is_some() {
            return None;
        }
        let silent = state
            .children()
            .filter(|child| child.phase == Life::Dying)
            .filter_map(|child| child.disconnected.map(|since| since.plus(SILENCE_NS)));
        let late = self.config.start_timeout.filter(|_| supervisor.stage != Stage::Ready);
        silent.chain(late.map(|timeout| supervisor.since.plus(timeout))).chain(state.kill_by).min()
    }

    /// Takes what the supervisor has told. Called under `state`.
    pub(super) fn hear_supervisor(&self, state: &mut State, round: &mut Round, now: Instant) {
        let mut packet = [0u8; PACKET];
        loop {
            let Some(control) = &state.supervisor.control else { return };
            let mut fds = [const { None }; MOST_FDS];
            match control.receive(&mut packet, &mut fds) {
                Ok(Some(length)) => {
                    round.busy = true;
                    if let Some(message) = Message::decode(&packet[..length]) {
                        self.take_message(state, &message, round, now);
                    }
                }
                Ok(None) => return self.supervisor_died(state, round, now),
                Err(errno) if errno.0 == libc::EAGAIN => return,
                // The other side went with something unread; what it sent before comes next.
                Err(errno) if errno.0 == libc::ECONNRESET => {}
                // It has not read all of ours; what it said before comes next.
                Err(errno) if errno.0 == libc::ECONNRESET => {}
                Err(_) => return self.supervisor_died(state, round, now),
            }
        }
    }

    fn take_message(
        &self,
        state: &mut State,
        message: &Message<'_>,
        round: &mut Round,
        now: Instant,
    ) {
        match *message {
            // Its first word: it has understood what it is.
            Message::Bell => {
                state.supervisor.stage = Stage::Loading;
                state.supervisor.proven = true;
            }
            Message::Ready { .. } => state.supervisor.stage = Stage::Ready,
            Message::Refused { code, text } => {
                let line = Line::of(format_args!("workers cannot start: {}", Lossy(text)));
                round.breaks.get_or_insert((code, line));
            }
            Message::Spawned { worker, generation, pid } => {
                state.supervisor.want = None;
                let Some(child) = state.child(worker, generation) else { return };
                child.pid = pid;
                let child: *mut Child = child;
                self.note_spawned(state, worker, generation);
                // SAFETY: P1; `state` is not used for this child otherwise.
                let child = unsafe { &mut *child };
                if child.early {
                    self.worker_is_ready(state, child);
                }
            }
            Message::NotSpawned { worker, generation, errno } => {
                if let Some(child) = state.remove_child(worker, generation) {
                    self.poller.remove(child.fd());
                    drop(child);
                    state.supervisor.note_want(Errno(errno), now);
                }
            }
            Message::Exited {
                worker,
                generation,
                status,
                user_ns,
                system_ns,
                max_rss,
                oom,
                pid,
            } => {
                if let Some(mut child) = state.remove_child(worker, generation) {
                    child.pid = pid;
                    let death = self.death_of(status, max_rss, oom);
                    let ended = Ended { death, cpu_ns: user_ns + system_ns, max_rss };
                    self.bury(state, child, ended, round, now);
                }
            }
            _ => {}
        }
    }

    fn death_of(&self, status: i32, max_rss: u64, oom: u32) -> Death {
        let signal_number = process::ending_signal(status).unwrap_or(0);
        let limit = self.config.memory_limit;
        // A limit of address space shows as a failed allocation, of which programs die in many
        // ways; one that used most of it has most likely died of that. It never shows as SIGKILL.
        let used_most = limit != 0 && max_rss >= limit / 4 * 3;
        let at_limit = used_most && signal_number != 0 && signal_number != signal::KILL;
        Death {
            signal: signal_number as u8,
            exit_code: signal::exit_code(status).unwrap_or(0) as u8,
            out_of_memory: at_limit || oom != 0 && signal_number == signal::KILL,
        }
    }

    /// The socket is at its end: the supervisor has gone, and its workers with it.
    fn supervisor_died(&self, state: &mut State, round: &mut Round, now: Instant) {
        let told = state.supervisor.ending.is_some();
        let stage = state.supervisor.stage;
        if let Some(control) = state.supervisor.control.take() {
            self.poller.remove(control.fd());
        }
        host::collect_orphan(state.supervisor.pid);
        state.supervisor.since = now;
        round.busy = true;
        for number in 0..state.children.len() as u32 {
            let Some(generation) = state.children[number as usize].map(|child| {
                // SAFETY: P1: the state is locked, and nothing else reaches the child meanwhile.
                unsafe { child.as_ref() }.generation
            }) else {
                continue;
            };
            let Some(mut child) = state.remove_child(number, generation) else { continue };
            if child.why == Why::Unknown {
                child.why = Why::Orphaned;
            }
            if child.pid > 0 {
                // The kernel ends the worker; what it has started has nobody else to end it.
                let _ = process::kill_group(child.pid, signal::KILL); // most often: gone
                host::collect_orphan(child.pid);
            }
            let death = Death { signal: signal::KILL as u8, ..Death::default() };
            let ended = Ended { death, cpu_ns: 0, max_rss: 0 };
            self.bury(state, child, ended, round, now);
        }
        if told {
            return;
        }
        self.note_supervisor("supervisor died");
        let why = match (stage, state.supervisor.given_up) {
            (Stage::Executed, false) => {
                "the worker program ended before it was ready: it must call cfut_worker_main() or \
                 cfut_worker_run(); cfutures-worker has said on standard error what it lacks"
            }
            (Stage::Executed, true) => {
                "the worker program was not ready within CFUT_OPT_START_TIMEOUT_NS: it must call \
                 cfut_worker_main() or cfut_worker_run()"
            }
            (Stage::Loading, false) => {
                "the supervisor of the pool ended while it loaded the modules of CFUT_OPT_PRELOAD: \
                 does one of them end its process?"
            }
            (Stage::Loading, true) => {
                "the supervisor of the pool was not ready within CFUT_OPT_START_TIMEOUT_NS: does a \
                 module of CFUT_OPT_PRELOAD not come to an end?"
            }
            (Stage::Ready, false) => "the supervisor of the pool ended; was it killed?",
            (Stage::Ready, true) => "the supervisor of the pool did not answer; was it stopped?",
        };
        let spent = state.budget.failed(now);
        // A program that has never been a worker program will not be one the next time.
        let hopeless = stage == Stage::Executed && !state.supervisor.proven;
        if spent || hopeless {
            round.breaks.get_or_insert((0, Line::of(format_args!("{why}"))));
        }
    }

    // ---- workers ----

    /// Asks for one more worker; false: not now.
    pub(super) fn request_worker(&self, state: &mut State, now: Instant) -> bool {
        if state.supervisor.control.is_none() || state.supervisor.ending.is_some() {
            return false;
        }
        if state.supervisor.want.as_ref().is_some_and(|want| now < want.last.plus(AGAIN_NS)) {
            state.supervisor.blocked = true;
            return false;
        }
        let Some(number) = state.children.iter().position(Option::is_none) else { return false };
        state.generation = state.generation.wrapping_add(1);
        match self.make_child(state, number as u32, now) {
            Ok(()) => {
                state.started += 1;
                true
            }
            Err(errno) => {
                state.supervisor.note_want(errno, now);
                false
            }
        }
    }

    fn make_child(
        &self,
        state: &mut State,
        number: u32,
        now: Instant,
    ) -> std::result::Result<(), Errno> {
        let no_memory = Errno(libc::ENOMEM);
        let generation = state.generation;
        let wire = Wire::create(c"cfutures-link")?;
        wire.set_stop_level(state.stop_level);
        let (ours, theirs) = Socket::pair()?;
        let deadline = self.config.start_timeout.map(|timeout| now.plus(timeout));
        let link = wire.fd().duplicate()?;
        let child = Child::new(number, generation, wire, ours, now, deadline).ok_or(no_memory)?;
        let child = memory::try_box(child).map_err(|_| no_memory)?;
        // SAFETY: fresh; given up below if it is not taken.
        let made = super::pool::ChildBox(child);
        self.poller.add(made.fd(), made.token())?;
        let message = Message::Spawn { worker: number, generation };
        if !state.supervisor.send(&message, &[theirs.fd(), &link]) {
            self.poller.remove(made.fd());
            return Err(Errno(libc::EAGAIN));
        }
        std::mem::forget(made);
        state.children[number as usize] = Some(child);
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn budget_is_spent_by_failures_in_a_row() {
        let mut budget = Budget::new();
        for second in 1..BUDGET as u64 {
            assert!(!budget.failed(Instant(second)));
        }
        assert!(budget.failed(Instant(BUDGET as u64)));
        budget.succeeded();
        for failure in 0..20 {
            assert!(!budget.failed(Instant(failure * PERIOD_NS)), "too seldom to matter");
        }
    }
}
