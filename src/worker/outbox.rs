//! What a supervisor or keeper has to tell its host, which may be behind with listening.

use crate::platform::Errno;
use crate::platform::socket::Socket;
use crate::transport::control::{Message, PACKET};
use std::collections::VecDeque;

pub(super) struct Outbox {
    pub(super) control: Socket,
    /// Packets that the host's socket had no room for yet.
    pending: VecDeque<([u8; PACKET], usize)>,
}

/// There is no memory to keep a message in.
pub(super) struct Lost;

impl Outbox {
    pub(super) fn new(control: Socket) -> Outbox {
        Outbox { control, pending: VecDeque::new() }
    }

    pub(super) fn tell(&mut self, message: Message<'_>) -> Result<(), Lost> {
        self.send_pending();
        let packet = message.encode();
        let bytes = packet.as_bytes();
        if self.pending.is_empty() && !is_full(self.control.send(bytes, &[])) {
            return Ok(());
        }
        let mut kept = [0; PACKET];
        kept[..bytes.len()].copy_from_slice(bytes);
        self.pending.try_reserve(1).map_err(|_| Lost)?;
        self.pending.push_back((kept, bytes.len()));
        Ok(())
    }

    pub(super) fn send_pending(&mut self) {
        while let Some((packet, length)) = self.pending.front() {
            if is_full(self.control.send(&packet[..*length], &[])) {
                return;
            }
            self.pending.pop_front();
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }
}

/// Whether a message was not taken, and will be. A host that is gone is seen elsewhere.
fn is_full(answer: Result<(), Errno>) -> bool {
    matches!(answer, Err(Errno(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM)))
}
