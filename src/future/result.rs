//! The result of a cell: what it can be, how it is written and read.

use super::arena;
use super::buffer::BufferRef;
use super::cell::{FreeFn, Front, NO_BACK, NO_FRONT, TaskCell, TaskRef, Word, number};
use super::state::{self, Outcome, PayloadBits, Snapshot};
use crate::sync::Ordering;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

/// What the result is. In `front`, but for the inline length, which is in the word.
pub(crate) enum Payload {
    /// No result.
    None,
    /// Zero bytes, set as such.
    Empty,
    /// Up to 16 bytes in `front` itself.
    Inline([Word; 2], usize),
    /// Bytes of `arena::allocate_bytes`.
    Heap(NonNull<u8>, usize),
    /// A pointer of the user's with its free function.
    Value(*mut c_void, Option<FreeFn>),
    Buffer(BufferRef),
    /// Everything but the outcome is looked up in another future.
    Alias(TaskRef),
}

// From 4 on there is something to free: see `Snapshot::is_plain`.
const EMPTY: u32 = 1;
const INLINE: u32 = 2;
const HEAP: u32 = 4;
const VALUE: u32 = 5;
const BUFFER: u32 = 6;
const ALIAS: u32 = 7;

/// Longest result that needs no memory of its own.
pub(crate) const INLINE_RESULT: usize = 16;

impl TaskCell {
    /// Writes the result; the answer goes into the word.
    ///
    /// # Safety
    /// The caller holds LOCK, the future is not settled and nothing is recorded.
    pub(super) unsafe fn write_payload(&self, payload: Payload) -> PayloadBits {
        let (kind, front, inline) = match payload {
            Payload::None => return PayloadBits::NONE,
            Payload::Empty => (EMPTY, NO_FRONT, 0),
            Payload::Inline(words, length) => (INLINE, words, length),
            Payload::Heap(bytes, length) => (HEAP, [bytes.as_ptr().cast(), number(length)], 0),
            Payload::Value(value, free) => {
                (VALUE, [value, free.map_or(NO_BACK, |free| free as Word)], 0)
            }
            Payload::Buffer(buffer) => (BUFFER, [buffer.into_raw().as_ptr().cast(), NO_BACK], 0),
            Payload::Alias(other) => (ALIAS, [other.into_raw().as_ptr().cast(), NO_BACK], 0),
        };
        // SAFETY: by the contract only this thread touches `front`.
        self.front.with_mut(|place| unsafe { *place = Front(front) });
        PayloadBits::new(kind, inline)
    }

    /// The future that has this one's result: itself, or the one it stands for. Aliases
    /// are never chained.
    pub(crate) fn source(&self, seen: Snapshot) -> &TaskCell {
        if seen.is_settled() && seen.payload() == ALIAS {
            // SAFETY: settled, so `front` is read-only; the alias holds a reference.
            let other = unsafe { self.front() }[0].cast::<TaskCell>();
            // SAFETY: as above; this future's reference keeps the other one alive.
            return unsafe { &*other };
        }
        self
    }

    /// Records up to 16 bytes as the result of a task that runs, the straight way. False:
    /// nothing was done, and `promise::put` is needed.
    #[inline(always)]
    pub(crate) fn record_inline(&self, words: [Word; 2], length: usize) -> bool {
        if !self.state.lock_plain() {
            return false;
        }
        // SAFETY: LOCK is held and nothing is recorded: only this thread touches `front`.
        self.front.with_mut(|place| unsafe { *place = Front(words) });
        self.state.record_plain(PayloadBits::new(INLINE, length));
        true
    }

    /// `bytes` of a success of up to 16 bytes that counts against no bound.
    #[inline(always)]
    pub(crate) fn inline_bytes(&self) -> Option<(*const c_void, usize)> {
        let seen = self.snapshot();
        seen.is_plain_success(INLINE).then(|| (self.front_bytes(), seen.inline_length()))
    }

    /// Where an inline result stands.
    #[inline(always)]
    fn front_bytes(&self) -> *const c_void {
        // The model checker's cells have something in front of the value.
        #[cfg(loom)]
        return self.front.with(<*const Front>::cast);
        #[cfg(not(loom))]
        {
            let offset = std::mem::offset_of!(TaskCell, front);
            // SAFETY: a field of the block.
            unsafe { self.block().cast::<u8>().add(offset) }.as_ptr().cast_const().cast()
        }
    }

    /// The result bytes of a settled future, if it has any kind of bytes.
    pub(crate) fn bytes(&self) -> Option<(*const c_void, usize)> {
        let source = self.source(self.snapshot());
        let seen = source.snapshot();
        if !source.shows_result(seen) {
            return None;
        }
        // SAFETY: settled, so `front` is read-only.
        let front = unsafe { source.front() };
        match seen.payload() {
            EMPTY => Some((ptr::null(), 0)),
            INLINE => Some((source.front_bytes(), seen.inline_length())),
            HEAP => Some((front[0].cast_const(), front[1].addr())),
            BUFFER => {
                let buffer = source.buffer_in();
                Some((buffer.data().cast_const(), buffer.len()))
            }
            _ => None,
        }
    }

    /// Whether getters show what is in `front`: a late result of an expired or
    /// cancelled task is not shown.
    fn shows_result(&self, seen: Snapshot) -> bool {
        seen.is_settled() && matches!(seen.outcome(), Outcome::Succeeded | Outcome::Failed)
    }

    /// The buffer that the result's bytes lie in, also if the user knows only the bytes.
    pub(super) fn buffer_of_bytes(&self) -> Option<&BufferRef> {
        let source = self.source(self.snapshot());
        let seen = source.snapshot();
        (source.shows_result(seen) && seen.payload() == BUFFER).then(|| source.buffer_in())
    }

    fn buffer_in(&self) -> &BufferRef {
        // SAFETY: payload BUFFER: the first word of `front` is a BufferRef, which is a
        // single pointer; settled, so it stays for as long as this reference.
        self.front.with(|place| unsafe { &*place.cast::<BufferRef>() })
    }

    pub(crate) fn buffer(&self) -> Option<&BufferRef> {
        let source = self.source(self.snapshot());
        let seen = source.snapshot();
        if !source.shows_result(seen) || seen.payload() != BUFFER {
            return None;
        }
        Some(source.buffer_in()).filter(|buffer| buffer.is_visible())
    }

    /// The value, unless it was taken.
    pub(crate) fn value(&self) -> *mut c_void {
        match self.value_source() {
            Some((source, value)) if !source.snapshot().has(state::TAKEN) => value,
            _ => ptr::null_mut(),
        }
    }

    /// Moves the value out, for the first who asks.
    pub(crate) fn take_value(&self) -> *mut c_void {
        match self.value_source() {
            Some((source, value)) if source.state.take() => value,
            _ => ptr::null_mut(),
        }
    }

    /// Bytes of the result that a running task has recorded, where they take memory.
    pub(crate) fn recorded_bytes(&self) -> u64 {
        let seen = self.snapshot();
        if !seen.has(state::RECORDED) {
            return 0;
        }
        match seen.payload() {
            HEAP => {
                // SAFETY: recorded, so `front` is not written any more.
                let [_, length] = unsafe { self.front() };
                length.addr() as u64
            }
            BUFFER => self.buffer_in().len() as u64,
            _ => 0,
        }
    }

    /// Somebody reads the result, or nobody will: its bytes no longer count against the
    /// bound of its pool.
    pub(crate) fn mark_read(&self) {
        let seen = self.snapshot();
        if seen.is_bare() || !seen.is_settled() {
            return;
        }
        self.note_seen_in(seen);
        let Some(extra) = self.extra_in(seen) else { return };
        // AcqRel: one reader gives the bytes back; it has seen the charge.
        let bytes = extra.charged.swap(0, Ordering::AcqRel);
        // Relaxed: published with the charge.
        let owner = NonNull::new(extra.owner.load(Ordering::Relaxed));
        if let Some(owner) = owner.filter(|_| bytes != 0) {
            // SAFETY: the charge left a reference behind, which keeps the executor.
            unsafe { (owner.as_ref().vtable.uncharge)(owner, bytes) };
        }
    }

    fn value_source(&self) -> Option<(&TaskCell, *mut c_void)> {
        let source = self.source(self.snapshot());
        let seen = source.snapshot();
        if !source.shows_result(seen) || seen.payload() != VALUE {
            return None;
        }
        // SAFETY: settled, so `front` is read-only.
        Some((source, unsafe { source.front() }[0]))
    }

    /// The user's free function for a value that was never taken.
    pub(super) fn value_to_free(&self, seen: Snapshot) -> Option<(FreeFn, *mut c_void)> {
        if seen.payload() != VALUE || seen.has(state::TAKEN) {
            return None;
        }
        // SAFETY: called with the last reference: nobody writes.
        let [value, free] = unsafe { self.front() };
        // SAFETY: write_payload stored an Option<FreeFn> here, NULL for None.
        let free: Option<FreeFn> = unsafe { std::mem::transmute(free) };
        free.map(|free| (free, value))
    }

    /// Frees what the result has beside the cell.
    ///
    /// # Safety
    /// No reference to the cell is left.
    pub(super) unsafe fn free_result(&self, seen: Snapshot) {
        // SAFETY: alone, so no one writes.
        let front = unsafe { self.front() };
        match seen.payload() {
            HEAP => {
                if let Some(bytes) = NonNull::new(front[0].cast()) {
                    // SAFETY: payload HEAP: from allocate_bytes with this length.
                    unsafe { arena::release_bytes(bytes, front[1].addr()) };
                }
            }
            // SAFETY: payload BUFFER: the cell owns this reference, which is not null.
            BUFFER => drop(unsafe { BufferRef::from_raw(NonNull::new_unchecked(front[0].cast())) }),
            // SAFETY: payload ALIAS: the cell owns this reference, which is not null.
            ALIAS => drop(unsafe { TaskRef::from_raw(NonNull::new_unchecked(front[0].cast())) }),
            _ => {}
        }
    }
}
