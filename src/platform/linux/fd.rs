//! An owned descriptor.

use super::clock::Instant;
use super::thread::without_cancellation;
use crate::platform::Errno;
use crate::platform::fault::{self, Site};
use std::ptr;

/// A descriptor of our own, closed on drop. Close-on-exec from its creation on.
#[derive(Debug)]
pub(crate) struct Fd(i32);

/// Descriptors below belong to the standard streams, whoever may have closed them.
const FIRST: i32 = 3;

impl Fd {
    /// # Safety
    /// `raw` is an open descriptor that nobody else closes.
    pub(crate) unsafe fn adopt(raw: i32) -> Fd {
        Fd(raw)
    }

    /// What a system call answered: a descriptor, or -1 and an error number. One below 3 is
    /// moved up: it would take the place of a stream that the host has closed.
    pub(super) fn made_by(call: impl FnOnce() -> i32) -> Result<Fd, Errno> {
        if fault::fails(Site::Descriptor) {
            return Err(Errno(libc::EMFILE));
        }
        let raw = call();
        if raw < 0 { Err(Errno::last()) } else { Fd(raw).above_streams() }
    }

    /// This descriptor, or a copy where it has a number of the standard streams.
    pub(super) fn above_streams(self) -> Result<Fd, Errno> {
        if self.0 >= FIRST { Ok(self) } else { self.copy() }
    }

    pub(crate) fn raw(&self) -> i32 {
        self.0
    }

    /// Gives the descriptor away: whoever gets it closes it.
    pub(crate) fn into_raw(self) -> i32 {
        std::mem::ManuallyDrop::new(self).0
    }

    /// A second descriptor of the same thing, close-on-exec and at least 3.
    pub(crate) fn duplicate(&self) -> Result<Fd, Errno> {
        if fault::fails(Site::Descriptor) {
            return Err(Errno(libc::EMFILE));
        }
        self.copy()
    }

    /// Waits until it is readable; false when the deadline passed first.
    pub(super) fn wait_readable(&self, deadline: Option<Instant>) -> Result<bool, Errno> {
        let mut asked = libc::pollfd { fd: self.0, events: libc::POLLIN, revents: 0 };
        loop {
            let left =
                deadline.map(|end| Instant(end.saturating_since(Instant::now())).to_timespec());
            let left_ptr = left.as_ref().map_or(ptr::null(), ptr::from_ref);
            // SAFETY: reads and writes one pollfd; the time is NULL or points at `left`.
            let ready = without_cancellation(|| unsafe {
                libc::ppoll(&mut asked, 1, left_ptr, ptr::null())
            });
            match ready {
                0 => return Ok(false),
                1.. => return Ok(true),
                _ if Errno::last().0 == libc::EINTR => {}
                _ => return Err(Errno::last()),
            }
        }
    }

    fn copy(&self) -> Result<Fd, Errno> {
        // SAFETY: duplicates our own descriptor.
        let raw = unsafe { libc::fcntl(self.0, libc::F_DUPFD_CLOEXEC, FIRST) };
        if raw < 0 { Err(Errno::last()) } else { Ok(Fd(raw)) }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        // SAFETY: our own descriptor, closed once.
        without_cancellation(|| unsafe { libc::close(self.0) });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn open(raw: i32) -> bool {
        // SAFETY: asks about a number, whatever it stands for.
        let flags = unsafe { libc::fcntl(raw, libc::F_GETFD) };
        flags >= 0
    }

    #[test]
    fn closes_once_and_copies() {
        // SAFETY: opens a file by a valid name.
        let first = Fd::made_by(|| unsafe {
            libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
        });
        let first = first.expect("a descriptor");
        let second = first.duplicate().expect("a copy");
        assert!(first.raw() >= FIRST && second.raw() >= FIRST && first.raw() != second.raw());
        // SAFETY: our own descriptor.
        let flags = unsafe { libc::fcntl(second.raw(), libc::F_GETFD) };
        assert_eq!(flags & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
        let raw = second.into_raw();
        assert!(open(raw));
        // SAFETY: given away a line above, and adopted once.
        drop(unsafe { Fd::adopt(raw) });
    }
}
