//! Memory of a ring on the heap, in cells that the model checker and Miri watch: two sides that
//! touch a cell at once are found out.

use crate::sync::UnsafeCell;
use crate::transport::ring::{ALIGN, Indices, Memory};
use std::sync::Arc;

const CELL: usize = ALIGN as usize;

/// As the kernel aligns mappings.
#[derive(Clone, Copy)]
#[repr(align(16))]
struct Bytes([u8; CELL]);

/// A ring in one process; a copy is another view of the same memory.
#[derive(Clone)]
pub(crate) struct Cells(Arc<Inner>);

struct Inner {
    indices: Indices,
    cells: Vec<UnsafeCell<Bytes>>,
}

// SAFETY: as for memory that two processes map; the ends of the ring see to it that each cell
// has one user, which is what is tested.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Cells {
    pub(crate) fn new(capacity: usize) -> Cells {
        assert!(capacity.is_power_of_two() && capacity >= 64);
        let cells = (0..capacity / CELL).map(|_| UnsafeCell::new(Bytes([0; CELL]))).collect();
        Cells(Arc::new(Inner { indices: Indices::default(), cells }))
    }

    /// Calls `each` with each piece of `length` bytes from `at` on: cell, place in it, length.
    fn pieces(
        &self,
        at: u64,
        length: usize,
        mut each: impl FnMut(&UnsafeCell<Bytes>, usize, usize),
    ) {
        let (mut at, end) = (at as usize, at as usize + length);
        assert!(end <= self.0.cells.len() * CELL, "outside the ring");
        while at < end {
            let within = at % CELL;
            let length = (CELL - within).min(end - at);
            each(&self.0.cells[at / CELL], within, length);
            at += length;
        }
    }

    pub(crate) fn fill(&self, at: u64, bytes: &[u8]) {
        let mut rest = bytes;
        self.pieces(at, bytes.len(), |cell, within, length| {
            let (now, later) = rest.split_at(length);
            // SAFETY: nobody else has the cell, which is what the models check.
            cell.with_mut(|place| unsafe {
                (&mut *place).0[within..][..length].copy_from_slice(now)
            });
            rest = later;
        });
    }

    pub(crate) fn copy(&self, at: u64, into: &mut [u8]) {
        let mut done = 0;
        self.pieces(at, into.len(), |cell, within, length| {
            let part = &mut into[done..done + length];
            // SAFETY: as in `fill`.
            cell.with(|place| unsafe { part.copy_from_slice(&(&*place).0[within..][..length]) });
            done += length;
        });
    }
}

// SAFETY: as asserted in `new`; what the ends ask for outside of it panics.
unsafe impl Memory for Cells {
    fn capacity(&self) -> u64 {
        (self.0.cells.len() * CELL) as u64
    }

    fn indices(&self) -> &Indices {
        &self.0.indices
    }

    fn load_head(&self, at: u64) -> [u64; 2] {
        assert_eq!(at % ALIGN, 0);
        let mut bytes = [0; CELL];
        self.copy(at, &mut bytes);
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        [word(0), word(8)]
    }

    unsafe fn store_head(&self, at: u64, words: [u64; 2]) {
        assert_eq!(at % ALIGN, 0);
        self.fill(at, words.map(u64::to_ne_bytes).as_flattened());
    }

    unsafe fn write(&self, at: u64, bytes: &[u8]) {
        self.fill(at, bytes);
    }

    unsafe fn read(&self, at: u64, into: &mut [u8]) {
        self.copy(at, into);
    }

    unsafe fn address(&self, at: u64) -> *const u8 {
        // In models a cell is more than its bytes; they do not ask for addresses.
        assert!(cfg!(not(loom)) && at <= self.capacity());
        self.0.cells.as_ptr().cast::<u8>().wrapping_add(at as usize)
    }
}
