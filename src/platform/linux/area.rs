//! Memory for data too big for a ring: one process makes it, others get its descriptor.
//!
//! Layout: a head of 4096 bytes, then the data. The head names the area for whoever maps it
//! by hand (a debugger); readers believe only its `state`, and that only as a number: the size
//! is the kernel's (S3 of `shm`), the identity came with the descriptor's message.
//!
//! | from | to | by | when |
//! |---|---|---|---|
//! | IN_USE | FREE | reader | it needs the data no more |
//! | FREE | IN_USE | creator | it writes the next data |
//! | any | DEAD | creator | it gives the area up |

use super::fd::Fd;
use super::shm::{Mapping, Shm};
use crate::platform::Errno;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Bytes before the data.
pub(crate) const AREA_HEAD: usize = 4096;

const MAGIC: u64 = 0x6366_7574_4152_4541; // "cfutAREA"

const IN_USE: u32 = 0;
const FREE: u32 = 1;
const DEAD: u32 = 2;

#[repr(C)]
struct Head {
    magic: u64,
    id: u64,
    size: u64,
    state: AtomicU32,
}

/// A mapped area, without its descriptor: a program may keep more areas than it may have
/// descriptors. Counted by `Shared<Area>` where several keep it.
#[derive(Debug)]
pub(crate) struct Area {
    mapping: Mapping,
    id: u64,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Area {
    /// A new area of `size` bytes, zeroed and in use, and the descriptor to send to its reader.
    /// Its number is unique in the process that makes it, and among processes of one pid
    /// namespace; it is not 0.
    pub(crate) fn create(size: usize) -> Result<(Area, Fd), Errno> {
        let whole = size.checked_add(AREA_HEAD).ok_or(Errno(libc::EFBIG))?;
        let shm = Shm::create(c"cfutures-area", whole)?;
        // SAFETY: asks for a number.
        let process = unsafe { libc::getpid() } as u64;
        // Relaxed: a counter.
        let id = process << 32 | NEXT.fetch_add(1, Ordering::Relaxed) & 0xFFFF_FFFF;
        let (mapping, fd) = shm.into_parts();
        let head = mapping.address().cast::<Head>();
        // SAFETY: fresh memory of at least AREA_HEAD bytes, page-aligned; nobody else has it.
        unsafe {
            head.write(Head { magic: MAGIC, id, size: size as u64, state: AtomicU32::new(IN_USE) });
        }
        Ok((Area { mapping, id }, fd))
    }

    /// Memory that another process made and told the number `id` of. EPROTO if it is no area.
    pub(crate) fn adopt(fd: Fd, id: u64) -> Result<Area, Errno> {
        let (mapping, _) = Shm::adopt(fd)?.into_parts();
        if mapping.size() < AREA_HEAD {
            return Err(Errno(libc::EPROTO));
        }
        Ok(Area { mapping, id })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The data; page-aligned. Both processes may write it: by raw pointers only.
    pub(crate) fn data(&self) -> NonNull<u8> {
        // SAFETY: the mapping is at least AREA_HEAD bytes long (`create`, `adopt`).
        unsafe { self.mapping.address().add(AREA_HEAD) }
    }

    /// Bytes of data.
    pub(crate) fn size(&self) -> usize {
        self.mapping.size() - AREA_HEAD
    }

    /// Reader: the creator may use the area for other data.
    pub(crate) fn mark_free(&self) {
        // Release: pairs with the Acquire in `is_free`; what was read here is read by then.
        // An exchange, so that a dead area stays dead.
        let _ = self.state().compare_exchange(IN_USE, FREE, Ordering::Release, Ordering::Relaxed);
    }

    /// Creator: no reader will hear of this area again.
    pub(crate) fn mark_dead(&self) {
        // Relaxed: readers only unmap, nothing is published.
        self.state().store(DEAD, Ordering::Relaxed);
    }

    /// Creator: whether the reader has given the data back.
    pub(crate) fn is_free(&self) -> bool {
        // Acquire: pairs with the Release in `mark_free`.
        self.state().load(Ordering::Acquire) == FREE
    }

    pub(crate) fn is_dead(&self) -> bool {
        // Relaxed: see `mark_dead`.
        self.state().load(Ordering::Relaxed) == DEAD
    }

    /// Creator: in use again, for new data. The descriptor stays known to the reader.
    pub(crate) fn reuse(&self) {
        // Relaxed: the record that tells the reader of the new data publishes this too.
        self.state().store(IN_USE, Ordering::Relaxed);
    }

    fn state(&self) -> &AtomicU32 {
        // SAFETY: the head lies within the mapping and is aligned; others access this word
        // as an atomic too, and any value of it is valid.
        unsafe { &(*self.mapping.address().cast::<Head>().as_ptr()).state }
    }
}
