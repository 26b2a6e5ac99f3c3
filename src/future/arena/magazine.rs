//! A thread's own free blocks; A4 says that nobody else touches them.

use super::slabs::{self, Chain, Free, chain_length};
use super::{plain, quarantine};
use crate::local::{self, Local, Magazine, NOWHERE};
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
    let block = NonNull::new(magazine.head.get().cast::<Free>())?;
    // SAFETY: A4: a free block in our own list.
    magazine.head.set(unsafe { block.as_ref() }.next.cast());
    magazine.room.set(magazine.room.get().wrapping_add(1));
    Some(block.cast())
}

#[cold]
#[inline(never)]
fn allocate_slowly(local: &Local, class: usize) -> Option<NonNull<u8>> {
    if checks() {
        return plain::allocate(class);
    }
    if !set_up(local) {
        // SAFETY: a chain of one block, which becomes ours.
        return slabs::take(class, 1).map(|chain| chain.first.cast());
    }
    let magazine = &local.magazines[class];
    if !magazine.head.get().is_null() {
        return take(magazine); // in a forked child
    }
    if let Some(spare) = NonNull::new(magazine.spare.replace(ptr::null_mut())) {
        magazine.head.set(spare.as_ptr());
        magazine.room.set(0);
        return take(magazine);
    }
    let wanted = magazine.wanted.get().clamp(FIRST_WANTED, chain_length(class));
    magazine.wanted.set(wanted.saturating_mul(2));
    let chain = slabs::take(class, wanted)?;
    magazine.head.set(chain.first.as_ptr().cast());
    magazine.room.set(chain_length(class).saturating_sub(chain.count));
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
    // SAFETY: by the contract the block is ours, and large enough.
    unsafe { (*block.as_ptr()).next = magazine.head.get().cast() };
    magazine.head.set(block.as_ptr().cast());
    let room = magazine.room.get().wrapping_sub(1);
    magazine.room.set(room);
    if room == 0 {
        make_room(magazine, class);
    }
}

/// The list has grown to a chain: it becomes the spare, and that goes to the depot.
#[cold]
#[inline(never)]
fn make_room(magazine: &Magazine, class: usize) {
    let full = magazine.head.replace(ptr::null_mut());
    let count = chain_length(class);
    magazine.room.set(count);
    if let Some(spare) = NonNull::new(magazine.spare.replace(full)) {
        // SAFETY: A4: a whole chain of ours.
        unsafe { slabs::give(class, Chain { first: spare.cast(), count }) };
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
        let block = block.cast::<Free>();
        // SAFETY: by the contract: ours, a chain of one.
        unsafe {
            (*block.as_ptr()).next = ptr::null_mut();
            slabs::give(class, Chain { first: block, count: 1 });
        }
    }
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
    for (class, magazine) in local.magazines.iter().enumerate() {
        // A parent's blocks are not ours to use.
        magazine.head.set(ptr::null_mut());
        magazine.room.set(chain_length(class));
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
            let spare = magazine.spare.replace(ptr::null_mut());
            let rest = magazine.head.replace(ptr::null_mut());
            let whole = chain_length(class);
            let count = whole - magazine.room.replace(whole);
            for (list, count) in [(spare, whole), (rest, count)] {
                if let Some(first) = NonNull::new(list.cast()) {
                    // SAFETY: A4: our own blocks, given up here.
                    unsafe { slabs::give(class, Chain { first, count }) };
                }
            }
        }
    });
}
