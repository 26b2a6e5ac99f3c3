//! Section 3 of the header, second half: executors.

use super::guard;
use super::handle;
use super::keys;
use super::options::Options;
use super::processes;
use super::status;
use super::types::{cfut_executor, cfut_options, cfut_status};
use crate::error::{Result, fail};
use crate::future::due;
use crate::future::phase::how;
use crate::future::wait::{self, Blocking};
use crate::local;
use crate::process_pool;
use crate::sync::Timeout;
use crate::thread_pool::Pool;
use crate::trace::figures::Figure;
use std::ffi::c_char;
use std::fmt::{self, Write};
use std::ptr;

/// Makes a pool of threads. Threads start when there is work for them: at once up to the
/// number of processors, beyond that when the monitor sees running tasks block. Tasks from
/// outside start in the order submitted, up to a batch that a worker picks up at once; with
/// one worker exactly in that order. Tasks that a task submits run newest first, with one
/// worker oldest first.
///
/// @param options borrowed and copied; NULL: all defaults.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL out, or options that contradict each other; CFUT_ENOMEM;
/// CFUT_ENOTSUP: an option that is not for thread pools; CFUT_ENOENT: the initializer's name means
/// nothing in this process; CFUT_ESYS: CFUT_OPT_TRACE_FILE cannot be written.
/// Thread: any. Blocks: no (but for the opening of that file). Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_thread_pool_new(
    options: *const cfut_options,
    out: *mut *mut cfut_executor,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let out = unsafe { handle::output(out, "out") }?;
        let options = if options.is_null() {
            None
        } else {
            // SAFETY: the contract of `ffi`.
            Some(unsafe { handle::borrow_builder::<Options>(options) }?)
        };
        let pool = Pool::new(Options::for_threads(options)?)?;
        out.write(handle::give_executor(pool));
        Ok(status::OK)
    })
}

/// Makes a pool of worker processes. A crash, a hang or a leak in a task costs that task, and
/// nothing else: its future ends as CFUT_CRASHED, tasks that had not begun go to other workers, and
/// the pool makes another worker.
///
/// A worker is this program, executed again, if it calls cfut_worker_main() at the top of main();
/// else the program of CFUT_OPT_WORKER_PROGRAM; else cfutures-worker, which lies beside the library
/// and reaches functions in shared objects. It has the directory and the environment of this
/// process at the time of this call, standard output and error, /dev/null as standard input, no
/// other descriptor, default signal handling, and a process group of its own. Neither workers nor
/// their supervisor are seen by waitpid() or SIGCHLD here; none of them outlives this process.
///
/// Tasks start in the order submitted; a worker may be given a few ahead, which are taken back when
/// another one is idle. Arguments and results are copied once each way, CFUT_BUFFER_SHARED buffers
/// not at all. A result's message is kept up to 8 KiB.
///
/// @param options borrowed and copied; NULL: all defaults.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK: the supervisor runs, workers start with the first tasks; CFUT_EINVAL: NULL out,
/// or options that contradict each other; CFUT_ENOMEM; CFUT_ENOTSUP: an option that is not for
/// process pools, or pools nested more than 8 deep; CFUT_ENOENT: no worker program; CFUT_ESYS: no
/// descriptor, thread or process, or CFUT_OPT_TRACE_FILE cannot be written.
/// Thread: any. Blocks: until the supervisor has been executed, a millisecond or so. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_process_pool_new(
    options: *const cfut_options,
    out: *mut *mut cfut_executor,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let out = unsafe { handle::output(out, "out") }?;
        let config = if options.is_null() {
            processes::config(&Options::NONE)?
        } else {
            // SAFETY: the contract of `ffi`.
            processes::config(unsafe { handle::borrow_builder::<Options>(options) }?)?
        };
        let pool = process_pool::Pool::new(config)?;
        out.write(handle::give_executor(pool));
        Ok(status::OK)
    })
}

/// Makes a view of an executor, its parent: an executor of its own that runs its tasks on the
/// parent, at most `max_running` of them at once. Those that wait hold no worker. They are handed
/// to the parent in the order accepted, whatever their priorities, which count there. With 1 it is
/// a strand: its tasks run one after the other, in order, though not always in the same thread.
///
/// A task holds its place until it has settled and its function has returned: also while it is
/// detached, and while it does not heed that its time-out has passed. (In a process pool a place is
/// free as soon as the task has settled; its process may still be being killed.) A place is free
/// before the callbacks of the task's future run.
///
/// Options, time-outs and statistics of tasks are as with the parent. What waits counts against the
/// bound of its queue. If that is full, tasks of the parent's own workers are accepted all the same,
/// and with CFUT_FULL_RUN_IN_CALLER other threads wait for room: no task is run by its submitter. The view's
/// statistics count its own tasks; CFUT_STAT_WORKERS and the like are the parent's.
/// cfut_executor_current() in its tasks is the view.
///
/// A task of the view that waits without a time-out for one that cannot get a place before it ends
/// gets CFUT_EDEADLK.
///
/// cfut_executor_shutdown() ends the view alone: CFUT_SHUTDOWN_CANCEL and _STOP reach its own tasks,
/// CFUT_SHUTDOWN_KILL kills the processes of those still busy at the time-out; CFUT_SHUTDOWN_TERM is
/// CFUT_ENOTSUP. The parent takes work as long as the view does, and is then released. If it is
/// shut down before, what still waits in the view ends as CFUT_BROKEN, or as CFUT_CANCELLED if that was
/// done with CFUT_SHUTDOWN_CANCEL; callbacks and continuations run in the thread that learns of it.
///
/// A view does not run a loop: whoever does keeps a handle of the loop as long as the view has work.
///
/// @param parent retained: any executor, also a view, up to 16 deep.
/// @param max_running most tasks of the view that run at once, at least 1.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL, or 0 as `max_running`; CFUT_ENOMEM; CFUT_ENOTSUP: nested too
/// deep; CFUT_ESHUTDOWN, CFUT_BROKEN: the parent takes no more work; CFUT_EFORKED.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_limited_new(
    parent: *mut cfut_executor,
    max_running: u32,
    out: *mut *mut cfut_executor,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (parent, out) =
            unsafe { (handle::borrow_executor(parent)?, handle::output(out, "out")?) };
        out.write(handle::give_executor(parent.limited(max_running)?));
        Ok(status::OK)
    })
}

/// Another handle of an executor.
///
/// @param executor borrowed; NULL gives NULL.
/// @return `executor`, owned once more.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_executor_retain(
    executor: *mut cfut_executor,
) -> *mut cfut_executor {
    guard::value(executor, || {
        // SAFETY: the contract of `ffi`.
        if let Some(live) = unsafe { handle::borrow_optional_executor(executor) } {
            live.add_handle();
            handle::give_executor_again(executor);
        }
        Ok(executor)
    })
}

/// Gives a handle back. With the last one the executor takes no more work; what it has accepted
/// still runs, and then its threads go. To wait for that, call cfut_executor_shutdown() first.
/// No other call may be using this handle: a task may run before its cfut_submit() has returned.
/// cfut_executor_retain() gives it one of its own.
///
/// @param executor moved; NULL does nothing.
/// Thread: any, also its own tasks. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_executor_release(executor: *mut cfut_executor) {
    guard::value_then_calls((), || {
        // SAFETY: the contract of `ffi`.
        if let Some(executor) = unsafe { handle::take_executor(executor) } {
            executor.drop_handle();
        }
        Ok(())
    });
}

/// The executor whose task or hook this thread runs, which is the view for a task of a view; in
/// callbacks that a thread of an executor makes that executor. (A task of a view that runs in a thread
/// that waits for it, with CFUT_OPT_WAITERS_HELP, gets the executor under the view.)
///
/// @return borrowed, valid during the task; NULL in other threads.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_executor_current() -> *mut cfut_executor {
    guard::value(ptr::null_mut(), || {
        let executor = local::with(|local| local.executor.get()).cast_mut().cast();
        Ok(wait::view_of_own_task().map_or(executor, |view| view.as_ptr().cast()))
    })
}

/// Starts all workers up to CFUT_OPT_WORKERS and waits until each has run its hooks and
/// initializer, so that the first task does not pay for that.
///
/// @param executor borrowed.
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds.
/// @return CFUT_OK; CFUT_TIMEOUT; CFUT_BROKEN: an initializer or hook failed; CFUT_EINVAL: NULL;
/// CFUT_ESHUTDOWN; CFUT_EFORKED; CFUT_ESYS: not all threads could be created, the executor
/// works with those it has.
/// Thread: any. Blocks: up to `timeout_ns`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_executor_warm(
    executor: *mut cfut_executor,
    timeout_ns: i64,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let executor = unsafe { handle::borrow_executor(executor) }?;
        let _blocking = Blocking::begin(None, false);
        let warm = executor.warm(Timeout::from_ns(timeout_ns))?;
        Ok(if warm { status::OK } else { status::TIMEOUT })
    })
}

/// Ends an executor: no new work from now on; waits until the rest is done, its threads have
/// gone, and detached tasks are settled. May be called again, to wait longer or with more flags;
/// also by several threads. The handle stays valid and is released as always.
///
/// Tasks already accepted run, unless CFUT_SHUTDOWN_CANCEL cancels those that have not started.
/// CFUT_SHUTDOWN_STOP raises the stop flag of those that run. With CFUT_SHUTDOWN_KILL a process pool
/// kills what is still busy at the time-out, and ends within a second of it; CFUT_SHUTDOWN_TERM
/// sends SIGTERM to its workers at once. What then ends with its worker is CFUT_CANCELLED. Threads
/// cannot be killed: with them both do what CFUT_SHUTDOWN_STOP does. Commands can, on any executor
/// (see cfut_task_new_command()).
///
/// @param executor borrowed.
/// @param flags CFUT_SHUTDOWN_ bits, 0 for none.
/// @return CFUT_OK: all done; CFUT_TIMEOUT: not yet, it goes on; CFUT_EINVAL: NULL or unknown
/// flags; CFUT_EDEADLK: called by a task of its own, or by a callback that one of its threads
/// makes, which may ask with CFUT_NOW only; CFUT_EFORKED.
/// Thread: any. Blocks: up to `timeout_ns`. Callbacks of cancelled futures run in it. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_executor_shutdown(
    executor: *mut cfut_executor,
    flags: u32,
    timeout_ns: i64,
) -> cfut_status {
    // What is due in this thread may be what the executor waits for.
    let begun = guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let executor = unsafe { handle::borrow_executor(executor) }?;
        // What is killed at the time-out is asked before.
        let flags = if flags & how::KILL != 0 { flags | how::STOP } else { flags };
        if timeout_ns == 0 {
            return shut_down(executor, flags, Timeout::Now);
        }
        executor.refuse_own_task()?;
        shut_down(executor, flags & !how::KILL, Timeout::Now)
    });
    if begun != status::TIMEOUT || timeout_ns == 0 {
        return begun;
    }
    due::run_all();
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let executor = unsafe { handle::borrow_executor(executor) }?;
        let _blocking = Blocking::begin(None, timeout_ns < 0);
        shut_down(executor, flags & how::KILL, Timeout::from_ns(timeout_ns))
    })
}

fn shut_down(
    executor: crate::executor::Executor<'_>,
    flags: u32,
    timeout: Timeout,
) -> Result<cfut_status> {
    Ok(if executor.shutdown(flags, timeout)? { status::OK } else { status::TIMEOUT })
}

/// One figure about an executor. Figures may lag a moment; they never lose a count.
///
/// @param executor borrowed.
/// @param key a CFUT_STAT_ key.
/// @param out written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOTSUP: no such key; CFUT_EFORKED.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_executor_stat(
    executor: *mut cfut_executor,
    key: i32,
    out: *mut i64,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (executor, out) =
            unsafe { (handle::borrow_executor(executor)?, handle::output(out, "out")?) };
        let value = executor.figure(figure(key)?)?;
        out.write(i64::try_from(value).unwrap_or(i64::MAX));
        Ok(status::OK)
    })
}

fn figure(key: i32) -> Result<Figure> {
    Ok(match key {
        keys::STAT_WORKERS => Figure::Workers,
        keys::STAT_IDLE_WORKERS => Figure::IdleWorkers,
        keys::STAT_QUEUED => Figure::Queued,
        keys::STAT_RUNNING => Figure::Running,
        keys::STAT_SUBMITTED => Figure::Submitted,
        keys::STAT_SUCCEEDED => Figure::Succeeded,
        keys::STAT_FAILED => Figure::Failed,
        keys::STAT_CANCELLED => Figure::Cancelled,
        keys::STAT_EXPIRED => Figure::Expired,
        keys::STAT_CRASHED => Figure::Crashed,
        keys::STAT_STOLEN => Figure::Stolen,
        keys::STAT_WORKERS_STARTED => Figure::WorkersStarted,
        keys::STAT_OLDEST_QUEUED_NS => Figure::OldestQueuedNs,
        keys::STAT_MAX_WORKERS => Figure::MaxWorkers,
        keys::STAT_BROKEN => Figure::Broken,
        other => return fail!(NotSupported, "{other} is no statistic of this version"),
    })
}

/// The state of an executor as JSON, for people and logs: counts, workers with process, thread and
/// state, and up to 256 running and queued tasks with name, state, age, worker and attempt; the
/// others are counted. docs/snapshot.md has the schema. What it says may be out of date when it is
/// read, and a later call may need more room; keys may be added in later versions. It costs the same
/// however many tasks are queued, and holds none of them up.
///
/// @param executor borrowed.
/// @param buf written, NUL-terminated, as far as the text fits; NULL: only the length is asked for.
/// @param cap bytes that `buf` has room for; with 0 nothing is written.
/// @param len the length of the whole text without its NUL; written on CFUT_OK only.
/// @return CFUT_OK, also if it was cut; CFUT_EINVAL: NULL executor or len; CFUT_EFORKED.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_executor_snapshot(
    executor: *mut cfut_executor,
    buf: *mut c_char,
    cap: usize,
    len: *mut usize,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (executor, len) =
            unsafe { (handle::borrow_executor(executor)?, handle::output(len, "len")?) };
        let mut text = Cut { buf, cap: if buf.is_null() { 0 } else { cap }, length: 0 };
        executor.write_json(&mut text)?;
        text.terminate();
        len.write(text.length);
        Ok(status::OK)
    })
}

/// Writes what fits into the caller's memory and counts the rest.
struct Cut {
    buf: *mut c_char,
    cap: usize,
    length: usize,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // One byte is for the NUL.
        let room = self.cap.saturating_sub(1).saturating_sub(self.length);
        let fits = text.len().min(room);
        // SAFETY: the caller gave `cap` bytes, and length + fits < cap.
        unsafe {
            if fits > 0 {
                self.buf
                    .add(self.length)
                    .cast::<u8>()
                    .copy_from_nonoverlapping(text.as_ptr(), fits);
            }
        }
        self.length += text.len();
        Ok(())
    }
}

impl Cut {
    fn terminate(&self) {
        if self.cap > 0 {
            // SAFETY: within the caller's `cap` bytes.
            unsafe { self.buf.add(self.length.min(self.cap - 1)).write(0) };
        }
    }
}
