//! The border between our code and the user's, as far as unwinding goes. Open to all rooms.
//!
//! # Rules
//! U1. Library code runs inside `contain`: a panic there is a defect of ours, ends the
//!     call with an error, and goes no further. Not contained, to be short, are the straight ways:
//!     `Pool::submit_straight`, `worker::straight`, and of a future `record_inline`,
//!     `inline_bytes` and `release_plain`. They take memory from the thread's magazine only,
//!     have no operation that can panic but an index or a sum over numbers that the library
//!     itself wrote, and leave whatever is more to a call that is contained. A panic there
//!     would unwind into the caller, where nothing catches it: the process ends.
//! U2. User code never runs inside `contain`. A `pthread_exit`, a cancellation or a C++
//!     exception in it must be able to unwind, and Rust's catch would end the process on
//!     them. So library code only *finds out* what to call; the calling is done by the
//!     export itself, or by the worker's loop, between two contained steps.
//! U3. Around user code there are drop guards only. They settle futures and give back
//!     places; they run on an ordinary return and on a forced unwind alike.
//! U4. Where going on would break memory safety, `die` ends the process with a text.

use crate::error::{Error, Kind};
use std::any::Any;
use std::panic::AssertUnwindSafe;

/// A panic of our own that was contained; its text.
pub(crate) struct Contained(Box<dyn Any + Send>);

impl Contained {
    pub(crate) fn text(&self) -> &str {
        if let Some(text) = self.0.downcast_ref::<&str>() {
            text
        } else if let Some(text) = self.0.downcast_ref::<String>() {
            text
        } else {
            "no text"
        }
    }

    /// As the error that the caller sees.
    #[cold]
    pub(crate) fn into_error(self) -> Error {
        Error::new(Kind::Panic, format_args!("defect inside the library: {}", self.text()))
    }
}

/// Runs library code (U1).
#[inline(always)]
pub(crate) fn contain<T>(step: impl FnOnce() -> T) -> Result<T, Contained> {
    // AssertUnwindSafe: what the step leaves half-done stays behind locks without
    // poisoning; the error it turns into says that the object is not to be trusted.
    #[allow(clippy::disallowed_methods)] // the one home of catch_unwind
    #[cfg(not(loom))]
    return std::panic::catch_unwind(AssertUnwindSafe(step)).map_err(Contained);
    // In a model a panic is a finding.
    #[cfg(loom)]
    return Ok(AssertUnwindSafe(step)());
}

/// Writes to standard error, for a process that is about to end.
#[cold]
pub(crate) fn tell(parts: &[&str]) {
    for part in parts {
        // SAFETY: writes from a valid buffer to standard error.
        unsafe { libc::write(2, part.as_ptr().cast(), part.len()) };
    }
}

/// Ends the process: only where going on would be undefined behaviour (U4), or where
/// the user asked for checks (`CFUT_CHECK=1`).
#[cold]
pub(crate) fn die(text: &str) -> ! {
    tell(&["cfutures: ", text, "\n"]);
    #[allow(clippy::disallowed_methods)] // the one place that may
    std::process::abort()
}
