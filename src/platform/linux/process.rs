//! Other processes, and this one as a process: signals, ends, limits, environment.
//!
//! Calls that only some kernels and filters know (`pidfd_open`, `close_range`) have an answer
//! for their absence, never a failure.

use super::fd::Fd;
use super::tree;
use crate::platform::Errno;
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// Number of the calling process.
pub(crate) fn own_id() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getpid() }
}

/// Number of its parent; 1, or that of a subreaper, once the parent is gone.
pub(crate) fn parent_id() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::getppid() }
}

/// Effective user of the calling process.
pub(crate) fn user_id() -> u32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::geteuid() }
}

// ---- signals ----

/// The signal that nothing survives.
pub(crate) const KILL: i32 = libc::SIGKILL;

/// Sends a signal to one process.
pub(crate) fn kill(pid: i32, signal: i32) -> Result<(), Errno> {
    // 0 and negative numbers would be groups, and -1 everybody.
    if pid <= 0 {
        return Err(Errno(libc::ESRCH));
    }
    // SAFETY: no pointers.
    checked(unsafe { libc::kill(pid, signal) })
}

/// Sends a signal to a process group.
pub(crate) fn kill_group(leader: i32, signal: i32) -> Result<(), Errno> {
    if leader <= 1 {
        return Err(Errno(libc::ESRCH));
    }
    // SAFETY: no pointers.
    checked(unsafe { libc::kill(-leader, signal) })
}

/// Sends a signal to a process, all that descend from it, and its group. Before SIGKILL they
/// are stopped one after the other, so that none has more children meanwhile.
pub(crate) fn kill_tree(root: i32, signal: i32) {
    if root <= 1 {
        return;
    }
    let stop = signal == libc::SIGKILL;
    if stop {
        let _ = kill(root, libc::SIGSTOP); // gone already: its children may still be there
    }
    tree::visit_descendants(root, |pid| {
        if stop {
            let _ = kill(pid, libc::SIGSTOP); // as above
        }
    })
    .for_each(|pid| {
        let _ = kill(pid, signal); // as above
    });
    let _ = kill_group(root, signal); // as above
    let _ = kill(root, signal); // before it had made its group
}

// ---- ends ----

/// A child that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reaped {
    pub(crate) pid: i32,
    /// As wait(2) gives it.
    pub(crate) status: i32,
    pub(crate) user_ns: u64,
    pub(crate) system_ns: u64,
    /// Bytes.
    pub(crate) max_rss: u64,
}

/// A child that has ended and is still to be collected; None: there is none now.
pub(crate) fn ended_child() -> Option<i32> {
    loop {
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
        // SAFETY: plain numbers, for which zero is a value; writes one siginfo, whose number is
        // 0 where no child has ended.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            if libc::waitid(libc::P_ALL, 0, &mut info, options) == 0 {
                return Some(info.si_pid()).filter(|&pid| pid > 0);
            }
        }
        if Errno::last().0 != libc::EINTR {
            return None;
        }
    }
}

/// Collects a child that has ended.
pub(crate) fn reap(child: i32) -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: writes a status and a rusage.
        let pid =
            unsafe { libc::wait4(child, &mut status, libc::WNOHANG | libc::__WALL, &mut usage) };
        if pid > 0 {
            return Some(Reaped {
                pid,
                status,
                user_ns: nanoseconds(usage.ru_utime),
                system_ns: nanoseconds(usage.ru_stime),
                max_rss: (usage.ru_maxrss as u64).saturating_mul(1024),
            });
        }
        if pid == 0 || Errno::last().0 != libc::EINTR {
            return None;
        }
    }
}

fn nanoseconds(time: libc::timeval) -> u64 {
    (time.tv_sec as u64).saturating_mul(1_000_000_000) + time.tv_usec as u64 * 1000
}

/// Whether a wait status is that of a process which a signal ended, and by which.
pub(crate) fn ending_signal(status: i32) -> Option<i32> {
    libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))
}

/// A descriptor that becomes readable when the process ends; None where there is no such
/// call, or no such process.
pub(crate) fn watch_end(pid: i32) -> Option<Fd> {
    // SAFETY: no pointers; the descriptor is close-on-exec by itself.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) } as i32;
    // SAFETY: a fresh descriptor that nobody else knows.
    (fd >= 0).then(|| unsafe { Fd::adopt(fd) })
}

/// Where the handler of SIGCHLD writes; -1 before `watch_children`.
static CHILD_ENDED: AtomicI32 = AtomicI32::new(-1);

extern "C" fn on_child_end(_: i32) {
    let one = 1u64;
    // SAFETY: both calls are allowed in a handler; reads eight bytes of a local. The descriptor
    // does not block; a full counter is readable anyway. The interrupted code keeps its errno.
    unsafe {
        let errno = libc::__errno_location();
        let before = *errno;
        libc::write(
            CHILD_ENDED.load(Ordering::Relaxed),
            (&raw const one).cast(),
            size_of_val(&one),
        );
        *errno = before;
    }
}

/// A descriptor that becomes readable when a child has ended; for one place in a process. By a
/// handler, which runs in whichever thread the kernel takes: a program that brings its own runtime,
/// and a module that is loaded first, may have threads, and one of them that has not blocked the
/// signal would take it away from a `signalfd`.
pub(crate) fn watch_children() -> Result<Fd, Errno> {
    let set = one_signal(libc::SIGCHLD);
    // SAFETY: a fresh descriptor that nobody else knows; zero is a value of plain numbers and sets;
    // the handler has the signature of one without SA_SIGINFO; the old mask is not asked for.
    unsafe {
        let fd = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        if fd < 0 {
            return Err(Errno::last());
        }
        let fd = Fd::adopt(fd);
        CHILD_ENDED.store(fd.raw(), Ordering::Relaxed);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_child_end as extern "C" fn(i32) as usize;
        // On another stack where there is one: those of Go are too small for a handler.
        action.sa_flags = libc::SA_RESTART | libc::SA_NOCLDSTOP | libc::SA_ONSTACK;
        if libc::sigaction(libc::SIGCHLD, &action, ptr::null_mut()) != 0 {
            return Err(Errno::last());
        }
        libc::sigprocmask(libc::SIG_UNBLOCK, &set, ptr::null_mut());
        Ok(fd)
    }
}

/// Takes what `watch_children` has to say, so that it is readable again at the next end.
pub(crate) fn drain_children(fd: &Fd) {
    let mut count = [0u8; 8];
    // SAFETY: reads the array's bytes from our own descriptor, which does not block.
    unsafe { libc::read(fd.raw(), count.as_mut_ptr().cast(), count.len()) };
}

fn one_signal(signal: i32) -> libc::sigset_t {
    // SAFETY: sigemptyset fills the set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        set
    }
}

/// All dispositions default, nothing blocked: how a worker begins.
pub(crate) fn default_signals() {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL for a number; those that cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an empty set; the old mask is not asked for.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}

/// Lets the calling process go on over broken pipes and the hang-up of its terminal, which
/// would end it by default.
pub(crate) fn ignore_hangups() {
    for signal in [libc::SIGPIPE, libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

// ---- this process ----

/// Is killed when the thread that forked it ends. The caller looks afterwards whether that has
/// happened before.
pub(crate) fn die_with_parent() -> Result<(), Errno> {
    // SAFETY: no pointers.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })
}

/// Children of children that lose their parent become this process's.
pub(crate) fn become_subreaper() -> Result<(), Errno> {
    // SAFETY: no pointers.
    checked(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) })
}

/// A process group of its own; of `pid`, 0: of the caller.
pub(crate) fn lead_group(pid: i32) {
    // SAFETY: no pointers. It fails for a session's leader, who has one.
    unsafe { libc::setpgid(pid, 0) };
}

/// Most address space, in bytes.
pub(crate) fn limit_memory(bytes: u64) -> Result<(), Errno> {
    lower(libc::RLIMIT_AS, bytes, bytes)
}

/// Most processor time, in seconds: SIGXCPU then, SIGKILL a second later.
pub(crate) fn limit_cpu(seconds: u64) -> Result<(), Errno> {
    lower(libc::RLIMIT_CPU, seconds, seconds.saturating_add(1))
}

/// A limit is never raised: a smaller one that is there stays.
fn lower(which: libc::__rlimit_resource_t, soft: u64, hard: u64) -> Result<(), Errno> {
    let mut now = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit.
    checked(unsafe { libc::getrlimit(which, &mut now) })?;
    let wanted = libc::rlimit {
        rlim_cur: soft.min(now.rlim_cur).min(now.rlim_max),
        rlim_max: hard.min(now.rlim_max),
    };
    // SAFETY: reads one rlimit.
    checked(unsafe { libc::setrlimit(which, &wanted) })
}

/// Keeps a descriptor out of the programs that this process executes.
pub(crate) fn close_on_exec(fd: &Fd) {
    // SAFETY: our own descriptor.
    unsafe { libc::fcntl(fd.raw(), libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Waits until something can be written to `fd`, or its other side is gone.
pub(crate) fn wait_writable(fd: &Fd) {
    let mut asked = libc::pollfd { fd: fd.raw(), events: libc::POLLOUT, revents: 0 };
    // SAFETY: reads and writes one pollfd. A signal ends it early: the caller tries again.
    super::thread::without_cancellation(|| unsafe { libc::poll(&mut asked, 1, -1) });
}

/// Bytes that nobody can guess; false: the system has none.
pub(crate) fn random(into: &mut [u8; 16]) -> bool {
    // SAFETY: both write at most the array's bytes. So few come at once.
    unsafe {
        let (place, size) = (into.as_mut_ptr().cast(), into.len());
        if libc::getrandom(place, size, 0) == size as isize {
            return true;
        }
        // Some filters of system calls know an older way only.
        let file = libc::open(c"/dev/urandom".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if file < 0 {
            return false;
        }
        let read = libc::read(file, place, size);
        libc::close(file);
        read == size as isize
    }
}

/// Processor time that all threads of this process have used, in nanoseconds.
pub(crate) fn processor_time() -> u64 {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut used) };
    used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64
}

/// Sends what the program has written to its streams on its way.
pub(crate) fn flush_streams() {
    // SAFETY: NULL stands for all output streams.
    unsafe { libc::fflush(ptr::null_mut()) };
}

/// Ends the process at once: no exit handlers, no destructors.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: no arguments but a number.
    unsafe { libc::_exit(code) }
}

/// Whether the program was started with more rights than its user has.
pub(crate) fn has_more_rights() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Bytes of memory that this process has in use now, kept open for asking again.
pub(crate) struct Resident(Fd);

impl Resident {
    pub(crate) fn open() -> Option<Resident> {
        let path = c"/proc/self/statm";
        // SAFETY: a NUL-terminated path.
        let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        // SAFETY: a fresh descriptor that nobody else knows.
        (fd >= 0).then(|| Resident(unsafe { Fd::adopt(fd) }))
    }

    pub(crate) fn bytes(&self) -> Option<u64> {
        let mut text = [0u8; 128];
        // SAFETY: reads at most the array's bytes from our own descriptor.
        let read = unsafe { libc::pread(self.0.raw(), text.as_mut_ptr().cast(), text.len(), 0) };
        let pages = resident_pages(text.get(..usize::try_from(read).ok()?)?)?;
        // SAFETY: no pointers.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        Some(pages.saturating_mul(u64::try_from(page).ok()?))
    }
}

/// `statm`: "SIZE RESIDENT SHARED ...", in pages.
fn resident_pages(text: &[u8]) -> Option<u64> {
    let field = text.split(|&byte| byte == b' ').nth(1)?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

// ---- environment ----

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The variables of this process, as `NAME=value`. They are the host's: another thread of it
/// may change them meanwhile, which POSIX makes that thread's mistake.
pub(crate) fn environment() -> impl Iterator<Item = &'static CStr> {
    // SAFETY: NULL, or an array that NULL ends.
    let mut place = unsafe { environ };
    std::iter::from_fn(move || {
        if place.is_null() {
            return None;
        }
        // SAFETY: not past the NULL.
        let entry = unsafe { *place };
        if entry.is_null() {
            return None;
        }
        // SAFETY: as above.
        place = unsafe { place.add(1) };
        // SAFETY: entries are NUL-terminated texts.
        Some(unsafe { CStr::from_ptr(entry) })
    })
}

/// What a pool tells a process that it has started: see `worker::bootstrap`.
pub(crate) fn worker_variable() -> Option<&'static CStr> {
    // SAFETY: a NUL-terminated name.
    value(unsafe { libc::getenv(c"CFUT_WORKER".as_ptr()) })
}

/// How many process pools there are around this process.
pub(crate) fn depth_variable() -> Option<&'static CStr> {
    // SAFETY: a NUL-terminated name.
    value(unsafe { libc::getenv(c"CFUT_WORKER_DEPTH".as_ptr()) })
}

fn value(text: *const c_char) -> Option<&'static CStr> {
    // SAFETY: NUL-terminated, and the program's own until it changes its environment.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// Removes a variable. For a process that has one thread.
pub(crate) fn remove_variable(name: &CStr) {
    // SAFETY: a NUL-terminated name.
    unsafe { libc::unsetenv(name.as_ptr()) };
}

fn checked(result: i32) -> Result<(), Errno> {
    if result == 0 { Ok(()) } else { Err(Errno::last()) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn own_memory_is_told() {
        let resident = Resident::open().expect("statm");
        assert!(resident.bytes().expect("a number") > 64 * 1024);
    }

    #[test]
    fn nobody_is_killed_by_odd_numbers() {
        for pid in [0, -1, i32::MIN] {
            assert_eq!(kill(pid, libc::SIGKILL), Err(Errno(libc::ESRCH)));
            assert_eq!(kill_group(pid, libc::SIGKILL), Err(Errno(libc::ESRCH)));
            kill_tree(pid, libc::SIGKILL);
        }
        kill_tree(1, 0);
    }

    #[test]
    fn environment_is_the_programs() {
        let ours = environment().filter(|entry| entry.to_bytes().starts_with(b"PATH=")).count();
        assert_eq!(ours, usize::from(std::env::var_os("PATH").is_some()));
        assert!(worker_variable().is_none());
    }

    proptest! {
        #[test]
        fn statm_of_any_kind(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = resident_pages(&text);
        }
    }

    #[test]
    fn statm_has_its_figure_in_second_place() {
        assert_eq!(resident_pages(b"4096 128 64 1 0 20 0\n"), Some(128));
        assert_eq!(resident_pages(b"4096"), None);
    }
}
