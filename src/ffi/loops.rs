//! Section 3 of the header: loops.

use super::guard;
use super::handle;
use super::keys;
use super::options::Options;
use super::status;
use super::types::{cfut_executor, cfut_options, cfut_status};
use crate::error::{Result, fail};
use crate::future::bound::FullPolicy;
use crate::future::due;
use crate::future::wait::Blocking;
use crate::loops::{Config, Loop, Ran, Runner};
use crate::sync::Timeout;
use std::ffi::c_int;

/// Makes an executor that runs nothing by itself: its tasks, and the callbacks that follow from
/// them, run in whichever threads call cfut_loop_run(), usually one. So an event loop, or a thread
/// that owns something, gets work from any thread, and nothing of its own is called from a foreign
/// one.
///
/// Tasks start in the order submitted, those of a higher priority first. Nobody watches their
/// time-outs in the background: they are looked at in cfut_loop_run(), between tasks and while it
/// waits; in cfut_future_wait() for a task that has one; and where a running task asks
/// cfut_promise_stop_requested(). A loop that nobody runs does nothing: who waits for its tasks
/// waits.
///
/// Of the options CFUT_OPT_QUEUE_LIMIT, _QUEUE_BYTES, _FULL_POLICY (BLOCK or REJECT), _FULL_TIMEOUT_NS,
/// _NAME and _TRACE_FILE are for loops. Tasks of the loop itself never wait for room; a thread that is to run the
/// loop does, outside of cfut_loop_run(), and should rather have CFUT_FULL_REJECT.
///
/// cfut_executor_shutdown() waits until others have run what is queued. The last
/// cfut_executor_release() ends what is queued as CFUT_BROKEN, for nobody can run it any more;
/// callbacks and continuations run in it.
///
/// @param options borrowed and copied; NULL: all defaults.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL out; CFUT_ENOMEM; CFUT_ENOTSUP: an option that is not for loops;
/// CFUT_ESYS: the trace file cannot be opened.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_loop_new(
    options: *const cfut_options,
    out: *mut *mut cfut_executor,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let out = unsafe { handle::output(out, "out") }?;
        let config = if options.is_null() {
            config(&Options::NONE)?
        } else {
            // SAFETY: the contract of `ffi`.
            config(unsafe { handle::borrow_builder::<Options>(options) }?)?
        };
        out.write(handle::give_executor(Loop::new(config)?));
        Ok(status::OK)
    })
}

fn config(options: &Options) -> Result<Config> {
    let why = "not for loops, which have no workers; their tasks run where cfut_loop_run is called";
    options.refuse(keys::PROCESS_OPTIONS, &[keys::OPT_WORKER_PROGRAM, keys::OPT_PRELOAD], why)?;
    options.refuse(
        &[
            keys::OPT_WORKERS,
            keys::OPT_MIN_WORKERS,
            keys::OPT_IDLE_NS,
            keys::OPT_STACK_SIZE,
            keys::OPT_NICE,
            keys::OPT_SPIN_NS,
            keys::OPT_WAITERS_HELP,
        ],
        &[],
        why,
    )?;
    if options.initializer.is_some() || options.hooks.is_some() {
        return fail!(NotSupported, "initializers and worker hooks are {why}");
    }
    if !options.arguments.is_empty() || !options.environment.is_empty() {
        return fail!(NotSupported, "arguments and environment are those of worker processes");
    }
    let full_policy = options.full_policy();
    if full_policy == FullPolicy::RunInCaller {
        return fail!(
            NotSupported,
            "CFUT_FULL_RUN_IN_CALLER is not for loops: their tasks run in cfut_loop_run only"
        );
    }
    Ok(Config {
        queue_limit: options.get(keys::OPT_QUEUE_LIMIT).unwrap_or(0) as u64,
        queue_bytes: options.get(keys::OPT_QUEUE_BYTES).unwrap_or(0) as u64,
        full_policy,
        full_timeout: options.get(keys::OPT_FULL_TIMEOUT_NS).unwrap_or(-1),
        name: options.text(keys::OPT_NAME)?,
        trace_file: options.text(keys::OPT_TRACE_FILE)?,
    })
}

/// Runs tasks of a loop in the calling thread, waiting for more, until `max_tasks` have been run,
/// the time is over, or the loop has been shut down and nothing is queued. With CFUT_NOW it runs what is
/// queued when it begins, and not what that submits in its turn: the call for an event loop, whenever
/// the descriptor of cfut_loop_fd() is readable. At least one task is run if one is queued. A task that runs
/// is not interrupted when the time is over.
///
/// Several threads may run a loop; each task is run by one of them. A task may wait for another one of
/// the loop, which then runs in the wait.
///
/// @param loop borrowed.
/// @param max_tasks leave after so many; 0: no limit.
/// @param timeout_ns how long: CFUT_FOREVER, CFUT_NOW, or nanoseconds.
/// @param ran NULL, or written in any case: how many tasks were run.
/// @return CFUT_OK: `max_tasks` were run; CFUT_TIMEOUT: the time is over, with CFUT_NOW also when
/// all was run; CFUT_END: shut down, and nothing is queued; CFUT_EINVAL: NULL loop; CFUT_ENOTSUP:
/// the executor is no loop; CFUT_EDEADLK: called in a task or callback of the same loop; CFUT_EFORKED.
/// Thread: any. Blocks: up to `timeout_ns`, and while tasks run. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_loop_run(
    r#loop: *mut cfut_executor,
    max_tasks: usize,
    timeout_ns: i64,
    ran: *mut usize,
) -> cfut_status {
    let mut begun: Option<(Runner, Option<Blocking>)> = None;
    let refused = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let executor = unsafe {
            if let Some(ran) = handle::optional_output(ran) {
                ran.write(0);
            }
            handle::borrow_executor(r#loop)?
        };
        let runner = executor.as_loop()?.runner()?;
        // In a worker of a pool: another one stands in for it.
        begun = Some((runner, Blocking::begin(None, false)));
        Ok(status::OK)
    });
    let Some((runner, blocking)) = begun else { return refused };
    due::run_pending();
    let mut count = Count { ran, count: 0 };
    let how = runner.run_all(max_tasks, Timeout::from_ns(timeout_ns), &mut count.count);
    drop(count);
    guard::status_then_calls(|| {
        drop(blocking);
        drop(runner);
        Ok(match how? {
            Ran::Enough => status::OK,
            Ran::TimedOut => status::TIMEOUT,
            Ran::End => status::END,
        })
    })
}

/// How many tasks were run: told to the caller also if one of them ends the thread.
struct Count {
    ran: *mut usize,
    count: usize,
}

impl Drop for Count {
    fn drop(&mut self) {
        if !self.ran.is_null() {
            // SAFETY: the contract of `ffi`.
            unsafe { self.ran.write(self.count) };
        }
    }
}

/// The descriptor that is readable while a loop has something queued, and from its shutdown on,
/// when cfut_loop_run() answers CFUT_END: for poll(), epoll and event loops. It is level-triggered,
/// and shows tasks only: not that a time-out passes.
///
/// @param loop borrowed.
/// @param fd borrowed, valid until the last release of the loop; only to be polled, not read or closed.
/// Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL; CFUT_ENOTSUP: the executor is no loop; CFUT_ESYS: no
/// descriptor; CFUT_EFORKED.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_loop_fd(
    r#loop: *mut cfut_executor,
    fd: *mut c_int,
) -> cfut_status {
    guard::status(|| {
        // SAFETY: the contract of `ffi`.
        let (executor, fd) =
            unsafe { (handle::borrow_executor(r#loop)?, handle::output(fd, "fd")?) };
        fd.write(executor.as_loop()?.descriptor()?);
        Ok(status::OK)
    })
}
