//! Pairs of sockets that carry whole messages, and descriptors with them.

use super::clock::Instant;
use super::fd::Fd;
use super::thread::without_cancellation;
use crate::platform::Errno;
use std::mem::{size_of, zeroed};

/// One end of a pair of AF_UNIX sockets of SOCK_SEQPACKET.
#[derive(Debug)]
pub(crate) struct Socket(Fd);

/// The most descriptors that go with a message.
pub(crate) const MOST_FDS: usize = 5;

/// Room for one control message with `MOST_FDS` descriptors, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 64]);

const _: () = assert!(size_of::<libc::cmsghdr>() + MOST_FDS * size_of::<i32>() + 8 <= 64);

impl Socket {
    pub(crate) fn pair() -> Result<(Socket, Socket), Errno> {
        let mut ends = [-1; 2];
        // SAFETY: writes two descriptors into `ends`.
        let first = Fd::made_by(|| unsafe {
            let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
            match libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) {
                0 => ends[0],
                failed => failed,
            }
        });
        // Owned before anything of the first can fail.
        // SAFETY: made by the call above, if it was made.
        let second = (ends[1] >= 0).then(|| unsafe { Fd::adopt(ends[1]) });
        match (first?, second) {
            (first, Some(second)) => Ok((Socket(first), Socket(second.above_streams()?))),
            _ => Err(Errno(libc::EMFILE)),
        }
    }

    /// # Safety
    /// `fd` is a socket of this kind: see `is_genuine` for one that was inherited.
    pub(crate) unsafe fn from_fd(fd: Fd) -> Socket {
        Socket(fd)
    }

    pub(crate) fn fd(&self) -> &Fd {
        &self.0
    }

    pub(crate) fn into_fd(self) -> Fd {
        self.0
    }

    /// The other side sees the end of what we send; what it sends still comes.
    pub(crate) fn shut_down_writing(&self) {
        // SAFETY: our own descriptor.
        unsafe { libc::shutdown(self.0.raw(), libc::SHUT_WR) };
    }

    /// Whether this is an AF_UNIX SOCK_SEQPACKET socket at all.
    pub(crate) fn is_genuine(&self) -> bool {
        self.option::<i32>(libc::SO_DOMAIN) == Some(libc::AF_UNIX)
            && self.option::<i32>(libc::SO_TYPE) == Some(libc::SOCK_SEQPACKET)
    }

    /// Process and user that made the pair.
    pub(crate) fn peer(&self) -> Option<(i32, u32)> {
        self.option::<libc::ucred>(libc::SO_PEERCRED).map(|peer| (peer.pid, peer.uid))
    }

    /// A plain value of the level SOL_SOCKET.
    fn option<T: Copy>(&self, name: i32) -> Option<T> {
        // SAFETY: asked for i32 and ucred only, for which zero is valid.
        let mut value: T = unsafe { zeroed() };
        let mut length = size_of::<T>() as libc::socklen_t;
        // SAFETY: writes at most `length` bytes into `value`.
        let asked = unsafe {
            let place = (&raw mut value).cast();
            libc::getsockopt(self.0.raw(), libc::SOL_SOCKET, name, place, &mut length)
        };
        (asked == 0 && length as usize == size_of::<T>()).then_some(value)
    }

    /// Sends one message, or nothing of it. Never blocks: EAGAIN when the other side is
    /// behind; EPIPE or ECONNRESET when it is gone. The descriptors stay ours. At most
    /// `MOST_FDS` of them, else EINVAL; no empty message, which would look like the end.
    pub(crate) fn send(&self, bytes: &[u8], fds: &[&Fd]) -> Result<(), Errno> {
        if fds.len() > MOST_FDS || bytes.is_empty() {
            return Err(Errno(libc::EINVAL));
        }
        let mut part =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut control = Control([0; 64]);
        // SAFETY: zero is a valid, empty msghdr.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        if !fds.is_empty() {
            attach(&mut message, &mut control, fds);
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        loop {
            // SAFETY: everything `message` points at is alive; the call only reads it.
            let sent =
                without_cancellation(|| unsafe { libc::sendmsg(self.0.raw(), &message, flags) });
            match sent {
                0.. => return Ok(()),
                _ if Errno::last().0 == libc::EINTR => {}
                _ => return Err(Errno::last()),
            }
        }
    }

    /// Takes one message: its length, or None when the other side is gone. EAGAIN when there
    /// is none. Descriptors that came with it are put into `fds`, from the front. EPROTO for a
    /// message longer than `into` or with descriptors that did not arrive; it is dropped.
    pub(crate) fn receive(
        &self,
        into: &mut [u8],
        fds: &mut [Option<Fd>; MOST_FDS],
    ) -> Result<Option<usize>, Errno> {
        *fds = [const { None }; MOST_FDS];
        let mut part = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
        let mut control = Control([0; 64]);
        // SAFETY: zero is a valid, empty msghdr.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let received = loop {
            // SAFETY: writes into `into`, `control` and `message` within their lengths.
            let received = without_cancellation(|| unsafe {
                libc::recvmsg(self.0.raw(), &mut message, flags)
            });
            match received {
                0.. => break received as usize,
                _ if Errno::last().0 == libc::EINTR => {}
                _ => return Err(Errno::last()),
            }
        };
        let whole =
            detach(&message, fds) && message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
        if !whole {
            *fds = [const { None }; MOST_FDS];
            return Err(Errno(libc::EPROTO));
        }
        // An empty message and the end look the same; nobody of ours sends the former.
        Ok((received != 0).then_some(received))
    }

    /// Waits until `receive` has something to say; false when the deadline passed first.
    pub(crate) fn wait_readable(&self, deadline: Option<Instant>) -> Result<bool, Errno> {
        self.0.wait_readable(deadline)
    }
}

fn attach(message: &mut libc::msghdr, control: &mut Control, fds: &[&Fd]) {
    let bytes = (fds.len() * size_of::<i32>()) as u32;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: arithmetic only.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as _;
    // SAFETY: `control` has room for one header and MOST_FDS descriptors (asserted above), so
    // the first header and its data lie within it.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
        let data = libc::CMSG_DATA(header).cast::<i32>();
        for (index, fd) in fds.iter().enumerate() {
            data.add(index).write_unaligned(fd.raw());
        }
    }
}

/// Takes all descriptors of a message, so that none stays open unknown. False when there
/// were more than fit, which are closed.
fn detach(message: &libc::msghdr, fds: &mut [Option<Fd>; MOST_FDS]) -> bool {
    let (mut taken, mut all) = (0, true);
    // SAFETY: the kernel wrote well-formed headers into the control buffer of `message`;
    // the macros walk it within msg_controllen, and each descriptor in it is new and ours.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<i32>();
                for index in 0..bytes / size_of::<i32>() {
                    let fd = Fd::adopt(data.add(index).read_unaligned());
                    match (fds.get_mut(taken), fd.above_streams()) {
                        (Some(place), Ok(fd)) => *place = Some(fd),
                        _ => all = false,
                    }
                    taken += 1;
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    all
}
