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
