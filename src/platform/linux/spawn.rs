//! Starting processes: the only file that clones, forks or executes.
//!
//! # A child the host cannot see
//! ```text
//!   host thread ── clone ──▶ intermediate ── clone ──▶ child ── execve ──▶ program
//!      sleeps                   sleeps         │           ready, or its errno
//!      ◀─────────── _exit ──────◀──────────────┘
//! ```
//! Both clones share the host's memory and stop the thread that made them until the child has
//! gone on (CLONE_VM, CLONE_VFORK), so nothing of the host is copied and no handler of
//! `pthread_atfork` runs. Neither has an exit signal: the host gets no SIGCHLD, and its
//! `waitpid(-1)` does not find them. The program is an orphan from its first instruction on.
//!
//! # Between clone and execve
//! The child runs on the host's memory while the host's other threads go on. So it calls what is
//! async-signal-safe only, takes no memory, has each word it needs prepared (`Plan`), and writes
//! nothing but the plan. All signals are blocked around it, those of the C library included: no
//! handler of the host's runs in the child. Cancellation is disabled, for the child shares the
//! calling thread's control block.

pub(crate) mod command;

use super::fd::Fd;
use super::thread::without_cancellation;
use crate::platform::Errno;
use crate::platform::fault::{self, Site};
use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

/// What to execute. The child gets `socket` as descriptor 3, /dev/null as 0, and 1 and 2 as
/// they are; nothing else.
pub(crate) struct Program<'a> {
    pub(crate) path: &'a CStr,
    pub(crate) argv: &'a [&'a CStr],
    /// All of it.
    pub(crate) envp: &'a [&'a CStr],
    /// Where it begins; None: where the caller is.
    pub(crate) directory: Option<&'a Fd>,
    pub(crate) socket: &'a Fd,
}

/// The number under which a program finds its socket.
pub(crate) const SOCKET: i32 = 3;

/// In which process a fork has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forked {
    Child,
    Parent(i32),
}

/// Starts a program that is no child of this process, in a session of its own; its number.
/// Blocks until it has been executed, or could not be.
pub(crate) fn exec_detached(program: &Program<'_>) -> Result<i32, Errno> {
    if fault::fails(Site::Descriptor) {
        return Err(Errno(libc::EAGAIN));
    }
    let words = Words::of(program)?;
    let stacks = Stacks::map()?;
    let plan = Plan::new(program, &words, Standing::Session, stacks.second());
    without_cancellation(|| {
        let blocked = AllSignals::block();
        // SAFETY: `intermediate` keeps the module's rules, on a stack that lasts until it is
        // gone; the plan lasts as long, because this thread sleeps meanwhile.
        let pid = unsafe { clone_vfork(intermediate, stacks.first(), 0, plan.as_argument()) };
        drop(blocked);
        let pid = pid?;
        // SAFETY: the intermediate, which has ended or is about to.
        unsafe { collect(pid) };
        plan.outcome()
    })
}

/// Starts a program as an ordinary child, whose end is told by SIGCHLD. Blocks as
/// `exec_detached`.
pub(crate) fn exec_child(program: &Program<'_>) -> Result<i32, Errno> {
    let words = Words::of(program)?;
    let stacks = Stacks::map()?;
    let plan = Plan::new(program, &words, Standing::Group, ptr::null_mut());
    let blocked = AllSignals::block();
    // SAFETY: as in `exec_detached`.
    let pid = unsafe { clone_vfork(execute, stacks.first(), libc::SIGCHLD, plan.as_argument()) };
    drop(blocked);
    let pid = pid?;
    // Relaxed, here and below: this thread slept until the child had written it.
    plan.pid.store(pid, Ordering::Relaxed);
    let outcome = plan.outcome();
    if outcome.is_err() {
        // SAFETY: a child that has ended.
        unsafe { collect(pid) };
    }
    outcome
}

/// Forks.
///
/// # Safety
/// This process has one thread, or the child does without all that another one may have locked.
pub(crate) unsafe fn fork_child() -> Result<Forked, Errno> {
    // The one home of fork: the library forks its own processes, never the host.
    #[allow(clippy::disallowed_methods)]
    // SAFETY: by the contract.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        pid if pid > 0 => Ok(Forked::Parent(pid)),
        _ => Err(Errno::last()),
    }
}

/// # Safety
/// `pid` is a child of this process that ends without doing.
unsafe fn collect(pid: i32) {
    // SAFETY: the status is not asked for.
    while unsafe { libc::waitpid(pid, ptr::null_mut(), libc::__WALL) } < 0
        && Errno::last().0 == libc::EINTR
    {}
}

type Main = extern "C" fn(*mut c_void) -> i32;

/// # Safety
/// `main` keeps the rules of the module's head and `stack` is the end of one.
unsafe fn clone_vfork(
    main: Main,
    stack: *mut u8,
    signal: i32,
    argument: *mut c_void,
) -> Result<i32, Errno> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | signal;
    // SAFETY: by the contract; the kernel wakes this thread when the child has let go of the
    // memory.
    let pid = unsafe { clone(main, stack.cast(), flags, argument) };
    if pid < 0 { Err(Errno::last()) } else { Ok(pid) }
}

#[cfg(not(cfut_sanitizer))]
use libc::clone;

/// The same by its other name, which the sanitizers do not come between: they would take the child
/// for a fork that has memory of its own.
#[cfg(cfut_sanitizer)]
unsafe fn clone(main: Main, stack: *mut c_void, flags: i32, argument: *mut c_void) -> i32 {
    unsafe extern "C" {
        fn __clone(main: Main, stack: *mut c_void, flags: i32, argument: *mut c_void, ...) -> i32;
    }
    // SAFETY: the caller's.
    unsafe { __clone(main, stack, flags, argument) }
}

// ---- what is prepared ----

/// How the program stands to those of the host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// In a session of its own: no terminal sends it signals.
    Session,
    /// In a group of its own.
    Group,
}

/// Argument and environment as execve takes them.
struct Words {
    argv: Vec<*const c_char>,
    envp: Vec<*const c_char>,
}

impl Words {
    fn of(program: &Program<'_>) -> Result<Words, Errno> {
        Ok(Words { argv: pointers(program.argv)?, envp: pointers(program.envp)? })
    }
}

fn pointers(texts: &[&CStr]) -> Result<Vec<*const c_char>, Errno> {
    let mut pointers = Vec::new();
    pointers.try_reserve_exact(texts.len() + 1).map_err(|_| Errno(libc::ENOMEM))?;
    pointers.extend(texts.iter().map(|text| text.as_ptr()));
    pointers.push(ptr::null());
    Ok(pointers)
}

/// Everything the children need, and the two words they answer with.
struct Plan {
    path: *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
    /// -1: none.
    directory: i32,
    socket: i32,
    standing: Standing,
    /// Where the intermediate puts the stack of the child.
    stack: *mut u8,
    pid: AtomicI32,
    error: AtomicI32,
}

impl Plan {
    fn new(program: &Program<'_>, words: &Words, standing: Standing, stack: *mut u8) -> Plan {
        Plan {
            path: program.path.as_ptr(),
            argv: words.argv.as_ptr(),
            envp: words.envp.as_ptr(),
            directory: program.directory.map_or(-1, Fd::raw),
            socket: program.socket.raw(),
            standing,
            stack,
            pid: AtomicI32::new(0),
            error: AtomicI32::new(0),
        }
    }

    /// For `clone_vfork`.
    fn as_argument(&self) -> *mut c_void {
        ptr::from_ref(self).cast_mut().cast()
    }

    fn outcome(&self) -> Result<i32, Errno> {
        match (self.error.load(Ordering::Relaxed), self.pid.load(Ordering::Relaxed)) {
            (0, pid) if pid > 0 => Ok(pid),
            (0, _) => Err(Errno(libc::ECHILD)), // killed before it could say why
            (error, _) => Err(Errno(error)),
        }
    }
}

/// Two stacks with a page between them that cannot be touched, and one below.
struct Stacks(NonNullBytes);

type NonNullBytes = ptr::NonNull<u8>;

const STACK: usize = 64 * 1024;
/// The largest page there is where this runs.
const FENCE: usize = 64 * 1024;

impl Stacks {
    const SIZE: usize = 2 * (FENCE + STACK);

    fn map() -> Result<Stacks, Errno> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice, of which
        // two parts are made accessible.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK;
            let place = libc::mmap(ptr::null_mut(), Stacks::SIZE, libc::PROT_NONE, flags, -1, 0);
            if place == libc::MAP_FAILED {
                return Err(Errno::last());
            }
            let stacks = Stacks(NonNullBytes::new_unchecked(place.cast()));
            for end in [stacks.first(), stacks.second()] {
                let access = libc::PROT_READ | libc::PROT_WRITE;
                if libc::mprotect(end.sub(STACK).cast(), STACK, access) != 0 {
                    return Err(Errno::last());
                }
            }
            Ok(stacks)
        }
    }

    /// The end, where a stack begins.
    fn first(&self) -> *mut u8 {
        self.0.as_ptr().wrapping_add(FENCE + STACK)
    }

    fn second(&self) -> *mut u8 {
        self.0.as_ptr().wrapping_add(Stacks::SIZE)
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        // SAFETY: our own mapping; both children have let go of it.
        unsafe { libc::munmap(self.0.as_ptr().cast(), Stacks::SIZE) };
    }
}

/// All signals blocked for as long as this lasts: by the system call itself, because the C
/// library keeps two for its own threads open.
struct AllSignals(KernelSet);

type KernelSet = u64;

impl AllSignals {
    fn block() -> AllSignals {
        let mut before = MaybeUninit::<KernelSet>::zeroed();
        set_mask(!0, before.as_mut_ptr());
        // SAFETY: zero is a set, too.
        AllSignals(unsafe { before.assume_init() })
    }
}

impl Drop for AllSignals {
    fn drop(&mut self) {
        set_mask(self.0, ptr::null_mut());
    }
}

fn set_mask(mask: KernelSet, before: *mut KernelSet) {
    // SAFETY: reads one kernel set and writes the other where it is asked for.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            ptr::from_ref(&mask),
            before,
            size_of::<KernelSet>(),
        );
    }
}

// ---- in the children ----

/// Makes the child and goes.
extern "C" fn intermediate(argument: *mut c_void) -> i32 {
    // SAFETY: the plan, which outlasts this process: its maker sleeps.
    let plan = unsafe { &*argument.cast::<Plan>() };
    // SAFETY: as in `exec_detached`.
    match unsafe { clone_vfork(execute, plan.stack, 0, plan.as_argument()) } {
        Ok(pid) => {
            plan.pid.store(pid, Ordering::Relaxed);
            if plan.error.load(Ordering::Relaxed) != 0 {
                // SAFETY: it has ended; init shall not have to collect it.
                unsafe { collect(pid) };
            }
        }
        Err(error) => plan.error.store(error.0, Ordering::Relaxed),
    }
    end(0)
}

/// Ends this process, which is no thread of the host's. By the system call itself, which compilers
/// do not know for one that never returns: a sanitizer would clear the whole stack before that, and
/// this is not the one it knows.
fn end(code: i32) -> i32 {
    // SAFETY: nothing of the library is left undone in this process.
    unsafe { libc::syscall(libc::SYS_exit_group, code) };
    code
}

/// What to say beside the error of a program that could not be executed, where it was not the program
/// that is missing. To be asked by the host, afterwards.
pub(crate) fn also_missing(errno: Errno) -> &'static str {
    // SAFETY: asks about a file.
    let there = unsafe { libc::access(c"/dev/null".as_ptr(), libc::F_OK) } == 0;
    if errno.0 != libc::ENOENT || there {
        return "";
    }
    "; there is no /dev/null here, which is its standard input"
}

/// Becomes the program.
extern "C" fn execute(argument: *mut c_void) -> i32 {
    // SAFETY: as in `intermediate`.
    let plan = unsafe { &*argument.cast::<Plan>() };
    // SAFETY: system calls of this process, which shares memory but neither descriptors nor
    // dispositions with its maker.
    unsafe {
        match prepare(plan) {
            Ok(()) => libc::execve(plan.path, plan.argv, plan.envp),
            Err(()) => -1,
        };
        let error = Errno::last().0;
        plan.error.store(if error == 0 { libc::EIO } else { error }, Ordering::Relaxed);
    }
    end(127)
}

/// # Safety
/// Called in a child of `clone_vfork`.
unsafe fn prepare(plan: &Plan) -> Result<(), ()> {
    let done = |result: i32| if result < 0 { Err(()) } else { Ok(()) };
    // SAFETY: by the contract; no call here takes memory or a lock.
    unsafe {
        match plan.standing {
            Standing::Session => libc::setsid(),
            Standing::Group => libc::setpgid(0, 0),
        };
        if plan.directory >= 0 {
            done(libc::fchdir(plan.directory))?;
        }
        // Out of the way of 0 to 3, wherever it was.
        let socket = libc::fcntl(plan.socket, libc::F_DUPFD, SOCKET + 1);
        done(socket)?;
        let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        done(nothing)?;
        done(libc::dup2(nothing, 0))?;
        for stream in [1, 2] {
            // Where the host has none, the program's first file would become its output.
            if libc::fcntl(stream, libc::F_GETFD) < 0 {
                done(libc::dup2(nothing, stream))?;
            }
        }
        done(libc::dup2(socket, SOCKET))?;
        close_from(SOCKET + 1);
        default_dispositions();
    }
    set_mask(0, ptr::null_mut());
    Ok(())
}

/// # Safety
/// As `prepare`.
unsafe fn default_dispositions() {
    /// As the kernel has it: no handler, which is SIG_DFL, no flags, an empty mask.
    const DEFAULT: [u64; 4] = [0; 4];
    for signal in 1..=64 {
        // Not by the C library, which keeps two of them to itself.
        // SAFETY: as in the contract; reads one struct and writes none.
        unsafe {
            let nothing = ptr::null_mut::<c_void>();
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &DEFAULT,
                nothing,
                size_of::<KernelSet>(),
            );
        }
    }
}

/// Closes all descriptors from `first` on. Async-signal-safe.
pub(crate) fn close_from(first: i32) {
    // SAFETY: closes descriptors of the calling process, which is what the caller wants.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) == 0 {
            return;
        }
        let list = libc::open(
            c"/proc/self/fd".as_ptr(),
            libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC,
        );
        if list >= 0 {
            close_listed(list, first);
            if list >= first {
                libc::close(list);
            }
            return;
        }
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        /// More than anybody has open, and no more than takes a moment.
        const MOST: u64 = 65_536;
        for fd in first..limit.rlim_cur.min(MOST) as i32 {
            libc::close(fd);
        }
    }
}

/// # Safety
/// `list` is /proc/self/fd.
unsafe fn close_listed(list: i32, first: i32) {
    /// One entry of getdents64: inode, offset, length, type, then the name.
    const NAME_AT: usize = 19;
    const LENGTH_AT: usize = 16;
    let mut entries = [0u64; 256];
    let bytes = ptr::from_mut(&mut entries).cast::<u8>();
    loop {
        // SAFETY: writes whole entries into the array.
        let filled =
            unsafe { libc::syscall(libc::SYS_getdents64, list, bytes, size_of_val(&entries)) };
        if filled <= 0 {
            return;
        }
        let mut at = 0;
        while at + NAME_AT < filled as usize {
            // SAFETY: the kernel wrote a whole entry here, whose name a NUL ends.
            let (length, fd) = unsafe {
                let entry = bytes.add(at);
                (entry.add(LENGTH_AT).cast::<u16>().read_unaligned(), number(entry.add(NAME_AT)))
            };
            if fd >= first && fd != list {
                // SAFETY: a descriptor of this process that the caller wants closed.
                unsafe { libc::close(fd) };
            }
            at += usize::from(length).max(1);
        }
    }
}

/// The number that a name consists of; -1 for others.
///
/// # Safety
/// A NUL ends the name.
unsafe fn number(mut name: *const u8) -> i32 {
    let mut value = 0i32;
    loop {
        // SAFETY: not past the NUL.
        match unsafe { *name } {
            0 => return value,
            digit @ b'0'..=b'9' => {
                value = value.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
            }
            _ => return -1,
        }
        name = name.wrapping_add(1);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::platform::socket::{MOST_FDS, Socket};

    fn program<'a>(path: &'a CStr, argv: &'a [&'a CStr], socket: &'a Socket) -> Program<'a> {
        Program { path, argv, envp: &[], directory: None, socket: socket.fd() }
    }

    /// Runs a script of the shell's with its end of a pair as descriptor 3; what it writes there.
    fn output(script: &CStr, start: fn(&Program<'_>) -> Result<i32, Errno>) -> (i32, Vec<u8>) {
        let (ours, theirs) = Socket::pair().expect("a pair");
        let argv = [c"sh", c"-c", script];
        let pid = start(&program(c"/bin/sh", &argv, &theirs)).expect("executed");
        drop(theirs);
        let mut text = [0; 256];
        assert_eq!(ours.wait_readable(None), Ok(true));
        let length = ours.receive(&mut text, &mut [const { None }; MOST_FDS]).expect("text");
        (pid, text[..length.unwrap_or(0)].to_vec())
    }

    #[test]
    fn a_detached_program_is_no_child() {
        let (pid, text) = output(c"echo $$ >&3", exec_detached);
        assert_eq!(String::from_utf8_lossy(&text).trim().parse(), Ok(pid));
        let mut status = 0;
        // SAFETY: writes a status.
        let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!((waited, Errno::last()), (-1, Errno(libc::ECHILD)));
    }

    #[test]
    fn a_child_is_one() {
        let (pid, text) = output(c"echo $$ >&3; exit 5", exec_child);
        assert_eq!(String::from_utf8_lossy(&text).trim().parse(), Ok(pid));
        let mut status = 0;
        // SAFETY: writes a status.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(libc::WEXITSTATUS(status), 5);
    }

    /// Whatever this process has open and blocked: the program has 0 to 3, and nothing blocked.
    #[test]
    fn nothing_is_inherited() {
        let held: Vec<_> = (0..20)
            .map(|_| Socket::pair().expect("a pair").0.fd().duplicate().expect("a copy"))
            .collect();
        // SAFETY: our own descriptor, kept open in programs.
        unsafe { libc::fcntl(held[7].raw(), libc::F_SETFD, 0) };
        // The fourth is the one that lists them.
        let script = c"ls /proc/self/fd | tr '\\n' ' ' >&3";
        let (_, text) = output(script, exec_detached);
        let open = String::from_utf8_lossy(&text);
        assert!(open.starts_with("0 1 2 3"), "{open}");
        assert!(open.split_whitespace().count() <= 5, "{open}");
        let (_, text) = output(c"grep -h SigBlk /proc/self/status >&3", exec_detached);
        assert!(String::from_utf8_lossy(&text).contains("0000000000000000"));
    }

    #[test]
    fn errors_of_exec_come_back() {
        let (_ours, theirs) = Socket::pair().expect("a pair");
        for (path, errno) in [
            (c"/nowhere/program", libc::ENOENT),
            (c"/etc/passwd", libc::EACCES),
            (c"/etc", libc::EACCES),
        ] {
            for start in [exec_detached, exec_child] {
                assert_eq!(start(&program(path, &[path], &theirs)), Err(Errno(errno)));
            }
        }
    }
}
