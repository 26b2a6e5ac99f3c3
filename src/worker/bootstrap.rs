//! What this process is: a program of its own, a pool's supervisor, or one of its workers.
//!
//! A pool tells a process what it is by a socket that it inherits; the environment names the
//! descriptor and a nonce. It is believed only if all of this holds, so that no variable
//! alone makes a program a worker, whoever sets it:
//!
//! - the program runs with no other rights than its user's;
//! - the descriptor is an AF_UNIX socket of SOCK_SEQPACKET whose other side was made by the same
//!   user;
//! - the first message on it is a `Start` with the same nonce.
//!
//! If that `Start` is of another protocol, the pool's library is of another version than this one:
//! nothing can come of it, and both sides are told. Otherwise the variable is passed over in silence, and the program goes on as itself. It is
//! removed as soon as it was read, so that no child of this process sees it.

use super::code;
use crate::error::Line;
use crate::platform::clock::Instant;
use crate::platform::fd::Fd;
use crate::platform::socket::{MOST_FDS, Socket};
use crate::platform::{Errno, process};
use crate::transport::control::{Message, PACKET, Role};
use crate::transport::entry::{self, Nonce, VARIABLE, parse};
use crate::transport::link::PROTOCOL;
use crate::unwind;

/// A message that should be there is waited for this long.
const PATIENCE_NS: u64 = 60_000_000_000;

/// What a pool wants of this process.
pub(super) struct Task {
    pub(super) role: Role,
    pub(super) socket: Socket,
    /// As the `Start` message says for the role.
    pub(super) fds: [Option<Fd>; MOST_FDS],
}

/// What the environment and the socket that it names want of this process: told once.
pub(super) fn take_task() -> Option<Task> {
    if process::has_more_rights() {
        return None;
    }
    let named = parse(process::worker_variable()?.to_bytes());
    process::remove_variable(VARIABLE);
    let (raw, nonce) = named?;
    let socket = inherited(raw)?;
    match receive_start(&socket, &nonce) {
        Some((role, depth, fds)) => {
            entry::set_depth(depth);
            Some(Task { role, socket, fds })
        }
        None => {
            // Nobody's business after all: it stays open, as it was found.
            socket.into_fd().into_raw();
            None
        }
    }
}

/// The descriptor, if it is a socket of our kind whose pair this user has made.
fn inherited(raw: i32) -> Option<Socket> {
    if raw <= 2 {
        return None;
    }
    // SAFETY: given back below if it is not ours; if it is, whoever executed this program has
    // put it there for nobody else.
    let socket = unsafe { Socket::from_fd(Fd::adopt(raw)) };
    let ours =
        socket.is_genuine() && socket.peer().is_some_and(|(_, user)| user == process::user_id());
    if !ours {
        socket.into_fd().into_raw();
        return None;
    }
    process::close_on_exec(socket.fd());
    Some(socket)
}

/// Tells the pool, and whoever reads standard error, that the two do not fit; does not return, for the
/// program was executed as a worker, and its main() is for those who start it.
fn refuse_version(socket: &Socket, role: Role, theirs: u32) -> ! {
    let line = Line::of(format_args!(
        "the worker program works with cfutures {} and its protocol {PROTOCOL}, the library of the pool \
         with protocol {theirs}: install the same version of both",
        env!("CARGO_PKG_VERSION")
    ));
    unwind::tell(&["cfutures: ", line.as_str(), "\n"]);
    if role == Role::Supervisor {
        let refused = Message::Refused { code: code::NOT_SUPPORTED, text: line.as_bytes() };
        if socket.send(refused.encode().as_bytes(), &[]).is_ok() {
            await_end(socket);
        }
    }
    process::leave(2)
}

/// A socket that is closed with orders unread resets its other side, which then sees that before what
/// was sent last: so the host is the first to let go.
pub(super) fn await_end(socket: &Socket) {
    const PATIENCE_NS: u64 = 10_000_000_000;
    let deadline = Instant::now().plus(PATIENCE_NS);
    let mut packet = [0u8; PACKET];
    while let Ok(true) = socket.wait_readable(Some(deadline)) {
        let mut fds = [const { None }; MOST_FDS];
        match socket.receive(&mut packet, &mut fds) {
            Ok(Some(_)) | Err(Errno(libc::EAGAIN | libc::EINTR | libc::EPROTO)) => {}
            Ok(None) | Err(_) => break,
        }
    }
}

fn receive_start(socket: &Socket, expected: &Nonce) -> Option<(Role, u32, [Option<Fd>; MOST_FDS])> {
    let mut packet = [0u8; PACKET];
    let (length, fds) = receive(socket, &mut packet)?;
    match Message::decode(&packet[..length])? {
        Message::Start { nonce, protocol, role, depth, .. } if nonce == *expected => {
            if protocol != PROTOCOL {
                refuse_version(socket, role, protocol);
            }
            Some((role, depth, fds))
        }
        _ => None,
    }
}

/// The next message, with patience. None: there is none, or no more.
pub(super) fn receive(
    socket: &Socket,
    into: &mut [u8; PACKET],
) -> Option<(usize, [Option<Fd>; MOST_FDS])> {
    let deadline = Instant::now().plus(PATIENCE_NS);
    if !socket.wait_readable(Some(deadline)).ok()? {
        return None;
    }
    let mut fds = [const { None }; MOST_FDS];
    let length = socket.receive(into, &mut fds).ok()??;
    Some((length, fds))
}
