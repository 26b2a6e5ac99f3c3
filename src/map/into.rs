//! An array of results, from an array of items.

use super::fill::Room;
use super::read::{self, Next};
use super::{Inside, Items, Map, Pace, create_with, end};
use crate::error::{Error, Kind, Line, Lossy, Result};
use crate::executor::Executor;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::promise::Reach;
use crate::future::state::Outcome;
use crate::shared::Shared;
use crate::sync::Timeout;
use crate::unwind::contain;
use std::ptr::NonNull;

/// Where the results go.
#[derive(Clone, Copy)]
pub(crate) struct Into {
    pub(crate) results: *mut u8,
    pub(crate) size: usize,
    pub(crate) count: usize,
}

/// How it went: as the first item that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    Item(Outcome),
    TimedOut,
}

/// Fills the array. What goes wrong with an item has its text in this thread's last error. Not
/// contained: waits.
///
/// # Safety
/// The items stay as they are during the call; `into` has room for `count` results.
pub(crate) unsafe fn fill_array(
    executor: Executor<'_>,
    items: Items,
    pace: Pace,
    spec: Option<&Shared<Spec>>,
    into: Into,
    timeout: Timeout,
) -> Result<Filled> {
    let room = if timeout == Timeout::Forever { Room::ByPolicy } else { Room::OnlyAtOnce };
    let map = create_with(executor, items, pace, spec, room, false)?;
    let mut filling = Filling { into, next: 0, first: None };
    // SAFETY: just made, known to nobody else.
    let failed = unsafe { read_all(map, &mut filling, timeout) };
    // SAFETY: as above; nobody uses it any more.
    unsafe { end::free(map) };
    // The text comes last: what was called meanwhile may have left its own.
    match failed {
        Some(error) => Err(error),
        None => Ok(filling.tell()),
    }
}

/// # Safety
/// The map is the caller's alone.
unsafe fn read_all(map: NonNull<Map>, filling: &mut Filling, timeout: Timeout) -> Option<Error> {
    while filling.next < filling.into.count {
        // SAFETY: by the contract.
        match unsafe { read::next(map, timeout) } {
            Next::Item(outcome, cell) => {
                // SAFETY: the map keeps it until the next read.
                let cell = unsafe { cell.as_ref() };
                let _ = contain(|| filling.put(cell, outcome));
            }
            Next::TimedOut => {
                // SAFETY: M1: nobody else has it.
                let _ = contain(|| unsafe { Map::inside(map) }.give_up(filling));
                return None;
            }
            // An array has no other end.
            Next::End | Next::Status(_) => break,
            Next::Failed(error) => {
                filling.skip_the_rest();
                return Some(error);
            }
        }
    }
    filling.skip_the_rest();
    None
}

impl Inside {
    /// The time has passed: what has ended by now counts, what has not started is cancelled, what
    /// runs is asked to stop, for nobody will see what it answers.
    fn give_up(&mut self, filling: &mut Filling) {
        for task in &self.outstanding {
            let seen = task.snapshot();
            if seen.is_settled() {
                filling.put(task, seen.outcome());
            } else {
                filling.miss();
            }
        }
        filling.miss_the_rest();
        self.cancel_outstanding(Reach::Stop);
    }
}

/// The first item that did not succeed.
enum First {
    Item(usize, TaskRef),
    TooLong { place: usize, bytes: usize },
    Late(usize),
}

struct Filling {
    into: Into,
    /// The place of the next result.
    next: usize,
    first: Option<First>,
}

impl Filling {
    fn put(&mut self, cell: &TaskCell, outcome: Outcome) {
        let place = self.next;
        let bytes = if outcome == Outcome::Succeeded { cell.bytes() } else { None };
        let bytes = bytes.map_or(&[][..], |(data, length)| {
            if length == 0 {
                return &[][..];
            }
            // SAFETY: a settled future keeps its result, and this one is kept by the caller.
            unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) }
        });
        if outcome != Outcome::Succeeded {
            self.first.get_or_insert_with(|| First::Item(place, cell.clone_ref()));
        } else if bytes.len() > self.into.size {
            let bytes = bytes.len();
            self.first.get_or_insert(First::TooLong { place, bytes });
        }
        self.write(if bytes.len() > self.into.size { &[] } else { bytes });
    }

    /// Writes one result, and zeros behind it.
    fn write(&mut self, bytes: &[u8]) {
        let Into { results, size, .. } = self.into;
        if size > 0 {
            // SAFETY: by the contract of `fill_array` there is room for each of `count` places;
            // callers look at both lengths.
            unsafe {
                let at = results.add(self.next * size);
                at.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
                at.add(bytes.len()).write_bytes(0, size - bytes.len());
            }
        }
        self.next += 1;
    }

    /// An item that has not ended in time.
    fn miss(&mut self) {
        self.first.get_or_insert(First::Late(self.next));
        self.write(&[]);
    }

    fn miss_the_rest(&mut self) {
        while self.next < self.into.count {
            self.miss();
        }
    }

    fn skip_the_rest(&mut self) {
        while self.next < self.into.count {
            self.write(&[]);
        }
    }

    /// How it went; the text is this thread's last error.
    fn tell(self) -> Filled {
        let (filled, line) = match self.first {
            None => return Filled::Item(Outcome::Succeeded),
            Some(First::Late(place)) => {
                let text = format_args!("item {place} had not ended when the time had passed");
                (Filled::TimedOut, Line::of(text))
            }
            Some(First::TooLong { place, bytes }) => {
                let text = format_args!(
                    "the result of item {place} has {bytes} bytes, but result_size is {}",
                    self.into.size
                );
                (Filled::Item(Outcome::Failed), Line::of(text))
            }
            Some(First::Item(place, task)) => {
                let (outcome, code) = (task.snapshot().outcome(), task.code());
                let text = Lossy(task.message().as_bytes());
                let text = format_args!("item {place}: {outcome:?}, code {code}: {text}");
                (Filled::Item(outcome), Line::of(text))
            }
        };
        let _told = Error::new(Kind::State, format_args!("{}", line.as_str()));
        filled
    }
}
