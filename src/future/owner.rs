//! What a future knows of the executor it was given to. The pools implement it; this room
//! imports none of them.

use super::bound::Load;
use super::buffer::BufferRef;
use super::cell::{TaskCell, TaskRef};
use super::extra::{Spec, Text};
use super::hook::Hook;
use super::make::Work;
use super::outside::OutsideTable;
use super::registry::Links;
use super::settle::Verdict;
use super::state::Outcome;
use crate::error;
use crate::platform::clock::Instant;
use crate::shared::Shared;
use crate::sync::{AtomicU32, AtomicUsize, Ordering};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

/// The head of every executor.
#[repr(C)]
pub(crate) struct Owner {
    pub(crate) vtable: &'static Vtable,
    /// What keeps the executor's memory: handles together 1, each thread 1, each
    /// detached task 1, each hook that will submit to it 1.
    references: AtomicUsize,
    /// The fork generation it belongs to.
    pub(crate) generation: u32,
    /// What submits and runners must look at; 0 while nothing is unusual, so that one look
    /// tells. Bits of `attention`.
    attention: AtomicU32,
    /// Its place among the executors of the process.
    pub(super) links: Links,
}

/// What kind of executor a head belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Threads,
    Processes,
    /// A loop: its tasks run where `cfut_loop_run` is called.
    Loop,
    /// A limited view of another executor.
    View,
}

/// Why an executor broke.
pub(crate) struct Reason {
    pub(crate) code: i32,
    pub(crate) text: Text,
}

/// Why an executor's tasks cannot go the straight way.
pub(crate) mod attention {
    /// Tasks count against a bound.
    pub(crate) const BOUNDED: u32 = 1;
    /// Queued tasks are not to start: the executor is broken, or closed with CANCEL.
    pub(crate) const SETTLES_QUEUED: u32 = 1 << 1;
    /// Running tasks were told to stop.
    pub(crate) const STOPS: u32 = 1 << 2;
    /// Tasks run by turns (`thread_pool::turn`).
    pub(crate) const TURNS: u32 = 1 << 3;
    /// It was made in a forked child, where memory needs more care (`future::arena`).
    pub(crate) const FORKED: u32 = 1 << 6;
    /// Tasks of high priority are queued; the only bit that goes again.
    pub(crate) const URGENT: u32 = 1 << 5;
    /// The time is not to be had from the processor's counter.
    pub(crate) const SLOW_CLOCK: u32 = 1 << 4;
    /// Its tasks run in other processes.
    pub(crate) const PROCESSES: u32 = 1 << 7;
    /// What happens is written to a timeline.
    pub(crate) const TRACED: u32 = 1 << 8;
    /// Its tasks do not run on threads of its own.
    pub(crate) const NO_THREADS: u32 = 1 << 9;
}

/// How far a task was when somebody other than its runner settled it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Not queued: it waits for its input, and the executor keeps its deadlines.
    Waiting,
    /// Not queued: it waits in a view of this executor, which keeps its deadlines and its room.
    Held,
    /// Not started.
    Queued,
    /// Its function had not returned.
    Running,
    /// Its function had returned CFUT_DETACH.
    Detached,
}

/// How a task comes to `Vtable::enqueue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Its time has come just now.
    Fresh,
    /// The same, and it goes behind everything accepted so far.
    InOrder,
    /// It waited in a view: it has its stamp, its room and its deadlines (`ParentTable`).
    Held,
}

/// A task that an executor does not take.
pub(crate) struct Refused {
    pub(crate) task: TaskRef,
    /// How to settle it, if it must not run elsewhere.
    pub(crate) verdict: Option<Verdict>,
}

/// What futures ask of an executor. Each function is called contained (rule U1) and calls
/// no user code.
pub(crate) struct Vtable {
    pub(crate) kind: Kind,
    /// Takes a task whose time has come; gives it back if it takes no work any more.
    pub(crate) enqueue: unsafe fn(NonNull<Owner>, TaskRef, Arrival) -> Result<(), Refused>,
    /// Keeps the deadlines of a task that will be given to `enqueue` later, from now on until it
    /// is settled. Nobody else knows the task.
    pub(crate) keep_time: unsafe fn(NonNull<Owner>, &TaskRef) -> error::Result<()>,
    /// A task of this executor was settled by somebody other than its runner.
    pub(crate) settled: unsafe fn(NonNull<Owner>, &TaskCell, Outcome, Stage),
    /// A task returned CFUT_DETACH: it stays alive, and unfinished business, until it is
    /// settled. Takes a reference, which `settled` with `Stage::Detached` drops.
    pub(crate) detached: unsafe fn(NonNull<Owner>),
    /// Undoes `detached`: the task settles with the return of its function after all.
    pub(crate) attached: unsafe fn(NonNull<Owner>),
    /// How often the stop flag of running tasks was raised: 0, 1, or 2 for more.
    pub(crate) stop_level: unsafe fn(NonNull<Owner>) -> u32,
    /// Takes a place among the workers for a thread of the host that waits for a task of
    /// this executor for ever; false: it may not help, or all places are taken.
    pub(crate) take_seat: unsafe fn(NonNull<Owner>) -> bool,
    /// Runs a started task in a taken seat and gives the seat back. Not contained (U2).
    pub(crate) run_in_seat: unsafe fn(NonNull<Owner>, TaskRef),
    /// Bytes of a result that had counted as unread have been read or dropped.
    pub(crate) uncharge: unsafe fn(NonNull<Owner>, bytes: u64),
    /// For `cfut_quiesce`: it has no work, and nobody of its own is about to call the user.
    pub(crate) is_quiet: unsafe fn(NonNull<Owner>) -> bool,
    /// Of an executor that has no thread to watch its deadlines: settles the tasks whose deadline has
    /// passed; the next deadline.
    pub(crate) expire: Option<unsafe fn(NonNull<Owner>) -> Option<Instant>>,
    /// Of a task that runs here for another process.
    pub(crate) shipped: Option<&'static ShippedTable>,
    /// Of an executor whose tasks run in other processes.
    pub(crate) remote: Option<&'static RemoteTable>,
    /// Of an executor that there can be views of.
    pub(crate) parent: Option<&'static ParentTable>,
    /// Of a view.
    pub(crate) view: Option<&'static ViewTable>,
    /// Of an executor that keeps commands in a lane of their own.
    pub(crate) outside: Option<&'static OutsideTable>,
    /// Frees the executor: the last reference is gone.
    pub(crate) destroy: unsafe fn(NonNull<Owner>),
}

/// See `ParentTable::make`.
pub(crate) type MakeHeld = unsafe fn(
    NonNull<Owner>,
    view: NonNull<Owner>,
    work: Work<'_>,
    bytes: u64,
    spec: Option<&Shared<Spec>>,
    handle: bool,
) -> error::Result<NonNull<TaskCell>>;

/// What a view asks of the executor that its tasks run on. Called as the functions of `Vtable`.
pub(crate) struct ParentTable {
    /// One handle of the executor more, or one fewer.
    pub(crate) add_handle: unsafe fn(NonNull<Owner>),
    pub(crate) drop_handle: unsafe fn(NonNull<Owner>),
    /// An error if it takes no work any more.
    pub(crate) check: unsafe fn(NonNull<Owner>) -> error::Result<()>,
    /// Takes room in its queue, as a submit does, but the caller never runs a task instead.
    pub(crate) take_room: unsafe fn(NonNull<Owner>, Load) -> error::Result<()>,
    /// As `take_room` if there is room now, and else false.
    pub(crate) try_take_room: unsafe fn(NonNull<Owner>, Load) -> bool,
    pub(crate) give_room: unsafe fn(NonNull<Owner>, Load),
    /// Makes a task that will wait in `view`, as a submit does: with its deadlines from now on,
    /// one reference for the view and, with `handle`, one for that.
    pub(crate) make: MakeHeld,
    /// Undoes `make` for a task that is not accepted after all. Its room is still taken.
    pub(crate) unmake: unsafe fn(NonNull<Owner>, NonNull<TaskCell>, handle: bool),
    /// A task whose input has settled waits in a view from now on: gives it room, and the
    /// deadlines of a queued one. Err: it need not, or cannot, run there; how it ends instead,
    /// or None as in `Refused`.
    pub(crate) hold: unsafe fn(NonNull<Owner>, &TaskRef) -> Result<(), Option<Verdict>>,
}

/// What futures ask of a view. Called as the functions of `Vtable`, and also with the table of
/// waits locked.
pub(crate) struct ViewTable {
    /// A task has settled whose place this is, and its function has returned.
    pub(crate) left: unsafe fn(NonNull<Owner>, NonNull<Hook>, &TaskRef),
    /// One of the tasks that hold a place while this one waits; None: there are no more, or it does
    /// not wait.
    pub(crate) holder: unsafe fn(NonNull<Owner>, &TaskRef, number: usize) -> Option<TaskRef>,
}

/// How much is done, and of how much.
pub(crate) type Progress = (u64, u64);

/// What futures ask of an executor whose tasks run in other processes, about a task that is not
/// settled. Called with no LOCK held; otherwise as the functions of `Vtable`.
pub(crate) struct RemoteTable {
    /// Makes what is seen of the task true: it is RUNNING if its function has been entered.
    pub(crate) refresh: unsafe fn(NonNull<Owner>, &TaskRef),
    /// Keeps the task from being started. It is RUNNING afterwards if it was too late for that;
    /// else whoever asked settles it.
    pub(crate) withdraw: unsafe fn(NonNull<Owner>, &TaskRef),
    /// Raises the stop flag of a running task; with `kill` its process ends after the grace.
    pub(crate) stop: unsafe fn(NonNull<Owner>, &TaskRef, kill: bool),
    /// How far a running task says it is.
    pub(crate) progress: unsafe fn(NonNull<Owner>, &TaskRef) -> Option<Progress>,
    /// The calling thread is about to wait for the task: looks for its end for a moment.
    pub(crate) attend: unsafe fn(NonNull<Owner>, &TaskRef),
}

/// What futures ask of the owner of a task that runs in this process for another one, to which
/// its outcome is shipped. Such owners last as long as the process.
pub(crate) struct ShippedTable {
    /// From how many bytes on a result is put into `memory`, which needs no second copy.
    pub(crate) large: usize,
    /// Memory for a result of so many bytes; None: there is none.
    pub(crate) memory: unsafe fn(NonNull<Owner>, usize) -> Option<BufferRef>,
    /// How far the task is. Called under LOCK.
    pub(crate) progress: unsafe fn(NonNull<Owner>, done: u64, total: u64),
}

impl Owner {
    pub(crate) fn new(vtable: &'static Vtable, generation: u32) -> Owner {
        let references = AtomicUsize::new(1);
        let attention = AtomicU32::new(0);
        Owner { vtable, references, generation, attention, links: Links::new() }
    }

    /// Whether tasks may go the straight way: what is looked at otherwise says nothing.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        // Relaxed: whoever raises a bit has changed what it stands for before, and does not
        // count on being seen at once.
        self.attention.load(Ordering::Relaxed) == 0
    }

    /// Whether a bit of `attention` is set.
    #[inline(always)]
    pub(crate) fn needs(&self, bit: u32) -> bool {
        // Relaxed: as in `is_plain`.
        self.attention.load(Ordering::Relaxed) & bit != 0
    }

    /// Takes a bit of `attention` back.
    pub(crate) fn end_attention(&self, bit: u32) {
        // Relaxed: as in `is_plain`.
        self.attention.fetch_and(!bit, Ordering::Relaxed);
    }

    /// Sets a bit of `attention`.
    pub(crate) fn call_attention(&self, bit: u32) {
        // Relaxed: as in `is_plain`.
        self.attention.fetch_or(bit, Ordering::Relaxed);
    }
}

/// One counted reference to an executor.
pub(crate) struct OwnerRef(NonNull<Owner>);

// SAFETY: executors are shared between threads by design; the count is atomic.
unsafe impl Send for OwnerRef {}
// SAFETY: as above.
unsafe impl Sync for OwnerRef {}

impl OwnerRef {
    /// # Safety
    /// `owner` is alive during the call.
    pub(crate) unsafe fn retain(owner: NonNull<Owner>) -> OwnerRef {
        // Relaxed: a reference from an existing one publishes nothing.
        // SAFETY: by the contract.
        unsafe { owner.as_ref() }.references.fetch_add(1, Ordering::Relaxed);
        OwnerRef(owner)
    }

    /// Takes over a reference that is already counted.
    ///
    /// # Safety
    /// The count is the caller's to give, once.
    pub(crate) unsafe fn adopt(owner: NonNull<Owner>) -> OwnerRef {
        OwnerRef(owner)
    }

    /// Leaves the count behind; `adopt` takes it up.
    pub(crate) fn into_raw(self) -> NonNull<Owner> {
        ManuallyDrop::new(self).0
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Owner> {
        self.0
    }
}

impl Clone for OwnerRef {
    fn clone(&self) -> OwnerRef {
        // SAFETY: this reference keeps it alive.
        unsafe { OwnerRef::retain(self.0) }
    }
}

impl std::ops::Deref for OwnerRef {
    type Target = Owner;
    fn deref(&self) -> &Owner {
        // SAFETY: this reference keeps it alive.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for OwnerRef {
    fn drop(&mut self) {
        // Release: pairs with the Acquire below in the last drop; uses through this
        // reference come before the destruction.
        if self.references.fetch_sub(1, Ordering::Release) == 1 {
            // Acquire: pairs with the Releases of all other drops.
            let _ = self.references.load(Ordering::Acquire);
            let destroy = self.vtable.destroy;
            // SAFETY: the last reference.
            unsafe { destroy(self.0) };
        }
    }
}
