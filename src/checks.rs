//! `CFUT_CHECK=1` in the environment: slower, but misuse of handles is caught with a text.
//!
//! The library then keeps a table of the handles that users own. Releasing one that is
//! not in it ends the process and says which; so does the last line of defence against a
//! released future, the mark its memory keeps (`State::is_dead`).

use crate::error::Line;
use crate::platform::fork;
use crate::sync::Lock;
use once_cell::race::OnceBool;
use std::collections::BTreeMap;

static WANTED: OnceBool = OnceBool::new();

/// Whether the environment asked for checks when the library was first used.
#[inline(always)]
pub(crate) fn wanted() -> bool {
    WANTED.get().unwrap_or_else(ask)
}

#[cold]
fn ask() -> bool {
    WANTED.get_or_init(|| {
        // SAFETY: a NUL-terminated name. The host must not change its environment in
        // another thread meanwhile, as for any getenv.
        let value = unsafe { libc::getenv(c"CFUT_CHECK".as_ptr()) };
        // SAFETY: getenv answers NULL or a string with at least its NUL.
        !value.is_null() && unsafe { *value } == b'1' as libc::c_char
    })
}

mod table {
    use super::{BTreeMap, Line, Lock, fork, wanted};

    /// How often each address was given out as which kind of handle.
    static OWNED: Lock<BTreeMap<(usize, &'static str), usize>> = Lock::new(BTreeMap::new());

    /// Whether the table is kept: in a forked child it is not, for its lock may be held by a
    /// thread that does not exist there.
    #[inline(always)]
    fn keeps() -> bool {
        wanted() && fork::word().is(1)
    }

    /// A handle becomes the user's.
    #[inline(always)]
    pub(crate) fn given<T>(kind: &'static str, handle: *const T) {
        if keeps() && !handle.is_null() {
            *OWNED.lock().entry((handle.addr(), kind)).or_insert(0) += 1;
        }
    }

    /// A handle comes back: ends the process if it was not the user's to give.
    #[inline(always)]
    pub(crate) fn taken<T>(kind: &'static str, handle: *const T) {
        if keeps() && !handle.is_null() {
            take(kind, handle.addr());
        }
    }

    #[cold]
    fn take(kind: &'static str, address: usize) {
        let mut owned = OWNED.lock();
        match owned.get_mut(&(address, kind)) {
            Some(1) => {
                owned.remove(&(address, kind));
            }
            Some(count) => *count -= 1,
            None => {
                let line = Line::of(format_args!(
                    "CFUT_CHECK: {address:#x} was released, but is no {kind} that you own: \
                     it was released too often, only borrowed, or never was one"
                ));
                crate::unwind::die(line.as_str());
            }
        }
    }
}

pub(crate) use table::{given, taken};
