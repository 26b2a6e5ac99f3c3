//! Time: monotonic nanoseconds for deadlines, and a cheap tick counter for durations.
//!
//! A task is stamped three times (accepted, started, finished). `clock_gettime` costs about
//! 50 instructions each, the processor's time-stamp counter one; so durations are taken in
//! ticks and turned into nanoseconds when somebody asks. Where the kernel itself does not
//! trust the counter, ticks are nanoseconds.

use once_cell::race::OnceNonZeroUsize;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

/// A point of CLOCK_MONOTONIC, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(pub(crate) u64);

impl Instant {
    pub(crate) fn now() -> Instant {
        if cfg!(loom) {
            return Instant(1); // models must not depend on the time
        }
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes one timespec. CLOCK_MONOTONIC exists on every kernel we run on.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
        Instant((now.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec as u64))
    }

    /// Saturates: a time-out of 292 years from now is for ever in all but name.
    pub(crate) fn plus(self, nanoseconds: u64) -> Instant {
        Instant(self.0.saturating_add(nanoseconds).min(i64::MAX as u64))
    }

    pub(crate) fn saturating_since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    pub(crate) fn to_timespec(self) -> libc::timespec {
        libc::timespec {
            tv_sec: (self.0 / 1_000_000_000) as libc::time_t,
            tv_nsec: (self.0 % 1_000_000_000) as libc::c_long,
        }
    }
}

/// Tick counter of this processor; only differences mean something.
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    if cfg!(loom) {
        return 1; // as for `Instant::now`
    }
    if counter_is_trusted() { counter() } else { Instant::now().0 }
}

/// `ticks` where `has_fast_ticks`.
#[inline(always)]
pub(crate) fn fast_ticks() -> u64 {
    if cfg!(loom) { 1 } else { counter() }
}

/// Whether ticks are those of the processor's counter, which are read without a call.
pub(crate) fn has_fast_ticks() -> bool {
    cfg!(loom) || counter_is_trusted()
}

/// Length of `ticks` in nanoseconds.
pub(crate) fn ticks_to_ns(ticks: u64) -> u64 {
    if !counter_is_trusted() {
        return ticks;
    }
    (ticks as f64 * ns_per_tick()) as u64
}

/// Ticks in `nanoseconds`, for comparing ages without conversion on a hot path.
pub(crate) fn ns_to_ticks(nanoseconds: u64) -> u64 {
    if !counter_is_trusted() {
        return nanoseconds;
    }
    (nanoseconds as f64 / ns_per_tick()) as u64
}

#[inline(always)]
fn counter() -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: RDTSC exists on every x86-64 processor and user code may use it, but for a
    // process that asked for PR_TSC_SIGSEGV, which breaks the vDSO clock as well.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    {
        let value: u64;
        // SAFETY: reads the virtual counter, which Linux opens to user code.
        unsafe { std::arch::asm!("mrs {}, cntvct_el0", out(reg) value, options(nomem, nostack)) };
        return value;
    }
    #[allow(unreachable_code)] // reached where neither counter is known
    Instant::now().0
}

const UNKNOWN: u64 = 0;
const TRUSTED: u64 = 1;
const DISTRUSTED: u64 = 2;

/// Set once; a race stores the same answer twice.
static TRUST: AtomicU64 = AtomicU64::new(UNKNOWN);

#[inline(always)]
fn counter_is_trusted() -> bool {
    // Relaxed: a cached fact, nothing is published with it.
    match TRUST.load(Ordering::Relaxed) {
        TRUSTED => true,
        DISTRUSTED => false,
        _ => find_out_trust(),
    }
}

#[cold]
fn find_out_trust() -> bool {
    let trusted = if cfg!(miri) { false } else { kernel_trusts_counter() };
    // Relaxed: see counter_is_trusted.
    TRUST.store(if trusted { TRUSTED } else { DISTRUSTED }, Ordering::Relaxed);
    trusted
}

/// On x86-64 the kernel's own choice of clock says whether the counters of all processors
/// agree; both clocks named here are read from the counter. The generic timer of aarch64
/// is one counter for all processors by definition.
fn kernel_trusts_counter() -> bool {
    if cfg!(target_arch = "aarch64") {
        return true;
    }
    let mut name = [0u8; 32];
    let path = c"/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let read = super::memory::read_small_file(path, &mut name).unwrap_or(0);
    matches!(name[..read].trim_ascii(), b"tsc" | b"kvm-clock" | b"hyperv_clocksource_tsc_page")
}

/// Ticks in `nanoseconds` by a guess, for thresholds: within a factor of two.
pub(crate) fn about_ticks(nanoseconds: u64) -> u64 {
    if !counter_is_trusted() {
        nanoseconds
    } else if cfg!(target_arch = "x86_64") {
        // Counters of the processors in use run at 2 to 4 GHz.
        nanoseconds.saturating_mul(5) / 2
    } else {
        ns_to_ticks(nanoseconds)
    }
}

/// Notes where both clocks stand, so that their rate is known when it is first asked for.
pub(crate) fn prepare() {
    // Relaxed: a race keeps either pair, and `ns_per_tick` copes with a torn one by
    // measuring anew.
    if counter_is_trusted() && BASE_NS.load(Ordering::Relaxed) == 0 {
        let now = Reading::now();
        BASE_TICKS.store(now.ticks, Ordering::Relaxed);
        BASE_NS.store(now.ns, Ordering::Relaxed);
    }
}

/// Both clocks at one moment.
struct Reading {
    ticks: u64,
    ns: u64,
    /// The moment is known up to so many ticks.
    doubt: u64,
}

impl Reading {
    /// A thread that loses its processor between the two clocks would relate moments that are
    /// milliseconds apart: such a reading is taken again.
    fn now() -> Reading {
        /// Reading both takes less than a tenth of it.
        const GOOD: u64 = 2_000;
        const TRIES: u32 = 8;
        let mut best = Reading { ticks: 0, ns: 0, doubt: u64::MAX };
        for _ in 0..TRIES {
            let before = counter();
            let ns = Instant::now().0;
            let doubt = counter().saturating_sub(before);
            if doubt < best.doubt {
                best = Reading { ticks: before + doubt / 2, ns, doubt };
            }
            if best.doubt <= GOOD {
                break;
            }
        }
        best
    }
}

static BASE_TICKS: AtomicU64 = AtomicU64::new(0);
static BASE_NS: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds per tick as the bits of a double, found once.
static RATE: OnceNonZeroUsize = OnceNonZeroUsize::new();

fn ns_per_tick() -> f64 {
    let bits = RATE.get_or_init(|| {
        let rate = measure_rate();
        NonZeroUsize::new(rate.to_bits() as usize).unwrap_or(NonZeroUsize::MIN)
    });
    f64::from_bits(bits.get() as u64)
}

/// Measures from `prepare` to now, but over no less than 200 microseconds: an error of 30 ns
/// at each end is then 0.03 %.
fn measure_rate() -> f64 {
    const SPAN_NS: u64 = 200_000;
    prepare();
    // Relaxed: see `prepare`.
    let mut ticks = BASE_TICKS.load(Ordering::Relaxed);
    let mut ns = BASE_NS.load(Ordering::Relaxed);
    loop {
        let now = Reading::now();
        let (span, elapsed) = (now.ticks.saturating_sub(ticks), now.ns.saturating_sub(ns));
        let rate = elapsed as f64 / span.max(1) as f64;
        if elapsed >= SPAN_NS && now.doubt < span / 100 {
            // 10 MHz to 10 GHz; anything else is a torn pair.
            if (0.1..=100.0).contains(&rate) {
                return rate;
            }
            (ticks, ns) = (now.ticks, now.ns);
        }
        std::hint::spin_loop();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn instants_saturate() {
        assert_eq!(Instant(5).plus(u64::MAX), Instant(i64::MAX as u64));
        assert_eq!(Instant(5).saturating_since(Instant(9)), 0);
    }

    #[test]
    fn ticks_follow_the_monotonic_clock() {
        ticks_to_ns(1);
        let (clock, first) = (Instant::now(), ticks());
        while Instant::now().saturating_since(clock) < 2_000_000 {}
        let ns = ticks_to_ns(ticks() - first);
        let real = Instant::now().saturating_since(clock);
        // Both brackets overlap; a preemption between the readings only widens `real`.
        assert!(ns >= 1_900_000 && ns <= real + real / 10, "{ns} ns by ticks, {real} ns by clock");
        let there_and_back = ticks_to_ns(ns_to_ticks(1_000_000));
        assert!((999_000..=1_001_000).contains(&there_and_back));
    }
}
