//! The memory that the host shares with one worker.
//!
//! | offset | bytes | what | host | worker |
//! |---|---|---|---|---|
//! | 0 | 128 | `Head`: magic, protocol, sizes, stop level | writes | reads |
//! | 128 | 256 | indices of the task ring | tail | head |
//! | 384 | 256 | indices of the result ring | head | tail |
//! | 640 | 384 | `Bells` | see `sleep` | see `sleep` |
//! | 1024 | 16384 | 256 slots | see `slot` | see `slot` |
//! | 20480 | 65536 | bytes of the task ring | writes | reads |
//! | 86016 | 65536 | bytes of the result ring | reads | writes |
//!
//! "Writes" is the contract; a worker that has gone astray may write anything anywhere, and the
//! host's half copes (T3).

use super::ring::{Consumer, Indices, Memory, Producer};
use super::sleep::Bells;
use super::slot::Slot;
use crate::platform::Errno;
use crate::platform::fd::Fd;
use crate::platform::shm::Shm;
use crate::shared::Shared;
use crate::sync::{AtomicU32, AtomicU64, Ordering, Padded};
use std::ffi::CStr;
use std::mem::offset_of;
use std::ptr::NonNull;

/// Tasks that a worker may have at a time.
pub(crate) const SLOTS: usize = 256;

/// Bytes of each of the two rings.
pub(crate) const RING: usize = 64 * 1024;

/// Of the layout and of all messages; a change of either is a new number. `Start` and `Refused` keep
/// their form for ever: by them the two sides find out that they are not of the same.
pub(crate) const PROTOCOL: u32 = 1;

const MAGIC: u64 = 0x6366_7574_4C49_4E4B; // "cfutLINK"

/// Where the rings' bytes begin.
const TASKS: usize = 20480;
const RESULTS: usize = TASKS + RING;
const SIZE: usize = RESULTS + RING;

#[repr(C)]
struct Head {
    magic: AtomicU64,
    protocol: AtomicU32,
    slots: AtomicU32,
    ring: AtomicU64,
    /// How urgently the worker is to stop; 0 = not at all.
    stop_level: AtomicU32,
}

#[repr(C)]
struct Layout {
    head: Padded<Head>,
    tasks: Indices,
    results: Indices,
    bells: Bells,
    slots: [Slot; SLOTS],
}

const _: () = {
    assert!(offset_of!(Layout, tasks) == 128 && offset_of!(Layout, results) == 384);
    assert!(offset_of!(Layout, bells) == 640 && offset_of!(Layout, slots) == 1024);
    assert!(size_of::<Layout>() <= TASKS && TASKS % 4096 == 0);
};

/// What both sides use besides the rings: counted, any thread.
#[derive(Clone)]
pub(crate) struct Link(Shared<Shm>);

/// The host's half of a link. The parts may go to different threads.
pub(crate) struct HostSide {
    pub(crate) link: Link,
    pub(crate) tasks: Producer<Ring>,
    pub(crate) results: Consumer<Ring>,
}

/// The worker's half.
pub(crate) struct WorkerSide {
    pub(crate) link: Link,
    pub(crate) tasks: Consumer<Ring>,
    pub(crate) results: Producer<Ring>,
}

impl Link {
    /// A new link. `name` shows in /proc only.
    pub(crate) fn create(name: &CStr) -> Result<HostSide, Errno> {
        let link = Link::of(Shm::create(name, SIZE)?)?;
        let head = &link.layout().head;
        // Relaxed: the message that carries the descriptor publishes all of this.
        head.magic.store(MAGIC, Ordering::Relaxed);
        head.protocol.store(PROTOCOL, Ordering::Relaxed);
        head.slots.store(SLOTS as u32, Ordering::Relaxed);
        head.ring.store(RING as u64, Ordering::Relaxed);
        // SAFETY: the memory is new, and these are its only ends on this side.
        let (tasks, results) = unsafe {
            (Producer::new(link.ring(Which::Tasks)), Consumer::new(link.ring(Which::Results)))
        };
        Ok(HostSide { link, tasks, results })
    }

    /// The link that a host made, once in the worker. EPROTO if it is none, or of another
    /// layout.
    pub(crate) fn open(fd: Fd) -> Result<WorkerSide, Errno> {
        let shm = Shm::adopt(fd)?;
        if shm.size() != SIZE {
            return Err(Errno(libc::EPROTO));
        }
        let link = Link::of(shm)?;
        let head = &link.layout().head;
        // Relaxed: published by the message that brought the descriptor.
        let known = head.magic.load(Ordering::Relaxed) == MAGIC
            && head.protocol.load(Ordering::Relaxed) == PROTOCOL
            && head.slots.load(Ordering::Relaxed) == SLOTS as u32
            && head.ring.load(Ordering::Relaxed) == RING as u64;
        if !known {
            return Err(Errno(libc::EPROTO));
        }
        // SAFETY: the host made the memory for this worker alone, which opens it once.
        let (tasks, results) = unsafe {
            (Consumer::new(link.ring(Which::Tasks)), Producer::new(link.ring(Which::Results)))
        };
        Ok(WorkerSide { link, tasks, results })
    }

    fn of(shm: Shm) -> Result<Link, Errno> {
        Shared::try_new(shm).map(Link).ok_or(Errno(libc::ENOMEM))
    }

    /// The descriptor that goes to the worker.
    pub(crate) fn fd(&self) -> &Fd {
        self.0.fd()
    }

    /// None: there is no such slot.
    #[inline]
    pub(crate) fn slot(&self, index: u32) -> Option<&Slot> {
        self.layout().slots.get(index as usize)
    }

    pub(crate) fn bells(&self) -> &Bells {
        &self.layout().bells
    }

    /// Host: has every task of this worker see a request to stop.
    pub(crate) fn set_stop_level(&self, level: u32) {
        // Relaxed: a flag that is polled; nothing is published with it.
        self.layout().head.stop_level.store(level, Ordering::Relaxed);
    }

    /// Worker: what the host set last.
    #[inline]
    pub(crate) fn stop_level(&self) -> u32 {
        // Relaxed: as in `set_stop_level`.
        self.layout().head.stop_level.load(Ordering::Relaxed)
    }

    /// All of the memory, as a worker that breaks the rules sees it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn words<'a>(&self) -> &'a [AtomicU64] {
        // Tests keep the link as long.
        // SAFETY: SIZE bytes are mapped, page-aligned, and any bytes are valid words.
        unsafe { std::slice::from_raw_parts(self.0.address().cast().as_ptr(), SIZE / 8) }
    }

    fn layout(&self) -> &Layout {
        // SAFETY: SIZE bytes are mapped as long as the link lives, page-aligned. All of
        // `Layout` are atomics, for which any bytes are valid, whoever writes them (T4).
        unsafe { self.0.address().cast::<Layout>().as_ref() }
    }

    fn ring(&self, which: Which) -> Ring {
        let (indices, offset) = match which {
            Which::Tasks => (NonNull::from(&self.layout().tasks), TASKS),
            Which::Results => (NonNull::from(&self.layout().results), RESULTS),
        };
        // SAFETY: within the mapping, which is SIZE bytes long.
        let bytes = unsafe { self.0.address().add(offset) };
        Ring { indices, bytes, _mapped: self.clone() }
    }
}

#[derive(Clone, Copy)]
enum Which {
    Tasks,
    Results,
}

/// One of the two rings, in place.
pub(crate) struct Ring {
    indices: NonNull<Indices>,
    bytes: NonNull<u8>,
    /// Keeps both mapped.
    _mapped: Link,
}

// SAFETY: pointers into memory that `_mapped` keeps, which any thread may use; the two ends
// are what makes sure that each byte has one user.
unsafe impl Send for Ring {}

// SAFETY: RING is a power of two; both pointers are valid while `_mapped` lives; TASKS and
// RESULTS are multiples of 4096 in a page-aligned mapping.
unsafe impl Memory for Ring {
    #[inline(always)]
    fn capacity(&self) -> u64 {
        RING as u64
    }

    #[inline(always)]
    fn indices(&self) -> &Indices {
        // SAFETY: see above; atomics only (T4).
        unsafe { self.indices.as_ref() }
    }

    #[inline(always)]
    fn load_head(&self, at: u64) -> [u64; 2] {
        // SAFETY: a head within the ring, aligned to 16; read as atomics, so that a writer that
        // breaks the rules makes a wrong number and no undefined behaviour (T4).
        let words = unsafe { self.bytes.add(at as usize).cast::<[AtomicU64; 2]>().as_ref() };
        // Relaxed: the index was read with Acquire before.
        [words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)]
    }

    #[inline(always)]
    unsafe fn store_head(&self, at: u64, head: [u64; 2]) {
        // SAFETY: as in `load_head`.
        let words = unsafe { self.bytes.add(at as usize).cast::<[AtomicU64; 2]>().as_ref() };
        // Relaxed: the index is stored with Release afterwards.
        words[0].store(head[0], Ordering::Relaxed);
        words[1].store(head[1], Ordering::Relaxed);
    }

    #[inline(always)]
    unsafe fn write(&self, at: u64, bytes: &[u8]) {
        // SAFETY: by the contract within the ring, and ours.
        unsafe {
            let place = self.bytes.as_ptr().add(at as usize);
            place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    #[inline(always)]
    unsafe fn read(&self, at: u64, into: &mut [u8]) {
        // SAFETY: by the contract within the ring; T5 for writers that break the rules.
        unsafe {
            let place = self.bytes.as_ptr().add(at as usize);
            into.as_mut_ptr().copy_from_nonoverlapping(place, into.len());
        }
    }

    #[inline(always)]
    unsafe fn address(&self, at: u64) -> *const u8 {
        // SAFETY: by the contract within the ring.
        unsafe { self.bytes.as_ptr().add(at as usize) }
    }
}
