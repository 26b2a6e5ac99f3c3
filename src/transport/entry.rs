//! The entry of the environment that tells a process of its socket, and what a process knows of
//! its own standing: whether it can be executed as a worker, and how deep in pools it is.

use crate::platform::process;
use crate::sync::{AtomicBool, AtomicU32, Ordering};
use std::ffi::CStr;
use std::fmt::Write;

/// Names the socket: `<descriptor>:<nonce in 32 digits>`.
pub(crate) const VARIABLE: &CStr = c"CFUT_WORKER";

/// How many process pools there are around a process: also what its workers execute knows that.
pub(crate) const DEPTH_VARIABLE: &CStr = c"CFUT_WORKER_DEPTH";

pub(crate) const NONCE: usize = 16;
pub(crate) type Nonce = [u8; NONCE];

/// `cfut_worker_main` was called: this program can be executed as a worker.
static GUARDED: AtomicBool = AtomicBool::new(false);
static DEPTH: AtomicU32 = AtomicU32::new(0);

/// Notes that it was.
pub(crate) fn note_guard() {
    // Relaxed, here and below: a fact on its own.
    GUARDED.store(true, Ordering::Relaxed);
}

/// Whether this program keeps its workers from going on in its main().
pub(crate) fn guarded() -> bool {
    GUARDED.load(Ordering::Relaxed)
}

/// How many process pools this process is a worker in, one inside the other, or was started by a
/// worker of.
pub(crate) fn depth() -> u32 {
    let inherited =
        process::depth_variable().and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    DEPTH.load(Ordering::Relaxed).max(inherited)
}

pub(crate) fn set_depth(depth: u32) {
    DEPTH.store(depth, Ordering::Relaxed); // as above
}

/// `<descriptor>:<32 hexadecimal digits>`, and nothing else.
pub(crate) fn parse(value: &[u8]) -> Option<(i32, Nonce)> {
    let colon = value.iter().position(|&byte| byte == b':')?;
    let (fd, digits) = (&value[..colon], &value[colon + 1..]);
    if fd.is_empty() || fd.len() > 9 || !fd.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let fd = fd.iter().fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    if digits.len() != 2 * NONCE {
        return None;
    }
    let mut nonce = [0; NONCE];
    for (byte, pair) in nonce.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some((fd, nonce))
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

/// Whether a variable with its value is one that makes a worker.
pub(crate) fn is_entry(entry: &CStr) -> bool {
    let rest = entry.to_bytes().strip_prefix(VARIABLE.to_bytes());
    rest.is_some_and(|rest| rest.starts_with(b"="))
}

/// Room for `CFUT_WORKER=`, a descriptor, the nonce and a NUL.
pub(crate) const ENTRY: usize = 12 + 10 + 1 + 2 * NONCE + 1;

/// The entry of the environment that `parse` understands, behind its name, NUL-terminated.
pub(crate) struct Entry {
    text: [u8; ENTRY],
    length: usize,
}

impl Entry {
    /// `fd` is a descriptor: not negative.
    pub(crate) fn new(fd: i32, nonce: &Nonce) -> Entry {
        let mut entry = Entry { text: [0; ENTRY], length: 0 };
        // Cannot fail: the room was counted.
        let _ = write!(entry, "CFUT_WORKER={fd}:");
        for byte in nonce {
            let _ = write!(entry, "{byte:02x}"); // as above
        }
        entry
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.text).unwrap_or_default()
    }
}

impl Write for Entry {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let place = self.text.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(fd in 0..i32::MAX, nonce in any::<Nonce>()) {
            let entry = Entry::new(fd, &nonce);
            let text = entry.as_c_str().to_bytes();
            let value = text.strip_prefix(b"CFUT_WORKER=").expect("the name");
            let expected = (fd < 1_000_000_000).then_some((fd, nonce));
            prop_assert_eq!(parse(value), expected);
        }

        #[test]
        fn values_of_any_kind(value in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some((fd, _)) = parse(&value) {
                prop_assert!(fd >= 0 && value.len() >= 34);
            }
        }

        #[test]
        fn values_that_are_nearly_right(
            fd in "[0-9 +x-]{0,12}",
            between in "[:;]{0,2}",
            digits in "[0-9a-fA-Fg]{30,34}",
        ) {
            let value = std::format!("{fd}{between}{digits}");
            let right = (1..=9).contains(&fd.len())
                && fd.bytes().all(|byte| byte.is_ascii_digit())
                && between == ":"
                && digits.len() == 32
                && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            prop_assert_eq!(parse(value.as_bytes()).is_some(), right);
        }
    }
}
