//! Tasks while they run, for whoever wants to show them.
//!
//! A task that runs nobody but its runner may look at: it can be gone at any moment. So the runner
//! links a record of it, on its stack, into a list that others look at under its lock. That is two
//! locks a task: a worker of a thread pool does it for tasks with options, a loop for all.

use super::figures::age_ns;
use super::snapshot::{Task, Tasks};
use crate::future::cell::TaskRef;
use crate::future::extra::Spec;
use crate::platform::fork;
use crate::shared::Shared;
use crate::sync::Lock;
use crate::unwind::contain;
use std::ptr;

/// On the stack of its runner, from the start of the task to its end.
pub(crate) struct Record {
    spec: Option<Shared<Spec>>,
    /// In ticks.
    accepted: u64,
    began: u64,
    below: *const Record,
}

/// The records of one worker or loop.
pub(crate) struct Running(Lock<Newest>);

/// The newest record, or NULL.
struct Newest(*mut Record);

// SAFETY: what it points at is looked at under the lock that this is in, and is taken out of the
// list under it before it goes.
unsafe impl Send for Newest {}

/// Takes the record out when the task has ended, however it does.
pub(crate) struct Showing<'a> {
    running: &'a Running,
    record: *const Record,
    /// The fork generation that the list belongs to.
    generation: u32,
}

impl Record {
    /// Of a task that has begun at `began`, in ticks.
    pub(crate) fn of(task: &TaskRef, began: u64) -> Record {
        let spec = task.shared_spec();
        Record { spec, accepted: task.accepted_at(), began, below: ptr::null() }
    }

    fn shown(&self, worker: Option<u32>) -> Task {
        Task {
            spec: self.spec.clone(),
            age_ns: age_ns(self.accepted),
            running: true,
            run_ns: Some(age_ns(self.began)),
            worker,
            attempt: 1,
        }
    }
}

impl Running {
    pub(crate) fn new() -> Running {
        Running(Lock::new(Newest(ptr::null_mut())))
    }

    /// Shows a task that is about to run.
    ///
    /// # Safety
    /// The record stays where it is, and is not touched, until the answer has gone.
    pub(crate) unsafe fn show(&self, record: &mut Record) -> Showing<'_> {
        let mut newest = self.0.lock();
        record.below = newest.0;
        newest.0 = record;
        Showing { running: self, record, generation: fork::generation() }
    }

    /// Adds the tasks, newest first, as long as there is room; when the newest one began.
    pub(crate) fn add_to(&self, tasks: &mut Tasks, worker: Option<u32>) -> Option<u64> {
        let newest = self.0.lock();
        // SAFETY: in the list, whose lock is held.
        let top = unsafe { newest.0.as_ref() };
        let mut next = top;
        while let Some(record) = next.filter(|_| tasks.has_room()) {
            tasks.push(record.shown(worker));
            // SAFETY: as above.
            next = unsafe { record.below.as_ref() };
        }
        top.map(|top| top.began.max(1))
    }

    /// Takes a record out of the list. On one stack it is the newest.
    fn remove(&self, record: *const Record) {
        let mut newest = self.0.lock();
        let mut link: *mut *const Record = (&raw mut newest.0).cast();
        // SAFETY: in the list, whose lock is held, and the record is among them.
        unsafe {
            while *link != record {
                link = &raw mut (*(*link).cast_mut()).below;
            }
            *link = (*record).below;
        }
    }
}

impl Drop for Showing<'_> {
    fn drop(&mut self) {
        // In a forked child whoever holds the lock does not exist.
        if self.generation == fork::generation() {
            let _ = contain(|| self.running.remove(self.record));
        }
    }
}
