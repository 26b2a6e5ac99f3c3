//! The one way through the border: every export's body runs in one of these, but for the
//! straight ways that U1 names, which come here when they decline.
//!
//! A body is library code: it is contained (rule U1 of `unwind`) and calls no user code.
//! What it makes due is called when it is over, by the `_then_calls` forms.

use super::status;
use super::types::cfut_status;
use crate::error::{Error, Result};
use crate::future::due;
use crate::unwind::{Contained, contain};

/// A call that answers with a status.
#[inline(always)]
pub(super) fn status(body: impl FnOnce() -> Result<cfut_status>) -> cfut_status {
    match contain(body) {
        Ok(Ok(status)) => status,
        Ok(Err(Error(kind))) => status::of_error(kind),
        Err(panic) => defect(panic),
    }
}

/// The same for calls after which user code may be due: callbacks, free functions.
#[inline(always)]
pub(super) fn status_then_calls(body: impl FnOnce() -> Result<cfut_status>) -> cfut_status {
    let status = status(body);
    due::run_pending();
    status
}

/// A call that answers with a value; `neutral` if the body fails.
#[inline(always)]
pub(super) fn value<T>(neutral: T, body: impl FnOnce() -> Result<T>) -> T {
    match contain(body) {
        Ok(Ok(value)) => value,
        Ok(Err(_)) => neutral,
        Err(panic) => {
            defect(panic);
            neutral
        }
    }
}

/// The same for calls after which user code may be due.
#[inline(always)]
pub(super) fn value_then_calls<T>(neutral: T, body: impl FnOnce() -> Result<T>) -> T {
    let value = value(neutral, body);
    due::run_pending();
    value
}

/// A panic of ours at the border.
#[cold]
pub(super) fn defect(panic: Contained) -> cfut_status {
    status::of_error(panic.into_error().0)
}
