//! A reference-counted value whose creation can fail. Open to all rooms.
//!
//! `std::sync::Arc` ends the process when there is no memory.

use crate::platform::memory;
use crate::sync::{AtomicUsize, Ordering};
use std::ops::Deref;
use std::ptr::NonNull;

pub(crate) struct Shared<T>(NonNull<Inner<T>>);

struct Inner<T> {
    count: AtomicUsize,
    value: T,
}

// SAFETY: like Arc: the value is shared by reference and may be dropped by any thread.
unsafe impl<T: Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// None, and the value dropped, when there is no memory.
    pub(crate) fn try_new(value: T) -> Option<Shared<T>> {
        memory::try_box(Inner { count: AtomicUsize::new(1), value }).ok().map(Shared)
    }

    fn inner(&self) -> &Inner<T> {
        // SAFETY: a Shared holds a count, so the value is alive.
        unsafe { self.0.as_ref() }
    }

    /// As a raw pointer that keeps its count; `from_raw` takes it back.
    pub(crate) fn into_raw(self) -> *const T {
        // Not by way of a reference to the value: `from_raw` goes on to what stands beside it.
        // SAFETY: a Shared holds a count, so the value is alive.
        let value: *const T = unsafe { &raw const (*self.0.as_ptr()).value };
        std::mem::forget(self);
        value
    }

    /// # Safety
    /// `value` came from `into_raw`, and the count it stands for is not used otherwise.
    pub(crate) unsafe fn from_raw(value: *const T) -> Shared<T> {
        let offset = std::mem::offset_of!(Inner<T>, value);
        // SAFETY: by the contract `value` is the field of a live Inner.
        let inner = unsafe { value.byte_sub(offset) }.cast_mut().cast::<Inner<T>>();
        // SAFETY: derived from a NonNull.
        Shared(unsafe { NonNull::new_unchecked(inner) })
    }

    /// The value alone, if this is the only reference.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        // Acquire: pairs with the Release of other references' drops.
        if self.inner().count.load(Ordering::Acquire) != 1 {
            return None;
        }
        // SAFETY: the only reference, borrowed uniquely.
        Some(unsafe { &mut self.0.as_mut().value })
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        // Relaxed: a new reference from an existing one publishes nothing.
        if self.inner().count.fetch_add(1, Ordering::Relaxed) > usize::MAX / 2 {
            crate::unwind::die("a shared object has too many references: a handle leaks");
        }
        Shared(self.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.inner().value
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire below in the last drop; uses through this
        // reference come before the destruction.
        if self.inner().count.fetch_sub(1, Ordering::Release) == 1 {
            // Acquire: pairs with the Releases of all other drops.
            let _ = self.inner().count.load(Ordering::Acquire);
            // SAFETY: the last reference; the memory came from try_box.
            unsafe { memory::drop_box(self.0) };
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn counts_and_raw_trips() {
        let mut value = Shared::try_new(vec![1]).expect("memory");
        value.get_mut().expect("sole owner").push(2);
        let mut other = value.clone();
        assert!(other.get_mut().is_none());
        drop(value);
        let raw = other.into_raw();
        // SAFETY: just made by into_raw.
        let mut again = unsafe { Shared::from_raw(raw) };
        assert_eq!(again.len(), 2);
        assert!(again.get_mut().is_some());
    }
}
