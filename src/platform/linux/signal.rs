//! Signals and exit statuses, as numbers and for people.

pub(crate) const ABRT: i32 = libc::SIGABRT;
pub(crate) const BUS: i32 = libc::SIGBUS;
pub(crate) const KILL: i32 = libc::SIGKILL;
pub(crate) const SEGV: i32 = libc::SIGSEGV;
pub(crate) const TERM: i32 = libc::SIGTERM;
pub(crate) const XCPU: i32 = libc::SIGXCPU;

/// What a process called `exit` with, by the status that `wait` gave; None if a signal ended it.
pub(crate) fn exit_code(status: i32) -> Option<i32> {
    libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status))
}

/// The name of a signal, as programs spell it.
pub(crate) fn name(signal: i32) -> &'static str {
    const NAMES: &[(i32, &str)] = &[
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    NAMES.iter().find(|&&(number, _)| number == signal).map_or("a signal", |&(_, name)| name)
}
