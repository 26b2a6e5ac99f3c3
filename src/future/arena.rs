//! Where cells, hooks and small results live: recycled blocks of five sizes.
//!
//! # Why not malloc
//! The usual life of a task is: made by one thread, run by another, released by the first;
//! a million of them may be outstanding. A block here costs one uncontended lock to take
//! and one to give back, nothing is allocated in a steady state, and cells made one after
//! the other lie beside each other. Large results and arguments do go to malloc.
//!
//! # Structure
//! - A *slab* is 64 KiB, aligned to 64 KiB, of blocks of one class; its header is found by
//!   masking a block's address.
//! - A *shard* owns slabs. Threads are spread over 64 shards, so that with up to 64 threads
//!   each has one to itself. There is no per-thread state that would need a destructor.
//! - A block freed by a thread of the same shard goes straight back under the shard's
//!   lock; any other thread pushes it on the owner's *remote* stack, one compare-exchange.
//!   The owner takes that stack whole, so there is no ABA.
//!
//! # Invariants
//! A1. A slab is in exactly one place: current of its class, in `partial`, in `spare`, or
//!     (full) in none.
//! A2. `live` of a slab counts its blocks that are handed out or on a remote stack.
//! A3. Bytes 0..8 of a free block are left alone: `State::is_dead` looks at them.
//!
//! # Fork
//! Slabs carry the generation that mapped them. In a forked child all shards start anew
//! and inherited blocks are never recycled: their locks and lists may be half-changed.
//!
//! # CFUT_CHECK=1
//! Each block is an allocation of its own, freed late, so that valgrind, ASan and the
//! double-release check see what they would see of malloc.

use crate::platform::memory;
#[cfg(not(loom))]
pub(crate) use recycling::{allocate, generation_of, release};
use std::ptr::NonNull;

#[cfg(loom)]
pub(crate) use plain::{allocate, generation_of, release};

/// Sizes of a cell's tail by class; a block is a cell's head and such a tail.
const TAILS: [usize; 5] = [0, 64, 192, 448, 960];

/// Size of the head all blocks begin with. The model checker's types are larger.
pub(crate) const HEAD: usize = if cfg!(loom) { 1024 } else { 64 };

/// Number of classes; a block of class c holds `block_size(c)` bytes.
pub(crate) const CLASSES: usize = TAILS.len();

pub(crate) const fn block_size(class: usize) -> usize {
    HEAD + TAILS[class]
}

/// The smallest class whose tail holds `bytes`, if any does.
#[inline]
pub(crate) fn class_for_tail(bytes: usize) -> Option<usize> {
    TAILS.iter().position(|&tail| bytes <= tail)
}

/// Memory for `length` bytes of a result, aligned to 16: from the arena where a class fits.
pub(crate) fn allocate_bytes(length: usize) -> Option<NonNull<u8>> {
    match class_for_bytes(length) {
        Some(class) => allocate(class),
        None => memory::allocate(length, LARGE_ALIGN),
    }
}

/// # Safety
/// `bytes` came from `allocate_bytes(length)` and is used no more.
pub(crate) unsafe fn release_bytes(bytes: NonNull<u8>, length: usize) {
    match class_for_bytes(length) {
        // SAFETY: by the contract, the same class as when it was allocated.
        Some(class) => unsafe { release(bytes, class) },
        // SAFETY: by the contract.
        None => unsafe { memory::release(bytes, length, LARGE_ALIGN) },
    }
}

const LARGE_ALIGN: usize = 64;

fn class_for_bytes(length: usize) -> Option<usize> {
    class_for_tail(length.saturating_sub(HEAD))
}

/// Each block a system allocation: models need nothing else, and checks want just that.
mod plain {
    use super::{LARGE_ALIGN, block_size, memory};
    use crate::platform::fork;
    use std::ptr::NonNull;

    /// In front of each block: the generation that allocated it.
    const PREFIX: usize = LARGE_ALIGN;

    pub(crate) fn allocate(class: usize) -> Option<NonNull<u8>> {
        let base = memory::allocate(PREFIX + block_size(class), LARGE_ALIGN)?;
        // SAFETY: fresh memory that holds the prefix and the block.
        unsafe {
            base.cast::<u32>().write(fork::generation());
            Some(base.add(PREFIX))
        }
    }

    /// # Safety
    /// `block` came from `allocate(class)` and is used no more.
    pub(crate) unsafe fn release(block: NonNull<u8>, class: usize) {
        // SAFETY: by the contract.
        unsafe {
            memory::release(block.sub(PREFIX), PREFIX + block_size(class), LARGE_ALIGN);
        }
    }

    /// The fork generation that allocated the live block `block`.
    pub(crate) fn generation_of(block: NonNull<u8>) -> u32 {
        // SAFETY: each block has a prefix.
        unsafe { block.sub(PREFIX).cast::<u32>().read() }
    }
}

#[cfg(not(loom))]
mod recycling {
    use super::{CLASSES, block_size, memory, plain};
    use crate::local;
    use crate::platform::fork;
    use crate::sync::{AtomicPtr, AtomicU32, Lock, Ordering, Padded};
    use std::ptr::{self, NonNull};

    const SLAB: usize = 64 * 1024;
    const SHARDS: usize = 64;
    /// Empty slabs a shard keeps of each class: 1 MiB, so that bursts do not map and unmap.
    const SPARES: u32 = 16;
    /// A freeing thread collects another shard's remote stack this often, so that memory
    /// returns although its owner allocates no more.
    const COLLECT_EVERY: u32 = 1024;

    /// Start of a free block; see A3.
    #[repr(C)]
    struct Free {
        word: u64,
        next: *mut Free,
    }

    /// Header of a slab: its first block's place.
    struct Slab {
        generation: u32,
        shard: u32,
        class: u32,
        live: u32,
        /// First byte never handed out yet.
        fresh: u32,
        listed: bool,
        free: *mut Free,
        next: *mut Slab,
        previous: *mut Slab,
    }

    /// What one shard has of one class. A1 says where each slab is.
    struct Class {
        current: *mut Slab,
        partial: *mut Slab,
        spare: *mut Slab,
        spares: u32,
    }

    struct Shard {
        classes: Lock<[Class; CLASSES]>,
        remote: [AtomicPtr<Free>; CLASSES],
    }

    // SAFETY: the raw pointers lead to slabs of this shard, which only the holder of the
    // lock touches; `remote` is a stack of blocks that nobody else refers to.
    unsafe impl Sync for Shard {}

    impl Class {
        const EMPTY: Class = Class {
            current: ptr::null_mut(),
            partial: ptr::null_mut(),
            spare: ptr::null_mut(),
            spares: 0,
        };
    }

    static ARENA: [Padded<Shard>; SHARDS] = [const {
        Padded(Shard {
            classes: Lock::new([Class::EMPTY; CLASSES]),
            remote: [const { AtomicPtr::new(ptr::null_mut()) }; CLASSES],
        })
    }; SHARDS];

    /// The fork generation the shards belong to; 0 before the first use.
    static GENERATION: AtomicU32 = AtomicU32::new(0);

    static NEXT_SHARD: AtomicU32 = AtomicU32::new(0);

    /// A block of `class`, aligned to 64; None when there is no memory.
    #[inline]
    pub(crate) fn allocate(class: usize) -> Option<NonNull<u8>> {
        if checks() {
            return plain::allocate(class);
        }
        follow_fork();
        let number = my_shard();
        let shard = &ARENA[number as usize];
        let mut classes = shard.classes.lock();
        let mine = &mut classes[class];
        loop {
            if let Some(block) = mine.take_from_current() {
                return Some(block);
            }
            mine.refill(class, number, &shard.remote[class])?;
        }
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// `block` came from `allocate(class)` and is used no more.
    #[inline]
    pub(crate) unsafe fn release(block: NonNull<u8>, class: usize) {
        if checks() {
            return quarantine::release(block, class);
        }
        follow_fork();
        let slab = slab_of(block);
        // SAFETY: these fields are written before the first block is handed out and never
        // again while one is.
        let (generation, owner) = unsafe { ((*slab).generation, (*slab).shard) };
        // Relaxed: a number that changes only in a child without other threads.
        if generation != GENERATION.load(Ordering::Relaxed) {
            return; // inherited through fork: the memory stays as it is
        }
        let shard = &ARENA[owner as usize];
        if owner == my_shard() {
            // SAFETY: the block is ours to give, and the slab belongs to the locked shard.
            unsafe { shard.classes.lock()[class].give_back(slab, block.as_ptr().cast()) };
        } else {
            push_remote(shard, class, block);
        }
    }

    /// The fork generation that allocated the live block `block`.
    pub(crate) fn generation_of(block: NonNull<u8>) -> u32 {
        if checks() {
            return plain::generation_of(block);
        }
        // SAFETY: a live block lies in a slab, whose generation never changes.
        unsafe { (*slab_of(block)).generation }
    }

    fn slab_of(block: NonNull<u8>) -> *mut Slab {
        block.as_ptr().map_addr(|address| address & !(SLAB - 1)).cast()
    }

    #[inline(always)]
    fn my_shard() -> u32 {
        local::with(|local| match local.shard.get() {
            0 => {
                // Relaxed: a number, nothing more.
                let number = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS as u32;
                local.shard.set(number + 1);
                number
            }
            chosen => chosen - 1,
        })
    }

    fn push_remote(shard: &Shard, class: usize, block: NonNull<u8>) {
        let block = block.as_ptr().cast::<Free>();
        let stack = &shard.remote[class];
        // Relaxed: the exchange publishes.
        let mut head = stack.load(Ordering::Relaxed);
        loop {
            // SAFETY: the block is ours until the exchange hands it over.
            unsafe { (*block).next = head };
            // Release: pairs with the Acquire in `collect`, publishes the link.
            match stack.compare_exchange_weak(head, block, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                Err(changed) => head = changed,
            }
        }
        let count = local::with(|local| {
            let count = local.remote_frees.get().wrapping_add(1);
            local.remote_frees.set(count);
            count
        });
        if count.is_multiple_of_compat(COLLECT_EVERY) {
            shard.classes.lock()[class].collect(stack);
        }
    }

    impl Class {
        #[inline(always)]
        fn take_from_current(&mut self) -> Option<NonNull<u8>> {
            // SAFETY: slabs in this class belong to the shard whose lock we hold; a free
            // block is referred to by its slab's list alone.
            unsafe {
                let slab = self.current.as_mut()?;
                if let Some(block) = NonNull::new(slab.free) {
                    slab.free = block.as_ref().next;
                    slab.live += 1;
                    return Some(block.cast());
                }
                let size = block_size(slab.class as usize) as u32;
                if slab.fresh + size > SLAB as u32 {
                    return None;
                }
                let block = self.current.cast::<u8>().add(slab.fresh as usize);
                slab.fresh += size;
                slab.live += 1;
                NonNull::new(block)
            }
        }

        /// Puts a slab with room into `current`, whose slab is full (or missing).
        #[cold]
        fn refill(&mut self, class: usize, shard: u32, remote: &AtomicPtr<Free>) -> Option<()> {
            self.collect(remote);
            // SAFETY: as in `take_from_current`.
            if unsafe { self.current.as_ref().is_some_and(|slab| !slab.free.is_null()) } {
                return Some(());
            }
            self.current = if !self.partial.is_null() {
                let slab = self.partial;
                // SAFETY: the slab is in the list (A1) and the lock is held.
                unsafe { self.unlink(slab) };
                slab
            } else if !self.spare.is_null() {
                let slab = self.spare;
                // SAFETY: as in `take_from_current`.
                self.spare = unsafe { (*slab).next };
                self.spares -= 1;
                slab
            } else {
                map_slab(class, shard)?
            };
            Some(())
        }

        /// Takes back all blocks that other threads have freed.
        fn collect(&mut self, remote: &AtomicPtr<Free>) {
            // Acquire: pairs with the Release in `push_remote`.
            let mut block = remote.swap(ptr::null_mut(), Ordering::Acquire);
            while let Some(free) = NonNull::new(block) {
                // SAFETY: the swap made the whole chain ours; each block's slab belongs
                // to the shard whose remote stack this is, and its lock is held.
                unsafe {
                    block = free.as_ref().next;
                    self.give_back(slab_of(free.cast()), free.as_ptr());
                }
            }
        }

        /// # Safety
        /// `block` is a block of `slab` that nobody uses; the slab is of this class and of
        /// the shard whose lock is held.
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
        /// `slab` is empty, in `partial`, and the lock is held.
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
        /// `slab` is in no list and the lock is held.
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
        /// `slab` is in `partial` and the lock is held.
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

    #[cold]
    fn map_slab(class: usize, shard: u32) -> Option<*mut Slab> {
        let slab = memory::map_aligned(SLAB, true)?.cast::<Slab>().as_ptr();
        let first = block_size(class).max(size_of::<Slab>().next_multiple_of(64)) as u32;
        // SAFETY: fresh memory, larger than the header and aligned.
        unsafe {
            slab.write(Slab {
                // Relaxed: see `release`.
                generation: GENERATION.load(Ordering::Relaxed),
                shard,
                class: class as u32,
                live: 0,
                fresh: first,
                listed: false,
                free: ptr::null_mut(),
                next: ptr::null_mut(),
                previous: ptr::null_mut(),
            });
        }
        Some(slab)
    }

    #[inline(always)]
    fn follow_fork() {
        let now = fork::generation();
        // Relaxed: changes only while the process has one thread that knows us.
        if GENERATION.load(Ordering::Relaxed) != now {
            start_generation(now);
        }
    }

    /// First use, or first use in a forked child: all shards begin empty.
    #[cold]
    fn start_generation(now: u32) {
        static STARTING: AtomicU32 = AtomicU32::new(0);
        // AcqRel: the winner's resets come before any later use; a loser goes on below.
        if STARTING.swap(now, Ordering::AcqRel) != now {
            // Relaxed: only this thread starts generation `now`.
            if GENERATION.load(Ordering::Relaxed) != 0 {
                for shard in &ARENA {
                    // SAFETY: a forked child; threads that held or awaited the lock do not
                    // exist here, and threads of the child spin below until this is done.
                    unsafe { shard.classes.reset([Class::EMPTY; CLASSES]) };
                    for stack in &shard.remote {
                        // Relaxed: published by the store to GENERATION.
                        stack.store(ptr::null_mut(), Ordering::Relaxed);
                    }
                }
            }
            // Release: pairs with the Acquire below.
            GENERATION.store(now, Ordering::Release);
        }
        // Acquire: pairs with the store above.
        while GENERATION.load(Ordering::Acquire) != now {
            crate::platform::thread::yield_now();
        }
    }

    /// Whether the environment asks for checks; read once.
    #[inline(always)]
    fn checks() -> bool {
        cfg!(miri) || crate::checks::wanted()
    }

    /// With checks on: freed blocks stay readable for a while, so that a second release
    /// finds the mark the first one left.
    mod quarantine {
        use super::{Lock, NonNull, plain};

        const LENGTH: usize = 1024;

        struct Ring {
            blocks: [Option<(NonNull<u8>, usize)>; LENGTH],
            next: usize,
        }

        // SAFETY: the blocks in the ring belong to it alone.
        unsafe impl Send for Ring {}

        static RING: Lock<Ring> = Lock::new(Ring { blocks: [None; LENGTH], next: 0 });

        pub(super) fn release(block: NonNull<u8>, class: usize) {
            let mut ring = RING.lock();
            let place = ring.next;
            ring.next = (place + 1) % LENGTH;
            if let Some((oldest, class)) = ring.blocks[place].replace((block, class)) {
                // SAFETY: it was released once, and the ring had the only reference.
                unsafe { plain::release(oldest, class) };
            }
        }
    }

    /// `u32::is_multiple_of` is newer than our oldest compiler.
    trait IsMultipleOf {
        fn is_multiple_of_compat(self, of: u32) -> bool;
    }

    impl IsMultipleOf for u32 {
        fn is_multiple_of_compat(self, of: u32) -> bool {
            self % of == 0
        }
    }

    #[cfg(test)]
    mod tests {
        use super::super::*;
        use std::collections::HashSet;

        #[test]
        fn blocks_are_distinct_aligned_and_recycled() {
            for class in 0..CLASSES {
                let blocks: Vec<_> = (0..5000).map(|_| allocate(class).expect("memory")).collect();
                let distinct: HashSet<_> =
                    blocks.iter().map(|block| block.as_ptr() as usize).collect();
                assert_eq!(distinct.len(), blocks.len());
                for block in &blocks {
                    assert_eq!(block.as_ptr() as usize % 64, 0);
                    // SAFETY: a block of this size that is ours.
                    unsafe { block.as_ptr().write_bytes(0xAB, block_size(class)) };
                }
                // SAFETY: each came from `allocate(class)` and is given back once.
                blocks.into_iter().for_each(|block| unsafe { release(block, class) });
                let again = allocate(class).expect("memory");
                assert!(distinct.contains(&(again.as_ptr() as usize)) || crate::checks::wanted());
                // SAFETY: as above.
                unsafe { release(again, class) };
            }
        }

        #[test]
        fn blocks_freed_elsewhere_come_back() {
            let addresses: Vec<usize> =
                (0..10_000).map(|_| allocate(0).expect("memory").as_ptr() as usize).collect();
            let theirs = addresses.clone();
            std::thread::Builder::new()
                .spawn(move || {
                    for address in theirs {
                        let block = NonNull::new(address as *mut u8).expect("block");
                        // SAFETY: handed over by the spawning thread, given back once.
                        unsafe { release(block, 0) };
                    }
                })
                .expect("thread")
                .join()
                .expect("joined");
            let set: HashSet<_> = addresses.into_iter().collect();
            let again: Vec<_> = (0..10_000).map(|_| allocate(0).expect("memory")).collect();
            let reused =
                again.iter().filter(|block| set.contains(&(block.as_ptr() as usize))).count();
            assert!(reused > 5_000 || crate::checks::wanted(), "{reused} of 10,000 reused");
            // SAFETY: ours, given back once.
            again.into_iter().for_each(|block| unsafe { release(block, 0) });
        }

        #[test]
        fn bytes_of_all_sizes() {
            for length in [1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 1 << 20] {
                let bytes = allocate_bytes(length).expect("memory");
                assert_eq!(bytes.as_ptr() as usize % 16, 0);
                // SAFETY: `length` bytes that are ours, given back once.
                unsafe {
                    bytes.as_ptr().write_bytes(7, length);
                    release_bytes(bytes, length);
                }
            }
        }
    }
}
