//! Memory that two processes map, known by a descriptor and by no name.
//!
//! # Rules
//! S1. A mapping covers its whole file, and the file cannot shrink: it is sealed, or, where
//!     the kernel has no seals for it, made by a process of ours. So no access ends in SIGBUS.
//! S2. Pages are provided when the memory is made (`fallocate`): a lack of memory is an
//!     error here and not a signal later. The kernel would go on providing until it has to
//!     kill somebody, so what is large is first compared with what the machine has to give.
//! S3. Whoever adopts memory takes its size from the kernel, never from its contents.
//! S4. A limit on file sizes (RLIMIT_FSIZE) is an error here and not a SIGXFSZ.

use super::fd::Fd;
use super::thread::without_cancellation;
use crate::platform::Errno;
use crate::platform::fault::{self, Site};
use std::ffi::CStr;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

/// Mapped shared memory with its descriptor.
#[derive(Debug)]
pub(crate) struct Shm {
    mapping: Mapping,
    fd: Fd,
}

/// A mapping alone: it keeps the memory as well as a descriptor does, and costs none.
#[derive(Debug)]
pub(crate) struct Mapping {
    address: NonNull<u8>,
    size: usize,
}

// SAFETY: a range of addresses; who may touch which byte is the user's matter, and goes by
// raw pointers.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

const SIZE_SEALS: i32 = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;

impl Shm {
    /// `size` zeroed bytes, mapped for reading and writing. `name` shows in /proc only.
    pub(crate) fn create(name: &CStr, size: usize) -> Result<Shm, Errno> {
        let fd = provide(name, size)?;
        seal(&fd, SIZE_SEALS | libc::F_SEAL_SEAL);
        map(fd, size, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// The memory of another process, mapped for reading and writing. EPROTO where it could
    /// shrink (S1) or is empty.
    pub(crate) fn adopt(fd: Fd) -> Result<Shm, Errno> {
        let size = checked_size(&fd)?;
        map(fd, size, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// As `adopt`, for reading only.
    pub(crate) fn adopt_read_only(fd: Fd) -> Result<Shm, Errno> {
        let size = checked_size(&fd)?;
        map(fd, size, libc::PROT_READ)
    }

    /// A descriptor of memory that holds `bytes`, and that nobody can change any more where
    /// the kernel has seals.
    pub(crate) fn frozen(name: &CStr, bytes: &[u8]) -> Result<Fd, Errno> {
        let fd = provide(name, bytes.len())?;
        write_all(&fd, bytes)?;
        seal(&fd, SIZE_SEALS | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL);
        Ok(fd)
    }

    pub(crate) fn address(&self) -> NonNull<u8> {
        self.mapping.address
    }

    pub(crate) fn size(&self) -> usize {
        self.mapping.size
    }

    pub(crate) fn fd(&self) -> &Fd {
        &self.fd
    }

    pub(crate) fn into_parts(self) -> (Mapping, Fd) {
        (self.mapping, self.fd)
    }
}

impl Mapping {
    pub(crate) fn address(&self) -> NonNull<u8> {
        self.address
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping of `map`, given up once.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.size) };
    }
}

fn map(fd: Fd, size: usize, protection: i32) -> Result<Shm, Errno> {
    if fault::fails(Site::Memory) {
        return Err(Errno(libc::ENOMEM));
    }
    // SAFETY: a shared mapping of our own descriptor at an address of the kernel's choice.
    let place =
        unsafe { libc::mmap(ptr::null_mut(), size, protection, libc::MAP_SHARED, fd.raw(), 0) };
    if place == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    let address = NonNull::new(place.cast()).ok_or(Errno(libc::ENOMEM))?;
    Ok(Shm { mapping: Mapping { address, size }, fd })
}

/// A file of `size` bytes whose pages exist (S2).
fn provide(name: &CStr, size: usize) -> Result<Fd, Errno> {
    if size == 0 || isize::try_from(size).is_err() {
        return Err(Errno(libc::EINVAL));
    }
    if size >= LARGE && available().is_some_and(|available| size as u64 > available) {
        return Err(Errno(libc::ENOMEM));
    }
    let fd = match memfd(name) {
        Err(Errno(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EINVAL)) => unnamed_file()?,
        answer => answer?,
    };
    without_file_size_signal(size, || without_cancellation(|| reserve(&fd, size)))?;
    Ok(fd)
}

/// From this size on a look at what is available costs little beside providing it.
const LARGE: usize = 16 << 20;

/// Bytes that the machine can give without taking them from anybody, as it estimates.
fn available() -> Option<u64> {
    let mut text = [0; 512];
    let length = super::memory::read_small_file(c"/proc/meminfo", &mut text)?;
    parse_available(&text[..length])
}

/// `MemAvailable:   123 kB` of /proc/meminfo, in bytes.
pub(crate) fn parse_available(text: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"MemAvailable:";
    let line = text.split(|&byte| byte == b'\n').find(|line| line.starts_with(NAME))?;
    let words = std::str::from_utf8(&line[NAME.len()..]).ok()?;
    let (number, unit) = words.trim().split_once(' ')?;
    if unit == "kB" { number.parse::<u64>().ok()?.checked_mul(1024) } else { None }
}

// ---- where memory comes from ----

const UNKNOWN: u32 = 0;
const WORKS: u32 = 1;
const ABSENT: u32 = 2;

/// Whether this process can make memfds, by its last try.
static MEMFD: AtomicU32 = AtomicU32::new(UNKNOWN);

const MFD_NOEXEC_SEAL: u32 = 8;

/// Newer kernels want to be told that nothing in the memory is a program; older ones do
/// not know the flag.
fn memfd(name: &CStr) -> Result<Fd, Errno> {
    let make = |more: u32| {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | more;
        // SAFETY: reads a NUL-terminated name.
        Fd::made_by(|| unsafe {
            libc::syscall(libc::SYS_memfd_create, name.as_ptr(), flags) as i32
        })
    };
    let made = match make(MFD_NOEXEC_SEAL) {
        Err(Errno(libc::EINVAL)) => make(0),
        answer => answer,
    };
    let state = match &made {
        Ok(_) => WORKS,
        Err(Errno(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EINVAL)) => ABSENT,
        Err(_) => return made,
    };
    // Relaxed: a fact on its own.
    MEMFD.store(state, Ordering::Relaxed);
    made
}

/// Whether memory without seals may be taken from another process: only where none of ours
/// could have made it with seals.
fn seals_are_absent() -> bool {
    // Relaxed: a fact on its own.
    if MEMFD.load(Ordering::Relaxed) == UNKNOWN {
        let _ = memfd(c"cfutures");
    }
    // Relaxed: as above.
    MEMFD.load(Ordering::Relaxed) == ABSENT
}

/// A file that no directory names, in the first place that can have one.
fn unnamed_file() -> Result<Fd, Errno> {
    let mut last = Errno(libc::ENOSYS);
    for directory in [c"/dev/shm", c"/tmp", c"/var/tmp"] {
        match unnamed_file_in(directory) {
            Err(Errno(libc::EMFILE)) => return Err(Errno(libc::EMFILE)),
            Err(Errno(libc::ENFILE)) => return Err(Errno(libc::ENFILE)),
            Err(errno) => last = errno,
            made => return made,
        }
    }
    Err(last)
}

fn unnamed_file_in(directory: &CStr) -> Result<Fd, Errno> {
    let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: reads a NUL-terminated path.
    Fd::made_by(|| without_cancellation(|| unsafe { libc::open(directory.as_ptr(), flags, 0o600) }))
}

/// Sets the size, with pages where the file system can say so.
fn reserve(fd: &Fd, size: usize) -> Result<(), Errno> {
    loop {
        // SAFETY: our own descriptor; the size was checked by `provide`.
        if unsafe { libc::fallocate(fd.raw(), 0, 0, size as libc::off_t) } == 0 {
            return Ok(());
        }
        match Errno::last() {
            Errno(libc::EINTR) => {}
            Errno(libc::EOPNOTSUPP | libc::ENOSYS | libc::EPERM) => break,
            errno => return Err(errno),
        }
    }
    // Writing is what provides pages then.
    write_zeros(fd, size)
}

fn write_zeros(fd: &Fd, size: usize) -> Result<(), Errno> {
    const ZEROS: [u8; 4096] = [0; 4096];
    let mut at = 0;
    while at < size {
        let part = (size - at).min(ZEROS.len());
        at += write_at(fd, &ZEROS[..part], at)?;
    }
    Ok(())
}

fn write_all(fd: &Fd, bytes: &[u8]) -> Result<(), Errno> {
    let mut at = 0;
    while at < bytes.len() {
        at += without_cancellation(|| write_at(fd, &bytes[at..], at))?;
    }
    Ok(())
}

fn write_at(fd: &Fd, bytes: &[u8], at: usize) -> Result<usize, Errno> {
    loop {
        // SAFETY: reads `bytes.len()` bytes from `bytes`.
        let written = unsafe {
            libc::pwrite(fd.raw(), bytes.as_ptr().cast(), bytes.len(), at as libc::off_t)
        };
        match written {
            1.. => return Ok(written as usize),
            0 => return Err(Errno(libc::ENOSPC)),
            _ if Errno::last().0 == libc::EINTR => {}
            _ => return Err(Errno::last()),
        }
    }
}

// ---- seals ----

/// A file without seals keeps its size by S1 alone, so a refusal is no failure.
fn seal(fd: &Fd, seals: i32) {
    // SAFETY: our own descriptor.
    unsafe { libc::fcntl(fd.raw(), libc::F_ADD_SEALS, seals) };
}

/// The size of memory that came from elsewhere (S3), if it cannot shrink (S1).
fn checked_size(fd: &Fd) -> Result<usize, Errno> {
    // SAFETY: our own descriptor.
    let seals = unsafe { libc::fcntl(fd.raw(), libc::F_GET_SEALS) };
    let sealed = seals >= 0 && seals & SIZE_SEALS == SIZE_SEALS;
    if !sealed && !seals_are_absent() {
        return Err(Errno(libc::EPROTO));
    }
    // SAFETY: zero is a valid stat; fstat fills it.
    let mut about: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: writes one stat.
    if unsafe { libc::fstat(fd.raw(), &mut about) } != 0 {
        return Err(Errno::last());
    }
    let regular = about.st_mode & libc::S_IFMT == libc::S_IFREG;
    match usize::try_from(about.st_size) {
        Ok(size) if regular && size > 0 => Ok(size),
        _ => Err(Errno(libc::EPROTO)),
    }
}

// ---- the limit on file sizes ----

/// Runs `call`, which makes a file of `size` bytes, so that the limit on file sizes is an
/// error and not a signal, whatever another thread does to the limit meanwhile.
fn without_file_size_signal(
    size: usize,
    call: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes one rlimit.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0;
    if !known || limit.rlim_cur == libc::RLIM_INFINITY {
        return call();
    }
    if size as u64 > limit.rlim_cur {
        return Err(Errno(libc::EFBIG));
    }
    let signal = signal_set(libc::SIGXFSZ);
    // SAFETY: zero is a valid signal set.
    let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: reads one set and writes the other.
    let masked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &signal, &mut before) } == 0;
    let waiting_before = is_pending(libc::SIGXFSZ);
    let answer = call();
    if masked {
        if answer.is_err() && !waiting_before && is_pending(libc::SIGXFSZ) {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: takes the pending signal, without waiting for one.
            unsafe { libc::sigtimedwait(&signal, ptr::null_mut(), &now) };
        }
        // SAFETY: sets the mask that was there before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut()) };
    }
    answer
}

fn signal_set(signal: i32) -> libc::sigset_t {
    // SAFETY: zero is valid, and both calls only write the set.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, signal);
        set
    }
}

fn is_pending(signal: i32) -> bool {
    // SAFETY: zero is valid; sigpending fills the set, sigismember reads it.
    unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&mut pending) == 0 && libc::sigismember(&pending, signal) == 1
    }
}
