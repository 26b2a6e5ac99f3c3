//! The descriptor a completion queue shows to event loops.
//!
//! A pipe and not an eventfd: Node's stream wrappers refuse eventfds, and other Unixes have
//! none. One byte stands for "something is waiting".

use super::thread::without_cancellation;
use crate::platform::Errno;
use crate::platform::fault::{self, Site};

/// A non-blocking close-on-exec pipe that holds at most one byte.
pub(crate) struct Pipe {
    read: i32,
    write: i32,
}

impl Pipe {
    pub(crate) fn new() -> Result<Pipe, Errno> {
        if fault::fails(Site::Descriptor) {
            return Err(Errno(libc::EMFILE));
        }
        let mut ends = [-1; 2];
        // SAFETY: writes two descriptors into `ends`.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
            return Err(Errno::last());
        }
        Ok(Pipe { read: ends[0], write: ends[1] })
    }

    /// The end to poll.
    pub(crate) fn readable_end(&self) -> i32 {
        self.read
    }

    /// Makes the pipe readable. The queue calls this only while it is empty, so the byte
    /// always fits; a pipe cannot raise SIGPIPE while we hold its reading end.
    pub(crate) fn fill(&self) {
        // SAFETY: writes one byte from a valid buffer to our own descriptor.
        without_cancellation(|| unsafe { libc::write(self.write, [1u8].as_ptr().cast(), 1) });
    }

    /// Takes the byte back, if a reader outside has not eaten it.
    pub(crate) fn drain(&self) {
        let mut byte = [0u8; 8];
        // SAFETY: reads at most 8 bytes into `byte` from our own descriptor.
        without_cancellation(|| unsafe {
            libc::read(self.read, byte.as_mut_ptr().cast(), byte.len())
        });
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // SAFETY: our own descriptors, closed once.
        without_cancellation(|| unsafe {
            libc::close(self.read);
            libc::close(self.write);
        });
    }
}
