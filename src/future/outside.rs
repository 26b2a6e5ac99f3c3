//! Commands: tasks that are programs of their own, beside the workers of their executor.
//!
//! A pool keeps its commands in a `Lane`: those that wait, and a place for each that runs, as many
//! as the pool has workers. One thread of the process follows all commands of all executors (the
//! room `command`); it takes what may start out of the lanes, is the runner of those cells in the
//! sense of F2, and gives each place back when the process of the command has ended, which may be
//! later than the end of its future. This room does not know it: `install` says whom to ask.
//!
//! A command of an executor without a lane is an ordinary task, whose function hands it over and
//! detaches.
//!
//! # A command in a lane
//! ```text
//!   accept ──▶ waiting ── next ──▶ has a place ── give_place ──▶ (told of) ── leave ──▶ gone
//! ```
//! Each accepted command keeps a reference to its executor until `leave`.

use super::cell::{TaskCell, TaskRef};
use super::extra::Spec;
use super::leftovers::take_settled;
use super::owner::{Owner, OwnerRef};
use super::promise::{Cancel, Reach};
use super::remote::Report;
use super::settle::Verdict;
use super::state::Outcome;
use crate::error::Result;
use crate::shared::Shared;
use crate::sync::{AtomicI64, AtomicPtr, Lock, Ordering, global};
use std::collections::VecDeque;
use std::ptr::{self, NonNull};

/// What to execute. Each text ends with a NUL.
pub(crate) struct Program {
    /// The program and its arguments.
    pub(crate) words: Vec<u8>,
    /// All of its environment, as NAME=value.
    pub(crate) environment: Vec<u8>,
    /// Empty: where the host is.
    pub(crate) directory: Vec<u8>,
}

impl Program {
    /// None when there is no memory.
    pub(crate) fn try_clone(&self) -> Option<Program> {
        let copy = |from: &Vec<u8>| {
            let mut copy = Vec::new();
            copy.try_reserve_exact(from.len()).ok()?;
            copy.extend_from_slice(from);
            Some(copy)
        };
        Some(Program {
            words: copy(&self.words)?,
            environment: copy(&self.environment)?,
            directory: copy(&self.directory)?,
        })
    }

    /// As the user wrote it.
    pub(crate) fn name(&self) -> &[u8] {
        self.words.split(|&byte| byte == 0).next().unwrap_or_default()
    }
}

impl Spec {
    pub(crate) fn is_command(&self) -> bool {
        self.program.is_some()
    }
}

/// Whether these are the options of a command.
#[inline]
pub(crate) fn are_of_command(spec: Option<&Shared<Spec>>) -> bool {
    spec.is_some_and(|spec| spec.is_command())
}

impl TaskCell {
    pub(crate) fn is_command(&self) -> bool {
        self.spec().is_some_and(Spec::is_command)
    }
}

// ---- the follower ----

/// Who follows commands.
pub(crate) struct Follower {
    /// Looks into the lane of this executor from now on, until that is empty.
    pub(crate) enlist: fn(OwnerRef) -> Result<()>,
    /// Looks whether commands were settled or asked to stop.
    pub(crate) ring: fn(),
}

global! {
    static FOLLOWER: AtomicPtr<Follower> = AtomicPtr::new(ptr::null_mut());
}

/// Says who follows commands, before there is one.
pub(crate) fn install(follower: &'static Follower) {
    // Release: pairs with the Acquire in `follower`.
    FOLLOWER.store(ptr::from_ref(follower).cast_mut(), Ordering::Release);
}

fn follower() -> Option<&'static Follower> {
    // Acquire: pairs with the Release in `install`.
    // SAFETY: NULL, or what `install` was given, which stays.
    unsafe { FOLLOWER.load(Ordering::Acquire).as_ref() }
}

/// A running command was settled or asked to stop.
#[cold]
pub(crate) fn ring() {
    if let Some(follower) = follower() {
        (follower.ring)();
    }
}

/// Cancels a command. One that runs is sent SIGTERM with its group; `Kill` settles it at once, and
/// SIGKILL follows after the grace.
pub(super) fn cancel(cell: &TaskRef, reach: Reach, here: impl FnOnce() -> Cancel) -> Cancel {
    let mut done = here();
    if done == Cancel::Asked {
        if reach == Reach::Kill {
            let verdict = Verdict::new(Outcome::Cancelled);
            let settled = cell.settle_if(cell, |_| true, verdict);
            done = if settled { Cancel::Done } else { Cancel::TooLate };
        }
        ring();
    }
    done
}

// ---- lanes ----

/// What is asked of an executor that keeps commands in a lane. As the functions of
/// `owner::Vtable`.
pub(crate) struct OutsideTable {
    pub(crate) lane: unsafe fn(NonNull<Owner>) -> NonNull<Lane>,
    /// Starts a command that waited, and its time-outs; false: it has been settled.
    pub(crate) begin: unsafe fn(NonNull<Owner>, &TaskRef) -> bool,
    /// Ends a command that `begin` started, with the runner's reference.
    pub(crate) end: unsafe fn(NonNull<Owner>, TaskRef, Report),
    /// One command fewer is unfinished.
    pub(crate) left: unsafe fn(NonNull<Owner>),
}

pub(crate) struct Lane {
    /// Places.
    most: usize,
    /// Accepted, and not gone.
    unfinished: AtomicI64,
    inside: Lock<Inside>,
}

struct Inside {
    /// High, normal and low priority.
    waiting: [VecDeque<TaskRef>; 3],
    /// Whoever has a place.
    running: Vec<TaskRef>,
    /// The follower will look.
    enlisted: bool,
    closed: bool,
}

/// Why a command is not accepted.
pub(crate) enum NotTaken {
    Closed,
    NoMemory,
    /// The follower cannot work; the text is the calling thread's last error.
    NoFollower(crate::error::Error),
}

impl Lane {
    pub(crate) fn new(most: u32) -> Lane {
        let inside = Inside {
            waiting: [const { VecDeque::new() }; 3],
            running: Vec::new(),
            enlisted: false,
            closed: false,
        };
        Lane { most: most as usize, unfinished: AtomicI64::new(0), inside: Lock::new(inside) }
    }

    /// Takes commands, all or none, and has the follower look. The references stay the caller's;
    /// the lane has its own. `accepted` is called before anybody can take one.
    pub(crate) fn accept(
        &self,
        owner: NonNull<Owner>,
        tasks: &[TaskRef],
        priority: i8,
        accepted: impl FnOnce(),
    ) -> std::result::Result<(), NotTaken> {
        let lane = 1 - isize::from(priority.signum());
        let mut inside = self.inside.lock();
        if inside.closed {
            return Err(NotTaken::Closed);
        }
        let places = self.most.min(inside.running.len() + inside.count() + tasks.len());
        let more = places.saturating_sub(inside.running.len());
        if inside.waiting[lane as usize].try_reserve(tasks.len()).is_err()
            || inside.running.try_reserve(more).is_err()
        {
            return Err(NotTaken::NoMemory);
        }
        if !std::mem::replace(&mut inside.enlisted, true) {
            // Under the lock: the follower comes for the commands after they are here.
            // SAFETY: the caller keeps the executor.
            let owner = unsafe { OwnerRef::retain(owner) };
            let enlisted = follower().map_or(Ok(()), |follower| (follower.enlist)(owner));
            if let Err(error) = enlisted {
                inside.enlisted = false;
                return Err(NotTaken::NoFollower(error));
            }
        }
        accepted();
        // Relaxed: whoever looks does so under the lock, or after the end of one of them.
        self.unfinished.fetch_add(tasks.len() as i64, Ordering::Relaxed);
        for task in tasks {
            // SAFETY: as above. `leave` drops it.
            let _left_behind = unsafe { OwnerRef::retain(owner) }.into_raw();
            inside.waiting[lane as usize].push_back(task.clone());
        }
        Ok(())
    }

    /// The follower has come, and will take all that may start.
    pub(crate) fn note_visit(&self) {
        self.inside.lock().enlisted = false;
    }

    /// The next command that may start, which has a place now.
    pub(crate) fn next(&self) -> Option<TaskRef> {
        let mut inside = self.inside.lock();
        if inside.running.len() >= self.most {
            return None;
        }
        let task = inside.pop()?;
        inside.running.push(task.clone()); // room was made in `accept`
        Some(task)
    }

    /// The place of a command is free.
    pub(crate) fn give_place(&self, task: &TaskRef) {
        let mut inside = self.inside.lock();
        let place = inside.running.iter().position(|other| other.as_ptr() == task.as_ptr());
        let gone = place.map(|place| inside.running.swap_remove(place));
        drop(inside);
        drop(gone);
    }

    /// A command has ended, and whoever wanted to know has been told.
    ///
    /// # Safety
    /// `owner` has this lane; called once for each accepted command.
    pub(crate) unsafe fn leave(&self, owner: NonNull<Owner>) {
        // SAFETY: the reference that `accept` left behind.
        let owner = unsafe { OwnerRef::adopt(owner) };
        // AcqRel: pairs with the Acquire in `is_idle`: what the command did comes before.
        self.unfinished.fetch_sub(1, Ordering::AcqRel);
        if let Some(table) = owner.vtable.outside {
            // SAFETY: `owner` keeps the executor.
            unsafe { (table.left)(owner.as_ptr()) };
        }
    }

    /// Accepts nothing from now on.
    pub(crate) fn close(&self) {
        self.inside.lock().closed = true;
    }

    /// Settles what has not started, as long as there is a verdict.
    ///
    /// # Safety
    /// `owner` has this lane, and the caller keeps it.
    pub(crate) unsafe fn settle_waiting(
        &self,
        owner: NonNull<Owner>,
        verdict: impl Fn() -> Option<Verdict>,
    ) {
        while let Some(verdict) = verdict() {
            let Some(task) = self.inside.lock().pop() else { return };
            task.settle_if(&task, |seen| seen.is_pending(), verdict);
            drop(task);
            // SAFETY: by the contract; the command has left the lane.
            unsafe { self.leave(owner) };
        }
    }

    /// Drops what was settled while it waited.
    ///
    /// # Safety
    /// As for `settle_waiting`.
    pub(crate) unsafe fn drop_settled(&self, owner: NonNull<Owner>) {
        let gone = {
            let mut inside = self.inside.lock();
            inside.waiting.each_mut().map(|lane| take_settled(lane, |_| true))
        };
        for task in gone.into_iter().flatten() {
            drop(task);
            // SAFETY: by the contract; the command has left the lane.
            unsafe { self.leave(owner) };
        }
    }

    /// How many wait, with those that are settled.
    pub(crate) fn count(&self) -> usize {
        self.inside.lock().count()
    }

    /// Asks all that run to stop.
    pub(crate) fn stop_running(&self) {
        {
            let inside = self.inside.lock();
            inside.running.iter().for_each(|task| task.state.request_stop());
        }
        ring();
    }

    /// Settles all that run as CANCELLED; their processes are killed without a grace.
    pub(crate) fn kill_running(&self) {
        let unsettled = |task: &&TaskRef| !task.snapshot().is_settled();
        loop {
            let Some(task) = self.inside.lock().running.iter().find(unsettled).cloned() else {
                break;
            };
            if let Some(extra) = task.extra_in(task.snapshot()) {
                // Relaxed: published by settling, or by the ring.
                extra.function.store(KILL_AT_ONCE, Ordering::Relaxed);
            }
            task.settle_if(&task, |_| true, Verdict::new(Outcome::Cancelled));
        }
        ring();
    }

    /// Whether every accepted command is gone.
    pub(crate) fn is_idle(&self) -> bool {
        // Acquire: pairs with `leave`.
        self.unfinished.load(Ordering::Acquire) <= 0
    }

    /// When the oldest one that waits was accepted, in ticks.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let inside = self.inside.lock();
        let fronts = inside.waiting.iter().filter_map(VecDeque::front);
        fronts.map(|task| task.accepted_at()).min()
    }

    /// Shows up to `most` commands: those that run, then those that wait.
    pub(crate) fn for_each(&self, most: usize, look: impl FnMut(&TaskRef)) {
        let inside = self.inside.lock();
        let waiting = inside.waiting.iter().flatten();
        inside.running.iter().chain(waiting).take(most).for_each(look);
    }
}

impl Inside {
    fn count(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    fn pop(&mut self) -> Option<TaskRef> {
        self.waiting.iter_mut().find_map(VecDeque::pop_front)
    }
}

/// In `Extra::function` of a command: its process is killed without a grace.
const KILL_AT_ONCE: u32 = 1;

/// How long the process of a command has between SIGTERM and SIGKILL; None: for ever.
pub(crate) fn grace_of(task: &TaskCell) -> Option<u64> {
    let at_once = task.extra_in(task.snapshot()).is_some_and(|extra| {
        extra.function.load(Ordering::Relaxed) == KILL_AT_ONCE // as in `kill_running`
    });
    if at_once {
        return Some(0);
    }
    let grace = task.spec().map_or(super::extra::DEFAULT_GRACE, |spec| spec.grace);
    u64::try_from(grace).ok()
}
