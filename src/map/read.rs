//! The outcome of the next item.

use super::fill::{self, Filled, Room};
use super::hold::Wish;
use super::{Inside, Map, Stop, end};
use crate::error::{Error, Kind, Lossy, Result};
use crate::future::cell::{FreeFn, TaskCell, TaskRef};
use crate::future::due::call_free;
use crate::future::state::Outcome;
use crate::future::wait::{self, Waited, this_worker};
use crate::platform::clock::Instant;
use crate::sync::{Futex32, Timeout};
use crate::unwind::contain;
use std::ffi::c_void;
use std::ptr::NonNull;

/// What a read answers.
pub(crate) enum Next {
    /// An outcome, and the future that has it: the map's until the next call.
    Item(Outcome, NonNull<TaskCell>),
    TimedOut,
    End,
    /// The status of a source that failed.
    Status(i32),
    Failed(Error),
}

/// A map that is held by a call; given back, and ended if that is wished, also if user code
/// that the call makes ends the thread.
struct Held(NonNull<Map>);

impl Held {
    /// True: the map has been ended.
    fn give(self) -> bool {
        // SAFETY: this call holds the map.
        let ended = unsafe { give(self.0) };
        std::mem::forget(self);
        ended
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: this call holds the map.
        unsafe { give(self.0) };
    }
}

/// # Safety
/// The caller holds the map.
unsafe fn give(map: NonNull<Map>) -> bool {
    // SAFETY: by the contract.
    match unsafe { Map::hold(map) }.give() {
        None => false,
        Some(wish) => {
            // SAFETY: by the contract; the map is asked for by nobody else any more.
            unsafe { end::carry_out(map, wish) };
            true
        }
    }
}

/// The outcome of the next item. Not contained: waits, asks the source, calls what is due.
///
/// # Safety
/// The map is alive.
pub(crate) unsafe fn next(map: NonNull<Map>, timeout: Timeout) -> Next {
    // SAFETY: by the contract.
    if !unsafe { Map::hold(map) }.take() {
        let text = "another call on this map is going on, in this thread or in another; the source, \
                    the tasks and the callbacks of a map cannot read it";
        return Next::Failed(Error::new(Kind::Deadlock, format_args!("{text}")));
    }
    let held = Held(map);
    // SAFETY: this call holds the map.
    let next = unsafe { read(map, timeout) };
    if held.give() { Next::End } else { next }
}

/// What comes after a look at the map.
enum Step {
    Answer(Next),
    /// The argument of a closure that will not run is freed first.
    Free(FreeFn, *mut c_void, Next),
    /// The oldest that was handed out.
    Wait(TaskRef, Timeout),
    /// Room in the queue is looked for again after a while.
    Nap(Timeout),
}

/// # Safety
/// The caller holds the map (M1).
unsafe fn read(map: NonNull<Map>, timeout: Timeout) -> Next {
    // SAFETY: M2, here and below: references for one step alone.
    let last = contain(|| unsafe { Map::inside(map) }.current.take());
    let _ = contain(|| drop(last));
    let room = if timeout == Timeout::Forever { Room::ByPolicy } else { Room::OnlyAtOnce };
    loop {
        // SAFETY: this call holds the map.
        let filled = unsafe { fill::fill(map, room) };
        // SAFETY: this call holds the map.
        if unsafe { Map::hold(map) }.is_unwanted() {
            return Next::End;
        }
        // SAFETY: M2: a reference for this step alone.
        let step = contain(|| unsafe { Map::inside(map) }.look(filled, timeout));
        match step.unwrap_or_else(|panic| Step::Answer(Next::Failed(panic.into_error()))) {
            Step::Answer(next) => return next,
            Step::Free(free, argument, next) => {
                call_free(free, argument);
                return next;
            }
            Step::Wait(front, until) => {
                let waited = wait::wait_for(&front, until);
                // SAFETY: this call holds the map.
                if unsafe { Map::hold(map) }.is_unwanted() {
                    return Next::End;
                }
                // SAFETY: M2: a reference for this step alone.
                let read = contain(|| unsafe { Map::inside(map) }.waited(front, waited, timeout));
                match read.unwrap_or_else(|panic| Some(Next::Failed(panic.into_error()))) {
                    None => {}
                    Some(next) => {
                        if matches!(next, Next::Item(..)) {
                            // The workers go on while the caller works on this one.
                            // SAFETY: this call holds the map. An error is found again by the next read.
                            let _ = unsafe { fill::fill(map, Room::OnlyAtOnce) };
                        }
                        return next;
                    }
                }
            }
            Step::Nap(until) => nap(until),
        }
    }
}

/// How long to wait between two looks for room.
const NAP_NS: u64 = 1_000_000;

pub(super) fn nap(until: Timeout) {
    let soon = Instant::now().plus(NAP_NS);
    let end = until.deadline().map_or(soon, |end| end.min(soon));
    let _blocking = wait::Blocking::begin(None, false);
    while Instant::now() < end {
        Futex32::new(0).wait(0, Some(end));
    }
}

impl Inside {
    fn look(&mut self, filled: Result<Filled>, timeout: Timeout) -> Step {
        if let Err(error) = filled {
            let lasting = matches!(error.0, Kind::Shutdown | Kind::Broken);
            if lasting {
                if let Err(error) = self.close(error) {
                    return Step::Answer(Next::Failed(error));
                }
            } else if self.outstanding.is_empty() {
                return Step::Answer(Next::Failed(error));
            }
        }
        if let Some(front) = self.outstanding.front() {
            return Step::Wait(front.clone(), self.limit(timeout));
        }
        if filled == Ok(Filled::NoRoom) {
            return match timeout {
                Timeout::Until(end) if Instant::now() < end => Step::Nap(timeout),
                _ => Step::Answer(Next::TimedOut),
            };
        }
        self.rest()
    }

    /// Nothing is outstanding, and nothing will be handed out.
    fn rest(&mut self) -> Step {
        if let Some(closed) = self.closed.clone().filter(|_| self.items.ready() > 0) {
            let argument = self.items.take_argument();
            if argument.is_none() {
                self.items.advance(1);
            }
            let next = self.give_out(closed);
            return match argument {
                Some((free, argument)) => Step::Free(free, argument, next),
                None => Step::Answer(next),
            };
        }
        Step::Answer(match self.stop.take() {
            None => Next::End,
            Some(Stop::Source(status)) => {
                let text = format_args!("the source of the map ended it with status {status}");
                let _told = Error::new(Kind::Invalid, text);
                Next::Status(status)
            }
            Some(Stop::Error(error, why)) => {
                let text = why.as_ref().map_or(&b""[..], |why| why.message().as_bytes());
                Next::Failed(Error::new(error.0, format_args!("{}", Lossy(text))))
            }
        })
    }

    fn give_out(&mut self, task: TaskRef) -> Next {
        task.note_seen();
        let outcome = task.snapshot().outcome();
        let cell = task.as_ptr();
        self.current = Some(task);
        Next::Item(outcome, cell)
    }

    /// How long to wait for an item. A thread inside an executor may have to run it, which a
    /// wait with an end never does: there the executor alone keeps the time, as it does where
    /// tasks run in other processes.
    fn limit(&self, timeout: Timeout) -> Timeout {
        match self.deadline {
            Some(deadline) if !self.leaves_time_to_executor(timeout) => deadline.limit(timeout),
            _ => timeout,
        }
    }

    fn leaves_time_to_executor(&self, timeout: Timeout) -> bool {
        let inside =
            this_worker().is_some() || crate::local::with(|local| !local.executor.get().is_null());
        self.executor.get().is_elsewhere() || timeout == Timeout::Forever && inside
    }

    /// The wait for the oldest is over. None: look again.
    fn waited(&mut self, front: TaskRef, waited: Result<Waited>, timeout: Timeout) -> Option<Next> {
        match waited {
            Ok(Waited::Settled(_)) => {
                self.outstanding.pop_front();
                self.pace.note(&front);
                Some(self.give_out(front))
            }
            Ok(Waited::TimedOut) if self.is_late() && !self.leaves_time_to_executor(timeout) => {
                self.expire(&front);
                None
            }
            Ok(Waited::TimedOut) => Some(Next::TimedOut),
            Err(error) => Some(Next::Failed(error)),
        }
    }

    /// The time of the whole has passed, and the executor has not said so yet: perhaps nobody
    /// runs it.
    fn expire(&self, front: &TaskRef) {
        if let Some(deadline) = self.deadline {
            front.settle_if(front, |_| true, deadline.verdict());
            front.state.request_stop();
        }
    }
}

/// Ends a map as wished.
///
/// # Safety
/// The map is alive, and the caller's to end.
pub(super) unsafe fn end_as(map: NonNull<Map>, wish: Wish) {
    // SAFETY: by the contract.
    if unsafe { Map::hold(map) }.end(wish) {
        // SAFETY: taken just now.
        unsafe { end::carry_out(map, wish) };
    }
}
