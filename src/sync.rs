//! Atomics, futex words and locks: the real ones, or the model checker's (`--cfg loom`).
//!
//! Open to every room. What a model needs beyond the real thing (a wait queue beside each
//! futex word) exists only under `cfg(loom)`; the code above is the same in both.
//!
//! # The lock
//! `Lock` is the three-state futex mutex of Drepper, "Futexes Are Tricky" (2011), mutex 2:
//! 0 free, 1 held, 2 held and perhaps awaited. No poisoning: no user code and nothing that
//! panics runs under a lock of this library.

#[cfg(not(loom))]
mod imp {
    use crate::platform::clock::Instant;
    use crate::platform::futex;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };

    /// Tells the processor that this is a spin loop.
    #[inline(always)]
    pub(crate) fn spin_loop() {
        std::hint::spin_loop();
    }

    /// A word that threads can sleep on.
    #[derive(Default)]
    #[repr(transparent)]
    pub(crate) struct Futex32(AtomicU32);

    impl Futex32 {
        pub(crate) const fn new(value: u32) -> Futex32 {
            Futex32(AtomicU32::new(value))
        }

        /// Sleeps while the word is `expected`; false when the deadline passed.
        pub(crate) fn wait(&self, expected: u32, deadline: Option<Instant>) -> bool {
            futex::wait(&self.0, expected, deadline)
        }

        pub(crate) fn wake_one(&self) {
            futex::wake(&self.0, 1);
        }

        pub(crate) fn wake_all(&self) {
            futex::wake(&self.0, i32::MAX);
        }
    }

    impl std::ops::Deref for Futex32 {
        type Target = AtomicU32;
        #[inline(always)]
        fn deref(&self) -> &AtomicU32 {
            &self.0
        }
    }

    /// A word that a thread of another process can sleep on, in memory that both map.
    #[derive(Default)]
    #[repr(transparent)]
    pub(crate) struct SharedFutex32(AtomicU32);

    impl SharedFutex32 {
        /// Sleeps while the word is `expected`; false when the deadline passed.
        pub(crate) fn wait(&self, expected: u32, deadline: Option<Instant>) -> bool {
            futex::wait_shared(&self.0, expected, deadline)
        }

        pub(crate) fn wake_all(&self) {
            futex::wake_shared(&self.0, i32::MAX);
        }
    }

    impl std::ops::Deref for SharedFutex32 {
        type Target = AtomicU32;
        #[inline(always)]
        fn deref(&self) -> &AtomicU32 {
            &self.0
        }
    }

    /// A 64-bit word whose low half threads can sleep on.
    #[repr(transparent)]
    pub(crate) struct Futex64(AtomicU64);

    impl Futex64 {
        pub(crate) const fn new(value: u64) -> Futex64 {
            Futex64(AtomicU64::new(value))
        }

        fn low_half(&self) -> *const AtomicU32 {
            let halves = std::ptr::from_ref(&self.0).cast::<AtomicU32>();
            if cfg!(target_endian = "big") { halves.wrapping_add(1) } else { halves }
        }

        pub(crate) fn wait_low(&self, expected: u32, deadline: Option<Instant>) -> bool {
            // SAFETY: one half of a word that lives as long as `self`; the kernel only
            // compares it, so nothing in the language mixes access sizes.
            futex::wait(unsafe { &*self.low_half() }, expected, deadline)
        }

        /// The address is all that is used: the word itself may be gone by now.
        pub(crate) fn wake_all_low(this: *const Futex64) {
            let halves = this.cast::<AtomicU32>();
            let low = if cfg!(target_endian = "big") { halves.wrapping_add(1) } else { halves };
            futex::wake(low, i32::MAX);
        }
    }

    impl std::ops::Deref for Futex64 {
        type Target = AtomicU64;
        #[inline(always)]
        fn deref(&self) -> &AtomicU64 {
            &self.0
        }
    }

    /// std's cell with the model checker's interface.
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> UnsafeCell<T> {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
            look(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, change: impl FnOnce(*mut T) -> R) -> R {
            change(self.0.get())
        }
    }

    const FREE: u32 = 0;
    const HELD: u32 = 1;
    const AWAITED: u32 = 2;

    /// Mutual exclusion for a few instructions. The state comes first, beside what the holder
    /// looks at first.
    #[repr(C)]
    pub(crate) struct Lock<T> {
        state: Futex32,
        value: UnsafeCell<T>,
    }

    // SAFETY: the lock hands out one `&mut T` at a time, so sharing it needs only T: Send.
    unsafe impl<T: Send> Sync for Lock<T> {}
    // SAFETY: owning a lock is owning its value.
    unsafe impl<T: Send> Send for Lock<T> {}

    impl<T> Lock<T> {
        pub(crate) const fn new(value: T) -> Lock<T> {
            Lock { state: Futex32::new(FREE), value: UnsafeCell::new(value) }
        }

        #[inline]
        pub(crate) fn lock(&self) -> Guard<'_, T> {
            // Acquire: pairs with the Release in Guard::drop, publishes the value.
            if self
                .state
                .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                self.lock_slow();
            }
            Guard(self)
        }

        /// Takes the lock if it is free.
        #[inline(always)]
        pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
            // Acquire: as in `lock`.
            let taken =
                self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed);
            taken.is_ok().then(|| Guard(self))
        }

        /// Wakes a thread that `Guard::unlock` told of.
        #[cold]
        pub(crate) fn wake(&self) {
            self.state.wake_one();
        }

        #[cold]
        fn lock_slow(&self) {
            // A holder needs tens of nanoseconds: worth a short look before the kernel.
            for _ in 0..100 {
                // Relaxed: only a hint; the exchange below decides.
                if self.state.load(Ordering::Relaxed) == FREE
                    // Acquire: as in `lock`.
                    && self
                        .state
                        .compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok()
                {
                    return;
                }
                spin_loop();
            }
            // Acquire: as in `lock`.
            while self.state.swap(AWAITED, Ordering::Acquire) != FREE {
                self.state.wait(AWAITED, None);
            }
        }

        /// Makes the lock free whoever held it: in a forked child, where the holder does
        /// not exist.
        ///
        /// # Safety
        /// No thread of this process holds the lock or waits for it.
        pub(crate) unsafe fn reset(&self, value: T) {
            self.value.with_mut(|place| {
                // SAFETY: by the contract nobody looks. The old value is not dropped: it
                // may be half-changed.
                unsafe { place.write(value) };
            });
            // Release: pairs with the Acquire in `lock`.
            self.state.store(FREE, Ordering::Release);
        }
    }

    /// Access to the value of a held `Lock`.
    pub(crate) struct Guard<'a, T>(&'a Lock<T>);

    impl<T> std::ops::Deref for Guard<'_, T> {
        type Target = T;
        #[inline(always)]
        fn deref(&self) -> &T {
            // SAFETY: the guard exists, so this thread holds the lock.
            self.0.value.with(|value| unsafe { &*value })
        }
    }

    impl<T> std::ops::DerefMut for Guard<'_, T> {
        #[inline(always)]
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: as in `deref`, and the guard is borrowed uniquely.
            self.0.value.with_mut(|value| unsafe { &mut *value })
        }
    }

    impl<T> Guard<'_, T> {
        /// Gives the lock back; true: the caller is to call `Lock::wake`.
        #[inline(always)]
        pub(crate) fn unlock(self) -> bool {
            let lock = std::mem::ManuallyDrop::new(self).0;
            // Release: pairs with the Acquire in `lock`, publishes the value.
            lock.state.swap(FREE, Ordering::Release) == AWAITED
        }
    }

    impl<T> Drop for Guard<'_, T> {
        #[inline(always)]
        fn drop(&mut self) {
            // Release: pairs with the Acquire in `lock`, publishes the value.
            if self.0.state.swap(FREE, Ordering::Release) == AWAITED {
                self.0.state.wake_one();
            }
        }
    }
}

#[cfg(loom)]
mod imp {
    use crate::platform::clock::Instant;
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
        fence,
    };
    use loom::sync::{Condvar, Mutex};

    pub(crate) fn spin_loop() {
        loom::thread::yield_now();
    }

    /// The kernel's half of a futex: a lock that orders "look, then sleep" against wakes.
    struct WaitQueue {
        bucket: Mutex<()>,
        sleepers: Condvar,
    }

    impl WaitQueue {
        fn new() -> WaitQueue {
            WaitQueue { bucket: Mutex::new(()), sleepers: Condvar::new() }
        }

        fn wait_if(&self, still: impl Fn() -> bool) {
            let guard = self.bucket.lock().unwrap();
            if still() {
                drop(self.sleepers.wait(guard).unwrap());
            }
        }

        fn wake_all(&self) {
            drop(self.bucket.lock().unwrap());
            self.sleepers.notify_all();
        }
    }

    pub(crate) struct Futex32 {
        word: AtomicU32,
        queue: WaitQueue,
    }

    impl Futex32 {
        pub(crate) fn new(value: u32) -> Futex32 {
            Futex32 { word: AtomicU32::new(value), queue: WaitQueue::new() }
        }

        /// Models have no clock: a wait with a deadline may end at once.
        pub(crate) fn wait(&self, expected: u32, deadline: Option<Instant>) -> bool {
            if deadline.is_some() {
                loom::thread::yield_now();
                return false;
            }
            // SeqCst: pairs with every change of the word, as a futex call does.
            self.queue.wait_if(|| self.word.load(Ordering::SeqCst) == expected);
            true
        }

        /// Wakes all: more than asked for, which a futex may do at any time.
        pub(crate) fn wake_one(&self) {
            self.queue.wake_all();
        }

        pub(crate) fn wake_all(&self) {
            self.queue.wake_all();
        }
    }

    impl std::ops::Deref for Futex32 {
        type Target = AtomicU32;
        fn deref(&self) -> &AtomicU32 {
            &self.word
        }
    }

    impl Default for Futex32 {
        fn default() -> Futex32 {
            Futex32::new(0)
        }
    }

    /// In a model the two processes are threads.
    pub(crate) type SharedFutex32 = Futex32;

    pub(crate) struct Futex64 {
        word: AtomicU64,
        queue: WaitQueue,
    }

    impl Futex64 {
        pub(crate) fn new(value: u64) -> Futex64 {
            Futex64 { word: AtomicU64::new(value), queue: WaitQueue::new() }
        }

        pub(crate) fn wait_low(&self, expected: u32, deadline: Option<Instant>) -> bool {
            if deadline.is_some() {
                loom::thread::yield_now();
                return false;
            }
            // SeqCst: pairs with every change of the word, as a futex call does.
            self.queue.wait_if(|| self.word.load(Ordering::SeqCst) as u32 == expected);
            true
        }

        /// The real one uses only the address; the model has to look into the word, so
        /// models keep it alive until the wake is done.
        pub(crate) fn wake_all_low(this: *const Futex64) {
            // SAFETY: models keep every word until the end of the run.
            unsafe { &*this }.queue.wake_all();
        }
    }

    impl std::ops::Deref for Futex64 {
        type Target = AtomicU64;
        fn deref(&self) -> &AtomicU64 {
            &self.word
        }
    }

    pub(crate) struct Lock<T>(Mutex<T>);

    pub(crate) struct Guard<'a, T>(loom::sync::MutexGuard<'a, T>);

    impl<T> Lock<T> {
        pub(crate) fn new(value: T) -> Lock<T> {
            Lock(Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            Guard(self.0.lock().unwrap())
        }

        pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.0.try_lock().ok().map(Guard)
        }

        /// Not called: `unlock` wakes.
        pub(crate) fn wake(&self) {}

        /// # Safety
        /// As the real one's. No model forks, so it is not called.
        pub(crate) unsafe fn reset(&self, value: T) {
            *self.lock() = value;
        }
    }

    impl<T> Guard<'_, T> {
        pub(crate) fn unlock(self) -> bool {
            false
        }
    }

    impl<T> std::ops::Deref for Guard<'_, T> {
        type Target = T;
        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> std::ops::DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }

    /// Runs `model` in all interleavings with at most `preemptions` switches away from a
    /// thread that could go on (None: all), and looks for memory that is left behind.
    #[cfg(test)]
    pub(crate) fn explore(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
        use crate::platform::memory::tracked;
        use crate::platform::thread::modelled;
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = preemptions;
        builder.max_branches = 20_000;
        let runs = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = std::sync::Arc::clone(&runs);
        tracked::forget();
        let begun = std::time::Instant::now();
        builder.check(move || {
            // The threads of the run before have all ended by now.
            tracked::check();
            count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            model();
            modelled::join_all();
        });
        tracked::check();
        if std::env::var_os("LOOM_COUNT").is_some() {
            let name = std::thread::current().name().unwrap_or("?").to_owned();
            std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!(
                    "{name}: {} runs, {:?}\n",
                    runs.load(std::sync::atomic::Ordering::Relaxed),
                    begun.elapsed()
                ),
            )
            .unwrap();
        }
    }
}

pub(crate) use imp::*;

/// A static with something of this room in it: the model checker makes it anew for each run.
macro_rules! global {
    ($(#[$attribute:meta])* static $name:ident: $type:ty = $value:expr;) => {
        #[cfg(not(loom))]
        $(#[$attribute])*
        static $name: $type = $value;
        #[cfg(loom)]
        loom::lazy_static! {
            $(#[$attribute])*
            static ref $name: $type = $value;
        }
    };
}
pub(crate) use global;

use crate::platform::clock::Instant;

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timeout {
    Forever,
    Now,
    Until(Instant),
}

impl Timeout {
    /// The meaning of the API's time-outs: negative for ever, 0 not at all.
    pub(crate) fn from_ns(nanoseconds: i64) -> Timeout {
        match nanoseconds {
            i64::MIN..0 => Timeout::Forever,
            0 => Timeout::Now,
            _ => Timeout::Until(Instant::now().plus(nanoseconds as u64)),
        }
    }

    /// As a futex takes it; not to be called for `Now`.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Timeout::Until(instant) => Some(instant),
            Timeout::Forever | Timeout::Now => None,
        }
    }
}

/// Keeps a value on cache lines of its own: two, because processors fetch them in pairs.
#[derive(Default)]
#[repr(C, align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> std::ops::Deref for Padded<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn lock_excludes() {
        let lock = Arc::new(Lock::new(0u64));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let lock = Arc::clone(&lock);
                std::thread::Builder::new()
                    .spawn(move || (0..10_000).for_each(|_| *lock.lock() += 1))
                    .expect("thread")
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("joined"));
        assert_eq!(*lock.lock(), 40_000);
    }

    #[test]
    fn timeouts() {
        assert_eq!(Timeout::from_ns(-5), Timeout::Forever);
        assert_eq!(Timeout::from_ns(i64::MIN), Timeout::Forever);
        assert_eq!(Timeout::from_ns(0), Timeout::Now);
        let Timeout::Until(end) = Timeout::from_ns(i64::MAX) else { panic!("a deadline") };
        assert_eq!(end.0, i64::MAX as u64);
    }
}
