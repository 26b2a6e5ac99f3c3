//! Which program supervisors, workers and keepers of commands are, unless the user names one.

use super::entry;
use crate::error::{Error, Line, Lossy, Result};
use crate::platform::module;
use std::ffi::CString;
use std::fmt::{self, Write};

/// A program of the library's.
pub(crate) struct Place {
    pub(crate) path: CString,
    /// It is this program: functions of its own can be reached there.
    pub(crate) is_this: bool,
}

/// Behind the directory of the library: where cargo and `make` have the program, then where an
/// installation has it, whose directory is named for the ABI. All are relative, so that a tree may be
/// moved; the last is for libraries in lib/x86_64-linux-gnu.
const PLACES: [&str; 5] = [
    "",
    "/..",
    concat!("/cfutures-", env!("CFUT_ABI")),
    concat!("/../libexec/cfutures-", env!("CFUT_ABI")),
    concat!("/../../libexec/cfutures-", env!("CFUT_ABI")),
];

/// This program, if it keeps its workers from going on in its main(), else cfutures-worker. None:
/// it is in none of the places, which `Searched` names.
pub(crate) fn find() -> Result<Option<Place>> {
    if entry::guarded() {
        return Ok(Some(Place { path: copy(b"/proc/self/exe")?, is_this: true }));
    }
    let Some(directory) = module::own_directory() else { return Ok(None) };
    for place in PLACES {
        let mut line = Line::new();
        let _ = write!(line, "{}{place}/cfutures-worker", Lossy(directory.as_bytes()));
        let path = copy(line.as_bytes())?;
        if module::is_program(&path) {
            return Ok(Some(Place { path, is_this: false }));
        }
    }
    Ok(None)
}

/// For an error's text: where `find` has looked.
pub(crate) struct Searched;

impl fmt::Display for Searched {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(directory) = module::own_directory() else {
            return out
                .write_str("the library does not know where it lies, to look for cfutures-worker");
        };
        write!(
            out,
            "cfutures-worker is not beside the library in {}",
            Lossy(directory.as_bytes())
        )?;
        out.write_str(", nor in these directories from there:")?;
        for (count, place) in PLACES[1..].iter().enumerate() {
            let separator = if count == 0 { " " } else { ", " };
            write!(out, "{separator}{}", &place[1..])?;
        }
        Ok(())
    }
}

/// A text as the C library takes it.
pub(crate) fn copy(text: &[u8]) -> Result<CString> {
    let no_memory = |_| Error::no_memory("a worker's command line", text.len());
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(text.len() + 1).map_err(no_memory)?;
    bytes.extend_from_slice(text);
    match CString::new(bytes) {
        Ok(text) => Ok(text),
        Err(_) => crate::error::fail!(Invalid, "a NUL in the worker's command line"),
    }
}
