//! Makes the n-th call of a kind fail, so that tests reach each error path.
//!
//! Without the feature `fault-injection` every question is answered "no" at compile time.

/// The calls that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[cfg_attr(not(feature = "fault-injection"), allow(unreachable_pub))]
pub enum Site {
    /// Creation of a thread.
    Thread = 0,
    /// Memory for a task, a result or a table.
    Memory = 1,
    /// A descriptor.
    Descriptor = 2,
}

#[cfg(feature = "fault-injection")]
mod armed {
    use super::Site;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// 0: never; n: the n-th call from now fails. The top bit keeps failing afterwards.
    static COUNTDOWN: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];
    const STICKY: u64 = 1 << 63;

    /// Lets call number `nth` of `site` (1 = the next) fail, and all later ones if `sticky`.
    /// 0 disarms.
    pub fn arm(site: Site, nth: u64, sticky: bool) {
        let value = if nth != 0 && sticky { nth | STICKY } else { nth };
        // Relaxed: a test arms before it calls; nothing else is published.
        COUNTDOWN[site as usize].store(value, Ordering::Relaxed);
    }

    pub(crate) fn fails(site: Site) -> bool {
        let counter = &COUNTDOWN[site as usize];
        // Relaxed: a plain counter.
        let before =
            counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| match now & !STICKY {
                0 => None,
                1 if now & STICKY != 0 => Some(now),
                _ => Some(now - 1),
            });
        matches!(before, Ok(now) if now & !STICKY == 1)
    }
}

#[cfg(feature = "fault-injection")]
pub use armed::arm;
#[cfg(feature = "fault-injection")]
pub(crate) use armed::fails;

#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn fails(_: Site) -> bool {
    false
}

/// Ends the process, if a test wants that here.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn crash_point(_: &str) {}

#[cfg(feature = "fault-injection")]
mod crash {
    use std::ffi::CStr;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// How often the wanted point has been passed.
    static PASSED: AtomicU32 = AtomicU32::new(0);

    /// Ends the process, if a test wants that here: `CFUT_CRASH_AT=point:n:signal` raises the
    /// signal at the n-th passage (0: exit with status 3), in the first process alone that can
    /// create the file `CFUT_CRASH_ONCE`; without that variable in each.
    pub(crate) fn crash_point(name: &str) {
        let Some(wanted) = wanted() else { return };
        let mut parts = wanted.split(':');
        if parts.next() != Some(name) {
            return;
        }
        let mut number = || parts.next().and_then(|text| text.parse::<u32>().ok());
        let (Some(nth), Some(signal)) = (number(), number()) else { return };
        // Relaxed: a plain counter.
        if PASSED.fetch_add(1, Ordering::Relaxed) + 1 < nth || !is_first() {
            return;
        }
        // SAFETY: ends or stops this process, which is what the test wants.
        unsafe {
            if signal == 0 {
                libc::_exit(3);
            }
            libc::kill(libc::getpid(), signal as i32);
        }
    }

    fn is_first() -> bool {
        // SAFETY: the value is a text that stays; creates a file.
        unsafe {
            let path = libc::getenv(c"CFUT_CRASH_ONCE".as_ptr());
            if path.is_null() {
                return true;
            }
            let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_CLOEXEC;
            let file = libc::open(path, flags, 0o600);
            file >= 0 && libc::close(file) == 0
        }
    }

    fn wanted() -> Option<&'static str> {
        // SAFETY: the processes of a pool change this variable never.
        let value = unsafe { libc::getenv(c"CFUT_CRASH_AT".as_ptr()) };
        // SAFETY: a text, which stays.
        (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) })?.to_str().ok()
    }
}

#[cfg(feature = "fault-injection")]
pub(crate) use crash::crash_point;
