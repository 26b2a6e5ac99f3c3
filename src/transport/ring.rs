//! A byte ring between one producer and one consumer in two processes.
//!
//! Rules T1 to T5 of the room's contract hold here. Indices count bytes since the beginning
//! and only grow; the place in the ring is the index modulo the capacity. A record is a head
//! of 16 bytes and its payload, padded to 16; it never wraps: one that does not fit before the
//! end follows a PAD record that fills the rest.
//!
//! ```text
//! word 0   length of the payload: 32 bits | kind: 16 | flags: 16
//! word 1   word 0 folded to 32 bits, xor CHECK: 32 bits | 0: 32
//! ```
//! The check is no protection against malice. It shows a scribbler early and by name.

use crate::sync::{AtomicU64, Ordering, Padded};

/// Records begin at multiples of this.
pub(crate) const ALIGN: u64 = 16;
const HEAD: u64 = 16;

/// Kind of the record that fills the rest of a ring.
const PAD: u16 = 0xFFFF;
const CHECK: u32 = 0x5CF0_7E57;

/// How far each side has come. Each index is written by one side only.
#[derive(Default)]
#[repr(C)]
pub(crate) struct Indices {
    /// Bytes consumed. Written by the consumer.
    head: Padded<AtomicU64>,
    /// Bytes produced. Written by the producer.
    tail: Padded<AtomicU64>,
}

/// Where a ring lies.
///
/// # Safety
/// `capacity` is a power of two, at least 64, and never changes; `indices` and the bytes stay valid
/// as long as the value; the bytes begin at a multiple of 16.
pub(crate) unsafe trait Memory {
    fn capacity(&self) -> u64;
    fn indices(&self) -> &Indices;

    /// The words of a head at `at`, a multiple of 16 within the ring. They may be another
    /// process's rubbish.
    fn load_head(&self, at: u64) -> [u64; 2];

    /// # Safety
    /// The caller is the only producer, `at` is within the ring, and its 16 bytes are free (T1).
    unsafe fn store_head(&self, at: u64, words: [u64; 2]);

    /// # Safety
    /// As `store_head`, for all `bytes` from `at` on.
    unsafe fn write(&self, at: u64, bytes: &[u8]);

    /// # Safety
    /// `into.len()` bytes from `at` on lie within the ring and belong to the consumer (T1).
    unsafe fn read(&self, at: u64, into: &mut [u8]);

    /// # Safety
    /// `at` is within the ring.
    unsafe fn address(&self, at: u64) -> *const u8;
}

/// The other side broke the rules of the ring, in this way. The link is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Damaged(pub(crate) &'static str);

/// Bytes that a payload of `length` takes from the ring.
fn footprint(length: u64) -> u64 {
    HEAD + length.next_multiple_of(ALIGN)
}

fn head_of(length: u32, kind: u16, flags: u16) -> [u64; 2] {
    let word = u64::from(length) | u64::from(kind) << 32 | u64::from(flags) << 48;
    [word, check_of(word)]
}

fn check_of(word: u64) -> u64 {
    u64::from(word as u32 ^ (word >> 32) as u32 ^ CHECK)
}

/// The writing end.
pub(crate) struct Producer<M> {
    memory: M,
    /// Bytes produced and published: the truth, never read back (T2).
    tail: u64,
    /// The consumer's index as last read and checked.
    head: u64,
}

impl<M: Memory> Producer<M> {
    /// # Safety
    /// The ring is new (all zero), and this is its only producer.
    pub(crate) unsafe fn new(memory: M) -> Producer<M> {
        Producer { memory, tail: 0, head: 0 }
    }

    /// The longest payload that always fits into an empty ring, wherever its end is.
    pub(crate) fn limit(&self) -> u64 {
        self.memory.capacity() / 2 - HEAD
    }

    /// Appends a record whose payload is `parts`, one after the other. False: no room now.
    /// A payload over `limit` is an error of ours, told as `Damaged`. Nothing is visible to
    /// the consumer before all of it is.
    #[inline]
    pub(crate) fn push(&mut self, kind: u16, flags: u16, parts: &[&[u8]]) -> Result<bool, Damaged> {
        let length = parts.iter().map(|part| part.len() as u64).fold(0, u64::saturating_add);
        if length > self.limit() || kind == PAD {
            return Err(Damaged("a record that no ring takes"));
        }
        let capacity = self.memory.capacity();
        let at = self.tail & (capacity - 1);
        let to_end = capacity - at;
        let wanted = footprint(length);
        let pad = if wanted > to_end { to_end } else { 0 };
        if !self.has_room(pad + wanted)? {
            return Ok(false);
        }
        let at = if pad == 0 {
            at
        } else {
            // SAFETY: T1: [tail, tail + pad + wanted) is free, and the pad begins there. A
            // head fits, for indices are multiples of 16.
            unsafe { self.memory.store_head(at, head_of((pad - HEAD) as u32, PAD, 0)) };
            0
        };
        // SAFETY: T1: `wanted` bytes from `at` on are free and lie before the end.
        unsafe { self.memory.store_head(at, head_of(length as u32, kind, flags)) };
        let mut place = at + HEAD;
        for part in parts {
            // SAFETY: as above; the parts together are `length` bytes.
            unsafe { self.memory.write(place, part) };
            place += part.len() as u64;
        }
        self.tail += pad + wanted;
        // Release: pairs with the Acquire in `Consumer::refresh`; publishes the record.
        self.memory.indices().tail.store(self.tail, Ordering::Release);
        Ok(true)
    }

    /// Bytes that are free now, heads and padding included.
    pub(crate) fn free(&mut self) -> Result<u64, Damaged> {
        self.refresh()?;
        Ok(self.memory.capacity() - (self.tail - self.head))
    }

    /// Whether a payload of `length` bytes would find room now.
    pub(crate) fn fits(&mut self, length: u64) -> Result<bool, Damaged> {
        let capacity = self.memory.capacity();
        let to_end = capacity - (self.tail & (capacity - 1));
        let wanted = footprint(length);
        let pad = if wanted > to_end { to_end } else { 0 };
        self.has_room(pad + wanted)
    }

    #[inline]
    fn has_room(&mut self, wanted: u64) -> Result<bool, Damaged> {
        let capacity = self.memory.capacity();
        if capacity - (self.tail - self.head) < wanted {
            self.refresh()?;
        }
        Ok(capacity - (self.tail - self.head) >= wanted)
    }

    #[cold]
    fn refresh(&mut self) -> Result<(), Damaged> {
        // Acquire: pairs with the Release in `Consumer::advance`: what the consumer has read
        // is read before we write over it.
        let head = self.memory.indices().head.load(Ordering::Acquire);
        if head < self.head || head > self.tail || head % ALIGN != 0 {
            return Err(Damaged("the index of the reading side is impossible"));
        }
        self.head = head;
        Ok(())
    }
}

/// The reading end.
pub(crate) struct Consumer<M> {
    memory: M,
    /// Bytes consumed: the truth, never read back (T2).
    head: u64,
    /// The producer's index as last read and checked.
    tail: u64,
    /// Where the record that `peek` shows begins, and where it ends. Equal: none is shown.
    shown: (u64, u64),
}

/// A record in place, until the consumer advances.
pub(crate) struct Record<'a, M> {
    memory: &'a M,
    at: u64,
    pub(crate) length: u32,
    pub(crate) kind: u16,
    pub(crate) flags: u16,
}

impl<M: Memory> Consumer<M> {
    /// # Safety
    /// The ring is new (all zero, or written by its producer from zero on), and this is its only
    /// consumer.
    pub(crate) unsafe fn new(memory: M) -> Consumer<M> {
        Consumer { memory, head: 0, tail: 0, shown: (0, 0) }
    }

    /// Whether there is something to `peek` at: the look of the sleep protocols.
    #[inline]
    pub(crate) fn has_record(&mut self) -> Result<bool, Damaged> {
        if self.tail == self.head {
            self.refresh()?;
        }
        Ok(self.tail != self.head)
    }

    /// The oldest record, which stays where it is until `advance`. None: the ring is empty.
    /// The same record again if nobody advanced.
    #[inline]
    pub(crate) fn peek(&mut self) -> Result<Option<Record<'_, M>>, Damaged> {
        if !self.has_record()? {
            return Ok(None);
        }
        let capacity = self.memory.capacity();
        let mut begin = self.head;
        let (mut length, mut kind, mut flags) = self.checked_head(begin)?;
        if kind == PAD {
            let at = begin & (capacity - 1);
            if at == 0 || at + footprint(u64::from(length)) != capacity {
                return Err(Damaged("padding that does not end where the ring ends"));
            }
            begin += footprint(u64::from(length));
            if begin == self.tail {
                return Err(Damaged("padding without a record behind it"));
            }
            (length, kind, flags) = self.checked_head(begin)?;
            if kind == PAD {
                return Err(Damaged("padding behind padding"));
            }
        }
        self.shown = (begin, begin + footprint(u64::from(length)));
        let at = (begin & (capacity - 1)) + HEAD;
        Ok(Some(Record { memory: &self.memory, at, length, kind, flags }))
    }

    /// Gives the memory of the record that `peek` showed last back to the producer. Nothing
    /// happens if there is none.
    #[inline]
    pub(crate) fn advance(&mut self) {
        let (begin, end) = self.shown;
        if begin == end {
            return;
        }
        self.head = end;
        self.shown = (end, end);
        // Release: pairs with the Acquire in `Producer::refresh`; our reads come first.
        self.memory.indices().head.store(end, Ordering::Release);
    }

    /// The head of the record at index `begin`, copied once and checked; then only the copy
    /// counts (T3).
    #[inline]
    fn checked_head(&self, begin: u64) -> Result<(u32, u16, u16), Damaged> {
        let capacity = self.memory.capacity();
        let at = begin & (capacity - 1);
        let [word, check] = self.memory.load_head(at);
        if check != check_of(word) {
            return Err(Damaged("a record whose head is not one"));
        }
        let length = word as u32;
        let whole = footprint(u64::from(length));
        if whole > self.tail - begin || whole > capacity - at {
            return Err(Damaged("a record that is longer than what was written"));
        }
        Ok((length, (word >> 32) as u16, (word >> 48) as u16))
    }

    #[inline]
    fn refresh(&mut self) -> Result<(), Damaged> {
        // Acquire: pairs with the Release in `Producer::push`; makes the records visible.
        let tail = self.memory.indices().tail.load(Ordering::Acquire);
        // `tail` before us would be a step back.
        let ahead = tail.wrapping_sub(self.head);
        if ahead > self.memory.capacity() || tail < self.tail || tail % ALIGN != 0 {
            return Err(Damaged("the index of the writing side is impossible"));
        }
        self.tail = tail;
        Ok(())
    }
}

impl<M: Memory> Record<'_, M> {
    /// The payload in place, 16-aligned, `length` bytes. The other process may change it at any
    /// time: whoever does not trust it copies with `read` and looks at the copy (T3).
    pub(crate) fn payload(&self) -> *const u8 {
        // SAFETY: `peek` has checked that the payload lies within the ring; an empty one may
        // begin where the ring ends.
        unsafe { self.memory.address(self.at) }
    }

    /// Copies `into.len()` bytes from `offset` on. False, and nothing copied, where the payload
    /// is not that long.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) -> bool {
        let fits = offset.checked_add(into.len()).is_some_and(|end| end <= self.length as usize);
        if fits {
            // SAFETY: T1: within the payload, which is ours until `advance`.
            unsafe { self.memory.read(self.at + offset as u64, into) };
        }
        fits
    }
}

#[cfg(any(test, fuzzing))]
impl Indices {
    /// What a side that breaks the rules may do.
    pub(crate) fn set(&self, head: u64, tail: u64) {
        // SeqCst: pairs with nothing; tests set where no other thread runs, or want no order.
        self.head.store(head, Ordering::SeqCst);
        self.tail.store(tail, Ordering::SeqCst);
    }
}
