//! Lists of free blocks in which six of seven blocks are not touched.
//!
//! A block that was freed by one processor lies in that one's cache. A list linked through all
//! its blocks has whoever takes them wait for one after the other, for each says where the
//! next one is. Here every seventh block is a *node*: it names the six blocks put in after it. When a
//! node comes to the top, its six blocks and the node below are fetched, all at once.
//!
//! L1. The nodes below the top one are full. An empty list has no node and `fill` is NOTHING.
//! L2. A list belongs to whoever may touch what it lies in (A4).

use crate::local::Blocks;
use crate::platform::cpu::prefetch_to_write;
use std::ptr::{self, NonNull};

/// Blocks that a node names.
const NAMED: usize = 6;
/// Blocks that a full node stands for.
pub(super) const PER_NODE: u32 = NAMED as u32 + 1;
/// `fill` of an empty list: as little as 0 is it a place to take from or, as NAMED, one to put to.
const NOTHING: usize = usize::MAX;

/// A free block. The first word is left alone (A3).
#[repr(C)]
pub(super) struct Free {
    word: u64,
    /// Of a node: the one below.
    next: *mut Free,
    /// Of a node.
    named: [*mut Free; NAMED],
}

const _: () = assert!(size_of::<Free>() == super::HEAD);

impl Free {
    /// The blocks that a full node names, and the node below, will be taken soon.
    #[inline(always)]
    fn prefetch(&self) {
        prefetch_to_write(self.next);
        self.named.iter().for_each(|&block| prefetch_to_write(block));
    }

    /// Where the top of a whole chain says which chain is next: in a block that it names.
    ///
    /// # Safety
    /// `top` is a full node of the caller's.
    pub(super) unsafe fn next_chain(top: NonNull<Free>) -> *mut *mut Free {
        // SAFETY: by the contract: named blocks are free, and hold nothing.
        unsafe { &raw mut (*top.as_ref().named[0]).next }
    }
}

impl Blocks {
    pub(super) fn empty() -> Blocks {
        Blocks::new(ptr::null_mut(), NOTHING, 0)
    }

    /// A list of `nodes` full nodes.
    ///
    /// # Safety
    /// `top` leads to that many, which become the list's.
    pub(super) unsafe fn whole(top: NonNull<Free>, nodes: u32) -> Blocks {
        // SAFETY: by the contract.
        unsafe { top.as_ref() }.prefetch();
        Blocks::new(top.as_ptr().cast(), NAMED, nodes)
    }

    /// The top node, if the list is `nodes` full ones.
    pub(super) fn as_whole(&self, nodes: u32) -> Option<NonNull<Free>> {
        let top = NonNull::new(self.top.get().cast())?;
        (self.fill.get() == NAMED && self.nodes.get() == nodes).then_some(top)
    }

    pub(super) fn set(&self, other: Blocks) {
        self.top.set(other.top.get());
        self.fill.set(other.fill.get());
        self.nodes.set(other.nodes.get());
    }

    /// Empties the list; what was in it.
    pub(super) fn take_all(&self) -> Blocks {
        let all = Blocks::new(self.top.get(), self.fill.get(), self.nodes.get());
        self.set(Blocks::empty());
        all
    }

    pub(super) fn count(&self) -> u32 {
        match self.nodes.get() {
            0 => 0,
            nodes => (nodes - 1) * PER_NODE + 1 + self.fill.get() as u32,
        }
    }

    /// Whether the next block that is put in begins a node.
    #[inline(always)]
    pub(super) fn needs_node(&self) -> bool {
        self.fill.get() >= NAMED
    }

    /// Puts a block in, as a name.
    ///
    /// # Safety
    /// The list is the caller's and does not need a node; the block is free and becomes the
    /// list's.
    #[inline(always)]
    pub(super) unsafe fn name(&self, block: NonNull<Free>) {
        let (top, fill) = (self.top.get().cast::<Free>(), self.fill.get());
        // SAFETY: L1: with less than NAMED there is a top node, and a place in it.
        unsafe { (&raw mut (*top).named).cast::<*mut Free>().add(fill).write(block.as_ptr()) };
        self.fill.set(fill + 1);
    }

    /// Puts a block in, as a node.
    ///
    /// # Safety
    /// As `name`, but the list does need a node.
    #[inline(always)]
    pub(super) unsafe fn add_node(&self, block: NonNull<Free>) {
        // SAFETY: by the contract the block is free and the list's.
        unsafe { (*block.as_ptr()).next = self.top.get().cast() };
        self.top.set(block.as_ptr().cast());
        self.fill.set(0);
        self.nodes.set(self.nodes.get() + 1);
    }

    /// Puts a block in.
    ///
    /// # Safety
    /// The list is the caller's; the block is free and becomes the list's.
    pub(super) unsafe fn put(&self, block: NonNull<Free>) {
        if self.needs_node() {
            // SAFETY: by the contract.
            unsafe { self.add_node(block) };
        } else {
            // SAFETY: by the contract.
            unsafe { self.name(block) };
        }
    }

    /// Takes a block out.
    ///
    /// # Safety
    /// The list is the caller's.
    #[inline(always)]
    pub(super) unsafe fn take(&self) -> Option<NonNull<Free>> {
        let place = self.fill.get().wrapping_sub(1);
        if place >= NAMED {
            // SAFETY: by the contract.
            return unsafe { self.take_node() };
        }
        let top = self.top.get().cast::<Free>();
        self.fill.set(place);
        // SAFETY: L1: the places below `fill` are filled.
        unsafe {
            let names = (&raw const (*top).named).cast::<*mut Free>();
            Some(NonNull::new_unchecked(names.add(place).read()))
        }
    }

    /// The node that has come to the top is the next block, or there is none.
    ///
    /// # Safety
    /// As `take`; the top node names nothing.
    #[inline(always)]
    unsafe fn take_node(&self) -> Option<NonNull<Free>> {
        let node = NonNull::new(self.top.get().cast::<Free>())?;
        // SAFETY: L1: the list leads to free blocks of its own, the lower ones nodes.
        let next = unsafe { node.as_ref() }.next;
        self.top.set(next.cast());
        self.nodes.set(self.nodes.get() - 1);
        // SAFETY: L1: a full node.
        match unsafe { next.as_ref() } {
            None => self.fill.set(NOTHING),
            Some(next) => {
                self.fill.set(NAMED);
                next.prefetch();
            }
        }
        Some(node)
    }
}
