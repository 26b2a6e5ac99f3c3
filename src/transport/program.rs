//! What a keeper of commands is told of a program: one block of memory, written by the host.

use super::bytes::{Reader, Sink};
use std::ffi::CStr;

/// Lists whose texts end with a NUL each, one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request<'a> {
    /// The program and its arguments.
    pub(crate) words: &'a [u8],
    pub(crate) environment: &'a [u8],
    /// Empty: where the host is.
    pub(crate) directory: &'a [u8],
}

impl<'a> Request<'a> {
    /// None when there is no memory.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for list in [self.words, self.environment, self.directory] {
            out.counted(list, usize::MAX)?;
        }
        Some(out)
    }

    /// None: no request of ours.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Request<'a>> {
        let mut from = Reader(bytes);
        let mut list =
            || from.counted(usize::MAX).filter(|list| matches!(list.last(), None | Some(0)));
        let request = Request { words: list()?, environment: list()?, directory: list()? };
        (!request.words.is_empty()).then_some(request)
    }
}

/// The texts of a list.
pub(crate) fn texts(mut list: &[u8]) -> impl Iterator<Item = &CStr> {
    std::iter::from_fn(move || {
        let text = CStr::from_bytes_until_nul(list).ok()?;
        list = &list[text.count_bytes() + 1..];
        Some(text)
    })
}

/// Which step of starting a program failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Step {
    /// There is no process.
    Make = 1,
    Directory = 2,
    Execute = 3,
}

impl Step {
    pub(crate) fn from_bits(bits: u32) -> Option<Step> {
        Some(match bits {
            1 => Step::Make,
            2 => Step::Directory,
            3 => Step::Execute,
            _ => return None,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_come_back() {
        let request =
            Request { words: b"sh\0-c\0\0", environment: b"A=1\0B=\0", directory: b"/\0" };
        let bytes = request.encode().expect("memory");
        assert_eq!(Request::decode(&bytes), Some(request));
        let words: Vec<_> = texts(request.words).map(CStr::to_bytes).collect();
        assert_eq!(words, [&b"sh"[..], b"-c", b""]);
    }

    proptest! {
        #[test]
        fn requests_of_any_kind(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(request) = Request::decode(&bytes) {
                prop_assert!(texts(request.words).count() > 0);
            }
        }
    }
}
