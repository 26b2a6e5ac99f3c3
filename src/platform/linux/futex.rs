//! Sleeping on a 32-bit word: a private one, or one in memory that several processes map.

use super::clock::Instant;
use std::ptr;
use std::sync::atomic::AtomicU32;

/// Sleeps while `*word == expected`, until woken or until `deadline`. False: the deadline
/// passed. May return true for no reason; the caller looks at the word again. Signals do
/// not end the sleep early: the deadline is absolute, so going on is exact.
pub(crate) fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
    sleep(word, expected, deadline, libc::FUTEX_PRIVATE_FLAG)
}

fn sleep(word: &AtomicU32, expected: u32, deadline: Option<Instant>, scope: i32) -> bool {
    let limit = deadline.map(Instant::to_timespec);
    let limit_ptr = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: `word` is valid for the call, `limit_ptr` is NULL or points at `limit`; the
    // kernel only reads both. WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET | scope,
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

/// As `wait`, for a word in memory that several processes map.
pub(crate) fn wait_shared(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
    sleep(word, expected, deadline, 0)
}

/// As `wake`, for a word in memory that several processes map.
pub(crate) fn wake_shared(word: *const AtomicU32, count: i32) {
    // SAFETY: as in `wake`; the kernel looks up the page behind the address.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, count) };
}
