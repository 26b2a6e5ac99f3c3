//! Maps: the results of many items, in input order; and loops over ranges of numbers.
//!
//! # Purpose
//! Everything here stands above `executor` and uses nothing but its interface, so it works over
//! every kind of executor. Each item of a map is a task of its own, with its own cell and outcome,
//! also where several are handed out at once.
//!
//! | file | question it answers |
//! |---|---|
//! | `hold` | who may touch a map? |
//! | `items` | where do items come from? |
//! | `pace` | how many at once, and how many at most? |
//! | `fill` | how does an item become a task? |
//! | `read` | what is the outcome of the next one? |
//! | `end` | what becomes of the rest when the map goes? |
//! | `into` | how is an array filled? |
//! | `ranges` | which range of a loop is next? |
//! | `parallel` | who runs ranges, and how does a loop end? |
//!
//! # States of a map
//! | state | the next items | a read answers |
//! |---|---|---|
//! | open | are handed out as the window allows | the outcome of the oldest that was handed out |
//! | closed | settle as one future: EXPIRED, BROKEN or CANCELLED | first those handed out, then that one for each that is left |
//! | failing | there are none: the source failed, or would be asked for more by a closed map | those that are left, then the status, once |
//! | ended | there are none | those that are left, then CFUT_END |
//!
//! open → closed: the total time-out has passed; the executor is broken or shut down. A source is
//! not asked any more then. open → failing: the source answered a negative status, or nonsense.
//!
//! # Hand-outs
//! Items are handed out by `Executor::submit_many_if_room`, several with one lock and one
//! wake-up. A full queue (CFUT_OPT_QUEUE_LIMIT, _BYTES) is no error while items of the map are
//! outstanding: fewer are handed out, down to one, or none until some have been read. It must not
//! be waited for then, for the room may be taken by results of this very map, which only its
//! reader frees. With none outstanding nothing of the map is in the queue, and one item is
//! submitted as the policy of the executor says; a read with a time-out looks for room now and
//! then instead, so that it ends in time.
//!
//! # Who may touch what
//! M1. A map is touched by who holds it (`hold::Hold`): one call at a time. Others are told.
//! M2. User code (the source, free functions) and waits run while the map is held, but with no
//!     reference into it alive: the caller works on a pointer, in steps. A callback that frees
//!     the map leaves word with `Hold`; whoever holds it does it when he gives it back.
//!
//! # Shutdown
//! A map has a handle of its executor, which so takes work as long as the map lives, unless it
//! is shut down. A map has no thread; freed, it cancels what has not started.
//!
//! # Errors
//! What an executor refuses for good settles the items that are left; what may pass (no memory,
//! no thread, no room) is the answer of the read that found nothing outstanding, and is tried
//! again by the next. Nothing is lost.

mod end;
mod fill;
mod hold;
mod into;
mod items;
mod pace;
mod parallel;
mod ranges;
mod read;

pub(crate) use end::{detach, free};
pub(crate) use into::{Filled, Into, fill_array};
pub(crate) use items::{Array, Closures, Items, Source};
pub(crate) use pace::Pace;
pub(crate) use parallel::{check, of_none, start};
pub(crate) use ranges::RangeFn;
pub(crate) use read::{Next, next};

use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::extra::Spec;
use crate::future::owner::OwnerRef;
use crate::platform::clock::Instant;
use crate::platform::memory;
use crate::shared::Shared;
use crate::unwind::contain;
use hold::Hold;
use std::collections::VecDeque;
use std::ptr::NonNull;

/// A handle of an executor.
struct Kept(OwnerRef);

impl Kept {
    fn new(executor: Executor<'_>) -> Kept {
        executor.add_handle();
        Kept(executor.retain())
    }

    fn get(&self) -> Executor<'_> {
        // SAFETY: the reference keeps it.
        unsafe { Executor::from_ptr(self.0.as_ptr()) }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.get().drop_handle();
    }
}

/// Until when all of it must be done.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// As it was given, for messages.
    timeout: i64,
}

/// Why there will be nothing more once all that was pulled has been read.
enum Stop {
    /// The status of the source's.
    Source(i32),
    /// The future has the text, if there was memory.
    Error(Error, Option<TaskRef>),
}

pub(crate) struct Map {
    hold: Hold,
    /// M1.
    inside: Inside,
}

struct Inside {
    executor: Kept,
    /// Of the items' tasks; None: all defaults.
    spec: Option<Shared<Spec>>,
    items: Items,
    /// Handed out and not read, the oldest first.
    outstanding: VecDeque<TaskRef>,
    /// The one that was read last: the caller may use it until the next call.
    current: Option<TaskRef>,
    pace: Pace,
    deadline: Option<Deadline>,
    /// What each item that was not handed out settles as.
    closed: Option<TaskRef>,
    /// Told once, after the items.
    stop: Option<Stop>,
    /// Where handles of a hand-out are put first.
    places: Vec<NonNull<TaskCell>>,
}

/// Makes a map and hands out what its window allows. Not contained: asks the source, and frees
/// what was moved if it fails.
pub(crate) fn create(
    executor: Executor<'_>,
    items: Items,
    pace: Pace,
    spec: Option<&Shared<Spec>>,
) -> Result<NonNull<Map>> {
    create_with(executor, items, pace, spec, fill::Room::ByPolicy, true)
}

/// The same; `own`: it outlives the caller's array.
fn create_with(
    executor: Executor<'_>,
    items: Items,
    pace: Pace,
    spec: Option<&Shared<Spec>>,
    room: fill::Room,
    own: bool,
) -> Result<NonNull<Map>> {
    let made = contain(|| Map::new(executor, items, pace, spec));
    let map = match made {
        Ok(Ok(map)) => map,
        Ok(Err((error, items))) => {
            items.free_rest();
            return Err(error);
        }
        Err(panic) => return Err(panic.into_error()),
    };
    // SAFETY: just made and held, known to nobody else.
    let filled = unsafe { fill::fill(map, room) };
    // SAFETY: as above.
    let kept = contain(|| unsafe { Map::inside(map) }.settle_in(filled, own));
    let kept = kept.unwrap_or_else(|panic| Err(panic.into_error()));
    // SAFETY: as above.
    unsafe {
        match kept {
            Ok(()) => {
                Map::hold(map).give();
                Ok(map)
            }
            Err(error) => {
                end::destroy(map);
                Err(error)
            }
        }
    }
}

impl Map {
    /// # Safety
    /// The map is alive, for `'a`.
    unsafe fn hold<'a>(map: NonNull<Map>) -> &'a Hold {
        // SAFETY: by the contract. Not by a reference to the whole: another may have its inside.
        unsafe { &(*map.as_ptr()).hold }
    }

    /// # Safety
    /// The caller holds the map, and uses the answer in one step (M1, M2).
    unsafe fn inside<'a>(map: NonNull<Map>) -> &'a mut Inside {
        // SAFETY: by the contract; as in `hold`.
        unsafe { &mut (*map.as_ptr()).inside }
    }

    /// A map that is held; the items back on an error.
    fn new(
        executor: Executor<'_>,
        items: Items,
        pace: Pace,
        spec: Option<&Shared<Spec>>,
    ) -> std::result::Result<NonNull<Map>, (Error, Items)> {
        let no_memory = || Error::no_memory("a map", size_of::<Map>());
        if let Err(error) = executor.check_fork() {
            return Err((error, items));
        }
        let (spec, deadline) = match spec.map(of_items) {
            None => (None, None),
            Some(Some(parts)) => parts,
            Some(None) => return Err((no_memory(), items)),
        };
        let inside = Inside {
            executor: Kept::new(executor),
            spec,
            items,
            outstanding: VecDeque::new(),
            current: None,
            pace,
            deadline,
            closed: None,
            stop: None,
            places: Vec::new(),
        };
        let map = Map { hold: Hold::held(), inside };
        memory::try_box(map).map_err(|map| (no_memory(), map.inside.items))
    }
}

impl Inside {
    /// The end of its making.
    fn settle_in(&mut self, filled: Result<fill::Filled>, own: bool) -> Result<()> {
        // What has begun goes on; an error that lasts is found again by a read.
        if self.outstanding.is_empty() {
            filled?;
        }
        if own { self.items.own() } else { Ok(()) }
    }
}

/// The options of the items' tasks, without what is the map's own: that one as a deadline.
/// None when there is no memory.
fn of_items(spec: &Shared<Spec>) -> Option<(Option<Shared<Spec>>, Option<Deadline>)> {
    if spec.total_timeout < 0 {
        return Some(((!spec.is_default_for_tasks()).then(|| spec.clone()), None));
    }
    let timeout = spec.total_timeout;
    let deadline = Deadline { at: Instant::now().plus(timeout as u64), timeout };
    Some((Some(spec.clone()), Some(deadline)))
}
