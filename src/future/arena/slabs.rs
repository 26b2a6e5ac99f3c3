//! Depots, one for each class: chains of free blocks, and the slabs that blocks are cut from.

use super::{CLASSES, block_size};
use crate::platform::fork::{self, PerProcess};
use crate::platform::memory;
use crate::sync::{Lock, Padded};
use std::ptr::{self, NonNull};

const SLAB: usize = 64 * 1024;
/// Slabs that are mapped at once.
const REGION: usize = 16;
/// Empty slabs, and chains, that a depot keeps: bursts do not map and unmap. 4 MiB each.
const SPARES: u32 = 64;

/// Blocks of a whole chain: about a slab's worth.
pub(super) const fn chain_length(class: usize) -> u32 {
    (SLAB / block_size(class)) as u32
}

/// Start of a free block; see A3.
#[repr(C)]
pub(super) struct Free {
    word: u64,
    pub(super) next: *mut Free,
    /// In the first block of a chain in a depot: the next chain.
    next_chain: *mut Free,
}

/// A list of free blocks, and how many they are.
pub(super) struct Chain {
    pub(super) first: NonNull<Free>,
    pub(super) count: u32,
}

/// Header of a slab: its first block's place.
struct Slab {
    generation: u32,
    live: u32,
    /// First byte never handed out yet.
    fresh: u32,
    listed: bool,
    free: *mut Free,
    next: *mut Slab,
    previous: *mut Slab,
}

struct Depot {
    class: usize,
    chains: *mut Free,
    chain_count: u32,
    /// A1 says where each slab is.
    current: *mut Slab,
    partial: *mut Slab,
    spare: *mut Slab,
    spares: u32,
}

// SAFETY: A4: the pointers lead to slabs and blocks that belong to the depot.
unsafe impl Send for Depot {}

static DEPOTS: [Padded<Lock<Depot>>; CLASSES] = {
    let mut depots = [const { Padded(Lock::new(Depot::new(0))) }; CLASSES];
    let mut class = 1;
    while class < CLASSES {
        depots[class] = Padded(Lock::new(Depot::new(class)));
        class += 1;
    }
    depots
};

static PER_PROCESS: PerProcess = PerProcess::unset();

/// Takes up to `wanted` blocks; at least one, or None when there is no memory.
pub(super) fn take(class: usize, wanted: u32) -> Option<Chain> {
    DEPOTS[class].lock().take(wanted)
}

/// # Safety
/// The chain's blocks are of this class and process, and the caller's to give.
pub(super) unsafe fn give(class: usize, chain: Chain) {
    // SAFETY: by the contract.
    unsafe { DEPOTS[class].lock().give(chain) };
}

/// The fork generation that allocated the live block `block`.
pub(super) fn generation_of(block: NonNull<u8>) -> u32 {
    // SAFETY: a live block lies in a slab, whose generation never changes.
    unsafe { (*slab_of(block.as_ptr())).generation }
}

fn slab_of(block: *mut u8) -> *mut Slab {
    block.map_addr(|address| address & !(SLAB - 1)).cast()
}

/// Before any use: in each process all depots begin empty.
pub(super) fn follow_fork() {
    PER_PROCESS.follow(|| {
        for (class, depot) in DEPOTS.iter().enumerate() {
            // SAFETY: first use, or a forked child: threads that held the lock do not
            // exist here, and threads of the child wait.
            unsafe { depot.reset(Depot::new(class)) };
        }
    });
}

impl Depot {
    const fn new(class: usize) -> Depot {
        Depot {
            class,
            chains: ptr::null_mut(),
            chain_count: 0,
            current: ptr::null_mut(),
            partial: ptr::null_mut(),
            spare: ptr::null_mut(),
            spares: 0,
        }
    }

    fn take(&mut self, wanted: u32) -> Option<Chain> {
        let whole = chain_length(self.class);
        if wanted >= whole {
            if let Some(first) = NonNull::new(self.chains) {
                // SAFETY: A4: a chain of ours.
                self.chains = unsafe { first.as_ref() }.next_chain;
                self.chain_count -= 1;
                return Some(Chain { first, count: whole });
            }
        }
        self.cut(wanted)
    }

    /// Takes blocks out of slabs, in the order of their addresses.
    fn cut(&mut self, wanted: u32) -> Option<Chain> {
        let first = self.cut_one()?;
        let (mut last, mut count) = (first, 1);
        while count < wanted {
            let Some(block) = self.cut_one() else { break };
            // SAFETY: A4: blocks of ours.
            unsafe { (*last.as_ptr()).next = block.as_ptr() };
            last = block;
            count += 1;
        }
        // SAFETY: as above.
        unsafe { (*last.as_ptr()).next = ptr::null_mut() };
        Some(Chain { first, count })
    }

    fn cut_one(&mut self) -> Option<NonNull<Free>> {
        loop {
            if let Some(block) = self.cut_from_current() {
                return Some(block);
            }
            self.next_slab()?;
        }
    }

    fn cut_from_current(&mut self) -> Option<NonNull<Free>> {
        // SAFETY: A4; a free block is referred to by its slab's list alone.
        unsafe {
            let slab = self.current.as_mut()?;
            if let Some(block) = NonNull::new(slab.free) {
                slab.free = block.as_ref().next;
                slab.live += 1;
                return Some(block);
            }
            let size = block_size(self.class) as u32;
            if slab.fresh + size > SLAB as u32 {
                return None;
            }
            let block = self.current.cast::<u8>().add(slab.fresh as usize);
            slab.fresh += size;
            slab.live += 1;
            NonNull::new(block.cast())
        }
    }

    /// Puts a slab with room into `current`, whose slab is full (or missing).
    fn next_slab(&mut self) -> Option<()> {
        if self.partial.is_null() && self.spare.is_null() {
            self.map_region()?;
        }
        self.current = if !self.partial.is_null() {
            let slab = self.partial;
            // SAFETY: the slab is in the list (A1).
            unsafe { self.unlink(slab) };
            slab
        } else {
            let slab = self.spare;
            // SAFETY: A4, and `spare` is not empty.
            self.spare = unsafe { (*slab).next };
            self.spares -= 1;
            slab
        };
        Some(())
    }

    /// Maps a region: its slabs become spares. The first slab of a class comes alone.
    fn map_region(&mut self) -> Option<()> {
        let slabs = if self.current.is_null() { 1 } else { REGION };
        let region = memory::map_aligned(SLAB, slabs)
            .or_else(|| memory::map_aligned(SLAB, 1).map(|(place, _)| (place, 1)));
        let (place, slabs) = region?;
        // The first in memory is to be used first.
        for number in (0..slabs).rev() {
            // SAFETY: within the region just mapped.
            let slab = unsafe { place.as_ptr().add(number * SLAB) }.cast::<Slab>();
            let first = block_size(self.class).max(size_of::<Slab>().next_multiple_of(64)) as u32;
            // SAFETY: fresh memory, larger than the header and aligned.
            unsafe {
                slab.write(Slab {
                    generation: fork::generation(),
                    live: 0,
                    fresh: first,
                    listed: false,
                    free: ptr::null_mut(),
                    next: self.spare,
                    previous: ptr::null_mut(),
                });
            }
            self.spare = slab;
            self.spares += 1;
        }
        Some(())
    }

    /// # Safety
    /// As the function of that name.
    unsafe fn give(&mut self, chain: Chain) {
        if chain.count == chain_length(self.class) && self.chain_count < SPARES {
            // SAFETY: by the contract ours.
            unsafe { (*chain.first.as_ptr()).next_chain = self.chains };
            self.chains = chain.first.as_ptr();
            self.chain_count += 1;
            return;
        }
        let mut block = chain.first.as_ptr();
        for _ in 0..chain.count {
            // SAFETY: by the contract: the list has this many blocks, which are ours.
            unsafe {
                let next = (*block).next;
                self.give_back(slab_of(block.cast()), block);
                block = next;
            }
        }
    }

    /// # Safety
    /// A4; `block` is a block of `slab` that nobody uses; the slab is of this class.
    #[inline]
    unsafe fn give_back(&mut self, slab: *mut Slab, block: *mut Free) {
        // SAFETY: by the contract.
        unsafe {
            (*block).next = (*slab).free;
            (*slab).free = block;
            (*slab).live -= 1;
            if slab == self.current {
                return;
            }
            if !(*slab).listed {
                self.link(slab);
            }
            if (*slab).live == 0 {
                self.retire(slab);
            }
        }
    }

    /// An empty slab becomes a spare or goes back to the system.
    ///
    /// # Safety
    /// A4; `slab` is empty and in `partial`.
    #[cold]
    unsafe fn retire(&mut self, slab: *mut Slab) {
        // SAFETY: by the contract; nothing points into an empty slab.
        unsafe {
            self.unlink(slab);
            if self.spares < SPARES {
                (*slab).next = self.spare;
                self.spare = slab;
                self.spares += 1;
            } else if let Some(slab) = NonNull::new(slab) {
                memory::unmap(slab.cast(), SLAB);
            }
        }
    }

    /// # Safety
    /// A4; `slab` is in no list.
    unsafe fn link(&mut self, slab: *mut Slab) {
        // SAFETY: by the contract; `partial` leads to slabs of this class.
        unsafe {
            (*slab).listed = true;
            (*slab).previous = ptr::null_mut();
            (*slab).next = self.partial;
            if let Some(next) = self.partial.as_mut() {
                next.previous = slab;
            }
        }
        self.partial = slab;
    }

    /// # Safety
    /// A4; `slab` is in `partial`.
    unsafe fn unlink(&mut self, slab: *mut Slab) {
        // SAFETY: by the contract its neighbours are slabs of the same list.
        unsafe {
            let (previous, next) = ((*slab).previous, (*slab).next);
            match previous.as_mut() {
                Some(previous) => previous.next = next,
                None => self.partial = next,
            }
            if let Some(next) = next.as_mut() {
                next.previous = previous;
            }
            (*slab).listed = false;
        }
    }
}
