//! The few things the library asks of the operating system.
//!
//! # Contract
//! Everything here is a thin, fallible wrapper: no policy, no state beyond caches of
//! facts that do not change, no user code. Failures come back as an `errno`. Nothing in
//! this room imports another room; no other room says `cfg(target_os)` or calls a
//! system call of its own.
//!
//! | file | what it offers |
//! |---|---|
//! | `area` | memory for big data that goes to another process |
//! | `clock` | monotonic nanoseconds; a cheap tick counter for durations |
//! | `cpu` | how many processors this process may use |
//! | `cgroup` | the parser behind the quota half of that answer |
//! | `fault` | fail the n-th call, for tests |
//! | `fd` | an owned descriptor |
//! | `file` | a file that is written from its beginning to its end |
//! | `fork` | a generation that changes in a forked child |
//! | `futex` | sleep on a word, wake its sleepers |
//! | `host` | what a host of workers asks about itself |
//! | `memory` | aligned memory from the system, fallible |
//! | `module` | which module a function lies in, and the way back |
//! | `oom` | how often memory ran out in this control group |
//! | `pipe` | the descriptor of a completion queue; what a program writes |
//! | `poll` | sleep until a descriptor has something to say |
//! | `process` | signals, ends, limits and environment of processes |
//! | `signal` | names of signals, exit statuses |
//! | `shm` | memory that two processes map |
//! | `socket` | whole messages between processes, with descriptors |
//! | `spawn` | start programs of ours and of the user's, fork |
//! | `thread` | raw threads: make, name, watch, join |
//! | `tree` | who descends from a process |
//!
//! # Fork
//! `fork` is the only file with process-wide mutable state that must notice a fork.

#[cfg(target_os = "linux")]
mod linux {
    pub(crate) mod area;
    pub(crate) mod cgroup;
    pub(crate) mod clock;
    pub(crate) mod cpu;
    pub(crate) mod fd;
    pub(crate) mod file;
    pub(crate) mod fork;
    pub(crate) mod futex;
    #[cfg(not(loom))]
    pub(crate) mod host;
    pub(crate) mod memory;
    #[cfg(not(loom))]
    pub(crate) mod module;
    #[cfg(not(loom))]
    pub(crate) mod oom;
    pub(crate) mod pipe;
    pub(crate) mod poll;
    #[cfg(not(loom))]
    pub(crate) mod process;
    pub(crate) mod shm;
    #[cfg(not(loom))]
    pub(crate) mod signal;
    pub(crate) mod socket;
    #[cfg(not(loom))]
    pub(crate) mod spawn;
    #[cfg(all(test, not(loom), not(miri)))]
    mod tests;
    pub(crate) mod thread;
    #[cfg(not(loom))]
    pub(crate) mod tree;
}

#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(feature = "fault-injection"))]
pub(crate) mod fault;
#[cfg(feature = "fault-injection")]
pub mod fault;

#[cfg(not(target_os = "linux"))]
compile_error!("cfutures runs on Linux; another Unix is added in src/platform/ alone");

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the layout of a task assumes 64-bit pointers");

/// Number of the calling process. (`process` is not there for the model checker.)
pub(crate) fn process_id() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getpid() }
}

/// An `errno` value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

impl Errno {
    /// The error of the system call that has just failed in this thread.
    pub(crate) fn last() -> Errno {
        // SAFETY: __errno_location gives this thread's own errno, always valid.
        Errno(unsafe { *libc::__errno_location() })
    }
}

impl std::fmt::Display for Errno {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = [0u8; 96];
        // SAFETY: the XSI form writes at most `len` bytes, NUL-terminated, into `text`.
        let failed = unsafe { libc::strerror_r(self.0, text.as_mut_ptr().cast(), text.len()) } != 0;
        let end = text.iter().position(|&byte| byte == 0).unwrap_or(0);
        match std::str::from_utf8(&text[..end]) {
            Ok(words) if !failed => write!(out, "{words} (errno {})", self.0),
            _ => write!(out, "errno {}", self.0),
        }
    }
}
