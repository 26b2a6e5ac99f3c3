//! The arms behind `cfut_executor`: which kind of executor a handle is. No logic.

use crate::error::{Error, Kind, Result};
use crate::future::cell::{TaskCell, TaskFn, TaskRef};
use crate::future::extra::Spec;
use crate::future::make::{Data, Work};
use crate::future::owner::{Owner, OwnerRef};
use crate::shared::Shared;
use crate::sync::Timeout;
use crate::thread_pool::{self, Pool, Submitted};
use crate::trace::figures::Figure;
use std::fmt::Write;
use std::ptr::NonNull;

/// A live executor, whoever keeps it.
#[derive(Clone, Copy)]
pub(crate) struct Executor<'a>(&'a Owner);

enum Arm<'a> {
    Threads(&'a Pool),
}

impl<'a> Executor<'a> {
    /// # Safety
    /// `owner` is the head of a live executor, for `'a`.
    pub(crate) unsafe fn from_ptr(owner: NonNull<Owner>) -> Executor<'a> {
        // SAFETY: by the contract.
        Executor(unsafe { owner.as_ref() })
    }

    #[inline(always)]
    fn arm(self) -> Arm<'a> {
        // SAFETY: thread pools are the only kind there is, and `from_ptr` was given a
        // pointer to a whole one.
        Arm::Threads(unsafe { Pool::of(NonNull::from(self.0)) })
    }

    pub(crate) fn retain(self) -> OwnerRef {
        match self.arm() {
            Arm::Threads(pool) => pool.retain(),
        }
    }

    pub(crate) fn add_handle(self) {
        match self.arm() {
            Arm::Threads(pool) => pool.add_handle(),
        }
    }

    pub(crate) fn drop_handle(self) {
        match self.arm() {
            Arm::Threads(pool) => pool.drop_handle(),
        }
    }

    pub(crate) fn check_fork(self) -> Result<()> {
        match self.arm() {
            Arm::Threads(pool) => pool.check_fork(),
        }
    }

    #[inline(always)]
    pub(crate) fn submit(
        self,
        work: Work<'_>,
        bytes: u64,
        spec: Option<&Shared<Spec>>,
        handle: bool,
    ) -> Result<Submitted> {
        match self.arm() {
            Arm::Threads(pool) => pool.submit(work, bytes, spec, handle),
        }
    }

    /// `submit` where nothing is unusual; None: nothing was done. See
    /// `Pool::submit_straight`.
    ///
    /// # Safety
    /// `out` is NULL, and the task will have no handle, or has room for it.
    #[inline(always)]
    pub(crate) unsafe fn submit_straight(
        self,
        function: TaskFn,
        data: Data<'_>,
        out: *mut NonNull<TaskCell>,
    ) -> Option<Result<()>> {
        match self.arm() {
            // SAFETY: by the contract.
            Arm::Threads(pool) => unsafe { pool.submit_straight(function, data, out) },
        }
    }

    /// Runs what `submit` left to its caller. Not contained: calls the user.
    pub(crate) fn run_here(self, task: TaskRef) {
        match self.arm() {
            Arm::Threads(pool) => thread_pool::run_in_caller(pool, task),
        }
    }

    /// # Safety
    /// `out`, if given, has room for `count` pointers.
    pub(crate) unsafe fn submit_many(
        self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<NonNull<TaskCell>>>,
    ) -> Result<()> {
        match self.arm() {
            // SAFETY: by the contract.
            Arm::Threads(pool) => unsafe {
                pool.submit_many(make_work, item_size, count, spec, out)
            },
        }
    }

    pub(crate) fn shutdown(self, flags: u32, timeout: Timeout) -> Result<bool> {
        match self.arm() {
            Arm::Threads(pool) => pool.shutdown(flags, timeout),
        }
    }

    /// An error in a task of this executor: it cannot wait for its own end.
    pub(crate) fn refuse_own_task(self) -> Result<()> {
        match self.arm() {
            Arm::Threads(pool) => pool.refuse_own_task(),
        }
    }

    pub(crate) fn warm(self, timeout: Timeout) -> Result<bool> {
        match self.arm() {
            Arm::Threads(pool) => pool.warm(timeout),
        }
    }

    pub(crate) fn figure(self, figure: Figure) -> Result<u64> {
        self.check_fork()?;
        match self.arm() {
            Arm::Threads(pool) => Ok(pool.figure(figure)),
        }
    }

    pub(crate) fn write_json(self, out: &mut dyn Write) -> Result<()> {
        self.check_fork()?;
        let written = match self.arm() {
            Arm::Threads(pool) => pool.write_json(out),
        };
        written.map_err(|_| {
            Error::new(Kind::System, format_args!("the snapshot could not be written"))
        })
    }
}
