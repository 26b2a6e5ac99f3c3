//! How tasks come into an executor whose ways in are all alike: room, cell, acceptance.
//!
//! The pools have ways of their own, for speed, for what runs in the caller, and for functions that
//! have a number.

use super::bound::Load;
use super::cell::{TaskCell, TaskRef};
use super::extra::Spec;
use super::make::Work;
use crate::error::{Error, Result};
use crate::shared::Shared;
use std::ptr::NonNull;

/// An executor, as it takes tasks.
pub(crate) trait Intake {
    /// An error if nothing is accepted any more.
    fn check_takes_work(&self) -> Result<()>;
    /// Takes room in the queue as the policy says.
    fn take_room(&self, load: Load) -> Result<()>;
    /// The same if there is room now, and else false.
    fn try_take_room(&self, load: Load) -> bool;
    fn give_room(&self, load: Load);
    /// A cell with a reference for the queue and one for a handle, and all that goes beside it.
    fn make(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<NonNull<TaskCell>>;
    /// Undoes `make` for a task that was not accepted.
    fn unmake(&self, task: NonNull<TaskCell>, handle: bool);
    /// Accepts tasks that `make` gave, all or none: takes the queue's references.
    fn accept(&self, tasks: &[NonNull<TaskCell>]) -> Result<()>;

    /// Accepts or refuses a task. A closure's argument is the caller's again on an error.
    fn submit(
        &self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Option<TaskRef>> {
        let load = Load { tasks: 1, bytes };
        self.check_takes_work()?;
        self.take_room(load)?;
        let made = self.make(work, bytes, spec, handle).and_then(|task| {
            self.accept(&[task]).inspect_err(|_| self.unmake(task, handle))?;
            Ok(task)
        });
        if made.is_err() {
            self.give_room(load);
        }
        // SAFETY: the handle's reference, counted by `make`.
        Ok(Some(made?).filter(|_| handle).map(|task| unsafe { TaskRef::from_raw(task) }))
    }

    /// Accepts `count` tasks over consecutive items, all or none. Their handles are
    /// written to `out` if it is given; without, they have none.
    ///
    /// # Safety
    /// `out`, if given, has room for `count` pointers.
    unsafe fn submit_many(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<NonNull<TaskCell>>>,
    ) -> Result<()> {
        self.check_takes_work()?;
        self.take_room(Load::of_many(item_size, count))?;
        // SAFETY: by the contract.
        unsafe { self.submit_charged(make_work, item_size, count, spec, out) }
    }

    /// As `submit_many` if there is room for all of them, and else false.
    ///
    /// # Safety
    /// As `submit_many`.
    unsafe fn submit_many_if_room(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<NonNull<TaskCell>>>,
    ) -> Result<bool> {
        self.check_takes_work()?;
        if !self.try_take_room(Load::of_many(item_size, count)) {
            return Ok(false);
        }
        // SAFETY: by the contract.
        unsafe { self.submit_charged(make_work, item_size, count, spec, out) }.map(|()| true)
    }

    /// `submit_many` for a batch that has its room.
    ///
    /// # Safety
    /// As `submit_many`.
    unsafe fn submit_charged(
        &self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<NonNull<TaskCell>>>,
    ) -> Result<()> {
        let mut tasks: Vec<NonNull<TaskCell>> = Vec::new();
        let result = (|| {
            let no_memory = |_| Error::no_memory("a batch of tasks", count * 8);
            tasks.try_reserve_exact(count).map_err(no_memory)?;
            for item in 0..count {
                tasks.push(self.make(make_work(item), item_size as u64, spec, out.is_some())?);
            }
            self.accept(&tasks)
        })();
        if let Err(error) = result {
            tasks.iter().for_each(|&task| self.unmake(task, out.is_some()));
            self.give_room(Load::of_many(item_size, count));
            return Err(error);
        }
        if let Some(out) = out {
            // SAFETY: by the contract there is room.
            unsafe { out.as_ptr().copy_from_nonoverlapping(tasks.as_ptr(), count) };
        }
        Ok(())
    }
}
