//! Names of functions for the timeline, as the loader knows them.
//!
//! The loader is asked once for each function: it looks through all symbols of a module, under a
//! lock of its own.

use crate::sync::Lock;
use std::ffi::c_void;

/// Functions that are known at once; others take their places.
const PLACES: usize = 64;
/// Longer names are cut.
const LONGEST: usize = 112;

pub(super) struct Symbols {
    /// None until there is memory for it.
    known: Lock<Vec<Symbol>>,
}

#[derive(Clone, Copy)]
struct Symbol {
    address: usize,
    /// 0: it has no name.
    length: usize,
    name: [u8; LONGEST],
}

impl Symbols {
    pub(super) fn new() -> Symbols {
        let mut known = Vec::new();
        // Without memory each function is asked for anew.
        if known.try_reserve_exact(PLACES).is_ok() {
            known.resize(PLACES, Symbol { address: 0, length: 0, name: [0; LONGEST] });
        }
        Symbols { known: Lock::new(known) }
    }

    /// Copies the name of a function, as far as it fits; its length.
    pub(super) fn name_of(&self, function: *const c_void, into: &mut [u8]) -> Option<usize> {
        if function.is_null() {
            return None;
        }
        // Functions are aligned to 16 bytes most often.
        let place = (function.addr() >> 4) % PLACES;
        if let Some(known) = self.known.lock().get(place).filter(|k| k.address == function.addr()) {
            let length = known.length.min(into.len());
            into[..length].copy_from_slice(&known.name[..length]);
            return (length > 0).then_some(length);
        }
        let mut symbol = Symbol { address: function.addr(), length: 0, name: [0; LONGEST] };
        symbol.length = ask(function, &mut symbol.name).unwrap_or(0);
        if let Some(known) = self.known.lock().get_mut(place) {
            *known = symbol;
        }
        let length = symbol.length.min(into.len());
        into[..length].copy_from_slice(&symbol.name[..length]);
        (length > 0).then_some(length)
    }
}

#[cfg(not(loom))]
fn ask(function: *const c_void, into: &mut [u8]) -> Option<usize> {
    crate::platform::module::name_of(function, into)
}

#[cfg(loom)]
fn ask(_: *const c_void, _: &mut [u8]) -> Option<usize> {
    None
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn functions_of_libraries_have_names() {
        let symbols = Symbols::new();
        let mut place = [0; 32];
        for _ in 0..2 {
            let length = symbols.name_of(libc::getpid as *const c_void, &mut place);
            let name = &place[..length.expect("a name")];
            assert!(name.ends_with(b"getpid"), "{}", String::from_utf8_lossy(name));
        }
        assert_eq!(symbols.name_of(std::ptr::null(), &mut place), None);
    }
}
