//! Owners of the tasks that run here: one for each slot of the link, so that a future's owner
//! tells which slot it has.

use super::shipping::Worker;
use super::{outcome, shipping};
use crate::future::buffer::BufferRef;
use crate::future::cell::{TaskCell, TaskRef};
use crate::future::owner::{Arrival, Kind, Owner, OwnerRef, Refused, ShippedTable, Stage, Vtable};
use crate::future::state::Outcome;
use crate::platform::fork;
use crate::platform::memory;
use crate::sync::{AtomicPtr, AtomicU64, Ordering};
use crate::transport::frame::INLINE_LIMIT;
use crate::transport::link::SLOTS;
use std::ptr::{self, NonNull};

static VTABLE: Vtable = Vtable {
    kind: Kind::Processes,
    enqueue,
    // Nothing is piped to a slot.
    keep_time: |_, _| Ok(()),
    settled,
    detached,
    attached,
    stop_level,
    take_seat,
    run_in_seat,
    uncharge,
    is_quiet,
    expire: None,
    shipped: Some(&SHIPPED),
    remote: None,
    parent: None,
    view: None,
    outside: None,
    destroy,
};

static SHIPPED: ShippedTable = ShippedTable { large: INLINE_LIMIT + 1, memory, progress };

/// The owner of whatever task a slot has.
#[repr(C)]
pub(super) struct Slot {
    owner: Owner,
    worker: NonNull<Worker>,
    pub(super) number: u32,
    /// The task, from its start until it is shipped: a reference.
    task: AtomicPtr<TaskCell>,
    /// The host's area with its argument, or 0.
    pub(super) input: AtomicU64,
    /// How long it ran and what it used, in nanoseconds.
    pub(super) run_ns: AtomicU64,
    pub(super) cpu_ns: AtomicU64,
}

impl Slot {
    /// All slots of a worker, for ever. None when there is no memory.
    pub(super) fn make_all(worker: NonNull<Worker>) -> Option<NonNull<Slot>> {
        let slots = memory::allocate(SLOTS * size_of::<Slot>(), align_of::<Slot>())?.cast::<Slot>();
        for number in 0..SLOTS {
            let slot = Slot {
                owner: Owner::new(&VTABLE, fork::generation()),
                worker,
                number: number as u32,
                task: AtomicPtr::new(ptr::null_mut()),
                input: AtomicU64::new(0),
                run_ns: AtomicU64::new(0),
                cpu_ns: AtomicU64::new(0),
            };
            // SAFETY: fresh memory for so many slots.
            unsafe { slots.add(number).write(slot) };
        }
        Some(slots)
    }

    /// # Safety
    /// The head of one of this file's slots.
    unsafe fn of<'a>(owner: NonNull<Owner>) -> &'a Slot {
        // SAFETY: by the contract; slots stay (W5).
        unsafe { owner.cast::<Slot>().as_ref() }
    }

    pub(super) fn as_owner(&self) -> NonNull<Owner> {
        NonNull::from(self).cast()
    }

    pub(super) fn worker(&self) -> &Worker {
        // SAFETY: W5: the worker stays until the process ends.
        unsafe { self.worker.as_ref() }
    }

    /// The task begins; `area` has its argument, or is 0.
    pub(super) fn begin(&self, task: TaskRef, area: u64) {
        // Relaxed: W3: this thread's until it is shipped.
        self.input.store(area, Ordering::Relaxed);
        self.run_ns.store(0, Ordering::Relaxed);
        self.cpu_ns.store(0, Ordering::Relaxed);
        // Release: pairs with `take`, if another thread ships it.
        self.task.store(task.into_raw().as_ptr(), Ordering::Release);
    }

    /// The task, for the one who ships its outcome.
    pub(super) fn take(&self) -> Option<TaskRef> {
        // AcqRel: pairs with `begin`, and with itself: one ships.
        let task = NonNull::new(self.task.swap(ptr::null_mut(), Ordering::AcqRel))?;
        // SAFETY: the reference that `begin` left here.
        Some(unsafe { TaskRef::from_raw(task) })
    }

    /// Ships the outcome of the slot's task, if nobody has.
    pub(super) fn ship(&self) {
        if let Some(task) = self.take() {
            outcome::ship(self, &task);
        }
    }
}

// ---- what futures ask ----

/// Continuations of a task's future do not exist here: nobody has the future.
unsafe fn enqueue(_: NonNull<Owner>, task: TaskRef, _: Arrival) -> Result<(), Refused> {
    Err(Refused { task, verdict: None })
}

/// # Safety
/// `owner` is a slot's.
unsafe fn settled(owner: NonNull<Owner>, _: &TaskCell, _: Outcome, stage: Stage) {
    // SAFETY: by the contract.
    let slot = unsafe { Slot::of(owner) };
    // In a forked child of the task's the slot is still the parent's.
    if slot.owner.generation != fork::generation() {
        return;
    }
    slot.ship();
    if stage == Stage::Detached {
        slot.worker().detached.leave();
        // SAFETY: the reference that `detached` left behind.
        drop(unsafe { OwnerRef::adopt(owner) });
    }
}

/// # Safety
/// `owner` is a slot's.
unsafe fn detached(owner: NonNull<Owner>) {
    // SAFETY: by the contract.
    unsafe {
        Slot::of(owner).worker().detached.enter();
        OwnerRef::retain(owner).into_raw();
    }
}

/// # Safety
/// `owner` is a slot's, and `detached` was called before.
unsafe fn attached(owner: NonNull<Owner>) {
    // SAFETY: by the contract; the reference that `detached` left behind.
    unsafe {
        Slot::of(owner).worker().detached.leave();
        drop(OwnerRef::adopt(owner));
    }
}

/// # Safety
/// `owner` is a slot's.
unsafe fn stop_level(owner: NonNull<Owner>) -> u32 {
    // SAFETY: by the contract.
    let slot = unsafe { Slot::of(owner) };
    let link = &slot.worker().link;
    if link.slot(slot.number).is_some_and(|shared| shared.stop() != 0) {
        return u32::MAX; // this task is meant, however late it began
    }
    link.stop_level()
}

unsafe fn take_seat(_: NonNull<Owner>) -> bool {
    false
}

/// Not called: no seat is given.
unsafe fn run_in_seat(_: NonNull<Owner>, _: TaskRef) {}

/// Not called: nothing is charged here.
unsafe fn uncharge(_: NonNull<Owner>, _: u64) {}

/// Not called: slots are not in the registry of executors.
unsafe fn is_quiet(_: NonNull<Owner>) -> bool {
    true
}

/// The slots' first reference is never given back (W5).
unsafe fn destroy(_: NonNull<Owner>) {}

/// # Safety
/// `owner` is a slot's.
unsafe fn memory(owner: NonNull<Owner>, size: usize) -> Option<BufferRef> {
    // SAFETY: by the contract.
    let worker = unsafe { Slot::of(owner) }.worker();
    shipping::result_memory(worker, size, false).ok()
}

/// # Safety
/// `owner` is a slot's.
unsafe fn progress(owner: NonNull<Owner>, done: u64, total: u64) {
    // SAFETY: by the contract.
    let slot = unsafe { Slot::of(owner) };
    if let Some(shared) = slot.worker().link.slot(slot.number) {
        shared.set_progress(done, total);
    }
}
