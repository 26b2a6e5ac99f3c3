//! A thread's own free blocks; A4 says that nobody else touches them.

use super::list::{Free, PER_NODE};
use super::slabs::{self, chain_nodes};
use super::{plain, quarantine};
use crate::local::{self, Blocks, Local, Magazine, NOWHERE};
use crate::platform::{fork, thread};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// Blocks a thread fetches at first; later twice as many each time, up to a chain.
const FIRST_WANTED: u32 = 16;

/// A block of `class`, aligned to 64; None when there is no memory.
#[inline(always)]
pub(crate) fn allocate(class: usize) -> Option<NonNull<u8>> {
    local::with(|local| match take_ready(local, class) {
        None => allocate_slowly(local, class),
        block => block,
    })
}

/// A block of `class` if the thread has one at hand and `is_ready`.
#[inline(always)]
pub(crate) fn take_ready(local: &Local, class: usize) -> Option<NonNull<u8>> {
    if is_ready(local) { take(&local.magazines[class]) } else { None }
}

#[inline(always)]
fn take(magazine: &Magazine) -> Option<NonNull<u8>> {
    // SAFETY: A4: the magazine is this thread's own.
    unsafe { magazine.blocks.take() }.map(NonNull::cast)
}

#[cold]
#[inline(never)]
fn allocate_slowly(local: &Local, class: usize) -> Option<NonNull<u8>> {
    if checks() {
        return plain::allocate(class);
    }
    if !set_up(local) {
        // SAFETY: the only block of a list that is ours.
        return unsafe { slabs::take(class, 1)?.take() }.map(NonNull::cast);
    }
    let magazine = &local.magazines[class];
    if let Some(block) = take(magazine) {
        return Some(block); // in a forked child
    }
    if let Some(spare) = NonNull::new(magazine.spare.replace(ptr::null_mut()).cast()) {
        // SAFETY: A4: a whole chain of ours.
        magazine.blocks.set(unsafe { Blocks::whole(spare, chain_nodes(class)) });
        return take(magazine);
    }
    let whole = chain_nodes(class) * PER_NODE;
    let wanted = magazine.wanted.get().clamp(FIRST_WANTED.min(whole), whole);
    magazine.wanted.set(wanted.saturating_mul(2));
    magazine.blocks.set(slabs::take(class, wanted)?);
    take(magazine)
}

/// Gives a block back.
///
/// # Safety
/// `block` came from `allocate(class)` and is used no more.
#[inline(always)]
pub(crate) unsafe fn release(block: NonNull<u8>, class: usize) {
    local::with(|local| {
        if is_ready(local) {
            // SAFETY: by the contract.
            unsafe { give_ready(local, block, class) };
        } else {
            // SAFETY: by the contract.
            unsafe { release_slowly(local, block, class) };
        }
    });
}

/// Whether the thread has magazines, in the process that loaded the library. In a forked child
/// more has to be looked at: a block may be the parent's.
#[inline(always)]
pub(crate) fn is_ready(local: &Local) -> bool {
    local.process.get().is(1)
}

/// As `release`, where `is_ready`.
///
/// # Safety
/// As `release`.
#[inline(always)]
pub(crate) unsafe fn give_ready(local: &Local, block: NonNull<u8>, class: usize) {
    // SAFETY: by the contract.
    unsafe { give(&local.magazines[class], block, class) };
}

/// # Safety
/// As `release`, and the block is of this process; the magazine is this thread's.
#[inline(always)]
unsafe fn give(magazine: &Magazine, block: NonNull<u8>, class: usize) {
    let block = block.cast::<Free>();
    if !magazine.blocks.needs_node() {
        // SAFETY: by the contract, A4, and just looked at.
        unsafe { magazine.blocks.name(block) };
    } else if magazine.blocks.nodes.get() == chain_nodes(class) {
        // SAFETY: by the contract.
        unsafe { begin_anew(block, magazine, class) };
    } else {
        // SAFETY: by the contract, A4, and just looked at.
        unsafe { magazine.blocks.add_node(block) };
    }
}

/// The list has grown to a chain: it becomes the spare, and that goes to the depot.
///
/// # Safety
/// As `give`.
#[cold]
#[inline(never)]
unsafe fn begin_anew(block: NonNull<Free>, magazine: &Magazine, class: usize) {
    let full = magazine.blocks.take_all();
    // SAFETY: by the contract, A4.
    unsafe { magazine.blocks.add_node(block) };
    if let Some(spare) = NonNull::new(magazine.spare.replace(full.top.get()).cast()) {
        // SAFETY: A4: a whole chain of ours.
        unsafe { slabs::give(class, Blocks::whole(spare, chain_nodes(class))) };
    }
}

/// # Safety
/// As `release`.
#[cold]
#[inline(never)]
unsafe fn release_slowly(local: &Local, block: NonNull<u8>, class: usize) {
    if checks() {
        return quarantine::release(block, class);
    }
    let ready = set_up(local);
    if generation_of(block) != fork::generation() {
        return; // inherited through fork: the memory stays as it is
    }
    if ready {
        // SAFETY: by the contract, and just looked at.
        unsafe { give(&local.magazines[class], block, class) };
    } else {
        let one = Blocks::empty();
        // SAFETY: by the contract: ours, and so is the list.
        unsafe {
            one.put(block.cast());
            slabs::give(class, one);
        }
    }
}

/// What is kept for another burst of tasks, but for a little, goes back to the system. Slow.
pub(crate) fn trim() {
    if !checks() {
        slabs::follow_fork();
        slabs::trim();
    }
}

/// Whether there may be something to `trim`, now or when what is in use has been released.
pub(crate) fn is_ample() -> bool {
    slabs::is_ample()
}

/// The fork generation that allocated the live block `block`.
pub(crate) fn generation_of(block: NonNull<u8>) -> u32 {
    if checks() { plain::generation_of(block) } else { slabs::generation_of(block) }
}

/// Whether blocks are plain allocations in this process.
pub(super) fn checks() -> bool {
    cfg!(miri) || crate::checks::wanted()
}

/// Makes the thread's magazines usable in this process; false: the thread cannot have any,
/// because nothing would empty them when it ends.
fn set_up(local: &Local) -> bool {
    let now = fork::generation();
    if local.generation.get() == now {
        return true;
    }
    fork::watch();
    slabs::follow_fork();
    for magazine in &local.magazines {
        // A parent's blocks are not ours to use.
        magazine.blocks.set(Blocks::empty());
        magazine.spare.set(ptr::null_mut());
    }
    let lasts = thread::at_thread_end(empty);
    local.generation.set(if lasts { now } else { 0 });
    local.process.set(if lasts { fork::word() } else { &NOWHERE });
    lasts
}

/// The thread ends: its blocks go to the depots.
unsafe extern "C" fn empty(_: *mut c_void) {
    local::with(|local| {
        local.process.set(&NOWHERE);
        if local.generation.replace(0) != fork::generation() {
            return;
        }
        for (class, magazine) in local.magazines.iter().enumerate() {
            // SAFETY: A4: our own blocks, given up here.
            unsafe {
                slabs::give(class, magazine.blocks.take_all());
                if let Some(spare) = NonNull::new(magazine.spare.replace(ptr::null_mut()).cast()) {
                    slabs::give(class, Blocks::whole(spare, chain_nodes(class)));
                }
            }
        }
    });
}
