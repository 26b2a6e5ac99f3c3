//! What only some futures have: options, a message, progress. Beside the cell, so that the
//! others stay one cache line.

use super::arena;
use super::cell::TaskCell;
use super::outside::Program;
use super::owner::Owner;
use super::state::{self, Snapshot};
use crate::shared::Shared;
use crate::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering, UnsafeCell};
use std::ptr::{self, NonNull};

/// The longest message that is kept, as the header promises.
pub(crate) const MESSAGE_LIMIT: usize = 64 * 1024;

/// A NUL-terminated text of its own; empty without memory.
pub(crate) struct Text {
    bytes: Option<NonNull<u8>>,
    length: usize,
}

// SAFETY: a Text owns its bytes and does not change them.
unsafe impl Send for Text {}
// SAFETY: as above.
unsafe impl Sync for Text {}

impl Text {
    pub(crate) const EMPTY: Text = Text { bytes: None, length: 0 };

    /// A copy of `text` up to its first NUL and up to `MESSAGE_LIMIT`, saying so if cut.
    /// None when there is no memory.
    pub(crate) fn copy(text: &[u8]) -> Option<Text> {
        const NOTE: &[u8] = b" [cut at 64 KiB]";
        let length = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        if length == 0 {
            return Some(Text::EMPTY);
        }
        let (kept, note) = if length <= MESSAGE_LIMIT {
            (&text[..length], &b""[..])
        } else {
            (&text[..char_start(text, MESSAGE_LIMIT - NOTE.len())], NOTE)
        };
        let total = kept.len() + note.len();
        let bytes = arena::allocate_bytes(total + 1)?;
        // SAFETY: fresh memory of total + 1 bytes; the parts do not overlap it.
        unsafe {
            bytes.as_ptr().copy_from_nonoverlapping(kept.as_ptr(), kept.len());
            bytes.as_ptr().add(kept.len()).copy_from_nonoverlapping(note.as_ptr(), note.len());
            bytes.as_ptr().add(total).write(0);
        }
        Some(Text { bytes: Some(bytes), length: total })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self.bytes {
            // SAFETY: `length` bytes, written in `copy` and never changed.
            Some(bytes) => unsafe { std::slice::from_raw_parts(bytes.as_ptr(), self.length) },
            None => &[],
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// NUL-terminated, valid as long as the text.
    pub(crate) fn as_c_str(&self) -> *const std::ffi::c_char {
        self.bytes.map_or(c"".as_ptr(), |bytes| bytes.as_ptr().cast_const().cast())
    }
}

/// The last place at or before `at` where a UTF-8 character may begin.
fn char_start(text: &[u8], mut at: usize) -> usize {
    while at > 0 && text[at] & 0xC0 == 0x80 {
        at -= 1;
    }
    at
}

impl Drop for Text {
    fn drop(&mut self) {
        if let Some(bytes) = self.bytes.take() {
            // SAFETY: allocated in `copy` with this length, and dropped once.
            unsafe { arena::release_bytes(bytes, self.length + 1) };
        }
    }
}

/// The options of a task, shared by the builder and the tasks made from it. Nanoseconds;
/// negative: no such limit.
pub(crate) struct Spec {
    pub(crate) queue_timeout: i64,
    pub(crate) run_timeout: i64,
    pub(crate) total_timeout: i64,
    /// Between the request to stop and the end of the process.
    pub(crate) grace: i64,
    /// Most runs of a task whose process dies.
    pub(crate) attempts: u32,
    pub(crate) output_limit: i64,
    pub(crate) priority: i8,
    /// Of maps alone: items that are handed out at once, 0 = chosen; and that may be
    /// outstanding, 0 = chosen, negative = all.
    pub(crate) chunk: i64,
    pub(crate) window: i64,
    pub(crate) name: Text,
    /// The registered name of the function, if it was given by one.
    pub(crate) function: Text,
    /// Of a command.
    pub(crate) program: Option<Shared<Program>>,
}

/// How long a task that was asked to stop has, unless told otherwise: 100 ms.
pub(crate) const DEFAULT_GRACE: i64 = 100_000_000;

impl Spec {
    pub(crate) const DEFAULT: Spec = Spec {
        queue_timeout: -1,
        run_timeout: -1,
        total_timeout: -1,
        grace: DEFAULT_GRACE,
        attempts: 1,
        output_limit: -1,
        priority: 0,
        chunk: 0,
        window: 0,
        name: Text::EMPTY,
        function: Text::EMPTY,
        program: None,
    };

    /// A copy to change; None when there is no memory for the name.
    pub(crate) fn try_clone(&self) -> Option<Spec> {
        Some(Spec {
            name: Text::copy(self.name.as_bytes())?,
            function: Text::copy(self.function.as_bytes())?,
            program: self.program.clone(),
            ..*self
        })
    }

    /// Whether a task has nothing of it: at most a map has.
    pub(crate) fn is_default_for_tasks(&self) -> bool {
        let &Spec { grace, attempts, output_limit, priority, .. } = self;
        let plain = Spec::DEFAULT;
        !self.has_deadline()
            && (grace, attempts, priority) == (plain.grace, plain.attempts, plain.priority)
            && output_limit < 0
            && self.name.is_empty()
            && self.function.is_empty()
            && self.program.is_none()
    }

    pub(crate) fn has_deadline(&self) -> bool {
        self.queue_timeout >= 0 || self.run_timeout >= 0 || self.total_timeout >= 0
    }
}

/// See the module's head. Reached through the cell's owner slot while EXTRA is set.
pub(crate) struct Extra {
    /// What the owner slot held before.
    pub(crate) owner: AtomicPtr<Owner>,
    /// Link of the due list; see `due`.
    pub(crate) due: AtomicPtr<TaskCell>,
    pub(crate) spec: Option<Shared<Spec>>,
    /// Written under LOCK before the future settles, read-only afterwards (F2).
    pub(crate) message: UnsafeCell<Text>,
    /// Touched under LOCK (F3).
    pub(crate) progress: UnsafeCell<(u64, u64)>,
    /// Nanoseconds of CLOCK_MONOTONIC at which it was accepted.
    pub(crate) accepted_at: AtomicU64,
    /// The same for when it entered the queue; 0 = it waits for its input.
    pub(crate) queued_at: AtomicU64,
    /// The same for its start; 0 = it has not started.
    pub(crate) started_at: AtomicU64,
    /// The owner's: its place in the table of deadlines, plus 1; 0 = none.
    pub(crate) timer: AtomicU32,
    /// What is known of the process it ran in; see `remote`.
    pub(crate) pid: AtomicU32,
    /// The owner's: bytes of an unread result that count against its bound.
    pub(crate) charged: AtomicU64,
    /// The owner's, of a task for another process: where it is, and which function it calls.
    /// `place` of one that runs here: its places in views, as the module of that name says. `function`
    /// of a command is `outside`'s.
    pub(crate) place: AtomicU64,
    pub(crate) function: AtomicU32,
    /// How often it was given to a process that began with it.
    pub(crate) attempts: AtomicU32,
    pub(crate) cpu_ns: AtomicU64,
    /// How its process died: `remote::Death`, packed.
    pub(crate) death: AtomicU32,
    pub(crate) max_rss_kib: AtomicU32,
}

const CLASS: usize = 1;

impl Extra {
    pub(crate) fn allocate(
        owner: *mut Owner,
        spec: Option<Shared<Spec>>,
    ) -> Option<NonNull<Extra>> {
        const { assert!(size_of::<Extra>() <= arena::block_size(CLASS)) }
        let place = arena::allocate(CLASS)?.cast::<Extra>();
        // SAFETY: fresh memory, large enough and aligned to 64.
        unsafe {
            place.write(Extra {
                owner: AtomicPtr::new(owner),
                due: AtomicPtr::new(ptr::null_mut()),
                spec,
                message: UnsafeCell::new(Text::EMPTY),
                progress: UnsafeCell::new((0, 0)),
                accepted_at: AtomicU64::new(0),
                queued_at: AtomicU64::new(0),
                started_at: AtomicU64::new(0),
                timer: AtomicU32::new(0),
                charged: AtomicU64::new(0),
                pid: AtomicU32::new(0),
                place: AtomicU64::new(0),
                function: AtomicU32::new(0),
                attempts: AtomicU32::new(0),
                cpu_ns: AtomicU64::new(0),
                death: AtomicU32::new(0),
                max_rss_kib: AtomicU32::new(0),
            });
        }
        Some(place)
    }

    /// # Safety
    /// `extra` came from `allocate` and nobody refers to it any more.
    pub(crate) unsafe fn destroy(extra: NonNull<Extra>) {
        // SAFETY: by the contract.
        unsafe {
            extra.drop_in_place();
            arena::release(extra.cast(), CLASS);
        }
    }
}

/// Executor and extras of a cell.
impl TaskCell {
    /// The executor of an unsettled cell; NULL if it has none. Only the pointer: F6 says
    /// who may follow it.
    pub(crate) fn owner_in(&self, seen: Snapshot) -> *mut Owner {
        // Acquire: pairs with `install_extra`, publishes the Extra.
        let slot = self.owner.load(Ordering::Acquire);
        if seen.has(state::EXTRA) {
            // SAFETY: EXTRA says what the slot holds, for as long as the cell lives (F5).
            unsafe { (*slot.cast::<Extra>()).owner.load(Ordering::Relaxed) }
        } else {
            slot.cast()
        }
    }

    /// Sets the owner of a cell that is already known, and whose time has come.
    ///
    /// # Safety
    /// The caller holds LOCK; the cell is PENDING.
    pub(super) unsafe fn change_owner(&self, owner: *mut Owner, seen: Snapshot) {
        match self.extra_in(seen) {
            // Relaxed, both: readers come through LOCK or a queue, which publish it.
            Some(extra) => extra.owner.store(owner, Ordering::Relaxed),
            None => self.owner.store(owner.cast(), Ordering::Relaxed),
        }
    }

    pub(crate) fn extra_in(&self, seen: Snapshot) -> Option<&Extra> {
        // SAFETY: it stays until the cell dies (F5).
        self.extra_pointer(seen).map(|extra| unsafe { extra.as_ref() })
    }

    /// The same for its end: a reference may not be freed through.
    pub(super) fn extra_pointer(&self, seen: Snapshot) -> Option<NonNull<Extra>> {
        if !seen.has(state::EXTRA) {
            return None;
        }
        // EXTRA says what the slot holds. Acquire: pairs with `install_extra`.
        NonNull::new(self.owner.load(Ordering::Acquire).cast())
    }

    /// Gives a cell that nobody else knows an `Extra`, with options or without.
    pub(crate) fn add_extra(&self, spec: Option<Shared<Spec>>) -> Option<&Extra> {
        // Relaxed: nobody else knows the cell.
        let owner = self.owner.load(Ordering::Relaxed).cast();
        let extra = Extra::allocate(owner, spec)?;
        // SAFETY: fresh, and reached only through this cell.
        Some(unsafe { self.install_extra(extra) })
    }

    /// # Safety
    /// The caller holds LOCK (and passes EXTRA to the unlocking), or nobody else knows the
    /// cell (then the flag is set here); there is no Extra yet.
    unsafe fn install_extra(&self, extra: NonNull<Extra>) -> &Extra {
        // Release: pairs with `extra_in` and `owner_in`.
        self.owner.store(extra.as_ptr().cast(), Ordering::Release);
        self.state.note_extra();
        // SAFETY: just installed; it stays until the cell dies (F5).
        unsafe { extra.as_ref() }
    }

    /// The cell's `Extra`, made if need be; None when there is no memory.
    ///
    /// # Safety
    /// The caller holds LOCK with `seen`; the future is not settled.
    pub(super) unsafe fn extra_locked(&self, seen: Snapshot) -> Option<&Extra> {
        if let Some(extra) = self.extra_in(seen) {
            return Some(extra);
        }
        let extra = Extra::allocate(self.owner_in(seen), None)?;
        // SAFETY: by the contract.
        Some(unsafe { self.install_extra(extra) })
    }

    /// The message, NUL-terminated; "" before the end and where there is none.
    pub(crate) fn message(&self) -> &Text {
        const NO_TEXT: &Text = &Text::EMPTY;
        let seen = self.snapshot();
        if !seen.is_settled() {
            return NO_TEXT;
        }
        let source = self.source(seen);
        match source.extra_in(source.snapshot()) {
            // SAFETY: settled, so the message is read-only (F2).
            Some(extra) => extra.message.with(|text| unsafe { &*text }),
            None => NO_TEXT,
        }
    }

    pub(crate) fn shared_spec(&self) -> Option<Shared<Spec>> {
        self.extra_in(self.snapshot()).and_then(|extra| extra.spec.clone())
    }

    pub(crate) fn spec(&self) -> Option<&Spec> {
        self.extra_in(self.snapshot()).and_then(|extra| extra.spec.as_deref())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_nul_and_at_the_limit() {
        assert_eq!(Text::copy(b"ab\0c").expect("memory").as_bytes(), b"ab");
        assert!(Text::copy(b"\0").expect("memory").is_empty());
        let long = "é".repeat(MESSAGE_LIMIT);
        let text = Text::copy(long.as_bytes()).expect("memory");
        assert!(text.as_bytes().len() <= MESSAGE_LIMIT);
        assert!(std::str::from_utf8(text.as_bytes()).expect("whole characters").ends_with("KiB]"));
        let exact = vec![b'x'; MESSAGE_LIMIT];
        assert_eq!(Text::copy(&exact).expect("memory").as_bytes().len(), MESSAGE_LIMIT);
    }
}
