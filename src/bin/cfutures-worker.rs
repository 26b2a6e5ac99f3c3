//! The worker program that the library ships: `cfutures-worker`.
//!
//! It runs tasks that lie in shared libraries, for pools of programs that have no workers of their
//! own. Those libraries call the library they were linked with, and promises, memory and
//! per-thread state exist once in a process: so this program has nothing of the library in
//! itself, and loads the same shared object. Everything else happens in there, in
//! `cfut_worker_main`.

use std::ffi::{CStr, CString, c_char, c_void};
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cfutures-worker [--help | --version]

A worker process of libcfutures: process pools start it to run the tasks of shared libraries. It
is of no use when started by hand.
";

/// By hand: neither an answer nor work.
const BY_HAND: u8 = 2;
/// The library could not be loaded.
const NO_LIBRARY: u8 = 3;

fn main() -> ExitCode {
    let library = match Library::load() {
        Ok(library) => library,
        Err(text) => {
            let text = format!("cfutures-worker: {text}\n");
            return say(&mut std::io::stderr(), text.as_bytes(), ExitCode::from(NO_LIBRARY));
        }
    };
    library.work();
    // No pool has started this.
    let first = std::env::args_os().nth(1).unwrap_or_default();
    match first.to_str() {
        Some("--help" | "-h") => say(&mut std::io::stdout(), USAGE.as_bytes(), ExitCode::SUCCESS),
        Some("--version" | "-V") => {
            let text = [b"cfutures-worker ", library.version().to_bytes(), b"\n"].concat();
            say(&mut std::io::stdout(), &text, ExitCode::SUCCESS)
        }
        _ => say(&mut std::io::stderr(), USAGE.as_bytes(), ExitCode::from(BY_HAND)),
    }
}

fn say(stream: &mut dyn Write, text: &[u8], code: ExitCode) -> ExitCode {
    match stream.write_all(text).and_then(|()| stream.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The loaded libcfutures.
struct Library(*mut c_void);

impl Library {
    fn load() -> Result<Library, String> {
        let mut text = String::from("libcfutures.so is not there");
        for path in candidates() {
            let Ok(path) = CString::new(path.into_os_string().into_vec()) else { continue };
            // For the modules of tasks, too: they may have been linked without naming it.
            let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
            // SAFETY: a NUL-terminated path; the library has no constructors.
            let handle = unsafe { libc::dlopen(path.as_ptr(), flags) };
            if !handle.is_null() {
                return Ok(Library(handle));
            }
            // SAFETY: dlopen has failed just now: a text, NUL-terminated.
            let reason = unsafe { CStr::from_ptr(libc::dlerror()) };
            text = String::from_utf8_lossy(reason.to_bytes()).into_owned();
        }
        Err(text)
    }

    fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: a live module and a NUL-terminated name.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!address.is_null(), "libcfutures.so has no {name:?}");
        address
    }

    /// Does not return if a pool has started this process.
    fn work(&self) {
        type Main = unsafe extern "C-unwind" fn();
        let main = self.symbol(c"cfut_worker_main");
        // SAFETY: the function of the header under that name, in the main thread, before others.
        unsafe { std::mem::transmute::<*mut c_void, Main>(main)() };
    }

    fn version(&self) -> &CStr {
        type Version = unsafe extern "C-unwind" fn() -> *const c_char;
        let version = self.symbol(c"cfut_version");
        // SAFETY: the function of the header under that name; its text is valid for ever.
        unsafe { CStr::from_ptr(std::mem::transmute::<*mut c_void, Version>(version)()) }
    }
}

/// Where the library may be, best first: beside this program, where an installation has a link to
/// it; where cargo has it; and wherever the system looks. The name without a version may be that
/// of another ABI, so it is taken only where the library and this program were built.
fn candidates() -> Vec<PathBuf> {
    let (name, unversioned) = (concat!("libcfutures.so.", env!("CFUT_ABI")), "libcfutures.so");
    let program = std::env::current_exe().unwrap_or_default();
    let here = program.parent().unwrap_or(Path::new("/"));
    let places = [here.to_owned(), here.join("deps")];
    let mut all: Vec<PathBuf> =
        places.iter().flat_map(|place| [name, unversioned].map(|name| place.join(name))).collect();
    all.push(PathBuf::from(name));
    all
}
