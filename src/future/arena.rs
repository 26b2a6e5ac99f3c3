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
//! - A *shard* owns slabs, and has for each class a *magazine*: a list of free blocks of
//!   whatever slabs. Taking and giving touch nothing but the magazine. Threads are spread
//!   over 64 shards, so with up to 64 threads each has one to itself; one that finds its
//!   shard busy takes another. There is no per-thread state that would need a destructor.
//! - A magazine that grows too large gives half of its blocks back to their slabs: those of
//!   its own shard directly, others by pushing them in chains on the owner's *remote* stack,
//!   one compare-exchange a chain. The owner takes that stack whole, so there is no ABA.
//!
//! # Invariants
//! A1. A slab is in exactly one place: current of its class, in `partial`, in `spare`, or
//!     (full) in none.
//! A2. `live` of a slab counts its blocks that are handed out, in a magazine, or on a
//!     remote stack.
//! A3. Bytes 0..8 of a free block are left alone: `State::is_dead` looks at them.
//! A4. Everything of a shard but `remote` belongs to whoever holds its `busy` flag.
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
    use crate::local::{self, Local};
    use crate::platform::fork;
    use crate::sync::{AtomicPtr, AtomicU32, Ordering, Padded, UnsafeCell, spin_loop};
    use std::ptr::{self, NonNull};

    const SLAB: usize = 64 * 1024;
    /// Slabs that are mapped at once.
    const REGION: usize = 16;
    const SHARDS: usize = 64;
    /// Empty slabs a shard keeps of each class, so that bursts do not map and unmap: 4 MiB.
    const SPARES: u32 = 64;
    /// Free blocks in a magazine before half of them go back to their slabs.
    const fn magazine(class: usize) -> u32 {
        (128 * 1024 / block_size(class)) as u32
    }

    /// Start of a free block; see A3.
    #[repr(C)]
    struct Free {
        word: u64,
        next: *mut Free,
    }

    /// Header of a slab: its first block's place.
    struct Slab {
        generation: u32,
        live: u32,
        /// First byte never handed out yet.
        fresh: u32,
        listed: bool,
        owner: *const Shard,
        free: *mut Free,
        next: *mut Slab,
        previous: *mut Slab,
    }

    /// What one shard has of one class. A1 says where each slab is.
    struct Class {
        magazine: *mut Free,
        in_magazine: u32,
        current: *mut Slab,
        partial: *mut Slab,
        spare: *mut Slab,
        spares: u32,
    }

    pub(crate) struct Shard {
        busy: AtomicU32,
        classes: UnsafeCell<[Class; CLASSES]>,
        remote: [AtomicPtr<Free>; CLASSES],
    }

    // SAFETY: A4: the raw pointers lead to slabs and blocks that only the holder of `busy`
    // touches; `remote` is a stack of blocks that nobody else refers to.
    unsafe impl Sync for Shard {}

    impl Class {
        const EMPTY: Class = Class {
            magazine: ptr::null_mut(),
            in_magazine: 0,
            current: ptr::null_mut(),
            partial: ptr::null_mut(),
            spare: ptr::null_mut(),
            spares: 0,
        };
    }

    static ARENA: [Padded<Shard>; SHARDS] = [const {
        Padded(Shard {
            busy: AtomicU32::new(0),
            classes: UnsafeCell::new([Class::EMPTY; CLASSES]),
            remote: [const { AtomicPtr::new(ptr::null_mut()) }; CLASSES],
        })
    }; SHARDS];

    /// The fork generation the shards belong to. 0, which is none, before the first use, and
    /// for ever if the environment asks for checks: one comparison decides about both.
    static GENERATION: AtomicU32 = AtomicU32::new(0);

    /// `magazine` of each class.
    const MAGAZINES: [u32; CLASSES] =
        [magazine(0), magazine(1), magazine(2), magazine(3), magazine(4)];

    static NEXT_SHARD: AtomicU32 = AtomicU32::new(0);

    /// A block of `class`, aligned to 64; None when there is no memory.
    #[inline(always)]
    pub(crate) fn allocate(class: usize) -> Option<NonNull<u8>> {
        // Relaxed: changes only while the process has one thread that knows us.
        if GENERATION.load(Ordering::Relaxed) != fork::generation() {
            return allocate_unready(class);
        }
        let shard = local::with(Busy::take);
        // SAFETY: the shard is ours; `class` is one of the classes.
        unsafe { shard.class(class).take(class, shard.0) }
    }

    #[cold]
    fn allocate_unready(class: usize) -> Option<NonNull<u8>> {
        if checks() {
            return plain::allocate(class);
        }
        follow_fork();
        allocate(class)
    }

    /// Gives a block back.
    ///
    /// # Safety
    /// `block` came from `allocate(class)` and is used no more.
    #[inline(always)]
    pub(crate) unsafe fn release(block: NonNull<u8>, class: usize) {
        let now = fork::generation();
        // Relaxed: as in `allocate`. In a forked child blocks may be the parent's.
        if GENERATION.load(Ordering::Relaxed) != now || now != 1 {
            // SAFETY: by the contract.
            return unsafe { release_unready(block, class) };
        }
        // SAFETY: by the contract.
        unsafe { release_ready(block, class) };
    }

    /// # Safety
    /// As `release`, and the block is of this process.
    #[inline(always)]
    unsafe fn release_ready(block: NonNull<u8>, class: usize) {
        let shard = local::with(Busy::take);
        // SAFETY: the shard is ours, and so is the block.
        unsafe { shard.class(class).give(block.as_ptr().cast(), class, shard.0) };
    }

    /// # Safety
    /// As `release`.
    #[cold]
    unsafe fn release_unready(block: NonNull<u8>, class: usize) {
        if checks() {
            return quarantine::release(block, class);
        }
        follow_fork();
        if generation_of(block) == fork::generation() {
            // SAFETY: by the contract, and just looked at.
            unsafe { release_ready(block, class) };
        }
        // Otherwise inherited through fork: the memory stays as it is.
    }

    /// The fork generation that allocated the live block `block`.
    pub(crate) fn generation_of(block: NonNull<u8>) -> u32 {
        if checks() {
            return plain::generation_of(block);
        }
        // SAFETY: a live block lies in a slab, whose generation never changes.
        unsafe { (*slab_of(block.as_ptr())).generation }
    }

    fn slab_of(block: *mut u8) -> *mut Slab {
        block.map_addr(|address| address & !(SLAB - 1)).cast()
    }

    /// A shard that is this thread's for a few instructions (A4).
    struct Busy<'a>(&'a Shard);

    impl<'a> Busy<'a> {
        #[inline(always)]
        fn take(local: &Local) -> Busy<'static> {
            // SAFETY: NULL, or a shard of ARENA.
            if let Some(mine) = unsafe { local.shard.get().cast::<Shard>().as_ref() } {
                if mine.try_take() {
                    return Busy(mine);
                }
            }
            Busy::take_another(local)
        }

        /// First use in this thread, or its shard is shared and busy.
        #[cold]
        fn take_another(local: &Local) -> Busy<'static> {
            loop {
                // Relaxed: a number, nothing more.
                let number = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) as usize % SHARDS;
                let shard: &'static Shard = &ARENA[number].0;
                if shard.try_take() {
                    if local.shard.get().is_null() {
                        local.shard.set(ptr::from_ref(shard).cast());
                    }
                    return Busy(shard);
                }
                spin_loop();
            }
        }

        /// # Safety
        /// `number` is below CLASSES.
        #[inline(always)]
        #[allow(clippy::mut_from_ref)] // A4
        unsafe fn class(&self, number: usize) -> &'a mut Class {
            // SAFETY: A4: ours until this goes; by the contract in bounds.
            self.0.classes.with_mut(|classes| unsafe { (*classes).get_unchecked_mut(number) })
        }
    }

    impl Drop for Busy<'_> {
        #[inline(always)]
        fn drop(&mut self) {
            // Release: pairs with `try_take`.
            self.0.busy.store(0, Ordering::Release);
        }
    }

    impl Shard {
        /// Never waits for a holder, so giving back needs no more than a store.
        #[inline(always)]
        fn try_take(&self) -> bool {
            // Acquire: pairs with the Release in Busy::drop.
            self.busy.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_ok()
        }

        /// Takes a chain of blocks of this shard's slabs, from another shard's magazine.
        ///
        /// # Safety
        /// The chain from `first` to `last` is the caller's.
        unsafe fn hand_over(&self, class: usize, first: *mut Free, last: *mut Free) {
            // SAFETY: by the contract.
            unsafe { self.push_remote(class, first, last) };
            // An owner that allocates no more would never look: do it for it, if it is
            // not at it.
            if self.try_take() {
                let busy = Busy(self);
                // SAFETY: `class` is one of the classes.
                unsafe { busy.class(class) }.collect(&self.remote[class]);
            }
        }

        /// # Safety
        /// The chain from `first` to `last` is the caller's.
        unsafe fn push_remote(&self, class: usize, first: *mut Free, last: *mut Free) {
            let stack = &self.remote[class];
            // Relaxed: the exchange publishes.
            let mut head = stack.load(Ordering::Relaxed);
            loop {
                // SAFETY: the chain is ours until the exchange hands it over.
                unsafe { (*last).next = head };
                // Release: pairs with the Acquire in `collect`, publishes the links.
                match stack.compare_exchange_weak(head, first, Ordering::Release, Ordering::Relaxed)
                {
                    Ok(_) => return,
                    Err(changed) => head = changed,
                }
            }
        }
    }

    // All of it under A4; pointers lead to slabs and blocks of the arena.
    impl Class {
        /// # Safety
        /// A4; this is class `class` of `shard`.
        #[inline(always)]
        unsafe fn take(&mut self, class: usize, shard: &Shard) -> Option<NonNull<u8>> {
            let Some(block) = NonNull::new(self.magazine) else {
                // SAFETY: by the contract.
                return unsafe { self.take_from_slabs(class, shard) };
            };
            // SAFETY: blocks in the magazine are referred to by it alone.
            self.magazine = unsafe { block.as_ref() }.next;
            self.in_magazine -= 1;
            Some(block.cast())
        }

        /// # Safety
        /// A4; this is class `class` of `shard`; the block is of this class and free.
        #[inline(always)]
        unsafe fn give(&mut self, block: *mut Free, class: usize, shard: &Shard) {
            // SAFETY: by the contract.
            unsafe { (*block).next = self.magazine };
            self.magazine = block;
            self.in_magazine += 1;
            if self.in_magazine > const { MAGAZINES }[class] {
                // SAFETY: by the contract.
                unsafe { self.flush(class, shard) };
            }
        }

        /// # Safety
        /// As `take`.
        #[inline(never)]
        unsafe fn take_from_slabs(&mut self, class: usize, shard: &Shard) -> Option<NonNull<u8>> {
            loop {
                if let Some(block) = self.take_from_current(class) {
                    return Some(block);
                }
                // SAFETY: by the contract.
                unsafe { self.refill(class, shard) }?;
            }
        }

        fn take_from_current(&mut self, class: usize) -> Option<NonNull<u8>> {
            // SAFETY: A4; a free block is referred to by its slab's list alone.
            unsafe {
                let slab = self.current.as_mut()?;
                if let Some(block) = NonNull::new(slab.free) {
                    slab.free = block.as_ref().next;
                    slab.live += 1;
                    return Some(block.cast());
                }
                let size = block_size(class) as u32;
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
        ///
        /// # Safety
        /// As `take`.
        #[cold]
        unsafe fn refill(&mut self, class: usize, shard: &Shard) -> Option<()> {
            self.collect(&shard.remote[class]);
            // SAFETY: A4.
            if unsafe { self.current.as_ref().is_some_and(|slab| !slab.free.is_null()) } {
                return Some(());
            }
            if self.partial.is_null() && self.spare.is_null() {
                self.map_region(class, shard)?;
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
        fn map_region(&mut self, class: usize, shard: &Shard) -> Option<()> {
            let slabs = if self.current.is_null() { 1 } else { REGION };
            let region = memory::map_aligned(SLAB, slabs)
                .or_else(|| memory::map_aligned(SLAB, 1).map(|(place, _)| (place, 1)));
            let (place, slabs) = region?;
            for number in 0..slabs {
                // SAFETY: within the region just mapped.
                let slab = unsafe { place.as_ptr().add(number * SLAB) }.cast::<Slab>();
                let first = block_size(class).max(size_of::<Slab>().next_multiple_of(64)) as u32;
                // SAFETY: fresh memory, larger than the header and aligned.
                unsafe {
                    slab.write(Slab {
                        // Relaxed: as in `allocate`.
                        generation: GENERATION.load(Ordering::Relaxed),
                        live: 0,
                        fresh: first,
                        listed: false,
                        owner: shard,
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

        /// Gives half of the magazine back to the slabs.
        ///
        /// # Safety
        /// As `take`.
        #[cold]
        unsafe fn flush(&mut self, class: usize, shard: &Shard) {
            let mut chain: Option<(&Shard, *mut Free, *mut Free)> = None;
            for _ in 0..self.in_magazine / 2 {
                let block = self.magazine;
                // SAFETY: A4: blocks in the magazine, which has this many; owners are
                // shards of ARENA; a chain is ours until it is pushed.
                unsafe {
                    self.magazine = (*block).next;
                    self.in_magazine -= 1;
                    let slab = slab_of(block.cast());
                    let owner = &*(*slab).owner;
                    if ptr::eq(owner, shard) {
                        self.give_back(slab, block);
                        continue;
                    }
                    chain = match chain.take() {
                        Some((same, first, last)) if ptr::eq(same, owner) => {
                            (*block).next = first;
                            Some((same, block, last))
                        }
                        other => {
                            if let Some((owner, first, last)) = other {
                                owner.hand_over(class, first, last);
                            }
                            Some((owner, block, block))
                        }
                    };
                }
            }
            if let Some((owner, first, last)) = chain {
                // SAFETY: as above.
                unsafe { owner.hand_over(class, first, last) };
            }
        }

        /// Takes back all blocks that other threads have freed.
        fn collect(&mut self, remote: &AtomicPtr<Free>) {
            // Acquire: pairs with the Release in `push_remote`.
            let mut block = remote.swap(ptr::null_mut(), Ordering::Acquire);
            while let Some(free) = NonNull::new(block) {
                // SAFETY: the swap made the whole chain ours; each block's slab belongs
                // to the shard whose remote stack this is, and that is ours, too.
                unsafe {
                    block = free.as_ref().next;
                    self.give_back(slab_of(free.as_ptr().cast()), free.as_ptr());
                }
            }
        }

        /// # Safety
        /// A4; `block` is a block of `slab` that nobody uses; the slab is of this class and
        /// shard.
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

    fn follow_fork() {
        let now = fork::generation();
        // Relaxed: as in `allocate`.
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
            for shard in &ARENA {
                shard.classes.with_mut(|classes| {
                    // SAFETY: first use, or a forked child: threads that held the shard do
                    // not exist here, and threads of the child wait below.
                    unsafe { *classes = [Class::EMPTY; CLASSES] };
                });
                for stack in &shard.remote {
                    // Relaxed, both: published by the store to GENERATION.
                    stack.store(ptr::null_mut(), Ordering::Relaxed);
                }
                shard.busy.store(0, Ordering::Relaxed);
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
    fn checks() -> bool {
        cfg!(miri) || crate::checks::wanted()
    }

    /// With checks on: freed blocks stay readable for a while, so that a second release
    /// finds the mark the first one left.
    mod quarantine {
        use super::{NonNull, plain};
        use crate::sync::Lock;

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
