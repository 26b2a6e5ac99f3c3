//! Sleeping on a 32-bit word. Private futexes: the word is never shared between processes.

use super::clock::Instant;
use std::ptr;
use std::sync::atomic::AtomicU32;

/// Sleeps while `*word == expected`, until woken or until `deadline`. False: the deadline
/// passed. May return true for no reason; the caller looks at the word again. Signals do
/// not end the sleep early: the deadline is absolute, so going on is exact.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
    let limit = deadline.map(Instant::to_timespec);
    let limit_ptr = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `word` is valid for the call, `limit_ptr` is NULL or points at `limit`; the
    // kernel only reads both. WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
            expected,
            limit_ptr,
            ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    !(result == -1 && super::super::Errno::last().0 == libc::ETIMEDOUT)
}

/// Wakes at most `count` sleepers of the word at `word`, which is not read: it may
/// belong to memory that has just been given back.
pub(crate) fn wake(word: *const AtomicU32, count: i32) {
    // SAFETY: FUTEX_WAKE with the private flag uses the address as a key only; an address
    // that is no longer mapped makes the call fail, which is harmless.
    unsafe {
        libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count);
    }
}
