//! Memory from the system, always fallible.
//!
//! Everything goes through the C library's allocator, so that a preloaded allocator,
//! valgrind and the sanitizers see all of it; only slabs are mapped, see `future::arena`.

use crate::platform::fault::{self, Site};
use std::alloc::Layout;
use std::ffi::CStr;
use std::ptr::NonNull;

/// `size` bytes aligned to `align`; None when there is no memory. Size 0 is refused.
pub(crate) fn allocate(size: usize, align: usize) -> Option<NonNull<u8>> {
    let layout = layout(size, align)?;
    // SAFETY: `layout` has a size other than zero.
    let place = NonNull::new(unsafe { std::alloc::alloc(layout) });
    #[cfg(loom)]
    tracked::note(place, layout);
    place
}

/// As `allocate`, zeroed.
pub(crate) fn allocate_zeroed(size: usize, align: usize) -> Option<NonNull<u8>> {
    let layout = layout(size, align)?;
    // SAFETY: `layout` has a size other than zero.
    let place = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) });
    #[cfg(loom)]
    tracked::note(place, layout);
    place
}

fn layout(size: usize, align: usize) -> Option<Layout> {
    if size == 0 || fault::fails(Site::Memory) {
        return None;
    }
    Layout::from_size_align(size, align).ok()
}

/// Gives back memory of `allocate` or `allocate_zeroed`.
///
/// # Safety
/// `pointer` came from one of them with this `size` and `align`, and is used no more.
pub(crate) unsafe fn release(pointer: NonNull<u8>, size: usize, align: usize) {
    // SAFETY: by the contract the layout is the one of the allocation.
    let layout = unsafe { Layout::from_size_align_unchecked(size, align) };
    #[cfg(loom)]
    // SAFETY: by the contract.
    unsafe {
        tracked::release(pointer, layout);
    }
    #[cfg(not(loom))]
    // SAFETY: by the contract.
    unsafe {
        std::alloc::dealloc(pointer.as_ptr(), layout);
    }
}

/// In models: what is allocated, so that a run that leaves something behind fails, and what
/// was released, filled with rubbish and kept to the end of the run, so that a use after
/// the release fails. All threads of a model are one thread of the system.
#[cfg(loom)]
pub(crate) mod tracked {
    use super::{Layout, NonNull};
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    #[derive(Default)]
    struct Blocks {
        live: BTreeMap<usize, Layout>,
        released: Vec<(NonNull<u8>, Layout)>,
    }

    thread_local! {
        static BLOCKS: RefCell<Blocks> = RefCell::default();
    }

    pub(super) fn note(place: Option<NonNull<u8>>, layout: Layout) {
        let Some(place) = place else { return };
        BLOCKS.with_borrow_mut(|blocks| blocks.live.insert(place.as_ptr().addr(), layout));
    }

    /// # Safety
    /// As `super::release`.
    pub(super) unsafe fn release(place: NonNull<u8>, layout: Layout) {
        const RUBBISH: u8 = 0xD7;
        let known = BLOCKS.with_borrow_mut(|blocks| {
            blocks.released.push((place, layout));
            blocks.live.remove(&place.as_ptr().addr())
        });
        assert_eq!(known, Some(layout), "released twice, or with another size");
        // SAFETY: by the contract.
        unsafe { place.as_ptr().write_bytes(RUBBISH, layout.size()) };
    }

    /// Between two runs: nothing may be left; what was released goes.
    #[cfg(test)]
    pub(crate) fn check() {
        let left = BLOCKS.with_borrow(|blocks| blocks.live.values().copied().collect::<Vec<_>>());
        assert!(left.is_empty(), "not released: {left:?}");
        forget();
    }

    /// Starts anew, whatever there is.
    #[cfg(test)]
    pub(crate) fn forget() {
        let blocks = BLOCKS.take();
        for (place, layout) in blocks.released {
            // SAFETY: allocated with this layout, and released for good by its owner.
            unsafe { std::alloc::dealloc(place.as_ptr(), layout) };
        }
    }
}

/// A boxed `value`, or the value back when there is no memory.
pub(crate) fn try_box<T>(value: T) -> Result<NonNull<T>, T> {
    const { assert!(size_of::<T>() != 0) }
    match allocate(size_of::<T>(), align_of::<T>()) {
        Some(place) => {
            let place = place.cast::<T>();
            // SAFETY: fresh memory of the size and alignment of T.
            unsafe { place.write(value) };
            Ok(place)
        }
        None => Err(value),
    }
}

/// Drops and frees what `try_box` made.
///
/// # Safety
/// `place` came from `try_box` and nobody uses it any more.
pub(crate) unsafe fn drop_box<T>(place: NonNull<T>) {
    // SAFETY: by the contract; the value is read out once, then its memory goes.
    let value = unsafe { place.read() };
    // SAFETY: as above.
    unsafe { release(place.cast(), size_of::<T>(), align_of::<T>()) };
    drop(value);
}

/// Maps `count` pieces of `size` bytes, one after the other, aligned to `size`, a power of two
/// of at least a page; zeroed, with the pages provided in one go where the kernel can.
pub(crate) fn map_aligned(size: usize, count: usize) -> Option<(NonNull<u8>, usize)> {
    if fault::fails(Site::Memory) {
        return None;
    }
    // One piece more always contains aligned ones; what is left over goes back.
    let wanted = size * count;
    let raw = map(wanted + size)?;
    let start = raw.as_ptr().addr();
    let aligned = (start + size - 1) & !(size - 1);
    unmap_range(start, aligned - start);
    unmap_range(aligned + wanted, start + size - aligned);
    let place = NonNull::new(raw.as_ptr().with_addr(aligned))?;
    // SAFETY: a range just mapped; failure (an older kernel) only costs page faults.
    unsafe { libc::madvise(place.as_ptr().cast(), wanted, libc::MADV_POPULATE_WRITE) };
    Some((place, count))
}

/// # Safety
/// `place` is (a piece of) what `map_aligned` mapped, of this `size`, and is used no more.
pub(crate) unsafe fn unmap(place: NonNull<u8>, size: usize) {
    unmap_range(place.as_ptr().addr(), size);
}

fn map(size: usize) -> Option<NonNull<u8>> {
    // SAFETY: an anonymous private mapping at an address of the kernel's choice.
    let place = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    if place == libc::MAP_FAILED { None } else { NonNull::new(place.cast()) }
}

fn unmap_range(start: usize, size: usize) {
    if size != 0 {
        // SAFETY: private to this file: always (part of) a mapping of `map` that the
        // caller gives up.
        unsafe { libc::munmap(std::ptr::without_provenance_mut(start), size) };
    }
}

/// Reads the start of a small file of the kernel's; the number of bytes read.
pub(crate) fn read_small_file(path: &CStr, into: &mut [u8]) -> Option<usize> {
    super::thread::without_cancellation(|| read_start(path, into))
}

fn read_start(path: &CStr, into: &mut [u8]) -> Option<usize> {
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    let mut filled = 0;
    while filled < into.len() {
        let rest = &mut into[filled..];
        // SAFETY: writes at most `rest.len()` bytes into `rest`.
        let read = unsafe { libc::read(fd, rest.as_mut_ptr().cast(), rest.len()) };
        match read {
            1.. => filled += read as usize,
            0 => break,
            _ if super::super::Errno::last().0 == libc::EINTR => {}
            _ => break,
        }
    }
    // SAFETY: our own descriptor, closed once.
    unsafe { libc::close(fd) };
    Some(filled)
}
