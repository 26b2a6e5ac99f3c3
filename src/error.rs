//! Errors inside the library, and the text that goes with each.
//!
//! An `Error` is one byte: its text is written straight into a buffer of the thread when
//! the error is made, because making it must not need memory and because most errors end
//! at the C border, which has a place for exactly one text a thread (`cfut_last_error`).
//! So an error is made only where it will be reported; an outcome that the library handles
//! itself is an `Option` or an enum of its own. The numbers of the C interface stand in
//! `ffi::status` alone.

use std::cell::{Cell, UnsafeCell};
use std::fmt;

/// What went wrong, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An argument is out of its range or missing.
    Invalid,
    /// No memory.
    NoMemory,
    /// This executor, build or version cannot do that.
    NotSupported,
    /// The executor takes no work any more.
    Shutdown,
    /// A queue bound was reached.
    Full,
    /// The wait could never end.
    Deadlock,
    /// The handle was inherited through fork().
    Forked,
    /// A function, module or program that does not exist; with named tasks and commands.
    #[allow(dead_code)]
    NotFound,
    /// A system call failed.
    System,
    /// A defect of the library itself, contained.
    Panic,
    /// The promise is settled, or has a recorded outcome.
    State,
    /// The executor is broken; the text has the reason.
    Broken,
}

/// A failure whose text is in the calling thread's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Error(pub(crate) Kind);

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Notes `text` as this thread's last error.
    #[cold]
    pub(crate) fn new(kind: Kind, text: fmt::Arguments<'_>) -> Error {
        let mut line = Line::new();
        // Cannot fail: a Line cuts what does not fit.
        let _ = fmt::write(&mut line, text);
        set_last(line.as_bytes());
        Error(kind)
    }

    #[cold]
    pub(crate) fn no_memory(what: &str, bytes: usize) -> Error {
        Error::new(Kind::NoMemory, format_args!("no memory for {what} ({bytes} bytes)"))
    }
}

/// `return fail!(Invalid, "text {}", value)`
macro_rules! fail {
    ($kind:ident, $($text:tt)+) => {
        Err($crate::error::Error::new($crate::error::Kind::$kind, format_args!($($text)+)))
    };
}
pub(crate) use fail;

/// A text of bounded length that needs no memory; what does not fit is cut.
pub(crate) struct Line {
    bytes: [u8; Line::CAPACITY],
    length: usize,
}

impl Line {
    pub(crate) const CAPACITY: usize = 480;

    pub(crate) fn new() -> Line {
        Line { bytes: [0; Line::CAPACITY], length: 0 }
    }

    pub(crate) fn of(text: fmt::Arguments<'_>) -> Line {
        let mut line = Line::new();
        // Cannot fail: see write_str.
        let _ = fmt::write(&mut line, text);
        line
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only whole characters were taken in.
        std::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Line::CAPACITY - self.length;
        let fits = text.floor_char_boundary_compat(room);
        self.bytes[self.length..self.length + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.length += fits;
        Ok(())
    }
}

/// Bytes that should be text, shown without needing memory.
pub(crate) struct Lossy<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Lossy<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            out.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                out.write_str("\u{FFFD}")?;
            }
        }
        Ok(())
    }
}

/// `str::floor_char_boundary` is newer than our oldest compiler.
pub(crate) trait FloorCharBoundary {
    fn floor_char_boundary_compat(&self, at: usize) -> usize;
}

impl FloorCharBoundary for str {
    fn floor_char_boundary_compat(&self, at: usize) -> usize {
        let mut at = at.min(self.len());
        while !self.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

thread_local! {
    // Constant and without a destructor: touching it registers nothing with the thread.
    static LAST: (Cell<usize>, UnsafeCell<[u8; Line::CAPACITY]>) =
        const { (Cell::new(0), UnsafeCell::new([0; Line::CAPACITY])) };
}

fn set_last(text: &[u8]) {
    LAST.with(|(length, bytes)| {
        length.set(text.len());
        // SAFETY: the buffer belongs to this thread, and no reference to it outlives a
        // closure of this file.
        unsafe { (&mut *bytes.get())[..text.len()].copy_from_slice(text) };
    });
}

/// Shows the text of this thread's last error; empty if there was none.
pub(crate) fn with_last<R>(look: impl FnOnce(&[u8]) -> R) -> R {
    LAST.with(|(length, bytes)| {
        // SAFETY: as in `set_last`.
        look(unsafe { &(&*bytes.get())[..length.get()] })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_for_this_thread_and_cut_between_characters() {
        let long = "ä".repeat(1000);
        let result: Result<()> = fail!(Invalid, "x{long}");
        assert_eq!(result, Err(Error(Kind::Invalid)));
        with_last(|text| {
            assert_eq!(text.len(), 479);
            assert!(std::str::from_utf8(text).is_ok());
        });
        let other = std::thread::Builder::new().spawn(|| with_last(<[u8]>::len)).expect("thread");
        assert_eq!(other.join().expect("joined"), 0);
    }
}
