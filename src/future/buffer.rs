//! Shared blocks of bytes: arguments and results that are handed over, not copied.

use super::cell::FreeFn;
use super::due;
use crate::platform::memory;
use crate::sync::{AtomicPtr, AtomicUsize, Ordering};
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// Alignment of the bytes of buffers we allocate.
const ALIGN: usize = 64;

pub(crate) struct Buffer {
    references: AtomicUsize,
    data: *mut c_void,
    size: usize,
    source: Source,
    /// Link of the due list, once the last reference is gone.
    pub(super) due: AtomicPtr<()>,
}

/// Where the bytes came from, and so how they go.
enum Source {
    /// Allocated here with `ALIGN`; size 0 has no bytes.
    Ours,
    /// The user's, with a free function and its argument.
    Wrapped(Option<FreeFn>, *mut c_void),
}

// SAFETY: the bytes are the users' to synchronize (said in the header); the free function
// and its argument may be used by any thread, as the header says.
unsafe impl Send for Buffer {}
// SAFETY: as above.
unsafe impl Sync for Buffer {}

/// One counted reference to a buffer.
#[repr(transparent)]
pub(crate) struct BufferRef(NonNull<Buffer>);

// SAFETY: see Buffer; the count is atomic.
unsafe impl Send for BufferRef {}
// SAFETY: as above.
unsafe impl Sync for BufferRef {}

impl BufferRef {
    /// `size` zeroed bytes. None when there is no memory.
    pub(crate) fn new(size: usize) -> Option<BufferRef> {
        let data = match size {
            0 => ptr::null_mut(),
            _ => memory::allocate_zeroed(size, ALIGN)?.as_ptr(),
        };
        let made = BufferRef::make(data.cast(), size, Source::Ours);
        if made.is_none() {
            // SAFETY: just allocated, known to nobody.
            unsafe { free_ours(data.cast(), size) };
        }
        made
    }

    /// The user's bytes. None when there is no memory: they stay the caller's.
    pub(crate) fn wrap(
        data: *mut c_void,
        size: usize,
        free: Option<FreeFn>,
        argument: *mut c_void,
    ) -> Option<BufferRef> {
        BufferRef::make(data, size, Source::Wrapped(free, argument))
    }

    fn make(data: *mut c_void, size: usize, source: Source) -> Option<BufferRef> {
        let due = AtomicPtr::new(ptr::null_mut());
        memory::try_box(Buffer { references: AtomicUsize::new(1), data, size, source, due })
            .ok()
            .map(BufferRef)
    }

    pub(crate) fn data(&self) -> *mut c_void {
        self.buffer().data
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer().size
    }

    fn buffer(&self) -> &Buffer {
        // SAFETY: this object's reference keeps it alive.
        unsafe { self.0.as_ref() }
    }

    /// # Safety
    /// One counted reference to a live buffer becomes this object's.
    pub(crate) unsafe fn from_raw(buffer: NonNull<Buffer>) -> BufferRef {
        BufferRef(buffer)
    }

    /// The reference as a bare pointer; `from_raw` takes it back.
    pub(crate) fn into_raw(self) -> NonNull<Buffer> {
        std::mem::ManuallyDrop::new(self).0
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Buffer> {
        self.0
    }
}

impl Clone for BufferRef {
    fn clone(&self) -> BufferRef {
        // Relaxed: a reference from an existing one publishes nothing.
        self.buffer().references.fetch_add(1, Ordering::Relaxed);
        BufferRef(self.0)
    }
}

impl Drop for BufferRef {
    fn drop(&mut self) {
        // Release: pairs with the Acquire below in the last drop; uses through this
        // reference come before the end of the bytes.
        if self.buffer().references.fetch_sub(1, Ordering::Release) != 1 {
            return;
        }
        // Acquire: pairs with the Releases of all other drops.
        let _ = self.buffer().references.load(Ordering::Acquire);
        match self.buffer().source {
            // SAFETY: the last reference is gone and the due list takes the buffer over.
            Source::Wrapped(Some(_), _) => unsafe { due::push_buffer(self.0) },
            // SAFETY: as above, and there is nothing of the user's to free.
            _ => unsafe { dismantle(self.0) },
        }
    }
}

impl Buffer {
    /// The user's free function and its argument.
    pub(super) fn to_free(&self) -> Option<(FreeFn, *mut c_void)> {
        match self.source {
            Source::Wrapped(Some(free), argument) => Some((free, argument)),
            _ => None,
        }
    }
}

/// Frees our memory of a buffer.
///
/// # Safety
/// No reference is left, and the user's free function has been called if there is one.
pub(super) unsafe fn dismantle(buffer: NonNull<Buffer>) {
    // SAFETY: by the contract nobody else looks.
    let (data, size, ours) = unsafe {
        let buffer = buffer.as_ref();
        (buffer.data, buffer.size, matches!(buffer.source, Source::Ours))
    };
    if ours {
        // SAFETY: allocated in `new` with this size; by the contract used no more.
        unsafe { free_ours(data, size) };
    }
    // SAFETY: made by try_box; used no more.
    unsafe { memory::drop_box(buffer) };
}

/// # Safety
/// `data` was allocated by `BufferRef::new` for `size` bytes, or is NULL for none.
unsafe fn free_ours(data: *mut c_void, size: usize) {
    if let Some(data) = NonNull::new(data.cast::<u8>()) {
        // SAFETY: by the contract.
        unsafe { memory::release(data, size, ALIGN) };
    }
}
