//! The registry of status numbers. Numbers are never changed and never used again;
//! 0 to 99 are outcomes, -1 to -99 misuse and failures.

use super::types::cfut_status;
use crate::error::Kind;
use crate::future::state::Outcome;

macro_rules! statuses {
    ($($name:ident = $value:literal, $text:literal;)*) => {
        $(pub(super) const $name: cfut_status = $value;)*

        /// Number, name and text of every status.
        pub(super) const ALL: &[(cfut_status, &std::ffi::CStr, &std::ffi::CStr)] = &[
            $(($value, c_name(concat!("CFUT_", stringify!($name), "\0")), c_name(concat!($text, "\0")))),*
        ];
    };
}

const fn c_name(text: &str) -> &std::ffi::CStr {
    match std::ffi::CStr::from_bytes_with_nul(text.as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a text with a NUL inside"),
    }
}

statuses! {
    OK = 0, "good";
    TIMEOUT = 1, "the wait ended first; the task goes on";
    PENDING = 2, "asked to stop, the outcome is still to come";
    CANCELLED = 3, "never ran, or stopped on request";
    FAILED = 4, "the task reported failure";
    CRASHED = 5, "the worker process died in this task";
    EXPIRED = 6, "a queue, run or total time-out passed";
    BROKEN = 7, "the executor or the promise broke before the task could end";
    END = 8, "nothing more will come";
    TOO_LATE = 9, "running or finished: not cancelled";
    EINVAL = -1, "invalid argument";
    ENOMEM = -2, "no memory";
    ENOTSUP = -3, "this executor or build cannot do that";
    ESHUTDOWN = -4, "the executor no longer takes work";
    EFULL = -5, "a queue bound was reached";
    EDEADLK = -6, "this wait could never end";
    EFORKED = -7, "the handle was inherited through fork()";
    ENOENT = -8, "no such function, module or program";
    ESYS = -9, "a system call failed";
    EPANIC = -10, "defect inside the library, contained";
    ESTATE = -11, "the promise is already settled";
}

/// The status of an error.
pub(super) fn of_error(kind: Kind) -> cfut_status {
    match kind {
        Kind::Invalid => EINVAL,
        Kind::NoMemory => ENOMEM,
        Kind::NotSupported => ENOTSUP,
        Kind::Shutdown => ESHUTDOWN,
        Kind::Full => EFULL,
        Kind::Deadlock => EDEADLK,
        Kind::Forked => EFORKED,
        Kind::NotFound => ENOENT,
        Kind::System => ESYS,
        Kind::Panic => EPANIC,
        Kind::State => ESTATE,
        Kind::Broken => BROKEN,
    }
}

/// The status that tells how a future ended.
pub(super) fn of_outcome(outcome: Outcome) -> cfut_status {
    match outcome {
        Outcome::Succeeded => OK,
        Outcome::Failed => FAILED,
        Outcome::Cancelled => CANCELLED,
        Outcome::Crashed => CRASHED,
        Outcome::Expired => EXPIRED,
        Outcome::Broken => BROKEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_distinct_and_the_thread_end_code_is_epanic() {
        for (place, one) in ALL.iter().enumerate() {
            assert!(ALL[place + 1..].iter().all(|other| other.0 != one.0 && other.1 != one.1));
        }
        assert_eq!(crate::future::run::THREAD_ENDED, EPANIC);
    }
}
