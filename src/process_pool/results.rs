//! What came back, and how its future ends.

use super::child::{Child, Handed, Phase as Life, Slot, Why};
use super::deaths::note_use;
use super::notifier::Batch;
use super::pool::{Pool, State};
use super::wire::{ANSWER_LIMIT, Answer};
use crate::error::{Line, Lossy};
use crate::future::buffer::BufferRef;
use crate::future::cell::TaskRef;
use crate::future::due::List;
use crate::future::extra::Text;
use crate::future::phase::Phase;
use crate::future::promise;
use crate::future::remote::{self, Report};
use crate::future::result::Payload;
use crate::future::run::Ended;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::platform::clock::{self, Instant};
use crate::platform::socket::MOST_FDS;
use crate::sync::Ordering;
use crate::trace::timeline::Slice;
use crate::transport::control::{Message, PACKET};
use crate::transport::frame::{Ended as Told, Payload as Place, ResultHead};

const NO_ROOM: &str = "no memory for the result in the host";
/// CFUT_ENOMEM, for results that there is no memory for.
const NO_MEMORY: i32 = -2;
/// Results that are taken before the lock is given back.
const AT_ONCE: usize = 64;

/// What is to be settled outside of the lock.
pub(super) enum Arrival {
    /// A task has ended.
    Ended(TaskRef, Report),
    /// It is about to, or to be run again: this is for the timeline.
    Ran(TaskRef, Slice),
    /// A task will not end by itself.
    Verdict(TaskRef, Verdict),
    /// A reference that is only to be dropped.
    Dropped(TaskRef),
}

/// A round of the manager: what it has found.
pub(super) struct Round {
    pub(super) arrivals: Vec<Arrival>,
    /// Where answers are copied to.
    place: Vec<u8>,
    /// Why the pool breaks.
    pub(super) breaks: Option<(i32, Line)>,
    /// A line for the log.
    pub(super) note: Option<Line>,
    /// The supervisor has died, and another one is to be executed.
    pub(super) restart: bool,
    /// Something happened: look again before sleeping.
    pub(super) busy: bool,
}

impl Round {
    /// Takes no memory before something has come.
    pub(super) fn new() -> Round {
        Round {
            arrivals: Vec::new(),
            place: Vec::new(),
            breaks: None,
            note: None,
            restart: false,
            busy: false,
        }
    }

    /// Where answers are copied to; empty without memory.
    fn take_place(&mut self) -> Vec<u8> {
        let mut place = std::mem::take(&mut self.place);
        if place.is_empty() && place.try_reserve_exact(ANSWER_LIMIT).is_ok() {
            place.resize(ANSWER_LIMIT, 0);
        }
        place
    }

    /// Room for one more arrival has been seen, or memory can be had. Without any the
    /// arrival is kept until there is some.
    pub(super) fn push(&mut self, arrival: Arrival) {
        self.busy = true;
        while self.arrivals.try_reserve(1).is_err() {
            crate::platform::thread::yield_now();
        }
        self.arrivals.push(arrival);
    }

    /// Keeps the first line of a round for the log.
    pub(super) fn note(&mut self, text: &[u8]) {
        self.note.get_or_insert_with(|| Line::of(format_args!("{}", Lossy(text))));
    }

    fn has_room(&self) -> bool {
        self.arrivals.len() < AT_ONCE
    }
}

impl Pool {
    /// Takes what the workers have answered out of their rings. Called under `state` (P3).
    pub(super) fn collect(&self, state: &mut State, round: &mut Round) {
        for number in 0..state.children.len() {
            let Some(mut child) = state.children[number] else { continue };
            // SAFETY: P1; `state` is not used for this child otherwise.
            let child = unsafe { child.as_mut() };
            self.collect_from(state, child, round);
        }
    }

    pub(super) fn collect_from(&self, state: &mut State, child: &mut Child, round: &mut Round) {
        if !child.wire.has_answer() {
            return child.areas.sweep_read();
        }
        let mut place = round.take_place();
        if place.is_empty() {
            return; // there will be memory another time; the answers stay where they are
        }
        let mut some = false;
        while round.has_room() {
            let Some(answer) = child.wire.take_answer(&mut place) else {
                child.areas.sweep_read();
                break;
            };
            some = true;
            if !self.take_answer(state, child, answer, round) {
                self.kill_child(state, child, Why::Damaged);
                break;
            }
        }
        round.place = place;
        if child.wire.is_damaged() {
            self.kill_child(state, child, Why::Damaged);
        }
        if some {
            round.busy = true;
            child.wire.made_room();
        }
    }

    /// Everything that is left in the ring of a worker that has ended.
    pub(super) fn collect_rest(&self, state: &mut State, child: &mut Child, round: &mut Round) {
        self.drain_socket(child);
        let mut place = round.take_place();
        while let Some(answer) = child.wire.take_answer(&mut place) {
            if !self.take_answer(state, child, answer, round) {
                break;
            }
        }
        round.place = place;
    }

    /// False: it makes no sense.
    fn take_answer(
        &self,
        state: &mut State,
        child: &mut Child,
        answer: Answer<'_>,
        round: &mut Round,
    ) -> bool {
        match answer {
            Answer::Ready => self.worker_is_ready(state, child),
            Answer::StartFailed { code, text } => {
                let line = Line::of(format_args!("{}", Lossy(text)));
                round.breaks = Some((code, line));
                true
            }
            Answer::Note(text) => {
                round.note(text);
                true
            }
            Answer::Result { head, above_rss, data, message } => {
                child.overweight |= above_rss;
                self.take_result(state, child, &head, data, message, round)
            }
        }
    }

    fn take_result(
        &self,
        state: &mut State,
        child: &mut Child,
        head: &ResultHead,
        data: &[u8],
        message: &[u8],
        round: &mut Round,
    ) -> bool {
        let slot = head.slot as u16;
        if head.slot as usize >= child.slots.len() {
            return false;
        }
        let skipped = head.ended == Told::Skipped;
        let fits = match &child.slots[slot as usize] {
            Slot::Empty => false,
            Slot::Revoked => skipped,
            Slot::Handed(..) => !skipped,
        };
        if !fits {
            return false;
        }
        // The memory it names must be here before the slot is given up.
        let payload = match &child.slots[slot as usize] {
            Slot::Handed(handed) => {
                let own = own_buffer(handed, head.area);
                match self.payload_of(child, &handed.task.clone(), own, head, data) {
                    Some(payload) => Some(payload),
                    None => return false,
                }
            }
            _ => None,
        };
        let progress = child.wire.slot(slot).progress();
        if let (Slot::Handed(handed), Some(_)) = (&child.slots[slot as usize], &self.timeline) {
            let (task, outcome) = (handed.task.clone(), outcome_of(head.ended));
            if let Some(slice) = self.slice_of(child, slot, &task, (outcome, Some(head.run_ns))) {
                round.push(Arrival::Ran(task, slice));
            }
        }
        let held = child.close_slot(slot);
        note_use(state, child);
        if child.in_flight == 0 {
            child.idle_since = Instant::now();
        }
        let (Slot::Handed(Handed { task, .. }), Some(payload)) = (held, payload) else {
            return true;
        };
        self.mark_started(&task);
        task.note_progress(progress);
        self.leave_place(&task, child, head.cpu_ns);
        note_average(state, head.run_ns);
        let report = match payload {
            Ok(payload) => Report {
                outcome: outcome_of(head.ended),
                code: head.code,
                message: Text::copy(message).unwrap_or(Text::EMPTY),
                payload,
                queued: 0,
                ran: 0,
            },
            Err(text) => Report {
                outcome: Outcome::Failed,
                code: NO_MEMORY,
                message: Text::copy(text.as_bytes()).unwrap_or(Text::EMPTY),
                payload: Payload::None,
                queued: 0,
                ran: 0,
            },
        };
        round.push(Arrival::Ended(task.clone(), with_durations(&task, report, head.run_ns)));
        true
    }

    /// The result as a payload. None: it makes no sense. Err: there is no memory for it.
    fn payload_of(
        &self,
        child: &mut Child,
        task: &TaskRef,
        own: Option<BufferRef>,
        head: &ResultHead,
        data: &[u8],
    ) -> Option<Result<Payload, &'static str>> {
        match head.payload {
            Place::None => Some(Ok(Payload::None)),
            Place::Empty => Some(Ok(Payload::Empty)),
            Place::Inline => Some(copied(task, data)),
            Place::Buffer if head.area == 0 => Some(match BufferRef::new(data.len()) {
                Some(buffer) => {
                    // SAFETY: a fresh buffer of that length.
                    unsafe {
                        let place = buffer.data().cast::<u8>();
                        place.copy_from_nonoverlapping(data.as_ptr(), data.len());
                    }
                    Ok(Payload::Buffer(buffer))
                }
                None => Err(NO_ROOM),
            }),
            Place::Area | Place::Buffer => {
                let visible = head.payload == Place::Buffer;
                if let Some(own) = own {
                    return Some(Ok(Payload::Buffer(own)));
                }
                if child.areas.get(head.area).is_none() {
                    self.drain_socket(child);
                }
                let area = child.areas.get(head.area)?.clone();
                let length = usize::try_from(head.length).ok()?;
                if length > area.size() {
                    return None;
                }
                Some(match BufferRef::of_area(area, None, length, visible) {
                    Some(buffer) => Ok(Payload::Buffer(buffer)),
                    None => Err(NO_ROOM),
                })
            }
        }
    }

    /// Reads what has come over a worker's socket: memory, and bells that have done their work.
    pub(super) fn drain_socket(&self, child: &mut Child) {
        let mut bytes = [0u8; PACKET];
        loop {
            let mut fds = [const { None }; MOST_FDS];
            match child.socket.receive(&mut bytes, &mut fds) {
                Ok(Some(length)) => {
                    if let (Some(Message::Area { id }), [Some(fd), ..]) =
                        (Message::decode(&bytes[..length]), fds)
                    {
                        // Refused memory is found missing by the result that names it.
                        let _ = child.areas.insert(fd, id);
                    }
                }
                Ok(None) => {
                    child.disconnected.get_or_insert_with(Instant::now);
                    return;
                }
                // It has not read all of ours; what it sent before comes next.
                Err(errno) if errno.0 == libc::ECONNRESET => {}
                Err(_) => return,
            }
        }
    }

    /// A worker takes tasks, and is known by its number.
    pub(super) fn worker_is_ready(&self, state: &mut State, child: &mut Child) -> bool {
        if child.pid == 0 {
            child.early = true;
        } else if child.phase == Life::Starting {
            child.phase = Life::Ready;
            self.note_ready(child);
            child.deadline = None;
            child.idle_since = Instant::now();
            state.budget.succeeded();
            if state.warm && self.all_ready(state) {
                state.warm = false;
            }
            self.signal();
        }
        true
    }

    pub(super) fn all_ready(&self, state: &State) -> bool {
        let ready = state.children().filter(|child| child.phase == Life::Ready).count();
        ready >= self.config.workers as usize
    }

    /// A task has left its slot: what is known of where it ran stays with it.
    pub(super) fn leave_place(&self, task: &TaskRef, child: &Child, cpu_ns: u64) {
        if let Some(extra) = task.extra_in(task.snapshot()) {
            // Relaxed, all: P1, and published by settling.
            extra.place.store(0, Ordering::Relaxed);
            extra.pid.store(child.pid as u32, Ordering::Relaxed);
            extra.cpu_ns.store(cpu_ns, Ordering::Relaxed);
            extra.attempts.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Settles what a round has brought, and hands over what is due then. Called with no lock
    /// held.
    pub(super) fn settle_round(&self, round: &mut Round) {
        let _settling = Settling::begin(self);
        // What became due before, by time-outs.
        let calls = List::take();
        let batch = Batch { calls, note: round.note.take() };
        let now = Instant::now();
        for arrival in round.arrivals.drain(..) {
            match arrival {
                Arrival::Ended(task, report) => self.end_task(task, report),
                Arrival::Ran(task, slice) => self.write_slice(&task, &slice),
                Arrival::Verdict(task, verdict) => {
                    remote::settle(&task, verdict);
                }
                Arrival::Dropped(task) => drop(task),
            }
            // Each future's calls by themselves: one that blocks holds up those of no other.
            let calls = List::take();
            self.notifier.hand(Batch { calls, note: None }, now);
        }
        self.notifier.hand(batch, now);
        self.sample();
        if let Some((code, line)) = round.breaks.take() {
            self.break_with(code, line.as_bytes());
            let calls = List::take();
            self.notifier.hand(Batch { calls, note: None }, Instant::now());
        }
    }

    pub(super) fn end_task(&self, task: TaskRef, report: Report) {
        if let Some(extra) = task.extra_in(task.snapshot()) {
            // Relaxed: a task that was never entered has none.
            if extra.timer.load(Ordering::Relaxed) != 0 {
                self.timers.remove(&task);
            }
        }
        if !task.has_run() {
            return; // settled before it could start: it was counted, and its arguments went, then
        }
        // Counted before anybody sees it: who has waited for a task finds it in the figures.
        let mut counted = None;
        self.tally.left.add(1);
        let outcome = report.outcome;
        let ended = remote::end(task, report, |task| {
            if let Some(bound) = &self.bound {
                bound.charge_result(task, || self.retain());
            }
            self.tally.outcome(outcome).add(1);
            counted = Some(outcome);
        });
        let settled = if let Ended::Settled(outcome) = ended { Some(outcome) } else { None };
        if counted != settled {
            counted.inspect(|outcome| self.tally.outcome(*outcome).take_back());
            settled.inspect(|outcome| self.tally.outcome(*outcome).add(1));
        }
        if settled.is_some() {
            self.note_settled();
        }
    }

    /// One accepted task fewer is unsettled.
    pub(super) fn note_settled(&self) {
        if self.rest.settle_one() {
            if self.phase() != Phase::Open {
                self.poller.wake();
            }
            crate::quiet::signal();
        }
    }
}

/// A thread settles tasks: the pool is not at rest (`future::rest`) until what becomes due by that is with
/// the notifier.
pub(super) struct Settling<'a> {
    pool: &'a Pool,
    /// The manager does not wake itself: it looks whether it has to go on.
    wakes: bool,
}

impl<'a> Settling<'a> {
    pub(super) fn begin(pool: &'a Pool) -> Settling<'a> {
        pool.rest.begin();
        Settling { pool, wakes: true }
    }

    /// For the manager, around all that it settles in a round.
    pub(super) fn begin_round(pool: &'a Pool) -> Settling<'a> {
        let mut settling = Settling::begin(pool);
        settling.wakes = false;
        settling
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        if self.pool.rest.end() {
            crate::quiet::signal();
            if self.wakes && self.pool.phase() != Phase::Open {
                self.pool.poller.wake();
            }
        }
    }
}

/// The buffer that a task was given, if it answers with that: the user's, or the copy that its
/// worker had.
fn own_buffer(handed: &Handed, area: u64) -> Option<BufferRef> {
    let is_it = |buffer: &BufferRef| buffer.area().is_some_and(|own| own.id() == area);
    // SAFETY: the pool has not consumed the arguments yet.
    let given = match unsafe { handed.task.argument() } {
        remote::Argument::Buffer(buffer, true) => buffer,
        _ => return None,
    };
    [Some(given), handed.copy.as_ref()].into_iter().flatten().find(|buffer| is_it(buffer)).cloned()
}

fn copied(task: &TaskRef, data: &[u8]) -> Result<Payload, &'static str> {
    promise::copy_bytes(task, data).map_err(|_| NO_ROOM)
}

fn outcome_of(told: Told) -> Outcome {
    match told {
        Told::Succeeded => Outcome::Succeeded,
        Told::Failed => Outcome::Failed,
        Told::Cancelled => Outcome::Cancelled,
        Told::Broken | Told::Skipped => Outcome::Broken,
    }
}

/// A moving average over some tens of tasks.
fn note_average(state: &mut State, run_ns: u64) {
    let run = run_ns.clamp(1, 1_000_000_000);
    state.average_ns = match state.average_ns {
        0 => run,
        // A long one counts at once: what is handed over behind it would wait.
        before if run > before * 8 => before + (run - before) / 4,
        before => (before * 15 + run) / 16,
    }
    .max(1);
}

/// Queued is what of the task's life was not running.
pub(super) fn with_durations(task: &TaskRef, report: Report, run_ns: u64) -> Report {
    let life = clock::ticks().saturating_sub(task.accepted_at());
    let ran = clock::ns_to_ticks(run_ns).min(life);
    Report { queued: life - ran, ran, ..report }
}
