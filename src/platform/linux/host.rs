//! What a host of worker processes asks the system about itself and about them.

use super::clock::Instant;
use super::fd::Fd;
use super::memory;
use super::process;

/// The first word of this process's command line; None where it cannot be read.
pub(crate) fn own_command(into: &mut [u8; 4096]) -> Option<&[u8]> {
    let length = memory::read_small_file(c"/proc/self/cmdline", into)?;
    let first = into[..length].split(|&byte| byte == 0).next()?;
    (!first.is_empty()).then_some(first)
}

/// How long a process that has closed its socket, or was killed, may take to end.
const ENDING_NS: u64 = 100_000_000;

/// Collects a process that became this one's child because there was nobody nearer: where this
/// process is the first of its namespace, or asked for orphans. It is ending, and waited for if
/// the kernel can tell of its end; one that is stopped is not collected.
pub(crate) fn collect_orphan(pid: i32) {
    if pid <= 0 || !takes_orphans() {
        return;
    }
    if let Some(end) = process::watch_end(pid) {
        let _ = end.wait_readable(Some(Instant::now().plus(ENDING_NS))); // then it goes on
    }
    // SAFETY: asks about one process; if it is no child of this one the call fails.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) };
}

fn takes_orphans() -> bool {
    let mut asked = 0;
    // SAFETY: no pointers.
    let first = unsafe { libc::getpid() } == 1;
    // SAFETY: writes one int.
    first || unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &mut asked) } == 0 && asked != 0
}

/// The directory this process is in, as a descriptor to go there by. None: it cannot be had.
pub(crate) fn own_directory() -> Option<Fd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: opens a file.
    let fd = unsafe { libc::open(c".".as_ptr(), flags) };
    // SAFETY: fresh, and nobody else's.
    (fd >= 0).then(|| unsafe { Fd::adopt(fd) })
}
