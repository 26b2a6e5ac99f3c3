//! What is kept for a worker process.

use super::deadlines::DISCONNECTED_NS;
use super::wire::Wire;
use crate::future::buffer::BufferRef;
use crate::future::cell::TaskRef;
use crate::future::remote::Death;
use crate::platform::area::Area;
use crate::platform::clock::Instant;
use crate::platform::fd::Fd;
use crate::platform::socket::Socket;
use crate::shared::Shared;
use crate::transport::areas::{AreaCache, AreaPool};
use crate::transport::control::Message;
use crate::transport::link::SLOTS;
use std::collections::VecDeque;

/// A worker that has not begun with a task for so long, while another one has nothing to do, loses
/// it: it may be stopped, or have no processor.
const BEGIN_NS: u64 = 20_000_000;

/// Where a child is in its life; see the module's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Ready,
    Leaving,
    Dying,
}

/// What a slot of the link holds.
pub(super) enum Slot {
    Empty,
    /// A task that was handed over.
    Handed(Handed),
    /// Taken back; free once the worker has said that it skipped it.
    Revoked,
}

pub(super) struct Handed {
    pub(super) task: TaskRef,
    /// When the worker is killed if it still holds the task.
    pub(super) kill_at: Option<Instant>,
    /// Memory with a copy of its arguments, for this worker.
    pub(super) copy: Option<BufferRef>,
}

/// Why a worker is killed by its pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It was not.
    Unknown,
    /// A task was told to stop, for a time-out or a cancel, and did not.
    Stubborn,
    /// `cfut_executor_shutdown` with KILL or TERM.
    Shutdown,
    /// What it wrote makes no sense.
    Damaged,
    /// It closed its end of the connection.
    Disconnected,
    /// It was not ready in time.
    StartTimeout,
    /// It was told to leave and did not.
    LeaveTimeout,
    /// The supervisor died, and it with it.
    Orphaned,
}

pub(super) struct Child {
    /// Its place among the children, and how many have had that place before.
    pub(super) number: u32,
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) phase_since: Instant,
    /// 0 until the supervisor has told.
    pub(super) pid: i32,
    /// The worker is ready, but the supervisor has not told its number yet.
    pub(super) early: bool,
    pub(super) wire: Wire,
    pub(super) socket: Socket,
    /// Memory the worker has sent.
    pub(super) areas: AreaCache,
    pub(super) slots: [Slot; SLOTS],
    free: Vec<u16>,
    /// Slots handed over and not answered, the oldest first.
    pub(super) order: VecDeque<u16>,
    /// Slots that are not free: the same and those that were taken back.
    pub(super) in_flight: u32,
    /// Tasks it has been given, ever.
    pub(super) given: u64,
    /// A task of it has begun, so it is of use.
    pub(super) useful: bool,
    /// Functions it has been told of.
    known: Vec<u64>,
    /// Memory for arguments that do not fit the ring. This worker's alone: one that writes where it
    /// must not reaches nobody else's.
    pub(super) out: AreaPool,
    /// Memory it has been sent.
    sent: Vec<Shared<Area>>,
    /// Slots with a time at which it is killed.
    pub(super) kills: u32,
    pub(super) why: Why,
    /// When its present phase must be over; none: any time.
    pub(super) deadline: Option<Instant>,
    pub(super) idle_since: Instant,
    /// When it last answered for a task, or got one after it had none.
    pub(super) moved_at: Instant,
    /// It did not begin with what it had, and has answered for nothing since: no more for it.
    pub(super) silent: bool,
    /// Since when the socket is at its end.
    pub(super) disconnected: Option<Instant>,
    /// Its resident size is over the limit: it gets no more tasks.
    pub(super) overweight: bool,
    /// The timeline shows it until this time.
    pub(super) traced_until: u64,
}

impl Child {
    /// None when there is no memory.
    pub(super) fn new(
        number: u32,
        generation: u32,
        wire: Wire,
        socket: Socket,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Option<Child> {
        let mut free = Vec::new();
        free.try_reserve_exact(SLOTS).ok()?;
        free.extend((0..SLOTS as u16).rev());
        let mut order = VecDeque::new();
        order.try_reserve_exact(SLOTS).ok()?;
        Some(Child {
            number,
            generation,
            phase: Phase::Starting,
            phase_since: now,
            pid: 0,
            early: false,
            wire,
            socket,
            areas: AreaCache::new(),
            slots: [const { Slot::Empty }; SLOTS],
            free,
            order,
            in_flight: 0,
            given: 0,
            useful: false,
            known: Vec::new(),
            out: AreaPool::new(),
            sent: Vec::new(),
            kills: 0,
            why: Why::Unknown,
            deadline,
            idle_since: now,
            moved_at: now,
            silent: false,
            disconnected: None,
            overweight: false,
            traced_until: 0,
        })
    }

    /// What the poller calls it.
    pub(super) fn token(&self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.number + 1)
    }

    pub(super) fn fd(&self) -> &Fd {
        self.socket.fd()
    }

    pub(super) fn knows(&self, function: u32) -> bool {
        let word = self.known.get(function as usize / 64);
        word.is_some_and(|word| word >> (function % 64) & 1 != 0)
    }

    /// None when there is no memory.
    pub(super) fn note_known(&mut self, function: u32) -> Option<()> {
        let word = function as usize / 64;
        if word >= self.known.len() {
            let more = word + 1 - self.known.len();
            self.known.try_reserve(more).ok()?;
            self.known.resize(word + 1, 0);
        }
        self.known[word] |= 1 << (function % 64);
        Some(())
    }

    /// Whether the worker can find an area by its number.
    pub(super) fn knows_area(&self, area: &Area) -> bool {
        self.sent.iter().any(|sent| sent.id() == area.id())
    }

    /// Sends an area that the worker does not know; false: not now.
    pub(super) fn send_area(&mut self, area: &Shared<Area>, fd: &Fd) -> bool {
        self.sent.retain(|sent| !sent.is_dead());
        if self.sent.try_reserve(1).is_err() {
            return false;
        }
        let message = Message::Area { id: area.id() }.encode();
        let sent = self.socket.send(message.as_bytes(), &[fd]).is_ok();
        if sent {
            self.sent.push(area.clone());
        }
        sent
    }

    /// Memory of this worker for so many bytes, which it has been told of.
    pub(super) fn take_area(&mut self, size: usize) -> Option<Shared<Area>> {
        let taken = self.out.take(size).ok()?;
        if let Some(fd) = taken.descriptor {
            if !self.send_area(&taken.area, &fd) {
                self.out.take_back(&taken.area);
                return None;
            }
        }
        Some(taken.area)
    }

    pub(super) fn take_slot(&mut self) -> Option<u16> {
        self.free.pop()
    }

    /// A slot that was taken and not used, or that the worker has answered for.
    pub(super) fn give_slot(&mut self, slot: u16) {
        self.slots[slot as usize] = Slot::Empty;
        self.free.push(slot);
    }

    /// When it is to have begun with what it has; None: it has.
    pub(super) fn begins_by(&self) -> Option<Instant> {
        let first = *self.order.front()?;
        (!self.wire.is_started(first)).then(|| self.moved_at.plus(BEGIN_NS))
    }

    /// The worker has answered for a slot.
    pub(super) fn close_slot(&mut self, slot: u16) -> Slot {
        self.moved_at = Instant::now();
        self.silent = false;
        let held = std::mem::replace(&mut self.slots[slot as usize], Slot::Empty);
        if let Slot::Handed(handed) = &held {
            if handed.kill_at.is_some() {
                self.kills -= 1;
            }
            if let Some(at) = self.order.iter().position(|&other| other == slot) {
                self.order.remove(at);
            }
        }
        let _ = self.wire.slot(slot).clear();
        self.free.push(slot);
        self.in_flight -= 1;
        held
    }

    /// Tasks that wait in it without having begun, about.
    pub(super) fn waiting(&self) -> usize {
        self.order.iter().filter(|&&slot| self.wire.is_handed(slot)).count()
    }

    /// When it is to be looked at again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        if self.phase == Phase::Dying {
            return self.deadline;
        }
        let gone = self.disconnected.map(|since| since.plus(DISCONNECTED_NS));
        [self.deadline, self.next_kill(), gone].into_iter().flatten().min()
    }

    /// When it is next to be killed because of a task.
    pub(super) fn next_kill(&self) -> Option<Instant> {
        if self.kills == 0 {
            return None;
        }
        self.slots
            .iter()
            .filter_map(|slot| match slot {
                Slot::Handed(handed) => handed.kill_at,
                _ => None,
            })
            .min()
    }
}

/// How a process ended, as the supervisor tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) death: Death,
    pub(super) cpu_ns: u64,
    pub(super) max_rss: u64,
}

/// A task that was in a worker when it ended.
pub(super) enum Left {
    /// It had begun, in this slot, and said that it had come so far.
    Begun(TaskRef, u16, (u64, u64)),
    /// It had not.
    Waiting(TaskRef),
}

impl Child {
    /// Takes the newest task out of its slots, so that what goes back to the front of the backlog
    /// keeps its order. What has begun is told apart by the mark that the worker sets before it
    /// enters the function.
    pub(super) fn take_last(&mut self) -> Option<Left> {
        loop {
            let slot = self.order.pop_back()?;
            let begun = self.wire.is_started(slot);
            match std::mem::replace(&mut self.slots[slot as usize], Slot::Empty) {
                Slot::Handed(handed) if begun => {
                    let progress = self.wire.slot(slot).progress();
                    return Some(Left::Begun(handed.task, slot, progress));
                }
                Slot::Handed(handed) => return Some(Left::Waiting(handed.task)),
                Slot::Empty | Slot::Revoked => {}
            }
        }
    }
}
