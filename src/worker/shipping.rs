//! How records get to the host, from whichever thread of the worker.

use super::areas::Areas;
use super::slots::Slot;
use crate::future::buffer::BufferRef;
use crate::platform::area::Area;
use crate::platform::fault::crash_point;
use crate::platform::fd::Fd;
use crate::platform::process::{self, Resident};
use crate::platform::socket::Socket;
use crate::platform::{Errno, memory};
use crate::shared::Shared;
use crate::sync::{Futex32, Lock, Ordering};
use crate::transport::control::Message;
use crate::transport::frame;
use crate::transport::link::{Link, RING, Ring};
use crate::transport::ring::{Damaged, Producer};
use crate::unwind;
use std::ptr::NonNull;

/// The worker that this process is. It stays (W5).
pub(super) struct Worker {
    pub(super) link: Link,
    pub(super) socket: Socket,
    shipping: Lock<Shipping>,
    pub(super) detached: Detached,
    /// Above so many bytes in use the host is to replace this worker; 0: never.
    rss_limit: u64,
    resident: Option<Resident>,
    slots: NonNull<Slot>,
}

// SAFETY: the slots are shared objects for ever (W5), everything else is for any thread.
unsafe impl Sync for Worker {}

/// What W2 puts under the lock.
struct Shipping {
    results: Producer<Ring>,
    areas: Areas,
}

impl Worker {
    /// None when there is no memory.
    pub(super) fn make(
        link: Link,
        results: Producer<Ring>,
        socket: Socket,
        rss_limit: u64,
    ) -> Option<&'static Worker> {
        let worker = Worker {
            link,
            socket,
            shipping: Lock::new(Shipping { results, areas: Areas::new() }),
            detached: Detached(Futex32::new(0)),
            rss_limit,
            resident: if rss_limit == 0 { None } else { Resident::open() },
            slots: NonNull::dangling(),
        };
        let worker = memory::try_box(worker).ok()?;
        let slots = Slot::make_all(worker)?;
        // SAFETY: made above, known to the slots alone, which nobody uses yet; it stays.
        unsafe {
            (*worker.as_ptr()).slots = slots;
            Some(worker.as_ref())
        }
    }

    /// The owner of the tasks in a slot; None: there is no such slot.
    pub(super) fn slot(&self, number: u32) -> Option<&'static Slot> {
        self.link.slot(number)?;
        // SAFETY: `make_all` has made one for each slot of a link; they stay (W5).
        Some(unsafe { self.slots.add(number as usize).as_ref() })
    }

    /// Appends a record for the host, and waits for room if need be.
    pub(super) fn push(&self, kind: u16, flags: u16, parts: &[&[u8]]) {
        let mut shipping = self.shipping.lock();
        self.push_locked(&mut shipping, kind, flags, parts);
    }

    fn push_locked(&self, shipping: &mut Shipping, kind: u16, flags: u16, parts: &[&[u8]]) {
        let length = parts.iter().map(|part| part.len() as u64).sum();
        let bells = self.link.bells();
        while !sound(shipping.results.push(kind, flags, parts)) {
            let _looked_at_again = sound(bells.wait_for_room(&mut shipping.results, length, None));
        }
        crash_point("pushed");
        if bells.bell_needed() {
            // EAGAIN: there are messages that the host has not read, and will. Gone: so are we.
            let _ = self.socket.send(Message::Bell.encode().as_bytes(), &[]);
        }
    }

    /// Appends a RESULT whose data is in `buffer`'s area. Err: the area could not be handed over,
    /// and nothing was appended.
    pub(super) fn push_with_area(
        &self,
        buffer: &BufferRef,
        area: &Shared<Area>,
        flags: u16,
        parts: &[&[u8]],
    ) -> Result<(), Errno> {
        let mut shipping = self.shipping.lock();
        shipping.areas.hand_over(buffer, area, |number, fd| self.send_area(number, fd))?;
        crash_point("area-sent");
        self.push_locked(&mut shipping, frame::RESULT, flags, parts);
        Ok(())
    }

    fn send_area(&self, number: u64, fd: &Fd) -> Result<(), Errno> {
        let message = Message::Area { id: number }.encode();
        crash_point("area");
        loop {
            match self.socket.send(message.as_bytes(), &[fd]) {
                Err(Errno(libc::EAGAIN)) => process::wait_writable(self.socket.fd()),
                answer => return answer,
            }
        }
    }

    /// Between two tasks, with nothing to do.
    pub(super) fn trim(&self) {
        let mut shipping = self.shipping.lock();
        let all_read = sound(shipping.results.free()) == RING as u64;
        shipping.areas.trim(all_read);
    }

    /// Flags of a RESULT record.
    pub(super) fn flags(&self) -> u16 {
        let bytes = self.resident.as_ref().and_then(Resident::bytes).unwrap_or(0);
        if self.rss_limit != 0 && bytes > self.rss_limit { frame::ABOVE_RSS } else { 0 }
    }
}

/// Memory for a result that the host will map.
pub(super) fn result_memory(
    worker: &Worker,
    size: usize,
    visible: bool,
) -> Result<BufferRef, Errno> {
    worker.shipping.lock().areas.take(size, visible)
}

/// The host is trusted: what it wrote is damaged only by a task that has written where it
/// should not have. Nothing that this process knows can be believed then.
pub(super) fn sound<T>(answer: Result<T, Damaged>) -> T {
    match answer {
        Ok(value) => value,
        Err(Damaged(how)) => {
            unwind::tell(&["cfutures: a task has damaged its worker's link: ", how, "\n"]);
            process::leave(DAMAGED)
        }
    }
}

/// Exit code of a worker whose link is damaged.
pub(super) const DAMAGED: i32 = 86;

/// How many tasks have returned CFUT_DETACH and are not settled.
pub(super) struct Detached(Futex32);

impl Detached {
    pub(super) fn enter(&self) {
        // Relaxed: the main thread looks when it has run all tasks.
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        // Release: pairs with the Acquire in `wait_for_none`: its outcome is shipped.
        if self.0.fetch_sub(1, Ordering::Release) == 1 {
            self.0.wake_all();
        }
    }

    pub(super) fn wait_for_none(&self) {
        loop {
            // Acquire: pairs with the Release in `leave`.
            match self.0.load(Ordering::Acquire) {
                0 => return,
                some => {
                    self.0.wait(some, None);
                }
            }
        }
    }
}
