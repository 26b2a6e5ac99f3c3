//! The descriptor a completion queue shows to event loops.
//!
//! A pipe and not an eventfd: Node's stream wrappers refuse eventfds, and other Unixes have
//! none. One byte stands for "something is waiting".

use super::fd::Fd;
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

/// A pipe for what a program writes: our end, which does not block, and its own. Both
/// close-on-exec.
pub(crate) fn stream() -> Result<(Fd, Fd), Errno> {
    let mut ends = [-1; 2];
    // SAFETY: writes two descriptors into `ends`.
    let first = Fd::made_by(|| unsafe {
        match libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) {
            0 => ends[0],
            failed => failed,
        }
    });
    // Owned before anything of the first can fail.
    // SAFETY: made by the call above, if it was made.
    let second = (ends[1] >= 0).then(|| unsafe { Fd::adopt(ends[1]) });
    let (ours, theirs) = (first?, second.ok_or(Errno(libc::EMFILE))?.above_streams()?);
    // SAFETY: our own descriptor.
    if unsafe { libc::fcntl(ours.raw(), libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
        return Err(Errno::last());
    }
    Ok((ours, theirs))
}

/// As much as a pipe can hold, unless somebody with more rights has made it larger.
pub(crate) const MOST_HELD: usize = 1 << 20;

/// Puts what can be read from `fd` behind what `into` holds, as far as its capacity goes: how much;
/// 0 at the end. EAGAIN: nothing now.
pub(crate) fn read_into(fd: &Fd, into: &mut Vec<u8>) -> Result<usize, Errno> {
    let room = into.spare_capacity_mut();
    loop {
        // SAFETY: writes at most so many bytes into the room.
        let read = without_cancellation(|| unsafe {
            libc::read(fd.raw(), room.as_mut_ptr().cast(), room.len())
        });
        if let Ok(read) = usize::try_from(read) {
            // SAFETY: so many bytes of the spare capacity have been written.
            unsafe { into.set_len(into.len() + read) };
            return Ok(read);
        }
        if Errno::last().0 != libc::EINTR {
            return Err(Errno::last());
        }
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
