//! Noticing a fork in O(1): a page that the kernel hands to a forked child zeroed.
//!
//! `pthread_atfork` misses `vfork` and `_Fork`, and its handlers run between the fork and the
//! child's first line, where nothing that takes a lock is safe. A page under
//! MADV_WIPEONFORK (Linux 4.14) needs no handler: any entry point compares one word. A
//! `vfork` child shares the page and reads it unchanged, which is right, for it is no new
//! process to this library.
//!
//! One thing that word cannot tell is which thread forked. A worker has to know when its task
//! returns in the child, so for that there is a handler, which stores a bit and nothing else
//! (`call_in_child`).

use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// Where the word lives until `watch` maps the page: no handle exists yet, so a fork
/// before that leaves nothing to notice.
static UNWATCHED: AtomicU32 = AtomicU32::new(1);

static WORD: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::from_ref(&UNWATCHED).cast_mut());

/// The generation of this process: 1 in the one that loaded the library, one more in each
/// forked child. Ordinary memory, so a child inherits its parent's number.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// The generation of the calling process; never 0.
#[inline]
pub(crate) fn generation() -> u32 {
    // Acquire: pairs with the Release in `watch`, publishes the mapped page.
    // SAFETY: WORD points at UNWATCHED or at a page that is never unmapped.
    let word = unsafe { &*WORD.load(Ordering::Acquire) };
    // Relaxed: the number alone is meant.
    match word.load(Ordering::Relaxed) {
        0 => renew(word),
        generation => generation,
    }
}

/// A word that holds the generation of whatever process reads it, or 0 before that has asked.
#[repr(transparent)]
pub(crate) struct Word(AtomicU32);

impl Word {
    /// For the generation of no process.
    pub(crate) const fn none() -> Word {
        Word(AtomicU32::new(0))
    }

    #[inline(always)]
    pub(crate) fn is(&self, generation: u32) -> bool {
        // Relaxed: the number alone is meant.
        self.0.load(Ordering::Relaxed) == generation
    }
}

/// The word of the calling process. It stays where it is once `watch` was called.
pub(crate) fn word() -> &'static Word {
    // SAFETY: as in `generation`, and a Word is nothing but its number. Acquire: as there.
    unsafe { &*WORD.load(Ordering::Acquire).cast::<Word>() }
}

/// What begins anew in each forked child: a lock there may be held by a thread that does not
/// exist, and lists may be half-changed.
pub(crate) struct PerProcess {
    /// Generations: whose reset has begun, and whose is over.
    begun: AtomicU32,
    over: AtomicU32,
}

impl PerProcess {
    /// For state that is as it should be in the process that loads the library.
    pub(crate) const fn new() -> PerProcess {
        PerProcess { begun: AtomicU32::new(1), over: AtomicU32::new(1) }
    }

    /// For state that needs `reset` in every process.
    pub(crate) const fn unset() -> PerProcess {
        PerProcess { begun: AtomicU32::new(0), over: AtomicU32::new(0) }
    }

    /// Before each use: calls `reset` once in each process, and returns when that is over.
    #[inline]
    pub(crate) fn follow(&self, reset: impl FnOnce()) {
        let now = generation();
        // Acquire: pairs with the Release in `begin_anew`.
        if self.over.load(Ordering::Acquire) != now {
            self.begin_anew(now, reset);
        }
    }

    #[cold]
    fn begin_anew(&self, now: u32, reset: impl FnOnce()) {
        // Relaxed: decides who resets; `over` publishes it.
        if self.begun.swap(now, Ordering::Relaxed) != now {
            reset();
            // Release: pairs with the Acquires in `follow` and below.
            self.over.store(now, Ordering::Release);
        }
        // Acquire: pairs with the store above.
        while self.over.load(Ordering::Acquire) != now {
            super::thread::yield_now();
        }
    }
}

/// Has `handler` called in the child of each fork(), in the thread that forked, before fork()
/// returns there. It may store a word, and nothing else. `vfork` and `_Fork` do not call it.
pub(crate) fn call_in_child(handler: extern "C" fn()) {
    // SAFETY: the handler stays valid: the library is never unloaded (-z nodelete).
    unsafe { libc::pthread_atfork(None, None, Some(handler)) };
}

/// Maps the page, once a process family; called before the first handle exists.
pub(crate) fn watch() {
    let unwatched = ptr::from_ref(&UNWATCHED).cast_mut();
    // Relaxed: a first look, decided below.
    if WORD.load(Ordering::Relaxed) != unwatched {
        return;
    }
    let Some(page) = wiped_page() else { return watch_by_handler() };
    // SAFETY: a fresh page, larger than the word and aligned.
    unsafe { (*page).store(GENERATION.load(Ordering::Relaxed), Ordering::Relaxed) };
    // Release: pairs with `generation`. A loser of the race leaves its page mapped, once.
    let _ = WORD.compare_exchange(unwatched, page, Ordering::Release, Ordering::Relaxed);
}

fn wiped_page() -> Option<*mut AtomicU32> {
    const PAGE: usize = 4096;
    // SAFETY: an anonymous private mapping at an address of the kernel's choice; the kernel
    // rounds up to its own page size.
    unsafe {
        let page = libc::mmap(
            ptr::null_mut(),
            PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return None;
        }
        if libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) != 0 {
            libc::munmap(page, PAGE);
            return None;
        }
        Some(page.cast())
    }
}

/// Where the kernel (or a filter) refuses the page: a handler that stores one word. It
/// takes no lock. `vfork` and `_Fork` go unnoticed then.
#[cold]
fn watch_by_handler() {
    extern "C" fn in_child() {
        // Relaxed: the child has one thread.
        UNWATCHED.store(0, Ordering::Relaxed);
    }
    static INSTALLED: AtomicU32 = AtomicU32::new(0);
    // Relaxed: decides who installs, publishes nothing.
    if INSTALLED.swap(1, Ordering::Relaxed) == 0 {
        call_in_child(in_child);
    }
}

/// First call in a forked child: takes the next number. Threads of the child that race
/// here agree through the compare-exchange on the word.
#[cold]
fn renew(word: &AtomicU32) -> u32 {
    let next = GENERATION.load(Ordering::Relaxed).wrapping_add(1).max(1);
    // AcqRel: pairs with itself in a racing thread, so that the loser sees the winner's number.
    match word.compare_exchange(0, next, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => {
            GENERATION.store(next, Ordering::Relaxed);
            next
        }
        Err(winner) => winner,
    }
}
