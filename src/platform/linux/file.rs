//! A file that is written from its beginning to its end, by one process at a time.

use super::fd::Fd;
use super::thread::without_cancellation;
use crate::platform::Errno;
use std::ffi::CStr;

/// What tells one file from another, whatever its names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

/// Opens a file for writing, or makes it; what is in it stays for now. Files and devices only: a
/// pipe could block the opening, and end the process with SIGPIPE.
pub(crate) fn open(path: &CStr) -> Result<(Fd, Identity), Errno> {
    let flags =
        libc::O_WRONLY | libc::O_CREAT | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    let fd = without_cancellation(|| {
        // SAFETY: a NUL-terminated path.
        Fd::made_by(|| unsafe { libc::open(path.as_ptr(), flags, 0o666) })
    })?;
    // SAFETY: the call fills the structure.
    let stat = unsafe {
        let mut stat = std::mem::zeroed::<libc::stat>();
        if libc::fstat(fd.raw(), &mut stat) != 0 {
            return Err(Errno::last());
        }
        stat
    };
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFREG | libc::S_IFCHR => {}
        _ => return Err(Errno(libc::EINVAL)),
    }
    // Only the opening was not to wait.
    // SAFETY: our own descriptor.
    unsafe { libc::fcntl(fd.raw(), libc::F_SETFL, 0) };
    Ok((fd, Identity { device: stat.st_dev, inode: stat.st_ino }))
}

/// Takes the file for this process alone, among those that ask; false: another one has it. Where
/// the file system knows no locks everybody has it.
pub(crate) fn lock(fd: &Fd) -> bool {
    // SAFETY: asks for a lock on our own descriptor, and does not wait.
    let locked = unsafe { libc::flock(fd.raw(), libc::LOCK_EX | libc::LOCK_NB) } == 0;
    locked || Errno::last().0 != libc::EWOULDBLOCK
}

/// Gives the file back, also for descriptors of it that a forked child has.
pub(crate) fn unlock(fd: &Fd) {
    // SAFETY: our own descriptor.
    unsafe { libc::flock(fd.raw(), libc::LOCK_UN) };
}

/// Cuts the file behind `length` bytes, and goes on writing there. A device has no length.
pub(crate) fn cut(fd: &Fd, length: u64) {
    // SAFETY: our own descriptor, in both calls.
    unsafe {
        if libc::ftruncate(fd.raw(), length as libc::off_t) == 0 {
            libc::lseek(fd.raw(), length as libc::off_t, libc::SEEK_SET);
        }
    }
}

/// Writes at the end, where `at` bytes are already. Err: so much of it was written, and why the
/// rest was not.
pub(crate) fn write(fd: &Fd, at: u64, bytes: &[u8]) -> Result<(), (usize, Errno)> {
    let mut done = 0;
    while done < bytes.len() {
        // Past the limit the kernel sends SIGXFSZ, which would end the process.
        let room = size_limit().saturating_sub(at + done as u64);
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len() - done);
        if most == 0 {
            return Err((done, Errno(libc::EFBIG)));
        }
        let rest = &bytes[done..done + most];
        // SAFETY: reads `rest`.
        let wrote = without_cancellation(|| unsafe {
            libc::write(fd.raw(), rest.as_ptr().cast(), rest.len())
        });
        match wrote {
            1.. => done += wrote as usize,
            0 => return Err((done, Errno(libc::EIO))),
            _ if Errno::last().0 == libc::EINTR => {}
            _ => return Err((done, Errno::last())),
        }
    }
    Ok(())
}

/// RLIMIT_FSIZE, in bytes.
fn size_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: fills the structure.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0;
    if known && limit.rlim_cur != libc::RLIM_INFINITY { limit.rlim_cur } else { u64::MAX }
}
