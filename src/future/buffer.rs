//! Shared blocks of bytes: arguments and results that are handed over, not copied.
//!
//! Bytes in an area are seen by other processes, too. Who made the area (a pool of areas, or the
//! user) and who only reads it say at its end what becomes of it: `AtEnd`.

use super::cell::FreeFn;
use super::due;
use crate::platform::area::Area;
use crate::platform::fd::Fd;
use crate::platform::{Errno, memory};
use crate::shared::Shared;
use crate::sync::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
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
    /// Memory that other processes map.
    Area(InArea),
}

struct InArea {
    area: Shared<Area>,
    /// To be sent to other processes, where it is this one's to send.
    fd: Option<Fd>,
    /// The user knows it as a buffer; else only its bytes are shown.
    visible: bool,
    origin: Origin,
    /// An `AtEnd`.
    at_end: AtomicU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// A pool of areas here, or a result from another process.
    Pool,
    /// Made for this buffer, by the user.
    User,
    /// Another process, which has lent it.
    Lent,
}

/// What the last reference to a buffer says of its area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum AtEnd {
    /// May be used for other bytes by whoever made it.
    Free = 0,
    /// Nothing: whoever it was handed to says that.
    Leave = 1,
    /// Made for this buffer, which was the only one.
    Dead = 2,
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

    /// `size` zeroed bytes that process workers map. An empty one needs no area.
    pub(crate) fn shared(size: usize) -> Result<BufferRef, Errno> {
        let no_memory = Errno(libc::ENOMEM);
        if size == 0 {
            return BufferRef::new(0).ok_or(no_memory);
        }
        let (area, fd) = Area::create(size)?;
        let area = Shared::try_new(area).ok_or(no_memory)?;
        BufferRef::in_area(area, Some(fd), size, true, Origin::User).ok_or(no_memory)
    }

    /// The first `size` bytes of an area, which may be used for others at the end of the
    /// buffer; `visible`: the user sees a buffer, not just bytes. None when there is no memory.
    pub(crate) fn of_area(
        area: Shared<Area>,
        fd: Option<Fd>,
        size: usize,
        visible: bool,
    ) -> Option<BufferRef> {
        debug_assert!(size <= area.size());
        BufferRef::in_area(area, fd, size, visible, Origin::Pool)
    }

    /// The same of an area of another process's, which lends the bytes for a task.
    pub(crate) fn of_lent_area(
        area: Shared<Area>,
        size: usize,
        visible: bool,
    ) -> Option<BufferRef> {
        debug_assert!(size <= area.size());
        BufferRef::in_area(area, None, size, visible, Origin::Lent)
    }

    fn in_area(
        area: Shared<Area>,
        fd: Option<Fd>,
        size: usize,
        visible: bool,
        origin: Origin,
    ) -> Option<BufferRef> {
        let data = area.data().as_ptr().cast();
        let at_end = match origin {
            Origin::Pool => AtEnd::Free,
            Origin::User => AtEnd::Dead,
            Origin::Lent => AtEnd::Leave,
        };
        let at_end = AtomicU32::new(at_end as u32);
        BufferRef::make(data, size, Source::Area(InArea { area, fd, visible, origin, at_end }))
    }

    /// The area that the bytes lie in, at its start.
    pub(crate) fn area(&self) -> Option<&Shared<Area>> {
        match &self.buffer().source {
            Source::Area(place) => Some(&place.area),
            _ => None,
        }
    }

    /// The descriptor of that area, as long as the buffer lives.
    pub(crate) fn area_fd(&self) -> Option<&Fd> {
        match &self.buffer().source {
            Source::Area(place) => place.fd.as_ref(),
            _ => None,
        }
    }

    /// Whether the user knows this as a buffer.
    pub(crate) fn is_visible(&self) -> bool {
        !matches!(&self.buffer().source, Source::Area(InArea { visible: false, .. }))
    }

    /// Whether its area was made for it alone, by the user.
    pub(crate) fn is_of_the_user(&self) -> bool {
        matches!(&self.buffer().source, Source::Area(InArea { origin: Origin::User, .. }))
    }

    /// Whether its area is another process's, which has lent it.
    pub(crate) fn is_lent(&self) -> bool {
        matches!(&self.buffer().source, Source::Area(InArea { origin: Origin::Lent, .. }))
    }

    /// Somebody else was given the area, and will see to its end.
    pub(crate) fn hand_area_over(&self) {
        if let Source::Area(place) = &self.buffer().source {
            // Relaxed: read by the last drop, which comes after this reference's.
            place.at_end.store(AtEnd::Leave as u32, Ordering::Relaxed);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        let buffer = self.buffer();
        if buffer.data.is_null() {
            return &[];
        }
        // SAFETY: so many bytes, as long as the buffer; the header leaves it to the users not to
        // write what a task or its executor reads.
        unsafe { std::slice::from_raw_parts(buffer.data.cast(), buffer.size) }
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
    let this = unsafe { buffer.as_ref() };
    match &this.source {
        // SAFETY: allocated in `new` with this size; by the contract used no more.
        Source::Ours => unsafe { free_ours(this.data, this.size) },
        Source::Wrapped(..) => {}
        // Relaxed: see `hand_area_over`.
        Source::Area(place) => match place.at_end.load(Ordering::Relaxed) {
            end if end == AtEnd::Free as u32 => place.area.mark_free(),
            end if end == AtEnd::Dead as u32 => place.area.mark_dead(),
            _ => {}
        },
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
