//! How items become tasks: hand-outs, as the window allows.

use super::items::{END, Items, SourceFn};
use super::{Deadline, Inside, Map, Stop};
use crate::error::{self, Error, Kind, Line, Lossy, Result};
use crate::future::cell::TaskRef;
use crate::future::due::InUser;
use crate::future::extra::Spec;
use crate::future::promise;
use crate::future::settle::Verdict;
use crate::future::state::Outcome;
use crate::future::timer::Nanoseconds;
use crate::platform::clock::Instant;
use crate::shared::Shared;
use crate::sync::Timeout;
use crate::unwind::contain;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// What to do if the queue has no room for a single item, and none is outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// As any submit.
    ByPolicy,
    /// Say so.
    OnlyAtOnce,
}

/// How a fill ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    Enough,
    /// The queue has no room; only with `Room::OnlyAtOnce`, and if nothing is outstanding.
    NoRoom,
}

/// The next step of whoever fills.
enum Step {
    Done(Filled),
    Ask(SourceFn, *mut c_void),
}

/// The most items of one hand-out: their cells are made before the first is handed out.
const MOST_AT_ONCE: usize = 4096;

/// Hands out what the window allows. Not contained: asks the source.
///
/// # Safety
/// The caller holds the map (M1).
pub(super) unsafe fn fill(map: NonNull<Map>, room: Room) -> Result<Filled> {
    loop {
        // SAFETY: M2: a reference for this step alone.
        let step = contain(|| unsafe { Map::inside(map) }.step(room));
        match step.unwrap_or_else(|panic| Err(panic.into_error()))? {
            Step::Done(filled) => return Ok(filled),
            Step::Ask(next, argument) => {
                let (mut data, mut length): (*const c_void, usize) = (ptr::null(), 0);
                let answer = {
                    let _user = InUser::enter();
                    // SAFETY: the user's function with the argument it was given with.
                    unsafe { next(argument, &mut data, &mut length) }
                };
                // SAFETY: M2; the item is there until the source is asked again.
                let taken = contain(|| unsafe { Map::inside(map).take_in(answer, data, length) });
                taken.map_err(|panic| panic.into_error())?;
                // SAFETY: M2: a reference for this step alone.
                if unsafe { Map::hold(map) }.is_unwanted() {
                    return Ok(Filled::Enough);
                }
            }
        }
    }
}

impl Inside {
    fn step(&mut self, room: Room) -> Result<Step> {
        loop {
            self.look_at_the_time()?;
            if self.closed.is_some() {
                return Ok(Step::Done(Filled::Enough));
            }
            let ready = self.items.ready();
            let taken = self.outstanding.len().saturating_add(ready_of_source(self, ready));
            let free = self.pace.window().saturating_sub(taken);
            let count = match self.items.source() {
                Some(source) => {
                    let chunk = self.pace.chunk(false);
                    let wait = ready < chunk
                        && free > 0
                        && if ready > 0 {
                            !self.pace.is_late(source.since())
                        } else {
                            free >= chunk
                        };
                    if wait {
                        let (next, argument) = source.call();
                        return Ok(Step::Ask(next, argument));
                    }
                    ready
                }
                None if matches!(self.items, Items::Source(_)) => ready,
                None => self.count_of_array(ready, free),
            };
            if count == 0 {
                return Ok(Step::Done(Filled::Enough));
            }
            match self.hand_out(count.min(MOST_AT_ONCE), room)? {
                0 if self.outstanding.is_empty() => return Ok(Step::Done(Filled::NoRoom)),
                0 => return Ok(Step::Done(Filled::Enough)),
                _ => {}
            }
        }
    }

    /// How many of `ready` items of an array to hand out while so many places are free.
    fn count_of_array(&self, ready: usize, free: usize) -> usize {
        let chunk = self.pace.chunk(true).min(ready);
        if free < chunk {
            0
        } else if self.pace.is_exact() {
            chunk
        } else {
            free.min(ready)
        }
    }

    /// An answer of the source.
    ///
    /// # Safety
    /// With 0, `data` is NULL or points at `length` bytes.
    unsafe fn take_in(&mut self, answer: i32, data: *const c_void, length: usize) {
        let staged = match (answer, self.items.source_mut()) {
            // SAFETY: by the contract.
            (0, Some(source)) => unsafe { source.stage(data, length) },
            (END, Some(source)) => {
                source.end();
                return;
            }
            (i32::MIN..0, Some(source)) => {
                source.end();
                self.stop = Some(Stop::Source(answer));
                return;
            }
            _ => Err(Error::new(
                Kind::Invalid,
                format_args!(
                    "the source of a map answered {answer}: it answers 0 with an item, CFUT_END, or \
                     a negative status"
                ),
            )),
        };
        match staged {
            Ok(()) => self.pace.note_bytes(length),
            Err(error) => self.fail_with(error),
        }
    }

    /// Nothing more is pulled; the error is told after the items.
    fn fail_with(&mut self, error: Error) {
        if let Some(source) = self.items.source_mut() {
            source.end();
        }
        self.stop = Some(Stop::Error(error, settled_as(Outcome::Broken).ok()));
    }

    /// Hands out up to `count` items, of which there is at least one, fewer if there is less
    /// room; the answer is how many.
    fn hand_out(&mut self, mut count: usize, room: Room) -> Result<usize> {
        let no_memory = |_| Error::no_memory("the window of a map", count * 8);
        self.outstanding.try_reserve(count).map_err(no_memory)?;
        self.places.try_reserve(count).map_err(no_memory)?;
        let spec = self.spec_now()?;
        let spec = spec.as_ref().or(self.spec.as_ref());
        let executor = self.executor.get();
        let out = NonNull::new(self.places.as_mut_ptr());
        let items = &self.items;
        loop {
            let bytes = items.bytes_each(count);
            // SAFETY: so many items are ready, and there is room for their handles.
            let taken = unsafe {
                let work = |place| items.work(place);
                executor.submit_many_if_room(work, bytes, count, spec, out)
            };
            if taken? {
                break;
            }
            if count > 1 {
                count /= 2;
            } else if !self.outstanding.is_empty() || room == Room::OnlyAtOnce {
                return Ok(0);
            } else {
                // SAFETY: as above.
                unsafe { executor.submit_many(|place| items.work(place), bytes, 1, spec, out) }?;
                break;
            }
        }
        for place in 0..count {
            // SAFETY: written by the submit; each has a handle's reference for us.
            let task = unsafe { TaskRef::from_raw(self.places.as_ptr().add(place).read()) };
            self.outstanding.push_back(task);
        }
        self.items.advance(count);
        Ok(count)
    }

    /// The options of items that are handed out now: what is left of the time of the whole is
    /// theirs. None: those of the map.
    fn spec_now(&self) -> Result<Option<Shared<Spec>>> {
        let (Some(deadline), Some(spec)) = (self.deadline, &self.spec) else { return Ok(None) };
        let left = deadline.at.saturating_since(Instant::now()).max(1);
        let no_memory = || Error::no_memory("the options of a task", size_of::<Spec>());
        let mut copy = spec.try_clone().ok_or_else(no_memory)?;
        copy.total_timeout = i64::try_from(left).unwrap_or(i64::MAX);
        Shared::try_new(copy).ok_or_else(no_memory).map(Some)
    }

    // ---- closing ----

    /// Closes the map if its time has passed.
    fn look_at_the_time(&mut self) -> Result<()> {
        if self.closed.is_some() || !self.is_late() {
            return Ok(());
        }
        let Some(deadline) = self.deadline else { return Ok(()) };
        self.closed = Some(settled(deadline.verdict())?);
        if let Some(source) = self.items.source_mut() {
            source.end();
        }
        Ok(())
    }

    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline.at)
    }

    /// The executor takes no work any more. Its text is the thread's last error.
    pub(super) fn close(&mut self, error: Error) -> Result<()> {
        let outcome = if error.0 == Kind::Broken { Outcome::Broken } else { Outcome::Cancelled };
        let why = settled_as(outcome)?;
        let more = self.items.source().is_some();
        if let Some(source) = self.items.source_mut() {
            source.end();
        }
        if more {
            self.stop = Some(Stop::Error(error, Some(why.clone())));
        }
        self.closed = Some(why);
        Ok(())
    }
}

/// Staged items have their places in the window already.
fn ready_of_source(map: &Inside, ready: usize) -> usize {
    if map.items.source().is_some() { ready } else { 0 }
}

impl Deadline {
    pub(super) fn verdict(self) -> Verdict {
        let line = Line::of(format_args!(
            "expired: CFUT_TASK_TOTAL_TIMEOUT_NS of {} passed for the whole map",
            Nanoseconds(self.timeout)
        ));
        Verdict::because(Outcome::Expired, 0, line.as_bytes())
    }

    pub(super) fn limit(self, timeout: Timeout) -> Timeout {
        match timeout {
            Timeout::Forever => Timeout::Until(self.at),
            Timeout::Now => Timeout::Now,
            Timeout::Until(end) => Timeout::Until(end.min(self.at)),
        }
    }
}

/// A future that ends so because of this thread's last error.
fn settled_as(outcome: Outcome) -> Result<TaskRef> {
    let line = error::with_last(|text| Line::of(format_args!("{}", Lossy(text))));
    settled(Verdict::because(outcome, 0, line.as_bytes()))
}

fn settled(verdict: Verdict) -> Result<TaskRef> {
    let (promise, future) = promise::new()?;
    future.settle_if(&future, |_| true, verdict);
    promise::release(promise);
    Ok(future)
}
