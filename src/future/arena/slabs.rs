//! Depots, one for each class: chains of free blocks, and the slabs that blocks are cut from.

use super::list::{Free, PER_NODE};
use super::{CLASSES, block_size};
use crate::local::Blocks;
use crate::platform::fork::{self, PerProcess};
use crate::platform::memory;
use crate::sync::{AtomicUsize, Lock, Ordering, Padded};
use std::ptr::{self, NonNull};

const SLAB: usize = 64 * 1024;
/// Slabs that are mapped at once.
const REGION: usize = 16;
/// Chains that a depot keeps: bursts do not map and unmap. 64 MiB.
const MOST_CHAINS: u32 = 1024;
/// Chains that are left by `trim`, and empty slabs that a depot keeps. 4 MiB each.
const SPARES: u32 = 64;

/// Nodes of a whole chain: about a slab's worth of blocks.
pub(super) fn chain_nodes(class: usize) -> u32 {
    const NODES: [u32; CLASSES] = {
        let mut nodes = [0; CLASSES];
        let mut class = 0;
        while class < CLASSES {
            nodes[class] = (SLAB / block_size(class)) as u32 / PER_NODE;
            class += 1;
        }
        nodes
    };
    NODES[class]
}

/// Header of a slab: its first block's place.
struct Slab {
    generation: u32,
    live: u32,
    /// First byte never handed out yet.
    fresh: u32,
    listed: bool,
    free: Blocks,
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
pub(super) fn take(class: usize, wanted: u32) -> Option<Blocks> {
    DEPOTS[class].lock().take(wanted)
}

/// # Safety
/// The blocks are of this class and process, and the caller's to give.
pub(super) unsafe fn give(class: usize, blocks: Blocks) {
    if blocks.count() != 0 {
        // SAFETY: by the contract.
        unsafe { DEPOTS[class].lock().give(blocks) };
    }
}

/// Slabs mapped, of all classes. Relaxed throughout: a figure.
static MAPPED: AtomicUsize = AtomicUsize::new(0);
/// About what is left of one class that is not in use; more is worth a look.
const AMPLE: usize = 3 * SPARES as usize;

/// Whether so much is mapped that there may be something to `trim`, now or soon.
pub(super) fn is_ample() -> bool {
    MAPPED.load(Ordering::Relaxed) > AMPLE
}

/// The program rests: what is kept for another burst, but for a little, goes back to the system.
pub(super) fn trim() {
    for depot in &DEPOTS {
        // The lock is let go in between: others need not wait for all of it.
        while depot.lock().dissolve_one() {}
    }
}

/// How many chains a depot keeps.
#[cfg(test)]
pub(super) fn chains(class: usize) -> u32 {
    DEPOTS[class].lock().chain_count
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
        MAPPED.store(0, Ordering::Relaxed);
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

    fn take(&mut self, wanted: u32) -> Option<Blocks> {
        if wanted >= chain_nodes(self.class) * PER_NODE {
            if let Some(chain) = self.take_chain() {
                return Some(chain);
            }
        }
        self.cut(wanted)
    }

    fn take_chain(&mut self) -> Option<Blocks> {
        let top = NonNull::new(self.chains)?;
        self.chain_count -= 1;
        // SAFETY: A4: a whole chain of ours.
        unsafe {
            self.chains = *Free::next_chain(top);
            Some(Blocks::whole(top, chain_nodes(self.class)))
        }
    }

    /// Takes blocks out of slabs; those that are new, in the order of their addresses.
    fn cut(&mut self, wanted: u32) -> Option<Blocks> {
        let blocks = Blocks::empty();
        while blocks.count() < wanted && self.cut_from_current(&blocks, wanted) {}
        (blocks.count() != 0).then_some(blocks)
    }

    /// Moves blocks until there are `wanted` or the slab has no more; then the next slab is put
    /// there. False: there is none.
    fn cut_from_current(&mut self, blocks: &Blocks, wanted: u32) -> bool {
        let class = self.class;
        // SAFETY: A4; a free block is referred to by its slab's list alone.
        let Some(slab) = (unsafe { self.current.as_mut() }) else { return self.next_slab() };
        let before = blocks.count();
        while blocks.count() < wanted {
            // SAFETY: A4: the list of a slab of ours.
            let Some(block) = (unsafe { slab.free.take() }) else { break };
            // SAFETY: a block of ours.
            unsafe { blocks.put(block) };
        }
        let size = block_size(class) as u32;
        let fresh = ((SLAB as u32 - slab.fresh) / size).min(wanted - blocks.count());
        // The last that is put in is the first to be taken.
        for number in (0..fresh).rev() {
            // SAFETY: within the slab, and never handed out yet.
            unsafe {
                let block = self.current.cast::<u8>().add((slab.fresh + number * size) as usize);
                blocks.put(NonNull::new_unchecked(block.cast()));
            }
        }
        slab.fresh += fresh * size;
        slab.live += blocks.count() - before;
        blocks.count() == wanted || self.next_slab()
    }

    /// Puts a slab with room into `current`, whose slab is full (or missing).
    fn next_slab(&mut self) -> bool {
        if self.partial.is_null() && self.spare.is_null() && self.map_region().is_none() {
            return false;
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
        true
    }

    /// Maps a region: its slabs become spares. The first slab of a class comes alone.
    fn map_region(&mut self) -> Option<()> {
        let slabs = if self.current.is_null() { 1 } else { REGION };
        let region = memory::map_aligned(SLAB, slabs)
            .or_else(|| memory::map_aligned(SLAB, 1).map(|(place, _)| (place, 1)));
        let (place, slabs) = region?;
        MAPPED.fetch_add(slabs, Ordering::Relaxed);
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
                    free: Blocks::empty(),
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
    unsafe fn give(&mut self, blocks: Blocks) {
        match blocks.as_whole(chain_nodes(self.class)) {
            Some(top) if self.chain_count < MOST_CHAINS => {
                // SAFETY: by the contract ours.
                unsafe { *Free::next_chain(top) = self.chains };
                self.chains = top.as_ptr();
                self.chain_count += 1;
            }
            // SAFETY: by the contract.
            _ => unsafe { self.dissolve(blocks) },
        }
    }

    /// Gives blocks back to their slabs.
    ///
    /// # Safety
    /// As the function `give`.
    unsafe fn dissolve(&mut self, blocks: Blocks) {
        // SAFETY: by the contract ours.
        while let Some(block) = unsafe { blocks.take() } {
            // SAFETY: by the contract.
            unsafe { self.give_back(slab_of(block.as_ptr().cast()), block) };
        }
    }

    /// Dissolves a chain, if there are more than a rested depot keeps.
    fn dissolve_one(&mut self) -> bool {
        if self.chain_count <= SPARES {
            return false;
        }
        let Some(chain) = self.take_chain() else { return false };
        // SAFETY: A4: just taken.
        unsafe { self.dissolve(chain) };
        true
    }

    /// # Safety
    /// A4; `block` is a block of `slab` that nobody uses; the slab is of this class.
    #[inline]
    unsafe fn give_back(&mut self, slab: *mut Slab, block: NonNull<Free>) {
        // SAFETY: by the contract.
        unsafe {
            (*slab).free.put(block);
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
                MAPPED.fetch_sub(1, Ordering::Relaxed);
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
