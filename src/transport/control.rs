//! Messages on sockets: between host and supervisor or keeper, and beside each worker's link.
//!
//! Each is one packet: its kind, then fields of fixed size, then at most one text. Descriptors
//! that go with it are listed beside its kind. A packet that decodes holds exactly its fields.

use super::bytes::{Fixed, Reader, Sink};
use super::program::Step;

/// The longest packet.
pub(crate) const PACKET: usize = 512;

/// The longest text in one.
pub(crate) const TEXT_LIMIT: usize = 400;

/// What an exec'd process is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Role {
    Supervisor = 1,
    Worker = 2,
    /// Starts commands.
    Keeper = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    /// The first packet on every inherited socket. With it, to a
    /// supervisor: config; to a worker: link, config; to a keeper: nothing.
    Start { nonce: [u8; 16], protocol: u32, version: u32, role: Role, depth: u32 },

    /// Host → supervisor. With it: the worker's socket, link.
    Spawn { worker: u32, generation: u32 },
    /// Host → supervisor. `tree`: with everything it has started.
    Kill { worker: u32, generation: u32, signal: i32, tree: bool },

    /// Supervisor → host: takes orders.
    Ready { pid: i32 },
    /// Supervisor → host: cannot work, and goes.
    Refused { code: i32, text: &'a [u8] },
    /// Supervisor → host.
    Spawned { worker: u32, generation: u32, pid: i32 },
    /// Supervisor → host.
    NotSpawned { worker: u32, generation: u32, errno: i32 },
    /// Supervisor → host: what `wait4` told. `oom`: how often the group's memory ran out since
    /// the worker was spawned.
    Exited {
        worker: u32,
        generation: u32,
        pid: i32,
        status: i32,
        user_ns: u64,
        system_ns: u64,
        max_rss: u64,
        oom: u32,
    },

    /// Host → keeper: starts a command, named by two numbers as a worker is. With it: a
    /// `program::Request`, its output, its errors, its input if `input`, and the host's directory if
    /// `directory`. Answered with `Spawned` or `NotExecuted`, later with `Exited`.
    Execute { worker: u32, generation: u32, input: bool, directory: bool },
    /// Keeper → host.
    NotExecuted { worker: u32, generation: u32, step: Step, errno: i32 },

    /// Worker → host: look at the ring. Supervisor → host: it has understood what it is. Host →
    /// keeper, and back: is anybody there?
    Bell,
    /// Either way: an area that a record will name. With it: the area.
    Area { id: u64 },
}

const START: u32 = 1;
const SPAWN: u32 = 2;
const KILL: u32 = 3;
const READY: u32 = 4;
const REFUSED: u32 = 5;
const SPAWNED: u32 = 6;
const NOT_SPAWNED: u32 = 7;
const EXITED: u32 = 8;
const AREA: u32 = 9;
const EXECUTE: u32 = 10;
const NOT_EXECUTED: u32 = 11;

/// A BELL is the shortest packet there is.
const BELL: &[u8] = &[0x42];

impl<'a> Message<'a> {
    /// The packet. A text is cut at `TEXT_LIMIT`.
    pub(crate) fn encode(&self) -> Fixed<PACKET> {
        let mut out = Fixed::new();
        let fits = self.write(&mut out);
        debug_assert!(fits.is_some(), "a packet has room for every message");
        out
    }

    fn write(&self, out: &mut Fixed<PACKET>) -> Option<()> {
        match *self {
            Message::Start { nonce, protocol, version, role, depth } => {
                out.u32(START)?;
                out.put(&nonce)?;
                words(out, &[protocol, version, role as u32, depth])
            }
            Message::Spawn { worker, generation } => words(out, &[SPAWN, worker, generation]),
            Message::Kill { worker, generation, signal, tree } => {
                words(out, &[KILL, worker, generation, signal as u32, tree.into()])
            }
            Message::Ready { pid } => words(out, &[READY, pid as u32]),
            Message::Refused { code, text } => {
                words(out, &[REFUSED, code as u32])?;
                out.counted(&text[..text.len().min(TEXT_LIMIT)], TEXT_LIMIT)
            }
            Message::Spawned { worker, generation, pid } => {
                words(out, &[SPAWNED, worker, generation, pid as u32])
            }
            Message::NotSpawned { worker, generation, errno } => {
                words(out, &[NOT_SPAWNED, worker, generation, errno as u32])
            }
            Message::Exited {
                worker,
                generation,
                pid,
                status,
                user_ns,
                system_ns,
                max_rss,
                oom,
            } => {
                words(out, &[EXITED, worker, generation, pid as u32, status as u32])?;
                out.u64(user_ns)?;
                out.u64(system_ns)?;
                out.u64(max_rss)?;
                out.u32(oom)
            }
            Message::Execute { worker, generation, input, directory } => {
                words(out, &[EXECUTE, worker, generation, input.into(), directory.into()])
            }
            Message::NotExecuted { worker, generation, step, errno } => {
                words(out, &[NOT_EXECUTED, worker, generation, step as u32, errno as u32])
            }
            Message::Bell => out.put(BELL),
            Message::Area { id } => {
                out.u32(AREA)?;
                out.u64(id)
            }
        }
    }

    /// None: no message of ours.
    pub(crate) fn decode(packet: &'a [u8]) -> Option<Message<'a>> {
        if packet == BELL {
            return Some(Message::Bell);
        }
        let mut from = Reader(packet);
        let message = Message::take(&mut from)?;
        from.is_empty().then_some(message)
    }

    fn take(from: &mut Reader<'a>) -> Option<Message<'a>> {
        Some(match from.u32()? {
            START => Message::Start {
                nonce: from.array()?,
                protocol: from.u32()?,
                version: from.u32()?,
                role: match from.u32()? {
                    1 => Role::Supervisor,
                    2 => Role::Worker,
                    3 => Role::Keeper,
                    _ => return None,
                },
                depth: from.u32()?,
            },
            SPAWN => Message::Spawn { worker: from.u32()?, generation: from.u32()? },
            KILL => Message::Kill {
                worker: from.u32()?,
                generation: from.u32()?,
                signal: from.i32()?,
                tree: flag(from)?,
            },
            READY => Message::Ready { pid: from.i32()? },
            REFUSED => Message::Refused { code: from.i32()?, text: from.counted(TEXT_LIMIT)? },
            SPAWNED => {
                Message::Spawned { worker: from.u32()?, generation: from.u32()?, pid: from.i32()? }
            }
            NOT_SPAWNED => Message::NotSpawned {
                worker: from.u32()?,
                generation: from.u32()?,
                errno: from.i32()?,
            },
            EXITED => Message::Exited {
                worker: from.u32()?,
                generation: from.u32()?,
                pid: from.i32()?,
                status: from.i32()?,
                user_ns: from.u64()?,
                system_ns: from.u64()?,
                max_rss: from.u64()?,
                oom: from.u32()?,
            },
            AREA => Message::Area { id: from.u64()? },
            EXECUTE => Message::Execute {
                worker: from.u32()?,
                generation: from.u32()?,
                input: flag(from)?,
                directory: flag(from)?,
            },
            NOT_EXECUTED => Message::NotExecuted {
                worker: from.u32()?,
                generation: from.u32()?,
                step: Step::from_bits(from.u32()?)?,
                errno: from.i32()?,
            },
            _ => return None,
        })
    }
}

fn flag(from: &mut Reader<'_>) -> Option<bool> {
    match from.u32()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn words(out: &mut Fixed<PACKET>, words: &[u32]) -> Option<()> {
    words.iter().try_for_each(|&word| out.u32(word))
}
