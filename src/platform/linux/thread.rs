//! Raw threads.
//!
//! Not `std::thread`: that one panics when the system refuses a thread, and a
//! `pthread_exit` in a task would meet std's own `catch_unwind` and end the process. The
//! trampoline here is `extern "C-unwind"` and catches nothing, so such an exit unwinds to
//! the C library, running our drop guards on its way.

use crate::platform::fault::{self, Site};
use crate::platform::{Errno, clock::Instant};
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a new thread runs. `argument` is passed through.
pub(crate) type Main = extern "C-unwind" fn(argument: *mut c_void) -> *mut c_void;

/// A thread that has been started and can be joined once.
#[derive(Clone, Copy)]
pub(crate) struct Thread(libc::pthread_t);

/// Starts a thread that blocks all signals but those a fault raises, so that the host's
/// handlers run on the host's threads. `stack` 0: the system's default.
#[cfg(not(loom))]
pub(crate) fn spawn(main: Main, argument: *mut c_void, stack: usize) -> Result<Thread, Errno> {
    if fault::fails(Site::Thread) {
        return Err(Errno(libc::EAGAIN));
    }
    let attributes = Attributes::new(stack)?;
    let unblock = block_signals();
    let mut handle = MaybeUninit::uninit();
    // SAFETY: a valid attribute object; `main` has the C calling convention (it differs
    // from the declared type only in that it may unwind, which pthread_create supports).
    let code = unsafe {
        let main: extern "C" fn(*mut c_void) -> *mut c_void = std::mem::transmute(main);
        libc::pthread_create(handle.as_mut_ptr(), &attributes.0, main, argument)
    };
    restore_signals(&unblock);
    if code != 0 {
        return Err(Errno(code));
    }
    // SAFETY: pthread_create succeeded and filled it.
    Ok(Thread(unsafe { handle.assume_init() }))
}

#[cfg(loom)]
pub(crate) use modelled::spawn;

/// Threads of a model.
#[cfg(loom)]
pub(crate) mod modelled {
    use super::{Errno, Main, Thread, c_void};
    use std::cell::{Cell, RefCell};

    type Handle = loom::thread::JoinHandle<()>;

    thread_local! {
        /// How many threads the system will refuse; all of a model's threads share it.
        static REFUSED: Cell<u32> = const { Cell::new(0) };
        static STARTED: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
    }

    /// Waits for all threads: a run must end after them, and takes the statics with it.
    #[cfg(test)]
    pub(crate) fn join_all() {
        while let Some(thread) = STARTED.with_borrow_mut(Vec::pop) {
            thread.join().expect("joined");
        }
    }

    /// Has the next `count` threads refused.
    #[cfg(test)]
    pub(crate) fn refuse(count: u32) {
        REFUSED.set(count);
    }

    struct Argument(*mut c_void);
    // SAFETY: what a thread is given is for it.
    unsafe impl Send for Argument {}

    pub(crate) fn spawn(main: Main, argument: *mut c_void, _: usize) -> Result<Thread, Errno> {
        if REFUSED.get() > 0 {
            REFUSED.set(REFUSED.get() - 1);
            return Err(Errno(libc::EAGAIN));
        }
        let argument = Argument(argument);
        let thread = loom::thread::spawn(move || {
            let argument = argument;
            main(argument.0);
        });
        STARTED.with_borrow_mut(|started| started.push(thread));
        // Joining and detaching by the pool have nothing to do: see `join_all`.
        Ok(Thread(0))
    }
}

#[cfg_attr(loom, allow(dead_code))]
struct Attributes(libc::pthread_attr_t);

impl Attributes {
    fn new(stack: usize) -> Result<Attributes, Errno> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: initialises the object it is given.
        let code = unsafe { libc::pthread_attr_init(raw.as_mut_ptr()) };
        if code != 0 {
            return Err(Errno(code));
        }
        // SAFETY: initialised above.
        let mut attributes = Attributes(unsafe { raw.assume_init() });
        if stack != 0 {
            // SAFETY: a valid object. The guard page is the default and stays.
            let code = unsafe { libc::pthread_attr_setstacksize(&mut attributes.0, stack) };
            if code != 0 {
                return Err(Errno(code));
            }
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, destroyed once.
        unsafe { libc::pthread_attr_destroy(&mut self.0) };
    }
}

/// The mask is inherited by the new thread; the caller gets its own back.
fn block_signals() -> libc::sigset_t {
    // SAFETY: both sets are filled before they are read.
    unsafe {
        let mut block = MaybeUninit::uninit();
        libc::sigfillset(block.as_mut_ptr());
        let mut block = block.assume_init();
        for raised_by_faults in [
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGSYS,
            libc::SIGABRT,
        ] {
            libc::sigdelset(&mut block, raised_by_faults);
        }
        let mut before = MaybeUninit::uninit();
        libc::pthread_sigmask(libc::SIG_SETMASK, &block, before.as_mut_ptr());
        before.assume_init()
    }
}

fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: a set that pthread_sigmask gave us.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: i32, before: *mut i32) -> i32;
}

/// Makes a call in which a pending pthread_cancel() would go off: it waits until the library
/// has returned, for our frames must not be unwound (rule U1 of `unwind`).
pub(crate) fn without_cancellation<R>(call: impl FnOnce() -> R) -> R {
    const DISABLE: i32 = 1;
    let mut before = 0;
    // SAFETY: writes the state that is set again below.
    unsafe { pthread_setcancelstate(DISABLE, &mut before) };
    let answer = call();
    // SAFETY: as above; the old state is not asked for.
    unsafe { pthread_setcancelstate(before, std::ptr::null_mut()) };
    answer
}

impl Thread {
    /// The calling thread.
    pub(crate) fn current() -> Thread {
        if cfg!(loom) {
            return Thread(0);
        }
        // SAFETY: always valid in the calling thread.
        Thread(unsafe { libc::pthread_self() })
    }

    /// Waits for the thread's end, at most until `deadline`. False: it has not ended yet.
    ///
    /// # Safety
    /// The thread is neither joined nor detached elsewhere, and this is not the thread itself.
    pub(crate) unsafe fn join(self, deadline: Option<Instant>) -> bool {
        if cfg!(loom) {
            return true;
        }
        // SAFETY: by the contract.
        without_cancellation(|| unsafe { self.join_until(deadline) })
    }

    /// # Safety
    /// As `join`.
    unsafe fn join_until(self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else {
            // SAFETY: by the contract.
            unsafe { libc::pthread_join(self.0, std::ptr::null_mut()) };
            return true;
        };
        loop {
            let left = deadline.saturating_since(Instant::now());
            // The call takes wall-clock time; asking again by the monotonic clock
            // corrects it if somebody sets the wall clock meanwhile.
            let limit = wall_clock_in(left.min(1_000_000_000));
            // SAFETY: by the contract.
            let code = unsafe { libc::pthread_timedjoin_np(self.0, std::ptr::null_mut(), &limit) };
            if code != libc::ETIMEDOUT && code != libc::EBUSY {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
        }
    }

    /// Lets the thread's resources go by themselves when it ends.
    ///
    /// # Safety
    /// The thread is neither joined nor detached elsewhere.
    pub(crate) unsafe fn detach(self) {
        if cfg!(loom) {
            return;
        }
        // SAFETY: by the contract.
        unsafe { libc::pthread_detach(self.0) };
    }
}

fn wall_clock_in(nanoseconds: u64) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut now) };
    let total = now.tv_nsec as u64 + nanoseconds;
    libc::timespec {
        tv_sec: now.tv_sec + (total / 1_000_000_000) as libc::time_t,
        tv_nsec: (total % 1_000_000_000) as libc::c_long,
    }
}

/// Names the calling thread, as debuggers and `top -H` show it: the first 15 bytes.
pub(crate) fn set_name(name: &CStr) {
    if cfg!(loom) {
        return;
    }
    let mut cut = [0u8; 16];
    let bytes = name.to_bytes();
    let length = bytes.len().min(15);
    cut[..length].copy_from_slice(&bytes[..length]);
    // SAFETY: NUL-terminated, at most 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, cut.as_ptr()) };
}

/// Sets the nice value of the calling thread (Linux keeps one per thread).
pub(crate) fn set_nice(nice: i32) -> Result<(), Errno> {
    // SAFETY: no pointers.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } == 0 {
        Ok(())
    } else {
        Err(Errno::last())
    }
}

/// Kernel number of the calling thread.
pub(crate) fn id() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::syscall(libc::SYS_gettid) as i32 }
}

/// Lets another thread run, if one is ready on this processor.
pub(crate) fn yield_now() {
    // SAFETY: no arguments.
    unsafe { libc::sched_yield() };
}

/// Has `run` called when the calling thread ends, on that thread; false: the system has no
/// room for it. There is one such function in the library. It may be called again if the
/// thread asks again after it ran: other destructors may come later.
pub(crate) fn at_thread_end(run: unsafe extern "C" fn(*mut c_void)) -> bool {
    /// The key plus one; 0 = not made yet.
    static KEY: AtomicU32 = AtomicU32::new(0);
    // Relaxed, here and below: a number, nothing is published with it.
    let mut key = KEY.load(Ordering::Relaxed);
    if key == 0 {
        let mut fresh = 0;
        // SAFETY: writes the key. `run` stays valid: the library is not unloaded.
        if unsafe { libc::pthread_key_create(&mut fresh, Some(run)) } != 0 {
            return false;
        }
        key = fresh + 1;
        if let Err(first) = KEY.compare_exchange(0, key, Ordering::Relaxed, Ordering::Relaxed) {
            // SAFETY: made above, used by nobody.
            unsafe { libc::pthread_key_delete(fresh) };
            key = first;
        }
    }
    // A destructor is called for values other than NULL; this one looks at nothing.
    let value = std::ptr::without_provenance(1);
    // SAFETY: a key of ours.
    unsafe { libc::pthread_setspecific(key - 1, value) == 0 }
}

/// Lowest usable address of the calling thread's stack, 0 if unknown. Slow on the main
/// thread; meant to be called once a thread.
pub(crate) fn stack_floor() -> usize {
    if cfg!(loom) {
        return 0; // a model's threads have stacks of their own making
    }
    let mut raw = MaybeUninit::uninit();
    // SAFETY: on success the object is initialised and is destroyed below.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), raw.as_mut_ptr()) != 0 {
            return 0;
        }
        let mut attributes = raw.assume_init();
        let (mut base, mut size) = (std::ptr::null_mut(), 0);
        let code = libc::pthread_attr_getstack(&attributes, &mut base, &mut size);
        libc::pthread_attr_destroy(&mut attributes);
        if code == 0 { base as usize } else { 0 }
    }
}

/// Approximate address of the top of the calling frame.
#[inline(always)]
pub(crate) fn stack_here() -> usize {
    let marker = 0u8;
    std::ptr::from_ref(std::hint::black_box(&marker)) as usize
}

/// What a thread is doing, as far as the kernel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// On a processor, or ready and waiting for one.
    Runnable,
    /// Blocked in the kernel.
    Blocked,
    /// Gone, or /proc does not tell.
    Unknown,
}

/// Processor time the thread `id` of this process has used, in nanoseconds.
pub(crate) fn cpu_time(id: i32) -> Option<u64> {
    // Number 0, and what has no number, would name the calling thread.
    if id <= 0 {
        return None;
    }
    // The kernel's encoding of "processor clock of this thread": the complement of the
    // number, and 6 for "per thread, scheduler time".
    let clock = (!id << 3) | 6;
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec; a thread that has gone makes the call fail.
    if unsafe { libc::clock_gettime(clock, &mut used) } != 0 {
        return None;
    }
    Some(used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64)
}

/// Looks the thread `id` of this process up in /proc.
pub(crate) fn activity(id: i32) -> Activity {
    let mut path = [0u8; 48];
    if format_path(id, &mut path).is_none() {
        return Activity::Unknown;
    }
    let Ok(path) = CStr::from_bytes_until_nul(&path) else { return Activity::Unknown };
    let mut text = [0u8; 96];
    match super::memory::read_small_file(path, &mut text) {
        Some(length) => parse_activity(&text[..length]),
        None => Activity::Unknown,
    }
}

fn format_path(id: i32, into: &mut [u8]) -> Option<()> {
    use std::io::Write;
    let mut rest = into;
    write!(rest, "/proc/self/task/{id}/stat\0").ok()
}

/// The state letter stands behind the last ')' of the command name, which may itself
/// contain anything.
pub(crate) fn parse_activity(stat: &[u8]) -> Activity {
    let Some(end) = stat.iter().rposition(|&byte| byte == b')') else { return Activity::Unknown };
    match stat.get(end + 2) {
        Some(b'R') => Activity::Runnable,
        Some(b'S' | b'D' | b'T' | b't' | b'I') => Activity::Blocked,
        _ => Activity::Unknown,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn this_thread_is_runnable_and_uses_time() {
        assert_eq!(activity(id()), Activity::Runnable);
        let before = cpu_time(id()).expect("own clock");
        let mut sum = 0u64;
        while cpu_time(id()).expect("own clock") < before + 1_000_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert_eq!(cpu_time(-1), None);
        assert_eq!(activity(i32::MAX), Activity::Unknown);
    }

    #[test]
    fn state_letter_behind_a_hostile_name() {
        assert_eq!(parse_activity(b"1 (a) S b) R 1 1"), Activity::Runnable);
        assert_eq!(parse_activity(b"1 (x) D 1"), Activity::Blocked);
        assert_eq!(parse_activity(b"1 (x)"), Activity::Unknown);
        assert_eq!(parse_activity(b""), Activity::Unknown);
    }

    proptest! {
        #[test]
        fn parse_activity_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            parse_activity(&bytes);
        }
    }
}
