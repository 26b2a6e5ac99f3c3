//! Executing a program of the user's: a child in a group of its own, with three descriptors.
//!
//! The rules between clone and execve are the parent module's. The child dies with its maker
//! (PR_SET_PDEATHSIG), begins with all dispositions default and nothing blocked, and has no
//! descriptor but 0, 1 and 2.

use super::{
    AllSignals, Stacks, clone_vfork, close_from, collect, default_dispositions, end, pointers,
};
use super::{c_char, c_void, set_mask};
use crate::platform::Errno;
use crate::platform::linux::fd::Fd;
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

pub(crate) struct Command<'a> {
    /// Tried one after the other, as execvp does.
    pub(crate) paths: &'a [&'a CStr],
    pub(crate) argv: &'a [&'a CStr],
    pub(crate) envp: &'a [&'a CStr],
    /// What `directory` and `paths` start from; None: where the caller is.
    pub(crate) base: Option<&'a Fd>,
    pub(crate) directory: Option<&'a CStr>,
    /// None: /dev/null. It is read from its beginning.
    pub(crate) input: Option<&'a Fd>,
    pub(crate) output: &'a Fd,
    pub(crate) errors: &'a Fd,
    /// Says that it exists before it is the program: whoever hears of it knows it before it has
    /// children of its own.
    pub(crate) herald: Herald<'a>,
}

/// A packet that the child sends, with its number in the last four bytes.
#[derive(Clone, Copy)]
pub(crate) struct Herald<'a> {
    pub(crate) socket: &'a Fd,
    pub(crate) packet: [u8; HERALD],
}

pub(crate) const HERALD: usize = 16;

/// A child that has become the program.
pub(crate) struct Started {
    pub(crate) pid: i32,
    /// It has sent its packet.
    pub(crate) heralded: bool,
}

/// Where it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    Making(Errno),
    Directory(Errno),
    Execution(Errno),
}

/// Everything the child needs, and the words it answers with.
struct Plan {
    paths: *const *const c_char,
    argv: *const *const c_char,
    envp: *const *const c_char,
    base: i32,
    directory: *const c_char,
    /// -1: none.
    input: i32,
    output: i32,
    errors: i32,
    parent: i32,
    socket: i32,
    packet: [u8; HERALD],
    heralded: AtomicI32,
    step: AtomicI32,
    error: AtomicI32,
}

const MAKE: i32 = 0;
const DIRECTORY: i32 = 1;
const EXECUTE: i32 = 2;

/// Starts a command as a child of the calling thread, which it does not outlive.
pub(crate) fn exec_command(command: &Command<'_>) -> Result<Started, Failed> {
    let (pid, plan) = start(command).map_err(Failed::Making)?;
    // Relaxed, here and below: this thread slept until the child had written them.
    let error = Errno(plan.error.load(Ordering::Relaxed));
    if error.0 == 0 {
        return Ok(Started { pid, heralded: plan.heralded.load(Ordering::Relaxed) != 0 });
    }
    // SAFETY: a child that has ended.
    unsafe { collect(pid) };
    Err(match plan.step.load(Ordering::Relaxed) {
        MAKE => Failed::Making(error),
        DIRECTORY => Failed::Directory(error),
        _ => Failed::Execution(error),
    })
}

fn start(command: &Command<'_>) -> Result<(i32, Plan), Errno> {
    let paths = pointers(command.paths)?;
    let (argv, envp) = (pointers(command.argv)?, pointers(command.envp)?);
    let stacks = Stacks::map()?;
    let plan = Plan {
        paths: paths.as_ptr(),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        base: command.base.map_or(-1, Fd::raw),
        directory: command.directory.map_or(ptr::null(), CStr::as_ptr),
        input: command.input.map_or(-1, Fd::raw),
        output: command.output.raw(),
        errors: command.errors.raw(),
        // SAFETY: cannot fail.
        parent: unsafe { libc::getpid() },
        socket: command.herald.socket.raw(),
        packet: command.herald.packet,
        heralded: AtomicI32::new(0),
        step: AtomicI32::new(MAKE),
        error: AtomicI32::new(0),
    };
    let blocked = AllSignals::block();
    let argument = ptr::from_ref(&plan).cast_mut().cast();
    // SAFETY: `execute` keeps the rules of the parent module, on a stack that lasts until it has
    // gone on; the plan lasts as long, because this thread sleeps meanwhile.
    let pid = unsafe { clone_vfork(execute, stacks.first(), libc::SIGCHLD, argument) };
    drop(blocked);
    Ok((pid?, plan))
}

/// Becomes the program.
extern "C" fn execute(argument: *mut c_void) -> i32 {
    // SAFETY: `start` passed its plan, which lasts until this process has let go of the memory.
    let plan = unsafe { &*argument.cast::<Plan>() };
    // SAFETY: system calls of this process, which shares memory but neither descriptors nor
    // dispositions with its maker.
    unsafe {
        if prepare(plan).is_ok() {
            plan.step.store(EXECUTE, Ordering::Relaxed);
            try_paths(plan);
        } else {
            note_error(plan, Errno::last());
        }
    }
    end(127)
}

fn note_error(plan: &Plan, error: Errno) {
    plan.error.store(if error.0 == 0 { libc::EIO } else { error.0 }, Ordering::Relaxed);
}

/// # Safety
/// Called in a child of `clone_vfork`.
unsafe fn prepare(plan: &Plan) -> Result<(), ()> {
    let done = |result: i32| if result < 0 { Err(()) } else { Ok(()) };
    // SAFETY: by the contract; no call here takes memory or a lock.
    unsafe {
        libc::setpgid(0, 0);
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() != plan.parent {
            return Err(()); // it died before that, and nobody asks for the error
        }
        send_herald(plan);
        plan.step.store(DIRECTORY, Ordering::Relaxed);
        if plan.base >= 0 {
            done(libc::fchdir(plan.base))?;
        }
        if !plan.directory.is_null() {
            done(libc::chdir(plan.directory))?;
        }
        plan.step.store(MAKE, Ordering::Relaxed);
        // All of these are above 2.
        done(libc::dup2(plan.output, 1))?;
        done(libc::dup2(plan.errors, 2))?;
        if plan.input >= 0 {
            done(libc::dup2(plan.input, 0))?;
            libc::lseek(0, 0, libc::SEEK_SET);
        } else {
            let nothing = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
            done(nothing)?;
            done(libc::dup2(nothing, 0))?;
        }
        close_from(3);
        default_dispositions();
    }
    set_mask(0, ptr::null_mut());
    Ok(())
}

/// # Safety
/// Called in a child of `clone_vfork`.
unsafe fn send_herald(plan: &Plan) {
    let mut packet = plan.packet;
    // SAFETY: by the contract; sends bytes of this stack, and does not wait.
    unsafe {
        packet[HERALD - 4..].copy_from_slice(&libc::getpid().to_ne_bytes());
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let sent = libc::send(plan.socket, packet.as_ptr().cast(), HERALD, flags);
        plan.heralded.store(i32::from(sent == HERALD as isize), Ordering::Relaxed);
    }
}

/// Returns if none of them can be executed, with the reason noted: the first that is there and may
/// not be executed counts more than those that are not there.
///
/// # Safety
/// Called in a child of `clone_vfork`.
unsafe fn try_paths(plan: &Plan) {
    let mut reason = Errno(libc::ENOENT);
    let mut place = plan.paths;
    // SAFETY: arrays that NULL ends, of texts that NUL ends.
    unsafe {
        while !(*place).is_null() {
            libc::execve(*place, plan.argv, plan.envp);
            match Errno::last() {
                Errno(libc::ENOENT | libc::ENOTDIR) => {}
                denied @ Errno(libc::EACCES) => reason = denied,
                other => {
                    reason = other;
                    break;
                }
            }
            place = place.add(1);
        }
    }
    note_error(plan, reason);
}
