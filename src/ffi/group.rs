//! Section 8 of the header, first half: waiting for several futures, and joining them.

use super::future::wait_for;
use super::guard;
use super::handle;
use super::status;
use super::types::{cfut_future, cfut_status};
use crate::error::{Error, Kind, Result, fail};
use crate::future::cell::TaskCell;
use crate::future::due;
use crate::future::group::{Until, Watch, is_failure};
use crate::future::join::{self, Mode};
use crate::future::wait::{Blocking, Helped, help_with};
use crate::sync::Timeout;
use crate::unwind::contain;
use std::ptr;

const WAIT_ALL: i32 = 0;
const WAIT_ANY: i32 = 1;
const WAIT_FIRST_FAILURE: i32 = 2;

/// ---- 8. Several futures --------------------------------------------------------------
///
/// Waits until all futures are settled, or any, or until one fails. Being cancelled is no
/// failure. A future that stands at several places counts at each.
///
/// @param futures borrowed, `count` of them; NULL with 0.
/// @param mode CFUT_WAIT_ALL, CFUT_WAIT_ANY or CFUT_WAIT_FIRST_FAILURE.
/// @param timeout_ns CFUT_FOREVER, CFUT_NOW, or nanoseconds, for all of them together.
/// @param done NULL, or written, `count` bytes: 1 for each that is settled, 0 for the others; on
/// every outcome but a negative one, also on CFUT_TIMEOUT.
/// @param done_count NULL, or written with `done`: how many are settled.
/// @return CFUT_OK: what was waited for has come (of none: at once); with FIRST_FAILURE
/// CFUT_FAILED, CFUT_CRASHED, CFUT_EXPIRED or CFUT_BROKEN: the first failure found; CFUT_TIMEOUT;
/// CFUT_EINVAL: NULL futures, or NULL among them, or an unknown mode; CFUT_ENOMEM; CFUT_EDEADLK
/// and CFUT_EFORKED as cfut_future_wait().
/// Thread: any. Blocks: up to `timeout_ns`. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_wait_many(
    futures: *const *mut cfut_future,
    count: usize,
    mode: i32,
    timeout_ns: i64,
    done: *mut u8,
    done_count: *mut usize,
) -> cfut_status {
    let mut list: &[*const TaskCell] = &[];
    let checked = guard::status(|| {
        // SAFETY: the contract of `ffi`.
        list = unsafe { borrow_futures(futures, count) }?;
        if !(WAIT_ALL..=WAIT_FIRST_FAILURE).contains(&mode) {
            return fail!(
                Invalid,
                "the mode is {mode}; it is CFUT_WAIT_ALL, _ANY or _FIRST_FAILURE"
            );
        }
        Ok(status::OK)
    });
    if checked != status::OK {
        return checked;
    }
    let timeout = Timeout::from_ns(timeout_ns);
    let status = match mode {
        WAIT_ALL => wait_all(list, timeout),
        mode => wait_some(list, mode, timeout),
    };
    if status >= 0 {
        // SAFETY: the contract of `ffi`.
        let _ = contain(|| unsafe { mark_done(list, done, done_count) });
    }
    due::run_pending();
    status
}

/// # Safety
/// The contract of `ffi`.
unsafe fn borrow_futures<'a>(
    futures: *const *mut cfut_future,
    count: usize,
) -> Result<&'a [*const TaskCell]> {
    if count == 0 {
        return Ok(&[]);
    }
    if futures.is_null() {
        return fail!(Invalid, "futures is NULL, but count is {count}");
    }
    if count > isize::MAX as usize / size_of::<usize>() {
        return fail!(Invalid, "count is {count}, more than any array can have");
    }
    // SAFETY: by the contract; handles are pointers to cells.
    let list = unsafe { std::slice::from_raw_parts(futures.cast::<*const TaskCell>(), count) };
    match list.iter().position(|future| future.is_null()) {
        None => Ok(list),
        Some(place) => fail!(Invalid, "futures[{place}] is NULL"),
    }
}

fn cells(list: &[*const TaskCell]) -> impl Iterator<Item = &TaskCell> + Clone {
    // SAFETY: handles of the caller's, checked for NULL, alive during the call.
    list.iter().map(|&future| unsafe { &*future })
}

/// # Safety
/// `done` is NULL or has room for all; `done_count` is NULL or valid.
unsafe fn mark_done(list: &[*const TaskCell], done: *mut u8, done_count: *mut usize) {
    let mut settled = 0;
    for (place, cell) in cells(list).enumerate() {
        let is_settled = cell.snapshot().is_settled();
        settled += usize::from(is_settled);
        cell.note_seen();
        if !done.is_null() {
            // SAFETY: by the contract.
            unsafe { done.add(place).write(u8::from(is_settled)) };
        }
    }
    // SAFETY: by the contract.
    if let Some(done_count) = unsafe { handle::optional_output(done_count) } {
        done_count.write(settled);
    }
}

/// One after the other: together they take as long as the last.
fn wait_all(list: &[*const TaskCell], timeout: Timeout) -> cfut_status {
    for cell in cells(list) {
        let status = wait_for(cell, timeout);
        if status < 0 || status == status::TIMEOUT {
            return status;
        }
    }
    status::OK
}

/// What the futures say now: None = go on waiting.
fn verdict(list: &[*const TaskCell], mode: i32) -> Option<cfut_status> {
    let mut settled = 0;
    for cell in cells(list) {
        let seen = cell.snapshot();
        if !seen.is_settled() {
            continue;
        }
        settled += 1;
        if mode == WAIT_ANY {
            return Some(status::OK);
        }
        if is_failure(seen.outcome()) {
            return Some(status::of_outcome(seen.outcome()));
        }
    }
    (settled == list.len()).then_some(status::OK)
}

enum Step {
    Done(cfut_status),
    Again,
    CallDue,
    Help(Helped),
}

/// Not contained: may run tasks and callbacks.
fn wait_some(list: &[*const TaskCell], mode: i32, timeout: Timeout) -> cfut_status {
    loop {
        match contain(|| some_step(list, mode, timeout)) {
            Ok(Ok(Step::Done(status))) => return status,
            Ok(Ok(Step::Again)) => {}
            Ok(Ok(Step::CallDue)) => due::run_all(),
            Ok(Ok(Step::Help(helped))) => helped.run(),
            Ok(Err(Error(kind))) => return status::of_error(kind),
            Err(panic) => return guard::defect(panic),
        }
    }
}

fn some_step(list: &[*const TaskCell], mode: i32, timeout: Timeout) -> Result<Step> {
    if let Some(status) = verdict(list, mode) {
        return Ok(Step::Done(status));
    }
    if timeout == Timeout::Now {
        return Ok(Step::Done(status::TIMEOUT));
    }
    if cells(list).any(TaskCell::is_inherited) {
        return fail!(
            Forked,
            "one of the futures was made before fork(); it settles in the parent process"
        );
    }
    if due::pending_nested() {
        return Ok(Step::CallDue);
    }
    let forever = timeout == Timeout::Forever;
    if forever {
        if let Some(helped) = cells(list).find_map(help_with) {
            return Ok(Step::Help(helped));
        }
    }
    let until = if mode == WAIT_ANY { Until::Any } else { Until::FirstFailure };
    // SAFETY: the handles are alive during the call.
    let Some(watch) = (unsafe { Watch::new(list, until) }) else {
        return Err(Error::no_memory("a wait for several futures", list.len() * 64));
    };
    let Some(_blocking) = Blocking::begin(None, forever) else {
        return Err(Error::new(Kind::Deadlock, format_args!("this wait could never end")));
    };
    let ready = watch.sleep(timeout.deadline());
    drop(watch);
    Ok(match verdict(list, mode) {
        Some(status) => Step::Done(status),
        None if ready => Step::Again,
        None => Step::Done(status::TIMEOUT),
    })
}

/// Makes a future that settles with several others; it has the outcome, code, message and
/// result of the one it settles as.
///
/// | mode | settles | as |
/// |---|---|---|
/// | CFUT_JOIN_ALL | with the first that does not succeed, else with the last | that one; success |
/// | CFUT_JOIN_SETTLED | with the last, however they end | success |
/// | CFUT_JOIN_ANY | with the first, however it ends | that one |
/// | CFUT_JOIN_FIRST_SUCCESS | with the first success, else with the last | that one |
///
/// It keeps its inputs until it is released. Cancelling or releasing it touches none of them.
/// A future that stands at several places counts at each.
///
/// @param futures retained, `count` of them; the array itself is borrowed for the call. NULL with
/// 0.
/// @param mode one of the table.
/// @param out owned. Written on CFUT_OK only.
/// @return CFUT_OK; CFUT_EINVAL: NULL, also among the futures, an unknown mode, or no futures with
/// ANY or FIRST_SUCCESS; CFUT_ENOMEM.
/// Thread: any. Blocks: no. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn cfut_join(
    futures: *const *mut cfut_future,
    count: usize,
    mode: i32,
    out: *mut *mut cfut_future,
) -> cfut_status {
    guard::status_then_calls(|| {
        // SAFETY: the contract of `ffi`.
        let (list, out) = unsafe { (borrow_futures(futures, count)?, handle::output(out, "out")?) };
        let mode = join_mode(mode)?;
        let joined = match list {
            [] if matches!(mode, Mode::Any | Mode::FirstSuccess) => {
                return fail!(Invalid, "count is 0: there is none that could settle first");
            }
            [] => join::of_none()?,
            // SAFETY: checked for NULL; a reference is as good as a pointer to a live cell.
            list => join::join(unsafe { &*(ptr::from_ref(list) as *const [&TaskCell]) }, mode)?,
        };
        out.write(handle::give_future(joined));
        Ok(status::OK)
    })
}

fn join_mode(mode: i32) -> Result<Mode> {
    Ok(match mode {
        0 => Mode::All,
        1 => Mode::Settled,
        2 => Mode::Any,
        3 => Mode::FirstSuccess,
        _ => {
            return fail!(
                Invalid,
                "the mode is {mode}; it is CFUT_JOIN_ALL, _SETTLED, _ANY or _FIRST_SUCCESS"
            );
        }
    })
}
