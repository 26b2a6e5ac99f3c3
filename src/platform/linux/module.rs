//! Which program or library a function lies in, and the way back in another process.
//!
//! An address means nothing elsewhere: modules lie at other places. Module and offset do, if it
//! is the same build of the module. So a place carries the module's identity, its build-id where
//! the linker left one, else what the file system says of the file.

// A reason is text that needs no memory; it is made where something is missing for good.
#![allow(clippy::result_large_err)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::mem::MaybeUninit;
use std::ptr;

/// What tells one build of a module from another: a kind, and the bytes that it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    length: u8,
    bytes: [u8; 1 + Identity::MOST],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
enum IdentityKind {
    /// Nothing is known: two such modules are told apart by their paths.
    None = 0,
    /// The build-id note.
    Build = 1,
    /// Inode, size and nanoseconds of the last change.
    File = 2,
}

impl Identity {
    const MOST: usize = 32;

    fn new(kind: IdentityKind, from: &[u8]) -> Identity {
        let length = from.len().min(Identity::MOST);
        let mut bytes = [0; 1 + Identity::MOST];
        bytes[0] = kind as u8;
        bytes[1..=length].copy_from_slice(&from[..length]);
        Identity { length: 1 + length as u8, bytes }
    }

    /// For another process.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Out of `as_bytes` of another process; None for what is no identity.
    pub(crate) fn from_bytes(from: &[u8]) -> Option<Identity> {
        let known = from.first().is_some_and(|&kind| kind <= IdentityKind::File as u8);
        if !known || from.len() > 1 + Identity::MOST {
            return None;
        }
        let mut bytes = [0; 1 + Identity::MOST];
        bytes[..from.len()].copy_from_slice(from);
        Some(Identity { length: from.len() as u8, bytes })
    }

    fn is_build(&self) -> bool {
        self.bytes[0] == IdentityKind::Build as u8
    }

    fn of_file(path: &CStr) -> Identity {
        // SAFETY: plain numbers, for which zero is a value.
        let mut about: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: a NUL-terminated path; writes one stat.
        if unsafe { libc::stat(path.as_ptr(), &mut about) } != 0 {
            return Identity::new(IdentityKind::None, &[]);
        }
        let changed = (about.st_mtime as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(about.st_mtime_nsec as u64);
        let mut bytes = [0; 24];
        for (place, number) in [about.st_ino, about.st_size as u64, changed].iter().enumerate() {
            bytes[place * 8..][..8].copy_from_slice(&number.to_ne_bytes());
        }
        Identity::new(IdentityKind::File, &bytes)
    }
}

/// A NUL-terminated text of the system's, copied.
pub(crate) struct Name(Vec<u8>);

impl Name {
    /// None when there is no memory. Ends at the first NUL.
    pub(crate) fn copy(text: &[u8]) -> Option<Name> {
        let length = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length + 1).ok()?;
        bytes.extend_from_slice(&text[..length]);
        bytes.push(0);
        Some(Name(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0[..self.0.len() - 1]
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// A function's place that another process understands.
pub(crate) struct Located {
    /// In the program itself.
    pub(crate) main: bool,
    /// Of the file, absolute.
    pub(crate) path: Name,
    pub(crate) identity: Identity,
    /// From where the module is loaded.
    pub(crate) offset: u64,
}

/// Why a module or a function was not found: text for people.
#[derive(Debug)]
pub(crate) struct Reason {
    text: [u8; Reason::MOST],
    length: usize,
}

impl Reason {
    const MOST: usize = 400;

    fn of(text: fmt::Arguments<'_>) -> Reason {
        let mut reason = Reason { text: [0; Reason::MOST], length: 0 };
        // Cannot fail: what does not fit is cut.
        let _ = fmt::write(&mut reason, text);
        reason
    }

    /// What the dynamic linker says of the call that has just failed in this thread.
    fn of_linker() -> Reason {
        // SAFETY: NULL, or a text that stays until the next call of the linker's.
        let text = unsafe { libc::dlerror() };
        if text.is_null() {
            return Reason::of(format_args!("the dynamic linker gives no reason"));
        }
        let mut reason = Reason::of(format_args!(""));
        // SAFETY: NUL-terminated.
        reason.add(unsafe { CStr::from_ptr(text) }.to_bytes());
        reason
    }

    fn add(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(Reason::MOST - self.length);
        self.text[self.length..self.length + kept].copy_from_slice(&bytes[..kept]);
        self.length += kept;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

impl fmt::Write for Reason {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

/// The module that a function lies in; None: in none, as code made at run time.
pub(crate) fn locate(function: *const c_void) -> Option<Located> {
    let module = Module::around(function.addr())?;
    let path = module.path()?;
    Some(Located {
        main: module.main,
        identity: module.identity(path.as_c_str()),
        path,
        offset: (function.addr() - module.base) as u64,
    })
}

/// The function at that place in this process; its module is loaded if it is not.
pub(crate) fn find(
    main: bool,
    path: &CStr,
    identity: &Identity,
    offset: u64,
) -> Result<*const c_void, Reason> {
    let shown = Shown(path.to_bytes());
    if !main && loaded(path, identity).is_none() {
        load(path)?;
    }
    let module = if main { Module::program() } else { loaded(path, identity) };
    let Some(module) = module else {
        return Err(Reason::of(format_args!(
            "{shown} is not the build that the function was taken from"
        )));
    };
    if main && module.path().map(|path| module.identity(path.as_c_str())) != Some(*identity) {
        return Err(Reason::of(format_args!(
            "the function lies in the program {shown}, and this worker program is another one"
        )));
    }
    let address = module.base.wrapping_add(offset as usize);
    if !module.has_code_at(address) {
        return Err(Reason::of(format_args!("{shown} has no function at offset {offset:#x}")));
    }
    Ok(ptr::with_exposed_provenance(address))
}

/// Loads a module, for good.
pub(crate) fn load(path: &CStr) -> Result<(), Reason> {
    open(path).map(|_| ())
}

fn open(path: &CStr) -> Result<*mut c_void, Reason> {
    // SAFETY: a NUL-terminated name; constructors of the module are what its user wants run.
    let module = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if module.is_null() { Err(Reason::of_linker()) } else { Ok(module) }
}

/// The symbol of a module, which is loaded, for good, if it is not.
pub(crate) fn symbol(module: &CStr, symbol: &CStr) -> Result<*const c_void, Reason> {
    let handle = open(module)?;
    // SAFETY: a live module and a NUL-terminated name.
    let address = unsafe { libc::dlsym(handle, symbol.as_ptr()) };
    if address.is_null() { Err(Reason::of_linker()) } else { Ok(address) }
}

/// Copies the name of the function at an address, as the loader knows it, as far as it fits; its
/// length. None: the function has none, for it is not exported.
pub(crate) fn name_of(function: *const c_void, into: &mut [u8]) -> Option<usize> {
    // SAFETY: filled by the call, if that succeeds.
    let info = unsafe {
        let mut info = std::mem::zeroed::<libc::Dl_info>();
        if libc::dladdr(function, &mut info) == 0 {
            return None;
        }
        info
    };
    if info.dli_sname.is_null() {
        return None;
    }
    // SAFETY: a text of the module, which holds the function and so is not unloaded now.
    let name = unsafe { CStr::from_ptr(info.dli_sname) }.to_bytes();
    let length = name.len().min(into.len());
    into[..length].copy_from_slice(&name[..length]);
    (length > 0).then_some(length)
}

/// The directory of the file that this code was loaded from: the library's, or the program's
/// that has it linked in.
pub(crate) fn own_directory() -> Option<Name> {
    let here = own_directory as *const c_void;
    let path = Module::around(here.addr())?.path()?;
    let cut = path.as_bytes().iter().rposition(|&byte| byte == b'/')?;
    Name::copy(&path.as_bytes()[..cut.max(1)])
}

/// The file of this program.
pub(crate) fn own_program() -> Option<Name> {
    let mut path = [0u8; 4096];
    // SAFETY: writes at most the array's bytes, without a NUL.
    let length =
        unsafe { libc::readlink(c"/proc/self/exe".as_ptr(), path.as_mut_ptr().cast(), path.len()) };
    Name::copy(path.get(..usize::try_from(length).ok()?)?)
}

/// A path or a name, shown as text.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
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

// ---- what is loaded ----

/// A loaded module. What it borrows from the linker lasts as long as the module, and modules that
/// functions of tasks lie in are not unloaded.
#[derive(Clone, Copy)]
struct Module {
    main: bool,
    base: usize,
    /// "" for the program.
    name: *const c_char,
    headers: *const libc::Elf64_Phdr,
    count: usize,
}

struct Search<'a> {
    wanted: &'a mut dyn FnMut(&Module) -> bool,
    seen: usize,
    found: Option<Module>,
}

extern "C" fn look(info: *mut libc::dl_phdr_info, _size: usize, search: *mut c_void) -> c_int {
    // SAFETY: the linker's description of one module, and `Module::find`'s own search.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search<'_>>()) };
    let module = Module {
        // The linker lists the program first.
        main: search.seen == 0,
        base: info.dlpi_addr as usize,
        name: info.dlpi_name,
        headers: info.dlpi_phdr.cast(),
        count: usize::from(info.dlpi_phnum),
    };
    search.seen += 1;
    let stop = (search.wanted)(&module);
    if stop {
        search.found = Some(module);
    }
    c_int::from(stop)
}

impl Module {
    fn find(wanted: &mut dyn FnMut(&Module) -> bool) -> Option<Module> {
        let mut search = Search { wanted, seen: 0, found: None };
        // SAFETY: `look` is given this search and nothing outlasts the call.
        unsafe { libc::dl_iterate_phdr(Some(look), ptr::from_mut(&mut search).cast()) };
        search.found
    }

    fn program() -> Option<Module> {
        Module::find(&mut |_| true)
    }

    fn around(address: usize) -> Option<Module> {
        Module::find(&mut |module| module.segment_at(address).is_some())
    }

    fn headers(&self) -> &[libc::Elf64_Phdr] {
        if self.headers.is_null() {
            return &[];
        }
        // SAFETY: the program headers of a loaded module.
        unsafe { std::slice::from_raw_parts(self.headers, self.count) }
    }

    fn segment_at(&self, address: usize) -> Option<&libc::Elf64_Phdr> {
        let offset = address.checked_sub(self.base)? as u64;
        self.headers().iter().find(|segment| {
            segment.p_type == libc::PT_LOAD
                && offset.checked_sub(segment.p_vaddr).is_some_and(|at| at < segment.p_memsz)
        })
    }

    fn has_code_at(&self, address: usize) -> bool {
        self.segment_at(address).is_some_and(|segment| segment.p_flags & libc::PF_X != 0)
    }

    /// The file it came from, absolute.
    fn path(&self) -> Option<Name> {
        if self.main {
            return own_program();
        }
        let mut resolved = MaybeUninit::<[c_char; libc::PATH_MAX as usize]>::uninit();
        // SAFETY: a NUL-terminated name; writes a path, which is no longer than that.
        unsafe {
            let path = libc::realpath(self.name, resolved.as_mut_ptr().cast());
            // The kernel's own module has no file.
            let path = if path.is_null() { self.name.cast_mut() } else { path };
            Name::copy(CStr::from_ptr(path).to_bytes())
        }
    }

    fn identity(&self, path: &CStr) -> Identity {
        match self.build_id() {
            Some(id) => Identity::new(IdentityKind::Build, id),
            None => Identity::of_file(path),
        }
    }

    fn build_id(&self) -> Option<&[u8]> {
        self.headers().iter().filter(|segment| segment.p_type == libc::PT_NOTE).find_map(
            |segment| {
                let place = self.base.wrapping_add(segment.p_vaddr as usize);
                let start: *const u8 = ptr::with_exposed_provenance(place);
                // SAFETY: a segment that the linker has mapped for reading.
                let notes = unsafe {
                    std::slice::from_raw_parts(start, segment.p_memsz.min(64 * 1024) as usize)
                };
                build_id_in(notes, if segment.p_align == 8 { 8 } else { 4 })
            },
        )
    }
}

/// The module of that file and build, if it is loaded.
fn loaded(path: &CStr, identity: &Identity) -> Option<Module> {
    Module::find(&mut |module| {
        if module.main {
            return false;
        }
        if identity.is_build() {
            // The same build from another place is the same code, and there may be none here.
            let same = |id| Identity::new(IdentityKind::Build, id) == *identity;
            return module.build_id().is_some_and(same);
        }
        let path_of = module.path();
        path_of.is_some_and(|own| own.as_c_str() == path && module.identity(path) == *identity)
    })
}

/// Notes are `{ name size, size, type }`, the name and the bytes, each filled up to `align`.
pub(crate) fn build_id_in(mut notes: &[u8], align: usize) -> Option<&[u8]> {
    const BUILD_ID: u32 = 3;
    let number =
        |bytes: &[u8], at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let filled = |size: u32| (size as usize).checked_next_multiple_of(align);
    loop {
        let (name_size, size, kind) = (number(notes, 0)?, number(notes, 4)?, number(notes, 8)?);
        let rest = notes.get(12..)?;
        let name = rest.get(..name_size as usize)?;
        let rest = rest.get(filled(name_size)?..)?;
        let bytes = rest.get(..size as usize)?;
        if kind == BUILD_ID && name == b"GNU\0" && !bytes.is_empty() {
            return Some(bytes);
        }
        notes = rest.get(filled(size)?..)?;
    }
}

/// Whether a file is there that this user may execute.
pub(crate) fn is_program(path: &CStr) -> bool {
    // SAFETY: plain numbers, for which zero is a value; a NUL-terminated path; writes one stat.
    unsafe {
        let mut about: libc::stat = std::mem::zeroed();
        libc::access(path.as_ptr(), libc::X_OK) == 0
            && libc::stat(path.as_ptr(), &mut about) == 0
            && about.st_mode & libc::S_IFMT == libc::S_IFREG
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    extern "C" fn somewhere() -> i32 {
        std::hint::black_box(7)
    }

    #[test]
    fn a_function_of_the_program_is_found_again() {
        let here = somewhere as *const c_void;
        let located = locate(here).expect("in this program");
        assert!(located.main);
        let found = find(true, located.path.as_c_str(), &located.identity, located.offset).ok();
        assert_eq!(found, Some(here));
        let other = Identity::new(IdentityKind::Build, b"another");
        assert!(find(true, located.path.as_c_str(), &other, located.offset).is_err());
        assert!(find(true, located.path.as_c_str(), &located.identity, !0).is_err());
    }

    #[test]
    fn a_function_of_a_library_is_found_again() {
        let here = libc::getpid as *const c_void;
        let located = locate(here).expect("in the C library");
        assert!(!located.main && located.path.as_bytes().starts_with(b"/"));
        let found = find(false, located.path.as_c_str(), &located.identity, located.offset).ok();
        assert_eq!(found, Some(here));
        let other = Identity::new(IdentityKind::Build, b"another");
        let text = find(false, located.path.as_c_str(), &other, located.offset);
        let text = text.expect_err("another build");
        assert!(text.as_bytes().ends_with(b"that the function was taken from"));
        assert!(locate(ptr::without_provenance(8)).is_none());
    }

    #[test]
    fn symbols_and_their_absence() {
        assert!(symbol(c"libc.so.6", c"getpid").is_ok());
        let text = symbol(c"libc.so.6", c"cfut_none").expect_err("no such symbol");
        assert!(text.as_bytes().windows(9).any(|part| part == b"cfut_none"));
        assert!(symbol(c"/nowhere/none.so", c"x").is_err());
        assert!(own_directory().is_some_and(|path| path.as_bytes()[0] == b'/'));
    }

    proptest! {
        #[test]
        fn notes_of_any_kind(
            notes in proptest::collection::vec(any::<u8>(), 0..96),
            align in prop::sample::select(vec![4usize, 8]),
        ) {
            let _ = build_id_in(&notes, align);
        }

        #[test]
        fn a_build_id_is_found_behind_other_notes(
            other in proptest::collection::vec(any::<u8>(), 0..24),
            id in proptest::collection::vec(any::<u8>(), 1..32),
        ) {
            let mut notes = Vec::new();
            for (kind, bytes) in [(1u32, &other), (3, &id)] {
                for number in [4, bytes.len() as u32, kind] {
                    notes.extend_from_slice(&number.to_ne_bytes());
                }
                notes.extend_from_slice(b"GNU\0");
                notes.extend_from_slice(bytes);
                notes.resize(notes.len().next_multiple_of(4), 0);
            }
            prop_assert_eq!(build_id_in(&notes, 4), Some(&id[..]));
        }
    }
}
