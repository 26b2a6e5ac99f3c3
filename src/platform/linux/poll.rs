//! Sleeping until one of several descriptors has something to say, or somebody wakes us.

use super::clock::Instant;
use super::fd::Fd;
use super::thread::without_cancellation;
use crate::platform::Errno;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// The token that `Poller::wait` reports for `Poller::wake`.
pub(crate) const WAKE: u64 = u64::MAX - 1;

/// As many tokens as one `wait` reports at most.
pub(crate) const BATCH: usize = 64;

/// An epoll instance with a waker. Level-triggered: what is not read is reported again.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: Fd,
    waker: Fd,
}

impl Poller {
    pub(crate) fn new() -> Result<Poller, Errno> {
        // SAFETY: takes flags only.
        let epoll = Fd::made_by(|| unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
        // SAFETY: takes numbers only.
        let waker = Fd::made_by(|| unsafe { libc::eventfd(0, flags) })?;
        let poller = Poller { epoll, waker };
        poller.add(&poller.waker, WAKE)?;
        Ok(poller)
    }

    /// Has `wait` report `token` while `fd` can be read, or its other side is gone. `token`
    /// is not `WAKE`. The caller removes the descriptor before it closes it: a copy in another
    /// process would keep it here otherwise.
    pub(crate) fn add(&self, fd: &Fd, token: u64) -> Result<(), Errno> {
        let events = (libc::EPOLLIN | libc::EPOLLRDHUP) as u32;
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: our own descriptors; reads one event.
        let added =
            unsafe { libc::epoll_ctl(self.epoll.raw(), libc::EPOLL_CTL_ADD, fd.raw(), &mut event) };
        if added == 0 { Ok(()) } else { Err(Errno::last()) }
    }

    /// Forgets `fd`; nothing happens if it was not added.
    pub(crate) fn remove(&self, fd: &Fd) {
        let mut unused = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: our own descriptors; old kernels read the event, others ignore it.
        unsafe { libc::epoll_ctl(self.epoll.raw(), libc::EPOLL_CTL_DEL, fd.raw(), &mut unused) };
    }

    /// Waits until there is something to report or `deadline` passes (None: never); the number
    /// of tokens put into `into`. Signals do not end the wait.
    pub(crate) fn wait(&self, into: &mut [u64; BATCH], deadline: Option<Instant>) -> usize {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; BATCH];
        let ready = loop {
            match without_cancellation(|| sleep(&self.epoll, &mut events, deadline)) {
                Ok(ready) => break ready,
                Err(Errno(libc::EINTR)) => {}
                // Our own descriptor and buffer: there is no other error.
                Err(_) => break 0,
            }
        };
        for (token, event) in into.iter_mut().zip(&events[..ready]) {
            *token = event.u64;
            if *token == WAKE {
                self.take_wake();
            }
        }
        ready
    }

    /// Ends the running `wait`, or the next one. From any thread, never blocks.
    pub(crate) fn wake(&self) {
        // Fails only when the counter is full, and then it is readable as it should be.
        // SAFETY: writes eight bytes from a valid word.
        without_cancellation(|| unsafe {
            libc::write(self.waker.raw(), (&raw const ONE).cast(), size_of::<u64>())
        });
    }

    fn take_wake(&self) {
        let mut count = 0u64;
        // SAFETY: reads eight bytes into a valid word.
        without_cancellation(|| unsafe {
            libc::read(self.waker.raw(), (&raw mut count).cast(), size_of::<u64>())
        });
    }
}

static ONE: u64 = 1;

/// epoll_pwait2 knows nanoseconds; it came with Linux 5.11.
static NANOSECONDS: AtomicBool = AtomicBool::new(true);

fn sleep(
    epoll: &Fd,
    events: &mut [libc::epoll_event; BATCH],
    deadline: Option<Instant>,
) -> Result<usize, Errno> {
    let left = deadline.map(|end| end.saturating_since(Instant::now()));
    // Relaxed: a fact on its own.
    if left.is_some_and(|left| left > 0) && NANOSECONDS.load(Ordering::Relaxed) {
        match sleep_precisely(epoll, events, left) {
            Err(Errno(libc::ENOSYS | libc::EPERM | libc::EINVAL)) => {
                // Relaxed: as above.
                NANOSECONDS.store(false, Ordering::Relaxed);
            }
            answer => return answer,
        }
    }
    // Rounded up, so that the deadline has passed when the wait ends by it.
    let milliseconds =
        left.map_or(-1, |left| i32::try_from(left.div_ceil(1_000_000)).unwrap_or(i32::MAX));
    // SAFETY: writes at most BATCH events into `events`.
    let ready =
        unsafe { libc::epoll_wait(epoll.raw(), events.as_mut_ptr(), BATCH as i32, milliseconds) };
    usize::try_from(ready).map_err(|_| Errno::last())
}

fn sleep_precisely(
    epoll: &Fd,
    events: &mut [libc::epoll_event; BATCH],
    left: Option<u64>,
) -> Result<usize, Errno> {
    let left = left.map(|left| Instant(left).to_timespec());
    let left_ptr = left.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: writes at most BATCH events into `events`; the time is NULL or points at
    // `left`; no signal mask.
    let ready = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.raw(),
            events.as_mut_ptr(),
            BATCH as i32,
            left_ptr,
            ptr::null::<libc::sigset_t>(),
            0usize,
        )
    };
    usize::try_from(ready).map_err(|_| Errno::last())
}
