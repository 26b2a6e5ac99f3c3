//! Names of task functions: given by `cfut_register`, or "module.so:symbol".
//!
//! The list only grows, so that it needs no lock: a forked child may use it whatever its
//! parent's threads were doing, and a function found once stays found.

use crate::error::{Error, Lossy, Result, fail};
use crate::future::cell::TaskFn;
use crate::future::extra::Text;
use crate::platform::{memory, module};
use crate::sync::{AtomicPtr, Ordering, global};
use std::ptr;

/// The longest name.
pub(crate) const MOST: usize = 1024;

struct Entry {
    name: Text,
    function: TaskFn,
    /// Registered before.
    next: *const Entry,
}

global! {
    /// The newest.
    static NAMES: AtomicPtr<Entry> = AtomicPtr::new(ptr::null_mut());
}

/// Gives a function a name, for as long as the process lives.
pub(crate) fn register(name: &[u8], function: TaskFn) -> Result<()> {
    check(name)?;
    let no_memory = || Error::no_memory("a name", name.len());
    let name_copy = Text::copy(name).ok_or_else(no_memory)?;
    let entry = Entry { name: name_copy, function, next: ptr::null() };
    let entry = memory::try_box(entry).map_err(|_| no_memory())?;
    let mut looked_at: *const Entry = ptr::null();
    // Acquire: pairs with the Release below; publishes the entries.
    let mut newest = NAMES.load(Ordering::Acquire);
    loop {
        if let Some(known) = find_between(name, newest, looked_at) {
            // SAFETY: made above, known to nobody.
            unsafe { memory::drop_box(entry) };
            return accept_again(name, known, function);
        }
        looked_at = newest;
        // SAFETY: as above.
        unsafe { (*entry.as_ptr()).next = newest };
        // Release: pairs with the Acquire loads here and in `find`.
        match NAMES.compare_exchange(newest, entry.as_ptr(), Ordering::Release, Ordering::Acquire) {
            Ok(_) => return Ok(()),
            Err(changed) => newest = changed,
        }
    }
}

/// Whether this can be a name.
pub(crate) fn check(name: &[u8]) -> Result<()> {
    if name.is_empty() {
        return fail!(Invalid, "the name is empty");
    }
    if name.len() > MOST {
        return fail!(Invalid, "the name has {} bytes; the most is {MOST}", name.len());
    }
    if std::str::from_utf8(name).is_err() {
        return fail!(Invalid, "the name \"{}\" is not UTF-8", Lossy(name));
    }
    Ok(())
}

fn accept_again(name: &[u8], known: TaskFn, function: TaskFn) -> Result<()> {
    if ptr::fn_addr_eq(known, function) {
        return Ok(());
    }
    fail!(Invalid, "the name \"{}\" is registered for another function", Lossy(name))
}

/// The function of a name among the entries from `newest` up to `end`, which is not one of them.
fn find_between(name: &[u8], newest: *const Entry, end: *const Entry) -> Option<TaskFn> {
    let mut place = newest;
    while !ptr::eq(place, end) {
        // SAFETY: entries stay for ever, and the list leads to `end` or to NULL.
        let entry = unsafe { place.as_ref() }?;
        if entry.name.as_bytes() == name {
            return Some(entry.function);
        }
        place = entry.next;
    }
    None
}

/// The function registered under a name.
pub(crate) fn find(name: &[u8]) -> Option<TaskFn> {
    // Acquire: pairs with the Release in `register`.
    find_between(name, NAMES.load(Ordering::Acquire), ptr::null())
}

/// What a name means in this process: a registered function, else the symbol of a module, which
/// is loaded for good.
pub(crate) fn resolve(name: &[u8]) -> Result<TaskFn> {
    check(name)?;
    if let Some(function) = find(name) {
        return Ok(function);
    }
    let Some((module, symbol)) = split(name) else {
        return fail!(
            NotFound,
            "no task is registered under the name \"{}\" (cfut_register), and it names no \
             \"module.so:symbol\"",
            Lossy(name)
        );
    };
    let no_memory = || Error::no_memory("a name", name.len());
    let module = module::Name::copy(module).ok_or_else(no_memory)?;
    let symbol = module::Name::copy(symbol).ok_or_else(no_memory)?;
    match module::symbol(module.as_c_str(), symbol.as_c_str()) {
        Ok(address) => {
            // SAFETY: the user says that this symbol is a task function.
            Ok(unsafe { std::mem::transmute::<*const std::ffi::c_void, TaskFn>(address) })
        }
        Err(reason) => {
            fail!(NotFound, "\"{}\": {}", Lossy(name), Lossy(reason.as_bytes()))
        }
    }
}

/// "module.so:symbol" at its last colon; None where either is missing.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = name.iter().rposition(|&byte| byte == b':')?;
    let (module, symbol) = (&name[..colon], &name[colon + 1..]);
    (!module.is_empty() && !symbol.is_empty()).then_some((module, symbol))
}

/// For tests: how many names there are.
#[cfg(all(test, not(loom)))]
fn count() -> usize {
    let mut place: *const Entry = NAMES.load(Ordering::Acquire); // pairs with `register`
    let mut count = 0;
    // SAFETY: as in `find_between`.
    while let Some(entry) = unsafe { place.as_ref() } {
        count += 1;
        place = entry.next;
    }
    count
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::future::cell::TaskCell;
    use std::ffi::c_void;

    unsafe extern "C-unwind" fn one(_: *const TaskCell, _: *const c_void, _: usize) -> i32 {
        std::hint::black_box(1)
    }

    unsafe extern "C-unwind" fn two(_: *const TaskCell, _: *const c_void, _: usize) -> i32 {
        std::hint::black_box(2)
    }

    #[test]
    fn names_are_given_once() {
        register(b"one", one).expect("a name");
        let before = count();
        register(b"one", one).expect("the same again");
        assert_eq!(count(), before);
        assert_eq!(register(b"one", two).err(), Some(Error(Kind::Invalid)));
        assert!(find(b"one").is_some_and(|found| ptr::fn_addr_eq(found, one as TaskFn)));
        assert!(find(b"on").is_none());
        for bad in [&b""[..], b"\xff", &[b'x'; MOST + 1]] {
            assert_eq!(register(bad, one).err(), Some(Error(Kind::Invalid)));
        }
    }

    #[test]
    fn names_given_by_several_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::Builder::new()
                    .spawn(|| {
                        for number in 0..100 {
                            let name = std::format!("shared {number}");
                            register(name.as_bytes(), two).expect("the same function");
                        }
                    })
                    .expect("thread")
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("joined"));
        let mut place: *const Entry = NAMES.load(Ordering::Acquire);
        let mut shared = 0;
        // SAFETY: as in `find_between`.
        while let Some(entry) = unsafe { place.as_ref() } {
            shared += usize::from(entry.name.as_bytes().starts_with(b"shared "));
            place = entry.next;
        }
        assert_eq!(shared, 100);
    }

    #[test]
    fn names_are_split_at_the_last_colon() {
        assert_eq!(split(b"a:b.so:c"), Some((&b"a:b.so"[..], &b"c"[..])));
        for bad in [&b"a"[..], b":", b"a:", b":b"] {
            assert_eq!(split(bad), None);
        }
        assert!(resolve(b"libc.so.6:getpid").is_ok());
        for bad in [&b"libc.so.6:cfut_none"[..], b"/nowhere.so:x", b"unknown"] {
            assert_eq!(resolve(bad).err(), Some(Error(Kind::NotFound)));
        }
    }
}
