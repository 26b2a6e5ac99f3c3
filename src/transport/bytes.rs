//! Numbers and strings in messages: written into a place of fixed size or a growing one, read
//! with bounds. Native byte order: both sides run on one machine, from one build.

use std::ffi::CStr;

/// Takes values from the front of bytes that may be anything.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_ne_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_ne_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_ne_bytes)
    }

    /// A length and as many bytes, at most `limit`.
    pub(crate) fn counted(&mut self, limit: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        if length > limit { None } else { self.bytes(length) }
    }

    /// As `counted`, for text of C: ends with the only NUL in it.
    pub(crate) fn c_text(&mut self, limit: usize) -> Option<&'a CStr> {
        CStr::from_bytes_with_nul(self.counted(limit)?).ok()
    }

    /// Whether everything was taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Where values go, one after the other; None: no room, or no memory.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Option<()>;

    fn u32(&mut self, value: u32) -> Option<()> {
        self.put(&value.to_ne_bytes())
    }

    fn i32(&mut self, value: i32) -> Option<()> {
        self.put(&value.to_ne_bytes())
    }

    fn u64(&mut self, value: u64) -> Option<()> {
        self.put(&value.to_ne_bytes())
    }

    fn i64(&mut self, value: i64) -> Option<()> {
        self.put(&value.to_ne_bytes())
    }

    /// None also where it is longer than `limit`, which the reader would refuse.
    fn counted(&mut self, bytes: &[u8], limit: usize) -> Option<()> {
        if bytes.len() > limit {
            return None;
        }
        self.u32(u32::try_from(bytes.len()).ok()?)?;
        self.put(bytes)
    }

    fn c_text(&mut self, text: &CStr, limit: usize) -> Option<()> {
        self.counted(text.to_bytes_with_nul(), limit)
    }
}

/// Memory of fixed size and how much of it is filled.
pub(crate) struct Fixed<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Fixed<N> {
    pub(crate) const fn new() -> Fixed<N> {
        Fixed { bytes: [0; N], length: 0 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl<const N: usize> Sink for Fixed<N> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.length.checked_add(bytes.len())?;
        self.bytes.get_mut(self.length..end)?.copy_from_slice(bytes);
        self.length = end;
        Some(())
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.try_reserve(bytes.len()).ok()?;
        self.extend_from_slice(bytes);
        Some(())
    }
}

impl<const N: usize> Fixed<N> {
    /// All of the memory, with zeros behind what was filled.
    pub(crate) fn into_whole(self) -> [u8; N] {
        self.bytes
    }
}
