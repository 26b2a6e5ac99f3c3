//! Where cells, hooks and small results live: recycled blocks of five sizes.
//!
//! # Why not malloc
//! The usual life of a task is: made by one thread, run by another, released by the first;
//! a million of them may be outstanding. A block here costs a few instructions to take and
//! to give back, and no atomic operation; nothing is allocated in a steady state, and
//! cells made one after the other lie beside each other. Large results and arguments do go
//! to malloc.
//!
//! # Structure
//! Magazines over slabs, after Bonwick and Adams, "Magazines and Vmem" (2001):
//! - each thread has, for each class of blocks, a *magazine*: a list of free blocks, and
//!   perhaps a spare one that is full, a *chain* (`magazine`);
//! - threads exchange whole chains with the *depot* of the class, under its lock: once in
//!   a thousand blocks (`slabs`);
//! - a depot that has more chains than it wants (64 MiB, and 4 MiB after `trim`, which pools call
//!   when they have rested for long) gives blocks back to their *slabs*, 64 KiB pieces of
//!   memory; slabs that are empty become spares or go back to the system;
//! - a list of blocks is linked through every seventh of them only (`list`).
//!
//! # Invariants
//! A1. A slab is in exactly one place: current of its class, in `partial`, in `spare`, or
//!     (full) in none.
//! A2. `live` of a slab counts its blocks that are handed out, in a magazine or in a chain.
//! A3. Bytes 0..8 of a free block are left alone: `State::is_dead` looks at them.
//! A4. A magazine belongs to its thread; slabs and chains in a depot to whoever holds the
//!     depot's lock; a free block to whatever list it is in.
//!
//! # Fork
//! Slabs carry the generation that mapped them. In a forked child all depots start anew,
//! the magazines of the forking thread are forgotten, and inherited blocks are never
//! recycled: what they belonged to may be half-changed.
//!
//! # CFUT_CHECK=1
//! Each block is an allocation of its own, freed late, so that valgrind, ASan and the
//! double-release check see what they would see of malloc.

use crate::platform::memory;
use std::ptr::NonNull;

#[cfg(not(loom))]
mod list;
#[cfg(not(loom))]
mod magazine;
#[cfg(not(loom))]
mod slabs;

#[cfg(not(loom))]
pub(crate) use magazine::{
    allocate, generation_of, give_ready, is_ample, is_ready, release, take_ready, trim,
};
#[cfg(loom)]
pub(crate) use plain::{
    allocate, generation_of, give_ready, is_ample, is_ready, release, take_ready, trim,
};

/// Sizes of a cell's tail by class; a block is a cell's head and such a tail.
const TAILS: [usize; crate::local::CLASSES] = [0, 64, 192, 448, 960];

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
    #[cfg(loom)]
    use crate::local::Local;
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

    /// In place of the magazines of a thread; these are always ready.
    #[cfg(loom)]
    pub(crate) fn is_ready(_: &Local) -> bool {
        true
    }

    #[cfg(loom)]
    pub(crate) fn take_ready(_: &Local, class: usize) -> Option<NonNull<u8>> {
        allocate(class)
    }

    /// # Safety
    /// As `release`.
    #[cfg(loom)]
    pub(crate) unsafe fn give_ready(_: &Local, block: NonNull<u8>, class: usize) {
        // SAFETY: by the contract.
        unsafe { release(block, class) };
    }

    #[cfg(loom)]
    pub(crate) fn trim() {}

    #[cfg(loom)]
    pub(crate) fn is_ample() -> bool {
        false
    }

    /// The fork generation that allocated the live block `block`.
    pub(crate) fn generation_of(block: NonNull<u8>) -> u32 {
        // SAFETY: each block has a prefix.
        unsafe { block.sub(PREFIX).cast::<u32>().read() }
    }
}

/// With checks on: freed blocks stay readable for a while, so that a second release
/// finds the mark the first one left.
#[cfg(not(loom))]
mod quarantine {
    use super::{NonNull, plain};
    use crate::platform::fork::PerProcess;
    use crate::sync::Lock;

    const LENGTH: usize = 1024;

    struct Ring {
        blocks: [Option<(NonNull<u8>, usize)>; LENGTH],
        next: usize,
    }

    // SAFETY: the blocks in the ring belong to it alone.
    unsafe impl Send for Ring {}

    static RING: Lock<Ring> = Lock::new(EMPTY);
    static PER_PROCESS: PerProcess = PerProcess::new();

    const EMPTY: Ring = Ring { blocks: [None; LENGTH], next: 0 };

    pub(super) fn release(block: NonNull<u8>, class: usize) {
        // SAFETY: first use in this child: no thread of it holds the lock.
        PER_PROCESS.follow(|| unsafe { RING.reset(EMPTY) });
        let mut ring = RING.lock();
        let place = ring.next;
        ring.next = (place + 1) % LENGTH;
        if let Some((oldest, class)) = ring.blocks[place].replace((block, class)) {
            // SAFETY: it was released once, and the ring had the only reference.
            unsafe { plain::release(oldest, class) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn blocks_are_distinct_aligned_and_recycled() {
        const MANY: usize = if cfg!(miri) { 300 } else { 5000 };
        for class in 0..CLASSES {
            let blocks: Vec<_> = (0..MANY).map(|_| allocate(class).expect("memory")).collect();
            let distinct: HashSet<_> = blocks.iter().map(|block| block.as_ptr().addr()).collect();
            assert_eq!(distinct.len(), blocks.len());
            for block in &blocks {
                assert_eq!(block.as_ptr().addr() % 64, 0);
                // SAFETY: a block of this size that is ours.
                unsafe { block.as_ptr().write_bytes(0xAB, block_size(class)) };
            }
            // SAFETY: each came from `allocate(class)` and is given back once.
            blocks.into_iter().for_each(|block| unsafe { release(block, class) });
            let again = allocate(class).expect("memory");
            assert!(distinct.contains(&again.as_ptr().addr()) || magazine::checks());
            // SAFETY: as above.
            unsafe { release(again, class) };
        }
    }

    /// Blocks made here and freed by a thread that ends go to whoever needs blocks next.
    #[test]
    fn blocks_freed_elsewhere_come_back() {
        const MANY: usize = 100_000;
        if magazine::checks() {
            return;
        }
        let elsewhere = |work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().spawn(work).expect("thread").join().expect("joined");
        };
        let blocks: Vec<_> =
            (0..MANY).map(|_| allocate(4).expect("memory").as_ptr().expose_provenance()).collect();
        let set: HashSet<_> = blocks.iter().copied().collect();
        elsewhere(Box::new(move || {
            for address in blocks {
                let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address));
                let block = block.expect("an address of a block");
                // SAFETY: handed over by the thread that allocated it, given back once.
                unsafe { release(block, 4) };
            }
        }));
        let again: Vec<_> = (0..5000).map(|_| allocate(4).expect("memory")).collect();
        let reused = again.iter().filter(|block| set.contains(&block.addr().get())).count();
        assert!(reused > 1000, "{reused} of 5000 reused");
        // SAFETY: ours, given back once.
        again.into_iter().for_each(|block| unsafe { release(block, 4) });
    }

    /// What a list takes it gives back, the last first by sevens, and it counts right.
    #[test]
    fn lists_lose_nothing() {
        if magazine::checks() {
            return;
        }
        for many in [0, 1, 6, 7, 8, 14, 15, 100] {
            let list = crate::local::Blocks::empty();
            let blocks: HashSet<_> = (0..many).map(|_| allocate(1).expect("memory")).collect();
            for (number, block) in blocks.iter().enumerate() {
                assert_eq!(list.count(), number as u32);
                // SAFETY: ours, of a size that holds a node.
                unsafe { list.put(block.cast()) };
            }
            let whole = many != 0 && many % 7 == 0;
            assert_eq!(list.as_whole(many as u32 / 7).is_some(), whole, "{many}");
            let mut left = blocks.clone();
            // SAFETY: the list is ours.
            while let Some(block) = unsafe { list.take() } {
                assert!(left.remove(&block.cast()), "twice, or none of ours");
                assert_eq!(list.count() as usize, left.len());
            }
            assert!(left.is_empty());
            // SAFETY: ours, given back once.
            blocks.into_iter().for_each(|block| unsafe { release(block, 1) });
        }
    }

    /// Many blocks at once are kept when they are given back, but not by `trim`. (No other test
    /// has many of this class.)
    #[test]
    fn a_burst_is_kept_until_it_is_trimmed() {
        const CLASS: usize = 2;
        const MANY: usize = 40_000;
        if magazine::checks() {
            return;
        }
        for _ in 0..3 {
            let blocks: Vec<_> = (0..MANY).map(|_| allocate(CLASS).expect("memory")).collect();
            let distinct: HashSet<_> = blocks.iter().map(|block| block.addr()).collect();
            assert_eq!(distinct.len(), MANY);
            for block in &blocks {
                // SAFETY: a block of this size that is ours.
                unsafe { block.as_ptr().write_bytes(0xCD, block_size(CLASS)) };
            }
            // SAFETY: each came from `allocate(CLASS)` and is given back once.
            blocks.into_iter().for_each(|block| unsafe { release(block, CLASS) });
            assert!(slabs::chains(CLASS) > 100);
            trim();
            // 64 stay; threads of other tests that end meanwhile bring what they have.
            assert!(slabs::chains(CLASS) <= 100);
        }
    }

    #[test]
    fn bytes_of_all_sizes() {
        for length in [1, 15, 16, 17, 63, 64, 65, 1023, 1024, 1025, 1 << 20] {
            let bytes = allocate_bytes(length).expect("memory");
            assert_eq!(bytes.as_ptr().addr() % 16, 0);
            // SAFETY: `length` bytes that are ours, given back once.
            unsafe {
                bytes.as_ptr().write_bytes(7, length);
                release_bytes(bytes, length);
            }
        }
    }
}
