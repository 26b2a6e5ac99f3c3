//! The arms behind `cfut_executor`: which kind of executor a handle is. No logic.

use crate::error::{Error, Kind, Result, fail};
use crate::future::cell::{TaskCell, TaskFn, TaskRef};
use crate::future::extra::Spec;
use crate::future::intake::Intake;
use crate::future::make::{Data, Work};
use crate::future::owner::{Kind as Executors, Owner, OwnerRef};
use crate::limited::View;
use crate::loops::Loop;
use crate::process_pool;
use crate::shared::Shared;
use crate::sync::Timeout;
use crate::thread_pool::{self, Pool};
use crate::trace::figures::Figure;
use std::fmt::Write;
use std::ptr::NonNull;

pub(crate) use crate::thread_pool::Submitted;

/// A live executor, whoever keeps it.
#[derive(Clone, Copy)]
pub(crate) struct Executor<'a>(&'a Owner);

enum Arm<'a> {
    Threads(&'a Pool),
    Processes(&'a process_pool::Pool),
    Loop(&'a Loop),
    Limited(&'a View),
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
        let owner = NonNull::from(self.0);
        // SAFETY: the table tells the kind, and `from_ptr` was given a pointer to a whole one.
        unsafe {
            match self.0.vtable.kind {
                Executors::Threads => Arm::Threads(Pool::of(owner)),
                Executors::Processes => Arm::Processes(process_pool::Pool::of(owner)),
                Executors::Loop => Arm::Loop(Loop::of(owner)),
                Executors::View => Arm::Limited(View::of(owner)),
            }
        }
    }

    /// Its tasks run in other processes: functions and pointers of this one mean nothing there.
    pub(crate) fn is_elsewhere(self) -> bool {
        match self.arm() {
            Arm::Threads(_) | Arm::Loop(_) => false,
            Arm::Processes(_) => true,
            Arm::Limited(view) => Executor::under(view).is_elsewhere(),
        }
    }

    /// What a view runs on in the end.
    fn under(view: &'a View) -> Executor<'a> {
        // SAFETY: the view keeps it.
        unsafe { Executor::from_ptr(view.root()) }
    }

    /// An error where functions of this process cannot be called.
    pub(crate) fn refuse_calls(self) -> Result<()> {
        if self.is_elsewhere() {
            return fail!(
                NotSupported,
                "the executor's tasks run in other processes, where callbacks and continuations of \
                 this one cannot be called; use cfut_future_pipe, another executor, or none"
            );
        }
        Ok(())
    }

    pub(crate) fn retain(self) -> OwnerRef {
        match self.arm() {
            Arm::Threads(pool) => pool.retain(),
            Arm::Processes(pool) => pool.retain(),
            Arm::Loop(this) => this.retain(),
            Arm::Limited(view) => view.retain(),
        }
    }

    pub(crate) fn add_handle(self) {
        match self.arm() {
            Arm::Threads(pool) => pool.add_handle(),
            Arm::Processes(pool) => pool.add_handle(),
            Arm::Loop(this) => this.add_handle(),
            Arm::Limited(view) => view.add_handle(),
        }
    }

    pub(crate) fn drop_handle(self) {
        match self.arm() {
            Arm::Threads(pool) => pool.drop_handle(),
            Arm::Processes(pool) => pool.drop_handle(),
            Arm::Loop(this) => this.drop_handle(),
            Arm::Limited(view) => view.drop_handle(),
        }
    }

    pub(crate) fn check_fork(self) -> Result<()> {
        match self.arm() {
            Arm::Threads(pool) => pool.check_fork(),
            Arm::Processes(pool) => pool.check_fork(),
            Arm::Loop(this) => this.check_fork(),
            Arm::Limited(view) => view.check_fork(),
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
            Arm::Processes(pool) => pool.submit(work, bytes, spec, handle).map(Submitted::Queued),
            Arm::Loop(this) => this.submit(work, bytes, spec, handle).map(Submitted::Queued),
            Arm::Limited(view) => view.submit(work, bytes, spec, handle).map(Submitted::Queued),
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
        // Looked at before the table: of this one word only thread pools leave all bits clear.
        if !self.0.is_plain() {
            return None;
        }
        // SAFETY: a thread pool: all others call for attention as long as they live.
        let pool = unsafe { Pool::of(NonNull::from(self.0)) };
        // SAFETY: by the contract.
        unsafe { pool.submit_straight(function, data, out) }
    }

    /// Runs what `submit` left to its caller. Not contained: calls the user.
    pub(crate) fn run_here(self, task: TaskRef) {
        match self.arm() {
            Arm::Threads(pool) => thread_pool::run_in_caller(pool, task),
            // They never leave one to its caller.
            Arm::Processes(_) | Arm::Loop(_) | Arm::Limited(_) => drop(task),
        }
    }

    /// An error if it is no loop.
    pub(crate) fn as_loop(self) -> Result<&'a Loop> {
        match self.arm() {
            Arm::Loop(this) => Ok(this),
            _ => fail!(NotSupported, "the executor is no loop: it was not made by cfut_loop_new"),
        }
    }

    /// A view that runs at most `most` of its tasks at once.
    pub(crate) fn limited(self, most: u32) -> Result<OwnerRef> {
        View::new(self.retain(), most)
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
            // SAFETY: by the contract.
            Arm::Processes(pool) => unsafe {
                pool.submit_many(make_work, item_size, count, spec, out)
            },
            // SAFETY: by the contract.
            Arm::Loop(this) => unsafe { this.submit_many(make_work, item_size, count, spec, out) },
            // SAFETY: by the contract.
            Arm::Limited(view) => unsafe {
                view.submit_many(make_work, item_size, count, spec, out)
            },
        }
    }

    /// As `submit_many` if the queue has room for all of them, and else false: it neither waits
    /// nor goes beyond a bound.
    ///
    /// # Safety
    /// As `submit_many`.
    pub(crate) unsafe fn submit_many_if_room(
        self,
        make_work: impl Fn(usize) -> Work<'static>,
        item_size: usize,
        count: usize,
        spec: Option<&Shared<Spec>>,
        out: Option<NonNull<NonNull<TaskCell>>>,
    ) -> Result<bool> {
        match self.arm() {
            // SAFETY: by the contract.
            Arm::Threads(pool) => unsafe {
                pool.submit_many_if_room(make_work, item_size, count, spec, out)
            },
            // SAFETY: by the contract.
            Arm::Processes(pool) => unsafe {
                pool.submit_many_if_room(make_work, item_size, count, spec, out)
            },
            // SAFETY: by the contract.
            Arm::Loop(this) => unsafe {
                this.submit_many_if_room(make_work, item_size, count, spec, out)
            },
            // SAFETY: by the contract.
            Arm::Limited(view) => unsafe {
                view.submit_many_if_room(make_work, item_size, count, spec, out)
            },
        }
    }

    /// Whether the calling thread may run a task of this executor that it makes itself, with
    /// `make_for_caller` and `run_here`.
    pub(crate) fn lets_caller_run(self) -> bool {
        match self.arm() {
            Arm::Threads(pool) => pool.lets_caller_run(),
            // What runs in a loop or a view is for its runners, or its gate, to say.
            Arm::Processes(_) | Arm::Loop(_) | Arm::Limited(_) => false,
        }
    }

    /// A task for `run_here`, and its handle; only where `lets_caller_run`. An argument is the
    /// caller's again on an error.
    pub(crate) fn make_for_caller(
        self,
        work: Work<'_>,
        handle: bool,
    ) -> Result<(TaskRef, Option<TaskRef>)> {
        match self.arm() {
            Arm::Threads(pool) => pool.make_for_caller(work, handle),
            Arm::Processes(_) | Arm::Loop(_) | Arm::Limited(_) => {
                drop(work);
                fail!(
                    NotSupported,
                    "tasks of this executor do not run in the thread that makes them"
                )
            }
        }
    }

    pub(crate) fn shutdown(self, flags: u32, timeout: Timeout) -> Result<bool> {
        match self.arm() {
            Arm::Threads(pool) => pool.shutdown(flags, timeout),
            Arm::Processes(pool) => pool.shutdown(flags, timeout),
            Arm::Loop(this) => this.shutdown(flags, timeout),
            Arm::Limited(view) => view.shutdown(flags, timeout),
        }
    }

    /// An error in a task of this executor: it cannot wait for its own end.
    pub(crate) fn refuse_own_task(self) -> Result<()> {
        match self.arm() {
            Arm::Threads(pool) => pool.refuse_own_task(),
            Arm::Processes(pool) => pool.refuse_own_task(),
            Arm::Loop(this) => this.refuse_own_task(),
            Arm::Limited(view) => view.refuse_own_task(),
        }
    }

    pub(crate) fn warm(self, timeout: Timeout) -> Result<bool> {
        match self.arm() {
            Arm::Threads(pool) => pool.warm(timeout),
            Arm::Processes(pool) => pool.warm(timeout),
            // Nothing to start.
            Arm::Loop(this) => this.check_takes_work().map(|()| true),
            Arm::Limited(view) => {
                view.check_takes_work()?;
                Executor::under(view).warm(timeout)
            }
        }
    }

    pub(crate) fn figure(self, figure: Figure) -> Result<u64> {
        self.check_fork()?;
        match self.arm() {
            Arm::Threads(pool) => Ok(pool.figure(figure)),
            Arm::Processes(pool) => Ok(pool.figure(figure)),
            Arm::Loop(this) => Ok(this.figure(figure)),
            Arm::Limited(view) => match view.figure(figure) {
                Some(value) => Ok(value),
                None => Executor::under(view).figure(figure),
            },
        }
    }

    pub(crate) fn write_json(self, out: &mut dyn Write) -> Result<()> {
        self.check_fork()?;
        let written = match self.arm() {
            Arm::Threads(pool) => pool.write_json(out),
            Arm::Processes(pool) => pool.write_json(out),
            Arm::Loop(this) => this.write_json(out),
            Arm::Limited(view) => view.write_json(out),
        };
        written.map_err(|_| {
            Error::new(Kind::System, format_args!("the snapshot could not be written"))
        })
    }
}
